//! What a statement returns of each row it changed, and what is looked at behind it.

use super::Writing;
use crate::operation::{Change, Condition, Conflict, Item, Join};
use crate::store::StoreError;
use crate::store::changes::{check_of, each_set};
use crate::store::postgres::codec;
use crate::store::postgres::connection::params;
use crate::store::postgres::errors::{Fail, Run};
use crate::store::postgres::read::{column, write_row};
use crate::store::sql::{Arg, Builder, Scope, Shape};
use crate::store::table::{Column, is_enforced};
use crate::value::Value;
use std::collections::HashMap;
use tokio_postgres::Row;

/// Keys that [`crate::store::Written::keys`] names at most.
const KEYS_MAX: usize = 1_000;
/// Rows that are read again by one statement at most.
const KEYS_AT_ONCE: usize = 1_000;

/// The columns of ` RETURNING`: key, version, whether the check holds, whether the row is new, whether it is shown (its
/// `!inner` embeds have rows), the reply's.
pub(super) struct Returned<'b> {
    keys: Vec<&'b Column>,
    shape: Shape<'b>,
    /// Whether the reply's columns are read again afterwards, because they show what the statement itself changed.
    again: bool,
}

impl<'b> Returned<'b> {
    /// Puts ` RETURNING …` behind a statement.
    pub(super) fn add<'a: 'b>(
        writing: &Writing<'a>,
        builder: &mut Builder<'b>,
        scope: Scope<'b>,
    ) -> Run<Self> {
        let table = scope.table;
        let items: &'b [Item] = writing.items();
        let deletes = matches!(writing.write.change, Change::Delete { .. });
        let again = !deletes && shows(items, table.resource);
        let keys: Vec<&'b Column> = table.key.iter().filter_map(|k| table.column(*k)).collect();
        builder.push(" RETURNING ");
        for column in &keys {
            builder.reference(scope, column);
            builder.push(builder.dialect.shown(column));
            builder.push(", ");
        }
        builder.version(scope);
        let items = if again { &[] } else { items };
        let mut shape = Shape::new(items, table, builder.tables)?;
        match check_of(&writing.write.change) {
            Condition::True => builder.push(", TRUE, "),
            check => {
                builder.push(", (");
                builder.condition(check, scope)?;
                builder.push(") IS TRUE, ");
            }
        }
        let overwrites =
            matches!(&writing.write.change, Change::Insert { conflict, .. } if *conflict != Conflict::Refuse);
        match first_version(builder).filter(|_| table.created) {
            _ if !overwrites => builder.push("TRUE, "),
            // A new row has the version that was sent. Not told by the transaction that wrote it: the table may be a
            // view that stands for one that was renamed.
            Some(number) => {
                builder.version(scope);
                builder.push(" = ");
                builder.dialect.placeholder(&mut builder.sql.text, number);
                builder.push(", ");
            }
            // An overwritten row carries the number of the transaction that locked it.
            None => builder.push(if table.plain { "t0.xmax = 0, " } else { "TRUE, " }),
        }
        builder.push("(TRUE");
        builder.inner_embeds(Scope { items, ..scope })?;
        builder.push(") IS TRUE, ");
        builder.slots(&shape, scope)?;
        shape.shift(keys.len() + 4);
        Ok(Self { keys, shape, again })
    }
}

/// The number of the placeholder for the version of new rows: what is sent first beside the bucket.
fn first_version(builder: &Builder<'_>) -> Option<usize> {
    let is_number = |arg: &Arg<'_>| matches!(arg, Arg::Int(n) if *n > i64::from(u16::MAX));
    builder.sql.args.iter().position(is_number).map(|at| at + 1)
}

/// Whether a selection shows rows of a resource inside rows.
fn shows(items: &[Item], resource: usize) -> bool {
    items.iter().any(|item| match item {
        Item::Field { .. } | Item::Aggregate { .. } => false,
        Item::Embed(embed) => {
            let between = match &embed.join {
                Join::Through(through) => through.resource == resource,
                _ => false,
            };
            between || embed.resource == resource || shows(&embed.select, resource)
        }
    })
}

impl Writing<'_> {
    /// Takes note of the rows that a statement changed.
    pub(super) async fn take(&mut self, rows: &[Row], returned: &Returned<'_>) -> Run<()> {
        let width = returned.keys.len();
        let mut marks = Vec::new();
        for row in rows {
            self.done.affected += 1;
            let key = key(row, &returned.keys)?;
            if returned.again {
                marks.push(key.clone());
            }
            if self.done.affected == 1 {
                self.done.version = column(row, width)?.and_then(codec::int);
            }
            if self.done.keys.len() < KEYS_MAX && width > 0 {
                self.done.keys.push(key);
            }
            if column(row, width + 1)?.and_then(codec::boolean) != Some(true) {
                return Err(StoreError::CheckFailed.into());
            }
            let is_new = column(row, width + 2)?.and_then(codec::boolean) == Some(true);
            self.done.inserted += u64::from(is_new && self.inserts());
            let is_shown = column(row, width + 3)?.and_then(codec::boolean) == Some(true);
            if self.write.returning.is_some() && !returned.again && is_shown {
                self.comma();
                write_row(&returned.shape.outs, row, &mut self.done.json)?;
            }
        }
        for keys in marks.chunks(KEYS_AT_ONCE) {
            self.look_again(keys).await?;
        }
        Ok(())
    }

    /// Begins a row of the reply.
    fn comma(&mut self) {
        if !self.done.json.is_empty() {
            self.done.json.push(b',');
        }
        self.done.shown += 1;
    }

    /// Whether rows of the statement under way are new ones, unless they say otherwise.
    fn inserts(&self) -> bool {
        match self.write.change {
            Change::Insert { .. } => true,
            Change::Replace { .. } => !self.replaced,
            Change::Update { .. } | Change::Delete { .. } => false,
        }
    }

    /// Reads changed rows again, as the statement that changed them could not show them.
    async fn look_again(&mut self, keys: &[Value]) -> Run<()> {
        let (table, items) = (self.table, self.items());
        let columns: Vec<&Column> = table.key.iter().filter_map(|k| table.column(*k)).collect();
        let mut shape = Shape::new(items, table, &self.shared.tables)?;
        let mut builder = Builder::new(&super::super::dialect::POSTGRES, &self.shared.tables);
        let scope = builder.scope(table, items);
        builder.push("SELECT ");
        for column in &columns {
            builder.reference(scope, column);
            builder.push(builder.dialect.shown(column));
            builder.push(", ");
        }
        builder.slots(&shape, scope)?;
        shape.shift(columns.len());
        builder.from(scope);
        builder.keyed_by_any(scope, keys)?;
        builder.inner_embeds(scope)?;
        let params = params(&builder.sql);
        let rows = self.query(&builder.sql.text, &params, keys.len() > 1).await?;
        let mut found = HashMap::with_capacity(rows.len());
        for row in &rows {
            found.insert(key(row, &columns)?.to_string(), row);
        }
        for key in keys {
            if let Some(row) = found.get(&key.to_string()) {
                self.comma();
                write_row(&shape.outs, row, &mut self.done.json)?;
            }
        }
        Ok(())
    }

    /// Every `ref` that the database does not enforce itself must lead to a row.
    pub(super) async fn references(&mut self) -> Run<()> {
        let (write, table, shared) = (self.write, self.table, self.shared);
        let mut asked: Vec<(usize, &Value)> = write.must_exist.iter().map(|(r, value)| (*r, value)).collect();
        each_set(&write.change, &mut |field, value| {
            let target = table.column(field).and_then(|c| c.refers);
            let Some(target) = target.filter(|_| !value.is_null()) else {
                return;
            };
            let enforced = table.created && is_enforced(&shared.plan, table.resource, field);
            if !enforced && !asked.contains(&(target, value)) {
                asked.push((target, value));
            }
        });
        for (resource, value) in asked {
            // A resource of another store is asked there, by whoever knows both.
            let Some(target) = shared.tables.get(resource) else {
                continue;
            };
            let Some(key) = target.key_column() else { continue };
            let mut builder = self.builder();
            builder.exists(target, key, value);
            let params = params(&builder.sql);
            if self.query(&builder.sql.text, &params, false).await?.is_empty() {
                let field = table.columns.iter().find(|c| c.refers == Some(resource));
                return Err(StoreError::Reference {
                    field: field.map(|c| c.name.clone()).unwrap_or_default(),
                    resource: target.label.clone(),
                    value: Some(value.to_string()),
                    still_referred: false,
                    said: None,
                }
                .into());
            }
        }
        Ok(())
    }
}

/// The key at the front of a row; a list when it has several fields.
fn key(row: &Row, columns: &[&Column]) -> Run<Value> {
    let mut parts = Vec::with_capacity(columns.len());
    for (position, key) in columns.iter().enumerate() {
        parts.push(codec::read(column(row, position)?, key).map_err(Fail::unreadable)?);
    }
    Ok(if parts.len() == 1 {
        parts.remove(0)
    } else {
        Value::List(parts)
    })
}
