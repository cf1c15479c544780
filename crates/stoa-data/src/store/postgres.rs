//! PostgreSQL: rows on a server. Single reads are pipelined over a few connections per worker, transactions hold one
//! alone. The rows come in their binary form and become JSON once, here.

pub(crate) mod alone;
mod call;
mod codec;
mod config;
mod connection;
mod dialect;
mod enter;
mod errors;
pub(crate) mod idempotency;
mod pool;
mod read;
pub(crate) mod start;
#[cfg(test)]
mod tests;
mod tls;
mod write;

use super::slow::Slow;
use super::table::{Table, Tables};
use super::{Done, Outcome, Page, Render, Store, StoreError, StoreFuture};
use crate::operation::{FunctionCall, IdempotencyClaim, Read, Write};
use config::Target;
use pool::{Pool, within};
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;
use stoa_config::plan::{Durability, Plan, PostgresShard};

/// Bytes of one result at most: no reply may fill the memory.
const RESULT_BYTES_MAX: usize = 64 << 20;
/// Pools of one thread at most: one for each store, some more while a reload drains the old ones.
const POOLS_MAX: usize = 32;

/// What the connections of a store share.
#[derive(Debug)]
pub(crate) struct Shared {
    id: u64,
    plan: Arc<Plan>,
    tables: Tables,
    group: ShardGroup,
    /// What a write says about its commit: the rest of `BEGIN`.
    commit: &'static str,
    slow: Slow,
    /// Whether Stoa made tables here.
    manages: bool,
    /// Whether a table for replies was made although Stoa made none else.
    keeps: AtomicBool,
    /// When old replies were removed last, in seconds since 1970.
    cleaned: AtomicU64,
    closed: AtomicBool,
    /// The pools of all threads, to be closed with the store.
    pools: Mutex<Vec<Weak<Pool>>>,
}

/// The servers that hold the same rows.
#[derive(Debug)]
struct ShardGroup {
    primary: Arc<Target>,
}

impl Shared {
    fn table(&self, resource: usize) -> Result<&Table, StoreError> {
        self.tables
            .get(resource)
            .ok_or_else(|| StoreError::Internal(format!("resource {resource} lives in another store")))
    }

    /// The server, for the log.
    fn shown(&self) -> &str {
        &self.group.primary.shown
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
    /// Looks at the tables. The server must be there and migrated.
    pub(crate) fn open(
        plan: &Arc<Plan>,
        store: usize,
        shards: &[PostgresShard],
        durability: Durability,
    ) -> Result<Self, StoreError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let [shard] = shards else {
            return Err(StoreError::Unavailable(
                "several shards are not built yet".to_owned(),
            ));
        };
        let primary = Arc::new(Target::parse(shard.write.expose())?);
        let start::Found {
            tables,
            cursor_key,
            commit,
        } = start::look(plan, store, &primary, durability)?;
        let manages = tables.each().any(|t| t.created);
        Ok(Self {
            shared: Arc::new(Shared {
                id: NEXT.fetch_add(1, Ordering::Relaxed),
                plan: Arc::clone(plan),
                manages,
                tables,
                commit,
                group: ShardGroup { primary },
                slow: Slow::new(),
                keeps: AtomicBool::new(false),
                cleaned: AtomicU64::new(0),
                closed: AtomicBool::new(false),
                pools: Mutex::default(),
            }),
            cursor_key,
        })
    }

    /// This thread's connections to the primary.
    fn pool(&self) -> Arc<Pool> {
        POOLS.with_borrow_mut(|list| {
            if let Some(own) = list.iter().find(|own| own.store == self.shared.id) {
                return Arc::clone(&own.pool);
            }
            list.retain(|own| {
                let shared = own.shared.upgrade();
                shared.is_some_and(|s| !s.closed.load(Ordering::Relaxed))
            });
            if list.len() >= POOLS_MAX {
                list.remove(0).pool.close();
            }
            let pool = Arc::new(Pool::new(Arc::clone(&self.shared.group.primary)));
            let mut all = self.shared.pools.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|pool| pool.strong_count() > 0);
            all.push(Arc::downgrade(&pool));
            drop(all);
            list.push(Own {
                store: self.shared.id,
                shared: Arc::downgrade(&self.shared),
                pool: Arc::clone(&pool),
            });
            pool
        })
    }

    async fn answers(&self, deadline: Instant) -> Result<(), StoreError> {
        let pool = self.pool();
        let connection = pool.shared(deadline).await?;
        let asked = within(deadline, connection.client.batch_execute("")).await;
        if asked.is_err() {
            connection.retire();
        }
        asked?.map_err(|error| errors::plain(&error, self.shared.shown()))
    }
}

impl Store for PgStore {
    fn read<'a>(&'a self, read: &'a Read, deadline: Instant) -> StoreFuture<'a, Page> {
        Box::pin(async move { read::run(&self.shared, &self.pool(), read, deadline).await })
    }

    fn write(&self, write: Write, deadline: Instant, render: Option<Render>) -> StoreFuture<'_, Done> {
        Box::pin(async move {
            Ok(write::run(&self.shared, &self.pool(), &write, deadline, render)
                .await?
                .into())
        })
    }

    fn kept<'a>(&'a self, claim: &'a IdempotencyClaim, deadline: Instant) -> StoreFuture<'a, Option<Done>> {
        Box::pin(async move {
            let kept = idempotency::kept(&self.shared, &self.pool(), claim, deadline).await?;
            Ok(kept.map(|reply| Outcome::Replayed(reply).into()))
        })
    }

    fn call<'a>(&'a self, call: &'a FunctionCall, deadline: Instant) -> StoreFuture<'a, Page> {
        Box::pin(async move { call::run(&self.shared, &self.pool(), call, deadline).await })
    }

    fn ready(&self, deadline: Instant) -> StoreFuture<'_, ()> {
        Box::pin(self.answers(deadline))
    }

    fn cursor_key(&self) -> [u8; 32] {
        self.cursor_key
    }
}

impl Drop for PgStore {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        let pools = self.shared.pools.lock().unwrap_or_else(PoisonError::into_inner);
        pools
            .iter()
            .filter_map(Weak::upgrade)
            .for_each(|pool| pool.close());
    }
}

/// A thread's own connections to a store.
struct Own {
    store: u64,
    shared: Weak<Shared>,
    pool: Arc<Pool>,
}

thread_local! {
    static POOLS: RefCell<Vec<Own>> = const { RefCell::new(Vec::new()) };
}
