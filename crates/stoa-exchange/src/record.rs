//! What is told about an exchange when it has ended.

use crate::Context;
use http::{Method, StatusCode, Version};
use std::time::Duration;

/// One line of the access record, handed to the observer when the last byte of a reply left or the caller did.
#[derive(Debug)]
pub struct Record<'a> {
    /// The exchange.
    pub context: &'a Context,
    /// Method.
    pub method: &'a Method,
    /// Raw path without the query, which may hold personal data.
    pub path: &'a str,
    /// Version of HTTP that the request came over.
    pub version: Version,
    /// Status.
    pub status: StatusCode,
    /// Code of the problem, when the reply is one of ours.
    pub problem: Option<&'static str>,
    /// Cause of the problem, for the log only.
    pub cause: Option<&'a str>,
    /// Bytes of the reply's body that were sent.
    pub sent_bytes: u64,
    /// From the head of the request to the end of the reply.
    pub took: Duration,
    /// Whether the reply reached its end.
    pub complete: bool,
    /// The endpoint that answered, when one did.
    pub endpoint: Option<&'a str>,
}

/// An address of a service is used no more, or again.
#[derive(Debug)]
pub struct EndpointTurn<'a> {
    /// Name of the service.
    pub service: &'a str,
    /// The address, as a URL.
    pub endpoint: &'a str,
    /// Whether it is in use from now on.
    pub in_use: bool,
    /// Why, for people.
    pub why: &'a str,
}

/// Who keeps records and counts. Called on the worker: must not block.
pub trait Observer: Send + Sync {
    /// One exchange ended.
    fn record(&self, record: &Record<'_>);

    /// The use of an address of a service changed. Called once per change.
    fn endpoint(&self, _turn: &EndpointTurn<'_>) {}

    /// The name of an address of a service cannot be looked up (`found` is false), or can again. Called once per change.
    fn name(&self, _service: &str, _endpoint: &str, _found: bool) {}

    /// A copy of a request for another service came to its end, or was not made.
    fn mirrored(&self, service: &str, outcome: Mirrored) {
        let _ = (service, outcome);
    }
}

/// What became of a copy of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mirrored {
    /// Answered by its service.
    Answered,
    /// Not answered, or with a server's error.
    Failed,
    /// Not sent: too long, or too many under way.
    LeftOut,
}

impl Mirrored {
    /// As a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed => "failed",
            Self::LeftOut => "left_out",
        }
    }
}
