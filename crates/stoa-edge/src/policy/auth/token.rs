//! Tokens for people: made for development, explained when refused. What `stoa token` prints.

use super::{claims::moment, jws, jwt, strict};
use aws_lc_rs::hmac;
use serde_json::{Map, Value, json};
use std::time::Duration;
use stoa_config::plan::{self, JwtKeys};
use stoa_exchange::clock;

/// Makes a token with the configured secret that the same API file accepts: HS256, with the issuer and the
/// audience it demands and the roles where it looks for them.
///
/// # Errors
/// Why this API file's tokens cannot be made here, and what to do.
pub fn mint(
    auth: &plan::Auth,
    user: &str,
    roles: &[String],
    scopes: &[String],
    ttl: Duration,
) -> Result<String, String> {
    let jwt = auth
        .jwt
        .as_ref()
        .ok_or("the API file has no `auth.jwt`: there is no secret to sign with")?;
    let JwtKeys::Secret(secret) = &jwt.keys else {
        return Err(String::from(
            "the API file verifies with public keys; only who holds the private key can make tokens. For development set `auth.jwt.secret` in a profile",
        ));
    };
    jwt::Judge::open(jwt).map_err(|faults| faults.join("; "))?;
    let (name, hash) = match jwt.algorithms.first() {
        Some(plan::Algorithm::HS384) => ("HS384", hmac::HMAC_SHA384),
        Some(plan::Algorithm::HS512) => ("HS512", hmac::HMAC_SHA512),
        _ => ("HS256", hmac::HMAC_SHA256),
    };
    if user.is_empty() {
        return Err(String::from(
            "the user is empty; a token must say who the caller is",
        ));
    }
    let now = clock::unix_seconds();
    let mut claims = Map::new();
    if let Some(issuer) = &jwt.issuer {
        claims.insert("iss".into(), json!(issuer));
    }
    claims.insert("sub".into(), json!(user));
    match &jwt.audience[..] {
        [] => {}
        [one] => drop(claims.insert("aud".into(), json!(one))),
        many => drop(claims.insert("aud".into(), json!(many))),
    }
    claims.insert("iat".into(), json!(now));
    claims.insert("exp".into(), json!(now.saturating_add(ttl.as_secs())));
    if !scopes.is_empty() {
        claims.insert("scope".into(), json!(scopes.join(" ")));
    }
    if let (Some((first, inner)), false) = (jwt.roles.split_first(), roles.is_empty()) {
        let nested = inner
            .iter()
            .rev()
            .fold(json!(roles), |value, name| json!({ name: value }));
        if claims.contains_key(first) {
            return Err(format!(
                "`auth.jwt.roles` names the claim `{first}`, which is needed for something else"
            ));
        }
        claims.insert(first.clone(), nested);
    }
    let header = json!({ "alg": name, "typ": "JWT" });
    let part = |value: &Value| strict::to_base64url(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&Value::Object(claims)));
    let key = hmac::Key::new(hash, secret.expose().as_bytes());
    let signature = strict::to_base64url(hmac::sign(&key, signed.as_bytes()));
    let token = format!("{signed}.{signature}");
    if token.len() > jws::TOKEN_BYTES_MAX {
        return Err(String::from(
            "the token would be longer than 16 KiB, which is not accepted",
        ));
    }
    Ok(token)
}

/// What a token says, and every reason why it would be refused: `{accepted, refused: [reason], header, claims,
/// signature, clock: {now, leeway_seconds, expires, expires_in_seconds, not_before, issued, issuer_ahead_seconds}}`.
/// `signature` is `valid`, `invalid` or `not checked`.
pub fn explain(auth: &plan::Auth, token: &str) -> Value {
    let token = token.trim();
    let parsed = match jws::parse(token) {
        Ok(parsed) => parsed,
        Err(refusal) => {
            return json!({ "accepted": false, "refused": [refusal.to_string()], "signature": "not checked" });
        }
    };
    let judge = match &auth.jwt {
        None => Err(vec![String::from(
            "the API file has no `auth.jwt`: no token is looked at",
        )]),
        Some(jwt) => jwt::Judge::open(jwt),
    };
    let (reasons, fits) = match &judge {
        Ok(judge) => {
            let (refusals, fits) = judge.every_reason(&parsed);
            (refusals.iter().map(ToString::to_string).collect(), fits)
        }
        Err(faults) => (faults.clone(), None),
    };
    json!({
        "accepted": reasons.is_empty(),
        "refused": reasons,
        "header": &parsed.header,
        "claims": &parsed.claims,
        "signature": match fits {
            Some(true) => "valid",
            Some(false) => "invalid",
            None => "not checked",
        },
        "clock": clock_report(&parsed.claims, auth.jwt.as_ref().map_or(Duration::ZERO, |jwt| jwt.leeway)),
    })
}

/// The times of a token beside this machine's clock. An `iat` in the future shows by how much the issuer's
/// clock is ahead at least.
fn clock_report(claims: &Map<String, Value>, leeway: Duration) -> Value {
    let now = jwt::now();
    let number = |name: &str| claims.get(name).and_then(Value::as_f64);
    let shown = |name: &str| number(name).map(moment);
    let ahead = number("iat")
        .map(|issued| issued - now)
        .filter(|ahead| *ahead > 0.0);
    json!({
        "now": moment(now),
        "leeway_seconds": leeway.as_secs(),
        "expires": shown("exp"),
        "expires_in_seconds": number("exp").map(|exp| whole(exp - now)),
        "not_before": shown("nbf"),
        "issued": shown("iat"),
        "issuer_ahead_seconds": ahead.map(whole),
    })
}

/// Whole seconds; a float saturates.
fn whole(seconds: f64) -> i64 {
    seconds.floor() as i64
}
