//! By the hash of a key, with a bound on the load.

use super::{Ask, Balance, Candidates, mix};
use stoa_config::plan::LimitKey;

/// The endpoint to which a key belongs (rendezvous hashing, by weight), unless that has more than its part of the
/// requests under way: then the next one of the key.
///
/// When an endpoint goes, only its keys move, and they spread over the others. Every process gives the same answer, since
/// nothing goes into it but the key and the endpoint's URL.
#[derive(Debug)]
pub(super) struct Hash {
    key: LimitKey,
}

/// An endpoint has at most this many times its part of the requests under way (Mirrokni and others, "Consistent hashing
/// with bounded loads").
const LOAD_MAX: f32 = 1.25;

impl Hash {
    pub(super) fn by(key: LimitKey) -> Self {
        Self { key }
    }
}

impl Balance for Hash {
    fn pick(&self, from: &Candidates<'_>, ask: &Ask) -> usize {
        let members = from.members();
        let open = || (0..members.len()).filter(|position| from.share(*position) > 0.0);
        let busy = |position: usize| members[position].endpoint.load.in_flight();
        let all = open().map(busy).sum::<u32>() + 1;
        let has_room = |position: usize| {
            let most = (LOAD_MAX * all as f32 * from.share(position) / from.total()).ceil();
            (busy(position) + 1) as f32 <= most
        };
        // Somebody has room: the bounds add up to more than the requests.
        let best = |among: &mut dyn Iterator<Item = usize>| {
            let scored = among.map(|position| {
                (
                    position,
                    score(ask.key, members[position].seed, from.share(position)),
                )
            });
            scored
                .max_by(|a, b| a.1.total_cmp(&b.1))
                .map(|(position, _)| position)
        };
        let first = best(&mut open()).unwrap_or(0);
        if has_room(first) {
            return first;
        }
        best(&mut open().filter(|position| has_room(*position))).unwrap_or(first)
    }

    fn key(&self) -> Option<&LimitKey> {
        Some(&self.key)
    }
}

/// How strongly a key belongs to an endpoint: an exponential draw with its share as rate, so that the largest is each with the
/// probability of its share.
fn score(key: u64, seed: u64, share: f32) -> f64 {
    let drawn = (mix(key ^ seed) >> 11) as f64 / (1_u64 << 53) as f64;
    f64::from(share) / -drawn.max(f64::MIN_POSITIVE).ln()
}
