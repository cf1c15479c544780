//! Header fields that end at this hop, and those that this hop writes (RFC 9110 section 7.6).

pub(crate) mod forwarded;

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// `x-request-id`.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// W3C Trace Context.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// W3C Trace Context.
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
/// The decisions taken on a request, asked for and answered under one name.
pub(crate) const EXPLAIN: HeaderName = HeaderName::from_static("stoa-explain");

/// Tells a service that a request is a copy; nobody else may say so.
pub(crate) const MIRROR: HeaderName = HeaderName::from_static("stoa-mirror");

static HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::PROXY_AUTHORIZATION,
    header::PROXY_AUTHENTICATE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    // RFC 7540 section 3.2.1.
    HeaderName::from_static("http2-settings"),
];

/// Removes the fields that are only for this hop, those that `Connection` names too. `TE: trailers` stays, since
/// trailers are passed on.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let mut own: Vec<HeaderName> = headers.keys().filter(|n| is_hop_by_hop(n)).cloned().collect();
    if own.is_empty() {
        return;
    }
    let trailers = takes_trailers(headers);
    own.extend(named(headers));
    for name in own {
        headers.remove(name);
    }
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

/// Whether a field of this name is only for this hop.
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    HOP_BY_HOP.contains(name)
}

/// Whether there is a field of this name: most heads are short, and a look at each is sooner done than a hash.
pub(crate) fn has(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.keys().any(|own| own == name)
}

/// The first field of this name, found as [`has`] finds it.
pub(crate) fn first<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    headers
        .iter()
        .find(|(own, _)| *own == name)
        .map(|(_, value)| value)
}

/// The first field of this name, as text.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    first(headers, name)?.to_str().ok()
}

/// The fields that `Connection` says are only for this hop; never those that frame a message or direct it.
pub(crate) fn named(headers: &HeaderMap) -> Vec<HeaderName> {
    if !has(headers, &header::CONNECTION) {
        return Vec::new();
    }
    // What nearly all say names no field that is not dropped anyhow.
    let usual = |value: &&HeaderValue| {
        let text = value.as_bytes();
        text.eq_ignore_ascii_case(b"keep-alive") || text.eq_ignore_ascii_case(b"close")
    };
    let said = headers.get_all(header::CONNECTION);
    let rest = said.iter().filter(|value| !usual(value));
    rest.flat_map(names)
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        .filter(|name| *name != header::HOST && *name != header::CONTENT_LENGTH)
        .collect()
}

/// Whether the sender takes trailers (RFC 9110 section 10.1.4).
pub(crate) fn takes_trailers(headers: &HeaderMap) -> bool {
    if !has(headers, &header::TE) {
        return false;
    }
    let mut members = headers.get_all(header::TE).iter().flat_map(names);
    members.any(|name| name.eq_ignore_ascii_case("trailers"))
}

/// The members of a comma-separated list, up to their parameters.
fn names(value: &HeaderValue) -> impl Iterator<Item = &str> {
    let text = value.to_str().unwrap_or_default();
    text.split(',')
        .map(|item| item.split(';').next().unwrap_or_default().trim())
}

/// The protocol that a request asks to change to, as it is passed on. Never `h2c`, and only where `Connection`
/// names the field (RFC 9110 section 7.8).
pub(crate) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let named = headers
        .get_all(header::CONNECTION)
        .iter()
        .any(|v| names(v).any(|n| n.eq_ignore_ascii_case("upgrade")));
    let mut all = headers.get_all(header::UPGRADE).iter();
    let (Some(asked), None, true) = (all.next(), all.next(), named) else {
        return None;
    };
    let text = asked.to_str().ok()?;
    let refused = |name: &str| {
        name.is_empty()
            || name.len() >= 3 && name.as_bytes()[..3].eq_ignore_ascii_case(b"h2c")
            || name.to_ascii_lowercase().starts_with("http/")
    };
    (!text.is_empty() && !names(asked).any(refused)).then(|| asked.clone())
}

/// A value from text that is made here and so is legal; an illegal one becomes empty.
pub(crate) fn value(text: String) -> HeaderValue {
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests;
