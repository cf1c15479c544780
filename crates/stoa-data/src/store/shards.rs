//! Rows over several PostgreSQL shards, or over one that others may join: a store over the stores of the shards.
//!
//! A request goes to the shard that owns the bucket which its key, shard key or owner fixes. What no bucket fixes is read
//! from all shards and merged; a write that spans shards is refused, or split where the caller allows it. Every
//! statement is gated by what the shard owns ([`super::sql::Gate`]), every write is fenced ([`Fence`]), so that a
//! process with an old map is told so, reads the map again and goes elsewhere.

mod groups;
mod known;
mod map;
mod merge;
mod one;
mod route;
mod scatter;
mod slot;
mod status;
#[cfg(test)]
mod tests;
mod without_first;
mod write;

pub(crate) use map::{Map, READ};
pub(crate) use one::One;
pub(crate) use route::one_of;
pub use slot::Away;
pub use status::{ReplicaStatus, ShardStatus, status};

use super::postgres::PgStore;
use super::postgres::alone::{Alone, apart};
use super::sql::Gate;
use super::{
    Change as ServerChange, Done, Page, Render, Server, Store, StoreError, StoreFuture, Tell, Watch,
};
use crate::operation::{Change, Count, FunctionCall, IdempotencyClaim, Read, ResourceIndex, Write};
use known::{Known, Tries};
use route::Places;
use slot::Slot;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stoa_config::plan::{Plan, PostgresShard, Resource, Shard, Store as PlanStore};

/// How long who asks whether the store is ready waits for the other shards when one is.
const OTHERS: Duration = Duration::from_millis(100);

/// Whether the rows of a store are fenced: it has several shards, or rows that may move to another one.
pub(crate) fn is_fenced(plan: &Plan, store: usize) -> bool {
    let several = plan.stores.get(store).is_some_and(PlanStore::is_in_parts);
    let made = |r: &&Resource| r.store == store && r.table.is_none();
    several && plan.resources.iter().any(|r| made(&r))
        || plan
            .resources
            .iter()
            .filter(made)
            .any(|r| r.shard != Shard::Single)
}

/// The shards of a store.
pub(crate) struct Sharded {
    plan: Arc<Plan>,
    /// Position in the plan.
    store: usize,
    shards: Arc<Vec<Slot>>,
    known: Arc<Known>,
    /// The first shard's key of cursors.
    key: [u8; 32],
}

impl Sharded {
    /// Looks at every shard that is not away, or is read from, and reads the map; where the first shard is away, what the others
    /// own. They must be migrated.
    pub(crate) fn open(
        plan: &Arc<Plan>,
        store: usize,
        shards: &[PostgresShard],
        away: &[Away],
    ) -> Result<Self, StoreError> {
        let first = shards
            .first()
            .ok_or_else(|| StoreError::Internal("a store without shards".to_owned()))?;
        let (map, recorded) = if away.iter().any(|a| a.shard == 0 && !a.reads) {
            let (map, key) = without_first::look(shards, away)?;
            (map, Some(key))
        } else {
            let map = apart(async || {
                let alone = Alone::reading(first).await?;
                let rows = alone.rows(READ).await.map_err(|error| alone.broken(&error))?;
                Map::read(&rows, shards.len())
            })?;
            (map, None)
        };
        let slots: Result<Vec<Slot>, StoreError> = (0..shards.len())
            .map(|shard| Slot::open(plan, store, shard, away))
            .collect();
        let slots = slots?;
        let own = slots
            .first()
            .and_then(|slot| slot.get().ok())
            .map(Store::cursor_key);
        Ok(Self {
            plan: Arc::clone(plan),
            store,
            shards: Arc::new(slots),
            known: Arc::new(Known::new(map)),
            key: recorded.or(own).unwrap_or([0; 32]),
        })
    }

    fn resource(&self, resource: ResourceIndex) -> Result<&Resource, StoreError> {
        let found = self.plan.resources.get(resource);
        found.ok_or_else(|| StoreError::Internal(format!("the plan has no resource {resource}")))
    }

    /// What serves a shard; the error names one that is away.
    fn shard(&self, shard: usize) -> Result<&PgStore, StoreError> {
        let found = self.shards.get(shard);
        let found = found.ok_or_else(|| StoreError::Internal(format!("the store has no shard {shard}")))?;
        found.get().map_err(|error| self.named(error, shard))
    }

    /// Whose rows are all on the first shard.
    fn is_single(&self, resource: ResourceIndex) -> Result<bool, StoreError> {
        Ok(self.resource(resource)?.shard == Shard::Single)
    }

    /// The error of a shard, with its number where there are several.
    fn named(&self, error: StoreError, shard: usize) -> StoreError {
        named(error, shard, self.shards.len() > 1)
    }

    /// A read of rows on the first shard, which do not move.
    async fn read_first(&self, read: &Read, deadline: Instant) -> Result<Page, StoreError> {
        let page = self.shard(0)?.gated_read(read, None, false, deadline).await;
        page.map_err(|error| self.named(error, 0))
    }

    /// A read by the map that is known; [`StoreError::NotOwned`] where that is old.
    async fn read_by(&self, map: &Map, read: &Read, deadline: Instant) -> Result<Page, StoreError> {
        let resource = self.resource(read.resource)?;
        let buckets = match read.bucket {
            Some(bucket) => Some([bucket].into()),
            None => route::buckets(resource, &read.filter),
        };
        let places = match buckets {
            Some(buckets) if buckets.is_empty() => return Ok(nothing(read)),
            Some(buckets) => route::places(map, buckets)?,
            None => everywhere(map)?,
        };
        let mut all = places.iter();
        let (Some((shard, own)), None) = (all.next(), all.next()) else {
            return self.scatter(map, &places, read, deadline).await;
        };
        let mut only = own.iter();
        let (bucket, gate) = match (only.next(), only.next()) {
            (Some(bucket), None) => (Some(*bucket), Gate::Bucket(*bucket)),
            _ => (None, Gate::Whole(map.share(*shard))),
        };
        let mut fixed;
        let mut asked = read;
        if bucket.is_some() && read.bucket.is_none() {
            fixed = read.clone();
            fixed.bucket = bucket;
            asked = &fixed;
        }
        let page = self.shard(*shard)?.gated_read(asked, Some(gate), false, deadline);
        page.await.map_err(|error| self.named(error, *shard))
    }
}

/// Every shard that owns buckets.
fn everywhere(map: &Map) -> Result<Places, StoreError> {
    if !map.is_whole() {
        return Err(StoreError::NotOwned);
    }
    Ok(map.owners().map(|shard| (shard, BTreeSet::new())).collect())
}

/// The page of a condition that no row can satisfy.
fn nothing(read: &Read) -> Page {
    Page {
        total: (read.count != Count::None).then_some(0),
        ..Page::default()
    }
}

/// The error of one shard of several.
fn named(error: StoreError, shard: usize, several: bool) -> StoreError {
    match error {
        StoreError::Unavailable(_)
        | StoreError::NoPrimary(_)
        | StoreError::Overloaded
        | StoreError::Full(_)
        | StoreError::Deadline
            if several =>
        {
            StoreError::Shard {
                shard,
                error: Box::new(error),
            }
        }
        other => other,
    }
}

impl Store for Sharded {
    fn read<'a>(&'a self, read: &'a Read, deadline: Instant) -> StoreFuture<'a, Page> {
        Box::pin(async move {
            if self.is_single(read.resource)? {
                return self.read_first(read, deadline).await;
            }
            self.look_sometimes();
            let mut tries = Tries::new();
            loop {
                let map = self.map();
                match self.read_by(&map, read, deadline).await {
                    Err(StoreError::NotOwned) => self.learn(&mut tries, &map, deadline).await?,
                    result => return result,
                }
            }
        })
    }

    fn write(&self, write: Write, deadline: Instant, render: Option<Render>) -> StoreFuture<'_, Done> {
        Box::pin(self.run(write, deadline, render))
    }

    fn kept<'a>(&'a self, claim: &'a IdempotencyClaim, deadline: Instant) -> StoreFuture<'a, Option<Done>> {
        Box::pin(async move {
            let mut tries = Tries::new();
            loop {
                let map = self.map();
                let shard = match claim.bucket {
                    Some(bucket) => map.shard(bucket),
                    None => Some(0),
                };
                let kept = match shard {
                    Some(shard) => {
                        let kept = self.shard(shard)?.gated_kept(claim, claim.bucket, deadline).await;
                        kept.map_err(|error| self.named(error, shard))
                    }
                    None => Err(StoreError::NotOwned),
                };
                match kept {
                    Err(StoreError::NotOwned) => self.learn(&mut tries, &map, deadline).await?,
                    result => return result,
                }
            }
        })
    }

    /// The plan has functions only where there is one shard, which has every row.
    fn call<'a>(&'a self, call: &'a FunctionCall, deadline: Instant) -> StoreFuture<'a, Page> {
        Box::pin(async move { self.shard(0)?.call(call, deadline).await })
    }

    /// One shard that is down stops its own keys only: the process serves as long as any answers.
    fn ready(&self, deadline: Instant) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let served = self.shards.iter().filter_map(|slot| slot.get().ok());
            let all: Vec<_> = served.map(|shard| shard.ready(deadline)).collect();
            if all.is_empty() {
                return Err(StoreError::Unavailable("no shard is served".to_owned()));
            }
            let ((), others) = futures_util::future::select_ok(all).await?;
            // Who asks for the parts is told of those that are away, or back.
            let _ = tokio::time::timeout(OTHERS, futures_util::future::join_all(others)).await;
            Ok(())
        })
    }

    fn cursor_key(&self) -> [u8; 32] {
        self.key
    }

    fn servers(&self) -> Vec<Server> {
        self.shards.iter().flat_map(Slot::servers).collect()
    }

    fn watch(&self, tell: Tell) -> Option<Watch> {
        let tell: Arc<dyn Fn(&ServerChange) + Send + Sync> = Arc::from(tell);
        let own = || {
            let tell = Arc::clone(&tell);
            Box::new(move |change: &ServerChange| tell(change)) as Tell
        };
        let of = |shard| slot::watch(&self.shards, (&self.plan, self.store), shard, own());
        let all: Vec<Watch> = (0..self.shards.len()).filter_map(of).collect();
        (!all.is_empty()).then(|| {
            let all = futures_util::future::join_all(all);
            Box::pin(async move {
                all.await;
            }) as Watch
        })
    }
}

/// The buckets of an insert's rows, a replacement's row, or what the condition of any other change fixes; `None` when it
/// fixes none.
fn buckets_of(resource: &Resource, change: &Change) -> Option<BTreeSet<u16>> {
    match change {
        Change::Insert { buckets, .. } => Some(buckets.iter().copied().collect()),
        Change::Replace { bucket, .. } => Some([*bucket].into()),
        Change::Update { filter, bucket, .. } | Change::Delete { filter, bucket, .. } => match bucket {
            Some(bucket) => Some([*bucket].into()),
            None => route::buckets(resource, filter),
        },
    }
}
