//! A caller that says with every read what it has written, as one over HTTP does by `Stoa-Consistency`.

use crate::operation::{IdempotencyClaim, Read, Write};
use crate::store::{Done, Page, Render, Store, StoreFuture};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use stoa_exchange::position::Position;

/// The caller, in front of its store.
pub(crate) struct Session {
    store: Arc<dyn Store>,
    written: Mutex<Position>,
}

impl Session {
    pub(crate) fn over(store: Arc<dyn Store>) -> Self {
        Self {
            store,
            written: Mutex::default(),
        }
    }
}

impl Store for Session {
    fn read<'a>(&'a self, read: &'a Read, deadline: Instant) -> StoreFuture<'a, Page> {
        let mut read = read.clone();
        read.fresh.after.raise(&self.written.lock().unwrap());
        Box::pin(async move { self.store.read(&read, deadline).await })
    }

    fn write(&self, write: Write, deadline: Instant, render: Option<Render>) -> StoreFuture<'_, Done> {
        Box::pin(async move {
            let done = self.store.write(write, deadline, render).await?;
            assert!(!done.at.is_empty(), "a write says where it is to be found");
            self.written.lock().unwrap().raise(&done.at);
            Ok(done)
        })
    }

    fn kept<'a>(&'a self, claim: &'a IdempotencyClaim, deadline: Instant) -> StoreFuture<'a, Option<Done>> {
        self.store.kept(claim, deadline)
    }

    fn ready(&self, deadline: Instant) -> StoreFuture<'_, ()> {
        self.store.ready(deadline)
    }

    fn cursor_key(&self) -> [u8; 32] {
        self.store.cursor_key()
    }
}
