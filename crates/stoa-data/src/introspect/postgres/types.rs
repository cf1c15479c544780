//! The type of field that reads a column of PostgreSQL's.

/// Digits of a decimal at most.
pub(super) const DIGITS: u32 = 38;
/// Words of an enum at most.
const WORDS_MAX: usize = 256;

/// The type of field that reads a column of this type. What Stoa has no type for is its text, as PostgreSQL prints it:
/// bytes are `\x…`, a range is `[1,5)`.
pub(super) fn field_type(declared: &str, words: &[String]) -> String {
    if let Some(item) = declared.strip_suffix("[]") {
        return match field_type(item, words).as_str() {
            // A list of JSON is no type of a field.
            "json" => "list of text".to_owned(),
            item => format!("list of {item}"),
        };
    }
    if !words.is_empty() {
        let plain = |word: &String| {
            !word.is_empty() && !word.contains([',', '(', ')', '"', '\'']) && word.trim() == word
        };
        return if words.iter().all(plain) && words.len() <= WORDS_MAX {
            format!("enum({})", words.join(", "))
        } else {
            "text".to_owned()
        };
    }
    let name = declared.split('(').next().unwrap_or(declared).trim();
    match name {
        "uuid" | "date" => name.to_owned(),
        "smallint" | "integer" | "bigint" => "int".to_owned(),
        "real" | "double precision" => "float".to_owned(),
        "boolean" => "bool".to_owned(),
        "json" | "jsonb" => "json".to_owned(),
        "numeric" => decimal(declared),
        _ if declared.starts_with("timestamp") => "time".to_owned(),
        _ => "text".to_owned(),
    }
}

/// `numeric(12,2)`, or a decimal that is given its scale by the rows. A scale may be below zero, or above the precision.
fn decimal(declared: &str) -> String {
    let bounds = declared
        .strip_prefix("numeric(")
        .and_then(|rest| rest.strip_suffix(')'))
        .and_then(|rest| rest.split_once(','));
    let bounds = bounds.and_then(|(p, s)| Some((p.parse::<i32>().ok()?, s.parse::<i32>().ok()?)));
    let (precision, scale) = match bounds {
        Some((precision, scale)) if scale < 0 => (precision.saturating_sub(scale), 0),
        Some((precision, scale)) => (precision.max(scale), scale),
        None => (i32::MAX, 10),
    };
    let digits = i32::try_from(DIGITS).unwrap_or(i32::MAX);
    format!("decimal({},{})", precision.clamp(1, digits), scale.min(digits))
}
