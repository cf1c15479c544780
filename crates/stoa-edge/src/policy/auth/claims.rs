//! What a token claims, judged against what the API file demands.

use super::refusal::Refusal;
use serde_json::{Map, Value};
use std::time::Duration;
use stoa_config::plan;
use stoa_exchange::Caller;

/// When a token may be used, in seconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Times {
    /// `exp`: not from this moment on.
    pub(super) expires: Option<f64>,
    /// `nbf`: not before this moment.
    pub(super) not_before: Option<f64>,
}

impl Times {
    /// Judges the moment `now` with the leeway of clocks.
    pub(super) fn judge(&self, now: f64, leeway: Duration, refusals: &mut Vec<Refusal>) {
        let leeway = leeway.as_secs_f64();
        if let Some(expires) = self.expires.filter(|expires| now >= expires + leeway) {
            let since = moment(expires);
            refusals.push(Refusal::of_claims(format!("the token expired {since}")));
        }
        if let Some(from) = self.not_before.filter(|from| now < from - leeway) {
            let from = moment(from);
            refusals.push(Refusal::of_claims(format!(
                "the token is not valid before {from}"
            )));
        }
    }
}

/// RFC 3339 in UTC, or words for what no calendar holds.
pub(super) fn moment(unix: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float saturates, and jiff refuses what it cannot hold"
    )]
    let moment = jiff::Timestamp::from_second(unix.floor() as i64);
    moment.map_or_else(
        |_| String::from("at a time beyond the calendar"),
        |m| m.to_string(),
    )
}

/// Judges every claim that does not depend on the moment.
pub(super) fn judge(claims: &Map<String, Value>, demands: &plan::Jwt, refusals: &mut Vec<Refusal>) -> Times {
    let mut refuse = |reason: String| refusals.push(Refusal::of_claims(reason));
    let mut number = |name: &str| match claims.get(name) {
        None => None,
        Some(value) => {
            let number = value.as_f64().filter(|n| n.is_finite() && value.is_number());
            if number.is_none() {
                refuse(format!("the claim {name} is not a number of seconds"));
            }
            number
        }
    };
    let times = Times {
        expires: number("exp"),
        not_before: number("nbf"),
    };
    number("iat");
    match claims.get("sub") {
        Some(Value::String(sub)) if !sub.is_empty() => {}
        Some(Value::String(_)) => refuse(String::from("the claim sub is empty")),
        Some(_) => refuse(String::from("the claim sub is not a string")),
        None => refuse(String::from(
            "the token has no sub: it does not say who the caller is",
        )),
    }
    match (claims.get("iss"), &demands.issuer) {
        (Some(Value::String(iss)), Some(issuer)) if iss != issuer => {
            refuse(format!("the issuer (iss) is not {issuer}"));
        }
        (None, Some(issuer)) => refuse(format!("the token has no iss; it must be {issuer}")),
        (Some(Value::String(_)) | None, _) => {}
        (Some(_), _) => refuse(String::from("the claim iss is not a string")),
    }
    judge_audience(claims.get("aud"), &demands.audience, &mut refuse);
    times
}

fn judge_audience(aud: Option<&Value>, wanted: &[String], refuse: &mut impl FnMut(String)) {
    let given: Vec<&str> = match aud {
        None => Vec::new(),
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) if many.iter().all(Value::is_string) => {
            many.iter().filter_map(Value::as_str).collect()
        }
        Some(_) => {
            refuse(String::from(
                "the claim aud is neither a string nor an array of strings",
            ));
            return;
        }
    };
    if wanted.is_empty() || wanted.iter().any(|w| given.contains(&w.as_str())) {
        return;
    }
    let wanted = wanted.join(" or ");
    refuse(match aud {
        None => format!("the token has no aud; it must hold {wanted}"),
        Some(_) => format!("the audience (aud) does not hold {wanted}"),
    });
}

/// The caller that judged claims tell of.
pub(super) fn caller(claims: Map<String, Value>, times: Times, roles: &[String]) -> Caller {
    let mut scopes = words(claims.get("scope"));
    for scope in words(claims.get("scp")) {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "a float saturates")]
    let expires_unix = times.expires.map(|exp| exp.max(0.0) as u64);
    Caller {
        subject: claims
            .get("sub")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        roles: words(at(&claims, roles)),
        scopes,
        claims,
        expires_unix,
    }
}

/// The claim at a path, outermost first.
fn at<'c>(claims: &'c Map<String, Value>, path: &[String]) -> Option<&'c Value> {
    let (first, rest) = path.split_first()?;
    rest.iter()
        .try_fold(claims.get(first)?, |value, name| value.get(name))
}

/// The strings of an array, or the words of a text: both forms are in use for roles and scopes. Anything
/// else holds none.
fn words(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(text)) => text.split_ascii_whitespace().map(str::to_owned).collect(),
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}
