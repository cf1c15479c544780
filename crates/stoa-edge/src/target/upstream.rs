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
mod hedge;
mod key;
pub(crate) mod load;
mod names;
mod outbound;
pub(crate) mod pool;
mod pressure;
mod reply;
mod retry;
mod send;
mod set;
mod stream;
pub(crate) mod tls;
mod tunnel;
mod websocket;

use crate::{
    answer::Way,
    codes as edge,
    gateway::Seat,
    upkeep::{EndpointView, ServiceView},
};
use balance::{Ask, Balance};
use care::Care;
use hedge::Hedge;
use http::{HeaderName, Method, Uri, header, request, uri::PathAndQuery};
use load::Moment;
use outbound::Head;
use pool::{Endpoint, Endpoints};
use pressure::Pressure;
use retry::Tries;
use serde_json::{Value, json};
use set::{Pick, Rules, Set};
use std::{sync::Arc, time::Duration};
use stoa_config::{
    fault::Fault,
    plan::{self, Timeouts, WebSocket},
};
use stoa_exchange::{Body, Context, Observer, Problem, Reply, codes};
use tls::Tls;

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
    retry: Option<plan::Retry>,
    hedge: Option<Hedge>,
    pressure: Arc<Pressure>,
    rules: Rules,
    pending_max: u32,
    strip_prefix: bool,
    websocket: WebSocket,
}

/// What a request takes with it to a service.
pub(crate) struct Call<'a> {
    pub(crate) seat: &'a Seat,
    pub(crate) context: &'a mut Context,
    pub(crate) way: &'a mut Way,
    pub(crate) timeouts: Timeouts,
    /// Whether it may be sent again whatever the method.
    pub(crate) retry_always: bool,
}

/// What follows a try.
enum Next {
    /// Its reply goes to the caller.
    Answered(send::Answer),
    /// The request fails.
    Over(Problem),
    /// Nothing was sent: another endpoint gets it.
    Elsewhere(Body, Problem),
    /// It is sent again after a pause.
    Again(Duration, Option<Problem>),
}

impl Service {
    /// Opens the service of a plan; endpoints that the gateway before had keep their pools and what is known of them.
    ///
    /// # Errors
    /// Files for TLS that cannot be used.
    pub(crate) fn open(
        service: &plan::Service,
        auth: &plan::Auth,
        endpoints: &mut Endpoints,
        before: Option<&Endpoints>,
        observer: &Arc<dyn Observer>,
    ) -> Result<Self, Fault> {
        let tls = Tls::open(service)?;
        let name: Arc<str> = service.name.as_str().into();
        let places = service.endpoints.iter().enumerate();
        let all = places.map(|(position, endpoint)| {
            let share = service.upstream.share(position);
            let tls = (service.upstream.tls.as_ref(), tls.as_ref());
            (endpoints.get(&name, endpoint, tls, before), share)
        });
        let set = Set::new(all);
        let upstream = &service.upstream;
        let care = Care::new(&name, upstream, observer);
        Ok(Self {
            set,
            balance: balance::choose(&service.balance),
            balance_in_words: service.balance.to_string(),
            api_key: key::api_key_field(auth),
            rules: Rules {
                slow_start: upstream.slow_start,
                refuses: care.refuses(),
                address_max: upstream.address_connections_max,
                service_max: upstream.service_connections_max,
            },
            care,
            health: service.health.clone(),
            retry: service.retry,
            hedge: upstream.hedge.map(Hedge::new),
            pressure: endpoints.pressure(&name, before),
            pending_max: upstream.pending_max,
            strip_prefix: service.strip_prefix,
            websocket: service.websocket,
            name,
        })
    }

    /// For `stoa route`.
    pub(crate) fn in_words(&self, retry_always: bool, method: &Method) -> Value {
        json!({
            "addresses": self.set.members().len(),
            "balance": self.balance_in_words,
            "retry": retry::in_words(self.retry, retry_always, method),
        })
    }

    /// What is known of it.
    pub(crate) fn summary(&self) -> ServiceView {
        let counts = self.pressure.counts();
        ServiceView {
            service: self.name.clone(),
            retries: counts.retried,
            retries_denied: counts.denied,
            hedges: counts.hedged,
            waiting: counts.waiting,
            turned_away: counts.turned_away,
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
                    lookups_failed: endpoint.lookups_failed(),
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
        let (mut tries, mut waiting) = Tries::of(self, &call, parts, body, tunnel.is_some()).await?;
        let ask = self.ask(&call, parts, tries.replayable);
        self.pressure.request(call.seat.worker, ask.now);
        let mut refused = None;
        loop {
            let Some((endpoint, probe)) = self.place(&call, &tries, &ask).await? else {
                tries.count();
                let problem = refused.unwrap_or_else(|| self.bad_gateway("has no endpoint"));
                let Some(pause) = tries.again(self, &call, true, None) else {
                    return Err(problem);
                };
                refused = Some(problem);
                tries.tried.clear();
                tokio::time::sleep(pause).await;
                continue;
            };
            call.way.endpoint = Some(endpoint.shown.clone());
            let first = hedge::First {
                service: self,
                call: &call,
                head: &head,
                endpoint,
                tries: &tries,
                ask: &ask,
                probe,
            };
            let (outcome, endpoint) = first.run(waiting).await;
            if self.hedge.is_some() {
                call.way.endpoint = Some(endpoint.shown.clone());
            }
            match self.judge(&call, &mut tries, probe, outcome) {
                Next::Answered(answer) => {
                    call.context.trail.note("endpoint", || self.told(&tries));
                    return reply::finish(self, &call, answer, tunnel);
                }
                Next::Over(problem) => {
                    call.context.trail.note("endpoint", || self.told(&tries));
                    return Err(problem);
                }
                Next::Elsewhere(body, problem) => {
                    tries.tried.push(endpoint.clone());
                    (waiting, refused) = (body, Some(problem));
                }
                Next::Again(pause, problem) => {
                    tries.tried.push(endpoint.clone());
                    refused = problem.or(refused);
                    // A try that the budget allows may be where one was before, when there is no other place.
                    if tries.tried.len() >= self.set.members().len() {
                        tries.tried.clear();
                    }
                    waiting = tries.body();
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    /// What follows from how a try ended.
    fn judge(&self, call: &Call<'_>, tries: &mut Tries, probe: bool, outcome: send::Outcome) -> Next {
        if !matches!(outcome, send::Outcome::Unsent(..)) {
            tries.count();
        }
        // Who only tries whether an endpoint is back goes elsewhere when it is not, and nobody is asked for it.
        let others = probe && tries.replayable && tries.tried.len() + 1 < self.set.members().len();
        match outcome {
            send::Outcome::Unsent(body, problem, _) => Next::Elsewhere(body, problem),
            send::Outcome::Reply(answer) => {
                let Some(pause) = self.another(call, tries, &answer, others) else {
                    return Next::Answered(answer);
                };
                retry::discard(answer, call.seat.worker);
                Next::Again(pause, None)
            }
            send::Outcome::Failed(failed) => {
                let again = if others && failed.cause.is_some() {
                    self.pressure.retry_anyway(Moment::now());
                    Some(Duration::ZERO)
                } else if failed.again {
                    tries.again(self, call, false, None)
                } else {
                    None
                };
                match again {
                    Some(pause) => Next::Again(pause, Some(failed.problem)),
                    None => Next::Over(failed.problem),
                }
            }
        }
    }

    /// The pause before a reply that is no help is left for another try.
    fn another(
        &self,
        call: &Call<'_>,
        tries: &Tries,
        answer: &send::Answer,
        others: bool,
    ) -> Option<Duration> {
        let status = answer.reply.status();
        if others && status.is_server_error() {
            self.pressure.retry_anyway(Moment::now());
            return Some(Duration::ZERO);
        }
        if !retry::is_passing(status) {
            return None;
        }
        tries.again(self, call, false, retry::after(answer.reply.headers()))
    }

    /// For `Stoa-Explain`.
    fn told(&self, tries: &Tries) -> Value {
        json!({ "service": &*self.name, "balance": self.balance_in_words, "attempts": tries.made() })
    }

    /// The endpoint for the next try, and whether that is to see whether it is back; `None` when all were tried. Waits where all
    /// have as much to do as they may.
    async fn place(
        &self,
        call: &Call<'_>,
        tries: &Tries,
        ask: &Ask,
    ) -> Result<Option<(&Arc<Endpoint>, bool)>, Problem> {
        let pick = |tried: &[Arc<Endpoint>]| match self.set.pick(&*self.balance, tried, ask, self.rules) {
            Pick::To(endpoint) => Some(Ok(Some((endpoint, false)))),
            Pick::Probe(endpoint) => Some(Ok(Some((endpoint, true)))),
            Pick::Spent => Some(Ok(None)),
            Pick::Refused => Some(Err(())),
            Pick::Full => None,
        };
        let mut found = pick(&tries.tried);
        if found.is_none() {
            let wait = self
                .pressure
                .wait(self.pending_max, call.timeouts.connect, || pick(&tries.tried));
            found = wait.await;
        }
        match found {
            Some(Ok(found)) => Ok(found),
            Some(Err(())) => Err(self.none_in_use()),
            None => {
                let detail = format!("service `{}` has as many requests under way as it may", self.name);
                Err(Problem::new(&codes::UNAVAILABLE, detail).header(header::RETRY_AFTER, "1"))
            }
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
    fn ask(&self, call: &Call<'_>, parts: &request::Parts, replayable: bool) -> Ask {
        let now = Moment::now();
        if let [only] = self.set.members()
            && !only.endpoint.health.is_out()
        {
            return Ask {
                now,
                replayable,
                ..Ask::default()
            };
        }
        let hash = |key| key::hash(key, &self.api_key, call.context, parts);
        Ask {
            key: self.balance.key().map_or(0, hash),
            roll: fastrand::u64(..),
            now,
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
