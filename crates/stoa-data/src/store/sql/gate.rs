//! The gate of a sharded store's statements: they find only rows of buckets that the shard owns, and fail where the shard
//! does not own what it was asked for, so that "no rows" and "not here" are never the same.

use super::{Arg, Builder, Scope};
use crate::store::table::BUCKET_QUOTED;

/// The table of the buckets that a shard owns.
pub(crate) const OWNED: &str = "\"_stoa_owned\"";

/// What a shard must own for a statement to be right there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// This bucket.
    Bucket(u16),
    /// What the map says that it owns, no more and no less.
    Whole(Share),
    /// It is checked already; only rows of owned buckets are found.
    Rows,
}

/// What one shard owns, by the map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    /// How many buckets.
    pub(crate) buckets: u16,
    /// The newest epoch among them; 0 when it owns none. Every move gives its buckets an epoch of its own, so that no two
    /// sets of buckets of one shard have the same number and the same epoch.
    pub(crate) epoch: i64,
}

impl<'a> Builder<'a> {
    /// Puts the gate before a condition. What it asks of the shard does not depend on a row, so that it is asked once, and
    /// also where there is no row; dividing by zero fails.
    pub(super) fn gate(&mut self, scope: Scope<'a>) {
        let Some(gate) = self.gate else { return };
        if let Gate::Bucket(bucket) = gate {
            self.push("1 / (SELECT count(*) FROM ");
            self.push(OWNED);
            self.push(" WHERE bucket = ");
            self.bind(Arg::Int(i64::from(bucket)));
            self.push(") = 1 AND ");
            return;
        }
        if let Gate::Whole(share) = gate {
            self.push("1 / (SELECT (count(*) = ");
            self.bind(Arg::Int(i64::from(share.buckets)));
            self.push(" AND coalesce(max(epoch), 0) = ");
            self.bind(Arg::Int(share.epoch));
            self.push(")::int FROM ");
            self.push(OWNED);
            self.push(") = 1 AND ");
        }
        // What was moved away may still lie there for a while. `IS TRUE` keeps it a look into a set, row by row.
        if scope.table.created {
            self.push("(");
            self.alias(scope.alias);
            self.push(".");
            self.push(BUCKET_QUOTED);
            self.push(" IN (SELECT bucket FROM ");
            self.push(OWNED);
            self.push(")) IS TRUE AND ");
        }
    }
}
