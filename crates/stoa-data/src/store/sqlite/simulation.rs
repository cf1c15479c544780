//! The writer over a disk that loses its power or fails, at every step and by many seeds, while the clock jumps. The writer
//! runs in the test's own thread, so that a seed is a history: what was asked, in which order, and where it ended.
//!
//! Whatever happens, every acknowledged write is there afterwards; each of the others is there as a whole or not at all; a
//! key's reply is kept exactly when its write is there; a repeated request is done once; and each row has a history that
//! could have happened one request after the other.

pub(super) mod disk;

use super::connect::{self, Limited, Use, open_limited};
use super::{Shared, idempotency, writer};
use crate::operation::{IdempotencyClaim, Version};
use crate::store::contract::fixture::{plan, things};
use crate::store::simulation::{self as sim, Answer, Bug};
use crate::store::{Outcome, StoreError};
use disk::Fault;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::time::Duration;
use stoa_config::plan::Plan;
use stoa_exchange::clock;
use stoa_testkit::history::{Ask, Event, Row, Told, is_linearizable, one_version_each, shown, tick};
use tokio::sync::oneshot;

/// Rows that the writes share.
const ROWS: i64 = 5;
/// Batches of one life at most.
const BATCHES: usize = 10;
/// Lives of one disk.
const LIVES: usize = 4;
/// Steps after which a life ends at the latest.
const STEPS: u64 = 120;

/// Each row's value and version.
type Rows = BTreeMap<i64, (u64, Version)>;

/// One request and what became of it.
#[derive(Clone, Debug)]
struct Sent {
    id: i64,
    event: Event,
    version: Option<Version>,
    /// How its reply can be asked for again.
    claim: Option<IdempotencyClaim>,
}

impl Sent {
    fn new(id: i64, ask: Ask, version: Option<Version>, claim: Option<IdempotencyClaim>) -> Self {
        Self {
            id,
            event: Event {
                ask,
                told: Told::Nothing,
                begun: 0,
                ended: 0,
            },
            version,
            claim,
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
    /// A bug that was planted. [`Bug::Early`] is a commit that does not wait for the disk.
    bug: Option<Bug>,
}

/// One disk through its lives.
struct World {
    setup: Setup,
    plan: Arc<Plan>,
    /// The disk's.
    number: u64,
    rng: fastrand::Rng,
    /// The last value that was written.
    value: u64,
    /// The requests of this life.
    sent: Vec<Sent>,
    /// Those with a key that were done, of all lives.
    done: Vec<(Sent, Answer)>,
    /// Those with a key of which it is not known, of this life and the one before.
    open: Vec<Sent>,
    /// Every value with its version, as it was told or found.
    seen: Vec<(i64, u64, Version)>,
    /// The requests of all lives.
    told: Vec<(i64, Ask, Told)>,
}

/// What a run was.
#[derive(Debug, PartialEq, Eq)]
struct Ran {
    /// The steps of the first life.
    steps: u64,
    /// Every request and what was told of it.
    told: Vec<(i64, Ask, Told)>,
}

/// One disk through its lives. The error says what was lost or doubled.
fn run(setup: Setup) -> Result<Ran, String> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let plan = Arc::new(plan(&disk::path(number), vec![things()]));
    clock::shift_wall_ms(0);
    disk::seed(setup.seed);
    crate::migrate::apply(&plan, 0, false).expect("a sound disk");
    disk::reboot(number, &mut fastrand::Rng::with_seed(0));
    let mut world = World {
        setup,
        plan,
        number,
        rng: fastrand::Rng::with_seed(setup.seed),
        value: 0,
        sent: Vec::new(),
        done: Vec::new(),
        open: Vec::new(),
        seen: Vec::new(),
        told: Vec::new(),
    };
    let (mut rows, mut first_steps) = (Rows::new(), 0);
    for life in 0..setup.lives {
        let begun = disk::steps(number);
        let fault = match (life, setup.first) {
            (0, Some(Fault::Cut(at))) => Fault::Cut(begun + at),
            (0, Some(Fault::Fail(at))) => Fault::Fail(begun + at),
            (0, Some(Fault::None)) => Fault::None,
            _ => Fault::Cut(begun + world.rng.u64(1..STEPS)),
        };
        disk::set_fault(number, fault);
        let lived = world.live(&rows);
        if life == 0 {
            first_steps = disk::steps(number) - begun;
        }
        disk::reboot(number, &mut world.rng);
        let checked = lived.and_then(|()| world.check(&rows));
        rows = checked.map_err(|why| {
            let seed = setup.seed;
            format!(
                "{setup:?}, life {life}: {why}\nagain: STOA_SEED={seed} cargo test -p stoa-data simulation"
            )
        })?;
    }
    clock::shift_wall_ms(0);
    disk::remove(number);
    Ok(Ran {
        steps: first_steps,
        told: world.told,
    })
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

impl World {
    /// Asks until the power goes, or enough was asked.
    fn live(&mut self, before: &Rows) -> Result<(), String> {
        let mut known = before.clone();
        let Ok(shared) = shared(&self.plan) else {
            return Ok(());
        };
        let mut connection: Option<Limited> = None;
        for _ in 0..BATCHES {
            if self.rng.u8(..8) == 0 {
                sim::jump(&mut self.rng);
            }
            let opened = connection
                .take()
                .map_or_else(|| open_limited(&shared.path, Use::Write, Duration::ZERO), Ok);
            let Ok(limited) = opened else { break };
            if self.setup.bug == Some(Bug::Early) {
                let _ = limited.conn.pragma_update(None, "synchronous", "OFF");
            }
            let mut batch: Vec<Sent> = Vec::new();
            for _ in 0..self.rng.usize(1..5) {
                let one = self.choose(&known);
                // Of two with one key the store lets one in at a time.
                if one.claim.is_none() || batch.iter().all(|other| other.claim != one.claim) {
                    batch.push(one);
                }
            }
            let healthy = self.write(&limited, &shared, batch, &mut known)?;
            if disk::is_dead(self.number) {
                break;
            }
            if healthy {
                self.read(&limited, &mut known);
                if self.rng.u8(..10) == 0 {
                    let _ = idempotency::clean(&limited.conn);
                }
                connection = Some(limited);
            }
        }
        Ok(())
    }

    /// A new write, or one that was sent before, with its key.
    fn choose(&mut self, known: &Rows) -> Sent {
        if self.rng.u8(..4) == 0 {
            let done = self.done.iter().map(|(sent, _)| sent);
            let again: Vec<&Sent> = self.open.iter().chain(done).collect();
            if let Some(sent) = (!again.is_empty()).then(|| again[self.rng.usize(..again.len())]) {
                return Sent::new(sent.id, sent.event.ask, sent.version, sent.claim.clone());
            }
        }
        self.value += 1;
        let id = self.rng.i64(1..=ROWS);
        let known = known.get(&id).copied();
        let ask = loop {
            match sim::choose(&mut self.rng, self.value, known) {
                Ask::Read => {}
                ask => break ask,
            }
        };
        let claim = self.rng.bool().then(|| sim::claim(self.setup.seed, self.value));
        Sent::new(id, ask, known.map(|(_, version)| version), claim)
    }

    /// Runs a batch as the writer's thread does. Whether the connection may be used again.
    fn write(
        &mut self,
        limited: &Limited,
        shared: &Shared,
        batch: Vec<Sent>,
        known: &mut Rows,
    ) -> Result<bool, String> {
        let (jobs, waiting) = sync_channel(batch.len());
        let mut answers = Vec::new();
        for one in &batch {
            let (reply, answer) = oneshot::channel();
            let write = sim::write(one.event.ask, one.id, one.version, one.claim.clone());
            let job = writer::Job {
                write: self
                    .setup
                    .bug
                    .map_or_else(|| write.clone(), |bug| bug.spoil(write.clone())),
                deadline: clock::now() + Duration::from_mins(1),
                render: Some(sim::render(one.event.ask)),
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
        for (one, mut answer) in batch.into_iter().zip(answers) {
            let ended = answer.try_recv().ok();
            self.note(one, ended.as_ref(), known)?;
        }
        Ok(healthy)
    }

    /// Takes note of how a request ended.
    fn note(
        &mut self,
        mut one: Sent,
        ended: Option<&Result<Outcome, StoreError>>,
        known: &mut Rows,
    ) -> Result<(), String> {
        let answer = ended.and_then(|ended| sim::answer(one.event.ask, ended));
        let done = self
            .done
            .iter()
            .find(|(sent, _)| sent.claim.is_some() && sent.claim == one.claim);
        if let (Some((sent, before)), Some(answer)) = (done, answer) {
            if !answer.replayed || (answer.status, answer.version) != (before.status, before.version) {
                return Err(format!(
                    "{sent:?}, answered {before:?}, was answered {answer:?} when it was repeated"
                ));
            }
            return Ok(());
        }
        if done.is_some() {
            return Ok(());
        }
        // What became of the first time is known now, and otherwise only this time counts.
        let first = self
            .open
            .iter()
            .position(|sent| sent.claim.is_some() && sent.claim == one.claim);
        if let (Some(first), Some(answer)) = (first, answer) {
            self.settle(first, answer.replayed.then_some(answer));
        } else if first.is_some() {
            return Ok(());
        }
        (one.event.begun, one.event.ended) = (tick(), tick());
        match answer {
            // It was settled above.
            Some(answer) if answer.replayed => {}
            Some(answer) => {
                self.learn(&one, answer, known);
                one.event.told = Told::Answer(answer.status, None);
                if answer.status < 300 && one.claim.is_some() {
                    self.done.push((one.clone(), answer));
                }
                self.sent.push(one);
            }
            None => {
                one.event.ended = u64::MAX;
                self.sent.push(one.clone());
                if one.claim.is_some() {
                    self.open.push(one);
                }
            }
        }
        Ok(())
    }

    /// What is known of a row after an answer.
    fn learn(&mut self, one: &Sent, answer: Answer, known: &mut Rows) {
        if answer.status == 204 {
            known.remove(&one.id);
        } else if let (Some(value), Some(version)) = (sim::sets(one.event.ask), answer.version) {
            known.insert(one.id, (value, version));
            self.seen.push((one.id, value, version));
        }
    }

    /// An open request was done with this answer, or was not done.
    fn settle(&mut self, open: usize, answer: Option<Answer>) {
        let sent = self.open.swap_remove(open);
        let told = answer.map_or(Told::NotDone, |answer| Told::Done(answer.status));
        let its = |s: &&mut Sent| s.claim == sent.claim && s.event.told == Told::Nothing;
        self.sent.iter_mut().filter(its).for_each(|s| s.event.told = told);
        if let Some(answer) = answer {
            self.done.push((sent, answer));
        }
    }

    /// Reads some rows.
    fn read(&mut self, limited: &Limited, known: &mut Rows) {
        let Ok(found) = rows(&limited.conn) else { return };
        *known = found;
        for id in 1..=ROWS {
            let row = known.get(&id).map(|(value, _)| *value);
            let mut read = Sent::new(id, Ask::Read, None, None);
            (read.event.begun, read.event.ended) = (tick(), tick());
            read.event.told = Told::Answer(if row.is_some() { 200 } else { 404 }, row);
            self.sent.push(read);
        }
    }

    /// After the power is back: every row has a history that could have happened.
    fn check(&mut self, before: &Rows) -> Result<Rows, String> {
        let path = disk_path(&self.plan);
        let conn =
            connect::open(&path, Use::Write, Duration::ZERO).map_err(|e| format!("it does not open: {e}"))?;
        let verdict: String = conn
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .map_err(|e| e.to_string())?;
        if verdict != "ok" {
            return Err(verdict);
        }
        let kept = |claim: &Option<IdempotencyClaim>| {
            let kept = claim
                .as_ref()
                .and_then(|claim| idempotency::kept(&conn, claim).ok().flatten());
            kept.as_ref().map(sim::replay)
        };
        if let Some((sent, _)) = self.done.iter().find(|(sent, _)| kept(&sent.claim).is_none()) {
            return Err(format!("the key of {sent:?}, acknowledged, is forgotten"));
        }
        while let Some(open) = self.open.first() {
            let answer = kept(&open.claim);
            self.settle(0, answer);
        }
        let found = rows(&conn).map_err(|e| e.to_string())?;
        self.seen
            .extend(found.iter().map(|(id, (value, version))| (*id, *value, *version)));
        let row = |rows: &Rows, id: i64| -> Row { rows.get(&id).map(|(value, _)| *value) };
        for id in 1..=ROWS {
            let events: Vec<Event> = self
                .sent
                .iter()
                .filter(|s| s.id == id)
                .map(|s| s.event.clone())
                .collect();
            let (from, to) = (row(before, id), row(&found, id));
            if !is_linearizable(from, &events, to) {
                let events = shown(&events);
                return Err(format!(
                    "row {id} went from {from:?} to {to:?}, which these cannot explain:\n{events}"
                ));
            }
            one_version_each(self.seen.iter().filter(|s| s.0 == id).map(|s| (s.1, s.2)))?;
        }
        let told = self.sent.drain(..).map(|s| (s.id, s.event.ask, s.event.told));
        self.told.extend(told);
        Ok(found)
    }
}

fn rows(conn: &rusqlite::Connection) -> rusqlite::Result<Rows> {
    let mut statement = conn.prepare("SELECT id, n, _version FROM things")?;
    let rows = statement.query_map([], |row| {
        let n: i64 = row.get(1)?;
        Ok((row.get(0)?, (n.unsigned_abs(), row.get(2)?)))
    })?;
    rows.collect()
}

fn by_seed(seed: u64) -> Setup {
    Setup {
        seed,
        first: None,
        lives: LIVES,
        bug: None,
    }
}

#[test]
fn no_loss_of_power_loses_an_acknowledged_write() {
    for seed in sim::seeds(200) {
        run(by_seed(seed)).unwrap_or_else(|why| panic!("{why}"));
    }
}

#[test]
fn a_seed_is_a_history() {
    for seed in 0..10 {
        assert_eq!(run(by_seed(seed)), run(by_seed(seed)), "seed {seed}");
    }
}

#[test]
fn the_power_may_go_in_any_step() {
    let one = |first| Setup {
        first: Some(first),
        lives: 1,
        ..by_seed(7)
    };
    let steps = run(one(Fault::None)).unwrap_or_else(|why| panic!("{why}")).steps;
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
    let steps = run(one(Fault::None)).unwrap_or_else(|why| panic!("{why}")).steps;
    for step in 1..=steps {
        run(one(Fault::Fail(step))).unwrap_or_else(|why| panic!("step {step} fails: {why}"));
    }
}

/// The harness finds what it is for: a writer that answers before its commit is on the disk, one that does again what
/// was done, one that does not look at the version, and reads of what was.
#[test]
fn planted_bugs_are_found() {
    for (bug, least) in [(Bug::Early, 10), (Bug::Twice, 40), (Bug::Lost, 10)] {
        let planted = |seed| Setup {
            bug: Some(bug),
            ..by_seed(seed)
        };
        let found = (0..50).filter(|seed| run(planted(*seed)).is_err()).count();
        assert!(found > least, "{bug:?} is found by {found} of 50 seeds");
    }
}
