//! PostgreSQL: rows on a server. Single reads are pipelined over a few connections per worker, transactions hold one
//! alone. The rows come in their binary form and become JSON once, here.

pub(crate) mod alone;
mod call;
mod cancel;
mod codec;
pub(crate) mod computed;
mod config;
mod connection;
mod dialect;
mod enter;
mod errors;
mod fence;
mod group;
pub(crate) mod idempotency;
pub(crate) mod leads;
pub(crate) mod of_row;
mod place;
mod pool;
mod pools;
mod read;
mod routine;
mod row;
mod session;
pub(crate) mod start;
#[cfg(test)]
mod tests;
mod tls;
mod watch;
mod write;

use super::slow::Slow;
use super::sql::Gate;
use super::table::{Table, Tables};
use super::{Chosen, Done, Page, Render, RowFuture, Server, Store, StoreError, StoreFuture, Tell, Watch};
use crate::operation::{FunctionCall, IdempotencyClaim, Read, ResourceIndex, Write};
use crate::value::Value;
pub(crate) use fence::{BUCKETS_MAX, Fence};
#[cfg(test)]
pub(crate) use fence::{EVERY, LOCKS};
use group::Group;
use pool::{Pool, within};
use pools::As;
use routine::Routine;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use stoa_config::plan::{Consistency, Durability, Plan, PostgresShard, Store as PlanStore};

/// Bytes of one result at most: no reply may fill the memory.
const RESULT_BYTES_MAX: usize = 64 << 20;

/// What the connections of a store share.
#[derive(Debug)]
pub(crate) struct Shared {
    id: u64,
    plan: Arc<Plan>,
    tables: Tables,
    /// The functions of this store, by their positions in the plan.
    routines: Vec<Option<Routine>>,
    group: Arc<Group>,
    /// What a write says about its commit: the rest of `BEGIN`.
    commit: &'static str,
    slow: Slow,
    /// Whether Stoa made tables here.
    manages: bool,
    /// Whether rows that these refer to may lie on other shards: then who routes looks for them.
    in_parts: bool,
    /// Whether a table for replies was made although Stoa made none else.
    keeps: AtomicBool,
    /// When old replies were removed last, in seconds since 1970.
    cleaned: AtomicU64,
    closed: AtomicBool,
    /// Whether it stands in for a store whose primary was never seen: nothing is known of that, so nothing is written.
    stands_in: bool,
    /// Whether somebody looks at the servers already.
    watched: AtomicBool,
    /// The pools of all threads, to be closed with the store.
    pools: Mutex<Vec<Weak<Pool>>>,
    /// Why the last try to connect failed; nothing after one that went well.
    away: Mutex<Option<String>>,
}

impl Shared {
    fn table(&self, resource: usize) -> Result<&Table, StoreError> {
        self.tables
            .get(resource)
            .ok_or_else(|| StoreError::Internal(format!("resource {resource} lives in another store")))
    }

    /// The server, for the log.
    fn shown(&self) -> &str {
        let member = self.group.members.get(self.group.first());
        member.map_or("", |member| &member.write.shown)
    }

    /// What a server that does not answer says about the shard's servers: look again.
    fn hinting<T>(&self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if matches!(result, Err(StoreError::Unavailable(_))) {
            self.group.hint();
        }
        result
    }

    /// The server of a write, where there was a choice.
    fn chosen(&self, primary: usize) -> Option<Chosen> {
        let member = self
            .group
            .members
            .get(primary)
            .filter(|_| self.group.is_watched())?;
        Some(Chosen {
            server: Arc::clone(&member.name),
            why: "the server that takes writes",
        })
    }

    /// The server that takes writes.
    ///
    /// # Errors
    /// [`StoreError::NoPrimary`] when there is none, more than one, or one that was not looked at yet.
    fn lead(&self) -> Result<usize, StoreError> {
        if self.stands_in {
            self.group.hint();
            return Err(StoreError::NoPrimary(String::from(
                "the process started without a server that takes writes, and none has been taken in yet",
            )));
        }
        self.group.lead()
    }

    /// Rows of the largest page of a resource.
    fn page_max(&self, resource: usize) -> u64 {
        self.plan
            .resources
            .get(resource)
            .map_or(0, |r| u64::from(r.list.max))
    }
}

/// A PostgreSQL server as a store.
pub(crate) struct PgStore {
    shared: Arc<Shared>,
    cursor_key: [u8; 32],
}

impl PgStore {
    /// Looks at the servers and their tables. One server must take writes, and be migrated. Without `durability` none need be
    /// there that does, and none is written to: reads are served by replicas.
    pub(crate) fn open(
        plan: &Arc<Plan>,
        store: usize,
        (shard, urls): (u16, &PostgresShard),
        (max_lag, durability): (Duration, Option<Durability>),
    ) -> Result<Self, StoreError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let group = Group::new(shard, urls, max_lag, &bounds(plan, store))?;
        let in_parts = plan.stores.get(store).is_some_and(PlanStore::is_in_parts);
        let start::Found {
            tables,
            routines,
            cursor_key,
            commit,
        } = start::look(plan, store, &group, durability)?;
        let manages = tables.each().any(|t| t.created);
        Ok(Self {
            shared: Arc::new(Shared {
                id: NEXT.fetch_add(1, Ordering::Relaxed),
                plan: Arc::clone(plan),
                manages,
                in_parts,
                tables,
                routines,
                commit,
                group: Arc::new(group),
                slow: Slow::new(),
                keeps: AtomicBool::new(false),
                cleaned: AtomicU64::new(0),
                closed: AtomicBool::new(false),
                stands_in: durability.is_none(),
                watched: AtomicBool::new(false),
                pools: Mutex::default(),
                away: Mutex::default(),
            }),
            cursor_key,
        })
    }

    /// Closes its connections, those that are under way when they end, and looks at no server any more.
    pub(crate) fn shut(&self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        let pools = self.shared.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools
            .iter()
            .filter_map(Weak::upgrade)
            .for_each(|pool| pool.shut());
    }

    /// Whether the primary answers, or a replica would.
    async fn answers(&self, deadline: Instant) -> Result<(), StoreError> {
        let answer = self.primary_answers(deadline).await;
        if answer.is_err() && self.shared.group.has_replica() {
            return Ok(());
        }
        answer
    }

    /// Why its only server cannot be reached, as far as anybody tried. Of several servers [`Store::servers`] says it.
    pub(crate) fn away(&self) -> Option<String> {
        let away = self.shared.away.lock().unwrap_or_else(PoisonError::into_inner);
        away.clone().filter(|_| !self.shared.group.is_watched())
    }

    /// A read that holds only while the shard owns what the gate says; with `marks`, the page says where each row ends
    /// and stands in the order.
    pub(crate) async fn gated_read(
        &self,
        read: &Read,
        gate: Option<Gate>,
        marks: bool,
        deadline: Instant,
    ) -> Result<Page, StoreError> {
        read::run(&self.shared, read, (gate, marks), deadline).await
    }

    /// A write that changes nothing unless the shard owns what the fence says until it is committed.
    pub(crate) async fn fenced_write(
        &self,
        write: &Write,
        fence: Option<&Fence>,
        deadline: Instant,
        render: &mut Option<Render>,
    ) -> Result<Done, StoreError> {
        write::run(&self.shared, (write, fence), deadline, render).await
    }

    /// The reply that was kept for an idempotency key of a bucket that the shard must own.
    pub(crate) async fn gated_kept(
        &self,
        claim: &IdempotencyClaim,
        bucket: Option<u16>,
        deadline: Instant,
    ) -> Result<Option<Done>, StoreError> {
        idempotency::kept(&self.shared, (claim, bucket), deadline).await
    }

    /// The rows of a statement of Stoa's own, as text.
    pub(crate) async fn ask(&self, sql: &str, deadline: Instant) -> Result<Vec<alone::TextRow>, StoreError> {
        let primary = self.shared.lead()?;
        let Some(pool) = pools::of(&self.shared, primary, As::Primary) else {
            return Err(StoreError::Internal(String::from("the shard has no primary")));
        };
        let connection = self.shared.hinting(pool.alone(deadline).await)?;
        let asked = pool
            .limited(deadline, connection.client.simple_query(sql))
            .await?;
        let messages = asked.map_err(|error| errors::plain(&error, self.shared.shown()))?;
        connection.keep();
        Ok(alone::text_rows(&messages))
    }

    async fn primary_answers(&self, deadline: Instant) -> Result<(), StoreError> {
        let primary = self.shared.lead()?;
        let Some(pool) = pools::of(&self.shared, primary, As::Primary) else {
            return Err(StoreError::Internal(String::from("the shard has no primary")));
        };
        let connection = self.shared.hinting(pool.shared(deadline).await)?;
        let asked = within(deadline, connection.client.batch_execute("")).await;
        if asked.is_err() {
            connection.retire();
        }
        asked?.map_err(|error| errors::plain(&error, self.shared.shown()))
    }
}

/// Host and port of the first server that a shard's URLs name.
///
/// # Errors
/// [`StoreError::Unavailable`] says what is wrong with a URL.
pub(crate) fn address(urls: &PostgresShard) -> Result<Arc<str>, StoreError> {
    let group = Group::new(0, urls, Duration::ZERO, &[])?;
    let first = group.members.first().map(|member| Arc::clone(&member.name));
    first.ok_or_else(|| StoreError::Internal(String::from("a shard without a server")))
}

/// The bounds of staleness that the resources of a store promise.
fn bounds(plan: &Plan, store: usize) -> Vec<Duration> {
    let of = plan.resources.iter().filter(|resource| resource.store == store);
    let all = of.flat_map(|resource| [Some(resource.consistency), resource.list.consistency]);
    let bound = |consistency| match consistency {
        Some(Consistency::Bounded(lag)) => Some(lag),
        _ => None,
    };
    all.filter_map(bound).collect()
}

impl Store for PgStore {
    fn read<'a>(&'a self, read: &'a Read, deadline: Instant) -> StoreFuture<'a, Page> {
        Box::pin(self.gated_read(read, None, false, deadline))
    }

    fn row(&self, resource: ResourceIndex, key: Value, bucket: u16) -> Option<RowFuture<'_>> {
        self.row_at_once(resource, key, bucket)
    }

    fn write(&self, write: Write, deadline: Instant, render: Option<Render>) -> StoreFuture<'_, Done> {
        Box::pin(async move {
            let mut render = render;
            self.fenced_write(&write, None, deadline, &mut render).await
        })
    }

    fn kept<'a>(&'a self, claim: &'a IdempotencyClaim, deadline: Instant) -> StoreFuture<'a, Option<Done>> {
        Box::pin(self.gated_kept(claim, None, deadline))
    }

    fn call<'a>(&'a self, call: &'a FunctionCall, deadline: Instant) -> StoreFuture<'a, Page> {
        Box::pin(call::run(&self.shared, call, deadline))
    }

    fn ready(&self, deadline: Instant) -> StoreFuture<'_, ()> {
        Box::pin(self.answers(deadline))
    }

    fn cursor_key(&self) -> [u8; 32] {
        self.cursor_key
    }

    fn servers(&self) -> Vec<Server> {
        if self.shared.group.is_watched() {
            self.shared.group.servers()
        } else {
            Vec::new()
        }
    }

    fn watch(&self, tell: Tell) -> Option<Watch> {
        let group = &self.shared.group;
        let shared = Arc::downgrade(&self.shared);
        let watch = || Box::pin(watch::watch(shared, Arc::clone(group), tell)) as Watch;
        (group.is_watched() && !self.shared.watched.swap(true, Ordering::Relaxed)).then(watch)
    }
}

impl Drop for PgStore {
    fn drop(&mut self) {
        self.shut();
    }
}
