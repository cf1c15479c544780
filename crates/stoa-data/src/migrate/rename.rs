//! `was:` of resources and fields: tables and columns that are called otherwise now, and keep what they hold.

use super::ddl::made_index;
use super::found::{Found, Schema};
use super::{Migration, Step};
use crate::store::table::{BUCKET, quote};
use serde_json::Value as Json;
use stoa_config::plan::{Plan, Resource};

/// What a database does with the indexes of a table that is renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Indexes {
    /// They are renamed with it.
    Renamed,
    /// They are removed, and made anew under the name that is right then.
    MadeAnew,
}

/// Adds the steps, and makes the schema what it is after them. A `was` whose old name is gone was followed before.
pub(super) fn follow(
    plan: &Plan,
    store: usize,
    indexes: Indexes,
    schema: &mut Schema,
    migration: &mut Migration,
) {
    tables(plan, store, indexes, schema, migration);
    columns(plan, store, schema, migration);
}

/// The tables alone.
pub(super) fn tables(
    plan: &Plan,
    store: usize,
    indexes: Indexes,
    schema: &mut Schema,
    migration: &mut Migration,
) {
    let own = |r: &&Resource| r.store == store && r.table.is_none();
    for resource in plan.resources.iter().filter(own) {
        table(resource, indexes, schema, migration);
    }
}

/// The columns alone.
pub(super) fn columns(plan: &Plan, store: usize, schema: &mut Schema, migration: &mut Migration) {
    for resource in &plan.resources {
        if resource.store != store || resource.table.is_some() {
            continue;
        }
        let Some(found) = schema.tables.get_mut(&resource.name) else {
            continue;
        };
        let mut renamed: Vec<(String, String)> = Vec::new();
        for field in &resource.fields {
            let Some(was) = &field.was else { continue };
            if found.column(&field.name).is_some() || found.column(was).is_none() {
                continue;
            }
            column(found, was, &field.name);
            renamed.push((was.clone(), field.name.clone()));
            migration.steps.push(step(
                format!(
                    "ALTER TABLE {} RENAME COLUMN {} TO {}",
                    quote(&resource.name),
                    quote(was),
                    quote(&field.name)
                ),
                format!(
                    "table {}: the column {was} is called {} now",
                    resource.name, field.name
                ),
            ));
        }
        for (was, now) in renamed {
            recorded(schema, &resource.name, &was, &now);
            for other in schema.tables.values_mut() {
                for (_, table, to) in &mut other.references {
                    if *table == resource.name && *to == was {
                        to.clone_from(&now);
                    }
                }
            }
        }
    }
}

fn step(sql: String, why: String) -> Step {
    Step {
        sql,
        why,
        destructive: false,
        required: true,
    }
}

fn table(resource: &Resource, indexes: Indexes, schema: &mut Schema, migration: &mut Migration) {
    let Some(was) = &resource.was else { return };
    let stoas = |found: &Found| !found.view && found.column(BUCKET).is_some();
    if schema.table(&resource.name).is_some() || !schema.table(was).is_some_and(stoas) {
        return;
    }
    let Some(mut found) = schema.tables.remove(was) else {
        return;
    };
    let mut sql = vec![format!(
        "ALTER TABLE {} RENAME TO {}",
        quote(was),
        quote(&resource.name)
    )];
    found.indexes.retain_mut(|index| {
        if !made_index(&index.name, was) {
            return true;
        }
        match indexes {
            Indexes::MadeAnew => {
                sql.push(format!("DROP INDEX {}", quote(&index.name)));
                false
            }
            Indexes::Renamed => {
                let now = format!("{}{}", resource.name, &index.name[was.len()..]);
                sql.push(format!(
                    "ALTER INDEX {} RENAME TO {}",
                    quote(&index.name),
                    quote(&now)
                ));
                index.name = now;
                true
            }
        }
    });
    if indexes == Indexes::Renamed {
        sql.push(super::postgres::stand_in(was, &resource.name));
    }
    found.now_called = Some(was.clone());
    schema.tables.insert(resource.name.clone(), found);
    if let Some(columns) = schema.recorded.remove(was) {
        schema.recorded.insert(resource.name.clone(), columns);
    }
    for (_, table, _) in schema.tables.values_mut().flat_map(|f| &mut f.references) {
        if table == was {
            table.clone_from(&resource.name);
        }
    }
    migration.steps.push(step(
        sql.join(";\n"),
        format!("the table {was} is called {} now", resource.name),
    ));
}

fn column(found: &mut Found, was: &str, now: &str) {
    let rename = |name: &mut String| {
        if name.eq_ignore_ascii_case(was) {
            now.clone_into(name);
        }
    };
    for column in &mut found.columns {
        if column.name.eq_ignore_ascii_case(was) {
            column.now_called = Some(column.name.clone());
        }
        rename(&mut column.name);
    }
    found.key.iter_mut().for_each(rename);
    found
        .indexes
        .iter_mut()
        .flat_map(|i| &mut i.columns)
        .for_each(rename);
    found
        .references
        .iter_mut()
        .map(|(from, ..)| from)
        .for_each(rename);
}

/// What was written down about the column, under its new name.
fn recorded(schema: &mut Schema, table: &str, was: &str, now: &str) {
    let Some(Json::Object(columns)) = schema.recorded.get_mut(table) else {
        return;
    };
    if let Some(encoding) = columns.remove(was) {
        columns.insert(now.to_owned(), encoding);
    }
    if let Some(hashed) = columns.get_mut(BUCKET)
        && hashed.as_str() == Some(&format!("hash of {was}"))
    {
        *hashed = Json::from(format!("hash of {now}"));
    }
}
