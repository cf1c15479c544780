//! What stands between a socket and the HTTP library: it follows the boundaries of messages, withholds what is
//! not in order, and ends waits that last too long. The library acts only on bytes that passed here.
//!
//! A refused head is replaced by a harmless one, and the reason is left in [`Shared`], where the service finds
//! it when its turn comes: so replies keep their order and the refusal is written and recorded like any reply.

use super::{
    framer::{Framer, Then, Verdict},
    head::{self, Bounds, Refusal, Side},
    transport::{self, Transport},
};
use crate::timer::Timer;
use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};
use stoa_exchange::clock;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

/// Read in place of a refused head.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n";

/// A client that closed its side while its reply is under way may only have half-closed: its reply has this
/// long to come before the client counts as gone. Nothing on the socket tells the two apart before the first byte
/// of a reply is sent (a closed peer answers that with a reset), and a client that gave up must not keep a
/// service busy. nginx in front of a service decides alike, and at once (499).
const HALF_CLOSED: Duration = Duration::from_millis(40);

/// How long, and how many bytes, a closed connection is read on so that the last reply is not lost to a reset.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// Parts of a message that are together no longer than this are copied into one.
const GATHER_BYTES: usize = 2048;

/// What the guard and the service of one connection tell each other.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// The head with this number was refused.
    refusal: Mutex<Option<(u64, Refusal)>>,
    has_refusal: AtomicBool,
    /// 0 not decided, 1 the protocol changes, 2 it stays.
    decision: AtomicU8,
    /// Wakes the connection where it waits for the decision.
    undecided: Mutex<Option<Waker>>,
    /// Requests that were answered to the end, and when the last was, in milliseconds since the connection began.
    answered: AtomicU64,
    answered_ms: AtomicU64,
    began: OnceLock<Instant>,
    /// The reply broke off: the end of the connection must not look like the end of the reply.
    broken: AtomicBool,
}

impl Shared {
    /// Why the head number `number` (from 1) was refused, if it was.
    pub(crate) fn refusal(&self, number: u64) -> Option<Refusal> {
        if !self.has_refusal.load(Relaxed) {
            return None;
        }
        let refusal = *self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        refusal.filter(|(at, _)| *at == number).map(|(_, why)| why)
    }

    fn refuse(&self, number: u64, why: Refusal) {
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some((number, why));
        self.has_refusal.store(true, Relaxed);
    }

    /// Says whether the protocol changes with the reply to a request that asked for it.
    pub(crate) fn decide(&self, tunnel: bool) {
        self.decision.store(if tunnel { 1 } else { 2 }, Relaxed);
        let waiting = self
            .undecided
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// A request was answered to its end.
    pub(crate) fn set_answered(&self, at: Instant) {
        let since = at.saturating_duration_since(self.began());
        self.answered_ms.store(since.as_millis() as u64, Relaxed);
        self.answered.fetch_add(1, Relaxed);
    }

    fn began(&self) -> Instant {
        *self.began.get_or_init(clock::now)
    }

    /// When the connection became idle.
    fn idle_since(&self) -> Instant {
        self.began() + Duration::from_millis(self.answered_ms.load(Relaxed))
    }

    /// The reply broke off.
    pub(crate) fn set_broken(&self) {
        self.broken.store(true, Relaxed);
    }
}

/// How long the guard waits for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    /// For a whole head, from its first byte (or the accept).
    pub(crate) head: Duration,
    /// For the first byte of the next head.
    pub(crate) idle: Duration,
    /// For a client that does not read to take the next bytes.
    pub(crate) write: Duration,
}

/// A client's connection, guarded.
pub(crate) struct Guard<T: Transport> {
    inner: T,
    framer: Framer,
    shared: Arc<Shared>,
    waits: Waits,
    bounds: Bounds,
    /// Bytes that were read and not passed on yet.
    held: Vec<u8>,
    /// Bytes to pass on, from `ready_at`.
    ready: Vec<u8>,
    ready_at: usize,
    broken: Option<&'static str>,
    ended: bool,
    first: bool,
    /// When the first byte of what is held came.
    held_since: Option<Instant>,
    ended_until: Option<Instant>,
    /// When the wait for the client ends; the timer may be set to an earlier moment and is then set again.
    until: Option<Instant>,
    timer: Timer,
    write_timer: Option<Pin<Box<Sleep>>>,
    /// Whether the timer waits for encrypted bytes to leave.
    flushing: bool,
    linger: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<T: Transport> Guard<T> {
    /// Of a connection of which `first` was read already.
    pub(crate) fn new(inner: T, first: &[u8], shared: Arc<Shared>, bounds: Bounds, waits: Waits) -> Self {
        shared.began();
        let mut guard = Self {
            inner,
            framer: Framer::new(Side::Request, bounds),
            shared,
            waits,
            bounds,
            held: Vec::new(),
            ready: Vec::new(),
            ready_at: 0,
            broken: None,
            ended: false,
            first: true,
            held_since: None,
            ended_until: None,
            until: None,
            timer: Timer::default(),
            write_timer: None,
            flushing: false,
            linger: None,
        };
        guard.show(first);
        guard
    }

    /// Whether a request that was passed on still waits for the end of its reply.
    fn is_busy(&self) -> bool {
        self.framer.heads > self.shared.answered.load(Relaxed)
    }

    /// Passes on what is ready; whether there was any.
    fn give(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let rest = self.ready.get(self.ready_at..).unwrap_or_default();
        if rest.is_empty() {
            return false;
        }
        let taken = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..taken]);
        self.ready_at += taken;
        if self.ready_at == self.ready.len() {
            self.ready = Vec::new();
            self.ready_at = 0;
        }
        true
    }

    /// Bytes were passed on: what is held from now on is another head.
    fn passed(&mut self) {
        self.first = false;
        if self.held.is_empty() {
            self.held_since = None;
        }
    }

    fn refuse(&mut self, why: Refusal) {
        self.framer.stop();
        self.framer.heads += 1;
        self.shared.refuse(self.framer.heads, why);
        self.ready.extend_from_slice(STAND_IN);
        self.held = Vec::new();
    }

    fn follow(&mut self, then: Then, rest: &[u8]) {
        match then {
            Then::More => {}
            Then::Escape(bytes) => {
                let (head, behind) = rest.split_at(bytes);
                self.ready.extend_from_slice(&head::escaped(head));
                self.show(behind);
            }
            Then::Hold => {
                self.held = rest.to_vec();
                if self.held_since.is_none() && self.framer.at_head() {
                    self.held_since = Some(clock::now());
                    // A head has less time than a rest.
                    self.until = None;
                }
            }
            Then::Refuse(why) => self.refuse(why),
            Then::Break(why) => self.broken = Some(why),
        }
    }

    /// Shows what is held to the framer again, now that there is more of it or a decision.
    fn review(&mut self) {
        let held = std::mem::take(&mut self.held);
        self.show(&held);
    }

    /// Shows bytes to the framer and makes ready what is in order.
    fn show(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let Verdict { pass, then } = self.framer.advance(bytes);
            let (passed, rest) = bytes.split_at(pass);
            self.ready.extend_from_slice(passed);
            let Then::Escape(head) = then else {
                return self.follow(then, rest);
            };
            let (head, behind) = rest.split_at(head);
            self.ready.extend_from_slice(&head::escaped(head));
            bytes = behind;
        }
    }

    /// Reads behind bytes that are held. Ready when there is something to pass on, or the end.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut space = [0; 4096];
            let mut more = ReadBuf::new(&mut space);
            ready!(transport::receive(&mut self.inner, cx, &mut more))?;
            let more = more.filled();
            if more.is_empty() {
                self.ended = true;
                return Poll::Ready(Ok(()));
            }
            self.held.extend_from_slice(more);
            let complete =
                memchr::memchr(b'\n', more).is_some() || self.held.len() > self.bounds.head_bytes_max;
            if complete {
                self.review();
                if !self.ready.is_empty() || self.broken.is_some() {
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    /// Behind a head that asks for another protocol: what comes is kept until the reply decides.
    fn poll_decision(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.shared.decision.swap(0, Relaxed) {
            0 => {}
            decision => {
                self.framer.decide(decision == 1);
                self.review();
                return Poll::Ready(Ok(()));
            }
        }
        if !self.held.is_empty() {
            let waker = Some(cx.waker().clone());
            *self
                .shared
                .undecided
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = waker;
            return Poll::Pending;
        }
        let mut space = [0; 1024];
        let mut more = ReadBuf::new(&mut space);
        ready!(transport::receive(&mut self.inner, cx, &mut more))?;
        self.held.extend_from_slice(more.filled());
        self.ended = more.filled().is_empty();
        if self.ended {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    /// Reads into the library's buffer and takes back what must not pass.
    fn poll_direct(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(transport::receive(&mut self.inner, cx, buf))?;
        let new = &buf.filled()[before..];
        if new.is_empty() {
            self.ended = true;
            return Poll::Ready(Ok(()));
        }
        let verdict = self.framer.advance(new);
        if verdict.then != Then::More {
            self.follow(verdict.then, &new[verdict.pass..]);
            buf.set_filled(before + verdict.pass);
        }
        Poll::Ready(Ok(()))
    }

    /// Ends the wait for a client that says nothing. Ready when it is over.
    ///
    /// The timer runs while a request is under way too, since nothing but the socket and this timer brings the
    /// library back here; when it fires, it is seen what it should have waited for.
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.framer.at_head() {
            return Poll::Pending;
        }
        loop {
            let until = *self
                .until
                .get_or_insert_with(|| clock::now() + self.waits.idle.min(self.waits.head));
            ready!(self.timer.poll_until(until, cx));
            let now = clock::now();
            let due = if self.is_busy() {
                now + self.waits.idle
            } else if let Some(since) = self.held_since {
                since.max(self.shared.idle_since()) + self.waits.head
            } else if self.first {
                self.shared.began() + self.waits.head
            } else {
                self.shared.idle_since() + self.waits.idle
            };
            if due <= now {
                return Poll::Ready(());
            }
            self.until = Some(due);
        }
    }

    /// The client closed its side. While a reply is under way it may still want it.
    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_busy() || self.framer.is_tunnel() || !self.framer.at_head() {
            return Poll::Ready(());
        }
        let until = *self.ended_until.get_or_insert_with(|| clock::now() + HALF_CLOSED);
        self.timer.poll_until(until, cx)
    }
}

impl<T: Transport> AsyncRead for Guard<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        loop {
            if this.give(buf) {
                this.passed();
                return Poll::Ready(Ok(()));
            }
            if let Some(why) = this.broken.take() {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, why)));
            }
            if this.ended {
                ready!(this.poll_ended(cx));
                return Poll::Ready(Ok(()));
            }
            if this.framer.is_stopped() {
                // Not an end, which would cut off the replies under way: the last of them closes the connection.
                return Poll::Pending;
            }
            if this.framer.is_tunnel() && this.held.is_empty() {
                return transport::receive(&mut this.inner, cx, buf);
            }
            let polled = if this.framer.awaits_decision() {
                this.poll_decision(cx)
            } else if this.held.is_empty() {
                this.poll_direct(cx, buf)
            } else {
                this.poll_held(cx)
            };
            match polled {
                Poll::Ready(Ok(())) if buf.filled().len() > before => {
                    this.passed();
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => {
                    ready!(this.poll_wait(cx));
                    if this.held.is_empty() {
                        this.ended = true;
                    } else {
                        this.refuse(Refusal::Slow);
                    }
                }
            }
        }
    }
}

/// The parts of a short message in one, unless there is only one or they are more than fit.
fn gathered<'a>(bufs: &[io::IoSlice<'_>], space: &'a mut [u8]) -> Option<&'a [u8]> {
    let length: usize = bufs.iter().map(|part| part.len()).sum();
    let all = space.get_mut(..length).filter(|_| bufs.len() > 1)?;
    let mut at = 0;
    for part in bufs {
        all[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    Some(all)
}

impl<T: Transport> AsyncWrite for Guard<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, buf);
        self.progress(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // A head and a short body: one buffer is cheaper to send than two, by more than the copy costs.
        let mut space = [0; GATHER_BYTES];
        let polled = match gathered(bufs, &mut space) {
            Some(all) => Pin::new(&mut self.inner).poll_write(cx, all),
            None => Pin::new(&mut self.inner).poll_write_vectored(cx, bufs),
        };
        self.progress(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Encrypted bytes may wait here. A plain socket is always ready, which says nothing of its client.
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        if polled.is_ready() && !std::mem::take(&mut self.flushing) {
            return polled;
        }
        self.flushing = polled.is_pending();
        self.progress(cx, polled)
    }

    /// Closing a socket with unread bytes resets it, and the client may lose the reply it was just sent. So
    /// where bytes may still come, the write side is closed first and the rest is read into nothing for a while.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
            if this.ended || this.framer.is_tunnel() || (this.framer.at_head() && this.held.is_empty()) {
                return Poll::Ready(Ok(()));
            }
        }
        let (timer, bytes) = this
            .linger
            .get_or_insert_with(|| (Box::pin(tokio::time::sleep(LINGER)), LINGER_BYTES_MAX));
        loop {
            let mut space = [0; 4096];
            let mut rest = ReadBuf::new(&mut space);
            match Pin::new(&mut this.inner).poll_read(cx, &mut rest) {
                Poll::Ready(Ok(())) if !rest.filled().is_empty() && *bytes > rest.filled().len() => {
                    *bytes -= rest.filled().len();
                }
                Poll::Ready(_) => return Poll::Ready(Ok(())),
                Poll::Pending => {
                    ready!(timer.as_mut().poll(cx));
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

impl<T: Transport> Guard<T> {
    /// Ends the connection of a client that does not read.
    fn progress<N>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<N>>) -> Poll<io::Result<N>> {
        if polled.is_ready() {
            if self.write_timer.is_some() {
                self.write_timer = None;
            }
            return polled;
        }
        let wait = self.waits.write;
        let timer = self
            .write_timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(wait)));
        ready!(timer.as_mut().poll(cx));
        self.shared.set_broken();
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client does not read its reply",
        )))
    }
}

impl<T: Transport> Drop for Guard<T> {
    fn drop(&mut self) {
        if self.shared.broken.load(Relaxed) {
            // A reset, not an orderly end: a reply that is delimited by the end of the connection would look whole.
            self.inner.reset_when_dropped();
        }
    }
}
