//! Writes: one transaction on one shard. What spans shards is refused, or split where the caller allows it.

use super::known::Tries;
use super::route::{self, Places};
use super::scatter::AT_ONCE;
use super::{Map, Sharded, buckets_of, everywhere};
use crate::operation::{Change, Count, Freshness, Precondition, Read, Write};
use crate::prepare;
use crate::store::postgres::{BUCKETS_MAX, Fence};
use crate::store::{Done, Outcome, Part, Render, Store, StoreError, Written};
use futures_util::{StreamExt, stream};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;
use stoa_config::plan::{Field, Type};
use stoa_exchange::position::Position;

/// One shard's part of a write.
struct Portion {
    shard: usize,
    /// Of an insert: which of its rows.
    rows: Vec<usize>,
    write: Write,
    fence: Fence,
}

impl Sharded {
    /// Runs a write; again elsewhere when the map was old.
    pub(super) async fn run(
        &self,
        write: Write,
        deadline: Instant,
        mut render: Option<Render>,
    ) -> Result<Done, StoreError> {
        if self.shards.len() > 1 {
            self.must_exist(&write, deadline).await?;
        }
        if self.is_single(write.resource)? {
            let done = self.shard(0)?.fenced_write(&write, None, deadline, &mut render);
            return done.await.map_err(|error| self.named(error, 0));
        }
        let mut tries = Tries::new();
        loop {
            let map = self.map();
            match self.write_by(&map, &write, deadline, &mut render).await {
                Err(StoreError::NotOwned) => self.learn(&mut tries, &map, deadline).await?,
                Ok(Done {
                    outcome: Outcome::Parts(parts),
                    mut at,
                    by,
                }) => {
                    let outcome = Outcome::Parts(self.rest(&write, (parts, &mut at), &map, deadline).await);
                    return Ok(Done { outcome, at, by });
                }
                result => return result,
            }
        }
    }

    /// Looks for the rows that must exist wherever they lie; a single shard looks for them in the transaction itself.
    async fn must_exist(&self, write: &Write, deadline: Instant) -> Result<(), StoreError> {
        for (resource, value) in &write.must_exist {
            let target = self.resource(*resource)?;
            if target.key.len() != 1 {
                continue;
            }
            let read = Read {
                resource: *resource,
                select: Arc::default(),
                filter: prepare::key_is(target, value),
                order: Vec::new(),
                limit: 1,
                offset: 0,
                after: None,
                count: Count::None,
                bucket: None,
                partial: false,
                fresh: Freshness::strong(),
                run_as: write.run_as.clone(),
            };
            if self.read(&read, deadline).await?.rows == 0 {
                let own = self.resource(write.resource)?;
                let refers = |f: &&Field| matches!(f.ty, Type::Ref { resource: to, .. } if to == *resource);
                return Err(StoreError::Reference {
                    field: own
                        .fields
                        .iter()
                        .find(refers)
                        .map_or_else(String::new, |f| f.name.clone()),
                    resource: target.name.clone(),
                    value: Some(value.to_string()),
                    still_referred: false,
                    said: None,
                });
            }
        }
        Ok(())
    }

    async fn write_by(
        &self,
        map: &Map,
        write: &Write,
        deadline: Instant,
        render: &mut Option<Render>,
    ) -> Result<Done, StoreError> {
        let resource = self.resource(write.resource)?;
        let places = match buckets_of(resource, &write.change) {
            Some(buckets) if buckets.is_empty() => return nothing(write).map(Done::from),
            Some(buckets) => route::places(map, buckets)?,
            None => everywhere(map)?,
        };
        let mut all = places.iter();
        if let (Some((shard, own)), None) = (all.next(), all.next()) {
            let fence = fence(map, *shard, own);
            let done = self
                .shard(*shard)?
                .fenced_write(write, Some(&fence), deadline, render);
            return done.await.map_err(|error| self.named(error, *shard));
        }
        may_split(write, &resource_key(resource))?;
        let portions = self.portions(map, write, &places, None)?;
        let mut at = Position::default();
        let parts = self.run_portions(portions, &mut at, deadline).await;
        let untouched = |part: &Part| matches!(part.result, Err(StoreError::NotOwned));
        if parts.iter().all(untouched) {
            return Err(StoreError::NotOwned);
        }
        Ok(Done {
            outcome: Outcome::Parts(parts),
            at,
            by: None,
        })
    }

    /// The parts of a write by shard; with `only`, of those rows of an insert.
    fn portions(
        &self,
        map: &Map,
        write: &Write,
        places: &Places,
        only: Option<&[usize]>,
    ) -> Result<Vec<Portion>, StoreError> {
        let resource = self.resource(write.resource)?;
        if let Change::Insert { buckets, .. } = &write.change {
            return insert_portions(map, write, buckets, only);
        }
        let portion = |(shard, own): (&usize, &BTreeSet<u16>)| {
            let mut part = write.clone();
            if let (Change::Update { filter, .. } | Change::Delete { filter, .. }, false) =
                (&mut part.change, own.is_empty())
            {
                *filter = route::narrowed(resource, filter, own);
            }
            Portion {
                shard: *shard,
                rows: Vec::new(),
                write: part,
                fence: fence(map, *shard, own),
            }
        };
        Ok(places.iter().map(portion).collect())
    }

    /// Runs the parts; `at` becomes what has all of them.
    async fn run_portions(&self, portions: Vec<Portion>, at: &mut Position, deadline: Instant) -> Vec<Part> {
        let run = |portion: Portion| async move {
            let Portion {
                shard,
                rows,
                write,
                fence,
            } = portion;
            let mut at = Position::default();
            let result = self.run_portion(shard, &write, &fence, &mut at, deadline).await;
            (Part { shard, rows, result }, at)
        };
        let mut running = stream::iter(portions.into_iter().map(run)).buffer_unordered(AT_ONCE);
        let mut parts: Vec<Part> = Vec::new();
        while let Some((part, place)) = running.next().await {
            at.raise(&place);
            parts.push(part);
        }
        parts.sort_by_key(|part| part.shard);
        parts
    }

    async fn run_portion(
        &self,
        shard: usize,
        write: &Write,
        fence: &Fence,
        at: &mut Position,
        deadline: Instant,
    ) -> Result<Written, StoreError> {
        let store = self.shard(shard)?;
        let done = store.fenced_write(write, Some(fence), deadline, &mut None).await;
        let done = done.map_err(|error| self.named(error, shard))?;
        *at = done.at;
        match done.outcome {
            Outcome::Written(written) => Ok(written),
            _ => Err(StoreError::Internal("a part with a kept reply".to_owned())),
        }
    }

    /// Runs those rows of an insert again, by a newer map, whose shard did not own them. A change of what a filter finds is
    /// not run again once a part of it is done: its filter may find other rows elsewhere by then.
    async fn rest(
        &self,
        write: &Write,
        (mut parts, at): (Vec<Part>, &mut Position),
        map: &Arc<Map>,
        deadline: Instant,
    ) -> Vec<Part> {
        let mut tries = Tries::new();
        let mut map = Arc::clone(map);
        loop {
            let left: Vec<usize> = parts
                .iter()
                .filter(|part| matches!(part.result, Err(StoreError::NotOwned)))
                .flat_map(|part| part.rows.iter().copied())
                .collect();
            if left.is_empty() {
                break;
            }
            if self.learn(&mut tries, &map, deadline).await.is_err() {
                break;
            }
            map = self.map();
            let Ok(portions) = self.portions(&map, write, &Places::new(), Some(&left)) else {
                continue;
            };
            parts.retain(|part| !matches!(part.result, Err(StoreError::NotOwned)));
            parts.extend(self.run_portions(portions, at, deadline).await);
        }
        for part in &mut parts {
            if matches!(part.result, Err(StoreError::NotOwned)) {
                let moved = StoreError::Unavailable("its buckets are being moved".to_owned());
                part.result = Err(self.named(moved, part.shard));
            }
        }
        parts
    }
}

/// The rows of an insert by the shard of their bucket.
fn insert_portions(
    map: &Map,
    write: &Write,
    buckets: &[u16],
    only: Option<&[usize]>,
) -> Result<Vec<Portion>, StoreError> {
    let mut by_shard: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (row, bucket) in buckets.iter().enumerate() {
        if only.is_none_or(|only| only.contains(&row)) {
            let shard = map.shard(*bucket).ok_or(StoreError::NotOwned)?;
            by_shard.entry(shard).or_default().push(row);
        }
    }
    let portion = |(shard, rows): (usize, Vec<usize>)| {
        let mut part = write.clone();
        let mut own = BTreeSet::new();
        if let Change::Insert {
            rows: values,
            buckets,
            ..
        } = &mut part.change
        {
            let taken: BTreeSet<usize> = rows.iter().copied().collect();
            keep(values, &taken);
            keep(buckets, &taken);
            own.extend(buckets.iter().copied());
        }
        Portion {
            shard,
            rows,
            write: part,
            fence: fence(map, shard, &own),
        }
    };
    Ok(by_shard.into_iter().map(portion).collect())
}

/// Keeps the entries at these positions.
fn keep<T>(list: &mut Vec<T>, positions: &BTreeSet<usize>) {
    let mut at = 0;
    list.retain(|_| {
        at += 1;
        positions.contains(&(at - 1))
    });
}

fn fence(map: &Map, shard: usize, own: &BTreeSet<u16>) -> Fence {
    if own.is_empty() || own.len() > BUCKETS_MAX {
        Fence::Whole(map.share(shard))
    } else {
        Fence::Buckets(own.iter().copied().collect())
    }
}

/// A change of rows that no row can satisfy.
fn nothing(write: &Write) -> Result<Outcome, StoreError> {
    let precondition = match &write.change {
        Change::Update { precondition, .. } | Change::Delete { precondition, .. } => precondition,
        Change::Insert { .. } | Change::Replace { .. } => &Precondition::None,
    };
    match precondition {
        _ if write.exactly_one => Err(StoreError::Affected(0)),
        Precondition::Exists | Precondition::Versions(_) => Err(StoreError::NotFound),
        Precondition::None | Precondition::Absent => Ok(Outcome::Written(Written::default())),
    }
}

/// The name of a resource's shard key.
fn resource_key(resource: &stoa_config::plan::Resource) -> String {
    let field = resource.shard.field().and_then(|f| resource.fields.get(f));
    field.map_or_else(String::new, |f| f.name.clone())
}

/// Whether a write that spans shards may be split.
fn may_split(write: &Write, key: &str) -> Result<(), StoreError> {
    let refuse = |why: String, remedy: String| Err(StoreError::SpansShards { why, remedy });
    if !write.per_shard {
        let (why, remedy) = match &write.change {
            Change::Insert { .. } => (
                format!(
                    "the rows have several `{key}`, which lie on several shards, and one transaction holds on one"
                ),
                format!("Send the rows of each `{key}` in a request of their own"),
            ),
            _ => (
                format!(
                    "the filter does not fix `{key}`: its rows lie on several shards, and one transaction holds on one"
                ),
                format!("Filter by `{key}`"),
            ),
        };
        return refuse(
            why,
            format!(
                "{remedy}; or send `Prefer: atomic=per-shard`, and each shard's part is done or not done on its own."
            ),
        );
    }
    let whole = if write.idempotency.is_some() {
        "`Idempotency-Key`"
    } else if write.max_affected.is_some() {
        "`max-affected`"
    } else if write.exactly_one {
        "a single object as the reply"
    } else {
        return Ok(());
    };
    refuse(
        format!("{whole} holds for one transaction, and this write would be one on each of several shards"),
        format!("Send a request for each `{key}`, or leave it out."),
    )
}
