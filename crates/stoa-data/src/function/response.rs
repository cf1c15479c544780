//! The reply's status and fields as a function chose them, by PostgREST's settings `response.status` and
//! `response.headers`.

use crate::store::{ServerError, StoreError};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;
use stoa_exchange::{Body, Reply};

/// Fields of one reply at most.
const FIELDS_MAX: usize = 50;
/// Bytes of their names and values together at most.
const BYTES_MAX: usize = 16 << 10;

/// What a function chose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    status: Option<StatusCode>,
    fields: Vec<(HeaderName, HeaderValue)>,
}

impl Response {
    /// Reads the two settings; one that is not there or empty was not set.
    ///
    /// # Errors
    /// [`StoreError::Server`] with PostgREST's codes `PGRST111` and `PGRST112` for what is no status, no list of fields,
    /// or a field that is not a function's to say.
    pub(crate) fn read(status: Option<&str>, fields: Option<&str>) -> Result<Self, StoreError> {
        let set = |text: Option<&str>| text.map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned);
        Ok(Self {
            status: set(status).map(|text| chosen_status(&text)).transpose()?,
            fields: set(fields).map_or(Ok(Vec::new()), |text| chosen_fields(&text))?,
        })
    }

    /// Puts it on a reply.
    pub(super) fn apply(self, reply: &mut Reply) {
        if let Some(status) = self.status {
            *reply.status_mut() = status;
            if matches!(status.as_u16(), 204 | 205 | 304) {
                *reply.body_mut() = Body::Empty;
                reply.headers_mut().remove(header::CONTENT_TYPE);
                reply.headers_mut().remove(header::CONTENT_LENGTH);
            }
        }
        let mut named: Vec<HeaderName> = Vec::new();
        for (name, value) in self.fields {
            if named.contains(&name) {
                reply.headers_mut().append(name, value);
            } else {
                reply.headers_mut().insert(&name, value);
                named.push(name);
            }
        }
    }
}

/// A final status: what goes on (1xx) is not a reply.
fn chosen_status(text: &str) -> Result<StatusCode, StoreError> {
    let number = text.parse::<u16>().ok().filter(|n| (200..=599).contains(n));
    number.and_then(|n| StatusCode::from_u16(n).ok()).ok_or_else(|| {
        let says = "response.status guc must be a valid status code";
        flaw("PGRST112", says, "a final status is from 200 to 599")
    })
}

fn chosen_fields(text: &str) -> Result<Vec<(HeaderName, HeaderValue)>, StoreError> {
    const SAYS: &str =
        "response.headers guc must be a JSON array composed of objects with a single key and a string value";
    let Ok(Value::Array(items)) = serde_json::from_str(text) else {
        return Err(flaw("PGRST111", SAYS, "it is not an array"));
    };
    if items.len() > FIELDS_MAX || text.len() > BYTES_MAX {
        let bound = format!("at most {FIELDS_MAX} fields and {BYTES_MAX} bytes");
        return Err(flaw("PGRST111", SAYS, &bound));
    }
    let mut fields = Vec::with_capacity(items.len());
    for item in items {
        let pair = match &item {
            Value::Object(pairs) if pairs.len() == 1 => pairs.iter().next(),
            _ => None,
        };
        let Some((name, Value::String(value))) = pair else {
            return Err(flaw("PGRST111", SAYS, "an item is no such object"));
        };
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) else {
            return Err(flaw("PGRST111", SAYS, "an item is no field of HTTP"));
        };
        if !may_say(&name, &value) {
            let why = format!("`{name}` is not a function's to say");
            return Err(flaw("PGRST111", SAYS, &why));
        }
        fields.push((name, value));
    }
    Ok(fields)
}

/// Whether a function may say a field: what frames the message, holds for one hop, or is Stoa's own is not its to say.
pub(crate) fn may_say(name: &HeaderName, value: &HeaderValue) -> bool {
    const NOT: [&str; 14] = [
        "connection",
        "content-encoding",
        "content-length",
        "date",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "vary",
        "x-request-id",
        "traceparent",
        "tracestate",
    ];
    const FAMILIES: [&str; 4] = ["access-control-", "proxy-", "stoa-", "ratelimit"];
    let own_cookie = || {
        let text = String::from_utf8_lossy(value.as_bytes())
            .trim()
            .to_ascii_lowercase();
        *name == header::SET_COOKIE && text.starts_with("stoa-")
    };
    let name_is = name.as_str();
    !NOT.contains(&name_is) && !FAMILIES.iter().any(|family| name_is.starts_with(family)) && !own_cookie()
}

fn flaw(state: &str, message: &str, detail: &str) -> StoreError {
    StoreError::Server(Box::new(ServerError {
        state: state.into(),
        message: message.to_owned(),
        detail: Some(detail.to_owned()),
        hint: None,
    }))
}

#[cfg(test)]
mod tests;
