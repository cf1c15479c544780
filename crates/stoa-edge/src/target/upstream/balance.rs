//! Which endpoint of a service a request goes to.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use stoa_config::plan;

/// Chooses an endpoint.
pub(crate) trait Balance: Send + Sync {
    /// The one to try first, less than `endpoints`, which is not 0; the others follow in turn.
    fn first(&self, endpoints: usize) -> usize;
}

/// The policy that the plan names. Those that need latencies or counts take turns until they have them.
pub(crate) fn choose(balance: &plan::Balance) -> Box<dyn Balance> {
    match balance {
        plan::Balance::RoundRobin
        | plan::Balance::LeastRequests
        | plan::Balance::LeastLatency
        | plan::Balance::Hash(_) => Box::new(RoundRobin::default()),
    }
}

/// In turn.
#[derive(Debug, Default)]
struct RoundRobin {
    turn: AtomicUsize,
}

impl Balance for RoundRobin {
    fn first(&self, endpoints: usize) -> usize {
        if endpoints < 2 {
            0
        } else {
            self.turn.fetch_add(1, Relaxed) % endpoints
        }
    }
}
