//! Transactions that run as somebody: a role of the database and what its policies read of the request, for as long as the
//! transaction lasts.

use super::codec::Param;
use super::connection::Connection;
use super::errors::{Fail, Run};
use crate::operation::RunAs;
use crate::store::StoreError;
use futures_util::TryStreamExt;
use tokio_postgres::Row;

/// Every value is bound, the role as well; it comes last, since what follows it may need rights that it has not.
const ENTER: &str = "SELECT set_config($1, $2, true), set_config($3, $4, true), set_config($5, $6, true), \
    set_config($7, $8, true), set_config($9, $10, true), set_config('role', $11, true)";
/// Back to the store's own login.
const LEAVE: &str = "SET LOCAL ROLE NONE";

/// Begins a transaction as somebody, in one go. When that fails nothing was run, and the transaction is left.
pub(super) async fn begin(connection: &Connection, begin: &str, run_as: &RunAs) -> Run<()> {
    let params = params(run_as);
    let statement = connection.prepare(ENTER, &params).await?;
    let (begun, entered) = futures_util::future::join(connection.client.batch_execute(begin), async {
        let rows = connection.begin(statement.as_ref(), ENTER, &params).await?;
        Run::Ok(rows.try_collect::<Vec<Row>>().await?)
    })
    .await;
    let outcome = match (begun, entered) {
        (Ok(()), Ok(_)) => return Ok(()),
        (Err(error), _) => error.into(),
        (Ok(()), Err(fail)) => refused(fail, run_as),
    };
    connection.client.batch_execute("ROLLBACK").await?;
    Err(outcome)
}

/// Becomes somebody inside a transaction.
pub(super) async fn enter(connection: &Connection, run_as: &RunAs) -> Run<()> {
    let rows = connection
        .run(ENTER, &params(run_as))
        .await
        .map_err(|fail| refused(fail, run_as))?;
    let rows = rows.try_collect::<Vec<Row>>().await;
    rows.map(drop).map_err(|error| refused(error.into(), run_as))
}

/// Becomes the store's own login again, which keeps Stoa's records.
pub(super) async fn leave(connection: &Connection) -> Run<()> {
    Ok(connection.client.batch_execute(LEAVE).await?)
}

fn params(run_as: &RunAs) -> Vec<Param<'_>> {
    let pairs = run_as.settings.iter();
    let mut params: Vec<Param<'_>> = pairs
        .flat_map(|(name, value)| [Param::Text(name), Param::Text(value)])
        .collect();
    params.push(Param::Text(&run_as.role));
    params
}

/// A role that is not there or that the login may not take is the file's fault, not the caller's.
fn refused(fail: Fail, run_as: &RunAs) -> Fail {
    if fail.is_lost() {
        return fail;
    }
    match fail {
        Fail::Sql(error) => Fail::Store(StoreError::Unavailable(format!(
            "the store's login cannot become `{}`: {}",
            run_as.role,
            error
                .as_db_error()
                .map_or_else(|| error.to_string(), |db| db.message().to_owned())
        ))),
        said @ (Fail::Store(_) | Fail::Behind) => said,
    }
}
