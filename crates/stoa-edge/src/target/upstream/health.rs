//! Whether an endpoint is in use. Process-wide; it outlives a reload with its endpoint.

use super::load::Moment;
use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// It is left out for what its requests met.
const EJECTED: u8 = 1;
/// Its checks fail.
const FAILING: u8 = 2;
/// It came back and does not get its whole share yet.
const RISING: u8 = 4;
const OUT: u8 = EJECTED | FAILING;

/// The least that an endpoint gets of its share when it comes back (Envoy's slow start).
const RISING_MIN: f32 = 0.1;
/// The longest that an endpoint is left out before it is tried again.
const PERIOD_MAX: Duration = Duration::from_mins(5);
/// An endpoint that was in use for so many times as long as it was left out is as good as any.
const FORGIVEN_TIMES: u32 = 4;
/// Requests that cannot be sent twice try an endpoint only when nobody else has for so long.
const RISKY_AFTER: Duration = Duration::from_secs(5);

/// What an endpoint failed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// No connection could be made.
    Unreachable = 1,
    /// A bound of waiting was reached.
    Late = 2,
    /// It answered with 5xx, not with HTTP, or broke off.
    Replies = 3,
    /// Nothing was heard of it while others answered.
    Silent = 4,
}

impl Cause {
    fn of(number: u8) -> Self {
        match number {
            1 => Self::Unreachable,
            2 => Self::Late,
            4 => Self::Silent,
            _ => Self::Replies,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "connections to it cannot be made",
            Self::Late => "it does not answer in time",
            Self::Replies => "it answers with errors or breaks off",
            Self::Silent => "it says nothing while others answer",
        })
    }
}

/// The use of an endpoint.
#[derive(Debug, Default)]
pub(crate) struct Health {
    flags: AtomicU8,
    /// Why it was ejected.
    cause: AtomicU8,
    /// Whether a request is trying it.
    tried: AtomicBool,
    /// Whether a check is under way.
    checked: AtomicBool,
    /// Ejections that followed each other.
    row: AtomicU32,
    /// Checks that failed one after the other.
    checks_failed: AtomicU32,
    /// How long the last ejection was.
    last_ms: AtomicU64,
    /// When it was last ejected or came back.
    since: AtomicU64,
    /// Until when it is ejected; then it is tried.
    until: AtomicU64,
    /// When it is checked next.
    next_check: AtomicU64,
    ejections: AtomicU64,
    returns: AtomicU64,
}

impl Health {
    /// How much of its share it gets: 0 to 1.
    pub(crate) fn in_use(&self, now: Moment, slow_start: Duration) -> f32 {
        let flags = self.flags.load(Relaxed);
        if flags == 0 {
            return 1.0;
        }
        if flags & OUT != 0 {
            return 0.0;
        }
        let risen = now.since(Moment(self.since.load(Relaxed)));
        if risen >= slow_start {
            self.flags.fetch_and(!RISING, Relaxed);
            return 1.0;
        }
        (risen.as_secs_f32() / slow_start.as_secs_f32()).max(RISING_MIN)
    }

    pub(crate) fn is_out(&self) -> bool {
        self.flags.load(Relaxed) & OUT != 0
    }

    /// Whether it is left out, for what its requests met.
    pub(crate) fn ejected(&self) -> Option<Cause> {
        let ejected = self.flags.load(Relaxed) & EJECTED != 0;
        ejected.then(|| Cause::of(self.cause.load(Relaxed)))
    }

    /// In a word, for metrics.
    pub(crate) fn word(&self) -> &'static str {
        match self.flags.load(Relaxed) {
            flags if flags & FAILING != 0 => "failing",
            flags if flags & EJECTED != 0 => "ejected",
            flags if flags & RISING != 0 => "starting",
            _ => "in use",
        }
    }

    /// Times that it was left out, and that it came back.
    pub(crate) fn counts(&self) -> [u64; 2] {
        [self.ejections.load(Relaxed), self.returns.load(Relaxed)]
    }

    /// Leaves it out. The first time for `period`, twice as long each time that it fails soon after it came back;
    /// a tenth more or less by `roll`, so that processes do not try it all at once.
    pub(crate) fn eject(&self, cause: Cause, now: Moment, period: Duration, roll: f32) {
        let (row, last) = (
            self.row.load(Relaxed),
            Duration::from_millis(self.last_ms.load(Relaxed)),
        );
        let soon = row > 0 && now.since(Moment(self.since.load(Relaxed))) < last * FORGIVEN_TIMES;
        let row = if soon { row.saturating_add(1) } else { 1 };
        self.row.store(row, Relaxed);
        let longer = period.saturating_mul(1 << (row - 1).min(16)).min(PERIOD_MAX);
        let jittered = longer.mul_f32(0.9 + 0.2 * roll);
        self.cause.store(cause as u8, Relaxed);
        self.since.store(now.0, Relaxed);
        self.last_ms.store(jittered.as_millis() as u64, Relaxed);
        self.until.store(now.0 + jittered.as_millis() as u64, Relaxed);
        self.tried.store(false, Relaxed);
        if self.flags.fetch_or(EJECTED, Relaxed) & EJECTED == 0 {
            self.ejections.fetch_add(1, Relaxed);
        }
    }

    /// Whether it is time to try it with a request; `replayable` whether that request can be sent again elsewhere.
    pub(crate) fn is_due(&self, now: Moment, replayable: bool) -> bool {
        let flags = self.flags.load(Relaxed);
        let wait = if replayable { Duration::ZERO } else { RISKY_AFTER };
        flags & OUT == EJECTED
            && now.0 >= self.until.load(Relaxed) + wait.as_millis() as u64
            && !self.tried.load(Relaxed)
    }

    /// The moment at which it is tried next.
    pub(crate) fn until(&self) -> Moment {
        Moment(self.until.load(Relaxed))
    }

    /// Has one request try it; false when another does already.
    pub(crate) fn try_once(&self) -> bool {
        !self.tried.swap(true, Relaxed)
    }

    /// The request that tried it ended without saying anything about it.
    pub(crate) fn untried(&self) {
        self.tried.store(false, Relaxed);
    }

    /// It may be tried from now on.
    pub(crate) fn is_back(&self, now: Moment) {
        self.until.fetch_min(now.0, Relaxed);
    }

    /// A request that began then was answered: whether that ends an ejection.
    pub(crate) fn answered(&self, began: Moment, now: Moment) -> bool {
        let flags = self.flags.load(Relaxed);
        if flags & EJECTED == 0 || began.0 <= self.since.load(Relaxed) {
            return false;
        }
        self.restore(EJECTED, now)
    }

    /// A check failed. Whether that takes the endpoint out of use: the second in a row does.
    pub(crate) fn check_failed(&self) -> bool {
        let failed = self.checks_failed.fetch_add(1, Relaxed).saturating_add(1);
        let taken = failed >= 2 && self.flags.fetch_or(FAILING, Relaxed) & FAILING == 0;
        if taken {
            self.ejections.fetch_add(1, Relaxed);
        }
        taken
    }

    /// A check succeeded. Whether that brings the endpoint back. What was ejected for its replies stays so: a check says nothing
    /// about those.
    pub(crate) fn check_passed(&self, now: Moment) -> bool {
        self.checks_failed.store(0, Relaxed);
        let back = match self.ejected() {
            Some(Cause::Unreachable | Cause::Late | Cause::Silent) => OUT,
            Some(Cause::Replies) | None => FAILING,
        };
        self.flags.load(Relaxed) & back != 0 && self.restore(back, now)
    }

    /// Whether a check is to begin now; the next one after `every`.
    pub(crate) fn begins_check(&self, now: Moment, every: Duration, roll: f32) -> bool {
        if now.0 < self.next_check.load(Relaxed) || self.checked.swap(true, Relaxed) {
            return false;
        }
        let next = every.mul_f32(0.9 + 0.2 * roll);
        self.next_check.store(now.0 + next.as_millis() as u64, Relaxed);
        true
    }

    pub(crate) fn ends_check(&self) {
        self.checked.store(false, Relaxed);
    }

    /// Ends what `back` names; true when the endpoint is in use from now on and was not before.
    fn restore(&self, back: u8, now: Moment) -> bool {
        let mut was = 0;
        let next = |flags: u8| {
            was = flags;
            let rest = flags & !back;
            Some(if rest & OUT == 0 { rest | RISING } else { rest })
        };
        let _ = self.flags.fetch_update(Relaxed, Relaxed, next);
        self.tried.store(false, Relaxed);
        let returns = was & OUT != 0 && was & OUT & !back == 0;
        if returns {
            self.since.store(now.0, Relaxed);
            self.returns.fetch_add(1, Relaxed);
        }
        returns
    }
}

#[cfg(test)]
mod tests;
