//! Who is the primary, by what was seen.

use super::{Instance, Lead, Memory, PATIENCE, Sighting, State, judge};
use crate::store::Role;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stoa_exchange::clock;

fn seen(recovering: bool, timeline: u32, started: i64) -> Sighting {
    Sighting {
        recovering,
        timeline,
        position: 1_000,
        instance: Instance { system: 7, started },
        version: 150_000,
        replayed_ago: None,
        at: clock::now(),
    }
}

fn primary(timeline: u32, started: i64) -> State {
    State::Up(seen(false, timeline, started))
}

fn replica(timeline: u32, started: i64) -> State {
    State::Up(seen(true, timeline, started))
}

fn down() -> State {
    State::Down(String::from("connection refused"))
}

fn hung(last: Sighting, since: Instant) -> State {
    State::Hung {
        last: Some(last),
        since,
    }
}

fn names() -> Vec<Arc<str>> {
    ["a:1", "b:2", "c:3"].into_iter().map(Arc::from).collect()
}

/// Who leads, and what each is: `P`rimary, `R`eplica, `O`utdated, `S`plit, `D`own; lower case is given nothing.
fn judged(states: &[State], memory: &mut Memory) -> (Option<usize>, String) {
    let (lead, judged) = judge(&names(), states, memory, clock::now());
    let letter = |(role, out): &(Role, Option<String>)| {
        let letter = match role {
            Role::Primary => 'P',
            Role::Replica => 'R',
            Role::Outdated => 'O',
            Role::Split => 'S',
            Role::Down => 'D',
        };
        if out.is_some() {
            letter.to_ascii_lowercase()
        } else {
            letter
        }
    };
    let lead = match lead {
        Lead::One(index) => Some(index),
        Lead::None(why) | Lead::Split(why) => {
            assert!(why.contains("writes"), "{why}");
            None
        }
    };
    (lead, judged.iter().map(letter).collect())
}

/// What was seen, who leads, and what each is.
fn check<const N: usize>(cases: [(&str, [State; 3], Option<usize>, &str); N]) {
    for (what, states, lead, shown) in cases {
        let found = judged(&states, &mut Memory::default());
        assert_eq!(found, (lead, shown.to_owned()), "{what}");
    }
}

#[test]
fn the_later_timeline_wins_and_one_timeline_has_one_primary() {
    check([
        (
            "as it should be",
            [primary(1, 1), replica(1, 2), replica(1, 3)],
            Some(0),
            "PRR",
        ),
        (
            "the primary is gone",
            [down(), replica(1, 2), replica(1, 3)],
            None,
            "dRR",
        ),
        ("promoted", [down(), primary(2, 2), replica(2, 3)], Some(1), "dPR"),
        (
            "one still follows the old",
            [down(), primary(2, 2), replica(1, 3)],
            Some(1),
            "dPr",
        ),
        (
            "the old one is back",
            [primary(1, 9), primary(2, 2), replica(2, 3)],
            Some(1),
            "oPR",
        ),
        (
            "only replicas know of the new",
            [primary(1, 9), down(), replica(2, 3)],
            None,
            "odR",
        ),
        (
            "split",
            [primary(2, 1), primary(2, 2), replica(2, 3)],
            None,
            "SSR",
        ),
        (
            "one server by two addresses",
            [primary(1, 1), primary(1, 1), replica(1, 3)],
            Some(0),
            "PpR",
        ),
    ]);
}

#[test]
fn a_silent_primary_is_waited_for_and_a_silent_replica_is_not() {
    let now = clock::now();
    let gone = now.checked_sub(PATIENCE + Duration::from_secs(1)).unwrap();
    check([
        (
            "silent for a moment",
            [hung(seen(false, 1, 1), now), replica(1, 2), down()],
            Some(0),
            "PRd",
        ),
        (
            "silent for long",
            [hung(seen(false, 1, 1), gone), replica(1, 2), down()],
            None,
            "dRd",
        ),
        (
            "a replica is silent",
            [primary(1, 1), hung(seen(true, 1, 2), now), replica(1, 3)],
            Some(0),
            "PdR",
        ),
        (
            "nobody was looked at",
            [State::Unknown, State::Unknown, State::Unknown],
            None,
            "ddd",
        ),
    ]);
}

#[test]
fn a_later_timeline_is_not_forgotten() {
    let mut memory = Memory::default();
    judged(&[down(), primary(3, 2), down()], &mut memory);
    // The new primary is away for a moment: the old one is not written to instead.
    assert_eq!(
        judged(&[primary(2, 1), down(), down()], &mut memory),
        (None, "odd".to_owned())
    );
    assert_eq!(
        judged(&[primary(2, 1), primary(3, 5), down()], &mut memory).0,
        Some(1)
    );
}

#[test]
fn another_system_is_no_copy() {
    let mut other = seen(true, 9, 2);
    other.instance.system = 8;
    let mut memory = Memory::default();
    let states = [primary(1, 1), State::Up(other), replica(1, 3)];
    assert_eq!(judged(&states, &mut memory), (Some(0), "PrR".to_owned()));
    other.recovering = false;
    let states = [primary(1, 1), State::Up(other), replica(1, 3)];
    assert_eq!(judged(&states, &mut memory), (Some(0), "PoR".to_owned()));
}

#[test]
fn servers_of_which_none_answered_are_named_without_a_timeline() {
    let (lead, _) = judge(
        &[Arc::from("a:1"), Arc::from("b:2")],
        &[
            State::Down(String::from("refused")),
            State::Hung {
                last: None,
                since: clock::now(),
            },
        ],
        &mut Memory::default(),
        clock::now(),
    );
    assert_eq!(
        lead,
        Lead::None(String::from(
            "no server takes writes: a:1: refused; b:2 does not answer"
        ))
    );
}
