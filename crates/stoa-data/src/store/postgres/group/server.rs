//! One server of a shard: where it is, and what the workers count of it.

use super::judge::State;
use crate::store::postgres::config::Target;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use stoa_exchange::clock;

/// How long a server rests after it failed, the first time and at most; doubled from one time to the next.
const REST: std::ops::RangeInclusive<Duration> = Duration::from_millis(500)..=Duration::from_secs(30);
/// After a replica did not catch up in time, nobody waits for it for so long.
const IMPATIENT: Duration = Duration::from_secs(1);
/// A new latency counts for one part in so many.
const EWMA: u64 = 8;

/// One server.
#[derive(Debug)]
pub(in super::super) struct Member {
    /// Host and port.
    pub(in super::super) name: Arc<str>,
    /// How it is connected to as a replica.
    pub(in super::super) read: Arc<Target>,
    /// How it is connected to as the primary.
    pub(in super::super) write: Arc<Target>,
    /// What it has replayed at least, as a replica.
    replayed: AtomicU64,
    /// How long its answers take, in microseconds, the latest counting most.
    latency_micros: AtomicU64,
    /// Reads that it had answered at the last look.
    reads_before: AtomicU64,
    in_flight: AtomicU32,
    /// Grows whenever its connections are of no use any more.
    lost: AtomicU64,
    base: Instant,
    /// Milliseconds after `base` until which it rests.
    out_until_ms: AtomicU64,
    /// Milliseconds after `base` until which nobody waits for it.
    impatient_until_ms: AtomicU64,
    strikes: AtomicU32,
    pub(in super::super) reads: AtomicU64,
    pub(in super::super) fallbacks: AtomicU64,
    pub(in super::super) ejections: AtomicU64,
    pub(in super::super) returns: AtomicU64,
}

impl Member {
    pub(super) fn new(read: Target, write: Target) -> Self {
        Self {
            name: Arc::from(read.address.as_str()),
            read: Arc::new(read),
            write: Arc::new(write),
            replayed: AtomicU64::new(0),
            latency_micros: AtomicU64::new(0),
            reads_before: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            lost: AtomicU64::new(0),
            base: clock::now(),
            out_until_ms: AtomicU64::new(0),
            impatient_until_ms: AtomicU64::new(0),
            strikes: AtomicU32::new(0),
            reads: AtomicU64::new(0),
            fallbacks: AtomicU64::new(0),
            ejections: AtomicU64::new(0),
            returns: AtomicU64::new(0),
        }
    }

    fn ms(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.base).as_millis()).unwrap_or(u64::MAX)
    }

    /// Takes note of a look at it.
    pub(super) fn looked_at(&self, before: &State, now: &State) {
        let same = match (before.sighting(), now.sighting()) {
            (Some(old), Some(new)) => old.instance == new.instance && old.timeline == new.timeline,
            _ => false,
        };
        if let State::Up(seen) = now {
            let replayed = if seen.recovering { seen.position } else { 0 };
            if same && seen.recovering {
                self.replayed.fetch_max(replayed, Ordering::Relaxed);
            } else {
                self.replayed.store(replayed, Ordering::Relaxed);
            }
        }
        // Whoever is not asked is soon worth a try again.
        let reads = self.reads.load(Ordering::Relaxed);
        if self.reads_before.swap(reads, Ordering::Relaxed) == reads {
            let latency = self.latency_micros.load(Ordering::Relaxed);
            self.latency_micros.store(latency / 2, Ordering::Relaxed);
        }
        let useless = |state: &State| matches!(state, State::Hung { .. } | State::Down(_));
        if useless(now) && !useless(before) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What it has replayed at least.
    pub(in super::super) fn replayed(&self) -> u64 {
        self.replayed.load(Ordering::Relaxed)
    }

    /// It said so itself.
    pub(in super::super) fn has_replayed(&self, lsn: u64) {
        self.replayed.fetch_max(lsn, Ordering::Relaxed);
    }

    /// How often its connections became useless.
    pub(in super::super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Whether it rests after a failure.
    pub(in super::super) fn is_out(&self) -> bool {
        self.out_until_ms.load(Ordering::Relaxed) > self.ms(clock::now())
    }

    /// It failed a read: it rests, longer each time.
    pub(in super::super) fn strike(&self) {
        if self.is_out() {
            return;
        }
        let strikes = self.strikes.fetch_add(1, Ordering::Relaxed);
        let rest = REST.start().saturating_mul(1 << strikes.min(8)).min(*REST.end());
        let until = self.ms(clock::now() + rest);
        self.out_until_ms.store(until, Ordering::Relaxed);
    }

    /// It did not catch up with a caller's write in time.
    pub(in super::super) fn was_slow(&self) {
        let until = self.ms(clock::now() + IMPATIENT);
        self.impatient_until_ms.store(until, Ordering::Relaxed);
    }

    /// Whether it is worth waiting for.
    pub(super) fn is_quick(&self) -> bool {
        self.impatient_until_ms.load(Ordering::Relaxed) <= self.ms(clock::now())
    }

    /// The less, the sooner it answers.
    pub(super) fn score(&self) -> u64 {
        let under_way = u64::from(self.in_flight.load(Ordering::Relaxed));
        let latency = self.latency_micros.load(Ordering::Relaxed).max(1);
        latency.saturating_mul(under_way + 1)
    }

    /// Takes note of how long it took to answer.
    fn took(&self, time: Duration) {
        let new = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let old = self.latency_micros.load(Ordering::Relaxed);
        let next = match old {
            0 => new,
            old => old - old / EWMA + new / EWMA,
        };
        self.latency_micros.store(next, Ordering::Relaxed);
    }

    /// A read that begins here.
    pub(in super::super) fn enter(&self) -> UnderWay<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        UnderWay {
            member: self,
            since: clock::now(),
        }
    }
}

/// A read that is under way.
pub(in super::super) struct UnderWay<'a> {
    member: &'a Member,
    since: Instant,
}

impl UnderWay<'_> {
    /// It was answered.
    pub(in super::super) fn answered(self) {
        self.member
            .took(clock::now().saturating_duration_since(self.since));
        self.member.strikes.store(0, Ordering::Relaxed);
        self.member.reads.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.member.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
