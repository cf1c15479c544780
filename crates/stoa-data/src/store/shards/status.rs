//! The shards of a store as they stand, for people: asked directly, whatever is served.

use super::{Map, READ, is_fenced};
use crate::store::StoreError;
use crate::store::postgres::alone::{Alone, apart};
use stoa_config::plan::{Plan, Secret, StoreKind};

/// How a shard stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardStatus {
    /// Position in the file.
    pub shard: usize,
    /// The primary: host and database, never a password; or why it cannot be used.
    pub primary: Result<String, String>,
    /// Buckets that the map on the first shard gives it; `None` when the map cannot be read or there is none.
    pub mapped: Option<u16>,
    /// Buckets that the shard itself says it owns.
    pub owned: Option<u16>,
    /// The newest epoch of these.
    pub epoch: Option<i64>,
    /// Replicas, in the order of the file.
    pub replicas: Vec<ReplicaStatus>,
}

impl ShardStatus {
    /// Whether it answers and owns what the map says.
    pub fn is_well(&self) -> bool {
        self.primary.is_ok() && self.mapped == self.owned && self.replicas.iter().all(|r| r.lag_bytes.is_ok())
    }
}

/// How a replica stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaStatus {
    /// Host and database.
    pub shown: String,
    /// How much of the primary's log it has not replayed; or why that is not known.
    pub lag_bytes: Result<u64, String>,
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
    apart(async || {
        let mut all = Vec::with_capacity(shards.len());
        let mut map = None;
        for (position, shard) in shards.iter().enumerate() {
            let primary = Alone::primary(shard).await;
            if let (0, true, Ok(first)) = (position, fenced, &primary) {
                let rows = first.rows(READ).await.ok();
                map = rows.and_then(|rows| Map::read(&rows, shards.len()).ok());
            }
            let owned = match &primary {
                Ok(primary) if fenced => owned(primary).await,
                _ => None,
            };
            let mut replicas = Vec::with_capacity(shard.read.len());
            for url in &shard.read {
                replicas.push(replica(url, primary.as_ref().ok()).await);
            }
            all.push(ShardStatus {
                shard: position,
                primary: primary.map(|p| p.shown.clone()).map_err(|error| said(&error)),
                mapped: map.as_ref().map(|map: &Map| map.share(position).buckets),
                owned: owned.map(|(count, _)| count),
                epoch: owned.map(|(_, epoch)| epoch),
                replicas,
            });
        }
        Ok(all)
    })
}

async fn owned(primary: &Alone) -> Option<(u16, i64)> {
    let asked = "SELECT count(*), coalesce(max(epoch), 0) FROM \"_stoa_owned\"";
    let row = primary.rows(asked).await.ok()?.into_iter().next()?;
    let cell = |at: usize| row.get(at)?.as_deref();
    Some((cell(0)?.parse().ok()?, cell(1)?.parse().ok()?))
}

async fn replica(url: &Secret, primary: Option<&Alone>) -> ReplicaStatus {
    let replica = match Alone::open(url).await {
        Ok(replica) => replica,
        Err(error) => {
            return ReplicaStatus {
                shown: "a replica".to_owned(),
                lag_bytes: Err(said(&error)),
            };
        }
    };
    ReplicaStatus {
        lag_bytes: lag(&replica, primary).await,
        shown: replica.shown.clone(),
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
        StoreError::Unavailable(text) | StoreError::Internal(text) | StoreError::Refused(text) => {
            text.clone()
        }
        other => other.to_string(),
    }
}
