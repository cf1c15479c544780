//! Tests.

use super::*;

fn limiter(limit: u32) -> Arc<Limiter> {
    let limiter = Limiter::new(4);
    limiter.limit.store(limit, Relaxed);
    Arc::new(limiter)
}

fn fill(limiter: &Limiter, priority: Priority) -> Vec<Permit<'_>> {
    let mut taken = Vec::new();
    while taken.len() < 100
        && let Entry::In(permit) = limiter.enter(priority, true)
    {
        taken.push(permit);
    }
    taken
}

#[test]
fn lower_priorities_go_first_and_critical_ones_never() {
    for (priority, places) in [
        (Priority::Low, 30),
        (Priority::Normal, 40),
        (Priority::High, 51),
        (Priority::Critical, 100),
    ] {
        assert_eq!(fill(&limiter(40), priority).len(), places, "{priority:?}");
        assert_eq!(fill(&limiter(u32::MAX), priority).len(), 100);
    }
}

#[test]
fn a_place_is_given_back() {
    let limiter = limiter(40);
    drop(fill(&limiter, Priority::Normal));
    assert_eq!(limiter.in_flight.load(Relaxed), 0);
    assert_eq!(fill(&limiter, Priority::Normal).len(), 40);
}

#[tokio::test]
async fn who_comes_suddenly_waits_for_a_place_and_is_let_in_all_the_same() {
    let limiter = limiter(u32::MAX);
    let mut taken = Vec::new();
    while let Entry::In(permit) = limiter.enter(Priority::Normal, false) {
        taken.push(permit);
    }
    assert_eq!(taken.len(), 64);
    let waits = {
        let limiter = limiter.clone();
        tokio::spawn(async move { limiter.wait(Priority::Normal).await.is_some() })
    };
    while limiter.waiting.load(Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    taken.pop();
    assert!(waits.await.unwrap());
    // Nobody leaves.
    while let Entry::In(permit) = limiter.enter(Priority::Normal, false) {
        taken.push(permit);
    }
    assert!(limiter.wait(Priority::Normal).await.is_some());
    // Or it is known that it is too much.
    limiter.limit.store(10, Relaxed);
    assert!(limiter.wait(Priority::Normal).await.is_none());
    assert_eq!(limiter.waiting.load(Relaxed), 0);
}
