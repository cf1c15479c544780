//! Buckets are moved by hand, in SQL, under writers and readers whose maps are old.

use super::{all, both, resources};
use crate::bucket::bucket_of;
use crate::operation::{Change, Condition, Conflict};
use crate::store::contract::fixture::{done, insert, is, json, page, read, run, soon, try_write, update};
use crate::store::contract::server::Server;
use crate::store::postgres::{EVERY, LOCKS};
use crate::store::{Store, StoreError};
use crate::value::Value;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use tokio_postgres::{Client, NoTls};

/// Buckets of one move.
const AT_ONCE: u16 = 60;
/// Moves under load.
const MOVES: i64 = 8;

/// Somebody who moves buckets, as the fence asks him to.
struct Mover {
    clients: Vec<Client>,
    file: String,
}

impl Mover {
    fn new(server: &Server, urls: &[String]) -> Self {
        let connect = |url: &String| {
            run(async {
                let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
                tokio::spawn(connection);
                client
            })
        };
        Self {
            clients: urls.iter().map(connect).collect(),
            file: server.folder().join("moved").display().to_string(),
        }
    }

    fn sql(&self, shard: usize, sql: &str) {
        run(self.clients[shard].batch_execute(sql)).unwrap();
    }

    /// From here on nobody owns the buckets.
    fn take(&self, from: usize, low: u16, high: u16) {
        self.sql(
            from,
            &format!(
                "BEGIN; SELECT pg_advisory_xact_lock({LOCKS}, {EVERY}); \
                 SELECT pg_advisory_xact_lock({LOCKS}, b) FROM generate_series({low}, {high}) AS b; \
                 DELETE FROM _stoa_owned WHERE bucket BETWEEN {low} AND {high}; COMMIT"
            ),
        );
    }

    /// The rows go along; those at the old place stay there.
    fn give(&self, (from, to): (usize, usize), (low, high): (u16, u16), epoch: i64) {
        for table in ["things", "parts"] {
            let file = format!("{}_{table}", self.file);
            let of = format!("_bucket BETWEEN {low} AND {high}");
            self.sql(
                from,
                &format!("COPY (SELECT * FROM {table} WHERE {of}) TO '{file}'"),
            );
            self.sql(
                to,
                &format!("DELETE FROM {table} WHERE {of}; COPY {table} FROM '{file}'"),
            );
        }
        self.sql(
            to,
            &format!("INSERT INTO _stoa_owned SELECT b, {epoch} FROM generate_series({low}, {high}) AS b"),
        );
        self.sql(
            0,
            &format!(
                "UPDATE _stoa_map SET shard = {to}, epoch = {epoch} WHERE bucket BETWEEN {low} AND {high}"
            ),
        );
    }

    fn count(&self, shard: usize, sql: &str) -> i64 {
        run(self.clients[shard].query_one(sql, &[])).unwrap().get(0)
    }
}

/// Three shards, and so many stores over them as processes have: each with a map of its own.
fn shards(processes: usize) -> (Server, Vec<String>, Vec<Arc<dyn Store>>) {
    let server = Server::start();
    let urls = server.empty(3);
    let plan = Arc::new(server.sharded_plan(resources(), &urls));
    crate::migrate::apply(&plan, 0, false).unwrap();
    let stores = (0..processes)
        .map(|_| crate::store::open(&plan, 0).unwrap())
        .collect();
    (server, urls, stores)
}

fn thing(id: i64, n: i64) -> crate::operation::Write {
    insert(0, &[0, 1], vec![vec![Value::Int(id), Value::Int(n)]])
}

fn one(id: i64) -> crate::operation::Read {
    read(0, both(), is(0, id))
}

#[test]
fn an_old_map_reads_and_writes_in_the_right_place() {
    let (server, urls, stores) = shards(2);
    let mover = Mover::new(&server, &urls);
    let [old, other] = &stores[..] else { panic!() };
    for id in 0..200 {
        done(&**old, thing(id, id));
    }
    let whole = json(&**old, &all());
    // Shard 0 has the first third of the buckets.
    mover.take(0, 0, 300);
    mover.give((0, 2), (0, 300), 2);
    let moved = (0..200).find(|id| bucket_of(&Value::Int(*id)) <= 300).unwrap();
    assert_eq!(
        json(&**old, &one(moved)),
        format!("{{\"id\":{moved},\"n\":{moved}}}")
    );
    assert_eq!(
        json(&**other, &all()),
        whole,
        "what stayed behind is not shown twice"
    );
    assert_eq!(page(&**other, &all()).total, Some(200));
    done(&**old, update(0, is(0, moved), vec![(1, Value::Int(-1))]));
    let at = |shard| mover.count(shard, &format!("SELECT n FROM things WHERE id = {moved}"));
    assert_eq!(
        (at(0), at(2)),
        (moved, -1),
        "the copy that stayed behind is not written"
    );
    let unborn = (200..9_999)
        .find(|id| bucket_of(&Value::Int(*id)) <= 300)
        .unwrap();
    done(&**other, thing(unborn, 0));
    let born = format!("SELECT count(*) FROM things WHERE id = {unborn}");
    assert_eq!((mover.count(0, &born), mover.count(2, &born)), (0, 1));
}

#[test]
fn a_bucket_that_lies_nowhere_is_waited_for_and_then_refused() {
    let (server, urls, stores) = shards(1);
    let mover = Mover::new(&server, &urls);
    let store = &*stores[0];
    let id = (0..9_999).find(|id| bucket_of(&Value::Int(*id)) <= 300).unwrap();
    done(store, thing(id, 1));
    mover.take(0, 0, 300);
    let lost = |result: Result<_, StoreError>| {
        assert!(matches!(result, Err(StoreError::Unavailable(_))), "{result:?}");
    };
    lost(run(store.read(&one(id), soon())).map(drop));
    lost(try_write(store, update(0, is(0, id), vec![(1, Value::Int(2))])).map(drop));
    lost(run(store.read(&all(), soon())).map(drop));
    assert_eq!(
        mover.count(0, &format!("SELECT n FROM things WHERE id = {id}")),
        1
    );
    // While it is on its way, it is waited for.
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| json(store, &one(id)));
        mover.give((0, 1), (0, 300), 2);
        assert_eq!(reading.join().unwrap(), format!("{{\"id\":{id},\"n\":1}}"));
    });
}

/// What writers were told: the last value of each row.
type Told = Mutex<BTreeMap<i64, i64>>;

/// Makes rows and changes them until it is told to stop.
fn writes(store: &dyn Store, own: i64, told: &Told, stop: &AtomicBool) {
    let mut id = own;
    while !stop.load(Ordering::Relaxed) {
        done(store, thing(id, 0));
        told.lock().unwrap().insert(id, 0);
        let earlier = own + (id - own) / 200 * 100;
        let changed = update(0, is(0, earlier), vec![(1, Value::Int(id))]);
        assert_eq!(done(store, changed).affected, 1, "{earlier} is there");
        told.lock().unwrap().insert(earlier, id);
        id += 100;
    }
}

/// What was acknowledged before a read is in it.
fn reads(store: &dyn Store, told: &Told, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let before: Vec<i64> = told.lock().unwrap().keys().copied().collect();
        let seen = page(store, &all());
        let text = format!("[{}]", String::from_utf8(seen.json).unwrap());
        let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        let ids: Vec<i64> = rows.iter().map(|row| row["id"].as_i64().unwrap()).collect();
        assert!(
            ids.windows(2).all(|pair| pair[0] < pair[1]),
            "no row twice, in order"
        );
        let lost: Vec<_> = before
            .iter()
            .filter(|id| ids.binary_search(id).is_err())
            .collect();
        assert!(lost.is_empty(), "{lost:?} were acknowledged");
    }
}

#[test]
fn moves_under_load_lose_nothing_and_misplace_nothing() {
    let (server, urls, stores) = shards(5);
    let mover = Mover::new(&server, &urls);
    let (told, stop, round) = (Told::default(), AtomicBool::new(false), AtomicI64::new(0));
    std::thread::scope(|scope| {
        let (reader, writers) = stores.split_last().unwrap();
        for (own, store) in (0..).zip(writers) {
            let (told, stop) = (&told, &stop);
            scope.spawn(move || Stops(stop).run(|| writes(&**store, own, told, stop)));
        }
        scope.spawn(|| Stops(&stop).run(|| reads(&**reader, &told, &stop)));
        // Round and round: 0 → 1 → 2 → 0, so that buckets come back to where copies of them lie.
        for n in 0..MOVES {
            let written = told.lock().unwrap().len();
            let (from, to) = ((n % 3) as usize, ((n + 1) % 3) as usize);
            mover.take(from, 0, AT_ONCE - 1);
            mover.give((from, to), (0, AT_ONCE - 1), n + 2);
            round.store(n, Ordering::Relaxed);
            while told.lock().unwrap().len() < written + 10 && !stop.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(round.into_inner(), MOVES - 1, "a writer or reader failed");
    let told = told.into_inner().unwrap();
    let text = format!("[{}]", json(&*stores[0], &all()));
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let found: BTreeMap<i64, i64> = rows
        .iter()
        .map(|row| (row["id"].as_i64().unwrap(), row["n"].as_i64().unwrap()))
        .collect();
    assert_eq!(found, told);
    let owned: i64 = (0..3)
        .map(|s| mover.count(s, "SELECT count(*) FROM _stoa_owned"))
        .sum();
    assert_eq!(owned, 1_024);
}

/// Stops the others when its own work fails, so that a failure is seen at once.
struct Stops<'a>(&'a AtomicBool);

impl Stops<'_> {
    fn run(self, work: impl FnOnce()) {
        work();
        std::mem::forget(self);
    }
}

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn a_split_insert_finds_the_shards_of_a_newer_map() {
    let (server, urls, stores) = shards(1);
    let mover = Mover::new(&server, &urls);
    mover.take(0, 0, 300);
    mover.give((0, 1), (0, 300), 2);
    let mut write = insert(
        0,
        &[0, 1],
        (0..60).map(|id| vec![Value::Int(id), Value::Int(0)]).collect(),
    );
    write.per_shard = true;
    let crate::store::Outcome::Parts(parts) = run(stores[0].write(write, soon(), None)).unwrap().outcome
    else {
        panic!("it spans shards")
    };
    assert_eq!(parts.iter().map(|p| p.rows.len()).sum::<usize>(), 60);
    assert!(parts.iter().all(|p| p.result.is_ok()), "{parts:?}");
    assert_eq!(page(&*stores[0], &all()).total, Some(60));
    let upsert = |id: i64| crate::operation::Write {
        change: Change::Insert {
            fields: vec![0, 1],
            rows: vec![vec![Value::Int(id), Value::Int(5)]],
            buckets: vec![bucket_of(&Value::Int(id))],
            conflict: Conflict::Ignore { on: Vec::new() },
            check: Condition::True,
        },
        ..thing(id, 5)
    };
    assert_eq!(done(&*stores[0], upsert(1)).affected, 0, "it is there already");
}
