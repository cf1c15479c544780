//! The one writer: takes what waits, runs it in one transaction with a savepoint for each write, commits once,
//! and only then answers. A write that fails undoes itself alone.

use super::connect::{Limited, Use, open_limited};
use super::errors::{Run, explain, unavailable};
use super::{Claims, Shared, idempotency, write};
use crate::operation::Write;
use crate::store::{Outcome, Render, StoreError, Written};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};
use stoa_exchange::clock;
use tokio::sync::oneshot;

/// Writes of one transaction at most.
const BATCH_MAX: usize = 256;
/// After this long no further write joins a transaction. In tests much later: a simulation's seed decides, not the machine.
const BATCH_TIME: Duration = Duration::from_millis(if cfg!(test) { 5_000 } else { 5 });
/// How long another process's lock is waited for.
const BUSY: Duration = Duration::from_secs(1);
/// Time between two cleanings of old idempotency keys.
const CLEAN_EVERY: Duration = Duration::from_mins(1);

/// A write that waits for its turn.
pub(super) struct Job {
    pub(super) write: Write,
    pub(super) deadline: Instant,
    pub(super) render: Option<Render>,
    pub(super) claim: Option<Claims>,
    pub(super) reply: oneshot::Sender<Result<Outcome, StoreError>>,
}

/// A write of the transaction under way.
struct Running {
    job: Job,
    result: Option<Result<Outcome, StoreError>>,
    /// Whether the result stands whatever becomes of the transaction.
    settled: bool,
}

/// Runs until every sender is gone.
pub(super) fn serve(shared: &Arc<Shared>, jobs: &Receiver<Job>) {
    let mut connection: Option<Limited> = None;
    let mut cleaned = clock::now();
    while let Ok(first) = jobs.recv() {
        let limited = match connection.take().map_or_else(|| connect(shared), Ok) {
            Ok(limited) => limited,
            Err(error) => {
                let _ = first.reply.send(Err(error));
                continue;
            }
        };
        // After a panic nothing was committed: the connection goes, and with it the transaction; nobody of the batch is
        // told that it was written.
        let ran = catch_unwind(AssertUnwindSafe(|| batch(&limited, shared, first, jobs)));
        let healthy = ran.unwrap_or(false);
        if healthy {
            if clock::now().saturating_duration_since(cleaned) > CLEAN_EVERY {
                // What is not cleaned now is cleaned next time.
                let more = idempotency::clean(&limited.conn).unwrap_or(false);
                if !more {
                    cleaned = clock::now();
                }
            }
            connection = Some(limited);
        }
    }
}

fn connect(shared: &Shared) -> Result<Limited, StoreError> {
    let limited = open_limited(&shared.path, Use::Write, BUSY)?;
    #[cfg(test)]
    match shared.pages_max.load(std::sync::atomic::Ordering::Relaxed) {
        0 => {}
        pages => limited
            .conn
            .pragma_update(None, "max_page_count", pages)
            .expect("a pragma of a test"),
    }
    if shared.manages {
        // Own tables live in WAL mode; a file of somebody else keeps the mode it has.
        limited
            .conn
            .pragma_update(None, "journal_mode", "WAL")
            .map_err(|error| unavailable(&shared.path, &error))?;
    }
    Ok(limited)
}

/// One transaction. Whether the connection may be used again.
pub(super) fn batch(limited: &Limited, shared: &Shared, first: Job, jobs: &Receiver<Job>) -> bool {
    let started = clock::now();
    let mut running = Vec::with_capacity(8);
    let mut next = Some(first);
    let outcome = (|| -> Run<()> {
        limited.limit.set(None);
        limited.conn.execute_batch("BEGIN IMMEDIATE")?;
        while let Some(job) = next.take() {
            running.push(Running {
                job,
                result: None,
                settled: false,
            });
            attempt(limited, shared, &mut running)?;
            let full =
                running.len() >= BATCH_MAX || clock::now().saturating_duration_since(started) > BATCH_TIME;
            next = if full { None } else { jobs.try_recv().ok() };
        }
        finish(limited, &mut running)
    })();
    let failed = outcome.err().map(|fail| fail.plain(&shared.path));
    if failed.is_some() && !limited.conn.is_autocommit() {
        let _ = limited.conn.execute_batch("ROLLBACK");
    }
    if let Some(job) = next {
        running.push(Running {
            job,
            result: None,
            settled: false,
        });
    }
    for entry in running {
        let result = match (&failed, entry.result) {
            (Some(_), Some(result)) if entry.settled => result,
            (Some(error), _) => Err(repeat(error)),
            (None, Some(result)) => result,
            (None, None) => Err(StoreError::Internal("a write was not run".to_owned())),
        };
        // The claim goes after the answer is ready, so that whoever asks next finds the kept reply.
        drop(entry.job.claim);
        let _ = entry.job.reply.send(result);
    }
    match failed {
        None => true,
        Some(error) => limited.conn.is_autocommit() && !matches!(error, StoreError::Unavailable(_)),
    }
}

/// Runs the last write of the list. When it took the whole transaction with it (its time ran out, the disk is
/// full), the transaction is begun again and the others, which are innocent, are run once more.
fn attempt(limited: &Limited, shared: &Shared, running: &mut [Running]) -> Run<()> {
    let Some(last) = running.last_mut() else {
        return Ok(());
    };
    one(limited, shared, last);
    while limited.conn.is_autocommit() {
        limited.conn.execute_batch("BEGIN IMMEDIATE")?;
        for entry in running.iter_mut().filter(|r| !r.settled) {
            one(limited, shared, entry);
            if limited.conn.is_autocommit() {
                break;
            }
        }
    }
    Ok(())
}

/// Runs one write in a savepoint of its own.
fn one(limited: &Limited, shared: &Shared, entry: &mut Running) {
    let write = &entry.job.write;
    if clock::now() >= entry.job.deadline {
        entry.result = Some(Err(StoreError::Deadline));
        entry.settled = true;
        return;
    }
    let result = (|| -> Run<Outcome> {
        if let Some(claim) = &write.idempotency
            && let Some(reply) = idempotency::kept(&limited.conn, claim)?
        {
            return Ok(Outcome::Replayed(reply));
        }
        limited.conn.prepare_cached("SAVEPOINT one")?.execute([])?;
        limited.limit.set(Some(entry.job.deadline));
        let result = write::run(&limited.conn, shared, write);
        limited.limit.set(None);
        result.map(Outcome::Written)
    })();
    limited.limit.set(None);
    if limited.conn.is_autocommit() {
        // The transaction is gone; `attempt` sees it. This one is not run again.
        entry.settled = true;
        entry.result = Some(Err(match result {
            Err(fail) => fail.plain(&shared.path),
            Ok(_) => StoreError::Internal("the transaction ended by itself".to_owned()),
        }));
        return;
    }
    let undo = result.is_err() || write.rollback;
    let closed = if matches!(result, Ok(Outcome::Replayed(_))) {
        Ok(())
    } else {
        close(limited, undo)
    };
    entry.result = Some(match (result, closed) {
        (Ok(outcome), Ok(())) => Ok(outcome),
        // It stands only with the transaction: what the write met may have been another one's of the same transaction.
        (Err(fail), _) => Err(explain(&limited.conn, shared, write, fail)),
        (Ok(_), Err(fail)) => Err(fail.plain(&shared.path)),
    });
}

fn close(limited: &Limited, undo: bool) -> Run<()> {
    if undo {
        limited.conn.prepare_cached("ROLLBACK TO one")?.execute([])?;
    }
    limited.conn.prepare_cached("RELEASE one")?.execute([])?;
    Ok(())
}

/// Keeps the replies of idempotency keys and commits.
fn finish(limited: &Limited, running: &mut [Running]) -> Run<()> {
    for entry in running {
        let (Some(claim), Some(Ok(Outcome::Written(written)))) =
            (&entry.job.write.idempotency, &entry.result)
        else {
            continue;
        };
        if entry.job.write.rollback {
            continue;
        }
        if let Some(render) = entry.job.render.take() {
            let written: &Written = written;
            idempotency::keep(&limited.conn, claim, &render(written))?;
        }
    }
    limited.conn.prepare_cached("COMMIT")?.execute([])?;
    Ok(())
}

/// The same error for the next of a transaction that failed as a whole.
fn repeat(error: &StoreError) -> StoreError {
    match error {
        StoreError::Full(text) => StoreError::Full(text.clone()),
        StoreError::Unavailable(text) => StoreError::Unavailable(text.clone()),
        StoreError::Deadline => StoreError::Deadline,
        other => StoreError::Internal(other.to_string()),
    }
}
