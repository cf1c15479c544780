//! Shards that have no server which takes writes when a process starts, and whether their replicas may be read from.

use super::diff::Planned;
use super::{Result, compute, identity, of};
use crate::store::postgres::alone::{Alone, apart};
use crate::store::{Away, StoreError};
use stoa_config::plan::{Plan, PostgresShard};

/// The shards that have no server which takes writes, all asked at once. One must be there, or be read from. A shard that is
/// alone and has no replicas is not asked: whoever goes on finds out.
pub(in crate::migrate) fn away(plan: &Plan, store: usize, shards: &[PostgresShard]) -> Result<Vec<Away>> {
    if let [one] = shards
        && one.read.is_empty()
    {
        return Ok(Vec::new());
    }
    apart(async || {
        let all = shards.iter().enumerate();
        let asked = all.map(async |(position, urls)| match Alone::away(urls).await {
            Ok(Some(why)) => {
                let read = stands_in(plan, store, (position, shards.len()), urls).await;
                Ok(Some(Away::new(position, why, read)))
            }
            Ok(None) => Ok(None),
            Err(error) => Err(of(position, shards.len(), error)),
        });
        let mut away = Vec::new();
        for answer in futures_util::future::join_all(asked).await {
            away.extend(answer?);
        }
        match away.first() {
            Some(first) if away.len() == shards.len() && away.iter().all(|a| !a.reads) => {
                let why = StoreError::Unavailable(first.why.clone());
                Err(of(first.shard, shards.len(), why))
            }
            _ => Ok(away),
        }
    })
}

/// Whether reads may be served from the replicas of a shard that has no primary.
///
/// # Errors
/// Why not: what is wrong with its tables, or nothing where there is no replica to look at.
pub(in crate::migrate) fn reads(
    plan: &Plan,
    store: usize,
    position: usize,
    shards: &[PostgresShard],
) -> bool {
    let Some(urls) = shards.get(position) else {
        return false;
    };
    let looked = apart(async || {
        let read = stands_in(plan, store, (position, shards.len()), urls).await;
        Ok::<_, StoreError>(read.is_ok())
    });
    looked.unwrap_or(false)
}

/// Looks at the replicas of a shard that has no primary: one must have all that the file needs. Nothing is written.
///
/// # Errors
/// What is missing; nothing where there is no replica.
async fn stands_in(
    plan: &Plan,
    store: usize,
    (position, count): (usize, usize),
    urls: &PostgresShard,
) -> std::result::Result<(), String> {
    let (_, others) = Alone::all(urls).await;
    let mut wrong = Vec::new();
    for found in others.into_iter().filter(|_| !urls.read.is_empty()) {
        if !found.is_read_from() {
            continue;
        }
        let shown = found.shown.clone();
        let looked = async {
            let alone = found.open().await?;
            let own = identity::look(plan, store, &alone).await;
            let own = own.map_err(|e| alone.broken(&e))?;
            let mut marks: Vec<Option<identity::Found>> = (0..count).map(|_| None).collect();
            if let Some(mark) = marks.get_mut(position) {
                *mark = Some(own);
            }
            identity::judge(&marks)?;
            super::super::served(
                compute(plan, store, &alone, position == 0)
                    .await?
                    .into_iter()
                    .filter_map(Planned::step),
            )
        };
        match looked.await {
            Ok(()) => return Ok(()),
            Err(why) => wrong.push(format!("its replica {shown} cannot be read from: {why}")),
        }
    }
    Err(wrong.join("; "))
}
