//! What a statement returns of each row it changed, and what is looked at behind it.

use super::Writing;
use crate::operation::{Change, Condition, FieldIndex, Item};
use crate::store::StoreError;
use crate::store::changes::{check_of, each_set};
use crate::store::postgres::codec;
use crate::store::postgres::connection::params;
use crate::store::postgres::errors::{Fail, Run};
use crate::store::postgres::read::{column, write_row};
use crate::store::sql::{Builder, Scope, Shape};
use crate::store::table::{Column, is_enforced};
use crate::value::Value;
use tokio_postgres::Row;

/// Keys that [`crate::store::Written::keys`] names at most.
const KEYS_MAX: usize = 1_000;

/// The columns of ` RETURNING`: key, version, whether the check holds, whether the row is new, the reply's.
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
        let mut shape = Shape::new(if again { &[] } else { items }, table, builder.tables)?;
        match check_of(&writing.write.change) {
            Condition::True => builder.push(", TRUE, "),
            check => {
                builder.push(", (");
                builder.condition(check, scope)?;
                builder.push(") IS TRUE, ");
            }
        }
        // An overwritten row carries the number of the transaction that locked it.
        builder.push(match &writing.write.change {
            Change::Insert { conflict, .. }
                if table.plain && !matches!(conflict, crate::operation::Conflict::Refuse) =>
            {
                "t0.xmax = 0, "
            }
            _ => "TRUE, ",
        });
        builder.slots(&shape, scope)?;
        shape.shift(keys.len() + 3);
        Ok(Self { keys, shape, again })
    }
}

/// Whether a selection shows rows of a resource inside rows.
fn shows(items: &[Item], resource: usize) -> bool {
    items.iter().any(|item| match item {
        Item::Field { .. } | Item::Aggregate { .. } => false,
        Item::Embed(embed) => embed.resource == resource || shows(&embed.select, resource),
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
            if self.write.returning.is_some() && !returned.again {
                self.comma();
                write_row(&returned.shape.outs, row, &mut self.done.json)?;
            }
        }
        for mark in &marks {
            self.look_again(mark).await?;
        }
        Ok(())
    }

    fn comma(&mut self) {
        if !self.done.json.is_empty() {
            self.done.json.push(b',');
        }
    }

    /// Whether rows of the statement under way are new ones, unless they say otherwise.
    fn inserts(&self) -> bool {
        match self.write.change {
            Change::Insert { .. } => true,
            Change::Replace { .. } => !self.replaced,
            Change::Update { .. } | Change::Delete { .. } => false,
        }
    }

    /// Reads a changed row again, as the statement that changed it could not show it.
    async fn look_again(&mut self, key: &Value) -> Run<()> {
        let (table, items) = (self.table, self.items());
        let parts: Vec<(FieldIndex, &Value)> = match (&table.key[..], key) {
            ([field], key) => vec![(*field, key)],
            (fields, Value::List(values)) => fields.iter().copied().zip(values).collect(),
            _ => return Ok(()),
        };
        let shape = Shape::new(items, table, &self.shared.tables)?;
        let mut builder = Builder::new(&super::super::dialect::POSTGRES, &self.shared.tables);
        let scope = builder.scope(table, items);
        builder.push("SELECT ");
        builder.slots(&shape, scope)?;
        builder.from(scope);
        builder.keyed(scope, &parts)?;
        let params = params(&builder.sql);
        let rows = self.query(&builder.sql.text, &params, false).await?;
        if let Some(row) = rows.first() {
            self.comma();
            write_row(&shape.outs, row, &mut self.done.json)?;
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
