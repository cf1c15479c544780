//! What is known of how busy and how quick an endpoint is. Process-wide, since one worker sees too little of it.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use stoa_exchange::clock;

/// How quickly what was learned of a latency is forgotten: after this time it weighs e times less (Finagle's default).
const DECAY_MS: f32 = 10_000.0;

/// A latency is never taken for more than this.
const LATENCY_MS_MAX: f32 = 60_000.0;

/// A latency is doubled for at most so many failures in a row.
const DOUBLED_MAX: u32 = 10;

/// A request that waits for its reply, in [`Load::busy`].
const WAITING: u64 = 1 << 32;

/// Milliseconds since the process began to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(crate) u64);

impl Moment {
    pub(crate) fn now() -> Self {
        Self::of(clock::now())
    }

    pub(crate) fn of(instant: Instant) -> Self {
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        let began = *BEGAN.get_or_init(clock::now);
        // From 1 on: 0 stands for never.
        Self(1 + instant.saturating_duration_since(began).as_millis() as u64)
    }

    pub(crate) fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Requests under way at an endpoint and how long its replies take to begin. On a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(crate) struct Load {
    /// Requests under way in the lower half, those of them that wait for their reply in the upper.
    busy: AtomicU64,
    /// The latency in milliseconds as the bits of an `f32` in the upper half, and the lower half of the moment at
    /// which it was that. 0 before the first reply.
    latency: AtomicU64,
    /// The last moment at which a reply began, or the first request after a pause was sent; its lower half.
    heard: AtomicU32,
    /// Failures since the last reply that was none.
    failures: AtomicU32,
}

impl Load {
    /// A request is sent.
    pub(crate) fn begin(&self, now: Moment) {
        if self.busy.fetch_add(WAITING + 1, Relaxed) < WAITING {
            self.heard.store(now.0 as u32, Relaxed);
        }
    }

    /// Its reply began after this time.
    pub(crate) fn answered(&self, took: Duration, now: Moment) {
        self.busy.fetch_sub(WAITING, Relaxed);
        self.heard.store(now.0 as u32, Relaxed);
        self.observe(took.as_secs_f32() * 1000.0, now);
        if self.failures.load(Relaxed) != 0 {
            self.failures.store(0, Relaxed);
        }
    }

    /// It failed after this time; how often in a row now. What fails quickly is not quick: what was known of its latency
    /// is doubled for each failure, until a reply comes that is none.
    pub(crate) fn failed(&self, took: Duration, now: Moment) -> u32 {
        self.busy.fetch_sub(WAITING, Relaxed);
        let took = took.as_secs_f32() * 1000.0;
        if self.observed(now).is_none_or(|known| took > known) {
            self.observe(took, now);
        }
        self.failures.fetch_add(1, Relaxed).saturating_add(1)
    }

    /// It was given up by its caller, which says nothing.
    pub(crate) fn left(&self) {
        self.busy.fetch_sub(WAITING, Relaxed);
    }

    /// Its reply, if any, is over.
    pub(crate) fn end(&self) {
        self.busy.fetch_sub(1, Relaxed);
    }

    /// Requests under way.
    pub(crate) fn in_flight(&self) -> u32 {
        self.busy.load(Relaxed) as u32
    }

    /// Requests that wait for their reply.
    pub(crate) fn waiting(&self) -> u32 {
        (self.busy.load(Relaxed) >> 32) as u32
    }

    /// For how long nothing has been heard from it while requests waited.
    pub(crate) fn silence(&self, now: Moment) -> Duration {
        if self.waiting() == 0 {
            return Duration::ZERO;
        }
        Duration::from_millis(u64::from(elapsed(self.heard.load(Relaxed), now)))
    }

    /// The latency in milliseconds: the peak, which is forgotten with time (peak EWMA). While requests wait, at least
    /// as long as nothing was heard. `None` before the first.
    pub(crate) fn latency(&self, now: Moment) -> Option<f32> {
        let silence = self.silence(now).as_secs_f32() * 1000.0;
        let Some(known) = self.observed(now) else {
            return (silence > 0.0).then_some(silence);
        };
        let doubled = 1_u32 << self.failures.load(Relaxed).min(DOUBLED_MAX);
        Some(known.max(silence) * doubled as f32)
    }

    /// As [`Self::latency`], without silence and failures.
    pub(crate) fn observed(&self, now: Moment) -> Option<f32> {
        let known = self.latency.load(Relaxed);
        let (latency, at) = unpack(known);
        (known != 0).then(|| latency * weight(elapsed(at, now)))
    }

    /// Whether something was heard within this time.
    pub(crate) fn answered_within(&self, time: Duration, now: Moment) -> bool {
        let known = self.latency.load(Relaxed);
        known != 0 && u128::from(elapsed(unpack(known).1, now)) <= time.as_millis()
    }

    fn observe(&self, latency: f32, now: Moment) {
        let latency = latency.clamp(0.001, LATENCY_MS_MAX);
        let next = |known: u64| {
            let (before, at) = unpack(known);
            let next = if known == 0 || latency >= before {
                latency
            } else {
                // At least a little of each: what comes often would otherwise weigh nothing.
                let kept = weight(elapsed(at, now).max(1));
                before * kept + latency * (1.0 - kept)
            };
            Some(u64::from(next.to_bits()) << 32 | u64::from(now.0 as u32))
        };
        // What another worker writes in between is as good.
        let _ = self.latency.fetch_update(Relaxed, Relaxed, next);
    }
}

fn unpack(known: u64) -> (f32, u32) {
    (f32::from_bits((known >> 32) as u32), known as u32)
}

/// Milliseconds since a moment of which the lower half was kept; what is later than now was written just now.
fn elapsed(at: u32, now: Moment) -> u32 {
    let elapsed = (now.0 as u32).wrapping_sub(at);
    if elapsed > u32::MAX / 2 { 0 } else { elapsed }
}

fn weight(elapsed_ms: u32) -> f32 {
    (-(elapsed_ms as f32) / DECAY_MS).exp()
}

#[cfg(test)]
mod tests;
