//! What a PostgreSQL database has: every schema but the system's, in three questions however many tables there are.

use super::{Column, Reference, Table};
use crate::store::StoreError;
use crate::store::postgres::alone::{Alone, TextRow};
use crate::store::table::quote;
use std::collections::HashMap;
use stoa_config::plan::Secret;
use tokio_postgres::Error;

/// Schemas that are somebody's own, and tables in them that are not Stoa's own records.
const OURS: &str = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relname !~ '^_stoa_'";
/// Rows of a table that are looked at for how many digits a number without bounds has.
const ROWS: u32 = 100_000;
/// Digits of a decimal at most.
const DIGITS: u32 = 38;

/// Reads a database. Nothing is written.
///
/// # Errors
/// [`StoreError::Unavailable`] when it cannot be reached or read.
pub fn introspect_postgres(url: &Secret) -> Result<Vec<Table>, StoreError> {
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| StoreError::Unavailable(format!("no runtime: {error}")))?;
            runtime.block_on(async {
                let alone = Alone::open(url).await?;
                read(&alone).await.map_err(|error| alone.broken(&error))
            })
        });
        reading
            .join()
            .map_err(|_| StoreError::Internal("reading the database ended early".to_owned()))?
    })
}

async fn read(alone: &Alone) -> Result<Vec<Table>, Error> {
    let mut tables: Vec<Table> = Vec::new();
    let mut positions: HashMap<(String, String), usize> = HashMap::new();
    let mut unbounded: Vec<(usize, usize)> = Vec::new();
    // A domain is what it is based on; of an array's or an enum's type its words come along.
    let columns = format!(
        "SELECT n.nspname, c.relname, c.relkind IN ('v', 'm'), a.attname, \
         format_type(b.oid, CASE WHEN t.typbasetype <> 0 THEN t.typtypmod ELSE a.atttypmod END), \
         a.attnotnull OR t.typnotnull, pg_get_expr(d.adbin, d.adrelid), \
         (d.oid IS NOT NULL OR a.attidentity <> '' OR a.attgenerated <> ''), \
         (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e \
          WHERE e.enumtypid = CASE WHEN b.typelem <> 0 AND b.typcategory = 'A' THEN b.typelem ELSE b.oid END) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid \
         JOIN pg_type b ON b.oid = coalesce(nullif(t.typbasetype, 0), t.oid) \
         LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND {OURS} \
         AND a.attnum > 0 AND NOT a.attisdropped \
         AND has_table_privilege(c.oid, 'SELECT') ORDER BY n.nspname, c.relname, a.attnum"
    );
    for row in alone.rows(&columns).await? {
        let mut row = Cells(row.into_iter());
        let key = (row.text(), row.text());
        let view = row.yes();
        let position = *positions.entry(key.clone()).or_insert_with(|| {
            tables.push(Table {
                schema: Some(key.0),
                name: key.1,
                view,
                columns: Vec::new(),
                key: Vec::new(),
                references: Vec::new(),
                uniques: Vec::new(),
                rows_seen: 0,
                complete: false,
            });
            tables.len() - 1
        });
        let Some(table) = tables.get_mut(position) else {
            continue;
        };
        let (name, declared, not_null) = (row.text(), row.text(), row.yes());
        let (default, generated) = (row.next(), row.yes());
        let words: Vec<String> = serde_json::from_str(&row.text()).unwrap_or_default();
        if declared == "numeric" {
            unbounded.push((position, table.columns.len()));
        }
        table.columns.push(Column {
            ty: field_type(&declared, &words),
            name,
            declared,
            not_null,
            default,
            key_position: None,
            unique: false,
            generated,
        });
    }
    keys(alone, &mut tables, &positions).await?;
    references(alone, &mut tables, &positions).await?;
    scales(alone, &mut tables, &unbounded).await?;
    Ok(tables)
}

/// Primary keys, and what is unique, alone or together.
async fn keys(
    alone: &Alone,
    tables: &mut [Table],
    positions: &HashMap<(String, String), usize>,
) -> Result<(), Error> {
    let indexes = format!(
        "SELECT n.nspname, c.relname, x.indisprimary, \
         (SELECT json_agg(a.attname ORDER BY k.n) FROM unnest(x.indkey) WITH ORDINALITY k(attnum, n) \
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum AND k.n <= x.indnkeyatts) \
         FROM pg_index x JOIN pg_class c ON c.oid = x.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE x.indisunique AND x.indisvalid AND x.indpred IS NULL AND x.indexprs IS NULL AND {OURS} ORDER BY 1, 2"
    );
    for row in alone.rows(&indexes).await? {
        let mut row = Cells(row.into_iter());
        let Some(table) = positions
            .get(&(row.text(), row.text()))
            .and_then(|p| tables.get_mut(*p))
        else {
            continue;
        };
        let primary = row.yes();
        let columns: Vec<String> = serde_json::from_str(&row.text()).unwrap_or_default();
        if let [one] = &columns[..]
            && let Some(column) = table.columns.iter_mut().find(|c| c.name == *one)
        {
            column.unique = true;
        }
        if primary {
            for (position, name) in columns.iter().enumerate() {
                if let Some(column) = table.columns.iter_mut().find(|c| c.name == *name) {
                    column.key_position = u32::try_from(position + 1).ok();
                }
            }
            table.key = columns;
        } else {
            table.uniques.push(columns);
        }
    }
    Ok(())
}

async fn references(
    alone: &Alone,
    tables: &mut [Table],
    positions: &HashMap<(String, String), usize>,
) -> Result<(), Error> {
    let names = |side: &str, keys: &str| {
        format!(
            "(SELECT json_agg(a.attname ORDER BY k.n) FROM unnest(f.{keys}) WITH ORDINALITY k(attnum, n) \
             JOIN pg_attribute a ON a.attrelid = f.{side} AND a.attnum = k.attnum)"
        )
    };
    let all = format!(
        "SELECT n.nspname, c.relname, {}, m.nspname, o.relname, {} \
         FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_class o ON o.oid = f.confrelid JOIN pg_namespace m ON m.oid = o.relnamespace \
         WHERE f.contype = 'f' AND f.conparentid = 0 AND {OURS} ORDER BY 1, 2, f.conname",
        names("conrelid", "conkey"),
        names("confrelid", "confkey")
    );
    for row in alone.rows(&all).await? {
        let mut row = Cells(row.into_iter());
        let here = positions.get(&(row.text(), row.text()));
        let columns = serde_json::from_str(&row.text()).unwrap_or_default();
        let (schema, table) = (row.text(), row.text());
        let targets = serde_json::from_str(&row.text()).unwrap_or_default();
        if let Some(found) = here.and_then(|p| tables.get_mut(*p)) {
            found.references.push(Reference {
                columns,
                schema: Some(schema),
                table,
                targets,
            });
        }
    }
    Ok(())
}

/// Of numbers without bounds: how many digits stand after the point in the rows that are there.
async fn scales(alone: &Alone, tables: &mut [Table], columns: &[(usize, usize)]) -> Result<(), Error> {
    for (table, column) in columns {
        let Some(table) = tables.get_mut(*table) else {
            continue;
        };
        let Some(column) = table.columns.get_mut(*column) else {
            continue;
        };
        let name = match &table.schema {
            Some(schema) => format!("{}.{}", quote(schema), quote(&table.name)),
            None => quote(&table.name),
        };
        let most = format!(
            "SELECT max(scale(v)) FROM (SELECT {} AS v FROM {name} LIMIT {ROWS}) AS seen",
            quote(&column.name)
        );
        let most = alone.rows(&most).await?.into_iter().flatten().flatten().next();
        let scale = most
            .and_then(|n| n.parse::<u32>().ok())
            .unwrap_or(2)
            .min(DIGITS - 1);
        column.ty = Some(format!("decimal({DIGITS},{scale})"));
    }
    Ok(())
}

/// The type of field that reads a column of this type; `None` for bytes.
fn field_type(declared: &str, words: &[String]) -> Option<String> {
    if let Some(item) = declared.strip_suffix("[]") {
        return field_type(item, words)
            .filter(|ty| ty != "json")
            .map(|ty| format!("list of {ty}"));
    }
    let plain =
        |word: &String| !word.is_empty() && !word.contains([',', '(', ')', '"', '\'']) && word.trim() == word;
    if !words.is_empty() {
        let listed = words.iter().all(plain) && words.len() <= 256;
        return Some(if listed {
            format!("enum({})", words.join(", "))
        } else {
            "text".to_owned()
        });
    }
    let name = declared.split('(').next().unwrap_or(declared).trim();
    Some(match name {
        "uuid" | "date" => name.to_owned(),
        "smallint" | "integer" | "bigint" => "int".to_owned(),
        "real" | "double precision" => "float".to_owned(),
        "boolean" => "bool".to_owned(),
        "json" | "jsonb" => "json".to_owned(),
        "timestamp" | "timestamp without time zone" | "timestamp with time zone" => "time".to_owned(),
        "numeric" => decimal(declared),
        "bytea" => return None,
        _ if declared.starts_with("timestamp") => "time".to_owned(),
        // Whatever else there is has a text form.
        _ => "text".to_owned(),
    })
}

/// `numeric(12,2)`, or a decimal that is given its scale by the rows.
fn decimal(declared: &str) -> String {
    let bounds = declared
        .strip_prefix("numeric(")
        .and_then(|rest| rest.strip_suffix(')'))
        .and_then(|rest| rest.split_once(','));
    let bounds = bounds.and_then(|(p, s)| Some((p.parse::<u32>().ok()?, s.parse::<u32>().ok()?)));
    match bounds {
        Some((precision, scale)) if precision <= DIGITS && scale <= precision => {
            format!("decimal({precision},{scale})")
        }
        _ => format!("decimal({DIGITS},10)"),
    }
}

/// A row, cell by cell.
struct Cells(<TextRow as IntoIterator>::IntoIter);

impl Cells {
    fn next(&mut self) -> Option<String> {
        self.0.next().flatten()
    }

    fn text(&mut self) -> String {
        self.next().unwrap_or_default()
    }

    fn yes(&mut self) -> bool {
        self.text() == "t"
    }
}

#[cfg(test)]
mod tests;
