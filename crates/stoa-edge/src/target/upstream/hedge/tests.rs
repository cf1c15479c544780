//! The estimate of a percentile.

use super::Hedge;
use crate::target::upstream::balance::mix;
use std::time::Duration;
use stoa_config::plan::HedgeAfter;

#[test]
fn the_estimate_comes_to_rest_at_the_percentile() {
    for (percentile, wanted) in [(50, 50.0), (95, 95.0)] {
        let hedge = Hedge::new(HedgeAfter::Percentile(percentile));
        assert_eq!(hedge.after(), None, "nothing is known");
        let mut sum = 0.0;
        for turn in 0..20_000_u64 {
            hedge.observe(Duration::from_millis(1 + mix(turn) % 100));
            if turn >= 10_000 {
                sum += hedge.after().expect("much is known").as_secs_f64() * 1000.0;
            }
        }
        let mean = sum / 10_000.0;
        assert!(
            (mean - wanted).abs() < 6.0,
            "p{percentile} is taken for {mean} ms"
        );
    }
}

#[test]
fn a_fixed_time_is_what_it_is() {
    let hedge = Hedge::new(HedgeAfter::Time(Duration::from_millis(30)));
    hedge.observe(Duration::from_secs(5));
    assert_eq!(hedge.after(), Some(Duration::from_millis(30)));
}
