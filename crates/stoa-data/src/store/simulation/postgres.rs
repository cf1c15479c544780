//! Two processes over one PostgreSQL and a network that does what a seed says, several callers of each, clocks that
//! jump and processes that die. Whatever happens, each row has a history that could have happened one request after the
//! other, and each key's request was done once.
//!
//! The server itself is real, so when it answers is its own matter; everything else comes from the seed.

use super::network::Network;
use super::planted::Planted;
use super::{Answer, Bug, answer, choose, claim, jump, render, replay, seeds, sets, write};
use crate::operation::{Freshness, IdempotencyClaim, Read, Version};
use crate::store::contract::fixture::{is, items, read, soon, thing, things};
use crate::store::contract::server::Server;
use crate::store::{Outcome, Store, StoreError};
use std::cell::{Cell, RefCell};
use std::ops::AddAssign;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use stoa_config::plan::Plan;
use stoa_exchange::clock;
use stoa_testkit::history::{Ask, Event, Row, Told, is_linearizable, one_version_each, shown, tick};
use tokio::sync::Notify;

/// Callers at the same time.
const CALLERS: u64 = 5;
/// Requests of each.
const REQUESTS: u64 = 12;
/// Rows they share: few, so that they meet.
const ROWS: i64 = 3;
/// Processes over the database.
const PROCESSES: usize = 2;
/// How often a request with a key is sent at most, until it is answered.
const TRIES: u32 = 4;
/// How long a request may take.
const DEADLINE: Duration = Duration::from_millis(200);
/// How long a read may take: long enough for the store to see that a connection which reads share hangs.
const READ_DEADLINE: Duration = Duration::from_millis(550);
/// How long a caller that was not answered rests.
const REST: Duration = Duration::from_millis(10);
/// When a seed must have ended, and then everything of it on the server.
const ENDS: Duration = Duration::from_mins(1);
/// Seeds at the same time: what they do most is wait.
const TOGETHER: u64 = 8;

/// A request that was answered, or sent for the last time.
struct Sent {
    id: i64,
    event: Event,
    claim: Option<IdempotencyClaim>,
    answer: Option<Answer>,
    /// For one with a key that was sent several times: when the last time began.
    last: u64,
    /// The value and the version that were seen.
    seen: Option<(u64, Version)>,
}

/// What happened in all seeds: a simulation in which nothing does shows nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    requests: u64,
    /// Tries of which the caller did not learn the end.
    lost: u64,
    /// Requests that were done by a try of which the caller did not learn it.
    replayed: u64,
    crashes: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.requests += more.requests;
        self.lost += more.lost;
        self.replayed += more.replayed;
        self.crashes += more.crashes;
    }
}

/// A process: its store, while it lives.
#[derive(Default)]
struct Process {
    store: RefCell<Option<Arc<dyn Store>>>,
    plan: RefCell<Option<Arc<Plan>>>,
    dies: Notify,
}

/// One seed.
struct World {
    seed: u64,
    bug: Option<Bug>,
    network: Rc<Network>,
    processes: Vec<Process>,
    sent: RefCell<Vec<Sent>>,
    /// The last value that was written.
    value: Cell<u64>,
    counts: Cell<Counts>,
    /// Whether no process is started any more.
    over: Cell<bool>,
    /// The numbers of the requests with which a process dies.
    crashes: Vec<(u64, usize)>,
}

/// What all seeds share.
struct Stage {
    server: Server,
    database: String,
    straight: Arc<dyn Store>,
}

impl Stage {
    fn new() -> Self {
        let server = Server::start();
        let database = server.database(&[things()]);
        let (_plan, straight) = server.open(vec![things()], &server.url(&database));
        Self {
            server,
            database,
            straight,
        }
    }

    /// Lives through a seed. The error says what was lost or doubled.
    fn run(&self, seed: u64, bug: Option<Bug>) -> Result<Counts, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let local = tokio::task::LocalSet::new();
        let ran = local.block_on(&runtime, self.live(seed, bug));
        clock::shift_wall_ms(0);
        ran.map_err(|why| {
            format!("seed {seed}, {bug:?}: {why}\nagain: STOA_SEED={seed} cargo test -p stoa-data simulation::postgres")
        })
    }

    async fn live(&self, seed: u64, bug: Option<Bug>) -> Result<Counts, String> {
        let mut rng = fastrand::Rng::with_seed(seed);
        let all = CALLERS * REQUESTS;
        let mut world = World {
            seed,
            bug,
            network: Network::new(seed),
            processes: Vec::new(),
            sent: RefCell::default(),
            value: Cell::new(0),
            counts: Cell::default(),
            over: Cell::new(false),
            crashes: (0..rng.u64(0..4))
                .map(|_| (rng.u64(1..all), rng.usize(..PROCESSES)))
                .collect(),
        };
        for number in 0..PROCESSES {
            let port = world.network.join(number, self.server.port).await;
            let url = self
                .server
                .url(&self.database)
                .replace(&self.server.port.to_string(), &port.to_string());
            let url = format!("{url}?sslmode=disable&application_name=seed-{seed}");
            let process = Process::default();
            process
                .plan
                .replace(Some(Arc::new(self.server.plan(vec![things()], &url))));
            world.processes.push(process);
        }
        let world = Rc::new(world);
        for number in 0..PROCESSES {
            world.open(number).await;
        }
        world.network.set_rough(true);
        let callers = (0..CALLERS).map(|caller| world.call(caller, rng.fork()));
        let called = tokio::time::timeout(ENDS, futures_util::future::join_all(callers)).await;
        world.network.set_rough(false);
        world.over.set(true);
        for number in 0..PROCESSES {
            world.die(number);
        }
        let judged = match called {
            Ok(_) => tokio::time::timeout(ENDS, self.judge(&world)).await,
            Err(_) => Ok(Err(String::from("the callers do not end"))),
        };
        let judged = judged.unwrap_or_else(|_| Err(String::from("it does not end")));
        if judged.is_err() && bug.is_none() {
            eprintln!("{}", world.network.trace());
        }
        judged?;
        Ok(world.counts.get())
    }

    /// Waits until nothing of the processes can be done any more, and judges what was seen.
    async fn judge(&self, world: &World) -> Result<(), String> {
        let url = self.server.url(&self.database);
        let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
            .await
            .unwrap();
        tokio::spawn(connection);
        let there = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'seed-{}'",
            world.seed
        );
        while client.query_one(&there, &[]).await.unwrap().get::<_, i64>(0) > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let settled = tick();
        let sent = world.sent.take();
        for id in 1..=ROWS {
            let id = world.id(id);
            let found = "SELECT n, _version FROM things WHERE id = $1";
            let found = client.query_opt(found, &[&id]).await.unwrap();
            let found: Option<(i64, Version)> = found.map(|row| (row.get(0), row.get(1)));
            let found = found.map(|(n, version)| (n.unsigned_abs(), version));
            let mut events = Vec::new();
            for one in sent.iter().filter(|sent| sent.id == id) {
                self.settle(world, one, settled, &mut events).await?;
            }
            let to: Row = found.map(|(value, _)| value);
            if !is_linearizable(None, &events, to) {
                let events = shown(&events);
                return Err(format!(
                    "row {id} is {to:?}, which these cannot explain:\n{events}"
                ));
            }
            let seen = sent
                .iter()
                .filter(|sent| sent.id == id)
                .filter_map(|sent| sent.seen);
            one_version_each(seen.chain(found))?;
        }
        Ok(())
    }

    /// What became of a request, now that it is certain.
    async fn settle(
        &self,
        world: &World,
        one: &Sent,
        settled: u64,
        events: &mut Vec<Event>,
    ) -> Result<(), String> {
        if one.event.ask == Ask::Read {
            // One that was not answered says nothing.
            events.extend((one.event.told != Told::Nothing).then(|| one.event.clone()));
            return Ok(());
        }
        let kept = match &one.claim {
            None => None,
            Some(claim) => match self.straight.kept(claim, soon()).await {
                Ok(Some(done)) => match done.outcome {
                    Outcome::Replayed(reply) => Some(replay(&reply)),
                    other => return Err(format!("kept was {other:?}")),
                },
                Ok(None) => None,
                Err(error) => return Err(format!("what was kept cannot be read: {error}")),
            },
        };
        let event = one.event.clone();
        match one.answer {
            Some(told) if told.status < 300 && one.claim.is_some() => {
                if kept.is_none_or(|kept| (kept.status, kept.version) != (told.status, told.version)) {
                    return Err(format!(
                        "{:?} was answered {told:?}, and kept is {kept:?}",
                        event.ask
                    ));
                }
                events.push(event);
            }
            Some(_) if one.last == event.begun => events.push(event),
            // It was refused in the end; whether an earlier try was done shows its key.
            Some(_) => {
                events.push(Event {
                    begun: one.last,
                    ..event.clone()
                });
                if let Some(kept) = kept {
                    events.push(Event {
                        told: Told::Done(kept.status),
                        ended: settled,
                        ..event
                    });
                }
            }
            None => {
                let told = match (kept, &one.claim) {
                    (Some(kept), _) => {
                        world.count(|counts| counts.replayed += 1);
                        Told::Done(kept.status)
                    }
                    (None, Some(_)) => Told::NotDone,
                    (None, None) => Told::Nothing,
                };
                events.push(Event {
                    told,
                    ended: settled,
                    ..event
                });
            }
        }
        Ok(())
    }
}

impl World {
    fn count(&self, add: impl Fn(&mut Counts)) {
        let mut counts = self.counts.get();
        add(&mut counts);
        self.counts.set(counts);
    }

    /// The key of a row: every seed has its own.
    fn id(&self, row: i64) -> i64 {
        i64::try_from(self.seed).unwrap() * 16 + row
    }

    /// Starts a process, however often it takes.
    async fn open(&self, number: usize) {
        let process = &self.processes[number];
        let plan = process.plan.borrow().clone().unwrap();
        loop {
            let plan = Arc::clone(&plan);
            let opened = tokio::task::spawn_blocking(move || crate::store::open(&plan, 0));
            let opened = opened.await.unwrap();
            if self.over.get() {
                return;
            }
            if let Ok(store) = opened {
                let spoilt = |bug| Arc::new(Planted::new(bug, Arc::clone(&store))) as Arc<dyn Store>;
                let store = self.bug.map_or_else(|| Arc::clone(&store), spoilt);
                process.store.replace(Some(store));
                return;
            }
        }
    }

    /// A process dies, with everything that it was at.
    fn die(&self, number: usize) {
        let process = &self.processes[number];
        process.store.replace(None);
        process.dies.notify_waiters();
        self.network.kill(number);
    }

    /// One caller.
    async fn call(self: &Rc<Self>, caller: u64, mut rng: fastrand::Rng) {
        let mut known = vec![None; usize::try_from(ROWS).unwrap() + 1];
        for _ in 0..REQUESTS {
            if rng.u8(..20) == 0 {
                jump(&mut rng);
            }
            self.count(|counts| counts.requests += 1);
            let requests = self.counts.get().requests;
            for (_, number) in self.crashes.iter().filter(|(at, _)| *at == requests) {
                self.count(|counts| counts.crashes += 1);
                self.die(*number);
                let (world, number) = (Rc::clone(self), *number);
                tokio::task::spawn_local(async move { world.open(number).await });
            }
            let row = rng.i64(1..=ROWS);
            let known: &mut Option<(u64, Version)> = &mut known[usize::try_from(row).unwrap()];
            self.value.set(self.value.get() + 1);
            let ask = choose(&mut rng, self.value.get(), *known);
            let keyed = ask != Ask::Read && rng.bool();
            let first = usize::try_from(caller).unwrap() + rng.usize(..8) / 7;
            let sent = self.ask(row, ask, known.map(|(_, v)| v), keyed, first).await;
            if let Some(seen) = sent.seen {
                *known = Some(seen);
            }
            self.sent.borrow_mut().push(sent);
        }
    }

    /// Sends a request; with a key, again and elsewhere until it is answered.
    async fn ask(&self, row: i64, ask: Ask, version: Option<Version>, keyed: bool, first: usize) -> Sent {
        let claim = keyed.then(|| claim(self.seed, sets(ask).unwrap_or_else(|| self.next())));
        let begun = tick();
        let mut sent = Sent {
            id: self.id(row),
            event: Event {
                ask,
                told: Told::Nothing,
                begun,
                ended: u64::MAX,
            },
            claim,
            answer: None,
            last: begun,
            seen: None,
        };
        for tried in 0..if keyed { TRIES } else { 1 } {
            if tried > 0 {
                sent.last = tick();
            }
            self.once(&mut sent, version, first + tried as usize).await;
            if sent.event.told != Told::Nothing {
                sent.event.ended = tick();
                return sent;
            }
            self.count(|counts| counts.lost += 1);
            // Where a process rests after a failure it says so at once.
            tokio::time::sleep(REST).await;
        }
        sent
    }

    /// A value for a request that sets none: its key is made of it.
    fn next(&self) -> u64 {
        self.value.set(self.value.get() + 1);
        self.value.get()
    }

    /// Sends a request once.
    async fn once(&self, sent: &mut Sent, version: Option<Version>, process: usize) {
        let process = &self.processes[process % PROCESSES];
        let Some(store) = process.store.borrow().clone() else {
            return;
        };
        let ask = sent.event.ask;
        if ask == Ask::Read {
            let page = tokio::select! {
                biased;
                () = process.dies.notified() => return,
                page = look(&*store, sent.id) => page,
            };
            if let Ok(found) = page {
                sent.seen = found;
                let status = if found.is_some() { 200 } else { 404 };
                sent.event.told = Told::Answer(status, found.map(|(value, _)| value));
            }
            return;
        }
        let ended = tokio::select! {
            biased;
            () = process.dies.notified() => return,
            ended = change(&*store, sent, version) => ended,
        };
        if let Some(answer) = answer(ask, &ended) {
            if answer.replayed {
                self.count(|counts| counts.replayed += 1);
            }
            sent.seen = sets(ask).zip(answer.version);
            sent.event.told = Told::Answer(answer.status, None);
            sent.answer = Some(answer);
        }
    }
}

/// Reads a row's value and version.
async fn look(store: &dyn Store, id: i64) -> Result<Option<(u64, Version)>, StoreError> {
    let read = Read {
        fresh: Freshness::strong(),
        limit: 1,
        ..read(0, items(&things(), &[thing::N]), is(0, id))
    };
    let page = store.read(&read, clock::now() + READ_DEADLINE).await?;
    let row = (page.rows > 0).then(|| serde_json::from_slice::<serde_json::Value>(&page.json).unwrap());
    Ok(row.map(|row| (row["n"].as_u64().unwrap(), page.version.unwrap())))
}

/// Writes as the handler does: what is kept for the key comes first.
async fn change(store: &dyn Store, sent: &Sent, version: Option<Version>) -> Result<Outcome, StoreError> {
    let deadline = clock::now() + DEADLINE;
    if let Some(claim) = &sent.claim
        && let Some(done) = store.kept(claim, deadline).await?
    {
        return Ok(done.outcome);
    }
    let ask = sent.event.ask;
    let write = write(ask, sent.id, version, sent.claim.clone());
    let done = store.write(write, deadline, Some(render(ask))).await?;
    Ok(done.outcome)
}

/// Lives through seeds, several at a time. The jumps of the clock are those of all of them: it is the process's.
fn each(stage: &Stage, seeds: std::ops::Range<u64>, bug: Option<Bug>) -> Vec<Result<Counts, String>> {
    let next = AtomicU64::new(seeds.start);
    std::thread::scope(|scope| {
        let one = || {
            let mut own = Vec::new();
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds.end || own.iter().any(Result::is_err) && bug.is_none() {
                    return own;
                }
                own.push(stage.run(seed, bug));
            }
        };
        let all: Vec<_> = (0..TOGETHER).map(|_| scope.spawn(one)).collect();
        all.into_iter()
            .flat_map(|thread| thread.join().expect("it ends"))
            .collect()
    })
}

#[test]
fn no_fault_of_the_network_loses_or_doubles_a_write() {
    let stage = Stage::new();
    let mut all = Counts::default();
    for ran in each(&stage, seeds(60), None) {
        all += ran.unwrap_or_else(|why| panic!("{why}"));
    }
    eprintln!("{all:?}");
    let happened = all.lost > 0 && all.replayed > 0;
    assert!(
        happened || std::env::var_os("STOA_SEED").is_some(),
        "hardly anything happened: {all:?}"
    );
}

#[test]
fn planted_bugs_are_found() {
    let stage = Stage::new();
    for (position, bug) in (1..).zip([Bug::Early, Bug::Twice, Bug::Lost, Bug::Stale]) {
        let first = position * 1_000_000;
        let ran = each(&stage, first..first + 8, Some(bug));
        let found = ran.iter().filter(|ran| ran.is_err()).count();
        eprintln!("{bug:?} is found by {found} of {} seeds", ran.len());
        assert!(found > 0, "{bug:?} is found by no seed");
    }
}
