//! Reads of several shards at once.

use super::groups::Groups;
use super::merge::{self, Window};
use super::route::{self, Places};
use super::{Map, Sharded};
use crate::operation::{Count, Order, Read, is_grouped};
use crate::store::sql::Gate;
use crate::store::{Page, StoreError};
use futures_util::{StreamExt, stream};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use stoa_exchange::clock;

/// Shards that one request asks at the same time at most.
pub(super) const AT_ONCE: usize = 16;
/// Rows that may be passed over in pages of several shards: each shard reads them all.
const OFFSET_MAX: u64 = 1_000;
/// How long a shard is waited for where it may be missing.
const PARTIAL: Duration = Duration::from_secs(3);
/// Bytes of a page at most, as of one shard's.
const BYTES_MAX: usize = 64 << 20;

impl Sharded {
    /// Asks each shard for its part and merges the answers. All must answer, unless the read allows that some are missing.
    pub(super) async fn scatter(
        &self,
        map: &Map,
        places: &Places,
        read: &Read,
        deadline: Instant,
    ) -> Result<Page, StoreError> {
        is_mergeable(read)?;
        let groups = if is_grouped(&read.select) {
            Some(Groups::new(&self.plan, read)?)
        } else {
            None
        };
        let resource = self.resource(read.resource)?;
        let part = |(shard, own): (&usize, &BTreeSet<u16>)| {
            let mut part = read.clone();
            part.offset = 0;
            part.limit = read.limit.saturating_add(read.offset);
            if let Some(groups) = &groups {
                groups.part(&mut part);
            }
            if !own.is_empty() {
                part.filter = route::narrowed(resource, &read.filter, own);
            }
            (*shard, part)
        };
        let parts = places.iter().map(part).collect();
        let (pages, missing) = self.ask_all(map, parts, read.partial, deadline).await?;
        let window = Window {
            offset: read.offset,
            limit: read.limit,
        };
        let counted = read.count != Count::None && missing.is_empty();
        let mut page = match &groups {
            Some(groups) => groups.merge(&pages, window, counted)?,
            None => merge::merge(&read.order, &pages, window),
        };
        if counted && groups.is_none() {
            page.total = pages
                .iter()
                .try_fold(0_u64, |sum, page| Some(sum.saturating_add(page.total?)));
        }
        for part in &pages {
            page.at.raise(&part.at);
        }
        page.missing = missing;
        Ok(page)
    }

    /// The answers of the shards, by their number, and the shards that did not answer where `partial` allows it.
    async fn ask_all(
        &self,
        map: &Map,
        parts: Vec<(usize, Read)>,
        partial: bool,
        deadline: Instant,
    ) -> Result<(Vec<Page>, Vec<usize>), StoreError> {
        let deadline = if partial {
            deadline.min(clock::now() + PARTIAL)
        } else {
            deadline
        };
        let ask = |(shard, part): (usize, Read)| async move {
            let gate = Gate::Whole(map.share(shard));
            let page = match self.shard(shard) {
                Ok(store) => store.gated_read(&part, Some(gate), true, deadline).await,
                Err(error) => Err(error),
            };
            (shard, page)
        };
        let mut answers = stream::iter(parts.into_iter().map(ask)).buffer_unordered(AT_ONCE);
        let (mut pages, mut missing, mut bytes) = (Vec::new(), Vec::new(), 0);
        let mut last = None;
        while let Some((shard, page)) = answers.next().await {
            match page {
                Ok(page) => {
                    bytes += page.json.len();
                    if bytes > BYTES_MAX {
                        return Err(too_large());
                    }
                    pages.push((shard, page));
                }
                Err(error) if is_down(&error) => {
                    last = Some(down(error, shard));
                    if !partial {
                        break;
                    }
                    missing.push(shard);
                }
                Err(error) => return Err(error),
            }
        }
        drop(answers);
        if let (Some(error), true) = (last, !partial || pages.is_empty()) {
            return Err(error);
        }
        missing.sort_unstable();
        // By their number, so that equal rows stand in one order whoever was faster.
        pages.sort_unstable_by_key(|(shard, _)| *shard);
        Ok((pages.into_iter().map(|(_, page)| page).collect(), missing))
    }
}

/// Whether pages of several shards can become one.
fn is_mergeable(read: &Read) -> Result<(), StoreError> {
    let refuse = |why: String, remedy: &str| {
        Err(StoreError::SpansShards {
            why,
            remedy: remedy.to_owned(),
        })
    };
    if read.offset > OFFSET_MAX {
        return refuse(
            format!(
                "an offset of {} over several shards; at most {OFFSET_MAX} are passed over",
                read.offset
            ),
            "Follow the `after` of `Link: …; rel=\"next\"`, or filter by one shard key.",
        );
    }
    if read.order.iter().any(|entry: &Order| !entry.path.is_empty()) {
        return refuse(
            "rows of several shards are not sorted by what is inside JSON".to_owned(),
            "Sort by a field, or filter by one shard key.",
        );
    }
    Ok(())
}

fn is_down(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Unavailable(_)
            | StoreError::NoPrimary(_)
            | StoreError::Overloaded
            | StoreError::Deadline
            | StoreError::Shard { .. }
    )
}

/// A shard without which there is no answer: also one that is only slow.
fn down(error: StoreError, shard: usize) -> StoreError {
    let error = match error {
        StoreError::Deadline => StoreError::Unavailable("it did not answer in time".to_owned()),
        named @ StoreError::Shard { .. } => return named,
        other => other,
    };
    StoreError::Shard {
        shard,
        error: Box::new(error),
    }
}

fn too_large() -> StoreError {
    StoreError::Refused(format!(
        "the result is larger than {} MiB: ask for fewer rows or fields",
        BYTES_MAX >> 20
    ))
}
