//! Replies are compressed on their way out (RFC 9110 sections 8.4 and 12.5.3).
//!
//! Only what gets smaller and is nobody's secret: texts from 1 KiB on, not encoded yet, in replies to requests without
//! credentials unless the route says `always`, since a secret beside a text that a stranger chooses can be guessed
//! from the length of both (BREACH). The entity tag of an encoded reply is another one, `"v~br"` for `"v"`; what comes back
//! in a condition is read as the tag of the whole.

pub(crate) mod accept;
mod encoder;
mod stream;

use accept::{Accepted, Coding};
use bytes::Bytes;
use encoder::Encoder;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use http_body::Body as _;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use stoa_config::plan::Compress;
use stoa_exchange::{Body, Context, Problem, Reply, codes};

/// Below this a reply gains less than its head costs.
const BYTES_MIN: u64 = 1024;
/// A body in memory up to this is encoded in one go, so that its length can be said.
const WHOLE_BYTES_MAX: usize = 32 * 1024;
/// Replies that are being encoded at once in this process; an encoder takes about 1 MiB. More are sent as they are.
const STREAMS_MAX: usize = 256;

static STREAMS: AtomicUsize = AtomicUsize::new(0);

/// What a request says about the encoding of its reply.
pub(crate) struct Wish {
    accepted: Accepted,
    /// Whether credentials do not matter.
    always: bool,
    /// Whether credentials that need no file to be known were sent.
    secret: bool,
    head: bool,
    /// The coding whose mark a condition had: a 304 is about that representation.
    marked: Option<Coding>,
}

impl Wish {
    /// Reads a request's wish; `None` where the route does not compress.
    ///
    /// # Errors
    /// 406 where neither a coding of ours nor the plain reply is acceptable.
    pub(crate) fn of(how: Compress, method: &Method, sent: &mut HeaderMap) -> Result<Option<Self>, Problem> {
        if how == Compress::Off {
            return Ok(None);
        }
        let said = Said::of(sent);
        let accepted = if said.accepts {
            Accepted::of(sent)
        } else {
            Accepted::ANYTHING_PLAIN
        };
        if accepted.nothing() {
            return Err(Problem::new(
                &codes::NOT_ACCEPTABLE,
                "`Accept-Encoding` takes neither the reply as it is nor one of zstd, br, gzip",
            ));
        }
        Ok(Some(Self {
            accepted,
            always: how == Compress::Always,
            secret: said.secret,
            head: *method == Method::HEAD,
            marked: if said.conditions { unmark(sent) } else { None },
        }))
    }

    /// Encodes a reply where that is right.
    pub(crate) fn apply(&self, context: &mut Context, mut reply: Reply) -> Reply {
        let small = || reply.body().size_hint().exact().is_some_and(|n| n < BYTES_MIN);
        // Most replies of an API; a 304 has no body.
        if self.accepted.plain && self.marked.is_none() && !self.head && small() {
            context.trail.note("compress", || Why::Small.in_words());
            return reply;
        }
        let judged = self.judge(&reply, context.credentials);
        if !matches!(judged, Err(Why::Never | Why::Small)) {
            vary(reply.headers_mut());
        }
        let coding = match judged {
            Ok(coding) => coding,
            Err(why) => {
                context.trail.note("compress", || why.in_words());
                self.mark_unmodified(&mut reply);
                return reply;
            }
        };
        let (mut parts, body) = reply.into_parts();
        let encoded = match body {
            Body::Full(bytes) if bytes.len() <= WHOLE_BYTES_MAX => whole(coding, bytes, self.accepted.plain),
            body => match Permit::take(!self.accepted.plain) {
                Some(permit) => Ok(stream::encoded(coding, body, permit)),
                None => Err(body),
            },
        };
        let body = match encoded {
            Ok(body) => body,
            Err(body) => {
                context
                    .trail
                    .note("compress", || json!("as it is: smaller, or too many at once"));
                return Reply::from_parts(parts, body);
            }
        };
        context.trail.note("compress", || json!(coding.as_str()));
        let fields = &mut parts.headers;
        fields.insert(
            header::CONTENT_ENCODING,
            HeaderValue::from_static(coding.as_str()),
        );
        fields.remove(header::CONTENT_LENGTH);
        fields.remove(header::ACCEPT_RANGES);
        mark(fields, coding);
        Reply::from_parts(parts, body)
    }

    fn judge(&self, reply: &Reply, credentials: bool) -> Result<Coding, Why> {
        let fields = reply.headers();
        let status = reply.status();
        let bodiless = status.is_informational()
            || matches!(
                status,
                StatusCode::NO_CONTENT
                    | StatusCode::RESET_CONTENT
                    | StatusCode::PARTIAL_CONTENT
                    | StatusCode::NOT_MODIFIED
            );
        let insists = !self.accepted.plain;
        if bodiless || !(insists || compressible(fields)) {
            return Err(Why::Never);
        }
        if KEPT.iter().any(|name| crate::headers::has(fields, name)) || no_transform(fields) {
            return Err(Why::Never);
        }
        if !self.head && !insists && reply.body().size_hint().exact().is_some_and(|n| n < BYTES_MIN) {
            return Err(Why::Small);
        }
        if self.head || reply.body().is_end_stream() {
            return Err(Why::NoBody);
        }
        let coding = self.accepted.best.ok_or(Why::NotAsked)?;
        if !self.always && (self.secret || credentials) {
            return Err(Why::Credentials);
        }
        Ok(coding)
    }

    /// A 304 names the representation that the caller has.
    fn mark_unmodified(&self, reply: &mut Reply) {
        if let (StatusCode::NOT_MODIFIED, Some(coding)) = (reply.status(), self.marked) {
            vary(reply.headers_mut());
            mark(reply.headers_mut(), coding);
        }
    }
}

/// Fields of replies that stay as they are.
static KEPT: [HeaderName; 5] = [
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    // A digest is one of the bytes as they are (RFC 9530).
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("digest"),
];

/// Which fields of a request concern the encoding, found in one look: most requests have none of them.
#[derive(Default)]
struct Said {
    accepts: bool,
    secret: bool,
    conditions: bool,
}

impl Said {
    fn of(sent: &HeaderMap) -> Self {
        /// Lengths of the names below, as bits.
        const LENGTHS: u32 = 1 << 6 | 1 << 8 | 1 << 13 | 1 << 15;
        let mut said = Self::default();
        for name in sent.keys() {
            let length = name.as_str().len();
            if length > 15 || LENGTHS >> length & 1 == 0 {
                continue;
            }
            match *name {
                header::ACCEPT_ENCODING => said.accepts = true,
                header::AUTHORIZATION | header::COOKIE => said.secret = true,
                header::IF_NONE_MATCH | header::IF_MATCH | header::IF_RANGE => said.conditions = true,
                _ => {}
            }
        }
        said
    }
}

/// Why a reply is sent as it is.
#[derive(Clone, Copy)]
enum Why {
    /// Whoever asks, so that it does not vary by the wish.
    Never,
    Small,
    NoBody,
    NotAsked,
    Credentials,
}

impl Why {
    fn in_words(self) -> Value {
        json!(match self {
            Self::Never => "as it is: not for compression",
            Self::Small => "as it is: small",
            Self::NoBody => "as it is: no body",
            Self::NotAsked => "as it is: not asked for",
            Self::Credentials => "as it is: the request has credentials",
        })
    }
}

/// The right to encode one stream.
pub(super) struct Permit(());

impl Permit {
    fn take(insists: bool) -> Option<Self> {
        if STREAMS.fetch_add(1, Relaxed) < STREAMS_MAX || insists {
            return Some(Self(()));
        }
        STREAMS.fetch_sub(1, Relaxed);
        None
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        STREAMS.fetch_sub(1, Relaxed);
    }
}

/// Encodes a small body; it stays as it is when that is not longer.
fn whole(coding: Coding, bytes: Bytes, plain: bool) -> Result<Body, Body> {
    let mut encoder = Encoder::new(coding, Some(bytes.len()));
    let done = encoder.write(&bytes).and_then(|()| encoder.finish());
    match done {
        Ok(encoded) if encoded.len() < bytes.len() || !plain => Ok(Body::full(encoded)),
        _ => Err(Body::Full(bytes)),
    }
}

fn no_transform(fields: &HeaderMap) -> bool {
    let mut all = fields.get_all(header::CACHE_CONTROL).iter();
    all.any(|value| {
        let directives = value.to_str().unwrap_or_default().split(',');
        directives
            .map(str::trim)
            .any(|directive| directive.eq_ignore_ascii_case("no-transform"))
    })
}

/// Texts, whatever they are called. An event stream is short messages of which each must leave at once.
fn compressible(fields: &HeaderMap) -> bool {
    let Some(text) = fields.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()) else {
        return false;
    };
    let essence = text
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let Some((kind, subtype)) = essence.split_once('/') else {
        return false;
    };
    match kind {
        "text" => subtype != "event-stream",
        "application" => {
            subtype.ends_with("+json")
                || subtype.ends_with("+xml")
                || matches!(
                    subtype,
                    "json"
                        | "xml"
                        | "javascript"
                        | "x-javascript"
                        | "x-ndjson"
                        | "ndjson"
                        | "jsonl"
                        | "json-seq"
                        | "wasm"
                        | "yaml"
                        | "graphql"
                        | "x-www-form-urlencoded"
                        | "toml"
                        | "rtf"
                )
        }
        "image" => matches!(subtype, "svg+xml" | "bmp" | "x-icon" | "vnd.microsoft.icon"),
        "font" => matches!(subtype, "ttf" | "otf"),
        _ => false,
    }
}

/// Says that the reply depends on `Accept-Encoding`.
fn vary(fields: &mut HeaderMap) {
    let mut said = fields.get_all(header::VARY).iter().flat_map(|value| {
        let names = value.to_str().unwrap_or_default().split(',');
        names.map(str::trim)
    });
    if !said.any(|name| name == "*" || name.eq_ignore_ascii_case("accept-encoding")) {
        fields.append(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
}

/// Makes the tag of the whole that of an encoding. A weak one says nothing about bytes and stays.
fn mark(fields: &mut HeaderMap, coding: Coding) {
    let marked = fields.get(header::ETAG).and_then(|tag| {
        let inner = tag.to_str().ok()?.strip_prefix('"')?.strip_suffix('"')?;
        HeaderValue::try_from(format!("\"{inner}~{}\"", coding.as_str())).ok()
    });
    if let Some(marked) = marked {
        fields.insert(header::ETAG, marked);
    }
}

/// Takes the marks of our encodings out of a request's conditions; the first coding that was marked. A range is one of the
/// bytes of another representation, so it is not asked for.
fn unmark(sent: &mut HeaderMap) -> Option<Coding> {
    let mut found = None;
    for name in [header::IF_NONE_MATCH, header::IF_MATCH, header::IF_RANGE] {
        if !crate::headers::has(sent, &name) {
            continue;
        }
        let values: Vec<HeaderValue> = sent.get_all(&name).iter().cloned().collect();
        let mut changed = false;
        let mut stripped = Vec::with_capacity(values.len());
        for value in values {
            let mut text = value.to_str().unwrap_or_default().to_owned();
            for coding in Coding::ALL {
                let end = format!("~{}\"", coding.as_str());
                if text.contains(&end) {
                    text = text.replace(&end, "\"");
                    found = found.or(Some(coding));
                    changed = true;
                }
            }
            stripped.push(if changed {
                HeaderValue::try_from(text).unwrap_or(value)
            } else {
                value
            });
        }
        if !changed {
            continue;
        }
        sent.remove(&name);
        if name == header::IF_RANGE {
            sent.remove(header::RANGE);
            continue;
        }
        for value in stripped {
            sent.append(&name, value);
        }
    }
    found
}

#[cfg(test)]
mod tests;
