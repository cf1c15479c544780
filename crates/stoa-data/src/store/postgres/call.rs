//! Functions of the database: each call is one statement in a transaction of its own, read-only where nothing may change.

use super::alone::text_rows;
use super::codec::{self, Param};
use super::connection::{Connection, params};
use super::dialect::POSTGRES;
use super::enter;
use super::errors::{Fail, Run, said};
use super::place::Question;
use super::pool::within;
use super::pools::{self, As};
use super::read::{column, write_row};
use super::{RESULT_BYTES_MAX, Shared};
use crate::function::Response;
use crate::operation::{Count, FunctionCall, Gives, Read};
use crate::store::sql::{Arg, Builder, Shape};
use crate::store::{Page, StoreError};
use futures_util::TryStreamExt;
use std::borrow::Cow;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stoa_exchange::clock;
use stoa_exchange::position::Position;
use tokio_postgres::RowStream;

/// How long undoing may take before the connection is given up.
const UNDO: Duration = Duration::from_secs(1);

/// What a function chose of the reply.
const RESPONSE: &str =
    "SELECT current_setting('response.status', true), current_setting('response.headers', true)";
/// What another call may have left in the session is not this one's.
const CLEAR: &str = "; SET LOCAL response.status = ''; SET LOCAL response.headers = ''";

/// Runs a function, on the server that takes writes.
pub(super) async fn run(
    shared: &Arc<Shared>,
    call: &FunctionCall,
    deadline: Instant,
) -> Result<Page, StoreError> {
    let calling = Calling::new(shared, call).map_err(|fail| plain(fail, shared))?;
    let primary = shared.lead()?;
    let pool = pools::of(shared, primary, As::Primary)
        .ok_or_else(|| StoreError::Internal(String::from("the shard has no primary")))?;
    let connection = shared.hinting(pool.alone(deadline).await)?;
    let params = params(&calling.builder.sql);
    let result = pool
        .limited(deadline, async {
            let begin = begin(shared, &connection, &calling, deadline);
            let mut page = calling.page(&connection, &params, &begin).await?;
            if call.max_rows.is_some_and(|max| page.rows > max) {
                return Err(StoreError::Affected(page.rows).into());
            }
            page.at = end(shared, call, &connection).await?;
            page.by = shared.chosen(primary);
            Run::Ok(page)
        })
        .await;
    match shared.hinting(result)? {
        Ok(page) => {
            connection.keep();
            Ok(page)
        }
        Err(fail) => {
            if fail.is_stale_plan() || fail.is_foreign_statement() {
                connection.forget();
            }
            // A function that may change nothing and tries to says nothing about the server.
            if fail.is_connection_lost() || (call.changes && fail.is_lost()) {
                shared.group.hint();
            }
            if !fail.is_connection_lost() {
                let undone = within(clock::now() + UNDO, connection.client.batch_execute("ROLLBACK")).await;
                if matches!(undone, Ok(Ok(()))) {
                    connection.keep();
                }
            }
            Err(plain(fail, shared))
        }
    }
}

/// Ends the transaction. Where rows may have changed and are read from replicas, asks behind it where that was.
async fn end(shared: &Shared, call: &FunctionCall, connection: &Connection) -> Run<Position> {
    let (client, group) = (&connection.client, &shared.group);
    let how = if call.rollback { "ROLLBACK" } else { "COMMIT" };
    if !call.changes || !group.reads {
        client.batch_execute(how).await?;
        return Ok(Position::default());
    }
    let question = Question::written(connection).await?;
    let (timeline, began) = (group.view().timeline, clock::now());
    let (ended, mark) =
        futures_util::future::join(client.batch_execute(how), question.mark(group.shard, timeline)).await;
    ended?;
    group.wrote(mark, began);
    Ok(Position::from(mark))
}

/// In the store's words: what a function itself is about is the caller's to know.
fn plain(fail: Fail, shared: &Shared) -> StoreError {
    if let Fail::Sql(error) = &fail
        && let Some(db) = error.as_db_error()
        && matches!(db.code().code(), "25006" | "42P01" | "42703" | "40001" | "40P01")
    {
        return said(db);
    }
    fail.plain(shared.shown())
}

fn begin(shared: &Shared, connection: &Connection, calling: &Calling<'_>, deadline: Instant) -> String {
    let call = calling.call;
    let left = deadline
        .saturating_duration_since(clock::now())
        .as_millis()
        .max(1);
    let (how, commit) = if call.changes {
        ("", shared.commit)
    } else {
        (" READ ONLY", "")
    };
    format!(
        "BEGIN{how}; SET LOCAL statement_timeout = {left}; SET LOCAL idle_in_transaction_session_timeout = {}{}{commit}{}",
        left + 1_000,
        connection.zone(),
        if calling.sets_response { CLEAR } else { "" }
    )
}

/// A call as it is run.
struct Calling<'a> {
    call: &'a FunctionCall,
    builder: Builder<'a>,
    /// How a row becomes JSON, where the rows are a resource's; and the column of the count.
    shape: Option<(Shape<'a>, Option<usize>)>,
    /// Whether it may choose the reply's status and fields.
    sets_response: bool,
}

impl<'a> Calling<'a> {
    fn new(shared: &'a Shared, call: &'a FunctionCall) -> Run<Self> {
        let mut builder = Builder::new(&POSTGRES, &shared.tables);
        let routine = shared.routines.get(call.function).and_then(Option::as_ref);
        let routine =
            routine.ok_or_else(|| StoreError::Internal("the function is in another store".to_owned()))?;
        let source = routine.call(call.args.iter().map(|(position, _)| *position));
        let values = call.args.iter().map(|(_, value)| value.as_deref());
        builder
            .sql
            .args
            .extend(values.map(|value| Arg::Literal(value.map(Cow::Borrowed))));
        let shape = match &call.gives {
            Gives::Resource(read) => Some(of_resource(&mut builder, read, source)?),
            gives => {
                let shown = if *gives == Gives::Void {
                    "SELECT NULL FROM "
                } else {
                    "SELECT to_json(t) FROM "
                };
                builder.push(shown);
                builder.push(&source);
                builder.push(" AS t");
                if let Gives::Rows { limit, offset } = gives {
                    builder.push(" LIMIT ");
                    builder.bind(Arg::Int(i64::try_from(*limit).unwrap_or(i64::MAX)));
                    builder.push(" OFFSET ");
                    builder.bind(Arg::Int(i64::try_from(*offset).unwrap_or(i64::MAX)));
                }
                None
            }
        };
        let sets = shared.plan.functions.get(call.function);
        Ok(Self {
            call,
            builder,
            shape,
            sets_response: sets.is_some_and(|function| function.sets_response),
        })
    }

    /// Begins the transaction and runs the statement: both go out at once, or, where it is run as somebody, when the server
    /// has said that it is.
    async fn page(&self, connection: &Connection, params: &[Param<'_>], begin: &str) -> Run<Page> {
        let text = &self.builder.sql.text;
        if let Some(run_as) = &self.call.run_as {
            enter::begin(connection, begin, run_as).await?;
        }
        let statement = connection.prepare(text, params).await?;
        let begun = async {
            if self.call.run_as.is_none() {
                connection.client.batch_execute(begin).await?;
            }
            Run::Ok(())
        };
        let run = async {
            let rows = connection.begin(statement.as_ref(), text, params).await?;
            self.collect(rows).await
        };
        let (begun, page, response) =
            futures_util::future::join3(begun, run, self.response(connection)).await;
        begun?;
        let mut page = page?;
        page.response = response?;
        Ok(page)
    }

    /// What the function chose of the reply: asked right behind it, and read before anything is committed.
    async fn response(&self, connection: &Connection) -> Run<Response> {
        if !self.sets_response {
            return Ok(Response::default());
        }
        let messages = connection.client.simple_query(RESPONSE).await?;
        let row = text_rows(&messages).into_iter().next().unwrap_or_default();
        let text = |at: usize| row.get(at).and_then(|text| text.as_deref());
        Ok(Response::read(text(0), text(1))?)
    }

    async fn collect(&self, rows: RowStream) -> Run<Page> {
        let mut page = Page::default();
        let mut rows = pin!(rows);
        while let Some(row) = rows.try_next().await? {
            if let Gives::Resource(read) = &self.call.gives
                && page.rows == read.limit
            {
                page.more = true;
                break;
            }
            if page.rows > 0 {
                page.json.push(b',');
            }
            page.rows += 1;
            if let Some((shape, total)) = &self.shape {
                write_row(&shape.outs, &row, &mut page.json)?;
                if let (None, Some(slot)) = (page.total, total) {
                    page.total = column(&row, *slot)?.and_then(codec::int).map(i64::unsigned_abs);
                }
            } else {
                match column(&row, 0)?.and_then(codec::json) {
                    Some(text) => codec::write_compact(text, &mut page.json),
                    None => page.json.extend_from_slice(b"null"),
                }
            }
            if page.json.len() > RESULT_BYTES_MAX {
                return Err(StoreError::Refused(format!(
                    "the result is larger than {} MiB: ask for fewer rows",
                    RESULT_BYTES_MAX >> 20
                ))
                .into());
            }
        }
        if let (Gives::Resource(read), None) = (&self.call.gives, page.total)
            && read.count != Count::None
            && read.offset == 0
            && !page.more
        {
            page.total = Some(page.rows);
        }
        Ok(page)
    }
}

/// Rows of a resource out of a function, chosen, ordered and counted in one statement: what it does, it does once.
fn of_resource<'a>(
    builder: &mut Builder<'a>,
    read: &'a Read,
    source: String,
) -> Run<(Shape<'a>, Option<usize>)> {
    builder.source = Some(source);
    let table = builder.table(read.resource)?;
    let mut shape = Shape::new(&read.select, table, builder.tables)?;
    shape.positions(&read.order)?;
    // Groups are counted by nobody: the page says how many there are.
    let counted = read.count != Count::None && !shape.grouped;
    let total = counted.then(|| shape.total());
    builder.read(read, &shape)?;
    Ok((shape, total))
}
