//! Reads: statements run, rows made JSON.

mod rows;
mod way;

use super::Shared;
use super::codec::{self, Param, Raw};
use super::connection::{Connection, SHARED_TIME, params};
use super::dialect::POSTGRES;
use super::enter;
use super::errors::{Fail, Run};
use crate::operation::{Count, Read};
use crate::store::slow;
use crate::store::sql::{Arg, Builder, Gate, Position, Shape, Sql};
use crate::store::{Mark, Page, StoreError};
use crate::value::Value;
use futures_util::TryStreamExt;
use rows::member_value;
pub(super) use rows::{column, write_row};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use stoa_exchange::clock;
use tokio_postgres::{Row, RowStream, Statement};
use way::{Check, Way};

/// What the server gets on top of a deadline, so that it is the one to say that time ran out.
pub(super) const GRACE: Duration = Duration::from_millis(200);

/// Room that a page has for its first row.
const ROW_BYTES: usize = 256;

/// A read as it is run.
struct Reading<'a> {
    shared: &'a Shared,
    read: &'a Read,
    shape: Shape<'a>,
    /// Columns of the entries of the order.
    order: Vec<Position<'a>>,
    version: Option<usize>,
    sql: Sql<'a>,
    /// The hash of its text.
    hash: u64,
    gate: Option<Gate>,
    /// Whether the page says where each row ends and stands in the order.
    marks: bool,
    deadline: Instant,
    /// Rows that came, of all tries.
    progress: AtomicU64,
}

/// Runs a read.
pub(super) async fn run(
    shared: &Arc<Shared>,
    read: &Read,
    (gate, marks): (Option<Gate>, bool),
    deadline: Instant,
) -> Result<Page, StoreError> {
    let reading =
        Reading::new(shared, read, (gate, marks), deadline).map_err(|fail| fail.plain(shared.shown()))?;
    let result = reading.anywhere(shared).await;
    result.map_err(|fail| match gate {
        Some(_) if fail.is_not_owned() => StoreError::NotOwned,
        _ => fail.plain(shared.shown()),
    })
}

impl<'a> Reading<'a> {
    fn new(
        shared: &'a Shared,
        read: &'a Read,
        (gate, marks): (Option<Gate>, bool),
        deadline: Instant,
    ) -> Run<Self> {
        let table = shared.table(read.resource)?;
        let mut shape = Shape::new(&read.select, table, &shared.tables)?;
        let order = shape.positions(&read.order)?;
        // The version of a bound row costs a hash of all its columns: only where one row is asked for.
        let versioned = !shape.grouped && (table.created || read.limit <= 1);
        let version = versioned.then(|| shape.version());
        let mut builder = Builder::new(&POSTGRES, &shared.tables);
        builder.gate = gate;
        builder.read(read, &shape)?;
        Ok(Self {
            shared,
            read,
            order,
            version,
            hash: slow::shape(&builder.sql.text),
            sql: builder.sql,
            gate,
            marks,
            shape,
            deadline,
            progress: AtomicU64::new(0),
        })
    }

    async fn run(&self, pool: &Way<'_>) -> Run<Page> {
        let mut page = match self.first(pool).await? {
            Some(page) => page,
            // With an exact count two statements must see one state of the data.
            None if self.read.count == Count::Exact => return Box::pin(self.counted(pool)).await,
            None => Box::pin(self.alone(pool)).await?,
        };
        page.total = match self.read.count {
            Count::None => None,
            _ if self.is_whole(&page) => Some(self.read.offset.saturating_add(page.rows)),
            Count::Exact => return Box::pin(self.counted(pool)).await,
            Count::Planned => Some(Box::pin(self.planned(pool)).await?),
            Count::Estimated => Some(Box::pin(self.estimated(pool)).await?),
        };
        Ok(page)
    }

    /// Whether the page itself says how many rows there are.
    fn is_whole(&self, page: &Page) -> bool {
        self.read.after.is_none() && !page.more && (page.rows > 0 || self.read.offset == 0)
    }

    /// The read over a shared connection. `None`: to be run on a connection held alone.
    async fn first(&self, pool: &Way<'_>) -> Run<Option<Page>> {
        // What somebody runs stands in a transaction of its own.
        if self.read.run_as.is_some() || pool.is_pooled() == Some(true) || self.shared.slow.is(self.hash) {
            return Ok(None);
        }
        for again in [true, false] {
            let connection = pool.shared(self.deadline).await?;
            if connection.pooled {
                return Ok(None);
            }
            let started = clock::now();
            let over = pin!(self.over(pool, &connection));
            match pool.answer(&connection, self, over).await {
                // The server ends each statement long before: this connection hangs.
                Err(StoreError::Deadline)
                    if clock::now().saturating_duration_since(started) > SHARED_TIME * 2 =>
                {
                    connection.retire();
                    return Err(pool.unanswered().into());
                }
                Err(late) => return Err(late.into()),
                Ok(Err(fail)) if fail.is_canceled() => {
                    self.shared.slow.remember(self.hash);
                    return Ok(None);
                }
                Ok(Err(fail)) if again && is_worth_another(&connection, &fail) => {}
                Ok(result) => return result.map(Some),
            }
        }
        Ok(None)
    }

    /// The read over one shared connection, with what is checked in front of it.
    async fn over(&self, pool: &Way<'_>, connection: &Connection) -> Run<Page> {
        // What most reads do not need is in boxes: it is large.
        let params = params(&self.sql);
        let statement = match connection.known(self.hash, &self.sql.text) {
            None => Box::pin(connection.prepare(&self.sql.text, &params)).await?,
            known => known,
        };
        let check = pool.check(connection).await?;
        let page = pin!(async {
            let rows = connection
                .begin(statement.as_ref(), &self.sql.text, &params)
                .await?;
            self.collect(rows).await
        });
        let (checked, page) = if check.is_needed() {
            Box::pin(futures_util::future::join(check.passes(), page)).await
        } else {
            (Ok(()), page.await)
        };
        connection.answered.fetch_add(1, Ordering::Relaxed);
        checked?;
        page
    }

    /// `BEGIN`, with as much time as is left.
    fn begin(&self, connection: &Connection, how: &str) -> String {
        let left = self.deadline.saturating_duration_since(clock::now());
        format!(
            "BEGIN {how}; SET LOCAL statement_timeout = {}{}",
            left.as_millis().max(1),
            connection.zone()
        )
    }

    /// The read on a connection of its own.
    async fn alone(&self, pool: &Way<'_>) -> Run<Page> {
        let connection = pool.alone(self.deadline).await?;
        let mut page = self.once(pool, &connection).await?;
        if let Err(fail) = &page
            && is_worth_another(&connection, fail)
        {
            page = self.once(pool, &connection).await?;
        }
        connection.keep();
        page
    }

    async fn once(&self, pool: &Way<'_>, connection: &Connection) -> Run<Run<Page>> {
        let params = params(&self.sql);
        let transaction = async {
            let statement = self.prepare(connection, &self.sql, &params).await?;
            let page = async {
                let rows = self
                    .rows(connection, statement.as_ref(), &self.sql, &params)
                    .await?;
                self.collect(rows).await
            };
            let check = pool.check(connection).await?;
            let begin = self.begin(connection, "READ ONLY");
            self.transaction(connection, &check, &begin, page).await
        };
        pool.limited(self.deadline, Box::pin(transaction)).await?
    }

    /// Runs what stands in one transaction: all of it goes out at once, or, where it is run as somebody, when the server
    /// has said that it is. The outer error leaves the connection in a state that nobody knows.
    async fn transaction<T>(
        &self,
        connection: &Connection,
        check: &Check<'_, '_>,
        begin: &str,
        work: impl Future<Output = Run<T>>,
    ) -> Run<Run<T>> {
        let client = &connection.client;
        if let Some(run_as) = &self.read.run_as {
            if let Err(fail) = enter::begin(connection, begin, run_as).await {
                return if fail.is_lost() { Err(fail) } else { Ok(Err(fail)) };
            }
            let checked = check.passes().await;
            let done = work.await;
            client.batch_execute("COMMIT").await?;
            return Ok(checked.and(done));
        }
        let all = futures_util::future::join4(
            client.batch_execute(begin),
            check.passes(),
            work,
            client.batch_execute("COMMIT"),
        );
        let (begun, checked, done, ended) = all.await;
        begun?;
        ended?;
        Ok(checked.and(done))
    }

    /// Prepares ahead of the transaction. Not where it is run as somebody: the login may not even know the schema.
    async fn prepare(
        &self,
        connection: &Connection,
        sql: &Sql<'_>,
        params: &[Param<'_>],
    ) -> Run<Option<Statement>> {
        match &self.read.run_as {
            Some(_) => Ok(None),
            None => connection.prepare(&sql.text, params).await,
        }
    }

    async fn rows(
        &self,
        connection: &Connection,
        prepared: Option<&Statement>,
        sql: &Sql<'_>,
        params: &[Param<'_>],
    ) -> Run<RowStream> {
        if self.read.run_as.is_some() {
            return connection.run(&sql.text, params).await;
        }
        connection.begin(prepared, &sql.text, params).await
    }

    /// The read and the count of all its rows, of one state of the data.
    async fn counted(&self, pool: &Way<'_>) -> Run<Page> {
        let mut counting = Builder::new(&POSTGRES, &self.shared.tables);
        counting.gate = self.gate;
        counting.count(self.read)?;
        let connection = pool.alone(self.deadline).await?;
        let (read, count) = (params(&self.sql), params(&counting.sql));
        let both = pool
            .limited(
                self.deadline,
                Box::pin(async {
                    let reads = self.prepare(&connection, &self.sql, &read).await?;
                    let counts = self.prepare(&connection, &counting.sql, &count).await?;
                    let begin = self.begin(&connection, "ISOLATION LEVEL REPEATABLE READ READ ONLY");
                    let page = async {
                        let rows = self.rows(&connection, reads.as_ref(), &self.sql, &read).await?;
                        self.collect(rows).await
                    };
                    let total = async {
                        let rows = self
                            .rows(&connection, counts.as_ref(), &counting.sql, &count)
                            .await?;
                        number(rows).await
                    };
                    let both = async {
                        let (page, total) = futures_util::future::join(page, total).await;
                        Run::Ok((page?, total?))
                    };
                    // Its first statement decides what all of it sees: what is checked stands in front.
                    let check = pool.check(&connection).await?;
                    if connection.pooled && check.is_needed() {
                        return Ok(Err(Fail::Behind));
                    }
                    match check.passes().await {
                        Err(fail) if fail.is_lost() => return Err(fail),
                        Err(fail) => return Ok(Err(fail)),
                        Ok(()) => {}
                    }
                    Box::pin(self.transaction(&connection, &Check::none(), &begin, both)).await
                }),
            )
            .await??;
        connection.keep();
        let (mut page, total) = both?;
        page.total = Some(total);
        Ok(page)
    }

    /// What the planner expects.
    async fn planned(&self, pool: &Way<'_>) -> Run<u64> {
        let mut builder = Builder::new(&POSTGRES, &self.shared.tables);
        builder.push("EXPLAIN (FORMAT JSON) ");
        builder.matches(self.read)?;
        let plan = self.one(pool, &builder.sql).await?;
        let plan: serde_json::Value = plan
            .and_then(|text| serde_json::from_slice(&text).ok())
            .unwrap_or_default();
        let rows = plan.pointer("/0/Plan/Plan Rows");
        Ok(rows.and_then(serde_json::Value::as_u64).unwrap_or(0))
    }

    /// The exact number up to the resource's largest page, what the planner expects beyond.
    async fn estimated(&self, pool: &Way<'_>) -> Run<u64> {
        let bound = self.shared.page_max(self.read.resource);
        let mut builder = Builder::new(&POSTGRES, &self.shared.tables);
        builder.gate = self.gate;
        builder.push("SELECT count(*) FROM (");
        builder.matches(self.read)?;
        builder.push(" LIMIT ");
        builder.bind(Arg::Int(
            i64::try_from(bound).unwrap_or(i64::MAX).saturating_add(1),
        ));
        builder.push(") AS s");
        let found = self.one(pool, &builder.sql).await?;
        let found = found.as_deref().and_then(codec::int).map_or(0, i64::unsigned_abs);
        if found <= bound {
            return Ok(found);
        }
        Ok(self.planned(pool).await?.max(found))
    }

    /// The first column of the first row of a statement.
    async fn one(&self, pool: &Way<'_>, sql: &Sql<'_>) -> Run<Option<Vec<u8>>> {
        let connection = pool.alone(self.deadline).await?;
        let params = params(sql);
        let value = pool
            .limited(
                self.deadline,
                Box::pin(async {
                    let statement = self.prepare(&connection, sql, &params).await?;
                    let value = async {
                        let rows = self.rows(&connection, statement.as_ref(), sql, &params).await?;
                        let rows: Vec<Row> = rows.try_collect().await?;
                        Run::Ok(match rows.first() {
                            Some(row) => row.try_get::<_, Raw<'_>>(0)?.0.map(<[u8]>::to_vec),
                            None => None,
                        })
                    };
                    let check = pool.check(&connection).await?;
                    self.transaction(&connection, &check, &self.begin(&connection, "READ ONLY"), value)
                        .await
                }),
            )
            .await??;
        connection.keep();
        value
    }

    /// The rows of the page, as they come.
    async fn collect(&self, rows: RowStream) -> Run<Page> {
        let mut page = Page::default();
        let mut rows = pin!(rows);
        while let Some(row) = rows.try_next().await? {
            self.progress.fetch_add(1, Ordering::Relaxed);
            if page.rows == self.read.limit {
                page.more = true;
                break;
            }
            if page.rows == 0 {
                page.json.reserve(ROW_BYTES);
                if let Some(slot) = self.version {
                    page.version = column(&row, slot)?.and_then(codec::int);
                }
            } else {
                page.json.push(b',');
            }
            write_row(&self.shape.outs, &row, &mut page.json)?;
            page.rows += 1;
            if self.marks && self.shape.grouped {
                let outs = self.shape.outs.iter();
                page.last = outs.map(|out| member_value(&row, out)).collect::<Run<_>>()?;
            } else if self.marks || page.rows == self.read.limit {
                let entries = self.order.iter();
                page.last = entries
                    .map(|at| position(column(&row, at.slot)?, at))
                    .collect::<Run<_>>()?;
            }
            if self.marks {
                page.marks.push(Mark {
                    end: page.json.len(),
                    position: std::mem::take(&mut page.last),
                });
            }
        }
        Ok(page)
    }
}

/// Whether a read that failed may do better on another connection, or after preparing anew.
pub(super) fn is_worth_another(connection: &Connection, fail: &Fail) -> bool {
    if fail.is_lost() {
        connection.retire();
        return true;
    }
    if fail.is_stale_plan() || fail.is_foreign_statement() {
        connection.forget();
        return true;
    }
    false
}

/// The value of an entry of the order, for the cursor.
fn position(raw: Option<&[u8]>, at: &Position<'_>) -> Run<Value> {
    if let Some(column) = at.column {
        return codec::read(raw, column).map_err(Fail::unreadable);
    }
    Ok(match raw.and_then(codec::json) {
        Some(text) => Value::Text(text.into()),
        None => Value::Null,
    })
}

/// The number in a result of one row and column.
pub(super) async fn number(rows: RowStream) -> Run<u64> {
    let rows: Vec<Row> = rows.try_collect().await?;
    let Some(row) = rows.first() else { return Ok(0) };
    Ok(column(row, 0)?.and_then(codec::int).map_or(0, i64::unsigned_abs))
}
