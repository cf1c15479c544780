//! What a reply's body goes through on its way out: its bytes are counted, and when the last one left, or the
//! caller did, the exchange is recorded, once.

use crate::{answer::Way, gateway::Seat, listen::guard::Shared};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, Version, request};
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
};
use stoa_exchange::{Body, BodyError, Context, Record, clock};

/// The body of a reply, counted.
pub(crate) struct Outgoing {
    body: Body,
    /// In a box of its own, since the library moves a reply several times.
    done: Box<Done>,
}

/// What is known of an exchange, and recorded when it is over. Made at its beginning, so that one whose caller left
/// before the reply began is recorded too.
pub(crate) struct Done {
    pub(crate) context: Context,
    /// The request's head, until the reply begins.
    pub(crate) parts: request::Parts,
    /// As they were sent: a target takes the head along.
    method: Method,
    uri: Uri,
    pub(crate) version: Version,
    pub(crate) status: StatusCode,
    pub(crate) way: Way,
    pub(crate) seat: Arc<Seat>,
    shared: Option<Arc<Shared>>,
    sent_bytes: u64,
    /// Whether the reply reached its end: a reply without a body is there from the beginning.
    complete: bool,
}

/// The status of an exchange whose caller left before there was a reply; never sent.
const CALLER_LEFT: u16 = 499;

impl Done {
    /// An exchange begins.
    pub(crate) fn new(
        seat: Arc<Seat>,
        shared: Option<Arc<Shared>>,
        context: Context,
        parts: request::Parts,
    ) -> Box<Self> {
        seat.lane.enter();
        Box::new(Self {
            way: Way::new(&context),
            context,
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            version: parts.version,
            parts,
            status: StatusCode::from_u16(CALLER_LEFT).unwrap_or_default(),
            seat,
            shared,
            sent_bytes: 0,
            complete: false,
        })
    }
}

impl Outgoing {
    pub(crate) fn new(body: Body, mut done: Box<Done>) -> Self {
        // A long reply does not keep what its request took.
        done.parts.headers = HeaderMap::new();
        done.parts.extensions.clear();
        let bodiless = done.method == Method::HEAD || done.status == StatusCode::SWITCHING_PROTOCOLS;
        done.complete = bodiless || body.is_end_stream();
        Self { body, done }
    }
}

impl Outgoing {
    /// Leaves the body out: the reply is whole without it.
    pub(crate) fn leave(&mut self) {
        self.body = Body::Empty;
        self.done.complete = true;
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.body).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    this.done.sent_bytes += data.len() as u64;
                }
                this.done.complete = this.body.is_end_stream();
            }
            Poll::Ready(None) => this.done.complete = true,
            Poll::Ready(Some(Err(error))) => {
                this.done.way.cause = Some(error.to_string());
                if let Some(shared) = &this.done.shared {
                    shared.set_broken();
                }
            }
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        let now = clock::now();
        if let Some(shared) = &self.shared {
            shared.set_answered(now);
        }
        self.seat.lane.leave();
        self.seat.gateway.observer().record(&Record {
            context: &self.context,
            method: &self.method,
            path: self.uri.path(),
            version: self.version,
            status: self.status,
            problem: self.way.problem,
            cause: self.way.cause.as_deref(),
            sent_bytes: self.sent_bytes,
            took: now.saturating_duration_since(self.context.started),
            complete: self.complete,
            endpoint: self.way.endpoint.as_deref(),
        });
    }
}
