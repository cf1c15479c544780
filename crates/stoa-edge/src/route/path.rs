//! The one form of a path that routing, access rules and services all see.
//!
//! - Escapes of unreserved characters are resolved (`%41` is `A`); other escapes are written in upper case; the
//!   few characters that clients send raw although they should not (`"<>^|{}` and the backtick) are escaped.
//! - Refused, because two servers may read them differently: empty segments (`//`), `.` and `..` segments (also
//!   escaped, also before `;`), `\`, escaped `/` and `\`, escaped control characters, broken escapes, and escapes
//!   that are not UTF-8 (overlong forms too).
//!
//! What is routed, what access rules judge and what goes upstream are this form, byte for byte.

use crate::listen::head::alphanumeric_or;
use std::borrow::Cow;

/// The canonical form of the path of a request, or what is wrong with it.
pub(crate) fn canonical(path: &str) -> Result<Cow<'_, str>, &'static str> {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Err("the path does not begin with `/`");
    }
    // Nearly always all are plain and no segment needs a look, which is seen in few steps by loops without a way out.
    if bytes.iter().fold(true, |plain, &b| plain & is_plain(b)) {
        let odd = |found: u8, (a, b): (&u8, &u8)| {
            found | (u8::from(*a == b'/') & (u8::from(*b == b'/') | u8::from(*b == b'.')))
        };
        if bytes.iter().zip(&bytes[1..]).fold(0, odd) != 0 {
            segments_fine(path)?;
        }
        return Ok(Cow::Borrowed(path));
    }
    let fixed = rewrite(bytes)?;
    segments_fine(&fixed)?;
    no_hidden_dots(&fixed)?;
    Ok(Cow::Owned(fixed))
}

/// The segments of a canonical path, as written.
pub(crate) fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

/// A segment of a canonical path without escapes.
pub(crate) fn decode(segment: &str) -> Cow<'_, str> {
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy()
}

/// Characters of a path that stand for themselves: `pchar` and `/` of RFC 3986.
#[inline]
pub(crate) fn is_plain(byte: u8) -> bool {
    const TABLE: [bool; 256] = alphanumeric_or(b"-._~!$&'()*+,;=:@/");
    TABLE[usize::from(byte)]
}

fn rewrite(bytes: &[u8]) -> Result<String, &'static str> {
    let mut out = String::with_capacity(bytes.len() + 8);
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let (byte, escaped) = if byte == b'%' {
            let digit = |i: usize| bytes.get(at + i).and_then(|b| char::from(*b).to_digit(16));
            let (Some(high), Some(low)) = (digit(1), digit(2)) else {
                return Err("the path has a `%` that is not followed by two hexadecimal digits");
            };
            at += 2;
            ((high * 16 + low) as u8, true)
        } else {
            (byte, false)
        };
        at += 1;
        decoded.push(byte);
        match byte {
            b'\\' => return Err("the path has a backslash"),
            b'/' if escaped => return Err("the path has an escaped `/`"),
            0..=0x1f | 0x7f => return Err("the path has a control character"),
            0x80.. if !escaped => return Err("the path has a character that must be percent-encoded"),
            _ if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => out.push(char::from(byte)),
            _ if !escaped && is_plain(byte) => out.push(char::from(byte)),
            _ => {
                const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
                out.push('%');
                out.push(char::from(DIGITS[usize::from(byte >> 4)]));
                out.push(char::from(DIGITS[usize::from(byte & 15)]));
            }
        }
    }
    if std::str::from_utf8(&decoded).is_err() {
        return Err("the path is not UTF-8");
    }
    Ok(out)
}

fn segments_fine(path: &str) -> Result<(), &'static str> {
    let bytes = path.as_bytes();
    for at in memchr::memchr_iter(b'/', bytes) {
        match bytes.get(at + 1) {
            Some(b'/') => return Err("the path has an empty segment"),
            Some(b'.') => {
                let segment = path[at + 1..].split('/').next().unwrap_or_default();
                if matches!(segment.split(';').next(), Some("." | "..")) {
                    return Err("the path has a `.` or `..` segment");
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// An escaped `;` can hide a dot segment from us and show it to a server that decodes first.
fn no_hidden_dots(path: &str) -> Result<(), &'static str> {
    if path.contains("%3B") && segments(path).any(|s| matches!(decode(s).split(';').next(), Some("." | "..")))
    {
        return Err("the path has a `.` or `..` segment");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
