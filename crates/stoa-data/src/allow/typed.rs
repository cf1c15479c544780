//! From what a caller is to what a field holds.

use crate::value::Value;
use stoa_config::plan::Type;

/// The largest integer up to which every integer is a double.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

/// A caller's `sub` as a value of the field; `None` when no row could have it. Two subjects never become
/// one value.
pub(super) fn subject(ty: &Type, sub: &str) -> Option<Value> {
    match ty {
        Type::Text | Type::Enum(_) => from_text(ty, sub).ok(),
        Type::Int => sub
            .parse::<i64>()
            .ok()
            .filter(|n| n.to_string() == sub)
            .map(Value::Int),
        Type::Uuid | Type::Uuid7 => uuid(sub),
        _ => None,
    }
}

fn uuid(text: &str) -> Option<Value> {
    let hyphenated = text.len() == 36;
    uuid::Uuid::try_parse(text)
        .ok()
        .filter(|_| hyphenated)
        .map(Value::Uuid)
}

/// A CEL value as a value of the field; `None` when it is of another type or the field could not hold it.
pub(super) fn from_cel(ty: &Type, from: &cel::Value) -> Option<Value> {
    use cel::Value as Cel;
    match (ty.value(), from) {
        (ty @ (Type::Text | Type::Enum(_) | Type::Time | Type::Date), Cel::String(text)) => {
            from_text(ty, text).ok()
        }
        (Type::Uuid | Type::Uuid7, Cel::String(text)) => uuid(text),
        (Type::Bool, Cel::Bool(flag)) => Some(Value::Bool(*flag)),
        (Type::Int, Cel::Int(n)) => Some(Value::Int(*n)),
        (Type::Int, Cel::UInt(n)) => i64::try_from(*n).ok().map(Value::Int),
        (Type::Int, Cel::Float(n)) if n.fract() == 0.0 && n.abs() <= EXACT_MAX => Some(Value::Int(*n as i64)),
        (Type::Float, Cel::Float(n)) if n.is_finite() => Some(Value::Float(*n)),
        (Type::Float, Cel::Int(n)) => Some(*n as f64).filter(|n| n.abs() <= EXACT_MAX).map(Value::Float),
        (Type::Float, Cel::UInt(n)) => Some(*n as f64).filter(|n| n.abs() <= EXACT_MAX).map(Value::Float),
        (ty @ Type::Decimal { .. }, Cel::Int(n)) => from_text(ty, &n.to_string()).ok(),
        (ty @ Type::Decimal { .. }, Cel::UInt(n)) => from_text(ty, &n.to_string()).ok(),
        (ty @ Type::Decimal { .. }, Cel::Float(n)) if n.is_finite() => from_text(ty, &n.to_string()).ok(),
        _ => None,
    }
}

/// A text as a value of the field.
fn from_text(ty: &Type, text: &str) -> Result<Value, ()> {
    match ty {
        Type::Text if !text.contains('\0') => Ok(Value::Text(text.into())),
        Type::Enum(names) if names.iter().any(|name| name == text) => Ok(Value::Text(text.into())),
        Type::Time => {
            let moment = text.parse::<jiff::Timestamp>().map_err(drop)?;
            Ok(Value::Time(moment.as_microsecond()))
        }
        Type::Date => {
            let date = text.parse::<jiff::civil::Date>().map_err(drop)?;
            let days = date.since(jiff::civil::date(1970, 1, 1)).map_err(drop)?;
            Ok(Value::Date(days.get_days()))
        }
        Type::Decimal { precision, scale } => decimal(text, *precision, *scale).ok_or(()),
        _ => Err(()),
    }
}

fn decimal(text: &str, precision: u8, scale: u8) -> Option<Value> {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let scale = usize::from(scale);
    let fits = fraction.len() <= scale && whole.len() + scale <= usize::from(precision);
    let plain = whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
    if !fits || !plain {
        return None;
    }
    let whole = if whole.is_empty() { "0" } else { whole };
    let sign = if whole == "0" && fraction.is_empty() {
        ""
    } else {
        sign
    };
    let dot = if scale == 0 { "" } else { "." };
    Some(Value::Decimal(
        format!("{sign}{whole}{dot}{fraction:0<scale$}").into(),
    ))
}
