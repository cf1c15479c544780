//! A service of so many servers, in a time of its own: what is offered, what the limit lets in, how long it takes.

use super::*;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};
use stoa_exchange::clock;

/// A service with a queue in front of its servers.
struct Service {
    gradient: Gradient,
    bounds: Bounds,
    /// Who waits for a place since when.
    waiting: VecDeque<Duration>,
    start: Instant,
    now: Duration,
    /// When each server is free.
    servers: BinaryHeap<Reverse<Duration>>,
    /// When each that is there ends, when it came and how many were there.
    under_way: BinaryHeap<Reverse<(Duration, Duration, u32)>>,
    dice: u64,
    refused: bool,
    log: VecDeque<(Duration, Option<Duration>)>,
}

/// What callers saw from a moment on.
#[derive(Debug)]
struct Seen {
    answered_a_second: f64,
    refused: usize,
    p99: Duration,
}

impl Service {
    fn new(servers: usize) -> Self {
        Self {
            gradient: Gradient::new(16),
            bounds: Gradient::new(16).bounds(),
            waiting: VecDeque::new(),
            start: clock::now(),
            now: Duration::ZERO,
            servers: (0..servers).map(|_| Reverse(Duration::ZERO)).collect(),
            under_way: BinaryHeap::new(),
            dice: 7,
            refused: false,
            log: VecDeque::new(),
        }
    }

    /// From 0 to 1.
    fn random(&mut self) -> f64 {
        self.dice = self
            .dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Offers requests at a rate that come when they like, each of which takes what `takes` says.
    fn offer(&mut self, a_second: f64, seconds: u64, takes: impl Fn(f64) -> Duration) -> Seen {
        let takes: &dyn Fn(f64) -> Duration = &takes;
        let from = self.now;
        let until = from + Duration::from_secs(seconds);
        while self.now < until {
            let gap = -self.random().max(1e-9).ln() / a_second;
            self.now += Duration::from_secs_f64(gap);
            self.end_what_is_over(takes);
            self.let_in(self.now, takes);
            let there = self.under_way.len() as u32;
            if there >= self.bounds.limit {
                self.refused = true;
                self.log.push_back((self.now, None));
            } else if there >= self.bounds.soon {
                self.waiting.push_back(self.now);
            } else {
                self.enter(self.now, self.now, takes);
            }
        }
        self.seen(from)
    }

    fn enter(&mut self, came: Duration, now: Duration, takes: &dyn Fn(f64) -> Duration) {
        let there = self.under_way.len() as u32;
        let dice = self.random();
        let Some(Reverse(free)) = self.servers.pop() else {
            return;
        };
        let end = free.max(now) + takes(dice);
        self.servers.push(Reverse(end));
        self.under_way.push(Reverse((end, now, there + 1)));
        self.log.push_back((came, Some(end.saturating_sub(came))));
    }

    fn let_in(&mut self, now: Duration, takes: &dyn Fn(f64) -> Duration) {
        while let Some(came) = self.waiting.front().copied() {
            let there = self.under_way.len() as u32;
            if there >= self.bounds.limit {
                self.refused = true;
                self.log.push_back((came, None));
            } else if there < self.bounds.soon || now > came + self.bounds.wait {
                self.enter(came, now, takes);
            } else {
                return;
            }
            self.waiting.pop_front();
        }
    }

    fn end_what_is_over(&mut self, takes: &dyn Fn(f64) -> Duration) {
        while let Some(Reverse((end, came, there))) = self.under_way.peek().copied()
            && end <= self.now
        {
            self.under_way.pop();
            let sample = Sample {
                now: self.start + end,
                started: self.start + came,
                in_flight: there,
                good: true,
            };
            let refused = std::mem::take(&mut self.refused);
            match self.gradient.sample(sample, || refused) {
                Some(bounds) => self.bounds = bounds,
                None => self.refused |= refused,
            }
            self.let_in(end, takes);
        }
    }

    fn seen(&self, from: Duration) -> Seen {
        let all: Vec<_> = self.log.iter().filter(|(at, _)| *at >= from).collect();
        let mut times: Vec<Duration> = all.iter().filter_map(|(_, took)| *took).collect();
        times.sort_unstable();
        let seconds = self.now.saturating_sub(from).as_secs_f64();
        let inside = all
            .iter()
            .filter(|(at, took)| took.is_some_and(|took| *at + took <= self.now))
            .count();
        Seen {
            answered_a_second: inside as f64 / seconds,
            refused: all.len() - times.len(),
            p99: times.get(times.len() * 99 / 100).copied().unwrap_or_default(),
        }
    }
}

fn about(ms: u64) -> impl Fn(f64) -> Duration {
    move |dice| Duration::from_secs_f64(ms as f64 / 1000.0 * (0.8 + 0.4 * dice))
}

#[test]
fn five_times_too_much_is_answered_as_well_as_it_can_be() {
    for (servers, ms) in [(20, 50), (4, 200), (100, 20), (400, 100), (64, 5)] {
        let capacity = servers as f64 * 1000.0 / ms as f64;
        let mut service = Service::new(servers);
        service.offer(capacity * 0.5, 5, about(ms));
        let once = service.offer(capacity, 20, about(ms));
        let much = service.offer(capacity * 5.0, 20, about(ms));
        let case = format!("{servers} × {ms} ms: {once:?} {much:?}");
        assert!(much.answered_a_second >= 0.9 * capacity, "{case}");
        // A wait of some milliseconds is nobody's trouble; and with few servers and a long time, what the floor lets wait is
        // the most of it.
        let most = (once.p99 * 2)
            .max(Duration::from_millis(75))
            .max(Duration::from_millis(ms) * 16 / servers as u32 * 2);
        assert!(much.p99 <= most, "{case}");
        // And two seconds after it there is nothing left of it.
        service.offer(capacity * 0.5, 2, about(ms));
        let after = service.offer(capacity * 0.5, 10, about(ms));
        assert_eq!(after.refused, 0, "{case} {after:?}");
        assert!(after.p99 <= Duration::from_millis(ms) * 2, "{case} {after:?}");
    }
}

#[test]
fn a_service_that_is_slow_for_other_reasons_is_not_limited() {
    // A hundred at once at first, a thousand when each takes ten times as long, and no queue.
    let mut service = Service::new(100_000);
    service.offer(2000.0, 10, about(50));
    let slow = service.offer(2000.0, 30, about(500));
    assert!(slow.refused < 3000, "at most for a moment: {slow:?}");
    let later = service.offer(2000.0, 10, about(500));
    assert_eq!(later.refused, 0, "{later:?}");
    assert_eq!(service.offer(2000.0, 10, about(50)).refused, 0);
}

#[test]
fn quick_and_slow_replies_beside_each_other_are_no_queue() {
    let mut service = Service::new(100_000);
    let mixed = |share: f64| move |dice: f64| Duration::from_millis(if dice < share { 1 } else { 400 });
    assert_eq!(service.offer(3000.0, 20, mixed(0.5)).refused, 0);
    assert_eq!(service.offer(3000.0, 20, mixed(0.02)).refused, 0);
}

#[test]
fn what_is_nearly_too_much_is_not_refused() {
    for (servers, ms) in [(20, 50), (100, 20), (2, 1)] {
        let capacity = servers as f64 * 1000.0 / ms as f64;
        let mut service = Service::new(servers);
        let seen = service.offer(capacity * 0.8, 60, about(ms));
        assert_eq!(seen.refused, 0, "{servers} × {ms}: {seen:?}");
    }
}

#[test]
fn failures_are_not_taken_for_quick_replies() {
    let mut gradient = Gradient::new(16);
    let start = clock::now();
    let mut at = |ms: u64, took: u64, good: bool| {
        let sample = Sample {
            now: start + Duration::from_millis(ms),
            started: start + Duration::from_millis(ms - took),
            in_flight: 100,
            good,
        };
        gradient.sample(sample, || false);
        gradient.usual
    };
    for ms in 0..200 {
        assert_eq!(at(1000 + ms, 1, false), None);
    }
    for ms in 0..200 {
        at(2000 + ms, 100, true);
    }
    assert!(at(3000, 100, true).is_some_and(|usual| usual > 90_000.0));
}

#[test]
fn a_service_that_was_away_is_back_soon() {
    // For ten seconds it needs a second for what took it 50 ms before and after.
    let mut service = Service::new(100_000);
    service.offer(2000.0, 5, about(50));
    service.offer(2000.0, 10, |_| Duration::from_secs(1));
    service.offer(2000.0, 2, about(50));
    let after = service.offer(2000.0, 5, about(50));
    assert_eq!(after.refused, 0, "{after:?}");
}
