//! Routes that end here: redirects and fixed replies.

use crate::{codes as edge, headers, policy::edit};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Uri, header, request};
use serde_json::json;
use stoa_config::plan::{self, Redirect};
use stoa_exchange::{Body, Context, Problem, Reply};

/// An answer of a route's own.
pub(crate) enum Own {
    /// Sends the caller elsewhere.
    Redirect(Redirect),
    /// Says the same to everybody.
    Reply(Fixed),
}

/// A fixed reply, made once.
pub(crate) struct Fixed {
    status: http::StatusCode,
    body: Bytes,
    content_type: HeaderValue,
    fields: edit::Fields,
}

impl Own {
    pub(crate) fn of(answer: &plan::Answer) -> Self {
        match answer {
            plan::Answer::Redirect(redirect) => Self::Redirect(redirect.clone()),
            plan::Answer::Reply(reply) => Self::Reply(Fixed {
                status: reply.status,
                body: Bytes::from(reply.body.clone()),
                content_type: HeaderValue::from_static(reply.content_type),
                fields: edit::Fields::of(&reply.fields),
            }),
        }
    }

    pub(crate) fn answer(&self, context: &mut Context, parts: &request::Parts) -> Result<Reply, Problem> {
        match self {
            Self::Redirect(redirect) => to(redirect, context, &parts.uri),
            Self::Reply(fixed) => fixed.reply(context, parts.uri.path()),
        }
    }

    /// For `stoa route`.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Redirect(redirect) => {
                format!("redirect {} to {}", redirect.status.as_u16(), redirect.to.source)
            }
            Self::Reply(fixed) => format!("reply {}", fixed.status.as_u16()),
        }
    }
}

/// The host is the file's, or none: a path alone is looked up where the caller already is (RFC 9110 section 10.2.2).
fn to(redirect: &Redirect, context: &mut Context, uri: &Uri) -> Result<Reply, Problem> {
    let target = edit::rewritten(&redirect.to, uri)?;
    let location = format!("{}{target}", redirect.origin);
    context.trail.note("redirect", || json!(location));
    let mut reply = Reply::new(Body::Empty);
    *reply.status_mut() = redirect.status;
    reply
        .headers_mut()
        .insert(header::LOCATION, headers::value(location));
    Ok(reply)
}

impl Fixed {
    fn reply(&self, context: &mut Context, path: &str) -> Result<Reply, Problem> {
        context.trail.note("reply", || json!(self.status.as_u16()));
        let mut fields = HeaderMap::new();
        self.fields.write(path, context, &mut fields);
        if self.body.is_empty() && self.status.as_u16() >= 400 {
            let words = self.status.canonical_reason().unwrap_or("an error");
            let mut problem = Problem::new(
                &edge::FIXED_REPLY,
                format!(
                    "the API file answers this address with {} ({words})",
                    self.status.as_u16()
                ),
            );
            problem.status_shown = Some(self.status.as_u16());
            problem.headers = fields;
            return Err(problem);
        }
        if !self.body.is_empty() && !fields.contains_key(header::CONTENT_TYPE) {
            fields.insert(header::CONTENT_TYPE, self.content_type.clone());
        }
        let mut reply = Reply::new(Body::full(self.body.clone()));
        *reply.status_mut() = self.status;
        *reply.headers_mut() = fields;
        Ok(reply)
    }
}
