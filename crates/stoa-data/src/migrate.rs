//! Migrations: from what a database has to what the plan says. Additive steps are made; what would lose data is
//! only made when that was asked for. Tables that are bound are checked, never changed.

mod bound;
pub(crate) mod ddl;
mod diff;
mod found;
mod postgres;
mod rename;
#[cfg(test)]
mod tests;

use crate::store::sqlite::connect::{self, Use};
use crate::store::sqlite::unavailable;
use crate::store::{Away, StoreError};
use rusqlite::Connection;
use serde_json::Value as Json;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use stoa_config::plan::{Plan, PostgresShard, StoreKind};

/// How long another process that migrates at the same time is waited for.
const BUSY: Duration = Duration::from_secs(30);
/// How often the switch to WAL mode is tried while other processes start too.
const WAL_TRIES: usize = 100;

/// What has to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Migration {
    /// In order.
    pub steps: Vec<Step>,
    /// What is worth knowing beside the steps.
    pub notes: Vec<String>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The SQL, one or more statements.
    pub sql: String,
    /// Why, for people.
    pub why: String,
    /// Whether it loses data.
    pub destructive: bool,
    /// Whether the plan cannot be served without it. Leftovers (a column or table that the file no longer names)
    /// may stay.
    pub required: bool,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The steps that were made.
    pub steps: Vec<Step>,
    /// Destructive ones that were left out and that the plan can do without.
    pub left: Vec<Step>,
}

/// How far a migration is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// Another process migrates and is waited for.
    Waits,
    /// A step is under way.
    Step {
        /// Which, from 1.
        number: usize,
        /// How many there are.
        of: usize,
        /// Why it is made, for people.
        why: &'a str,
    },
}

impl fmt::Display for Progress<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waits => f.write_str("waits for another process that does"),
            Self::Step { number, of, why } => write!(f, "step {number} of {of}: {why}"),
        }
    }
}

/// Who is told how far a migration is.
pub type Told<'a> = &'a (dyn Fn(Progress<'_>) + Sync);

/// Counts the steps for who is told.
struct Count<'a> {
    told: Told<'a>,
    /// How many were expected.
    of: usize,
    begun: AtomicUsize,
}

impl Count<'_> {
    /// Nobody is told.
    fn silent() -> Count<'static> {
        Count {
            told: &|_| {},
            of: 0,
            begun: AtomicUsize::new(0),
        }
    }

    fn begins(&self, step: &Step) {
        let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let (of, why) = (self.of.max(number), step.why.as_str());
        (self.told)(Progress::Step { number, of, why });
    }

    fn waits(&self) {
        (self.told)(Progress::Waits);
    }
}

/// Where a store stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// How many migrations were applied.
    pub applied: u64,
    /// When the last one was, RFC 3339.
    pub last: Option<String>,
    /// What has to be done.
    pub pending: Migration,
}

/// Why there is no migration.
#[derive(Debug)]
pub enum MigrateError {
    /// The plan and the rows that are there contradict each other; what to do is in the text.
    Refused(Vec<String>),
    /// These steps lose data, the plan cannot be served without them, and losing data was not allowed.
    Destructive(Vec<Step>),
    /// The database cannot be used.
    Store(StoreError),
}

impl fmt::Display for MigrateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reasons) => f.write_str(&reasons.join("\n")),
            Self::Destructive(steps) => {
                f.write_str("these steps lose data and need `stoa migrate apply --allow-destructive`:")?;
                for step in steps {
                    write!(f, "\n  {}", step.why)?;
                }
                Ok(())
            }
            Self::Store(
                StoreError::Unavailable(text) | StoreError::Full(text) | StoreError::Internal(text),
            ) => f.write_str(text),
            Self::Store(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for MigrateError {}

impl From<StoreError> for MigrateError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Migration {
    /// Whether the plan can be served as things are.
    pub fn is_served(&self) -> bool {
        !self.steps.iter().any(|s| s.required)
    }
}

/// What a store of the plan needs. Writes nothing; a database that is not there is an empty one.
pub fn plan(plan: &Plan, store_index: usize) -> Result<Migration, MigrateError> {
    plan_without(plan, store_index, &[])
}

/// As [`plan`], of a store some of whose shards are not looked at: their positions.
fn plan_without(plan: &Plan, store_index: usize, without: &[usize]) -> Result<Migration, MigrateError> {
    let path = match place(plan, store_index)? {
        Place::File(path) => path,
        Place::Servers(shards) => return postgres::plan(plan, store_index, (shards, without)),
    };
    match open_to_read(path)? {
        Some(conn) => compute(plan, store_index, path, Some(&conn)),
        None => compute(plan, store_index, path, None),
    }
}

/// Makes it so, in one transaction; of several processes that start at once one does it and the others find it
/// done. Steps that lose data are made only with `allow_destructive`.
pub fn apply(plan: &Plan, store_index: usize, allow_destructive: bool) -> Result<Applied, MigrateError> {
    apply_counted(plan, store_index, allow_destructive, &Count::silent())
}

fn apply_counted(
    plan: &Plan,
    store_index: usize,
    allow_destructive: bool,
    count: &Count<'_>,
) -> Result<Applied, MigrateError> {
    let path = match place(plan, store_index)? {
        Place::File(path) => path,
        Place::Servers(shards) => {
            return postgres::apply(plan, store_index, (shards, &[]), (allow_destructive, count));
        }
    };
    if !manages(plan, store_index) {
        // Bound tables only: they are looked at, and nothing is written.
        self::plan(plan, store_index)?;
        return Ok(Applied::default());
    }
    let conn = connect::open(path, Use::Migrate, BUSY)?;
    let failed = |error: rusqlite::Error| MigrateError::Store(unavailable(path, &error));
    write_ahead(&conn).map_err(failed)?;
    // Tables are made anew while others refer to them; the references are checked as a whole at the end.
    conn.pragma_update(None, "foreign_keys", "OFF").map_err(failed)?;
    conn.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
    let result = apply_within(plan, store_index, path, &conn, (allow_destructive, count));
    match &result {
        Ok(_) => conn.execute_batch("COMMIT").map_err(failed)?,
        Err(_) if !conn.is_autocommit() => conn.execute_batch("ROLLBACK").map_err(failed)?,
        Err(_) => {}
    }
    result
}

/// Where a store stands.
pub fn status(plan: &Plan, store_index: usize) -> Result<Status, MigrateError> {
    let path = match place(plan, store_index)? {
        Place::File(path) => path,
        Place::Servers(shards) => return postgres::status(plan, store_index, shards),
    };
    let pending = self::plan(plan, store_index)?;
    let mut status = Status {
        applied: 0,
        last: None,
        pending,
    };
    if let Some(conn) = open_to_read(path)?
        && found::has_table(&conn, "_stoa_schema").map_err(|e| unavailable(path, &e))?
    {
        let row = conn.query_row("SELECT count(*), max(applied) FROM _stoa_schema", [], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?))
        });
        let (applied, last) = row.map_err(|e| unavailable(path, &e))?;
        status.applied = applied.unsigned_abs();
        status.last = last;
    }
    Ok(status)
}

/// The shards of a store that have no server which takes writes when a process starts. Those whose replicas have all that the
/// file needs are read from meanwhile.
///
/// # Errors
/// [`MigrateError`] when none can be reached or read from, or nothing can be asked at all.
pub fn away(plan: &Plan, store_index: usize) -> Result<Vec<Away>, MigrateError> {
    match place(plan, store_index)? {
        Place::Servers(shards) => postgres::away(plan, store_index, shards),
        Place::File(_) => Ok(Vec::new()),
    }
}

/// What a start needs of a store: makes the steps that lose nothing, on all shards but those that are away. A store that
/// needs none is not opened to write. Gives what was noted and done; how far it is goes to `told`.
///
/// # Errors
/// As [`apply`] has them; a store whose buckets were never given out needs every shard.
pub fn fit(
    plan: &Plan,
    store_index: usize,
    away: &[Away],
    told: Told<'_>,
) -> Result<(Vec<String>, Applied), MigrateError> {
    let without: Vec<usize> = away.iter().map(|a| a.shard).collect();
    fit_without(plan, store_index, &without, told)
}

fn fit_without(
    plan: &Plan,
    store_index: usize,
    without: &[usize],
    told: Told<'_>,
) -> Result<(Vec<String>, Applied), MigrateError> {
    let needed = plan_without(plan, store_index, without)?;
    if needed.steps.is_empty() {
        return Ok((needed.notes, Applied::default()));
    }
    let count = Count {
        told,
        of: needed.steps.iter().filter(|step| !step.destructive).count(),
        begun: AtomicUsize::new(0),
    };
    let applied = match place(plan, store_index)? {
        Place::Servers(shards) => postgres::apply(plan, store_index, (shards, without), (false, &count))?,
        Place::File(_) => apply_counted(plan, store_index, false, &count)?,
    };
    Ok((needed.notes, applied))
}

/// Makes one shard that was away as the plan says, losing nothing, and looks whether it belongs to the same store as one
/// that is served. Gives how many steps were made.
///
/// # Errors
/// As [`fit`] and [`check_schema`] have them.
pub(crate) fn join(
    plan: &Plan,
    store_index: usize,
    shard: usize,
    served: Option<usize>,
) -> Result<usize, MigrateError> {
    let Place::Servers(shards) = place(plan, store_index)? else {
        return Ok(0);
    };
    let looked_at = |one: &usize| *one == shard || Some(*one) == served;
    let others: Vec<usize> = (0..shards.len()).filter(|one| !looked_at(one)).collect();
    let (_, applied) = fit_without(plan, store_index, &others, &|_| {})?;
    check_without(plan, store_index, &others)?;
    Ok(applied.steps.len())
}

/// Whether reads of a shard that has no primary may be served from its replicas.
pub(crate) fn reads(plan: &Plan, store_index: usize, shard: usize) -> bool {
    match place(plan, store_index) {
        Ok(Place::Servers(shards)) => postgres::reads(plan, store_index, shard, shards),
        _ => false,
    }
}

/// Whether the store can be served as it is; otherwise what is missing and what to do.
pub fn check_schema(plan: &Plan, store_index: usize) -> Result<(), MigrateError> {
    check_without(plan, store_index, &[])
}

/// As [`check_schema`], but for the shards that are away.
pub fn check_schema_without(plan: &Plan, store_index: usize, away: &[Away]) -> Result<(), MigrateError> {
    let without: Vec<usize> = away.iter().map(|a| a.shard).collect();
    check_without(plan, store_index, &without)
}

fn check_without(plan: &Plan, store_index: usize, without: &[usize]) -> Result<(), MigrateError> {
    served(plan_without(plan, store_index, without)?.steps.into_iter())
}

/// Whether nothing is missing that the plan cannot be served without.
fn served(steps: impl Iterator<Item = Step>) -> Result<(), MigrateError> {
    let missing: Vec<Step> = steps.filter(|step| step.required).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut reasons = vec!["it is not as the file says: run `stoa migrate apply`".to_owned()];
    reasons.extend(missing.iter().map(|step| {
        let flag = if step.destructive {
            " (loses data: --allow-destructive)"
        } else {
            ""
        };
        format!("  missing: {}{flag}", step.why)
    }));
    Err(MigrateError::Refused(reasons))
}

/// Where a store's tables are.
enum Place<'a> {
    File(&'a Path),
    Servers(&'a [PostgresShard]),
}

fn place(plan: &Plan, store_index: usize) -> Result<Place<'_>, MigrateError> {
    match plan.stores.get(store_index).map(|s| &s.kind) {
        Some(StoreKind::Sqlite { path }) => Ok(Place::File(path)),
        Some(StoreKind::Postgres { shards, .. }) => Ok(Place::Servers(shards)),
        None => Err(StoreError::Internal(format!("the plan has no store {store_index}")).into()),
    }
}

/// Whether Stoa makes a table in the store.
fn manages(plan: &Plan, store_index: usize) -> bool {
    plan.resources
        .iter()
        .any(|r| r.store == store_index && r.table.is_none())
}

fn open_to_read(path: &Path) -> Result<Option<Connection>, MigrateError> {
    if path.exists() {
        Ok(Some(connect::open(path, Use::Read, BUSY)?))
    } else {
        Ok(None)
    }
}

fn compute(
    plan: &Plan,
    store: usize,
    path: &Path,
    conn: Option<&Connection>,
) -> Result<Migration, MigrateError> {
    let mut schema = match conn {
        Some(conn) => found::read(conn).map_err(|error| unavailable(path, &error))?,
        None => found::Schema::default(),
    };
    let mut refused = bound::check(plan, store, &schema, path);
    let mut migration = Migration::default();
    if manages(plan, store) {
        rename::follow(
            plan,
            store,
            rename::Indexes::MadeAnew,
            &mut schema,
            &mut migration,
        );
        diff::diff(plan, store, &schema, conn, &mut migration, &mut refused)
            .map_err(|error| unavailable(path, &error))?;
    }
    if refused.is_empty() {
        Ok(migration)
    } else {
        Err(MigrateError::Refused(refused))
    }
}

fn apply_within(
    plan: &Plan,
    store: usize,
    path: &Path,
    conn: &Connection,
    (allow_destructive, count): (bool, &Count<'_>),
) -> Result<Applied, MigrateError> {
    let migration = compute(plan, store, path, Some(conn))?;
    let (steps, left): (Vec<Step>, Vec<Step>) = migration
        .steps
        .into_iter()
        .partition(|step| allow_destructive || !step.destructive);
    let needed: Vec<Step> = left.iter().filter(|s| s.required).cloned().collect();
    if !needed.is_empty() {
        return Err(MigrateError::Destructive(needed));
    }
    if steps.is_empty() {
        return Ok(Applied { steps, left });
    }
    for step in &steps {
        count.begins(step);
        conn.execute_batch(&step.sql)
            .map_err(|error| step_failed(step, path, &error))?;
    }
    references_hold(conn, path)?;
    record(plan, store, conn, &steps).map_err(|error| unavailable(path, &error))?;
    Ok(Applied { steps, left })
}

fn step_failed(step: &Step, path: &Path, error: &rusqlite::Error) -> MigrateError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => MigrateError::Refused(vec![format!(
            "rows that are there stand against it: {} ({error}). Change those rows, or take the constraint back",
            step.why
        )]),
        Some(rusqlite::ErrorCode::Unknown) => {
            MigrateError::Refused(vec![format!("{}: {error} in\n{}", step.why, step.sql)])
        }
        _ => MigrateError::Store(unavailable(path, error)),
    }
}

/// Every reference must lead to a row.
fn references_hold(conn: &Connection, path: &Path) -> Result<(), MigrateError> {
    let failed = |error: rusqlite::Error| MigrateError::Store(unavailable(path, &error));
    let mut statement = conn
        .prepare("SELECT \"table\", parent, count(*) FROM pragma_foreign_key_check GROUP BY 1, 2")
        .map_err(failed)?;
    let broken = statement
        .query_map([], |row| {
            let (table, parent, count): (String, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(format!("{count} rows of {table} refer to rows of {parent} that are not there: mend or remove them first"))
        })
        .and_then(Iterator::collect::<rusqlite::Result<Vec<_>>>)
        .map_err(failed)?;
    if broken.is_empty() {
        Ok(())
    } else {
        Err(MigrateError::Refused(broken))
    }
}

/// Writes down what was done and how the columns are written, so that a change of type is seen next time.
fn record(plan: &Plan, store: usize, conn: &Connection, steps: &[Step]) -> rusqlite::Result<()> {
    let sql: Vec<&str> = steps.iter().map(|s| s.sql.as_str()).collect();
    let dropped = |name: &str| {
        steps
            .iter()
            .any(|s| s.destructive && s.sql == diff::drop_table(name))
    };
    let mut tables = found::recorded(conn)?;
    let renamed = |name: &str| {
        plan.resources
            .iter()
            .any(|r| r.store == store && r.was.as_deref() == Some(name))
    };
    tables.retain(|name, _| !dropped(name) && !renamed(name));
    for (index, resource) in plan.resources.iter().enumerate() {
        if resource.store == store && resource.table.is_none() {
            tables.insert(
                resource.name.clone(),
                ddl::wanted(plan, index, resource).record(resource),
            );
        }
    }
    let micros = i64::try_from(stoa_exchange::clock::unix_micros()).unwrap_or(i64::MAX);
    conn.execute(
        "INSERT INTO _stoa_schema (applied, sql, tables) VALUES (?, ?, ?)",
        (
            crate::value::render_time(micros),
            sql.join(";\n"),
            Json::Object(tables).to_string(),
        ),
    )?;
    let mut key = [0_u8; 32];
    if aws_lc_rs::rand::fill(&mut key).is_ok() {
        conn.execute(
            "INSERT OR IGNORE INTO _stoa_meta (name, value) VALUES ('cursor_key', ?)",
            [&key[..]],
        )?;
    }
    Ok(())
}

/// Puts the file into WAL mode. Several processes may try at once, and SQLite does not wait for this lock: so each
/// waits for its turn to write in between.
fn write_ahead(conn: &Connection) -> rusqlite::Result<()> {
    let mut tries = 0;
    loop {
        let mode = conn.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0));
        if matches!(&mode, Ok(mode) if mode.eq_ignore_ascii_case("wal")) {
            return Ok(());
        }
        match conn.pragma_update(None, "journal_mode", "WAL") {
            Err(error) if tries < WAL_TRIES && is_busy(&error) => {
                tries += 1;
                let _ = conn.execute_batch("BEGIN IMMEDIATE; COMMIT");
            }
            other => return other,
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
    )
}
