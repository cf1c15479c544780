//! The admin port: probes and metrics, on a thread and runtime of their own, so that a busy or stuck worker
//! cannot make the process look dead and a scrape cannot slow a request.

use crate::telemetry::{Telemetry, metrics::Gauges, panics};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    fmt::Write as _,
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use stoa_data::store::Server;
use stoa_edge::{EndpointView, ServiceView};
use stoa_exchange::{Problem, codes};
use tokio::{net::TcpListener, sync::Semaphore};

/// Connections open at once; probes and scrapes need few.
const CONNECTIONS_MAX: usize = 64;
/// Time for the head of a request, and for a connection to rest.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Headers of a request; probes send few.
const HEADERS_MAX: usize = 64;

/// What the admin port shows; the rest of the process keeps it.
pub(crate) struct Status {
    /// Counts and the log's writer.
    pub(crate) telemetry: Arc<Telemetry>,
    /// Whether the process is on its way out.
    draining: AtomicBool,
    /// Times `/readyz` was asked, and times of these that it said no because of draining.
    asked: AtomicU64,
    told: AtomicU64,
    /// Reloads that were taken and that were refused.
    taken: AtomicU64,
    refused: AtomicU64,
    starting: Arc<Starting>,
    /// There once the process serves.
    probes: OnceLock<Box<dyn Probes>>,
}

/// What the process does until it serves, for who asks whether it is ready.
#[derive(Debug, Default)]
pub(crate) struct Starting(Mutex<String>);

impl Starting {
    /// What it does now.
    pub(crate) fn says(&self, text: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    fn said(&self) -> String {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).as_str() {
            "" => String::from("starting"),
            said => said.to_owned(),
        }
    }
}

/// What only the running parts know.
pub(crate) trait Probes: Send + Sync {
    /// Requests under way.
    fn active(&self) -> usize;
    /// Each part that must be ready, with why it is not.
    fn ready(&self) -> ProbeFuture<'_>;
    /// Servers of the stores that have several, by the store's name.
    fn servers(&self) -> Vec<(String, Server)>;
    /// Addresses of the services.
    fn endpoints(&self) -> Vec<EndpointView>;
    /// The services.
    fn services(&self) -> Vec<ServiceView>;
}

/// Name of a part, and why it is not ready.
pub(crate) type Readiness = Vec<(String, Result<(), String>)>;
/// What [`Probes::ready`] gives.
pub(crate) type ProbeFuture<'a> = std::pin::Pin<Box<dyn Future<Output = Readiness> + Send + 'a>>;

impl Status {
    /// A process that starts: it lives and is not ready.
    pub(crate) fn new(telemetry: Arc<Telemetry>, starting: Arc<Starting>) -> Arc<Self> {
        Arc::new(Self {
            telemetry,
            draining: AtomicBool::new(false),
            asked: AtomicU64::new(0),
            told: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            starting,
            probes: OnceLock::new(),
        })
    }

    /// From now on the process serves: it is as ready as these parts are.
    pub(crate) fn serves(&self, probes: Box<dyn Probes>) {
        // It begins to serve once.
        let _ = self.probes.set(probes);
    }

    /// From now on `/readyz` says no.
    pub(crate) fn set_draining(&self) {
        self.draining.store(true, Ordering::SeqCst);
    }

    /// Whether somebody has asked `/readyz` and not yet been told that the process drains.
    pub(crate) fn balancer_unaware(&self) -> bool {
        self.asked.load(Ordering::SeqCst) > 0 && self.told.load(Ordering::SeqCst) == 0
    }

    /// Counts a reload.
    pub(crate) fn reloaded(&self, taken: bool) {
        let counter = if taken { &self.taken } else { &self.refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests under way.
    pub(crate) fn active(&self) -> usize {
        self.probes.get().map_or(0, |probes| probes.active())
    }

    fn servers(&self) -> Vec<(String, Server)> {
        self.probes
            .get()
            .map(|probes| probes.servers())
            .unwrap_or_default()
    }

    async fn readiness(&self) -> (bool, Readiness) {
        let mut parts = match self.probes.get() {
            Some(probes) => probes.ready().await,
            None => vec![(String::from("process"), Err(self.starting.said()))],
        };
        let draining = self.draining.load(Ordering::SeqCst);
        if draining {
            parts.push((String::from("process"), Err(String::from("draining"))));
        }
        (parts.iter().all(|(_, state)| state.is_ok()), parts)
    }

    fn metrics(&self) -> String {
        self.telemetry.metrics.render(&Gauges {
            servers: self
                .probes
                .get()
                .map(|probes| probes.servers())
                .unwrap_or_default(),
            endpoints: self
                .probes
                .get()
                .map(|probes| probes.endpoints())
                .unwrap_or_default(),
            services: self
                .probes
                .get()
                .map(|probes| probes.services())
                .unwrap_or_default(),
            active: self.active(),
            lines_dropped: self.telemetry.writer.dropped(),
            reloads: [
                self.taken.load(Ordering::Relaxed),
                self.refused.load(Ordering::Relaxed),
            ],
            panics: panics::count(),
            ready: self.probes.get().is_some() && !self.draining.load(Ordering::SeqCst),
        })
    }
}

/// Binds the port and starts the thread. Gives the address, with the port the system chose for port 0.
///
/// # Errors
/// Whatever binding says, and when the system gives no thread.
pub(crate) fn start(at: SocketAddr, status: Arc<Status>) -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind(at)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name(String::from("admin"))
        .spawn(move || {
            runtime.block_on(async move {
                // The listener was made non-blocking above; what else can fail is a full table of descriptors.
                if let Ok(listener) = TcpListener::from_std(listener) {
                    accept(listener, address.ip(), status).await;
                }
            });
        })?;
    Ok(address)
}

async fn accept(listener: TcpListener, bound: IpAddr, status: Arc<Status>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: wait for some to come back instead of spinning.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let status = Arc::clone(&status);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let status = Arc::clone(&status);
                async move { Ok::<_, Infallible>(answer(&request, bound, &status).await) }
            });
            // A prober that goes away early is no news.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .max_headers(HEADERS_MAX)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            drop(place);
        });
    }
}

async fn answer(request: &Request<Incoming>, bound: IpAddr, status: &Status) -> Response<Full<Bytes>> {
    let host = request.headers().get(header::HOST).and_then(|h| h.to_str().ok());
    if !host_is_fine(bound, host) {
        let problem = Problem::new(&codes::FORBIDDEN, "the admin port does not answer to this `Host`")
            .hint("ask it by its address or as localhost: a name of somebody else's may lead a browser here");
        return refuse(problem);
    }
    let path = request.uri().path();
    let known = matches!(path, "/livez" | "/readyz" | "/metrics");
    if known && !matches!(*request.method(), Method::GET | Method::HEAD) {
        let problem = Problem::new(&codes::METHOD_NOT_ALLOWED, format!("{path} serves GET only"))
            .header(header::ALLOW, "GET, HEAD");
        return refuse(problem);
    }
    match path {
        "/livez" => text(StatusCode::OK, "text/plain; charset=utf-8", String::from("ok\n")),
        "/readyz" => readyz(status, request.uri().query()).await,
        "/metrics" => text(
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            status.metrics(),
        ),
        _ => refuse(
            Problem::new(&codes::NOT_FOUND, format!("the admin port does not serve {path}"))
                .hint("it serves /livez, /readyz and /metrics"),
        ),
    }
}

async fn readyz(status: &Status, query: Option<&str>) -> Response<Full<Bytes>> {
    let (ready, parts) = status.readiness().await;
    status.asked.fetch_add(1, Ordering::SeqCst);
    if status.draining.load(Ordering::SeqCst) {
        status.told.fetch_add(1, Ordering::SeqCst);
    }
    let code = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let mut body = String::new();
    let verbose = query.is_some_and(|q| q.split('&').any(|p| p == "verbose" || p.starts_with("verbose=")));
    for (name, state) in parts.iter().filter(|(_, state)| verbose || state.is_err()) {
        let _ = match state {
            Ok(()) => writeln!(body, "[+] {name} ok"),
            Err(why) => writeln!(body, "[-] {name}: {why}"),
        };
    }
    for (store, server) in status.servers().iter().filter(|_| verbose) {
        let (name, role) = (&server.name, server.role);
        let _ = match &server.out {
            None => writeln!(body, "[+] store {store}: {name} {role}"),
            Some(why) => writeln!(body, "[-] store {store}: {name} {role}, {why}"),
        };
    }
    body.push_str(if ready { "ok\n" } else { "not ready\n" });
    text(code, "text/plain; charset=utf-8", body)
}

fn text(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn refuse(problem: Problem) -> Response<Full<Bytes>> {
    let body = problem.to_json(None).to_string();
    let mut response = text(problem.status(), "application/problem+json", body);
    response.headers_mut().extend(problem.headers);
    response
}

/// On loopback only `localhost` and IP addresses are taken as `Host`: a page of a stranger whose name was
/// rebound to 127.0.0.1 sends that name.
fn host_is_fine(bound: IpAddr, host: Option<&str>) -> bool {
    if !bound.is_loopback() {
        return true;
    }
    let Some(host) = host else { return true };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name
        .strip_prefix('[')
        .and_then(|n| n.strip_suffix(']'))
        .unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests;
