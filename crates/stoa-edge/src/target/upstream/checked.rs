//! What a service sends, judged as strictly as what a client sends: two lengths, bare line feeds or a broken
//! chunk end the connection before anybody can read two things out of them.

use super::{
    pool::{REPLY_FIELDS_MAX, REPLY_HEAD_BYTES_MAX},
    stream::Stream,
};
use crate::listen::{
    framer::{Framer, Then},
    head::{Bounds, Refusal, Side},
};
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is expected of a service on one connection.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    replies: AtomicU64,
    bodiless: AtomicBool,
}

impl Expected {
    /// A request is about to be sent; whether its reply has a body whatever its head says (not so for HEAD).
    pub(super) fn reply(&self, body: bool) {
        self.bodiless.store(!body, Relaxed);
        self.replies.fetch_add(1, Relaxed);
    }
}

/// A connection to a service, judged.
pub(super) struct Checked {
    inner: Stream,
    framer: Framer,
    expected: Arc<Expected>,
    held: Vec<u8>,
    ready: Vec<u8>,
    broken: Option<&'static str>,
}

impl Checked {
    pub(super) fn new(inner: Stream, expected: Arc<Expected>) -> Self {
        let bounds = Bounds {
            head_bytes_max: REPLY_HEAD_BYTES_MAX,
            fields_max: REPLY_FIELDS_MAX,
            target_bytes_max: 0,
        };
        Self {
            inner,
            framer: Framer::new(Side::Reply, bounds),
            expected,
            held: Vec::new(),
            ready: Vec::new(),
            broken: None,
        }
    }

    fn follow(&mut self, then: Then, rest: &[u8]) {
        match then {
            Then::More => {}
            Then::Hold => self.held = rest.to_vec(),
            Then::Refuse(Refusal::Malformed(why)) | Then::Break(why) => self.broken = Some(why),
            Then::Refuse(_) => self.broken = Some("the header is too large"),
            Then::Escape(_) => self.broken = Some("unreachable: a reply has no query"),
        }
    }
}

impl AsyncRead for Checked {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if !this.ready.is_empty() {
                let taken = this.ready.len().min(buf.remaining());
                buf.put_slice(&this.ready[..taken]);
                this.ready.drain(..taken);
                return Poll::Ready(Ok(()));
            }
            if let Some(why) = this.broken {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
            }
            this.framer.bodiless = this.expected.bodiless.load(Relaxed);
            this.framer.asked = this.expected.replies.load(Relaxed);
            if this.held.is_empty() {
                let before = buf.filled().len();
                ready!(Pin::new(&mut this.inner).poll_read(cx, buf))?;
                let new = &buf.filled()[before..];
                if new.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                let verdict = this.framer.advance(new);
                if verdict.then == Then::More {
                    return Poll::Ready(Ok(()));
                }
                this.follow(verdict.then, &new[verdict.pass..]);
                buf.set_filled(before + verdict.pass);
                if verdict.pass > 0 {
                    return Poll::Ready(Ok(()));
                }
            } else {
                let mut space = [0; 4096];
                let mut more = ReadBuf::new(&mut space);
                ready!(Pin::new(&mut this.inner).poll_read(cx, &mut more))?;
                if more.filled().is_empty() {
                    return Poll::Ready(Ok(()));
                }
                this.held.extend_from_slice(more.filled());
                // A head ends in a line feed: before one comes, there is nothing new to judge.
                let complete = memchr::memchr(b'\n', more.filled()).is_some();
                if !complete && this.held.len() <= REPLY_HEAD_BYTES_MAX {
                    continue;
                }
                let held = std::mem::take(&mut this.held);
                let verdict = this.framer.advance(&held);
                this.ready.extend_from_slice(&held[..verdict.pass]);
                this.follow(verdict.then, &held[verdict.pass..]);
            }
        }
    }
}

impl AsyncWrite for Checked {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A request without a body is one part, which is cheaper to send alone.
        match bufs {
            [whole] => Pin::new(&mut self.inner).poll_write(cx, whole),
            _ => Pin::new(&mut self.inner).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
