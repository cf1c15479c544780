//! A service's reply on its way to the client.

use super::{Call, Service, flight::Flight, pool::Connection, send::Answer, tunnel};
use crate::headers;
use bytes::Bytes;
use http::{StatusCode, Version, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use std::{
    pin::Pin,
    task::{Context as TaskContext, Poll},
    time::{Duration, Instant},
};
use stoa_exchange::{Body, BodyError, Problem, Reply, clock};

/// Makes the reply of a service ours.
pub(super) fn finish(
    service: &Service,
    call: &Call<'_>,
    answer: Answer,
    asked: Option<tunnel::Asked>,
) -> Result<Reply, Problem> {
    let Answer {
        reply,
        connection,
        flight,
    } = answer;
    if reply.status() == StatusCode::SWITCHING_PROTOCOLS {
        return match asked {
            Some(asked) => Ok(tunnel::open(call.seat, asked, reply, (service.websocket, flight))),
            None => Err(service.bad_gateway("changed the protocol unasked")),
        };
    }
    let (mut parts, incoming) = reply.into_parts();
    headers::strip_hop_by_hop(&mut parts.headers);
    if headers::has(&parts.headers, &header::SERVER) {
        parts.headers.remove(header::SERVER);
    }
    // A service's version is between it and us (RFC 9110 section 2.5); the library lowers ours for the client.
    parts.version = Version::HTTP_11;
    parts.extensions.clear();
    // The whole reply was read already, so its connection is free before the client has it.
    let whole = connection.sender.is_ready();
    let mut body = FromService {
        incoming,
        connection: Some(connection),
        flight,
        worker: call.seat.worker,
        idle: call.timeouts.idle,
        until: call.timeouts.total.map(|total| call.context.started + total),
        waits_until: None,
        broken: None,
    };
    let empty = body.incoming.is_end_stream();
    if whole || empty {
        body.give_back();
    }
    let body = match (empty, whole) {
        (true, _) => Body::Empty,
        (false, true) => Body::Incoming(body.incoming),
        (false, false) => Body::stream(body),
    };
    Ok(Reply::from_parts(parts, body))
}

/// The body of a reply. When it ends, its connection goes back to the pool; dropped before, it takes the
/// connection with it, which tells the service that nobody listens.
struct FromService {
    incoming: Incoming,
    /// `None` once it was given back, or broke.
    connection: Option<Box<Connection>>,
    flight: Flight,
    worker: usize,
    idle: Duration,
    until: Option<Instant>,
    /// When the wait for the next part ends, while there is one.
    waits_until: Option<Instant>,
    /// How the body broke, before that was told.
    broken: Option<BodyError>,
}

impl FromService {
    fn give_back(&mut self) {
        self.flight.end();
        let Some(mut connection) = self.connection.take() else {
            return;
        };
        let worker = self.worker;
        if connection.sender.is_ready() || connection.sender.is_closed() {
            self.flight.endpoint.put(worker, connection);
            return;
        }
        let endpoint = self.flight.endpoint.clone();
        // Answered before the request was whole. The rest is the service's too, in the pace that its client must keep.
        tokio::spawn(async move {
            if connection.ready().await {
                endpoint.put(worker, connection);
            }
        });
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
        if let Some(error) = this.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let mut polled = Pin::new(&mut this.incoming).poll_frame(cx);
        if polled.is_pending()
            && let Some(connection) = &mut this.connection
        {
            connection.drive(cx);
            polled = Pin::new(&mut this.incoming).poll_frame(cx);
        }
        match polled {
            Poll::Ready(Some(Ok(frame))) => {
                this.waits_until = None;
                // Nothing comes behind trailers, and nobody asks again.
                if this.incoming.is_end_stream() || frame.is_trailers() {
                    this.give_back();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                // Told a turn later: the library throws away what it has not sent yet when it hears of it.
                this.connection = None;
                this.broken = Some(BodyError::Broken(error));
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(None) => {
                this.give_back();
                Poll::Ready(None)
            }
            Poll::Pending => {
                let (idle, end) = (this.idle, this.until);
                let until = *this.waits_until.get_or_insert_with(|| {
                    let pause = clock::now() + idle;
                    end.map_or(pause, |end| end.min(pause))
                });
                let Some(connection) = &mut this.connection else {
                    return Poll::Pending;
                };
                if connection.timer.poll_until(until, cx).is_ready() {
                    this.connection = None;
                    return Poll::Ready(Some(Err(BodyError::Stalled)));
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream() && self.broken.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
