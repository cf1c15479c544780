//! Which shard a database is, and which buckets it has: recorded in the databases themselves, once, so that two URLs that
//! changed places in the file are noticed before anything is read or written.

use super::super::diff::additive;
use super::super::{MigrateError, Step};
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
            (SELECT convert_from(value, 'UTF8') FROM \"_stoa_meta\" WHERE name = 'shard')";
        let mut row = alone
            .rows(marks)
            .await?
            .into_iter()
            .next()
            .unwrap_or_default()
            .into_iter();
        found.store = row.next().flatten();
        found.shard = row.next().flatten().and_then(|n| n.parse().ok());
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

/// Whether the databases are the shards of one store, in the order of the file. `None` is one that was not looked at; the
/// first one was.
///
/// # Errors
/// [`MigrateError::Refused`] with everything that is wrong.
pub(super) fn judge(found: &[Option<Found>]) -> Result<()> {
    let mut wrong = Vec::new();
    let several = found.len() > 1;
    let map = map(found)?;
    let store = found
        .first()
        .and_then(Option::as_ref)
        .and_then(|f| f.store.as_ref());
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
                wrong.push(format!("{name} belongs to another store than the first shard: is its URL right?"));
            }
            None if map.as_ref().is_some_and(|m| m.share(position).buckets > 0) => wrong.push(format!(
                "{name} holds {} buckets by the map on the first shard, but its database was never a shard: is its URL right?",
                map.as_ref().map_or(0, |m| m.share(position).buckets)
            )),
            _ => {}
        }
        if position > 0 && map.is_none() {
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

/// The buckets of a shard when all are given out evenly.
fn split(position: usize, shards: usize) -> std::ops::Range<u16> {
    let at = |n: usize| u16::try_from(n * usize::from(BUCKETS) / shards.max(1)).unwrap_or(BUCKETS);
    at(position)..at(position + 1)
}

/// Records which shard each database is and which buckets it owns, once.
pub(super) fn settle(plan: &Plan, store: usize, (shards, without): Among<'_>) -> Result<Vec<Step>> {
    apart(async || {
        let _lock = match shards.first() {
            Some(first) => lock(first).await?,
            None => return Ok(Vec::new()),
        };
        let (mut all, mut found) = (Vec::new(), Vec::new());
        for (position, shard) in shards.iter().enumerate() {
            if without.contains(&position) {
                found.push(None);
                all.push(None);
                continue;
            }
            let alone = Alone::primary(shard)
                .await
                .map_err(|e| of(position, shards.len(), e))?;
            let one = look(plan, store, &alone).await;
            found.push(Some(one.map_err(|e| alone.broken(&e))?));
            all.push(Some(alone));
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
    })
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
