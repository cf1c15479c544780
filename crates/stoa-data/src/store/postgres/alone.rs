//! A connection outside the pools: for what happens seldom, as migrations and introspection do.

use super::config::Target;
use super::connection::Connection;
use super::errors;
use crate::store::StoreError;
use stoa_config::plan::Secret;
use tokio_postgres::{Error, SimpleQueryMessage};

/// One connection that nobody else uses, driven by a task of the runtime it was made in.
pub(crate) struct Alone {
    connection: Connection,
    /// Hosts and database, for people; never the password.
    pub(crate) shown: String,
}

/// A row as text.
pub(crate) type TextRow = Vec<Option<String>>;

impl Alone {
    /// Connects.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] says what is wrong without showing the URL.
    pub(crate) async fn open(url: &Secret) -> Result<Self, StoreError> {
        let target = Target::parse(url.expose())?;
        let connection = Connection::open(&target)
            .await
            .map_err(|error| errors::plain(&error, &target.shown))?;
        let alone = Self {
            connection,
            shown: target.shown,
        };
        // What migrates takes its time; what it waits for has a bound of its own.
        alone
            .run("SET statement_timeout = 0")
            .await
            .map_err(|e| alone.broken(&e))?;
        Ok(alone)
    }

    /// Statements without parameters. The error is the database's own.
    pub(crate) async fn run(&self, sql: &str) -> Result<(), Error> {
        self.connection.client.batch_execute(sql).await
    }

    /// The rows of one statement, by the simple protocol, which leaves nothing behind in a session.
    pub(crate) async fn rows(&self, sql: &str) -> Result<Vec<TextRow>, Error> {
        let messages = self.connection.client.simple_query(sql).await?;
        let row = |message: &SimpleQueryMessage| match message {
            SimpleQueryMessage::Row(row) => {
                Some((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect())
            }
            _ => None,
        };
        Ok(messages.iter().filter_map(row).collect())
    }

    /// The error in the store's words.
    pub(crate) fn broken(&self, error: &Error) -> StoreError {
        errors::plain(error, &self.shown)
    }
}
