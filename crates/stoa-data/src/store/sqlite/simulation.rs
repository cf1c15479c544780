//! The writer over a disk that loses its power or fails, at every step and by many seeds. The writer runs in the
//! test's own thread, so that a seed is a history: what was chosen, in which order, and where it ended.
//!
//! Whatever happens, every acknowledged write is there afterwards, in order; each of the others is there as a whole or
//! not at all; and a key's reply is kept exactly when its write is there.

pub(super) mod disk;

use super::connect::{self, Limited, Use, open_limited};
use super::{Shared, idempotency, writer};
use crate::operation::{Change, Condition, IdempotencyClaim, Precondition, Write};
use crate::store::contract::fixture::{bucket, delete, insert, is, plan, text, things, update};
use crate::store::{Outcome, Render, StoreError, StoredReply};
use crate::value::Value;
use bytes::Bytes;
use disk::Fault;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;
use stoa_config::plan::Plan;
use stoa_exchange::clock;
use tokio::sync::oneshot;

/// Rows that the writes share.
const ROWS: i64 = 5;
/// Batches of one life at most.
const BATCHES: usize = 10;
/// Lives of one disk.
const LIVES: usize = 4;
/// Steps after which a life ends at the latest.
const STEPS: u64 = 120;

type Rows = BTreeMap<i64, i64>;

/// One write and what became of it.
struct Sent {
    write: Write,
    kind: Kind,
    /// How its reply can be asked for again.
    claim: Option<IdempotencyClaim>,
    told: Option<Result<Outcome, StoreError>>,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Insert(i64, i64),
    Update(i64, i64),
    Replace(i64, i64),
    Delete(i64),
}

impl Kind {
    /// The rows afterwards, and whether the write is refused.
    fn apply(self, rows: &mut Rows) -> bool {
        match self {
            Self::Insert(id, _) if rows.contains_key(&id) => return true,
            Self::Insert(id, n) | Self::Replace(id, n) => drop(rows.insert(id, n)),
            Self::Update(id, n) => drop(rows.get_mut(&id).map(|at| *at = n)),
            Self::Delete(id) => drop(rows.remove(&id)),
        }
        false
    }

    fn write(self) -> Write {
        let value = |n: i64| text(&n.to_string());
        match self {
            Self::Insert(id, n) => insert(0, &[0, 1], vec![vec![Value::Int(id), value(n)]]),
            Self::Update(id, n) => update(0, is(0, id), vec![(1, value(n))]),
            Self::Delete(id) => delete(0, is(0, id)),
            Self::Replace(id, n) => {
                let any = delete(0, is(0, id));
                Write {
                    change: Change::Replace {
                        key: Value::Int(id),
                        bucket: bucket(usize::try_from(id).unwrap_or_default()),
                        insert: vec![(0, Value::Int(id)), (1, value(n))],
                        update: vec![(1, value(n))],
                        filter: Condition::True,
                        check: Condition::True,
                        precondition: Precondition::None,
                    },
                    ..any
                }
            }
        }
    }
}

/// What a run is about.
#[derive(Clone, Copy, Debug)]
struct Setup {
    seed: u64,
    /// What happens in the first life; in the others the power goes at a step that the seed chooses.
    first: Option<Fault>,
    lives: usize,
    /// Whether commits wait for the disk: the product's way. Without, acknowledged writes must be found missing.
    syncs: bool,
}

/// One disk through its lives. The error says what was lost or doubled. Gives the steps of the first life.
fn run(setup: Setup) -> Result<u64, String> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let plan = Arc::new(plan(&disk::path(number), vec![things()]));
    crate::migrate::apply(&plan, 0, false).expect("a sound disk");
    let mut rng = fastrand::Rng::with_seed(setup.seed);
    disk::reboot(number, &mut fastrand::Rng::with_seed(0));
    let (mut rows, mut value, mut first_steps) = (Rows::new(), 0, 0);
    for life in 0..setup.lives {
        let begun = disk::steps(number);
        let fault = match (life, setup.first) {
            (0, Some(Fault::Cut(at))) => Fault::Cut(begun + at),
            (0, Some(Fault::Fail(at))) => Fault::Fail(begun + at),
            (0, Some(Fault::None)) => Fault::None,
            _ => Fault::Cut(begun + rng.u64(1..STEPS)),
        };
        let choices = rng.u64(..);
        disk::set_fault(number, fault);
        let sent = live(
            &plan,
            number,
            setup,
            &mut fastrand::Rng::with_seed(choices),
            &mut value,
        );
        if life == 0 {
            first_steps = disk::steps(number) - begun;
        }
        disk::reboot(number, &mut rng);
        rows = check(&plan, &rows, &sent).map_err(|why| format!("{setup:?}, life {life}: {why}"))?;
    }
    disk::remove(number);
    Ok(first_steps)
}

/// What the store's threads share, over a simulated disk.
fn shared(plan: &Arc<Plan>) -> Result<Shared, StoreError> {
    let path = disk_path(plan);
    let conn = connect::open(&path, Use::Write, Duration::ZERO)?;
    Shared::open(plan, 0, &path, &conn)
}

fn disk_path(plan: &Plan) -> std::path::PathBuf {
    match &plan.stores[0].kind {
        stoa_config::plan::StoreKind::Sqlite { path } => path.clone(),
        stoa_config::plan::StoreKind::Postgres { .. } => unreachable!("the simulation is of SQLite"),
    }
}

/// Writes until the power goes, or enough was written.
fn live(plan: &Arc<Plan>, number: u64, setup: Setup, rng: &mut fastrand::Rng, value: &mut i64) -> Vec<Sent> {
    let mut sent = Vec::new();
    let Ok(shared) = shared(plan) else { return sent };
    let mut connection: Option<Limited> = None;
    for _ in 0..BATCHES {
        let opened = connection
            .take()
            .map_or_else(|| open_limited(&shared.path, Use::Write, Duration::ZERO), Ok);
        let Ok(limited) = opened else { break };
        if !setup.syncs {
            let _ = limited.conn.pragma_update(None, "synchronous", "OFF");
        }
        let batch: Vec<Sent> = (0..rng.usize(1..5)).map(|_| choose(rng, value)).collect();
        if write(&limited, &shared, batch, &mut sent) {
            connection = Some(limited);
        }
        if disk::is_dead(number) {
            break;
        }
    }
    sent
}

fn choose(rng: &mut fastrand::Rng, value: &mut i64) -> Sent {
    *value += 1;
    let id = rng.i64(1..=ROWS);
    let kind = match rng.u8(..4) {
        0 => Kind::Insert(id, *value),
        1 => Kind::Update(id, *value),
        2 => Kind::Replace(id, *value),
        _ => Kind::Delete(id),
    };
    let mut scope = [0; 32];
    scope[..8].copy_from_slice(&value.to_le_bytes());
    let claim = rng.bool().then_some(IdempotencyClaim {
        scope,
        fingerprint: [1; 32],
        bucket: None,
    });
    let mut write = kind.write();
    write.idempotency.clone_from(&claim);
    Sent {
        write,
        kind,
        claim,
        told: None,
    }
}

/// Runs a batch as the writer's thread does. Whether the connection may be used again.
fn write(limited: &Limited, shared: &Shared, batch: Vec<Sent>, sent: &mut Vec<Sent>) -> bool {
    let (jobs, waiting) = sync_channel(batch.len());
    let mut answers = Vec::new();
    for one in &batch {
        let (reply, answer) = oneshot::channel();
        let render: Render = Box::new(|written| StoredReply {
            status: 200,
            headers: Vec::new(),
            body: Bytes::from(written.affected.to_string()),
        });
        let job = writer::Job {
            write: one.write.clone(),
            deadline: clock::now() + Duration::from_mins(1),
            render: Some(render),
            claim: None,
            reply,
        };
        assert!(jobs.try_send(job).is_ok(), "the queue takes the batch");
        answers.push(answer);
    }
    let mut healthy = true;
    while let (true, Ok(first)) = (healthy, waiting.try_recv()) {
        healthy = writer::batch(limited, shared, first, &waiting);
    }
    for (mut one, mut answer) in batch.into_iter().zip(answers) {
        one.told = answer.try_recv().ok();
        sent.push(one);
    }
    healthy
}

/// After the power is back: every acknowledged write is there, in order, and of the others each is or is not.
fn check(plan: &Arc<Plan>, before: &Rows, sent: &[Sent]) -> Result<Rows, String> {
    let path = disk_path(plan);
    let conn =
        connect::open(&path, Use::Write, Duration::ZERO).map_err(|e| format!("it does not open: {e}"))?;
    let verdict: String = conn
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .map_err(|e| e.to_string())?;
    if verdict != "ok" {
        return Err(verdict);
    }
    let found = rows(&conn).map_err(|e| e.to_string())?;
    let kept = |claim: &IdempotencyClaim| idempotency::kept(&conn, claim).is_ok_and(|reply| reply.is_some());
    // Every state that the rows may be in: more than one after a write of which nobody knows.
    let mut states = vec![before.clone()];
    for one in sent {
        let acknowledged = matches!(one.told, Some(Ok(_)));
        let there = one.claim.as_ref().map(kept);
        if acknowledged && there == Some(false) {
            return Err(format!("the key of {:?}, acknowledged, is forgotten", one.kind));
        }
        let mut next: Vec<Rows> = Vec::new();
        for state in states {
            let mut after = state.clone();
            let refused = one.kind.apply(&mut after);
            let (may, must) = (
                !refused && there != Some(false),
                acknowledged || there == Some(true),
            );
            if may {
                next.push(after);
            }
            if !must {
                next.push(state);
            }
        }
        next.sort();
        next.dedup();
        states = next;
    }
    if states.contains(&found) {
        return Ok(found);
    }
    let told: Vec<_> = sent
        .iter()
        .map(|s| (s.kind, s.told.as_ref().map(Result::is_ok)))
        .collect();
    Err(format!("from {before:?} to {found:?} by {told:?}"))
}

fn rows(conn: &rusqlite::Connection) -> rusqlite::Result<Rows> {
    let mut statement = conn.prepare("SELECT id, name FROM things")?;
    let rows = statement.query_map([], |row| {
        let name: String = row.get(1)?;
        Ok((row.get(0)?, name.parse().unwrap_or(-1)))
    })?;
    rows.collect()
}

/// Seeds of the long run: 200, or as `STOA_SEEDS` says.
fn seeds() -> u64 {
    let wanted = std::env::var("STOA_SEEDS").ok().and_then(|n| n.parse().ok());
    wanted.unwrap_or(200)
}

fn by_seed(seed: u64) -> Setup {
    Setup {
        seed,
        first: None,
        lives: LIVES,
        syncs: true,
    }
}

#[test]
fn no_loss_of_power_loses_an_acknowledged_write() {
    for seed in 0..seeds() {
        run(by_seed(seed)).unwrap_or_else(|why| panic!("{why}"));
    }
}

#[test]
fn the_power_may_go_in_any_step() {
    let one = |first| Setup {
        first: Some(first),
        lives: 1,
        ..by_seed(7)
    };
    let steps = run(one(Fault::None)).unwrap_or_else(|why| panic!("{why}"));
    assert!(steps > 50, "{steps} steps");
    for step in 1..=steps {
        run(one(Fault::Cut(step))).unwrap_or_else(|why| panic!("cut in step {step}: {why}"));
    }
}

#[test]
fn any_step_may_fail() {
    let one = |first| Setup {
        first: Some(first),
        lives: 2,
        ..by_seed(11)
    };
    let steps = run(one(Fault::None)).unwrap_or_else(|why| panic!("{why}"));
    for step in 1..=steps {
        run(one(Fault::Fail(step))).unwrap_or_else(|why| panic!("step {step} fails: {why}"));
    }
}

/// The harness finds what it is for: a writer that answers before its commit is on the disk.
#[test]
fn an_answer_before_the_disk_has_it_is_found() {
    let lost = (0..50).filter(|seed| {
        run(Setup {
            syncs: false,
            ..by_seed(*seed)
        })
        .is_err()
    });
    assert!(lost.count() > 10);
}
