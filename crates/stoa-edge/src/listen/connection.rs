//! One connection of a client.

use super::{
    guard::{Guard, Shared},
    http2, proxy_protocol,
    transport::Transport,
    worker::{Control, Phase},
};
use crate::{
    answer,
    headers::forwarded,
    record::{Done, Outgoing},
};
use http::{HeaderValue, StatusCode, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};
use stoa_exchange::{Body, Problem, Scheme, codes};
use tokio::{net::TcpStream, time::Sleep};

/// What a connection is told for which there is no place.
pub(crate) fn full() -> String {
    let problem = Problem::new(&codes::UNAVAILABLE, "too many connections are open");
    let body = problem.to_json(None);
    let body = body.to_string();
    format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\nretry-after: 1\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// hyper's own bound of the number of fields; with any other it allocates for every head.
const HYPER_FIELDS_MAX: usize = 100;

/// How long an idle connection stays open once the worker drains: a request that its client is just sending
/// still gets its reply, with `Connection: close`.
const GRACE: Duration = Duration::from_millis(500);

/// How a connection arrived.
pub(crate) struct Arrived {
    pub(crate) peer: SocketAddr,
    /// What it speaks.
    pub(crate) scheme: Scheme,
    /// The client's certificate, as `Client-Cert` has it.
    pub(crate) client_cert: Option<HeaderValue>,
}

impl Arrived {
    /// Over a plain socket.
    pub(crate) fn plain(peer: SocketAddr) -> Self {
        Self {
            peer,
            scheme: Scheme::Http,
            client_cert: None,
        }
    }
}

/// Serves a connection until it ends.
pub(crate) async fn serve(control: &Arc<Control>, mut stream: TcpStream, peer: SocketAddr) {
    let seat = control.seat();
    let mut arrived = Arrived::plain(peer);
    if forwarded::is_trusted(&seat.gateway.settings.proxy_protocol, peer.ip()) {
        let longest = seat.gateway.settings.waits.head;
        let reading = Box::pin(tokio::time::timeout(longest, proxy_protocol::read(&mut stream)));
        let Some(Ok(Ok(said))) = while_serving(control, reading).await else {
            return;
        };
        arrived.peer = said.peer.unwrap_or(peer);
        arrived.scheme = said.scheme.unwrap_or(Scheme::Http);
    }
    drop(seat);
    let Some(certificates) = control.seat().gateway.certificates().cloned() else {
        return match sniff(control, &stream).await {
            Some(first) if first.starts_with(http2::PREFACE) => {
                Box::pin(http2::serve(control, stream, first, arrived)).await;
            }
            Some(first) => http1(control, stream, &first, arrived).await,
            None => {}
        };
    };
    // In a box of its own, since it is large and soon over.
    let shaking = Box::pin(certificates.accept(stream));
    // A client that does not shake hands is of no use in a log: it is a scanner, or was told by its own library.
    let Some(Ok(shaken)) = while_serving(control, shaking).await else {
        return;
    };
    arrived.scheme = Scheme::Https;
    arrived.client_cert = shaken.client_cert;
    // In a box too: what TLS keeps must not make plain connections larger.
    if shaken.h2 {
        Box::pin(http2::serve(control, shaken.stream, Vec::new(), arrived)).await;
    } else {
        Box::pin(http1(control, shaken.stream, &[], arrived)).await;
    }
}

/// The first bytes of a plain connection, as many as tell what it speaks; `None` when nothing comes.
async fn sniff(control: &Control, stream: &TcpStream) -> Option<Vec<u8>> {
    let longest = control.seat().gateway.settings.waits.head;
    let first = async {
        let mut first = Vec::new();
        loop {
            stream.readable().await.ok()?;
            let mut space = [0; 4096];
            match stream.try_read(&mut space) {
                Ok(0) if first.is_empty() => return None,
                // Half-closed, which HTTP/1 lets a client do.
                Ok(0) => return Some(first),
                Ok(read) => first.extend_from_slice(space.get(..read)?),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => continue,
                Err(_) => return None,
            }
            if first.len() >= http2::PREFACE.len() || !http2::PREFACE.starts_with(&first) {
                return Some(first);
            }
        }
    };
    let first = pin!(tokio::time::timeout(longest, first));
    while_serving(control, first).await?.ok()?
}

/// Waits for what comes before the first request, no longer than the grace once the worker drains.
async fn while_serving<F: Future + Unpin>(control: &Control, mut waiting: F) -> Option<F::Output> {
    let mut watched = Watched {
        control,
        number: None,
    };
    let mut grace: Option<Pin<Box<Sleep>>> = None;
    poll_fn(|cx| {
        if watched.number.is_none() {
            watched.number = Some(control.watch(cx.waker().clone()));
        }
        if let Poll::Ready(output) = Pin::new(&mut waiting).poll(cx) {
            return Poll::Ready(Some(output));
        }
        if control.phase() == Phase::Serving {
            return Poll::Pending;
        }
        let grace = grace.get_or_insert_with(|| Box::pin(tokio::time::sleep(GRACE)));
        grace.as_mut().poll(cx).map(|()| None)
    })
    .await
}

/// HTTP/1 on a connection of which `first` was read already.
async fn http1<T: Transport>(control: &Arc<Control>, stream: T, first: &[u8], arrived: Arrived) {
    let shared = Arc::new(Shared::default());
    let (bounds, waits) = {
        let seat = control.seat();
        (seat.gateway.settings.bounds, seat.gateway.settings.waits)
    };
    let guard = Guard::new(stream, first, shared.clone(), bounds, waits);
    let heads = AtomicU64::new(0);
    let service = service_fn(|request| {
        let number = heads.fetch_add(1, Relaxed) + 1;
        let begun = begin(control, Some(&shared), &arrived, request);
        // In a box of its own: the library keeps room for this future on idle connections too.
        Box::pin(exchange(control.clone(), shared.clone(), number, begun))
    });
    let mut builder = http1::Builder::new();
    // The guard holds all bounds already; these only must not be narrower.
    builder.max_buf_size((bounds.head_bytes_max + 4096).max(64 * 1024));
    if bounds.fields_max > HYPER_FIELDS_MAX {
        builder.max_headers(bounds.fields_max);
    }
    let connection = pin!(
        builder
            .serve_connection(TokioIo::new(guard), service)
            .with_upgrades()
    );
    if run(control, connection).await.is_err() {
        // Whatever the client has of the reply, it must not take it for whole.
        shared.set_broken();
    }
}

/// Drives a connection; when the worker drains, closes it once it is idle.
pub(super) async fn run<C>(control: &Arc<Control>, mut connection: Pin<&mut C>) -> hyper::Result<()>
where
    C: Future<Output = hyper::Result<()>> + Shutdown,
{
    let mut watched = Watched {
        control,
        number: None,
    };
    let mut grace: Option<Pin<Box<Sleep>>> = None;
    let mut told = false;
    poll_fn(|cx| {
        if watched.number.is_none() {
            watched.number = Some(control.watch(cx.waker().clone()));
        }
        if !told && control.phase() != Phase::Serving {
            let grace = grace.get_or_insert_with(|| Box::pin(tokio::time::sleep(GRACE)));
            if grace.as_mut().poll(cx).is_ready() {
                told = true;
                connection.as_mut().shutdown();
            }
        }
        connection.as_mut().poll(cx)
    })
    .await
}

/// A connection that can be told to end after the reply under way.
pub(super) trait Shutdown {
    fn shutdown(self: Pin<&mut Self>);
}

impl<I, S> Shutdown for http1::UpgradeableConnection<I, S>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    S: hyper::service::HttpService<Incoming, ResBody = Outgoing>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn shutdown(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

struct Watched<'a> {
    control: &'a Control,
    number: Option<u64>,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.control.unwatch(number);
        }
    }
}

/// A request of a connection before it is answered.
pub(super) struct Begun {
    pub(super) done: Box<Done>,
    pub(super) body: Body,
    wants_upgrade: bool,
}

/// Notes what is known of a request at its beginning. Not part of the future that answers it, which would then have
/// room for the request twice and move all of that.
pub(super) fn begin(
    control: &Control,
    shared: Option<&Arc<Shared>>,
    arrived: &Arrived,
    request: http::Request<Incoming>,
) -> Begun {
    let seat = control.seat();
    let (parts, body) = request.into_parts();
    let context = seat.gateway.context(arrived, &parts.headers);
    let body = if hyper::body::Body::is_end_stream(&body) {
        Body::Empty
    } else {
        Body::Incoming(body)
    };
    // As the guard sees it: behind a body nothing else can begin.
    let wants_upgrade =
        parts.extensions.get::<hyper::upgrade::OnUpgrade>().is_some() && matches!(body, Body::Empty);
    let mut done = Done::new(seat, shared.cloned(), context, parts);
    done.way.client_cert.clone_from(&arrived.client_cert);
    Begun {
        done,
        body,
        wants_upgrade,
    }
}

/// One request of a connection.
async fn exchange(
    control: Arc<Control>,
    shared: Arc<Shared>,
    number: u64,
    begun: Begun,
) -> Result<http::Response<Outgoing>, Infallible> {
    if let Some(refusal) = shared.refusal(number) {
        let problem = refusal.problem(&begun.done.seat.gateway.settings.bounds);
        return Ok(answer::refuse(begun.done, problem));
    }
    let mut reply = answer::exchange(begun.done, begun.body).await;
    if begun.wants_upgrade {
        shared.decide(reply.status() == StatusCode::SWITCHING_PROTOCOLS);
    }
    if control.phase() != Phase::Serving && reply.status() != StatusCode::SWITCHING_PROTOCOLS {
        reply
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(reply)
}
