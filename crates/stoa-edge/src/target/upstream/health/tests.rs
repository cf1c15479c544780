//! How an endpoint goes and comes back, on a clock of the test's own.

use super::{Cause, Health};
use crate::target::upstream::load::Moment;
use std::time::Duration;

const PERIOD: Duration = Duration::from_secs(5);

#[test]
fn who_fails_again_is_left_out_for_twice_as_long_with_a_bound() {
    let health = Health::default();
    let mut now = Moment(1);
    let mut last = 0;
    for turn in 0..20 {
        health.eject(Cause::Replies, now, PERIOD, 0.5);
        let period = health.until().0 - now.0;
        let wanted = (5_000_u64 << turn.min(10)).min(300_000);
        assert!(period.abs_diff(wanted) <= 1, "time {turn}: {period} ms");
        assert!(period >= last);
        last = period;
        now = Moment(health.until().0 + 1);
    }
    assert_eq!(health.counts(), [1, 0], "it was out all the while");
    // Well for long enough, it begins anew.
    assert!(health.answered(now, Moment(now.0 + 1)));
    let later = Moment(now.0 + 4 * 300_001);
    health.eject(Cause::Replies, later, PERIOD, 0.5);
    assert!(health.until().0 - later.0 <= 5_001);
}

#[test]
fn periods_vary_by_a_tenth() {
    for (roll, wanted) in [(0.0, 4_500), (1.0, 5_500)] {
        let health = Health::default();
        health.eject(Cause::Late, Moment(1), PERIOD, roll);
        assert!((health.until().0 - 1).abs_diff(wanted) <= 1);
    }
}

#[test]
fn two_checks_that_fail_take_it_out_and_one_brings_it_back() {
    let health = Health::default();
    assert!(!health.check_failed());
    assert!(!health.check_passed(Moment(5)), "it was in use");
    assert!(!health.check_failed());
    assert!(health.check_failed());
    assert!(!health.check_failed(), "told once");
    assert_eq!((health.is_out(), health.word()), (true, "failing"));
    assert!(health.check_passed(Moment(9)));
    assert_eq!(health.word(), "starting");
}

#[test]
fn a_check_ends_what_it_can_judge() {
    let health = Health::default();
    health.eject(Cause::Unreachable, Moment(1), PERIOD, 0.5);
    assert!(health.check_passed(Moment(2)));
    health.eject(Cause::Replies, Moment(3), PERIOD, 0.5);
    assert!(
        !health.check_passed(Moment(4)),
        "a check says nothing about the replies to others"
    );
    assert!(health.check_failed() || health.check_failed());
    assert!(!health.check_passed(Moment(5)), "still ejected");
    assert_eq!(health.word(), "ejected");
}
