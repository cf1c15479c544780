//! A service: a set of endpoints, one of which answers a request.
//!
//! `Host` names the endpoint; the client's own is in `X-Forwarded-Host`. The path is the canonical one that
//! the access rules saw, with the service's first segment removed where the file says so and the endpoint's
//! base path in front.

mod balance;
mod checked;
pub(crate) mod pool;
mod reply;
mod send;
mod tunnel;

use crate::{
    answer::Way,
    codes as edge,
    gateway::Seat,
    headers::{self, REQUEST_ID, TRACEPARENT, TRACESTATE, forwarded},
};
use balance::Balance;
use http::{HeaderValue, Uri, Version, header, request, uri::PathAndQuery};
use pool::{Endpoint, Endpoints};
use std::sync::Arc;
use stoa_config::plan::{self, Timeouts};
use stoa_exchange::{Context, Problem, Reply, Request, Trace};

/// A service.
pub(crate) struct Service {
    pub(crate) name: String,
    endpoints: Vec<Arc<Endpoint>>,
    balance: Box<dyn Balance>,
    strip_prefix: bool,
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
        }
    }

    /// Has the request answered by one of the endpoints. One that cannot be connected to is passed over for the
    /// next, since nothing was sent.
    pub(crate) async fn send(&self, call: Call<'_>, request: Request) -> Result<Reply, Problem> {
        let (mut parts, body) = request.into_parts();
        let tunnel = tunnel::asked(&mut parts, &body);
        outbound(&call, &mut parts, tunnel.as_ref())?;
        let path = self.path(&parts.uri);
        let mut request = Request::from_parts(parts, body);
        let first = self.balance.first(self.endpoints.len());
        let mut refused = None;
        for turn in 0..self.endpoints.len() {
            let endpoint = &self.endpoints[(first + turn) % self.endpoints.len()];
            endpoint.address(&mut request, &path)?;
            call.way.endpoint = Some(endpoint.shown.clone());
            let attempt = send::Attempt {
                service: self,
                endpoint,
                call: &call,
                upgrade: tunnel.is_some(),
            };
            match attempt.run(request).await {
                send::Outcome::Reply(reply) => {
                    call.context.trail.note(
                        "endpoint",
                        || serde_json::json!({ "service": self.name, "attempts": turn + 1 }),
                    );
                    return reply::finish(self, endpoint, &call, reply, tunnel);
                }
                send::Outcome::Unsent(back, problem) => {
                    request = *back;
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

/// The fields of a request as a service gets them.
fn outbound(
    call: &Call<'_>,
    parts: &mut request::Parts,
    upgrade: Option<&tunnel::Asked>,
) -> Result<(), Problem> {
    let (settings, context) = (&call.seat.gateway.settings, &*call.context);
    let fields = &mut parts.headers;
    let via = fields
        .get_all(header::VIA)
        .iter()
        .any(|v| memchr::memmem::find(v.as_bytes(), settings.via.as_bytes()).is_some());
    if via {
        return Err(Problem::new(
            &edge::LOOP_DETECTED,
            "this request was already forwarded by this process",
        ));
    }
    headers::strip_hop_by_hop(fields);
    if let Some(asked) = upgrade {
        fields.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        fields.insert(header::UPGRADE, asked.protocol.clone());
    }
    // Answered here: the body is asked for when the service's connection is there to take it.
    fields.remove(header::EXPECT);
    forwarded::write(fields, context, &settings.trusted_proxies);
    fields.append(header::VIA, settings.via_field.clone());
    let [id, trace] = &call.way.told;
    fields.insert(REQUEST_ID, id.clone());
    let continued = fields
        .get(TRACEPARENT)
        .and_then(|v| v.to_str().ok())
        .and_then(Trace::accept)
        .is_some();
    if !continued {
        fields.remove(TRACESTATE);
    }
    fields.insert(TRACEPARENT, trace.clone());
    parts.version = Version::HTTP_11;
    Ok(())
}
