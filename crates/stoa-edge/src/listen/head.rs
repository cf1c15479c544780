//! Judges the head of a message before anything acts on it (RFC 9112 sections 2 to 6).
//!
//! The HTTP library behind is lenient in places where leniency lets two servers disagree on where a message
//! ends: bare line feeds, repeated lengths, both framings at once. Everything of that kind is refused here.

use crate::{codes as edge, route::path::is_plain};
use stoa_exchange::{Problem, codes};

/// Bounds of a head.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_field_names, reason = "the names say unit and bound")]
pub(crate) struct Bounds {
    /// Bytes of the whole head.
    pub(crate) head_bytes_max: usize,
    /// Header fields.
    pub(crate) fields_max: usize,
    /// Bytes of the request target.
    pub(crate) target_bytes_max: usize,
}

/// Which side's heads are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Requests from clients.
    Request,
    /// Replies from services.
    Reply,
}

/// How the body after a head is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// There is none.
    Empty,
    /// This many bytes.
    Length(u64),
    /// Chunked.
    Chunked,
    /// Until the connection ends (replies only).
    UntilClose,
}

/// What the connection needs to know of a head that is in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Bytes of the head, the empty line too.
    pub(crate) bytes: usize,
    /// What follows.
    pub(crate) framing: Framing,
    /// Whether the sender asks to change the protocol, or does so.
    pub(crate) upgrade: bool,
    /// Status of a reply; 0 for a request.
    pub(crate) status: u16,
    /// Whether the query has characters that [`escaped`] must write as escapes before the head is passed on.
    pub(crate) escape: bool,
}

/// Why a message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Malformed: what exactly.
    Malformed(&'static str),
    /// More fields or bytes than the bounds allow.
    HeadTooLarge,
    /// A target longer than its bound.
    TargetTooLong,
    /// A method that is served nowhere.
    MethodNotAllowed(&'static str),
    /// A method or coding that is not served.
    NotImplemented(&'static str),
    /// Another version of HTTP.
    Version,
    /// The head did not arrive in time.
    Slow,
}

impl Refusal {
    /// The reply.
    pub(crate) fn problem(self, bounds: &Bounds) -> Problem {
        match self {
            Self::Malformed(what) => Problem::new(&codes::BAD_REQUEST, what),
            Self::HeadTooLarge => Problem::new(
                &edge::HEADERS_TOO_LARGE,
                format!(
                    "the header may have {} fields and {} bytes",
                    bounds.fields_max, bounds.head_bytes_max
                ),
            ),
            Self::TargetTooLong => Problem::new(
                &edge::URI_TOO_LONG,
                format!("the request target may have {} bytes", bounds.target_bytes_max),
            ),
            Self::MethodNotAllowed(what) => Problem::new(&codes::METHOD_NOT_ALLOWED, what).header(
                http::header::ALLOW,
                "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
            ),
            Self::NotImplemented(what) => Problem::new(&edge::NOT_IMPLEMENTED, what),
            Self::Version => Problem::new(
                &edge::VERSION_NOT_SUPPORTED,
                "this port speaks HTTP/1.1 and HTTP/1.0",
            ),
            Self::Slow => Problem::new(
                &edge::REQUEST_TIMEOUT,
                "the header of the request was not complete in time",
            ),
        }
    }
}

/// Judges the head at the start of `bytes`. `None`: it is not complete yet.
pub(crate) fn judge(bytes: &[u8], side: Side, bounds: &Bounds) -> Result<Option<Head>, Refusal> {
    let mut lines = Lines { bytes, at: 0 };
    let Some(first) = lines.next()? else {
        return partial(bytes, true, side, bounds);
    };
    let mut found = Found::default();
    match side {
        Side::Request => found.request_line(first, bounds)?,
        Side::Reply => found.status_line(first)?,
    }
    loop {
        let Some(line) = lines.next()? else {
            return partial(bytes, false, side, bounds);
        };
        if line.is_empty() {
            break;
        }
        found.fields += 1;
        if found.fields > bounds.fields_max || lines.at > bounds.head_bytes_max {
            return Err(Refusal::HeadTooLarge);
        }
        found.field(line)?;
    }
    // As it will be passed on, escapes counted.
    if lines.at + 2 * found.escapes > bounds.head_bytes_max {
        return Err(Refusal::HeadTooLarge);
    }
    Ok(Some(found.finish(lines.at, side)?))
}

/// Characters that stand raw in the queries of many clients (`details->>colour=eq.red` typed into curl) although
/// RFC 3986 wants them escaped. No server reads a boundary out of them.
fn is_raw_in_queries(byte: u8) -> bool {
    matches!(byte, b'"' | b'<' | b'>')
}

/// A head that was judged, with those characters of its query as escapes.
pub(crate) fn escaped(head: &[u8]) -> Vec<u8> {
    let end = memchr::memchr(b'\r', head).unwrap_or(head.len());
    let query = memchr::memchr(b'?', &head[..end]).unwrap_or(end);
    let mut out = Vec::with_capacity(head.len() + 32);
    out.extend_from_slice(&head[..query]);
    for &byte in &head[query..end] {
        match byte {
            b'"' => out.extend_from_slice(b"%22"),
            b'<' => out.extend_from_slice(b"%3C"),
            b'>' => out.extend_from_slice(b"%3E"),
            _ => out.push(byte),
        }
    }
    out.extend_from_slice(&head[end..]);
    out
}

/// An incomplete head that is over a bound already is refused without waiting for its end.
fn partial(bytes: &[u8], in_first_line: bool, side: Side, bounds: &Bounds) -> Result<Option<Head>, Refusal> {
    const REST_OF_LINE: usize = 64;
    if in_first_line && side == Side::Request && bytes.len() > bounds.target_bytes_max + REST_OF_LINE {
        return Err(Refusal::TargetTooLong);
    }
    if bytes.len() > bounds.head_bytes_max {
        return Err(Refusal::HeadTooLarge);
    }
    Ok(None)
}

/// Lines that end in CR LF and hold no other control character but the tab.
struct Lines<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Result<Option<&'a [u8]>, Refusal> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(end) = control(rest) else {
            return Ok(None);
        };
        match (rest[end], rest.get(end + 1)) {
            (b'\r', None) => Ok(None),
            (b'\r', Some(b'\n')) => {
                self.at += end + 2;
                Ok(Some(&rest[..end]))
            }
            (b'\r', Some(_)) => Err(Refusal::Malformed("a carriage return stands alone")),
            (b'\n', _) => Err(Refusal::Malformed("a line ends in a bare line feed")),
            _ => Err(Refusal::Malformed("the header has a control character")),
        }
    }
}

/// Where the first control character is. Eight bytes are looked at in one step.
fn control(bytes: &[u8]) -> Option<usize> {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    let (eights, rest) = bytes.as_chunks::<8>();
    for (number, eight) in eights.iter().enumerate() {
        let word = u64::from_le_bytes(*eight);
        let deleted = word ^ (EACH * 0x7f);
        // The high bit of each byte below 0x20 and of each 0x7f; a borrow may set that of the byte behind one too.
        let mut some =
            (word.wrapping_sub(EACH * 0x20) & !word | deleted.wrapping_sub(EACH) & !deleted) & (EACH * 0x80);
        while some != 0 {
            let at = some.trailing_zeros() as usize / 8;
            if is_control(eight[at]) {
                return Some(number * 8 + at);
            }
            some &= some - 1;
        }
    }
    let at = rest.iter().position(|&b| is_control(b))?;
    Some(eights.len() * 8 + at)
}

#[derive(Default)]
struct Found<'a> {
    fields: usize,
    http10: bool,
    options: bool,
    target: &'a [u8],
    /// Characters of the target's query that will be escaped.
    escapes: usize,
    status: u16,
    host: Option<&'a [u8]>,
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
}

impl<'a> Found<'a> {
    fn request_line(&mut self, line: &'a [u8], bounds: &Bounds) -> Result<(), Refusal> {
        let malformed = Refusal::Malformed("the request line is not `METHOD target HTTP/1.1`");
        let mut parts = line.split(|&b| b == b' ');
        let (Some(method), Some(target), Some(version), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed);
        };
        if method.is_empty() || !method.iter().all(|&b| is_token(b)) {
            return Err(Refusal::Malformed("the method is not a token"));
        }
        match version {
            b"HTTP/1.1" => {}
            b"HTTP/1.0" => self.http10 = true,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                return Err(Refusal::Version);
            }
            _ => return Err(malformed),
        }
        if let Some(query) = memchr::memchr(b'?', target) {
            self.escapes = target[query..].iter().filter(|b| is_raw_in_queries(**b)).count();
        }
        if target.len() + 2 * self.escapes > bounds.target_bytes_max {
            return Err(Refusal::TargetTooLong);
        }
        self::method(method)?;
        self.options = method == b"OPTIONS";
        self.target = target;
        Ok(())
    }

    fn status_line(&mut self, line: &'a [u8]) -> Result<(), Refusal> {
        let malformed = Refusal::Malformed("the status line is not `HTTP/1.1 200 reason`");
        let (version, rest) = line.split_at_checked(9).ok_or(malformed)?;
        match version {
            b"HTTP/1.1 " => {}
            b"HTTP/1.0 " => self.http10 = true,
            _ => return Err(malformed),
        }
        let (code, reason) = rest.split_at_checked(3).ok_or(malformed)?;
        if !code.iter().all(u8::is_ascii_digit) || !(reason.is_empty() || reason[0] == b' ') {
            return Err(malformed);
        }
        self.status = code.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0'));
        if !(100..=599).contains(&self.status) {
            return Err(malformed);
        }
        Ok(())
    }

    fn field(&mut self, line: &'a [u8]) -> Result<(), Refusal> {
        if matches!(line[0], b' ' | b'\t') {
            return Err(Refusal::Malformed("a header line is folded"));
        }
        let Some(colon) = line.iter().position(|&b| !is_token(b)) else {
            return Err(Refusal::Malformed("a header line has no colon"));
        };
        if colon == 0 || line[colon] != b':' {
            return Err(Refusal::Malformed(
                "a header field's name is not a token right before its colon",
            ));
        }
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.set_host(value)?,
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value)?,
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.transfer_encoding(value)?,
            _ => {}
        }
        framing_in_disguise(name)
    }

    fn set_host(&mut self, value: &'a [u8]) -> Result<(), Refusal> {
        match self.host.replace(value) {
            None => Ok(()),
            Some(_) => Err(Refusal::Malformed("there is more than one Host field")),
        }
    }

    /// RFC 9112 section 6.3. A repeated field is refused even when the values agree.
    fn content_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let length = self::content_length(value)?;
        if self.length.replace(length).is_some() {
            return Err(Refusal::Malformed("there is more than one Content-Length"));
        }
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        if value.eq_ignore_ascii_case(b"chunked") {
            if self.chunked {
                return Err(Refusal::Malformed("there is more than one Transfer-Encoding"));
            }
            self.chunked = true;
            return Ok(());
        }
        let known = [
            b"gzip".as_slice(),
            b"x-gzip",
            b"deflate",
            b"compress",
            b"x-compress",
        ];
        if known.iter().any(|coding| value.eq_ignore_ascii_case(coding)) {
            return Err(Refusal::NotImplemented(
                "of the transfer codings only `chunked` is served",
            ));
        }
        Err(Refusal::Malformed("Transfer-Encoding is not `chunked`"))
    }

    fn finish(self, bytes: usize, side: Side) -> Result<Head, Refusal> {
        if self.chunked && self.length.is_some() {
            return Err(Refusal::Malformed(
                "there are both Content-Length and Transfer-Encoding",
            ));
        }
        if self.chunked && self.http10 {
            return Err(Refusal::Malformed("HTTP/1.0 has no Transfer-Encoding"));
        }
        if side == Side::Request {
            self.host_and_target()?;
        }
        if self.status == 204 && self.length.is_some_and(|length| length > 0) {
            return Err(Refusal::Malformed("a 204 announces a body"));
        }
        let framing = match (self.chunked, self.length, side) {
            (true, _, _) => Framing::Chunked,
            (false, Some(0), _) | (false, None, Side::Request) => Framing::Empty,
            (false, Some(length), _) => Framing::Length(length),
            (false, None, Side::Reply) => Framing::UntilClose,
        };
        let upgrade = self.upgrade && !self.http10;
        Ok(Head {
            bytes,
            framing,
            upgrade,
            status: self.status,
            escape: self.escapes > 0,
        })
    }

    fn host_and_target(&self) -> Result<(), Refusal> {
        match self.host {
            None if !self.http10 => return Err(Refusal::Malformed("there is no Host field")),
            Some(host) if !is_host(host) => {
                return Err(Refusal::Malformed("Host is not a host with an optional port"));
            }
            _ => {}
        }
        let malformed = Refusal::Malformed("the request target is not a path");
        // Nearly every target is of characters that are legal anywhere behind the first `/`: no more to see.
        if self.target.first() == Some(&b'/') && self.target.iter().all(|&b| is_plain(b) || b == b'?') {
            return Ok(());
        }
        match self.target {
            b"*" if self.options => return Ok(()),
            [b'/', ..] => {}
            other => {
                let text = std::str::from_utf8(other).map_err(|_| malformed)?;
                let Some((scheme, rest)) = text.split_once("://") else {
                    return Err(malformed);
                };
                if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
                    return Err(malformed);
                }
                let authority = rest.split(['/', '?']).next().unwrap_or_default();
                if !is_host(authority.as_bytes()) {
                    return Err(malformed);
                }
                if self
                    .host
                    .is_some_and(|host| !host.eq_ignore_ascii_case(authority.as_bytes()))
                {
                    return Err(Refusal::Malformed(
                        "the request target names another host than Host",
                    ));
                }
            }
        }
        if self.target.iter().any(|&b| b == b'#' || !b.is_ascii_graphic()) || !self.is_uri() {
            return Err(Refusal::Malformed(
                "the request target has a character that must be percent-encoded",
            ));
        }
        Ok(())
    }
}

impl Found<'_> {
    /// Whether the library will take the target, as it will be passed on.
    fn is_uri(&self) -> bool {
        if self.escapes == 0 {
            return http::Uri::try_from(self.target).is_ok();
        }
        http::Uri::try_from(escaped(self.target)).is_ok()
    }
}

/// Refuses methods that are served nowhere.
pub(crate) fn method(method: &[u8]) -> Result<(), Refusal> {
    match method {
        b"CONNECT" => Err(Refusal::NotImplemented(
            "CONNECT is not served: this is no forward proxy",
        )),
        // A method that is known and never allowed is 405, not 501 (RFC 9110 section 9.1).
        b"TRACE" => Err(Refusal::MethodNotAllowed(
            "TRACE is not served: it would show credentials",
        )),
        _ => Ok(()),
    }
}

/// The number of a `Content-Length`.
pub(crate) fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    let digits = (1..=18).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    if !digits {
        return Err(Refusal::Malformed("Content-Length is not one number"));
    }
    Ok(value.iter().fold(0, |n, d| n * 10 + u64::from(d - b'0')))
}

/// Refuses a field that servers which read `_` as `-` would frame the message by.
pub(crate) fn framing_in_disguise(name: &[u8]) -> Result<(), Refusal> {
    let disguised = match name.len() {
        14 => name.eq_ignore_ascii_case(b"content_length"),
        17 => name.eq_ignore_ascii_case(b"transfer_encoding"),
        _ => false,
    };
    if disguised {
        return Err(Refusal::Malformed(
            "a field would frame the message where `_` is read as `-`",
        ));
    }
    Ok(())
}

/// RFC 9110 section 5.6.2.
#[inline]
pub(crate) fn is_token(byte: u8) -> bool {
    const TABLE: [bool; 256] = alphanumeric_or(b"!#$%&'*+-.^_`|~");
    TABLE[usize::from(byte)]
}

/// A table of ASCII letters, digits and these.
pub(crate) const fn alphanumeric_or(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < others.len() {
        table[others[at] as usize] = true;
        at += 1;
    }
    table
}

/// Control characters but the tab, which a field value may hold.
#[inline]
pub(crate) fn is_control(byte: u8) -> bool {
    (byte < 0x20 && byte != b'\t') || byte == 0x7f
}

/// `host[:port]`: letters, digits, `-._`, or an IPv6 address in brackets.
pub(crate) fn is_host(text: &[u8]) -> bool {
    const NAME: [bool; 256] = alphanumeric_or(b"-._");
    let (host, port) = match text {
        [b'[', rest @ ..] => {
            let Some(end) = memchr::memchr(b']', rest) else {
                return false;
            };
            let inner = std::str::from_utf8(&rest[..end]).unwrap_or_default();
            if inner.parse::<std::net::Ipv6Addr>().is_err() {
                return false;
            }
            match &rest[end + 1..] {
                [] => return true,
                [b':', port @ ..] => (&b"v6"[..], port),
                _ => return false,
            }
        }
        _ => match memchr::memchr(b':', text) {
            Some(colon) => (&text[..colon], &text[colon + 1..]),
            None => (text, &b""[..]),
        },
    };
    let name = |b: &u8| NAME[usize::from(*b)];
    let port_fine = port.is_empty()
        || std::str::from_utf8(port).is_ok_and(|p| p.parse::<u16>().is_ok() && !p.starts_with('+'));
    !host.is_empty() && host.len() <= 255 && host.iter().all(name) && port_fine
}

#[cfg(test)]
mod tests;
