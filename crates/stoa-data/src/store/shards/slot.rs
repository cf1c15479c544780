//! The place of one shard of a store: what serves it, or why nothing does yet. A shard that is away when a process starts
//! joins as soon as it has a server that takes writes and its tables are as the plan says.

use crate::migrate;
use crate::store::postgres::{PgStore, address};
use crate::store::{Change, Role, Server, Store, StoreError, Tell};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;
use stoa_config::plan::{Plan, StoreKind};

/// How often a shard that is away is looked for.
const EVERY: Duration = Duration::from_secs(1);

/// A shard that cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Away {
    /// Position in the file.
    pub shard: usize,
    /// Why, for people; never a password.
    pub why: String,
}

/// The place of a shard.
pub(super) struct Slot {
    shard: usize,
    store: OnceLock<PgStore>,
    /// Why there is none, as it was found last.
    why: Mutex<String>,
    /// Host and port of its first server.
    name: Arc<str>,
    /// Set by whoever waits for it.
    awaited: OnceLock<()>,
}

impl Slot {
    /// The place of a shard of the plan, which is opened unless it is away.
    pub(super) fn open(
        plan: &Arc<Plan>,
        store: usize,
        shard: usize,
        away: &[Away],
    ) -> Result<Self, StoreError> {
        let why = away.iter().find(|a| a.shard == shard).map(|a| a.why.clone());
        let slot = Self {
            shard,
            store: OnceLock::new(),
            name: match urls(plan, store, shard) {
                Ok((urls, ..)) => address(urls)?,
                Err(error) => return Err(error),
            },
            why: Mutex::new(why.clone().unwrap_or_default()),
            awaited: OnceLock::new(),
        };
        if why.is_none() {
            let _ = slot.store.set(open(plan, store, shard)?);
        }
        Ok(slot)
    }

    /// What serves the shard.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while nothing does.
    pub(super) fn get(&self) -> Result<&PgStore, StoreError> {
        self.store
            .get()
            .ok_or_else(|| StoreError::Unavailable(self.why()))
    }

    fn why(&self) -> String {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its servers for people and metrics; one that is down while the shard is away or its only server is not reached.
    pub(super) fn servers(&self) -> Vec<Server> {
        let Some(store) = self.store.get() else {
            return vec![self.down(&format!("shard {} is not served: {}", self.shard, self.why()))];
        };
        let away = store.away();
        let down = away.map(|why| self.down(&format!("shard {} does not answer: {why}", self.shard)));
        store.servers().into_iter().chain(down).collect()
    }

    fn down(&self, why: &str) -> Server {
        Server {
            shard: u16::try_from(self.shard).unwrap_or(u16::MAX),
            name: Arc::clone(&self.name),
            role: Role::Down,
            out: Some(why.to_owned()),
            timeline: 0,
            lag: None,
            lag_bytes: None,
            reads: 0,
            fallbacks: 0,
            ejections: 0,
            returns: 0,
        }
    }

    fn change(&self, grave: bool, text: String) -> Change {
        Change {
            grave,
            server: Arc::clone(&self.name),
            shard: u16::try_from(self.shard).unwrap_or(u16::MAX),
            role: if grave { Role::Down } else { Role::Primary },
            text,
        }
    }

    fn away(&self, tell: &Tell) {
        let text = format!("shard {} is not served: {}", self.shard, self.why());
        tell(&self.change(true, text));
    }
}

/// Waits for a shard that is away, and then looks at its servers for as long as the store is there. `None` where somebody
/// does already, or there is nothing to look at.
pub(super) fn watch(
    slots: &Arc<Vec<Slot>>,
    (plan, store): (&Arc<Plan>, usize),
    shard: usize,
    tell: Tell,
) -> Option<crate::store::Watch> {
    let slot = slots.get(shard)?;
    if let Some(store) = slot.store.get() {
        return store.watch(tell);
    }
    slot.awaited.set(()).ok()?;
    let (slots, plan) = (Arc::downgrade(slots), Arc::clone(plan));
    Some(Box::pin(async move {
        if let Some(watch) = wait(&slots, (&plan, store), shard, tell).await {
            watch.await;
        }
    }))
}

/// Tries until the shard is served or the store is gone; gives what looks at its servers.
async fn wait(
    slots: &Weak<Vec<Slot>>,
    (plan, store): (&Arc<Plan>, usize),
    shard: usize,
    tell: Tell,
) -> Option<crate::store::Watch> {
    let mut said = None;
    loop {
        {
            let slots = slots.upgrade()?;
            let slot = slots.get(shard)?;
            let why = slot.why();
            if said.as_ref() != Some(&why) {
                slot.away(&tell);
                said = Some(why);
            }
        }
        tokio::time::sleep(EVERY).await;
        let plan = Arc::clone(plan);
        let served = slots
            .upgrade()?
            .iter()
            .position(|slot| slot.store.get().is_some());
        // Migrating and looking at tables wait, each with bounds of its own; the task that watches must not.
        let tried = tokio::task::spawn_blocking(move || join(&plan, store, shard, served)).await;
        let slots = slots.upgrade()?;
        let slot = slots.get(shard)?;
        match tried {
            Ok(Ok((opened, steps))) => {
                let _ = slot.store.set(opened);
                let made = match steps {
                    0 => String::new(),
                    n => format!(", after {n} steps of its migration"),
                };
                tell(&slot.change(false, format!("shard {shard} is served from now on{made}")));
                return slot.store.get()?.watch(tell);
            }
            Ok(Err(why)) => *slot.why.lock().unwrap_or_else(PoisonError::into_inner) = why,
            // It panicked, which is in the log.
            Err(_) => {}
        }
    }
}

/// Makes what is missing and loses nothing, looks whether the tables are as the plan says, and opens the shard. Gives how
/// many steps were made.
fn join(
    plan: &Arc<Plan>,
    store: usize,
    shard: usize,
    served: Option<usize>,
) -> Result<(PgStore, usize), String> {
    let steps = migrate::join(plan, store, shard, served).map_err(|error| error.to_string())?;
    let opened = open(plan, store, shard).map_err(|error| error.to_string())?;
    Ok((opened, steps))
}

type Urls<'a> = (
    &'a stoa_config::plan::PostgresShard,
    usize,
    Duration,
    stoa_config::plan::Durability,
);

/// The servers of a shard, how many shards there are, and what holds for all of them.
fn urls(plan: &Plan, store: usize, shard: usize) -> Result<Urls<'_>, StoreError> {
    if let Some(StoreKind::Postgres {
        shards,
        max_lag,
        durability,
        ..
    }) = plan.stores.get(store).map(|s| &s.kind)
        && let Some(urls) = shards.get(shard)
    {
        return Ok((urls, shards.len(), *max_lag, *durability));
    }
    Err(StoreError::Internal(format!(
        "the plan has no shard {shard} of the store {store}"
    )))
}

fn open(plan: &Arc<Plan>, store: usize, shard: usize) -> Result<PgStore, StoreError> {
    let (urls, count, max_lag, durability) = urls(plan, store, shard)?;
    let number = u16::try_from(shard).unwrap_or(u16::MAX);
    PgStore::open(plan, store, (number, urls), (max_lag, durability))
        .map_err(|error| super::named(error, shard, count > 1))
}
