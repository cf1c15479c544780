//! The body of a request on its way in: its size and its pace are bounded.

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};
use stoa_exchange::{Body, BodyError, Problem, clock, codes, read_to_limit};
use tokio::time::{Sleep, timeout};

/// A body that arrives slower than this after the first `body_timeout` is cut off: bytes a second.
const PACE_MIN: u64 = 128;

/// What is read of a body that nobody wanted, and for how long it is waited for.
const UNWANTED_BYTES: u64 = 64 * 1024;
const UNWANTED_WAIT: Duration = Duration::from_millis(100);

/// How far a body has come; shared with whoever waits for the reply to it.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    bytes: AtomicU64,
    ended: AtomicBool,
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
    wait: Duration,
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
    let progress = Arc::new(Progress {
        bytes_max,
        ..Progress::default()
    });
    let metered = Metered {
        body,
        progress: progress.clone(),
        wait,
        began: None,
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
    wait: Duration,
    began: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Metered {
    fn fail(&self, how: u8) {
        self.progress.failure.store(how, Relaxed);
    }

    /// The next part must be here by then: within the wait, and at the least pace over the whole.
    fn until(&mut self) -> Instant {
        let now = clock::now();
        let began = *self.began.get_or_insert(now);
        let paced = began + self.wait + Duration::from_secs(self.progress.bytes() / PACE_MIN);
        paced.min(now + self.wait)
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
                this.timer = None;
                let more = frame.data_ref().map_or(0, Bytes::len) as u64;
                let bytes = this.progress.bytes.fetch_add(more, Relaxed) + more;
                if bytes > this.progress.bytes_max {
                    this.fail(TOO_LARGE);
                    return Poll::Ready(Some(Err(BodyError::TooLarge(this.progress.bytes_max))));
                }
                this.progress.ended.store(this.body.is_end_stream(), Relaxed);
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.fail(BROKEN);
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => {
                this.progress.ended.store(true, Relaxed);
                Poll::Ready(None)
            }
            Poll::Pending => {
                if this.timer.is_none() {
                    let until = this.until();
                    this.timer = Some(Box::pin(tokio::time::sleep_until(until.into())));
                }
                let late = this
                    .timer
                    .as_mut()
                    .is_some_and(|timer| timer.as_mut().poll(cx).is_ready());
                if late {
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
