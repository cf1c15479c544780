//! Parts of aggregates: added, compared and shown as PostgreSQL does.

use crate::json::{self, Json};
use crate::operation::{Cast, Kind};
use crate::store::cast::{self, Fault, text_of};
use crate::store::json::write_value;
use crate::store::number::Number;
use crate::store::{ServerError, StoreError};
use crate::value::Value;
use std::cmp::Ordering;

/// A number of PostgreSQL's `numeric`.
enum Numeric {
    Minus,
    Finite(Number),
    Plus,
    NotANumber,
}

fn numeric(text: &str) -> Result<Numeric, StoreError> {
    Ok(match text {
        "-Infinity" => Numeric::Minus,
        "Infinity" => Numeric::Plus,
        "NaN" => Numeric::NotANumber,
        digits => Numeric::Finite(Number::read(digits).ok_or_else(|| StoreError::SpansShards {
            why: "a number with more than 1,000 digits is not added over several shards".to_owned(),
            remedy: "Filter by one shard key.".to_owned(),
        })?),
    })
}

/// Two sums, or two counts, together. Null adds nothing.
pub(super) fn sum(a: &Value, b: &Value) -> Result<Value, StoreError> {
    Ok(match (a, b) {
        (Value::Null, other) | (other, Value::Null) => other.clone(),
        (Value::Int(a), Value::Int(b)) => Value::Int(a.saturating_add(*b)),
        (Value::Float(a), Value::Float(b)) => {
            let sum = a + b;
            if sum.is_infinite() && a.is_finite() && b.is_finite() {
                return Err(server("22003", "value out of range: overflow".to_owned()));
            }
            Value::Float(sum)
        }
        (Value::Decimal(one), Value::Decimal(two)) => match (numeric(one)?, numeric(two)?) {
            (Numeric::Finite(mut a), Numeric::Finite(b)) => {
                a.add(&b);
                Value::Decimal(a.to_string().into())
            }
            (Numeric::NotANumber, _)
            | (_, Numeric::NotANumber)
            | (Numeric::Plus, Numeric::Minus)
            | (Numeric::Minus, Numeric::Plus) => Value::Decimal("NaN".into()),
            (Numeric::Finite(_), _) => b.clone(),
            _ => a.clone(),
        },
        _ => return Err(strange()),
    })
}

/// A sum by its count: null of nothing.
pub(super) fn average(sum: &Value, count: &Value) -> Result<Value, StoreError> {
    let Value::Int(count) = count else {
        return Err(strange());
    };
    Ok(match sum {
        _ if *count <= 0 => Value::Null,
        Value::Float(sum) => Value::Float(sum / *count as f64),
        Value::Decimal(text) => match numeric(text)? {
            Numeric::Finite(sum) => Value::Decimal(sum.divided(count.unsigned_abs()).to_string().into()),
            _ => sum.clone(),
        },
        _ => return Err(strange()),
    })
}

/// Whether `a` takes the place of `b`: it is smaller (`Less`), or larger. Null never does.
pub(super) fn beats(a: &Value, b: &Value, wins: Ordering) -> Result<bool, StoreError> {
    let found = match (a, b) {
        (Value::Null, _) => return Ok(false),
        (_, Value::Null) => return Ok(true),
        // NaN is the largest.
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan())),
        (Value::Decimal(a), Value::Decimal(b)) => match (numeric(a)?, numeric(b)?) {
            (Numeric::Finite(a), Numeric::Finite(b)) => a.compare(&b),
            (a, b) => rank(&a).cmp(&rank(&b)),
        },
        (a, b) => a.compare(b).ok_or_else(strange)?,
    };
    Ok(found == wins)
}

fn rank(n: &Numeric) -> u8 {
    match n {
        Numeric::Minus => 0,
        Numeric::Finite(_) => 1,
        Numeric::Plus => 2,
        Numeric::NotANumber => 3,
    }
}

/// `::type` of a count, a sum or an average.
pub(super) fn cast(value: Value, to: Cast) -> Result<Value, StoreError> {
    let fault = |fault: Fault| server(fault.state, fault.message);
    match (value, to) {
        (Value::Null, _) => Ok(Value::Null),
        (value, Cast::Text) => Ok(Value::Text(text_of(&value).into())),
        (Value::Int(n), to) => cast::number(&Number::from_int(n), to).map_err(fault),
        (Value::Float(n), to) if n.is_finite() => cast::float(n, to).map_err(fault),
        (Value::Decimal(text), to) => match numeric(&text)? {
            Numeric::Finite(n) => cast::number(&n, to).map_err(fault),
            _ => endless(&text, to),
        },
        (Value::Float(n), to) => endless(
            if n.is_nan() {
                "NaN"
            } else if n > 0.0 {
                "Infinity"
            } else {
                "-Infinity"
            },
            to,
        ),
        _ => Err(strange()),
    }
}

/// What is no number, or without an end, as another type of numbers.
fn endless(name: &str, to: Cast) -> Result<Value, StoreError> {
    let word = if name == "NaN" { "NaN" } else { "infinity" };
    match to.kind() {
        Kind::Number => Ok(Value::Decimal(name.into())),
        Kind::Float => Ok(Value::Float(match name {
            "NaN" => f64::NAN,
            "Infinity" => f64::INFINITY,
            _ => f64::NEG_INFINITY,
        })),
        _ => Err(server(
            "0A000",
            format!("cannot convert {word} to {}", cast::name(to)),
        )),
    }
}

/// A value as JSON has it, which has no NaN and no infinity.
pub(super) fn shown(value: Value) -> Value {
    match value {
        Value::Decimal(text) if matches!(&*text, "NaN" | "Infinity" | "-Infinity") => Value::Null,
        value => value,
    }
}

/// Bytes that two values have alike exactly when PostgreSQL groups them together.
pub(super) fn identity(value: &Value, out: &mut Vec<u8>) -> Result<(), StoreError> {
    match value {
        Value::Decimal(text) => out.extend_from_slice(plain(text).as_bytes()),
        Value::Float(n) if n.is_nan() => out.extend_from_slice(b"NaN"),
        Value::Float(n) if n.is_infinite() => out.extend_from_slice(if *n > 0.0 { b"+" } else { b"-" }),
        // Of the two zeros there is one.
        Value::Float(n) => write_value(&Value::Float(n + 0.0), out),
        Value::Json(text) => {
            let mut json = json::parse_own(text.as_bytes())
                .map_err(|error| StoreError::Internal(format!("a group of what is no JSON: {error}")))?;
            alike(&mut json);
            out.extend_from_slice(json.to_text().as_bytes());
        }
        other => write_value(other, out),
    }
    Ok(())
}

/// Numbers without the zeros behind their last digit, which count for nothing in `jsonb` and in `numeric`.
fn alike(json: &mut Json) {
    match json {
        Json::Number(text) => *text = plain(text).into(),
        Json::Array(items) => items.iter_mut().for_each(alike),
        Json::Object(members) => members.iter_mut().for_each(|(_, inner)| alike(inner)),
        Json::Null | Json::Bool(_) | Json::Text(_) => {}
    }
}

fn plain(text: &str) -> String {
    let digits = Number::read(text).map_or_else(|| text.to_owned(), |n| n.to_string());
    if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        digits
    }
}

fn server(state: &str, message: String) -> StoreError {
    StoreError::Server(Box::new(ServerError {
        state: state.into(),
        message,
        detail: None,
        hint: None,
    }))
}

fn strange() -> StoreError {
    StoreError::Internal("the parts of an aggregate are not of one kind".to_owned())
}
