//! What answers a request.

use crate::{Body, Context, Problem};
use std::{future::Future, pin::Pin};

/// A request on its way to a target.
pub type Request = http::Request<Body>;

/// A reply on its way to the caller.
pub type Reply = http::Response<Body>;

/// What went wrong in a part of what a reply reports, for the log and never sent: the handler leaves it among the reply's
/// extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartCause(pub String);

/// Why the way of a request ended before its target: `?` is the only control flow of `answer`.
#[derive(Debug)]
pub enum Halt {
    /// Refused.
    Problem(Box<Problem>),
    /// Answered early: from the cache, a preflight, a replay.
    Reply(Box<Reply>),
}

impl From<Problem> for Halt {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}

impl From<Reply> for Halt {
    fn from(reply: Reply) -> Self {
        Self::Reply(Box::new(reply))
    }
}

/// What [`Handler::handle`] returns.
pub type HandlerFuture<'a> = Pin<Box<dyn Future<Output = Result<Reply, Problem>> + Send + 'a>>;

/// A target inside the process: a resource, a document, a fixed reply. The gateway calls it without knowing
/// what is behind.
pub trait Handler: Send + Sync {
    /// Answers one request. The path is whole, as the client sent it.
    fn handle<'a>(&'a self, context: &'a mut Context, request: Request) -> HandlerFuture<'a>;
}
