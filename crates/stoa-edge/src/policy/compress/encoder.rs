//! The three codings behind one face.

use super::Coding;
use bytes::Bytes;
use std::io::{self, Write};

/// Encodes what is written; what it makes is taken in between.
pub(super) enum Encoder {
    Gzip(Box<flate2::write::GzEncoder<Vec<u8>>>),
    Br(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstd(Box<zstd::stream::write::Encoder<'static, Vec<u8>>>),
}

// Where a reply is compressed on the way, time is dearer than the last percent of its size.
const GZIP_LEVEL: u32 = 4;
const BR_QUALITY: i32 = 4;
const ZSTD_LEVEL: i32 = 3;
/// Binary logarithm of the window: 256 KiB bound what an encoder keeps.
const WINDOW_LOG: u32 = 18;
const BUFFER_BYTES: usize = 4096;

impl Encoder {
    /// An encoder; a length that is known makes it small.
    pub(super) fn new(coding: Coding, bytes: Option<usize>) -> Self {
        match coding {
            Coding::Gzip => Self::gzip(),
            Coding::Br => {
                let parameters = brotli::enc::BrotliEncoderParams {
                    quality: BR_QUALITY,
                    lgwin: WINDOW_LOG.cast_signed(),
                    size_hint: bytes.unwrap_or_default(),
                    ..Default::default()
                };
                Self::Br(Box::new(brotli::CompressorWriter::with_params(
                    Vec::new(),
                    BUFFER_BYTES,
                    &parameters,
                )))
            }
            // It fails only where memory does; gzip is then as good a try.
            Coding::Zstd => zstd_encoder(bytes).map_or_else(|_| Self::gzip(), |e| Self::Zstd(Box::new(e))),
        }
    }

    fn gzip() -> Self {
        let level = flate2::Compression::new(GZIP_LEVEL);
        Self::Gzip(Box::new(flate2::write::GzEncoder::new(Vec::new(), level)))
    }

    pub(super) fn write(&mut self, data: &[u8]) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.write_all(data),
            Self::Br(encoder) => encoder.write_all(data),
            Self::Zstd(encoder) => encoder.write_all(data),
        }
    }

    /// Makes all that was written readable on the other side.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Gzip(encoder) => encoder.flush(),
            Self::Br(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }

    /// What was made since the last time, when it is at least so much.
    pub(super) fn take(&mut self, bytes_min: usize) -> Bytes {
        let made = match self {
            Self::Gzip(encoder) => encoder.get_mut(),
            Self::Br(encoder) => encoder.get_mut(),
            Self::Zstd(encoder) => encoder.get_mut(),
        };
        if made.len() < bytes_min {
            return Bytes::new();
        }
        Bytes::from(std::mem::take(made))
    }

    /// The end.
    pub(super) fn finish(self) -> io::Result<Bytes> {
        Ok(Bytes::from(match self {
            Self::Gzip(encoder) => encoder.finish()?,
            Self::Br(encoder) => encoder.into_inner(),
            Self::Zstd(encoder) => encoder.finish()?,
        }))
    }
}

fn zstd_encoder(bytes: Option<usize>) -> io::Result<zstd::stream::write::Encoder<'static, Vec<u8>>> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
    encoder.set_parameter(zstd::zstd_safe::CParameter::WindowLog(WINDOW_LOG))?;
    encoder.set_pledged_src_size(bytes.map(|n| n as u64))?;
    Ok(encoder)
}
