//! The servers of one shard: which takes writes, which may answer a read. What is known of them is shared by all workers
//! of the process; one task looks at them (`super::watch`).

mod choose;
mod history;
mod judge;
mod server;

pub(super) use choose::{Choice, WAIT, Wanted};
pub(super) use judge::{Instance, Lead, Sighting, State};
pub(super) use server::Member;

use super::config::Target;
use crate::store::{Role, Server, StoreError};
use history::History;
use judge::{Memory, judge};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};
use stoa_config::plan::PostgresShard;
use stoa_exchange::clock;
use stoa_exchange::position::Mark;
use tokio::sync::Notify;

/// How often each server is looked at.
const EVERY: Duration = Duration::from_secs(1);
/// How often at most, where a bound of staleness is shorter than that.
const EVERY_MIN: Duration = Duration::from_millis(100);

/// The servers of one shard.
#[derive(Debug)]
pub(super) struct Group {
    /// Position of the shard in the store.
    pub(super) shard: u16,
    pub(super) members: Vec<Member>,
    /// Whether replicas answer reads: the file names some.
    pub(super) reads: bool,
    max_lag: Duration,
    /// How often each server is looked at.
    pub(super) every: Duration,
    view: RwLock<Arc<View>>,
    known: Mutex<Known>,
    /// Grows with every hint that something has changed.
    hints: AtomicU64,
    pub(super) hinted: Notify,
    changed: Notify,
}

/// What was seen last, and what must not be forgotten.
#[derive(Debug)]
struct Known {
    states: Vec<State>,
    memory: Memory,
    history: History,
}

/// What the servers are.
#[derive(Debug)]
pub(super) struct View {
    pub(super) lead: Lead,
    /// The timeline of the primary, or the latest that was seen.
    pub(super) timeline: u32,
    pub(super) seen: Vec<Seen>,
}

/// What one server is.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) role: Role,
    /// Why it is given nothing.
    pub(super) out: Option<String>,
    pub(super) instance: Option<Instance>,
    pub(super) version: u32,
    timeline: u32,
    lag: Option<Duration>,
    lag_bytes: Option<u64>,
}

impl Group {
    /// The servers that a shard's URLs name: every host is one.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] says what is wrong with a URL.
    pub(super) fn new(
        shard: u16,
        urls: &PostgresShard,
        max_lag: Duration,
        bounds: &[Duration],
    ) -> Result<Self, StoreError> {
        let write = Target::parse(urls.write.expose())?;
        let mut members: Vec<Member> = Vec::new();
        if urls.read.is_empty() && write.hosts() < 2 {
            // Whatever stands behind the one address decides by itself who takes writes.
            members.push(Member::new(write.clone(), write.clone()));
        } else {
            members.extend(write.each().map(|target| Member::new(target.clone(), target)));
        }
        for url in &urls.read {
            for target in Target::parse(url.expose())?.each() {
                // Promoted, it is written to as the primary is.
                let writable = write.moved_to(&target);
                if !members.iter().any(|known| *known.name == *target.address) {
                    members.push(Member::new(target, writable));
                }
            }
        }
        let alone = members.len() == 1;
        let widest = bounds.iter().copied().fold(max_lag, Duration::max);
        let narrowest = bounds.iter().copied().fold(EVERY * 4, Duration::min);
        let unknown = Seen {
            role: if alone { Role::Primary } else { Role::Down },
            out: None,
            instance: None,
            version: 0,
            timeline: 0,
            lag: None,
            lag_bytes: None,
        };
        let lead = if alone {
            Lead::One(0)
        } else {
            Lead::None(String::from("the servers were not looked at yet"))
        };
        Ok(Self {
            shard,
            reads: !urls.read.is_empty() && !alone,
            max_lag,
            every: (narrowest / 4).clamp(EVERY_MIN, EVERY),
            view: RwLock::new(Arc::new(View {
                lead,
                timeline: 0,
                seen: vec![unknown; members.len()],
            })),
            known: Mutex::new(Known {
                states: vec![State::Unknown; members.len()],
                memory: Memory::default(),
                history: History::new(widest.saturating_mul(2)),
            }),
            members,
            hints: AtomicU64::new(0),
            hinted: Notify::new(),
            changed: Notify::new(),
        })
    }

    /// Whether there is anything to watch: one address alone is taken as it is.
    pub(super) fn is_watched(&self) -> bool {
        self.members.len() > 1
    }

    /// What the servers are now.
    pub(super) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The server that takes writes.
    ///
    /// # Errors
    /// [`StoreError::NoPrimary`] when there is none, or more than one.
    pub(super) fn lead(&self) -> Result<usize, StoreError> {
        match &self.view().lead {
            Lead::One(index) => Ok(*index),
            Lead::None(why) | Lead::Split(why) => {
                self.hint();
                Err(StoreError::NoPrimary(why.clone()))
            }
        }
    }

    /// The server that takes writes, or the first that the file names.
    pub(super) fn first(&self) -> usize {
        match self.view().lead {
            Lead::One(index) => index,
            Lead::None(_) | Lead::Split(_) => 0,
        }
    }

    /// Whether a replica is fit to answer reads.
    pub(super) fn has_replica(&self) -> bool {
        self.replica().is_some()
    }

    /// A replica that is fit to answer reads.
    pub(super) fn replica(&self) -> Option<&Member> {
        let view = self.view();
        let mut seen = view.seen.iter().zip(&self.members).filter(|_| self.reads);
        let fit =
            |(s, member): &(&Seen, &Member)| s.role == Role::Replica && s.out.is_none() && !member.is_out();
        seen.find(fit).map(|(_, member)| member)
    }

    /// Something may have changed: the servers are looked at again at once.
    pub(super) fn hint(&self) {
        self.hints.fetch_add(1, Ordering::Relaxed);
        self.hinted.notify_waiters();
    }

    /// How many hints there were.
    pub(super) fn hints(&self) -> u64 {
        self.hints.load(Ordering::Relaxed)
    }

    /// Waits until what is known has changed, no longer than until `until`.
    pub(super) async fn wait_changed(&self, until: Instant) {
        let _ = tokio::time::timeout_at(until.into(), self.changed.notified()).await;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of how a server stands; gives what the servers were before and are now.
    pub(super) fn update(&self, index: usize, state: State) -> (Arc<View>, Arc<View>) {
        let now = clock::now();
        let mut known = self.known();
        let known = &mut *known;
        if let (Some(own), Some(member)) = (known.states.get_mut(index), self.members.get(index)) {
            member.looked_at(own, &state);
            *own = state;
        }
        let names: Vec<Arc<str>> = self.members.iter().map(|m| Arc::clone(&m.name)).collect();
        let (lead, judged) = judge(&names, &known.states, &mut known.memory, now);
        let timeline = known.memory.timeline;
        if lead == Lead::One(index)
            && let Some(seen) = known.states.get(index).and_then(State::sighting)
        {
            known.history.add(timeline, seen.position, seen.at);
        }
        let seen = judged.into_iter().zip(&known.states).map(|((role, out), state)| {
            let mut seen = Seen {
                role,
                out,
                instance: state.sighting().map(|s| s.instance),
                version: state.sighting().map_or(0, |s| s.version),
                timeline: state.sighting().map_or(0, |s| s.timeline),
                lag: None,
                lag_bytes: None,
            };
            if let (Role::Replica, Some(sighting)) = (role, state.sighting()) {
                self.measure(&known.history, sighting, &mut seen, now);
            }
            seen
        });
        let view = Arc::new(View {
            lead,
            timeline,
            seen: seen.collect(),
        });
        let mut held = self.view.write().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *held, Arc::clone(&view));
        drop(held);
        self.changed.notify_waiters();
        (before, view)
    }

    /// How far a replica is behind, and whether that is too far.
    fn measure(&self, history: &History, sighting: &Sighting, seen: &mut Seen, now: Instant) {
        let Some(last) = history.last().filter(|_| seen.out.is_none()) else {
            return;
        };
        let mut lag = history.lag(sighting.position, now);
        if sighting.position < last && history.reaches(now) < self.max_lag {
            // It was behind before anybody looked.
            lag = lag.max(sighting.replayed_ago.unwrap_or_default());
        }
        seen.lag = Some(lag);
        seen.lag_bytes = Some(last.saturating_sub(sighting.position));
        if lag > self.max_lag {
            let (lag, max) = (lag.as_millis(), self.max_lag.as_millis());
            seen.out = Some(format!("is {lag} ms behind, and `max_lag` is {max} ms"));
        }
    }

    /// Takes note of where a write ended on the primary.
    pub(super) fn wrote(&self, mark: Mark, at: Instant) {
        if mark.lsn == u64::MAX {
            // It did not say.
            return;
        }
        if mark.timeline != self.view().timeline {
            self.hint();
        }
        self.known().history.add(mark.timeline, mark.lsn, at);
    }

    /// Everything that was acknowledged before this place is shown by the primary.
    fn written(&self) -> Mark {
        let known = self.known();
        Mark {
            shard: self.shard,
            timeline: known.history.timeline(),
            lsn: known.history.last().unwrap_or(0),
        }
    }

    /// What a server must have that is at most so far behind.
    fn needed(&self, within: Duration) -> Option<u64> {
        self.known().history.needed(within, clock::now())
    }

    /// The servers for people and metrics.
    pub(super) fn servers(&self) -> Vec<Server> {
        let view = self.view();
        let one = |(member, seen): (&Member, &Seen)| {
            let count = |n: &AtomicU64| n.load(Ordering::Relaxed);
            let resting = || member.is_out().then(|| String::from("failed a moment ago"));
            Server {
                shard: self.shard,
                name: Arc::clone(&member.name),
                role: seen.role,
                out: seen.out.clone().or_else(resting),
                timeline: seen.timeline,
                lag: seen.lag,
                lag_bytes: seen.lag_bytes,
                reads: count(&member.reads),
                fallbacks: count(&member.fallbacks),
                ejections: count(&member.ejections),
                returns: count(&member.returns),
            }
        };
        self.members.iter().zip(&view.seen).map(one).collect()
    }
}

#[cfg(test)]
mod tests;
