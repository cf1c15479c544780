//! Values are read in the type of their field, and written back the same.

use super::*;
use crate::json;
use proptest::prelude::*;
use stoa_config::plan::Type;

fn body(ty: &Type, text: &str) -> Result<Value, String> {
    from_json(ty, &json::parse(text.as_bytes()).expect("JSON"))
}

fn decimal(precision: u8, scale: u8) -> Type {
    Type::Decimal { precision, scale }
}

fn statuses() -> Type {
    Type::Enum(["new", "paid", "sent"].map(String::from).to_vec())
}

#[test]
fn bodies_become_values() {
    let list = Type::List(Box::new(Type::Text));
    for (ty, text, shown) in [
        (Type::Int, "9223372036854775807", "9223372036854775807"),
        (Type::Int, "-9223372036854775808", "-9223372036854775808"),
        (Type::Int, "1.0", "1"),
        (Type::Int, "12e2", "1200"),
        (Type::Int, "0e300", "0"),
        (Type::Int, "-0", "0"),
        (decimal(12, 2), "0.1", "0.10"),
        (decimal(12, 2), "\"1234567890.12\"", "1234567890.12"),
        (decimal(12, 2), "-0.00", "0.00"),
        (decimal(12, 2), "1.500", "1.50"),
        (decimal(12, 2), "15e-1", "1.50"),
        (decimal(12, 2), "1e3", "1000.00"),
        (
            decimal(38, 38),
            "0.12345678901234567890123456789012345678",
            "0.12345678901234567890123456789012345678",
        ),
        (decimal(3, 0), "999", "999"),
        (Type::Float, "1e308", &format!("{}", 1e308)),
        (Type::Bool, "true", "true"),
        (
            Type::Time,
            "\"2026-11-23T05:09:00+02:00\"",
            "2026-11-23T03:09:00.000000Z",
        ),
        (
            Type::Time,
            "\"2026-11-23T03:09:00.1234567Z\"",
            "2026-11-23T03:09:00.123456Z",
        ),
        (Type::Date, "\"2024-02-29\"", "2024-02-29"),
        (Type::Date, "\"1969-12-31\"", "1969-12-31"),
        (statuses(), "\"paid\"", "paid"),
        (Type::Json, "{\"b\": [1.10, null]}", "{\"b\":[1.10,null]}"),
        (list, "[\"a\", \"b\"]", "{a,b}"),
        (
            Type::Uuid,
            "\"01890A5D-AC96-774B-BCCE-B302099A8057\"",
            "01890a5d-ac96-774b-bcce-b302099a8057",
        ),
        (Type::Text, "null", "null"),
    ] {
        assert_eq!(
            body(&ty, text).map(|v| v.to_string()).as_deref(),
            Ok(shown),
            "{ty} {text}"
        );
    }
}

#[test]
fn wrong_bodies_say_what_is_wrong() {
    let list = Type::List(Box::new(Type::Int));
    for (ty, text, says) in [
        (Type::Int, "9223372036854775808", "from -9223372036854775808 to"),
        (Type::Int, "1e300", "from -9223372036854775808 to"),
        (Type::Int, "1.5", "without digits after the point"),
        (Type::Int, "\"1\"", "an integer, not text"),
        (decimal(12, 2), "0.123", "more than 2 digits after"),
        (decimal(12, 2), "12345678901", "more than 10 digits before"),
        (decimal(12, 2), "\"NaN\"", "a decimal number"),
        (decimal(12, 2), "\"Infinity\"", "a decimal number"),
        (decimal(12, 2), "\" 1\"", "a decimal number"),
        (decimal(12, 2), "\"1e99999999999999999999\"", "a decimal number"),
        (Type::Text, "1", "must be text, not a number"),
        (Type::Text, "\"a\\u0000b\"", "NUL"),
        (Type::Json, "{\"a\\u0000\":1}", "NUL"),
        (Type::Bool, "1", "true or false"),
        (Type::Time, "\"2026-11-23\"", "RFC 3339"),
        (Type::Time, "\"2026-11-23T03:09:00\"", "RFC 3339"),
        (Type::Time, "\"2026-13-23T03:09:00Z\"", "RFC 3339"),
        (Type::Time, "\"-000001-01-01T00:00:00Z\"", "RFC 3339"),
        (Type::Time, "\"2024-06-15T12:00:60Z\"", "RFC 3339"),
        (Type::Time, "\"2024-01-01T00:00:00+25:00\"", "RFC 3339"),
        (
            Type::Time,
            "\"9999-12-31T23:59:59-01:00\"",
            "between the years 0000 and 9999",
        ),
        (Type::Date, "\"2025-02-29\"", "a day"),
        (statuses(), "\"piad\"", "did you mean paid?"),
        (Type::Uuid, "\"abc\"", "a UUID"),
        (Type::Uuid, "\"{01890a5d-ac96-774b-bcce-b302099a8057}\"", "a UUID"),
        (list.clone(), "[1, \"x\"]", "item 1 must be an integer"),
        (list.clone(), "[null]", "item 0 must not be null"),
        (list, "7", "an array"),
    ] {
        let message = body(&ty, text).expect_err(text);
        assert!(message.contains(says), "{ty} {text}: {message} should say {says}");
    }
}

#[test]
fn queries_become_values() {
    let list = Type::List(Box::new(Type::Text));
    for (ty, text, shown) in [
        (Type::Time, "2026-11-23", "2026-11-23T00:00:00.000000Z"),
        (Type::Time, "2026-11-23T03:09:00", "2026-11-23T03:09:00.000000Z"),
        (
            Type::Time,
            "2026-11-23T05:09:00 02:00",
            "2026-11-23T03:09:00.000000Z",
        ),
        (Type::Time, "2026-11-23 03:09:00", "2026-11-23T03:09:00.000000Z"),
        (list.clone(), "{}", "{}"),
        (list.clone(), r#"{a,"b,c","d\"e"}"#, "{a,b,c,d\"e}"),
        (list.clone(), r#"["a",1]"#, "{a,1}"),
        (Type::Int, "-7", "-7"),
    ] {
        assert_eq!(
            from_text(&ty, text).map(|v| v.to_string()).as_deref(),
            Ok(shown),
            "{ty} {text}"
        );
    }
    for (ty, text) in [
        (Type::Int, ""),
        (Type::Int, "+1"),
        (Type::Int, "0x10"),
        (Type::Float, "inf"),
        (Type::Float, "NaN"),
        (Type::Float, "1e999"),
        (list.clone(), "{a"),
        (list.clone(), "{a,,b}"),
        (list, "{\"a}"),
        (Type::Time, "yesterday"),
    ] {
        assert!(from_text(&ty, text).is_err(), "{ty} {text}");
    }
}

#[test]
fn decimals_compare_as_numbers() {
    for (a, b, order) in [
        ("1.00", "2.00", Ordering::Less),
        ("10.00", "9.00", Ordering::Greater),
        ("-10.00", "-9.00", Ordering::Less),
        ("-1.00", "1.00", Ordering::Less),
        ("1.00", "1.00", Ordering::Equal),
    ] {
        assert_eq!(number::compare_decimals(a, b), order, "{a} {b}");
    }
}

fn any_type() -> impl Strategy<Value = Type> {
    let scalar = prop_oneof![
        Just(Type::Text),
        Just(Type::Int),
        Just(Type::Float),
        Just(Type::Bool),
        Just(Type::Uuid),
        Just(Type::Time),
        Just(Type::Date),
        Just(statuses()),
        (1_u8..=38)
            .prop_flat_map(|p| (Just(p), 0..=p))
            .prop_map(|(p, s)| decimal(p, s)),
    ];
    prop_oneof![
        scalar.clone(),
        Just(Type::Json),
        scalar.prop_map(|item| Type::List(Box::new(item)))
    ]
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(ty in any_type(), text in r"(\PC{0,40}|[0-9TZ:+. -]{0,30}|[\[{a,\\\x22}\]]{0,12})") {
        let _ = from_text(&ty, &text);
    }

    #[test]
    fn a_scalar_survives_its_own_text(ty in any_type(), text in r"(-?[0-9]{1,20}(\.[0-9]{0,4})?|[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:]{8}Z)?|true|paid)") {
        if let (true, Ok(value)) = (ty.is_scalar(), from_text(&ty, &text)) {
            prop_assert_eq!(from_text(&ty, &value.to_string()), Ok(value));
        }
    }

    #[test]
    fn every_integer_is_exact(n: i64) {
        prop_assert_eq!(from_text(&Type::Int, &n.to_string()), Ok(Value::Int(n)));
    }
}

#[test]
fn the_last_day_of_the_year_9999_is_a_time() {
    for (sent, kept) in [
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000000Z"),
        ("9999-12-31T23:59:59.999999+00:30", "9999-12-31T23:29:59.999999Z"),
        ("9999-12-30T22:00:01z", "9999-12-30T22:00:01.000000Z"),
        ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000000Z"),
        ("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.500000Z"),
    ] {
        let value = body(&Type::Time, &format!("\"{sent}\"")).expect(sent);
        assert_eq!(value.to_string(), kept, "{sent}");
    }
}

proptest! {
    /// Written by hand, as the calendar's own library writes them.
    #[test]
    fn times_are_those_of_the_calendar(micros in -62_167_219_200_000_000..=253_402_300_799_999_999_i64) {
        let moment = super::EPOCH.checked_add(jiff::SignedDuration::from_micros(micros)).unwrap();
        prop_assert_eq!(super::render_time(micros), format!("{moment:.6}Z"));
        let days = i32::try_from(micros.div_euclid(86_400_000_000)).unwrap();
        prop_assert_eq!(super::render_date(days), moment.date().to_string());
    }
}
