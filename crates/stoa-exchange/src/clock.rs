//! The only place that reads the system's clocks, so that tests can move them.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

static WALL_SHIFT_MS: AtomicI64 = AtomicI64::new(0);

/// The monotonic clock: time-outs, limits and ages are measured with it, so that a jump of the wall clock
/// expires nothing.
#[inline]
pub fn now() -> Instant {
    #[expect(clippy::disallowed_methods, reason = "this is the place that may")]
    Instant::now()
}

/// The wall clock: what is shown to people and judged against dates in tokens and HTTP fields.
#[inline]
pub fn wall() -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "this is the place that may")]
    let real = SystemTime::now();
    match WALL_SHIFT_MS.load(Ordering::Relaxed) {
        0 => real,
        shift if shift > 0 => real + Duration::from_millis(shift.unsigned_abs()),
        shift => real - Duration::from_millis(shift.unsigned_abs()),
    }
}

/// Whole seconds since 1970 by [`wall`]; 0 before.
pub fn unix_seconds() -> u64 {
    wall().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Microseconds since 1970 by [`wall`]; 0 before.
pub fn unix_micros() -> u64 {
    wall()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
}

/// Shifts [`wall`] by this many milliseconds for the whole process. For tests of clock jumps.
pub fn shift_wall_ms(shift: i64) {
    WALL_SHIFT_MS.store(shift, Ordering::Relaxed);
}
