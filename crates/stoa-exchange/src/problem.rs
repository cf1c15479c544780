//! Error replies.

use crate::{Body, Code, Context, Reply};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};
use std::{borrow::Cow, error::Error, fmt};

/// An error reply: RFC 9457 and PostgREST's members in one body, so that clients of both worlds read it.
#[derive(Debug)]
pub struct Problem {
    /// Which kind.
    pub code: &'static Code,
    /// `code` in the body where another dialect's is promised (`PGRST116`); the kind's name otherwise.
    pub code_shown: Option<Cow<'static, str>>,
    /// PostgREST's code for it, shown only where its clients ask (`/rest/v1`).
    pub code_postgrest: Option<&'static str>,
    /// Status where another dialect's is promised; the kind's otherwise.
    pub status_shown: Option<u16>,
    /// This occurrence, for the caller. Never holds a secret, SQL, a file path or an address inside.
    pub detail: String,
    /// PostgREST's `message`; `detail` when not set.
    pub message_shown: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// PostgREST's `details`.
    pub details: Option<Value>,
    /// Every bad field of a body, for 422.
    pub errors: Vec<FieldError>,
    /// Fields of the reply beside the body's: `Allow`, `WWW-Authenticate`, `Retry-After`.
    pub headers: HeaderMap,
    /// Why, for the log. Never sent.
    pub cause: Option<Box<dyn Error + Send + Sync>>,
}

/// One bad field of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Name of the field; with the row's position in front (`2.price`) when the body is an array.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl Problem {
    /// A problem of this kind. `detail` tells the caller about this occurrence.
    pub fn new(code: &'static Code, detail: impl Into<String>) -> Self {
        Self {
            code,
            code_shown: None,
            code_postgrest: None,
            status_shown: None,
            detail: detail.into(),
            message_shown: None,
            hint: None,
            details: None,
            errors: Vec::new(),
            headers: HeaderMap::new(),
            cause: None,
        }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a field of the reply. A value that is not a legal field value is left out.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl AsRef<str>) -> Self {
        if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
            self.headers.append(name, value);
        }
        self
    }

    /// Adds the cause, for the log.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Adds the bad fields.
    #[must_use]
    pub fn errors(mut self, errors: Vec<FieldError>) -> Self {
        self.errors = errors;
        self
    }

    /// The status that is sent.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status_shown.unwrap_or(self.code.status))
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The body, with the members of both worlds in a fixed order.
    pub fn to_json(&self, request_id: Option<&str>) -> Value {
        let name = self.code_shown.as_deref().unwrap_or(self.code.name);
        let mut body = Map::new();
        body.insert("type".into(), json!(format!("/docs/errors/{}", self.code.name)));
        body.insert("title".into(), json!(self.code.title));
        body.insert("status".into(), json!(self.status().as_u16()));
        body.insert("detail".into(), json!(self.detail));
        body.insert(
            "instance".into(),
            request_id.map_or(Value::Null, |id| json!(format!("urn:request:{id}"))),
        );
        body.insert("code".into(), json!(name));
        let message = self.message_shown.as_ref().unwrap_or(&self.detail);
        body.insert("message".into(), json!(message));
        body.insert("details".into(), self.details.clone().unwrap_or(Value::Null));
        body.insert(
            "hint".into(),
            self.hint.as_ref().map_or(Value::Null, |hint| json!(hint)),
        );
        if !self.errors.is_empty() {
            let one = |e: &FieldError| json!({ "field": e.field, "message": e.message });
            body.insert("errors".into(), self.errors.iter().map(one).collect());
        }
        Value::Object(body)
    }

    /// The reply. The cause stays behind: log it before.
    pub fn into_reply(self, context: Option<&Context>) -> Reply {
        let body = self.to_json(context.map(|c| c.request_id.as_str())).to_string();
        let mut reply = Reply::new(Body::from(body));
        *reply.status_mut() = self.status();
        *reply.headers_mut() = self.headers;
        let json = HeaderValue::from_static("application/problem+json");
        reply.headers_mut().insert(header::CONTENT_TYPE, json);
        reply
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.name, self.detail)?;
        match &self.cause {
            Some(cause) => write!(f, " ({cause})"),
            None => Ok(()),
        }
    }
}

impl Error for Problem {}
