//! PostgreSQL's own refusals, by their SQLSTATE: what stands in its error fields becomes the reply, on the alias to the
//! letter. Functions and triggers choose status, words and fields themselves with `RAISE SQLSTATE 'PTxyz'` and
//! `RAISE SQLSTATE 'PGRST'`, as they do for PostgREST.

use crate::{
    codes,
    function::may_say,
    refusal::{Refusal, shorten},
    store::ServerError,
};
use serde_json::Value;
use stoa_exchange::{Code, codes as common};

/// The refusal for what the server said. `anonymous`: nobody in particular asked; `reads`: nothing was to be changed.
pub(super) fn refusal(error: ServerError, anonymous: bool, reads: bool) -> Refusal {
    if &*error.state == "PGRST" {
        return raised(&error).unwrap_or_else(|part| {
            Refusal::new(
                &common::INTERNAL,
                "A function or trigger raised what cannot be read.",
            )
            .cause(error.message.clone())
            .postgrest(
                "PGRST121",
                500,
                "Could not parse JSON in the \"RAISE SQLSTATE 'PGRST'\" error",
            )
            .details(format!("Invalid JSON value for {part}"))
        });
    }
    let status = status(&error.state, &error.message, anonymous);
    let code = kind(&error.state, status, anonymous, reads);
    let says = if status < 500 || code == &codes::RAISED {
        error.message.clone()
    } else {
        String::from("The database could not do it.")
    };
    let mut refusal = Refusal::new(code, says).cause(format!("{} ({})", error.message, error.state));
    if code == &codes::RAISED {
        refusal = refusal.status(status);
    }
    if status == 401 {
        refusal = refusal.header(http::header::WWW_AUTHENTICATE, "Bearer");
    }
    if let Some(hint) = error.hint {
        refusal = refusal.hint(hint);
    }
    // The row that failed may hold columns that the file does not name.
    let shows_row = matches!(&*error.state, "23502" | "23514");
    let details = error.detail.filter(|_| !shows_row);
    refusal
        .postgrest(String::from(error.state), status, error.message)
        .details(details)
}

/// The status of a SQLSTATE, as PostgREST has it.
fn status(state: &str, message: &str, anonymous: bool) -> u16 {
    let class = state.get(..2).unwrap_or_default();
    match (class, state) {
        (_, "21000") if message.ends_with("requires a WHERE clause") => 400,
        (_, "22023") if message.starts_with("role ") && message.ends_with("does not exist") => 401,
        (_, "23503" | "23505") => 409,
        (_, "25006") => 405,
        (_, "42501") if anonymous => 401,
        (_, "42501") => 403,
        (_, "42883") if message.starts_with("function xmlagg(") => 406,
        (_, "42883" | "42P01") => 404,
        (_, "P0001") => 400,
        ("PT", _) => raised_status(&state[2..]).unwrap_or(500),
        ("0L" | "0P" | "28", _) => 403,
        (_, "57P01") | ("08", _) => 503,
        ("53", state) if state != "53400" => 503,
        (
            "09" | "25" | "2D" | "38" | "39" | "3B" | "40" | "53" | "54" | "55" | "57" | "58" | "F0" | "HV"
            | "P0" | "XX",
            _,
        )
        | (_, "21000" | "42P17" | "PGRST111" | "PGRST112") => 500,
        _ => 400,
    }
}

fn raised_status(digits: &str) -> Option<u16> {
    digits.parse().ok().filter(|status| (100..=599).contains(status))
}

/// The kind of problem on the native surface.
fn kind(state: &str, status: u16, anonymous: bool, reads: bool) -> &'static Code {
    match state.get(..2).unwrap_or_default() {
        "PT" => &codes::RAISED,
        _ if state == "P0001" => &codes::RAISED,
        _ if state == "25006" => &codes::READ_ONLY,
        _ if state == "42501" && anonymous => &common::UNAUTHENTICATED,
        "0L" | "0P" => &common::FORBIDDEN,
        _ if state == "42501" => &common::FORBIDDEN,
        "08" | "53" => &codes::STORE_UNAVAILABLE,
        _ if status >= 500 => &common::INTERNAL,
        "22" if reads => &codes::BAD_VALUE,
        "22" | "23" => &codes::VALUE_REFUSED,
        _ => &codes::BAD_QUERY,
    }
}

/// `RAISE SQLSTATE 'PGRST'`: `message` holds code, message, details and hint as JSON, `detail` status and headers.
/// The error names the part that is not so.
fn raised(error: &ServerError) -> Result<Refusal, &'static str> {
    let object = |text: &str, part| match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(part),
    };
    let words = object(&error.message, "MESSAGE")?;
    let shape = object(error.detail.as_deref().ok_or("DETAIL")?, "DETAIL")?;
    let text = |name: &str| words.get(name).and_then(Value::as_str).map(str::to_owned);
    let status = shape.get("status").and_then(Value::as_u64);
    let status = status.and_then(|s| u16::try_from(s).ok()).ok_or("DETAIL")?;
    let status = raised_status(&status.to_string()).ok_or("DETAIL")?;
    let (code, message) = (text("code").ok_or("MESSAGE")?, text("message").ok_or("MESSAGE")?);
    let fields = shape.get("headers").and_then(Value::as_object).ok_or("DETAIL")?;
    let mut refusal = Refusal::new(&codes::RAISED, shorten(&message)).status(status);
    if let Some(hint) = text("hint") {
        refusal = refusal.hint(hint);
    }
    for (name, value) in fields {
        // What frames the reply is not a function's to say, and a problem has its own media type.
        if let (Ok(name), Some(value)) = (http::HeaderName::try_from(name.as_str()), value.as_str())
            && let Ok(said) = http::HeaderValue::try_from(value)
            && name != http::header::CONTENT_TYPE
            && may_say(&name, &said)
        {
            refusal = refusal.header(name, value);
        }
    }
    Ok(refusal
        .postgrest(code, status, message)
        .details(words.get("details").cloned()))
}

#[cfg(test)]
mod tests;
