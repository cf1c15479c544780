//! Where the primary was when: how far a replica is behind is told by one clock, this process's.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Samples kept at most.
const SAMPLES_MAX: usize = 1_024;
/// Time between two samples at least.
const APART: Duration = Duration::from_millis(10);

/// Positions of the primary on one timeline.
#[derive(Debug)]
pub(super) struct History {
    timeline: u32,
    samples: VecDeque<(Instant, u64)>,
    /// How far back somebody may ask.
    window: Duration,
    apart: Duration,
}

impl History {
    /// For questions that reach so far back.
    pub(super) fn new(window: Duration) -> Self {
        let samples = u32::try_from(SAMPLES_MAX / 2).unwrap_or(1);
        Self {
            timeline: 0,
            samples: VecDeque::new(),
            window,
            apart: (window / samples).max(APART),
        }
    }

    /// The primary was at `lsn` at a moment not before `at`.
    pub(super) fn add(&mut self, timeline: u32, lsn: u64, at: Instant) {
        if timeline != self.timeline {
            if timeline < self.timeline {
                return;
            }
            self.timeline = timeline;
            self.samples.clear();
        }
        if let Some((last, reached)) = self.samples.back().copied()
            && (at < last + self.apart || lsn < reached)
        {
            return;
        }
        // One that is older than the window says where the primary was at its beginning.
        while self.samples.len() >= SAMPLES_MAX
            || self
                .samples
                .get(1)
                .is_some_and(|(second, _)| *second + self.window < at)
        {
            self.samples.pop_front();
        }
        self.samples.push_back((at, lsn));
    }

    /// The timeline of all samples.
    pub(super) fn timeline(&self) -> u32 {
        self.timeline
    }

    /// The latest position.
    pub(super) fn last(&self) -> Option<u64> {
        self.samples.back().map(|(_, lsn)| *lsn)
    }

    /// What a server must have that is at most so far behind; `None` when nothing was seen of the primary for so long.
    pub(super) fn needed(&self, within: Duration, now: Instant) -> Option<u64> {
        let inside = |(at, _): &&(Instant, u64)| *at + within >= now;
        self.samples.iter().find(inside).map(|(_, lsn)| *lsn)
    }

    /// For how long the primary has had what a server at this position has not, as far as was seen.
    pub(super) fn lag(&self, lsn: u64, now: Instant) -> Duration {
        let beyond = self.samples.iter().find(|(_, reached)| *reached > lsn);
        beyond.map_or(Duration::ZERO, |(at, _)| now.saturating_duration_since(*at))
    }

    /// For how long the primary has been watched.
    pub(super) fn reaches(&self, now: Instant) -> Duration {
        let first = self.samples.front();
        first.map_or(Duration::ZERO, |(at, _)| now.saturating_duration_since(*at))
    }
}

#[cfg(test)]
mod tests;
