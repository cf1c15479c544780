//! Reads: statements run, rows made JSON.

use super::codec::{self, Cell};
use super::dialect::SQLITE;
use super::errors::{Fail, Run};
use super::{RESULT_BYTES_MAX, Shared};
use crate::operation::{Condition, Count, Read};
use crate::store::sql::{Arg, Builder, Out, OutKind, Position, Shape, Sql, Within, render_path};
use crate::store::table::{Column, Table};
use crate::store::{Page, StoreError};
use crate::value::Value;
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, Row};
use serde_json::Value as Json;
use std::borrow::Cow;

/// Runs a read. `may_try` is asked with the statement's text first; when it says no, nothing is run.
pub(super) fn run(
    conn: &Connection,
    shared: &Shared,
    read: &Read,
    may_try: impl Fn(&str) -> bool,
) -> Run<Page> {
    let table = shared.table(read.resource)?;
    let mut shape = Shape::new(&read.select, table, &shared.tables)?;
    let order = shape.positions(&read.order)?;
    // The version of a bound row costs a hash of all its columns: only where one row is asked for.
    let versioned = !shape.grouped && (table.created || read.limit <= 1);
    let version = versioned.then(|| shape.version());
    let mut builder = Builder::new(&SQLITE, &shared.tables);
    builder.read(read, &shape)?;
    if !may_try(&builder.sql.text) {
        return Err(Fail::Slow);
    }
    // With a count two statements must see one state of the data.
    let counted = read.count != Count::None;
    let transaction = if counted {
        Some(conn.unchecked_transaction()?)
    } else {
        None
    };
    let mut page = rows(conn, &builder.sql, read, &shape, &order, version)?;
    if counted {
        page.total = Some(match (read.after.is_none(), page.more, page.rows) {
            (true, false, rows) if rows > 0 || read.offset == 0 => read.offset.saturating_add(rows),
            _ => count(conn, shared, read)?,
        });
    }
    if let Some(transaction) = transaction {
        transaction.finish()?;
    }
    Ok(page)
}

fn rows(
    conn: &Connection,
    sql: &Sql<'_>,
    read: &Read,
    shape: &Shape<'_>,
    order: &[Position<'_>],
    version: Option<usize>,
) -> Run<Page> {
    let mut page = Page::default();
    let mut statement = conn.prepare_cached(&sql.text)?;
    bind(&mut statement, sql)?;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        if page.rows == read.limit {
            page.more = true;
            break;
        }
        if page.rows == 0 {
            if let Some(slot) = version {
                page.version = row.get(slot)?;
            }
        } else {
            page.json.push(b',');
        }
        write_row(&shape.outs, row, &mut page.json)?;
        page.rows += 1;
        if page.rows == read.limit {
            page.last = order
                .iter()
                .map(|at| position(&Cell::from(row.get_ref(at.slot)?), at))
                .collect::<Run<_>>()?;
        }
    }
    if !page.more && page.rows != read.limit {
        page.last.clear();
    }
    Ok(page)
}

/// The value of an entry of the order, for the cursor.
fn position(cell: &Cell<'_>, at: &Position<'_>) -> Run<Value> {
    if let Some(column) = at.column {
        return codec::read(cell, column).map_err(|why| Fail::Store(StoreError::Internal(why)));
    }
    Ok(match cell {
        Cell::Text(text) => Value::Text(text.as_ref().into()),
        _ => Value::Null,
    })
}

fn count(conn: &Connection, shared: &Shared, read: &Read) -> Run<u64> {
    let mut builder = Builder::new(&SQLITE, &shared.tables);
    builder.count(read)?;
    let mut statement = conn.prepare_cached(&builder.sql.text)?;
    bind(&mut statement, &builder.sql)?;
    let mut rows = statement.raw_query();
    let total: i64 = match rows.next()? {
        Some(row) => row.get(0)?,
        None => 0,
    };
    Ok(total.unsigned_abs())
}

/// Whether a statement has a row.
pub(super) fn is_there(conn: &Connection, sql: &Sql<'_>) -> Run<bool> {
    let mut statement = conn.prepare_cached(&sql.text)?;
    bind(&mut statement, sql)?;
    let mut rows = statement.raw_query();
    Ok(rows.next()?.is_some())
}

/// A value of `column` of `child` that refers to a row of `table` that the filter finds.
pub(super) fn referred<'a>(
    conn: &Connection,
    shared: &'a Shared,
    table: &'a Table,
    child: &'a Table,
    column: &'a Column,
    filter: &'a Condition,
) -> Run<Option<Value>> {
    let Some(key) = table.key_column() else {
        return Ok(None);
    };
    let mut builder = Builder::new(&SQLITE, &shared.tables);
    let (inner, outer) = (builder.scope(table, &[]), builder.scope(child, &[]));
    builder.push("SELECT ");
    builder.reference(outer, column);
    builder.from(outer);
    builder.push(" WHERE ");
    builder.reference(outer, column);
    builder.push(" IN (SELECT ");
    builder.reference(inner, key);
    builder.from(inner);
    builder.filter(filter, None, inner)?;
    builder.push(") LIMIT 1");
    let mut statement = conn.prepare_cached(&builder.sql.text)?;
    bind(&mut statement, &builder.sql)?;
    let mut rows = statement.raw_query();
    match rows.next()? {
        Some(row) => codec::read(&Cell::from(row.get_ref(0)?), column)
            .map(Some)
            .map_err(|why| Fail::Store(StoreError::Internal(why))),
        None => Ok(None),
    }
}

/// Binds the values of a statement.
pub(super) fn bind(statement: &mut CachedStatement<'_>, sql: &Sql<'_>) -> Run<()> {
    for (position, arg) in sql.args.iter().enumerate() {
        match arg {
            Arg::Value(column, value, spelling) => {
                statement.raw_bind_parameter(position + 1, codec::encode(column, value, *spelling))?;
            }
            Arg::Stored(column, value) => {
                statement.raw_bind_parameter(position + 1, codec::encode_stored(column, value))?;
            }
            Arg::Text(text) | Arg::Json(text) => statement.raw_bind_parameter(position + 1, &**text)?,
            Arg::Null { .. } => statement.raw_bind_parameter(position + 1, None::<i64>)?,
            Arg::Path(path) => statement.raw_bind_parameter(position + 1, render_path(path))?,
            Arg::Int(n) => statement.raw_bind_parameter(position + 1, n)?,
            Arg::Literal(text) => statement.raw_bind_parameter(position + 1, text.as_deref())?,
        }
    }
    Ok(())
}

/// A row as a JSON object.
pub(super) fn write_row(outs: &[Out<'_>], row: &Row<'_>, json: &mut Vec<u8>) -> Run<()> {
    json.push(b'{');
    for (position, out) in outs.iter().enumerate() {
        member(position, out, json);
        let outermost = out.within.first().map_or(out.slot, |within| within.slot);
        let cell = Cell::from(row.get_ref(outermost)?);
        write_out(&cell, out, json).map_err(|why| Fail::Store(StoreError::Internal(why)))?;
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
    codec::write_text(out.name, json);
    json.push(b':');
}

/// A member from its column, or from the column of the embed that was spread around it.
fn write_out(cell: &Cell<'_>, out: &Out<'_>, json: &mut Vec<u8>) -> Result<(), String> {
    match (&out.within[..], &out.kind, cell) {
        ([], OutKind::Embed { many, outs }, Cell::Text(text)) => {
            write_embed(&embedded(text)?, *many, outs, json)
        }
        ([], kind, cell) => write_cell(cell, kind, json),
        (within, _, Cell::Text(text)) => write_spread(&embedded(text)?, within, out, json),
        (_, _, Cell::Null) => {
            json.extend_from_slice(b"null");
            Ok(())
        }
        _ => Err("an embed is no row".to_owned()),
    }
}

fn embedded(text: &str) -> Result<Json, String> {
    serde_json::from_str(text).map_err(|e| format!("an embedded row: {e}"))
}

/// A member of rows that were spread: its value, or the list of its values.
fn write_spread(embed: &Json, within: &[Within], out: &Out<'_>, json: &mut Vec<u8>) -> Result<(), String> {
    let Some((outer, inner)) = within.split_first() else {
        return write_embedded(embed, &out.kind, json);
    };
    let slot = inner.first().map_or(out.slot, |within| within.slot);
    let rows = embed.as_array().map_or(&[][..], Vec::as_slice);
    if !outer.many {
        if let Some(cell) = rows.get(slot) {
            return write_spread(cell, inner, out, json);
        }
        json.extend_from_slice(b"null");
        return Ok(());
    }
    json.push(b'[');
    for (position, row) in rows.iter().enumerate() {
        if position > 0 {
            json.push(b',');
        }
        write_spread(row.get(slot).unwrap_or(&Json::Null), inner, out, json)?;
    }
    json.push(b']');
    Ok(())
}

fn write_embed(embed: &Json, many: bool, outs: &[Out<'_>], json: &mut Vec<u8>) -> Result<(), String> {
    let parts = embed.as_array().map_or(&[][..], Vec::as_slice);
    if !many {
        return write_members(parts, outs, json);
    }
    json.push(b'[');
    for (position, row) in parts.iter().enumerate() {
        if position > 0 {
            json.push(b',');
        }
        write_members(row.as_array().map_or(&[], Vec::as_slice), outs, json)?;
    }
    json.push(b']');
    Ok(())
}

/// The columns of an embedded row as an object.
fn write_members(cells: &[Json], outs: &[Out<'_>], json: &mut Vec<u8>) -> Result<(), String> {
    json.push(b'{');
    for (position, out) in outs.iter().enumerate() {
        member(position, out, json);
        let outermost = out.within.first().map_or(out.slot, |within| within.slot);
        let cell = cells.get(outermost).unwrap_or(&Json::Null);
        write_spread(cell, &out.within, out, json)?;
    }
    json.push(b'}');
    Ok(())
}

/// A column of an embedded row.
fn write_embedded(cell: &Json, kind: &OutKind<'_>, json: &mut Vec<u8>) -> Result<(), String> {
    match (kind, cell) {
        (OutKind::Embed { many, outs }, Json::Array(_)) => write_embed(cell, *many, outs, json),
        _ => write_cell(&embedded_cell(cell), kind, json),
    }
}

fn write_cell(cell: &Cell<'_>, kind: &OutKind<'_>, json: &mut Vec<u8>) -> Result<(), String> {
    match (kind, cell) {
        (OutKind::Field(column), cell) => return codec::write_json(cell, column, json),
        (_, Cell::Null) => json.extend_from_slice(b"null"),
        (OutKind::Json, Cell::Text(text)) => json.extend_from_slice(text.as_bytes()),
        (OutKind::Text, Cell::Text(text)) => codec::write_text(text, json),
        (OutKind::Value(kind), cell) => return codec::write_computed(cell, *kind, json),
        _ => return Err("a column is not of the kind the statement asked for".to_owned()),
    }
    Ok(())
}

/// A cell as `stoa_row` wrote it.
fn embedded_cell(json: &Json) -> Cell<'_> {
    use base64::Engine as _;
    match json {
        Json::Null | Json::Bool(_) | Json::Array(_) => Cell::Null,
        Json::Number(n) => match n.as_i64() {
            Some(n) => Cell::Int(n),
            None => n.as_f64().map_or(Cell::Null, Cell::Real),
        },
        Json::String(text) => Cell::Text(Cow::Borrowed(text)),
        Json::Object(bytes) => bytes
            .get("b")
            .and_then(Json::as_str)
            .and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok())
            .map_or(Cell::Null, |bytes| Cell::Blob(Cow::Owned(bytes))),
    }
}

/// A cell to bind again.
pub(super) fn keep(value: ValueRef<'_>) -> rusqlite::types::Value {
    rusqlite::types::Value::try_from(value).unwrap_or(rusqlite::types::Value::Null)
}
