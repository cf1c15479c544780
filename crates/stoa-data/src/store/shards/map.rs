//! The map of the buckets: which shard owns which. It is kept on the first shard; what a process knows of it may be old at
//! any time, since every shard checks what it is asked for.

use crate::bucket::BUCKETS;
use crate::store::StoreError;
use crate::store::postgres::alone::TextRow;
use crate::store::sql::Share;
use std::collections::BTreeMap;

/// Reads the map, on the first shard.
pub(crate) const READ: &str = "SELECT bucket, shard, epoch FROM \"_stoa_map\"";
/// No shard of the file.
const NOWHERE: u8 = u8::MAX;

/// Which shard owns which bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Map {
    shard_of: Vec<u8>,
    shares: Vec<Share>,
}

impl Map {
    /// From the rows of [`READ`], for so many shards in the file. A bucket that lies elsewhere lies nowhere.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] when a row cannot be read.
    pub(crate) fn read(rows: &[TextRow], shards: usize) -> Result<Self, StoreError> {
        let mut map = Self {
            shard_of: vec![NOWHERE; usize::from(BUCKETS)],
            shares: vec![Share::default(); shards],
        };
        for row in rows {
            let [bucket, shard, epoch] = numbers(row).ok_or_else(|| {
                StoreError::Unavailable("the map of the buckets holds a row that is not one".to_owned())
            })?;
            let place = usize::try_from(bucket)
                .ok()
                .and_then(|b| map.shard_of.get_mut(b))
                .ok_or_else(|| StoreError::Unavailable(format!("the map names the bucket {bucket}")))?;
            let Some(share) = usize::try_from(shard).ok().and_then(|s| map.shares.get_mut(s)) else {
                continue;
            };
            *place = u8::try_from(shard).unwrap_or(NOWHERE);
            share.buckets += 1;
            share.epoch = share.epoch.max(epoch);
        }
        Ok(map)
    }

    /// From what shards say that they own, `(bucket, epoch)`, while the map itself cannot be read. What nobody says lies on
    /// `rest`, where only one shard was not asked.
    pub(super) fn from_owners(
        owned: &[(usize, Vec<(u16, i64)>)],
        rest: Option<usize>,
        shards: usize,
    ) -> Self {
        let mut latest: BTreeMap<u16, (i64, usize)> = BTreeMap::new();
        for (shard, buckets) in owned {
            for (bucket, epoch) in buckets {
                let known = latest.entry(*bucket).or_insert((*epoch, *shard));
                *known = (*known).max((*epoch, *shard));
            }
        }
        let mut map = Self {
            shard_of: vec![NOWHERE; usize::from(BUCKETS)],
            shares: vec![Share::default(); shards],
        };
        for (bucket, place) in map.shard_of.iter_mut().enumerate() {
            let known = u16::try_from(bucket).ok().and_then(|bucket| latest.get(&bucket));
            let Some((epoch, shard)) = known.copied().or(rest.map(|shard| (0, shard))) else {
                continue;
            };
            *place = u8::try_from(shard).unwrap_or(NOWHERE);
            if let Some(share) = map.shares.get_mut(shard) {
                share.buckets += 1;
                share.epoch = share.epoch.max(epoch);
            }
        }
        map
    }

    /// The shard that owns a bucket; `None` when it is none of the file's.
    pub(crate) fn shard(&self, bucket: u16) -> Option<usize> {
        let shard = *self.shard_of.get(usize::from(bucket))?;
        (shard != NOWHERE).then_some(usize::from(shard))
    }

    /// What a shard owns.
    pub(crate) fn share(&self, shard: usize) -> Share {
        self.shares.get(shard).copied().unwrap_or_default()
    }

    /// The shards that own a bucket.
    pub(crate) fn owners(&self) -> impl Iterator<Item = usize> {
        (0..self.shares.len()).filter(|shard| self.share(*shard).buckets > 0)
    }

    /// Whether every bucket lies on a shard of the file.
    pub(crate) fn is_whole(&self) -> bool {
        !self.shard_of.contains(&NOWHERE)
    }
}

fn numbers(row: &TextRow) -> Option<[i64; 3]> {
    let cell = |at: usize| row.get(at)?.as_deref()?.parse::<i64>().ok();
    Some([cell(0)?, cell(1)?, cell(2)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_make_a_map() {
        let owned = [(1, vec![(3, 1), (4, 2)]), (2, vec![(4, 5), (5, 1)])];
        let known = Map::from_owners(&owned, Some(0), 3);
        assert!(known.is_whole());
        assert_eq!(
            [3, 4, 5, 6].map(|b| known.shard(b)),
            [Some(1), Some(2), Some(2), Some(0)]
        );
        assert_eq!(
            [1, 2].map(|s| (known.share(s).buckets, known.share(s).epoch)),
            [(1, 1), (2, 5)]
        );
        let several_away = Map::from_owners(&owned, None, 4);
        assert!(!several_away.is_whole());
        assert_eq!((several_away.shard(3), several_away.shard(6)), (Some(1), None));
    }
}
