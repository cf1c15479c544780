//! One connection: its client, what it has prepared, and whether it may still be used.

use super::cancel::cancel;
use super::codec::Param;
use super::config::Target;
use super::errors::Run;
use super::session;
use crate::store::StoreError;
use crate::store::slow;
use crate::store::sql::Sql;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use stoa_exchange::clock;
use tokio_postgres::error::SqlState;
use tokio_postgres::{CancelToken, Client, RowStream, Statement};

/// Statements kept prepared by each connection.
const STATEMENTS_MAX: usize = 256;
/// How long a statement may hold up the others of a shared connection.
pub(super) const SHARED_TIME: Duration = Duration::from_millis(250);
/// How old a connection becomes: then a new one spreads the load anew after a fail-over.
const LIFE: Duration = Duration::from_mins(30);
/// What a session is asked first.
const SESSION: &str = "SELECT current_setting('stoa.session', true), \
    (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint";
/// How long a request to cancel may take.
const CANCEL: Duration = Duration::from_secs(2);

/// A connection, driven by a task of the runtime it was made in.
pub(super) struct Connection {
    pub(super) client: Client,
    cancel: CancelToken,
    target: Target,
    /// Whether somebody between hands one connection to many: nothing of a session holds there.
    pub(super) pooled: bool,
    /// When the server behind it was started, in microseconds since 1970: which one it is, where an address leads to
    /// several. 0 when that may change.
    pub(super) started: i64,
    prepared: Mutex<Prepared>,
    /// Requests under way.
    pub(super) in_flight: AtomicU32,
    /// Requests that were answered.
    pub(super) answered: AtomicU64,
    retired: AtomicBool,
    until: Instant,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// The statements of a connection by the hash of their text, the longest unused ones leaving first.
#[derive(Debug, Default)]
struct Prepared {
    by_hash: HashMap<u64, Known, foldhash::fast::RandomState>,
    clock: u64,
}

#[derive(Debug)]
struct Known {
    text: Box<str>,
    statement: Statement,
    used: u64,
}

impl Prepared {
    fn get(&mut self, hash: u64, text: &str) -> Option<Statement> {
        self.clock += 1;
        let known = self.by_hash.get_mut(&hash).filter(|known| *known.text == *text)?;
        known.used = self.clock;
        Some(known.statement.clone())
    }

    fn put(&mut self, hash: u64, text: &str, statement: Statement) {
        if self.by_hash.len() >= STATEMENTS_MAX {
            // An eighth at once, so that a flood of new shapes does not look for the oldest each time.
            let mut ages: Vec<u64> = self.by_hash.values().map(|known| known.used).collect();
            ages.sort_unstable();
            let bound = ages.get(STATEMENTS_MAX / 8).copied().unwrap_or(0);
            self.by_hash.retain(|_, known| known.used > bound);
        }
        self.clock += 1;
        let known = Known {
            text: text.into(),
            statement,
            used: self.clock,
        };
        self.by_hash.insert(hash, known);
    }
}

impl Connection {
    /// Connects, and finds out whether the session is the server's own.
    ///
    /// The server is handed a made-up setting: it keeps it for the session. What stands between and pools by
    /// transaction refuses the setting or drops it.
    pub(super) async fn open(target: &Target) -> Result<Self, tokio_postgres::Error> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mark = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut direct = target.clone();
        direct.config.options(format!(
            "{} -c stoa.session={mark} -c statement_timeout={} -c TimeZone=UTC",
            target.config.get_options().unwrap_or_default(),
            SHARED_TIME.as_millis()
        ));
        let (client, started) = match connect(&direct).await {
            Ok(client) => {
                let row = client.simple_query(SESSION).await?;
                let started = row.iter().find_map(|message| match message {
                    tokio_postgres::SimpleQueryMessage::Row(row) if row.get(0) == Some(&mark) => {
                        Some(row.get(1).and_then(|at| at.parse().ok()).unwrap_or(0))
                    }
                    _ => None,
                });
                (client, started)
            }
            Err(error) if refuses_options(&error) => (connect(target).await?, None),
            Err(error) => return Err(error),
        };
        if let (None, Some(options)) = (started, target.config.get_options()) {
            client.batch_execute(&session::insist(options)).await?;
        }
        // From three quarters of a life to all of it, so that not all end at once.
        let life = LIFE.mul_f64(0.75 + jitter() / 4.0);
        Ok(Self {
            cancel: client.cancel_token(),
            client,
            target: target.clone(),
            pooled: started.is_none(),
            started: started.unwrap_or(0),
            prepared: Mutex::default(),
            in_flight: AtomicU32::new(0),
            answered: AtomicU64::new(0),
            retired: AtomicBool::new(false),
            until: clock::now() + life,
        })
    }

    /// Whether a request may still be begun on it.
    pub(super) fn is_usable(&self) -> bool {
        !self.retired.load(Ordering::Relaxed) && !self.client.is_closed() && clock::now() < self.until
    }

    /// What each transaction begins with where nothing of a session holds: the zone that a direct connection is given.
    pub(super) fn zone(&self) -> &'static str {
        if self.pooled {
            "; SET LOCAL TimeZone = 'UTC'"
        } else {
            ""
        }
    }

    /// No request is begun on it any more.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
    }

    /// Forgets what was prepared: the tables have changed.
    pub(super) fn forget(&self) {
        self.lock().by_hash.clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Prepared> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The statement of this text, whose [`slow::shape`] is `hash`, where it is prepared already.
    pub(super) fn known(&self, hash: u64, text: &str) -> Option<Statement> {
        self.lock().get(hash, text)
    }

    /// Prepares a statement, unless it is or cannot be.
    pub(super) async fn prepare(&self, text: &str, params: &[Param<'_>]) -> Run<Option<Statement>> {
        if self.pooled {
            return Ok(None);
        }
        let hash = slow::shape(text);
        if let Some(statement) = self.known(hash, text) {
            return Ok(Some(statement));
        }
        let types: Vec<_> = params.iter().map(Param::ty).collect();
        let statement = self.client.prepare_typed(text, &types).await?;
        self.lock().put(hash, text, statement.clone());
        Ok(Some(statement))
    }

    /// Runs a statement. With the first poll it is on its way, so that several that are begun in turn go out together.
    pub(super) async fn begin(
        &self,
        statement: Option<&Statement>,
        text: &str,
        params: &[Param<'_>],
    ) -> Run<RowStream> {
        let rows = if let Some(statement) = statement {
            self.client.query_raw(statement, params.iter().copied()).await?
        } else {
            let typed = params.iter().map(|p| (*p, p.ty()));
            self.client.query_typed_raw(text, typed).await?
        };
        Ok(rows)
    }

    /// Prepares when that is needed, and runs.
    pub(super) async fn run(&self, text: &str, params: &[Param<'_>]) -> Run<RowStream> {
        let statement = self.prepare(text, params).await?;
        self.begin(statement.as_ref(), text, params).await
    }

    /// Asks the server, over a connection of its own, to stop what this one is at. Only for a connection that is
    /// held alone: whose request would be stopped otherwise?
    pub(super) fn stop(&self) {
        self.retire();
        let (token, target) = (self.cancel.clone(), self.target.clone());
        tokio::spawn(async move {
            // A server that cannot be reached ends the statement by its own time limit.
            let _ = tokio::time::timeout(CANCEL, cancel(&token, &target)).await;
        });
    }
}

async fn connect(target: &Target) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = target.config.connect(target.tls.clone()).await?;
    // Its end is seen by whoever asks something of the client.
    tokio::spawn(connection);
    Ok(client)
}

/// What PgBouncer says of a setting that it does not know.
fn refuses_options(error: &tokio_postgres::Error) -> bool {
    error
        .as_db_error()
        .is_some_and(|db| *db.code() == SqlState::PROTOCOL_VIOLATION || session::is_refusal(db))
}

/// From 0 to 1, differently each time.
pub(super) fn jitter() -> f64 {
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    (high >> 11) as f64 / (1_u64 << 53) as f64
}

/// The parameters of a built statement.
pub(super) fn params<'a>(sql: &'a Sql<'a>) -> Vec<Param<'a>> {
    sql.args.iter().map(Param::Arg).collect()
}

/// A connection that is closed for good.
pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".to_owned())
}
