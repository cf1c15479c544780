//! Values from JSON and from query text. Every message completes the sentence "the field …".

use super::{Value, civil_micros, number};
use crate::json::{self, Json};
use stoa_config::plan::Type;
use uuid::Uuid;

/// The most items of a list in a query.
const QUERY_ITEMS_MAX: usize = 1_000;

/// A value of a body. `null` is [`Value::Null`] whatever the type.
pub(crate) fn from_json(ty: &Type, value: &Json) -> Result<Value, String> {
    let wrong = |want: &str| Err(format!("must be {want}, not {}", value.kind()));
    match (ty, value) {
        (_, Json::Null) => Ok(Value::Null),
        (Type::Ref { value: inner, .. }, value) => from_json(inner, value),
        (Type::Json, value) => json_value(value),
        (Type::List(item), Json::Array(items)) => list(item, items),
        (Type::List(_), _) => wrong("an array"),
        (Type::Bool, Json::Bool(flag)) => Ok(Value::Bool(*flag)),
        (Type::Bool, _) => wrong("true or false"),
        (Type::Int, Json::Number(text)) => number::integer(text).map(Value::Int),
        (Type::Int, _) => wrong("an integer"),
        (Type::Float, Json::Number(text)) => number::float(text).map(Value::Float),
        (Type::Float, _) => wrong("a number"),
        (Type::Decimal { .. }, Json::Number(text) | Json::Text(text)) => from_text(ty, text),
        (Type::Decimal { .. }, _) => wrong("a decimal number"),
        (Type::Time, Json::Text(text)) => rfc3339(text).map(Value::Time),
        (_, Json::Text(text)) => from_text(ty, text),
        (Type::Time | Type::Date, _) => wrong("text that holds a time"),
        (Type::Uuid | Type::Uuid7, _) => wrong("text that holds a UUID"),
        (Type::Text | Type::Enum(_), _) => wrong("text"),
    }
}

fn json_value(value: &Json) -> Result<Value, String> {
    if value.holds_nul() {
        return Err(String::from("must not hold the character NUL (\\u0000)"));
    }
    Ok(Value::Json(value.to_text().into()))
}

fn list(item: &Type, items: &[Json]) -> Result<Value, String> {
    let one = |(i, value): (usize, &Json)| match value {
        Json::Null => Err(format!("item {i} must not be null")),
        value => from_json(item, value).map_err(|e| format!("item {i} {e}")),
    };
    items
        .iter()
        .enumerate()
        .map(one)
        .collect::<Result<_, _>>()
        .map(Value::List)
}

/// A value of a query or a path. There is no null: `is.null` asks for it.
pub(crate) fn from_text(ty: &Type, text: &str) -> Result<Value, String> {
    match ty {
        Type::Ref { value, .. } => from_text(value, text),
        Type::Text => plain_text(text).map(Value::Text),
        Type::Enum(names) => enumerated(names, text),
        Type::Int => number::integer(text).map(Value::Int),
        Type::Float => number::float(text).map(Value::Float),
        Type::Decimal { precision, scale } => {
            number::decimal(text, *precision, *scale).map(|d| Value::Decimal(d.into()))
        }
        Type::Bool => match text {
            "true" | "t" => Ok(Value::Bool(true)),
            "false" | "f" => Ok(Value::Bool(false)),
            _ => Err(String::from("must be true or false")),
        },
        Type::Uuid | Type::Uuid7 => uuid(text).map(Value::Uuid),
        Type::Time => query_time(text).map(Value::Time),
        Type::Date => date(text).map(Value::Date),
        Type::Json => {
            let value = json::parse(text.as_bytes()).map_err(|e| format!("must be JSON: {e}"))?;
            json_value(&value)
        }
        Type::List(item) => {
            let items = list_items(text)?;
            let one = |text: String| from_text(item, &text).map_err(|e| format!("has an item that {e}"));
            items
                .into_iter()
                .map(one)
                .collect::<Result<_, _>>()
                .map(Value::List)
        }
    }
}

fn plain_text(text: &str) -> Result<Box<str>, String> {
    if text.contains('\0') {
        return Err(String::from("must not hold the character NUL (\\u0000)"));
    }
    Ok(text.into())
}

fn enumerated(names: &[String], text: &str) -> Result<Value, String> {
    if names.iter().any(|name| name == text) {
        return Ok(Value::Text(text.into()));
    }
    let near = nearest(text, names.iter().map(String::as_str));
    let near = near.map_or_else(String::new, |near| format!("; did you mean {near}?"));
    Err(format!("must be one of {}{near}", names.join(", ")))
}

fn uuid(text: &str) -> Result<Uuid, String> {
    let shape = matches!(text.len(), 32 | 36);
    let id = Uuid::try_parse(text).ok().filter(|_| shape);
    id.ok_or_else(|| String::from("must be a UUID, as in 01890a5d-ac96-774b-bcce-b302099a8057"))
}

/// Years before 0000 and after 9999 have no RFC 3339 form.
fn in_range(micros: i64) -> Result<i64, String> {
    if !(-62_167_219_200_000_000..253_402_300_800_000_000).contains(&micros) {
        return Err(String::from("must be a time between the years 0000 and 9999"));
    }
    Ok(micros)
}

/// RFC 3339: date, time to the second or finer, and offset.
fn rfc3339(text: &str) -> Result<i64, String> {
    let wrong = || String::from("must be a time as in 2026-11-23T03:09:00Z (RFC 3339, with an offset)");
    let bytes = text.as_bytes();
    let shape = text.is_ascii()
        && (20..=64).contains(&bytes.len())
        && matches!(bytes[10], b'T' | b't' | b' ')
        && bytes[4] == b'-'
        && bytes[13] == b':'
        && bytes[16] == b':'
        && !text.contains('[');
    if !shape {
        return Err(wrong());
    }
    let offset = bytes[bytes.len() - 1].eq_ignore_ascii_case(&b'z') || bytes[bytes.len() - 3] == b':';
    if !offset {
        return Err(wrong());
    }
    let last = bytes.len() - 1;
    if !bytes[last].eq_ignore_ascii_case(&b'z') && !within(&bytes[last - 4..last - 2], 23) {
        return Err(wrong());
    }
    let micros = match text.parse::<jiff::Timestamp>() {
        Ok(moment) => moment.as_microsecond(),
        Err(_) => last_days(text).ok_or_else(wrong)?,
    };
    // A leap second comes at the end of an hour in UTC and nowhere else; it is kept as the second before.
    let minutes = micros.div_euclid(60_000_000);
    if &bytes[17..19] == b"60" && (minutes + 1) % 60 != 0 {
        return Err(wrong());
    }
    in_range(micros)
}

/// A moment in the last days of the year 9999, which `Timestamp` leaves out.
fn last_days(text: &str) -> Option<i64> {
    if !text.starts_with("9999-12-3") {
        return None;
    }
    let (moment, offset) = if let Some(moment) = text.strip_suffix(['Z', 'z']) {
        (moment, 0)
    } else {
        let (moment, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
        let sign = match offset.get(..1)? {
            "+" => 1,
            "-" => -1,
            _ => return None,
        };
        let (hours, minutes) = offset.get(1..)?.split_once(':')?;
        let minutes = minutes.parse::<u8>().ok().filter(|m| *m < 60)?;
        let hours = hours.parse::<u8>().ok()?;
        (moment, sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60))
    };
    let moment: jiff::civil::DateTime = moment.parse().ok()?;
    Some(civil_micros(moment) - offset * 1_000_000)
}

/// Whether two digits are a number up to this.
fn within(digits: &[u8], most: u8) -> bool {
    matches!(digits, [a @ b'0'..=b'9', b @ b'0'..=b'9'] if (a - b'0') * 10 + (b - b'0') <= most)
}

/// As [`rfc3339`]; also a day, a time without offset (UTC), and `+` that a query turned into a space.
fn query_time(text: &str) -> Result<i64, String> {
    let mended = match text.rsplit_once(' ') {
        Some((moment, offset)) if moment.len() > 10 => format!("{moment}+{offset}"),
        _ => text.to_owned(),
    };
    if let Ok(moment) = rfc3339(&mended) {
        return Ok(moment);
    }
    let wrong = || String::from("must be a time as in 2026-11-23T03:09:00Z or a day as in 2026-11-23");
    if text.len() == 10 {
        return date(text).map(|days| i64::from(days) * 86_400_000_000);
    }
    let shape = text.is_ascii() && (16..=32).contains(&text.len()) && text.as_bytes()[4] == b'-';
    if !shape || text.contains(['[', 'Z', 'z', '+']) {
        return Err(wrong());
    }
    let civil: jiff::civil::DateTime = text.parse().map_err(|_| wrong())?;
    in_range(civil_micros(civil))
}

fn date(text: &str) -> Result<i32, String> {
    let wrong = || String::from("must be a day as in 2026-11-23");
    if text.len() != 10 || !text.is_ascii() || text.as_bytes()[4] != b'-' {
        return Err(wrong());
    }
    let day: jiff::civil::Date = text.parse().map_err(|_| wrong())?;
    let since = day.since(jiff::civil::date(1970, 1, 1)).map_err(|_| wrong())?;
    Ok(since.get_days())
}

/// The items of a list in a query: `{a,"b,c"}`, as PostgreSQL writes arrays, or a JSON array of scalars.
pub(crate) fn list_items(text: &str) -> Result<Vec<String>, String> {
    let wrong = || String::from("must be a list as in {a,b}");
    if text.starts_with('[') {
        return json_items(text).ok_or_else(wrong);
    }
    let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
    let inner = inner.ok_or_else(wrong)?;
    if inner.trim().is_empty() {
        return Ok(Vec::new());
    }
    let mut items = Vec::new();
    let (mut item, mut quoted, mut was_quoted) = (String::new(), false, false);
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => item.push(chars.next().ok_or_else(wrong)?),
            '"' => {
                quoted = !quoted;
                was_quoted = true;
            }
            ',' if !quoted => finish(&mut items, &mut item, &mut was_quoted)?,
            '{' | '}' if !quoted => return Err(String::from("must be a list without lists inside")),
            c => item.push(c),
        }
    }
    if quoted {
        return Err(String::from("must be a list whose quotes end"));
    }
    finish(&mut items, &mut item, &mut was_quoted)?;
    Ok(items)
}

fn finish(items: &mut Vec<String>, item: &mut String, quoted: &mut bool) -> Result<(), String> {
    let done = std::mem::take(item);
    let done = if *quoted { done } else { done.trim().to_owned() };
    if done.is_empty() && !*quoted {
        return Err(String::from(
            "must be a list without empty items; write \"\" for empty text",
        ));
    }
    if !*quoted && done.eq_ignore_ascii_case("null") {
        return Err(String::from("must be a list without null"));
    }
    if items.len() == QUERY_ITEMS_MAX {
        return Err(format!("must be a list of at most {QUERY_ITEMS_MAX} items"));
    }
    *quoted = false;
    items.push(done);
    Ok(())
}

fn json_items(text: &str) -> Option<Vec<String>> {
    let Ok(Json::Array(items)) = json::parse(text.as_bytes()) else {
        return None;
    };
    if items.len() > QUERY_ITEMS_MAX {
        return None;
    }
    let one = |item| match item {
        Json::Text(text) | Json::Number(text) => Some(text.into()),
        Json::Bool(flag) => Some(flag.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    };
    items.into_iter().map(one).collect()
}

/// The name nearest to what was written, when it is near enough to be meant.
pub(crate) fn nearest<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const NEAR: f64 = 0.75;
    let written = written.chars().take(64).collect::<String>().to_lowercase();
    let score = |name: &str| {
        let name = name.to_lowercase();
        // In short names one slip weighs more than the measure allows.
        let slip = written.chars().count() > 1 && strsim::osa_distance(&written, &name) == 1;
        strsim::jaro_winkler(&written, &name).max(if slip { NEAR } else { 0.0 })
    };
    let near = names
        .map(|name| (score(name), name))
        .max_by(|a, b| a.0.total_cmp(&b.0))?;
    (near.0 >= NEAR).then_some(near.1)
}
