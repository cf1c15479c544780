//! An HTTP/2 client that says whatever it is told to, frame by frame.

use crate::support::{Client, Served};
use tokio::net::TcpStream;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const PADDED: u8 = 8;

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The code of a `RST_STREAM` or `GOAWAY`.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// A frame as bytes, whatever sense it makes.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut out = length[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

/// A field as HPACK has it without compression (RFC 7541 section 6.2.2), names and values as they are.
pub(crate) fn field(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.push(0);
    for text in [name, value] {
        number(out, 0, 7, text.len());
        out.extend(text);
    }
}

/// An integer with a prefix of so many bits (RFC 7541 section 5.1).
pub(crate) fn number(out: &mut Vec<u8>, first: u8, bits: u8, mut value: usize) {
    let most = (1 << bits) - 1;
    if value < most {
        out.push(first | u8::try_from(value).unwrap());
        return;
    }
    out.push(first | u8::try_from(most).unwrap());
    value -= most;
    while value >= 128 {
        out.push(u8::try_from(value % 128).unwrap() | 128);
        value /= 128;
    }
    out.push(u8::try_from(value).unwrap());
}

pub(crate) fn block(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        field(&mut out, name, value);
    }
    out
}

/// The pseudo fields of an ordinary request.
pub(crate) fn pseudo<'a>(method: &'a str, path: &'a str) -> Vec<(&'a [u8], &'a [u8])> {
    vec![
        (b":method", method.as_bytes()),
        (b":scheme", b"http"),
        (b":authority", b"api.test"),
        (b":path", path.as_bytes()),
    ]
}

/// The whole of an ordinary request.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(
        HEADERS,
        END_HEADERS | END_STREAM,
        stream,
        &block(&pseudo("GET", path)),
    )
}

/// The raw client.
pub(crate) struct Raw {
    pub(crate) client: Client<TcpStream>,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A reply's status and its body.
    Status(u16, Vec<u8>),
    /// `RST_STREAM`.
    Reset(u32),
    /// `GOAWAY` with an error.
    Goaway(u32),
    /// The connection ended without a word.
    Closed,
}

impl Outcome {
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Self::Status(status, _) => (400..600).contains(status),
            _ => true,
        }
    }
}

impl Raw {
    /// A connection on which the preface and these settings were sent.
    pub(crate) async fn open_with(served: &Served, settings: &[u8]) -> Self {
        let mut client = served.connect().await;
        client.send(PREFACE).await;
        client.send(frame(SETTINGS, 0, 0, settings)).await;
        Self { client }
    }

    pub(crate) async fn open(served: &Served) -> Self {
        Self::open_with(served, &[]).await
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.client.send(bytes).await;
    }

    /// Sends what may be refused while it is sent.
    pub(crate) async fn try_send(&mut self, bytes: &[u8]) -> bool {
        use tokio::io::AsyncWriteExt;
        matches!(
            tokio::time::timeout(crate::support::LONG, self.client.stream.write_all(bytes)).await,
            Ok(Ok(()))
        )
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            let rest = &self.client.rest;
            if let Some(head) = rest.get(..9) {
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                if rest.len() >= 9 + length {
                    let head: Vec<u8> = self.client.rest.drain(..9).collect();
                    let payload = self.client.rest.drain(..length).collect();
                    return Some(Frame {
                        kind: head[3],
                        flags: head[4],
                        stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
                        payload,
                    });
                }
            }
            if !self.client.more().await {
                return None;
            }
        }
    }

    /// The next frame of a kind.
    pub(crate) async fn wait(&mut self, kind: u8) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if frame.kind == kind {
                return Some(frame);
            }
        }
    }

    /// What becomes of a request. The reply's windows are kept open.
    pub(crate) async fn outcome(&mut self, stream: u32) -> Outcome {
        let (mut status, mut body) = (0, Vec::new());
        loop {
            let Some(frame) = self.next().await else {
                return Outcome::Closed;
            };
            match frame.kind {
                GOAWAY if frame.code() != 0 => return Outcome::Goaway(frame.code()),
                RST_STREAM if frame.stream == stream && (frame.code() != 0 || status == 0) => {
                    return Outcome::Reset(frame.code());
                }
                HEADERS if frame.stream == stream && (status == 0 || status / 100 == 1) => {
                    status = status_of(&frame.payload);
                }
                DATA if frame.stream == stream => body.extend(&frame.payload),
                SETTINGS if frame.flags & ACK == 0 => {
                    self.try_send(&self::frame(SETTINGS, ACK, 0, &[])).await;
                }
                PING if frame.flags & ACK == 0 => {
                    self.try_send(&self::frame(PING, ACK, 0, &frame.payload)).await;
                }
                _ => {}
            }
            let ends = matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0;
            if ends && frame.stream == stream {
                return Outcome::Status(status, body);
            }
        }
    }

    /// How the connection ends: the code of its `GOAWAY`, `None` where it ended without one.
    pub(crate) async fn end(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                code = Some(frame.code());
            }
        }
        code
    }
}

/// The status at the beginning of a reply's block of fields.
pub(crate) fn status_of(block: &[u8]) -> u16 {
    let mut block = block;
    // Changes of the table's size come first.
    while block.first().is_some_and(|b| b >> 5 == 1) {
        let more = block[0] & 31 == 31;
        block = &block[1..];
        while more && block[0] & 128 != 0 {
            block = &block[1..];
        }
        if more {
            block = &block[1..];
        }
    }
    match block[0] {
        0x88 => 200,
        0x89 => 204,
        0x8a => 206,
        0x8b => 304,
        0x8c => 400,
        0x8d => 404,
        0x8e => 500,
        // A literal whose name is `:status`.
        0x48 | 0x08 | 0x18 => {
            let length = usize::from(block[1] & 127);
            let value = &block[2..2 + length];
            if block[1] & 128 == 0 {
                return std::str::from_utf8(value).unwrap().parse().unwrap();
            }
            digits(value)
        }
        other => panic!("a reply begins with {other:#x}"),
    }
}

/// Three digits in the Huffman code of HPACK.
fn digits(bytes: &[u8]) -> u16 {
    let bits: Vec<u8> = bytes
        .iter()
        .flat_map(|b| (0..8).rev().map(move |at| b >> at & 1))
        .collect();
    let (mut at, mut number) = (0, 0);
    for _ in 0..3 {
        let take = |n: usize| bits[at..at + n].iter().fold(0_u16, |v, b| v << 1 | u16::from(*b));
        let (digit, long) = match take(5) {
            short @ 0..=2 => (short, 5),
            _ => (take(6) - 0b01_1001 + 3, 6),
        };
        number = number * 10 + digit;
        at += long;
    }
    number
}
