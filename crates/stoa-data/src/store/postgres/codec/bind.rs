//! Values as bound parameters.

use super::{EPOCH_DAYS, EPOCH_MICROS, number};
use crate::operation::PathStep;
use crate::store::json::write_value;
use crate::store::postgres::dialect::{bound_type, stored_type};
use crate::store::sql::Arg;
use crate::value::{Value, render_date, render_time};
use bytes::{BufMut, BytesMut};
use std::error::Error;
use tokio_postgres::types::{Format, IsNull, Kind, ToSql, Type};

/// What stands behind one placeholder.
#[derive(Clone, Copy, Debug)]
pub(in crate::store::postgres) enum Param<'a> {
    /// A value of the builder's.
    Arg(&'a Arg<'a>),
    /// Bytes.
    Bytes(&'a [u8]),
    /// A number.
    Int(i64),
    /// Text.
    Text(&'a str),
}

type Encoded = Result<IsNull, Box<dyn Error + Sync + Send>>;

impl Param<'_> {
    /// The type that the server is told.
    pub(in crate::store::postgres) fn ty(&self) -> Type {
        match self {
            Self::Arg(Arg::Value(column, ..)) => bound_type(column),
            Self::Arg(Arg::Stored(column, _)) => stored_type(column),
            Self::Arg(Arg::Text(_) | Arg::Null { json: false }) | Self::Text(_) => Type::TEXT,
            Self::Arg(Arg::Json(_) | Arg::Null { json: true }) => Type::JSONB,
            Self::Arg(Arg::Path(_)) => Type::TEXT_ARRAY,
            Self::Arg(Arg::Int(_)) | Self::Int(_) => Type::INT8,
            // The server finds the type from where it stands.
            Self::Arg(Arg::Literal(_)) => Type::UNKNOWN,
            Self::Bytes(_) => Type::BYTEA,
        }
    }

    /// Whether the server is handed text, to read it as what the column is.
    fn goes_as_text(&self) -> bool {
        matches!(
            self,
            Self::Arg(Arg::Value(..) | Arg::Stored(..) | Arg::Literal(_))
        ) && self.ty() == Type::UNKNOWN
    }
}

impl ToSql for Param<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Encoded {
        match self {
            Self::Arg(Arg::Value(_, value, _) | Arg::Stored(_, value)) if self.goes_as_text() => {
                Ok(text(value, out))
            }
            Self::Arg(Arg::Value(_, value, _) | Arg::Stored(_, value)) => encode(value, ty, out),
            Self::Arg(Arg::Text(text) | Arg::Literal(Some(text))) => {
                out.extend_from_slice(text.as_bytes());
                Ok(IsNull::No)
            }
            Self::Arg(Arg::Json(text)) => {
                out.put_u8(1);
                out.extend_from_slice(text.as_bytes());
                Ok(IsNull::No)
            }
            Self::Arg(Arg::Null { .. } | Arg::Literal(None)) => Ok(IsNull::Yes),
            Self::Arg(Arg::Path(path)) => encode_path(path, out),
            Self::Arg(Arg::Int(n)) | Self::Int(n) => {
                out.put_i64(*n);
                Ok(IsNull::No)
            }
            Self::Bytes(bytes) => {
                out.extend_from_slice(bytes);
                Ok(IsNull::No)
            }
            Self::Text(text) => {
                out.extend_from_slice(text.as_bytes());
                Ok(IsNull::No)
            }
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn to_sql_checked(&self, ty: &Type, out: &mut BytesMut) -> Encoded {
        self.to_sql(ty, out)
    }

    fn encode_format(&self, _: &Type) -> Format {
        if self.goes_as_text() {
            Format::Text
        } else {
            Format::Binary
        }
    }
}

/// A value as PostgreSQL's input function of its type reads it.
fn text(value: &Value, out: &mut BytesMut) -> IsNull {
    match value {
        Value::Null | Value::Default => return IsNull::Yes,
        Value::List(items) => {
            out.put_u8(b'{');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.put_u8(b',');
                }
                if item.is_null() {
                    out.extend_from_slice(b"NULL");
                    continue;
                }
                out.put_u8(b'"');
                for byte in item.to_string().bytes() {
                    if matches!(byte, b'"' | b'\\') {
                        out.put_u8(b'\\');
                    }
                    out.put_u8(byte);
                }
                out.put_u8(b'"');
            }
            out.put_u8(b'}');
        }
        other => out.extend_from_slice(other.to_string().as_bytes()),
    }
    IsNull::No
}

/// A value that is none of the column's.
#[derive(Debug)]
pub(in crate::store::postgres) struct Unfit(pub(in crate::store::postgres) &'static str);

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Unfit {}

/// What a number says that does not fit.
const TOO_LARGE: Unfit = Unfit("a number is too large for its column");

/// A value in the form of a parameter's type.
fn encode(value: &Value, ty: &Type, out: &mut BytesMut) -> Encoded {
    match value {
        Value::Null | Value::Default => return Ok(IsNull::Yes),
        Value::Bool(yes) => out.put_u8(u8::from(*yes)),
        Value::Int(n) => encode_int(*n, ty, out)?,
        Value::Float(n) => match *ty {
            Type::FLOAT4 => out.put_f32(*n as f32),
            _ => out.put_f64(*n),
        },
        Value::Decimal(digits) => match *ty {
            Type::FLOAT8 => out.put_f64(digits.parse()?),
            Type::FLOAT4 => out.put_f32(digits.parse()?),
            Type::INT8 => out.put_i64(digits.parse().map_err(|_| TOO_LARGE)?),
            Type::TEXT => out.extend_from_slice(digits.as_bytes()),
            _ => number::encode(digits, out).ok_or("a decimal without digits")?,
        },
        Value::Text(text) => out.extend_from_slice(text.as_bytes()),
        Value::Json(text) => encode_json(text.as_bytes(), ty, out),
        Value::Uuid(id) => match *ty {
            Type::UUID => out.extend_from_slice(id.as_bytes()),
            _ => out.extend_from_slice(id.to_string().as_bytes()),
        },
        Value::Time(micros) => match *ty {
            Type::TIMESTAMPTZ | Type::TIMESTAMP => {
                out.put_i64(match *micros {
                    i64::MAX | i64::MIN => *micros,
                    micros => micros.checked_sub(EPOCH_MICROS).ok_or("a time out of range")?,
                });
            }
            _ => out.extend_from_slice(render_time(*micros).as_bytes()),
        },
        Value::Date(days) => match *ty {
            Type::DATE => out.put_i32(match *days {
                i32::MAX | i32::MIN => *days,
                days => days.checked_sub(EPOCH_DAYS).ok_or("a date out of range")?,
            }),
            Type::TIMESTAMPTZ | Type::TIMESTAMP => {
                let days = i64::from(*days) - i64::from(EPOCH_DAYS);
                out.put_i64(days.checked_mul(86_400_000_000).ok_or("a date out of range")?);
            }
            _ => out.extend_from_slice(render_date(*days).as_bytes()),
        },
        Value::List(items) => {
            if let Kind::Array(item) = ty.kind() {
                encode_list(items, item, out)?;
            } else {
                let mut text = Vec::new();
                write_value(value, &mut text);
                encode_json(&text, ty, out);
            }
        }
    }
    Ok(IsNull::No)
}

fn encode_int(n: i64, ty: &Type, out: &mut BytesMut) -> Result<(), Box<dyn Error + Sync + Send>> {
    match *ty {
        Type::INT2 => out.put_i16(i16::try_from(n).map_err(|_| TOO_LARGE)?),
        Type::INT4 => out.put_i32(i32::try_from(n).map_err(|_| TOO_LARGE)?),
        Type::FLOAT8 => out.put_f64(n as f64),
        Type::FLOAT4 => out.put_f32(n as f32),
        Type::NUMERIC => {
            number::encode(itoa::Buffer::new().format(n), out).ok_or("a number without digits")?;
        }
        Type::TEXT => out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes()),
        _ => out.put_i64(n),
    }
    Ok(())
}

fn encode_json(text: &[u8], ty: &Type, out: &mut BytesMut) {
    if *ty == Type::JSONB {
        out.put_u8(1);
    }
    out.extend_from_slice(text);
}

fn encode_list(items: &[Value], item: &Type, out: &mut BytesMut) -> Result<(), Box<dyn Error + Sync + Send>> {
    let has_nulls = items.iter().any(Value::is_null);
    list_head(items.len(), has_nulls, item, out)?;
    for value in items {
        let at = out.len();
        out.put_i32(-1);
        if matches!(encode(value, item, out)?, IsNull::No) {
            set_length(out, at)?;
        }
    }
    Ok(())
}

fn encode_path(path: &[PathStep], out: &mut BytesMut) -> Encoded {
    list_head(path.len(), false, &Type::TEXT, out)?;
    for step in path {
        let at = out.len();
        out.put_i32(-1);
        match step {
            PathStep::Key(key) | PathStep::TextKey(key) => out.extend_from_slice(key.as_bytes()),
            PathStep::Index(n) | PathStep::TextIndex(n) => {
                out.extend_from_slice(itoa::Buffer::new().format(*n).as_bytes());
            }
        }
        set_length(out, at)?;
    }
    Ok(IsNull::No)
}

fn list_head(
    length: usize,
    has_nulls: bool,
    item: &Type,
    out: &mut BytesMut,
) -> Result<(), Box<dyn Error + Sync + Send>> {
    out.put_i32(i32::from(length > 0));
    out.put_i32(i32::from(has_nulls));
    out.put_u32(item.oid());
    if length > 0 {
        out.put_i32(i32::try_from(length)?);
        out.put_i32(1);
    }
    Ok(())
}

/// Writes how much was put behind the four bytes at `at` into them.
fn set_length(out: &mut BytesMut, at: usize) -> Result<(), Box<dyn Error + Sync + Send>> {
    let length = i32::try_from(out.len() - at - 4)?;
    if let Some(place) = out.get_mut(at..at + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}
