//! Migrations of PostgreSQL: each shard is looked at and changed on its own.
//!
//! Additive steps run in one transaction, with a bound on how long a lock is waited for, so that a migration never
//! stands in a queue before the callers. Indexes on tables with rows are built `CONCURRENTLY` and constraints are added
//! `NOT VALID` and validated after, each outside that transaction; what a kill leaves half built is found and made
//! anew. One process does it: it holds an advisory lock in a transaction of its own, which a pooler of transactions
//! leaves intact, and which ends with the process.

mod away;
mod bound;
mod ddl;
mod diff;
mod found;
mod identity;
mod references;
mod renames;

use super::{Applied, Count, MigrateError, Migration, Status, Step};
use crate::store::StoreError;
use crate::store::postgres::alone::{Alone, apart};
use crate::store::postgres::idempotency;
use crate::store::shards::is_fenced;
pub(super) use away::{away, reads};
use base64::Engine as _;
use diff::Planned;
pub(super) use renames::stand_in;
use serde_json::Value as Json;
use std::time::Duration;
use stoa_config::plan::{Plan, PostgresShard};
use stoa_exchange::clock;
use tokio_postgres::error::SqlState;

/// The advisory lock of migrations: "stoa" in ASCII.
const LOCK: i64 = 0x7374_6f61;
/// How long another process that migrates is waited for.
const OTHER: Duration = Duration::from_mins(5);
/// How often it is looked whether the other one has ended.
const LOOK: Duration = Duration::from_millis(100);
/// How long one step may wait for a lock on a table.
const LOCK_TIMEOUT: &str = "2s";
/// How often a step is tried whose lock was not to be had.
const TRIES: u32 = 15;
/// Pages of a table that one transaction fills: 8 MiB.
const BATCH_PAGES: u64 = 1_000;
/// What stands before an `UPDATE` in the name of how far it came.
const FILL: &str = "fill ";
/// What stands there when it is done.
const FILLED: &str = "done";
/// Stoa's own tables: what migrations were made, and what belongs to the store as a whole.
const OWN: [(&str, &str); 2] = [
    (
        "_stoa_schema",
        "CREATE TABLE \"_stoa_schema\" (\"id\" bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, \"applied\" text NOT NULL, \"sql\" text NOT NULL, \"tables\" jsonb NOT NULL)",
    ),
    (
        "_stoa_meta",
        "CREATE TABLE \"_stoa_meta\" (\"name\" text PRIMARY KEY, \"value\" bytea NOT NULL)",
    ),
];

type Result<T> = std::result::Result<T, MigrateError>;

/// The shards of a store, and the positions of those that are left out.
type Among<'a> = (&'a [PostgresShard], &'a [usize]);

/// What every shard of the store needs.
pub(super) fn plan(plan: &Plan, store: usize, among: Among<'_>) -> Result<Migration> {
    let count = among.0.len();
    let all = each(among, async |position, shard| {
        let alone = Alone::primary(shard).await.map_err(|e| of(position, count, e))?;
        let found = identity::look(plan, store, &alone).await;
        let planned = compute(plan, store, &alone, position == 0).await;
        Ok((
            labelled(planned?, position, count),
            found.map_err(|e| alone.broken(&e))?,
        ))
    })?;
    let (migrations, found): (Vec<_>, Vec<_>) = all.into_iter().map(Option::unzip).unzip();
    identity::judge(&found)?;
    let mut all = join(migrations.into_iter().flatten());
    if is_fenced(plan, store) {
        all.steps
            .extend(identity::steps(&found)?.into_iter().map(|(_, step)| step));
        all.notes.extend(identity::notes(&found)?);
    }
    Ok(all)
}

/// Makes it so, shard by shard.
pub(super) fn apply(
    plan: &Plan,
    store: usize,
    among: Among<'_>,
    (allow, counted): (bool, &Count<'_>),
) -> Result<Applied> {
    let count = among.0.len();
    let found = each(among, async |position, shard| {
        let alone = Alone::primary(shard).await.map_err(|e| of(position, count, e))?;
        let found = identity::look(plan, store, &alone).await;
        Ok(found.map_err(|e| alone.broken(&e))?)
    })?;
    identity::judge(&found)?;
    if is_fenced(plan, store) {
        // Refused before anything is done, when the buckets cannot be given out.
        identity::steps(&found)?;
    }
    let (shards, without) = among;
    // One after the other: where one fails, those behind it are as they were.
    let mut applied = apart(async || {
        let mut applied = Applied::default();
        for (position, shard) in shards.iter().enumerate() {
            if without.contains(&position) {
                continue;
            }
            let name = label(position, count);
            let one = apply_to(plan, store, shard, (allow, counted), (position == 0, &name)).await?;
            applied.steps.extend(one.steps);
            applied.left.extend(one.left);
        }
        Ok::<_, MigrateError>(applied)
    })?;
    if is_fenced(plan, store) {
        applied
            .steps
            .extend(identity::settle(plan, store, among, counted)?);
    }
    Ok(applied)
}

/// An error of one shard, with its number where there are several.
fn of(position: usize, count: usize, error: StoreError) -> MigrateError {
    match error {
        StoreError::Unavailable(text) => {
            StoreError::Unavailable(format!("{}{text}", label(position, count))).into()
        }
        other => other.into(),
    }
}

/// Where the store stands: the fewest migrations and the earliest time of any shard.
pub(super) fn status(plan: &Plan, store: usize, shards: &[PostgresShard]) -> Result<Status> {
    let pending = self::plan(plan, store, (shards, &[]))?;
    let records = each((shards, &[]), async |_, shard| {
        let alone = Alone::primary(shard).await?;
        let there = alone.rows("SELECT to_regclass('_stoa_schema')::text").await;
        let there = there.map_err(|e| alone.broken(&e))?;
        if there
            .first()
            .is_none_or(|row| row.first().is_none_or(Option::is_none))
        {
            return Ok((0, None));
        }
        let rows = alone
            .rows("SELECT count(*), max(applied) FROM \"_stoa_schema\"")
            .await;
        let row = rows
            .map_err(|e| alone.broken(&e))?
            .into_iter()
            .next()
            .unwrap_or_default();
        let mut cells = row.into_iter();
        let count = cells.next().flatten().and_then(|n| n.parse::<u64>().ok());
        Ok((count.unwrap_or(0), cells.next().flatten()))
    })?;
    let records: Vec<(u64, Option<String>)> = records.into_iter().flatten().collect();
    Ok(Status {
        applied: records.iter().map(|(count, _)| *count).min().unwrap_or(0),
        last: records.into_iter().map(|(_, last)| last).min().flatten(),
        pending,
    })
}

/// Asks every shard that is not left out, all at once, in a runtime of its own: these functions are called where nothing may be waited
/// for.
fn each<T: Send>(
    (shards, without): Among<'_>,
    ask: impl AsyncFn(usize, &PostgresShard) -> Result<T> + Sync + Send,
) -> Result<Vec<Option<T>>> {
    apart(async || {
        let one = async |(position, shard)| {
            if without.contains(&position) {
                return Ok(None);
            }
            ask(position, shard).await.map(Some)
        };
        let all = shards.iter().enumerate().map(one);
        futures_util::future::join_all(all).await.into_iter().collect()
    })
}

/// How a shard is called where there are several.
fn label(position: usize, shards: usize) -> String {
    if shards > 1 {
        format!("shard {position}: ")
    } else {
        String::new()
    }
}

fn labelled(planned: Vec<Planned>, position: usize, shards: usize) -> Migration {
    let name = label(position, shards);
    let mut migration = Migration::default();
    for one in planned {
        match one {
            Planned::Step(mut step, _) => {
                step.why.insert_str(0, &name);
                migration.steps.push(step);
            }
            Planned::Note(note) => migration.notes.push(format!("{name}{note}")),
        }
    }
    migration
}

fn join(migrations: impl Iterator<Item = Migration>) -> Migration {
    let mut all = Migration::default();
    for one in migrations {
        all.steps.extend(one.steps);
        all.notes.extend(one.notes);
    }
    all
}

async fn compute(plan: &Plan, store: usize, alone: &Alone, first: bool) -> Result<Vec<Planned>> {
    let schema = found::read(alone).await.map_err(|e| alone.broken(&e))?;
    let mut refused = Vec::new();
    let planned = diff::diff(plan, (store, first), schema, alone, &mut refused).await;
    let planned = planned.map_err(|e| alone.broken(&e))?;
    if refused.is_empty() {
        Ok(planned)
    } else {
        Err(MigrateError::Refused(refused))
    }
}

async fn apply_to(
    plan: &Plan,
    store: usize,
    shard: &PostgresShard,
    (allow, count): (bool, &Count<'_>),
    (first, name): (bool, &str),
) -> Result<Applied> {
    if !super::manages(plan, store) {
        // Bound tables only: they are looked at, and nothing is written.
        compute(plan, store, &Alone::primary(shard).await?, first).await?;
        return Ok(Applied::default());
    }
    let _lock = lock(shard, count).await?;
    let alone = Alone::primary(shard).await?;
    let planned = compute(plan, store, &alone, first).await?;
    let steps = planned.into_iter().filter_map(|one| match one {
        Planned::Step(step, alone) => Some((step, alone)),
        Planned::Note(_) => None,
    });
    let (steps, left): (Vec<_>, Vec<_>) = steps.partition(|(step, _)| allow || !step.destructive);
    let left: Vec<Step> = left.into_iter().map(|(step, _)| step).collect();
    let needed: Vec<Step> = left.iter().filter(|s| s.required).cloned().collect();
    if !needed.is_empty() {
        return Err(MigrateError::Destructive(needed));
    }
    let (later, together): (Vec<_>, Vec<_>) = steps.into_iter().partition(|(_, alone)| *alone);
    let (mut done, later): (Vec<Step>, Vec<Step>) = (
        together.into_iter().map(|(step, _)| step).collect(),
        later.into_iter().map(|(step, _)| step).collect(),
    );
    if !done.is_empty() {
        transaction(plan, store, &alone, (&done, count)).await?;
    }
    for step in later {
        count.begins(&step);
        tried(&alone, &step).await?;
        done.push(step);
    }
    for step in &mut done {
        step.why.insert_str(0, name);
    }
    Ok(Applied { steps: done, left })
}

/// Holds the lock of migrations until it is dropped. Whoever waits for it has no transaction open meanwhile: an index
/// that is built concurrently waits for those.
async fn lock(shard: &PostgresShard, count: &Count<'_>) -> Result<Alone> {
    let alone = Alone::primary(shard).await?;
    let until = clock::now() + OTHER;
    loop {
        let tried = async {
            alone
                .run(&format!(
                    "BEGIN; {}SET LOCAL idle_in_transaction_session_timeout = 0",
                    alone.unbounded()
                ))
                .await?;
            alone
                .rows(&format!("SELECT pg_try_advisory_xact_lock({LOCK})"))
                .await
        };
        let rows = tried.await.map_err(|e| alone.broken(&e))?;
        if rows.first().and_then(|row| row.first()) == Some(&Some("t".to_owned())) {
            return Ok(alone);
        }
        alone.run("ROLLBACK").await.map_err(|e| alone.broken(&e))?;
        if clock::now() >= until {
            return Err(MigrateError::Refused(vec![format!(
                "{}: another process has been migrating for {} s: see what it waits for, or try again",
                alone.shown,
                OTHER.as_secs()
            )]));
        }
        count.waits();
        tokio::time::sleep(LOOK).await;
    }
}

/// The steps that belong together, with their record.
async fn transaction(
    plan: &Plan,
    store: usize,
    alone: &Alone,
    (steps, count): (&[Step], &Count<'_>),
) -> Result<()> {
    let begin = format!("BEGIN; {}", bounds(alone));
    for tries in 1.. {
        let mut outcome = alone.run(&begin).await.map_err(|e| alone.broken(&e).into());
        for step in steps {
            if outcome.is_err() {
                break;
            }
            if tries == 1 {
                count.begins(step);
            }
            outcome = alone.run(&step.sql).await.map_err(|e| failed(alone, step, &e));
        }
        if outcome.is_ok() {
            let recorded = record(plan, store, steps);
            outcome = alone
                .run(&format!("{recorded}; COMMIT"))
                .await
                .map_err(|e| alone.broken(&e).into());
        }
        match outcome {
            Err(MigrateError::Store(StoreError::Overloaded)) if tries < TRIES => {
                alone.run("ROLLBACK").await.map_err(|e| alone.broken(&e))?;
            }
            Err(error) => {
                let _ = alone.run("ROLLBACK").await;
                return Err(error);
            }
            Ok(()) => break,
        }
    }
    Ok(())
}

/// How long statements of one transaction may wait for locks, and take.
fn bounds(alone: &Alone) -> String {
    format!("{}SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'", alone.unbounded())
}

/// One step outside the transaction of the others, statement by statement.
async fn tried(alone: &Alone, step: &Step) -> Result<()> {
    for part in step.sql.split(";\n") {
        if part.starts_with("UPDATE ") {
            batches(alone, step, part).await?;
            continue;
        }
        // Only what is built concurrently must be alone in its message, and that waits for no lock that others want.
        let sql = if part.contains(" CONCURRENTLY ") {
            part.to_owned()
        } else {
            format!("{}; {part}", bounds(alone))
        };
        again(alone, step, &sql).await?;
    }
    Ok(())
}

/// A message, as often as it takes to have its locks.
async fn again(alone: &Alone, step: &Step, sql: &str) -> Result<()> {
    let mut tries = 0;
    loop {
        tries += 1;
        match alone.run(sql).await.map_err(|e| failed(alone, step, &e)) {
            Err(MigrateError::Store(StoreError::Overloaded)) if tries < TRIES => {}
            other => return other,
        }
    }
}

/// An `UPDATE` of a whole table, so many pages at a time, each in a transaction of its own with how far it came: callers
/// wait for few rows and not for long, and what is killed goes on from there. Rows that come meanwhile are what
/// they should be already.
async fn batches(alone: &Alone, step: &Step, update: &str) -> Result<()> {
    let table = update
        .strip_prefix("UPDATE ")
        .and_then(|rest| rest.split_once(" SET "));
    let Some((table, _)) = table else {
        return Err(StoreError::Internal(format!("no table stands in {update}")).into());
    };
    let name = super::ddl::literal(&format!("{FILL}{update}"));
    let ask = format!(
        "SELECT pg_relation_size({}::regclass) / current_setting('block_size')::int, \
         (SELECT convert_from(value, 'UTF8') FROM \"_stoa_meta\" WHERE name = {name})",
        super::ddl::literal(table)
    );
    let row = alone.rows(&ask).await.map_err(|e| alone.broken(&e))?;
    let mut cells = row.into_iter().next().unwrap_or_default().into_iter().flatten();
    let pages: u64 = cells.next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let mut from: u64 = cells.next().and_then(|n| n.parse().ok()).unwrap_or(0);
    let kept = |value: &str| {
        format!(
            "INSERT INTO \"_stoa_meta\" VALUES ({name}, convert_to('{value}', 'UTF8')) \
             ON CONFLICT (name) DO UPDATE SET value = excluded.value"
        )
    };
    while from < pages {
        let to = (from + BATCH_PAGES).min(pages);
        let part = format!("{update} AND ctid >= '({from},0)' AND ctid < '({to},0)'");
        again(
            alone,
            step,
            &format!("{}; {part}; {}", bounds(alone), kept(&to.to_string())),
        )
        .await?;
        from = to;
    }
    again(alone, step, &kept(FILLED)).await
}

/// Why a step did not go through. A lock that was not to be had is [`StoreError::Overloaded`].
fn failed(alone: &Alone, step: &Step, error: &tokio_postgres::Error) -> MigrateError {
    let Some(db) = error.as_db_error() else {
        return alone.broken(error).into();
    };
    let (why, message) = (&step.why, db.message());
    match db.code() {
        &SqlState::LOCK_NOT_AVAILABLE => StoreError::Overloaded.into(),
        code if code.code().starts_with("23") => MigrateError::Refused(vec![format!(
            "rows that are there stand against it: {why} ({message}{}). Change those rows, or take the constraint back",
            db.detail().map(|d| format!(": {d}")).unwrap_or_default()
        )]),
        code if code.code().starts_with("42") || code.code().starts_with("22") => {
            MigrateError::Refused(vec![format!("{why}: {message} in\n{}", step.sql)])
        }
        _ => alone.broken(error).into(),
    }
}

/// What was done and how the columns are kept, and the key of cursors with the first migration, as SQL.
fn record(plan: &Plan, store: usize, steps: &[Step]) -> String {
    let sql: Vec<&str> = steps.iter().map(|s| s.sql.as_str()).collect();
    let mut tables = serde_json::Map::new();
    for (index, resource) in plan.resources.iter().enumerate() {
        if resource.store == store && resource.table.is_none() {
            let wanted = ddl::wanted(plan, index, resource);
            tables.insert(resource.name.clone(), wanted.record(resource));
        }
    }
    let micros = i64::try_from(clock::unix_micros()).unwrap_or(i64::MAX);
    let mut key = [0_u8; 32];
    let mut with_key = String::new();
    if aws_lc_rs::rand::fill(&mut key).is_ok() {
        let key = base64::engine::general_purpose::STANDARD.encode(key);
        with_key = format!(
            "; INSERT INTO \"_stoa_meta\" VALUES ('cursor_key', decode('{key}', 'base64')) ON CONFLICT DO NOTHING"
        );
    }
    // Tables of resources that are gone stay known until they are dropped.
    let dropped: Vec<String> = steps
        .iter()
        .filter(|s| s.destructive)
        .filter_map(|s| {
            s.sql
                .strip_prefix("DROP TABLE \"")?
                .strip_suffix('"')
                .map(str::to_owned)
        })
        .chain(plan.resources.iter().filter_map(|r| r.was.clone()))
        .collect();
    let dropped = dropped
        .iter()
        .map(|name| format!(" - {}", super::ddl::literal(name)));
    format!(
        "INSERT INTO \"_stoa_schema\" (applied, sql, tables) SELECT {}, {}, \
         (coalesce((SELECT tables FROM \"_stoa_schema\" ORDER BY id DESC LIMIT 1), '{{}}'::jsonb){}) || {}::jsonb{with_key}",
        super::ddl::literal(&crate::value::render_time(micros)),
        super::ddl::literal(&sql.join(";\n")),
        dropped.collect::<String>(),
        super::ddl::literal(&Json::Object(tables).to_string()),
    )
}

/// The steps that make Stoa's own tables.
fn own(plan: &Plan, (store, first): (usize, bool), has: impl Fn(&str) -> bool) -> Vec<Step> {
    let replies = format!("{};\n{}", idempotency::TABLE, idempotency::INDEX);
    let all = [
        (OWN[0].0, OWN[0].1, "Stoa's own records"),
        (OWN[1].0, OWN[1].1, "Stoa's own records"),
        (
            "_stoa_idempotency",
            replies.as_str(),
            "replies kept for Idempotency-Key",
        ),
    ];
    let mut all = all.to_vec();
    if is_fenced(plan, store) {
        all.push((identity::OWNED.0, identity::OWNED.1, "the buckets that are here"));
        if first {
            all.push((identity::MAP.0, identity::MAP.1, "which shard has which bucket"));
        }
    }
    all.iter()
        .filter(|(name, ..)| !has(name))
        .map(|(name, sql, what)| super::diff::additive((*sql).to_owned(), format!("{name}: {what}")))
        .collect()
}

#[cfg(test)]
mod tests;
