//! Connections to one SQLite file, and what its tables look like.

use super::bound;
use super::errors::unavailable;
use super::functions;
use crate::store::StoreError;
use crate::store::table::{Affinity, Table, Tables};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use stoa_config::plan::Plan;
use stoa_exchange::clock;

/// Virtual machine steps between two looks at the clock: some tens of microseconds.
const PROGRESS_STEPS: i32 = 500;
/// Statements kept prepared by each connection.
const STATEMENTS_MAX: usize = 128;
/// Page cache of each connection, in KiB, as SQLite wants it: negative.
const CACHE_KIB: i32 = -8_192;
/// The WAL is cut back to this after a checkpoint.
const WAL_BYTES_MAX: i64 = 64 << 20;

/// Until when the statement under way may run; read by the progress handler.
#[derive(Clone, Debug)]
pub(crate) struct Limit(Arc<LimitInner>);

#[derive(Debug)]
struct LimitInner {
    base: Instant,
    until_nanos: AtomicU64,
}

impl Limit {
    fn new() -> Self {
        Self(Arc::new(LimitInner {
            base: clock::now(),
            until_nanos: AtomicU64::new(u64::MAX),
        }))
    }

    /// From now on a statement is interrupted at `until`; never, when `None`.
    pub(crate) fn set(&self, until: Option<Instant>) {
        let nanos = until.map_or(u64::MAX, |at| {
            u64::try_from(at.saturating_duration_since(self.0.base).as_nanos()).unwrap_or(u64::MAX)
        });
        self.0.until_nanos.store(nanos, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        let until = self.0.until_nanos.load(Ordering::Relaxed);
        until != u64::MAX
            && clock::now().saturating_duration_since(self.0.base).as_nanos() >= u128::from(until)
    }
}

/// A connection whose statements can be limited in time.
#[derive(Debug)]
pub(crate) struct Limited {
    pub(crate) conn: Connection,
    pub(crate) limit: Limit,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Reads only.
    Read,
    /// The store's one writer.
    Write,
    /// Migrations: the file is made when it is not there.
    Migrate,
}

/// Opens the file with everything set that every connection needs.
pub(crate) fn open(path: &Path, purpose: Use, busy: Duration) -> Result<Connection, StoreError> {
    let access = match purpose {
        Use::Read => OpenFlags::SQLITE_OPEN_READ_ONLY,
        Use::Write => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Use::Migrate => OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE,
    };
    if purpose != Use::Migrate && !exists(path) {
        return Err(StoreError::Unavailable(format!(
            "there is no database at {}: `stoa migrate apply` makes it",
            path.display()
        )));
    }
    let conn = open_file(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| unavailable(path, &error))?;
    set_up(&conn, purpose, busy).map_err(|error| unavailable(path, &error))?;
    Ok(conn)
}

fn exists(path: &Path) -> bool {
    #[cfg(test)]
    if super::simulation::disk::is_simulated(path) {
        return true;
    }
    path.exists()
}

fn open_file(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    #[cfg(test)]
    if super::simulation::disk::is_simulated(path) {
        return Connection::open_with_flags_and_vfs(path, flags, super::simulation::disk::NAME);
    }
    Connection::open_with_flags(path, flags)
}

fn set_up(conn: &Connection, purpose: Use, busy: Duration) -> rusqlite::Result<()> {
    conn.busy_timeout(busy)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    for (what, on) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DML, false),
        (DbConfig::SQLITE_DBCONFIG_DQS_DDL, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, purpose == Use::Write),
        // A plan does not depend on the values that are bound: otherwise each run prepares the statement anew.
        (DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true),
    ] {
        conn.set_db_config(what, on)?;
    }
    conn.pragma_update(None, "cache_size", CACHE_KIB)?;
    functions::register(conn)?;
    if purpose != Use::Read {
        // FULL: a commit that was acknowledged is on the disk, also after a loss of power.
        conn.pragma_update(None, "synchronous", "FULL")?;
        conn.pragma_update(None, "journal_size_limit", WAL_BYTES_MAX)?;
    }
    Ok(())
}

/// As [`open`], with a progress handler.
pub(crate) fn open_limited(path: &Path, purpose: Use, busy: Duration) -> Result<Limited, StoreError> {
    let mut conn = open(path, purpose, busy)?;
    let limit = Limit::new();
    let watch = limit.clone();
    conn.progress_handler(PROGRESS_STEPS, Some(move || watch.is_over()))
        .map_err(|error| unavailable(path, &error))?;
    Ok(Limited { conn, limit })
}

/// The tables of a store's resources, bound ones as they are found.
pub(crate) fn tables(plan: &Plan, store: usize, conn: &Connection) -> Result<Tables, StoreError> {
    let mut list = Vec::with_capacity(plan.resources.len());
    for (index, resource) in plan.resources.iter().enumerate() {
        list.push(match (&resource.table, resource.store == store) {
            (_, false) => None,
            (None, true) => Some(Table::created(index, resource)),
            (Some(name), true) => Some(bound::table(index, resource, name, conn)?),
        });
    }
    Ok(Tables::new(list))
}

/// The affinity of a declared type.
pub(crate) fn affinity(declared: &str) -> Affinity {
    let declared = declared.to_ascii_uppercase();
    let has = |part: &str| declared.contains(part);
    if has("INT") {
        Affinity::Numeric
    } else if has("CHAR") || has("CLOB") || has("TEXT") {
        Affinity::Text
    } else if has("BLOB") || declared.is_empty() {
        Affinity::None
    } else {
        Affinity::Numeric
    }
}
