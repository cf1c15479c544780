//! The fence of a sharded store's writes. Whoever moves a bucket takes its lock for himself before he takes the bucket
//! away; whoever writes takes the same lock with the others, and then looks whether the shard owns the bucket. Seen under
//! the lock, that stays so until the write is committed, whatever map of the buckets the writer had.
//!
//! The lock ends with the transaction, so that a pooler of transactions may stand between.

use crate::store::sql::{Gate, OWNED, Share};

/// The first half of the locks' names: "stoa" in ASCII.
pub(crate) const LOCKS: i32 = 0x7374_6f61;
/// The second half of the lock that stands for every bucket of the shard: who moves one takes this one first.
pub(crate) const EVERY: i32 = -1;
/// Buckets that are locked one by one; with more, the whole shard is. A server's table of locks has a bound.
pub(crate) const BUCKETS_MAX: usize = 64;

/// What a shard must own until a write is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fence {
    /// These buckets, in order and each once, at most [`BUCKETS_MAX`].
    Buckets(Vec<u16>),
    /// What the map says that it owns, no more and no less.
    Whole(Share),
}

impl Fence {
    /// What follows `BEGIN`: the locks, and the look that fails by dividing by zero. Each is a statement with a view of
    /// the data of its own. Buckets are numbers, never text of a caller's.
    pub(super) fn take(&self) -> String {
        match self {
            Self::Buckets(buckets) => {
                let list: Vec<String> = buckets.iter().map(u16::to_string).collect();
                let list = list.join(", ");
                format!(
                    "; SELECT pg_advisory_xact_lock_shared({LOCKS}, b) FROM unnest(ARRAY[{list}]) AS b\
                     ; SELECT 1 / (count(*) = {})::int FROM {OWNED} WHERE bucket IN ({list})",
                    buckets.len()
                )
            }
            Self::Whole(share) => format!(
                "; SELECT pg_advisory_xact_lock_shared({LOCKS}, {EVERY})\
                 ; SELECT 1 / (count(*) = {} AND coalesce(max(epoch), 0) = {})::int FROM {OWNED}",
                share.buckets, share.epoch
            ),
        }
    }

    /// What the statements behind it look at in each row.
    pub(super) fn gate(&self) -> Option<Gate> {
        match self {
            // Their conditions name buckets, or keys whose buckets these are.
            Self::Buckets(_) => None,
            Self::Whole(_) => Some(Gate::Rows),
        }
    }
}
