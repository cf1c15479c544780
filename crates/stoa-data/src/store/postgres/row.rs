//! A whole row by its key, on the way that is nearly always open: over a shared connection that is there, in a statement that it
//! has prepared. What is out of the ordinary, and every failure, is left to [`super::read`]: it reads anew, and knows what to
//! do about it.

use super::PgStore;
use super::codec::{self, Param};
use super::connection::SHARED_TIME;
use super::errors::{Fail, Run};
use super::pool::within;
use super::pools::{self, As};
use super::read::{column, is_worth_another};
use crate::operation::ResourceIndex;
use crate::store::sql::{Arg, RowStatement, Spelling};
use crate::store::table::Table;
use crate::store::{AtOnce, RowFuture, WholeRow};
use crate::value::Value;
use futures_util::TryStreamExt;
use std::pin::pin;
use std::sync::atomic::Ordering;
use stoa_exchange::clock;
use tokio_postgres::{Row, RowStream};

/// Room for the row.
const ROW_BYTES: usize = 256;

impl PgStore {
    /// See [`crate::store::Store::row`].
    pub(super) fn row_at_once(
        &self,
        resource: ResourceIndex,
        key: Value,
        bucket: u16,
    ) -> Option<RowFuture<'_>> {
        let shared = &self.shared;
        // With replicas it is chosen who answers.
        if shared.group.is_watched() {
            return None;
        }
        let table = shared.tables.get(resource)?;
        let known: &RowStatement = shared.tables.whole_row(resource)?.get()?;
        let key_column = table.key_column()?;
        if shared.slow.is(known.hash) {
            return None;
        }
        let connection = pools::of(shared, 0, As::Primary)?.ready()?;
        let statement = connection.known(known.hash, &known.text)?;
        Some(Box::pin(async move {
            let key = Arg::Value(key_column, &key, Spelling::Canonical);
            let params = [Param::Int(i64::from(bucket)), Param::Arg(&key), Param::Int(2)];
            let asked = async {
                let rows = connection.client.query_raw(&statement, params).await?;
                first(rows, table).await
            };
            let answer = within(clock::now() + SHARED_TIME * 2, pin!(asked)).await;
            connection.answered.fetch_add(1, Ordering::Relaxed);
            match answer {
                Ok(Ok(Some(row))) => AtOnce::Row(row),
                Ok(Ok(None)) => AtOnce::Missing,
                Ok(Err(fail)) if fail.is_canceled() => {
                    shared.slow.remember(known.hash);
                    AtOnce::Unsettled
                }
                Ok(Err(fail)) => {
                    is_worth_another(&connection, &fail);
                    AtOnce::Unsettled
                }
                // The server ends each statement long before: this connection hangs.
                Err(_) => {
                    connection.retire();
                    AtOnce::Unsettled
                }
            }
        }))
    }
}

/// The first row, and that it is the last is known: the rest of the answer is not waited for.
async fn first(rows: RowStream, table: &Table) -> Run<Option<WholeRow>> {
    let mut rows = pin!(rows);
    match rows.try_next().await? {
        Some(row) => whole(&row, table).map(Some),
        None => Ok(None),
    }
}

fn whole(row: &Row, table: &Table) -> Run<WholeRow> {
    let mut json = Vec::with_capacity(ROW_BYTES);
    for (slot, of) in table.columns.iter().enumerate() {
        json.push(if slot == 0 { b'{' } else { b',' });
        json.extend_from_slice(of.member.as_bytes());
        codec::write_json(column(row, slot)?, of, &mut json).map_err(Fail::unreadable)?;
    }
    json.push(b'}');
    let version = column(row, table.columns.len())?.and_then(codec::int);
    Ok(WholeRow {
        json,
        version: version.ok_or_else(|| Fail::unreadable("the row has no version".to_owned()))?,
    })
}
