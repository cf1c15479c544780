//! SQLSTATEs and what callers are told.

use super::*;
use stoa_exchange::Problem;

fn error(state: &str, message: &str, detail: Option<&str>) -> ServerError {
    ServerError {
        state: state.into(),
        message: message.to_owned(),
        detail: detail.map(str::to_owned),
        hint: None,
    }
}

fn shown(error: ServerError, alias: bool) -> Problem {
    refusal(error, false, true).into_problem(alias)
}

#[test]
fn every_state_has_the_status_of_the_dialect() {
    for (states, want) in [
        ("08006 53000 53300 57P01", 503),
        ("0L000 0P000 28000 28P01 42501", 403),
        ("23503 23505", 409),
        ("25006", 405),
        ("42883 42P01", 404),
        (
            "09000 21000 25001 2D000 38001 39000 3B000 40001 42P17 53400 54000 55006 57014 58030 F0000 HV000 P0002 XX000 PTxyz",
            500,
        ),
        ("22P02 22003 23502 23514 42703 42P10 P0001 22023 2201B 42704", 400),
        ("PT402", 402),
        ("PT418", 418),
    ] {
        for state in states.split(' ') {
            assert_eq!(status(state, "says so", false), want, "{state}");
        }
    }
    assert_eq!(status("42501", "no", true), 401);
    assert_eq!(status("21000", "UPDATE requires a WHERE clause", false), 400);
    assert_eq!(status("22023", "role \"x\" does not exist", false), 401);
    assert_eq!(
        status("42883", "function xmlagg(text) does not exist", false),
        406
    );
}

#[test]
fn the_alias_repeats_the_server_and_the_native_surface_keeps_its_codes() {
    let alias = shown(error("22P02", "invalid input", Some("where")), true);
    assert_eq!(
        (
            alias.code_shown.as_deref(),
            alias.status().as_u16(),
            alias.details.clone()
        ),
        (Some("22P02"), 400, Some(Value::from("where")))
    );
    let native = shown(error("22P02", "invalid input", None), false);
    assert_eq!(
        (native.code, &*native.detail),
        (&codes::BAD_VALUE, "invalid input")
    );
    let broken = shown(error("XX000", "cache lookup failed for table 7", None), false);
    assert_eq!(broken.code, &common::INTERNAL);
    assert!(!broken.detail.contains("cache"), "{}", broken.detail);
    let row = shown(
        error("23514", "violates", Some("Failing row contains (1, secret).")),
        true,
    );
    assert_eq!(row.details, Some(Value::Null));
}

#[test]
fn functions_choose_status_words_and_fields() {
    let paid = shown(error("PT402", "pay first", Some("soon")), false);
    assert_eq!(
        (paid.code, paid.status().as_u16(), &*paid.detail),
        (&codes::RAISED, 402, "pay first")
    );
    let words = r#"{"code":"123","message":"pay","details":"d","hint":"h"}"#;
    let whole = r#"{"status":332,"headers":{"x-powered-by":"nerd rage","content-length":"7"}}"#;
    let raised = shown(error("PGRST", words, Some(whole)), true);
    assert_eq!(
        (
            raised.code_shown.as_deref(),
            raised.status().as_u16(),
            &*raised.detail,
            raised.hint.as_deref()
        ),
        (Some("123"), 332, "pay", Some("h"))
    );
    assert_eq!(raised.headers["x-powered-by"], "nerd rage");
    assert!(!raised.headers.contains_key("content-length"));
    let broken = shown(error("PGRST", words, Some("{")), true);
    assert_eq!(
        (
            broken.code_shown.as_deref(),
            broken.status().as_u16(),
            broken.details
        ),
        (
            Some("PGRST121"),
            500,
            Some(Value::from("Invalid JSON value for DETAIL"))
        )
    );
}
