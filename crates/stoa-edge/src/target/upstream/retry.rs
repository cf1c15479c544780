//! Whether and when a request is sent another time.

use super::{
    Call, Service,
    load::Moment,
    pool::Endpoint,
    send::{Answer, is_idempotent},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode, header, request};
use http_body::Body as _;
use std::{sync::Arc, time::Duration};
use stoa_config::plan::Retry;
use stoa_exchange::{Body, BodyError, Problem, clock, codes, read_to_limit};

/// Bodies up to this are kept, so that they can be sent again.
const BODY_BYTES_MAX: u64 = 64 * 1024;
/// The pause before the first retry, before jitter; doubled for each further one, up to the most.
const PAUSE: Duration = Duration::from_millis(25);
const PAUSE_MAX: Duration = Duration::from_millis(250);
/// A service that wants more time than this before it is asked again is not asked again for this request.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(2);

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The tries of one request.
pub(super) struct Tries {
    /// Tries that there may be, the first one counted. 1 where it may not be sent twice.
    most: u8,
    made: u8,
    /// What it is sent with again; `None` when it has no body.
    kept: Option<Bytes>,
    /// Whether it may be sent again when nothing came of it.
    pub(super) replayable: bool,
    /// The endpoints that it was at since it last had the choice of all.
    pub(super) tried: Vec<Arc<Endpoint>>,
}

impl Tries {
    /// Judges a request; keeps its body where it is small and may have to be sent again.
    pub(super) async fn of(
        service: &Service,
        call: &Call<'_>,
        parts: &request::Parts,
        body: Body,
        tunnel: bool,
    ) -> Result<(Self, Body), Problem> {
        let attempts = service.retry.map_or(1, |retry| retry.attempts);
        let mut tries = Self {
            most: attempts,
            made: 0,
            kept: None,
            replayable: false,
            tried: Vec::new(),
        };
        let idempotent = is_idempotent(&parts.method);
        // A service that knows the key does what it asks for once; once more is all that it is asked for.
        let has_key = || parts.headers.contains_key(&IDEMPOTENCY_KEY);
        if tunnel || !(idempotent || call.retry_always || has_key()) {
            return Ok((tries, body));
        }
        if !idempotent && !call.retry_always {
            tries.most = attempts.min(2);
        }
        tries.replayable = matches!(body, Body::Empty);
        if tries.replayable || tries.most < 2 {
            return Ok((tries, body));
        }
        let body = match body {
            Body::Full(bytes) if bytes.len() as u64 <= BODY_BYTES_MAX => bytes,
            body if body.size_hint().exact().is_some_and(|n| n <= BODY_BYTES_MAX) => {
                let read = read_to_limit(body, BODY_BYTES_MAX).await;
                read.map_err(|error| broken(call, error))?
            }
            body => return Ok((tries, body)),
        };
        tries.replayable = true;
        tries.kept = Some(body.clone());
        Ok((tries, Body::full(body)))
    }

    /// The body for another try.
    pub(super) fn body(&self) -> Body {
        self.kept.clone().map_or(Body::Empty, Body::full)
    }

    /// One was made.
    pub(super) fn count(&mut self) {
        self.made = self.made.saturating_add(1);
    }

    pub(super) fn made(&self) -> u8 {
        self.made
    }

    /// The pause before another try, when there may be one. It is in the budget from now on. `after`: what the service asked to
    /// be given. `unsent`: nothing of the last one was sent, so that any request may be.
    pub(super) fn again(
        &self,
        service: &Service,
        call: &Call<'_>,
        unsent: bool,
        after: Option<Duration>,
    ) -> Option<Duration> {
        let retry = service.retry?;
        if self.made >= self.most || !(self.replayable || unsent) {
            return None;
        }
        let longest = PAUSE
            .saturating_mul(1 << self.made.saturating_sub(1).min(8))
            .min(PAUSE_MAX);
        let pause = longest.mul_f32(fastrand::f32());
        let pause = after.map_or(pause, |after| pause.max(after));
        let left = call
            .timeouts
            .total
            .map(|total| (call.context.started + total).saturating_duration_since(clock::now()));
        if pause > RETRY_AFTER_MAX || left.is_some_and(|left| pause >= left) {
            return None;
        }
        service
            .pressure
            .retry(retry.budget_percent, Moment::now())
            .then_some(pause)
    }
}

/// What a caller is told whose body did not come whole.
fn broken(call: &Call<'_>, error: BodyError) -> Problem {
    let own = call.way.progress.as_ref().and_then(|p| p.problem());
    own.unwrap_or_else(|| Problem::new(&codes::BAD_REQUEST, "the body of the request broke off").cause(error))
}

/// Whether a reply says that another try may do better.
pub(super) fn is_passing(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    )
}

/// How long the service asks to be left alone. A date is taken for too long: it has whole seconds.
pub(super) fn after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    Some(text.parse().map_or(Duration::MAX, Duration::from_secs))
}

/// Lets go of a reply that is not passed on. Its connection is kept when nothing more comes on it.
pub(super) fn discard(answer: Answer, worker: usize) {
    let Answer {
        reply,
        connection,
        flight,
    } = answer;
    let whole = connection.sender.is_ready();
    drop(reply);
    if whole {
        flight.endpoint.put(worker, connection);
    }
}

/// For `stoa route`.
pub(super) fn in_words(retry: Option<Retry>, always: bool, method: &Method) -> String {
    match retry {
        Some(Retry {
            attempts: attempts @ 2..,
            budget_percent,
        }) if always || is_idempotent(method) => format!("{attempts} tries, budget {budget_percent}%"),
        _ => String::from("no retry"),
    }
}
