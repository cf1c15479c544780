//! What is too much is refused at once, so that what is taken is answered in time.
//!
//! Two queues are watched. That of a service: when even its quickest replies come later than they used to, more wait there than
//! it can answer, and the number of requests that may be with it follows ([`gradient`]). Where more come at once than lately ever, they wait a
//! moment until it is known. That of a worker: how long what is
//! ready waits for its turn ([`pressure`]). Requests of a lower priority go first, those of a critical route never.

mod gradient;
pub(crate) mod pressure;

use crate::{codes as edge, gateway::Lane, intake::Progress};
use gradient::{Gradient, Sample};
use http::header;
use serde_json::{Value, json};
use std::{
    cell::Cell,
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use stoa_config::plan::{Overload, Priority};
use stoa_exchange::{Context, Problem, Reply, clock};
use tokio::sync::Notify;

/// After how long a refused caller may come back, in seconds: load that comes in waves is over sooner.
const RETRY_AFTER: &str = "1";
/// One of so many requests is measured while few are under way.
const MEASURED: u32 = 8;

/// How many requests may be with a service at once. Shared by the workers; nobody waits for its lock.
pub(crate) struct Limiter {
    in_flight: AtomicU32,
    /// [`u32::MAX`] while there is no reason to limit.
    limit: AtomicU32,
    /// Who comes on top of so many waits a moment.
    soon: AtomicU32,
    wait_ms: AtomicU32,
    waiting: AtomicU32,
    /// One of so many is measured while some are under way.
    measured: AtomicU32,
    left: Notify,
    /// Whether anything was refused since the gradient was last asked.
    refused: AtomicBool,
    floor: u32,
    gradient: Mutex<Gradient>,
}

/// The limiters of a gateway by the names of services, so that a reload forgets nothing.
#[derive(Default)]
pub(crate) struct Limiters(HashMap<String, Arc<Limiter>>);

impl Limiters {
    pub(crate) fn get(
        &mut self,
        name: &str,
        overload: Overload,
        before: Option<&Self>,
    ) -> Option<Arc<Limiter>> {
        let floor = overload.in_flight_min?.get();
        let kept = before.and_then(|b| b.0.get(name)).filter(|l| l.floor == floor);
        let limiter = kept.cloned().unwrap_or_else(|| Arc::new(Limiter::new(floor)));
        self.0.insert(name.to_owned(), limiter.clone());
        Some(limiter)
    }
}

/// What a route has of it.
pub(crate) struct Shed {
    pub(crate) priority: Priority,
    /// Whether a worker's own queue is looked at.
    pub(crate) watched: bool,
    /// That of its service.
    pub(crate) limiter: Option<Arc<Limiter>>,
}

impl Shed {
    /// Lets a request in, or refuses it. The permit is given back when the reply's head is there.
    pub(crate) async fn admit(
        &self,
        lane: &Arc<Lane>,
        context: &mut Context,
    ) -> Result<Option<Permit<'_>>, Problem> {
        if self.watched && pressure::sheds(lane, self.priority) {
            context.trail.note("shed", || json!("the worker's queue"));
            return Err(overloaded(
                "the gateway has more to do than it can answer in time",
            ));
        }
        let Some(limiter) = &self.limiter else {
            return Ok(None);
        };
        let permit = match limiter.enter(self.priority, false) {
            Entry::In(permit) => Some(permit),
            Entry::Full => None,
            // Rare, so that the future of all others stays small.
            Entry::Sudden => Box::pin(limiter.wait(self.priority)).await,
        };
        context.trail.note("shed", || {
            let limit = limiter.limit.load(Relaxed);
            let limit = if limit == u32::MAX { Value::Null } else { json!(limit) };
            json!({ "in_flight": limiter.in_flight.load(Relaxed), "limit": limit, "priority": self.priority.as_str() })
        });
        match permit {
            Some(permit) => Ok(Some(permit)),
            None => Err(overloaded(
                "more requests wait for the service than it can answer in time",
            )),
        }
    }
}

fn overloaded(why: &str) -> Problem {
    Problem::new(&edge::OVERLOADED, why).header(header::RETRY_AFTER, RETRY_AFTER)
}

impl Limiter {
    fn new(floor: u32) -> Self {
        let gradient = Gradient::new(floor);
        let bounds = gradient.bounds();
        Self {
            in_flight: AtomicU32::new(0),
            limit: AtomicU32::new(bounds.limit),
            soon: AtomicU32::new(bounds.soon),
            wait_ms: AtomicU32::new(bounds.wait.as_millis() as u32),
            waiting: AtomicU32::new(0),
            measured: AtomicU32::new(bounds.measured),
            left: Notify::new(),
            refused: AtomicBool::new(false),
            floor,
            gradient: Mutex::new(gradient),
        }
    }

    /// A place for a request that nobody waits for.
    pub(crate) fn try_enter(&self) -> Option<Permit<'_>> {
        match self.enter(Priority::Low, true) {
            Entry::In(permit) => Some(permit),
            Entry::Full | Entry::Sudden => None,
        }
    }

    /// `late`: whether a place is taken although so many are sudden.
    fn enter(&self, priority: Priority, late: bool) -> Entry<'_> {
        let before = self.in_flight.fetch_add(1, Relaxed);
        let full = before >= share(self.limit.load(Relaxed), priority);
        if full || !late && priority != Priority::Critical && before >= self.soon.load(Relaxed) {
            self.in_flight.fetch_sub(1, Relaxed);
            if !full {
                return Entry::Sudden;
            }
            self.refused.store(true, Relaxed);
            return Entry::Full;
        }
        let few = before < self.floor / 2;
        let measured = turn(if few {
            MEASURED
        } else {
            self.measured.load(Relaxed)
        });
        Entry::In(Permit {
            limiter: self,
            in_flight: before + 1,
            started: measured.then(clock::now),
        })
    }

    /// Waits for somebody to leave, a moment.
    async fn wait(&self, priority: Priority) -> Option<Permit<'_>> {
        let _counted = Waiting::of(self);
        let until = clock::now() + Duration::from_millis(self.wait_ms.load(Relaxed).into());
        loop {
            let left = self.left.notified();
            let late = clock::now() >= until;
            match self.enter(priority, late) {
                Entry::In(permit) => return Some(permit),
                Entry::Full => return None,
                // Over time it is let in, so it cannot be sudden twice.
                Entry::Sudden => {
                    let _ = tokio::time::timeout_at(until.into(), left).await;
                }
            }
        }
    }

    fn measured(&self, sample: Sample) {
        // Whoever finds it taken leaves its sample out: there are enough.
        let Ok(mut gradient) = self.gradient.try_lock() else {
            return;
        };
        if let Some(bounds) = gradient.sample(sample, || self.refused.swap(false, Relaxed)) {
            self.limit.store(bounds.limit, Relaxed);
            self.soon.store(bounds.soon, Relaxed);
            self.measured.store(bounds.measured, Relaxed);
            self.wait_ms.store(bounds.wait.as_millis() as u32, Relaxed);
            if self.waiting.load(Relaxed) > 0 {
                self.left.notify_waiters();
            }
        }
    }
}

/// Whether this request of this worker is one of those that are measured.
fn turn(one_of: u32) -> bool {
    thread_local! {
        static TURN: Cell<u32> = const { Cell::new(0) };
    }
    TURN.with(|turn| {
        turn.set(turn.get().wrapping_add(1));
        turn.get().is_multiple_of(one_of)
    })
}

/// How much of a limit requests of a priority may fill.
fn share(limit: u32, priority: Priority) -> u32 {
    match priority {
        _ if limit == u32::MAX => u32::MAX,
        Priority::Critical => u32::MAX,
        Priority::High => limit.saturating_add(limit / 4 + 1),
        Priority::Normal => limit,
        Priority::Low => limit - limit / 4,
    }
}

/// A place with a service; given back when dropped.
pub(crate) struct Permit<'l> {
    limiter: &'l Limiter,
    in_flight: u32,
    /// Of those that are measured.
    started: Option<Instant>,
}

impl Permit<'_> {
    /// The service has answered. It had the request when its body was whole: how long a caller took to send it says nothing
    /// about the service, and who answered before that did not wait for it.
    pub(crate) fn answered(self, reply: &Result<Reply, Problem>, body: Option<&Progress>) {
        let Some(mut started) = self.started else { return };
        if let Some(body) = body {
            let Some(ended) = body.ended_at() else { return };
            started = started.max(ended);
        }
        let now = clock::now();
        self.limiter.measured(Sample {
            now,
            started,
            in_flight: self.in_flight,
            good: reply
                .as_ref()
                .is_ok_and(|r| r.status().is_success() || r.status().is_redirection()),
        });
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.limiter.in_flight.fetch_sub(1, Relaxed);
        if self.limiter.waiting.load(Relaxed) > 0 {
            self.limiter.left.notify_one();
        }
    }
}

/// How a request is taken.
enum Entry<'l> {
    In(Permit<'l>),
    /// Refused.
    Full,
    /// So many are there as never lately.
    Sudden,
}

/// Counts one that waits.
struct Waiting<'l>(&'l Limiter);

impl<'l> Waiting<'l> {
    fn of(limiter: &'l Limiter) -> Self {
        limiter.waiting.fetch_add(1, Relaxed);
        Self(limiter)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests;
