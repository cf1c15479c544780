//! From what a caller is to what a field holds.

use crate::value::{Value, from_text};
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
