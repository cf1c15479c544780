//! Values of fields, between JSON and a store.

mod number;
mod read;

use std::{cmp::Ordering, fmt};

pub(crate) use read::{from_json, from_text, list_items, nearest};

/// One value, in the field's own type. What a caller sent has been checked before it becomes one.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Absent.
    Null,
    /// `bool`.
    Bool(bool),
    /// `int`.
    Int(i64),
    /// `float`; never NaN or infinite.
    Float(f64),
    /// `decimal`, canonical: optional `-`, digits, and exactly the field's scale after the point.
    Decimal(Box<str>),
    /// `text`, `enum`.
    Text(Box<str>),
    /// `uuid`, `uuid7`.
    Uuid(uuid::Uuid),
    /// `time`: microseconds since 1970, UTC.
    Time(i64),
    /// `date`: days since 1970.
    Date(i32),
    /// `json`: the text as sent, checked and without insignificant white space.
    Json(Box<str>),
    /// `list of T`.
    List(Vec<Value>),
}

impl Value {
    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Which of two values of one type is the larger; `None` for types without an order.
    pub(crate) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Float(a), Self::Float(b)) => a.partial_cmp(b),
            (Self::Decimal(a), Self::Decimal(b)) => Some(number::compare_decimals(a, b)),
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            (Self::Int(a), Self::Int(b)) | (Self::Time(a), Self::Time(b)) => Some(a.cmp(b)),
            (Self::Date(a), Self::Date(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

/// Shows the value as a caller would write it in a query.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Int(n) => write!(f, "{n}"),
            Self::Float(n) => write!(f, "{n}"),
            Self::Decimal(text) | Self::Text(text) | Self::Json(text) => f.write_str(text),
            Self::Uuid(id) => write!(f, "{id}"),
            Self::Time(micros) => f.write_str(&render_time(*micros)),
            Self::Date(days) => f.write_str(&render_date(*days)),
            Self::List(items) => {
                f.write_str("{")?;
                for (i, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if i == 0 { "" } else { "," })?;
                }
                f.write_str("}")
            }
        }
    }
}

/// RFC 3339 in UTC with six digits after the point, `2026-11-23T03:09:00.000000Z`: fixed width, so that texts
/// sort as the moments do. Years 0000 to 9999.
pub fn render_time(micros: i64) -> String {
    // By the calendar: a `Timestamp` ends a day before the year 9999 does, and dates without an end are written as
    // its last day.
    let moment = EPOCH
        .checked_add(jiff::SignedDuration::from_micros(micros))
        .unwrap_or(EPOCH);
    format!("{moment:.6}Z")
}

/// Midnight of 1970-01-01.
const EPOCH: jiff::civil::DateTime = jiff::civil::date(1970, 1, 1).at(0, 0, 0, 0);

/// Microseconds since 1970 of a moment in UTC.
pub(crate) fn civil_micros(moment: jiff::civil::DateTime) -> i64 {
    let since = moment.duration_since(EPOCH);
    since.as_secs() * 1_000_000 + i64::from(since.subsec_micros())
}

/// `YYYY-MM-DD`.
pub fn render_date(days: i32) -> String {
    let epoch = jiff::civil::date(1970, 1, 1);
    epoch
        .checked_add(jiff::Span::new().days(days))
        .unwrap_or(epoch)
        .to_string()
}

#[cfg(test)]
mod tests;
