//! Bodies of writes: JSON objects by field name, not yet bound to the plan.

use super::scan;
use crate::{
    json::{self, Json},
    refusal::{Refusal, Result, bad_body, shorten, too_complex},
};
use http::{HeaderMap, header};
use stoa_config::plan::RawBody;
use stoa_exchange::codes;

/// The most rows of one body.
const ROWS_MAX: usize = 10_000;

/// One row of a body: its members in order.
pub(crate) type Row = Vec<(Box<str>, Json)>;

/// A body.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Payload {
    pub(crate) rows: Vec<Row>,
    /// Whether it was an array: positions stand before the fields in errors, and the reply is an array.
    pub(crate) array: bool,
    /// Whether every value is text to be read in its field's type, as CSV has no other.
    pub(crate) texts: bool,
}

/// The media types of bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Json,
    /// `application/merge-patch+json`.
    Merge,
    Csv,
    Form,
}

/// None at all means JSON.
fn kind(headers: &HeaderMap) -> Option<Kind> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Some(Kind::Json);
    };
    let name = value.to_str().ok()?.split(';').next().unwrap_or_default().trim();
    Some(match name.to_ascii_lowercase().as_str() {
        "application/json" | "application/vnd.pgrst.object+json" | "application/vnd.pgrst.array+json" => {
            Kind::Json
        }
        "application/merge-patch+json" => Kind::Merge,
        "text/csv" => Kind::Csv,
        "application/x-www-form-urlencoded" => Kind::Form,
        _ => return None,
    })
}

/// Refuses a `Content-Type` that is not taken; `patch` takes merge patches too.
pub(crate) fn check_type(headers: &HeaderMap, patch: bool) -> Result<()> {
    check_coding(headers)?;
    match kind(headers) {
        Some(Kind::Merge) if !patch => {}
        Some(_) => return Ok(()),
        None => {}
    }
    let text = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let text = shorten(text.unwrap_or("(not text)"));
    Err(Refusal::new(
        &codes::UNSUPPORTED_MEDIA_TYPE,
        format!(
            "The body is `{text}`; send `application/json`, `text/csv` or `application/x-www-form-urlencoded`."
        ),
    )
    .postgrest("PGRST102", 400, format!("Content-Type not acceptable: {text}")))
}

/// Refuses a `Content-Type` that is not one of those of a body that is taken as it is.
pub(crate) fn check_raw_type(headers: &HeaderMap, kind: RawBody) -> Result<()> {
    check_coding(headers)?;
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let text = value.to_str().unwrap_or("(not text)");
    let named = text.split(';').next().unwrap_or_default().trim();
    let types = kind.media_types();
    if types.iter().any(|known| named.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    let text = shorten(text);
    let detail = format!("The body is `{text}`; send `{}`.", types.join("` or `"));
    Err(Refusal::new(&codes::UNSUPPORTED_MEDIA_TYPE, detail).postgrest(
        "PGRST102",
        400,
        format!("Content-Type not acceptable: {text}"),
    ))
}

/// Reads a body in its media type: one row, or several where `many`. On the alias, JSON that is neither an object nor an
/// array counts as no rows.
pub(crate) fn payload(headers: &HeaderMap, bytes: &[u8], many: bool, alias: bool) -> Result<Payload> {
    let payload = match kind(headers) {
        Some(Kind::Csv) => read_csv(bytes)?,
        Some(Kind::Form) => read_form(bytes)?,
        _ => return read(bytes, many, alias),
    };
    if !many && payload.rows.len() != 1 {
        let n = payload.rows.len();
        let says = format!("The body holds {n} rows; one was expected.");
        return Err(bad_body(says, "Empty or invalid json"));
    }
    Ok(payload)
}

/// Refuses a compressed body: what it unfolds to could not be bounded by what was sent.
fn check_coding(headers: &HeaderMap) -> Result<()> {
    let coded = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .find(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"));
    let Some(coding) = coded else { return Ok(()) };
    let shown = shorten(coding.to_str().unwrap_or("(not text)"));
    let detail = format!("The body has the content coding `{shown}`; send it as it is.");
    Err(Refusal::new(&codes::UNSUPPORTED_MEDIA_TYPE, detail.clone())
        .header(header::ACCEPT_ENCODING, "identity")
        .postgrest("PGRST102", 415, detail))
}

/// Reads a body of one object, or of an array of objects where `many`.
fn read(bytes: &[u8], many: bool, alias: bool) -> Result<Payload> {
    let empty = "Empty or invalid json";
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(bad_body("The body is empty; a JSON object was expected.", empty));
    }
    let parsed = json::parse(bytes).map_err(|error| {
        bad_body(
            format!("The body is not JSON as it is taken here: {error}."),
            empty,
        )
    })?;
    match parsed {
        Json::Object(row) => Ok(Payload {
            rows: vec![row],
            array: false,
            texts: false,
        }),
        Json::Array(items) if many => rows(items),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::Text(_) if alias && many => rows(Vec::new()),
        other => {
            let want = if many {
                "an object or an array of objects"
            } else {
                "an object"
            };
            Err(bad_body(
                format!("The body is {}; {want} was expected.", other.kind()),
                empty,
            ))
        }
    }
}

fn rows(items: Vec<Json>) -> Result<Payload> {
    if items.len() > ROWS_MAX {
        return Err(too_complex(format!("A body holds at most {ROWS_MAX} rows.")));
    }
    let one = |(i, item)| match item {
        Json::Object(row) => Ok(row),
        other => Err(bad_body(
            format!(
                "Item {i} of the body is {}; an object was expected.",
                other.kind()
            ),
            "All object keys must match",
        )),
    };
    Ok(Payload {
        rows: items.into_iter().enumerate().map(one).collect::<Result<_>>()?,
        array: true,
        texts: false,
    })
}

/// Reads the fields of a form: one row whose values are all text.
fn read_form(bytes: &[u8]) -> Result<Payload> {
    let refuse = |says: String| bad_body(says, "Empty or invalid form");
    let text = std::str::from_utf8(bytes).map_err(|_| refuse(String::from("The body is not UTF-8.")))?;
    let mut row: Row = Vec::new();
    for pair in scan::pairs(text.trim_end(), false)? {
        if row.iter().any(|(name, _)| **name == *pair.key) {
            return Err(refuse(format!("The form names `{}` twice.", shorten(&pair.key))));
        }
        row.push((pair.key.into(), Json::Text(pair.value.into())));
    }
    Ok(Payload {
        rows: vec![row],
        array: false,
        texts: true,
    })
}

/// Reads CSV (RFC 4180): the first line names the fields; `NULL` without quotes is null, nothing is empty text.
fn read_csv(bytes: &[u8]) -> Result<Payload> {
    let refuse = |says: String| bad_body(says, "Empty or invalid csv");
    let text = std::str::from_utf8(bytes).map_err(|_| refuse(String::from("The body is not UTF-8.")))?;
    let mut lines = csv_lines(text).map_err(refuse)?.into_iter();
    let names: Vec<Box<str>> = match lines.next() {
        Some(line) => line.into_iter().map(|cell| cell.text.into()).collect(),
        None => {
            return Err(refuse(String::from(
                "The body is empty; names of fields were expected in its first line.",
            )));
        }
    };
    for (i, name) in names.iter().enumerate() {
        if names[..i].contains(name) {
            return Err(refuse(format!("The first line names `{}` twice.", shorten(name))));
        }
    }
    let mut rows = Vec::new();
    for (i, line) in lines.enumerate() {
        if line.len() != names.len() {
            let says = format!(
                "Row {i} has {} cells; the first line has {}.",
                line.len(),
                names.len()
            );
            return Err(bad_body(says, "All lines must have same number of fields"));
        }
        if i == ROWS_MAX {
            return Err(too_complex(format!("A body holds at most {ROWS_MAX} rows.")));
        }
        let cell = |(name, cell): (&str, Cell)| {
            let null = !cell.quoted && cell.text == "NULL";
            (
                Box::from(name),
                if null {
                    Json::Null
                } else {
                    Json::Text(cell.text.into())
                },
            )
        };
        rows.push(names.iter().map(AsRef::as_ref).zip(line).map(cell).collect());
    }
    Ok(Payload {
        rows,
        array: true,
        texts: true,
    })
}

#[derive(Default)]
struct Cell {
    text: String,
    quoted: bool,
}

fn csv_lines(text: &str) -> std::result::Result<Vec<Vec<Cell>>, String> {
    let (mut lines, mut line, mut cell, mut open) = (Vec::new(), Vec::new(), Cell::default(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if open && chars.peek() == Some(&'"') => {
                chars.next();
                cell.text.push('"');
            }
            '"' if open => open = false,
            '"' if cell.text.is_empty() && !cell.quoted => (open, cell.quoted) = (true, true),
            c if open => cell.text.push(c),
            ',' => line.push(std::mem::take(&mut cell)),
            '\r' if chars.peek() == Some(&'\n') => {}
            '\n' => {
                line.push(std::mem::take(&mut cell));
                lines.push(std::mem::take(&mut line));
            }
            _ if cell.quoted => return Err(format!("Line {} goes on after quotes.", lines.len() + 1)),
            c => cell.text.push(c),
        }
    }
    if open {
        return Err(String::from("The quotes of the last cell do not end."));
    }
    if !line.is_empty() || cell.quoted || !cell.text.is_empty() {
        line.push(cell);
        lines.push(line);
    }
    Ok(lines)
}

/// Without `columns`, every object of an array on the alias must have the same keys.
pub(crate) fn same_keys(rows: &[Row]) -> Result<()> {
    let keys = |row: &Row| {
        let mut keys: Vec<&str> = row.iter().map(|(key, _)| key.as_ref()).collect();
        keys.sort_unstable();
        keys.join("\0")
    };
    let mut all = rows.iter().map(keys);
    let Some(first) = all.next() else { return Ok(()) };
    if all.all(|other| other == first) {
        return Ok(());
    }
    Err(bad_body(
        "The objects of the body have different keys; name them all in `columns`.",
        "All object keys must match",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn csv_becomes_rows() {
        let payload = read_csv(b"a,\"b c\"\r\n1,\r\n\"x,\"\"y\"\"\n\",NULL\n\"NULL\",2").expect("CSV");
        let rows: Vec<String> = payload
            .rows
            .into_iter()
            .map(|row| Json::Object(row).to_text())
            .collect();
        assert_eq!(
            rows,
            [
                r#"{"a":"1","b c":""}"#,
                r#"{"a":"x,\"y\"\n","b c":null}"#,
                r#"{"a":"NULL","b c":"2"}"#
            ]
        );
        for bad in ["", "a,a\n1,2", "a\n1,2", "a\n\"x", "a\n\"x\"y"] {
            assert!(read_csv(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, text in "[a\",\r\n]{0,40}") {
            let _ = (read_csv(&bytes), read_csv(text.as_bytes()), read(&bytes, true, true), read_form(&bytes));
        }
    }
}
