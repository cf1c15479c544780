//! Which server a read goes to.

use super::{Choice, Group, Instance, Lead, Sighting, State, Wanted};
use crate::operation::Freshness;
use crate::store::{Role, StoreError};
use std::time::Duration;
use stoa_config::plan::{Consistency, PostgresShard, Secret};
use stoa_exchange::clock;
use stoa_exchange::position::{Mark, Position};

fn group(write: &str, read: &[&str]) -> Group {
    let urls = PostgresShard {
        write: Secret::new(write),
        read: read.iter().map(|url| Secret::new(*url)).collect(),
    };
    Group::new(3, &urls, Duration::from_secs(10), &[Duration::from_secs(2)]).unwrap()
}

fn seen(recovering: bool, started: i64, position: u64) -> State {
    State::Up(Sighting {
        recovering,
        timeline: 4,
        position,
        instance: Instance { system: 7, started },
        version: 150_000,
        replayed_ago: None,
        // What it has, it has had for a second.
        at: clock::now().checked_sub(Duration::from_secs(1)).unwrap(),
    })
}

/// A primary at 1,000, a replica at 900 and one at 500.
fn three() -> Group {
    let group = group(
        "postgres://u:p@a/d",
        &["postgres://u:p@b/d", "postgres://r:q@c:6543/d"],
    );
    group.update(0, seen(false, 1, 1_000));
    group.update(1, seen(true, 2, 900));
    group.update(2, seen(true, 3, 500));
    group
}

fn after(timeline: u32, lsn: u64) -> Freshness {
    let at = Position::from(Mark {
        shard: 3,
        timeline,
        lsn,
    });
    Freshness::of(Consistency::Session, at)
}

/// The server, and what it must have: nothing, or a place that it is known to have or may have soon.
fn chosen(group: &Group, fresh: &Freshness, failed: Option<usize>) -> (usize, Option<Wanted>) {
    match group.choose(fresh, failed).unwrap() {
        Choice::Replica { index, wanted, .. } => (index, wanted),
        Choice::Primary { index, .. } => (index, None),
    }
}

#[test]
fn every_host_of_the_urls_is_a_server_once() {
    let names = |group: &Group| {
        group
            .members
            .iter()
            .map(|m| m.name.to_string())
            .collect::<Vec<_>>()
    };
    let one = group("postgres://u:p@a/d", &[]);
    assert!(names(&one) == ["a:5432"] && !one.is_watched() && one.lead().unwrap() == 0);
    let many = group(
        "postgres://u:p@a,b:6000/d",
        &["postgres://r:q@b:6000,c/d?sslmode=disable"],
    );
    assert_eq!(names(&many), ["a:5432", "b:6000", "c:5432"]);
    assert!(many.is_watched() && matches!(many.lead(), Err(StoreError::NoPrimary(_))));
    // Promoted, it is written to by who may write.
    let [.., last] = &many.members[..] else {
        panic!("three servers")
    };
    assert_eq!(last.write.config.get_user(), Some("u"));
    assert_eq!(last.read.config.get_user(), Some("r"));
    assert_eq!(last.write.config.get_password(), Some(&b"p"[..]));
    assert_eq!(last.write.address, "c:5432");
}

#[test]
fn a_read_goes_where_what_it_must_show_is() {
    let group = three();
    let known = |lsn| Some(Wanted { lsn, known: true });
    let strong = Freshness::strong();
    assert_eq!(chosen(&group, &strong, None), (0, None));
    assert_eq!(chosen(&group, &after(4, 900), None), (1, known(900)));
    assert_eq!(chosen(&group, &after(4, 400), Some(1)), (2, known(400)));
    // Another shard's place says nothing here.
    let other = Freshness::of(
        Consistency::Session,
        Position::from(Mark {
            shard: 1,
            timeline: 9,
            lsn: 9_999,
        }),
    );
    assert_ne!(chosen(&group, &other, None).0, 0);
    // A place on an earlier timeline is looked for where all are; one on a later nobody in sight has.
    assert_eq!(chosen(&group, &after(3, 1), None), (0, None));
    assert!(matches!(
        group.choose(&after(5, 1), None),
        Err(StoreError::NoPrimary(_))
    ));
    // A bound is a place too: what the primary had a moment ago.
    let bounded = Freshness::of(Consistency::Bounded(Duration::from_secs(2)), Position::default());
    assert_eq!(chosen(&group, &bounded, None).0, 0);
    group.update(2, seen(true, 3, 1_000));
    assert_eq!(chosen(&group, &bounded, None), (2, known(1_000)));
    // Who failed rests.
    group.members[2].strike();
    assert_eq!(chosen(&group, &bounded, None).0, 0);
    assert_eq!(chosen(&group, &Freshness::default(), None).0, 1);
    assert_eq!(chosen(&group, &Freshness::default(), Some(1)).0, 0);
    assert_eq!(group.servers()[0].fallbacks, 4);
}

#[test]
fn nobody_waits_for_a_replica_that_did_not_come() {
    let group = three();
    // Just now it had all there was: it is about to have more.
    group.update(1, seen(true, 2, 1_000));
    let soon = Some(Wanted {
        lsn: 1_001,
        known: false,
    });
    assert_eq!(chosen(&group, &after(4, 1_001), None), (1, soon));
    group.members[1].was_slow();
    assert_eq!(chosen(&group, &after(4, 1_001), None), (0, None));
    group.members[1].has_replayed(1_001);
    assert_eq!(chosen(&group, &after(4, 1_001), None).0, 1);
}

#[test]
fn without_a_primary_what_replicas_have_is_read() {
    let group = three();
    group.update(0, State::Down(String::from("connection refused")));
    assert!(matches!(group.view().lead, Lead::None(_)));
    assert_eq!(chosen(&group, &after(4, 900), None).0, 1);
    assert!(group.choose(&after(4, 950), None).is_err());
    assert!(group.choose(&Freshness::strong(), None).is_err());
    assert!(group.has_replica());
    // Two that take writes on one timeline: what a caller wrote was written to one of them.
    group.update(0, seen(false, 1, 1_000));
    group.update(2, seen(false, 3, 1_000));
    assert_eq!(group.servers()[2].role, Role::Split);
    assert!(group.choose(&after(4, 900), None).is_err());
    assert_eq!(chosen(&group, &Freshness::default(), None).0, 1);
}
