//! A service: a set of endpoints, one of which answers a request.
//!
//! `Host` names the endpoint; the client's own is in `X-Forwarded-Host`. The path is the canonical one that
//! the access rules saw, with the service's first segment removed where the file says so and the endpoint's
//! base path in front.

mod balance;
mod care;
mod check;
mod checked;
mod flight;
mod health;
mod key;
pub(crate) mod load;
mod outbound;
pub(crate) mod pool;
mod reply;
mod send;
mod set;
mod tunnel;
mod websocket;

use crate::{answer::Way, codes as edge, gateway::Seat, upkeep::EndpointView};
use balance::{Ask, Balance};
use care::Care;
use http::{HeaderName, Uri, header, request, uri::PathAndQuery};
use load::Moment;
use outbound::Head;
use pool::Endpoints;
use serde_json::json;
use set::{Pick, Rules, Set};
use std::{sync::Arc, time::Duration};
use stoa_config::plan::{self, Timeouts, WebSocket};
use stoa_exchange::{Body, Context, Observer, Problem, Reply, codes};

/// A service.
pub(crate) struct Service {
    pub(crate) name: Arc<str>,
    set: Set,
    balance: Box<dyn Balance>,
    /// How the file calls it.
    balance_in_words: String,
    /// The header field that carries API keys.
    api_key: HeaderName,
    care: Care,
    /// Active checks.
    health: Option<plan::Health>,
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
    /// Opens the service of a plan; endpoints that the gateway before had keep their pools and what is known of them.
    pub(crate) fn open(
        service: &plan::Service,
        auth: &plan::Auth,
        endpoints: &mut Endpoints,
        before: Option<&Endpoints>,
        observer: &Arc<dyn Observer>,
    ) -> Self {
        let name: Arc<str> = service.name.as_str().into();
        let places = service.endpoints.iter().enumerate();
        let all = places.map(|(position, endpoint)| {
            let share = service.upstream.share(position);
            (endpoints.get(&name, endpoint, before), share)
        });
        Self {
            set: Set::new(all),
            balance: balance::choose(&service.balance),
            balance_in_words: service.balance.to_string(),
            api_key: key::api_key_field(auth),
            care: Care::new(&name, &service.upstream, observer),
            health: service.health.clone(),
            strip_prefix: service.strip_prefix,
            websocket: service.websocket,
            name,
        }
    }

    /// For `stoa route`.
    pub(crate) fn in_words(&self) -> String {
        match self.set.members().len() {
            1 => format!("service {}", self.name),
            several => format!("service {}, {} of {several}", self.name, self.balance_in_words),
        }
    }

    /// What is known of its endpoints.
    pub(crate) fn view(&self) -> impl Iterator<Item = EndpointView> {
        let now = Moment::now();
        self.set
            .members()
            .iter()
            .map(move |set::Member { endpoint, .. }| {
                let [ejections, returns] = endpoint.health.counts();
                EndpointView {
                    service: self.name.clone(),
                    endpoint: endpoint.shown.clone(),
                    state: endpoint.health.word(),
                    in_flight: endpoint.load.in_flight(),
                    latency: endpoint
                        .load
                        .observed(now)
                        .map(|ms| Duration::from_secs_f32(ms / 1000.0)),
                    ejections,
                    returns,
                }
            })
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
        let mut tried = Vec::new();
        let mut refused = None;
        let ask = self.ask(&call, parts, &waiting);
        let rules = Rules {
            slow_start: self.care.slow_start,
            refuses: self.care.refuses(),
        };
        loop {
            let (endpoint, probe) = match self.set.pick(&*self.balance, &tried, &ask, rules) {
                Pick::To(endpoint) => (endpoint, false),
                Pick::Probe(endpoint) => (endpoint, true),
                Pick::Refused => return Err(refused.unwrap_or_else(|| self.none_in_use())),
                Pick::Spent => return Err(refused.unwrap_or_else(|| self.bad_gateway("has no endpoint"))),
            };
            call.way.endpoint = Some(endpoint.shown.clone());
            let attempt = send::Attempt {
                service: self,
                endpoint,
                call: &call,
                head: &head,
                probe,
                replayable: ask.replayable,
            };
            let others = probe && ask.replayable && tried.len() + 1 < self.set.members().len();
            match attempt.run(waiting).await {
                // What it answered to a trial is not what the caller gets, while another may do better.
                send::Outcome::Reply(answer) if others && answer.reply.status().is_server_error() => {
                    waiting = Body::Empty;
                }
                send::Outcome::Reply(answer) => {
                    call.context.trail.note(
                        "endpoint",
                        || json!({ "service": &*self.name, "balance": self.balance_in_words, "attempts": tried.len() + 1 }),
                    );
                    return reply::finish(self, &call, answer, tunnel);
                }
                send::Outcome::Unsent(back, problem, _) => {
                    waiting = back;
                    refused = Some(problem);
                }
                send::Outcome::Failed(problem, Some(_)) if others => {
                    waiting = Body::Empty;
                    refused = Some(problem);
                }
                send::Outcome::Failed(problem, _) => return Err(problem),
            }
            tried.push(endpoint.clone());
        }
    }

    /// What a request is told when none is in use and nothing is sent.
    fn none_in_use(&self) -> Problem {
        let now = Moment::now();
        let until = |m: &set::Member| m.endpoint.health.until().since(now).as_secs() + 1;
        let wait = self.set.members().iter().map(until).min().unwrap_or(1);
        Problem::new(
            &codes::UNAVAILABLE,
            format!("service `{}` is not in use: all of its addresses fail", self.name),
        )
        .header(header::RETRY_AFTER, wait.to_string())
    }

    /// The request, as the balance sees it.
    fn ask(&self, call: &Call<'_>, parts: &request::Parts, body: &Body) -> Ask {
        let replayable = matches!(body, Body::Empty) && send::is_idempotent(&parts.method);
        if let [only] = self.set.members()
            && !only.endpoint.health.is_out()
        {
            return Ask {
                replayable,
                ..Ask::default()
            };
        }
        let hash = |key| key::hash(key, &self.api_key, call.context, parts);
        Ask {
            key: self.balance.key().map_or(0, hash),
            roll: fastrand::u64(..),
            now: Moment::now(),
            replayable,
        }
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
