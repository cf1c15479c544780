//! Connections to one SQLite file, and what its tables look like.

use super::errors::unavailable;
use super::functions;
use crate::store::StoreError;
use crate::store::table::{Storage, Table, Tables, column, quote};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use stoa_config::plan::{Plan, Resource, TableName};
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
pub(super) struct Limit(Arc<LimitInner>);

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
    pub(super) fn set(&self, until: Option<Instant>) {
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
pub(super) struct Limited {
    pub(super) conn: Connection,
    pub(super) limit: Limit,
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
    if purpose != Use::Migrate && !path.exists() {
        return Err(StoreError::Unavailable(format!(
            "there is no database at {}: `stoa migrate apply` makes it",
            path.display()
        )));
    }
    let conn = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| unavailable(path, &error))?;
    set_up(&conn, purpose, busy).map_err(|error| unavailable(path, &error))?;
    Ok(conn)
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
pub(super) fn open_limited(path: &Path, purpose: Use, busy: Duration) -> Result<Limited, StoreError> {
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
            (Some(name), true) => Some(bound(index, resource, name, conn)?),
        });
    }
    Ok(Tables::new(list))
}

/// A table that Stoa did not make.
fn bound(
    index: usize,
    resource: &Resource,
    name: &TableName,
    conn: &Connection,
) -> Result<Table, StoreError> {
    let internal = |error: rusqlite::Error| StoreError::Unavailable(format!("{}: {error}", resource.name));
    let schema = name.schema.as_deref().unwrap_or("main");
    let kind: Option<(String, bool)> = conn
        .query_row(
            "SELECT type, wr FROM pragma_table_list(?1) WHERE schema = ?2 COLLATE NOCASE",
            [&name.name, schema],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()
        .map_err(internal)?;
    let Some((kind, without_rowid)) = kind else {
        return Err(StoreError::Unavailable(format!(
            "resource {} is bound to the table {}, which the database does not have",
            resource.name, name.name
        )));
    };
    let mut declared: Vec<(String, String)> = Vec::new();
    let mut statement = conn
        .prepare("SELECT name, type FROM pragma_table_xinfo(?1, ?2)")
        .map_err(internal)?;
    let mut rows = statement.query([&name.name, schema]).map_err(internal)?;
    while let Some(row) = rows.next().map_err(internal)? {
        declared.push((row.get(0).map_err(internal)?, row.get(1).map_err(internal)?));
    }
    let mut columns = Vec::with_capacity(resource.fields.len());
    for field in &resource.fields {
        let Some((_, ty)) = declared
            .iter()
            .find(|(column, _)| column.eq_ignore_ascii_case(&field.name))
        else {
            return Err(StoreError::Unavailable(format!(
                "resource {} has the field {}, which its table {} does not have",
                resource.name, field.name, name.name
            )));
        };
        columns.push(column(
            field,
            Storage::Found {
                numeric: is_numeric(ty),
            },
        ));
    }
    let view = kind == "view";
    let hides_rowid = declared
        .iter()
        .any(|(column, _)| column.eq_ignore_ascii_case("rowid"));
    let locator = if view {
        Vec::new()
    } else if !without_rowid && !hides_rowid && kind == "table" {
        vec!["rowid".to_owned()]
    } else {
        resource
            .key
            .iter()
            .filter_map(|k| columns.get(*k))
            .map(|c| c.quoted.clone())
            .collect()
    };
    let name = match &name.schema {
        Some(schema) => format!("{}.{}", quote(schema), quote(&name.name)),
        None => quote(&name.name),
    };
    Ok(Table {
        resource: index,
        label: resource.name.clone(),
        name,
        columns,
        key: resource.key.clone(),
        view: view || locator.is_empty(),
        locator,
        created: false,
        shard: None,
    })
}

/// Whether a declared type gives a column numeric affinity (SQLite, "Determination Of Column Affinity").
pub(crate) fn is_numeric(declared: &str) -> bool {
    let declared = declared.to_ascii_uppercase();
    let has = |part: &str| declared.contains(part);
    has("INT") || !(has("CHAR") || has("CLOB") || has("TEXT") || has("BLOB") || declared.is_empty())
}
