//! A server that is killed, or that stops answering.

use crate::operation::Condition;
use crate::store::StoreError;
use crate::store::contract::fixture::{insert, is, items, parts, read, run, things};
use crate::store::contract::server::Server;
use crate::value::Value;
use std::time::Duration;
use stoa_exchange::clock;

/// How long a store may take to serve again once the server does.
const BACK: Duration = Duration::from_secs(2);

#[test]
fn a_server_that_was_killed_is_used_again_without_a_restart() {
    let server = Server::start();
    let (_plan, store) = server.store(vec![things(), parts()]);
    let all = read(0, items(&things(), &[0]), Condition::True);
    let soon = |millis| clock::now() + Duration::from_millis(millis);
    let mut acknowledged = 0;
    for round in 0..3_i64 {
        // Under load: reads and writes are under way when it goes.
        run(async {
            let writes = (0..20).map(|i| {
                let row = vec![Value::Int(round * 100 + i)];
                store.write(insert(0, &[0], vec![row]), soon(2_000), None)
            });
            let reads = (0..20).map(|_| store.read(&all, soon(2_000)));
            let killed = tokio::task::spawn_blocking({
                let pids = server.processes();
                move || {
                    for pid in pids {
                        let _ = std::process::Command::new("kill").args(["-9", &pid]).status();
                    }
                }
            });
            let (writes, reads, killed) = futures_util::future::join3(
                futures_util::future::join_all(writes),
                futures_util::future::join_all(reads),
                killed,
            )
            .await;
            killed.unwrap();
            acknowledged += writes.iter().filter(|w| w.is_ok()).count();
            for failed in writes
                .into_iter()
                .map(|w| w.map(drop))
                .chain(reads.into_iter().map(|r| r.map(drop)))
            {
                assert!(
                    matches!(failed, Ok(()) | Err(StoreError::Unavailable(_))),
                    "{failed:?}"
                );
            }
        });
        server.kill();
        let refused = run(store.read(&all, soon(2_000)));
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        server.resume();
        let up = clock::now();
        while let Err(error) = run(store.read(&all, soon(1_000))) {
            assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
            assert!(clock::now() < up + BACK, "the store did not come back");
            std::thread::yield_now();
        }
        let rows = run(store.read(&all, soon(2_000))).unwrap().rows;
        assert!(
            rows >= acknowledged as u64,
            "{rows} rows of {acknowledged} acknowledged"
        );
    }
}

#[test]
fn a_server_that_hangs_costs_no_more_than_the_deadline() {
    let server = Server::start();
    let (_plan, store) = server.store(vec![things(), parts()]);
    let all = read(0, items(&things(), &[0]), Condition::True);
    let long = || clock::now() + Duration::from_secs(5);
    let before = server.processes();
    run(store.read(&all, long())).unwrap();
    let four = (10..14).map(|i| store.write(insert(0, &[0], vec![vec![Value::Int(i)]]), long(), None));
    for made in run(futures_util::future::join_all(four)) {
        made.unwrap();
    }
    // What serves the store's connections: a shared one and four that are idle now.
    let mut hung = server.processes();
    hung.retain(|process| !before.contains(process));
    assert!(hung.len() >= 5, "{hung:?}");
    server.signal("-STOP");
    let deadline = Duration::from_millis(700);
    let started = clock::now();
    let (read_one, wrote) = run(futures_util::future::join(
        store.read(&all, started + deadline),
        store.write(
            insert(0, &[0], vec![vec![Value::Int(2)]]),
            started + deadline,
            None,
        ),
    ));
    assert!(
        matches!(read_one, Err(StoreError::Unavailable(_))),
        "{read_one:?}"
    );
    assert!(matches!(wrote, Err(StoreError::Unavailable(_))), "{wrote:?}");
    assert!(clock::now() < started + deadline + Duration::from_millis(600));
    server.signal("-CONT");
    let key = read(0, items(&things(), &[0]), is(0, 10));
    let up = clock::now();
    while let Err(error) = run(store.read(&key, clock::now() + Duration::from_secs(1))) {
        assert!(
            matches!(error, StoreError::Unavailable(_) | StoreError::Deadline),
            "{error:?}"
        );
        assert!(clock::now() < up + BACK, "the store did not come back");
        std::thread::yield_now();
    }
    run(store.write(insert(0, &[0], vec![vec![Value::Int(3)]]), long(), None)).unwrap();
    // The hung connections are not handed out again, the idle ones neither: they were closed.
    let up = clock::now();
    while server.processes().iter().any(|process| hung.contains(process)) {
        assert!(clock::now() < up + BACK, "a connection that hung is still open");
        run(store.read(&key, long())).unwrap();
    }
}

#[test]
fn servers_that_take_longer_than_a_look_at_the_start_are_looked_at_again() {
    let server = Server::start_cluster(1);
    let name = server.database(&[things(), parts()]);
    server.wait_replicas();
    let url = server.url(&name);
    server.signal("-STOP");
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let starting = scope.spawn(|| {
            let plan = std::sync::Arc::new(server.plan(vec![things(), parts()], &url));
            let opened = crate::store::open(&plan, 0).map(drop);
            let _ = tell.send(());
            opened
        });
        // One look takes a second.
        let ended = told.recv_timeout(Duration::from_millis(1_500));
        server.signal("-CONT");
        assert!(ended.is_err(), "one look must not decide");
        starting.join().unwrap().unwrap();
    });
}
