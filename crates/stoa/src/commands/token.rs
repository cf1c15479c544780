//! `stoa token mint|decode`.

use super::{Failure, Outcome};
use crate::{
    cli::{Mint, ProfiledFile, Token},
    terminal::{self, style},
};
use serde_json::{Value, json};
use std::io::Read;
use stoa_edge::token;

/// More is not read from stdin: no token is that long.
const STDIN_BYTES_MAX: u64 = 64 * 1024;

/// Makes or reads a token.
pub(crate) fn run(arguments: &Token, json: bool) -> Outcome {
    match arguments {
        Token::Mint(arguments) => mint(arguments, json),
        Token::Decode { token, file } => decode(token, file, json),
    }
}

fn mint(arguments: &Mint, json: bool) -> Outcome {
    let plan = super::plan_of(&super::load(&arguments.file))?;
    let Mint {
        user,
        roles,
        scopes,
        ttl,
        ..
    } = arguments;
    let token = token::mint(&plan.auth, user, roles, scopes, *ttl).map_err(Failure::Input)?;
    if json {
        terminal::result_json(&json!({ "token": token, "expires_in": ttl.as_secs() }));
    } else {
        terminal::result(&token);
    }
    Ok(())
}

fn decode(text: &str, file: &ProfiledFile, json: bool) -> Outcome {
    let plan = super::plan_of(&super::load(file))?;
    let mut piped = String::new();
    if text == "-" {
        let read = std::io::stdin().take(STDIN_BYTES_MAX).read_to_string(&mut piped);
        read.map_err(|e| Failure::Input(format!("stdin cannot be read: {e}")))?;
    }
    let text = if text == "-" { &piped } else { text }.trim();
    // As it stands in a request's header.
    let text = text.strip_prefix("Bearer ").map_or(text, str::trim_start);
    let report = token::explain(&plan.auth, text);
    if json {
        terminal::result_json(&report);
    } else {
        show(&report);
    }
    match report.get("accepted") {
        Some(Value::Bool(true)) => Ok(()),
        _ => Err(Failure::Said),
    }
}

/// What it says on stdout, the judgement on stderr.
fn show(report: &Value) {
    for part in ["header", "claims"] {
        if let Some(value) = report.get(part) {
            terminal::result(format_args!("{part} {value:#}"));
        }
    }
    let (good, bad, dim) = (style::GOOD, style::BAD, style::DIM);
    if let Some(clock) = report.get("clock").and_then(Value::as_object) {
        for (name, value) in clock.iter().filter(|(_, value)| !value.is_null()) {
            let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            terminal::say(format_args!("{dim}{:<22}{dim:#} {shown}", name.replace('_', " ")));
        }
    }
    if let Some(signature) = report["signature"].as_str() {
        terminal::say(format_args!("{dim}{:<22}{dim:#} {signature}", "signature"));
    }
    let reasons = report["refused"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if reasons.is_empty() {
        terminal::say(format_args!("{good}accepted{good:#}"));
    }
    for reason in reasons {
        let reason = reason.as_str().unwrap_or_default();
        terminal::say(format_args!("{bad}refused{bad:#}: {reason}"));
    }
}
