//! The connections of one worker: a few shared ones over which single reads are pipelined, and some that are held
//! alone, for transactions and for what takes long. Everything that waits is bounded.

use super::Shared as Store;
use super::config::Target;
use super::connection::{Connection, jitter};
use super::errors::{is_full, plain};
use super::read::GRACE;
use crate::store::StoreError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use stoa_exchange::clock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Shared connections of a worker.
const SHARED: usize = 2;
/// Requests under way on a shared connection before another one is opened.
const GROW: u32 = 16;
/// Reads under way on the shared connections of a worker at most.
const READS_MAX: u32 = 512;
/// Connections of a worker that are held alone.
const ALONE_MAX: usize = 8;
/// Of these, the ones that reads may hold where replicas answer reads: writes find the others free.
const ALONE_READS_MAX: usize = 5;
/// Reads of a worker that the primary answers at once because no replica can.
const GUESTS_MAX: usize = 64;
/// Requests that wait for one at most.
const WAITING_MAX: usize = 256;
/// How long connecting may take, signing in included.
const CONNECT: Duration = Duration::from_secs(3);
/// The first pause after a connection could not be made, and the longest.
const PAUSE: std::ops::RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(1);

/// Between two tries where the server lets no more connections in, in milliseconds: as long as it takes it to notice that
/// some were given back, or a write to end.
const FULL: [u64; 5] = [10, 20, 40, 80, 160];

/// The connections.
#[derive(Debug)]
pub(super) struct Pool {
    target: Arc<Target>,
    /// Whose pool it is: the other threads have pools of the same server.
    store: Weak<Store>,
    shared: [Slot; SHARED],
    idle: Mutex<Vec<Arc<Connection>>>,
    permits: Arc<Semaphore>,
    alone_reads: Arc<Semaphore>,
    guests: Arc<Semaphore>,
    waiting: AtomicUsize,
    health: Mutex<Health>,
    /// Whether the store is gone: what comes back is not kept.
    gone: AtomicBool,
}

/// The place of one shared connection.
#[derive(Debug, Default)]
struct Slot {
    connection: Mutex<Option<Arc<Connection>>>,
    /// Held by who makes it.
    making: tokio::sync::Mutex<()>,
}

/// Whether it is worth a try to connect.
#[derive(Debug, Default)]
struct Health {
    failures: u32,
    until: Option<Instant>,
    why: String,
}

/// A request on a shared connection.
#[derive(Debug)]
pub(super) struct Shared(Arc<Connection>);

impl std::ops::Deref for Shared {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that is held alone. Dropped before [`Alone::keep`], it is closed and what it was at is stopped.
#[derive(Debug)]
pub(super) struct Alone {
    connection: Arc<Connection>,
    pool: Arc<Pool>,
    clean: bool,
    _permit: OwnedSemaphorePermit,
    /// The read's own place, where reads have fewer.
    read: Option<OwnedSemaphorePermit>,
}

impl std::ops::Deref for Alone {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Alone {
    /// Nothing is under way on it: it may be handed out again.
    pub(super) fn keep(mut self) {
        self.clean = true;
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        drop(self.read.take());
        if !self.clean {
            self.connection.stop();
        } else if self.connection.is_usable() && !self.pool.gone.load(Ordering::Relaxed) {
            lock(&self.pool.idle).push(Arc::clone(&self.connection));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits no longer than until the deadline.
pub(super) async fn within<T>(deadline: Instant, what: impl Future<Output = T>) -> Result<T, StoreError> {
    tokio::time::timeout_at(deadline.into(), what)
        .await
        .map_err(|_| StoreError::Deadline)
}

impl Pool {
    pub(super) fn new(target: Arc<Target>, store: Weak<Store>) -> Self {
        Self {
            target,
            store,
            shared: Default::default(),
            idle: Mutex::default(),
            permits: Arc::new(Semaphore::new(ALONE_MAX)),
            alone_reads: Arc::new(Semaphore::new(ALONE_READS_MAX)),
            guests: Arc::new(Semaphore::new(GUESTS_MAX)),
            waiting: AtomicUsize::new(0),
            health: Mutex::default(),
            gone: AtomicBool::new(false),
        }
    }

    /// A shared connection, the one with the fewest requests under way.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] when too many are under way, [`StoreError::Unavailable`] when none can be made.
    pub(super) async fn shared(&self, deadline: Instant) -> Result<Shared, StoreError> {
        let mut total = 0;
        let mut best: Option<(Arc<Connection>, u32)> = None;
        let mut free = None;
        for slot in &self.shared {
            let mut held = lock(&slot.connection);
            if held.as_ref().is_some_and(|c| !c.is_usable()) {
                *held = None;
            }
            let Some(connection) = &*held else {
                free = free.or(Some(slot));
                continue;
            };
            let under_way = connection.in_flight.load(Ordering::Relaxed);
            total += under_way;
            if best.as_ref().is_none_or(|(_, least)| under_way < *least) {
                best = Some((Arc::clone(connection), under_way));
            }
        }
        if total >= READS_MAX {
            return Err(StoreError::Overloaded);
        }
        let connection = match (best, free) {
            (Some((connection, under_way)), free) if under_way < GROW || free.is_none() => connection,
            // Seldom, and large.
            (_, Some(slot)) => within(deadline, Box::pin(self.fill(slot))).await??,
            (Some((connection, _)), None) => connection,
            (None, None) => return Err(StoreError::Internal("no place for a connection".to_owned())),
        };
        connection.in_flight.fetch_add(1, Ordering::Relaxed);
        Ok(Shared(connection))
    }

    /// A place on a shared connection, where there is one at once.
    pub(super) fn ready(&self) -> Option<Shared> {
        let mut total = 0;
        let mut best: Option<(Arc<Connection>, u32)> = None;
        for slot in &self.shared {
            let held = lock(&slot.connection);
            let Some(connection) = held.as_ref() else { continue };
            let under_way = connection.in_flight.load(Ordering::Relaxed);
            total += under_way;
            if best.as_ref().is_none_or(|(_, least)| under_way < *least) {
                best = Some((Arc::clone(connection), under_way));
            }
        }
        let all_there = || self.shared.iter().all(|slot| lock(&slot.connection).is_some());
        let (connection, under_way) =
            best.filter(|(connection, _)| !connection.pooled && connection.is_usable())?;
        if total >= READS_MAX || (under_way >= GROW && !all_there()) {
            return None;
        }
        connection.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(Shared(connection))
    }

    /// The connection of a slot, which is made when it is not there; by one, for all who wait.
    async fn fill(&self, slot: &Slot) -> Result<Arc<Connection>, StoreError> {
        if self.waiting.load(Ordering::Relaxed) >= WAITING_MAX {
            return Err(StoreError::Overloaded);
        }
        let _waiting = Waiting::enter(&self.waiting);
        let _making = slot.making.lock().await;
        let there = lock(&slot.connection).clone();
        if let Some(connection) = there.filter(|c| c.is_usable()) {
            return Ok(connection);
        }
        let connection = self.connect(|| None).await?;
        *lock(&slot.connection) = Some(Arc::clone(&connection));
        Ok(connection)
    }

    /// A connection that nobody else uses.
    ///
    /// # Errors
    /// As [`Self::shared`], and [`StoreError::Deadline`] when none became free in time.
    pub(super) async fn alone(self: &Arc<Self>, deadline: Instant) -> Result<Alone, StoreError> {
        let permit = self.permit(&self.permits, deadline).await?;
        let connection = match self.idle() {
            Some(connection) => connection,
            None => within(deadline, Box::pin(self.connect(|| self.idle()))).await??,
        };
        Ok(Alone {
            connection,
            pool: Arc::clone(self),
            clean: false,
            _permit: permit,
            read: None,
        })
    }

    fn idle(&self) -> Option<Arc<Connection>> {
        let mut idle = lock(&self.idle);
        idle.retain(|c| c.is_usable());
        idle.pop()
    }

    /// A connection that nobody else uses, for a read that leaves some to writes.
    ///
    /// # Errors
    /// As [`Self::alone`].
    pub(super) async fn alone_to_read(self: &Arc<Self>, deadline: Instant) -> Result<Alone, StoreError> {
        let place = self.permit(&self.alone_reads, deadline).await?;
        let mut alone = self.alone(deadline).await?;
        alone.read = Some(place);
        Ok(alone)
    }

    /// A place for a read that a replica should have answered.
    ///
    /// # Errors
    /// [`StoreError::Overloaded`] when too many wait for one, or none became free in time.
    pub(super) async fn guest(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, StoreError> {
        self.permit(&self.guests, deadline).await
    }

    async fn permit(
        &self,
        of: &Arc<Semaphore>,
        deadline: Instant,
    ) -> Result<OwnedSemaphorePermit, StoreError> {
        if let Ok(permit) = Arc::clone(of).try_acquire_owned() {
            return Ok(permit);
        }
        if self.waiting.load(Ordering::Relaxed) >= WAITING_MAX {
            return Err(StoreError::Overloaded);
        }
        let _waiting = Waiting::enter(&self.waiting);
        within(deadline, Arc::clone(of).acquire_owned())
            .await
            .map_err(|_| StoreError::Overloaded)?
            .map_err(|_| super::connection::closed())
    }

    /// Waits for what the server does under a time limit of its own. When it does not even say in time that the limit
    /// is over, it hangs, and with it every connection that is idle: none of these is handed out again.
    pub(super) async fn limited<T>(
        &self,
        deadline: Instant,
        what: impl Future<Output = T>,
    ) -> Result<T, StoreError> {
        within(deadline + GRACE, what).await.map_err(|_| {
            lock(&self.idle).clear();
            self.unanswered()
        })
    }

    /// A new connection, unless the last try failed a moment ago. Where the server lets no more in, what rests is given
    /// back to it, and it is asked again for a moment, in which `there` may find one that was returned.
    async fn connect(
        &self,
        there: impl Fn() -> Option<Arc<Connection>>,
    ) -> Result<Arc<Connection>, StoreError> {
        {
            let health = lock(&self.health);
            if health.until.is_some_and(|until| clock::now() < until) {
                return Err(StoreError::Unavailable(health.why.clone()));
            }
        }
        let trying = Trying {
            pool: self,
            since: clock::now(),
            settled: false,
        };
        let mut pauses = FULL.into_iter();
        let mut full = None;
        let result = tokio::time::timeout(CONNECT, async {
            loop {
                let error = match Connection::open(&self.target).await {
                    Ok(connection) => return Ok(Arc::new(connection)),
                    Err(error) => error,
                };
                let Some(pause) = pauses.next().filter(|_| is_full(&error)) else {
                    return Err(error);
                };
                full = Some(plain(&error, &self.target.shown));
                if let Some(connection) = there() {
                    return Ok(connection);
                }
                self.give_back();
                tokio::time::sleep(Duration::from_millis(pause)).await;
                if let Some(connection) = there() {
                    return Ok(connection);
                }
            }
        })
        .await;
        // What took its time to say no is full as well.
        if let Some(full) = full.filter(|_| !matches!(result, Ok(Ok(_)))) {
            return trying.full(full);
        }
        trying.settle(match result {
            Ok(result) => result.map_err(|error| match plain(&error, &self.target.shown) {
                StoreError::Internal(text) | StoreError::Refused(text) => StoreError::Unavailable(text),
                StoreError::Server(said) => StoreError::Unavailable(said.message),
                other => other,
            }),
            Err(_) => Err(self.unanswered()),
        })
    }

    /// Closes one that rests on this server, of whichever thread: the others are still needed. What is under way goes on.
    fn give_back(&self) {
        let Some(store) = self.store.upgrade() else { return };
        let pools: Vec<_> = lock(&store.pools).iter().filter_map(Weak::upgrade).collect();
        let own = || pools.iter().filter(|pool| pool.target.shown == self.target.shown);
        if own().any(|pool| pool.idle().is_some()) {
            return;
        }
        for slot in own().flat_map(|pool| &pool.shared) {
            let mut held = lock(&slot.connection);
            if held
                .take_if(|c| c.in_flight.load(Ordering::Relaxed) == 0)
                .is_some()
            {
                return;
            }
        }
    }

    pub(super) fn unanswered(&self) -> StoreError {
        StoreError::Unavailable(format!("{} does not answer", self.target.shown))
    }

    /// What all threads know of the way to the server.
    fn say(&self, away: Option<&str>) {
        if let Some(store) = self.store.upgrade() {
            *lock(&store.away) = away.map(str::to_owned);
        }
    }

    fn failed(&self, why: String) {
        self.say(Some(&why));
        let mut health = lock(&self.health);
        let pause = PAUSE.start().saturating_mul(1 << health.failures.min(8));
        // From half of the pause to all of it, so that not every worker of every process tries at once.
        let pause = pause.min(*PAUSE.end()).mul_f64(0.5 + jitter() / 2.0);
        health.failures = health.failures.saturating_add(1);
        health.until = Some(clock::now() + pause);
        health.why = why;
    }

    /// Whether statements can be prepared and read in a shared session; `None` when no connection is open yet.
    pub(super) fn is_pooled(&self) -> Option<bool> {
        let slot = self.shared.first()?;
        lock(&slot.connection).as_ref().map(|c| c.pooled)
    }

    /// Closes what is idle, and what is under way when it ends: the store is gone.
    pub(super) fn shut(&self) {
        self.gone.store(true, Ordering::Relaxed);
        self.close();
    }

    /// Closes what is idle.
    pub(super) fn close(&self) {
        lock(&self.idle).clear();
        for slot in &self.shared {
            *lock(&slot.connection) = None;
        }
    }
}

/// Takes note of a try to connect that did not end well, also when nobody waited for its end.
struct Trying<'a> {
    pool: &'a Pool,
    since: Instant,
    settled: bool,
}

impl Trying<'_> {
    /// The server is there, and may let the next one in: whoever comes tries for itself.
    fn full<T>(mut self, error: StoreError) -> Result<T, StoreError> {
        self.settled = true;
        Err(error)
    }

    fn settle<T>(mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        self.settled = true;
        match &result {
            Ok(_) => {
                *lock(&self.pool.health) = Health::default();
                self.pool.say(None);
            }
            Err(StoreError::Unavailable(why)) => self.pool.failed(why.clone()),
            Err(error) => self.pool.failed(error.to_string()),
        }
        result
    }
}

impl Drop for Trying<'_> {
    fn drop(&mut self) {
        // Whoever leaves at once says nothing about the server.
        if !self.settled && clock::now().saturating_duration_since(self.since) > *PAUSE.end() {
            self.pool
                .failed(format!("{} does not answer", self.pool.target.shown));
        }
    }
}

/// One who waits, counted.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
