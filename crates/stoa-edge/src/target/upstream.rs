//! A service: a set of endpoints, one of which answers a request.
//!
//! `Host` names the endpoint; the client's own is in `X-Forwarded-Host`. The path is the canonical one that
//! the access rules saw, with the service's first segment removed where the file says so and the endpoint's
//! base path in front.

mod balance;
mod checked;
mod outbound;
pub(crate) mod pool;
mod reply;
mod send;
mod tunnel;
mod websocket;

use crate::{answer::Way, codes as edge, gateway::Seat};
use balance::Balance;
use http::{Uri, request, uri::PathAndQuery};
use outbound::Head;
use pool::{Endpoint, Endpoints};
use std::sync::Arc;
use stoa_config::plan::{self, Timeouts, WebSocket};
use stoa_exchange::{Body, Context, Problem, Reply};

/// A service.
pub(crate) struct Service {
    pub(crate) name: String,
    endpoints: Vec<Arc<Endpoint>>,
    balance: Box<dyn Balance>,
    strip_prefix: bool,
    websocket: WebSocket,
}

/// What a request takes with it to a service.
pub(crate) struct Call<'a> {
    pub(crate) seat: &'a Seat,
    pub(crate) context: &'a mut Context,
    pub(crate) way: &'a mut Way,
    pub(crate) timeouts: Timeouts,
}

impl Service {
    /// Opens the service of a plan; endpoints that the gateway before had keep their pools.
    pub(crate) fn open(
        service: &plan::Service,
        endpoints: &mut Endpoints,
        before: Option<&Endpoints>,
    ) -> Self {
        Self {
            name: service.name.clone(),
            endpoints: service
                .endpoints
                .iter()
                .map(|e| endpoints.get(e, before))
                .collect(),
            balance: balance::choose(&service.balance),
            strip_prefix: service.strip_prefix,
            websocket: service.websocket,
        }
    }

    /// Has the request answered by one of the endpoints. One that cannot be connected to is passed over for the
    /// next, since nothing was sent.
    pub(crate) async fn send(
        &self,
        call: Call<'_>,
        parts: &mut request::Parts,
        body: Body,
    ) -> Result<Reply, Problem> {
        let tunnel = tunnel::asked(parts, &body);
        let head = Head {
            sent: parts,
            path: self.path(&parts.uri),
            protocol: tunnel.as_ref().map(|asked| asked.protocol.clone()),
        };
        head.check(&call)?;
        let mut waiting = body;
        let first = self.balance.first(self.endpoints.len());
        let mut refused = None;
        for turn in 0..self.endpoints.len() {
            let endpoint = &self.endpoints[(first + turn) % self.endpoints.len()];
            call.way.endpoint = Some(endpoint.shown.clone());
            let attempt = send::Attempt {
                service: self,
                endpoint,
                call: &call,
                head: &head,
            };
            match attempt.run(waiting).await {
                send::Outcome::Reply(reply) => {
                    call.context.trail.note(
                        "endpoint",
                        || serde_json::json!({ "service": self.name, "attempts": turn + 1 }),
                    );
                    return reply::finish(self, endpoint, &call, reply, tunnel);
                }
                send::Outcome::Unsent(back, problem) => {
                    waiting = back;
                    refused = Some(problem);
                }
                send::Outcome::Failed(problem) => return Err(problem),
            }
        }
        Err(refused.unwrap_or_else(|| self.bad_gateway("has no endpoint")))
    }

    /// The path and query that the service sees, without an endpoint's base path.
    fn path(&self, uri: &Uri) -> PathAndQuery {
        let whole = uri
            .path_and_query()
            .cloned()
            .unwrap_or_else(|| PathAndQuery::from_static("/"));
        if !self.strip_prefix {
            return whole;
        }
        let (path, query) = (whole.path(), whole.query());
        let rest = path
            .get(1..)
            .and_then(|p| p.find('/').map(|at| &p[at..]))
            .unwrap_or("/");
        let stripped = match query {
            Some(query) => format!("{rest}?{query}"),
            None => rest.to_owned(),
        };
        PathAndQuery::try_from(stripped).unwrap_or(whole)
    }

    fn bad_gateway(&self, why: &str) -> Problem {
        Problem::new(&edge::BAD_GATEWAY, format!("service `{}` {why}", self.name))
    }

    fn gateway_timeout(&self, why: &str) -> Problem {
        Problem::new(&edge::GATEWAY_TIMEOUT, format!("service `{}` {why}", self.name))
    }
}
