//! A connection outside the pools: for what happens seldom, as migrations and introspection do.

use super::config::Target;
use super::connection::Connection;
use super::errors;
use super::group::Group;
use crate::store::{Role, StoreError};
use std::sync::Arc;
use std::time::Duration;
use stoa_config::plan::{PostgresShard, Secret};
use tokio_postgres::{Error, SimpleQueryMessage};

/// How long a server may take to let somebody in before it counts as away.
const REACH: Duration = Duration::from_secs(10);

/// Lets the server wait, until the transaction ends, for what takes its time. Those of the settings that it has: one of them is
/// of PostgreSQL 17.
const UNBOUNDED: &str = "SELECT set_config(name, '0', true) FROM pg_settings \
    WHERE name IN ('statement_timeout', 'transaction_timeout'); ";

/// One connection that nobody else uses, driven by a task of the runtime it was made in.
pub(crate) struct Alone {
    connection: Connection,
    /// Hosts and database, for people; never the password.
    pub(crate) shown: String,
}

/// A server that does not take a shard's writes.
pub(crate) struct Found {
    /// What it is.
    pub(crate) role: Role,
    /// Why it is given nothing.
    pub(crate) out: Option<String>,
    /// Host and database, for people; never the password.
    pub(crate) shown: String,
    target: Target,
}

impl Found {
    /// Whether it is a replica that reads may go to.
    pub(crate) fn is_read_from(&self) -> bool {
        self.role == Role::Replica && self.out.is_none()
    }

    /// Connects to it.
    ///
    /// # Errors
    /// As [`Alone::open`].
    pub(crate) async fn open(self) -> Result<Alone, StoreError> {
        Alone::to(self.target).await
    }
}

/// Runs something in a runtime of its own, for callers that may not wait.
///
/// # Errors
/// What it gives, and [`StoreError`] when there is no runtime or it ended early.
pub(crate) fn apart<T: Send, E: Send + From<StoreError>>(
    work: impl AsyncFnOnce() -> Result<T, E> + Send,
) -> Result<T, E> {
    std::thread::scope(|scope| {
        let running = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(|error| StoreError::Unavailable(format!("no runtime: {error}")))?;
            runtime.block_on(work())
        });
        running
            .join()
            .map_err(|_| StoreError::Internal("work apart ended early".to_owned()))?
    })
}

/// A row as text.
pub(crate) type TextRow = Vec<Option<String>>;

/// The rows among the messages of the simple protocol.
pub(super) fn text_rows(messages: &[SimpleQueryMessage]) -> Vec<TextRow> {
    let row = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => Some((0..row.len()).map(|i| row.get(i).map(str::to_owned)).collect()),
        _ => None,
    };
    messages.iter().filter_map(row).collect()
}

impl Alone {
    /// Connects.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] says what is wrong without showing the URL.
    pub(crate) async fn open(url: &Secret) -> Result<Self, StoreError> {
        Self::to(Target::parse(url.expose())?).await
    }

    /// Connects to the server of a shard that takes writes, whichever of those that its URLs name that is.
    ///
    /// # Errors
    /// As [`Self::open`], and [`StoreError::NoPrimary`].
    pub(crate) async fn primary(shard: &PostgresShard) -> Result<Self, StoreError> {
        let group = Group::new(0, shard, Duration::ZERO, &[])?;
        if !group.is_watched() {
            return Self::open(&shard.write).await;
        }
        super::watch::look_first(&group).await;
        let primary = group.members.get(group.lead()?);
        let target = primary.map(|member| member.write.as_ref().clone());
        Self::to(target.ok_or_else(|| StoreError::Internal(String::from("the shard has no primary")))?).await
    }

    /// Connects to the server of a shard that takes writes, or to a replica where none does.
    ///
    /// # Errors
    /// As [`Self::primary`].
    pub(crate) async fn reading(shard: &PostgresShard) -> Result<Self, StoreError> {
        let (primary, others) = Self::all(shard).await;
        match (primary, others.into_iter().find(Found::is_read_from)) {
            (Err(_), Some(replica)) => replica.open().await,
            (primary, _) => primary,
        }
    }

    /// The server of a shard that takes writes, and what each of the others is.
    pub(crate) async fn all(shard: &PostgresShard) -> (Result<Self, StoreError>, Vec<Found>) {
        let group = match Group::new(0, shard, Duration::ZERO, &[]) {
            Ok(group) => group,
            Err(error) => return (Err(error), Vec::new()),
        };
        if group.is_watched() {
            super::watch::look_first(&group).await;
        }
        let lead = group.lead();
        let view = group.view();
        let others = group.members.iter().zip(&view.seen).enumerate();
        let others = others.filter(|(index, _)| lead.as_ref().ok() != Some(index));
        let others = others.map(|(_, (member, seen))| Found {
            role: seen.role,
            out: seen.out.clone(),
            shown: member.read.shown.clone(),
            target: member.read.as_ref().clone(),
        });
        let others = others.collect();
        let primary = match lead.map(|lead| group.members.get(lead)) {
            Ok(Some(member)) => Self::to(member.write.as_ref().clone()).await,
            Ok(None) => Err(StoreError::Internal(String::from("the shard has no primary"))),
            Err(error) => Err(error),
        };
        (primary, others)
    }

    /// Why the server of a shard that takes writes cannot be reached: none answers, or none takes writes. `None` when one
    /// does, also when it refuses the login or has no such database: whoever waits for that waits for ever.
    ///
    /// # Errors
    /// [`StoreError`] says what is wrong with a URL.
    pub(crate) async fn away(shard: &PostgresShard) -> Result<Option<String>, StoreError> {
        let group = Group::new(0, shard, Duration::ZERO, &[])?;
        if group.is_watched() {
            super::watch::look_first(&group).await;
        }
        let target = match group.lead() {
            Ok(lead) => group.members.get(lead).map(|member| Arc::clone(&member.write)),
            Err(StoreError::NoPrimary(why)) => return Ok(Some(why)),
            Err(error) => return Err(error),
        };
        let Some(target) = target else { return Ok(None) };
        let away = |why: StoreError| match why {
            StoreError::Unavailable(text) => text,
            other => other.to_string(),
        };
        match tokio::time::timeout(REACH, Connection::open(&target)).await {
            Err(_) => Ok(Some(format!("{} does not answer", target.shown))),
            Ok(Err(error)) if errors::is_absence(&error) => {
                Ok(Some(away(errors::plain(&error, &target.shown))))
            }
            Ok(_) => Ok(None),
        }
    }

    async fn to(target: Target) -> Result<Self, StoreError> {
        let shown = target.shown.clone();
        // What migrates takes its time, and what it waits for has a bound of its own; a server that says nothing has this one.
        let entered = tokio::time::timeout(REACH, async {
            let connection = Connection::open(&target).await?;
            if !connection.pooled {
                let session = UNBOUNDED.replace("true", "false");
                connection.client.batch_execute(&session).await?;
            }
            Ok(connection)
        });
        match entered.await {
            Ok(Ok(connection)) => Ok(Self { connection, shown }),
            Ok(Err(error)) => Err(errors::plain(&error, &shown)),
            Err(_) => Err(StoreError::Unavailable(format!("{shown} does not answer"))),
        }
    }

    /// What stands in front of statements that may take their time, in one transaction with them: nothing, where the
    /// session says so already. Where others are given the same connection next, nothing of it is left for them.
    pub(crate) fn unbounded(&self) -> &'static str {
        if self.connection.pooled { UNBOUNDED } else { "" }
    }

    /// Statements without parameters. The error is the database's own.
    pub(crate) async fn run(&self, sql: &str) -> Result<(), Error> {
        self.connection.client.batch_execute(sql).await
    }

    /// The rows of one statement, by the simple protocol, which leaves nothing behind in a session.
    pub(crate) async fn rows(&self, sql: &str) -> Result<Vec<TextRow>, Error> {
        Ok(text_rows(&self.connection.client.simple_query(sql).await?))
    }

    /// The error in the store's words.
    pub(crate) fn broken(&self, error: &Error) -> StoreError {
        errors::plain(error, &self.shown)
    }
}
