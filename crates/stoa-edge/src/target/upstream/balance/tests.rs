//! What each way of balancing promises, on a clock of the test's own.

use super::{Ask, Balance, choose, mix};
use crate::target::upstream::{
    load::Moment,
    pool::Endpoint,
    pressure::Pressure,
    set::{Pick, Rules, Set},
};
use proptest::prelude::*;
use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    sync::Arc,
    time::Duration,
};
use stoa_config::plan::{self, LimitKey, Share};

pub(crate) fn endpoint(number: usize) -> Arc<Endpoint> {
    let plan = plan::Endpoint {
        tls: false,
        host: plan::Host::Name(format!("host-{number}.test")),
        port: 80,
        base_path: String::new(),
    };
    Arc::new(Endpoint::new(plan, 1, Arc::new(Pressure::new(1))))
}

pub(crate) fn set(weights: &[u16]) -> Set {
    let share = |weight: &u16| Share {
        weight: *weight,
        priority: 0,
    };
    Set::new(
        weights
            .iter()
            .map(share)
            .enumerate()
            .map(|(n, share)| (endpoint(n), share)),
    )
}

fn all() -> [plan::Balance; 4] {
    [
        plan::Balance::RoundRobin,
        plan::Balance::LeastRequests,
        plan::Balance::LeastLatency,
        plan::Balance::Hash(LimitKey::Ip),
    ]
}

fn ask(turn: u64, now: Moment) -> Ask {
    Ask {
        key: mix(mix(turn)),
        roll: mix(turn),
        now,
        replayable: true,
    }
}

/// The endpoint that a request goes to.
pub(crate) fn pick<'a>(
    set: &'a Set,
    balance: &dyn Balance,
    tried: &[Arc<Endpoint>],
    ask: &Ask,
) -> Option<&'a Arc<Endpoint>> {
    let rules = Rules {
        slow_start: Duration::from_secs(10),
        refuses: false,
        address_max: 10_000,
        service_max: None,
    };
    match set.pick(balance, tried, ask, rules) {
        Pick::To(endpoint) | Pick::Probe(endpoint) => Some(endpoint),
        Pick::Refused | Pick::Spent | Pick::Full => None,
    }
}

/// How often each endpoint is chosen while none has anything under way.
fn counts(set: &Set, balance: &dyn Balance, times: u64) -> Vec<f64> {
    let mut counts = vec![0.0; set.members().len()];
    for turn in 0..times {
        let picked = pick(set, balance, &[], &ask(turn, Moment(1))).expect("one is in use");
        counts[position(set, picked)] += 1.0;
    }
    counts
}

fn position(set: &Set, picked: &Arc<Endpoint>) -> usize {
    let all = set.members().iter();
    all.enumerate()
        .find(|(_, member)| Arc::ptr_eq(&member.endpoint, picked))
        .map(|(position, _)| position)
        .expect("it is one of them")
}

#[test]
fn every_way_gives_each_endpoint_its_weight() {
    for weights in [&[1, 1, 1][..], &[3, 1], &[5, 3, 1, 1], &[1; 10]] {
        let total: u16 = weights.iter().sum();
        for way in all() {
            let counts = counts(&set(weights), &*choose(&way), 20_000);
            for (count, weight) in counts.iter().zip(weights) {
                let part = count / 20_000.0;
                let wanted = f64::from(*weight) / f64::from(total);
                assert!((part - wanted).abs() < 0.02, "{way} of {weights:?}: {counts:?}");
            }
        }
    }
}

#[test]
fn turns_are_spread_evenly_by_weight() {
    let set = set(&[3, 1]);
    let balance = choose(&plan::Balance::RoundRobin);
    let mut since = 0;
    for turn in 0..1_000 {
        let picked = position(&set, pick(&set, &*balance, &[], &ask(turn, Moment(1))).unwrap());
        since = if picked == 1 { 0 } else { since + 1 };
        assert!(since <= 5, "one of four waited for {since} turns");
    }
}

proptest! {
    /// Whatever the weights and whatever was tried: an endpoint that was not, and every one is reached.
    #[test]
    fn no_endpoint_is_tried_twice_and_all_are_tried(
        weights in proptest::collection::vec(1_u16..1000, 1..12),
        way in 0_usize..4,
        seed in any::<u64>(),
    ) {
        let (set, balance) = (set(&weights), choose(&all()[way]));
        let mut tried: Vec<Arc<Endpoint>> = Vec::new();
        while let Some(picked) = pick(&set, &*balance, &tried, &ask(seed.wrapping_add(tried.len() as u64), Moment(1))) {
            prop_assert!(!tried.iter().any(|t| Arc::ptr_eq(t, picked)));
            tried.push(picked.clone());
        }
        prop_assert_eq!(tried.len(), weights.len());
    }
}

#[test]
fn an_endpoint_that_leaves_moves_only_its_own_keys() {
    let balance = choose(&plan::Balance::Hash(LimitKey::Ip));
    let endpoints: Vec<_> = (0..5).map(endpoint).collect();
    let of = |left_out: usize| {
        let rest = endpoints.iter().enumerate().filter(|(n, _)| *n != left_out);
        Set::new(rest.map(|(_, e)| (e.clone(), Share::default())))
    };
    let (before, after) = (of(99), of(2));
    let mut moved = 0;
    for key in 0..10_000 {
        let one = |set: &Set| {
            let picked = pick(set, &*balance, &[], &ask(key, Moment(1))).unwrap();
            picked.shown.clone()
        };
        let (was, is) = (one(&before), one(&after));
        if was != is {
            assert_eq!(was, endpoints[2].shown, "a key of another endpoint moved");
            moved += 1;
        }
    }
    assert!(moved <= 10_000 / 5 + 200, "{moved} of 10,000 keys moved");
}

#[test]
fn a_key_stays_at_its_endpoint_and_the_load_has_a_bound() {
    let balance = choose(&plan::Balance::Hash(LimitKey::Ip));
    let set = set(&[1, 1, 1, 1]);
    let hot = Ask {
        key: 7,
        ..ask(0, Moment(1))
    };
    let first = pick(&set, &*balance, &[], &hot).unwrap().shown.clone();
    for turn in 1..100 {
        let again = Ask {
            key: 7,
            ..ask(turn, Moment(1))
        };
        assert_eq!(pick(&set, &*balance, &[], &again).unwrap().shown, first);
    }
    // One key only, and everything stays under way: the worst there is.
    for under_way in 1..=400_u32 {
        let picked = pick(&set, &*balance, &[], &hot).unwrap();
        picked.load.begin(Moment(1));
        let most = set
            .members()
            .iter()
            .map(|m| m.endpoint.load.in_flight())
            .max()
            .unwrap();
        let bound = (1.25 * f64::from(under_way) / 4.0).ceil();
        assert!(f64::from(most) <= bound, "{most} of {under_way} at one endpoint");
    }
}

/// Requests that arrive evenly and end after the latency of their endpoint; what each got in every second.
struct World {
    set: Set,
    balance: Box<dyn Balance>,
    now: u64,
    turn: u64,
    ends: BinaryHeap<Reverse<(u64, usize, u64)>>,
    /// Latencies of what was sent in the last second.
    latencies: Vec<u64>,
}

impl World {
    fn new(way: &plan::Balance) -> Self {
        Self {
            set: set(&[1, 1, 1]),
            balance: choose(way),
            now: 1,
            turn: 0,
            ends: BinaryHeap::new(),
            latencies: Vec::new(),
        }
    }

    /// One second of `rate` requests; the part of each endpoint. `latency` is that of an endpoint in milliseconds, with
    /// a random number that makes it vary.
    fn second(&mut self, rate: u64, latency: impl Fn(usize, u64) -> u64) -> Vec<f64> {
        let mut counts = vec![0.0; 3];
        self.latencies.clear();
        let began = self.now;
        for number in 0..rate {
            self.until(began + number * 1000 / rate);
            self.turn += 1;
            let asked = ask(self.turn, Moment(self.now));
            let picked = pick(&self.set, &*self.balance, &[], &asked).unwrap();
            let at = position(&self.set, picked);
            picked.load.begin(Moment(self.now));
            counts[at] += 1.0 / rate as f64;
            let took = latency(at, mix(asked.roll));
            self.latencies.push(took);
            self.ends.push(Reverse((self.now + took, at, took)));
        }
        self.until(began + 1000);
        counts
    }

    fn until(&mut self, moment: u64) {
        while let Some(Reverse((end, at, took))) = self.ends.peek().copied().filter(|e| e.0.0 <= moment) {
            self.ends.pop();
            let load = &self.set.members()[at].endpoint.load;
            load.answered(Duration::from_millis(took), Moment(end));
            load.end();
        }
        self.now = moment;
    }

    fn p99(&mut self) -> u64 {
        self.latencies.sort_unstable();
        self.latencies[self.latencies.len() * 99 / 100]
    }
}

/// A latency around a mean: half of it to one and a half.
fn around(mean: u64, random: u64) -> u64 {
    mean / 2 + random % mean.max(1)
}

/// Failure case 16.
#[test]
fn a_slow_endpoint_loses_nine_tenths_of_its_share_within_5_s_and_nothing_oscillates() {
    for (base, rate) in [(4, 200), (20, 500), (20, 2_000), (100, 500)] {
        let mut world = World::new(&plan::Balance::LeastLatency);
        for _ in 0..10 {
            world.second(rate, |_, random| around(base, random));
        }
        let normal = world.p99();
        let slow = |at: usize, random: u64| around(base, random) + if at == 1 { 500 } else { 0 };
        for _ in 0..5 {
            world.second(rate, slow);
        }
        let mut others = Vec::new();
        for second in 5..65 {
            let parts = world.second(rate, slow);
            assert!(
                parts[1] <= 0.1 / 3.0,
                "{base} ms, {rate}/s, second {second}: {parts:?}"
            );
            let p99 = world.p99();
            assert!(
                p99 as f64 <= 1.5 * normal as f64,
                "{base} ms, {rate}/s, second {second}: p99 {p99} ms"
            );
            others.push(parts[0]);
        }
        let mean = others.iter().sum::<f64>() / others.len() as f64;
        let far = others.iter().map(|part| (part - mean).abs()).fold(0.0, f64::max);
        assert!(
            far < 0.2,
            "{base} ms, {rate}/s: the share of one endpoint swings by {far}"
        );
    }
}

#[test]
fn an_endpoint_that_is_quick_again_gets_its_share_back() {
    let mut world = World::new(&plan::Balance::LeastLatency);
    for _ in 0..5 {
        world.second(500, |at, random| {
            around(20, random) + if at == 1 { 500 } else { 0 }
        });
    }
    let mut parts = Vec::new();
    for _ in 0..90 {
        parts = world.second(500, |_, random| around(20, random));
    }
    assert!(parts[1] > 0.2, "{parts:?}");
}

#[test]
fn a_silent_endpoint_is_left_alone_by_both_that_look_at_the_load() {
    for way in [plan::Balance::LeastRequests, plan::Balance::LeastLatency] {
        let mut world = World::new(&way);
        for _ in 0..5 {
            world.second(500, |_, random| around(20, random));
        }
        let mut got = 0.0;
        for _ in 0..10 {
            let parts = world.second(
                500,
                |at, random| if at == 1 { 1_000_000 } else { around(20, random) },
            );
            got += parts[1] * 500.0;
        }
        assert!(
            got < 60.0,
            "{way}: {got} of 5,000 requests to an endpoint that says nothing"
        );
    }
}

#[test]
fn two_choices_keep_the_busiest_near_the_mean() {
    let mut world = World::new(&plan::Balance::LeastRequests);
    for _ in 0..5 {
        world.second(1_000, |_, random| around(100, random));
    }
    let busy: Vec<_> = world
        .set
        .members()
        .iter()
        .map(|m| m.endpoint.load.in_flight())
        .collect();
    let most = busy.iter().max().unwrap();
    assert!(
        f64::from(*most) < 1.3 * f64::from(busy.iter().sum::<u32>()) / 3.0,
        "{busy:?}"
    );
}

#[test]
fn processes_agree_about_a_key() {
    let chosen = |_: u32| {
        let (set, balance) = (set(&[1, 2, 3]), choose(&plan::Balance::Hash(LimitKey::User)));
        let one = |key: u64| {
            (
                key,
                pick(&set, &*balance, &[], &ask(key, Moment(1)))
                    .unwrap()
                    .shown
                    .clone(),
            )
        };
        (0..100).map(one).collect::<HashMap<_, _>>()
    };
    assert_eq!(chosen(1), chosen(2));
}
