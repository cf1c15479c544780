//! Priorities, and what is tried when all were.

use super::Set;
use crate::target::upstream::{
    balance::{Ask, choose, mix, tests::endpoint},
    load::Moment,
};
use stoa_config::plan::{self, Share};

fn ask(turn: u64) -> Ask {
    Ask {
        key: mix(turn),
        roll: mix(turn),
        now: Moment(1),
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
            let picked = set.pick(&*balance, &[], &ask(turn)).unwrap();
            assert!([&endpoints[1].shown, &endpoints[3].shown].contains(&&picked.shown));
        }
        // What could not be connected to is passed over for the others of its priority, then for the next.
        let mut tried = Vec::new();
        while let Some(picked) = set.pick(&*balance, &tried, &ask(7)) {
            tried.push(picked.clone());
        }
        let places = tried
            .iter()
            .map(|t| endpoints.iter().position(|e| e.shown == t.shown).unwrap() % 2);
        assert_eq!(places.collect::<Vec<_>>(), [1, 1, 0, 0]);
    }
}
