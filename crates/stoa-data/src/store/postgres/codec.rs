//! PostgreSQL's binary forms: columns become JSON text directly, values become bound parameters.

mod bind;
mod composite;
mod number;
#[cfg(test)]
mod tests;

pub(super) use bind::{Param, Unfit};
pub(super) use composite::{Fields, Items};

use crate::operation::Kind as Computed;
use crate::store::json::{quoted, write_float, write_int, write_text};
use crate::store::table::Column;
use crate::value::{Value, write_date, write_time};
use std::error::Error;
use stoa_config::plan::Type as Kind;
use tokio_postgres::types::{FromSql, Type};

/// Days from 1970-01-01, Stoa's first day, to 2000-01-01, PostgreSQL's.
const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
const EPOCH_MICROS: i64 = 10_957 * 86_400_000_000;

/// A column of a row as the server sent it; `None` is null.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw<'a>(pub(super) Option<&'a [u8]>);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A column as JSON.
pub(super) fn write_json(raw: Option<&[u8]>, column: &Column, out: &mut Vec<u8>) -> Result<(), String> {
    let Some(bytes) = raw else {
        out.extend_from_slice(b"null");
        return Ok(());
    };
    write_kind(bytes, &column.ty, out).ok_or_else(|| unreadable(bytes, column))
}

fn write_kind(bytes: &[u8], kind: &Kind, out: &mut Vec<u8>) -> Option<()> {
    match kind {
        Kind::Text | Kind::Enum(_) => write_text(std::str::from_utf8(bytes).ok()?, out),
        Kind::Int => write_int(int(bytes)?, out),
        Kind::Bool => out.extend_from_slice(if boolean(bytes)? { b"true" } else { b"false" }),
        Kind::Float => write_float(float(bytes)?, out),
        Kind::Decimal { scale, .. } => number::write(bytes, *scale, out)?,
        Kind::Uuid | Kind::Uuid7 => {
            let id = uuid::Uuid::from_slice(bytes).ok()?;
            let mut buffer = uuid::Uuid::encode_buffer();
            let shown = id.hyphenated().encode_lower(&mut buffer);
            quoted(out, |out| out.extend_from_slice(shown.as_bytes()));
        }
        Kind::Time => {
            let micros = time(bytes)?;
            quoted(out, |out| write_time(micros, out));
        }
        Kind::Date => {
            let days = date(bytes)?;
            quoted(out, |out| write_date(days, out));
        }
        Kind::Json => write_compact(json(bytes)?, out),
        Kind::Ref { value, .. } => write_kind(bytes, value, out)?,
        Kind::List(item) => {
            let mut items = Items::read(bytes)?;
            let lengths = items.lengths();
            write_list(&mut items, &lengths, item, out)?;
        }
    }
    Some(())
}

/// A computed column as JSON. `None` when it cannot be read.
pub(super) fn write_computed(bytes: &[u8], kind: Computed, out: &mut Vec<u8>) -> Option<()> {
    write_kind(bytes, as_type(kind), out)
}

/// A computed column as a value. `None` when it cannot be read.
pub(super) fn read_computed(bytes: &[u8], kind: Computed) -> Option<Value> {
    read_kind(bytes, as_type(kind))
}

/// The type of what was computed; a number is shown with the digits that it has.
fn as_type(kind: Computed) -> &'static Kind {
    match kind {
        Computed::Number => &Kind::Decimal {
            precision: 0,
            scale: 0,
        },
        Computed::Bool => &Kind::Bool,
        Computed::Int => &Kind::Int,
        Computed::Float => &Kind::Float,
        Computed::Text => &Kind::Text,
        Computed::Uuid => &Kind::Uuid,
        Computed::Time => &Kind::Time,
        Computed::Date => &Kind::Date,
        Computed::Json => &Kind::Json,
    }
}

/// A list, or lists in lists: PostgreSQL's arrays have up to six dimensions, whatever their column was declared with.
fn write_list(items: &mut Items<'_>, lengths: &[usize], kind: &Kind, out: &mut Vec<u8>) -> Option<()> {
    out.push(b'[');
    if let Some((length, inner)) = lengths.split_first() {
        for position in 0..*length {
            if position > 0 {
                out.push(b',');
            }
            if !inner.is_empty() {
                write_list(items, inner, kind, out)?;
                continue;
            }
            match items.next()?? {
                Some(bytes) => write_kind(bytes, kind, out)?,
                None => out.extend_from_slice(b"null"),
            }
        }
    }
    out.push(b']');
    Some(())
}

/// A column as a value.
pub(super) fn read(raw: Option<&[u8]>, column: &Column) -> Result<Value, String> {
    let Some(bytes) = raw else { return Ok(Value::Null) };
    read_kind(bytes, &column.ty).ok_or_else(|| unreadable(bytes, column))
}

fn read_kind(bytes: &[u8], kind: &Kind) -> Option<Value> {
    let text = |write: &dyn Fn(&mut Vec<u8>) -> Option<()>| {
        let mut out = Vec::new();
        write(&mut out)?;
        String::from_utf8(out).ok()
    };
    Some(match kind {
        Kind::Text | Kind::Enum(_) => Value::Text(std::str::from_utf8(bytes).ok()?.into()),
        Kind::Int => Value::Int(int(bytes)?),
        Kind::Bool => Value::Bool(boolean(bytes)?),
        Kind::Float => Value::Float(float(bytes)?),
        Kind::Decimal { scale, .. } => match number::endless(bytes) {
            Some(name) => Value::Decimal(name.into()),
            None => Value::Decimal(text(&|out| number::write(bytes, *scale, out))?.into()),
        },
        Kind::Uuid | Kind::Uuid7 => Value::Uuid(uuid::Uuid::from_slice(bytes).ok()?),
        Kind::Time => Value::Time(time(bytes)?),
        Kind::Date => Value::Date(date(bytes)?),
        Kind::Ref { value, .. } => read_kind(bytes, value)?,
        Kind::Json | Kind::List(_) => Value::Json(text(&|out| write_kind(bytes, kind, out))?.into()),
    })
}

/// An integer of two, four or eight bytes.
pub(super) fn int(bytes: &[u8]) -> Option<i64> {
    Some(match *bytes {
        [a, b] => i64::from(i16::from_be_bytes([a, b])),
        [a, b, c, d] => i64::from(i32::from_be_bytes([a, b, c, d])),
        _ => i64::from_be_bytes(bytes.try_into().ok()?),
    })
}

/// A truth value.
pub(super) fn boolean(bytes: &[u8]) -> Option<bool> {
    match *bytes {
        [byte] => Some(byte != 0),
        _ => None,
    }
}

fn float(bytes: &[u8]) -> Option<f64> {
    match *bytes {
        // By its digits: 0.1 of four bytes is 0.1, not 0.10000000149011612.
        [a, b, c, d] => {
            let narrow = f32::from_be_bytes([a, b, c, d]);
            if narrow.is_finite() {
                ryu::Buffer::new().format_finite(narrow).parse().ok()
            } else {
                Some(f64::from(narrow))
            }
        }
        _ => Some(f64::from_be_bytes(bytes.try_into().ok()?)),
    }
}

/// Microseconds since 1970. `infinity` is the largest number and `-infinity` the smallest, there as here.
fn time(bytes: &[u8]) -> Option<i64> {
    Some(match i64::from_be_bytes(bytes.try_into().ok()?) {
        endless @ (i64::MAX | i64::MIN) => endless,
        micros => micros.saturating_add(EPOCH_MICROS).min(i64::MAX - 1),
    })
}

/// Days since 1970; with infinities as [`time`].
fn date(bytes: &[u8]) -> Option<i32> {
    Some(match i32::from_be_bytes(bytes.try_into().ok()?) {
        endless @ (i32::MAX | i32::MIN) => endless,
        days => days.saturating_add(EPOCH_DAYS).min(i32::MAX - 1),
    })
}

/// The text of `jsonb` (behind a version byte) or `json`.
pub(super) fn json(bytes: &[u8]) -> Option<&str> {
    let text = match bytes {
        [1, rest @ ..] => rest,
        all => all,
    };
    std::str::from_utf8(text).ok()
}

/// JSON without the white space between its tokens.
pub(super) fn write_compact(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    let mut from = 0;
    let mut at = 0;
    let mut quoted = false;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b' ' | b'\n' | b'\r' | b'\t' if !quoted => {
                out.extend_from_slice(bytes.get(from..at).unwrap_or_default());
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    out.extend_from_slice(bytes.get(from..).unwrap_or_default());
}

/// Why a column cannot be read as its field.
fn unreadable(bytes: &[u8], column: &Column) -> String {
    format!(
        "column {} holds {} bytes that cannot be read as {}: declare the field with the type of what the column holds",
        column.quoted,
        bytes.len(),
        column.ty
    )
}
