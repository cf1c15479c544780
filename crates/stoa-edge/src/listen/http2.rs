//! HTTP/2 on a connection of a client: over TLS by ALPN, over a plain socket by prior knowledge (RFC 9113 section 3).

mod frames;
mod guard;
mod request;
mod wire;

use super::{
    connection::{Arrived, Begun, Shutdown, begin, run},
    head::Refusal,
    transport::Transport,
    worker::Control,
};
use crate::{answer, record::Outgoing};
use frames::Limits;
use guard::Guard;
use http::{HeaderValue, Method, StatusCode, header};
use http_body::Body as _;
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

/// What a client of HTTP/2 sends first (RFC 9113 section 3.4).
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes of a request's body, and of all bodies of a connection, that a client may send before they are read.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;

/// Bytes of a reply that wait for the client to take them.
const SEND_BYTES_MAX: usize = 64 * 1024;

/// What a client must take of a reply whose window it keeps short, bytes a second.
const TAKEN_A_SECOND_MIN: u64 = 500;

/// Requests that were taken back before the library began with them.
const RESET_EARLY_MAX: usize = 250;
/// Requests that the library took back for a fault of the client's.
const RESET_FAULTY_MAX: usize = 200;

/// How often a client is asked whether it is there, and how long it has to say so.
const PING: Duration = Duration::from_mins(1);
const PONG: Duration = Duration::from_secs(20);

/// Serves a connection of which `first` was read already until it ends.
pub(crate) async fn serve<T: Transport>(control: &Arc<Control>, stream: T, first: Vec<u8>, arrived: Arrived) {
    let (bounds, waits, streams_max) = {
        let settings = &control.seat().gateway.settings;
        (settings.bounds, settings.waits, settings.streams_max)
    };
    let limits = Limits {
        head_bytes_max: bounds.head_bytes_max as u64,
        streams_max,
        head: waits.head,
        idle: waits.idle,
        write: waits.write,
        rate: TAKEN_A_SECOND_MIN,
    };
    let guard = Guard::new(stream, first, limits);
    let arrived = Arc::new(arrived);
    let own = control.clone();
    let service = service_fn(move |request: http::Request<Incoming>| {
        let (mut parts, body) = request.into_parts();
        let judged = request::judge(&mut parts, &bounds);
        let begun = begin(&own, None, &arrived, http::Request::from_parts(parts, body));
        Box::pin(exchange(own.clone(), judged, begun))
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(streams_max)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_send_buf_size(SEND_BYTES_MAX)
        .max_header_list_size(u32::try_from(bounds.head_bytes_max).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESET_EARLY_MAX)
        .max_local_error_reset_streams(RESET_FAULTY_MAX)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG);
    let connection = pin!(builder.serve_connection(TokioIo::new(guard), service));
    // How it ended is the client's: what was not answered to its end is recorded as such.
    drop(run(control, connection).await);
}

impl<I, S> Shutdown for http2::Connection<I, S, TokioExecutor>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    S: hyper::service::HttpService<Incoming, ResBody = Outgoing>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Send + 'static,
{
    fn shutdown(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// One request of a connection.
async fn exchange(
    control: Arc<Control>,
    judged: Result<(), Refusal>,
    begun: Begun,
) -> Result<http::Response<Outgoing>, Infallible> {
    let bounds = control.seat().gateway.settings.bounds;
    let head_only = begun.done.parts.method == Method::HEAD;
    let mut reply = match judged {
        Err(refusal) => answer::refuse(begun.done, refusal.problem(&bounds)),
        Ok(()) => answer::exchange(begun.done, begun.body).await,
    };
    // The library leaves it to us what has no content.
    let status = reply.status();
    if head_only || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED {
        if let Some(length) = reply
            .body()
            .size_hint()
            .exact()
            .filter(|length| *length > 0 && head_only)
        {
            reply
                .headers_mut()
                .entry(header::CONTENT_LENGTH)
                .or_insert_with(|| HeaderValue::from(length));
        }
        reply.body_mut().leave();
    }
    Ok(reply)
}
