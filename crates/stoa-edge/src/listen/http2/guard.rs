//! What stands between a socket and the HTTP/2 library: it follows the frames both ways, ends floods before they
//! cost, and ends waits that last too long.

use super::{
    frames::{Fault, Frames, Limits, Over},
    wire::{self, ENHANCE_YOUR_CALM, NO_ERROR},
};
use crate::{
    listen::transport::{self, Transport},
    timer::Timer,
};
use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use stoa_exchange::clock;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

/// How long, and how many bytes, a connection that was ended is read on so that the last word is not lost to a reset.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES_MAX: usize = 1024 * 1024;

/// A client's HTTP/2 connection, guarded.
pub(super) struct Guard<T: Transport> {
    inner: T,
    frames: Frames,
    /// For a client that does not take what is sent.
    write: Duration,
    /// What was read already, from `first_at`.
    first: Vec<u8>,
    first_at: usize,
    /// Frames for the library in the client's name.
    to_library: Vec<u8>,
    /// Frames for the client in the library's name; they wait for the end of the frame that is being sent.
    to_client: Vec<u8>,
    closed: bool,
    ending: Option<Ending>,
    timer: Timer,
    write_timer: Option<Pin<Box<Sleep>>>,
    /// Whether the timer waits for encrypted bytes to leave.
    flushing: bool,
}

/// How far the end of a connection has come.
struct Ending {
    why: &'static str,
    shut: bool,
    linger: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<T: Transport> Guard<T> {
    /// Of a connection of which `first` was read already.
    pub(super) fn new(inner: T, first: Vec<u8>, limits: Limits) -> Self {
        Self {
            inner,
            frames: Frames::new(limits, clock::now()),
            write: limits.write,
            first,
            first_at: 0,
            to_library: Vec::new(),
            to_client: Vec::new(),
            closed: false,
            ending: None,
            timer: Timer::default(),
            write_timer: None,
            flushing: false,
        }
    }

    /// Says goodbye and leaves.
    fn end(&mut self, code: u32, why: &'static str) {
        // Within a frame nothing can be said.
        if self.frames.sends_head() {
            self.to_client
                .extend_from_slice(&wire::goodbye(self.frames.newest(), code));
        }
        self.leave(why);
    }

    /// Reads nothing for the library any more.
    fn leave(&mut self, why: &'static str) {
        self.ending = Some(Ending {
            why,
            shut: false,
            linger: None,
        });
    }

    /// Sends what is to be said in the library's name, where a frame may begin.
    fn poll_say(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.to_client.is_empty() && self.frames.sends_head() {
            let polled = Pin::new(&mut self.inner).poll_write(cx, &self.to_client);
            let sent = ready!(self.progress(cx, polled))?;
            // Nothing of these is followed: the library did not send them.
            self.to_client.drain(..sent.min(self.to_client.len()));
        }
        Poll::Ready(Ok(()))
    }

    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let said = self.poll_say(cx);
        let Some(ending) = &mut self.ending else {
            return Poll::Pending;
        };
        let (timer, bytes) = ending
            .linger
            .get_or_insert_with(|| (Box::pin(tokio::time::sleep(LINGER)), LINGER_BYTES_MAX));
        let over = io::Error::new(io::ErrorKind::InvalidData, ending.why);
        if timer.as_mut().poll(cx).is_ready() || matches!(said, Poll::Ready(Err(_))) {
            return Poll::Ready(over);
        }
        if said.is_ready() && !ending.shut {
            if Pin::new(&mut self.inner).poll_flush(cx).is_pending() {
                return Poll::Pending;
            }
            if ready!(Pin::new(&mut self.inner).poll_shutdown(cx)).is_err() {
                return Poll::Ready(over);
            }
            ending.shut = true;
        }
        loop {
            let mut space = [0; 4096];
            let mut rest = ReadBuf::new(&mut space);
            match ready!(transport::receive(&mut self.inner, cx, &mut rest)) {
                Ok(()) if !rest.filled().is_empty() && *bytes > rest.filled().len() => {
                    *bytes -= rest.filled().len();
                }
                _ => return Poll::Ready(over),
            }
        }
    }

    /// Reads what comes next, from what was read already or from the client.
    fn poll_next(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let first = self.first.get(self.first_at..).unwrap_or_default();
        if first.is_empty() {
            return transport::receive(&mut self.inner, cx, buf);
        }
        let taken = first.len().min(buf.remaining());
        buf.put_slice(&first[..taken]);
        self.first_at += taken;
        if self.first_at == self.first.len() {
            (self.first, self.first_at) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }

    /// Looks whether a wait is over. Ready when something is to be done about it.
    fn poll_waits(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let due = self.frames.due(clock::now());
            ready!(self.timer.poll_until(due, cx));
            match self.frames.over(clock::now()) {
                Over::Nothing => {}
                Over::Connection => {
                    self.end(
                        NO_ERROR,
                        "the connection rested too long, or a head did not arrive in time",
                    );
                    return Poll::Ready(());
                }
                // Within a frame of the client's nothing can be said in its name.
                Over::Streams(_) if !self.frames.receives_head() => {
                    self.end(ENHANCE_YOUR_CALM, "the client does not take its replies");
                    return Poll::Ready(());
                }
                Over::Streams(streams) => {
                    for stream in streams {
                        self.to_library.extend_from_slice(&wire::reset(stream));
                        self.to_client.extend_from_slice(&wire::reset(stream));
                    }
                    return Poll::Ready(());
                }
            }
        }
    }

    /// Has the waits looked at again where one began: only reading sets the timer.
    fn wake(&mut self, cx: &Context<'_>) {
        if self.frames.began_to_wait() {
            cx.waker().wake_by_ref();
        }
    }

    /// Ends the connection of a client that does not read.
    fn progress<N>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<N>>) -> Poll<io::Result<N>> {
        if polled.is_ready() {
            self.write_timer = None;
            return polled;
        }
        let wait = self.write;
        let timer = self
            .write_timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(wait)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client does not read its replies",
        )))
    }
}

impl<T: Transport> AsyncRead for Guard<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.ending.is_some() {
                return this.poll_end(cx).map(Err);
            }
            // What could not be said yet is said when the library sends on.
            if let Poll::Ready(Err(error)) = this.poll_say(cx) {
                return Poll::Ready(Err(error));
            }
            if !this.to_library.is_empty() {
                let taken = this.to_library.len().min(buf.remaining());
                buf.put_slice(&this.to_library[..taken]);
                this.to_library.drain(..taken);
                return Poll::Ready(Ok(()));
            }
            let before = buf.filled().len();
            match this.poll_next(cx, buf) {
                Poll::Ready(Ok(())) => {
                    let new = buf.filled().get(before..).unwrap_or_default();
                    this.closed = new.is_empty();
                    match this.frames.received(new, clock::now()) {
                        Ok(()) => return Poll::Ready(Ok(())),
                        Err(Fault { code, why }) => {
                            buf.set_filled(before);
                            this.end(code, why);
                        }
                    }
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => ready!(this.poll_waits(cx)),
            }
        }
    }
}

impl<T: Transport> AsyncWrite for Guard<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.ending.is_some() {
            // Nothing the library has to say comes behind a goodbye.
            return Poll::Ready(Ok(buf.len()));
        }
        ready!(this.poll_say(cx))?;
        let fits = if this.to_client.is_empty() {
            buf.len()
        } else {
            this.frames.to_next_head(buf)
        };
        let mut part = buf.get(..fits).unwrap_or(buf);
        match this.frames.ends_for_a_block(part) {
            None => {}
            Some(0) => {
                // Which of the two it was is not known here, so nothing is said that may be wrong.
                this.leave("a block of fields is malformed");
                cx.waker().wake_by_ref();
                return Poll::Ready(Ok(buf.len()));
            }
            Some(before) => part = part.get(..before).unwrap_or(part),
        }
        let polled = Pin::new(&mut this.inner).poll_write(cx, part);
        let sent = ready!(this.progress(cx, polled))?;
        this.frames
            .sent(part.get(..sent).unwrap_or_default(), clock::now());
        this.wake(cx);
        Poll::Ready(Ok(sent))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let apart = bufs
            .iter()
            .any(|part| this.frames.ends_for_a_block(part).is_some());
        if this.ending.is_some() || !this.to_client.is_empty() || apart {
            let first = bufs.iter().find(|part| !part.is_empty());
            return self.poll_write(cx, first.map_or(&[], |part| &**part));
        }
        let polled = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        let sent = ready!(this.progress(cx, polled))?;
        let (mut left, now) = (sent, clock::now());
        for part in bufs {
            let taken = left.min(part.len());
            this.frames.sent(&part[..taken], now);
            left -= taken;
            if left == 0 {
                break;
            }
        }
        this.wake(cx);
        Poll::Ready(Ok(sent))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ending.is_some() {
            return Poll::Ready(Ok(()));
        }
        // A plain socket is always ready, which says nothing of its client.
        let polled = Pin::new(&mut this.inner).poll_flush(cx);
        if polled.is_ready() && !std::mem::take(&mut this.flushing) {
            return polled;
        }
        this.flushing = polled.is_pending();
        this.progress(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ending.is_none() {
            if this.closed || (this.frames.is_idle() && this.frames.receives_head()) {
                return Pin::new(&mut this.inner).poll_shutdown(cx);
            }
            // The library said goodbye already.
            this.ending = Some(Ending {
                why: "the connection has ended",
                shut: false,
                linger: None,
            });
        }
        this.poll_end(cx).map(|_| Ok(()))
    }
}
