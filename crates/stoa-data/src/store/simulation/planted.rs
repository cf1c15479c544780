//! Bugs that somebody might write, so that it is seen whether a simulation finds them.

use crate::operation::{Change, IdempotencyClaim, Precondition, Read, Write};
use crate::store::{Done, Page, Render, Store, StoreError, StoreFuture};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::task::AbortHandle;

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A write is answered before it is committed.
    Early,
    /// A repeated request is done again.
    Twice,
    /// `If-Match` is not looked at.
    Lost,
    /// Some reads show what an earlier one showed.
    Stale,
}

impl Bug {
    /// The write as the bug has it.
    pub(crate) fn spoil(self, mut write: Write) -> Write {
        match (self, &mut write.change) {
            (Self::Twice, _) => write.idempotency = None,
            (
                Self::Lost,
                Change::Update { precondition, .. }
                | Change::Replace { precondition, .. }
                | Change::Delete { precondition, .. },
            ) if matches!(precondition, Precondition::Versions(_)) => *precondition = Precondition::Exists,
            _ => {}
        }
        write
    }
}

/// A store with a bug.
pub(super) struct Planted {
    pub(super) bug: Bug,
    pub(super) store: Arc<dyn Store>,
    shown: Mutex<HashMap<String, Page>>,
    reads: AtomicU64,
    /// What ends with the process.
    under_way: Mutex<Vec<AbortHandle>>,
}

impl Drop for Planted {
    fn drop(&mut self) {
        let list = self.under_way.get_mut().unwrap_or_else(PoisonError::into_inner);
        list.iter().for_each(AbortHandle::abort);
    }
}

impl Planted {
    pub(super) fn new(bug: Bug, store: Arc<dyn Store>) -> Self {
        Self {
            bug,
            store,
            shown: Mutex::default(),
            reads: AtomicU64::new(0),
            under_way: Mutex::default(),
        }
    }

    /// Answers with what a write would do, and lets it be done meanwhile.
    async fn early(
        &self,
        write: Write,
        deadline: Instant,
        render: Option<Render>,
    ) -> Result<Done, StoreError> {
        let trial = Write {
            rollback: true,
            idempotency: None,
            ..write.clone()
        };
        let done = self.store.write(trial, deadline, None).await?;
        let store = Arc::clone(&self.store);
        let under_way = tokio::spawn(async move { drop(store.write(write, deadline, render).await) });
        let mut list = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        list.push(under_way.abort_handle());
        Ok(done)
    }
}

impl Store for Planted {
    fn read<'a>(&'a self, read: &'a Read, deadline: Instant) -> StoreFuture<'a, Page> {
        Box::pin(async move {
            if self.bug != Bug::Stale {
                return self.store.read(read, deadline).await;
            }
            let key = format!("{:?}", read.filter);
            let old = !self.reads.fetch_add(1, Ordering::Relaxed).is_multiple_of(4);
            let shown = || self.shown.lock().unwrap_or_else(PoisonError::into_inner);
            if let (true, Some(page)) = (old, shown().get(&key)) {
                return Ok(page.clone());
            }
            let page = self.store.read(read, deadline).await?;
            shown().insert(key, page.clone());
            Ok(page)
        })
    }

    fn write(&self, write: Write, deadline: Instant, render: Option<Render>) -> StoreFuture<'_, Done> {
        let write = self.bug.spoil(write);
        if self.bug == Bug::Early {
            return Box::pin(self.early(write, deadline, render));
        }
        self.store.write(write, deadline, render)
    }

    fn kept<'a>(&'a self, claim: &'a IdempotencyClaim, deadline: Instant) -> StoreFuture<'a, Option<Done>> {
        if self.bug == Bug::Twice {
            return Box::pin(async { Ok(None) });
        }
        self.store.kept(claim, deadline)
    }

    fn ready(&self, deadline: Instant) -> StoreFuture<'_, ()> {
        self.store.ready(deadline)
    }

    fn cursor_key(&self) -> [u8; 32] {
        self.store.cursor_key()
    }
}
