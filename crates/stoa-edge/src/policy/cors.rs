//! Cross-origin requests (Fetch standard, section 3.2).

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use stoa_config::plan::Cors;
use stoa_exchange::{Body, Reply};

/// Reply fields that a page may always read: those that paging, concurrency, limits and support need.
const EXPOSED: &str = "content-range, content-location, content-profile, location, etag, link, x-request-id, \
                       ratelimit, ratelimit-policy, retry-after, stoa-consistency, stoa-position, stoa-missing-shards, \
                       stoa-explain, idempotent-replayed, preference-applied, cache-status, server-timing";

/// The method that a preflight asks about.
pub(crate) fn preflight_for(method: &Method, headers: &HeaderMap) -> Option<Method> {
    if method != Method::OPTIONS || !headers.contains_key(header::ORIGIN) {
        return None;
    }
    let asked = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    Method::from_bytes(asked.as_bytes()).ok()
}

/// Answers a preflight. An origin or method that is not allowed gets a reply without the fields that would allow it.
pub(crate) fn preflight(cors: &Cors, methods: &[Method], asked: &Method, headers: &HeaderMap) -> Reply {
    let mut reply = Reply::new(Body::Empty);
    *reply.status_mut() = StatusCode::NO_CONTENT;
    let out = reply.headers_mut();
    for name in ["access-control-request-method", "access-control-request-headers"] {
        out.append(header::VARY, HeaderValue::from_static(name));
    }
    let allowed = if cors.methods.is_empty() {
        methods
    } else {
        &cors.methods
    };
    let fine = allowed.is_empty()
        || allowed.contains(asked)
        || (*asked == Method::HEAD && allowed.contains(&Method::GET));
    if !fine
        || headers
            .get(header::ORIGIN)
            .and_then(|o| allow_origin(cors, o))
            .is_none()
    {
        return reply;
    }
    let list = if allowed.is_empty() {
        asked.as_str().to_owned()
    } else {
        allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(", ")
    };
    out.insert(header::ACCESS_CONTROL_ALLOW_METHODS, crate::headers::value(list));
    let headers_asked = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS);
    if !cors.headers.is_empty() {
        let list = cors
            .headers
            .iter()
            .map(http::HeaderName::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        out.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, crate::headers::value(list));
    } else if let Some(asked) = headers_asked {
        out.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    out.insert(
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from(cors.max_age.as_secs()),
    );
    reply
}

/// The response side, for every reply of a route with CORS, preflights and refusals too. A service's own CORS
/// fields are replaced: two opinions would make a browser refuse.
pub(crate) fn finish(cors: &Cors, origin: Option<&HeaderValue>, reply: &mut HeaderMap) {
    for name in [
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
    ] {
        reply.remove(name);
    }
    let every_origin = cors.origins.iter().any(|o| o == "*") && !cors.credentials;
    if !every_origin {
        reply.append(header::VARY, HeaderValue::from_static("origin"));
    }
    let Some(allowed) = origin.and_then(|origin| allow_origin(cors, origin)) else {
        return;
    };
    reply.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    if cors.credentials {
        reply.insert(
            header::ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
    }
    let exposed = if cors.expose.is_empty() {
        HeaderValue::from_static(EXPOSED)
    } else {
        let own: Vec<_> = cors.expose.iter().map(http::HeaderName::as_str).collect();
        crate::headers::value(format!("{EXPOSED}, {}", own.join(", ")))
    };
    reply.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
}

/// What `Access-Control-Allow-Origin` says to this origin; `None` when it is not allowed.
fn allow_origin(cors: &Cors, origin: &HeaderValue) -> Option<HeaderValue> {
    let text = origin.to_str().ok()?;
    for allowed in &cors.origins {
        if allowed == "*" && !cors.credentials {
            return Some(HeaderValue::from_static("*"));
        }
        let fits = match allowed.split_once("://*.") {
            Some((scheme, domain)) => below(text, scheme, domain),
            None => allowed.eq_ignore_ascii_case(text),
        };
        if fits {
            return Some(origin.clone());
        }
    }
    None
}

/// Whether `origin` is `scheme://LABELS.domain`, port included in the comparison.
fn below(origin: &str, scheme: &str, domain: &str) -> bool {
    let Some((own_scheme, host)) = origin.split_once("://") else {
        return false;
    };
    let labels = host
        .len()
        .checked_sub(domain.len() + 1)
        .filter(|at| host.is_char_boundary(*at))
        .map(|at| host.split_at(at));
    let Some((labels, rest)) = labels else {
        return false;
    };
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    own_scheme.eq_ignore_ascii_case(scheme)
        && !labels.is_empty()
        && labels.bytes().all(legal)
        && rest
            .strip_prefix('.')
            .is_some_and(|r| r.eq_ignore_ascii_case(domain))
}

#[cfg(test)]
mod tests;
