//! Bound tables as they are found: which columns, what SQLite makes of numbers there, how one row is found again.

use super::connect::affinity;
use crate::store::StoreError;
use crate::store::table::{Column, Storage, Table, column, quote};
use rusqlite::{Connection, OptionalExtension};
use stoa_config::plan::{Resource, TableName};

/// The number that SQLite gives each row of most tables; a field of this name is it, where no column is.
pub(crate) const ROWID: &str = "rowid";

/// A column as declared.
struct Declared {
    name: String,
    ty: String,
    not_null: bool,
}

/// A table that Stoa did not make.
pub(super) fn table(
    index: usize,
    resource: &Resource,
    name: &TableName,
    conn: &Connection,
) -> Result<Table, StoreError> {
    let broken = |error: rusqlite::Error| StoreError::Unavailable(format!("{}: {error}", resource.name));
    let schema = name.schema.as_deref().unwrap_or("main");
    let Some((kind, without_rowid)) = kind(conn, &name.name, schema).map_err(broken)? else {
        return Err(StoreError::Unavailable(format!(
            "resource {} is bound to the table {}, which the database does not have",
            resource.name, name.name
        )));
    };
    let declared = declared(conn, &name.name, schema, without_rowid).map_err(broken)?;
    let hidden = declared.iter().any(|c| c.name.eq_ignore_ascii_case(ROWID));
    let has_rowid = kind == "table" && !without_rowid && !hidden;
    let rowid = Declared {
        name: ROWID.to_owned(),
        ty: "INTEGER".to_owned(),
        not_null: true,
    };
    let mut columns = Vec::with_capacity(resource.fields.len());
    for field in &resource.fields {
        let found = declared
            .iter()
            .find(|c| c.name.eq_ignore_ascii_case(field.column()));
        let Some(found) = found.or_else(|| (has_rowid && field.column() == ROWID).then_some(&rowid)) else {
            return Err(StoreError::Unavailable(format!(
                "resource {} has the field {}, which its table {} does not have",
                resource.name,
                field.column(),
                name.name
            )));
        };
        let storage = Storage::Found(affinity(&found.ty));
        columns.push(Column {
            nullable: !found.not_null,
            ..column(field, storage)
        });
    }
    let key = || {
        resource
            .key
            .iter()
            .filter_map(|k| columns.get(*k))
            .map(|c| c.quoted.clone())
            .collect()
    };
    let locator: Vec<String> = match (kind.as_str(), has_rowid) {
        ("view", _) => Vec::new(),
        (_, true) => vec![ROWID.to_owned()],
        (_, false) => key(),
    };
    Ok(Table {
        resource: index,
        label: resource.name.clone(),
        name: match &name.schema {
            Some(schema) => format!("{}.{}", quote(schema), quote(&name.name)),
            None => quote(&name.name),
        },
        columns,
        leads: Vec::new(),
        key: resource.key.clone(),
        view: locator.is_empty(),
        locator,
        created: false,
        plain: true,
        shard: None,
    })
}

fn kind(conn: &Connection, name: &str, schema: &str) -> rusqlite::Result<Option<(String, bool)>> {
    conn.query_row(
        "SELECT type, wr FROM pragma_table_list(?1) WHERE schema = ?2 COLLATE NOCASE",
        [name, schema],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
    .optional()
}

fn declared(
    conn: &Connection,
    name: &str,
    schema: &str,
    without_rowid: bool,
) -> rusqlite::Result<Vec<Declared>> {
    let mut statement = conn
        .prepare("SELECT name, type, \"notnull\", pk, sum(pk > 0) OVER () FROM pragma_table_xinfo(?1, ?2)")?;
    let rows = statement.query_map([name, schema], |row| {
        let (ty, key, keys): (String, i64, i64) = (row.get(1)?, row.get(3)?, row.get(4)?);
        // The key of an ordinary table may be null in SQLite, unless it is the row's number itself.
        let never_null = key > 0 && (without_rowid || (keys == 1 && ty.eq_ignore_ascii_case("INTEGER")));
        Ok(Declared {
            name: row.get(0)?,
            not_null: row.get::<_, bool>(2)? || never_null,
            ty,
        })
    })?;
    rows.collect()
}
