//! Replies kept for idempotency keys, in the table `_stoa_idempotency`, written in the transaction of the write they
//! belong to. While that runs it holds an advisory lock on the key, in whatever process it is.

use super::Shared;
use super::codec::{self, Param};
use super::connection::Connection;
use super::errors::Run;
use super::place::Question;
use super::pool::{Pool, within};
use super::pools::{self, As};
use super::read::column;
use crate::operation::IdempotencyClaim;
use crate::store::{Done, Outcome, StoreError, StoredReply};
use bytes::Bytes;
use futures_util::TryStreamExt;
use serde_json::Value as Json;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use stoa_exchange::clock;
use stoa_exchange::position::Position;
use tokio_postgres::Row;

/// How long a reply is kept, in seconds.
const KEPT_SECONDS: u64 = 24 * 3600;
/// Rows that one cleaning removes.
const CLEAN_ROWS: i64 = 500;
/// Time between two cleanings, in seconds.
const CLEAN_EVERY_SECONDS: u64 = 60;
/// How long a cleaning may take.
const CLEAN: Duration = Duration::from_secs(2);

/// The table. `created` is in seconds since 1970; `bucket` is that of the rows, so that the replies move with them, and
/// null where rows have none or an older version wrote it.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS \"_stoa_idempotency\" (\"scope\" bytea PRIMARY KEY, \
    \"fingerprint\" bytea NOT NULL, \"status\" smallint NOT NULL, \"headers\" text NOT NULL, \"body\" bytea NOT NULL, \
    \"created\" bigint NOT NULL, \"bucket\" smallint)";
/// What makes the table of an older version the same.
pub(crate) const BUCKET: &str = "ALTER TABLE \"_stoa_idempotency\" ADD COLUMN \"bucket\" smallint";
/// Its index, for cleaning.
pub(crate) const INDEX: &str =
    "CREATE INDEX IF NOT EXISTS \"_stoa_idempotency_created\" ON \"_stoa_idempotency\" (\"created\")";

const FIND: &str = "SELECT fingerprint, status, headers, body FROM \"_stoa_idempotency\" \
    WHERE scope = $1 AND created > $2";
/// Put behind [`LOOK`] where the shard must own a bucket.
const GATE: &str = " WHERE 1 / (SELECT count(*) FROM \"_stoa_owned\" WHERE bucket = $4) = 1";
/// Shared, so that two who only look do not get in each other's way.
const LOOK: &str = "SELECT l.free, k.fingerprint, k.status, k.headers, k.body \
    FROM (SELECT pg_try_advisory_xact_lock_shared($3) AS free) AS l \
    LEFT JOIN \"_stoa_idempotency\" AS k ON k.scope = $1 AND k.created > $2";
const TAKE: &str = "SELECT pg_try_advisory_xact_lock($1)";
const KEEP: &str = "INSERT INTO \"_stoa_idempotency\" AS k (scope, fingerprint, status, headers, body, created) \
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (scope) DO UPDATE SET fingerprint = excluded.fingerprint, \
    status = excluded.status, headers = excluded.headers, body = excluded.body, created = excluded.created";
/// The same for rows with a bucket; tables that Stoa did not make have none, and may lack the column.
const KEEP_WITH_BUCKET: &str = "INSERT INTO \"_stoa_idempotency\" AS k \
    (scope, fingerprint, status, headers, body, created, bucket) \
    VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (scope) DO UPDATE SET fingerprint = excluded.fingerprint, \
    status = excluded.status, headers = excluded.headers, body = excluded.body, created = excluded.created, \
    bucket = excluded.bucket";
const CLEAN_SQL: &str = "DELETE FROM \"_stoa_idempotency\" WHERE scope IN \
    (SELECT scope FROM \"_stoa_idempotency\" WHERE created <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";

/// Seconds since 1970, so many ago.
fn seconds_ago(seconds: u64) -> i64 {
    i64::try_from(clock::unix_seconds().saturating_sub(seconds)).unwrap_or(i64::MAX)
}

/// The number of a key's lock. Two keys with one number only wait for each other.
fn lock(claim: &IdempotencyClaim) -> i64 {
    claim
        .scope
        .first_chunk::<8>()
        .map_or(0, |head| i64::from_be_bytes(*head))
}

/// The reply that was kept for a key, or that its first request still runs.
pub(super) async fn kept(
    shared: &Arc<Shared>,
    (claim, bucket): (&IdempotencyClaim, Option<u16>),
    deadline: Instant,
) -> Result<Option<Done>, StoreError> {
    let group = &shared.group;
    let primary = shared.lead()?;
    let pool = pools::of(shared, primary, As::Primary)
        .ok_or_else(|| StoreError::Internal(String::from("the shard has no primary")))?;
    let mut at = Position::default();
    let result: Run<Option<StoredReply>> = async {
        let connection = shared.hinting(pool.alone(deadline).await)?;
        let found = pool.limited(deadline, async {
            let since = Param::Int(seconds_ago(KEPT_SECONDS));
            let mut params = vec![Param::Bytes(&claim.scope), since, Param::Int(lock(claim))];
            let mut text = std::borrow::Cow::Borrowed(LOOK);
            if let Some(bucket) = bucket {
                params.push(Param::Int(i64::from(bucket)));
                text.to_mut().push_str(GATE);
            }
            let rows = connection.run(&text, &params).await?;
            let rows = rows.try_collect::<Vec<Row>>().await?;
            if group.reads && !rows.is_empty() {
                let question = Question::written(&connection).await?;
                at = Position::from(question.mark(group.shard, group.view().timeline).await);
            }
            Run::Ok(rows)
        });
        let found = shared.hinting(found.await)?;
        if found.as_ref().is_ok() || found.as_ref().is_err_and(|fail| !fail.is_lost()) {
            connection.keep();
        }
        let found = match found {
            // The table comes with the first key where Stoa makes no other.
            Err(fail) if fail.is_no_table() => return Ok(None),
            Err(fail) if bucket.is_some() && fail.is_not_owned() => return Err(StoreError::NotOwned.into()),
            found => found?,
        };
        let Some(row) = found.first() else { return Ok(None) };
        match reply(row, 1, claim)? {
            Some(reply) => Ok(Some(reply)),
            None if column(row, 0)?.and_then(codec::boolean) == Some(false) => {
                Err(StoreError::IdempotencyRunning.into())
            }
            None => Ok(None),
        }
    }
    .await;
    let reply = result.map_err(|fail| fail.plain(shared.shown()))?;
    Ok(reply.map(|reply| Done {
        outcome: Outcome::Replayed(reply),
        at,
        by: shared.chosen(primary),
    }))
}

/// Takes the key for the transaction, and looks for its reply once it is held.
pub(super) async fn take(connection: &Connection, claim: &IdempotencyClaim) -> Run<Option<StoredReply>> {
    let lock = [Param::Int(lock(claim))];
    let find = [Param::Bytes(&claim.scope), Param::Int(seconds_ago(KEPT_SECONDS))];
    let takes = connection.prepare(TAKE, &lock).await?;
    let finds = connection.prepare(FIND, &find).await?;
    // In one go. The second sees what was committed before the lock was had.
    let (taken, found) = futures_util::future::join(
        async {
            let rows = connection.begin(takes.as_ref(), TAKE, &lock).await?;
            Run::Ok(rows.try_collect::<Vec<Row>>().await?)
        },
        async {
            let rows = connection.begin(finds.as_ref(), FIND, &find).await?;
            Run::Ok(rows.try_collect::<Vec<Row>>().await?)
        },
    )
    .await;
    let taken = match taken?.first() {
        Some(row) => column(row, 0)?.and_then(codec::boolean) == Some(true),
        None => false,
    };
    if !taken {
        return Err(StoreError::IdempotencyRunning.into());
    }
    match found?.first() {
        Some(row) => reply(row, 0, claim),
        None => Ok(None),
    }
}

/// The reply in a row whose columns begin at `from`.
fn reply(row: &Row, from: usize, claim: &IdempotencyClaim) -> Run<Option<StoredReply>> {
    let Some(fingerprint) = column(row, from)? else {
        return Ok(None);
    };
    if fingerprint != claim.fingerprint {
        return Err(StoreError::IdempotencyMismatch.into());
    }
    let status = column(row, from + 1)?.and_then(codec::int).unwrap_or(0);
    let headers: Json =
        serde_json::from_slice(column(row, from + 2)?.unwrap_or_default()).unwrap_or_default();
    let pair = |pair: &Json| {
        Some((
            pair.get(0)?.as_str()?.to_owned(),
            pair.get(1)?.as_str()?.to_owned(),
        ))
    };
    Ok(Some(StoredReply {
        status: u16::try_from(status).unwrap_or(0),
        headers: headers
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(pair)
            .collect(),
        body: Bytes::copy_from_slice(column(row, from + 3)?.unwrap_or_default()),
    }))
}

/// Keeps a reply, in the transaction under way.
pub(super) async fn keep(connection: &Connection, claim: &IdempotencyClaim, reply: &StoredReply) -> Run<()> {
    let headers: Json = reply
        .headers
        .iter()
        .map(|(name, value)| Json::from(vec![name.as_str(), value]))
        .collect();
    let headers = headers.to_string();
    let mut params = vec![
        Param::Bytes(&claim.scope),
        Param::Bytes(&claim.fingerprint),
        Param::Int(i64::from(reply.status)),
        Param::Text(&headers),
        Param::Bytes(&reply.body),
        Param::Int(seconds_ago(0)),
    ];
    let mut text = KEEP;
    if let Some(bucket) = claim.bucket {
        text = KEEP_WITH_BUCKET;
        params.push(Param::Int(i64::from(bucket)));
    }
    let rows = connection.run(text, &params).await?;
    rows.try_collect::<Vec<Row>>().await?;
    Ok(())
}

/// Makes the table where no migration did, because Stoa makes no other table there; once.
pub(super) async fn make(shared: &Shared, connection: &Connection) -> Run<()> {
    if !shared.manages && !shared.keeps.load(Ordering::Relaxed) {
        connection
            .client
            .batch_execute(&format!("{TABLE}; {INDEX}"))
            .await?;
        shared.keeps.store(true, Ordering::Relaxed);
    }
    Ok(())
}

/// Removes some of the replies that are too old, now and then, while nobody waits for it.
pub(super) fn clean_sometimes(shared: &Arc<Shared>, pool: &Arc<Pool>) {
    let now = clock::unix_seconds();
    let last = shared.cleaned.load(Ordering::Relaxed);
    if now.saturating_sub(last) < CLEAN_EVERY_SECONDS {
        return;
    }
    let mine = shared
        .cleaned
        .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed);
    if mine.is_err() {
        return;
    }
    let (shared, pool) = (Arc::clone(shared), Arc::clone(pool));
    tokio::spawn(async move {
        let removed = clean(&pool).await.unwrap_or(0);
        if removed >= u64::try_from(CLEAN_ROWS).unwrap_or(u64::MAX) {
            // There is more: the next write goes on.
            shared.cleaned.store(last, Ordering::Relaxed);
        }
    });
}

async fn clean(pool: &Arc<Pool>) -> Run<u64> {
    let deadline = clock::now() + CLEAN;
    let connection = pool.alone(deadline).await?;
    let removed = within(deadline, async {
        let params = [Param::Int(seconds_ago(KEPT_SECONDS)), Param::Int(CLEAN_ROWS)];
        let mut rows = std::pin::pin!(connection.run(CLEAN_SQL, &params).await?);
        while rows.try_next().await?.is_some() {}
        Run::Ok(rows.rows_affected().unwrap_or(0))
    })
    .await?;
    if removed.is_ok() {
        connection.keep();
    }
    removed
}
