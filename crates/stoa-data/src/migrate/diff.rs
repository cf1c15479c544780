//! The steps from what is there to what is wanted.

mod rebuild;

use super::ddl::{self, Wanted, WantedColumn};
use super::found::{Found, Schema};
use super::{Migration, Step};
use crate::store::sqlite::idempotency;
use crate::store::table::{BUCKET, VERSION, quote};
use rusqlite::Connection;
use serde_json::Value as Json;
use stoa_config::plan::{Plan, Resource};

/// Stoa's own tables: what migrations were made, and what belongs to the store as a whole.
const OWN: [(&str, &str); 2] = [
    (
        "_stoa_schema",
        "CREATE TABLE \"_stoa_schema\" (\"id\" INTEGER PRIMARY KEY, \"applied\" TEXT NOT NULL, \"sql\" TEXT NOT NULL, \"tables\" TEXT NOT NULL) STRICT",
    ),
    (
        "_stoa_meta",
        "CREATE TABLE \"_stoa_meta\" (\"name\" TEXT PRIMARY KEY, \"value\" BLOB NOT NULL) STRICT, WITHOUT ROWID",
    ),
];

/// One table under comparison.
pub(super) struct Compared<'a> {
    pub(super) resource: &'a Resource,
    pub(super) wanted: &'a Wanted,
    pub(super) found: &'a Found,
    /// Encodings by column, as written down.
    pub(super) recorded: Option<&'a Json>,
    pub(super) empty: bool,
}

/// Adds the steps to `migration`, and what stands against them to `refused`.
pub(super) fn diff(
    plan: &Plan,
    store: usize,
    schema: &Schema,
    conn: Option<&Connection>,
    migration: &mut Migration,
    refused: &mut Vec<String>,
) -> rusqlite::Result<()> {
    for (name, sql) in OWN {
        if schema.table(name).is_none() {
            migration
                .steps
                .push(additive(sql.to_owned(), format!("{name}: Stoa's own records")));
        }
    }
    if schema.table("_stoa_idempotency").is_none() {
        let sql = format!("{};\n{}", idempotency::TABLE, idempotency::INDEX);
        migration.steps.push(additive(
            sql,
            "_stoa_idempotency: replies kept for Idempotency-Key".to_owned(),
        ));
    }
    let mut own = Vec::new();
    for (index, resource) in plan.resources.iter().enumerate() {
        if resource.store != store || resource.table.is_some() {
            continue;
        }
        own.push(resource.name.as_str());
        let wanted = ddl::wanted(plan, index, resource);
        let Some(found) = schema.table(&wanted.name) else {
            migration.steps.push(create(&wanted));
            continue;
        };
        if found.view || found.column(BUCKET).is_none() || found.column(VERSION).is_none() {
            refused.push(format!(
                "resource {0}: the database has a {1} {0} that Stoa did not make: bind it with `table: {0}`, or name the resource otherwise",
                resource.name,
                if found.view { "view" } else { "table" }
            ));
            continue;
        }
        let compared = Compared {
            resource,
            wanted: &wanted,
            found,
            recorded: schema.recorded.get(&wanted.name),
            empty: is_empty(conn, found.is_called(&wanted.name))?,
        };
        compare(&compared, conn, migration, refused)?;
    }
    for name in schema
        .recorded
        .keys()
        .filter(|n| !own.contains(&n.as_str()) && schema.table(n).is_some())
    {
        migration.steps.push(Step {
            sql: drop_table(name),
            why: format!("the file has no resource {name} any more: its table goes, with every row"),
            destructive: true,
            required: false,
        });
        migration.notes.push(format!(
            "the table {name} belongs to no resource any more; it stays until a destructive step is allowed"
        ));
    }
    Ok(())
}

/// `DROP TABLE …`
pub(super) fn drop_table(name: &str) -> String {
    format!("DROP TABLE {}", quote(name))
}

pub(super) fn additive(sql: String, why: String) -> Step {
    Step {
        sql,
        why,
        destructive: false,
        required: true,
    }
}

fn create(wanted: &Wanted) -> Step {
    let mut sql = wanted.create(&wanted.name);
    for index in &wanted.indexes {
        sql.push_str(";\n");
        sql.push_str(&index.create(&wanted.name));
    }
    additive(
        sql,
        format!("table {} for the resource of that name", wanted.name),
    )
}

fn is_empty(conn: Option<&Connection>, table: &str) -> rusqlite::Result<bool> {
    match conn {
        Some(conn) => conn
            .prepare(&format!("SELECT 1 FROM {} LIMIT 1", quote(table)))?
            .exists([])
            .map(|e| !e),
        None => Ok(true),
    }
}

fn compare(
    compared: &Compared<'_>,
    conn: Option<&Connection>,
    migration: &mut Migration,
    refused: &mut Vec<String>,
) -> rusqlite::Result<()> {
    let Compared {
        wanted,
        found,
        recorded,
        ..
    } = *compared;
    let shard = recorded.and_then(|r| r.get(BUCKET)).and_then(Json::as_str);
    let shard_wanted = wanted.record(compared.resource);
    let shard_wanted = shard_wanted.get(BUCKET).and_then(Json::as_str);
    if found.key != wanted.key || (shard.is_some() && shard != shard_wanted) {
        if compared.empty {
            let create = create(wanted);
            migration.steps.push(additive(
                format!("{};\n{}", drop_table(&wanted.name), create.sql),
                format!(
                    "table {}: made anew with another key; it has no rows",
                    wanted.name
                ),
            ));
        } else {
            refused.push(format!(
                "table {} has rows, and its key or shard key cannot change: declare a new resource and copy them",
                wanted.name
            ));
        }
        return Ok(());
    }
    let added: Vec<&WantedColumn> = wanted
        .columns
        .iter()
        .filter(|c| found.column(&c.name).is_none())
        .collect();
    let simple = added.iter().all(|c| is_addable(c));
    let changes = rebuild::changes(compared, conn, refused)?;
    if changes.is_empty() && simple {
        for column in added {
            migration.steps.push(additive(
                format!("ALTER TABLE {} ADD COLUMN {}", quote(&wanted.name), column.sql()),
                format!("table {}: new column {}", wanted.name, column.name),
            ));
        }
        indexes(compared, migration);
    } else {
        migration
            .steps
            .push(rebuild::step(compared, &changes, &added, refused));
    }
    leftovers(compared, migration);
    Ok(())
}

/// Whether `ALTER TABLE … ADD COLUMN` can do it.
fn is_addable(column: &WantedColumn) -> bool {
    (!column.not_null || column.default.is_some())
        && !(column.references.is_some() && column.default.is_some())
}

/// Indexes that are missing, or that Stoa made and that are not wanted any more.
fn indexes(compared: &Compared<'_>, migration: &mut Migration) {
    let Compared { wanted, found, .. } = *compared;
    for index in &found.indexes {
        let kept = wanted.indexes.iter().any(|w| {
            w.name.eq_ignore_ascii_case(&index.name) && w.unique == index.unique && w.columns == index.columns
        });
        if ddl::made_index(&index.name, &wanted.name) && !kept {
            // One that forbids what is allowed now stands in the way; any other only costs.
            let forbids = index.unique
                && index
                    .columns
                    .iter()
                    .all(|c| wanted.columns.iter().any(|w| w.name == *c));
            migration.steps.push(Step {
                sql: format!("DROP INDEX {}", quote(&index.name)),
                why: format!(
                    "table {}: the index on {} is not wanted any more",
                    wanted.name,
                    index.columns.join(", ")
                ),
                destructive: false,
                required: forbids,
            });
        }
    }
    for index in &wanted.indexes {
        let there = found.indexes.iter().any(|f| {
            f.name.eq_ignore_ascii_case(&index.name) && f.unique == index.unique && f.columns == index.columns
        });
        if !there {
            let kind = if index.unique { "unique index" } else { "index" };
            migration.steps.push(additive(
                index.create(&wanted.name),
                format!("table {}: {kind} on {}", wanted.name, index.columns.join(", ")),
            ));
        }
    }
}

/// Columns that the file does not name any more.
fn leftovers(compared: &Compared<'_>, migration: &mut Migration) {
    let Compared { wanted, found, .. } = *compared;
    for column in found.columns.iter().filter(|c| {
        !wanted
            .columns
            .iter()
            .any(|w| w.name.eq_ignore_ascii_case(&c.name))
    }) {
        // A column that wants a value on every insert stands in the way; another one can stay.
        let required = column.not_null && column.default.is_none();
        let indexed: Vec<String> = found
            .indexes
            .iter()
            .filter(|i| i.columns.iter().any(|c| c.eq_ignore_ascii_case(&column.name)))
            .map(|i| format!("DROP INDEX IF EXISTS {};\n", quote(&i.name)))
            .collect();
        migration.steps.push(Step {
            sql: format!(
                "{}ALTER TABLE {} DROP COLUMN {}",
                indexed.concat(),
                quote(&wanted.name),
                quote(&column.name)
            ),
            why: format!(
                "table {}: the file has no field {} any more: the column goes, with its values",
                wanted.name, column.name
            ),
            destructive: true,
            required,
        });
    }
}
