//! Entity tags of rows: the row's version, and a hash of the representation behind it. `If-Match` compares the
//! version alone, so that a tag from any representation guards a write.

use crate::operation::{Precondition, Version};
use crate::parse::accept::Media;
use http::{HeaderMap, HeaderName, header};
use std::sync::LazyLock;
use stoa_exchange::text::{push_hex, push_hex_number};
use xxhash_rust::xxh3::xxh3_64;

/// The tag of a representation.
pub(crate) fn tag(version: Option<Version>, media: &str, body: &[u8]) -> String {
    static JSON: LazyLock<u64> = LazyLock::new(|| xxh3_64(Media::Json.content_type().as_bytes()));
    let media = if media == Media::Json.content_type() {
        *JSON
    } else {
        xxh3_64(media.as_bytes())
    };
    let hash = xxh3_64(body) ^ media;
    let mut tag = String::with_capacity(36);
    tag.push('"');
    if let Some(version) = version {
        push_hex_number(&mut tag, version.cast_unsigned());
    }
    tag.push('-');
    push_hex(&mut tag, &hash.to_be_bytes());
    tag.push('"');
    tag
}

/// The tag of a row whose representation is not sent: good for `If-Match`.
pub(crate) fn version_tag(version: Version) -> String {
    format!("\"{:x}\"", version.cast_unsigned())
}

/// The tags of a field, each with whether it is weak; `None` when it holds `*`.
fn tags(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<(bool, String)>> {
    let mut tags = Vec::new();
    for value in headers.get_all(name) {
        for part in value.to_str().unwrap_or_default().split(',').map(str::trim) {
            if part == "*" {
                return None;
            }
            let (weak, part) = match part.strip_prefix("W/") {
                Some(rest) => (true, rest),
                None => (false, part),
            };
            if let Some(tag) = part.strip_prefix('"').and_then(|p| p.strip_suffix('"')) {
                tags.push((weak, tag.to_owned()));
            }
        }
    }
    Some(tags)
}

/// Whether `If-None-Match` holds the tag of what would be sent (weak comparison, RFC 9110 section 13.1.2).
pub(crate) fn none_match_hits(headers: &HeaderMap, tag: &str) -> bool {
    if !headers.keys().any(|name| *name == header::IF_NONE_MATCH) {
        return false;
    }
    let tag = tag.trim_matches('"');
    tags(headers, &header::IF_NONE_MATCH).is_none_or(|tags| tags.iter().any(|(_, t)| t == tag))
}

/// The condition of a write on one row. `If-Match` compares strongly: a weak tag never fits.
pub(crate) fn precondition(headers: &HeaderMap) -> Precondition {
    if headers.contains_key(header::IF_MATCH) {
        return match tags(headers, &header::IF_MATCH) {
            None => Precondition::Exists,
            Some(tags) => Precondition::Versions(
                tags.iter()
                    .filter(|(weak, _)| !weak)
                    .filter_map(|(_, t)| version(t))
                    .collect(),
            ),
        };
    }
    if headers.contains_key(header::IF_NONE_MATCH) && tags(headers, &header::IF_NONE_MATCH).is_none() {
        return Precondition::Absent;
    }
    Precondition::None
}

/// The version in a tag.
fn version(tag: &str) -> Option<Version> {
    let digits = tag.split('-').next()?;
    u64::from_str_radix(digits, 16).ok().map(u64::cast_signed)
}

#[cfg(test)]
mod tests;
