//! Stores: what runs an operation.

mod cast;
mod changes;
#[cfg(test)]
pub(crate) mod contract;
mod json;
mod number;
pub(crate) mod postgres;
mod servers;
pub(crate) mod shards;
#[cfg(test)]
mod simulation;
mod slow;
pub(crate) mod sql;
pub(crate) mod sqlite;
pub(crate) mod table;

pub use servers::{Change, Role, Server, Tell};
pub use shards::{Away, ReplicaStatus, ShardStatus, status as shard_status};
pub use table::is_enforced;
pub(crate) use table::lie_together;

pub use crate::function::Response;
use crate::operation::{FunctionCall, IdempotencyClaim, Read, ResourceIndex, Version, Write};
use crate::value::Value;
use bytes::Bytes;
use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Instant};
use stoa_config::plan::{Plan, StoreKind};
use stoa_exchange::position::Position;

/// Opens a store of the plan. Its tables must be as the plan says: [`crate::migrate`].
pub fn open(plan: &Arc<Plan>, store_index: usize) -> Result<Arc<dyn Store>, StoreError> {
    open_without(plan, store_index, &[])
}

/// As [`open`], without the shards that are away ([`crate::migrate::away`]), or with their replicas alone: each joins when it is
/// there and its tables are as the plan says, as long as somebody runs [`Store::watch`].
pub fn open_without(
    plan: &Arc<Plan>,
    store_index: usize,
    away: &[Away],
) -> Result<Arc<dyn Store>, StoreError> {
    let store = plan
        .stores
        .get(store_index)
        .ok_or_else(|| StoreError::Internal(format!("the plan has no store {store_index}")))?;
    match &store.kind {
        StoreKind::Sqlite { path } => Ok(Arc::new(sqlite::SqliteStore::open(plan, store_index, path)?)),
        StoreKind::Postgres {
            shards,
            max_lag,
            durability,
            ..
        } => match &shards[..] {
            [_] if !shards::is_fenced(plan, store_index) && !away.is_empty() => {
                Ok(Arc::new(shards::One::open(plan, store_index, away)?))
            }
            [one] if !shards::is_fenced(plan, store_index) => Ok(Arc::new(postgres::PgStore::open(
                plan,
                store_index,
                (0, one),
                (*max_lag, Some(*durability)),
            )?)),
            _ => Ok(Arc::new(shards::Sharded::open(plan, store_index, shards, away)?)),
        },
    }
}

/// A database behind resources. One file per kind beside this one; one contract suite that all pass.
pub trait Store: Send + Sync {
    /// Runs a read.
    fn read<'a>(&'a self, read: &'a Read, deadline: Instant) -> StoreFuture<'a, Page>;

    /// Reads a whole row by its key on the way that is nearly always open: over a connection that is there, in a statement
    /// that it knows. `None` where it is not open, or the store has none.
    fn row(&self, resource: ResourceIndex, key: Value, bucket: u16) -> Option<RowFuture<'_>> {
        drop((resource, key, bucket));
        None
    }

    /// Runs a write in one transaction. `render` makes the reply that is kept for the write's idempotency key
    /// in the same transaction; it runs once, on the store's own thread, and not at all without a key.
    fn write(&self, write: Write, deadline: Instant, render: Option<Render>) -> StoreFuture<'_, Done>;

    /// The reply that was kept for an idempotency key, before anything else is looked at: a repeated request must
    /// not depend on what became of the row since. `None` when the key is new.
    ///
    /// # Errors
    /// [`StoreError::IdempotencyMismatch`] and [`StoreError::IdempotencyRunning`], as [`Self::write`] has them.
    fn kept<'a>(&'a self, claim: &'a IdempotencyClaim, deadline: Instant) -> StoreFuture<'a, Option<Done>>;

    /// Runs a function of the database.
    ///
    /// # Errors
    /// [`StoreError::Internal`] where there are none; the plan does not let it come to that.
    fn call<'a>(&'a self, call: &'a FunctionCall, deadline: Instant) -> StoreFuture<'a, Page> {
        let _ = (call, deadline);
        Box::pin(async { Err(StoreError::Internal("the store has no functions".to_owned())) })
    }

    /// Whether the store answers: what `/readyz` asks.
    fn ready(&self, deadline: Instant) -> StoreFuture<'_, ()>;

    /// The key that signs cursors: the same in every process over this store.
    fn cursor_key(&self) -> [u8; 32];

    /// The servers of the store as they were seen last, for people and metrics. Empty where there is nothing to choose
    /// from.
    fn servers(&self) -> Vec<Server> {
        Vec::new()
    }

    /// What must run as long as the store serves, so that it knows which of its servers does what. Only the binary
    /// runs it, once in a process, on a runtime that nothing holds up; `tell` hears of every change. `None` where there is nothing to watch.
    fn watch(&self, tell: Tell) -> Option<Watch> {
        drop(tell);
        None
    }
}

/// What [`Store::watch`] gives. It ends with the store.
pub type Watch = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What a store returns.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// What [`Store::row`] gives.
pub type RowFuture<'a> = Pin<Box<dyn Future<Output = AtOnce> + Send + 'a>>;

/// How [`Store::row`] ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AtOnce {
    /// With the row.
    Row(WholeRow),
    /// There is no such row.
    Missing,
    /// Not at all: [`Store::read`] does it, and says why where it cannot.
    Unsettled,
}

/// A row with all that it shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeRow {
    /// As a JSON object.
    pub json: Vec<u8>,
    /// Its version.
    pub version: Version,
}

/// Makes the reply that is kept for an idempotency key.
pub type Render = Box<dyn FnOnce(&Written) -> StoredReply + Send>;

/// Rows of a read, rendered as JSON by the store itself: a row is never built twice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// Each row as a JSON object, joined by commas, without the brackets around.
    pub json: Vec<u8>,
    /// How many.
    pub rows: u64,
    /// Rows of the filter in all, when they were counted.
    pub total: Option<u64>,
    /// Whether rows follow after this page.
    pub more: bool,
    /// Values of the entries of `order` in the last row, for the cursor.
    pub last: Vec<Value>,
    /// Version of the first row, where the table has one.
    pub version: Option<Version>,
    /// Shards that did not answer, where the read allows it.
    pub missing: Vec<usize>,
    /// Of each row, where rows of several shards become one page.
    pub(crate) marks: Vec<Mark>,
    /// What a function chose of the reply.
    pub response: Response,
    /// What it shows at least, where the store has replicas.
    pub at: Position,
    /// Who answered, where there was a choice.
    pub by: Option<Chosen>,
}

/// Where a row stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mark {
    /// Where it ends in [`Page::json`].
    pub(crate) end: usize,
    /// Values of the entries of `order`.
    pub(crate) position: Vec<Value>,
}

/// The server that did it, and why that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Host and port, never a password.
    pub server: Arc<str>,
    /// Why, in a few words.
    pub why: &'static str,
}

/// What a write did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// Rows inserted, updated or deleted.
    pub affected: u64,
    /// Of these, inserted ones.
    pub inserted: u64,
    /// The rows after the write (before, for a delete) as in [`Page::json`], when asked for.
    pub json: Vec<u8>,
    /// How many rows `json` holds: those whose `!inner` embeds have rows.
    pub shown: u64,
    /// Keys of the changed rows, in order; at most the first 1,000.
    pub keys: Vec<Value>,
    /// Version of the one row, after the write.
    pub version: Option<Version>,
}

/// How a write ended.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// Done and durable.
    Written(Written),
    /// The idempotency key was used before: this was the reply.
    Replayed(StoredReply),
    /// Each shard's part was a transaction of its own, as the write allows it.
    Parts(Vec<Part>),
}

/// One shard's part of a write.
#[derive(Debug, PartialEq)]
pub struct Part {
    /// The shard, by its position in the file.
    pub shard: usize,
    /// Of an insert: which of its rows.
    pub rows: Vec<usize>,
    /// How it ended.
    pub result: Result<Written, StoreError>,
}

/// How a write ended, and where that is to be found.
#[derive(Debug, PartialEq)]
pub struct Done {
    /// How it ended.
    pub outcome: Outcome,
    /// Where whoever reads next finds it; empty where the store has no replicas.
    pub at: Position,
    /// Who did it, where there was a choice.
    pub by: Option<Chosen>,
}

impl From<Outcome> for Done {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            at: Position::default(),
            by: None,
        }
    }
}

/// A reply kept for an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredReply {
    /// Status.
    pub status: u16,
    /// Fields, lower-case names.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Bytes,
}

/// Why a store did not do it.
#[derive(Debug, PartialEq)]
pub enum StoreError {
    /// `unique`: another row has this value.
    Unique {
        /// Names of the fields.
        fields: Vec<String>,
        /// The value, as the caller wrote it, when it is known.
        value: Option<String>,
        /// The server's own words about a table that others made, with the constraint's name.
        said: Option<String>,
    },
    /// `ref`: no row has this key, or (on delete) rows still refer to this one.
    Reference {
        /// The `ref` field.
        field: String,
        /// Resource of the field.
        resource: String,
        /// The value, when it is known.
        value: Option<String>,
        /// Whether rows still refer to the row that is to go.
        still_referred: bool,
        /// As of [`Self::Unique`].
        said: Option<String>,
    },
    /// No row with this key (that the caller may see).
    NotFound,
    /// The row's version is another.
    PreconditionFailed,
    /// A row that would be written does not satisfy the access rule.
    CheckFailed,
    /// More rows than `max_affected`, or not exactly one.
    Affected(u64),
    /// The same idempotency key came with another payload.
    IdempotencyMismatch,
    /// The first request with this idempotency key is still running.
    IdempotencyRunning,
    /// The database refused a value (bound tables with constraints of their own).
    Refused(String),
    /// The server refused the statement, by its SQLSTATE.
    Server(Box<ServerError>),
    /// The table cannot be written (a view).
    ReadOnly,
    /// The shard does not own the bucket: the map of the buckets has changed.
    NotOwned,
    /// The request cannot be answered from several shards: why, and what to do.
    SpansShards {
        /// Why, for the caller.
        why: String,
        /// What to do instead.
        remedy: String,
    },
    /// A shard of several cannot be used.
    Shard {
        /// Its position in the file.
        shard: usize,
        /// Why.
        error: Box<StoreError>,
    },
    /// Not finished by the deadline.
    Deadline,
    /// Too many requests wait already.
    Overloaded,
    /// No space left.
    Full(String),
    /// No server takes writes, or more than one does; the text is for the log.
    NoPrimary(String),
    /// Not to be reached, locked, or broken; the text is for the log.
    Unavailable(String),
    /// A state that should not be; the text is for the log.
    Internal(String),
}

/// What PostgreSQL said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerError {
    /// SQLSTATE.
    pub state: Box<str>,
    /// What is wrong.
    pub message: String,
    /// More about it.
    pub detail: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

/// For the log and for whoever runs a command; callers are told by `crate::trouble`.
impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(text)
            | Self::NoPrimary(text)
            | Self::Full(text)
            | Self::Internal(text)
            | Self::Refused(text) => f.write_str(text),
            Self::Server(said) => write!(f, "{} ({})", said.message, said.state),
            Self::Shard { shard, error } => write!(f, "shard {shard}: {error}"),
            Self::SpansShards { why, remedy } => write!(f, "{why}; {remedy}"),
            Self::Deadline => f.write_str("it did not answer in time"),
            Self::Overloaded => f.write_str("too many requests wait for it already"),
            other => write!(f, "{other:?}"),
        }
    }
}

impl std::error::Error for StoreError {}
