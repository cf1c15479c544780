//! One write, inside a savepoint: the change, the checks after it, the rows as the reply shows them.

use super::Shared;
use super::codec::{self, Cell};
use super::dialect::SQLITE;
use super::errors::{Fail, Run};
use super::read::{bind, is_there, keep, write_row};
use crate::operation::{Change, Condition, Conflict, FieldIndex, Item, Precondition, Version, Write};
use crate::store::changes::{check_of, each_set};
use crate::store::sql::{Builder, Shape};
use crate::store::table::{Column, Table, is_enforced};
use crate::store::{StoreError, Written};
use crate::value::Value;
use rusqlite::types::Value as Owned;
use rusqlite::{CachedStatement, Connection, Row};

/// Keys that [`Written::keys`] names at most.
const KEYS_MAX: usize = 1_000;
/// Values of one `INSERT` at most; SQLite takes 32,766.
const VALUES_MAX: usize = 16_000;
/// Rows of one `INSERT` at most.
const ROWS_MAX: usize = 500;

/// A write under way.
struct Writing<'a> {
    conn: &'a Connection,
    shared: &'a Shared,
    table: &'a Table,
    /// Whether the rows are looked at again: for the check or the reply.
    again: bool,
    done: Written,
    marks: Vec<Vec<Owned>>,
}

/// Runs a write. On an error the caller undoes what was done.
pub(super) fn run(conn: &Connection, shared: &Shared, write: &Write) -> Run<Written> {
    let table = shared.table(write.resource)?;
    if table.view {
        return Err(StoreError::ReadOnly.into());
    }
    let check = check_of(&write.change);
    let mut writing = Writing {
        conn,
        shared,
        table,
        again: write.returning.is_some() || *check != Condition::True,
        done: Written::default(),
        marks: Vec::new(),
    };
    match &write.change {
        Change::Insert {
            fields,
            rows,
            buckets,
            conflict,
            ..
        } => match conflict {
            Conflict::Refuse => writing.insert(fields, rows, buckets)?,
            Conflict::Ignore { on } => writing.upsert(fields, rows, buckets, on, None)?,
            Conflict::Merge { on, set, filter } => {
                writing.upsert(fields, rows, buckets, on, Some((set, filter)))?;
            }
        },
        Change::Update {
            filter,
            bucket,
            set,
            precondition,
            ..
        } => {
            writing.update(filter, *bucket, set, precondition)?;
        }
        Change::Replace { .. } => writing.replace(&write.change)?,
        Change::Delete {
            filter,
            bucket,
            precondition,
        } => {
            writing.delete(filter, *bucket, precondition, write.returning.as_deref())?;
        }
    }
    let affected = writing.done.affected;
    if write.max_affected.is_some_and(|max| affected > max) || (write.exactly_one && affected != 1) {
        return Err(StoreError::Affected(affected).into());
    }
    writing.references(write)?;
    if !matches!(write.change, Change::Delete { .. }) {
        writing.look_again(check, write.returning.as_deref())?;
    }
    if write.exactly_one && write.returning.is_some() && writing.done.shown != 1 {
        return Err(StoreError::Affected(writing.done.shown).into());
    }
    if affected != 1 {
        writing.done.version = None;
    }
    Ok(writing.done)
}

impl<'a> Writing<'a> {
    fn builder(&self) -> Builder<'a> {
        Builder::new(&SQLITE, &self.shared.tables)
    }

    /// New rows, as many as fit in one statement at a time.
    fn insert(&mut self, fields: &[FieldIndex], rows: &[Vec<Value>], buckets: &[u16]) -> Run<()> {
        let at_once = match fields.len() {
            // `DEFAULT VALUES` makes one row.
            0 => 1,
            columns => (VALUES_MAX / (columns + 2)).clamp(1, ROWS_MAX),
        };
        let mut done = 0;
        for part in rows.chunks(at_once) {
            let mut builder = self.builder();
            let scope = builder.scope(self.table, &[]);
            builder.insert(scope, fields, part, buckets.get(done..).unwrap_or_default())?;
            builder.returning(self.table);
            self.changed(&builder, &[])?;
            done += part.len();
        }
        if self.done.keys.iter().any(Value::is_null) {
            return Err(StoreError::Refused("the table makes no key by itself".to_owned()).into());
        }
        self.done.inserted = self.done.affected;
        Ok(())
    }

    /// New rows, or what is to be done about those that are there.
    fn upsert(
        &mut self,
        fields: &[FieldIndex],
        rows: &[Vec<Value>],
        buckets: &[u16],
        on: &[FieldIndex],
        merge: Option<(&[FieldIndex], &Condition)>,
    ) -> Run<()> {
        let on = self.conflict_fields(on);
        let filter = merge.map_or(&Condition::True, |(_, filter)| filter);
        for (index, row) in rows.iter().enumerate() {
            let value = |field: &FieldIndex| {
                let position = fields.iter().position(|f| f == field)?;
                row.get(position).map(|value| (*field, value))
            };
            let target: Option<Vec<_>> = on.iter().map(value).collect();
            let standing = match &target {
                Some(target) => self.standing(target, filter)?,
                None => None,
            };
            match (standing, merge) {
                (None, _) => {
                    let mut builder = self.builder();
                    let bucket = buckets.get(index..).unwrap_or_default();
                    let scope = builder.scope(self.table, &[]);
                    builder.insert(scope, fields, std::slice::from_ref(row), bucket)?;
                    builder.returning(self.table);
                    self.changed(&builder, &[])?;
                    self.done.inserted += 1;
                }
                (Some(_), None) => {}
                (Some(standing), Some((set, _))) => {
                    if !standing.allowed {
                        return Err(StoreError::CheckFailed.into());
                    }
                    let set: Vec<_> = set.iter().filter_map(value).collect();
                    self.set_located(&set, &standing.mark)?;
                }
            }
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

    /// The row that stands where a new one would.
    fn standing(&self, on: &[(FieldIndex, &Value)], filter: &Condition) -> Run<Option<Standing>> {
        if on.is_empty() || on.iter().any(|(_, value)| value.is_null()) {
            return Ok(None);
        }
        let mut builder = Builder::new(&SQLITE, &self.shared.tables);
        builder.standing(self.table, on, filter)?;
        let mut statement = self.conn.prepare_cached(&builder.sql.text)?;
        bind(&mut statement, &builder.sql)?;
        let mut rows = statement.raw_query();
        let Some(row) = rows.next()? else { return Ok(None) };
        let width = self.table.locator.len();
        Ok(Some(Standing {
            mark: mark(row, width)?,
            allowed: row.get(width)?,
            version: row.get(width + 1)?,
        }))
    }

    /// Sets fields of the row at a locator.
    fn set_located(&mut self, set: &[(FieldIndex, &Value)], mark: &[Owned]) -> Run<()> {
        let mut builder = Builder::new(&SQLITE, &self.shared.tables);
        let scope = builder.scope(self.table, &[]);
        builder.update(scope, set)?;
        builder.located(scope);
        builder.returning(self.table);
        self.changed(&builder, mark)
    }

    fn update(
        &mut self,
        filter: &Condition,
        bucket: Option<u16>,
        set: &[(FieldIndex, Value)],
        precondition: &Precondition,
    ) -> Run<()> {
        let set: Vec<_> = set.iter().map(|(field, value)| (*field, value)).collect();
        let mut builder = Builder::new(&SQLITE, &self.shared.tables);
        let scope = builder.scope(self.table, &[]);
        builder.update(scope, &set)?;
        builder.filter(filter, bucket, scope)?;
        if let Precondition::Versions(versions) = precondition {
            builder.versions(versions, scope);
        }
        builder.returning(self.table);
        self.changed(&builder, &[])?;
        self.found(filter, bucket, precondition)
    }

    fn delete(
        &mut self,
        filter: &Condition,
        bucket: Option<u16>,
        precondition: &Precondition,
        returning: Option<&[Item]>,
    ) -> Run<()> {
        if let Some(items) = returning {
            self.shown_before(items, filter, bucket, precondition)?;
        }
        let mut builder = Builder::new(&SQLITE, &self.shared.tables);
        let scope = builder.scope(self.table, &[]);
        builder.delete(scope);
        builder.filter(filter, bucket, scope)?;
        if let Precondition::Versions(versions) = precondition {
            builder.versions(versions, scope);
        }
        builder.returning(self.table);
        self.changed(&builder, &[])?;
        self.found(filter, bucket, precondition)
    }

    /// The rows of a delete, before it.
    fn shown_before(
        &mut self,
        items: &[Item],
        filter: &Condition,
        bucket: Option<u16>,
        precondition: &Precondition,
    ) -> Run<()> {
        let shape = Shape::new(items, self.table, &self.shared.tables)?;
        let mut builder = Builder::new(&SQLITE, &self.shared.tables);
        let scope = builder.scope(self.table, items);
        builder.push("SELECT ");
        builder.slots(&shape, scope)?;
        builder.from(scope);
        builder.filter(filter, bucket, scope)?;
        if let Precondition::Versions(versions) = precondition {
            builder.versions(versions, scope);
        }
        let mut statement = self.conn.prepare_cached(&builder.sql.text)?;
        bind(&mut statement, &builder.sql)?;
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            self.show(&shape, row)?;
        }
        Ok(())
    }

    /// Says why nothing was found: no such row, or another version of it.
    fn found(&self, filter: &Condition, bucket: Option<u16>, precondition: &Precondition) -> Run<()> {
        if self.done.affected > 0 {
            return match precondition {
                Precondition::Absent => Err(StoreError::PreconditionFailed.into()),
                _ => Ok(()),
            };
        }
        match precondition {
            Precondition::None | Precondition::Absent => Ok(()),
            Precondition::Exists => Err(StoreError::NotFound.into()),
            Precondition::Versions(_) => {
                let mut builder = Builder::new(&SQLITE, &self.shared.tables);
                let scope = builder.scope(self.table, &[]);
                builder.push("SELECT 1");
                builder.from(scope);
                builder.filter(filter, bucket, scope)?;
                builder.push(" LIMIT 1");
                let other_version = is_there(self.conn, &builder.sql)?;
                Err(if other_version {
                    StoreError::PreconditionFailed
                } else {
                    StoreError::NotFound
                }
                .into())
            }
        }
    }

    /// `PUT`: the row is there afterwards as given.
    fn replace(&mut self, change: &Change) -> Run<()> {
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
        let parts: Vec<(FieldIndex, &Value)> = match (&self.table.key[..], key) {
            ([field], key) => vec![(*field, key)],
            (fields, Value::List(values)) => fields.iter().copied().zip(values).collect(),
            _ => {
                return Err(
                    StoreError::Internal("a key of another shape than the table's".to_owned()).into(),
                );
            }
        };
        match (self.standing(&parts, filter)?, precondition) {
            (Some(standing), _) if !standing.allowed => Err(StoreError::CheckFailed.into()),
            (Some(_), Precondition::Absent) | (None, Precondition::Versions(_)) => {
                Err(StoreError::PreconditionFailed.into())
            }
            (Some(standing), Precondition::Versions(versions)) if !versions.contains(&standing.version) => {
                Err(StoreError::PreconditionFailed.into())
            }
            (Some(standing), _) => {
                let set: Vec<_> = update.iter().map(|(field, value)| (*field, value)).collect();
                self.set_located(&set, &standing.mark)
            }
            (None, Precondition::Exists) => Err(StoreError::NotFound.into()),
            (None, Precondition::None | Precondition::Absent) => {
                let fields: Vec<FieldIndex> = insert.iter().map(|(field, _)| *field).collect();
                let row: Vec<Value> = insert.iter().map(|(_, value)| value.clone()).collect();
                self.insert(&fields, &[row], &[*bucket])
            }
        }
    }

    /// Runs a statement that ends in [`Builder::returning`] and takes note of its rows.
    fn changed(&mut self, builder: &Builder<'_>, located: &[Owned]) -> Run<()> {
        let mut statement = self.conn.prepare_cached(&builder.sql.text)?;
        bind(&mut statement, &builder.sql)?;
        bind_mark(&mut statement, builder.sql.args.len(), located)?;
        let width = self.table.locator.len();
        let keys: Vec<&Column> = self
            .table
            .key
            .iter()
            .filter_map(|k| self.table.column(*k))
            .collect();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            self.done.affected += 1;
            if self.again {
                self.marks.push(mark(row, width)?);
            }
            if self.done.keys.len() < KEYS_MAX && !keys.is_empty() {
                self.done.keys.push(key(row, width, &keys)?);
            }
            if self.done.affected == 1 {
                self.done.version = row.get::<_, Option<Version>>(width + keys.len())?;
            }
        }
        Ok(())
    }

    /// Reads each changed row again: the check must hold, and the reply may show it.
    fn look_again(&mut self, check: &Condition, returning: Option<&[Item]>) -> Run<()> {
        if !self.again {
            return Ok(());
        }
        let items = returning.unwrap_or_default();
        let mut shape = Shape::new(items, self.table, &self.shared.tables)?;
        // Behind the check, and whether it is shown.
        shape.shift(2);
        let mut builder = Builder::new(&SQLITE, &self.shared.tables);
        let scope = builder.scope(self.table, items);
        builder.again(scope, check, &shape)?;
        let mut statement = self.conn.prepare_cached(&builder.sql.text)?;
        for mark in &std::mem::take(&mut self.marks) {
            bind(&mut statement, &builder.sql)?;
            bind_mark(&mut statement, builder.sql.args.len(), mark)?;
            let mut rows = statement.raw_query();
            let Some(row) = rows.next()? else { continue };
            if !row.get::<_, bool>(0)? {
                return Err(StoreError::CheckFailed.into());
            }
            if returning.is_some() && row.get::<_, bool>(1)? {
                self.show(&shape, row)?;
            }
        }
        Ok(())
    }

    /// Adds a row to the reply.
    fn show(&mut self, shape: &Shape<'_>, row: &Row<'_>) -> Run<()> {
        if !self.done.json.is_empty() {
            self.done.json.push(b',');
        }
        self.done.shown += 1;
        write_row(&shape.outs, row, &mut self.done.json)
    }

    /// Every `ref` that the database does not enforce itself must lead to a row.
    fn references(&self, write: &Write) -> Run<()> {
        let mut asked: Vec<(usize, &Value)> = write.must_exist.iter().map(|(r, value)| (*r, value)).collect();
        each_set(&write.change, &mut |field, value| {
            let target = self.table.column(field).and_then(|c| c.refers);
            let Some(target) = target.filter(|_| !value.is_null()) else {
                return;
            };
            let enforced = self.table.created && is_enforced(&self.shared.plan, self.table.resource, field);
            if !enforced && !asked.contains(&(target, value)) {
                asked.push((target, value));
            }
        });
        for (resource, value) in asked {
            // A resource of another store is asked there, by whoever knows both.
            let Some(target) = self.shared.tables.get(resource) else {
                continue;
            };
            let Some(key) = target.key_column() else { continue };
            let mut builder = Builder::new(&SQLITE, &self.shared.tables);
            builder.exists(target, key, value);
            if !is_there(self.conn, &builder.sql)? {
                let field = self.table.columns.iter().find(|c| c.refers == Some(resource));
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

/// A row that stands where a new one would.
struct Standing {
    mark: Vec<Owned>,
    allowed: bool,
    version: Version,
}

/// The locator at the front of a row.
fn mark(row: &Row<'_>, width: usize) -> Run<Vec<Owned>> {
    (0..width).map(|i| Ok(keep(row.get_ref(i)?))).collect()
}

fn bind_mark(statement: &mut CachedStatement<'_>, behind: usize, mark: &[Owned]) -> Run<()> {
    for (position, value) in mark.iter().enumerate() {
        statement.raw_bind_parameter(behind + position + 1, value)?;
    }
    Ok(())
}

/// The key behind the locator; a list when it has several fields.
fn key(row: &Row<'_>, width: usize, columns: &[&Column]) -> Run<Value> {
    let mut parts = Vec::with_capacity(columns.len());
    for (position, column) in columns.iter().enumerate() {
        let cell = Cell::from(row.get_ref(width + position)?);
        parts.push(codec::read(&cell, column).map_err(|why| Fail::Store(StoreError::Internal(why)))?);
    }
    Ok(if parts.len() == 1 {
        parts.remove(0)
    } else {
        Value::List(parts)
    })
}
