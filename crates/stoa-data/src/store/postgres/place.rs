//! Places in a server's log: where a write ended, and whether a replica has replayed it.

use super::connection::Connection;
use super::errors::{Fail, Run};
use super::read::column;
use futures_util::TryStreamExt;
use stoa_exchange::position::Mark;
use tokio_postgres::{Row, Statement};

/// What a primary has on its disk, and on which timeline. Asked behind a `COMMIT`, never in the transaction: a place inside
/// the commit's own record is reached before the commit is applied.
const WRITTEN: &str =
    "SELECT pg_walfile_name(l) || ' ' || (l - '0/0')::text FROM pg_current_wal_flush_lsn() AS l";
/// What a replica has replayed. A primary has replayed nothing.
const REPLAYED: &str =
    "SELECT CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0')::text ELSE '0' END";

/// A question that is prepared, to go out together with what it belongs to.
pub(super) struct Question<'a> {
    connection: &'a Connection,
    statement: Option<Statement>,
    text: &'static str,
}

impl<'a> Question<'a> {
    /// Where a primary is.
    pub(super) async fn written(connection: &'a Connection) -> Run<Self> {
        Self::prepare(connection, WRITTEN).await
    }

    /// Where a replica is.
    pub(super) async fn replayed(connection: &'a Connection) -> Run<Self> {
        Self::prepare(connection, REPLAYED).await
    }

    async fn prepare(connection: &'a Connection, text: &'static str) -> Run<Self> {
        let statement = connection.prepare(text, &[]).await?;
        Ok(Self {
            connection,
            statement,
            text,
        })
    }

    async fn ask(&self) -> Run<String> {
        let rows = self
            .connection
            .begin(self.statement.as_ref(), self.text, &[])
            .await?;
        let rows: Vec<Row> = rows.try_collect().await?;
        let text = rows.first().map(|row| column(row, 0)).transpose()?.flatten();
        let text = text.and_then(|bytes| std::str::from_utf8(bytes).ok());
        Ok(text.unwrap_or_default().to_owned())
    }

    /// Where the primary of a shard is. One that does not say so, although it has committed, has its write shown by
    /// itself alone.
    pub(super) async fn mark(&self, shard: u16, timeline: u32) -> Mark {
        let said = self.ask().await.unwrap_or_default();
        read(&said).map_or(
            Mark {
                shard,
                timeline,
                lsn: u64::MAX,
            },
            |(timeline, lsn)| Mark { shard, timeline, lsn },
        )
    }

    /// Where the replica is.
    pub(super) async fn place(&self) -> Run<u64> {
        let said = self.ask().await?;
        said.parse()
            .map_err(|_| Fail::unreadable(format!("`{said}` is no place in a log")))
    }
}

/// The timeline and the place: a name of a file of the log, and a number of bytes.
fn read(said: &str) -> Option<(u32, u64)> {
    let (file, lsn) = said.split_once(' ')?;
    let timeline = u32::from_str_radix(file.get(..8)?, 16).ok()?;
    Some((timeline, lsn.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn a_place_is_a_timeline_and_a_number() {
        assert_eq!(read("000000010000000000000004 67111720"), Some((1, 67_111_720)));
        assert_eq!(read("0000001A00000000000000FF 1"), Some((26, 1)));
        for bad in [
            "",
            "00000001",
            "0000001 5",
            "x0000001000000000000000FF 1",
            "000000010000000000000004 -1",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
