//! One attempt at one endpoint.
//!
//! A connection from the pool may have been closed by the service just now. When nothing of the request was
//! sent, or it can be repeated (no body, an idempotent method) and no byte of a reply came, it is sent once more
//! on a fresh connection. Nothing else is repeated here.

use super::{
    Call, Service,
    flight::Flight,
    health::Cause,
    outbound::Head,
    pool::{Connection, Endpoint},
    tls,
};
use http::{Method, header};
use hyper::body::Incoming;
use std::{
    error::Error as _,
    future::{Future, poll_fn},
    io,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};
use stoa_exchange::{Body, Problem, clock, codes};
use tokio::time::timeout;

/// A connection whose last exchange is over is ready at once. One that still sends the body of a request that was
/// answered early is not waited for.
const READY: Duration = Duration::from_millis(20);

/// How often a request that waits and can go elsewhere looks whether its endpoint was found to be silent.
const LISTEN: Duration = Duration::from_millis(250);
/// For a wait that ended because of that.
const SILENT: &str = "silence";

/// How long a reply is waited for by a request that tries an endpoint and can go elsewhere.
const PROBE: Duration = Duration::from_secs(1);

/// Bytes of a request's body that came in, and whether they are all.
type Arrived = Option<(u64, bool)>;

pub(super) struct Attempt<'a> {
    pub(super) service: &'a Service,
    pub(super) endpoint: &'a Arc<Endpoint>,
    pub(super) call: &'a Call<'a>,
    pub(super) head: &'a Head<'a>,
    /// Whether this is to see whether the endpoint is back.
    pub(super) probe: bool,
    /// Whether the request can be sent again elsewhere.
    pub(super) replayable: bool,
    pub(super) began: Instant,
}

/// How an attempt ended.
pub(super) enum Outcome {
    /// With the head of a reply.
    Reply(Answer),
    /// Before anything was sent: with the body, which is whole.
    Unsent(Body, Problem, Option<Cause>),
    /// After it was sent.
    Failed(Failed),
}

/// A request that was sent and came to nothing.
pub(super) struct Failed {
    pub(super) problem: Problem,
    /// What that says of the endpoint, if anything.
    pub(super) cause: Option<Cause>,
    /// Whether another try may do better: no byte of a reply came.
    pub(super) again: bool,
}

/// The head of a reply, with the connection it comes on.
pub(super) struct Answer {
    pub(super) reply: http::Response<Incoming>,
    pub(super) connection: Box<Connection>,
    pub(super) flight: Flight,
}

/// How sending on one connection failed.
enum Failure {
    Unsent(Body),
    /// The connection ended before a byte of a reply came.
    Gone(hyper::Error),
    /// Anything else.
    Broken(hyper::Error),
    /// The request cannot be written.
    Refused(Box<Problem>),
    /// A bound of waiting was reached: which.
    Late(&'static str),
}

impl Attempt<'_> {
    pub(super) async fn run(&self, body: Body) -> Outcome {
        let (care, set) = (&self.service.care, &self.service.set);
        let mut flight = Flight::begin(self.endpoint, self.probe);
        match self.exchange(body).await {
            Ok((reply, connection)) => {
                if reply.status().is_server_error() {
                    flight.failed(care, set, Cause::Replies);
                } else {
                    flight.answered(care);
                    if let Some(hedge) = &self.service.hedge {
                        hedge.observe(clock::now().duration_since(self.began));
                    }
                }
                Outcome::Reply(Answer {
                    reply,
                    connection,
                    flight,
                })
            }
            Err(failed) => {
                let cause = match &failed {
                    Outcome::Failed(failed) => failed.cause,
                    Outcome::Unsent(_, _, cause) => *cause,
                    Outcome::Reply(_) => None,
                };
                if let Some(cause) = cause {
                    flight.failed(care, set, cause);
                }
                failed
            }
        }
    }

    async fn exchange(&self, mut body: Body) -> Result<(http::Response<Incoming>, Box<Connection>), Outcome> {
        while let Some(connection) = self.endpoint.take(self.call.seat.worker) {
            let repeatable = self.repeatable(&body);
            match self.send(connection, body).await {
                Ok(reply) => return Ok(reply),
                Err(Failure::Unsent(back)) => body = back,
                Err(Failure::Gone(_)) if repeatable => {
                    body = Body::Empty;
                    break;
                }
                Err(failure) => return Err(self.failed(failure)),
            }
        }
        let per_try = self.call.timeouts.per_try.unwrap_or(Duration::MAX);
        let wait = self.left(self.call.timeouts.connect.min(per_try));
        let connection = match timeout(wait, self.endpoint.connect()).await {
            Ok(Ok(connection)) => connection,
            Ok(Err(error)) => {
                let cause = (!is_our_own(&error)).then_some(Cause::Unreachable);
                return Err(Outcome::Unsent(body, self.unreachable(error), cause));
            }
            Err(_) => {
                let problem = self
                    .service
                    .gateway_timeout("did not accept a connection within `connect`");
                return Err(Outcome::Unsent(body, problem, Some(Cause::Unreachable)));
            }
        };
        self.send(connection, body)
            .await
            .map_err(|failure| self.failed(failure))
    }

    fn failed(&self, failure: Failure) -> Outcome {
        let own = self.call.way.progress.as_ref().and_then(|p| p.problem());
        // Who sends its body slowly is not late by the endpoint's fault.
        let sending = self.call.way.progress.as_ref().is_some_and(|p| !p.ended());
        let cause = match failure {
            _ if own.is_some() => None,
            Failure::Late(_) if sending => None,
            Failure::Refused(_) => None,
            Failure::Late(SILENT) => Some(Cause::Silent),
            Failure::Late(_) => Some(Cause::Late),
            Failure::Unsent(_) | Failure::Gone(_) | Failure::Broken(_) => Some(Cause::Replies),
        };
        let again = cause.is_some() && !matches!(failure, Failure::Broken(_));
        Outcome::Failed(Failed {
            problem: self.problem(failure),
            cause,
            again,
        })
    }

    fn repeatable(&self, body: &Body) -> bool {
        is_idempotent(&self.head.sent.method) && !self.upgrade() && matches!(body, Body::Empty)
    }

    fn upgrade(&self) -> bool {
        self.head.protocol.is_some()
    }

    async fn send(
        &self,
        mut connection: Box<Connection>,
        body: Body,
    ) -> Result<(http::Response<Incoming>, Box<Connection>), Failure> {
        if !connection.sender.is_ready() && !matches!(timeout(READY, connection.ready()).await, Ok(true)) {
            return Err(Failure::Unsent(body));
        }
        let request = self
            .head
            .request(self.call, self.endpoint, body)
            .map_err(|problem| Failure::Refused(Box::new(problem)))?;
        if self.upgrade() {
            connection.detach();
        }
        connection.expected.reply(request.method() != Method::HEAD);
        let mut reply = pin!(connection.sender.try_send_request(request));
        let mut wait = (self.arrived(), self.first_byte_until(), clock::now() + LISTEN);
        let sent = poll_fn(|cx| {
            connection.drive(cx);
            if let Poll::Ready(sent) = reply.as_mut().poll(cx) {
                return Poll::Ready(Ok(sent));
            }
            self.poll_late(&mut wait, &mut connection, cx).map(Err)
        })
        .await
        .map_err(Failure::Late)?;
        match sent {
            Ok(reply) => Ok((reply, connection)),
            Err(mut error) => {
                if let Some(request) = error.take_message() {
                    return Err(Failure::Unsent(request.into_body()));
                }
                let error = error.into_error();
                let gone = error.is_canceled()
                    || error.is_incomplete_message()
                    || error.is_closed()
                    || reset(&error);
                Err(if gone {
                    Failure::Gone(error)
                } else {
                    Failure::Broken(error)
                })
            }
        }
    }

    /// Ready when the wait for the reply is over: with the bound that ended it. `wait` is how far the request's body was
    /// when the wait began, and when it ends.
    fn poll_late(
        &self,
        wait: &mut (Arrived, Instant, Instant),
        connection: &mut Connection,
        cx: &mut Context<'_>,
    ) -> Poll<&'static str> {
        loop {
            let until = if self.replayable {
                wait.1.min(wait.2)
            } else {
                wait.1
            };
            ready!(connection.timer.poll_until(until, cx));
            if self.left(Duration::MAX).is_zero() {
                return Poll::Ready("`total`");
            }
            let now = clock::now();
            if self.try_until().is_some_and(|end| now >= end) {
                return Poll::Ready("`per_try`");
            }
            // Others found out meanwhile that nothing comes from it.
            if self.replayable && !self.probe && self.endpoint.health.ejected() == Some(Cause::Silent) {
                return Poll::Ready(SILENT);
            }
            wait.2 = now + LISTEN;
            if now < wait.1 {
                continue;
            }
            // The bound runs from the end of the request: while its body moves, it begins anew.
            if self.arrived() == wait.0 {
                return Poll::Ready("`first_byte`");
            }
            (wait.0, wait.1) = (self.arrived(), self.first_byte_until());
        }
    }

    fn first_byte_until(&self) -> Instant {
        let wait = self.call.timeouts.first_byte;
        // Who can go elsewhere does not wait long for one that was silent before.
        let until = clock::now()
            + if self.probe && self.replayable {
                wait.min(PROBE)
            } else {
                wait
            };
        let until = self.try_until().map_or(until, |end| end.min(until));
        self.until().map_or(until, |total| total.min(until))
    }

    /// When this try is over, whatever it does.
    fn try_until(&self) -> Option<Instant> {
        self.call.timeouts.per_try.map(|per_try| self.began + per_try)
    }

    /// Bytes of the request's body that came in so far.
    fn arrived(&self) -> Arrived {
        self.call.way.progress.as_ref().map(|p| (p.bytes(), p.ended()))
    }

    /// What is left of a wait before the call as a whole is over.
    fn left(&self, wait: Duration) -> Duration {
        match self.until() {
            Some(until) => wait.min(until.saturating_duration_since(clock::now())),
            None => wait,
        }
    }

    fn until(&self) -> Option<Instant> {
        self.call
            .timeouts
            .total
            .map(|total| self.call.context.started + total)
    }

    /// What the caller is told. Where its own body broke the exchange, that is what it is told.
    fn problem(&self, failure: Failure) -> Problem {
        if let Some(own) = self.call.way.progress.as_ref().and_then(|p| p.problem()) {
            return own;
        }
        match failure {
            Failure::Refused(problem) => *problem,
            Failure::Late(SILENT) => self
                .service
                .gateway_timeout("said nothing while another of its addresses answered"),
            Failure::Late(bound) => self
                .service
                .gateway_timeout(&format!("did not answer within {bound}")),
            Failure::Unsent(_) => self
                .service
                .bad_gateway("closed the connection before the request was sent"),
            Failure::Gone(error) if reset(&error) => self
                .service
                .bad_gateway("reset the connection before it answered")
                .cause(error),
            Failure::Gone(error) => self
                .service
                .bad_gateway("closed the connection before it answered")
                .cause(error),
            Failure::Broken(error) => {
                let why = match invalid(&error) {
                    Some(why) => format!("sent a reply that is not proper HTTP: {why}"),
                    None => "sent a reply that is not proper HTTP".to_owned(),
                };
                self.service.bad_gateway(&why).cause(error)
            }
        }
    }

    fn unreachable(&self, error: io::Error) -> Problem {
        if is_our_own(&error) {
            return Problem::new(&codes::UNAVAILABLE, "too many connections are open")
                .header(header::RETRY_AFTER, "1")
                .cause(error);
        }
        if let Some(why) = tls::in_words(&error) {
            return self.service.bad_gateway(why).cause(error);
        }
        let why = match error.kind() {
            io::ErrorKind::ConnectionRefused => "refused the connection",
            io::ErrorKind::NotFound => "has a host name that cannot be looked up",
            io::ErrorKind::TimedOut => "did not accept the connection in time",
            _ => "cannot be reached",
        };
        self.service.bad_gateway(why).cause(error)
    }
}

/// RFC 9110 section 9.2.2.
pub(super) fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE
    )
}

/// EMFILE and ENFILE, for which `io::ErrorKind` has no name. Not the service's fault.
fn is_our_own(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(24 | 23))
}

fn source(error: &hyper::Error) -> Option<&io::Error> {
    error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
}

fn reset(error: &hyper::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    source(error).is_some_and(|e| matches!(e.kind(), ConnectionReset | ConnectionAborted | BrokenPipe))
}

/// What our own check of the reply found.
fn invalid(error: &hyper::Error) -> Option<String> {
    source(error)
        .filter(|e| e.kind() == io::ErrorKind::InvalidData)
        .map(ToString::to_string)
}
