//! Values of fields: what `default`, `min` and `max` say, in the field's own type.

use super::commas;
use crate::plan::{Bound, DefaultValue, Type};
use serde_json::{Number, Value};
use std::cmp::Ordering;

/// Checks a bound against a type that has an order; the canonical text.
pub(crate) fn bound(text: &str, ty: &Type) -> Result<Bound, String> {
    let canonical = match ty.value() {
        Type::Int | Type::Float | Type::Decimal { .. } => match value(text, ty)? {
            Value::Number(number) => number.to_string(),
            _ => return Err(format!("`{text}` is not a number")),
        },
        Type::Time | Type::Date => match value(text, ty)? {
            Value::String(text) => text,
            _ => return Err(format!("`{text}` is not a moment")),
        },
        other => return Err(format!("{other} has no smallest and largest value")),
    };
    Ok(Bound { text: canonical })
}

/// How two bounds of a type compare; `None` when the type has no order.
pub(crate) fn compare(a: &Bound, b: &Bound, ty: &Type) -> Option<Ordering> {
    match ty.value() {
        Type::Int => Some(a.text.parse::<i64>().ok()?.cmp(&b.text.parse().ok()?)),
        Type::Float => a.text.parse::<f64>().ok()?.partial_cmp(&b.text.parse().ok()?),
        Type::Decimal { .. } => Some(scaled(&a.text)?.cmp(&scaled(&b.text)?)),
        // RFC 3339 in UTC with equal precision sorts as text; other precisions are parsed.
        Type::Time => {
            let moment = |t: &str| t.parse::<jiff::Timestamp>().ok();
            Some(moment(&a.text)?.cmp(&moment(&b.text)?))
        }
        Type::Date => Some(a.text.cmp(&b.text)),
        _ => None,
    }
}

/// A decimal times 10^38, for comparison only; `None` when it does not fit.
fn scaled(text: &str) -> Option<(i128, i128)> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = format!("{part:0<38}");
    let sign = if negative { -1 } else { 1 };
    Some((
        sign * whole.parse::<i128>().ok()?,
        sign * fraction.parse::<i128>().ok()?,
    ))
}

/// `default …`.
pub(crate) fn default(text: &str, ty: &Type) -> Result<DefaultValue, String> {
    if text == "now" && matches!(ty.value(), Type::Time | Type::Date) {
        return Ok(DefaultValue::Now);
    }
    value(text, ty).map(DefaultValue::Value)
}

/// The JSON of a text in a type.
pub(crate) fn value(text: &str, ty: &Type) -> Result<Value, String> {
    let not = || format!("`{text}` is not {}", article(ty.value()));
    match ty.value() {
        Type::Int => text.parse::<i64>().map(Value::from).map_err(|_| not()),
        Type::Float => float(text).ok_or_else(not),
        Type::Decimal { precision, scale } => decimal(text, *precision, *scale),
        Type::Bool => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(format!("{}: `true` or `false`", not())),
        },
        Type::Text => Ok(Value::from(unquoted(text))),
        Type::Enum(words) => {
            let word = unquoted(text);
            if words.contains(&word) {
                Ok(Value::from(word))
            } else {
                Err(format!("`{word}` is not one of {}", words.join(", ")))
            }
        }
        Type::Uuid | Type::Uuid7 => uuid(&unquoted(text)).map(Value::from).ok_or_else(not),
        Type::Time => {
            let moment: jiff::Timestamp = unquoted(text)
                .parse()
                .map_err(|_| format!("{}, such as `2026-01-31T12:00:00Z`", not()))?;
            Ok(Value::from(moment.to_string()))
        }
        Type::Date => {
            let bare = unquoted(text);
            let day: jiff::civil::Date = bare
                .parse()
                .map_err(|_| format!("{}, such as `2026-01-31`", not()))?;
            if day.to_string() == bare {
                Ok(Value::from(bare))
            } else {
                Err(format!("{}: write `{day}`", not()))
            }
        }
        Type::Json => serde_json::from_str(text).map_err(|e| format!("`{text}` is not JSON: {e}")),
        Type::List(item) => list(text, item),
        Type::Ref { .. } => Err(not()),
    }
}

fn list(text: &str, item: &Type) -> Result<Value, String> {
    let inner = text
        .strip_prefix('[')
        .and_then(|t| t.strip_suffix(']'))
        .ok_or_else(|| format!("`{text}` is not a list: such as `[]` or `[a, b]`"))?;
    if inner.trim().is_empty() {
        return Ok(Value::Array(Vec::new()));
    }
    commas(inner)
        .into_iter()
        .map(|(_, part)| value(part, item))
        .collect()
}

fn article(ty: &Type) -> String {
    match ty {
        Type::Int => "an int".to_owned(),
        Type::Enum(_) => format!("an {ty}"),
        _ => format!("a {ty}"),
    }
}

/// The text inside one pair of quotes, or as it is.
fn unquoted(text: &str) -> String {
    if text.starts_with('"')
        && let Ok(inner) = serde_json::from_str::<String>(text)
    {
        return inner;
    }
    let single = text.strip_prefix('\'').and_then(|t| t.strip_suffix('\''));
    match single {
        Some(inner) => inner.replace("''", "'"),
        None => text.to_owned(),
    }
}

fn float(text: &str) -> Option<Value> {
    let number: f64 = text.parse().ok()?;
    let numeric = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    (number.is_finite() && numeric && !text.contains("inf"))
        .then(|| Number::from_f64(number).map(Value::Number))
        .flatten()
}

fn decimal(text: &str, precision: u8, scale: u8) -> Result<Value, String> {
    let not = || format!("`{text}` is not a decimal number");
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, part) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let is_digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(part) || unsigned.ends_with('.') {
        return Err(not());
    }
    let whole = whole.trim_start_matches('0');
    if part.len() > usize::from(scale) {
        return Err(format!("`{text}` has more than {scale} digits after the point"));
    }
    if whole.len() > usize::from(precision - scale) {
        return Err(format!(
            "`{text}` has more than {} digits before the point",
            precision - scale
        ));
    }
    let zero = whole.is_empty() && part.bytes().all(|b| b == b'0');
    let sign = if text.starts_with('-') && !zero { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    let canonical = match part {
        "" => format!("{sign}{whole}"),
        part => format!("{sign}{whole}.{part}"),
    };
    serde_json::from_str::<Number>(&canonical)
        .map(Value::Number)
        .map_err(|_| not())
}

fn uuid(text: &str) -> Option<String> {
    let shape = text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        });
    shape.then(|| text.to_ascii_lowercase())
}
