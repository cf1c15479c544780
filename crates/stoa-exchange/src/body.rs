//! One body type for both halves.

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use std::{
    fmt,
    pin::Pin,
    task::{Context as TaskContext, Poll},
};

/// The body of a request or reply: whole, or a stream with trailers.
#[derive(Default)]
pub enum Body {
    /// No body.
    #[default]
    Empty,
    /// A whole body in memory.
    Full(Bytes),
    /// A body that arrives from the network.
    Incoming(hyper::body::Incoming),
    /// Any other stream of frames.
    Stream(Pin<Box<dyn HttpBody<Data = Bytes, Error = BodyError> + Send>>),
}

/// Why a body ended before its end.
#[derive(Debug)]
pub enum BodyError {
    /// The peer broke the transfer or its framing.
    Broken(hyper::Error),
    /// The body grew over its bound in bytes.
    TooLarge(u64),
    /// The next part did not arrive in time.
    Stalled,
    /// Anything else, in words for the log.
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(e) => write!(f, "the body was cut off: {e}"),
            Self::TooLarge(max) => write!(f, "the body is larger than {max} bytes"),
            Self::Stalled => f.write_str("the next part of the body did not arrive in time"),
            Self::Other(e) => write!(f, "{e}"),
        }
    }
}

impl std::error::Error for BodyError {}

impl Body {
    /// A whole body.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        if bytes.is_empty() {
            Self::Empty
        } else {
            Self::Full(bytes)
        }
    }

    /// A stream.
    pub fn stream(body: impl HttpBody<Data = Bytes, Error = BodyError> + Send + 'static) -> Self {
        Self::Stream(Box::pin(body))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Body::Empty"),
            Self::Full(bytes) => write!(f, "Body::Full({} bytes)", bytes.len()),
            Self::Incoming(_) | Self::Stream(_) => f.write_str("Body::Stream"),
        }
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::full(text)
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::full(text)
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::full(bytes)
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        match this {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) => {
                let bytes = std::mem::take(bytes);
                *this = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Incoming(body) => Pin::new(body).poll_frame(cx).map_err(BodyError::Broken),
            Self::Stream(body) => body.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(_) => false,
            Self::Incoming(body) => body.is_end_stream(),
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Incoming(body) => body.size_hint(),
            Self::Stream(body) => body.size_hint(),
        }
    }
}

/// Reads a whole body of at most `bytes_max` bytes; trailers are dropped.
///
/// # Errors
/// [`BodyError::TooLarge`] as soon as it is known, from the announced length too; otherwise what broke the stream.
pub async fn read_to_limit(mut body: Body, bytes_max: u64) -> Result<Bytes, BodyError> {
    match body {
        Body::Empty => return Ok(Bytes::new()),
        Body::Full(bytes) if bytes.len() as u64 <= bytes_max => return Ok(bytes),
        Body::Full(_) => return Err(BodyError::TooLarge(bytes_max)),
        Body::Incoming(_) | Body::Stream(_) => {}
    }
    if body.size_hint().lower() > bytes_max {
        return Err(BodyError::TooLarge(bytes_max));
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(data) = frame?.into_data() else { continue };
        if whole.len() as u64 + data.len() as u64 > bytes_max {
            return Err(BodyError::TooLarge(bytes_max));
        }
        if whole.is_empty() && body.is_end_stream() {
            return Ok(data);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}
