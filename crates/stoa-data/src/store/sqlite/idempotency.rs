//! Replies kept for idempotency keys, in the table `_stoa_idempotency`, written in the transaction of the write
//! they belong to. Only replies of writes that were done are kept: a refused one changed nothing, and asking again
//! is refused again or rightly done. A store in which Stoa makes no table gets this one with its first key.

use super::errors::Run;
use crate::operation::IdempotencyClaim;
use crate::store::{StoreError, StoredReply};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value as Json;
use stoa_exchange::clock;

/// How long a reply is kept, in seconds.
const KEPT_SECONDS: u64 = 24 * 3600;
/// Rows that one cleaning removes.
const CLEAN_ROWS: u32 = 500;

/// The table.
pub(crate) const TABLE: &str = "CREATE TABLE IF NOT EXISTS \"_stoa_idempotency\" (\"scope\" BLOB PRIMARY KEY, \
    \"fingerprint\" BLOB NOT NULL, \"status\" INTEGER NOT NULL, \"headers\" TEXT NOT NULL, \"body\" BLOB NOT NULL, \
    \"created\" INTEGER NOT NULL) STRICT, WITHOUT ROWID";
/// Its index, for cleaning.
pub(crate) const INDEX: &str =
    "CREATE INDEX IF NOT EXISTS \"_stoa_idempotency_created\" ON \"_stoa_idempotency\" (\"created\")";

fn is_made(conn: &Connection) -> Run<bool> {
    let mut statement = conn
        .prepare_cached("SELECT 1 FROM sqlite_schema WHERE name = '_stoa_idempotency' AND type = 'table'")?;
    Ok(statement.exists([])?)
}

/// Seconds since 1970, so many ago.
fn seconds_ago(seconds: u64) -> i64 {
    i64::try_from(clock::unix_seconds().saturating_sub(seconds)).unwrap_or(i64::MAX)
}

/// The reply that was kept for a key.
pub(super) fn kept(conn: &Connection, claim: &IdempotencyClaim) -> Run<Option<StoredReply>> {
    if !is_made(conn)? {
        return Ok(None);
    }
    let since = seconds_ago(KEPT_SECONDS);
    let mut statement = conn.prepare_cached(
        "SELECT fingerprint, status, headers, body FROM _stoa_idempotency WHERE scope = ? AND created > ?",
    )?;
    let found = statement
        .query_row(params![&claim.scope[..], since], |row| {
            Ok((
                row.get::<_, Vec<u8>>(0)?,
                row.get::<_, u16>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, Vec<u8>>(3)?,
            ))
        })
        .optional()?;
    let Some((fingerprint, status, headers, body)) = found else {
        return Ok(None);
    };
    if fingerprint != claim.fingerprint {
        return Err(StoreError::IdempotencyMismatch.into());
    }
    let headers: Json = serde_json::from_str(&headers).unwrap_or_default();
    let pair = |pair: &Json| {
        Some((
            pair.get(0)?.as_str()?.to_owned(),
            pair.get(1)?.as_str()?.to_owned(),
        ))
    };
    Ok(Some(StoredReply {
        status,
        headers: headers
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(pair)
            .collect(),
        body: Bytes::from(body),
    }))
}

/// Keeps a reply.
pub(super) fn keep(conn: &Connection, claim: &IdempotencyClaim, reply: &StoredReply) -> Run<()> {
    if !is_made(conn)? {
        conn.execute_batch(TABLE)?;
        conn.execute_batch(INDEX)?;
    }
    let headers: Json = reply
        .headers
        .iter()
        .map(|(name, value)| Json::from(vec![name.as_str(), value]))
        .collect();
    let mut statement = conn.prepare_cached(
        "INSERT OR REPLACE INTO _stoa_idempotency (scope, fingerprint, status, headers, body, created) \
         VALUES (?, ?, ?, ?, ?, ?)",
    )?;
    statement.execute(params![
        &claim.scope[..],
        &claim.fingerprint[..],
        reply.status,
        headers.to_string(),
        &reply.body[..],
        seconds_ago(0),
    ])?;
    Ok(())
}

/// Removes some of the replies that are too old. Whether there may be more.
pub(super) fn clean(conn: &Connection) -> Run<bool> {
    if !is_made(conn)? {
        return Ok(false);
    }
    let before = seconds_ago(KEPT_SECONDS);
    let mut statement = conn.prepare_cached(
        "DELETE FROM _stoa_idempotency WHERE scope IN \
         (SELECT scope FROM _stoa_idempotency WHERE created <= ? LIMIT ?)",
    )?;
    Ok(statement.execute(params![before, CLEAN_ROWS])? as u64 == u64::from(CLEAN_ROWS))
}
