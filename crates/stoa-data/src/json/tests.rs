//! JSON keeps every digit, and refuses what is ambiguous or too deep.

use super::*;
use proptest::prelude::*;

#[test]
fn reads_what_is_json_and_writes_it_compactly() {
    for (text, want) in [
        ("{ }", "{}"),
        (
            " [1, -0.50, 1e3, true, false, null ] ",
            "[1,-0.50,1e3,true,false,null]",
        ),
        (r#"{"a" : {"b":[]}}"#, r#"{"a":{"b":[]}}"#),
        (r#""\u00e9\ud83d\ude00\n\/""#, "\"é😀\\n/\""),
        (r#""\u0000""#, r#""\u0000""#),
        (
            r#"{"$serde_json::private::Number":"1"}"#,
            r#"{"$serde_json::private::Number":"1"}"#,
        ),
    ] {
        assert_eq!(
            parse(text.as_bytes()).map(|json| json.to_text()).as_deref(),
            Ok(want),
            "{text}"
        );
    }
}

#[test]
fn refuses_what_is_not() {
    let deep = "[".repeat(20_000);
    let long = "9".repeat(8_000_000);
    for (text, what) in [
        ("", "ends where"),
        ("{} x", "follows after"),
        ("[1,]", "a value was expected"),
        ("{\"a\":1,}", "a key in quotes"),
        ("{\"a\":1,\"a\":2}", "stands twice"),
        ("01", "follows after"),
        ("1.", "a digit"),
        ("NaN", "a value was expected"),
        ("1e999", "too large"),
        ("-1e999", "too large"),
        (r#""\ud800""#, "surrogate"),
        (r#""\ud800\u0041""#, "surrogate"),
        (r#""\udc00""#, "surrogate"),
        (r#""\ud800\ud800""#, "surrogate"),
        ("\"a\u{1}\"", "control character"),
        ("\"abc", "inside quotes"),
        (r#""\x""#, "unknown escape"),
        (&deep, "deeper than 64"),
        (&long, "more than 400 digits"),
    ] {
        let error = parse(text.as_bytes()).expect_err(&text[..text.len().min(40)]);
        assert!(error.what.contains(what), "{error} should say {what}");
    }
    assert!(parse(b"\"\xff\"").is_err());
}

#[test]
fn the_deepest_that_is_read_is_the_bound() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(nested(DEPTH_MAX).as_bytes()).is_ok());
    assert!(parse(nested(DEPTH_MAX + 1).as_bytes()).is_err());
}

#[test]
fn nulls_are_stripped_from_objects_only() {
    let json = parse(br#"{"a":null,"b":[null,{"c":null}],"d":1}"#).expect("JSON");
    assert_eq!(json.without_nulls().to_text(), r#"{"b":[null,{}],"d":1}"#);
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
        if let Ok(json) = parse(&bytes) {
            prop_assert_eq!(parse(json.to_text().as_bytes()), Ok(json));
        }
    }

    #[test]
    fn json_like_text_is_read_or_refused(text in r#"[\[\]{}",:\\ua0-9eE.+\-tfn ]{0,60}"#) {
        if let Ok(json) = parse(text.as_bytes()) {
            prop_assert_eq!(parse(json.to_text().as_bytes()), Ok(json));
        }
    }

    #[test]
    fn every_text_survives(text: String) {
        let json = Json::Text(text.into());
        prop_assert_eq!(parse(json.to_text().as_bytes()), Ok(json));
    }
}
