//! What a service may be asked beside its callers' requests: a budget for retries, a bounded queue for connections.
//! Process-wide; it outlives a reload with the service's name.

use super::load::Moment;
use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// Seconds over which requests and retries are compared (as Finagle and tower do).
const WINDOW_S: usize = 10;
/// Retries in that time that are always allowed, so that services with few requests have some.
const RETRIES_MIN: u64 = 10;

/// The pressure on one service.
#[derive(Debug)]
pub(crate) struct Pressure {
    /// Requests of callers, counted apart by each worker.
    requests: Box<[Window]>,
    /// Retries, counted when they are decided: those that still wait for their moment too.
    retries: Window,
    deciding: Mutex<()>,
    waiting: AtomicU32,
    freed: Notify,
    retried: AtomicU64,
    denied: AtomicU64,
    hedged: AtomicU64,
    turned_away: AtomicU64,
}

/// Counts of the last seconds.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Window {
    /// One for each second in turn: the second in the upper half, the count in the lower.
    seconds: [AtomicU64; WINDOW_S],
}

impl Window {
    fn add(&self, now: Moment) {
        let second = now.0 / 1000;
        let place = &self.seconds[second as usize % WINDOW_S];
        let known = place.load(Relaxed);
        if known >> 32 == second & 0xffff_ffff {
            place.fetch_add(1, Relaxed);
        } else {
            // Whoever comes first begins the second; who loses is counted in it.
            let begun = place.compare_exchange(known, (second << 32) | 1, Relaxed, Relaxed);
            if begun.is_err() {
                place.fetch_add(1, Relaxed);
            }
        }
    }

    fn sum(&self, now: Moment) -> u64 {
        let second = (now.0 / 1000) & 0xffff_ffff;
        let recent = |place: &AtomicU64| {
            let known = place.load(Relaxed);
            if second.wrapping_sub(known >> 32) < WINDOW_S as u64 {
                known & 0xffff_ffff
            } else {
                0
            }
        };
        self.seconds.iter().map(recent).sum()
    }
}

/// What a service was spared and was not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Tries beyond the first.
    pub(crate) retried: u64,
    /// Tries that the budget did not allow.
    pub(crate) denied: u64,
    /// Those of the tries that were made beside a first one.
    pub(crate) hedged: u64,
    /// Requests that wait for a connection.
    pub(crate) waiting: u32,
    /// Requests that found no connection in time, or no place to wait.
    pub(crate) turned_away: u64,
}

impl Pressure {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            requests: (0..workers.max(1)).map(|_| Window::default()).collect(),
            retries: Window::default(),
            deciding: Mutex::default(),
            waiting: AtomicU32::new(0),
            freed: Notify::new(),
            retried: AtomicU64::new(0),
            denied: AtomicU64::new(0),
            hedged: AtomicU64::new(0),
            turned_away: AtomicU64::new(0),
        }
    }

    pub(crate) fn workers(&self) -> usize {
        self.requests.len()
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts {
            retried: self.retried.load(Relaxed),
            denied: self.denied.load(Relaxed),
            hedged: self.hedged.load(Relaxed),
            waiting: self.waiting.load(Relaxed),
            turned_away: self.turned_away.load(Relaxed),
        }
    }

    /// A caller's request begins.
    pub(crate) fn request(&self, worker: usize, now: Moment) {
        self.requests[worker % self.requests.len()].add(now);
    }

    /// Takes one retry out of the budget, when there is one left.
    pub(crate) fn retry(&self, budget_percent: u8, now: Moment) -> bool {
        let _one = self.deciding.lock().unwrap_or_else(PoisonError::into_inner);
        let requests: u64 = self.requests.iter().map(|window| window.sum(now)).sum();
        let share = requests * u64::from(budget_percent) / 100;
        let most = if budget_percent == 0 {
            0
        } else {
            share.max(RETRIES_MIN)
        };
        let allowed = self.retries.sum(now) < most;
        if allowed {
            self.retries.add(now);
            self.retried.fetch_add(1, Relaxed);
        } else {
            self.denied.fetch_add(1, Relaxed);
        }
        allowed
    }

    /// As [`Self::retry`], for a try beside the first.
    pub(crate) fn hedge(&self, budget_percent: u8, now: Moment) -> bool {
        let allowed = self.retry(budget_percent, now);
        self.hedged.fetch_add(u64::from(allowed), Relaxed);
        allowed
    }

    /// Counts a retry that needs no leave: it finds out whether an endpoint is back.
    pub(crate) fn retry_anyway(&self, now: Moment) {
        self.retries.add(now);
        self.retried.fetch_add(1, Relaxed);
    }

    /// A request at one of its endpoints ended: the next one that waits may go.
    pub(crate) fn free(&self) {
        if self.waiting.load(Relaxed) > 0 {
            self.freed.notify_one();
        }
    }

    /// Waits until `next` gives something, which it may whenever a request ended. `None` when that takes too long or too
    /// many wait already.
    pub(crate) async fn wait<T>(
        &self,
        most: u32,
        longest: Duration,
        mut next: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let place = Place::take(self, most);
        let found = match &place {
            Some(_) => tokio::time::timeout(longest, self.turn(&mut next)).await.ok(),
            None => None,
        };
        if found.is_none() {
            self.turned_away.fetch_add(1, Relaxed);
        }
        found
    }

    async fn turn<T>(&self, next: &mut impl FnMut() -> Option<T>) -> T {
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // Asked to be told before it is looked: what ends in between is not missed.
            freed.as_mut().enable();
            if let Some(found) = next() {
                return found;
            }
            freed.await;
        }
    }
}

struct Place<'a>(&'a Pressure);

impl<'a> Place<'a> {
    fn take(pressure: &'a Pressure, most: u32) -> Option<Self> {
        if pressure.waiting.fetch_add(1, Relaxed) >= most {
            pressure.waiting.fetch_sub(1, Relaxed);
            return None;
        }
        Some(Self(pressure))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
        // The word may have been meant for this one, which did not need it.
        self.0.free();
    }
}

#[cfg(test)]
mod tests;
