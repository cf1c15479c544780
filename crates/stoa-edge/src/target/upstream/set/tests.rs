//! Priorities, and what is tried when all were.

use super::{Pick, Rules, Set};
use crate::target::upstream::{
    balance::{
        Ask, choose, mix,
        tests::{endpoint, pick},
    },
    health::Cause,
    load::Moment,
};
use std::time::Duration;
use stoa_config::plan::{self, Share};

fn ask(turn: u64) -> Ask {
    Ask {
        key: mix(turn),
        roll: mix(turn),
        now: Moment(1),
        replayable: true,
    }
}

fn share(priority: u8) -> Share {
    Share { weight: 1, priority }
}

#[test]
fn the_first_priority_gets_everything_while_it_can() {
    let endpoints: Vec<_> = (0..4).map(endpoint).collect();
    // Out of order, as a file may have them.
    let set = Set::new(
        endpoints
            .iter()
            .cloned()
            .zip([share(1), share(0), share(1), share(0)]),
    );
    for way in [plan::Balance::RoundRobin, plan::Balance::LeastLatency] {
        let balance = choose(&way);
        for turn in 0..100 {
            let picked = pick(&set, &*balance, &[], &ask(turn)).unwrap();
            assert!([&endpoints[1].shown, &endpoints[3].shown].contains(&&picked.shown));
        }
        // What could not be connected to is passed over for the others of its priority, then for the next.
        let mut tried = Vec::new();
        while let Some(picked) = pick(&set, &*balance, &tried, &ask(7)) {
            tried.push(picked.clone());
        }
        let places = tried
            .iter()
            .map(|t| endpoints.iter().position(|e| e.shown == t.shown).unwrap() % 2);
        assert_eq!(places.collect::<Vec<_>>(), [1, 1, 0, 0]);
    }
}

const RULES: Rules = Rules {
    slow_start: Duration::from_secs(10),
    refuses: false,
    address_max: 10_000,
    service_max: None,
};

#[test]
fn the_next_priority_takes_what_the_first_cannot() {
    let endpoints: Vec<_> = (0..8).map(endpoint).collect();
    let shares = [0, 0, 0, 0, 1, 1, 1, 1].map(share);
    let set = Set::new(endpoints.iter().cloned().zip(shares));
    let balance = choose(&plan::Balance::LeastRequests);
    let part_of_second = || {
        let second = (0..4_000).filter(|turn| {
            let picked = pick(&set, &*balance, &[], &ask(*turn)).unwrap();
            endpoints[4..].iter().any(|e| e.shown == picked.shown)
        });
        second.count() as f64 / 4_000.0
    };
    let out = |number: usize| {
        let period = Duration::from_hours(1);
        endpoints[number]
            .health
            .eject(Cause::Replies, Moment(1), period, 0.5);
    };
    // One of four is out: 75 % of 1.4 is enough.
    out(0);
    assert!(part_of_second() < f64::EPSILON);
    out(1);
    assert!((part_of_second() - 0.3).abs() < 0.03, "half of 1.4 stays");
    out(2);
    out(3);
    assert!((part_of_second() - 1.0).abs() < f64::EPSILON);
    for number in 4..8 {
        out(number);
    }
    assert!(
        part_of_second() < f64::EPSILON,
        "with none left it is as if all were there"
    );
}

#[test]
fn one_that_was_left_out_is_tried_by_one_request_and_starts_slowly() {
    let set = Set::new((0..2).map(|n| (endpoint(n), share(0))));
    let balance = choose(&plan::Balance::RoundRobin);
    let health = &set.members()[0].endpoint.health;
    let at = |now: u64, replayable: bool| Ask {
        now: Moment(now),
        replayable,
        ..ask(now)
    };
    let go = |now: u64, replayable: bool| set.pick(&*balance, &[], &at(now, replayable), RULES);
    health.eject(Cause::Replies, Moment(1_000), Duration::from_secs(5), 0.5);
    for now in 1_000..1_100 {
        assert!(matches!(go(now, true), Pick::To(e) if e.shown == set.members()[1].endpoint.shown));
    }
    assert!(
        matches!(go(6_100, false), Pick::To(_)),
        "a write does not try it first"
    );
    assert!(matches!(go(6_100, true), Pick::Probe(_)));
    assert!(matches!(go(6_100, true), Pick::To(_)), "one is enough");
    health.untried();
    assert!(
        matches!(go(11_100, false), Pick::Probe(_)),
        "nobody else came to try it"
    );
    assert!(
        !health.answered(Moment(900), Moment(11_200)),
        "it was asked before it failed"
    );
    assert!(health.answered(Moment(11_100), Moment(11_200)));
    let part = |now: u64| {
        let first = (0..1_000)
            .filter(|_| matches!(go(now, true), Pick::To(e) if e.shown == set.members()[0].endpoint.shown));
        first.count()
    };
    assert!((80..100).contains(&part(11_200)), "a tenth of its share at first");
    assert!(
        (320..350).contains(&part(16_200)),
        "half of it after half of the time"
    );
    assert_eq!(part(21_300), 500);
    assert_eq!(health.counts(), [1, 1]);
}

#[test]
fn refused_means_that_only_who_tries_gets_through() {
    let set = Set::new([(endpoint(0), share(0))]);
    let balance = choose(&plan::Balance::LeastLatency);
    let rules = Rules {
        refuses: true,
        ..RULES
    };
    let go = |now: u64| {
        let asked = Ask {
            now: Moment(now),
            ..ask(now)
        };
        set.pick(&*balance, &[], &asked, rules)
    };
    assert!(matches!(go(1), Pick::To(_)));
    set.members()[0]
        .endpoint
        .health
        .eject(Cause::Replies, Moment(1), Duration::from_secs(5), 0.5);
    assert!(matches!(go(2), Pick::Refused));
    assert!(matches!(go(5_100), Pick::Probe(_)));
    assert!(matches!(go(5_100), Pick::Refused));
}
