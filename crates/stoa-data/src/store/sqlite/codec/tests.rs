//! Digits are kept, order is kept, nothing panics.

use super::number::{from_sortable, scaled, sortable, write_scaled};
use super::{Cell, decimal, decimal_key, read_date, read_time};
use proptest::prelude::*;

const MAX: i128 = 10_i128.pow(38) - 1;

fn digits(n: i128, scale: u8) -> String {
    let mut out = Vec::new();
    write_scaled(n, scale, &mut out);
    String::from_utf8(out).unwrap()
}

proptest! {
    #[test]
    fn decimals_come_back(n in -MAX..=MAX, scale in 0..=38_u8) {
        let text = digits(n, scale);
        prop_assert_eq!(scaled(&text, scale), Some(n));
        prop_assert_eq!(from_sortable(&sortable(n, 38)), Some(n));
        prop_assert_eq!(decimal(&text, scale), Some(text));
    }

    #[test]
    fn texts_sort_as_the_numbers_do(a in -MAX..=MAX, b in -MAX..=MAX, small in -1_000..1_000_i128) {
        prop_assert_eq!(sortable(a, 38).cmp(&sortable(b, 38)), a.cmp(&b));
        prop_assert_eq!(sortable(a, 38).cmp(&sortable(small, 38)), a.cmp(&small));
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in ".{0,40}", scale in 0..=38_u8) {
        let cell = Cell::Text(text.as_str().into());
        let _ = (decimal(&text, scale), decimal_key(&text, scale), read_time(&cell), read_date(&cell));
        let _ = from_sortable(&text);
    }

    #[test]
    fn any_number_is_read_without_a_panic(n in any::<i64>(), x in any::<f64>()) {
        for cell in [Cell::Int(n), Cell::Real(x)] {
            let _ = (read_time(&cell), read_date(&cell));
        }
    }
}

#[test]
fn numbers_in_any_writing() {
    for (text, scale, expected) in [
        ("12.5", 2, Some("12.50")),
        ("-0.005", 2, Some("-0.01")),
        ("1e3", 0, Some("1000")),
        ("1.5E-2", 3, Some("0.015")),
        (".5", 1, Some("0.5")),
        ("+7", 0, Some("7")),
        ("1e-400", 2, Some("0.00")),
        ("", 2, None),
        ("x", 2, None),
        ("1e99", 2, None),
        ("--1", 0, None),
        ("1.2.3", 2, None),
    ] {
        assert_eq!(decimal(text, scale).as_deref(), expected, "{text}");
    }
}

#[test]
fn moments_in_any_writing() {
    let five = Some(1_357_016_400_000_000);
    for text in [
        "2013-01-01T05:00:00Z",
        "2013-01-01 05:00:00",
        "2013-01-01 05:00",
        "2013-01-01T05:00:00.000000",
        "2013-01-01 07:00:00+02:00",
        "2013-01-01 05:00:00 UTC",
    ] {
        assert_eq!(read_time(&Cell::Text(text.into())), five, "{text}");
    }
    assert_eq!(read_time(&Cell::Int(1_357_016_400)), five);
    assert_eq!(read_time(&Cell::Int(1_357_016_400_000)), five);
    assert_eq!(read_time(&Cell::Real(2_456_293.708_333_333_5)), five);
    assert_eq!(read_time(&Cell::Text("yesterday".into())), None);
    assert_eq!(read_date(&Cell::Text("1970-01-02".into())), Some(1));
    assert_eq!(read_date(&Cell::Text("1969-12-31 23:00".into())), Some(-1));
    assert_eq!(read_date(&Cell::Text("1900-01-01".into())), Some(-25_567));
}
