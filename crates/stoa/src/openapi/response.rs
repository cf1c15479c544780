//! Answers: the problems, from the tables of codes that the halves declare, and the fields of replies.

use super::component;
use serde_json::{Map, Value, json};
use stoa_exchange::Code;

/// Statuses of problems and the names of their components.
const PROBLEMS: &[(u16, &str)] = &[
    (400, "BadRequest"),
    (401, "Unauthenticated"),
    (403, "Forbidden"),
    (404, "NotFound"),
    (405, "MethodNotAllowed"),
    (406, "NotAcceptable"),
    (408, "RequestTimeout"),
    (409, "Conflict"),
    (412, "PreconditionFailed"),
    (413, "BodyTooLarge"),
    (414, "UriTooLong"),
    (415, "UnsupportedMediaType"),
    (416, "RangeNotSatisfiable"),
    (422, "Invalid"),
    (429, "TooManyRequests"),
    (431, "HeadersTooLarge"),
    (500, "Internal"),
    (502, "BadGateway"),
    (503, "Unavailable"),
    (504, "GatewayTimeout"),
    (507, "StorageFull"),
];

/// Every code that a reply can carry, of both halves.
pub(crate) fn codes() -> impl Iterator<Item = &'static Code> {
    let shared = stoa_exchange::codes::ALL.iter();
    let edge = stoa_edge::codes::ALL
        .iter()
        .chain(stoa_edge::policy::auth::codes::ALL);
    shared.chain(edge).chain(stoa_data::codes::ALL).copied()
}

/// `components.responses`.
pub(super) fn problems() -> Value {
    let mut all = Map::new();
    for (status, name) in PROBLEMS {
        all.insert((*name).into(), problem(*status));
    }
    Value::Object(all)
}

fn problem(status: u16) -> Value {
    let kinds: Vec<_> = codes()
        .filter(|c| c.status == status)
        .map(|c| format!("`{}`: {}.", c.name, c.title))
        .collect();
    let canonical = http::StatusCode::from_u16(status)
        .ok()
        .and_then(|s| s.canonical_reason());
    let description = if kinds.is_empty() {
        format!("{}.", canonical.unwrap_or("A problem"))
    } else {
        kinds.join(" ")
    };
    let mut headers = common();
    let more: &[&str] = match status {
        401 => &["WWW-Authenticate"],
        405 => &["Allow"],
        416 => &["Content-Range"],
        429 | 503 => &["Retry-After"],
        _ => &[],
    };
    add(&mut headers, more);
    json!({
        "description": description,
        "headers": headers,
        "content": { "application/problem+json": { "schema": component("schemas", "Problem") } },
    })
}

/// References to the problems with these statuses, into `responses`.
pub(super) fn refuse(responses: &mut Map<String, Value>, statuses: &[u16]) {
    for (status, name) in PROBLEMS.iter().filter(|(s, _)| statuses.contains(s)) {
        responses.insert(status.to_string(), component("responses", name));
    }
}

/// A good answer in every media type that resources write. `schema` names a component; `None` is a reply without
/// a body.
pub(super) fn good(description: &str, schema: Option<&str>, fields: &[&str]) -> Value {
    let mut headers = common();
    add(&mut headers, fields);
    let mut answer = json!({ "description": description, "headers": headers });
    if let Some(name) = schema {
        let one = name
            .strip_suffix("List")
            .or_else(|| name.strip_suffix("Result"))
            .unwrap_or(name);
        answer["content"] = json!({
            "application/json": { "schema": component("schemas", name) },
            "application/vnd.pgrst.object+json": { "schema": component("schemas", one) },
            "text/csv": { "schema": component("schemas", "Csv") },
        });
    }
    answer
}

/// A good answer whose body is of this schema.
pub(super) fn any(description: &str, schema: &Value, fields: &[&str]) -> Value {
    let mut answer = good(description, None, fields);
    answer["content"] = json!({
        "application/json": { "schema": schema },
        "text/csv": { "schema": component("schemas", "Csv") },
    });
    answer
}

/// A problem of any other status.
pub(super) fn raised(description: &str) -> Value {
    json!({
        "description": description,
        "headers": common(),
        "content": { "application/problem+json": { "schema": component("schemas", "Problem") } },
    })
}

fn common() -> Map<String, Value> {
    let mut headers = Map::new();
    add(&mut headers, &["x-request-id", "traceparent"]);
    headers
}

fn add(headers: &mut Map<String, Value>, names: &[&str]) {
    for name in names {
        headers.insert((*name).into(), component("headers", name));
    }
}

/// `components.headers`.
pub(super) fn headers() -> Value {
    let one = |text: &str| json!({ "description": text, "schema": { "type": "string" } });
    json!({
        "x-request-id": one("The caller's id of the request, or a new one. The log is searched by it."),
        "traceparent": one("W3C trace context of this exchange."),
        "ETag": one("Version of this representation: for `If-Match` and `If-None-Match`."),
        "Location": one("Path of the new row."),
        "Content-Range": one("`FIRST-LAST/TOTAL`: positions of the rows in the whole, from 0; `*` for a total that was not counted."),
        "Link": one("`rel=\"next\"`: the next page, when there is one (RFC 8288)."),
        "Preference-Applied": one("The preferences that were honoured (RFC 7240)."),
        "Idempotent-Replayed": one("`true` when this is the stored reply of an earlier request with the same `Idempotency-Key`."),
        "WWW-Authenticate": one("How to authenticate, and why the token was refused (RFC 6750)."),
        "Allow": one("The methods that the address serves."),
        "Stoa-Consistency": one("What was written, for the requests that shall see it: send it back in `Stoa-Consistency`."),
        "Stoa-Position": one("Where in the store's log the rows are from, at least; for caches."),
        "Stoa-Missing-Shards": one("Shards whose rows are missing, with `Prefer: partial=allow`."),
        "Retry-After": one("Seconds after which a repetition makes sense."),
    })
}
