//! What a process needs of the first shard while that is away: the map, which the other shards know between them, and the
//! key of cursors, which each of them has recorded.
//!
//! A map that is made so may be wrong about buckets that are on their way. That does no harm: each statement asks the shard
//! whether it owns them, as with any map that is old.

use super::Map;
use super::slot::Away;
use crate::store::StoreError;
use crate::store::postgres::alone::{Alone, TextRow, apart};
use crate::store::postgres::start::from_hex;
use stoa_config::plan::PostgresShard;

/// Asks the shards that are there.
///
/// # Errors
/// [`StoreError::Unavailable`] when one cannot be asked, or none has recorded the key.
pub(super) fn look(shards: &[PostgresShard], away: &[Away]) -> Result<(Map, [u8; 32]), StoreError> {
    let lost = |position: usize| away.iter().any(|a| a.shard == position && !a.reads);
    apart(async || {
        let (mut owned, mut key) = (Vec::new(), None);
        for (position, shard) in shards.iter().enumerate() {
            if lost(position) {
                continue;
            }
            let alone = Alone::reading(shard).await?;
            let asked = async |sql: &str| alone.rows(sql).await.map_err(|error| alone.broken(&error));
            let rows = asked("SELECT bucket, epoch FROM \"_stoa_owned\"").await?;
            owned.push((position, rows.iter().filter_map(bucket).collect()));
            let rows =
                asked("SELECT encode(value, 'hex') FROM \"_stoa_meta\" WHERE name = 'store_key'").await?;
            let recorded = rows
                .first()
                .and_then(|row| row.first()?.as_deref())
                .and_then(from_hex);
            key = key.or(recorded);
        }
        let key = key.ok_or_else(|| {
            StoreError::Unavailable("no shard has recorded the key that signs cursors".to_owned())
        })?;
        let rest = (away.iter().filter(|a| !a.reads).count() == 1).then_some(0);
        Ok((Map::from_owners(&owned, rest, shards.len()), key))
    })
}

fn bucket(row: &TextRow) -> Option<(u16, i64)> {
    let cell = |at: usize| row.get(at)?.as_deref();
    Some((cell(0)?.parse().ok()?, cell(1)?.parse().ok()?))
}
