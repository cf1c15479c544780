//! Text written without the formatter is the text that the formatter writes.

use super::*;

#[test]
fn bytes_are_written_as_hexadecimal_digits() {
    let cases: [(&[u8], &str); 5] = [
        (&[], ""),
        (&[0x0f, 0xa0], "0fa0"),
        (&[0x12; 16], "12121212121212121212121212121212"),
        (&[0xfe; 17], "fefefefefefefefefefefefefefefefefe"),
        (
            &[0x5a; 33],
            "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
        ),
    ];
    for (bytes, shown) in cases {
        let mut text = String::from("x");
        push_hex(&mut text, bytes);
        assert_eq!(text, format!("x{shown}"));
    }
}

#[test]
fn numbers_are_written_in_hexadecimal_digits() {
    for number in [0, 1, 0xf, 0x10, 0xabc, 1 << 60, u64::MAX] {
        let mut text = String::from("-");
        push_hex_number(&mut text, number);
        assert_eq!(text, format!("-{number:x}"));
    }
}

#[test]
fn addresses_are_written_as_they_are_displayed() {
    for shown in ["0.0.0.0", "127.0.0.1", "255.250.9.10", "::1", "2001:db8::7"] {
        let mut text = String::new();
        push_address(&mut text, shown.parse().unwrap());
        assert_eq!(text, shown);
    }
}

#[test]
fn numbers_are_written_in_digits() {
    for number in [0, 7, 10, 503, u64::MAX] {
        let mut text = String::new();
        push_number(&mut text, number);
        assert_eq!(text, number.to_string());
    }
}
