//! What a PostgreSQL database has, in a fixed number of questions however many tables there are.

use super::super::ddl::literal;
use super::super::found::{Found, FoundColumn, FoundIndex, Schema};
use super::renames::STAND_IN;
use super::{FILL, FILLED};
use crate::store::postgres::alone::{Alone, TextRow};
use serde_json::Value as Json;
use std::collections::{BTreeSet, HashMap};
use tokio_postgres::Error;

/// Columns of every table and view of the schema that new tables are made in.
const COLUMNS: &str = "SELECT c.relname, c.relkind IN ('v', 'm'), a.attname, format_type(a.atttypid, a.atttypmod), \
    a.attnotnull, pg_get_expr(d.adbin, d.adrelid) \
    FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
    AND a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum";
/// Their indexes. One over an expression has fewer columns here than it has.
const INDEXES: &str = "SELECT t.relname, i.relname, x.indisunique, x.indisprimary, x.indisvalid, x.indpred IS NULL, \
    (SELECT json_agg(a.attname ORDER BY k.n) FROM unnest(x.indkey) WITH ORDINALITY k(attnum, n) \
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum AND k.n <= x.indnkeyatts) \
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid \
    WHERE t.relnamespace = current_schema()::regnamespace ORDER BY 1, 2";
/// Their references of one column.
const REFERENCES: &str = "SELECT t.relname, a.attname, o.relname, oa.attname, c.conname, c.convalidated \
    FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid JOIN pg_class o ON o.oid = c.confrelid \
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = c.conkey[1] \
    JOIN pg_attribute oa ON oa.attrelid = o.oid AND oa.attnum = c.confkey[1] \
    WHERE c.contype = 'f' AND cardinality(c.conkey) = 1 AND t.relnamespace = current_schema()::regnamespace \
    ORDER BY 1, 2";

/// A database, and what SQLite's has no counterpart of.
#[derive(Debug, Default)]
pub(super) struct Database {
    pub(super) schema: Schema,
    /// Indexes that are not as their name says: over a part of the rows, or half made.
    pub(super) broken: BTreeSet<String>,
    /// Those of them that a build left behind half made, with their tables.
    pub(super) half_made: Vec<(String, FoundIndex)>,
    /// Table, column, constraint, and whether it was validated.
    pub(super) constraints: Vec<(String, String, String, bool)>,
    /// Columns that hold the same under two names.
    pub(super) twins: Vec<Twin>,
    /// Views that stand where tables stood.
    pub(super) stand_ins: BTreeSet<String>,
    /// How far an `UPDATE` in batches came, by its text.
    pub(super) progress: HashMap<String, String>,
}

/// A column and the one it is to become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Twin {
    pub(super) table: String,
    pub(super) was: String,
    pub(super) now: String,
    pub(super) trigger: String,
    /// Whether every row has its value under both names.
    pub(super) filled: bool,
}

impl Twin {
    pub(super) fn has(&self, column: &str) -> bool {
        self.was == column || self.now == column
    }
}

/// The triggers that keep two columns the same, and the names of both.
const TWINS: &str = "SELECT t.relname, g.tgname, encode(g.tgargs, 'hex') FROM pg_trigger g \
    JOIN pg_class t ON t.oid = g.tgrelid WHERE g.tgname ~ '^_stoa_was_' AND g.tgnargs = 2 \
    AND t.relnamespace = current_schema()::regnamespace ORDER BY 1, 2";

/// Reads all of it.
pub(super) async fn read(alone: &Alone) -> Result<Database, Error> {
    let mut database = Database::default();
    for row in alone.rows(COLUMNS).await? {
        let mut row = Cells(row.into_iter());
        let table = database
            .schema
            .tables
            .entry(row.text())
            .or_insert_with(Found::default);
        table.view = row.yes();
        table.columns.push(FoundColumn {
            name: row.text(),
            ty: row.text(),
            not_null: row.yes(),
            default: row.0.next().flatten(),
            now_called: None,
        });
    }
    for row in alone.rows(INDEXES).await? {
        let mut row = Cells(row.into_iter());
        let (table, name, unique, primary) = (row.text(), row.text(), row.yes(), row.yes());
        let (valid, whole) = (row.yes(), row.yes());
        let columns: Vec<String> = serde_json::from_str(&row.text()).unwrap_or_default();
        let Some(found) = database.schema.tables.get_mut(&table) else {
            continue;
        };
        if primary {
            found.key = columns;
            continue;
        }
        let index = FoundIndex {
            name,
            unique,
            columns,
        };
        if valid && whole {
            found.indexes.push(index);
            continue;
        }
        database.broken.insert(index.name.clone());
        if !valid {
            database.half_made.push((table, index));
        }
    }
    for row in alone.rows(REFERENCES).await? {
        let mut row = Cells(row.into_iter());
        let (table, column) = (row.text(), row.text());
        if let Some(found) = database.schema.tables.get_mut(&table) {
            found.references.push((column.clone(), row.text(), row.text()));
        }
        database.constraints.push((table, column, row.text(), row.yes()));
    }
    renamed(alone, &mut database).await?;
    if database.schema.table("_stoa_schema").is_some() {
        let recorded = alone
            .rows("SELECT tables FROM \"_stoa_schema\" ORDER BY id DESC LIMIT 1")
            .await?;
        let recorded = recorded.into_iter().flatten().flatten().next();
        if let Some(Ok(Json::Object(tables))) = recorded.map(|text| serde_json::from_str(&text)) {
            database.schema.recorded = tables;
        }
    }
    Ok(database)
}

/// What stands under two names, and how far rows were filled.
async fn renamed(alone: &Alone, database: &mut Database) -> Result<(), Error> {
    let named = format!(
        "SELECT relname FROM pg_class WHERE relkind = 'v' AND relnamespace = current_schema()::regnamespace \
         AND obj_description(oid, 'pg_class') = {}",
        literal(STAND_IN)
    );
    database.stand_ins = alone
        .rows(&named)
        .await?
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    if database.schema.table("_stoa_meta").is_some() {
        let fills = format!(
            "SELECT substr(name, {}), convert_from(value, 'UTF8') FROM \"_stoa_meta\" WHERE starts_with(name, '{FILL}')",
            FILL.len() + 1
        );
        for row in alone.rows(&fills).await? {
            let mut row = Cells(row.into_iter());
            database.progress.insert(row.text(), row.text());
        }
    }
    for row in alone.rows(TWINS).await? {
        let mut row = Cells(row.into_iter());
        let (table, trigger, names) = (row.text(), row.text(), row.text());
        let mut names = ended(&names).into_iter();
        let mut twin = Twin {
            table,
            trigger,
            was: names.next().unwrap_or_default(),
            now: names.next().unwrap_or_default(),
            filled: false,
        };
        twin.filled = database.progress.get(&twin.fill()).is_some_and(|at| at == FILLED);
        database.twins.push(twin);
    }
    Ok(())
}

/// Texts that each end in a zero byte, from hexadecimal digits.
fn ended(digits: &str) -> Vec<String> {
    let byte = |pair: &[u8]| {
        std::str::from_utf8(pair)
            .ok()
            .and_then(|two| u8::from_str_radix(two, 16).ok())
    };
    let bytes: Vec<u8> = digits.as_bytes().chunks(2).filter_map(byte).collect();
    let texts = bytes.split(|b| *b == 0);
    texts
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .collect()
}

/// A row, cell by cell.
struct Cells(<TextRow as IntoIterator>::IntoIter);

impl Cells {
    fn text(&mut self) -> String {
        self.0.next().flatten().unwrap_or_default()
    }

    fn yes(&mut self) -> bool {
        self.text() == "t"
    }
}
