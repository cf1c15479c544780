//! A primary with replicas: who answers, who is written to, and what happens when they stall, lag, die and change roles.

use crate::operation::{Condition, Freshness, Read};
use crate::store::contract::fixture::{insert, is, items, parts, read, run, things};
use crate::store::contract::server::Server;
use crate::store::{Done, Page, Role, Store, StoreError};
use crate::value::Value;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use stoa_config::plan::{Consistency, Plan};
use stoa_exchange::clock;
use stoa_exchange::position::Position;

/// How long the store may take to notice what is to be noticed, on a machine that has other things to do.
const NOTICE: Duration = Duration::from_secs(10);
/// Callers that read while others write.
const READERS: usize = 64;
/// What a request may wait for its place in the product: the deadline of a write.
const WRITE: Duration = Duration::from_secs(5);

fn soon() -> Instant {
    clock::now() + Duration::from_secs(5)
}

fn write(store: &dyn Store, id: i64) -> Result<Done, StoreError> {
    run(store.write(insert(0, &[0], vec![vec![Value::Int(id)]]), soon(), None))
}

fn fetch(store: &dyn Store, id: i64, fresh: Freshness) -> Result<Page, StoreError> {
    let one = Read {
        fresh,
        limit: 1,
        ..read(0, items(&things(), &[0]), is(0, id))
    };
    run(store.read(&one, soon()))
}

fn session(at: &Position) -> Freshness {
    Freshness::of(Consistency::Session, at.clone())
}

fn anything() -> Freshness {
    Freshness::of(Consistency::Eventual, Position::default())
}

/// Waits until something holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = clock::now();
    while !holds() {
        assert!(clock::now() < began + NOTICE, "waited in vain: {what}");
        std::thread::yield_now();
    }
}

fn role(store: &dyn Store, server: usize) -> (Role, bool) {
    let server = &store.servers()[server];
    (server.role, server.out.is_none())
}

fn by(page: &Page) -> &str {
    page.by.as_ref().map_or("nobody", |by| &*by.server)
}

fn name(postgres: &stoa_testkit::Postgres) -> String {
    format!("127.0.0.1:{}", postgres.port)
}

fn open(server: &Server, max_lag: Duration) -> (Arc<Plan>, Arc<dyn Store>) {
    let url = server.url(&server.database(&[things(), parts()]));
    server.wait_replicas();
    let opened = server.open_within(vec![things(), parts()], &url, max_lag);
    until("both replicas answer", || {
        role(&*opened.1, 1) == (Role::Replica, true) && role(&*opened.1, 2) == (Role::Replica, true)
    });
    opened
}

#[test]
fn replicas_lag_leave_hang_and_come_back() {
    let server = Server::start_cluster(2);
    a_caller_sees_what_it_wrote_whatever_the_replicas_do(&server);
    a_replica_that_is_too_far_behind_leaves_and_comes_back(&server);
    a_replica_that_hangs_costs_a_moment_once(&server);
    writes_do_not_wait_for_replicas_that_hang(&server);
}

fn a_caller_sees_what_it_wrote_whatever_the_replicas_do(server: &Server) {
    let (_plan, store) = open(server, Duration::from_secs(10));
    let [first, second] = &server.replicas[..] else {
        panic!("two replicas")
    };
    // One is late, and then neither applies anything any more.
    first.delay_replay(Duration::from_millis(200));
    let mut on_replicas = 0;
    for id in 0..200 {
        if id == 100 {
            second.pause_replay();
        }
        let done = write(&*store, id).unwrap();
        let seen = fetch(&*store, id, session(&done.at)).unwrap();
        assert_eq!(seen.rows, 1, "row {id} at {}", by(&seen));
        let other = fetch(&*store, 0, anything()).unwrap();
        on_replicas += i32::from(by(&other) != name(server));
        // What the primary has was asked for.
        assert_eq!(
            by(&fetch(&*store, id, Freshness::strong()).unwrap()),
            name(server)
        );
    }
    assert!(
        on_replicas >= 190,
        "{on_replicas} of 200 reads were answered by replicas"
    );
    // A bound that the paused one cannot keep is kept by others.
    let bounded = Freshness::of(Consistency::Bounded(Duration::from_secs(2)), Position::default());
    let began = clock::now();
    while clock::now() < began + Duration::from_secs(3) {
        let last = store.servers().iter().map(|s| s.lag).collect::<Vec<_>>();
        let page = fetch(&*store, 199, bounded.clone()).unwrap();
        if clock::now() > began + Duration::from_secs(2) {
            assert_eq!(page.rows, 1, "{} is older than its bound: {last:?}", by(&page));
        }
    }
    second.resume_replay();
    first.delay_replay(Duration::ZERO);
}

fn a_replica_that_is_too_far_behind_leaves_and_comes_back(server: &Server) {
    let (_plan, store) = open(server, Duration::from_secs(1));
    let late = &server.replicas[1];
    late.pause_replay();
    let mut id = 0;
    until("the late replica is out", || {
        id += 1;
        write(&*store, id).unwrap();
        role(&*store, 2) == (Role::Replica, false)
    });
    let out = store.servers().remove(2);
    assert!(out.out.unwrap().contains("max_lag") && out.ejections == 1 && out.lag_bytes > Some(0));
    for _ in 0..50 {
        assert_ne!(by(&fetch(&*store, 1, anything()).unwrap()), name(late));
    }
    late.resume_replay();
    until("it is back", || role(&*store, 2) == (Role::Replica, true));
    // Counted a moment later.
    until("its return is counted", || store.servers()[2].returns >= 1);
}

fn a_replica_that_hangs_costs_a_moment_once(server: &Server) {
    let (_plan, store) = open(server, Duration::from_secs(10));
    write(&*store, 1).unwrap();
    // Both have connections of this worker.
    until("both were read from", || {
        fetch(&*store, 1, anything()).unwrap();
        store.servers()[1].reads > 0 && store.servers()[2].reads > 0
    });
    let hung = &server.replicas[0];
    hung.signal("-STOP");
    let began = clock::now();
    let mut worst = Duration::ZERO;
    while clock::now() < began + Duration::from_secs(3) {
        let asked = clock::now();
        fetch(&*store, 1, anything()).unwrap();
        worst = worst.max(clock::now() - asked);
    }
    assert!(worst < Duration::from_secs(3), "a read took {worst:?}");
    until("it is out", || !role(&*store, 1).1);
    assert_ne!(by(&fetch(&*store, 1, anything()).unwrap()), name(hung));
    hung.signal("-CONT");
    until("it is back", || role(&*store, 1) == (Role::Replica, true));
}

/// Every replica hangs, so that all reads are the primary's, and there are as many at once as callers can make: each of
/// 1,000 writes and more gets its place within its own deadline.
fn writes_do_not_wait_for_replicas_that_hang(server: &Server) {
    let (_plan, store) = open(server, Duration::from_secs(1));
    write(&*store, 1_000).unwrap();
    server.replicas.iter().for_each(|replica| replica.signal("-STOP"));
    let one = Read {
        fresh: anything(),
        limit: 1,
        ..read(0, items(&things(), &[0]), is(0, 1_000))
    };
    let (done, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let reads = (0..READERS).map(|_| async {
        while !done.load(Ordering::Relaxed) {
            // The first ones wait for a replica, and may be refused for it.
            if store.read(&one, soon()).await.is_ok() {
                answered.fetch_add(1, Ordering::Relaxed);
            }
            tokio::task::yield_now().await;
        }
    });
    let writes = async {
        // On until reads are answered beside them, however long the first ones wait for a replica.
        for id in 2_000..1_000_000 {
            if id >= 3_000 && answered.load(Ordering::Relaxed) >= 1_000 {
                break;
            }
            let row = insert(0, &[0], vec![vec![Value::Int(id)]]);
            let wrote = store.write(row, clock::now() + WRITE, None).await;
            if let Err(error) = wrote {
                done.store(true, Ordering::Relaxed);
                panic!("write {id}: {error}");
            }
        }
        done.store(true, Ordering::Relaxed);
    };
    run(futures_util::future::join(
        futures_util::future::join_all(reads),
        writes,
    ));
    assert!(answered.load(Ordering::Relaxed) >= 1_000, "{answered:?} reads");
    server.replicas.iter().for_each(|replica| replica.signal("-CONT"));
    until("both are back", || {
        role(&*store, 1) == (Role::Replica, true) && role(&*store, 2) == (Role::Replica, true)
    });
}

#[test]
fn primaries_hang_die_and_are_replaced() {
    let server = Server::start_cluster(2);
    a_primary_that_hangs_stops_writes_and_not_reads(&server);
    a_promoted_replica_is_written_to_and_an_old_primary_is_not(&server);
}

fn a_promoted_replica_is_written_to_and_an_old_primary_is_not(server: &Server) {
    let (_plan, store) = open(server, Duration::from_secs(10));
    let database = "d1";
    let before = write(&*store, 1).unwrap();
    until("the replicas have it", || {
        server
            .replicas
            .iter()
            .all(|r| r.ask(database, "SELECT count(*) FROM things") == "1")
    });
    server.kill();
    // Reads go on; writes are refused, at once as soon as it is known why.
    until("writes stop", || {
        matches!(write(&*store, 2), Err(StoreError::NoPrimary(_)))
    });
    for _ in 0..20 {
        assert_eq!(fetch(&*store, 1, anything()).unwrap().rows, 1);
        assert_eq!(fetch(&*store, 1, session(&before.at)).unwrap().rows, 1);
    }
    assert!(matches!(
        fetch(&*store, 1, Freshness::strong()),
        Err(StoreError::NoPrimary(_))
    ));
    run(store.ready(soon())).unwrap();
    let new = &server.replicas[0];
    new.promote();
    let promoted = clock::now();
    until("the new primary is written to", || write(&*store, 3).is_ok());
    assert!(
        clock::now() < promoted + Duration::from_secs(2),
        "{:?}",
        clock::now() - promoted
    );
    let after = write(&*store, 4).unwrap();
    assert_eq!(after.by.unwrap().server.to_string(), name(new));
    assert_eq!(fetch(&*store, 4, session(&after.at)).unwrap().rows, 1);
    // A place on the old timeline is looked for where all are.
    assert_eq!(by(&fetch(&*store, 1, session(&before.at)).unwrap()), name(new));
    // The old one comes back and takes writes: it gets none, and no read either.
    server.resume();
    until("it is known for what it is", || {
        role(&*store, 0) == (Role::Outdated, false)
    });
    for id in 10..20 {
        let done = write(&*store, id).unwrap();
        assert_eq!(fetch(&*store, id, session(&done.at)).unwrap().rows, 1);
        assert_eq!(fetch(&*store, id, Freshness::strong()).unwrap().rows, 1);
    }
    assert_eq!(
        server.ask(database, "SELECT count(*) FROM things WHERE id >= 3"),
        "0"
    );
    assert_eq!(
        new.ask(database, "SELECT count(*) FROM things WHERE id >= 10"),
        "10"
    );
    // The other replica follows nobody in sight: it is not read from.
    assert_eq!(role(&*store, 2), (Role::Replica, false));
}

#[test]
fn two_primaries_on_one_timeline_are_not_written_to() {
    let server = Server::start_cluster(2);
    let (_plan, store) = open(&server, Duration::from_secs(10));
    write(&*store, 1).unwrap();
    let second = &server.replicas[1];
    second.wait_replayed(&server);
    second.detach();
    until("the split is seen", || role(&*store, 0) == (Role::Split, true));
    let refused = write(&*store, 2);
    let Err(StoreError::NoPrimary(why)) = refused else {
        panic!("{refused:?}")
    };
    assert!(
        why.contains(&name(&server)) && why.contains(&name(second)),
        "{why}"
    );
    // What a replica may answer is answered.
    assert_eq!(fetch(&*store, 1, anything()).unwrap().rows, 1);
    second.kill();
    until("the one that is left is written to", || write(&*store, 3).is_ok());
    assert_eq!(role(&*store, 0), (Role::Primary, true));
}

fn a_primary_that_hangs_stops_writes_and_not_reads(server: &Server) {
    let (_plan, store) = open(server, Duration::from_secs(10));
    write(&*store, 1).unwrap();
    server
        .replicas
        .iter()
        .for_each(|replica| replica.wait_replayed(server));
    server.signal("-STOP");
    let late = clock::now() + Duration::from_millis(600);
    let hung = run(store.write(insert(0, &[0], vec![vec![Value::Int(2)]]), late, None));
    assert!(matches!(hung, Err(StoreError::Unavailable(_))), "{hung:?}");
    assert!(clock::now() < late + Duration::from_secs(1));
    until("writes are refused at once", || {
        matches!(write(&*store, 3), Err(StoreError::NoPrimary(_)))
    });
    let asked = clock::now();
    assert_eq!(fetch(&*store, 1, anything()).unwrap().rows, 1);
    assert!(matches!(write(&*store, 3), Err(StoreError::NoPrimary(_))));
    assert!(clock::now() < asked + Duration::from_secs(1));
    server.signal("-CONT");
    let back = clock::now();
    until("writes go on", || write(&*store, 4).is_ok());
    assert!(
        clock::now() < back + Duration::from_secs(2),
        "{:?}",
        clock::now() - back
    );
    let all = read(0, items(&things(), &[0]), Condition::True);
    assert!(run(store.read(&all, soon())).unwrap().rows >= 1);
}
