//! `INSERT`, `UPDATE`, `DELETE`. Each returns what finds its rows again: locator, key, version.

use super::condition::plain;
use super::{Arg, Builder, Built, Scope, Shape, Unbuildable};
use crate::operation::{Condition, FieldIndex, Version};
use crate::store::table::{BUCKET, Column, Table, VERSION, quote};
use crate::value::Value;
use stoa_exchange::clock;

impl<'a> Builder<'a> {
    /// New rows, without `RETURNING`.
    pub(crate) fn insert(
        &mut self,
        scope: Scope<'a>,
        fields: &[FieldIndex],
        rows: &'a [Vec<Value>],
        buckets: &[u16],
    ) -> Built<()> {
        // Not 1: a row that is removed and made again would meet the tags of the one before it.
        let first = i64::try_from(clock::unix_micros()).unwrap_or(i64::MAX / 2);
        let table = scope.table;
        self.push("INSERT INTO ");
        self.push(&table.name);
        self.push(" AS ");
        self.alias(scope.alias);
        if fields.is_empty() && !table.created {
            self.push(" DEFAULT VALUES");
            return Ok(());
        }
        self.push(" (");
        if table.created {
            self.push(&quote(BUCKET));
            self.push(", ");
            self.push(&quote(VERSION));
        }
        for (position, field) in fields.iter().enumerate() {
            if position > 0 || table.created {
                self.push(", ");
            }
            self.push(&scope.column(*field)?.quoted);
        }
        self.push(") VALUES ");
        for (index, row) in rows.iter().enumerate() {
            self.push(if index == 0 { "(" } else { ", (" });
            if table.created {
                self.bind(Arg::Int(i64::from(
                    buckets.get(index).copied().unwrap_or_default(),
                )));
                self.push(", ");
                self.bind(Arg::Int(first));
            }
            for (position, (field, value)) in fields.iter().zip(row).enumerate() {
                if position > 0 || table.created {
                    self.push(", ");
                }
                let column = scope.column(*field)?;
                self.stored(column, value);
            }
            self.push(")");
        }
        Ok(())
    }

    /// A value to be stored, or `DEFAULT`.
    fn stored(&mut self, column: &'a Column, value: &'a Value) {
        match (value, &column.row) {
            (Value::Default, _) => self.push("DEFAULT"),
            (value, None) => match column.casts.as_ref().map(|casts| &casts.from_json) {
                None => self.bind(Arg::Stored(column, value)),
                Some(None) => self.bind(Arg::Literal(plain(value))),
                Some(Some(function)) => {
                    self.push(function);
                    self.push("(CAST(");
                    self.bind(Arg::Literal((!value.is_null()).then(|| value.to_string().into())));
                    self.push(" AS json))");
                }
            },
            // PostgreSQL's own text of a row, or its members.
            (Value::Json(text), Some(row)) if text.starts_with('"') => {
                self.push("CAST(");
                self.bind(Arg::Literal(plain(value)));
                self.push(" AS ");
                self.push(row);
                self.push(")");
            }
            (value, Some(row)) => {
                self.push("jsonb_populate_record(NULL::");
                self.push(row);
                self.push(", ");
                self.bind(Arg::Stored(column, value));
                self.push(")");
            }
        }
    }

    /// `UPDATE … SET …`, without its `WHERE`.
    pub(crate) fn update(&mut self, scope: Scope<'a>, set: &[(FieldIndex, &'a Value)]) -> Built<()> {
        self.push("UPDATE ");
        self.push(&scope.table.name);
        self.push(" AS ");
        self.alias(scope.alias);
        self.push(" SET ");
        for (position, (field, value)) in set.iter().enumerate() {
            if position > 0 {
                self.push(", ");
            }
            let column = scope.column(*field)?;
            self.push(&column.quoted);
            self.push(" = ");
            self.stored(column, value);
        }
        if set.is_empty() {
            // A merge patch without members changes nothing, its version neither, but it finds its rows.
            let column = scope.column(scope.table.key.first().copied().unwrap_or_default())?;
            self.push(&column.quoted);
            self.push(" = ");
            self.push(&column.quoted);
        } else if scope.table.created {
            let version = quote(VERSION);
            self.push(", ");
            self.push(&version);
            self.push(" = ");
            self.push(&version);
            self.push(" + 1");
        }
        Ok(())
    }

    /// `DELETE FROM …`, without its `WHERE`.
    pub(crate) fn delete(&mut self, scope: Scope<'a>) {
        self.push("DELETE");
        self.from(scope);
    }

    /// ` AND version IN (…)`
    pub(crate) fn versions(&mut self, versions: &[Version], scope: Scope<'a>) {
        self.push(" AND ");
        self.version(scope);
        self.push(" IN (");
        let Some(last) = versions.last() else {
            self.push("NULL)");
            return;
        };
        for position in 0..versions.len().next_power_of_two() {
            if position > 0 {
                self.push(", ");
            }
            self.bind(Arg::Int(*versions.get(position).unwrap_or(last)));
        }
        self.push(")");
    }

    /// ` RETURNING` locator, key, version.
    pub(crate) fn returning(&mut self, table: &'a Table) {
        self.push(" RETURNING ");
        for part in &table.locator {
            self.push(part);
            self.push(", ");
        }
        for column in table.key.iter().filter_map(|k| table.column(*k)) {
            self.push(&column.quoted);
            self.push(", ");
        }
        self.dialect.version(&mut self.sql.text, table, "");
    }

    /// Reads one row again: whether it satisfies the check, whether its `!inner` embeds have rows, then the shape's columns. The locator's values are
    /// bound after everything else, by the caller.
    pub(crate) fn again(&mut self, scope: Scope<'a>, check: &'a Condition, shape: &Shape<'a>) -> Built<()> {
        self.push("SELECT (");
        self.condition(check, scope)?;
        self.push(") IS TRUE, (TRUE");
        self.inner_embeds(scope)?;
        self.push(") IS TRUE, ");
        self.slots(shape, scope)?;
        self.from(scope);
        self.located(scope);
        Ok(())
    }

    /// Finds the row that stands where a new one would: locator, whether the rule allows it to be overwritten,
    /// version.
    pub(crate) fn standing(
        &mut self,
        table: &'a Table,
        on: &[(FieldIndex, &'a Value)],
        filter: &'a Condition,
    ) -> Built<()> {
        let scope = self.scope(table, &[]);
        self.push("SELECT ");
        for part in &table.locator {
            self.alias(scope.alias);
            self.push(".");
            self.push(part);
            self.push(", ");
        }
        self.push("(");
        self.condition(filter, scope)?;
        self.push(") IS TRUE, ");
        self.version(scope);
        self.from(scope);
        self.keyed(scope, on)?;
        self.push(" LIMIT 1");
        Ok(())
    }

    /// The one row of a key: ` WHERE key = value`.
    pub(crate) fn keyed(&mut self, scope: Scope<'a>, key: &[(FieldIndex, &'a Value)]) -> Built<()> {
        for (position, (field, value)) in key.iter().enumerate() {
            self.push(if position == 0 { " WHERE " } else { " AND " });
            let column = scope.column(*field)?;
            self.operand(column, &[], scope);
            self.push(" = ");
            self.bind_value(column, value);
        }
        Ok(())
    }

    /// The rows of some keys: ` WHERE (key IN (…))`.
    pub(crate) fn keyed_by_any(&mut self, scope: Scope<'a>, keys: &'a [Value]) -> Built<()> {
        if let [field] = scope.table.key[..] {
            self.push(" WHERE ");
            return self.in_list(scope.column(field)?, &[], keys, scope);
        }
        for (position, key) in keys.iter().enumerate() {
            self.push(if position == 0 { " WHERE ((" } else { ") OR (" });
            let Value::List(parts) = key else {
                return Err(Unbuildable(String::from(
                    "a key of another shape than the table's",
                )));
            };
            for (at, (field, value)) in scope.table.key.iter().zip(parts).enumerate() {
                let column = scope.column(*field)?;
                self.push(if at == 0 { "" } else { " AND " });
                self.operand(column, &[], scope);
                self.push(" = ");
                self.bind_value(column, value);
            }
        }
        self.push("))");
        Ok(())
    }

    /// The rows found by locators: ` WHERE locator`; the values are bound by the caller.
    pub(crate) fn located(&mut self, scope: Scope<'a>) {
        self.push(" WHERE ");
        let before = self.sql.args.len();
        for (position, part) in scope.table.locator.iter().enumerate() {
            if position > 0 {
                self.push(" AND ");
            }
            self.alias(scope.alias);
            self.push(".");
            self.push(part);
            self.push(" IS NOT DISTINCT FROM ");
            self.dialect
                .placeholder(&mut self.sql.text, before + position + 1);
        }
    }
}
