//! SQLite: rows of one file. Reads run in the worker for about a millisecond and go to a few reader threads when
//! that is not enough; writes go through one writer thread that commits many at once.

pub(crate) mod bound;
mod codec;
pub(crate) mod connect;
mod dialect;
mod errors;
mod functions;
pub(crate) mod idempotency;
mod read;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
mod write;
mod writer;

use super::table::{Table, Tables};
use super::{Done, Outcome, Page, Render, Store, StoreError, StoreFuture, StoredReply};
use crate::operation::{IdempotencyClaim, Read, Write};
pub(crate) use codec::{Cell, boolean as read_boolean, decimal, read_date, read_time, uuid as read_uuid};
pub(crate) use errors::unavailable;

use super::slow::{self, Slow};
use connect::{Limited, Use, open_limited};
use errors::{Fail, Run};
use std::cell::RefCell;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use stoa_config::plan::Plan;
use stoa_exchange::clock;
use tokio::sync::oneshot;

/// Bytes of one result at most: no reply may fill the memory.
const RESULT_BYTES_MAX: usize = 64 << 20;
/// How long a read may hold a worker.
const WORKER_TIME: Duration = Duration::from_millis(1);
/// Threads for reads that take longer.
const READERS: usize = 4;
/// Reads that wait for a reader at most.
const READS_MAX: usize = 256;
/// Writes that wait at most.
const WRITES_MAX: usize = 1_024;
/// How long a reader waits for a lock (a file that is not in WAL mode has such).
const READER_BUSY: Duration = Duration::from_millis(250);
/// What a write that was about to be answered when its time ran out is still waited for.
const WRITE_GRACE: Duration = Duration::from_millis(500);
/// Connections of one thread at most: one for each SQLite store, some more while a reload drains the old ones.
const CONNECTIONS_MAX: usize = 32;

/// What the store's threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    id: u64,
    pub(crate) path: PathBuf,
    pub(crate) plan: Arc<Plan>,
    pub(crate) tables: Tables,
    /// Whether Stoa made tables in this file.
    manages: bool,
    slow: Slow,
    claims: Arc<Mutex<HashSet<[u8; 32]>>>,
    closed: AtomicBool,
    /// Pages that the writer may use, for tests of a full disk; 0 is no bound.
    #[cfg(test)]
    pages_max: std::sync::atomic::AtomicU32,
}

impl Shared {
    /// What is shared over an open file.
    fn open(
        plan: &Arc<Plan>,
        store: usize,
        path: &Path,
        conn: &rusqlite::Connection,
    ) -> Result<Self, StoreError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let tables = connect::tables(plan, store, conn)?;
        let manages = tables.each().any(|t| t.created);
        Ok(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            path: path.to_owned(),
            plan: Arc::clone(plan),
            manages,
            tables,
            slow: Slow::new(),
            claims: Arc::default(),
            closed: AtomicBool::new(false),
            #[cfg(test)]
            pages_max: std::sync::atomic::AtomicU32::new(0),
        })
    }

    fn table(&self, resource: usize) -> Result<&Table, StoreError> {
        self.tables
            .get(resource)
            .ok_or_else(|| StoreError::Internal(format!("resource {resource} lives in another store")))
    }
}

/// The idempotency keys whose first request is still running, one of them held.
struct Claims {
    all: Arc<Mutex<HashSet<[u8; 32]>>>,
    scope: [u8; 32],
}

impl Drop for Claims {
    fn drop(&mut self) {
        self.all
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.scope);
    }
}

/// A read that waits for a reader.
struct ReadJob {
    read: Read,
    deadline: Instant,
    reply: oneshot::Sender<Result<Page, StoreError>>,
}

/// One SQLite file as a store.
pub(crate) struct SqliteStore {
    shared: Arc<Shared>,
    reads: SyncSender<ReadJob>,
    writes: SyncSender<writer::Job>,
    cursor_key: [u8; 32],
}

impl SqliteStore {
    /// Opens the file and starts its threads; they end when the store is dropped.
    pub(crate) fn open(plan: &Arc<Plan>, store: usize, path: &Path) -> Result<Self, StoreError> {
        let conn = connect::open(path, Use::Read, READER_BUSY)?;
        let shared = Arc::new(Shared::open(plan, store, path, &conn)?);
        let cursor_key = cursor_key(&conn, path, shared.manages)?;
        drop(conn);
        let (reads, waiting_reads) = sync_channel(READS_MAX);
        let (writes, waiting_writes) = sync_channel(WRITES_MAX);
        let waiting_reads = Arc::new(Mutex::new(waiting_reads));
        for number in 0..READERS {
            let (shared, waiting) = (Arc::clone(&shared), Arc::clone(&waiting_reads));
            spawn(&format!("stoa-read-{number}"), move || {
                serve_reads(&shared, &waiting);
            })?;
        }
        let writer = Arc::clone(&shared);
        spawn("stoa-write", move || writer::serve(&writer, &waiting_writes))?;
        Ok(Self {
            shared,
            reads,
            writes,
            cursor_key,
        })
    }

    /// Makes the disk full at so many pages.
    #[cfg(test)]
    fn limit_pages(&self, pages: u32) {
        self.shared.pages_max.store(pages, Ordering::Relaxed);
    }

    /// A read in the worker, when it is worth a try. `None`: to be run by a reader.
    fn read_here(&self, read: &Read, deadline: Instant) -> Option<Result<Page, StoreError>> {
        let shared = &self.shared;
        let until = deadline.min(clock::now() + WORKER_TIME);
        let mut text = 0;
        let result = with_connection(shared, |limited| {
            limited.limit.set(Some(until));
            let hash = std::cell::Cell::new(0);
            let result = read::run(&limited.conn, shared, read, |sql| {
                hash.set(slow::shape(sql));
                !shared.slow.is(hash.get())
            });
            limited.limit.set(None);
            text = hash.get();
            result
        });
        match result {
            Ok(page) => Some(Ok(page)),
            Err(Fail::Slow) => None,
            Err(fail) if fail.is_busy() => None,
            Err(fail) if fail.is_interrupt() => {
                shared.slow.remember(text);
                None
            }
            Err(fail) => Some(Err(fail.plain(&shared.path))),
        }
    }

    async fn read_elsewhere(&self, read: &Read, deadline: Instant) -> Result<Page, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = ReadJob {
            read: read.clone(),
            deadline,
            reply,
        };
        self.reads.try_send(job).map_err(|error| refused(&error))?;
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(StoreError::Internal("the store gave no answer".to_owned())),
            Err(_) => Err(StoreError::Deadline),
        }
    }

    /// Takes the idempotency key of a write, or says that its first request still runs.
    fn claim(&self, write: &Write) -> Result<Option<Claims>, StoreError> {
        let Some(claim) = &write.idempotency else {
            return Ok(None);
        };
        let new = self
            .shared
            .claims
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(claim.scope);
        if !new {
            return Err(StoreError::IdempotencyRunning);
        }
        Ok(Some(Claims {
            all: Arc::clone(&self.shared.claims),
            scope: claim.scope,
        }))
    }

    /// The reply of an idempotency key. It is found by its key, so the worker itself looks.
    fn kept_here(
        &self,
        claim: &IdempotencyClaim,
        deadline: Instant,
    ) -> Result<Option<StoredReply>, StoreError> {
        let running = self
            .shared
            .claims
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&claim.scope);
        if running {
            return Err(StoreError::IdempotencyRunning);
        }
        let found = with_connection(&self.shared, |limited| {
            limited.limit.set(Some(deadline));
            let found = idempotency::kept(&limited.conn, claim);
            limited.limit.set(None);
            found
        });
        match found {
            // The writer, which can wait for a lock, looks again.
            Err(fail) if fail.is_busy() || matches!(fail, Fail::Slow) => Ok(None),
            found => found.map_err(|fail| fail.plain(&self.shared.path)),
        }
    }

    async fn write_there(
        &self,
        write: Write,
        deadline: Instant,
        render: Option<Render>,
    ) -> Result<Outcome, StoreError> {
        let claim = self.claim(&write)?;
        let (reply, answer) = oneshot::channel();
        let job = writer::Job {
            write,
            deadline,
            render,
            claim,
            reply,
        };
        self.writes.try_send(job).map_err(|error| refused(&error))?;
        match tokio::time::timeout_at((deadline + WRITE_GRACE).into(), answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(StoreError::Internal("the store gave no answer".to_owned())),
            Err(_) => Err(StoreError::Deadline),
        }
    }
}

impl Store for SqliteStore {
    fn read<'a>(&'a self, read: &'a Read, deadline: Instant) -> StoreFuture<'a, Page> {
        Box::pin(async move {
            match self.read_here(read, deadline) {
                Some(result) => result,
                None => self.read_elsewhere(read, deadline).await,
            }
        })
    }

    fn write(&self, write: Write, deadline: Instant, render: Option<Render>) -> StoreFuture<'_, Done> {
        Box::pin(async move { Ok(self.write_there(write, deadline, render).await?.into()) })
    }

    fn kept<'a>(&'a self, claim: &'a IdempotencyClaim, deadline: Instant) -> StoreFuture<'a, Option<Done>> {
        Box::pin(async move {
            let kept = self.kept_here(claim, deadline)?;
            Ok(kept.map(|reply| Outcome::Replayed(reply).into()))
        })
    }

    fn ready(&self, deadline: Instant) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let result = with_connection(&self.shared, |limited| {
                limited.limit.set(Some(deadline));
                let result = limited
                    .conn
                    .query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()));
                limited.limit.set(None);
                Ok(result?)
            });
            match result {
                Err(Fail::Slow) => open_limited(&self.shared.path, Use::Read, READER_BUSY).map(drop),
                other => other.map_err(|fail| fail.plain(&self.shared.path)),
            }
        })
    }

    fn cursor_key(&self) -> [u8; 32] {
        self.cursor_key
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
    }
}

fn refused<T>(error: &TrySendError<T>) -> StoreError {
    match error {
        TrySendError::Full(_) => StoreError::Overloaded,
        TrySendError::Disconnected(_) => StoreError::Unavailable("the store's thread has ended".to_owned()),
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), StoreError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
        .map(drop)
        .map_err(|error| StoreError::Unavailable(format!("no thread for the store: {error}")))
}

/// A reader thread: takes reads as they come, each under its own deadline.
fn serve_reads(shared: &Arc<Shared>, waiting: &Mutex<Receiver<ReadJob>>) {
    let mut connection: Option<Limited> = None;
    loop {
        let job = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        if job.reply.is_closed() {
            continue;
        }
        let limited = match connection
            .take()
            .map_or_else(|| open_limited(&shared.path, Use::Read, READER_BUSY), Ok)
        {
            Ok(limited) => limited,
            Err(error) => {
                let _ = job.reply.send(Err(error));
                continue;
            }
        };
        limited.limit.set(Some(job.deadline));
        let ran = catch_unwind(AssertUnwindSafe(|| {
            read::run(&limited.conn, shared, &job.read, |_| true)
        }));
        // After a panic the connection goes; the thread and what else waits for it stay.
        let Ok(result) = ran else { continue };
        limited.limit.set(None);
        let result = result.map_err(|fail| fail.plain(&shared.path));
        if !matches!(result, Err(StoreError::Unavailable(_))) {
            connection = Some(limited);
        }
        let _ = job.reply.send(result);
    }
}

/// A thread's own connection to a store.
struct Own {
    store: u64,
    shared: std::sync::Weak<Shared>,
    limited: Limited,
}

thread_local! {
    static CONNECTIONS: RefCell<Vec<Own>> = const { RefCell::new(Vec::new()) };
}

/// Runs something on this thread's connection to the store, which is opened at first use.
fn with_connection<T>(shared: &Arc<Shared>, run: impl FnOnce(&Limited) -> Run<T>) -> Run<T> {
    CONNECTIONS.with_borrow_mut(|list| {
        let position = if let Some(position) = list.iter().position(|own| own.store == shared.id) {
            position
        } else {
            list.retain(|own| {
                own.shared
                    .upgrade()
                    .is_some_and(|s| !s.closed.load(Ordering::Relaxed))
            });
            if list.len() >= CONNECTIONS_MAX {
                list.remove(0);
            }
            // A lock that is held for a moment is waited for by a reader, not here.
            let limited = open_limited(&shared.path, Use::Read, Duration::ZERO).map_err(|_| Fail::Slow)?;
            list.push(Own {
                store: shared.id,
                shared: Arc::downgrade(shared),
                limited,
            });
            list.len() - 1
        };
        let own = list
            .get(position)
            .ok_or_else(|| StoreError::Internal("no connection".to_owned()))?;
        let result = run(&own.limited);
        if matches!(&result, Err(Fail::Sql(error)) if is_fatal(error)) {
            list.swap_remove(position);
        }
        result
    })
}

/// Whether a connection is better opened anew after this.
fn is_fatal(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode;
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::SystemIoFailure
                | ErrorCode::NotADatabase
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::CannotOpen
        )
    )
}

/// The key of cursors: made with the first migration; in a file where Stoa makes no table, from the file's name.
/// A forged cursor shows its maker no row that the access rule does not.
fn cursor_key(conn: &rusqlite::Connection, path: &Path, manages: bool) -> Result<[u8; 32], StoreError> {
    let derived = || {
        let digest =
            aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, path.as_os_str().as_encoded_bytes());
        <[u8; 32]>::try_from(digest.as_ref()).unwrap_or([0; 32])
    };
    if !manages {
        return Ok(derived());
    }
    let kept: Result<Vec<u8>, _> = conn.query_row(
        "SELECT value FROM _stoa_meta WHERE name = 'cursor_key'",
        [],
        |row| row.get(0),
    );
    kept.ok()
        .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
        .ok_or_else(|| {
            StoreError::Unavailable(format!(
                "{} has not been prepared: run `stoa migrate apply`",
                path.display()
            ))
        })
}

/// A decimal as SQL keeps it.
pub(crate) fn decimal_sql(text: &str, precision: u8, scale: u8) -> Option<String> {
    codec::decimal_literal(text, precision, scale)
}

/// A moment as SQL keeps it.
pub(crate) fn time_text(text: &str) -> Option<String> {
    codec::read_time(&codec::Cell::Text(text.into())).map(crate::value::render_time)
}
