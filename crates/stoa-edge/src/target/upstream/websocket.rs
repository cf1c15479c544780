//! A WebSocket between a client and a service (RFC 6455): frames go through as they are, and a side that breaks the rules
//! or the bounds is told so and let go, the other one too.

mod frames;

use crate::timer::Timer;
use frames::{Frames, Reserved, Sender, Verdict, Violation};
use http::HeaderMap;
use std::{
    cell::RefCell,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};
use stoa_config::plan::WebSocket;
use stoa_exchange::clock;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are read at a time.
const SPACE_BYTES: usize = 16 * 1024;
/// How long both sides have, once it is to end, to take what is under way and to close.
const LINGER: Duration = Duration::from_secs(2);
/// The same, where one side has closed its half and the other one may still have something to say.
const HALF_CLOSED: Duration = Duration::from_secs(10);

/// A side's connection.
pub(super) trait Io: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

/// Carries a WebSocket until it ends.
pub(super) async fn carry(mut client: impl Io, mut service: impl Io, agreed: Agreed, bounds: WebSocket) {
    let frames = |sender| Frames::new(sender, agreed.0, bounds.message_bytes_max);
    let mut both = Both {
        up: Pump::new(frames(Sender::Client)),
        down: Pump::new(frames(Sender::Service)),
        idle: bounds.idle,
        until: clock::now() + bounds.idle,
        ending: false,
        timer: Timer::default(),
    };
    poll_fn(|cx| both.poll(&mut client, &mut service, cx)).await;
}

/// Which extensions the two ends agreed on (RFC 6455 section 9.1).
pub(super) struct Agreed(Reserved);

impl Agreed {
    /// By the fields of the service's `101`.
    pub(super) fn of(fields: &HeaderMap) -> Self {
        let mut reserved = Reserved::None;
        for field in fields.get_all(http::header::SEC_WEBSOCKET_EXTENSIONS) {
            for extension in field.to_str().unwrap_or_default().split(',') {
                let name = extension.split(';').next().unwrap_or_default().trim();
                reserved = match (name, reserved) {
                    ("", known) => known,
                    ("permessage-deflate", Reserved::None | Reserved::Compressed) => Reserved::Compressed,
                    _ => Reserved::Any,
                };
            }
        }
        Self(reserved)
    }
}

struct Both {
    /// From the client to the service.
    up: Pump,
    /// From the service to the client.
    down: Pump,
    idle: Duration,
    /// When it ends, unless something comes.
    until: Instant,
    ending: bool,
    timer: Timer,
}

impl Both {
    fn poll(&mut self, client: &mut impl Io, service: &mut impl Io, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let up = self.up.poll(client, service, cx);
            let down = self.down.poll(service, client, cx);
            if let (Poll::Ready(_), Poll::Ready(_)) = (&up, &down) {
                return Poll::Ready(());
            }
            let ended = [up, down].into_iter().find_map(|of| match of {
                Poll::Ready(how) => Some(how),
                Poll::Pending => None,
            });
            match ended {
                Some(End::Lost) => return Poll::Ready(()),
                // What is wrong was found before anything of it was passed: both can be told.
                Some(End::Violation(violation)) if !self.ending => {
                    self.end(violation.code(), LINGER);
                    continue;
                }
                Some(End::Closed) if !self.ending => {
                    self.ending = true;
                    self.until = clock::now() + HALF_CLOSED;
                }
                _ => {}
            }
            let moved = std::mem::take(&mut self.up.moved) | std::mem::take(&mut self.down.moved);
            if moved && !self.ending {
                self.until = clock::now() + self.idle;
            }
            ready!(self.timer.poll_until(self.until, cx));
            if self.ending {
                return Poll::Ready(());
            }
            // Nobody said anything for too long.
            self.end(GOING_AWAY, LINGER);
        }
    }

    /// Tells both sides, each behind the frame that it is being sent.
    fn end(&mut self, code: u16, within: Duration) {
        self.ending = true;
        self.until = clock::now() + within;
        self.up.say_last(close_frame(code, true));
        self.down.say_last(close_frame(code, false));
    }
}

/// 1001: an end that is nobody's fault.
const GOING_AWAY: u16 = 1001;

impl Violation {
    fn code(self) -> u16 {
        match self {
            Self::Protocol(_) => 1002,
            Self::TooBig => 1009,
        }
    }
}

/// A close frame; what is sent to a service is masked, with a key that nobody foresees (RFC 6455 section 5.3).
fn close_frame(code: u16, masked: bool) -> Vec<u8> {
    let [high, low] = code.to_be_bytes();
    if !masked {
        return vec![0x88, 2, high, low];
    }
    let mut key = [0; 4];
    // A key of zeros is legal: an end is not to fail over it.
    let _ = aws_lc_rs::rand::fill(&mut key);
    vec![
        0x88,
        0x82,
        key[0],
        key[1],
        key[2],
        key[3],
        high ^ key[0],
        low ^ key[1],
    ]
}

/// How a direction ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Its sender has closed, or was told to.
    Closed,
    /// Its sender broke a rule.
    Violation(Violation),
    /// A connection broke.
    Lost,
}

/// One direction.
struct Pump {
    frames: Frames,
    /// Bytes to pass on, from `at`.
    pending: Vec<u8>,
    at: usize,
    /// The beginning of a head.
    held: Vec<u8>,
    /// Said to the receiver behind the frame under way.
    last: Option<Vec<u8>>,
    end: Option<End>,
    shut: bool,
    /// Whether something came since this was looked at.
    moved: bool,
    unflushed: bool,
}

thread_local! {
    /// What is read goes out at once nearly always: a WebSocket that rests has no buffer of its own.
    static SPACE: RefCell<Box<[u8; SPACE_BYTES]>> = RefCell::new(Box::new([0; SPACE_BYTES]));
}

impl Pump {
    fn new(frames: Frames) -> Self {
        Self {
            frames,
            pending: Vec::new(),
            at: 0,
            held: Vec::new(),
            last: None,
            end: None,
            shut: false,
            moved: false,
            unflushed: false,
        }
    }

    fn say_last(&mut self, frame: Vec<u8>) {
        self.frames.end();
        self.held.clear();
        self.last.get_or_insert(frame);
        // Who broke a rule has ended it; now there is something to say behind it.
        if matches!(self.end, Some(End::Violation(_))) {
            self.end = None;
        }
    }

    /// Moves on. Ready when this direction is over: again and again.
    fn poll(&mut self, from: &mut impl Io, to: &mut impl Io, cx: &mut Context<'_>) -> Poll<End> {
        loop {
            while let Some(rest) = self.pending.get(self.at..).filter(|rest| !rest.is_empty()) {
                match ready!(Pin::new(&mut *to).poll_write(cx, rest)) {
                    Ok(written @ 1..) => self.at += written,
                    Ok(0) | Err(_) => return Poll::Ready(End::Lost),
                }
                self.unflushed = true;
            }
            self.pending = Vec::new();
            self.at = 0;
            if self.last.is_some() && self.frames.is_at_boundary() {
                self.pending = self.last.take().unwrap_or_default();
                self.end = Some(End::Closed);
                continue;
            }
            match self.end {
                Some(End::Closed) if !self.shut => {
                    let shut = ready!(Pin::new(&mut *to).poll_shutdown(cx));
                    self.shut = true;
                    return Poll::Ready(if shut.is_ok() { End::Closed } else { End::Lost });
                }
                Some(end) => return Poll::Ready(end),
                None => {}
            }
            match SPACE.with_borrow_mut(|space| self.poll_some(&mut space[..], from, to, cx)) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(End::Lost),
                Poll::Pending if self.unflushed => {
                    if ready!(Pin::new(&mut *to).poll_flush(cx)).is_err() {
                        return Poll::Ready(End::Lost);
                    }
                    self.unflushed = false;
                    return Poll::Pending;
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Reads what is there and passes on what is in order, as far as the receiver takes it.
    fn poll_some(
        &mut self,
        space: &mut [u8],
        from: &mut impl Io,
        to: &mut impl Io,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let held = self.held.len();
        space[..held].copy_from_slice(&self.held);
        let mut more = ReadBuf::new(&mut space[held..]);
        ready!(Pin::new(from).poll_read(cx, &mut more))?;
        let read = more.filled().len();
        if read == 0 {
            self.end = Some(End::Closed);
            return Poll::Ready(Ok(()));
        }
        self.moved = true;
        let Verdict { pass, violation } = self.frames.advance(&space[..held + read]);
        let (mut pass, rest) = space[..held + read].split_at(pass);
        self.end = violation.map(End::Violation);
        self.held.clear();
        if violation.is_none() && !self.frames.ends() {
            self.held.extend_from_slice(rest);
        }
        while !pass.is_empty() {
            match Pin::new(&mut *to).poll_write(cx, pass) {
                Poll::Ready(Ok(written @ 1..)) => pass = &pass[written..],
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => break,
            }
            self.unflushed = true;
        }
        self.pending.extend_from_slice(pass);
        Poll::Ready(Ok(()))
    }
}
