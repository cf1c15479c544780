//! Looks at the servers of a shard, each second and at once on a hint, over one connection to each. One of these runs in a
//! process for each shard; the workers only read what it found. It changes nothing on any server.

use super::Shared;
use super::connection::Connection;
use super::errors::plain;
use super::group::{Group, Instance, Lead, Member, Sighting, State, View};
use crate::store::{Change, Role, StoreError, Tell};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use stoa_exchange::clock;
use tokio_postgres::{Error, SimpleQueryMessage};

/// How long a server may take to say what it is.
const LOOK: Duration = Duration::from_secs(1);
/// How long servers are looked at before a store serves, when none is found that takes writes.
const FIRST: Duration = Duration::from_secs(8);
/// How often one that is not well is looked at.
const QUICK: Duration = Duration::from_millis(250);
/// Between two looks at least, however many hints there are.
const APART: Duration = Duration::from_millis(50);

/// What a server is asked. None of it needs a privilege; whoever may read `pg_stat_wal_receiver` is told of a new timeline
/// sooner. On a primary the control file is behind after a promotion, the name of the log's file is not.
const ASK: &str = "SELECT pg_is_in_recovery()::text, \
    (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END - '0/0')::text, \
    CASE WHEN pg_is_in_recovery() THEN \
      greatest((SELECT min_recovery_end_timeline FROM pg_control_recovery()), \
        (SELECT timeline_id FROM pg_control_checkpoint()), \
        (SELECT received_tli FROM pg_stat_wal_receiver WHERE status = 'streaming'))::text \
      ELSE 'x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8) END, \
    (SELECT system_identifier FROM pg_control_system())::text, \
    (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint::text, \
    current_setting('server_version_num'), \
    (extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) * 1000)::bigint::text";

/// Looks at every server before a store serves; once more where none takes writes and some took too long to say what they
/// are, for [`FIRST`] at most: a machine that starts is busy.
pub(super) async fn look_first(group: &Group) {
    let until = clock::now() + FIRST;
    loop {
        let looks = group.members.iter().map(async |member| {
            let mut connection = None;
            look(member, &mut connection, &State::Unknown).await
        });
        let states = futures_util::future::join_all(looks).await;
        let slow = states.iter().any(|state| matches!(state, State::Hung { .. }));
        for (index, state) in states.into_iter().enumerate() {
            group.update(index, state);
        }
        if !slow || matches!(group.view().lead, Lead::One(_)) || clock::now() >= until {
            return;
        }
    }
}

/// Looks at every server for as long as the store is there.
pub(super) async fn watch(shared: Weak<Shared>, group: Arc<Group>, tell: Tell) {
    // What was found before the store served is told as what changes is.
    for (member, seen) in group.members.iter().zip(&group.view().seen) {
        if let Some(why) = &seen.out {
            tell(&Change {
                grave: true,
                server: Arc::clone(&member.name),
                shard: group.shard,
                role: seen.role,
                text: given_nothing(member, why),
            });
        }
    }
    let each = (0..group.members.len()).map(|index| follow(&shared, &group, index, &tell));
    futures_util::future::join_all(each).await;
}

async fn follow(shared: &Weak<Shared>, group: &Group, index: usize, tell: &Tell) {
    let Some(member) = group.members.get(index) else {
        return;
    };
    let mut connection = None;
    let mut state = State::Unknown;
    while shared
        .upgrade()
        .is_some_and(|s| !s.closed.load(Ordering::Relaxed))
    {
        let hints = group.hints();
        let began = clock::now();
        state = look(member, &mut connection, &state).await;
        let (before, after) = group.update(index, state.clone());
        report(group, &before, &after, tell);
        let well = matches!(state, State::Up(_)) && matches!(after.lead, Lead::One(_));
        let every = if well { group.every } else { group.every.min(QUICK) };
        let hinted = group.hinted.notified();
        if group.hints() == hints {
            let _ = tokio::time::timeout_at((began + every).into(), hinted).await;
        }
        tokio::time::sleep_until((began + APART).into()).await;
    }
}

/// Looks at a server; the connection is kept for the next time.
async fn look(member: &Member, connection: &mut Option<Connection>, before: &State) -> State {
    let began = clock::now();
    let kept = connection.take().filter(Connection::is_usable);
    let asked = tokio::time::timeout(LOOK, async {
        // One that was closed meanwhile says nothing about the server.
        if let Some(kept) = kept
            && let Ok(seen) = ask(&kept, began).await
        {
            return Ok((kept, seen));
        }
        let new = Connection::open(&member.read).await?;
        let seen = ask(&new, began).await?;
        Ok((new, seen))
    });
    match asked.await {
        Ok(Ok((kept, Some(seen)))) => {
            *connection = Some(kept);
            State::Up(seen)
        }
        Ok(Ok((_, None))) => State::Down(String::from("says what nobody understands")),
        Ok(Err(error)) if is_there(&error) && before.sighting().is_some() => before.clone(),
        Ok(Err(error)) => State::Down(words(&error, member)),
        Err(_) => State::Hung {
            last: before.sighting().copied(),
            since: match before {
                State::Hung { since, .. } => *since,
                _ => began,
            },
        },
    }
}

/// Whether the server has only no time or place for one more question.
fn is_there(error: &Error) -> bool {
    error
        .code()
        .is_some_and(|code| code.code().starts_with("53") || code.code() == "57014")
}

fn words(error: &Error, member: &Member) -> String {
    match plain(error, &member.read.shown) {
        StoreError::Unavailable(text) | StoreError::Internal(text) | StoreError::Refused(text) => text,
        other => other.to_string(),
    }
}

async fn ask(connection: &Connection, began: Instant) -> Result<Option<Sighting>, Error> {
    let messages = connection.client.simple_query(ASK).await?;
    let row = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let get = |at: usize| row.and_then(|row| row.get(at));
    let timeline = |text: &str| match text.strip_prefix('x') {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    let read = || {
        Some(Sighting {
            recovering: get(0)? == "true",
            position: get(1).map_or(Some(0), |text| text.parse().ok())?,
            timeline: get(2).and_then(timeline)?,
            instance: Instance {
                system: get(3)?.parse().ok()?,
                started: get(4)?.parse().ok()?,
            },
            version: get(5)?.parse().ok()?,
            replayed_ago: get(6).and_then(|ms| ms.parse().ok()).map(Duration::from_millis),
            at: began,
        })
    };
    Ok(read())
}

fn given_nothing(member: &Member, why: &str) -> String {
    format!("{} is given nothing: {why}", member.name)
}

/// Tells what has changed, and counts who left the rotation and who came back.
fn report(group: &Group, before: &View, after: &View, tell: &Tell) {
    for ((member, old), new) in group.members.iter().zip(&before.seen).zip(&after.seen) {
        if old.role != new.role || old.out.is_some() != new.out.is_some() {
            if new.out.is_some() && old.out.is_none() {
                member.ejections.fetch_add(1, Ordering::Relaxed);
            }
            if new.out.is_none() && old.out.is_some() {
                member.returns.fetch_add(1, Ordering::Relaxed);
            }
            tell(&Change {
                grave: new.out.is_some() || new.role == Role::Split,
                server: Arc::clone(&member.name),
                shard: group.shard,
                role: new.role,
                text: match &new.out {
                    Some(why) => given_nothing(member, why),
                    None => format!("{} is the shard's {}", member.name, new.role),
                },
            });
        }
    }
    let (Lead::None(why) | Lead::Split(why)) = &after.lead else {
        return;
    };
    if std::mem::discriminant(&before.lead) != std::mem::discriminant(&after.lead) {
        let role = if matches!(after.lead, Lead::Split(_)) {
            Role::Split
        } else {
            Role::Down
        };
        tell(&Change {
            grave: true,
            server: Arc::from(""),
            shard: group.shard,
            role,
            text: format!("writes stop: {why}"),
        });
    }
}
