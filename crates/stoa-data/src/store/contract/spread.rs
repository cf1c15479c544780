//! A store that writes the rows of an insert by shard, so that checks can fill sharded resources.

use crate::operation::{IdempotencyClaim, Read, Write};
use crate::store::{Done, Outcome, Page, Render, Store, StoreFuture, Written};
use std::sync::Arc;
use std::time::Instant;

/// The store behind it.
pub(super) struct OneByOne(pub(super) Arc<dyn Store>);

impl Store for OneByOne {
    fn read<'a>(&'a self, read: &'a Read, deadline: Instant) -> StoreFuture<'a, Page> {
        self.0.read(read, deadline)
    }

    fn write(&self, mut write: Write, deadline: Instant, render: Option<Render>) -> StoreFuture<'_, Done> {
        write.per_shard = true;
        Box::pin(async move {
            let Outcome::Parts(parts) = self.0.write(write, deadline, render).await?.outcome else {
                panic!("the rows lie on one shard");
            };
            assert_eq!(parts.len(), 3, "each shard has some");
            let mut all = Written::default();
            for part in parts {
                all.affected += part.result?.affected;
            }
            Ok(Outcome::Written(all).into())
        })
    }

    fn kept<'a>(&'a self, claim: &'a IdempotencyClaim, deadline: Instant) -> StoreFuture<'a, Option<Done>> {
        self.0.kept(claim, deadline)
    }

    fn ready(&self, deadline: Instant) -> StoreFuture<'_, ()> {
        self.0.ready(deadline)
    }

    fn cursor_key(&self) -> [u8; 32] {
        self.0.cursor_key()
    }
}
