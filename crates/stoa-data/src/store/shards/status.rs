//! The shards of a store as they stand, for people: asked directly, whatever is served.

use super::{Map, READ, is_fenced};
use crate::bucket::BUCKETS;
use crate::store::postgres::alone::{Alone, Found, apart};
use crate::store::{Role, StoreError};
use std::collections::BTreeMap;
use stoa_config::plan::{Plan, PostgresShard, StoreKind};

/// How a shard stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardStatus {
    /// Position in the file.
    pub shard: usize,
    /// The primary: host and database, never a password; or why it cannot be used.
    pub primary: Result<String, String>,
    /// Why its database does not belong in this place of the file.
    pub misplaced: Option<String>,
    /// Buckets that the map on the first shard gives it; `None` when the map cannot be read or there is none.
    pub mapped: Option<u16>,
    /// Buckets that the shard itself says it owns.
    pub owned: Option<u16>,
    /// Buckets that only one of the two says it has.
    pub differing: u16,
    /// The newest epoch of those that it owns.
    pub epoch: Option<i64>,
    /// Its other servers, in the order of the file.
    pub replicas: Vec<ReplicaStatus>,
}

impl ShardStatus {
    /// Whether it answers, is where it belongs, and owns what the map says.
    pub fn is_well(&self) -> bool {
        self.primary.is_ok()
            && self.misplaced.is_none()
            && self.mapped == self.owned
            && self.differing == 0
            && self.replicas.iter().all(|r| r.lag_bytes.is_ok())
    }
}

/// How a server stands that is not the one which takes the shard's writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// Host and database.
    pub shown: String,
    /// What it is.
    pub role: Role,
    /// How much of the primary's log it has not replayed; or why that is not known, or it is not read from.
    pub lag_bytes: Result<u64, String>,
}

/// What was asked of a shard.
struct Asked {
    primary: Result<String, String>,
    /// Its position and the store it belongs to, by its own records.
    mark: (Option<usize>, Option<String>),
    map: Option<Map>,
    /// Buckets that it owns, with their epochs.
    owned: Option<BTreeMap<u16, i64>>,
    replicas: Vec<ReplicaStatus>,
}

/// The shards of a PostgreSQL store; empty for any other.
///
/// # Errors
/// [`StoreError::Internal`] when nothing can be asked at all. A shard that does not answer is part of the answer.
pub fn status(plan: &Plan, store: usize) -> Result<Vec<ShardStatus>, StoreError> {
    let Some(StoreKind::Postgres { shards, .. }) = plan.stores.get(store).map(|s| &s.kind) else {
        return Ok(Vec::new());
    };
    let fenced = is_fenced(plan, store);
    let asked = apart(async || {
        let all = shards.iter().map(|shard| ask(shard, shards.len(), fenced));
        Ok::<_, StoreError>(futures_util::future::join_all(all).await)
    })?;
    // The map says the same wherever in the file its database is named.
    let map = asked.iter().find_map(|one| one.map.clone());
    let first = asked.iter().find(|one| one.map.is_some());
    let store = first.and_then(|one| one.mark.1.clone());
    let of = |(position, one): (usize, Asked)| ShardStatus {
        misplaced: misplaced(position, &one.mark, store.as_deref()),
        mapped: map.as_ref().map(|map| map.share(position).buckets),
        owned: one
            .owned
            .as_ref()
            .map(|own| u16::try_from(own.len()).unwrap_or(u16::MAX)),
        differing: match (&map, &one.owned) {
            (Some(map), Some(own)) => differing(map, position, own),
            _ => 0,
        },
        epoch: one
            .owned
            .as_ref()
            .map(|own| own.values().copied().max().unwrap_or(0)),
        shard: position,
        primary: one.primary,
        replicas: one.replicas,
    };
    Ok(asked.into_iter().enumerate().map(of).collect())
}

/// Why a database does not belong where the file names it, by what it has recorded of itself.
fn misplaced(position: usize, mark: &(Option<usize>, Option<String>), store: Option<&str>) -> Option<String> {
    match mark {
        (Some(own), _) if *own != position => Some(format!(
            "this database is shard {own} of the store: the order of `shards` never changes, put the URLs back in their places"
        )),
        (_, Some(other)) if store.is_some_and(|store| store != other) => {
            Some("this database belongs to another store than the first shard: is its URL right?".to_owned())
        }
        _ => None,
    }
}

/// Buckets that either the map gives a shard or the shard says it owns, and not both.
fn differing(map: &Map, position: usize, own: &BTreeMap<u16, i64>) -> u16 {
    let differs = |bucket: &u16| (map.shard(*bucket) == Some(position)) != own.contains_key(bucket);
    u16::try_from((0..BUCKETS).filter(differs).count()).unwrap_or(BUCKETS)
}

async fn ask(shard: &PostgresShard, count: usize, fenced: bool) -> Asked {
    let (primary, found) = Alone::all(shard).await;
    let mut replicas = Vec::with_capacity(found.len());
    for server in found {
        replicas.push(replica(server, primary.as_ref().ok()).await);
    }
    let mut asked = Asked {
        mark: (None, None),
        map: None,
        owned: None,
        replicas,
        primary: Ok(String::new()),
    };
    if let (Ok(primary), true) = (&primary, fenced) {
        asked.mark = mark(primary).await.unwrap_or_default();
        let rows = primary.rows(READ).await.ok().filter(|rows| !rows.is_empty());
        asked.map = rows.and_then(|rows| Map::read(&rows, count).ok());
        asked.owned = owned(primary).await;
    }
    asked.primary = primary.map(|p| p.shown.clone()).map_err(|error| said(&error));
    asked
}

async fn mark(primary: &Alone) -> Option<(Option<usize>, Option<String>)> {
    let asked = "SELECT (SELECT convert_from(value, 'UTF8') FROM \"_stoa_meta\" WHERE name = 'shard'), \
        (SELECT encode(value, 'hex') FROM \"_stoa_meta\" WHERE name = 'store')";
    let mut row = primary.rows(asked).await.ok()?.into_iter().next()?.into_iter();
    let shard = row.next().flatten().and_then(|text| text.parse().ok());
    Some((shard, row.next().flatten()))
}

async fn owned(primary: &Alone) -> Option<BTreeMap<u16, i64>> {
    let rows = primary
        .rows("SELECT bucket, epoch FROM \"_stoa_owned\"")
        .await
        .ok()?;
    let one = |row: &Vec<Option<String>>| {
        let cell = |at: usize| row.get(at)?.as_deref();
        Some((cell(0)?.parse().ok()?, cell(1)?.parse().ok()?))
    };
    Some(rows.iter().filter_map(one).collect())
}

/// What a server that does not take the shard's writes is, and how far behind.
async fn replica(server: Found, primary: Option<&Alone>) -> ReplicaStatus {
    let (shown, role) = (server.shown.clone(), server.role);
    let lag_bytes = match server.out.clone() {
        Some(why) => Err(why),
        None => match server.open().await {
            Ok(replica) => lag(&replica, primary).await,
            Err(error) => Err(said(&error)),
        },
    };
    ReplicaStatus {
        shown,
        role,
        lag_bytes,
    }
}

/// The primary's place in the log less the replica's, asked in this order: the difference is never too small.
async fn lag(replica: &Alone, primary: Option<&Alone>) -> Result<u64, String> {
    let place = async |alone: &Alone, asked: &str| {
        let rows = alone.rows(asked).await.map_err(|e| said(&alone.broken(&e)))?;
        let cell = rows.into_iter().flatten().flatten().next();
        cell.ok_or_else(|| "it is not a replica".to_owned())
    };
    let replayed = place(
        replica,
        "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END",
    )
    .await?;
    let primary = primary.ok_or_else(|| "its primary does not answer".to_owned())?;
    // Both are the server's own words: a place in its log.
    let behind = format!("SELECT greatest(0, pg_wal_lsn_diff(pg_current_wal_lsn(), '{replayed}'))::bigint");
    let behind = place(primary, &behind).await?;
    behind
        .parse()
        .map_err(|_| "it tells no place in the log".to_owned())
}

fn said(error: &StoreError) -> String {
    match error {
        StoreError::Unavailable(text)
        | StoreError::NoPrimary(text)
        | StoreError::Internal(text)
        | StoreError::Refused(text) => text.clone(),
        other => other.to_string(),
    }
}
