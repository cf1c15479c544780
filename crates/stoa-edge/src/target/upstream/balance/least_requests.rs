//! The fewest requests under way.

use super::{Ask, Balance, Candidates};

/// The better of two that are drawn by their shares: the one with fewer requests under way for its share. Two are enough
/// (Mitzenmacher, "The power of two choices"), and of all, every worker would choose the same one.
#[derive(Debug)]
pub(super) struct LeastRequests;

impl Balance for LeastRequests {
    fn pick(&self, from: &Candidates<'_>, ask: &Ask) -> usize {
        let (first, second) = from.two(ask.roll);
        let busy = |position: usize| {
            from.members()[position].endpoint.load.in_flight() as f32 / from.share(position)
        };
        if busy(second) < busy(first) { second } else { first }
    }
}
