//! Bodies of writes: JSON objects by field name, not yet bound to the plan.

use crate::{
    json::{self, Json},
    refusal::{Refusal, Result, bad_body, shorten, too_complex},
};
use http::{HeaderMap, header};
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
}

/// Refuses a `Content-Type` that is not JSON. None at all means JSON; `merge` takes `application/merge-patch+json` too.
pub(crate) fn check_type(headers: &HeaderMap, merge: bool) -> Result<()> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let text = value.to_str().unwrap_or("(not text)");
    let name = text
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let json = matches!(
        name.as_str(),
        "application/json" | "application/vnd.pgrst.object+json" | "application/vnd.pgrst.array+json"
    );
    if json || (merge && name == "application/merge-patch+json") {
        return Ok(());
    }
    let also = if merge {
        " or `application/merge-patch+json`"
    } else {
        ""
    };
    Err(Refusal::new(
        &codes::UNSUPPORTED_MEDIA_TYPE,
        format!("The body is `{}`; send `application/json`{also}.", shorten(text)),
    )
    .postgrest(
        "PGRST102",
        400,
        format!("Content-Type not acceptable: {}", shorten(text)),
    ))
}

/// Reads a body of one object, or of an array of objects where `many`.
pub(crate) fn read(bytes: &[u8], many: bool) -> Result<Payload> {
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
        }),
        Json::Array(items) if many => rows(items),
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
            "Empty or invalid json",
        )),
    };
    Ok(Payload {
        rows: items.into_iter().enumerate().map(one).collect::<Result<_>>()?,
        array: true,
    })
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
