//! `Accept`: which representation a reply has.

use crate::refusal::{Refusal, Result, shorten};
use http::{HeaderMap, HeaderValue, header};
use stoa_exchange::codes;

/// A representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Media {
    /// `application/json`.
    Json,
    /// `text/csv`.
    Csv,
    /// `application/vnd.pgrst.object+json`, with `nulls=stripped` or not.
    Object { stripped: bool },
    /// `application/vnd.pgrst.array+json;nulls=stripped`.
    Stripped,
}

impl Media {
    /// Whether exactly one row is asked for.
    pub(crate) fn is_object(self) -> bool {
        matches!(self, Self::Object { .. })
    }

    /// `Content-Type`.
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Object { stripped: false } => "application/vnd.pgrst.object+json; charset=utf-8",
            Self::Object { stripped: true } => {
                "application/vnd.pgrst.object+json;nulls=stripped; charset=utf-8"
            }
            Self::Stripped => "application/vnd.pgrst.array+json;nulls=stripped; charset=utf-8",
        }
    }

    /// The same as the value of a field, which is judged when this is compiled.
    pub(crate) fn field(self) -> HeaderValue {
        const JSON: HeaderValue = HeaderValue::from_static(Media::Json.content_type());
        match self {
            Self::Json => JSON,
            other => HeaderValue::from_static(other.content_type()),
        }
    }
}

/// The representation that the caller likes best of those that are served.
pub(crate) fn accept(headers: &HeaderMap) -> Result<Media> {
    // A look at each name is sooner done than a hash.
    if !headers.keys().any(|name| *name == header::ACCEPT) {
        return Ok(Media::Json);
    }
    let mut best: Option<(Media, u32)> = None;
    let mut any = false;
    for value in headers.get_all(header::ACCEPT) {
        for entry in value.to_str().unwrap_or_default().split(',') {
            if entry.trim().is_empty() {
                continue;
            }
            any = true;
            let (media, quality) = one(entry);
            if let Some(media) = media
                && quality > 0
                && best.is_none_or(|(_, q)| quality > q)
            {
                best = Some((media, quality));
            }
        }
    }
    match best {
        Some((media, _)) => Ok(media),
        None if !any => Ok(Media::Json),
        None => {
            let asked = headers
                .get(header::ACCEPT)
                .and_then(|v| v.to_str().ok())
                .unwrap_or_default();
            let asked = shorten(asked);
            Err(Refusal::new(
                &codes::NOT_ACCEPTABLE,
                format!("`{asked}` is not served; `application/json` and `text/csv` are."),
            )
            .postgrest(
                "PGRST107",
                406,
                format!("None of these media types are available: {asked}"),
            ))
        }
    }
}

/// One entry, with its quality in thousandths.
fn one(entry: &str) -> (Option<Media>, u32) {
    let mut parts = entry.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default().to_ascii_lowercase();
    let (mut quality, mut stripped) = (1000, false);
    for parameter in parts {
        match parameter.split_once('=') {
            Some(("q" | "Q", q)) => {
                quality = q
                    .parse::<f32>()
                    .map_or(0, |q| (q.clamp(0.0, 1.0) * 1000.0) as u32);
            }
            Some(("nulls", "stripped")) => stripped = true,
            _ => {}
        }
    }
    let media = match name.as_str() {
        "text/csv" | "text/*" => Some(Media::Csv),
        "application/vnd.pgrst.object+json" | "application/vnd.pgrst.object" => {
            Some(Media::Object { stripped })
        }
        "application/vnd.pgrst.array+json" | "application/vnd.pgrst.array" if stripped => {
            Some(Media::Stripped)
        }
        "*/*"
        | "application/*"
        | "application/json"
        | "application/vnd.pgrst.array+json"
        | "application/vnd.pgrst.array" => Some(Media::Json),
        _ => None,
    };
    (media, quality)
}
