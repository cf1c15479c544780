//! Each thread's own pools: one for each server that the thread uses, as a replica or as the primary.

use super::Shared;
use super::pool::Pool;
use std::cell::RefCell;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, Weak};

/// Stores of one thread at most: one for each shard, some more while a reload drains the old ones.
const STORES_MAX: usize = 64;

/// As what a server is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum As {
    Replica,
    Primary,
}

/// A thread's own connections to the servers of a store.
struct Own {
    store: u64,
    shared: Weak<Shared>,
    /// By [`place`].
    pools: Vec<Option<Held>>,
}

struct Held {
    pool: Arc<Pool>,
    /// How often the server's connections had become useless.
    lost: u64,
}

thread_local! {
    static POOLS: RefCell<Vec<Own>> = const { RefCell::new(Vec::new()) };
}

fn place(server: usize, used: As) -> usize {
    server * 2 + usize::from(used == As::Primary)
}

/// This thread's pool of a server. `None` when the store has no such server.
pub(super) fn of(shared: &Arc<Shared>, server: usize, used: As) -> Option<Arc<Pool>> {
    let member = shared.group.members.get(server)?;
    POOLS.with_borrow_mut(|list| {
        let known = list.iter().position(|own| own.store == shared.id);
        let at = known.unwrap_or_else(|| enter(list, shared));
        let own = list.get_mut(at)?;
        let at = place(server, used);
        if own.pools.len() <= at {
            own.pools.resize_with(at + 1, || None);
        }
        let slot = own.pools.get_mut(at)?;
        let lost = member.lost();
        if let Some(held) = slot {
            if held.lost != lost {
                // They hang or are closed; none of them is handed out again.
                held.pool.close();
                held.lost = lost;
            }
            return Some(Arc::clone(&held.pool));
        }
        let target = match used {
            As::Replica => &member.read,
            As::Primary => &member.write,
        };
        let pool = Arc::new(Pool::new(Arc::clone(target), Arc::downgrade(shared)));
        let mut all = shared.pools.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|pool| pool.strong_count() > 0);
        all.push(Arc::downgrade(&pool));
        drop(all);
        *slot = Some(Held {
            pool: Arc::clone(&pool),
            lost,
        });
        Some(pool)
    })
}

/// A place for a store in a thread's list; those that are gone leave it.
fn enter(list: &mut Vec<Own>, shared: &Arc<Shared>) -> usize {
    list.retain(|own| {
        let shared = own.shared.upgrade();
        shared.is_some_and(|s| !s.closed.load(Ordering::Relaxed))
    });
    if list.len() >= STORES_MAX {
        list.remove(0)
            .pools
            .iter()
            .flatten()
            .for_each(|held| held.pool.close());
    }
    list.push(Own {
        store: shared.id,
        shared: Arc::downgrade(shared),
        pools: Vec::new(),
    });
    list.len() - 1
}
