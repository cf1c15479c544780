//! A body that is encoded as it streams.

use super::{Coding, Permit, encoder::Encoder};
use bytes::{Buf, Bytes};
use http_body::{Body as HttpBody, Frame};
use std::{
    pin::Pin,
    task::{Context, Poll},
};
use stoa_exchange::{Body, BodyError};

/// Bytes that are encoded at a time.
const STEP_BYTES: usize = 16 * 1024;
/// Less is kept back until more comes or nothing does: each part has a head of its own on the wire.
const PART_BYTES_MIN: usize = 2048;
/// Steps after which the worker's other requests have their turn: less than a millisecond of work.
const STEPS_IN_A_TURN: u8 = 4;

/// The body, encoded.
pub(super) fn encoded(coding: Coding, body: Body, permit: Permit) -> Body {
    let length = body.size_hint().exact();
    Body::stream(Encoded {
        body,
        encoder: Some(Encoder::new(coding, length.map(|n| n as usize))),
        left: Bytes::new(),
        unflushed: false,
        steps: 0,
        trailers: None,
        _permit: permit,
    })
}

struct Encoded {
    body: Body,
    /// `None` behind its end.
    encoder: Option<Encoder>,
    /// What came and is not encoded yet.
    left: Bytes,
    /// Whether the encoder holds what the other side cannot read yet.
    unflushed: bool,
    steps: u8,
    trailers: Option<Frame<Bytes>>,
    _permit: Permit,
}

fn failed(error: std::io::Error) -> BodyError {
    BodyError::Other(Box::new(error))
}

impl Encoded {
    /// One step of what is left; what the encoder made of it.
    fn step(&mut self) -> Result<Bytes, BodyError> {
        let Some(encoder) = &mut self.encoder else {
            return Ok(Bytes::new());
        };
        let step = self.left.len().min(STEP_BYTES);
        encoder.write(&self.left[..step]).map_err(failed)?;
        self.left.advance(step);
        self.unflushed = true;
        self.steps += 1;
        Ok(encoder.take(PART_BYTES_MIN))
    }

    fn end(&mut self) -> Result<Bytes, BodyError> {
        self.unflushed = false;
        match self.encoder.take() {
            Some(encoder) => encoder.finish().map_err(failed),
            None => Ok(Bytes::new()),
        }
    }
}

impl HttpBody for Encoded {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        loop {
            if this.steps >= STEPS_IN_A_TURN {
                this.steps = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if !this.left.is_empty() {
                match this.step() {
                    Ok(made) if made.is_empty() => continue,
                    made => return Poll::Ready(Some(made.map(Frame::data))),
                }
            }
            if this.encoder.is_none() {
                return Poll::Ready(this.trailers.take().map(Ok));
            }
            match Pin::new(&mut this.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => this.left = data,
                    Err(trailers) => {
                        this.trailers = Some(trailers);
                        return Poll::Ready(Some(this.end().map(Frame::data)));
                    }
                },
                Poll::Ready(Some(Err(error))) => {
                    // Without its end, nobody takes it for whole.
                    this.encoder = None;
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(None) => return Poll::Ready(Some(this.end().map(Frame::data))),
                // Nothing comes for a while: what came shall be seen now.
                Poll::Pending if this.unflushed => {
                    this.unflushed = false;
                    let Some(encoder) = &mut this.encoder else {
                        return Poll::Pending;
                    };
                    let made = encoder.flush().map(|()| encoder.take(0)).map_err(failed);
                    if made.as_ref().is_ok_and(Bytes::is_empty) {
                        return Poll::Pending;
                    }
                    return Poll::Ready(Some(made.map(Frame::data)));
                }
                Poll::Pending => {
                    this.steps = 0;
                    return Poll::Pending;
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.encoder.is_none() && self.trailers.is_none()
    }
}
