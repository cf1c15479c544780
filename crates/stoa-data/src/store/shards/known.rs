//! What a process knows of the map: read at the start, again when a shard says that it is old, and now and then.

use super::slot::Slot;
use super::{Map, READ, Sharded};
use crate::store::StoreError;
use crate::store::postgres::PgStore;
use arc_swap::ArcSwap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use stoa_exchange::clock;

/// How old the map may become before it is read again, in seconds; what is asked meanwhile is checked by the shards.
const LOOK_EVERY_SECONDS: u64 = 10;
/// How long reading it may take.
const LOOK: Duration = Duration::from_secs(2);
/// How often a request is tried whose shard does not own what it was asked for.
const TRIES: u32 = 8;
/// The first pause while a bucket lies nowhere, because it is on its way; each is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(20);

/// The map as it was read last.
#[derive(Debug)]
pub(super) struct Known {
    map: ArcSwap<Map>,
    /// Held by who reads it.
    reading: tokio::sync::Mutex<()>,
    /// When it was, in seconds since 1970.
    looked: AtomicU64,
}

impl Known {
    pub(super) fn new(map: Map) -> Self {
        Self {
            map: ArcSwap::from_pointee(map),
            reading: tokio::sync::Mutex::default(),
            looked: AtomicU64::new(clock::unix_seconds()),
        }
    }

    /// Reads the map; the one that is known stays the same object when nothing has changed.
    async fn read(&self, first: &PgStore, shards: usize, deadline: Instant) -> Result<(), StoreError> {
        let map = Map::read(&first.ask(READ, deadline).await?, shards)?;
        self.looked.store(clock::unix_seconds(), Ordering::Relaxed);
        if **self.map.load() != map {
            self.map.store(Arc::new(map));
        }
        Ok(())
    }
}

/// How often a request has been tried.
pub(super) struct Tries(u32);

impl Tries {
    pub(super) fn new() -> Self {
        Self(0)
    }
}

impl Sharded {
    /// The map that is known.
    pub(super) fn map(&self) -> Arc<Map> {
        self.known.map.load_full()
    }

    /// Reads the map anew after a shard refused `seen`; waits a little when that is still the newest.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] after [`TRIES`], or when the map cannot be read.
    pub(super) async fn learn(
        &self,
        tries: &mut Tries,
        seen: &Arc<Map>,
        deadline: Instant,
    ) -> Result<(), StoreError> {
        tries.0 += 1;
        let unsettled = || {
            StoreError::Unavailable(
                "no shard owned the bucket that was asked for: it is being moved, or the map on the first shard is wrong"
                    .to_owned(),
            )
        };
        if tries.0 >= TRIES {
            return Err(unsettled());
        }
        {
            let until = deadline.min(clock::now() + LOOK);
            let one = tokio::time::timeout_at(until.into(), self.known.reading.lock());
            let _one = one.await.map_err(|_| unsettled())?;
            if Arc::ptr_eq(seen, &self.map()) {
                let read = self.known.read(self.shard(0)?, self.shards.len(), until).await;
                read.map_err(|error| self.named(error, 0))?;
            }
        }
        if Arc::ptr_eq(seen, &self.map()) {
            let pause = PAUSE.saturating_mul(1 << tries.0.min(8));
            let until = clock::now() + pause;
            if until >= deadline {
                return Err(unsettled());
            }
            tokio::time::sleep_until(until.into()).await;
        }
        Ok(())
    }

    /// Reads the map again when it is old, while nobody waits for it.
    pub(super) fn look_sometimes(&self) {
        let now = clock::unix_seconds();
        let last = self.known.looked.load(Ordering::Relaxed);
        if now.saturating_sub(last) < LOOK_EVERY_SECONDS {
            return;
        }
        let looked = &self.known.looked;
        if looked
            .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
            .is_err()
        {
            return;
        }
        let (known, shards) = (Arc::clone(&self.known), Arc::clone(&self.shards));
        tokio::spawn(async move {
            if let Some(Ok(first)) = shards.first().map(Slot::get) {
                // The map that is known serves until it can be read.
                let _ = known.read(first, shards.len(), clock::now() + LOOK).await;
            }
        });
    }
}
