//! Reading what others wrote: SQLite keeps any kind of value in any column, so a bound table is read by the
//! declared type of the field and by what is found, tolerantly where the meaning is plain.

use super::{Cell, unreadable, write_float};
use crate::store::table::Column;
use crate::value::{Value, civil_micros};
use base64::Engine as _;
use serde_json::value::RawValue;
use std::borrow::Cow;
use stoa_config::plan::Type;

/// Microseconds of a day.
const DAY_MICROS: i64 = 86_400_000_000;
/// Seconds beyond this are milliseconds (year 5138 as seconds).
const SECONDS_MAX: i64 = 100_000_000_000;
/// Milliseconds beyond this are microseconds.
const MILLIS_MAX: i64 = 100_000_000_000_000;
/// Julian days of the years 0 to 9999: SQLite's own way to keep a moment in a REAL.
const JULIAN: std::ops::Range<f64> = 1_721_059.5..5_373_484.5;
/// Julian day of 1970-01-01.
const JULIAN_1970: f64 = 2_440_587.5;

/// A cell as the field's type.
pub(super) fn read(cell: &Cell<'_>, column: &Column) -> Result<Value, String> {
    if matches!(cell, Cell::Null) {
        return Ok(Value::Null);
    }
    let value = match &column.ty {
        Type::Text | Type::Enum(_) => Some(Value::Text(text(cell).into())),
        Type::Int | Type::Ref { .. } => int(cell).map(Value::Int),
        Type::Float => float(cell).map(Value::Float),
        Type::Decimal { scale, .. } => super::decimal(&text(cell), *scale).map(|d| Value::Decimal(d.into())),
        Type::Bool => boolean(cell).map(Value::Bool),
        Type::Uuid | Type::Uuid7 => uuid(cell).map(Value::Uuid),
        Type::Time => read_time(cell).map(Value::Time),
        Type::Date => read_date(cell).map(Value::Date),
        Type::Json => json(cell).map(|t| Value::Json(t.into())),
        Type::List(_) => json(cell)
            .filter(|t| t.trim_start().starts_with('['))
            .map(|t| Value::Json(t.into())),
    };
    value.ok_or_else(|| unreadable(cell, column))
}

/// As text; bytes that are no text as base64.
pub(crate) fn text(cell: &Cell<'_>) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Int(n) => n.to_string(),
        Cell::Real(n) => {
            let mut out = Vec::new();
            write_float(*n, &mut out);
            String::from_utf8(out).unwrap_or_default()
        }
        Cell::Text(text) => text.clone().into_owned(),
        Cell::Blob(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => base64::engine::general_purpose::STANDARD.encode(bytes),
        },
    }
}

fn int(cell: &Cell<'_>) -> Option<i64> {
    match cell {
        Cell::Int(n) => Some(*n),
        Cell::Real(n) if n.fract() == 0.0 && n.abs() < 9.2e18 => Some(*n as i64),
        Cell::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn float(cell: &Cell<'_>) -> Option<f64> {
    match cell {
        Cell::Int(n) => Some(*n as f64),
        Cell::Real(n) => Some(*n),
        Cell::Text(text) => text.trim().parse().ok().filter(|n: &f64| n.is_finite()),
        _ => None,
    }
}

/// Whether a cell says yes.
pub(crate) fn boolean(cell: &Cell<'_>) -> Option<bool> {
    match cell {
        Cell::Int(n) => Some(*n != 0),
        Cell::Real(n) => Some(*n != 0.0),
        Cell::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "1" | "t" | "true" | "y" | "yes" | "on" => Some(true),
            "0" | "f" | "false" | "n" | "no" | "off" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// A UUID in any of its spellings.
pub(crate) fn uuid(cell: &Cell<'_>) -> Option<uuid::Uuid> {
    match cell {
        Cell::Text(text) => uuid::Uuid::parse_str(text.trim()).ok(),
        Cell::Blob(bytes) => uuid::Uuid::from_slice(bytes).ok(),
        _ => None,
    }
}

fn json(cell: &Cell<'_>) -> Option<String> {
    match cell {
        Cell::Int(_) | Cell::Real(_) => Some(text(cell)),
        Cell::Text(text) => serde_json::from_str::<&RawValue>(text)
            .ok()
            .map(|raw| raw.get().to_owned()),
        _ => None,
    }
}

/// A moment, as microseconds since 1970: RFC 3339, `YYYY-MM-DD HH:MM[:SS[.F]]` or a date in UTC, Unix seconds,
/// milliseconds or microseconds, or a Julian day.
pub(crate) fn read_time(cell: &Cell<'_>) -> Option<i64> {
    match cell {
        Cell::Int(n) => Some(match n.abs() {
            0..SECONDS_MAX => n.checked_mul(1_000_000)?,
            SECONDS_MAX..MILLIS_MAX => n.checked_mul(1_000)?,
            _ => *n,
        }),
        Cell::Real(n) if JULIAN.contains(n) => {
            Some(((n - JULIAN_1970) * 86_400_000.0).round() as i64 * 1_000)
        }
        Cell::Real(n) if n.abs() < SECONDS_MAX as f64 => Some((n * 1e6).round() as i64),
        Cell::Text(text) => time_text(text.trim()),
        _ => None,
    }
}

fn time_text(text: &str) -> Option<i64> {
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Some(moment.as_microsecond());
    }
    let text = text
        .strip_suffix(" UTC")
        .map_or(Cow::Borrowed(text), |t| Cow::Owned(t.to_owned()));
    let civil = text.trim_end_matches('Z').parse::<jiff::civil::DateTime>();
    civil.ok().map(civil_micros)
}

/// A day, as days since 1970: `YYYY-MM-DD` (a time behind it is left out), or any moment.
pub(crate) fn read_date(cell: &Cell<'_>) -> Option<i32> {
    if let Cell::Text(text) = cell {
        let day: jiff::civil::Date = text.trim().get(..10)?.parse().ok()?;
        let epoch = jiff::civil::date(1970, 1, 1);
        return epoch.until(day).ok().map(|span| span.get_days());
    }
    i32::try_from(read_time(cell)?.div_euclid(DAY_MICROS)).ok()
}
