//! The change itself: statements that return what they did.

use super::Writing;
use super::returned::Returned;
use crate::operation::{Change, Condition, Conflict, FieldIndex, Item, Precondition};
use crate::store::StoreError;
use crate::store::postgres::codec;
use crate::store::postgres::connection::params;
use crate::store::postgres::dialect::POSTGRES;
use crate::store::postgres::errors::Run;
use crate::store::postgres::fence::Fence;
use crate::store::postgres::read::column;
use crate::store::sql::{Builder, Scope};
use crate::store::table::{VERSION, quote};
use crate::value::Value;
use std::collections::HashSet;

/// Values of one `INSERT` at most; the protocol takes 65,535.
const VALUES_MAX: usize = 30_000;
/// Rows of one `INSERT` at most.
const ROWS_MAX: usize = 1_000;

/// A row that stands where a new one would.
struct Standing {
    allowed: bool,
    version: i64,
}

impl<'a> Writing<'a> {
    pub(super) fn builder(&self) -> Builder<'a> {
        let mut builder = Builder::new(&POSTGRES, &self.shared.tables);
        builder.gate = self.fence.and_then(Fence::gate);
        builder
    }

    pub(super) fn items(&self) -> &'a [Item] {
        self.write.returning.as_deref().unwrap_or_default()
    }

    pub(super) async fn change(&mut self) -> Run<()> {
        let write = self.write;
        match &write.change {
            Change::Insert {
                fields,
                rows,
                buckets,
                conflict,
                ..
            } => self.insert(fields, rows, buckets, conflict).await,
            Change::Update {
                filter,
                bucket,
                set,
                precondition,
                ..
            } => {
                let set: Vec<_> = set.iter().map(|(field, value)| (*field, value)).collect();
                let mut builder = self.builder();
                let scope = builder.scope(self.table, self.items());
                builder.update(scope, &set)?;
                self.finding(builder, scope, filter, *bucket, precondition).await
            }
            Change::Replace { .. } => self.replace(&write.change).await,
            Change::Delete {
                filter,
                bucket,
                precondition,
            } => {
                let mut builder = self.builder();
                let scope = builder.scope(self.table, self.items());
                builder.delete(scope);
                self.finding(builder, scope, filter, *bucket, precondition).await
            }
        }
    }

    /// New rows, as many as fit in one statement at a time.
    async fn insert(
        &mut self,
        fields: &'a [FieldIndex],
        rows: &'a [Vec<Value>],
        buckets: &[u16],
        conflict: &'a Conflict,
    ) -> Run<()> {
        let at_once = match fields.len() {
            // `DEFAULT VALUES` makes one row.
            0 if !self.table.created => 1,
            columns => (VALUES_MAX / (columns + 2)).clamp(1, ROWS_MAX),
        };
        let on = match conflict {
            Conflict::Refuse => Vec::new(),
            Conflict::Ignore { on } | Conflict::Merge { on, .. } => self.conflict_fields(on),
        };
        let merges = matches!(conflict, Conflict::Merge { .. });
        let mut done = 0;
        while let Some(rest) = rows.get(done..).filter(|rest| !rest.is_empty()) {
            let mut take = rest.len().min(at_once);
            if merges {
                // One statement cannot overwrite a row twice.
                take = distinct(fields, rest.get(..take).unwrap_or_default(), &on);
            }
            let part = rest.get(..take).unwrap_or_default();
            let mut builder = self.builder();
            let scope = builder.scope(self.table, self.items());
            builder.insert(scope, fields, part, buckets.get(done..).unwrap_or_default())?;
            self.on_conflict(&mut builder, scope, conflict, &on, fields)?;
            let before = self.done.affected;
            self.changed(builder, scope, part.len() > 1).await?;
            if merges && self.done.affected - before < part.len() as u64 {
                // A row stands there that the rule does not let be overwritten.
                return Err(StoreError::CheckFailed.into());
            }
            done += take;
        }
        if self.done.keys.iter().any(Value::is_null) {
            return Err(StoreError::Refused("the table makes no key by itself".to_owned()).into());
        }
        Ok(())
    }

    /// The fields that decide about a conflict: the key, or a unique field, which on a sharded resource holds
    /// for one shard key.
    fn conflict_fields(&self, on: &[FieldIndex]) -> Vec<FieldIndex> {
        if on.is_empty() || on == self.table.key {
            return self.table.key.clone();
        }
        let shard = self.table.shard.filter(|s| !on.contains(s));
        shard.into_iter().chain(on.iter().copied()).collect()
    }

    /// ` ON CONFLICT …`
    fn on_conflict(
        &self,
        builder: &mut Builder<'a>,
        scope: Scope<'a>,
        conflict: &'a Conflict,
        on: &[FieldIndex],
        fields: &[FieldIndex],
    ) -> Run<()> {
        if on.is_empty() {
            return Ok(());
        }
        builder.push(" ON CONFLICT (");
        for (position, field) in on.iter().enumerate() {
            builder.push(if position == 0 { "" } else { ", " });
            builder.push(&scope.column(*field)?.quoted);
        }
        let Conflict::Merge { set, filter, .. } = conflict else {
            builder.push(") DO NOTHING");
            return Ok(());
        };
        builder.push(") DO UPDATE SET ");
        let given: Vec<_> = set.iter().filter(|f| fields.contains(f)).collect();
        for (position, field) in given.iter().enumerate() {
            let name = &scope.column(**field)?.quoted;
            builder.push(if position == 0 { "" } else { ", " });
            builder.push(name);
            builder.push(" = excluded.");
            builder.push(name);
        }
        let (own, version) = (format!("t{}.", scope.alias), quote(VERSION));
        if given.is_empty() {
            let key = &scope
                .column(self.table.key.first().copied().unwrap_or_default())?
                .quoted;
            builder.push(&format!("{key} = {own}{key}"));
        } else if self.table.created {
            builder.push(&format!(", {version} = {own}{version} + 1"));
        }
        builder.push(" WHERE ");
        builder.condition(filter, scope)?;
        Ok(())
    }

    /// Ends an `UPDATE` or `DELETE` with its `WHERE`, runs it, and says why nothing was found.
    async fn finding(
        &mut self,
        mut builder: Builder<'a>,
        scope: Scope<'a>,
        filter: &'a Condition,
        bucket: Option<u16>,
        precondition: &Precondition,
    ) -> Run<()> {
        builder.filter(filter, bucket, Scope { items: &[], ..scope })?;
        if let Precondition::Versions(versions) = precondition {
            builder.versions(versions, scope);
        }
        self.changed(builder, scope, false).await?;
        match precondition {
            Precondition::Absent if self.done.affected > 0 => Err(StoreError::PreconditionFailed.into()),
            _ if self.done.affected > 0 => Ok(()),
            Precondition::None | Precondition::Absent => Ok(()),
            Precondition::Exists => Err(StoreError::NotFound.into()),
            Precondition::Versions(_) => {
                let mut builder = self.builder();
                let scope = builder.scope(self.table, &[]);
                builder.push("SELECT 1");
                builder.from(scope);
                builder.filter(filter, bucket, scope)?;
                builder.push(" LIMIT 1");
                let params = params(&builder.sql);
                let other_version = self.query(&builder.sql.text, &params, false).await?;
                Err(if other_version.is_empty() {
                    StoreError::NotFound
                } else {
                    StoreError::PreconditionFailed
                }
                .into())
            }
        }
    }

    /// `PUT`: the row is there afterwards as given.
    async fn replace(&mut self, change: &'a Change) -> Run<()> {
        let Change::Replace {
            key,
            bucket,
            insert,
            update,
            filter,
            precondition,
            ..
        } = change
        else {
            return Ok(());
        };
        let parts: Vec<(FieldIndex, &'a Value)> = match (&self.table.key[..], key) {
            ([field], key) => vec![(*field, key)],
            (fields, Value::List(values)) => fields.iter().copied().zip(values).collect(),
            _ => {
                return Err(
                    StoreError::Internal("a key of another shape than the table's".to_owned()).into(),
                );
            }
        };
        match (self.standing(&parts, filter).await?, precondition) {
            (Some(standing), _) if !standing.allowed => Err(StoreError::CheckFailed.into()),
            (Some(_), Precondition::Absent) | (None, Precondition::Versions(_)) => {
                Err(StoreError::PreconditionFailed.into())
            }
            (Some(standing), Precondition::Versions(versions)) if !versions.contains(&standing.version) => {
                Err(StoreError::PreconditionFailed.into())
            }
            (Some(_), _) => {
                let set: Vec<_> = update.iter().map(|(field, value)| (*field, value)).collect();
                let mut builder = self.builder();
                let scope = builder.scope(self.table, self.items());
                builder.update(scope, &set)?;
                builder.keyed(scope, &parts)?;
                self.replaced = true;
                self.changed(builder, scope, false).await
            }
            (None, Precondition::Exists) => Err(StoreError::NotFound.into()),
            (None, Precondition::None | Precondition::Absent) => {
                let fields: Vec<FieldIndex> = insert.iter().map(|(field, _)| *field).collect();
                let row = [insert.iter().map(|(_, value)| value.clone()).collect::<Vec<_>>()];
                let mut builder = Builder::new(&POSTGRES, &self.shared.tables);
                let scope = builder.scope(self.table, self.items());
                builder.insert(scope, &fields, &row, &[*bucket])?;
                self.changed(builder, scope, false).await
            }
        }
    }

    /// The row that stands where a new one would; nobody else changes it until this is done.
    async fn standing(
        &mut self,
        on: &[(FieldIndex, &'a Value)],
        filter: &'a Condition,
    ) -> Run<Option<Standing>> {
        let mut builder = self.builder();
        builder.standing(self.table, on, filter)?;
        builder.push(" FOR UPDATE");
        let params = params(&builder.sql);
        let rows = self.query(&builder.sql.text, &params, false).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let width = self.table.locator.len();
        Ok(Some(Standing {
            allowed: column(row, width)?.and_then(codec::boolean) == Some(true),
            version: column(row, width + 1)?.and_then(codec::int).unwrap_or(0),
        }))
    }

    /// Ends a statement with what it returns, runs it and takes note of its rows.
    async fn changed<'b>(&mut self, mut builder: Builder<'b>, scope: Scope<'b>, once: bool) -> Run<()>
    where
        'a: 'b,
    {
        let returned = Returned::add(self, &mut builder, scope)?;
        let params = params(&builder.sql);
        let rows = self.query(&builder.sql.text, &params, once).await?;
        self.take(&rows, &returned).await
    }
}

/// How many of the rows may go in one statement: up to the first whose deciding fields came before.
fn distinct(fields: &[FieldIndex], rows: &[Vec<Value>], on: &[FieldIndex]) -> usize {
    let places: Option<Vec<usize>> = on
        .iter()
        .map(|field| fields.iter().position(|f| f == field))
        .collect();
    let Some(places) = places else {
        return rows.len().min(1);
    };
    let mut seen = HashSet::new();
    let again = rows.iter().position(|row| {
        let key: Vec<String> = places
            .iter()
            .filter_map(|place| row.get(*place))
            .map(ToString::to_string)
            .collect();
        !seen.insert(key)
    });
    again.unwrap_or(rows.len())
}
