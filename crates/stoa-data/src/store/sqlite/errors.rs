//! SQLite's errors in the store's words.

use super::Shared;
use crate::operation::{Change, Condition, FieldIndex, Write};
use crate::store::sql::{Builder, Unbuildable};
use crate::store::table::{Table, is_enforced, quote};
use crate::store::{ServerError, StoreError};
use crate::value::Value;
use rusqlite::{Connection, Error, ErrorCode, ffi};
use std::collections::HashSet;
use std::path::Path;

/// Why a statement did not run.
#[derive(Debug)]
pub(super) enum Fail {
    /// SQLite says so.
    Sql(Error),
    /// The store says so.
    Store(StoreError),
    /// Statements of this shape took long before: not to be tried in the worker.
    Slow,
}

pub(super) type Run<T> = Result<T, Fail>;

impl From<Error> for Fail {
    fn from(error: Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Fail {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Unbuildable> for Fail {
    fn from(why: Unbuildable) -> Self {
        Self::Store(StoreError::Internal(why.0))
    }
}

impl Fail {
    /// Whether the statement ran into its time limit.
    pub(super) fn is_interrupt(&self) -> bool {
        matches!(self, Self::Sql(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted))
    }

    /// Whether the file is locked at the moment.
    pub(super) fn is_busy(&self) -> bool {
        matches!(self, Self::Sql(error) if matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        ))
    }

    /// In the store's words, without looking for the values behind it.
    pub(super) fn plain(self, path: &Path) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Slow => StoreError::Internal("a read was left to the readers and came back".to_owned()),
            Self::Sql(error) => unavailable(path, &error),
        }
    }
}

/// A value that a cast in the statement refused.
fn uncastable(error: &Error) -> Option<StoreError> {
    let message = match error {
        Error::SqliteFailure(_, Some(message)) => message,
        Error::SqlInputError { msg, .. } => msg,
        _ => return None,
    };
    let (state, message) = super::functions::cast_fault(message)?;
    Some(StoreError::Server(Box::new(ServerError {
        state: state.into(),
        message: message.to_owned(),
        detail: None,
        hint: None,
    })))
}

/// Errors that are not about a value.
pub(crate) fn unavailable(path: &Path, error: &Error) -> StoreError {
    if let Some(uncastable) = uncastable(error) {
        return uncastable;
    }
    let shown = path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::OperationInterrupted) => StoreError::Deadline,
        Some(ErrorCode::DiskFull) => StoreError::Full(format!("{shown}: {error}")),
        Some(ErrorCode::NotADatabase) => StoreError::Unavailable(format!("{shown} is not a SQLite database")),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            StoreError::Unavailable(format!("{shown}: another process holds the lock"))
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            StoreError::Unavailable(format!("{shown} or its folder is not writable: {error}"))
        }
        Some(ErrorCode::CannotOpen | ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt) => {
            StoreError::Unavailable(format!("{shown}: {error}"))
        }
        Some(ErrorCode::TooBig) => {
            StoreError::Refused("a value is larger than the database takes".to_owned())
        }
        Some(ErrorCode::ConstraintViolation) => StoreError::Refused(error.to_string()),
        _ => StoreError::Internal(format!("{shown}: {error}")),
    }
}

/// Why a write failed, with the field and the value. Runs after the write was undone, in the same transaction.
pub(super) fn explain(conn: &Connection, shared: &Shared, write: &Write, fail: Fail) -> StoreError {
    let Fail::Sql(error) = &fail else {
        return fail.plain(&shared.path);
    };
    let (Some(ErrorCode::ConstraintViolation), Some(table)) =
        (error.sqlite_error_code(), shared.tables.get(write.resource))
    else {
        return fail.plain(&shared.path);
    };
    let message = match error {
        Error::SqliteFailure(_, Some(message)) => message.as_str(),
        Error::SqlInputError { msg, .. } => msg.as_str(),
        _ => "",
    };
    let found = match error.sqlite_error().map(|e| e.extended_code) {
        Some(
            ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY | ffi::SQLITE_CONSTRAINT_ROWID,
        ) => Some(unique(conn, shared, table, write, message)),
        Some(ffi::SQLITE_CONSTRAINT_FOREIGNKEY | ffi::SQLITE_CONSTRAINT_TRIGGER) => {
            reference(conn, shared, table, write).ok().flatten()
        }
        Some(ffi::SQLITE_CONSTRAINT_NOTNULL) => {
            let column = message.rsplit('.').next().unwrap_or_default();
            Some(StoreError::Refused(format!("{column} must not be null")))
        }
        _ => None,
    };
    found.unwrap_or_else(|| StoreError::Refused(message.to_owned()))
}

/// `UNIQUE constraint failed: table.column, table.column`
fn unique(conn: &Connection, shared: &Shared, table: &Table, write: &Write, message: &str) -> StoreError {
    let named = message.split_once(": ").map_or("", |(_, columns)| columns);
    let mut fields: Vec<FieldIndex> = named
        .split(", ")
        .filter_map(|column| {
            let name = column.rsplit_once('.').map_or(column, |(_, name)| name);
            table
                .columns
                .iter()
                .position(|c| c.quoted.eq_ignore_ascii_case(&quote(name)))
        })
        .collect();
    // The shard key is in front of every unique field; it is not what the caller repeated.
    if fields.len() > 1 {
        fields.retain(|f| Some(*f) != table.shard);
    }
    let value = repeated(conn, shared, table, write, &fields);
    StoreError::Unique {
        fields: fields
            .iter()
            .filter_map(|f| table.column(*f))
            .map(|c| c.name.clone())
            .collect(),
        value,
        said: None,
    }
}

/// The first value of a write that is there already, or that the write has twice.
fn repeated(
    conn: &Connection,
    shared: &Shared,
    table: &Table,
    write: &Write,
    fields: &[FieldIndex],
) -> Option<String> {
    let [field] = fields else {
        let row = rows(&write.change).next()?;
        let shown: Vec<String> = fields
            .iter()
            .map(|f| row.get(*f).map_or_else(|| "?".to_owned(), ToString::to_string))
            .collect();
        return (!shown.is_empty()).then(|| shown.join(", "));
    };
    let column = table.column(*field)?;
    let mut seen = HashSet::new();
    let mut last = None;
    for row in rows(&write.change) {
        let Some(value) = row.get(*field).filter(|v| !v.is_null()) else {
            continue;
        };
        if !seen.insert(value.to_string()) {
            return Some(value.to_string());
        }
        let mut builder = Builder::new(&super::dialect::SQLITE, &shared.tables);
        builder.exists(table, column, value);
        if super::read::is_there(conn, &builder.sql).unwrap_or(false) {
            return Some(value.to_string());
        }
        last = Some(value.to_string());
    }
    last
}

/// One row that a write sets.
struct Row<'a> {
    fields: Option<&'a [FieldIndex]>,
    values: Option<&'a [Value]>,
    pairs: &'a [(FieldIndex, Value)],
}

impl<'a> Row<'a> {
    fn get(&self, field: FieldIndex) -> Option<&'a Value> {
        match (self.fields, self.values) {
            (Some(fields), Some(values)) => values.get(fields.iter().position(|f| *f == field)?),
            _ => self.pairs.iter().find(|(f, _)| *f == field).map(|(_, v)| v),
        }
    }
}

fn rows(change: &Change) -> Box<dyn Iterator<Item = Row<'_>> + '_> {
    let one = |pairs| {
        Box::new(std::iter::once(Row {
            fields: None,
            values: None,
            pairs,
        }))
    };
    match change {
        Change::Insert { fields, rows, .. } => Box::new(rows.iter().map(move |values| Row {
            fields: Some(fields),
            values: Some(values),
            pairs: &[],
        })),
        Change::Update { set, .. } => one(set.as_slice()),
        Change::Replace { insert, .. } => one(insert.as_slice()),
        Change::Delete { .. } => Box::new(std::iter::empty()),
    }
}

/// Which `ref` a write broke.
fn reference(conn: &Connection, shared: &Shared, table: &Table, write: &Write) -> Run<Option<StoreError>> {
    if let Change::Delete { filter, .. } = &write.change {
        return still_referred(conn, shared, table, filter);
    }
    for row in rows(&write.change) {
        for (field, column) in table.columns.iter().enumerate() {
            let Some(target) = column.refers.and_then(|r| shared.tables.get(r)) else {
                continue;
            };
            let Some(value) = row.get(field).filter(|v| !v.is_null()) else {
                continue;
            };
            let Some(key) = target.key_column() else { continue };
            let own = target.resource == table.resource
                && rows(&write.change).any(|r| target.key.first().and_then(|k| r.get(*k)) == Some(value));
            let mut builder = Builder::new(&super::dialect::SQLITE, &shared.tables);
            builder.exists(target, key, value);
            if !own && !super::read::is_there(conn, &builder.sql)? {
                return Ok(Some(StoreError::Reference {
                    field: column.name.clone(),
                    resource: target.label.clone(),
                    value: Some(value.to_string()),
                    still_referred: false,
                    said: None,
                }));
            }
        }
    }
    Ok(None)
}

/// Which rows still refer to one that was to go.
fn still_referred(
    conn: &Connection,
    shared: &Shared,
    table: &Table,
    filter: &Condition,
) -> Run<Option<StoreError>> {
    for child in shared.tables.each() {
        for (field, column) in child.columns.iter().enumerate() {
            if column.refers != Some(table.resource)
                || (child.created && !is_enforced(&shared.plan, child.resource, field))
            {
                continue;
            }
            if let Some(value) = super::read::referred(conn, shared, table, child, column, filter)? {
                return Ok(Some(StoreError::Reference {
                    field: column.name.clone(),
                    resource: child.label.clone(),
                    value: Some(value.to_string()),
                    still_referred: true,
                    said: None,
                }));
            }
        }
    }
    Ok(None)
}
