//! Numbers from one type to another and any value as text, as PostgreSQL casts them: where its own casts cannot be asked.

use super::number::Number;
use crate::operation::{Cast, Kind};
use crate::value::{Value, render_time};

/// A value that cannot become what was asked for: PostgreSQL's state and words for it.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) state: &'static str,
    pub(crate) message: String,
}

pub(crate) fn bad(state: &'static str, message: String) -> Fault {
    Fault { state, message }
}

/// PostgreSQL's names of the types.
pub(crate) const CASTS: [(&str, Cast); 12] = [
    ("boolean", Cast::Bool),
    ("smallint", Cast::Int2),
    ("integer", Cast::Int4),
    ("bigint", Cast::Int8),
    ("numeric", Cast::Numeric),
    ("real", Cast::Float4),
    ("double precision", Cast::Float8),
    ("text", Cast::Text),
    ("uuid", Cast::Uuid),
    ("timestamp with time zone", Cast::Time),
    ("date", Cast::Date),
    ("json", Cast::Json),
];

/// PostgreSQL's name of a type.
pub(crate) fn name(to: Cast) -> &'static str {
    CASTS
        .iter()
        .find(|(_, cast)| *cast == to)
        .map_or("text", |(name, _)| name)
}

/// The bounds of the whole numbers.
pub(crate) fn within(n: Option<i64>, to: Cast) -> Result<Value, Fault> {
    let fits = |n: &i64| match to {
        Cast::Int2 => i16::try_from(*n).is_ok(),
        Cast::Int4 => i32::try_from(*n).is_ok(),
        _ => true,
    };
    match n.filter(fits) {
        Some(n) => Ok(Value::Int(n)),
        None => Err(bad("22003", format!("{} out of range", name(to)))),
    }
}

/// A number with all its digits as another type of numbers.
pub(crate) fn number(n: &Number, to: Cast) -> Result<Value, Fault> {
    match to.kind() {
        Kind::Int => within(n.rounded().to_string().parse().ok(), to),
        Kind::Float => float(n.to_string().parse().unwrap_or_default(), to),
        _ => Ok(Value::Decimal(n.to_string().into())),
    }
}

/// A float as another type of numbers.
pub(crate) fn float(n: f64, to: Cast) -> Result<Value, Fault> {
    match to {
        Cast::Float8 => Ok(Value::Float(n)),
        Cast::Float4 => {
            // By its digits: 0.1 is 0.1 again.
            let narrow = n as f32;
            let shown = ryu::Buffer::new().format(narrow).parse();
            Ok(Value::Float(shown.unwrap_or(f64::from(narrow))))
        }
        Cast::Numeric => {
            let shown = format!("{n:.14e}");
            let digits = Number::read(&shown).map(|n| n.to_string()).unwrap_or_default();
            let trimmed = if digits.contains('.') {
                digits.trim_end_matches('0').trim_end_matches('.')
            } else {
                &digits
            };
            Ok(Value::Decimal(trimmed.into()))
        }
        _ => {
            let whole = n.round_ties_even();
            within((whole.abs() < 9.3e18).then_some(whole as i64), to)
        }
    }
}

/// A value as PostgreSQL writes it.
pub(crate) fn text_of(value: &Value) -> String {
    match value {
        Value::Float(n) => float_text(*n),
        Value::Time(micros) => {
            let shown = render_time(*micros);
            let shown = shown
                .trim_end_matches('Z')
                .trim_end_matches('0')
                .trim_end_matches('.');
            format!("{}+00", shown.replacen('T', " ", 1))
        }
        Value::Json(text) => spaced(text),
        other => other.to_string(),
    }
}

/// The shortest digits, with an exponent where PostgreSQL writes one.
fn float_text(n: f64) -> String {
    let shown = format!("{n:e}");
    let (mantissa, exponent) = shown.split_once('e').unwrap_or((&shown, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..15).contains(&exponent) {
        return n.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

/// JSON as `jsonb` shows it: a space behind `:` and `,`.
fn spaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ' ' | '\n' | '\r' | '\t' if !quoted => continue,
            _ => {}
        }
        out.push(c);
        if !quoted && matches!(c, ':' | ',') {
            out.push(' ');
        }
    }
    out
}
