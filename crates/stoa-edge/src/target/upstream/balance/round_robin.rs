//! In turn.

use super::{Ask, Balance, Candidates};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// In turn. By weight, the turns lie as far apart as they can.
#[derive(Debug, Default)]
pub(super) struct RoundRobin {
    turn: AtomicU32,
}

/// 2^32 over the golden ratio: multiples of it, modulo 2^32, are spread evenly however many there are.
const STEP: u32 = 0x9e37_79b9;

impl Balance for RoundRobin {
    fn pick(&self, from: &Candidates<'_>, _: &Ask) -> usize {
        let open = || (0..from.members().len()).filter(|position| from.share(*position) > 0.0);
        let first = open().next().unwrap_or(0);
        // Where there is no choice, nobody's turn is used up.
        if open().nth(1).is_none() {
            return first;
        }
        let turn = self.turn.fetch_add(1, Relaxed);
        let equal = open().all(|position| (from.share(position) - from.share(first)).abs() < f32::EPSILON);
        if equal {
            let turn = turn as usize % open().count().max(1);
            return open().nth(turn).unwrap_or(first);
        }
        from.at((turn.wrapping_mul(STEP) >> 8) as f32 / (1_u32 << 24) as f32, None)
    }
}
