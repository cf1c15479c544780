//! Binary forms of PostgreSQL against the texts that callers see.

use super::number::{encode, write};
use super::{Items, write_compact};
use bytes::BytesMut;
use proptest::prelude::*;

fn there_and_back(text: &str, scale: u8) -> String {
    let mut bytes = BytesMut::new();
    encode(text, &mut bytes).unwrap();
    let mut out = Vec::new();
    write(&bytes, scale, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn decimals_keep_every_digit() {
    for (text, scale) in [
        ("0", 0),
        ("0.00", 2),
        ("-0.50", 2),
        ("10000", 0),
        ("99999999.0001", 4),
        ("0.00000001", 8),
        ("-12345678901234567890123456789012.345678", 6),
        ("1000000000000", 0),
    ] {
        assert_eq!(there_and_back(text, scale), text);
    }
}

#[test]
fn what_is_no_number_is_null_or_refused() {
    let mut out = Vec::new();
    // NaN.
    write(&[0, 0, 0, 0, 0xc0, 0, 0, 0], 2, &mut out).unwrap();
    assert_eq!(out, b"null");
    assert_eq!(
        write(&[0, 1, 0, 0, 0, 0, 0, 0], 2, &mut out),
        None,
        "a group is missing"
    );
    assert_eq!(write(&[0], 2, &mut out), None);
    assert_eq!(encode("1e3", &mut BytesMut::new()), None);
}

#[test]
fn json_loses_its_white_space_but_not_that_of_its_texts() {
    let mut out = Vec::new();
    write_compact("{\"a b\": [1, \"x \\\" y\", {}], \"c\": \"\\\\\"}", &mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "{\"a b\":[1,\"x \\\" y\",{}],\"c\":\"\\\\\"}"
    );
}

proptest! {
    #[test]
    fn any_decimal(whole in "(0|[1-9][0-9]{0,25})", fraction in "[0-9]{0,12}", negative: bool) {
        let scale = u8::try_from(fraction.len()).unwrap();
        let digits = if fraction.is_empty() { whole } else { format!("{whole}.{fraction}") };
        let zero = !digits.bytes().any(|b| (b'1'..=b'9').contains(&b));
        let text = if negative && !zero { format!("-{digits}") } else { digits };
        prop_assert_eq!(there_and_back(&text, scale), text);
    }

    /// Bytes of any kind end in an answer.
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..40), scale in 0..20_u8) {
        let _ = write(&bytes, scale, &mut Vec::new());
        if let Some(items) = Items::read(&bytes) {
            let _ = items.take(100).count();
        }
    }
}
