//! JSON in comparisons: paths, containment as PostgreSQL's `jsonb` has it, and an order over all JSON.

use rusqlite::functions::Context;
use rusqlite::types::ValueRef;
use serde_json::Value;
use std::cmp::Ordering;

fn parse(context: &Context<'_>, index: usize) -> Option<Value> {
    match context.get_raw(index) {
        ValueRef::Text(text) => serde_json::from_slice(text).ok(),
        ValueRef::Integer(n) => Some(Value::from(n)),
        ValueRef::Real(n) => Some(Value::from(n)),
        ValueRef::Null | ValueRef::Blob(_) => None,
    }
}

/// Applies a test to two JSON texts; null when one is null or no JSON.
pub(super) fn pair(context: &Context<'_>, test: fn(&Value, &Value) -> bool) -> Option<bool> {
    Some(test(&parse(context, 0)?, &parse(context, 1)?))
}

/// Whether `whole` contains `part`: every member of an object, some equal item for every item of a list. A list
/// also contains a plain value that it holds.
pub(super) fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Array(list), Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            list.iter().any(|item| equal(item, part))
        }
        _ => inside(whole, part),
    }
}

fn inside(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part
            .iter()
            .all(|(name, value)| whole.get(name).is_some_and(|w| inside(w, value))),
        (Value::Array(whole), Value::Array(part)) => part.iter().all(|p| {
            whole.iter().any(|w| match p {
                Value::Array(_) | Value::Object(_) => inside(w, p),
                _ => equal(w, p),
            })
        }),
        _ => equal(whole, part),
    }
}

/// Whether two lists share an item that is not null.
pub(super) fn overlaps(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Array(left), Value::Array(right)) => left
            .iter()
            .any(|l| !l.is_null() && right.iter().any(|r| equal(l, r))),
        _ => false,
    }
}

fn equal(left: &Value, right: &Value) -> bool {
    compare(left, right) == Ordering::Equal
}

/// `stoa_json(json, path, as_text)`: what the path leads to, exactly as written; null when it leads nowhere.
pub(super) fn path(context: &Context<'_>) -> Option<String> {
    let mut at = parse(context, 0)?;
    let Value::Array(steps) = parse(context, 1)? else {
        return None;
    };
    for step in steps {
        at = match (at, step) {
            (Value::Object(mut object), Value::String(key)) => object.swap_remove(&key)?,
            (Value::Object(mut object), Value::Number(index)) => object.swap_remove(&index.to_string())?,
            (Value::Array(mut list), Value::Number(index)) => {
                let index = index.as_i64()?;
                let length = i64::try_from(list.len()).ok()?;
                let index = if index < 0 {
                    length.checked_add(index)?
                } else {
                    index
                };
                let index = usize::try_from(index).ok().filter(|i| *i < list.len())?;
                list.swap_remove(index)
            }
            _ => return None,
        };
    }
    let as_text = matches!(context.get_raw(2), ValueRef::Integer(n) if n != 0);
    match at {
        Value::Null if as_text => None,
        Value::String(text) if as_text => Some(text),
        other => Some(other.to_string()),
    }
}

/// The order of JSON texts (PostgreSQL's order of kinds): null, texts, numbers, booleans, lists, objects.
pub(super) fn order(left: &str, right: &str) -> Ordering {
    match (
        serde_json::from_str::<Value>(left),
        serde_json::from_str::<Value>(right),
    ) {
        (Ok(left), Ok(right)) => compare(&left, &right),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => left.cmp(right),
    }
}

fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Number(a), Value::Number(b)) => numbers(&a.to_string(), &b.to_string()),
        (Value::Array(a), Value::Array(b)) => a
            .len()
            .cmp(&b.len())
            .then_with(|| each(a.iter().zip(b).map(|(a, b)| compare(a, b)))),
        (Value::Object(a), Value::Object(b)) => {
            let sorted = |object: &serde_json::Map<String, Value>| {
                let mut members: Vec<(String, Value)> =
                    object.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
                members.sort_by(|x, y| x.0.cmp(&y.0));
                members
            };
            let (a, b) = (sorted(a), sorted(b));
            a.len().cmp(&b.len()).then_with(|| {
                each(
                    a.iter()
                        .zip(&b)
                        .map(|(a, b)| a.0.cmp(&b.0).then_with(|| compare(&a.1, &b.1))),
                )
            })
        }
        _ => kind(left).cmp(&kind(right)),
    }
}

fn each(mut orders: impl Iterator<Item = Ordering>) -> Ordering {
    orders.find(|o| *o != Ordering::Equal).unwrap_or(Ordering::Equal)
}

fn kind(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::String(_) => 1,
        Value::Number(_) => 2,
        Value::Bool(_) => 3,
        Value::Array(_) => 4,
        Value::Object(_) => 5,
    }
}

/// Compares two numbers as written, exactly, however long they are.
fn numbers(left: &str, right: &str) -> Ordering {
    let (left, right) = (Digits::new(left), Digits::new(right));
    match (left.negative, right.negative) {
        (false, true) => Ordering::Greater,
        (true, false) => Ordering::Less,
        (false, false) => left.magnitude(&right),
        (true, true) => right.magnitude(&left),
    }
}

/// A number as `0.DIGITS × 10^exponent` without zeros at either end.
struct Digits {
    negative: bool,
    figures: String,
    exponent: i64,
}

impl Digits {
    fn new(text: &str) -> Self {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => {
                // An exponent that does not fit is beyond every other number on its side.
                let far = if exponent.starts_with('-') {
                    i64::MIN / 4
                } else {
                    i64::MAX / 4
                };
                (
                    mantissa,
                    exponent
                        .trim_start_matches('+')
                        .parse::<i64>()
                        .map_or(far, |e| e.clamp(i64::MIN / 4, i64::MAX / 4)),
                )
            }
            None => (text, 0),
        };
        let unsigned = mantissa.trim_start_matches('-');
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        let all = format!("{whole}{fraction}");
        let leading = all.len() - all.trim_start_matches('0').len();
        let digits = all.trim_matches('0').to_owned();
        let zero = digits.is_empty();
        Self {
            negative: !zero && mantissa.starts_with('-'),
            exponent: if zero {
                i64::MIN / 2
            } else {
                exponent + length(whole.len()) - length(leading)
            },
            figures: digits,
        }
    }

    fn magnitude(&self, other: &Self) -> Ordering {
        self.exponent
            .cmp(&other.exponent)
            .then_with(|| self.figures.cmp(&other.figures))
    }
}

/// A length as a number that can be subtracted.
fn length(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX / 8)
}
