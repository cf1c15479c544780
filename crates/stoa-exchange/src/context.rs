//! What is known about an exchange from its first byte on.

use crate::{
    Identity, Trail,
    text::{DIGITS, put_hex},
};
use http::HeaderValue;
use std::{
    cell::RefCell,
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Instant,
};

/// What is known about one exchange beside its request. Made by the listener, filled on the way.
#[derive(Debug)]
pub struct Context {
    /// `x-request-id`, accepted from the caller or made.
    pub request_id: RequestId,
    /// W3C trace context: the position of this process in the trace.
    pub trace: Trace,
    /// The other end of the connection.
    pub peer: SocketAddr,
    /// The client's address: `peer`, or what a trusted proxy says.
    pub client: IpAddr,
    /// How the client reached us: by this connection, or as a trusted proxy says.
    pub scheme: Scheme,
    /// `Host` as the client sent it (or a trusted proxy says), lower case, with port if there was one. May be empty.
    pub host: String,
    /// Who makes the request; set by the auth policy.
    pub identity: Identity,
    /// Whether the request carried credentials, accepted or not.
    pub credentials: bool,
    /// The route that matched, as shown to people and in records: a template, never the raw path.
    pub route: Option<Arc<str>>,
    /// When the head of the request was complete.
    pub started: Instant,
    /// When the answer is of no use any more.
    pub deadline: Option<Instant>,
    /// The bound of the request's body on this route, in bytes.
    pub body_bytes_max: u64,
    /// Decisions, noted only when somebody asked for them.
    pub trail: Trail,
}

impl Context {
    /// A context for a request that did not come over a network: commands and tests.
    pub fn local() -> Self {
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            request_id: RequestId::generate(),
            trace: Trace::generate(),
            peer,
            client: peer.ip(),
            scheme: Scheme::Http,
            host: String::from("localhost"),
            identity: Identity::Anonymous,
            credentials: false,
            route: None,
            started: crate::clock::now(),
            deadline: None,
            body_bytes_max: 1024 * 1024,
            trail: Trail::off(),
        }
    }
}

/// `http` or `https`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl Scheme {
    /// As in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// `x-request-id`: 1 to 128 visible ASCII characters without spaces. Kept as the field that it is sent as.
#[derive(Clone, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// A new one: 32 random hexadecimal digits.
    pub fn generate() -> Self {
        let mut digits = [0; 32];
        put_hex(&mut digits, &random::<16>());
        // Never empty: hexadecimal digits are legal in a field.
        Self(HeaderValue::from_bytes(&digits).unwrap_or_else(|_| HeaderValue::from_static("")))
    }

    /// The caller's, if it is well formed.
    pub fn accept(text: &str) -> Option<Self> {
        let fine = (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        let value = if fine {
            HeaderValue::from_str(text).ok()
        } else {
            None
        };
        value.map(Self)
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        // Never empty: only visible ASCII is taken.
        self.0.to_str().unwrap_or_default()
    }

    /// As the value of a header field.
    pub fn to_field(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// W3C Trace Context, level 1: what `traceparent` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The trace.
    pub trace_id: [u8; 16],
    /// This process's span in it.
    pub span_id: [u8; 8],
    /// The caller's span, if it sent one.
    pub parent_id: Option<[u8; 8]>,
    /// Whether the trace is recorded.
    pub sampled: bool,
}

impl Trace {
    /// A trace that begins here, not recorded.
    pub fn generate() -> Self {
        let bytes = random::<24>();
        let mut trace = Self {
            trace_id: [0; 16],
            span_id: [0; 8],
            parent_id: None,
            sampled: false,
        };
        trace.trace_id.copy_from_slice(&bytes[..16]);
        trace.span_id.copy_from_slice(&bytes[16..]);
        trace
    }

    /// Continues the caller's trace with a span of our own; `None` when `traceparent` is not well formed.
    pub fn accept(traceparent: &str) -> Option<Self> {
        let bytes = traceparent.as_bytes();
        let shape = bytes.len() >= 55 && bytes[2] == b'-' && bytes[35] == b'-' && bytes[52] == b'-';
        if !shape || &bytes[..2] == b"ff" || (&bytes[..2] == b"00" && bytes.len() != 55) {
            return None;
        }
        let version = unhex::<1>(&bytes[..2]);
        let (trace_id, parent) = (unhex::<16>(&bytes[3..35])?, unhex::<8>(&bytes[36..52])?);
        let flags = unhex::<1>(&bytes[53..55])?;
        if version.is_none() || trace_id == [0; 16] || parent == [0; 8] {
            return None;
        }
        Some(Self {
            trace_id,
            span_id: random::<8>(),
            parent_id: Some(parent),
            sampled: flags[0] & 1 == 1,
        })
    }

    /// The field's value for whoever is called from here.
    pub fn to_traceparent(self) -> HeaderValue {
        let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
        put_hex(&mut text[3..35], &self.trace_id);
        put_hex(&mut text[36..52], &self.span_id);
        text[54] += u8::from(self.sampled);
        // Never empty: hexadecimal digits are legal in a field.
        HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

/// Random bytes, taken from the system in blocks: two draws a request would cost more than the rest of an id.
fn random<const N: usize>() -> [u8; N] {
    const BLOCK: usize = 1024;
    thread_local! {
        static DRAWN: RefCell<([u8; BLOCK], usize)> = const { RefCell::new(([0; BLOCK], BLOCK)) };
    }
    DRAWN.with_borrow_mut(|(block, used)| {
        if *used + N > BLOCK {
            aws_lc_rs::rand::fill(block).expect("the system gives random bytes");
            *used = 0;
        }
        let mut bytes = [0; N];
        bytes.copy_from_slice(&block[*used..*used + N]);
        *used += N;
        bytes
    })
}

/// Lower case only, as the standard says.
fn unhex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let digit = |b: &u8| DIGITS.iter().position(|d| d == b);
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = u8::try_from(digit(&pair[0])? * 16 + digit(&pair[1])?).ok()?;
    }
    (text.len() == N * 2).then_some(bytes)
}
