//! Rows as the server sends them become JSON, or the values of groups.

use crate::store::StoreError;
use crate::store::json::write_text;
use crate::store::postgres::RESULT_BYTES_MAX;
use crate::store::postgres::codec::{self, Fields, Items, Raw};
use crate::store::postgres::errors::{Fail, Run};
use crate::store::sql::{Out, OutKind, Within};
use crate::value::Value;
use tokio_postgres::Row;

/// A column that cannot be read as what was asked for.
const NOT_OF_ITS_KIND: &str = "a column is not of the kind the statement asked for";

/// The bytes of a column.
pub(in crate::store::postgres) fn column(row: &Row, slot: usize) -> Run<Option<&[u8]>> {
    Ok(row.try_get::<_, Raw<'_>>(slot)?.0)
}

/// A row as a JSON object.
pub(in crate::store::postgres) fn write_row(outs: &[Out<'_>], row: &Row, json: &mut Vec<u8>) -> Run<()> {
    json.push(b'{');
    for (position, out) in outs.iter().enumerate() {
        member(position, out, json);
        let outermost = out.within.first().map_or(out.slot, |within| within.slot);
        write_out(column(row, outermost)?, &out.within, out, json).map_err(Fail::unreadable)?;
    }
    json.push(b'}');
    if json.len() > RESULT_BYTES_MAX {
        return Err(Fail::Store(StoreError::Refused(format!(
            "the result is larger than {} MiB: ask for fewer rows or fields",
            RESULT_BYTES_MAX >> 20
        ))));
    }
    Ok(())
}

fn member(position: usize, out: &Out<'_>, json: &mut Vec<u8>) {
    if position > 0 {
        json.push(b',');
    }
    write_text(out.name, json);
    json.push(b':');
}

/// A member from its column, or from the column of the embed that was spread around it: its value, or the list of
/// its values.
fn write_out(raw: Option<&[u8]>, within: &[Within], out: &Out<'_>, json: &mut Vec<u8>) -> Result<(), String> {
    let Some((outer, inner)) = within.split_first() else {
        return write_cell(raw, &out.kind, json);
    };
    let slot = inner.first().map_or(out.slot, |within| within.slot);
    if !outer.many {
        if let Some(record) = raw {
            return write_out(nth(record, slot)?, inner, out, json);
        }
        json.extend_from_slice(b"null");
        return Ok(());
    }
    json.push(b'[');
    if let Some(bytes) = raw {
        for (position, row) in Items::read(bytes).ok_or("no list of rows")?.enumerate() {
            if position > 0 {
                json.push(b',');
            }
            let row = row.flatten().ok_or("an embedded row is null")?;
            write_out(nth(row, slot)?, inner, out, json)?;
        }
    }
    json.push(b']');
    Ok(())
}

/// A column of an embedded row.
fn nth(record: &[u8], slot: usize) -> Result<Option<&[u8]>, String> {
    let mut fields = Fields::read(record).ok_or("an embedded row ends too early")?;
    let field = fields.nth(slot).ok_or("an embedded row has too few columns")?;
    field.ok_or_else(|| "an embedded row ends too early".to_owned())
}

fn write_cell(raw: Option<&[u8]>, kind: &OutKind<'_>, json: &mut Vec<u8>) -> Result<(), String> {
    let strange = || NOT_OF_ITS_KIND.to_owned();
    match (kind, raw) {
        (OutKind::Field(column), raw) => return codec::write_json(raw, column, json),
        // A list without rows is gathered as null.
        (OutKind::Embed { many: true, .. }, None) => json.extend_from_slice(b"[]"),
        (_, None) => json.extend_from_slice(b"null"),
        (OutKind::Json, Some(bytes)) => codec::write_compact(codec::json(bytes).ok_or_else(strange)?, json),
        (OutKind::Text, Some(bytes)) => write_text(std::str::from_utf8(bytes).map_err(|_| strange())?, json),
        (OutKind::Value(kind), Some(bytes)) => {
            codec::write_computed(bytes, *kind, json).ok_or_else(strange)?;
        }
        (OutKind::Embed { many: true, outs }, Some(bytes)) => {
            json.push(b'[');
            for (position, row) in Items::read(bytes).ok_or_else(strange)?.enumerate() {
                if position > 0 {
                    json.push(b',');
                }
                embedded_row(row.flatten().ok_or_else(strange)?, outs, json)?;
            }
            json.push(b']');
        }
        (OutKind::Embed { many: false, outs }, Some(bytes)) => embedded_row(bytes, outs, json)?,
    }
    Ok(())
}

fn embedded_row(record: &[u8], outs: &[Out<'_>], json: &mut Vec<u8>) -> Result<(), String> {
    let columns: Option<Vec<Option<&[u8]>>> = Fields::read(record).and_then(Iterator::collect);
    let columns = columns.ok_or("an embedded row ends too early")?;
    json.push(b'{');
    for (position, out) in outs.iter().enumerate() {
        member(position, out, json);
        let outermost = out.within.first().map_or(out.slot, |within| within.slot);
        let raw = columns.get(outermost).copied().flatten();
        write_out(raw, &out.within, out, json)?;
    }
    json.push(b'}');
    Ok(())
}

/// A member of a group as a value; what is no one value is the JSON of it.
pub(super) fn member_value(row: &Row, out: &Out<'_>) -> Run<Value> {
    let raw = column(row, out.within.first().map_or(out.slot, |within| within.slot))?;
    let read = match (&out.kind, raw) {
        _ if !out.within.is_empty() => None,
        (OutKind::Field(column), raw) => Some(codec::read(raw, column)),
        (OutKind::Json | OutKind::Embed { .. }, Some(_)) | (OutKind::Embed { many: true, .. }, None) => None,
        (_, None) => return Ok(Value::Null),
        (OutKind::Text, Some(bytes)) => {
            let text = std::str::from_utf8(bytes).map_err(|e| e.to_string());
            Some(text.map(|text| Value::Text(text.into())))
        }
        (OutKind::Value(kind), Some(bytes)) => {
            Some(codec::read_computed(bytes, *kind).ok_or_else(|| NOT_OF_ITS_KIND.to_owned()))
        }
    };
    if let Some(value) = read {
        return value.map_err(Fail::unreadable);
    }
    let mut json = Vec::new();
    write_out(raw, &out.within, out, &mut json).map_err(Fail::unreadable)?;
    let text = String::from_utf8(json).map_err(|e| Fail::unreadable(e.to_string()))?;
    Ok(Value::Json(text.into()))
}
