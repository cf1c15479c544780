//! One worker: accepts connections and runs them on its own runtime until it is told to stop.

use super::connection;
use crate::gateway::{Gateway, Lane, Seat};
use arc_swap::ArcSwap;
use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    task::Waker,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
};

/// How long a failed accept (no descriptors left) is not tried again, doubled up to the second.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(640);

/// How often idle upstream connections are looked through.
const SWEEP: Duration = Duration::from_secs(10);

/// How often a draining worker looks whether everything is over.
const TICK: Duration = Duration::from_millis(5);

/// Connections of the whole process.
#[derive(Debug)]
pub(crate) struct Doors {
    open: AtomicUsize,
    max: usize,
}

impl Doors {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            open: AtomicUsize::new(0),
            max,
        }
    }

    /// A place for one more connection, unless all are taken.
    fn enter(self: &Arc<Self>) -> Option<Place> {
        if self.open.fetch_add(1, Relaxed) >= self.max {
            self.open.fetch_sub(1, Relaxed);
            return None;
        }
        Some(Place(self.clone()))
    }
}

/// A connection's place; given back when dropped.
pub(crate) struct Place(Arc<Doors>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// What a worker should be doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Serve.
    Serving = 0,
    /// Accept nothing more, end what is under way.
    Draining = 1,
    /// Stop.
    Cut = 2,
}

/// What others tell a worker, and what its connections share.
pub(crate) struct Control {
    seat: ArcSwap<Seat>,
    pub(crate) lane: Arc<Lane>,
    phase: AtomicU8,
    changed: Notify,
    doors: Arc<Doors>,
    /// Wakes every connection when the phase changes, so that none has to watch it.
    connections: Mutex<HashMap<u64, Waker>>,
    next: AtomicU64,
    open: AtomicUsize,
}

impl Control {
    pub(crate) fn new(gateway: Arc<Gateway>, worker: usize, doors: Arc<Doors>) -> Self {
        let lane = Arc::<Lane>::default();
        Self {
            seat: ArcSwap::from_pointee(Seat {
                gateway,
                lane: lane.clone(),
                worker,
            }),
            lane,
            phase: AtomicU8::new(Phase::Serving as u8),
            changed: Notify::new(),
            doors,
            connections: Mutex::default(),
            next: AtomicU64::new(0),
            open: AtomicUsize::new(0),
        }
    }

    /// The gateway in force.
    pub(crate) fn seat(&self) -> Arc<Seat> {
        self.seat.load_full()
    }

    pub(crate) fn seat_at(&self, gateway: Arc<Gateway>) {
        let worker = self.seat.load().worker;
        self.seat.store(Arc::new(Seat {
            gateway,
            lane: self.lane.clone(),
            worker,
        }));
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            0 => Phase::Serving,
            1 => Phase::Draining,
            _ => Phase::Cut,
        }
    }

    pub(crate) fn drain(&self) {
        self.enter(Phase::Draining);
    }

    pub(crate) fn cut(&self) {
        self.enter(Phase::Cut);
    }

    fn enter(&self, phase: Phase) {
        self.phase.fetch_max(phase as u8, Relaxed);
        self.changed.notify_one();
    }

    fn wake_connections(&self) {
        let wakers = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        for waker in wakers.values() {
            waker.wake_by_ref();
        }
    }

    /// Has a connection woken when the phase changes; the number takes it out again.
    pub(crate) fn watch(&self, waker: Waker) -> u64 {
        let number = self.next.fetch_add(1, Relaxed);
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(number, waker);
        number
    }

    pub(crate) fn unwatch(&self, number: u64) {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&number);
    }

    fn is_idle(&self) -> bool {
        self.open.load(Relaxed) == 0 && self.lane.active() == 0
    }
}

/// Runs a worker to its end.
pub(crate) fn run(control: &Arc<Control>, listener: std::net::TcpListener) {
    // Without a runtime there is nobody to serve the queue: the listener closes and the others take over.
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return;
    };
    runtime.block_on(work(control, listener));
    // What is left was told to be cut.
    runtime.shutdown_background();
}

async fn work(control: &Arc<Control>, listener: std::net::TcpListener) {
    let Ok(listener) = TcpListener::from_std(listener) else {
        return;
    };
    let mut sweep = tokio::time::interval(SWEEP);
    let mut pause = PAUSE;
    while control.phase() == Phase::Serving {
        tokio::select! {
            accepted = listener.accept() => pause = took(control, accepted, pause).await,
            () = control.changed.notified() => {}
            _ = sweep.tick() => {
                let seat = control.seat();
                seat.gateway.sweep(seat.worker);
            }
        }
    }
    if let Ok(listener) = listener.into_std() {
        empty(control, listener, pause).await;
    }
    control.wake_connections();
    let mut tick = tokio::time::interval(TICK);
    while control.phase() != Phase::Cut && !control.is_idle() {
        tokio::select! {
            _ = tick.tick() => {}
            () = control.changed.notified() => {}
        }
    }
}

/// Takes what is left in the queue, which belongs to clients that were told they are connected, and closes it. The
/// system itself is asked: the runtime learns of a connection only the next time that it looks.
async fn empty(control: &Arc<Control>, listener: std::net::TcpListener, mut pause: Duration) {
    while control.phase() == Phase::Draining {
        let accepted = match listener.accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            accepted => accepted.and_then(|(stream, peer)| {
                stream.set_nonblocking(true)?;
                Ok((TcpStream::from_std(stream)?, peer))
            }),
        };
        pause = took(control, accepted, pause).await;
    }
}

/// Starts what was accepted. Where nothing can be accepted, waits, longer each time: a loop over `EMFILE` would
/// take the worker away from the connections it has.
async fn took(
    control: &Arc<Control>,
    accepted: io::Result<(TcpStream, SocketAddr)>,
    pause: Duration,
) -> Duration {
    match accepted {
        Ok((stream, peer)) => {
            start(control, stream, peer);
            PAUSE
        }
        Err(error) if is_of_one_connection(&error) => PAUSE,
        Err(_) => {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = control.changed.notified() => {}
            }
            (pause * 2).min(PAUSE_MAX)
        }
    }
}

fn start(control: &Arc<Control>, stream: TcpStream, peer: SocketAddr) {
    let Some(place) = control.doors.enter() else {
        // Said without waiting: a client that cannot take it is not waited for. Over TLS nothing can be said yet.
        if control.seat().gateway.certificates().is_none() {
            let _ = stream.try_write(connection::full().as_bytes());
        }
        return;
    };
    // A socket that is already gone fails later, where it is read.
    let _ = super::tune(&stream);
    control.open.fetch_add(1, Relaxed);
    let control = control.clone();
    tokio::spawn(async move {
        let _place = place;
        let open = Open(control);
        connection::serve(&open.0, stream, peer).await;
    });
}

/// Counts a connection of this worker.
struct Open(Arc<Control>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// Errors of a connection that went away in the queue.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, WouldBlock};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | WouldBlock
    )
}

#[cfg(test)]
mod tests;
