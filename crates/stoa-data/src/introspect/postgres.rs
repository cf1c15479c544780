//! What a PostgreSQL database has: every schema but the system's, in a few questions however many tables there are.

mod types;
mod views;

use super::{Column, Lead, Reference, Table};
use crate::store::StoreError;
use crate::store::postgres::alone::{Alone, TextRow};
use crate::store::postgres::start::NEVER_NULL;
use crate::store::table::quote;
use std::collections::HashMap;
use stoa_config::plan::Secret;
use tokio_postgres::Error;
use views::Numbers;

/// Schemas that are somebody's own, and tables in them that are neither Stoa's own records nor an extension's.
const OURS: &str = "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.relname !~ '^_stoa_' \
    AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')";
/// What a domain is based on in the end, and the bounds of that.
const BASE: &str = "WITH RECURSIVE base AS (SELECT t.oid AS domain, t.oid, t.typbasetype, NULL::int4 AS bounds FROM pg_type t \
    UNION ALL SELECT base.domain, u.oid, u.typbasetype, d.typtypmod FROM base JOIN pg_type d ON d.oid = base.oid \
    JOIN pg_type u ON u.oid = base.typbasetype) ";
/// Whether a foreign key `f` is one of periods. Before PostgreSQL 18 there is no such column.
const TEMPORAL: &str = "coalesce((to_jsonb(f) ->> 'conperiod')::bool, false)";
/// Rows of a table that are looked at for how many digits a number without bounds has.
const ROWS: u32 = 10_000;
/// How long one table is looked at for that.
const LOOK: &str = "2s";

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
    let mut numbers = Numbers::default();
    for row in alone.rows(&columns()).await? {
        let mut row = Cells::of(row);
        let key = (row.text(), row.text());
        let (oid, comment, view): (u32, _, _) = (row.number(), row.next(), row.yes());
        let position = *positions.entry(key.clone()).or_insert_with(|| {
            tables.push(Table {
                schema: Some(key.0),
                name: key.1,
                comment,
                view,
                refuses: Vec::new(),
                columns: Vec::new(),
                key: Vec::new(),
                references: Vec::new(),
                leads: Vec::new(),
                uniques: Vec::new(),
                rows_seen: 0,
                complete: false,
            });
            tables.len() - 1
        });
        let Some(table) = tables.get_mut(position) else {
            continue;
        };
        numbers.tables.insert(oid, position);
        let (name, at, comment) = (row.text(), row.number(), row.next());
        let (declared, not_null) = (row.text(), row.yes());
        let (default, filled, computed) = (row.next(), row.yes(), row.yes());
        let words: Vec<String> = row.list();
        let as_json = row.yes();
        numbers.columns.insert((oid, at), name.clone());
        if declared == "numeric" {
            unbounded.push((position, table.columns.len()));
        }
        table.columns.push(Column {
            ty: Some(if as_json {
                "json".to_owned()
            } else {
                types::field_type(&declared, &words)
            }),
            name,
            comment,
            declared,
            not_null,
            default,
            key_position: None,
            unique: false,
            generated: filled || computed,
            computed,
            function: None,
        });
    }
    keys(alone, &mut tables, &positions).await?;
    references(alone, &mut tables, &positions).await?;
    views::complete(alone, &mut tables, &numbers).await?;
    scales(alone, &mut tables, &unbounded).await?;
    functions(alone, &mut tables, &numbers).await?;
    leads(alone, &mut tables, &numbers).await?;
    Ok(tables)
}

/// Every column of every table and view, with what is said about both.
fn columns() -> String {
    // A domain is what it is based on; of an array's or an enum's type its words come along. A view is taken for one that
    // cannot be written until its rule was looked at.
    format!(
        "{BASE} SELECT n.nspname, c.relname, c.oid, obj_description(c.oid, 'pg_class'), c.relkind IN ('v', 'm'), \
         a.attname, a.attnum, col_description(c.oid, a.attnum), \
         format_type(b.oid, coalesce(base.bounds, a.atttypmod)), {NEVER_NULL} OR t.typnotnull, \
         pg_get_expr(d.adbin, d.adrelid), (d.oid IS NOT NULL OR a.attidentity <> '' OR t.typdefault IS NOT NULL), \
         a.attidentity = 'a' OR a.attgenerated <> '', \
         (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e \
          WHERE e.enumtypid = CASE WHEN b.typelem <> 0 AND b.typcategory = 'A' THEN b.typelem ELSE b.oid END), \
         b.typtype = 'c' OR (t.typtype = 'd' AND EXISTS (SELECT FROM pg_cast k WHERE k.castsource = t.oid \
         AND k.casttarget = 'json'::regtype AND k.castmethod = 'f' AND k.castcontext = 'i')) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_type t ON t.oid = a.atttypid \
         JOIN base ON base.domain = t.oid AND base.typbasetype = 0 JOIN pg_type b ON b.oid = base.oid \
         LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
         WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND {OURS} \
         AND a.attnum > 0 AND NOT a.attisdropped \
         AND has_table_privilege(c.oid, 'SELECT') ORDER BY n.nspname, c.relname, a.attnum"
    )
}

/// Primary keys, and what is unique, alone or together. A key whose periods do not overlap names one row as well; no
/// other such constraint is one that a write could name.
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
         WHERE x.indisunique AND (x.indisprimary OR NOT x.indisexclusion) AND x.indisvalid AND x.indpred IS NULL \
         AND x.indexprs IS NULL AND {OURS} ORDER BY 1, 2"
    );
    for row in alone.rows(&indexes).await? {
        let mut row = Cells::of(row);
        let Some(table) = positions
            .get(&(row.text(), row.text()))
            .and_then(|p| tables.get_mut(*p))
        else {
            continue;
        };
        let primary = row.yes();
        let columns: Vec<String> = row.list();
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
        "SELECT n.nspname, c.relname, f.conname, {}, m.nspname, o.relname, {}, {TEMPORAL} \
         FROM pg_constraint f JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_class o ON o.oid = f.confrelid JOIN pg_namespace m ON m.oid = o.relnamespace \
         WHERE f.contype = 'f' AND f.conparentid = 0 AND {OURS} ORDER BY 1, 2, f.conname",
        names("conrelid", "conkey"),
        names("confrelid", "confkey")
    );
    for row in alone.rows(&all).await? {
        let mut row = Cells::of(row);
        let here = positions.get(&(row.text(), row.text()));
        let name = row.next();
        let columns = row.list();
        let (schema, table) = (row.text(), row.text());
        let (targets, temporal) = (row.list(), row.yes());
        if let Some(found) = here.and_then(|p| tables.get_mut(*p)) {
            found.references.push(Reference {
                name,
                derived: false,
                temporal,
                columns,
                schema: Some(schema),
                table,
                targets,
            });
        }
    }
    Ok(())
}

/// Functions that take one row of a table in their own schema and return one plain value. One that is called like a
/// column is none: the column is meant by the name.
async fn functions(alone: &Alone, tables: &mut [Table], numbers: &Numbers) -> Result<(), Error> {
    let all = format!(
        "{BASE} SELECT c.oid, p.proname, obj_description(p.oid, 'pg_proc'), format_type(b.oid, base.bounds), \
         (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e \
          WHERE e.enumtypid = CASE WHEN b.typelem <> 0 AND b.typcategory = 'A' THEN b.typelem ELSE b.oid END) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_proc p ON p.pronamespace = n.oid AND p.pronargs = 1 AND p.proargtypes[0] = c.reltype \
         JOIN base ON base.domain = p.prorettype AND base.typbasetype = 0 JOIN pg_type b ON b.oid = base.oid \
         WHERE p.prokind = 'f' AND NOT p.proretset AND b.typtype NOT IN ('c', 'p') AND {OURS} \
         AND has_function_privilege(p.oid, 'EXECUTE') ORDER BY c.oid, p.proname"
    );
    for row in alone.rows(&all).await? {
        let mut row = Cells::of(row);
        let position = numbers.tables.get(&row.number());
        let Some(table) = position.and_then(|position| tables.get_mut(*position)) else {
            continue;
        };
        let (name, comment, declared) = (row.text(), row.next(), row.text());
        let words: Vec<String> = row.list();
        if table.columns.iter().any(|column| column.name == name) {
            continue;
        }
        table.columns.push(Column {
            ty: Some(types::field_type(&declared, &words)),
            comment,
            declared,
            not_null: false,
            default: None,
            key_position: None,
            unique: false,
            generated: true,
            computed: true,
            function: Some(name.clone()),
            name,
        });
    }
    Ok(())
}

/// Functions that take one row of a table in their own schema and return rows of a table. One that returns no set, or
/// says `ROWS 1`, leads to one row at most.
async fn leads(alone: &Alone, tables: &mut [Table], numbers: &Numbers) -> Result<(), Error> {
    let all = format!(
        "SELECT c.oid, p.proname, m.nspname, o.relname, NOT p.proretset OR p.prorows = 1 \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_proc p ON p.pronamespace = n.oid AND p.pronargs = 1 AND p.proargtypes[0] = c.reltype \
         JOIN pg_type t ON t.oid = p.prorettype JOIN pg_class o ON o.oid = t.typrelid AND o.relkind <> 'c' \
         JOIN pg_namespace m ON m.oid = o.relnamespace \
         WHERE p.prokind = 'f' AND {OURS} AND has_function_privilege(p.oid, 'EXECUTE') ORDER BY c.oid, p.proname"
    );
    for row in alone.rows(&all).await? {
        let mut row = Cells::of(row);
        let position = numbers.tables.get(&row.number());
        if let Some(table) = position.and_then(|position| tables.get_mut(*position)) {
            table.leads.push(Lead {
                function: row.text(),
                schema: row.next(),
                table: row.text(),
                one: row.yes(),
            });
        }
    }
    Ok(())
}

/// Of numbers without bounds: how many digits stand after the point in the rows that are there, one question a table.
async fn scales(alone: &Alone, tables: &mut [Table], columns: &[(usize, usize)]) -> Result<(), Error> {
    for group in columns.chunk_by(|a, b| a.0 == b.0) {
        let Some(table) = group.first().and_then(|(table, _)| tables.get_mut(*table)) else {
            continue;
        };
        let names = group.iter().filter_map(|(_, at)| table.columns.get(*at));
        let names: Vec<String> = names.map(|c| quote(&c.name)).collect();
        let schema = table.schema.as_ref().map_or_else(String::new, |s| quote(s) + ".");
        let most: Vec<String> = names.iter().map(|name| format!("max(scale({name}))")).collect();
        let most = format!(
            "SELECT {} FROM (SELECT {} FROM {schema}{} LIMIT {ROWS}) AS seen",
            most.join(", "),
            names.join(", "),
            quote(&table.name)
        );
        // A view may take for ever, and a foreign table's server may be away.
        alone
            .run(&format!(
                "BEGIN READ ONLY; SET LOCAL statement_timeout = '{LOOK}'"
            ))
            .await?;
        let seen = alone.rows(&most).await;
        alone.run("ROLLBACK").await?;
        let seen = seen
            .ok()
            .and_then(|rows| rows.into_iter().next())
            .unwrap_or_default();
        for (place, (_, at)) in group.iter().enumerate() {
            let scale = seen
                .get(place)
                .cloned()
                .flatten()
                .and_then(|n| n.parse::<u32>().ok());
            if let Some(column) = table.columns.get_mut(*at) {
                let scale = scale.unwrap_or(2).min(types::DIGITS - 1);
                column.ty = Some(format!("decimal({},{scale})", types::DIGITS));
            }
        }
    }
    Ok(())
}

/// A row, cell by cell.
struct Cells(<TextRow as IntoIterator>::IntoIter);

impl Cells {
    fn of(row: TextRow) -> Self {
        Self(row.into_iter())
    }

    /// A number; 0 for none.
    fn number<T: std::str::FromStr + Default>(&mut self) -> T {
        self.text().parse().unwrap_or_default()
    }

    /// A list of names as JSON; empty for null.
    fn list(&mut self) -> Vec<String> {
        serde_json::from_str(&self.text()).unwrap_or_default()
    }

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

/// The type of field that reads a value of this type; the words of an enum are not known.
pub(crate) fn field_type(declared: &str) -> String {
    types::field_type(declared, &[])
}

#[cfg(test)]
mod tests;
