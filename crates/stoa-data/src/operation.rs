//! What a request on a resource asks for, in the words of the plan: positions, typed values, conditions.
//! A store turns it into SQL; nothing in it is text of the caller's that could become SQL.

mod select;

pub use crate::run_as::RunAs;
use crate::value::Value;
pub use select::{Aggregate, Along, Cast, Embed, Item, Join, Kind, Order, Pairs, PathStep, Term, Through};
pub(crate) use select::{is_grouped, kind_of};
use std::sync::Arc;
use std::time::Duration;
use stoa_config::plan::Consistency;
use stoa_exchange::position::Position;

/// Position of a resource in the plan.
pub type ResourceIndex = usize;
/// Position of a field in its resource.
pub type FieldIndex = usize;

/// `GET`, `HEAD`, parsed and allowed.
#[derive(Clone, Debug, PartialEq)]
pub struct Read {
    /// Of which resource.
    pub resource: ResourceIndex,
    /// What each row shows. Most requests ask for all there is, which is one and the same for each resource.
    pub select: Arc<Vec<Item>>,
    /// Which rows: the caller's filter and the access rule, joined.
    pub filter: Condition,
    /// In which order. Ends in the key, so that it is total.
    pub order: Vec<Order>,
    /// At most so many rows.
    pub limit: u64,
    /// After so many rows.
    pub offset: u64,
    /// After this position in `order`: one value for each entry of `order`. Never where rows are grouped.
    pub after: Option<Vec<Value>>,
    /// Whether the rows of the filter are counted.
    pub count: Count,
    /// The bucket, when the key, the shard key or the owner fixes it.
    pub bucket: Option<u16>,
    /// Shards that do not answer may be missing (`Prefer: partial=allow`).
    pub partial: bool,
    /// How fresh what it shows must be.
    pub fresh: Freshness,
    /// As whom the database runs it, where its own policies judge.
    pub run_as: Option<Arc<RunAs>>,
}

/// How fresh what a read shows must be, where a store has replicas. The default is whatever a replica within the
/// store's `max_lag` has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// The primary alone knows it.
    pub primary: bool,
    /// At most so far behind the primary.
    pub within: Option<Duration>,
    /// Everything that was written up to here.
    pub after: Position,
}

impl Freshness {
    /// What the primary shows.
    pub fn strong() -> Self {
        Self {
            primary: true,
            ..Self::default()
        }
    }

    /// What `consistency` promises to a caller that has written up to `after`.
    pub fn of(consistency: Consistency, after: Position) -> Self {
        match consistency {
            Consistency::Strong => Self::strong(),
            Consistency::Session => Self {
                after,
                ..Self::default()
            },
            Consistency::Bounded(lag) => Self {
                within: Some(lag),
                after,
                ..Self::default()
            },
            Consistency::Eventual => Self::default(),
        }
    }

    /// Both, for a read that shows rows of two resources.
    pub fn join(&mut self, other: &Self) {
        self.primary |= other.primary;
        self.within = match (self.within, other.within) {
            (Some(one), Some(two)) => Some(one.min(two)),
            (one, two) => one.or(two),
        };
        self.after.raise(&other.after);
    }
}

/// How rows are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Not at all.
    None,
    /// All of them.
    Exact,
    /// The database's estimate.
    Planned,
    /// Exact up to the page bound, the estimate beyond.
    Estimated,
}

/// Which rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// All.
    True,
    /// None.
    False,
    /// All of these.
    And(Vec<Condition>),
    /// Any of these.
    Or(Vec<Condition>),
    /// Not this (three-valued, as in SQL).
    Not(Box<Condition>),
    /// A field against a value.
    Compare {
        /// Which field.
        field: FieldIndex,
        /// Steps into its JSON.
        path: Vec<PathStep>,
        /// How.
        op: Compare,
        /// Against what, in the field's type (text after a path).
        value: Value,
    },
    /// A field against a list; an empty list matches nothing.
    In {
        /// Which field.
        field: FieldIndex,
        /// Steps into its JSON.
        path: Vec<PathStep>,
        /// The list.
        values: Vec<Value>,
    },
    /// A field's text searched for words. PostgreSQL alone has it.
    Search {
        /// Which field.
        field: FieldIndex,
        /// Steps into its JSON.
        path: Vec<PathStep>,
        /// How the words are read.
        how: Search,
        /// The name of a language that the server knows; its own default when none.
        language: Option<Box<str>>,
        /// The words.
        words: Box<str>,
    },
    /// `is null|true|false|unknown`.
    Is {
        /// Which field.
        field: FieldIndex,
        /// Steps into its JSON.
        path: Vec<PathStep>,
        /// Which.
        what: Is,
    },
    /// Whether an embed has a row (`embed=not.is.null`).
    Embedded {
        /// Position of the embed among the items of its own level: [`Read::select`] or [`Embed::select`].
        item: usize,
    },
    /// Two fields of one row, from a CEL rule.
    Fields {
        /// Left.
        left: FieldIndex,
        /// How.
        op: Compare,
        /// Right.
        right: FieldIndex,
    },
}

impl Condition {
    /// Both, without needless nesting.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::True, other) => other,
            (this, Self::True) => this,
            (Self::False, _) | (_, Self::False) => Self::False,
            (Self::And(mut list), Self::And(more)) => {
                list.extend(more);
                Self::And(list)
            }
            (Self::And(mut list), other) => {
                list.push(other);
                Self::And(list)
            }
            (this, other) => Self::And(vec![this, other]),
        }
    }
}

/// Operators between a field and a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// `eq`
    Eq,
    /// `neq`
    Neq,
    /// `gt`
    Gt,
    /// `gte`
    Gte,
    /// `lt`
    Lt,
    /// `lte`
    Lte,
    /// `like`: `%` any text, `_` any character, case counts.
    Like,
    /// `ilike`: case does not count.
    Ilike,
    /// `isdistinct`
    IsDistinct,
    /// `cs`: a list contains all of a list; JSON contains JSON.
    Contains,
    /// `cd`: contained by.
    ContainedBy,
    /// `ov`: a list shares an item with a list, a range a point with a range.
    Overlaps,
    /// `match`: a regular expression of PostgreSQL's finds something in a text.
    Match,
    /// `imatch`: case does not count.
    Imatch,
    /// `sl`: a range ends before a range begins.
    Left,
    /// `sr`: a range begins behind the end of a range.
    Right,
    /// `nxr`: a range ends no later than a range.
    NotRight,
    /// `nxl`: a range begins no earlier than a range.
    NotLeft,
    /// `adj`: nothing is between two ranges, and nothing in both.
    Adjacent,
}

impl Compare {
    /// Whether PostgreSQL alone has it.
    #[must_use]
    pub fn needs_postgres(self) -> bool {
        matches!(
            self,
            Self::Match
                | Self::Imatch
                | Self::Left
                | Self::Right
                | Self::NotRight
                | Self::NotLeft
                | Self::Adjacent
        )
    }
}

/// How the words of a text search are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Search {
    /// `fts`: words joined by `&`, `|` and `!`.
    Query,
    /// `plfts`: all of the words.
    Plain,
    /// `phfts`: the words in this order.
    Phrase,
    /// `wfts`: as search engines of the web read them.
    Web,
}

/// What `is` tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Is {
    /// `null`
    Null,
    /// `not_null`
    NotNull,
    /// `true`
    True,
    /// `false`
    False,
    /// `unknown`
    Unknown,
}

/// A function of the database, its arguments checked and its caller allowed.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionCall {
    /// Position in [`Plan::functions`](stoa_config::plan::Plan::functions).
    pub function: usize,
    /// The arguments that were given.
    pub args: Vec<GivenArgument>,
    /// Whether it may change rows: it does not run read-only.
    pub changes: bool,
    /// As whom the database runs it.
    pub run_as: Option<Arc<RunAs>>,
    /// What comes back.
    pub gives: Gives,
    /// More rows than this: nothing is changed (`Prefer: max-affected`).
    pub max_rows: Option<u64>,
    /// Undo everything at the end (`Prefer: tx=rollback`).
    pub rollback: bool,
}

/// An argument: its position in the function's `args` (0 for a body that is taken as it is), and a value as the database
/// writes one of its type; `None` is null.
pub type GivenArgument = (usize, Option<Box<str>>);

/// What a function gives back.
#[derive(Clone, Debug, PartialEq)]
pub enum Gives {
    /// Nothing.
    Void,
    /// One value or row, as JSON.
    Value,
    /// Values or rows, as JSON.
    Rows {
        /// At most so many.
        limit: u64,
        /// After so many.
        offset: u64,
    },
    /// Rows of a resource, read as this says.
    Resource(Box<Read>),
}

/// Everything that changes rows, parsed and allowed: one transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// On which resource.
    pub resource: ResourceIndex,
    /// What it does.
    pub change: Change,
    /// What the reply shows of each changed row; `None` when it shows none.
    pub returning: Option<Vec<Item>>,
    /// More rows than this: nothing is changed (`Prefer: max-affected`).
    pub max_affected: Option<u64>,
    /// Exactly one row must be affected, else nothing is changed (the single-object `Accept`).
    pub exactly_one: bool,
    /// Undo everything at the end (`Prefer: tx=rollback`).
    pub rollback: bool,
    /// `Idempotency-Key`.
    pub idempotency: Option<IdempotencyClaim>,
    /// Rows of other resources that must exist, for a `ref` that leaves the shard group.
    pub must_exist: Vec<(ResourceIndex, Value)>,
    /// As whom the database runs it, where its own policies judge.
    pub run_as: Option<Arc<RunAs>>,
    /// Where rows lie on several shards, each shard's part is a transaction of its own (`Prefer: atomic=per-shard`).
    pub per_shard: bool,
}

/// What a write does.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// New rows.
    Insert {
        /// The fields that are set, the same for every row.
        fields: Vec<FieldIndex>,
        /// One value per field and row.
        rows: Vec<Vec<Value>>,
        /// Buckets of the rows.
        buckets: Vec<u16>,
        /// What to do about a row that is there already.
        conflict: Conflict,
        /// The access rule as it must hold for each row after it is written.
        check: Condition,
    },
    /// Changed rows.
    Update {
        /// Which rows, access rule included.
        filter: Condition,
        /// The bucket, when it is fixed.
        bucket: Option<u16>,
        /// The new values.
        set: Vec<(FieldIndex, Value)>,
        /// `If-Match` on one row.
        precondition: Precondition,
        /// The access rule as it must hold for each row after it is written.
        check: Condition,
    },
    /// `PUT /{r}/{id}`: the row is there afterwards as given, whether it was or not.
    Replace {
        /// The key.
        key: Value,
        /// Its bucket.
        bucket: u16,
        /// The fields that are set when the row is new.
        insert: Vec<(FieldIndex, Value)>,
        /// The fields that are set when the row exists.
        update: Vec<(FieldIndex, Value)>,
        /// The update rule: which existing row may be replaced.
        filter: Condition,
        /// The access rule as it must hold for the row after it is written.
        check: Condition,
        /// `If-Match` or `If-None-Match: *`.
        precondition: Precondition,
    },
    /// Removed rows.
    Delete {
        /// Which rows, access rule included.
        filter: Condition,
        /// The bucket, when it is fixed.
        bucket: Option<u16>,
        /// `If-Match` on one row.
        precondition: Precondition,
    },
}

/// What to do about a row that is there already.
#[derive(Clone, Debug, PartialEq)]
pub enum Conflict {
    /// Refuse the request.
    Refuse,
    /// Keep the old row (`ignore-duplicates`).
    Ignore {
        /// The unique fields that decide; empty: the key.
        on: Vec<FieldIndex>,
    },
    /// Overwrite it (`merge-duplicates`).
    Merge {
        /// The unique fields that decide; empty: the key.
        on: Vec<FieldIndex>,
        /// The fields that are overwritten.
        set: Vec<FieldIndex>,
        /// The update rule: which existing row may be overwritten.
        filter: Condition,
    },
}

/// A condition on the version of the one row that is addressed by its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// None.
    None,
    /// `If-Match: *` and plain addressing: the row must exist, else not found.
    Exists,
    /// `If-Match`: the row's version must be one of these.
    Versions(Vec<Version>),
    /// `If-None-Match: *`: the row must not exist.
    Absent,
}

/// The version of a row: `_version` of created tables, a hash of the row on bound ones.
pub type Version = i64;

/// An `Idempotency-Key` with what makes it unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyClaim {
    /// Hash of caller, method, path and key.
    pub scope: [u8; 32],
    /// Hash of the payload.
    pub fingerprint: [u8; 32],
    /// The bucket whose shard keeps it; `None`: the first shard.
    pub bucket: Option<u16>,
}
