//! A store of one shard that had no server which takes writes when the process started: its replicas answer reads until it
//! has one.

use super::slot::{self, Away, Slot};
use crate::operation::{FunctionCall, IdempotencyClaim, Read, ResourceIndex, Write};
use crate::store::{Done, Page, Render, RowFuture, Server, Store, StoreError, StoreFuture, Tell, Watch};
use crate::value::Value;
use std::sync::Arc;
use std::time::Instant;
use stoa_config::plan::Plan;

/// The store.
pub(crate) struct One {
    plan: Arc<Plan>,
    /// Position in the plan.
    store: usize,
    /// One.
    slots: Arc<Vec<Slot>>,
    key: [u8; 32],
}

impl One {
    /// Opens what answers reads.
    pub(crate) fn open(plan: &Arc<Plan>, store: usize, away: &[Away]) -> Result<Self, StoreError> {
        let slot = Slot::open(plan, store, 0, away)?;
        // The same on a replica and on the primary to come.
        let key = slot.get()?.cursor_key();
        Ok(Self {
            plan: Arc::clone(plan),
            store,
            slots: Arc::new(vec![slot]),
            key,
        })
    }

    fn serving(&self) -> Result<&dyn Store, StoreError> {
        let slot = self.slots.first();
        let slot = slot.ok_or_else(|| StoreError::Internal(String::from("a store without a shard")))?;
        Ok(slot.get()?)
    }
}

impl Store for One {
    fn read<'a>(&'a self, read: &'a Read, deadline: Instant) -> StoreFuture<'a, Page> {
        Box::pin(async move { self.serving()?.read(read, deadline).await })
    }

    fn row(&self, resource: ResourceIndex, key: Value, bucket: u16) -> Option<RowFuture<'_>> {
        self.serving().ok()?.row(resource, key, bucket)
    }

    fn write(&self, write: Write, deadline: Instant, render: Option<Render>) -> StoreFuture<'_, Done> {
        Box::pin(async move { self.serving()?.write(write, deadline, render).await })
    }

    fn kept<'a>(&'a self, claim: &'a IdempotencyClaim, deadline: Instant) -> StoreFuture<'a, Option<Done>> {
        Box::pin(async move { self.serving()?.kept(claim, deadline).await })
    }

    fn call<'a>(&'a self, call: &'a FunctionCall, deadline: Instant) -> StoreFuture<'a, Page> {
        Box::pin(async move { self.serving()?.call(call, deadline).await })
    }

    fn ready(&self, deadline: Instant) -> StoreFuture<'_, ()> {
        Box::pin(async move { self.serving()?.ready(deadline).await })
    }

    fn cursor_key(&self) -> [u8; 32] {
        self.key
    }

    fn servers(&self) -> Vec<Server> {
        self.slots.iter().flat_map(Slot::servers).collect()
    }

    fn watch(&self, tell: Tell) -> Option<Watch> {
        slot::watch(&self.slots, (&self.plan, self.store), 0, tell)
    }
}
