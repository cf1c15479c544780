//! Values between Stoa and SQLite: how Stoa writes its own tables, and how it reads what others wrote.
//!
//! Own tables keep `uuid`, `time`, `date`, `enum`, `json` and lists as text, `bool` as 0 or 1, decimals of up to
//! 18 digits as a scaled integer and longer ones as text that sorts as the numbers do. A bound table may hold
//! anything; it is read as the declared type, or the reason why not is told.

mod found;
mod number;
#[cfg(test)]
mod tests;

pub(crate) use found::{boolean, read_date, read_time, text, uuid};
pub(crate) use number::{decimal, decimal_key};

use crate::operation::Kind;
pub(crate) use crate::store::json::{write_float, write_int, write_text, write_value};
use crate::store::sql::Spelling;
use crate::store::table::{Affinity, Column, Storage};
use crate::value::{Value, render_date, render_time};
use rusqlite::types::{ToSqlOutput, Value as Owned, ValueRef};
use std::borrow::Cow;
use stoa_config::plan::Type;

/// Digits of a decimal that still fit an integer.
const INTEGER_DIGITS: u8 = 18;

/// One value as SQLite holds it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    Null,
    Int(i64),
    Real(f64),
    Text(Cow<'a, str>),
    Blob(Cow<'a, [u8]>),
}

impl<'a> From<ValueRef<'a>> for Cell<'a> {
    fn from(value: ValueRef<'a>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(n) => Self::Int(n),
            ValueRef::Real(n) => Self::Real(n),
            ValueRef::Text(text) => Self::Text(String::from_utf8_lossy(text)),
            ValueRef::Blob(bytes) => Self::Blob(Cow::Borrowed(bytes)),
        }
    }
}

/// A value as it is bound.
pub(crate) fn encode<'a>(column: &Column, value: &'a Value, spelling: Spelling) -> ToSqlOutput<'a> {
    let text = |text: String| ToSqlOutput::Owned(Owned::Text(text));
    let integer = |n: i64| ToSqlOutput::Owned(Owned::Integer(n));
    match value {
        Value::Null | Value::Default => ToSqlOutput::Owned(Owned::Null),
        Value::Bool(yes) => integer(i64::from(*yes)),
        Value::Int(n) => integer(*n),
        Value::Float(n) => ToSqlOutput::Owned(Owned::Real(*n)),
        Value::Decimal(digits) => encode_decimal(column, digits),
        Value::Text(plain) | Value::Json(plain) => ToSqlOutput::Borrowed(ValueRef::Text(plain.as_bytes())),
        Value::Uuid(id) => match spelling {
            Spelling::Canonical => text(id.to_string()),
            Spelling::Upper => text(id.to_string().to_uppercase()),
            Spelling::Bytes => ToSqlOutput::Owned(Owned::Blob(id.as_bytes().to_vec())),
        },
        Value::Time(micros) => text(render_time(*micros)),
        Value::Date(days) => text(render_date(*days)),
        Value::List(_) => {
            let mut json = Vec::new();
            write_value(value, &mut json);
            text(String::from_utf8(json).unwrap_or_default())
        }
    }
}

fn encode_decimal<'a>(column: &Column, digits: &'a str) -> ToSqlOutput<'a> {
    let Type::Decimal { precision, scale } = column.ty else {
        return ToSqlOutput::Borrowed(ValueRef::Text(digits.as_bytes()));
    };
    match column.storage {
        Storage::Native if precision <= INTEGER_DIGITS => {
            let scaled = number::scaled(digits, scale).and_then(|n| i64::try_from(n).ok());
            ToSqlOutput::Owned(scaled.map_or(Owned::Null, Owned::Integer))
        }
        Storage::Native => {
            let key = number::scaled(digits, scale).map(|n| number::sortable(n, precision));
            ToSqlOutput::Owned(key.map_or(Owned::Null, Owned::Text))
        }
        Storage::Server(_) | Storage::Found(Affinity::Numeric) => {
            ToSqlOutput::Borrowed(ValueRef::Text(digits.as_bytes()))
        }
        Storage::Found(Affinity::Text | Affinity::None) => {
            ToSqlOutput::Owned(decimal_key(digits, scale).map_or(Owned::Null, Owned::Text))
        }
    }
}

/// A value as it is stored in a new row of a bound table: as the type reads naturally there.
pub(crate) fn encode_stored<'a>(column: &Column, value: &'a Value) -> ToSqlOutput<'a> {
    match (column.storage, value) {
        (Storage::Found(_), Value::Decimal(digits)) => {
            ToSqlOutput::Borrowed(ValueRef::Text(digits.as_bytes()))
        }
        _ => encode(column, value, Spelling::Canonical),
    }
}

/// A cell as JSON.
pub(crate) fn write_json(cell: &Cell<'_>, column: &Column, out: &mut Vec<u8>) -> Result<(), String> {
    if column.storage != Storage::Native {
        write_value(&found::read(cell, column)?, out);
        return Ok(());
    }
    match (&column.ty, cell) {
        (_, Cell::Null) => out.extend_from_slice(b"null"),
        (Type::Bool, Cell::Int(n)) => out.extend_from_slice(if *n == 0 { b"false" } else { b"true" }),
        (Type::Int, Cell::Int(n)) => write_int(*n, out),
        (Type::Float, Cell::Real(n)) => write_float(*n, out),
        (Type::Decimal { scale, .. }, Cell::Int(n)) => number::write_scaled(i128::from(*n), *scale, out),
        (Type::Decimal { scale, .. }, Cell::Text(text)) => match number::from_sortable(text) {
            Some(n) => number::write_scaled(n, *scale, out),
            None => return Err(unreadable(cell, column)),
        },
        (Type::Json | Type::List(_), Cell::Text(text)) => out.extend_from_slice(text.as_bytes()),
        (_, Cell::Text(text)) => write_text(text, out),
        _ => return Err(unreadable(cell, column)),
    }
    Ok(())
}

/// A computed cell (see [`super::functions`]) as JSON.
pub(crate) fn write_computed(cell: &Cell<'_>, kind: Kind, out: &mut Vec<u8>) -> Result<(), String> {
    match (kind, cell) {
        (_, Cell::Null) => out.extend_from_slice(b"null"),
        (Kind::Bool, Cell::Int(n)) => out.extend_from_slice(if *n == 0 { b"false" } else { b"true" }),
        (Kind::Int | Kind::Number, Cell::Int(n)) => write_int(*n, out),
        (Kind::Float, Cell::Real(n)) => write_float(*n, out),
        (Kind::Float, Cell::Int(n)) => write_float(*n as f64, out),
        (Kind::Number | Kind::Json, Cell::Text(text)) => out.extend_from_slice(text.as_bytes()),
        (Kind::Text | Kind::Uuid | Kind::Time | Kind::Date, Cell::Text(text)) => write_text(text, out),
        _ => return Err(format!("a computed value is not {kind:?}")),
    }
    Ok(())
}

/// A cell as a value.
pub(crate) fn read(cell: &Cell<'_>, column: &Column) -> Result<Value, String> {
    if column.storage != Storage::Native {
        return found::read(cell, column);
    }
    let value = match (&column.ty, cell) {
        (_, Cell::Null) => Some(Value::Null),
        (Type::Bool, Cell::Int(n)) => Some(Value::Bool(*n != 0)),
        (Type::Int, Cell::Int(n)) => Some(Value::Int(*n)),
        (Type::Float, Cell::Real(n)) => Some(Value::Float(*n)),
        (Type::Decimal { scale, .. }, Cell::Int(n)) => Some(scaled_value(i128::from(*n), *scale)),
        (Type::Decimal { scale, .. }, Cell::Text(text)) => {
            number::from_sortable(text).map(|n| scaled_value(n, *scale))
        }
        (ty, Cell::Text(text)) => read_text(ty, text),
        _ => None,
    };
    value.ok_or_else(|| unreadable(cell, column))
}

fn read_text(ty: &Type, text: &str) -> Option<Value> {
    match ty {
        Type::Text | Type::Enum(_) => Some(Value::Text(text.into())),
        Type::Uuid | Type::Uuid7 => ::uuid::Uuid::parse_str(text).ok().map(Value::Uuid),
        Type::Time => read_time(&Cell::Text(Cow::Borrowed(text))).map(Value::Time),
        Type::Date => read_date(&Cell::Text(Cow::Borrowed(text))).map(Value::Date),
        Type::Json | Type::List(_) => Some(Value::Json(text.into())),
        _ => None,
    }
}

/// A decimal as a literal of SQL, as [`encode`] would bind it.
pub(crate) fn decimal_literal(text: &str, precision: u8, scale: u8) -> Option<String> {
    let n = number::scaled(&decimal(text, scale)?, scale)?;
    Some(if precision <= INTEGER_DIGITS {
        n.to_string()
    } else {
        format!("'{}'", number::sortable(n, precision))
    })
}

/// The digits of a decimal's cell in a table of Stoa's own.
pub(crate) fn digits(cell: &Cell<'_>, scale: u8) -> Option<String> {
    let n = match cell {
        Cell::Int(n) => i128::from(*n),
        Cell::Text(text) => number::from_sortable(text)?,
        _ => return None,
    };
    let mut out = Vec::new();
    number::write_scaled(n, scale, &mut out);
    String::from_utf8(out).ok()
}

fn scaled_value(n: i128, scale: u8) -> Value {
    let mut digits = Vec::new();
    number::write_scaled(n, scale, &mut digits);
    Value::Decimal(String::from_utf8(digits).unwrap_or_default().into())
}

/// Why a cell cannot be read as its field.
fn unreadable(cell: &Cell<'_>, column: &Column) -> String {
    let shown = match cell {
        Cell::Null => "null".to_owned(),
        Cell::Int(n) => n.to_string(),
        Cell::Real(n) => n.to_string(),
        Cell::Text(text) => format!("{:?}", text.chars().take(60).collect::<String>()),
        Cell::Blob(bytes) => format!("{} bytes", bytes.len()),
    };
    format!(
        "column {} holds {shown}, which cannot be read as {}: declare the field with the type of what the column holds",
        column.quoted, column.ty
    )
}
