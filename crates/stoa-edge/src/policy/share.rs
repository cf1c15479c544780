//! Every so many of a hundred requests, without dice: spread evenly, and exact after a hundred.

use std::cell::Cell;

/// Whether this request is one of `percent` in a hundred.
pub(crate) fn chosen(percent: u8) -> bool {
    match percent {
        0 => false,
        100.. => true,
        percent => point() < u64::from(percent) * 100,
    }
}

/// The next point of 0 to 9,999: multiples of the golden section, which fill any stretch evenly.
pub(crate) fn point() -> u64 {
    thread_local! {
        static TURN: Cell<u64> = const { Cell::new(0) };
    }
    TURN.with(|turn| {
        let next = turn.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        turn.set(next);
        ((u128::from(next) * 10_000) >> 64) as u64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_met_soon() {
        for percent in [0, 1, 10, 50, 99, 100] {
            let chosen = (0..1000).filter(|_| chosen(percent)).count();
            assert!(
                chosen.abs_diff(usize::from(percent) * 10) <= 10,
                "{percent}: {chosen}"
            );
        }
    }
}
