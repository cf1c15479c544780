//! Tests.

use super::*;

fn lane(active: usize, share: u32) -> Arc<Lane> {
    let lane = Arc::<Lane>::default();
    (0..active).for_each(|_| lane.enter());
    lane.pressure.share.store(share, Relaxed);
    lane
}

fn shed(lane: &Arc<Lane>, priority: Priority) -> usize {
    (0..1000).filter(|_| sheds(lane, priority)).count()
}

#[tokio::test]
async fn the_share_that_is_refused_follows_the_priority() {
    for (priority, refused) in [
        (Priority::Critical, 0),
        (Priority::High, 200),
        (Priority::Normal, 600),
        (Priority::Low, 1000),
    ] {
        assert_eq!(shed(&lane(ACTIVE_MIN, 600), priority), refused, "{priority:?}");
        assert_eq!(shed(&lane(ACTIVE_MIN - 1, 600), priority), 0);
    }
}

#[tokio::test]
async fn a_worker_that_has_no_time_refuses_until_it_has() {
    let lane = lane(ACTIVE_MIN, 0);
    assert!(!sheds(&lane, Priority::Normal));
    // The probe is behind what takes long.
    let busy = clock::now();
    tokio::spawn(async move { while clock::now().saturating_duration_since(busy) < AGE_MAX * 3 {} });
    let mut refused = false;
    for _ in 0..1_000 {
        refused |= lane.pressure.share.load(Relaxed) > 0;
        sheds(&lane, Priority::Normal);
        tokio::time::sleep(Duration::from_millis(1)).await;
        if refused && lane.pressure.share.load(Relaxed) == 0 {
            return;
        }
    }
    panic!("{:?}", lane.pressure);
}
