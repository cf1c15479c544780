//! What SQLite lacks: `LIKE` that minds case, `ILIKE` for every alphabet, containment, exact JSON paths, and the
//! readings of values that a bound table may hold. All are deterministic and give null for what they cannot read.

mod aggregate;
mod cast;
mod json;
#[cfg(test)]
mod tests;

use super::codec::{self, Cell};
use aggregate::Total;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Result};
use std::borrow::Cow;
use std::cmp::Ordering;

pub(crate) use cast::{arguments as cast_arguments, fault as cast_fault};

/// Registers all of them.
pub(crate) fn register(conn: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    conn.create_scalar_function("stoa_like", 2, flags, |c| Ok(matches(c, false)))?;
    conn.create_scalar_function("stoa_ilike", 2, flags, |c| Ok(matches(c, true)))?;
    conn.create_scalar_function("stoa_contains", 2, flags, |c| Ok(json::pair(c, json::contains)))?;
    conn.create_scalar_function("stoa_overlaps", 2, flags, |c| Ok(json::pair(c, json::overlaps)))?;
    conn.create_scalar_function("stoa_json", 3, flags, |c| Ok(json::path(c)))?;
    conn.create_scalar_function("stoa_row", -1, flags, |c| Ok(row(c)))?;
    conn.create_scalar_function("stoa_hash", -1, flags, |c| Ok(hash(c)))?;
    conn.create_scalar_function("stoa_time", 1, flags, |c| {
        Ok(codec::read_time(&cell(c, 0)).map(crate::value::render_time))
    })?;
    conn.create_scalar_function("stoa_date", 1, flags, |c| {
        Ok(codec::read_date(&cell(c, 0)).map(crate::value::render_date))
    })?;
    conn.create_scalar_function("stoa_text", 1, flags, |c| {
        let cell = cell(c, 0);
        Ok((cell != Cell::Null).then(|| codec::text(&cell)))
    })?;
    conn.create_scalar_function("stoa_bool", 1, flags, |c| Ok(codec::boolean(&cell(c, 0))))?;
    conn.create_scalar_function("stoa_uuid", 1, flags, |c| {
        Ok(codec::uuid(&cell(c, 0)).map(|id| id.to_string()))
    })?;
    conn.create_scalar_function("stoa_decimal", 2, flags, |c| Ok(decimal(c)))?;
    conn.create_scalar_function("stoa_scaled", 2, flags, |c| Ok(scaled(c)))?;
    conn.create_scalar_function("stoa_cast", 3, flags, cast::cast)?;
    conn.create_aggregate_function("stoa_sum", 1, flags, aggregate::Added(Total::sum))?;
    conn.create_aggregate_function("stoa_avg", 1, flags, aggregate::Added(Total::average))?;
    conn.create_aggregate_function("stoa_min", 1, flags, aggregate::Extreme(Ordering::Less))?;
    conn.create_aggregate_function("stoa_max", 1, flags, aggregate::Extreme(Ordering::Greater))?;
    conn.create_collation("stoa_json", json::order)
}

fn cell<'a>(context: &'a Context<'_>, index: usize) -> Cell<'a> {
    Cell::from(context.get_raw(index))
}

fn text<'a>(context: &'a Context<'_>, index: usize) -> Option<Cow<'a, str>> {
    match cell(context, index) {
        Cell::Text(text) => Some(text),
        Cell::Int(n) => Some(Cow::Owned(n.to_string())),
        Cell::Real(n) => Some(Cow::Owned(n.to_string())),
        Cell::Null | Cell::Blob(_) => None,
    }
}

/// `stoa_like(text, pattern)`.
fn matches(context: &Context<'_>, fold: bool) -> Option<bool> {
    let (text, pattern) = (text(context, 0)?, text(context, 1)?);
    Some(if fold {
        like(&lower(&text), &lower(&pattern))
    } else {
        like(&text, &pattern)
    })
}

/// Lower case of any alphabet, so that what differs in case alone becomes equal.
fn lower(text: &str) -> String {
    text.chars()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect()
}

/// SQL's `LIKE`: `%` any text, `_` one character, `\` takes the next as it is. In time proportional to the text
/// times the pattern at worst.
pub(crate) fn like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut t, mut p) = (0, 0);
    // Where to go on when a later part does not match: behind the last `%`, one character further each time.
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(p) {
            Some('%') => {
                retry = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some('_') if t < text.len() => Some(1),
            Some('\\') if p + 1 < pattern.len() => (pattern.get(p + 1) == text.get(t)).then_some(2),
            Some(c) => (Some(c) == text.get(t)).then_some(1),
            None if t == text.len() => return true,
            None => None,
        };
        match (step, retry) {
            (Some(width), _) => {
                p += width;
                t += 1;
            }
            (None, Some((behind, from))) if from < text.len() => {
                p = behind;
                t = from + 1;
                retry = Some((behind, from + 1));
            }
            (None, _) => return false,
        }
    }
}

/// `stoa_row('..e', a, b, …)`: a row as a JSON list that keeps every digit and every kind. Bytes are `{"b":"…"}`. The
/// first value says of each of the others whether it is such rows again (`e`).
fn row(context: &Context<'_>) -> String {
    use base64::Engine as _;
    let mut out = vec![b'['];
    let embeds = match context.get_raw(0) {
        ValueRef::Text(text) => text,
        _ => &[],
    };
    for index in 1..context.len() {
        if index > 1 {
            out.push(b',');
        }
        match cell(context, index) {
            Cell::Null => out.extend_from_slice(b"null"),
            Cell::Int(n) => out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes()),
            Cell::Real(n) => codec::write_float(n, &mut out),
            Cell::Text(text) if embeds.get(index - 1) == Some(&b'e') => {
                out.extend_from_slice(text.as_bytes());
            }
            Cell::Text(text) => codec::write_text(&text, &mut out),
            Cell::Blob(bytes) => {
                out.extend_from_slice(b"{\"b\":\"");
                out.extend_from_slice(base64::engine::general_purpose::STANDARD.encode(bytes).as_bytes());
                out.extend_from_slice(b"\"}");
            }
        }
    }
    out.push(b']');
    String::from_utf8(out).unwrap_or_default()
}

/// `stoa_hash(a, b, …)`: the version of a row of a bound table. Never negative, so that it reads well in an `ETag`.
fn hash(context: &Context<'_>) -> i64 {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    for index in 0..context.len() {
        let (kind, bytes): (u8, Cow<'_, [u8]>) = match context.get_raw(index) {
            ValueRef::Null => (0, Cow::Borrowed(&[])),
            ValueRef::Integer(n) => (1, Cow::Owned(n.to_le_bytes().to_vec())),
            ValueRef::Real(n) => (2, Cow::Owned(n.to_le_bytes().to_vec())),
            ValueRef::Text(text) => (3, Cow::Borrowed(text)),
            ValueRef::Blob(bytes) => (4, Cow::Borrowed(bytes)),
        };
        hasher.update(&[kind]);
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(&bytes);
    }
    i64::try_from(hasher.digest() >> 1).unwrap_or(i64::MAX)
}

/// `stoa_decimal(value, scale)`: text that sorts as the number does.
fn decimal(context: &Context<'_>) -> Option<String> {
    let scale = match cell(context, 1) {
        Cell::Int(n) => u8::try_from(n).ok()?,
        _ => return None,
    };
    codec::decimal_key(&text(context, 0)?, scale)
}

/// `stoa_scaled(cell, scale)`: the same from the cell of a decimal in a table of Stoa's own.
fn scaled(context: &Context<'_>) -> Option<String> {
    let scale = match cell(context, 1) {
        Cell::Int(n) => u8::try_from(n).ok()?,
        _ => return None,
    };
    codec::decimal_key(&codec::digits(&cell(context, 0), scale)?, 18)
}
