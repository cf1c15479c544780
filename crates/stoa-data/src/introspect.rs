//! What a database has, for a file that serves it: tables, views, keys, references, and for each column the type
//! of field that reads every value that is there.

mod guess;
mod postgres;
#[cfg(test)]
mod tests;

use crate::store::StoreError;
use crate::store::sqlite::connect::{self, Limited, Use};
use crate::store::sqlite::{Cell, unavailable};
use crate::store::table::quote;
use guess::Guess;
pub(crate) use postgres::field_type;
pub use postgres::introspect_postgres;
use rusqlite::Connection;
use std::path::Path;
use std::time::Duration;
use stoa_exchange::clock;

/// Rows of a table that are looked at.
const ROWS_MAX: u64 = 1_000_000;
/// Time that is spent on one table.
const TABLE_TIME: Duration = Duration::from_secs(10);
/// How long a lock is waited for.
const BUSY: Duration = Duration::from_secs(5);

/// A table or view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Schema, where the database has several.
    pub schema: Option<String>,
    /// Name.
    pub name: String,
    /// What somebody wrote about it in the database.
    pub comment: Option<String>,
    /// Whether it cannot be written.
    pub view: bool,
    /// Of what can be written in part, the rules that nobody can be given: `create`, `update`, `delete`.
    pub refuses: Vec<&'static str>,
    /// In their order. A table without a primary key has its `rowid` in front, as its key.
    pub columns: Vec<Column>,
    /// Names of the key's columns, in the order of the key; none for most views.
    pub key: Vec<String>,
    /// Foreign keys.
    pub references: Vec<Reference>,
    /// Functions that lead from a row to rows of a table.
    pub leads: Vec<Lead>,
    /// Columns that are unique together.
    pub uniques: Vec<Vec<String>>,
    /// Rows that were looked at.
    pub rows_seen: u64,
    /// Whether these were all.
    pub complete: bool,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Name.
    pub name: String,
    /// What somebody wrote about it in the database.
    pub comment: Option<String>,
    /// Type as declared; empty when none was.
    pub declared: String,
    /// Type of the field, as the API file writes it; `None` when no type reads what is there (bytes).
    pub ty: Option<String>,
    /// Whether it was declared `NOT NULL` (or is part of the key).
    pub not_null: bool,
    /// Default, as SQL.
    pub default: Option<String>,
    /// Position in the key, from 1.
    pub key_position: Option<u32>,
    /// Whether no two rows have the same value.
    pub unique: bool,
    /// Whether the database fills it in when it is left out.
    pub generated: bool,
    /// Whether the database alone does, so that it cannot be written.
    pub computed: bool,
    /// Name of the function, in the table's schema, that gives it out of the row: then it is no column.
    pub function: Option<String>,
}

/// A foreign key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// What it is called, where the database has names for them.
    pub name: Option<String>,
    /// Whether a view shows the columns of one: it is no constraint itself.
    pub derived: bool,
    /// Whether the last columns are periods: then rows belong together that cover each other, not equal ones.
    pub temporal: bool,
    /// Columns here.
    pub columns: Vec<String>,
    /// Schema of the other table, where the database has several.
    pub schema: Option<String>,
    /// The other table.
    pub table: String,
    /// Columns there.
    pub targets: Vec<String>,
}

/// A function in a table's schema that takes a row of it and returns rows of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lead {
    /// Name.
    pub function: String,
    /// Schema of the table whose rows it returns.
    pub schema: Option<String>,
    /// That table.
    pub table: String,
    /// Whether it is one row at most.
    pub one: bool,
}

/// Reads a SQLite file. Nothing is written.
pub fn introspect(path: &Path) -> Result<Vec<Table>, StoreError> {
    if !path.exists() {
        return Err(StoreError::Unavailable(format!(
            "there is no file {}",
            path.display()
        )));
    }
    let limited = connect::open_limited(path, Use::Read, BUSY)?;
    let failed = |error: rusqlite::Error| unavailable(path, &error);
    let names = names(&limited.conn).map_err(failed)?;
    let mut tables = Vec::new();
    for (name, kind, without_rowid) in names {
        // A view over something that is gone cannot be read, and is left out.
        match table(&limited, &name, &kind, without_rowid) {
            Ok(table) => tables.push(table),
            Err(_) if kind != "table" => {}
            Err(error) => return Err(failed(error)),
        }
    }
    let keys: Vec<(String, Vec<String>)> = tables.iter().map(|t| (t.name.clone(), t.key.clone())).collect();
    for reference in tables.iter_mut().flat_map(|t| &mut t.references) {
        let other = keys
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(&reference.table));
        let Some((name, key)) = other else { continue };
        reference.table.clone_from(name);
        // `REFERENCES other` without columns means its primary key.
        if reference.targets.iter().any(String::is_empty) {
            reference.targets.clone_from(key);
        }
    }
    Ok(tables)
}

fn names(conn: &Connection) -> rusqlite::Result<Vec<(String, String, bool)>> {
    conn.prepare(
        "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'view', 'virtual') \
         AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_stoa\\_%' ESCAPE '\\' ORDER BY name",
    )?
    .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
    .collect()
}

fn table(limited: &Limited, name: &str, kind: &str, without_rowid: bool) -> rusqlite::Result<Table> {
    let conn = &limited.conn;
    let mut table = Table {
        schema: None,
        name: name.to_owned(),
        comment: None,
        view: kind != "table",
        refuses: Vec::new(),
        columns: columns(conn, name)?,
        key: Vec::new(),
        references: references(conn, name)?,
        leads: Vec::new(),
        uniques: uniques(conn, name)?,
        rows_seen: 0,
        complete: false,
    };
    values(limited, &mut table)?;
    let mut keyed: Vec<(u32, usize)> = table
        .columns
        .iter()
        .enumerate()
        .filter_map(|(i, c)| Some((c.key_position?, i)))
        .collect();
    keyed.sort_unstable();
    if let [(_, only)] = keyed[..]
        && let Some(column) = table.columns.get_mut(only)
    {
        column.unique = true;
        column.generated |= !without_rowid && column.declared.eq_ignore_ascii_case("INTEGER");
    }
    table.key = keyed
        .iter()
        .filter_map(|(_, i)| table.columns.get(*i))
        .map(|c| c.name.clone())
        .collect();
    for column in &mut table.columns {
        column.unique |= table.uniques.iter().any(|u| *u == [column.name.clone()]);
    }
    let hides = table.columns.iter().any(|c| c.name.eq_ignore_ascii_case("rowid"));
    if table.key.is_empty() && !table.view && !without_rowid && !hides {
        table.columns.insert(0, rowid());
        table.key.push("rowid".to_owned());
    }
    Ok(table)
}

/// The number that SQLite gives each row of a table without a primary key.
fn rowid() -> Column {
    Column {
        name: "rowid".to_owned(),
        declared: "INTEGER".to_owned(),
        ty: Some("int".to_owned()),
        not_null: true,
        default: None,
        comment: None,
        key_position: Some(1),
        unique: true,
        generated: true,
        computed: false,
        function: None,
    }
}

fn columns(conn: &Connection, name: &str) -> rusqlite::Result<Vec<Column>> {
    conn.prepare(
        "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid",
    )?
    .query_map([name], |row| {
        let key: u32 = row.get(4)?;
        // Hidden by 2 or 3: computed from other columns.
        let computed = row.get::<_, i64>(5)? > 1;
        let default: Option<String> = row.get(3)?;
        Ok(Column {
            name: row.get(0)?,
            comment: None,
            declared: row.get(1)?,
            ty: None,
            not_null: row.get::<_, bool>(2)? || key > 0,
            generated: computed || default.is_some(),
            default,
            key_position: (key > 0).then_some(key),
            unique: false,
            computed,
            function: None,
        })
    })?
    .collect()
}

fn references(conn: &Connection, name: &str) -> rusqlite::Result<Vec<Reference>> {
    let mut list: Vec<(i64, Reference)> = Vec::new();
    let mut statement = conn.prepare(
        "SELECT id, \"table\", \"from\", coalesce(\"to\", '') FROM pragma_foreign_key_list(?) ORDER BY id, seq",
    )?;
    let mut rows = statement.query([name])?;
    while let Some(row) = rows.next()? {
        let (id, table): (i64, String) = (row.get(0)?, row.get(1)?);
        if list.last().is_none_or(|(last, _)| *last != id) {
            list.push((
                id,
                Reference {
                    name: None,
                    derived: false,
                    temporal: false,
                    columns: Vec::new(),
                    schema: None,
                    table,
                    targets: Vec::new(),
                },
            ));
        }
        if let Some((_, reference)) = list.last_mut() {
            reference.columns.push(row.get(2)?);
            reference.targets.push(row.get(3)?);
        }
    }
    Ok(list.into_iter().map(|(_, reference)| reference).collect())
}

fn uniques(conn: &Connection, name: &str) -> rusqlite::Result<Vec<Vec<String>>> {
    let indexes: Vec<String> = conn
        .prepare("SELECT name FROM pragma_index_list(?) WHERE \"unique\" AND NOT partial AND origin <> 'pk'")?
        .query_map([name], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut list = Vec::new();
    for index in indexes {
        let columns: Vec<Option<String>> = conn
            .prepare("SELECT name FROM pragma_index_info(?) ORDER BY seqno")?
            .query_map([index], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        // An index on an expression has columns without a name.
        if let Some(columns) = columns.into_iter().collect::<Option<Vec<_>>>() {
            list.push(columns);
        }
    }
    Ok(list)
}

/// Looks at the rows and settles each column's type.
fn values(limited: &Limited, table: &mut Table) -> rusqlite::Result<()> {
    let mut guesses: Vec<Guess> = table.columns.iter().map(|c| Guess::new(&c.declared)).collect();
    let names: Vec<String> = table.columns.iter().map(|c| quote(&c.name)).collect();
    let sql = format!(
        "SELECT {} FROM {} LIMIT {ROWS_MAX}",
        names.join(", "),
        quote(&table.name)
    );
    limited.limit.set(Some(clock::now() + TABLE_TIME));
    let result = (|| -> rusqlite::Result<()> {
        let mut statement = limited.conn.prepare(&sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            table.rows_seen += 1;
            for (position, guess) in guesses.iter_mut().enumerate() {
                guess.see(&Cell::from(row.get_ref(position)?));
            }
        }
        table.complete = table.rows_seen < ROWS_MAX;
        Ok(())
    })();
    limited.limit.set(None);
    match result {
        // Out of time: what was seen must do.
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OperationInterrupted) => {}
        other => other?,
    }
    for (column, guess) in table.columns.iter_mut().zip(guesses) {
        column.ty = guess.settle();
    }
    Ok(())
}
