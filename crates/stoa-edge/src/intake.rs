//! The body of a request on its way in: its size and its pace are bounded.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};
use stoa_exchange::{Body, BodyError, Problem, clock, codes, read_to_limit};
use tokio::time::{Sleep, timeout};

/// How far a body may fall behind its pace: a client that was lost for a moment may be back.
const BEHIND_MAX: Duration = Duration::from_secs(8);

/// What a body must keep up with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// The longest wait for its next part.
    pub(crate) wait: Duration,
    /// Bytes a second while it is waited for; 0 asks for none.
    pub(crate) bytes_a_second_min: u64,
}

impl Pace {
    /// That of a request. Streams of messages (gRPC) have pauses by their nature: they end with their connection.
    fn of(self, headers: &HeaderMap) -> Self {
        const MESSAGES: &[u8] = b"application/grpc";
        let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
        let messages = kind
            .and_then(|kind| kind.get(..MESSAGES.len()))
            .is_some_and(|kind| kind.eq_ignore_ascii_case(MESSAGES));
        if messages {
            return Self {
                wait: Duration::MAX,
                bytes_a_second_min: 0,
            };
        }
        self
    }

    /// What a wait may take at most, of a body that is ahead of its pace.
    fn ahead(self) -> Duration {
        if self.bytes_a_second_min == 0 {
            self.wait
        } else {
            self.wait.min(BEHIND_MAX)
        }
    }
}

/// What is read of a body that nobody wanted, and for how long it is waited for.
const UNWANTED_BYTES: u64 = 64 * 1024;
const UNWANTED_WAIT: Duration = Duration::from_millis(100);

/// How far a body has come; shared with whoever waits for the reply to it.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    bytes: AtomicU64,
    ended: AtomicBool,
    /// When that was.
    ended_at: OnceLock<Instant>,
    failure: AtomicU8,
    bytes_max: u64,
    /// The body, when whoever had it has left it before its end.
    left: Mutex<Option<Body>>,
}

const TOO_LARGE: u8 = 1;
const STALLED: u8 = 2;
const BROKEN: u8 = 3;

impl Progress {
    /// Bytes that arrived.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Whether the body is whole.
    pub(crate) fn ended(&self) -> bool {
        self.ended.load(Relaxed)
    }

    /// When the body was whole; `None` before.
    pub(crate) fn ended_at(&self) -> Option<Instant> {
        self.ended_at.get().copied()
    }

    fn end(&self) {
        self.ended.store(true, Relaxed);
        self.ended_at.get_or_init(clock::now);
    }

    /// The body, when nobody will read the rest of it.
    pub(crate) fn left(&self) -> Option<Body> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Why the body broke off, as an answer to its sender.
    pub(crate) fn problem(&self) -> Option<Problem> {
        match self.failure.load(Relaxed) {
            TOO_LARGE => Some(too_large(self.bytes_max)),
            STALLED => Some(Problem::new(
                &codes::BODY_TIMEOUT,
                "the body of the request arrived too slowly",
            )),
            BROKEN => Some(Problem::new(
                &codes::BAD_REQUEST,
                "the body of the request broke off or is malformed",
            )),
            _ => None,
        }
    }
}

fn too_large(bytes_max: u64) -> Problem {
    Problem::new(
        &codes::BODY_TOO_LARGE,
        format!("the body may have {bytes_max} bytes here"),
    )
}

/// Puts the bounds of its route on a body.
///
/// # Errors
/// 413 when the announced length is over the bound.
pub(crate) fn bounded(
    body: Body,
    bytes_max: u64,
    headers: &HeaderMap,
    pace: Pace,
) -> Result<(Body, Option<Arc<Progress>>), Problem> {
    if body.size_hint().lower() > bytes_max {
        return Err(too_large(bytes_max));
    }
    if body.is_end_stream() {
        return Ok((Body::Empty, None));
    }
    if let Body::Full(_) = body {
        return Ok((body, None));
    }
    let pace = pace.of(headers);
    let progress = Arc::new(Progress {
        bytes_max,
        ..Progress::default()
    });
    let metered = Metered {
        body,
        progress: progress.clone(),
        pace,
        left: pace.ahead(),
        waits_since: None,
        timer: None,
    };
    Ok((Body::stream(metered), Some(progress)))
}

/// Reads the rest of a body that nobody wanted, so that another request can follow on its connection: a little, and for a
/// moment. Whether that was all.
pub(crate) async fn discard(body: Body) -> bool {
    let rest = read_to_limit(body, UNWANTED_BYTES);
    matches!(timeout(UNWANTED_WAIT, rest).await, Ok(Ok(_)))
}

struct Metered {
    body: Body,
    progress: Arc<Progress>,
    pace: Pace,
    /// How long it may still be waited for. Only the wait counts: a service that takes its time is not the client's fault.
    left: Duration,
    waits_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Metered {
    fn fail(&self, how: u8) {
        self.progress.failure.store(how, Relaxed);
    }

    /// The wait for these bytes is over.
    fn arrived(&mut self, bytes: u64) {
        self.timer = None;
        let Some(since) = self.waits_since.take() else {
            return;
        };
        let rate = self.pace.bytes_a_second_min;
        let Some(millis) = (bytes * 1000).checked_div(rate) else {
            self.left = self.pace.wait;
            return;
        };
        let waited = clock::now().saturating_duration_since(since);
        let left = self.left.saturating_sub(waited) + Duration::from_millis(millis);
        self.left = left.min(self.pace.ahead());
    }

    /// Whether it was waited for too long.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> bool {
        let since = *self.waits_since.get_or_insert_with(clock::now);
        if self.timer.is_none() {
            let Some(until) = since.checked_add(self.left) else {
                return false;
            };
            self.timer = Some(Box::pin(tokio::time::sleep_until(until.into())));
        }
        let timer = self.timer.as_mut();
        timer.is_some_and(|timer| timer.as_mut().poll(cx).is_ready())
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        if !self.progress.ended() && self.progress.failure.load(Relaxed) == 0 {
            let left = std::mem::take(&mut self.body);
            *self.progress.left.lock().unwrap_or_else(PoisonError::into_inner) = Some(left);
        }
    }
}

impl HttpBody for Metered {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let more = frame.data_ref().map_or(0, Bytes::len) as u64;
                this.arrived(more);
                let bytes = this.progress.bytes.fetch_add(more, Relaxed) + more;
                if bytes > this.progress.bytes_max {
                    this.fail(TOO_LARGE);
                    return Poll::Ready(Some(Err(BodyError::TooLarge(this.progress.bytes_max))));
                }
                if this.body.is_end_stream() {
                    this.progress.end();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.fail(BROKEN);
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                this.progress.end();
                Poll::Ready(None)
            }
            Poll::Pending => {
                if this.poll_late(cx) {
                    this.fail(STALLED);
                    return Poll::Ready(Some(Err(BodyError::Stalled)));
                }
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
