//! Replies: rows in the representation that was asked for, and the fields around them. Pure.

use crate::{
    codes,
    json::{self, Json},
    parse::accept::Media,
    refusal::{Refusal, Result},
    store::StoredReply,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use stoa_exchange::{Body, Reply};

/// Characters of a key that stand for themselves in a path.
const KEY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A text as one segment of a path or one value of a query.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, KEY).to_string()
}

/// Whether a text can be a segment of a path: what could be read as another path is refused at the edge.
pub(crate) fn fits_path(text: &str) -> bool {
    let clear = |c: char| !c.is_ascii_control() && c != '/' && c != '\\';
    !matches!(text, "" | "." | "..") && text.chars().all(clear)
}

/// Rows as a body: `rows` of them, joined by commas in `json`.
pub(crate) fn body(json: &[u8], rows: u64, media: Media, columns: &[&str]) -> Result<Vec<u8>> {
    match media {
        Media::Json => Ok(bracketed(json)),
        Media::Object { stripped } => {
            if rows != 1 {
                return Err(not_one(rows));
            }
            if stripped {
                return Ok(read(json)?.without_nulls().to_text().into_bytes());
            }
            Ok(json.to_vec())
        }
        Media::Stripped => Ok(read(&bracketed(json))?.without_nulls().to_text().into_bytes()),
        Media::Csv => Ok(csv(&read(&bracketed(json))?, columns).into_bytes()),
    }
}

/// As [`body`], of the one row that a path addresses: an object whatever the media type says about arrays.
pub(crate) fn object(json: &[u8], media: Media, columns: &[&str]) -> Result<Vec<u8>> {
    match media {
        Media::Json | Media::Object { stripped: false } => Ok(json.to_vec()),
        Media::Object { stripped: true } | Media::Stripped => {
            Ok(read(json)?.without_nulls().to_text().into_bytes())
        }
        Media::Csv => body(json, 1, media, columns),
    }
}

fn bracketed(json: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(json.len() + 2);
    whole.push(b'[');
    whole.extend_from_slice(json);
    whole.push(b']');
    whole
}

/// What the store rendered, read back for another representation.
fn read(json: &[u8]) -> Result<Json> {
    json::parse_own(json).map_err(|e| {
        Refusal::new(&stoa_exchange::codes::INTERNAL, "The rows could not be rendered.").cause(e.to_string())
    })
}

/// The single-object refusal.
pub(crate) fn not_one(rows: u64) -> Refusal {
    Refusal::new(
        &codes::NOT_ONE_ROW,
        format!("The result contains {rows} rows, not one."),
    )
    .postgrest(
        "PGRST116",
        406,
        "Cannot coerce the result to a single JSON object",
    )
    .details(format!("The result contains {rows} rows"))
}

/// RFC 4180 with the names in the first line; null is empty, what is nested is JSON.
fn csv(rows: &Json, columns: &[&str]) -> String {
    let mut out = String::new();
    for (i, column) in columns.iter().enumerate() {
        cell(&mut out, i, column);
    }
    let Json::Array(rows) = rows else { return out };
    for row in rows {
        out.push('\n');
        let Json::Object(members) = row else { continue };
        for (i, column) in columns.iter().enumerate() {
            let value = members
                .iter()
                .find(|(name, _)| &**name == *column)
                .map(|(_, value)| value);
            match value {
                None | Some(Json::Null) => cell(&mut out, i, ""),
                Some(Json::Text(text)) => cell(&mut out, i, text),
                Some(other) => cell(&mut out, i, &other.to_text()),
            }
        }
    }
    out
}

fn cell(out: &mut String, position: usize, text: &str) {
    if position > 0 {
        out.push(',');
    }
    if text.contains(['"', ',', '\n', '\r']) {
        out.push('"');
        out.push_str(&text.replace('"', "\"\""));
        out.push('"');
    } else {
        out.push_str(text);
    }
}

/// `Content-Range` of a page.
pub(crate) fn content_range(offset: u64, rows: u64, total: Option<u64>) -> String {
    let total = total.map_or_else(|| String::from("*"), |n| n.to_string());
    match rows {
        0 => format!("*/{total}"),
        rows => format!("{offset}-{}/{total}", offset.saturating_add(rows - 1)),
    }
}

/// `Preference-Applied` (RFC 7240).
pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Fields that most replies have in the end.
const FIELDS: usize = 6;

/// A reply in the making: status, fields, body.
#[derive(Debug)]
pub(crate) struct Draft {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Draft {
    pub(crate) fn new(status: u16) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::OK),
            headers: HeaderMap::with_capacity(FIELDS),
            body: Bytes::new(),
        }
    }

    /// Adds a field; a value that no field can have is left out.
    pub(crate) fn header(mut self, name: HeaderName, value: impl TryInto<HeaderValue>) -> Self {
        if let Ok(value) = value.try_into() {
            self.headers.append(name, value);
        }
        self
    }

    pub(crate) fn maybe(self, name: HeaderName, value: Option<impl TryInto<HeaderValue>>) -> Self {
        match value {
            Some(value) => self.header(name, value),
            None => self,
        }
    }

    /// Adds a body with its media type.
    pub(crate) fn body(mut self, media: Media, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header(header::CONTENT_TYPE, media.field())
    }

    /// Adds a body of JSON, whatever media type was asked for.
    pub(crate) fn json(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))
    }

    pub(crate) fn stored(self) -> StoredReply {
        let text = |(name, value): (&HeaderName, &HeaderValue)| {
            let value = std::str::from_utf8(value.as_bytes()).ok()?;
            Some((name.as_str().to_owned(), value.to_owned()))
        };
        StoredReply {
            status: self.status.as_u16(),
            headers: self.headers.iter().filter_map(text).collect(),
            body: self.body,
        }
    }

    /// The reply; to `HEAD` with the length of the body it leaves out.
    pub(crate) fn reply(self, head: bool) -> Reply {
        let mut draft = self;
        if head {
            let length = HeaderValue::from(draft.body.len());
            draft.body = Bytes::new();
            draft = draft.header(header::CONTENT_LENGTH, length);
        }
        let mut reply = Reply::new(Body::full(draft.body));
        *reply.status_mut() = draft.status;
        *reply.headers_mut() = draft.headers;
        reply
    }
}

/// A kept reply as a reply.
pub(crate) fn stored_reply(stored: StoredReply) -> Reply {
    let mut reply = Reply::new(Body::full(stored.body));
    *reply.status_mut() = StatusCode::from_u16(stored.status).unwrap_or(StatusCode::OK);
    for (name, value) in stored.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            reply.headers_mut().append(name, value);
        }
    }
    reply
}

#[cfg(test)]
mod tests;
