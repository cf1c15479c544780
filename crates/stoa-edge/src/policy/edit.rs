//! What a route changes on the way: the path and the header fields that its service sees, and the fields of the reply.
//!
//! A piece of a request that goes into a path is a whole segment of its canonical form, escapes included, so it can
//! neither add a segment nor leave one. What goes into a field's value is legal there or the field is absent.

use crate::{headers, route::path};
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header, request, uri::PathAndQuery};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value as Json, json};
use std::{borrow::Cow, fmt::Write as _, sync::Arc};
use stoa_config::plan::{FieldEdits, Handling, Part, PathTemplate};
use stoa_exchange::{Context, Problem, codes};

/// What stands for itself in a value of a query.
const IN_QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The request's side.
pub(crate) struct RequestEdit {
    path: Option<PathTemplate>,
    fields: Fields,
}

/// Changes of fields; values that are the same for every request are made once.
pub(crate) struct Fields {
    remove: Vec<HeaderName>,
    set: Vec<(HeaderName, Value)>,
    add: Vec<(HeaderName, Value)>,
}

enum Value {
    Fixed(HeaderValue),
    Made(Vec<Part>),
}

/// The reply's side, with the values of one request.
pub(crate) struct ReplyEdit {
    fields: Arc<Fields>,
    /// Of `Made` ones, in their order.
    made: Vec<Option<HeaderValue>>,
}

impl RequestEdit {
    /// `None` where a route changes nothing.
    pub(crate) fn of(handling: &Handling) -> Option<Box<Self>> {
        let none = handling.rewrite.is_none() && handling.request_fields.is_empty();
        (!none).then(|| {
            Box::new(Self {
                path: handling.rewrite.clone(),
                fields: Fields::of(&handling.request_fields),
            })
        })
    }

    /// Changes a request's head. Access was judged by what the caller sent.
    pub(crate) fn apply(&self, context: &mut Context, parts: &mut request::Parts) -> Result<(), Problem> {
        let made = self.fields.made(parts.uri.path(), context);
        if let Some(template) = &self.path {
            let target = rewritten(template, &parts.uri)?;
            context.trail.note("rewrite", || json!(target.as_str()));
            parts.uri = Uri::from(target);
        }
        let own: Vec<&HeaderName> = self.fields.written().collect();
        keep_from_connection(&own, &mut parts.headers);
        self.fields.apply(&made, &mut parts.headers);
        if !own.is_empty() {
            let names: Vec<&str> = own.iter().map(|name| name.as_str()).collect();
            context.trail.note("headers", || json!(names));
        }
        Ok(())
    }

    /// For `stoa route`.
    pub(crate) fn in_words(&self) -> Json {
        json!({
            "rewrite": self.path.as_ref().map(|t| &t.source),
            "headers": self.fields.in_words(),
        })
    }
}

/// A caller could name a field in `Connection`, and so have removed what the route sets.
fn keep_from_connection(own: &[&HeaderName], sent: &mut HeaderMap) {
    let named = headers::named(sent);
    if !named.iter().any(|name| own.contains(&name)) {
        return;
    }
    for name in named {
        sent.remove(name);
    }
    let upgrade = headers::upgrade(sent).is_some();
    sent.remove(header::CONNECTION);
    if upgrade {
        sent.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
}

impl Fields {
    pub(crate) fn of(edits: &FieldEdits) -> Self {
        let compile = |list: &[(HeaderName, Vec<Part>)]| {
            let one = |(name, parts): &(HeaderName, Vec<Part>)| (name.clone(), Value::of(parts));
            list.iter().map(one).collect()
        };
        Self {
            remove: edits.remove.clone(),
            set: compile(&edits.set),
            add: compile(&edits.add),
        }
    }

    fn written(&self) -> impl Iterator<Item = &HeaderName> {
        self.set.iter().chain(&self.add).map(|(name, _)| name)
    }

    /// The values that this request makes.
    fn made(&self, path: &str, context: &Context) -> Vec<Option<HeaderValue>> {
        let values = self.set.iter().chain(&self.add);
        values
            .filter_map(|(_, value)| match value {
                Value::Fixed(_) => None,
                Value::Made(parts) => Some(render(parts, path, context)),
            })
            .collect()
    }

    /// Writes what one request makes of them.
    pub(crate) fn write(&self, path: &str, context: &Context, fields: &mut HeaderMap) {
        self.apply(&self.made(path, context), fields);
    }

    fn apply(&self, made: &[Option<HeaderValue>], fields: &mut HeaderMap) {
        let mut made = made.iter();
        let mut next = |value: &Value| match value {
            Value::Fixed(value) => Some(value.clone()),
            Value::Made(_) => made.next().cloned().flatten(),
        };
        for name in &self.remove {
            fields.remove(name);
        }
        for (name, value) in &self.set {
            match next(value) {
                Some(value) => drop(fields.insert(name, value)),
                None => drop(fields.remove(name)),
            }
        }
        for (name, value) in &self.add {
            if let Some(value) = next(value) {
                fields.append(name, value);
            }
        }
    }

    pub(crate) fn in_words(&self) -> Json {
        let names = |list: &[(HeaderName, Value)]| {
            list.iter()
                .map(|(name, _)| json!(name.as_str()))
                .collect::<Json>()
        };
        json!({
            "set": names(&self.set),
            "add": names(&self.add),
            "remove": self.remove.iter().map(|name| json!(name.as_str())).collect::<Json>(),
        })
    }
}

impl Value {
    fn of(parts: &[Part]) -> Self {
        let mut text = String::new();
        for part in parts {
            let Part::Text(piece) = part else {
                return Self::Made(parts.to_vec());
            };
            text.push_str(piece);
        }
        Self::Fixed(headers::value(text))
    }
}

impl ReplyEdit {
    /// What one request makes of a route's changes.
    pub(crate) fn of(fields: &Arc<Fields>, path: &str, context: &Context) -> Self {
        Self {
            made: fields.made(path, context),
            fields: fields.clone(),
        }
    }

    pub(crate) fn apply(&self, reply: &mut HeaderMap) {
        self.fields.apply(&self.made, reply);
    }
}

/// A field's value; `None` without one of its parts, or when it would not be legal.
fn render(parts: &[Part], path: &str, context: &Context) -> Option<HeaderValue> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text(piece) => text.push_str(piece),
            Part::Segment(at) => text.push_str(path::segments(path).nth(*at)?),
            Part::Rest(at) => text.push_str(rest(path, *at)),
            Part::Claim(names) => text.push_str(&claim(context, names)?),
            Part::ClientIp => write!(text, "{}", context.client).ok()?,
            Part::Host => text.push_str(&context.host),
            Part::RequestId => text.push_str(context.request_id.as_str()),
        }
    }
    HeaderValue::try_from(text).ok()
}

fn claim<'c>(context: &'c Context, names: &[String]) -> Option<Cow<'c, str>> {
    let (first, inner) = names.split_first()?;
    let caller = context.identity.caller()?;
    let Some(mut value) = caller.claims.get(first) else {
        // A caller with a key has a subject without a token.
        let subject = first == "sub" && inner.is_empty();
        return subject.then_some(Cow::Borrowed(&caller.subject));
    };
    for name in inner {
        value = value.get(name)?;
    }
    match value {
        Json::String(text) => Some(Cow::Borrowed(text)),
        Json::Number(number) => Some(Cow::Owned(number.to_string())),
        Json::Bool(flag) => Some(Cow::Borrowed(if *flag { "true" } else { "false" })),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

/// What follows `segments` segments of a canonical path, with its slash; empty at its end.
fn rest(path: &str, segments: usize) -> &str {
    let mut slashes = memchr::memchr_iter(b'/', path.as_bytes());
    slashes.nth(segments).map_or("", |at| &path[at..])
}

/// The path and query that a template makes of a request's, canonical again.
pub(crate) fn rewritten(template: &PathTemplate, uri: &Uri) -> Result<PathAndQuery, Problem> {
    let from = uri.path();
    let mut text = String::with_capacity(template.source.len() + from.len());
    for part in &template.path {
        match part {
            Part::Text(piece) => text.push_str(piece),
            Part::Segment(at) => text.push_str(path::segments(from).nth(*at).unwrap_or_default()),
            Part::Rest(at) => text.push_str(rest(from, *at)),
            Part::Claim(_) | Part::ClientIp | Part::Host | Part::RequestId => {}
        }
    }
    if text.is_empty() {
        text.push('/');
    }
    let refused = |why: &str| Problem::new(&codes::BAD_REQUEST, format!("{why} where the route leads"));
    if let Cow::Owned(other) = path::canonical(&text).map_err(refused)? {
        text = other;
    }
    match (&template.query, uri.query()) {
        (Some(query), _) => {
            text.push('?');
            for part in query {
                match part {
                    Part::Text(piece) => text.push_str(piece),
                    Part::Segment(at) => {
                        let segment = path::segments(from).nth(*at).unwrap_or_default();
                        text.extend(utf8_percent_encode(&path::decode(segment), IN_QUERY));
                    }
                    _ => {}
                }
            }
        }
        (None, Some(query)) => {
            text.push('?');
            text.push_str(query);
        }
        (None, None) => {}
    }
    PathAndQuery::try_from(text).map_err(|_| refused("the path is too long"))
}

#[cfg(test)]
mod tests;
