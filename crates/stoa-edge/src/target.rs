//! Where a route ends.

pub(crate) mod own;
pub(crate) mod split;
pub(crate) mod upstream;

use crate::{answer::Way, gateway::Seat};
use http::{Method, request};
use own::Own;
use serde_json::Value;
use split::Split;
use std::sync::Arc;
use stoa_config::plan::Timeouts;
use stoa_exchange::{Body, Context, Handler, Problem, Reply, Request};
use upstream::{Call, Service};

/// Where a route ends.
pub(crate) enum Target {
    /// A service, how long this route waits for it, and whether it may be asked again whatever the method.
    Service(Arc<Service>, Timeouts, bool),
    /// One of several services.
    Split(Box<Split>),
    /// Here, with an answer of the route's own.
    Own(Own),
    /// A resource.
    Resource(Arc<dyn Handler>),
    /// A document.
    Document(Arc<dyn Handler>),
}

impl Target {
    /// Has the request answered.
    pub(crate) async fn call(
        &self,
        seat: &Seat,
        context: &mut Context,
        way: &mut Way,
        parts: &mut request::Parts,
        body: Body,
    ) -> Result<Reply, Problem> {
        match self {
            Self::Service(service, timeouts, retry_always) => {
                let call = Call {
                    seat,
                    context,
                    way,
                    timeouts: *timeouts,
                    retry_always: *retry_always,
                };
                // In a box of its own: a resource's request does not carry room for it.
                Box::pin(service.send(call, parts, body)).await
            }
            Self::Split(split) => Box::pin(split.call(seat, context, way, parts, body)).await,
            Self::Own(own) => own.answer(context, parts),
            Self::Resource(handler) | Self::Document(handler) => {
                let reply = handler.handle(context, taken(parts, body)).await;
                // What broke the body is the caller's to know, whatever the handler made of it.
                match (reply, way.progress.as_ref().and_then(|p| p.problem())) {
                    (Err(_), Some(broken)) => Err(broken),
                    (reply, _) => reply,
                }
            }
        }
    }

    /// Whether a request goes on to another server.
    pub(crate) fn forwards(&self) -> bool {
        matches!(self, Self::Service(..) | Self::Split(_))
    }

    /// For `stoa route`.
    pub(crate) fn in_words(&self) -> String {
        match self {
            Self::Service(service, ..) => format!("service {}", service.name),
            Self::Split(split) => split.in_words(),
            Self::Own(own) => own.in_words(),
            Self::Resource(_) => "resource".to_owned(),
            Self::Document(_) => "document".to_owned(),
        }
    }

    /// How a service is asked, for `stoa route`; nothing for another target.
    pub(crate) fn upstream_in_words(&self, method: &Method) -> Value {
        match self {
            Self::Service(service, _, always) => service.in_words(*always, method),
            Self::Split(split) => split.upstream_in_words(method),
            Self::Own(_) | Self::Resource(_) | Self::Document(_) => Value::Null,
        }
    }

    /// Who may, where the route has no rule of its own.
    pub(crate) fn access_in_words(&self) -> &'static str {
        match self {
            Self::Resource(_) => "judged by the resource",
            Self::Service(..) | Self::Split(_) | Self::Own(_) | Self::Document(_) => "public",
        }
    }
}

/// The request, which goes to its target whole.
fn taken(parts: &mut request::Parts, body: Body) -> Request {
    let (empty, _) = Request::default().into_parts();
    Request::from_parts(std::mem::replace(parts, empty), body)
}
