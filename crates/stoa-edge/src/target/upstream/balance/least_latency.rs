//! The quickest to answer.

use super::{Ask, Balance, Candidates, mix, unit};

/// The better of two that are drawn by their shares, by the peak EWMA of their latency and the requests under way.
///
/// Latency counts by its cube: an endpoint that is several times slower is not used until the others are that much
/// slower too, however many requests they have under way. The cheaper of the two is not sure to win, the less the more alike
/// they are: what all workers decided alike would swing to and fro, and alike ones keep the shares they were drawn by.
#[derive(Debug)]
pub(super) struct LeastLatency;

/// How sharply the cheaper one is preferred.
const SHARPNESS: i32 = 4;

impl Balance for LeastLatency {
    fn pick(&self, from: &Candidates<'_>, ask: &Ask) -> usize {
        let (first, second) = from.two(ask.roll);
        if first == second {
            return first;
        }
        let load = |position: usize| &from.members()[position].endpoint.load;
        // One that is not known yet is taken for as quick as the other.
        let (known_first, known_second) = (load(first).latency(ask.now), load(second).latency(ask.now));
        let either = known_first.or(known_second).unwrap_or(1.0);
        let cost = |position: usize, latency: Option<f32>| {
            let busy = load(position).in_flight() as f32 / from.share(position) * mean(from);
            latency.unwrap_or(either).max(0.01).powi(3) * (busy + 1.0)
        };
        let (cost_first, cost_second) = (cost(first, known_first), cost(second, known_second));
        let keeps = (cost_second / cost_first).powi(SHARPNESS);
        if unit(mix(mix(ask.roll))) < keeps {
            first
        } else {
            second
        }
    }
}

fn mean(from: &Candidates<'_>) -> f32 {
    from.total() / from.members().len() as f32
}
