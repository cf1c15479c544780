//! Listeners and workers: one thread, one runtime, one listener, one set of pools each.

pub(crate) mod connection;
pub(crate) mod framer;
pub(crate) mod guard;
pub(crate) mod head;
pub(crate) mod http2;
mod proxy_protocol;
pub(crate) mod tls;
pub(crate) mod transport;
pub(crate) mod worker;

use crate::{
    gateway::{self, Gateway},
    upkeep::{self, EndpointView, ServiceView, Upkeep},
};
use arc_swap::ArcSwap;
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};
use stoa_config::plan::Plan;
use worker::{Control, Doors};

/// Connections that the system keeps for a worker that has not come to accept them.
const BACKLOG: i32 = 1024;

/// Running listeners and workers.
pub struct Edge {
    address: SocketAddr,
    workers: Vec<Running>,
    /// The gateway in force.
    current: Arc<ArcSwap<Gateway>>,
}

struct Running {
    control: Arc<Control>,
    thread: Option<JoinHandle<()>>,
    ended: tokio::sync::oneshot::Receiver<()>,
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Requests and tunnels that were cut at the deadline.
    pub cut: usize,
}

impl Edge {
    /// Binds the listener on every worker and starts them. A port that another process holds is refused.
    ///
    /// # Errors
    /// Whatever binding says.
    pub fn start(plan: &Plan, gateway: Arc<Gateway>) -> io::Result<Edge> {
        let (address, listeners) = bind_all(plan.server.http, gateway::workers(&plan.server))?;
        let doors = Arc::new(Doors::new(plan.server.connections_max as usize));
        let mut workers = Vec::with_capacity(listeners.len());
        for (number, listener) in listeners.into_iter().enumerate() {
            let control = Arc::new(Control::new(gateway.clone(), number, doors.clone()));
            let (end, ended) = tokio::sync::oneshot::channel();
            let own = control.clone();
            let thread = std::thread::Builder::new()
                .name(format!("stoa-worker-{number}"))
                .spawn(move || {
                    worker::run(&own, listener);
                    drop(end);
                })?;
            workers.push(Running {
                control,
                thread: Some(thread),
                ended,
            });
        }
        let current = Arc::new(ArcSwap::new(gateway));
        Ok(Edge {
            address,
            workers,
            current,
        })
    }

    /// The address that is served, with the port the system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves `gateway` from the next request on. Connections stay open; requests under way end on the old one.
    pub fn swap(&self, gateway: Arc<Gateway>) {
        for worker in &self.workers {
            worker.control.seat_at(gateway.clone());
        }
        self.current.store(gateway);
    }

    /// What is done beside the requests: to be run once. It ends with the edge.
    pub fn upkeep(&self) -> Upkeep {
        Box::pin(upkeep::keep(Arc::downgrade(&self.current)))
    }

    /// What is known of the addresses of the services.
    pub fn endpoints(&self) -> Vec<EndpointView> {
        self.current.load().endpoints()
    }

    /// What is known of the services.
    pub fn services(&self) -> Vec<ServiceView> {
        self.current.load().services()
    }

    /// Requests under way now, tunnels too.
    pub fn active(&self) -> usize {
        self.workers
            .iter()
            .map(|worker| worker.control.lane.active())
            .sum()
    }

    /// Stops accepting, closes idle connections, waits for requests under way at most `longest`, stops the workers.
    pub async fn drain(mut self, longest: Duration) -> Drained {
        for worker in &self.workers {
            worker.control.drain();
        }
        let all = async {
            for worker in &mut self.workers {
                drop((&mut worker.ended).await);
            }
        };
        let in_time = tokio::time::timeout(longest, all).await.is_ok();
        let cut = if in_time { 0 } else { self.active() };
        for worker in &mut self.workers {
            worker.control.cut();
            if let Some(thread) = worker.thread.take() {
                // Told to end, it only has to drop what it holds.
                drop(thread.join());
            }
        }
        Drained { cut }
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        for worker in &self.workers {
            worker.control.cut();
        }
    }
}

/// One listener per worker on the same port. Sharing is among ourselves only: a port that is already served is
/// found out by a socket that does not share.
fn bind_all(address: SocketAddr, workers: usize) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    if address.port() != 0 {
        let probe = socket(address)?;
        probe.bind(&address.into())?;
        probe.listen(1)?;
    }
    let first = bind(address)?;
    let address = first.local_addr()?;
    let mut all = vec![first];
    for _ in 1..workers {
        all.push(bind(address)?);
    }
    Ok((address, all))
}

/// Options of every connection, in and out: small writes leave at once, and a peer that is gone without a word is
/// noticed, which ends tunnels that nobody speaks in.
pub(crate) fn tune(stream: &tokio::net::TcpStream) -> io::Result<()> {
    const SILENCE: Duration = Duration::from_mins(1);
    const PROBE: Duration = Duration::from_secs(15);
    stream.set_nodelay(true)?;
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(SILENCE)
        .with_interval(PROBE);
    socket2::SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket(address)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    Ok(socket)
}
