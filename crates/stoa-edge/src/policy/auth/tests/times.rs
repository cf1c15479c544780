//! The moments at which a token begins and ends.

use crate::policy::auth::claims::Times;
use std::time::Duration;

#[test]
fn a_token_holds_from_its_start_up_to_its_end_with_the_leeway_on_both_sides() {
    let times = Times {
        expires: Some(200.0),
        not_before: Some(100.0),
    };
    for (now, holds) in [
        (89.9, false),
        (90.0, true),
        (150.0, true),
        (209.9, true),
        (210.0, false),
    ] {
        let mut refusals = Vec::new();
        times.judge(now, Duration::from_secs(10), &mut refusals);
        assert_eq!(refusals.is_empty(), holds, "{now}");
    }
}
