//! How far behind, by one clock.

use super::{History, SAMPLES_MAX};
use std::time::{Duration, Instant};
use stoa_exchange::clock;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The primary was at 100, 200, 300 … a second apart.
fn steady(start: Instant) -> History {
    let mut history = History::new(Duration::from_secs(20));
    for second in 0..10 {
        history.add(1, 100 * (second + 1), start + ms(1_000 * second));
    }
    history
}

#[test]
fn a_lag_is_the_age_of_what_is_missing() {
    let start = clock::now();
    let history = steady(start);
    let now = start + ms(9_500);
    for (replayed, lag) in [
        (1_000, 0),
        (2_000, 0),
        (999, 500),
        (900, 500),
        (899, 1_500),
        (100, 8_500),
        (0, 9_500),
    ] {
        assert_eq!(history.lag(replayed, now), ms(lag), "{replayed}");
    }
}

#[test]
fn a_bound_is_where_the_primary_was_within_it() {
    let start = clock::now();
    let history = steady(start);
    let now = start + ms(9_500);
    for (within, needed) in [
        (499, None),
        (500, Some(1_000)),
        (1_500, Some(900)),
        (60_000, Some(100)),
    ] {
        assert_eq!(history.needed(ms(within), now), needed, "{within}");
    }
    // Nothing was seen of the primary for longer than the bound.
    assert_eq!(history.needed(ms(5_000), now + ms(6_000)), None);
    assert_eq!(history.reaches(now), ms(9_500));
}

#[test]
fn a_new_timeline_begins_anew_and_an_old_one_adds_nothing() {
    let start = clock::now();
    let mut history = steady(start);
    history.add(2, 50, start + ms(10_000));
    assert_eq!((history.timeline(), history.last()), (2, Some(50)));
    history.add(1, 5_000, start + ms(11_000));
    history.add(2, 40, start + ms(12_000));
    assert_eq!((history.timeline(), history.last()), (2, Some(50)));
}

#[test]
fn however_much_is_written_the_window_is_covered() {
    let start = clock::now();
    let mut history = History::new(Duration::from_secs(20));
    for n in 0..100_000_u64 {
        history.add(1, n, start + ms(n));
    }
    assert!(history.samples.len() <= SAMPLES_MAX);
    let now = start + ms(100_000);
    let needed = history.needed(Duration::from_secs(10), now).unwrap();
    assert!((90_000..90_100).contains(&needed), "{needed}");
}
