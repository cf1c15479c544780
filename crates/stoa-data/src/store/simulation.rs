//! What the simulations of the stores share: requests on single rows as writes of a store, and what their ends mean to
//! whoever judges the history (`stoa_testkit::history`).

mod network;
mod planted;
mod postgres;

pub(crate) use planted::Bug;

use super::contract::fixture::{bucket, delete, insert, is, update};
use super::{Outcome, Render, StoreError, StoredReply, Written};
use crate::operation::{Change, Condition, IdempotencyClaim, Precondition, Version, Write};
use crate::value::Value;
use bytes::Bytes;
use stoa_testkit::history::Ask;

/// The field of `things` whose value tells who wrote the row.
const VALUE: usize = super::contract::fixture::thing::N;
/// How far a clock may jump, in milliseconds.
const JUMP_MS: i64 = 3_600_000;

/// What was answered: the status, and for one row its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) version: Option<Version>,
    /// Whether the kept reply of the request's key was the answer.
    pub(crate) replayed: bool,
}

/// So many seeds, or as `STOA_SEEDS` says; `STOA_SEED` chooses a single one.
pub(crate) fn seeds(usually: u64) -> std::ops::Range<u64> {
    let given = |name: &str| std::env::var(name).ok().and_then(|n| n.parse().ok());
    match given("STOA_SEED") {
        Some(one) => one..one + 1,
        None => 0..given("STOA_SEEDS").unwrap_or(usually),
    }
}

/// A new time of day, up to an hour away from the true one; for the whole process.
pub(crate) fn jump(rng: &mut fastrand::Rng) {
    stoa_exchange::clock::shift_wall_ms(rng.i64(-JUMP_MS..=JUMP_MS));
}

/// Something to ask of a row whose last known value and version are `known`.
pub(crate) fn choose(rng: &mut fastrand::Rng, value: u64, known: Option<(u64, Version)>) -> Ask {
    match (rng.u8(..10), known) {
        (0 | 1, _) => Ask::Create(value),
        (2 | 3, _) => Ask::Put(value),
        (4, _) => Ask::Patch(value),
        (5 | 6, Some((old, _))) => Ask::PatchIf(old, value),
        (7, _) => Ask::Delete,
        _ => Ask::Read,
    }
}

/// The value that a request sets.
pub(crate) fn sets(ask: Ask) -> Option<u64> {
    match ask {
        Ask::Create(n) | Ask::Put(n) | Ask::Patch(n) | Ask::PatchIf(_, n) => Some(n),
        Ask::Delete | Ask::Read => None,
    }
}

/// A key for the request of this value.
pub(crate) fn claim(seed: u64, value: u64) -> IdempotencyClaim {
    let mut scope = [0; 32];
    // Its head is the number of the key's lock.
    scope[..8].copy_from_slice(&(seed << 20 | value).to_be_bytes());
    IdempotencyClaim {
        scope,
        fingerprint: [1; 32],
        bucket: None,
    }
}

/// The write that a request on the row `id` is. `version` is that of a [`Ask::PatchIf`].
pub(crate) fn write(ask: Ask, id: i64, version: Option<Version>, claim: Option<IdempotencyClaim>) -> Write {
    let key = || is(0, id);
    let set = |n: u64| (VALUE, Value::Int(i64::try_from(n).expect("values are counted")));
    let mut write = match ask {
        Ask::Create(n) => insert(0, &[0, VALUE], vec![vec![Value::Int(id), set(n).1]]),
        Ask::Put(n) => Write {
            change: Change::Replace {
                key: Value::Int(id),
                bucket: bucket(usize::try_from(id).expect("ids are counted")),
                insert: vec![(0, Value::Int(id)), set(n)],
                update: vec![set(n)],
                filter: Condition::True,
                check: Condition::True,
                precondition: Precondition::None,
            },
            ..delete(0, key())
        },
        Ask::Patch(n) | Ask::PatchIf(_, n) => update(0, key(), vec![set(n)]),
        Ask::Delete => delete(0, key()),
        Ask::Read => unreachable!("a read is no write"),
    };
    if let Change::Update { precondition, .. } | Change::Delete { precondition, .. } = &mut write.change {
        *precondition = match (ask, version) {
            (Ask::PatchIf(..), Some(version)) => Precondition::Versions(vec![version]),
            _ => Precondition::Exists,
        };
    }
    write.idempotency = claim;
    write
}

/// The status of a write that was done.
fn status(ask: Ask, written: &Written) -> u16 {
    match ask {
        Ask::Delete => 204,
        _ if written.inserted > 0 => 201,
        _ => 200,
    }
}

/// What is kept for the key of a request.
pub(crate) fn render(ask: Ask) -> Render {
    Box::new(move |written| StoredReply {
        status: status(ask, written),
        headers: Vec::new(),
        body: Bytes::from(written.version.map_or_else(String::new, |v| v.to_string())),
    })
}

/// What a write's end says. `None` where it may have been done or not. What no request of a simulation should meet has the
/// status 500, which no history explains.
pub(crate) fn answer(ask: Ask, ended: &Result<Outcome, StoreError>) -> Option<Answer> {
    let refused = |status| Answer {
        status,
        version: None,
        replayed: false,
    };
    Some(match ended {
        Ok(Outcome::Written(written)) => Answer {
            status: status(ask, written),
            version: written.version.filter(|_| ask != Ask::Delete),
            replayed: false,
        },
        Ok(Outcome::Replayed(reply)) => replay(reply),
        Err(StoreError::Unique { .. }) => refused(409),
        Err(StoreError::NotFound) => refused(404),
        Err(StoreError::PreconditionFailed) => refused(412),
        Err(
            StoreError::Unavailable(_)
            | StoreError::NoPrimary(_)
            | StoreError::Deadline
            | StoreError::Overloaded
            | StoreError::Full(_)
            | StoreError::IdempotencyRunning,
        ) => return None,
        other => {
            eprintln!("{ask:?} ended with {other:?}");
            refused(500)
        }
    })
}

/// What a kept reply says.
pub(crate) fn replay(reply: &StoredReply) -> Answer {
    let version = std::str::from_utf8(&reply.body).ok().and_then(|v| v.parse().ok());
    Answer {
        status: reply.status,
        version: version.filter(|_| reply.status != 204),
        replayed: true,
    }
}
