//! How many requests a service can have at once: found out from how long its replies take.
//!
//! A queue makes all wait, the quickest too. So the shortest reply of a moment is compared with what it used to be: slow
//! routes, slow callers and single slow replies change nothing about it. When it is too late, the limit becomes what
//! would have been in time by Little's law. Those that were let in after the cut show whether that helped. Where it did
//! not, the service is slower than it was and there was no queue: the limit is taken back and the new time is what is usual.

use std::time::{Duration, Instant};

/// How long a moment is at least, and of how many replies.
const WINDOW: Duration = Duration::from_millis(25);
const SAMPLES_MIN: u32 = 10;
/// Of many replies, one of so many is measured at least.
const MEASURED_MAX: u32 = 16;
/// Moments in a row that are too late: one may be a pause in which nobody got anything.
const LATE: u32 = 2;
/// What a reply may wait more than usual: half of what is usual, and no less than this.
const WAIT_MIN: Duration = Duration::from_millis(25);
/// Moments without a refusal after which there is no limit any more.
const CALM: u32 = 200;
/// Good moments after which the limit grows a little.
const GROWS: u32 = 4;
/// How long a sudden request is held back while nobody leaves.
const SOON_WAIT_MIN: Duration = Duration::from_millis(100);
const SOON_WAIT_MAX: Duration = Duration::from_millis(150);
/// Requests that are let through before there is any experience.
const SOON_MIN: u32 = 64;

/// One reply.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    pub(super) now: Instant,
    pub(super) started: Instant,
    /// Requests that were with the service when this one came, itself included.
    pub(super) in_flight: u32,
    /// Whether it is what the service gives when it can. A refusal is quick for other reasons.
    pub(super) good: bool,
}

/// What follows from the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// So many may be there at once; [`u32::MAX`] for no limit.
    pub(super) limit: u32,
    /// Who comes on top of so many waits a moment for somebody else to leave: that many were never there, and whether they
    /// are too many shows only when their replies are due.
    pub(super) soon: u32,
    /// How long it waits at most, before it is let in all the same.
    pub(super) wait: Duration,
    /// One of so many replies is enough to judge by.
    pub(super) measured: u32,
}

pub(super) struct Gradient {
    floor: u32,
    /// The usual shortest time, in microseconds.
    usual: Option<f64>,
    limit: u32,
    window: Option<Window>,
    /// What was so before the limit was cut.
    cut: Option<Cut>,
    calm: u32,
    late: u32,
    good: u32,
    measured: u32,
    /// The most that were there at once lately.
    most: f64,
}

struct Window {
    since: Instant,
    count: u32,
    shortest: f64,
    in_flight: f64,
    most: u32,
}

struct Cut {
    shortest: f64,
    in_flight: f64,
}

impl Gradient {
    pub(super) fn new(floor: u32) -> Self {
        Self {
            floor,
            usual: None,
            limit: u32::MAX,
            window: None,
            cut: None,
            calm: 0,
            late: 0,
            good: 0,
            measured: 1,
            most: 0.0,
        }
    }

    pub(super) fn bounds(&self) -> Bounds {
        let wait = Duration::from_micros((self.usual.unwrap_or(0.0) * 2.0) as u64);
        Bounds {
            limit: self.limit,
            soon: ((self.most * 1.5) as u32).max(SOON_MIN).max(self.floor),
            wait: wait.clamp(SOON_WAIT_MIN, SOON_WAIT_MAX),
            measured: self.measured,
        }
    }

    /// Takes a reply into account; the bounds, when a moment is over. `refused` says whether the limit refused anything since
    /// it was last asked.
    pub(super) fn sample(&mut self, sample: Sample, refused: impl FnOnce() -> bool) -> Option<Bounds> {
        let took = micros(sample.now.saturating_duration_since(sample.started));
        if !sample.good && self.usual.is_none_or(|usual| took <= allowed(usual)) {
            return None;
        }
        let window = self.window.get_or_insert(Window {
            since: sample.started,
            count: 0,
            shortest: f64::MAX,
            in_flight: 0.0,
            most: 0,
        });
        // It came under another limit.
        if sample.started < window.since {
            return None;
        }
        window.count += 1;
        window.shortest = window.shortest.min(took);
        window.in_flight += f64::from(sample.in_flight);
        window.most = window.most.max(sample.in_flight);
        if window.count < SAMPLES_MIN || sample.now.saturating_duration_since(window.since) < WINDOW {
            return None;
        }
        let over = Window {
            in_flight: window.in_flight / f64::from(window.count),
            ..*window
        };
        let came = over.count.saturating_mul(self.measured);
        self.measured = (came / (2 * SAMPLES_MIN)).clamp(1, MEASURED_MAX);
        let before = self.limit;
        self.judge(&over, refused());
        self.window = Some(Window {
            // What comes after a cut shows what it did.
            since: if self.limit < before {
                sample.now
            } else {
                over.since.max(sample.started)
            },
            count: 0,
            shortest: f64::MAX,
            in_flight: 0.0,
            most: 0,
        });
        Some(self.bounds())
    }

    fn judge(&mut self, window: &Window, refused: bool) {
        let (shortest, in_flight) = (window.shortest, window.in_flight);
        let Some(usual) = self.usual else {
            self.usual = Some(shortest);
            return;
        };
        if shortest <= allowed(usual) {
            // A better time is believed soon, a worse one slowly, and not at all under a limit: a queue must not become usual.
            let weight = match (shortest < usual, self.limit) {
                (true, _) => 0.2,
                (false, u32::MAX) => 0.001,
                (false, _) => 0.0,
            };
            self.usual = Some(usual + weight * (shortest - usual));
            self.cut = None;
            self.late = 0;
            self.most = (self.most * 0.99).max(f64::from(window.most));
            let step = if shortest < usual * 1.1 {
                // As quick as ever: there is room.
                5
            } else if shortest < usual.midpoint(allowed(usual)) {
                20
            } else {
                u32::MAX
            };
            self.grow(step, refused);
            return;
        }
        self.calm = 0;
        self.late += 1;
        if self.late < LATE {
            return;
        }
        if in_flight <= f64::from(self.floor) {
            // So few make no queue: the service is slower than it was.
            self.usual = Some(usual + 0.2 * (shortest - usual));
            return;
        }
        if let Some(cut) = &self.cut
            && shortest > 0.9 * cut.shortest
            && in_flight < 0.75 * cut.in_flight
        {
            self.usual = Some(shortest);
            self.limit = u32::MAX;
            self.cut = None;
            return;
        }
        let wanted = usual + 0.6 * (allowed(usual) - usual);
        let in_time = in_flight * wanted / shortest;
        self.cut = Some(Cut { shortest, in_flight });
        self.limit = (in_time as u32).max(self.floor).min(self.limit);
    }

    /// Tries whether more would be in time.
    fn grow(&mut self, step: u32, refused: bool) {
        if self.limit == u32::MAX {
            return;
        }
        self.good = self.good.wrapping_add(1);
        self.calm = if refused { 0 } else { self.calm + 1 };
        if self.calm >= CALM {
            self.limit = u32::MAX;
        } else if step < u32::MAX && self.good.is_multiple_of(GROWS) {
            self.limit = self.limit.saturating_add((self.limit / step).max(1));
        }
    }
}

/// The longest of the shortest times that is still in time.
fn allowed(usual: f64) -> f64 {
    usual + (usual / 2.0).max(micros(WAIT_MIN))
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests;
