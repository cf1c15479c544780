//! A service's reply on its way to the client.

use super::{
    Call, Service,
    pool::{Connection, Endpoint},
    tunnel,
};
use crate::headers;
use bytes::Bytes;
use http::{StatusCode, Version, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::{Duration, Instant},
};
use stoa_exchange::{Body, BodyError, Problem, Reply, clock};
use tokio::time::Sleep;

/// Makes the reply of a service ours.
pub(super) fn finish(
    service: &Service,
    endpoint: &Arc<Endpoint>,
    call: &Call<'_>,
    (reply, connection): (http::Response<Incoming>, Connection),
    asked: Option<tunnel::Asked>,
) -> Result<Reply, Problem> {
    if reply.status() == StatusCode::SWITCHING_PROTOCOLS {
        return match asked {
            Some(asked) => Ok(tunnel::open(call.seat, asked, reply)),
            None => Err(service.bad_gateway("changed the protocol unasked")),
        };
    }
    let (mut parts, incoming) = reply.into_parts();
    headers::strip_hop_by_hop(&mut parts.headers);
    parts.headers.remove(header::SERVER);
    // A service's version is between it and us (RFC 9110 section 2.5); the library lowers ours for the client.
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    let mut body = FromService {
        incoming,
        back: Some((endpoint.clone(), call.seat.worker, connection)),
        idle: call.timeouts.idle,
        until: call.timeouts.total.map(|total| call.context.started + total),
        timer: None,
    };
    if body.incoming.is_end_stream() {
        body.give_back();
        return Ok(Reply::from_parts(parts, Body::Empty));
    }
    Ok(Reply::from_parts(parts, Body::stream(body)))
}

/// The body of a reply. When it ends, its connection goes back to the pool; dropped before, it takes the
/// connection with it, which tells the service that nobody listens.
struct FromService {
    incoming: Incoming,
    back: Option<(Arc<Endpoint>, usize, Connection)>,
    idle: Duration,
    until: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl FromService {
    fn give_back(&mut self) {
        if let Some((endpoint, worker, connection)) = self.back.take() {
            endpoint.put(worker, connection);
        }
    }
}

impl HttpBody for FromService {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.incoming).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                this.timer = None;
                if this.incoming.is_end_stream() {
                    this.give_back();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.back = None;
                Poll::Ready(Some(Err(BodyError::Broken(error))))
            }
            Poll::Ready(None) => {
                this.give_back();
                Poll::Ready(None)
            }
            Poll::Pending => {
                let (idle, until) = (this.idle, this.until);
                let timer = this.timer.get_or_insert_with(|| {
                    let pause = clock::now() + idle;
                    let end = until.map_or(pause, |until| until.min(pause));
                    Box::pin(tokio::time::sleep_until(end.into()))
                });
                if timer.as_mut().poll(cx).is_ready() {
                    this.back = None;
                    return Poll::Ready(Some(Err(BodyError::Stalled)));
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
