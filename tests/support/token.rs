//! Tokens as an identity provider would issue them, good and bad.

use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Map, Value, json};

/// The secret that test files name as `${JWT_SECRET}`.
pub(crate) const SECRET: &str = "a-secret-that-only-the-tests-of-stoa-know-0123456789";

/// A token of a caller: `user` is `sub`, `scopes` is `scope`, and `claims` is merged over both.
pub(crate) fn mint(caller: &Map<String, Value>) -> String {
    let now = jsonwebtoken::get_current_timestamp();
    let mut claims = Map::new();
    claims.insert("iat".into(), json!(now));
    claims.insert("exp".into(), json!(now + 3_600));
    if let Some(user) = caller.get("user") {
        claims.insert("sub".into(), user.clone());
    }
    if let Some(roles) = caller.get("roles") {
        claims.insert("roles".into(), roles.clone());
    }
    if let Some(scopes) = caller.get("scopes").and_then(Value::as_array) {
        let words: Vec<&str> = scopes.iter().filter_map(Value::as_str).collect();
        claims.insert("scope".into(), json!(words.join(" ")));
    }
    for (name, value) in caller
        .get("claims")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
    {
        match value.as_str().and_then(|text| text.strip_prefix("$now")) {
            // `$now+60` and `$now-60` are seconds from now.
            Some(offset) => {
                let offset: i64 = offset.trim_start_matches('+').parse().expect("$now+SECONDS");
                claims.insert(name.clone(), json!(now.saturating_add_signed(offset)));
            }
            None if value == "$absent" => drop(claims.remove(name)),
            None => drop(claims.insert(name.clone(), value.clone())),
        }
    }
    let secret = caller.get("secret").and_then(Value::as_str).unwrap_or(SECRET);
    let key = EncodingKey::from_secret(secret.as_bytes());
    encode(&Header::default(), &Value::Object(claims), &key).expect("claims can be signed")
}

/// The token of a user without roles.
pub(crate) fn user(name: &str) -> String {
    let mut caller = Map::new();
    caller.insert("user".into(), json!(name));
    mint(&caller)
}
