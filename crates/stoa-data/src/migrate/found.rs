//! What a SQLite file has.

use rusqlite::{Connection, OptionalExtension};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// Tables and views by name, and what Stoa wrote down about its own.
#[derive(Debug, Default)]
pub(super) struct Schema {
    pub(super) tables: BTreeMap<String, Found>,
    pub(super) recorded: Map<String, Json>,
}

/// One table or view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) view: bool,
    /// Its name until the rename that comes first.
    pub(super) now_called: Option<String>,
    pub(super) columns: Vec<FoundColumn>,
    pub(super) key: Vec<String>,
    pub(super) indexes: Vec<FoundIndex>,
    /// Column, then table and column it refers to.
    pub(super) references: Vec<(String, String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundColumn {
    pub(super) name: String,
    pub(super) ty: String,
    pub(super) not_null: bool,
    pub(super) default: Option<String>,
    /// Its name until the rename that comes first.
    pub(super) now_called: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundIndex {
    pub(super) name: String,
    pub(super) unique: bool,
    pub(super) columns: Vec<String>,
}

impl Schema {
    /// A table by its name; SQLite does not mind case.
    pub(super) fn table(&self, name: &str) -> Option<&Found> {
        self.tables
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, t)| t)
    }
}

impl Found {
    /// What the table is called before any step was made.
    pub(super) fn is_called<'a>(&'a self, name: &'a str) -> &'a str {
        self.now_called.as_deref().unwrap_or(name)
    }

    /// What a column is called before any step was made.
    pub(super) fn column_is_called<'a>(&'a self, name: &'a str) -> &'a str {
        self.column(name)
            .and_then(|c| c.now_called.as_deref())
            .unwrap_or(name)
    }

    pub(super) fn column(&self, name: &str) -> Option<&FoundColumn> {
        self.columns.iter().find(|c| c.name.eq_ignore_ascii_case(name))
    }
}

/// Reads all of it.
pub(super) fn read(conn: &Connection) -> rusqlite::Result<Schema> {
    let mut schema = Schema {
        recorded: recorded(conn)?,
        ..Schema::default()
    };
    let mut statement = conn.prepare(
        "SELECT name, type = 'view' FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
    )?;
    let names: Vec<(String, bool)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (name, view) in names {
        let table = if view {
            columns_of_view(conn, &name)
        } else {
            table(conn, &name)?
        };
        schema.tables.insert(name, Found { view, ..table });
    }
    Ok(schema)
}

/// A view may be broken; then it has no columns, and only who binds it minds.
fn columns_of_view(conn: &Connection, name: &str) -> Found {
    table(conn, name).unwrap_or_default()
}

fn table(conn: &Connection, name: &str) -> rusqlite::Result<Found> {
    let mut found = Found::default();
    let mut keyed: Vec<(i64, String)> = Vec::new();
    let mut statement = conn.prepare(
        "SELECT name, type, \"notnull\", dflt_value, pk FROM pragma_table_xinfo(?) WHERE hidden <> 1",
    )?;
    let mut rows = statement.query([name])?;
    while let Some(row) = rows.next()? {
        let column = FoundColumn {
            name: row.get(0)?,
            ty: row.get(1)?,
            not_null: row.get(2)?,
            default: row.get(3)?,
            now_called: None,
        };
        let position: i64 = row.get(4)?;
        if position > 0 {
            keyed.push((position, column.name.clone()));
        }
        found.columns.push(column);
    }
    keyed.sort();
    found.key = keyed.into_iter().map(|(_, name)| name).collect();
    let mut statement =
        conn.prepare("SELECT name, \"unique\" FROM pragma_index_list(?) WHERE origin = 'c'")?;
    let listed: Vec<(String, bool)> = statement
        .query_map([name], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (index, unique) in listed {
        let mut statement =
            conn.prepare("SELECT coalesce(name, '') FROM pragma_index_info(?) ORDER BY seqno")?;
        let columns = statement
            .query_map([&index], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        found.indexes.push(FoundIndex {
            name: index,
            unique,
            columns,
        });
    }
    let mut statement =
        conn.prepare("SELECT \"from\", \"table\", coalesce(\"to\", '') FROM pragma_foreign_key_list(?)")?;
    found.references = statement
        .query_map([name], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(found)
}

/// How the columns of Stoa's own tables are written, as the last migration wrote it down.
pub(super) fn recorded(conn: &Connection) -> rusqlite::Result<Map<String, Json>> {
    if !has_table(conn, "_stoa_schema")? {
        return Ok(Map::new());
    }
    let text: Option<String> = conn
        .query_row(
            "SELECT tables FROM _stoa_schema ORDER BY id DESC LIMIT 1",
            [],
            |row| row.get(0),
        )
        .optional()?;
    Ok(match text.map(|t| serde_json::from_str(&t)) {
        Some(Ok(Json::Object(tables))) => tables,
        _ => Map::new(),
    })
}

/// Whether there is a table of this name.
pub(super) fn has_table(conn: &Connection, name: &str) -> rusqlite::Result<bool> {
    conn.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?")?
        .exists([name])
}
