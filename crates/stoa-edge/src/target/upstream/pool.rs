//! Endpoints and the idle connections to them, one pool per worker.

use super::{
    checked::{Checked, Expected},
    health::Health,
    load::Load,
    names::Name,
    pressure::Pressure,
    stream::Stream,
    tls::Tls,
};
use crate::timer::Timer;
use arc_swap::ArcSwapOption;
use http::HeaderValue;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use std::{
    collections::HashMap,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Waker},
    time::{Duration, Instant},
};
use stoa_config::plan;
use stoa_exchange::{Body, clock};
use tokio::net::TcpStream;

/// Connections that may rest in one worker's pool of one endpoint, and how long.
const IDLE_MAX: usize = 256;
const IDLE_FOR: Duration = Duration::from_secs(30);

/// The port of `https`.
const HTTPS: u16 = 443;

/// Bounds of a reply's head. The number of fields is hyper's own bound: any other costs it an allocation a reply.
pub(super) const REPLY_FIELDS_MAX: usize = 100;
pub(super) const REPLY_HEAD_BYTES_MAX: usize = 64 * 1024;

/// The endpoints of a gateway, by service and URL, so that a reload keeps their connections and what is known of them.
pub(crate) struct Endpoints {
    workers: usize,
    all: HashMap<(Arc<str>, plan::Endpoint, Option<plan::ServiceTls>), Arc<Endpoint>>,
    pressures: HashMap<Arc<str>, Arc<Pressure>>,
}

impl Endpoints {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            workers,
            all: HashMap::new(),
            pressures: HashMap::new(),
        }
    }

    /// The pressure on a service: that of the gateway before, or a new one.
    pub(crate) fn pressure(&mut self, service: &Arc<str>, before: Option<&Self>) -> Arc<Pressure> {
        let kept = before
            .and_then(|b| b.pressures.get(service))
            .filter(|p| p.workers() == self.workers);
        let new = || {
            kept.cloned()
                .unwrap_or_else(|| Arc::new(Pressure::new(self.workers)))
        };
        self.pressures.entry(service.clone()).or_insert_with(new).clone()
    }

    /// The endpoint of a service: one of this gateway, or of the one before, or a new one.
    pub(crate) fn get(
        &mut self,
        service: &Arc<str>,
        endpoint: &plan::Endpoint,
        (own, tls): (Option<&plan::ServiceTls>, Option<&Arc<Tls>>),
        before: Option<&Self>,
    ) -> Arc<Endpoint> {
        let pressure = self.pressure(service, before);
        let key = (service.clone(), endpoint.clone(), own.cloned());
        let kept = before
            .and_then(|b| b.all.get(&key))
            .filter(|e| e.pools.len() == self.workers);
        let new = || {
            kept.cloned()
                .unwrap_or_else(|| Arc::new(Endpoint::new(endpoint.clone(), self.workers, pressure)))
        };
        let found = self.all.entry(key).or_insert_with(new).clone();
        // The files may have changed: connections from now on are by the new ones.
        found.tls.store(tls.cloned());
        found
    }

    pub(crate) fn sweep(&self, worker: usize) {
        for endpoint in self.all.values() {
            endpoint.sweep(worker);
        }
    }
}

/// One address of a service.
pub(crate) struct Endpoint {
    plan: plan::Endpoint,
    /// What `Host` says.
    pub(super) authority: HeaderValue,
    /// For the record; never sent to a client.
    pub(crate) shown: Arc<str>,
    /// How busy and how quick it is.
    pub(crate) load: Load,
    /// Whether it is in use.
    pub(crate) health: Health,
    /// That on its service.
    pub(crate) pressure: Arc<Pressure>,
    tls: ArcSwapOption<Tls>,
    /// A worker takes from its own, so the locks are not contended.
    pools: Box<[Pool]>,
    /// Where it is reached by one.
    name: Option<Arc<Name>>,
}

#[derive(Default)]
#[repr(align(64))]
struct Pool(Mutex<Vec<Idle>>);

impl Pool {
    fn lock(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

/// A connection that can take a request. The task of the request drives it, so that neither the request nor its reply
/// is handed over between tasks.
pub(crate) struct Connection {
    pub(super) sender: SendRequest<Body>,
    /// `None` once it ended, or has a task of its own.
    driver: Option<http1::Connection<TokioIo<Checked>, Body>>,
    /// For whatever is waited for on this connection.
    pub(super) timer: Timer,
    /// That of its host's name when it was opened.
    generation: u32,
    /// Tells the check of the bytes that come back what to expect.
    pub(super) expected: Arc<Expected>,
}

impl Connection {
    /// Moves on what is under way. Whoever waits for a reply or a part of its body on this connection calls this.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && Pin::new(driver).poll(cx).is_ready()
        {
            self.driver = None;
        }
    }

    /// Waits until another request may be sent; false when none can.
    pub(super) async fn ready(&mut self) -> bool {
        poll_fn(|cx| {
            self.drive(cx);
            self.sender.poll_ready(cx)
        })
        .await
        .is_ok()
    }

    /// Gives the connection a task, for a request that may change the protocol: what is spoken then outlives the
    /// request.
    pub(super) fn detach(&mut self) {
        if let Some(driver) = self.driver.take() {
            tokio::spawn(async move { drop(driver.with_upgrades().await) });
        }
    }

    /// Whether the service has left a resting connection open and silent, by what the system said so far. Nobody is
    /// woken by it afterwards.
    fn rests(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        !self.sender.is_closed()
    }
}

impl Endpoint {
    pub(super) fn new(plan: plan::Endpoint, workers: usize, pressure: Arc<Pressure>) -> Self {
        let mut authority = plan.authority();
        // Left out where it is the scheme's own, as clients of the web do.
        if plan.tls && plan.port == HTTPS {
            authority.truncate(authority.len() - ":443".len());
        }
        let authority = HeaderValue::try_from(authority).unwrap_or_else(|_| HeaderValue::from_static(""));
        let name = match &plan.host {
            plan::Host::Name(name) => Some(Name::new(name, plan.port)),
            plan::Host::Ip(_) => None,
        };
        Self {
            authority,
            shown: plan.to_string().into(),
            load: Load::default(),
            health: Health::default(),
            pressure,
            tls: ArcSwapOption::empty(),
            pools: (0..workers).map(|_| Pool::default()).collect(),
            name,
            plan,
        }
    }

    /// What stands in front of the path of a request.
    pub(super) fn base_path(&self) -> &str {
        &self.plan.base_path
    }

    /// As if its name had other addresses from now on.
    #[cfg(test)]
    pub(super) fn moves(&self) {
        if let Some(name) = &self.name {
            name.moves();
        }
    }

    fn generation(&self) -> u32 {
        self.name.as_ref().map_or(0, |name| name.generation())
    }

    fn pool(&self, worker: usize) -> &Pool {
        &self.pools[worker % self.pools.len()]
    }

    /// A connection that rested, the last used first.
    pub(super) fn take(&self, worker: usize) -> Option<Box<Connection>> {
        let mut idle = self.pool(worker).lock();
        while let Some(mut last) = idle.pop() {
            let current = last.connection.generation == self.generation();
            if current && clock::now().duration_since(last.since) < IDLE_FOR && last.connection.rests() {
                return Some(last.connection);
            }
        }
        None
    }

    /// Keeps a connection for the next request.
    pub(super) fn put(&self, worker: usize, connection: Box<Connection>) {
        if connection.sender.is_closed() || connection.generation != self.generation() {
            return;
        }
        let mut idle = self.pool(worker).lock();
        if idle.len() < IDLE_MAX {
            idle.push(Idle {
                connection,
                since: clock::now(),
            });
        }
    }

    fn sweep(&self, worker: usize) {
        let now = clock::now();
        let fresh = |idle: &mut Idle| now.duration_since(idle.since) < IDLE_FOR && idle.connection.rests();
        self.pool(worker).lock().retain_mut(fresh);
    }

    /// Opens a connection.
    pub(super) async fn connect(&self) -> io::Result<Box<Connection>> {
        // Noted before the name is asked: what changes meanwhile makes the connection an old one.
        let generation = self.generation();
        let mut connection = self.connect_anywhere().await?;
        connection.generation = generation;
        Ok(connection)
    }

    async fn connect_anywhere(&self) -> io::Result<Box<Connection>> {
        let mut refused = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        for address in self.resolve().await? {
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    crate::listen::tune(&stream)?;
                    // What was meant to be encrypted is never sent in the clear.
                    let tls = self.tls.load_full().filter(|_| self.plan.tls);
                    return match tls {
                        Some(tls) => open(tls.connect(&self.plan.host, stream).await?).await,
                        None if self.plan.tls => Err(io::Error::other("there is nothing to encrypt it by")),
                        None => open(Stream::Plain(stream)).await,
                    };
                }
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// Looks its name up again when that is due, beside the requests. Whether it can be looked up, once after each change.
    pub(super) fn refresh(&self) -> Option<bool> {
        let name = self.name.as_ref()?;
        name.refresh();
        name.turned()
    }

    /// Lookups of its name that failed.
    pub(super) fn lookups_failed(&self) -> u64 {
        self.name.as_ref().map_or(0, |name| name.failed())
    }

    async fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        match (&self.plan.host, &self.name) {
            (plan::Host::Ip(ip), _) => Ok(vec![SocketAddr::new(*ip, self.plan.port)]),
            (plan::Host::Name(_), Some(name)) => name.addresses().await,
            (plan::Host::Name(_), None) => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

async fn open(stream: Stream) -> io::Result<Box<Connection>> {
    let expected = Arc::<Expected>::default();
    let io = TokioIo::new(Checked::new(stream, expected.clone()));
    let (sender, connection) = http1::Builder::new()
        .max_buf_size(REPLY_HEAD_BYTES_MAX * 2)
        .handshake(io)
        .await
        .map_err(io::Error::other)?;
    Ok(Box::new(Connection {
        sender,
        driver: Some(connection),
        timer: Timer::default(),
        generation: 0,
        expected,
    }))
}
