//! The budget, on a clock of the test's own, and the queue.

use super::Pressure;
use crate::target::upstream::load::Moment;
use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

#[test]
fn retries_are_a_fifth_of_the_requests_and_some_when_there_are_few() {
    let pressure = Pressure::new(2);
    for number in 0..400 {
        pressure.request(number, Moment(1_000));
    }
    let allowed = (0..400).filter(|_| pressure.retry(20, Moment(1_500))).count();
    assert_eq!(allowed, 80);
    assert_eq!((pressure.counts().retried, pressure.counts().denied), (80, 320));
    let few = Pressure::new(2);
    assert_eq!((0..50).filter(|_| few.retry(20, Moment(1_000))).count(), 10);
    assert!(!few.retry(0, Moment(60_000)));
}

/// However failures are spread over time, the requests of ten seconds are never retried more than once for five.
#[test]
fn over_time_the_share_holds() {
    let pressure = Pressure::new(1);
    let (mut requests, mut retries) = (0_u32, 0_u32);
    for tick in 0..60_000_u64 {
        let now = Moment(1 + tick);
        if tick % 2 == 0 {
            pressure.request(0, now);
            requests += 1;
            // Bursts of failures: ten seconds of four, at changing places.
            if (tick / 1_000 * 7) % 40 < 25 && pressure.retry(20, now) {
                retries += 1;
            }
        }
    }
    assert!(
        f64::from(retries) <= f64::from(requests) * 0.2 + 10.0,
        "{retries} of {requests}"
    );
    assert!(
        f64::from(retries) > f64::from(requests) * 0.15,
        "{retries} of {requests}"
    );
}

#[tokio::test]
async fn the_queue_is_bounded_and_nobody_waits_for_ever() {
    let pressure = Pressure::new(1);
    let long = Duration::from_secs(10);
    let short = Duration::from_millis(20);
    let never = || None::<()>;
    assert_eq!(pressure.wait(0, long, never).await, None, "no place to wait");
    assert_eq!(pressure.wait(1, short, never).await, None, "too long");
    assert_eq!(pressure.counts().turned_away, 2);
    let free = AtomicBool::new(false);
    let waiting = pressure.wait(1, long, || free.load(Relaxed).then_some(()));
    let frees = async {
        while pressure.counts().waiting == 0 {
            tokio::task::yield_now().await;
        }
        free.store(true, Relaxed);
        pressure.free();
    };
    assert_eq!(tokio::join!(waiting, frees).0, Some(()));
    assert_eq!(pressure.counts().waiting, 0);
}
