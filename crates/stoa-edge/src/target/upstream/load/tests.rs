//! What is known of an endpoint, on a clock of the test's own.

use super::{Load, Moment};
use std::time::Duration;

const MS: fn(u64) -> Duration = Duration::from_millis;

fn near(found: Option<f32>, wanted: f32) {
    let found = found.expect("something was observed");
    assert!(
        (found - wanted).abs() < wanted * 0.05,
        "{found} is not about {wanted}"
    );
}

#[test]
fn a_peak_counts_at_once_and_is_forgotten_slowly() {
    let load = Load::default();
    assert_eq!(load.latency(Moment(1)), None);
    load.begin(Moment(1));
    load.answered(MS(10), Moment(11));
    load.end();
    near(load.latency(Moment(11)), 10.0);
    load.begin(Moment(11));
    load.answered(MS(500), Moment(511));
    load.end();
    near(load.latency(Moment(511)), 500.0);
    near(load.latency(Moment(10_511)), 500.0 / std::f32::consts::E);
}

#[test]
fn what_is_silent_is_as_slow_as_its_silence() {
    let load = Load::default();
    load.begin(Moment(1));
    load.answered(MS(5), Moment(6));
    load.end();
    load.begin(Moment(1_000));
    load.begin(Moment(2_000));
    assert_eq!(load.silence(Moment(4_000)), MS(3_000));
    near(load.latency(Moment(4_000)), 3_000.0);
    load.answered(MS(3_000), Moment(4_000));
    assert_eq!(load.silence(Moment(4_000)), MS(0));
    load.left();
    assert_eq!(load.in_flight(), 2);
    assert_eq!(load.silence(Moment(9_000)), MS(0), "nobody waits");
}

#[test]
fn what_fails_quickly_does_not_look_quick() {
    let load = Load::default();
    load.begin(Moment(1));
    load.answered(MS(20), Moment(21));
    load.end();
    for _ in 0..5 {
        load.begin(Moment(22));
        load.failed(MS(0), Moment(22));
        load.end();
    }
    assert!(load.latency(Moment(22)).unwrap() > 600.0);
    assert_eq!(load.in_flight(), 0);
}

#[test]
fn counters_of_a_moment_may_wrap() {
    let load = Load::default();
    let late = u64::from(u32::MAX) - 5;
    load.begin(Moment(late));
    load.answered(MS(10), Moment(late));
    load.end();
    near(load.latency(Moment(late + 10_000)), 10.0 / std::f32::consts::E);
}
