//! `LIKE` against a slow and plain reading of it, and the order of JSON.

use super::json::order;
use super::{cast_fault, like, register};
use proptest::prelude::*;
use rusqlite::Connection;
use std::cmp::Ordering;

/// As the definition says, trying everything.
fn plain(text: &[char], pattern: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['%', rest @ ..] => (0..=text.len()).any(|skip| plain(&text[skip..], rest)),
        ['_', rest @ ..] => !text.is_empty() && plain(&text[1..], rest),
        ['\\', c, rest @ ..] | [c, rest @ ..] => text.first() == Some(c) && plain(&text[1..], rest),
    }
}

proptest! {
    #[test]
    fn like_is_as_defined(text in "[abä%_\\\\]{0,8}", pattern in "[abä%_\\\\]{0,6}") {
        let chars = |s: &str| s.chars().collect::<Vec<_>>();
        prop_assert_eq!(like(&text, &pattern), plain(&chars(&text), &chars(&pattern)));
    }

    #[test]
    fn json_has_one_order(a in ".{0,20}", b in ".{0,20}", c in ".{0,20}") {
        let all = [a, b, c, "1".into(), "-0.0".into(), "1e400".into(), "[]".into(), "null".into()];
        for x in &all {
            prop_assert_eq!(order(x, x), Ordering::Equal);
            for y in &all {
                prop_assert_eq!(order(x, y), order(y, x).reverse());
                for z in &all {
                    if order(x, y).is_le() && order(y, z).is_le() {
                        prop_assert!(order(x, z).is_le());
                    }
                }
            }
        }
    }
}

#[test]
fn a_pattern_bomb_ends() {
    let text = "a".repeat(5_000);
    assert!(!like(&text, &format!("{}b", "%a".repeat(50))));
}

#[test]
fn numbers_of_json_compare_by_value() {
    for (a, b, expected) in [
        ("1.0", "1", Ordering::Equal),
        ("10", "9", Ordering::Greater),
        ("-10", "-9", Ordering::Less),
        ("1e2", "100.00", Ordering::Equal),
        ("0.001", "1e-3", Ordering::Equal),
        ("0", "-0.0", Ordering::Equal),
        (
            "123456789012345678901234567890",
            "123456789012345678901234567891",
            Ordering::Less,
        ),
        ("1e99999999999999999999", "1", Ordering::Greater),
        ("{\"a\":1,\"b\":2}", "{\"b\":2.0,\"a\":1}", Ordering::Equal),
    ] {
        assert_eq!(order(a, b), expected, "{a} {b}");
    }
}

#[test]
fn a_row_has_as_many_columns_as_a_selection() {
    let conn = Connection::open_in_memory().unwrap();
    register(&conn).unwrap();
    let columns = vec!["1"; 210].join(", ");
    let row: String = conn
        .query_row(&format!("SELECT stoa_row('', {columns})"), [], |row| row.get(0))
        .unwrap();
    assert_eq!(row, format!("[{}]", vec!["1"; 210].join(",")));
}

/// What `stoa_cast` makes of a value, as text, or PostgreSQL's code of why it makes nothing.
fn cast(conn: &Connection, value: &str, from: &str, to: &str) -> Result<Option<String>, String> {
    let sql = format!("SELECT CAST(stoa_cast({value}, '{from}', '{to}') AS TEXT)");
    let made = conn.query_row(&sql, [], |row| row.get::<_, Option<String>>(0));
    made.map_err(|error| {
        let text = error.to_string();
        let said = text.split_once(" in SELECT").map_or(&*text, |(text, _)| text);
        cast_fault(said).map_or(text.clone(), |(state, _)| state.to_owned())
    })
}

#[test]
fn casts_read_as_postgresql_does() {
    let conn = Connection::open_in_memory().unwrap();
    register(&conn).unwrap();
    for (value, from, to, made) in [
        ("NULL", "k:text", "integer", None),
        ("' 12 '", "k:text", "integer", Some("12")),
        ("'+5'", "k:text", "smallint", Some("5")),
        ("'1e3'", "k:text", "numeric", Some("1000")),
        ("'t'", "k:text", "boolean", Some("1")),
        ("2.5", "k:float", "integer", Some("2")),
        ("3.5", "k:float", "integer", Some("4")),
        ("'2.5'", "k:number", "integer", Some("3")),
        ("'-2.5'", "k:number", "bigint", Some("-3")),
        ("1e-5", "k:float", "text", Some("1e-05")),
        ("1e15", "k:float", "text", Some("1e+15")),
        ("123456.5", "k:float", "text", Some("123456.5")),
        ("0.1", "k:float", "numeric", Some("0.1")),
        ("1250", "n:decimal.12.2", "text", Some("12.50")),
        (
            "'2020-02-03'",
            "n:date",
            "timestamp with time zone",
            Some("2020-02-03T00:00:00.000000Z"),
        ),
        (
            "'2020-02-03T04:05:06.070000Z'",
            "n:time",
            "text",
            Some("2020-02-03 04:05:06.07+00"),
        ),
        (
            "'{\"a\":[1,\"x, y\"]}'",
            "n:json",
            "text",
            Some("{\"a\": [1, \"x, y\"]}"),
        ),
        (
            "'[\"a\",\"b c\",null,\"\",\"q\\\"\"]'",
            "n:list",
            "text",
            Some("{a,\"b c\",NULL,\"\",\"q\\\"\"}"),
        ),
    ] {
        assert_eq!(
            cast(&conn, value, from, to).as_ref().map(Option::as_deref),
            Ok(made),
            "{value} {from} {to}"
        );
    }
}

#[test]
fn casts_that_cannot_be_say_why_not() {
    let conn = Connection::open_in_memory().unwrap();
    register(&conn).unwrap();
    for (value, from, to, state) in [
        ("'x'", "k:text", "integer", "22P02"),
        ("'1.5'", "k:text", "integer", "22P02"),
        ("'40000'", "k:text", "smallint", "22003"),
        ("'maybe'", "k:text", "boolean", "22P02"),
        ("'2020-13-01'", "k:text", "date", "22007"),
        ("'{'", "k:text", "json", "22P02"),
        ("9223372036854775807", "k:int", "integer", "22003"),
        ("1e300", "k:float", "bigint", "22003"),
        ("'\"7\"'", "k:json", "integer", "22023"),
    ] {
        assert_eq!(
            cast(&conn, value, from, to),
            Err(state.to_owned()),
            "{value} {from} {to}"
        );
    }
}
