//! One write, in a transaction on a connection held alone: the change, the checks after it, the rows as the reply
//! shows them, and the reply of an idempotency key.

mod change;
mod returned;

use super::Shared;
use super::codec::Param;
use super::enter;
use super::errors::{Fail, Run, explain};
use super::fence::Fence;
use super::idempotency;
use super::place::Question;
use super::pool::{Alone, within};
use super::pools::{self, As};
use crate::operation::{Change, Conflict, Write};
use crate::store::table::Table;
use crate::store::{Done, Outcome, Render, StoreError, Written};
use futures_util::TryStreamExt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stoa_exchange::clock;
use stoa_exchange::position::Position;
use tokio_postgres::Row;

/// How often a write is run when another transaction stands in its way.
const TRIES: u32 = 4;
/// How long undoing may take before the connection is given up.
const UNDO: Duration = Duration::from_secs(1);

/// A write under way.
struct Writing<'a> {
    shared: &'a Shared,
    connection: &'a Alone,
    write: &'a Write,
    fence: Option<&'a Fence>,
    table: &'a Table,
    deadline: Instant,
    /// Whether `BEGIN` was sent.
    begun: bool,
    /// Whether `COMMIT` was: from then on only the server knows.
    committing: bool,
    /// Whether a row that stood there was replaced.
    replaced: bool,
    done: Written,
    /// Where it ended, where there are replicas.
    at: Position,
}

/// Runs a write on the server that takes writes.
pub(super) async fn run(
    shared: &Arc<Shared>,
    (write, fence): (&Write, Option<&Fence>),
    deadline: Instant,
    render: &mut Option<Render>,
) -> Result<Done, StoreError> {
    let table = shared.table(write.resource)?;
    if table.view {
        return Err(StoreError::ReadOnly);
    }
    let mut tries = 0;
    loop {
        tries += 1;
        let primary = shared.lead()?;
        let pool = &pools::of(shared, primary, As::Primary)
            .ok_or_else(|| StoreError::Internal(String::from("the shard has no primary")))?;
        let connection = shared.hinting(pool.alone(deadline).await)?;
        let has_render = render.is_some();
        let mut writing = Writing {
            shared,
            connection: &connection,
            write,
            fence,
            table,
            deadline,
            begun: false,
            committing: false,
            replaced: false,
            done: Written::default(),
            at: Position::default(),
        };
        let ended = pool.limited(deadline, writing.transaction(render)).await;
        let fail = match shared.hinting(ended)? {
            Ok(outcome) => {
                let at = std::mem::take(&mut writing.at);
                connection.keep();
                if write.idempotency.is_some() {
                    idempotency::clean_sometimes(shared, pool);
                }
                return Ok(Done {
                    outcome,
                    at,
                    by: shared.chosen(primary),
                });
            }
            Err(fail) => fail,
        };
        // A reply that was made belongs to the attempt that made it.
        let may_repeat = tries < TRIES && !writing.committing && render.is_some() == has_render;
        let repeat = may_repeat && is_worth_another(&connection, write, &fail);
        if fail.is_lost() {
            shared.group.hint();
        } else {
            undo(connection).await;
        }
        if !repeat {
            if fence.is_some() && fail.is_not_owned() {
                return Err(StoreError::NotOwned);
            }
            return Err(explain(&shared.tables, write, fail, shared.shown()));
        }
    }
}

/// Whether running a write again may end otherwise.
fn is_worth_another(connection: &Alone, write: &Write, fail: &Fail) -> bool {
    if fail.is_stale_plan() || fail.is_foreign_statement() {
        connection.forget();
        return true;
    }
    // What another request made a moment ago is there now, to be overwritten or left alone.
    let overwrites = match &write.change {
        Change::Insert { conflict, .. } => *conflict != Conflict::Refuse,
        Change::Replace { .. } => true,
        Change::Update { .. } | Change::Delete { .. } => false,
    };
    fail.is_lost() || fail.is_conflict() || (overwrites && fail.is_unique())
}

/// Leaves the transaction. A connection that does not answer is given up.
async fn undo(connection: Alone) {
    let undone = within(clock::now() + UNDO, connection.client.batch_execute("ROLLBACK")).await;
    if matches!(undone, Ok(Ok(()))) {
        connection.keep();
    }
}

impl Writing<'_> {
    async fn transaction(&mut self, render: &mut Option<Render>) -> Run<Outcome> {
        if let Some(claim) = &self.write.idempotency {
            idempotency::make(self.shared, self.connection).await?;
            self.connection.client.batch_execute(&self.begin()).await?;
            self.begun = true;
            if let Some(reply) = idempotency::take(self.connection, claim).await? {
                self.end("ROLLBACK").await?;
                return Ok(Outcome::Replayed(reply));
            }
            if let Some(run_as) = &self.write.run_as {
                enter::enter(self.connection, run_as).await?;
            }
        }
        self.change().await?;
        let affected = self.done.affected;
        let too_many = self.write.max_affected.is_some_and(|max| affected > max);
        if too_many || (self.write.exactly_one && affected != 1) {
            return Err(StoreError::Affected(affected).into());
        }
        if self.write.exactly_one && self.write.returning.is_some() && self.done.shown != 1 {
            return Err(StoreError::Affected(self.done.shown).into());
        }
        if !self.shared.in_parts {
            self.references().await?;
        }
        if affected != 1 {
            self.done.version = None;
        }
        self.finish(render).await?;
        Ok(Outcome::Written(std::mem::take(&mut self.done)))
    }

    /// Ends the transaction; with the reply of an idempotency key in it.
    async fn finish(&mut self, render: &mut Option<Render>) -> Run<()> {
        if !self.begun {
            // Nothing was to be done.
            return self.ended_at().await;
        }
        if self.write.rollback {
            return self.end("ROLLBACK").await;
        }
        if let (Some(claim), Some(render)) = (&self.write.idempotency, render.take()) {
            let reply = render(&self.done);
            if let Some(run_as) = &self.write.run_as {
                enter::leave(self.connection).await?;
                idempotency::keep(self.connection, claim, &reply).await?;
                // Triggers that wait for the end of the transaction run as who made them wait.
                enter::enter(self.connection, run_as).await?;
            } else {
                idempotency::keep(self.connection, claim, &reply).await?;
            }
        }
        self.end("COMMIT").await
    }

    /// Where the primary is, when there was no transaction.
    async fn ended_at(&mut self) -> Run<()> {
        let group = &self.shared.group;
        if group.reads {
            let question = Question::written(self.connection).await?;
            self.at = Position::from(question.mark(group.shard, group.view().timeline).await);
        }
        Ok(())
    }

    /// Ends the transaction and asks, behind it and in one go, where that was.
    async fn end(&mut self, how: &str) -> Run<()> {
        let (client, group) = (&self.connection.client, &self.shared.group);
        if !group.reads {
            self.committing = how == "COMMIT";
            return Ok(client.batch_execute(how).await?);
        }
        let question = Question::written(self.connection).await?;
        let (timeline, began) = (group.view().timeline, clock::now());
        self.committing = how == "COMMIT";
        let (ended, mark) =
            futures_util::future::join(client.batch_execute(how), question.mark(group.shard, timeline)).await;
        ended?;
        group.wrote(mark, began);
        self.at = Position::from(mark);
        Ok(())
    }

    /// `BEGIN`, with as much time as is left; a process that goes away holds no lock for longer.
    fn begin(&self) -> String {
        let left = self
            .deadline
            .saturating_duration_since(clock::now())
            .as_millis()
            .max(1);
        // The fence looks at what is committed once it is held, whatever level the database prefers.
        let level = self.fence.map_or("", |_| " ISOLATION LEVEL READ COMMITTED");
        format!(
            "BEGIN{level}; SET LOCAL statement_timeout = {left}; SET LOCAL idle_in_transaction_session_timeout = {}{}{}{}",
            left + 1_000,
            self.connection.zone(),
            self.shared.commit,
            self.fence.map(Fence::take).unwrap_or_default()
        )
    }

    /// Runs a statement of the transaction; the first one goes out together with its `BEGIN`.
    async fn query(&mut self, text: &str, params: &[Param<'_>], once: bool) -> Run<Vec<Row>> {
        if let (false, Some(run_as)) = (self.begun, &self.write.run_as) {
            // Nothing is sent before the server has said as whom it runs.
            enter::begin(self.connection, &self.begin(), run_as).await?;
            self.begun = true;
        }
        // What will hardly come again is not prepared.
        let statement = if once {
            None
        } else {
            self.connection.prepare(text, params).await?
        };
        let run = async {
            let rows = self.connection.begin(statement.as_ref(), text, params).await?;
            Run::Ok(rows.try_collect::<Vec<Row>>().await?)
        };
        if self.begun {
            return run.await;
        }
        let begin = self.begin();
        let (begun, rows) =
            futures_util::future::join(self.connection.client.batch_execute(&begin), run).await;
        self.begun = true;
        begun?;
        rows
    }
}
