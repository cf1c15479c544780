//! Who the client is, and how that is told to services.
//!
//! Only peers within `trusted_proxies` are believed. What anybody else sends in `X-Forwarded-*` and `Forwarded`
//! is dropped. `X-Real-IP` is the client as found here. With both families sent by a trusted peer, `X-Forwarded-For` decides. The client is the rightmost
//! address that is not itself a trusted proxy.

use super::REQUEST_ID;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use ipnet::IpNet;
use std::{
    net::{IpAddr, SocketAddr},
    ops::Range,
};
use stoa_exchange::{Context, Scheme, text::push_address};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Hops that are read from the right; more than any honest chain has.
const HOPS_MAX: usize = 32;

/// The client behind a connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) address: IpAddr,
    pub(crate) scheme: Scheme,
    /// Lower case, with the port if there was one.
    pub(crate) host: String,
}

/// Whether `address` is one of the trusted proxies; an IPv4 address in IPv6 clothes is the IPv4 address.
pub(crate) fn is_trusted(trusted: &[IpNet], address: IpAddr) -> bool {
    !trusted.is_empty() && trusted.iter().any(|net| net.contains(&address.to_canonical()))
}

/// Finds out who the client is.
pub(crate) fn client(peer: SocketAddr, scheme: Scheme, trusted: &[IpNet], headers: &HeaderMap) -> Client {
    let own_host = super::text(headers, &header::HOST).unwrap_or_default();
    let mut client = Client {
        address: peer.ip().to_canonical(),
        scheme,
        host: own_host.to_ascii_lowercase(),
    };
    if !is_trusted(trusted, client.address) {
        return client;
    }
    let (hops, proto, host) = if headers.contains_key(FOR) || !headers.contains_key(header::FORWARDED) {
        (list(headers, &FOR), last(headers, &PROTO), last(headers, &HOST))
    } else {
        let elements = list(headers, &header::FORWARDED);
        let hops = elements
            .iter()
            .map(|e| parameter(e, "for").unwrap_or_default())
            .collect();
        let newest = elements.last().copied().unwrap_or_default();
        (hops, parameter(newest, "proto"), parameter(newest, "host"))
    };
    for hop in hops.iter().rev().take(HOPS_MAX) {
        let Some(address) = address(hop) else { break };
        client.address = address;
        if !is_trusted(trusted, address) {
            break;
        }
    }
    match proto {
        Some(proto) if proto.eq_ignore_ascii_case("https") => client.scheme = Scheme::Https,
        Some(proto) if proto.eq_ignore_ascii_case("http") => client.scheme = Scheme::Http,
        _ => {}
    }
    if let Some(host) = host.filter(|h| plain_host(h)) {
        client.host = host.to_ascii_lowercase();
    }
    client
}

/// Whether a field of a request ends here: one that [`write()`] writes, and one that could mislead the service. Of the
/// rest of `X-Forwarded-…`, such as a prefix of the path, a peer that is not `trusted` may tell the service nothing.
pub(crate) fn ends_here(name: &str, trusted: bool) -> bool {
    match name {
        "forwarded" | "x-forwarded-for" | "x-forwarded-proto" | "x-forwarded-host" | "x-forwarded-port"
        | "x-real-ip" | "client-cert" | "client-cert-chain" | "stoa-mirror" => true,
        _ if overrides(name) => true,
        _ if name.starts_with("x-forwarded-") => !trusted,
        // Servers that read fields as `HTTP_X_FORWARDED_FOR` cannot tell `X_Forwarded_For` from what is written here.
        _ => memchr::memchr(b'_', name.as_bytes()).is_some() && mistaken(&name.replace('_', "-")),
    }
}

/// Fields by which frameworks let a request name another path or method than its first line does. What the access
/// rules judged is what the service gets, so they end here, whoever sent them.
fn overrides(name: &str) -> bool {
    matches!(
        name,
        "x-original-url" | "x-rewrite-url" | "x-http-method-override" | "x-http-method" | "x-method-override"
    )
}

/// Whether a field is taken for one of ours where `_` is read as `-`.
fn mistaken(name: &str) -> bool {
    name.starts_with("x-forwarded-")
        || name == REQUEST_ID.as_str()
        || name == REAL_IP.as_str()
        || matches!(name, "client-cert" | "client-cert-chain")
        || name == super::MIRROR.as_str()
        || overrides(name)
}

/// Adds the fields for a service to those that are sent on; `sent` are those of a peer that is `trusted` or not.
pub(crate) fn write(fields: &mut HeaderMap, sent: &HeaderMap, context: &Context, trusted: bool) {
    let peer = context.peer.ip().to_canonical();
    let (hops, elements) = if trusted { before(sent) } else { Default::default() };
    // One text that the values share: each of its own would be an allocation.
    let mut text = String::with_capacity(160);
    let mut own = 0..0;
    let mut host = 0..0;
    let forwarded = pushed(&mut text, |text| {
        push_before(text, &elements);
        let brackets = if peer.is_ipv6() { ["\"[", "]\""] } else { ["", ""] };
        text.push_str("for=");
        text.push_str(brackets[0]);
        own = pushed(text, |text| push_address(text, peer));
        text.push_str(brackets[1]);
        if !context.host.is_empty() {
            text.push_str(";host=\"");
            host = pushed(text, |text| text.push_str(&context.host));
            text.push('"');
        }
        text.push_str(";proto=");
        text.push_str(context.scheme.as_str());
    });
    // Most often the client is the peer, without a proxy between.
    let chain = if hops.is_empty() {
        own.clone()
    } else {
        pushed(&mut text, |text| {
            push_before(text, &hops);
            push_address(text, peer);
        })
    };
    let real = if context.client == peer {
        own
    } else {
        pushed(&mut text, |text| push_address(text, context.client))
    };
    let port = port(&context.host).map(|at| host.start + at..host.end);

    let text = Bytes::from(text);
    let part = |range: Range<usize>| {
        HeaderValue::from_maybe_shared(text.slice(range)).unwrap_or_else(|_| HeaderValue::from_static(""))
    };
    fields.insert(FOR, part(chain));
    fields.insert(REAL_IP, part(real));
    fields.insert(header::FORWARDED, part(forwarded));
    fields.insert(PROTO, HeaderValue::from_static(context.scheme.as_str()));
    if !host.is_empty() {
        fields.insert(HOST, part(host));
    }
    let unsaid = match context.scheme {
        Scheme::Http => "80",
        Scheme::Https => "443",
    };
    fields.insert(PORT, port.map_or(HeaderValue::from_static(unsaid), part));
}

/// Where in `text` stands what `write` writes.
fn pushed(text: &mut String, write: impl FnOnce(&mut String)) -> Range<usize> {
    let start = text.len();
    write(text);
    start..text.len()
}

fn push_before(text: &mut String, list: &str) {
    if !list.is_empty() {
        text.push_str(list);
        text.push_str(", ");
    }
}

/// The hops before this one, as `X-Forwarded-For` and as `Forwarded` write them. The family that decides who the
/// client is decides here too, and the other is written from it: a proxy that speaks only one of them passes the
/// other on as a stranger sent it, and services read either.
fn before(headers: &HeaderMap) -> (String, String) {
    if headers.contains_key(FOR) {
        let hops = list(headers, &FOR);
        let elements: Vec<_> = hops.iter().map(|hop| element(address(hop))).collect();
        return (hops.join(", "), elements.join(", "));
    }
    let elements = list(headers, &header::FORWARDED);
    let hop = |element: &&str| {
        let address = parameter(element, "for").and_then(address);
        address.map_or_else(|| "unknown".to_owned(), |address| address.to_string())
    };
    let hops: Vec<_> = elements.iter().map(hop).collect();
    (hops.join(", "), elements.join(", "))
}

/// A hop as `Forwarded` writes it (RFC 7239 section 6).
fn element(address: Option<IpAddr>) -> String {
    match address {
        Some(IpAddr::V4(ip)) => format!("for={ip}"),
        Some(IpAddr::V6(ip)) => format!("for=\"[{ip}]\""),
        None => "for=unknown".to_owned(),
    }
}

/// Where the port begins in `host[:port]`.
fn port(host: &str) -> Option<usize> {
    let at = host.rfind(':')? + 1;
    host[at..].parse::<u16>().is_ok().then_some(at)
}

/// The members of a list field, over all its lines.
fn list<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Vec<&'a str> {
    let lines = headers.get_all(name).iter().filter_map(|v| v.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .collect()
}

/// What the nearest proxy wrote.
fn last<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    list(headers, name).pop()
}

/// A parameter of a `Forwarded` element, without quotes.
fn parameter<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    element.split(';').find_map(|pair| {
        let (key, value) = pair.split_once('=')?;
        key.trim()
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().trim_matches('"'))
    })
}

/// An address as proxies write it: bare, with a port, in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"');
    let bare = text
        .strip_prefix('[')
        .and_then(|t| t.split_once(']'))
        .map_or(text, |(inner, _)| inner);
    bare.parse()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|a| a.ip()))
        .map(|ip: IpAddr| ip.to_canonical())
}

fn plain_host(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
}

#[cfg(test)]
mod tests;
