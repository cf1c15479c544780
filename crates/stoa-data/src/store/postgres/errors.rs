//! PostgreSQL's errors in the store's words.

use super::codec::Unfit;
use super::session::{REMEDY, is_refusal};
use crate::operation::{Change, FieldIndex, Write};
use crate::store::sql::Unbuildable;
use crate::store::table::{BUCKET, Table, Tables};
use crate::store::{ServerError, StoreError};
use crate::value::Value;
use tokio_postgres::Error;
use tokio_postgres::error::{DbError, SqlState};

/// Why a statement did not run.
#[derive(Debug)]
pub(super) enum Fail {
    /// PostgreSQL, or the way to it, says so.
    Sql(Error),
    /// The store says so.
    Store(StoreError),
    /// The replica has not replayed what the read must show.
    Behind,
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
    pub(super) fn unreadable(why: String) -> Self {
        Self::Store(StoreError::Internal(why))
    }

    fn state(&self) -> Option<&SqlState> {
        match self {
            Self::Sql(error) => error.code(),
            Self::Store(_) | Self::Behind => None,
        }
    }

    /// Whether the server stopped the statement.
    pub(super) fn is_canceled(&self) -> bool {
        self.state() == Some(&SqlState::QUERY_CANCELED)
    }

    /// Whether another transaction stood in the way and trying again helps.
    pub(super) fn is_conflict(&self) -> bool {
        matches!(
            self.state(),
            Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED)
        )
    }

    /// Whether the shard does not own what it was asked for: the gate of a statement, or the fence of a write, says so by
    /// dividing by zero, which nothing else in a statement of a sharded table does.
    pub(super) fn is_not_owned(&self) -> bool {
        self.state() == Some(&SqlState::DIVISION_BY_ZERO)
    }

    /// Whether a table is not there.
    pub(super) fn is_no_table(&self) -> bool {
        self.state() == Some(&SqlState::UNDEFINED_TABLE)
    }

    /// Whether a row was there already.
    pub(super) fn is_unique(&self) -> bool {
        self.state() == Some(&SqlState::UNIQUE_VIOLATION)
    }

    /// Whether a statement that was prepared is not there, or is another's: something between Stoa and the server
    /// hands out one connection to many.
    pub(super) fn is_foreign_statement(&self) -> bool {
        matches!(
            self.state(),
            Some(&SqlState::INVALID_SQL_STATEMENT_NAME | &SqlState::DUPLICATE_PSTATEMENT)
        )
    }

    /// Whether the statement's plan does not fit the tables any more.
    pub(super) fn is_stale_plan(&self) -> bool {
        match self {
            Self::Sql(error) => error.as_db_error().is_some_and(|e| {
                *e.code() == SqlState::FEATURE_NOT_SUPPORTED && e.routine() == Some("RevalidateCachedQuery")
            }),
            Self::Store(_) | Self::Behind => false,
        }
    }

    /// Whether the connection is lost or the server refuses to go on with it.
    pub(super) fn is_lost(&self) -> bool {
        match self {
            Self::Store(_) | Self::Behind => false,
            Self::Sql(error) => match error.code() {
                Some(state) => is_lost_state(state),
                None => error.is_closed() || is_io(error),
            },
        }
    }

    /// Whether nothing can be asked of the connection any more.
    pub(super) fn is_connection_lost(&self) -> bool {
        self.is_lost() && self.state() != Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
    }

    /// In the store's words.
    pub(super) fn plain(self, shown: &str) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Sql(error) => plain(&error, shown),
            Self::Behind => {
                StoreError::Unavailable(format!("{shown}: no server shows the caller's write yet"))
            }
        }
    }

    /// Whether another server may do what this replica did not: it is gone or busy, it must replay what the read is in
    /// the way of, or it does not have a new table yet.
    pub(super) fn is_for_another(&self) -> bool {
        match self {
            Self::Store(error) => matches!(error, StoreError::Unavailable(_) | StoreError::Overloaded),
            Self::Behind => false,
            Self::Sql(_) => {
                let code = self.state().map_or("", |state| state.code());
                self.is_lost()
                    || self.is_conflict()
                    || code.starts_with("53")
                    || matches!(code, "42P01" | "42703")
            }
        }
    }

    /// Whether it says that something is wrong with the server.
    pub(super) fn is_servers_fault(&self) -> bool {
        self.is_lost() || matches!(self, Self::Store(StoreError::Unavailable(_)))
    }
}

fn is_io(error: &Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        if inner.is::<std::io::Error>() {
            return true;
        }
        source = inner.source();
    }
    false
}

/// Whether a connection failed because nobody is there, or not ready to serve.
pub(super) fn is_absence(error: &Error) -> bool {
    match error.code() {
        // That never gets better by itself.
        Some(_) if error.as_db_error().is_some_and(is_refusal) => false,
        Some(state) => is_lost_state(state) || state.code().starts_with("53"),
        None => error.is_closed() || is_io(error),
    }
}

/// Whether the server lets no more connections in.
pub(super) fn is_full(error: &Error) -> bool {
    error.code() == Some(&SqlState::TOO_MANY_CONNECTIONS)
}

/// 08: connection; 57P0x: the server goes down or comes up; 25006: it is a follower.
fn is_lost_state(state: &SqlState) -> bool {
    let code = state.code();
    code.starts_with("08") || code.starts_with("57P") || *state == SqlState::READ_ONLY_SQL_TRANSACTION
}

/// What the driver says where the server wants to know what it was not told.
const NO_PASSWORD: &str = "password missing";

/// Errors without a look at the values behind them.
pub(super) fn plain(error: &Error, shown: &str) -> StoreError {
    let Some(db) = error.as_db_error() else {
        let why = std::error::Error::source(error).map_or_else(String::new, |s| format!(": {s}"));
        let unfit = std::error::Error::source(error).and_then(|s| s.downcast_ref::<Unfit>());
        return if let Some(unfit) = unfit {
            StoreError::Refused(unfit.to_string())
        } else if error.is_closed() || is_io(error) {
            StoreError::Unavailable(format!("{shown}: {error}{why}"))
        } else if why.contains(NO_PASSWORD) {
            StoreError::Unavailable(format!(
                "{shown} asks for a password, and the store's URL has none"
            ))
        } else {
            // What could not be bound or was not to be read.
            StoreError::Internal(format!("{shown}: {error}{why}"))
        };
    };
    let code = db.code();
    let unavailable = || {
        let said = format!(
            "{shown}: {} ({}){}",
            db.message(),
            code.code(),
            if is_refusal(db) {
                REMEDY
            } else {
                remedy(code.code())
            }
        );
        StoreError::Unavailable(said)
    };
    match code.code() {
        // The last one: the time ran out behind an answer that nobody looked behind, so that the next statement is told.
        "57014" | "55P03" | "25P03" | "25P04" | "25P02" => StoreError::Deadline,
        "53300" => StoreError::Unavailable(format!(
            "{shown} lets no more connections in: {} (53300). Raise max_connections or the login's CONNECTION LIMIT, or \
             run fewer processes or `server.workers`: each worker opens up to ten",
            db.message()
        )),
        "53400" | "40001" | "40P01" => StoreError::Overloaded,
        "53100" => StoreError::Full(format!("{shown}: {}", db.message())),
        "42P01" | "42703" | "3D000" | "3F000" => unavailable(),
        state if state.starts_with("28") || state.starts_with("53") || is_lost_state(code) => unavailable(),
        _ => said(db),
    }
}

/// What to do about a login that the server does not take.
fn remedy(state: &str) -> &'static str {
    match state {
        "28P01" => ". Check the user and the password in the store's URL",
        "28000" => ". Check the user in the store's URL, and what the server's pg_hba.conf lets in",
        "3D000" => ". Create the database, or name another in the store's URL",
        _ => "",
    }
}

/// What the server said, as it said it.
pub(super) fn said(db: &DbError) -> StoreError {
    StoreError::Server(Box::new(ServerError {
        state: db.code().code().into(),
        message: db.message().to_owned(),
        detail: db.detail().map(str::to_owned),
        hint: db.hint().map(str::to_owned),
    }))
}

/// Why a write failed, with the field and the value.
pub(super) fn explain(tables: &Tables, write: &Write, fail: Fail, shown: &str) -> StoreError {
    let (Fail::Sql(error), Some(table)) = (&fail, tables.get(write.resource)) else {
        return fail.plain(shown);
    };
    let Some(db) = error.as_db_error() else {
        return fail.plain(shown);
    };
    let found = match db.code().code() {
        "23505" => Some(unique(table, write, db)),
        "23503" => reference(tables, table, write, db),
        _ => None,
    };
    found.unwrap_or_else(|| fail.plain(shown))
}

/// `Key (a, b)=(1, 2) …`, in whatever language the words around are.
fn detail(db: &DbError) -> Option<(Vec<String>, &str)> {
    let text = db.detail()?;
    let (columns, values) = text.split_once(")=(")?;
    let (_, columns) = columns.split_once('(')?;
    let (values, _) = values.rsplit_once(')')?;
    let columns = columns
        .split(", ")
        .map(|c| c.trim_matches('"').replace("\"\"", "\""))
        .collect();
    Some((columns, values))
}

/// Which fields, and the value when it can be told from the others.
fn unique(table: &Table, write: &Write, db: &DbError) -> StoreError {
    let (mut columns, mut values) = detail(db).unwrap_or_default();
    // Neither the bucket nor the shard key in front of a unique field is what the caller repeated.
    let position = |name: &str| table.columns.iter().position(|c| c.is_called(name));
    let leads = |name: &str| name == BUCKET || (table.shard.is_some() && position(name) == table.shard);
    while columns.len() > 1 && columns.first().is_some_and(|c| leads(c)) {
        columns.remove(0);
        values = values.split_once(", ").map_or("", |(_, rest)| rest);
    }
    let fields: Vec<FieldIndex> = columns.iter().filter_map(|c| position(c)).collect();
    for name in &mut columns {
        if let Some(column) = table.columns.iter().find(|c| c.is_called(name)) {
            name.clone_from(&column.name);
        }
    }
    let value = match fields[..] {
        [field] => written(&write.change, field, values).or_else(|| some(values)),
        _ => some(values),
    };
    StoreError::Unique {
        fields: columns,
        value,
        said: words(table, db),
    }
}

/// What is said of a table that others made, whose constraints have names of theirs.
fn words(table: &Table, db: &DbError) -> Option<String> {
    (!table.created).then(|| db.message().to_owned())
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// The value as the caller wrote it: the only one of the write, or the one that the server names.
fn written(change: &Change, field: FieldIndex, named: &str) -> Option<String> {
    let all: Vec<&Value> = match change {
        Change::Insert { fields, rows, .. } => {
            let at = fields.iter().position(|f| *f == field)?;
            rows.iter().filter_map(|row| row.get(at)).collect()
        }
        Change::Update { set, .. } => only(set, field),
        Change::Replace { insert, .. } => only(insert, field),
        Change::Delete { .. } => return None,
    };
    match all[..] {
        [one] => Some(one.to_string()),
        _ => all.iter().map(ToString::to_string).find(|shown| shown == named),
    }
}

fn only(pairs: &[(FieldIndex, Value)], field: FieldIndex) -> Vec<&Value> {
    pairs
        .iter()
        .filter(|(f, _)| *f == field)
        .map(|(_, v)| v)
        .collect()
}

/// Which `ref` a write broke: its own, or one that leads to a row that was to go.
fn reference(tables: &Tables, table: &Table, write: &Write, db: &DbError) -> Option<StoreError> {
    let (columns, values) = detail(db)?;
    let holder = db.table()?;
    let named = db.constraint().unwrap_or_default();
    if !matches!(write.change, Change::Delete { .. }) {
        let name = columns.last()?;
        let column = table.columns.iter().find(|c| c.is_called(name))?;
        let field = table.columns.iter().position(|c| c.is_called(name))?;
        let value = values.rsplit(", ").next().unwrap_or_default();
        return Some(StoreError::Reference {
            field: column.name.clone(),
            resource: column
                .refers
                .and_then(|r| tables.get(r))
                .map_or_else(String::new, |t| t.label.clone()),
            value: written(&write.change, field, value).or_else(|| some(value)),
            still_referred: false,
            said: words(table, db),
        });
    }
    let child = tables.each().find(|t| t.is_named(holder))?;
    let candidates = || child.columns.iter().filter(|c| c.refers == Some(table.resource));
    let column = candidates()
        .find(|c| named.contains(&format!("_{}_", c.name)))
        .or_else(|| candidates().next());
    Some(StoreError::Reference {
        field: column.map(|c| c.name.clone()).unwrap_or_default(),
        resource: child.label.clone(),
        value: some(values.rsplit(", ").next().unwrap_or_default()),
        still_referred: true,
        said: words(table, db),
    })
}
