//! The way of a read: which of a shard's servers it goes to, what is checked there, and where it goes when that fails.

use super::Reading;
use crate::store::postgres::Shared;
use crate::store::postgres::connection::Connection;
use crate::store::postgres::errors::{Fail, Run};
use crate::store::postgres::group::{Choice, Group, Member, WAIT, Wanted};
use crate::store::postgres::place::Question;
use crate::store::postgres::pool::{Alone, Pool, within};
use crate::store::postgres::pools::{self, As};
use crate::store::{Chosen, Page, StoreError};
use std::ops::Deref;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use stoa_exchange::clock;
use stoa_exchange::position::{Mark, Position};
use tokio::sync::OwnedSemaphorePermit;
use tokio_postgres::SimpleQueryMessage;

/// The server that has `WAIT FOR LSN`. None of this version has been met yet: the statement is as its documentation has it,
/// and where it is refused the server is asked, as an older one is.
const WAITS: u32 = 190_000;
/// A replica whose connection gives no sign of life for so long while it should is left.
const SILENT: Duration = Duration::from_secs(1);

/// The server of one try, with this thread's pool of it.
pub(super) struct Way<'a> {
    pool: Arc<Pool>,
    /// The replica; `None` for the primary.
    replica: Option<Replica<'a>>,
    /// Whether reads leave connections to writes.
    few: bool,
    _guest: Option<OwnedSemaphorePermit>,
}

/// A replica, and what it must have replayed.
struct Replica<'a> {
    group: &'a Group,
    member: &'a Member,
    wanted: Option<Wanted>,
    /// Which server the address led to when it was looked at.
    started: i64,
    version: u32,
    /// How often its connections had become useless when the read began.
    lost: u64,
}

impl Deref for Way<'_> {
    type Target = Arc<Pool>;

    fn deref(&self) -> &Arc<Pool> {
        &self.pool
    }
}

impl Way<'_> {
    /// A connection that nobody else uses.
    pub(super) async fn alone(&self, deadline: Instant) -> Result<Alone, StoreError> {
        if self.few {
            self.pool.alone_to_read(deadline).await
        } else {
            self.pool.alone(deadline).await
        }
    }

    /// What goes out in front of the read on its connection, and must be answered well: nothing, where the replica is
    /// known to have replayed enough and is the one that was looked at.
    pub(super) async fn check<'c>(&self, connection: &'c Connection) -> Run<Check<'_, 'c>> {
        let wanted = self.replica.as_ref().and_then(|replica| {
            let other = connection.started != replica.started;
            let lsn = replica
                .wanted
                .filter(|wanted| other || !wanted.known)
                .map(|wanted| wanted.lsn);
            // Behind one address stand several: this one must at least have what is known of the other.
            lsn.or(other.then(|| replica.member.replayed()))
        });
        Ok(match (wanted, &self.replica) {
            (Some(lsn), Some(replica)) => Check {
                lsn,
                question: Some(Box::pin(Question::replayed(connection)).await?),
                member: (connection.started == replica.started).then_some(replica.member),
            },
            _ => Check::none(),
        })
    }

    /// Waits for an answer over a shared connection: on a replica no longer than there is a sign of life.
    pub(super) async fn answer<T>(
        &self,
        connection: &Connection,
        reading: &Reading<'_>,
        mut what: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, StoreError> {
        let deadline = reading.deadline;
        if self.replica.is_none() {
            return within(deadline, what).await;
        }
        let signs = || connection.answered.load(Ordering::Relaxed) + reading.progress.load(Ordering::Relaxed);
        loop {
            let before = signs();
            let until = deadline.min(clock::now() + SILENT);
            match within(until, what.as_mut()).await {
                Ok(answer) => return Ok(answer),
                Err(late) if until >= deadline => return Err(late),
                Err(_) if signs() == before => {
                    connection.retire();
                    return Err(self.pool.unanswered());
                }
                Err(_) => {}
            }
        }
    }

    /// Runs until the replica is found to be gone.
    async fn while_there<T>(&self, what: Pin<&mut impl Future<Output = Run<T>>>) -> Run<T> {
        let Some(replica) = &self.replica else {
            return what.await;
        };
        let gone = async {
            loop {
                replica.group.wait_changed(clock::now() + SILENT).await;
                if replica.member.lost() != replica.lost {
                    return;
                }
            }
        };
        match futures_util::future::select(what, pin!(gone)).await {
            futures_util::future::Either::Left((answer, _)) => answer,
            futures_util::future::Either::Right(_) => Err(self.pool.unanswered().into()),
        }
    }

    /// Waits until the replica has replayed what is wanted, a moment at most.
    async fn catch_up(&self, until: Instant) -> Run<bool> {
        let Some((replica, wanted)) = self.replica.as_ref().and_then(|r| Some((r, r.wanted?))) else {
            return Ok(true);
        };
        if replica.version >= WAITS
            && let Some(there) = self.waited(wanted.lsn, until).await?
        {
            return Ok(there);
        }
        let connection = match self.pool.shared(until).await {
            // One that takes longer to make than there is to wait: another server has it.
            Err(StoreError::Deadline) => return Ok(false),
            connection => connection?,
        };
        let question = Question::replayed(&connection).await?;
        let mut pause = Duration::from_millis(1);
        loop {
            let place = within(until + SILENT, question.place()).await;
            let place = place.map_err(|_| self.pool.unanswered())??;
            if connection.started == replica.started {
                replica.member.has_replayed(place);
            }
            if place >= wanted.lsn {
                return Ok(true);
            }
            let now = clock::now();
            if now >= until {
                return Ok(false);
            }
            tokio::time::sleep(pause.min(until - now)).await;
            pause = pause.saturating_mul(2);
        }
    }
}

impl Way<'_> {
    /// Lets the server itself wait, which says whether it came so far; `None` where it did not say, and is to be asked.
    async fn waited(&self, lsn: u64, until: Instant) -> Run<Option<bool>> {
        // It would hold up whoever else is on a shared connection.
        let Ok(connection) = self.alone(until).await else {
            return Ok(None);
        };
        let left = until.saturating_duration_since(clock::now());
        let sql = wait_for(lsn, left);
        let said = within(until + SILENT, connection.client.simple_query(&sql)).await;
        // What it says is known, or that it refuses: nothing is under way any more.
        let said = said.map_err(|_| self.pool.unanswered())?;
        connection.keep();
        Ok(said.ok().and_then(|messages| outcome(&messages)))
    }
}

/// What waits, a millisecond at least: 0 would be for ever.
fn wait_for(lsn: u64, left: Duration) -> String {
    let (high, low) = (lsn >> 32, lsn & u64::from(u32::MAX));
    let left = left.as_millis().max(1);
    format!("WAIT FOR LSN '{high:X}/{low:X}' WITH (TIMEOUT '{left}ms', NO_THROW)")
}

/// `success` or `timeout`; a server that was promoted meanwhile says something else.
fn outcome(messages: &[SimpleQueryMessage]) -> Option<bool> {
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    match row? {
        "success" => Some(true),
        "timeout" => Some(false),
        _ => None,
    }
}

/// A question in front of a read.
pub(super) struct Check<'w, 'c> {
    lsn: u64,
    question: Option<Question<'c>>,
    member: Option<&'w Member>,
}

impl Check<'_, '_> {
    /// Nothing is to be checked.
    pub(super) fn none() -> Self {
        Self {
            lsn: 0,
            question: None,
            member: None,
        }
    }

    /// Whether there is a question.
    pub(super) fn is_needed(&self) -> bool {
        self.question.is_some()
    }

    /// With its first poll the question is on its way.
    pub(super) async fn passes(&self) -> Run<()> {
        let Some(question) = &self.question else {
            return Ok(());
        };
        let place = question.place().await?;
        if let Some(member) = self.member {
            member.has_replayed(place);
        }
        if place < self.lsn {
            return Err(Fail::Behind);
        }
        Ok(())
    }
}

impl Reading<'_> {
    /// Runs the read on the server that fits it best, and once on another when that one fails.
    pub(super) async fn anywhere(&self, shared: &Arc<Shared>) -> Run<Page> {
        let group = &shared.group;
        let mut choice = group.choose(&self.read.fresh, None)?;
        let mut failed = None;
        loop {
            let Choice::Replica {
                index,
                wanted,
                at,
                why,
            } = choice
            else {
                return self.on_primary(shared, &choice).await;
            };
            let member = group.members.get(index).ok_or_else(no_member)?;
            let under_way = member.enter();
            let fail = match self.on_replica(shared, (index, member), wanted).await {
                Ok(mut page) => {
                    under_way.answered();
                    // Asked for, and shown.
                    let wanted = wanted.map_or(0, |wanted| wanted.lsn.saturating_add(1));
                    let at = Mark {
                        lsn: at.lsn.max(wanted),
                        ..at
                    };
                    page.at = Position::from(at);
                    page.by = Some(chosen(member, why));
                    return Ok(page);
                }
                Err(fail) => fail,
            };
            choice = match fail {
                Fail::Behind => {
                    member.was_slow();
                    group.primary(true, "the replica did not have it in time")?
                }
                fail if failed.is_none() && fail.is_for_another() && clock::now() < self.deadline => {
                    if fail.is_servers_fault() {
                        member.strike();
                        group.hint();
                    }
                    failed = Some(index);
                    group.choose(&self.read.fresh, failed)?
                }
                fail => return Err(fail),
            };
        }
    }

    async fn on_replica(
        &self,
        shared: &Arc<Shared>,
        (index, member): (usize, &Member),
        wanted: Option<Wanted>,
    ) -> Run<Page> {
        let group = &shared.group;
        let view = group.view();
        let seen = view.seen.get(index).ok_or_else(no_member)?;
        let way = Way {
            pool: pools::of(shared, index, As::Replica).ok_or_else(no_member)?,
            few: false,
            _guest: None,
            replica: Some(Replica {
                group,
                member,
                wanted,
                started: seen.instance.map_or(-1, |instance| instance.started),
                version: seen.version,
                lost: member.lost(),
            }),
        };
        let until = self.deadline.min(clock::now() + WAIT);
        match way.while_there(pin!(self.run(&way))).await {
            // Seldom, and large.
            Err(Fail::Behind) if way.while_there(Box::pin(way.catch_up(until)).as_mut()).await? => {
                way.while_there(Box::pin(self.run(&way)).as_mut()).await
            }
            result => result,
        }
    }

    async fn on_primary(&self, shared: &Arc<Shared>, choice: &Choice) -> Run<Page> {
        let Choice::Primary {
            index,
            instead,
            at,
            why,
        } = *choice
        else {
            return Err(no_member().into());
        };
        let group = &shared.group;
        let member = group.members.get(index).ok_or_else(no_member)?;
        let pool = pools::of(shared, index, As::Primary).ok_or_else(no_member)?;
        let guest = if instead {
            Some(pool.guest(self.deadline).await?)
        } else {
            None
        };
        let way = Way {
            pool,
            few: group.reads,
            _guest: guest,
            replica: None,
        };
        let under_way = member.enter();
        let mut page = self.run(&way).await.inspect_err(|fail| {
            if fail.is_servers_fault() {
                group.hint();
            }
        })?;
        under_way.answered();
        if group.reads {
            page.at = Position::from(at);
            page.by = Some(chosen(member, why));
        }
        Ok(page)
    }
}

fn chosen(member: &Member, why: &'static str) -> Chosen {
    Chosen {
        server: Arc::clone(&member.name),
        why,
    }
}

fn no_member() -> StoreError {
    StoreError::Internal(String::from("the shard has no such server"))
}
