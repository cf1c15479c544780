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
    /// What an existing table on PostgreSQL puts there by itself. In what a write sets alone, never in what is read.
    Default,
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
    /// Whether it is null, or left to the table.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null | Self::Default)
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

    /// The order of two values of one type in a column: as [`Self::compare`], and of types whose order says nothing.
    pub(crate) fn total(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Uuid(a), Self::Uuid(b)) => a.cmp(b),
            _ => self.compare(other).unwrap_or(Ordering::Equal),
        }
    }
}

/// Shows the value as a caller would write it in a query.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null | Self::Default => f.write_str("null"),
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
/// sort as the moments do. Years outside 0000 to 9999, which only a database of others holds, are written with a sign
/// and six digits (ISO 8601, as ECMAScript reads them); the largest and the smallest number are `infinity` and
/// `-infinity`.
pub fn render_time(micros: i64) -> String {
    let mut out = Vec::with_capacity(28);
    write_time(micros, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// As [`render_time`], to the end of a buffer.
pub(crate) fn write_time(micros: i64, out: &mut Vec<u8>) {
    const DAY: i64 = 86_400_000_000;
    if matches!(micros, i64::MAX | i64::MIN) {
        return out.extend_from_slice(endless(micros > 0));
    }
    let (day, rest) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
    write_day(day, out);
    out.push(b'T');
    write_digits(rest / 3_600_000_000, 2, out);
    out.push(b':');
    write_digits(rest / 60_000_000 % 60, 2, out);
    out.push(b':');
    write_digits(rest / 1_000_000 % 60, 2, out);
    out.push(b'.');
    write_digits(rest % 1_000_000, 6, out);
    out.push(b'Z');
}

/// What an end of time is called.
fn endless(future: bool) -> &'static [u8] {
    if future { b"infinity" } else { b"-infinity" }
}

/// `YYYY-MM-DD` of a day since 1970 (by the rule of H. Hinnant's `civil_from_days`: years begin in March, so that the
/// leap day ends them).
fn write_day(day: i64, out: &mut Vec<u8>) {
    let day = day + 719_468;
    let (era, of_era) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_based = (5 * of_year + 2) / 153;
    let month = if march_based < 10 {
        march_based + 3
    } else {
        march_based - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    if (0..=9_999).contains(&year) {
        write_digits(year, 4, out);
    } else {
        out.push(if year < 0 { b'-' } else { b'+' });
        // Dates reach further than six digits.
        let digits = if year.abs() > 999_999 { 7 } else { 6 };
        write_digits(year.abs(), digits, out);
    }
    out.push(b'-');
    write_digits(month, 2, out);
    out.push(b'-');
    write_digits(of_year - (153 * march_based + 2) / 5 + 1, 2, out);
}

/// A number that is not negative as so many digits, at most seven.
fn write_digits(n: i64, width: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 7];
    let mut left = n;
    for digit in digits.iter_mut().rev().take(width) {
        *digit = b'0' + u8::try_from(left % 10).unwrap_or(0);
        left /= 10;
    }
    out.extend_from_slice(digits.get(7 - width..).unwrap_or_default());
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
    let mut out = Vec::with_capacity(10);
    write_date(days, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

/// As [`render_date`], to the end of a buffer.
pub(crate) fn write_date(days: i32, out: &mut Vec<u8>) {
    if matches!(days, i32::MAX | i32::MIN) {
        return out.extend_from_slice(endless(days > 0));
    }
    write_day(i64::from(days), out);
}

#[cfg(test)]
mod tests;
