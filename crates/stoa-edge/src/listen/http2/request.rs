//! Judges the head of an HTTP/2 request by the rules that hold for HTTP/1 (RFC 9113 section 8, RFC 9110), and gives it the
//! form that one has: a path as target, the authority as `Host`, one `Cookie`.
//!
//! The library has refused already what its own rules forbid: fields of a connection, names in capitals, control
//! characters in values, pseudo fields that are missing, repeated or unknown, bodies that are not as long as they say,
//! and `"`, `<` and `>` in a query, which in HTTP/1 are escaped.

use crate::listen::head::{self, Bounds, Refusal};
use http::{HeaderMap, HeaderValue, Method, Uri, header, request, uri::PathAndQuery};

/// Bytes that the bound of a head counts for a field beside its name and value, as on a line of HTTP/1.
const FIELD_BYTES: usize = 4;

/// Judges a request's head and changes its form.
pub(super) fn judge(parts: &mut request::Parts, bounds: &Bounds) -> Result<(), Refusal> {
    head::method(parts.method.as_str().as_bytes())?;
    fields(&parts.headers, bounds)?;
    let host = host(parts)?;
    parts.uri = Uri::from(target(parts, bounds)?);
    parts.headers.insert(header::HOST, host);
    trim(&mut parts.headers);
    join_cookies(&mut parts.headers);
    Ok(())
}

fn fields(headers: &HeaderMap, bounds: &Bounds) -> Result<(), Refusal> {
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + FIELD_BYTES)
        .sum();
    // Cookies may come in many parts, which are one field.
    let cookies = headers.get_all(header::COOKIE).iter().count();
    if headers.len() - cookies.saturating_sub(1) > bounds.fields_max || bytes > bounds.head_bytes_max {
        return Err(Refusal::HeadTooLarge);
    }
    let mut lengths = headers.get_all(header::CONTENT_LENGTH).iter();
    if let Some(length) = lengths.next() {
        head::content_length(length.as_bytes())?;
        if lengths.next().is_some() {
            return Err(Refusal::Malformed("there is more than one Content-Length"));
        }
    }
    for name in headers.keys() {
        head::framing_in_disguise(name.as_str().as_bytes())?;
    }
    Ok(())
}

/// The authority that the request is for.
fn host(parts: &request::Parts) -> Result<HeaderValue, Refusal> {
    let mut named = parts.headers.get_all(header::HOST).iter();
    let field = named.next();
    if named.next().is_some() {
        return Err(Refusal::Malformed("there is more than one Host field"));
    }
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    let host = match (authority, field) {
        (None, None) => return Err(Refusal::Malformed("there is neither :authority nor a Host field")),
        (Some(authority), Some(field)) if !field.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) => {
            return Err(Refusal::Malformed(":authority names another host than Host"));
        }
        (Some(authority), _) => HeaderValue::from_str(authority).map_err(|_| not_a_host())?,
        (None, Some(field)) => field.clone(),
    };
    if !head::is_host(host.as_bytes()) {
        return Err(not_a_host());
    }
    Ok(host)
}

fn not_a_host() -> Refusal {
    Refusal::Malformed(":authority is not a host with an optional port")
}

/// The path and query as HTTP/1 would have them.
fn target(parts: &request::Parts, bounds: &Bounds) -> Result<PathAndQuery, Refusal> {
    let malformed = Refusal::Malformed("the path is not one");
    if parts
        .uri
        .scheme_str()
        .is_some_and(|scheme| scheme != "http" && scheme != "https")
    {
        return Err(Refusal::Malformed(":scheme is neither http nor https"));
    }
    let Some(target) = parts.uri.path_and_query() else {
        return Err(malformed);
    };
    let text = target.as_str();
    if text == "*" {
        return if parts.method == Method::OPTIONS {
            Ok(PathAndQuery::from_static("*"))
        } else {
            Err(malformed)
        };
    }
    if !text.starts_with('/') {
        return Err(malformed);
    }
    if !text.bytes().all(|b| b != b'#' && b.is_ascii_graphic()) {
        return Err(Refusal::Malformed(
            "the path has a character that must be percent-encoded",
        ));
    }
    if text.len() > bounds.target_bytes_max {
        return Err(Refusal::TargetTooLong);
    }
    Ok(target.clone())
}

/// Blanks around a value are no part of it, and a line of HTTP/1 cannot tell them.
fn trim(headers: &mut HeaderMap) {
    for value in headers.values_mut() {
        let bytes = value.as_bytes();
        let trimmed = bytes.trim_ascii();
        if trimmed.len() < bytes.len()
            && let Ok(trimmed) = HeaderValue::from_bytes(trimmed)
        {
            *value = trimmed;
        }
    }
}

/// RFC 9113 section 8.2.3.
fn join_cookies(headers: &mut HeaderMap) {
    let mut parts = headers.get_all(header::COOKIE).iter();
    if parts.next().is_none() || parts.next().is_none() {
        return;
    }
    let parts: Vec<&[u8]> = headers
        .get_all(header::COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if let Ok(joined) = HeaderValue::from_bytes(&parts.join(&b"; "[..])) {
        headers.insert(header::COOKIE, joined);
    }
}
