//! Which shapes of statement took long of late. Such go straight to where they hold nobody up: SQLite's to a reader
//! thread, PostgreSQL's to a connection of their own. A small table without locks: a lost entry costs one try.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use stoa_exchange::clock;

/// Entries.
const SLOTS: usize = 256;
/// For how long a shape is remembered.
const KEPT: Duration = Duration::from_secs(10);

/// The table: 32 bits of the shape's hash, and until when, in seconds since the start.
#[derive(Debug)]
pub(crate) struct Slow {
    base: Instant,
    slots: Box<[AtomicU64]>,
}

/// What a statement's text is known by.
pub(crate) fn shape(sql: &str) -> u64 {
    xxhash_rust::xxh3::xxh3_64(sql.as_bytes())
}

impl Slow {
    pub(crate) fn new() -> Self {
        Self {
            base: clock::now(),
            slots: std::iter::repeat_with(AtomicU64::default).take(SLOTS).collect(),
        }
    }

    fn seconds(&self) -> u64 {
        clock::now().saturating_duration_since(self.base).as_secs()
    }

    fn slot(&self, shape: u64) -> Option<&AtomicU64> {
        self.slots.get(shape as usize % SLOTS)
    }

    /// Whether a shape was slow of late.
    pub(crate) fn is(&self, shape: u64) -> bool {
        let entry = self.slot(shape).map_or(0, |slot| slot.load(Ordering::Relaxed));
        entry != 0 && entry >> 32 == shape >> 32 && (entry & 0xffff_ffff) > self.seconds()
    }

    /// Takes note of a slow shape.
    pub(crate) fn remember(&self, shape: u64) {
        let until = (self.seconds() + KEPT.as_secs()) & 0xffff_ffff;
        if let Some(slot) = self.slot(shape) {
            slot.store((shape >> 32) << 32 | until, Ordering::Relaxed);
        }
    }
}
