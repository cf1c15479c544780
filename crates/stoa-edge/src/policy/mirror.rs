//! A copy of requests for another service.
//!
//! It can never hurt the caller: the request goes its way and is copied on the side, nobody waits for the copy, its number,
//! size and time are bounded, what is over a bound is not copied, and nobody reads its reply. It is marked, so that the
//! service can tell.

use super::{share, shed::Limiter};
use crate::{
    answer::Way,
    gateway::Seat,
    target::upstream::{Call, Service},
};
use bytes::{Bytes, BytesMut};
use http::{Request, header, request};
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context as TaskContext, Poll},
    time::Duration,
};
use stoa_config::plan::{self, Timeouts};
use stoa_exchange::{Body, BodyError, Context, Mirrored, Trail, clock, read_to_limit};
use tokio::time::timeout;

/// Copies of a route under way at once in this process.
const IN_FLIGHT_MAX: usize = 64;
/// What a copy may take in all.
const TIME_MAX: Duration = Duration::from_secs(10);
/// What is read of a reply, so that its connection can serve the next copy.
const REPLY_BYTES_MAX: u64 = 1024 * 1024;

/// In a request's extensions: it is a copy, and its service is told.
#[derive(Clone, Copy)]
pub(crate) struct IsCopy;

pub(crate) struct Mirror {
    service: Arc<Service>,
    timeouts: Timeouts,
    limiter: Option<Arc<Limiter>>,
    share: u8,
    body_bytes_max: u64,
    in_flight: Arc<AtomicUsize>,
}

impl Mirror {
    pub(crate) fn of(
        mirror: &plan::Mirror,
        service: Arc<Service>,
        timeouts: Timeouts,
        limiter: Option<Arc<Limiter>>,
    ) -> Self {
        let total = timeouts.total.map_or(TIME_MAX, |total| total.min(TIME_MAX));
        Self {
            service,
            timeouts: Timeouts {
                total: Some(total),
                ..timeouts
            },
            limiter,
            share: mirror.share,
            body_bytes_max: mirror.body_bytes_max,
            in_flight: Arc::default(),
        }
    }

    /// Copies a request whose turn it is. What comes back is its body, which is copied while it is read.
    pub(crate) fn copy(
        &self,
        seat: &Arc<Seat>,
        context: &mut Context,
        parts: &request::Parts,
        body: Body,
    ) -> Body {
        if !share::chosen(self.share) || parts.headers.contains_key(header::UPGRADE) {
            return body;
        }
        let long = body.size_hint().lower() > self.body_bytes_max;
        let Some(slot) = Slot::take(&self.in_flight).filter(|_| !long) else {
            seat.gateway
                .observer()
                .mirrored(&self.service.name, Mirrored::LeftOut);
            return body;
        };
        context
            .trail
            .note("mirror", || serde_json::json!(&*self.service.name));
        let copy = Copy {
            seat: seat.clone(),
            service: self.service.clone(),
            limiter: self.limiter.clone(),
            timeouts: self.timeouts,
            parts: head(parts),
            context: alike(context),
            slot,
        };
        match body {
            Body::Empty => {
                copy.go(Bytes::new());
                Body::Empty
            }
            Body::Full(bytes) => {
                copy.go(bytes.clone());
                Body::Full(bytes)
            }
            body => Body::stream(Tee {
                body,
                kept: BytesMut::new(),
                bytes_max: self.body_bytes_max,
                copy: Some(copy),
            }),
        }
    }

    /// For `stoa route`.
    pub(crate) fn in_words(&self) -> String {
        format!("{}% to {}", self.share, self.service.name)
    }
}

/// One of the copies that may be under way.
struct Slot(Arc<AtomicUsize>);

impl Slot {
    fn take(all: &Arc<AtomicUsize>) -> Option<Self> {
        if all.fetch_add(1, Relaxed) < IN_FLIGHT_MAX {
            return Some(Self(all.clone()));
        }
        all.fetch_sub(1, Relaxed);
        None
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

fn head(parts: &request::Parts) -> request::Parts {
    let (mut own, ()) = Request::new(()).into_parts();
    own.method = parts.method.clone();
    own.uri = parts.uri.clone();
    own.headers = parts.headers.clone();
    own.extensions.insert(IsCopy);
    own
}

/// What a copy knows of its exchange: as whom it goes is in its head.
fn alike(context: &Context) -> Context {
    Context {
        request_id: context.request_id.clone(),
        trace: context.trace,
        peer: context.peer,
        client: context.client,
        scheme: context.scheme,
        host: context.host.clone(),
        identity: context.identity.clone(),
        credentials: context.credentials,
        route: context.route.clone(),
        started: clock::now(),
        deadline: None,
        body_bytes_max: context.body_bytes_max,
        trail: Trail::off(),
    }
}

/// A copy that waits for its body.
struct Copy {
    seat: Arc<Seat>,
    service: Arc<Service>,
    limiter: Option<Arc<Limiter>>,
    timeouts: Timeouts,
    parts: request::Parts,
    context: Context,
    slot: Slot,
}

impl Copy {
    fn go(self, body: Bytes) {
        tokio::spawn(async move {
            let (gateway, name) = (self.seat.gateway.clone(), self.service.clone());
            let outcome = self.send(body).await;
            gateway.observer().mirrored(&name.name, outcome);
        });
    }

    async fn send(mut self, body: Bytes) -> Mirrored {
        let _slot = self.slot;
        let permit = match &self.limiter {
            Some(limiter) => match limiter.try_enter() {
                Some(permit) => Some(permit),
                None => return Mirrored::LeftOut,
            },
            None => None,
        };
        // The wait begins when the body is there.
        self.context.started = clock::now();
        let mut way = Way::new(&self.context);
        let call = Call {
            seat: &self.seat,
            context: &mut self.context,
            way: &mut way,
            timeouts: self.timeouts,
            retry_always: false,
        };
        let whole = async {
            let reply = self.service.send(call, &mut self.parts, Body::full(body)).await;
            if let Some(permit) = permit {
                permit.answered(&reply, None);
            }
            let reply = reply.ok()?;
            let good = !reply.status().is_server_error();
            let read = read_to_limit(reply.into_body(), REPLY_BYTES_MAX).await;
            (good && read.is_ok()).then_some(())
        };
        match timeout(TIME_MAX, whole).await {
            Ok(Some(())) => Mirrored::Answered,
            _ => Mirrored::Failed,
        }
    }
}

/// A body that is kept while it is read. Broken off, or over its bound, it is no copy.
struct Tee {
    body: Body,
    kept: BytesMut,
    bytes_max: u64,
    copy: Option<Copy>,
}

impl Tee {
    fn keep(&mut self, frame: &Frame<Bytes>) {
        let Some(data) = frame.data_ref() else { return };
        if (self.kept.len() + data.len()) as u64 > self.bytes_max {
            if let Some(copy) = self.copy.take() {
                let observer = copy.seat.gateway.observer();
                observer.mirrored(&copy.service.name, Mirrored::LeftOut);
            }
            self.kept = BytesMut::new();
        } else if self.copy.is_some() {
            self.kept.extend_from_slice(data);
        }
    }

    fn end(&mut self) {
        if let Some(copy) = self.copy.take() {
            copy.go(std::mem::take(&mut self.kept).freeze());
        }
    }
}

impl HttpBody for Tee {
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
                this.keep(frame);
                if this.body.is_end_stream() {
                    this.end();
                }
            }
            Poll::Ready(None) => this.end(),
            Poll::Ready(Some(Err(_))) => this.copy = None,
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
