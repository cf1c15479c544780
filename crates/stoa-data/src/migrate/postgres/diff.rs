//! The steps from what a PostgreSQL database has to what the plan wants.

use super::super::Step;
use super::super::ddl::{Wanted, WantedColumn, made_index};
use super::super::diff::{additive, drop_table};
use super::super::found::{Found, FoundColumn};
use super::found::{Database, Twin};
use super::references::references;
use super::{bound, ddl, renames};
use crate::store::postgres::alone::Alone;
use crate::store::postgres::idempotency;
use crate::store::table::{BUCKET, VERSION, quote};
use serde_json::Value as Json;
use std::collections::HashMap;
use stoa_config::plan::{DefaultValue, Plan, Resource, Type};
use tokio_postgres::Error;

/// What is to be done, or worth knowing.
#[derive(Debug)]
pub(super) enum Planned {
    /// A step, and whether it runs outside the transaction of the others.
    Step(Step, bool),
    Note(String),
}

impl Planned {
    pub(super) fn step(self) -> Option<Step> {
        match self {
            Self::Step(step, _) => Some(step),
            Self::Note(_) => None,
        }
    }
}

/// One table under comparison.
struct Compared<'a> {
    resource: &'a Resource,
    wanted: &'a Wanted,
    found: &'a Found,
    database: &'a Database,
    empty: bool,
}

/// The steps, in order; what stands against them goes to `refused`.
pub(super) async fn diff(
    plan: &Plan,
    (store, first): (usize, bool),
    mut database: Database,
    alone: &Alone,
    refused: &mut Vec<String>,
) -> Result<Vec<Planned>, Error> {
    bound::check(plan, store, alone, refused).await?;
    let mut planned = Vec::new();
    if !super::super::manages(plan, store) {
        return Ok(planned);
    }
    let own = super::own(plan, (store, first), |name| database.schema.table(name).is_some());
    planned.extend(own.into_iter().map(|s| Planned::Step(s, false)));
    let replies = database.schema.table("_stoa_idempotency");
    if replies.is_some_and(|table| !table.columns.iter().any(|c| c.name == "bucket")) {
        let why = "_stoa_idempotency: the bucket of the rows".to_owned();
        planned.push(Planned::Step(
            additive(idempotency::BUCKET.to_owned(), why),
            false,
        ));
    }
    let wanted: Vec<(usize, Wanted)> = plan
        .resources
        .iter()
        .enumerate()
        .filter(|(_, r)| r.store == store && r.table.is_none())
        .map(|(index, resource)| (index, ddl::wanted(plan, index, resource)))
        .collect();
    let mut later = Vec::new();
    renames::views(&wanted, &database, &mut planned);
    renames::follow(plan, store, &wanted, &mut database, (&mut planned, &mut later));
    let empty = empty_ones(&wanted, &database, alone).await?;
    for (index, wanted) in &wanted {
        let Some(found) = database.schema.table(&wanted.name) else {
            planned.push(Planned::Step(create(wanted), false));
            later.extend(references(wanted, None, &database, true));
            continue;
        };
        if database.stands_in(wanted, found) {
            // The table was renamed, and the file is the one of before.
            continue;
        }
        if found.view || found.column(BUCKET).is_none() || found.column(VERSION).is_none() {
            refused.push(format!(
                "resource {0}: the database has a {1} {0} that Stoa did not make: bind it with `table: {0}`, or name the resource otherwise",
                wanted.name,
                if found.view { "view" } else { "table" }
            ));
            continue;
        }
        let compared = Compared {
            resource: &plan.resources[*index],
            wanted,
            found,
            database: &database,
            empty: empty.get(&wanted.name).copied().unwrap_or(false),
        };
        compare(&compared, alone, &mut planned, &mut later, refused).await?;
    }
    leftover_tables(&wanted, &database, &mut planned);
    planned.append(&mut later);
    Ok(planned)
}

/// Which of the tables have no rows.
async fn empty_ones(
    wanted: &[(usize, Wanted)],
    database: &Database,
    alone: &Alone,
) -> Result<HashMap<String, bool>, Error> {
    let there: Vec<(&str, &str)> = wanted
        .iter()
        .filter_map(|(_, w)| {
            Some((
                w.name.as_str(),
                database.schema.table(&w.name)?.is_called(&w.name),
            ))
        })
        .collect();
    if there.is_empty() {
        return Ok(HashMap::new());
    }
    let columns: Vec<String> = there
        .iter()
        .map(|(_, called)| format!("NOT EXISTS (SELECT FROM {})", quote(called)))
        .collect();
    let row = alone.rows(&format!("SELECT {}", columns.join(", "))).await?;
    let row = row.into_iter().next().unwrap_or_default();
    let yes = |cell: Option<String>| cell.as_deref() == Some("t");
    Ok(there
        .iter()
        .zip(row)
        .map(|((name, _), cell)| ((*name).to_owned(), yes(cell)))
        .collect())
}

fn create(wanted: &Wanted) -> Step {
    let mut parts: Vec<String> = wanted
        .columns
        .iter()
        .map(|c| format!("  {}", definition(c)))
        .collect();
    let key: Vec<String> = wanted.key.iter().map(|k| quote(k)).collect();
    parts.push(format!("  PRIMARY KEY ({})", key.join(", ")));
    let mut sql = format!("CREATE TABLE {} (\n{}\n)", quote(&wanted.name), parts.join(",\n"));
    for index in &wanted.indexes {
        sql.push_str(";\n");
        sql.push_str(&index.create(&wanted.name));
    }
    additive(
        sql,
        format!("table {} for the resource of that name", wanted.name),
    )
}

/// A column as in `CREATE TABLE`. References are added when all tables are there.
fn definition(column: &WantedColumn) -> String {
    let mut sql = format!("{} {}", quote(&column.name), column.ty);
    if column.not_null {
        sql.push_str(" NOT NULL");
    }
    if let Some(default) = &column.default {
        sql.push_str(" DEFAULT ");
        sql.push_str(default);
    }
    sql
}

async fn compare(
    compared: &Compared<'_>,
    alone: &Alone,
    planned: &mut Vec<Planned>,
    later: &mut Vec<Planned>,
    refused: &mut Vec<String>,
) -> Result<(), Error> {
    let Compared {
        resource,
        wanted,
        found,
        database,
        empty,
    } = *compared;
    let recorded = database.schema.recorded.get(&wanted.name);
    let shard = recorded.and_then(|r| r.get(BUCKET)).and_then(Json::as_str);
    let record = wanted.record(resource);
    if found.key != wanted.key || (shard.is_some() && shard != record.get(BUCKET).and_then(Json::as_str)) {
        if empty {
            let create = create(wanted);
            planned.push(Planned::Step(
                additive(
                    format!("{} CASCADE;\n{}", drop_table(&wanted.name), create.sql),
                    format!(
                        "table {}: made anew with another key; it has no rows",
                        wanted.name
                    ),
                ),
                false,
            ));
            later.extend(references(wanted, None, database, true));
        } else {
            refused.push(format!(
                "table {} has rows, and its key or shard key cannot change: declare a new resource and copy them",
                wanted.name
            ));
        }
        return Ok(());
    }
    for column in &wanted.columns {
        match found.column(&column.name) {
            None => added(compared, column, planned, refused),
            Some(old) => changed(compared, column, old, alone, (planned, later), refused).await?,
        }
    }
    indexes(compared, planned, later);
    later.extend(references(wanted, Some(found), database, empty));
    leftover_columns(compared, planned);
    Ok(())
}

pub(super) fn alter(table: &str, what: &str) -> String {
    format!("ALTER TABLE {} {what}", quote(table))
}

/// A column that is new.
fn added(
    compared: &Compared<'_>,
    column: &WantedColumn,
    planned: &mut Vec<Planned>,
    refused: &mut Vec<String>,
) {
    let (table, name) = (&compared.wanted.name, quote(&column.name));
    let why = format!("table {table}: new column {}", column.name);
    let sql = alter(table, &format!("ADD COLUMN {}", definition(column)));
    if !column.not_null || column.default.is_some() || compared.empty {
        planned.push(Planned::Step(additive(sql, why), false));
        return;
    }
    let field = compared.resource.fields.iter().find(|f| f.name == column.name);
    let now = field.is_some_and(|f| f.auto || f.default == Some(DefaultValue::Now));
    if now && matches!(field.map(|f| &f.ty), Some(Type::Time | Type::Date)) {
        // One moment for every row that is there, without touching them; Stoa fills in those that come.
        let drop = alter(table, &format!("ALTER COLUMN {name} DROP DEFAULT"));
        planned.push(Planned::Step(
            additive(format!("{sql} DEFAULT now();\n{drop}"), why),
            false,
        ));
        return;
    }
    refused.push(format!(
        "table {table} has rows, and its new field {} is required: give it a default, or make it optional",
        column.name
    ));
}

/// A column that is there: its type, and whether it may be null.
async fn changed(
    compared: &Compared<'_>,
    column: &WantedColumn,
    old: &FoundColumn,
    alone: &Alone,
    (planned, later): (&mut Vec<Planned>, &mut Vec<Planned>),
    refused: &mut Vec<String>,
) -> Result<(), Error> {
    let (table, name) = (&compared.wanted.name, quote(&column.name));
    if old.ty != column.encoding {
        let keeps = compared.empty || widens(&old.ty, &column.encoding);
        let using = if keeps {
            format!("{name}::{}", column.encoding)
        } else {
            column.default.clone().unwrap_or_else(|| "NULL".to_owned())
        };
        if !keeps && column.not_null && column.default.is_none() {
            refused.push(format!(
                "table {table}: the type of {} changes from {} to {}, which loses its values, and it is required: give it a default, make it optional, or declare a field with another name",
                column.name, old.ty, column.encoding
            ));
            return Ok(());
        }
        planned.push(Planned::Step(
            Step {
                destructive: !keeps,
                ..additive(
                    alter(
                        table,
                        &format!("ALTER COLUMN {name} TYPE {} USING {using}", column.ty),
                    ),
                    format!(
                        "table {table}: {} from {} to {}",
                        column.name, old.ty, column.encoding
                    ),
                )
            },
            false,
        ));
    }
    if old.not_null && !column.not_null {
        planned.push(Planned::Step(
            additive(
                alter(table, &format!("ALTER COLUMN {name} DROP NOT NULL")),
                format!("table {table}: {} may be null now", column.name),
            ),
            false,
        ));
    } else if !old.not_null && column.not_null {
        not_null(compared, column, alone, later, refused).await?;
    }
    Ok(())
}

/// Whether every value of one type is a value of another.
fn widens(from: &str, to: &str) -> bool {
    let numeric = |ty: &str| {
        let (precision, scale) = ty.strip_prefix("numeric(")?.strip_suffix(')')?.split_once(',')?;
        Some((precision.parse::<i32>().ok()?, scale.parse::<i32>().ok()?))
    };
    match (numeric(from), numeric(to)) {
        (Some((p, s)), Some((to_p, to_s))) => to_s >= s && to_p - to_s >= p - s,
        (None, Some((p, s))) => from == "bigint" && p - s >= 19,
        (_, None) => to == "text" && matches!(from, "uuid" | "bigint" | "date"),
    }
}

/// A value becomes required: the rows are read without holding up the callers, then the column is marked.
async fn not_null(
    compared: &Compared<'_>,
    column: &WantedColumn,
    alone: &Alone,
    later: &mut Vec<Planned>,
    refused: &mut Vec<String>,
) -> Result<(), Error> {
    let (table, name) = (&compared.wanted.name, quote(&column.name));
    let found = compared.found;
    let count = format!(
        "SELECT count(*) FROM {} WHERE {} IS NULL",
        quote(found.is_called(table)),
        quote(found.column_is_called(&column.name))
    );
    let nulls = alone.rows(&count).await?.into_iter().flatten().flatten().next();
    let nulls = nulls.and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    let fill = match &column.default {
        _ if nulls == 0 => None,
        Some(default) => Some(format!(
            "UPDATE {} SET {name} = {default} WHERE {name} IS NULL",
            quote(table)
        )),
        None => {
            refused.push(format!(
                "table {table}: {nulls} rows have no {}, which is required now: fill them in first, give the field a default, or keep it optional",
                column.name
            ));
            return Ok(());
        }
    };
    let check = quote(&format!("_stoa_{table}_{}_there", column.name));
    let mut sql = vec![
        alter(table, &format!("DROP CONSTRAINT IF EXISTS {check}")),
        alter(
            table,
            &format!("ADD CONSTRAINT {check} CHECK ({name} IS NOT NULL) NOT VALID"),
        ),
    ];
    sql.extend(fill);
    sql.extend([
        alter(table, &format!("VALIDATE CONSTRAINT {check}")),
        alter(table, &format!("ALTER COLUMN {name} SET NOT NULL")),
        alter(table, &format!("DROP CONSTRAINT {check}")),
    ]);
    let why = format!("table {table}: {} must not be null any more", column.name);
    later.push(Planned::Step(additive(sql.join(";\n"), why), true));
    Ok(())
}

/// Indexes that are missing, half built, or that Stoa made and that are not wanted any more.
fn indexes(compared: &Compared<'_>, planned: &mut Vec<Planned>, later: &mut Vec<Planned>) {
    let Compared {
        wanted,
        found,
        database,
        empty,
        ..
    } = *compared;
    let half_made = database.half_made.iter().filter(|(table, index)| {
        // One that is wanted is dropped where it is made anew.
        found.is_called(&wanted.name) == table && wanted.indexes.iter().all(|w| w.name != index.name)
    });
    for index in found.indexes.iter().chain(half_made.map(|(_, index)| index)) {
        let kept = wanted
            .indexes
            .iter()
            .any(|w| w.name == index.name && w.unique == index.unique && w.columns == index.columns);
        let holds = |c: &String| {
            wanted.columns.iter().all(|w| w.name != *c)
                && database.twins.iter().any(|t| t.table == wanted.name && t.has(c))
        };
        // One on a column with a twin serves the processes of before, and goes with it.
        if kept || !made_index(&index.name, &wanted.name) || index.columns.iter().any(holds) {
            continue;
        }
        // One that forbids what is allowed now stands in the way; any other only costs.
        let forbids = index.unique
            && index
                .columns
                .iter()
                .all(|c| wanted.columns.iter().any(|w| w.name == *c));
        planned.push(Planned::Step(
            Step {
                required: forbids,
                ..additive(
                    format!("DROP INDEX {}", quote(&index.name)),
                    format!(
                        "table {}: the index on {} is not wanted any more",
                        wanted.name,
                        index.columns.join(", ")
                    ),
                )
            },
            false,
        ));
    }
    for index in &wanted.indexes {
        let there = found
            .indexes
            .iter()
            .any(|f| f.name == index.name && f.unique == index.unique && f.columns == index.columns);
        if there {
            continue;
        }
        let kind = if index.unique { "unique index" } else { "index" };
        let why = format!("table {}: {kind} on {}", wanted.name, index.columns.join(", "));
        let how = if empty { "INDEX" } else { "INDEX CONCURRENTLY" };
        let mut sql = index.create(&wanted.name).replacen("INDEX", how, 1);
        if database.broken.contains(&index.name) {
            sql = format!("DROP {how} {};\n{sql}", quote(&index.name));
        }
        let list = if empty { &mut *planned } else { &mut *later };
        list.push(Planned::Step(additive(sql, why), !empty));
    }
}

/// Columns that the file does not name any more.
fn leftover_columns(compared: &Compared<'_>, planned: &mut Vec<Planned>) {
    let Compared {
        wanted,
        found,
        database,
        ..
    } = *compared;
    let is_wanted = |name: &str| wanted.columns.iter().any(|w| w.name == name);
    let twins: Vec<&Twin> = database.twins.iter().filter(|t| t.table == wanted.name).collect();
    let kept = kept(wanted, &twins);
    for twin in twins.iter().filter(|t| !kept.contains(&&*t.was)) {
        planned.push(Planned::Step(twin.end_of_both(), false));
    }
    for column in found.columns.iter().filter(|column| !is_wanted(&column.name)) {
        let own = || twins.iter().filter(|t| t.has(&column.name));
        if own().next().is_some() {
            let other = own().find(|t| is_wanted(t.other(&column.name)));
            let other = other.or_else(|| own().find(|t| kept.contains(&&*t.was)));
            // Not before every row has its value under the other name.
            if let Some(twin) = other.filter(|t| t.filled || column.name == t.now) {
                planned.push(Planned::Step(twin.end(&column.name), false));
            }
            continue;
        }
        planned.push(Planned::Step(
            Step {
                destructive: true,
                // A column that wants a value on every insert stands in the way; another one can stay.
                required: column.not_null && column.default.is_none(),
                ..additive(
                    alter(&wanted.name, &format!("DROP COLUMN {}", quote(&column.name))),
                    format!(
                        "table {}: the file has no field {} any more: the column goes, with its values",
                        wanted.name, column.name
                    ),
                )
            },
            false,
        ));
    }
}

/// The columns whose values the file still names: as they are called, as they were, or over several names.
fn kept<'a>(wanted: &'a Wanted, twins: &[&'a Twin]) -> Vec<&'a str> {
    let mut kept: Vec<&str> = wanted.columns.iter().map(|c| &*c.name).collect();
    // A chain of names is no longer than there are pairs.
    for _ in twins {
        for twin in twins {
            match (kept.contains(&&*twin.was), kept.contains(&&*twin.now)) {
                (true, false) => kept.push(&twin.now),
                (false, true) => kept.push(&twin.was),
                _ => {}
            }
        }
    }
    kept
}

/// Tables that Stoa made and that belong to no resource any more.
fn leftover_tables(wanted: &[(usize, Wanted)], database: &Database, planned: &mut Vec<Planned>) {
    for name in database.schema.recorded.keys() {
        let before = || wanted.iter().any(|(_, w)| database.stand_ins.contains(&w.name));
        if wanted.iter().any(|(_, w)| w.name == *name) || database.schema.table(name).is_none() || before() {
            continue;
        }
        planned.push(Planned::Step(
            Step {
                destructive: true,
                required: false,
                ..additive(
                    drop_table(name),
                    format!("the file has no resource {name} any more: its table goes, with every row"),
                )
            },
            false,
        ));
        planned.push(Planned::Note(format!(
            "the table {name} belongs to no resource any more; it stays until a destructive step is allowed"
        )));
    }
}
