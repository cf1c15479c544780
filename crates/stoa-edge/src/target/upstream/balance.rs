//! Which endpoint of a service a request goes to: one type in one file for each way.
//!
//! A way decides among the endpoints that are in use, by their shares: who is in use, what a weight and a slow start make
//! of a share and which priority is asked is the same for all (`set.rs`).

mod hash;
mod least_latency;
mod least_requests;
mod round_robin;

use super::{load::Moment, set::Member};
use stoa_config::plan::{self, LimitKey};

/// Chooses an endpoint.
pub(crate) trait Balance: Send + Sync {
    /// Position of the endpoint to try. Its share must be more than 0, as that of one of them is.
    fn pick(&self, from: &Candidates<'_>, ask: &Ask) -> usize;

    /// What of a request it goes by, for [`Ask::key`].
    fn key(&self) -> Option<&LimitKey> {
        None
    }
}

/// The way that the plan names.
pub(crate) fn choose(balance: &plan::Balance) -> Box<dyn Balance> {
    match balance {
        plan::Balance::RoundRobin => Box::<round_robin::RoundRobin>::default(),
        plan::Balance::LeastRequests => Box::new(least_requests::LeastRequests),
        plan::Balance::LeastLatency => Box::new(least_latency::LeastLatency),
        plan::Balance::Hash(key) => Box::new(hash::Hash::by(key.clone())),
    }
}

/// One request, as a way of balancing sees it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ask {
    /// Hash of what [`Balance::key`] named.
    pub(crate) key: u64,
    /// Random.
    pub(crate) roll: u64,
    pub(crate) now: Moment,
    /// Whether it can be sent again elsewhere when nothing comes of it.
    pub(crate) replayable: bool,
}

/// The endpoints of one priority.
pub(crate) struct Candidates<'a> {
    members: &'a [Member],
    shares: &'a [f32],
    total: f32,
}

impl<'a> Candidates<'a> {
    /// `None` where no share is more than 0.
    pub(crate) fn new(members: &'a [Member], shares: &'a [f32]) -> Option<Self> {
        let total: f32 = shares.iter().sum();
        (total > 0.0).then_some(Self {
            members,
            shares,
            total,
        })
    }

    /// All of them, those out of use too.
    pub(crate) fn members(&self) -> &'a [Member] {
        self.members
    }

    /// The part of the requests that one should get: 0 when it is out of use, less than its weight while it starts slowly.
    pub(crate) fn share(&self, position: usize) -> f32 {
        self.shares[position]
    }

    /// Sum of the shares.
    pub(crate) fn total(&self) -> f32 {
        self.total
    }

    /// One by its share. `roll` is random.
    pub(crate) fn sample(&self, roll: u64) -> usize {
        self.at(unit(roll), None)
    }

    /// Two different ones by their shares; the same where there is only one.
    pub(crate) fn two(&self, roll: u64) -> (usize, usize) {
        let first = self.sample(roll);
        (first, self.at(unit(mix(roll)), Some(first)))
    }

    /// The one at a point of the line on which all lie with their shares; `without` one of them.
    pub(crate) fn at(&self, point: f32, without: Option<usize>) -> usize {
        let left_out = without.map_or(0.0, |position| self.shares[position]);
        let mut left = point * (self.total - left_out);
        let mut last = without.unwrap_or(0);
        for (position, share) in self.shares.iter().enumerate() {
            if *share > 0.0 && Some(position) != without {
                last = position;
                if left < *share {
                    break;
                }
                left -= share;
            }
        }
        last
    }
}

/// A random number from 0 to less than 1.
pub(crate) fn unit(roll: u64) -> f32 {
    (roll >> 40) as f32 / (1_u64 << 24) as f32
}

/// Another number, as random (the end of `SplitMix64`).
pub(crate) fn mix(roll: u64) -> u64 {
    let mut z = roll.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
pub(crate) mod tests;
