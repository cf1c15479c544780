//! The place of one shard of a store: what serves it, or why nothing does yet. A shard that is away when a process starts
//! joins as soon as it has a server that takes writes and its tables are as the plan says. Until then its replicas answer
//! reads, where they have all that the plan needs.

use crate::migrate;
use crate::store::postgres::{PgStore, address};
use crate::store::{Change, Role, Server, Store, StoreError, Tell};
use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;
use stoa_config::plan::{Plan, StoreKind};

/// How often a shard that is away is looked for.
const EVERY: Duration = Duration::from_secs(1);

/// A shard that has no server which takes writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Away {
    /// Position in the file.
    pub shard: usize,
    /// Why, for people; never a password.
    pub why: String,
    /// Whether its replicas are read from meanwhile.
    pub reads: bool,
}

impl Away {
    /// `read`: whether reads may go to its replicas, or why not.
    pub(crate) fn new(shard: usize, why: String, read: Result<(), String>) -> Self {
        let reads = read.is_ok();
        let why = match read {
            Err(misfit) if !misfit.is_empty() => format!("{why}; {misfit}"),
            _ => why,
        };
        Self { shard, why, reads }
    }
}

impl fmt::Display for Away {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&unserved(self.shard, self.reads, &self.why))
    }
}

/// What of a shard is not served, and why.
fn unserved(shard: usize, reads: bool, why: &str) -> String {
    if reads {
        format!("shard {shard} takes no writes, reads are served by replicas: {why}")
    } else {
        format!("shard {shard} is not served: {why}")
    }
}

/// The place of a shard.
pub(super) struct Slot {
    shard: usize,
    store: OnceLock<PgStore>,
    /// What answers reads until then.
    meanwhile: OnceLock<PgStore>,
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
        let own = away.iter().find(|a| a.shard == shard);
        let why = own.map(|a| a.why.clone());
        let slot = Self {
            shard,
            store: OnceLock::new(),
            meanwhile: OnceLock::new(),
            name: match urls(plan, store, shard) {
                Ok((urls, ..)) => address(urls)?,
                Err(error) => return Err(error),
            },
            why: Mutex::new(why.clone().unwrap_or_default()),
            awaited: OnceLock::new(),
        };
        match own {
            None => drop(slot.store.set(open(plan, store, shard, Serves::All)?)),
            // Where it went away in this moment it is looked for like any other.
            Some(own) if own.reads => {
                if let Ok(opened) = open(plan, store, shard, Serves::Reads) {
                    let _ = slot.meanwhile.set(opened);
                }
            }
            Some(_) => {}
        }
        Ok(slot)
    }

    /// What serves the shard.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] while nothing does.
    pub(super) fn get(&self) -> Result<&PgStore, StoreError> {
        let serving = self.store.get().or_else(|| self.meanwhile.get());
        serving.ok_or_else(|| StoreError::Unavailable(self.why()))
    }

    fn why(&self) -> String {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Its servers for people and metrics; one that is down while the shard is away or its only server is not reached.
    pub(super) fn servers(&self) -> Vec<Server> {
        let Some(store) = self.store.get() else {
            let why = self.unserved();
            let Some(meanwhile) = self.meanwhile.get() else {
                return vec![self.down(&why)];
            };
            let mut servers = meanwhile.servers();
            if let Some(first) = servers.iter_mut().find(|server| server.name == self.name) {
                first.out = Some(why);
            }
            return servers;
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

    fn unserved(&self) -> String {
        unserved(self.shard, self.meanwhile.get().is_some(), &self.why())
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
    let tell: Arc<dyn Fn(&Change) + Send + Sync> = Arc::from(tell);
    Some(Box::pin(async move {
        // The replicas are looked at meanwhile; that ends when the shard is served as a whole.
        let waits = wait(&slots, (&plan, store), shard, &tell);
        let (watch, ()) = futures_util::future::join(waits, meanwhile(&slots, shard, &tell)).await;
        if let Some(watch) = watch {
            watch.await;
        }
    }))
}

type Told = Arc<dyn Fn(&Change) + Send + Sync>;

fn own(tell: &Told) -> Tell {
    let tell = Arc::clone(tell);
    Box::new(move |change: &Change| tell(change))
}

/// Looks at the servers of a shard that only its replicas serve, until it is served as a whole or the store is gone.
async fn meanwhile(slots: &Weak<Vec<Slot>>, shard: usize, tell: &Told) {
    loop {
        let watch = {
            let Some(slots) = slots.upgrade() else { return };
            let Some(slot) = slots.get(shard).filter(|slot| slot.store.get().is_none()) else {
                return;
            };
            slot.meanwhile.get().and_then(|reads| reads.watch(own(tell)))
        };
        match watch {
            Some(watch) => return watch.await,
            None => tokio::time::sleep(EVERY).await,
        }
    }
}

/// Tries until the shard is served or the store is gone; gives what looks at its servers.
async fn wait(
    slots: &Weak<Vec<Slot>>,
    (plan, store): (&Arc<Plan>, usize),
    shard: usize,
    tell: &Told,
) -> Option<crate::store::Watch> {
    let mut said = None;
    loop {
        let (served, reads) = {
            let slots = slots.upgrade()?;
            let slot = slots.get(shard)?;
            let now = slot.unserved();
            if said.as_ref() != Some(&now) {
                tell(&slot.change(true, now.clone()));
                said = Some(now);
            }
            let served = slots.iter().position(|slot| slot.store.get().is_some());
            (served, slot.meanwhile.get().is_some())
        };
        tokio::time::sleep(EVERY).await;
        let plan = Arc::clone(plan);
        // Migrating and looking at tables wait, each with bounds of its own; the task that watches must not.
        let tried = tokio::task::spawn_blocking(move || {
            join(&plan, store, shard, served).map_err(|why| {
                let may = !reads && migrate::reads(&plan, store, shard);
                let opened = may.then(|| open(&plan, store, shard, Serves::Reads).ok());
                (why, opened.flatten())
            })
        });
        let tried = tried.await;
        let slots = slots.upgrade()?;
        let slot = slots.get(shard)?;
        match tried {
            Ok(Ok((opened, steps))) => {
                let _ = slot.store.set(opened);
                if let Some(meanwhile) = slot.meanwhile.get() {
                    meanwhile.shut();
                }
                let made = match steps {
                    0 => String::new(),
                    n => format!(", after {n} steps of its migration"),
                };
                tell(&slot.change(false, format!("shard {shard} is served from now on{made}")));
                return slot.store.get()?.watch(own(tell));
            }
            Ok(Err((why, reads))) => {
                *slot.why.lock().unwrap_or_else(PoisonError::into_inner) = why;
                if let Some(reads) = reads {
                    let _ = slot.meanwhile.set(reads);
                }
            }
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
    let opened = open(plan, store, shard, Serves::All).map_err(|error| error.to_string())?;
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

/// What is served of a shard.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Serves {
    All,
    /// By its replicas, while nobody takes writes.
    Reads,
}

fn open(plan: &Arc<Plan>, store: usize, shard: usize, serves: Serves) -> Result<PgStore, StoreError> {
    let (urls, count, max_lag, durability) = urls(plan, store, shard)?;
    let number = u16::try_from(shard).unwrap_or(u16::MAX);
    let durability = (serves == Serves::All).then_some(durability);
    PgStore::open(plan, store, (number, urls), (max_lag, durability))
        .map_err(|error| super::named(error, shard, count > 1))
}
