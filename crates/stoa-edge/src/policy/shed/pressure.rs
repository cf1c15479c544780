//! How long what is ready waits for its turn at a worker.
//!
//! While many requests are under way a probe goes to the end of the worker's queue from time to time, and takes the time until
//! it is its turn. There is no probe on a quiet worker.

use crate::gateway::Lane;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};
use stoa_config::plan::Priority;
use stoa_exchange::clock;

/// Requests under way from which on the queue is looked at: fewer make none.
const ACTIVE_MIN: usize = 128;
/// A turn that takes longer is too late for everybody.
const AGE_MAX: Duration = Duration::from_millis(100);
/// Between two probes.
const PAUSE: Duration = Duration::from_millis(20);
/// How much the share that is refused grows and shrinks from probe to probe, in thousandths.
const UP: u32 = 100;
const DOWN: u32 = 50;

/// A worker's pressure.
#[derive(Debug, Default)]
pub(crate) struct Pressure {
    probing: AtomicBool,
    /// Thousandths of normal requests that are refused.
    share: AtomicU32,
    turn: AtomicU32,
}

/// Whether a request is refused for its worker's queue.
pub(crate) fn sheds(lane: &Arc<Lane>, priority: Priority) -> bool {
    let pressure = &lane.pressure;
    if lane.active() < ACTIVE_MIN {
        return false;
    }
    if !pressure.probing.swap(true, Relaxed) {
        tokio::spawn(probe(lane.clone()));
    }
    let share = pressure.share.load(Relaxed);
    if share == 0 {
        return false;
    }
    let refused = of(share, priority);
    // Spread evenly, without dice: of each thousand the first so many of a sequence that jumps.
    let turn = pressure.turn.fetch_add(1, Relaxed).wrapping_mul(617) % 1000;
    turn < refused
}

/// The share of a priority, by that of normal requests.
fn of(share: u32, priority: Priority) -> u32 {
    match priority {
        Priority::Critical => 0,
        Priority::High => share.saturating_sub(500) * 2,
        Priority::Normal => share,
        Priority::Low => (share * 2).min(1000),
    }
}

async fn probe(lane: Arc<Lane>) {
    let pressure = &lane.pressure;
    let asked = clock::now();
    tokio::task::yield_now().await;
    let late = clock::now().saturating_duration_since(asked) > AGE_MAX;
    let share = pressure.share.load(Relaxed);
    let next = if late {
        (share + UP).min(950)
    } else {
        share.saturating_sub(DOWN)
    };
    pressure.share.store(next, Relaxed);
    tokio::time::sleep(PAUSE).await;
    // What comes after a quiet time is judged anew.
    if lane.active() < ACTIVE_MIN {
        pressure.share.store(0, Relaxed);
    }
    pressure.probing.store(false, Relaxed);
}

#[cfg(test)]
mod tests;
