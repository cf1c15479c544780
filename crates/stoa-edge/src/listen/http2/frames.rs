//! Follows the frames of an HTTP/2 connection in both directions by their nine-byte heads (RFC 9113 section 4.1), and
//! tells when a client costs more than it is good for. Pure: bytes and a moment in, a verdict out.
//!
//! What a frame costs without being of use is charged to a credit; what is of use (bytes of replies, replies that end)
//! earns it back, and so does time. An ordinary client never comes near its end, a flood is there within its first
//! thousand frames.

use super::wire::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Event, FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR, Frame, GOAWAY, HEADERS, NO_ERROR, PADDED, PING, PRIORITY, PRIORITY_UPDATE,
    PROTOCOL_ERROR, Place, REFUSED_STREAM, RST_STREAM, SETTINGS, WINDOW_UPDATE, WITH_PRIORITY,
};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

/// The credit of a connection, and what it gets back in a second.
const CREDIT: i64 = 1000;
const CREDIT_A_SECOND: i64 = 100;
/// Bytes of replies that earn one back.
const BYTES_A_CREDIT: u64 = 128;

/// A reply is no longer held up once so much of it may be sent.
const WINDOW_HEALTHY: i64 = 8 * 1024;

/// How long a client that was told that the connection ends may still send a request that it had on its way.
const LEAVE: Duration = Duration::from_secs(1);

const PREFACE_BYTES: u32 = 24;
const WINDOW_STANDARD: i64 = 65_535;

/// Bytes of a frame that ends a connection.
const GOODBYE_BYTES: usize = 17;

const WINDOW_MAX: u32 = 0x7fff_ffff;

/// The setting that changes the windows of all requests.
const INITIAL_WINDOW_SIZE: [u8; 2] = [0, 4];

/// What a connection may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of one block of header fields, compressed.
    pub(super) head_bytes_max: u64,
    /// Requests at once.
    pub(super) streams_max: u32,
    /// For the preface, and for a block of header fields.
    pub(super) head: Duration,
    /// Without a request.
    pub(super) idle: Duration,
    /// For a client that does not take its reply, and what it must take after that, in bytes a second.
    pub(super) write: Duration,
    pub(super) rate: u64,
}

/// A client that is to be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// What it is told (RFC 9113 section 7).
    pub(super) code: u32,
    pub(super) why: &'static str,
}

/// It costs more than it is good for.
fn flood(why: &'static str) -> Fault {
    Fault {
        code: ENHANCE_YOUR_CALM,
        why,
    }
}

/// The library ends such a connection too, and says less of it.
const LENGTH: Fault = Fault {
    code: FRAME_SIZE_ERROR,
    why: "a frame has another length than its kind has",
};
const WINDOW: Fault = Fault {
    code: FLOW_CONTROL_ERROR,
    why: "a window is too large",
};

/// What became of a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Nothing,
    /// The connection: it rested too long, or a head or the preface did not arrive.
    Connection,
    /// Replies that their client does not take.
    Streams(Vec<u32>),
}

/// A request and its reply.
#[derive(Clone, Copy, Debug)]
struct Stream {
    /// What of the reply the client will still take.
    window: i64,
    sent: u64,
    /// Since when the reply has been held up, and what had been sent then.
    held: Option<(Instant, u64)>,
}

/// Both directions of a connection.
#[derive(Debug)]
pub(super) struct Frames {
    limits: Limits,
    incoming: Place,
    outgoing: Place,
    credit: i64,
    credited_at: Instant,
    unearned_bytes: u64,
    streams: HashMap<u32, Stream, foldhash::fast::RandomState>,
    newest: u32,
    held: usize,
    window: i64,
    window_of_streams: i64,
    /// The block of header fields that is arriving: since when, and its bytes.
    block: Option<(Instant, u64)>,
    settled: bool,
    began: Instant,
    /// When the last request ended.
    rested: Instant,
    /// When the client was told that the connection ends.
    told: Option<Instant>,
    /// Whether a wait began while something was sent.
    waits: bool,
    /// Whether the last frame was a block of fields of which nothing but what it holds can be at fault.
    unpacks: bool,
}

impl Frames {
    pub(super) fn new(limits: Limits, now: Instant) -> Self {
        Self {
            limits,
            incoming: Place::new(PREFACE_BYTES),
            outgoing: Place::new(0),
            credit: CREDIT,
            credited_at: now,
            unearned_bytes: 0,
            streams: HashMap::default(),
            newest: 0,
            held: 0,
            window: WINDOW_STANDARD,
            window_of_streams: WINDOW_STANDARD,
            block: None,
            settled: false,
            began: now,
            rested: now,
            told: None,
            waits: false,
            unpacks: false,
        }
    }

    /// Whether what the client sends next begins a frame.
    pub(super) fn receives_head(&self) -> bool {
        self.incoming.is_boundary()
    }

    /// Whether what is sent next begins a frame.
    pub(super) fn sends_head(&self) -> bool {
        self.outgoing.is_boundary()
    }

    /// How many of the bytes to be sent belong to the frame that is being sent.
    pub(super) fn to_next_head(&self, bytes: &[u8]) -> usize {
        let mut place = self.outgoing;
        let mut at = 0;
        while at < bytes.len() && !place.is_boundary() {
            at += place.next(&bytes[at..]).0;
        }
        at
    }

    /// Where within these bytes, which are to be sent, the library ends the connection for a block of fields. It calls
    /// it a breach of the protocol that a block cannot be unpacked, for which the protocol has a word of its own, and
    /// that a name in it is none, for which it has not.
    pub(super) fn ends_for_a_block(&self, bytes: &[u8]) -> Option<usize> {
        let last = bytes.len().checked_sub(GOODBYE_BYTES)?;
        let (head, rest) = bytes.get(last..)?.split_first_chunk::<9>()?;
        if !self.unpacks || *head != [0, 0, 8, GOAWAY, 0, 0, 0, 0, 0] || number(&rest[4..]) != PROTOCOL_ERROR
        {
            return None;
        }
        let mut place = self.outgoing;
        let mut at = 0;
        while at < last {
            at += place.next(bytes.get(at..last)?).0;
        }
        place.is_boundary().then_some(last)
    }

    /// The newest request.
    pub(super) fn newest(&self) -> u32 {
        self.newest
    }

    /// Whether no request is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.streams.is_empty()
    }

    /// The client sent these bytes.
    pub(super) fn received(&mut self, mut bytes: &[u8], now: Instant) -> Result<(), Fault> {
        while !bytes.is_empty() {
            let (taken, event) = self.incoming.next(bytes);
            bytes = bytes.get(taken..).unwrap_or_default();
            match event {
                None => {}
                Some(Event::Head(frame)) => self.received_head(frame, now)?,
                Some(Event::Part(frame, part, have)) => self.received_part(frame, part, have)?,
            }
        }
        Ok(())
    }

    fn received_head(&mut self, frame: Frame, now: Instant) -> Result<(), Fault> {
        let Frame {
            length,
            kind,
            flags,
            stream,
        } = frame;
        let fits = match kind {
            PRIORITY => length == 5,
            RST_STREAM | WINDOW_UPDATE => length == 4,
            SETTINGS if flags & ACK != 0 => length == 0,
            SETTINGS => length % 6 == 0,
            PING => length == 8,
            _ => true,
        };
        if !fits {
            return Err(LENGTH);
        }
        // What could be wrong with the head of such a block was looked at: the rest is what it holds.
        let plain = kind == HEADERS
            && flags & (PADDED | WITH_PRIORITY) == 0
            && stream > self.newest
            && stream % 2 == 1;
        let continued = kind == CONTINUATION && stream == self.newest && self.unpacks && self.block.is_some();
        self.unpacks = (plain && self.block.is_none()) || continued;
        match kind {
            // Short ones that nobody reads have a bound in the library.
            DATA if length == 0 && flags & END_STREAM == 0 => self.charge(10, "empty frames of data", now),
            DATA => Ok(()),
            HEADERS => {
                self.block = (flags & END_HEADERS == 0).then_some((now, u64::from(length)));
                if stream > self.newest && stream % 2 == 1 {
                    self.newest = stream;
                    self.open(stream, now)?;
                }
                Ok(())
            }
            CONTINUATION => {
                let block = self.block.take().unwrap_or((now, 0));
                let bytes = block.1 + u64::from(length);
                if bytes > self.limits.head_bytes_max {
                    return Err(flood("a block of header fields without end"));
                }
                self.block = (flags & END_HEADERS == 0).then_some((block.0, bytes));
                let cost = if length == 0 { 50 } else { 5 };
                self.charge(cost, "a block of header fields in many parts", now)
            }
            RST_STREAM => {
                self.close(stream, now);
                self.charge(8, "requests that are taken back", now)
            }
            SETTINGS if flags & ACK == 0 => {
                let first = !std::mem::replace(&mut self.settled, true);
                self.charge(if first { 0 } else { 20 }, "settings", now)
            }
            SETTINGS | PING => self.charge(5, "pings", now),
            WINDOW_UPDATE => self.charge(1, "windows", now),
            PRIORITY | PRIORITY_UPDATE => self.charge(2, "priorities", now),
            GOAWAY => self.charge(50, "goodbyes", now),
            _ => self.charge(5, "unknown frames", now),
        }
    }

    fn received_part(&mut self, frame: Frame, part: [u8; 6], have: u8) -> Result<(), Fault> {
        match frame.kind {
            SETTINGS if frame.flags & ACK == 0 && have == 6 && part.starts_with(&INITIAL_WINDOW_SIZE) => {
                if number(&part[2..]) > WINDOW_MAX {
                    return Err(WINDOW);
                }
                let window = window(&part[2..]);
                let more = window - self.window_of_streams;
                self.window_of_streams = window;
                for stream in self.streams.values_mut() {
                    stream.window += more;
                }
                self.loosen();
            }
            WINDOW_UPDATE if have == 4 => {
                let more = window(&part);
                if frame.stream == 0 {
                    self.window = self.window.saturating_add(more);
                    self.loosen();
                } else if let Some(stream) = self.streams.get_mut(&frame.stream) {
                    stream.window = stream.window.saturating_add(more);
                    self.loosen();
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// These bytes were sent to the client.
    pub(super) fn sent(&mut self, mut bytes: &[u8], now: Instant) {
        self.unearned_bytes += bytes.len() as u64;
        self.credit = (self.credit + (self.unearned_bytes / BYTES_A_CREDIT).cast_signed()).min(CREDIT);
        self.unearned_bytes %= BYTES_A_CREDIT;
        while !bytes.is_empty() {
            let (taken, event) = self.outgoing.next(bytes);
            bytes = bytes.get(taken..).unwrap_or_default();
            match event {
                None => {}
                Some(Event::Head(frame)) => self.sent_head(frame, now),
                Some(Event::Part(frame, part, have)) => self.sent_part(frame, part, have),
            }
        }
    }

    fn sent_head(&mut self, frame: Frame, now: Instant) {
        let ends = frame.flags & END_STREAM != 0;
        match frame.kind {
            HEADERS if ends => self.answered(frame.stream, now),
            HEADERS => self.tighten(frame.stream, now),
            DATA => {
                let length = i64::from(frame.length);
                self.window -= length;
                if let Some(stream) = self.streams.get_mut(&frame.stream) {
                    stream.window -= length;
                    stream.sent += u64::from(frame.length);
                }
                if ends {
                    self.answered(frame.stream, now);
                } else {
                    self.tighten(frame.stream, now);
                }
            }
            RST_STREAM => self.close(frame.stream, now),
            GOAWAY => {
                self.told = self.told.or(Some(now));
                self.waits = true;
            }
            _ => {}
        }
    }

    fn sent_part(&mut self, frame: Frame, part: [u8; 6], have: u8) {
        if frame.kind == RST_STREAM && have == 4 {
            self.credit -= match number(&part) {
                NO_ERROR => 0,
                REFUSED_STREAM => 4,
                _ => 10,
            };
        }
    }

    fn answered(&mut self, stream: u32, now: Instant) {
        self.credit = (self.credit + 4).min(CREDIT);
        self.close(stream, now);
    }

    fn open(&mut self, stream: u32, now: Instant) -> Result<(), Fault> {
        // The library refuses those over the bound; that many can wait for it to do so.
        if self.streams.len() >= 10 * self.limits.streams_max as usize + 100 {
            return Err(flood("more requests at once than are refused"));
        }
        let window = self.window_of_streams;
        let fresh = Stream {
            window,
            sent: 0,
            held: None,
        };
        self.streams.insert(stream, fresh);
        self.charge(0, "requests that are refused", now)
    }

    fn close(&mut self, stream: u32, now: Instant) {
        if let Some(stream) = self.streams.remove(&stream) {
            self.held -= usize::from(stream.held.is_some());
            self.rested = now;
        }
    }

    /// Notes that a reply is held up when nothing more of it may be sent; of all replies where none may.
    fn tighten(&mut self, stream: u32, now: Instant) {
        let before = self.held;
        let mut hold = |stream: &mut Stream| {
            if stream.held.is_none() {
                stream.held = Some((now, stream.sent));
                self.held += 1;
            }
        };
        if self.window <= 0 {
            self.streams.values_mut().for_each(&mut hold);
        } else if let Some(stream) = self.streams.get_mut(&stream)
            && stream.window <= 0
        {
            hold(stream);
        }
        self.waits |= self.held > before;
    }

    /// Whether a wait began since this was asked last: [`Self::due`] is earlier than it was.
    pub(super) fn began_to_wait(&mut self) -> bool {
        std::mem::take(&mut self.waits)
    }

    /// Notes that replies are no longer held up.
    fn loosen(&mut self) {
        if self.held == 0 || self.window < WINDOW_HEALTHY {
            return;
        }
        for stream in self.streams.values_mut() {
            if stream.window >= WINDOW_HEALTHY && stream.held.take().is_some() {
                self.held -= 1;
            }
        }
    }

    fn charge(&mut self, cost: i64, what: &'static str, now: Instant) -> Result<(), Fault> {
        self.credit -= cost;
        if self.credit >= 0 {
            return Ok(());
        }
        let passed = now.saturating_duration_since(self.credited_at).as_millis();
        let back = i64::try_from(passed).unwrap_or(i64::MAX / CREDIT_A_SECOND) * CREDIT_A_SECOND / 1000;
        self.credited_at = now;
        self.credit = (self.credit + back).min(CREDIT);
        if self.credit < 0 { Err(flood(what)) } else { Ok(()) }
    }

    /// When it must be looked whether a wait is over.
    pub(super) fn due(&self, now: Instant) -> Instant {
        let mut due = if !self.settled {
            self.began + self.limits.head
        } else if self.streams.is_empty() {
            self.rests_until()
        } else {
            now + self.limits.idle
        };
        if let Some((since, _)) = self.block {
            due = due.min(since + self.limits.head);
        }
        if self.held > 0 {
            let held = self.streams.values().filter_map(|stream| self.held_until(stream));
            due = held.fold(due, Instant::min);
        }
        due
    }

    /// How long the connection may be without a request.
    fn rests_until(&self) -> Instant {
        let idle = self.rested + self.limits.idle;
        match self.told {
            Some(told) => idle.min(told.max(self.rested) + LEAVE),
            None => idle,
        }
    }

    fn held_until(&self, stream: &Stream) -> Option<Instant> {
        let (since, sent) = stream.held?;
        let paced = Duration::from_secs((stream.sent - sent) / self.limits.rate.max(1));
        Some(since + self.limits.write + paced)
    }

    /// What is over by now.
    pub(super) fn over(&mut self, now: Instant) -> Over {
        let unsettled = !self.settled && self.began + self.limits.head <= now;
        let rested = self.settled && self.streams.is_empty() && self.rests_until() <= now;
        let slow = self
            .block
            .is_some_and(|(since, _)| since + self.limits.head <= now);
        if unsettled || rested || slow {
            return Over::Connection;
        }
        if self.held == 0 {
            return Over::Nothing;
        }
        let late = |stream: &Stream| self.held_until(stream).is_some_and(|until| until <= now);
        let late: Vec<u32> = self
            .streams
            .iter()
            .filter(|(_, stream)| late(stream))
            .map(|(id, _)| *id)
            .collect();
        let mut cut = Vec::new();
        for id in late {
            let all = self.window;
            let Some(stream) = self.streams.get_mut(&id) else {
                continue;
            };
            if stream.window.min(all) <= 0 {
                cut.push(id);
            } else {
                // It may be sent and is not: the service is what it waits for.
                stream.held = None;
                self.held -= 1;
            }
        }
        for id in &cut {
            self.close(*id, now);
        }
        if cut.is_empty() {
            Over::Nothing
        } else {
            Over::Streams(cut)
        }
    }
}

/// The number at the start of a payload.
fn number(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |four| u32::from_be_bytes(*four))
}

/// A window, whose first bit means nothing.
fn window(bytes: &[u8]) -> i64 {
    i64::from(number(bytes) & 0x7fff_ffff)
}

#[cfg(test)]
mod tests;
