//! The gateway half: listen, route, answer, targets. Knows no database.
//!
//! A [`Gateway`] is built from a plan and never changes; [`Edge`] is the running listeners and workers that
//! serve one gateway at a time. Reload builds another gateway beside it and swaps.

pub mod codes;
pub mod policy;

pub use policy::auth::token;

use std::{collections::HashMap, io, net::SocketAddr, sync::Arc, time::Duration};
use stoa_config::{fault::Fault, plan::Plan};
use stoa_exchange::{Handler, Observer, Reply, Request};

/// The routes, policies and targets of one plan. Immutable.
pub struct Gateway {}

/// What the binary hands to a gateway beside the plan.
pub struct Parts {
    /// The handler of each resource, by name. Reached at `/{name}`, `/{name}/{id}` and `/rest/v1/{name}`; it
    /// judges access itself, since its rules look at rows.
    pub resources: HashMap<String, Arc<dyn Handler>>,
    /// Handlers of exact paths or prefixes ending in `/` (`/openapi.json`, `/docs`, `/docs/`), public, GET and HEAD.
    pub documents: Vec<(String, Arc<dyn Handler>)>,
    /// Keeps records and counts.
    pub observer: Arc<dyn Observer>,
    /// Whether `Stoa-Explain: 1` is answered for everybody (`dev`).
    pub explain: bool,
}

impl Gateway {
    /// Builds the gateway of a plan: reads key files, compiles the route table. `before` is the gateway that it
    /// will replace: pools and limits whose identity is unchanged are carried over.
    ///
    /// # Errors
    /// Faults of files the plan names (keys that cannot be read or are refused).
    pub fn build(_plan: &Arc<Plan>, _parts: Parts, _before: Option<&Gateway>) -> Result<Gateway, Vec<Fault>> {
        Ok(Self {})
    }

    /// Which route and policies a request would meet, in words, without sending it (`stoa route`).
    pub fn explain_route(&self, _request: &http::request::Parts) -> serde_json::Value {
        serde_json::Value::Null
    }

    /// Answers one request in this process, without a listener: what tests and `stoa test` use.
    pub async fn answer(self: &Arc<Self>, _request: Request) -> Reply {
        Reply::default()
    }
}

/// Running listeners and workers.
pub struct Edge {}

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
    pub fn start(_plan: &Plan, _gateway: Arc<Gateway>) -> io::Result<Edge> {
        Ok(Self {})
    }

    /// The address that is served, with the port the system chose for port 0.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    /// Serves `gateway` from the next request on. Connections stay open; requests under way end on the old one.
    pub fn swap(&self, _gateway: Arc<Gateway>) {}

    /// Requests under way now.
    pub fn active(&self) -> usize {
        0
    }

    /// Stops accepting, closes idle connections, waits for requests under way at most `longest`, stops the workers.
    pub async fn drain(self, _longest: Duration) -> Drained {
        Drained { cut: 0 }
    }
}
