//! Which shard a database is, and which buckets it has: recorded in the databases themselves, once, so that two URLs that
//! changed places in the file are noticed before anything is read or written.

use super::super::diff::additive;
use super::super::{Count, MigrateError, Step};
use super::{Among, Result, failed, label, lock, of};
use crate::bucket::BUCKETS;
use crate::store::postgres::alone::{Alone, TextRow, apart};
use crate::store::shards::{Map, READ};
use crate::store::table::quote;
use stoa_config::plan::{Plan, Shard};
use tokio_postgres::Error;

/// Stoa's own tables of a shard: the buckets that it owns.
pub(super) const OWNED: (&str, &str) = (
    "_stoa_owned",
    "CREATE TABLE \"_stoa_owned\" (\"bucket\" smallint PRIMARY KEY, \"epoch\" bigint NOT NULL)",
);
/// The first shard's map of all buckets.
pub(super) const MAP: (&str, &str) = (
    "_stoa_map",
    "CREATE TABLE \"_stoa_map\" (\"bucket\" smallint PRIMARY KEY, \"shard\" smallint NOT NULL, \"epoch\" bigint NOT NULL)",
);

/// What a database says about itself.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The number that all shards of one store share, as hexadecimal digits.
    store: Option<String>,
    /// Its position among them.
    shard: Option<usize>,
    /// The key that signs cursors, as hexadecimal digits: the store's own on the first shard.
    key: Option<String>,
    /// The first shard's key as it was recorded here, once the buckets were given out. It never changes.
    key_of_store: Option<String>,
    /// Rows of the map; empty where there is none.
    map: Vec<TextRow>,
    /// Tables of sharded resources that have rows.
    filled: Vec<String>,
}

/// Looks at a database.
pub(super) async fn look(plan: &Plan, store: usize, alone: &Alone) -> std::result::Result<Found, Error> {
    let mut found = Found::default();
    let tables = "SELECT to_regclass('_stoa_meta')::text, to_regclass('_stoa_map')::text";
    let tables = alone.rows(tables).await?.into_iter().next().unwrap_or_default();
    let is_there = |at: usize| tables.get(at).is_some_and(Option::is_some);
    if is_there(0) {
        let marks = "SELECT (SELECT encode(value, 'hex') FROM \"_stoa_meta\" WHERE name = 'store'), \
            (SELECT convert_from(value, 'UTF8') FROM \"_stoa_meta\" WHERE name = 'shard'), \
            (SELECT encode(value, 'hex') FROM \"_stoa_meta\" WHERE name = 'cursor_key'), \
            (SELECT encode(value, 'hex') FROM \"_stoa_meta\" WHERE name = 'store_key')";
        let mut row = alone
            .rows(marks)
            .await?
            .into_iter()
            .next()
            .unwrap_or_default()
            .into_iter();
        found.store = row.next().flatten();
        found.shard = row.next().flatten().and_then(|n| n.parse().ok());
        found.key = row.next().flatten();
        found.key_of_store = row.next().flatten();
    }
    if is_there(1) {
        found.map = alone.rows(READ).await?;
    }
    if found.map.is_empty() {
        for name in sharded(plan, store) {
            let literal = super::super::ddl::literal(&quote(name));
            let there = format!("SELECT to_regclass({literal})::text");
            if alone.rows(&there).await?.into_iter().flatten().flatten().count() == 0 {
                continue;
            }
            let rows = format!("SELECT 1 FROM {} LIMIT 1", quote(name));
            if !alone.rows(&rows).await?.is_empty() {
                found.filled.push(name.to_owned());
            }
        }
    }
    Ok(found)
}

/// Tables whose rows lie by their bucket.
fn sharded(plan: &Plan, store: usize) -> impl Iterator<Item = &str> {
    let made = move |r: &&stoa_config::plan::Resource| {
        r.store == store && r.table.is_none() && r.shard != Shard::Single
    };
    plan.resources.iter().filter(made).map(|r| r.name.as_str())
}

/// Whether the databases are the shards of one store, in the order of the file. `None` is one that was not looked at.
///
/// # Errors
/// [`MigrateError::Refused`] with everything that is wrong.
pub(super) fn judge(found: &[Option<Found>]) -> Result<()> {
    let mut wrong = Vec::new();
    let several = found.len() > 1;
    let map = map(found)?;
    // All shards of a store have its number; those behind the first have it before the first one does.
    let store = found.iter().flatten().find_map(|f| f.store.as_ref());
    for (position, one) in found.iter().enumerate() {
        let Some(one) = one else { continue };
        let name = if several {
            format!("shard {position}")
        } else {
            "the database".to_owned()
        };
        match one.shard {
            Some(own) if own != position => wrong.push(format!(
                "{name} of the file is shard {own} of the store: the order of `shards` never changes, put the URLs back in their places"
            )),
            Some(_) if store.is_some() && one.store.as_ref() != store => {
                wrong.push(format!("{name} belongs to another store than the shards before it: is its URL right?"));
            }
            None if map.as_ref().is_some_and(|m| m.share(position).buckets > 0) => wrong.push(format!(
                "{name} holds {} buckets by the map on the first shard, but its database was never a shard: is its URL right?",
                map.as_ref().map_or(0, |m| m.share(position).buckets)
            )),
            _ => {}
        }
        if position > 0 {
            wrong.extend(by_the_first(
                &name,
                one,
                found.first().and_then(Option::as_ref),
                map.is_some(),
            ));
        }
        if position > 0 && map.is_none() && found.first().is_some_and(Option::is_some) {
            wrong.extend(one.filled.iter().map(|table| {
                format!("{name} has rows of {table}, and no map says which buckets are its own: use an empty database")
            }));
        }
    }
    if map.is_some_and(|m| !m.is_whole()) {
        wrong.push(format!(
            "the map on the first shard gives buckets to shards that the file does not name; it names {}: a shard is not taken out of the file while it owns buckets",
            found.len()
        ));
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(MigrateError::Refused(wrong))
    }
}

/// What is wrong with a shard behind the first by what it has recorded of the first one: that the buckets were given out,
/// with the key that signs cursors.
fn by_the_first(name: &str, one: &Found, first: Option<&Found>, is_mapped: bool) -> Option<String> {
    match (first, &one.key_of_store) {
        (None, None) => Some(format!(
            "the first shard cannot be reached, and {name} has not recorded that the buckets were given out: a process must start once while all shards are there"
        )),
        (Some(_), Some(_)) if !is_mapped => Some(format!(
            "the first shard has no map of the buckets, and {name} has recorded that there is one: is the first URL right?"
        )),
        (Some(first), Some(key)) if first.key.as_ref().is_some_and(|own| own != key) => Some(format!(
            "the first shard has another key of cursors than {name} has recorded: is the first URL right?"
        )),
        _ => None,
    }
}

/// The map on the first shard, when there is one.
fn map(found: &[Option<Found>]) -> Result<Option<Map>> {
    match found.first().and_then(Option::as_ref) {
        Some(first) if !first.map.is_empty() => Ok(Some(Map::read(&first.map, found.len())?)),
        _ => Ok(None),
    }
}

/// What is to be recorded, shard by shard, the first one last: the map is what makes it hold, and until it is there all of
/// it may be done again.
///
/// # Errors
/// [`MigrateError::Refused`] when there is no map yet and a shard was not looked at.
pub(super) fn steps(found: &[Option<Found>]) -> Result<Vec<(usize, Step)>> {
    let shards = found.len();
    if found.first().is_none_or(Option::is_none) {
        // Only a store whose buckets were given out is looked at without its first shard.
        return Ok(Vec::new());
    }
    let map = map(found)?;
    if let (None, Some(away)) = (&map, found.iter().position(Option::is_none)) {
        return Err(MigrateError::Refused(vec![format!(
            "shard {away} cannot be reached, and the buckets were not given out yet: every shard must be there for that, once"
        )]));
    }
    let id = found
        .iter()
        .flatten()
        .find_map(|f| f.store.clone())
        .unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string());
    let first = found.first().and_then(Option::as_ref);
    let all_on_first = first.is_some_and(|f| !f.filled.is_empty());
    let mut steps = Vec::new();
    for position in (0..shards).rev() {
        let Some(own) = &found[position] else { continue };
        let is_marked = own.shard.is_some();
        let mark = format!(
            "INSERT INTO \"_stoa_meta\" VALUES ('store', decode('{id}', 'hex')), ('shard', convert_to('{position}', 'UTF8')) ON CONFLICT DO NOTHING"
        );
        let name = label(position, shards);
        if map.is_some() {
            if !is_marked {
                let why = format!(
                    "{name}it becomes a shard of the store; it owns no bucket until some are moved to it"
                );
                steps.push((position, additive(mark, why)));
            }
            steps.extend(key(position, &name, own, first));
            continue;
        }
        let own = |position: usize| match (all_on_first, position) {
            (false, _) => split(position, shards),
            (true, 0) => split(0, 1),
            (true, _) => 0..0,
        };
        let fill = |table: &str, values: String, range: std::ops::Range<u16>| {
            if range.is_empty() {
                return String::new();
            }
            format!(
                ";\nINSERT INTO {table} SELECT bucket, {values} FROM generate_series({}, {}) AS bucket",
                range.start,
                range.end - 1
            )
        };
        let range = own(position);
        let mut sql = format!("{mark};\nDELETE FROM \"_stoa_owned\"");
        sql.push_str(&fill("\"_stoa_owned\"", "1".to_owned(), range.clone()));
        if position == 0 {
            sql.extend((0..shards).map(|s| fill("\"_stoa_map\"", format!("{s}, 1"), own(s))));
        }
        let why = format!("{name}it owns {} of the {BUCKETS} buckets", range.len());
        steps.push((position, additive(sql, why)));
    }
    Ok(steps)
}

/// Records the first shard's key of cursors on another one, once, so that a process can start without the first.
fn key(position: usize, name: &str, own: &Found, first: Option<&Found>) -> Option<(usize, Step)> {
    let key = first?.key.as_ref()?;
    if position == 0 || own.key_of_store.is_some() {
        return None;
    }
    // Digits that the database itself has written.
    let sql = format!(
        "INSERT INTO \"_stoa_meta\" VALUES ('store_key', decode('{key}', 'hex')) ON CONFLICT DO NOTHING"
    );
    let why =
        format!("{name}it keeps the store's key of cursors, so that processes start without the first shard");
    let step = Step {
        required: false,
        ..additive(sql, why)
    };
    Some((position, step))
}

/// The buckets of a shard when all are given out evenly.
fn split(position: usize, shards: usize) -> std::ops::Range<u16> {
    let at = |n: usize| u16::try_from(n * usize::from(BUCKETS) / shards.max(1)).unwrap_or(BUCKETS);
    at(position)..at(position + 1)
}

/// Records which shard each database is and which buckets it owns, once; then, on those behind the first, that it was
/// done.
pub(super) fn settle(plan: &Plan, store: usize, among: Among<'_>, count: &Count<'_>) -> Result<Vec<Step>> {
    let (shards, without) = among;
    apart(async || {
        let _lock = match shards.first() {
            Some(first) if !without.contains(&0) => lock(first, count).await?,
            _ => return Ok(Vec::new()),
        };
        let mut all = Vec::with_capacity(shards.len());
        for (position, shard) in shards.iter().enumerate() {
            let alone = if without.contains(&position) {
                None
            } else {
                let alone = Alone::primary(shard).await;
                Some(alone.map_err(|e| of(position, shards.len(), e))?)
            };
            all.push(alone);
        }
        let mut done = settle_once(plan, store, &all).await?;
        if !done.is_empty() {
            done.extend(settle_once(plan, store, &all).await?);
        }
        Ok(done)
    })
}

async fn settle_once(plan: &Plan, store: usize, all: &[Option<Alone>]) -> Result<Vec<Step>> {
    let mut found = Vec::with_capacity(all.len());
    for alone in all {
        found.push(match alone {
            Some(alone) => Some(look(plan, store, alone).await.map_err(|e| alone.broken(&e))?),
            None => None,
        });
    }
    judge(&found)?;
    let steps = steps(&found)?;
    for (shard, step) in &steps {
        let Some(Some(alone)) = all.get(*shard) else {
            continue;
        };
        let done = alone
            .run(&format!("BEGIN;\n{}{};\nCOMMIT", alone.unbounded(), step.sql))
            .await;
        done.map_err(|error| failed(alone, step, &error))?;
    }
    Ok(steps.into_iter().map(|(_, step)| step).collect())
}

/// What is worth knowing: shards that own nothing.
pub(super) fn notes(found: &[Option<Found>]) -> Result<Vec<String>> {
    let Some(map) = map(found)? else {
        return Ok(Vec::new());
    };
    let idle = (0..found.len()).filter(|shard| map.share(*shard).buckets == 0);
    Ok(idle
        .map(|shard| {
            format!("shard {shard} owns no bucket: rows stay where they are until buckets are moved to it")
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_is_given_out_once() {
        for shards in 1..=64 {
            let all: Vec<u16> = (0..shards).flat_map(|s| split(s, shards)).collect();
            assert_eq!(all, (0..BUCKETS).collect::<Vec<_>>(), "{shards}");
        }
    }
}
