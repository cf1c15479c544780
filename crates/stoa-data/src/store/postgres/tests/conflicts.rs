//! Transactions that stand in each other's way, and a server that lets no more connections in: tried again where that is
//! safe, refused for a moment otherwise, and never done twice.

use crate::operation::Condition;
use crate::store::contract::fixture::{insert, items, parts, read, run, soon, things, try_write};
use crate::store::contract::server::Server;
use crate::store::{Store, StoreError};
use crate::value::Value;
use std::sync::Arc;
use stoa_config::plan::Plan;
use stoa_exchange::clock;

/// A trigger that fails so many times, which no rollback takes back.
const STUMBLE: &str = "CREATE SEQUENCE tries; \
    CREATE FUNCTION stumble() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
    IF nextval('tries') <= TG_ARGV[1]::int THEN RAISE EXCEPTION 'stumbled' USING ERRCODE = TG_ARGV[0]; END IF; \
    RETURN NEW; END $$";
/// Connections that the server lets a login have.
const FEW: usize = 3;
/// Those that it has.
const COUNT: &str = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'few'";

#[test]
fn deadlocks_and_failures_to_serialize_are_tried_again_within_a_bound() {
    let server = Server::start();
    let (_plan, store) = server.store(vec![things(), parts()]);
    server.sql("d0", STUMBLE);
    let mut id = 0;
    for state in ["40P01", "40001"] {
        for (times, ends_well) in [(3, true), (4, false)] {
            server.sql(
                "d0",
                &format!(
                    "ALTER SEQUENCE tries RESTART; CREATE OR REPLACE TRIGGER stumble BEFORE INSERT ON things \
                     FOR EACH ROW EXECUTE FUNCTION stumble('{state}', {times})"
                ),
            );
            id += 1;
            match try_write(&*store, insert(0, &[0], vec![vec![Value::Int(id)]])) {
                Ok(written) if ends_well => assert_eq!(written.affected, 1),
                Err(StoreError::Overloaded) if !ends_well => {}
                other => panic!("{state} {times} times: {other:?}"),
            }
            let rows = server.ask("d0", &format!("SELECT count(*) FROM things WHERE id = {id}"));
            assert_eq!(rows, if ends_well { "1" } else { "0" }, "{state}");
        }
    }
}

/// A store whose login may have a few connections; and the name of its database.
fn open_for_few(server: &Server) -> (String, Arc<Plan>, Arc<dyn Store>) {
    let name = server.database(&[things(), parts()]);
    server.sql(
        &name,
        &format!(
            "CREATE ROLE few LOGIN CONNECTION LIMIT {FEW}; GRANT ALL ON ALL TABLES IN SCHEMA public TO few"
        ),
    );
    let url = server.url(&name).replace("stoa@", "few@");
    let (plan, store) = server.open(vec![things(), parts()], &url);
    (name, plan, store)
}

#[test]
fn a_server_that_lets_few_connections_in_is_waited_for_within_a_bound() {
    let server = Server::start();
    let (name, _plan, store) = open_for_few(&server);
    let until = soon();
    let results = run(futures_util::future::join_all((0..60).map(|id| {
        store.write(insert(0, &[0], vec![vec![Value::Int(id)]]), until, None)
    })));
    assert!(clock::now() < until, "the waits have a bound of their own");
    let written = results.iter().filter(|result| result.is_ok()).count();
    for result in results {
        let refused = result.map(drop);
        assert!(
            matches!(
                refused,
                Ok(()) | Err(StoreError::Overloaded | StoreError::Unavailable(_))
            ),
            "{refused:?}"
        );
    }
    assert_eq!(
        server.ask(&name, "SELECT count(*) FROM things"),
        written.to_string()
    );
    // Who had no place has one afterwards.
    while let Err(error) = try_write(&*store, insert(0, &[0], vec![vec![Value::Int(100)]])) {
        assert!(
            matches!(error, StoreError::Overloaded | StoreError::Unavailable(_)) && clock::now() < until,
            "{error:?}"
        );
    }
    let now = server.ask(&name, "SELECT count(*) FROM things");
    assert_eq!(now, (written + 1).to_string());
}

#[test]
fn connections_that_rest_are_given_back_to_a_server_that_lets_no_more_in() {
    let server = Server::start();
    let (name, _plan, store) = open_for_few(&server);
    let all = read(0, items(&things(), &[0]), Condition::True);
    // Writes at once leave as many connections at rest as there may be.
    run(async {
        for id in 0..20 {
            let several = [0, 1, 2].map(|n| {
                let row = insert(0, &[0], vec![vec![Value::Int(id * 10 + n)]]);
                store.write(row, soon(), None)
            });
            for written in futures_util::future::join_all(several).await {
                written.unwrap();
            }
            if server.ask(&name, COUNT) == FEW.to_string() {
                break;
            }
        }
        assert_eq!(server.ask(&name, COUNT), FEW.to_string());
        store.read(&all, soon()).await.unwrap();
    });
    // Another thread has pools of its own, and nothing at rest in them; this one goes on, as a worker does.
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| tell.send(run(store.read(&all, soon())).map(|page| page.rows)));
        assert!(run(told).unwrap().unwrap() > 0);
    });
}

#[test]
fn a_server_that_lets_nobody_in_is_named_with_the_reason_and_the_remedy() {
    let server = Server::start();
    let name = server.database(&[things(), parts()]);
    server.sql(
        &name,
        "CREATE ROLE few LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO few",
    );
    let url = server.url(&name).replace("stoa@", "few@");
    let (_plan, store) = server.open(vec![things(), parts()], &url);
    server.sql(&name, "ALTER ROLE few CONNECTION LIMIT 0");
    run(async {
        // The one that finds out, and one that is told what the first found.
        for _ in 0..2 {
            let refused = store
                .write(insert(0, &[0], vec![vec![Value::Int(1)]]), soon(), None)
                .await;
            let Err(StoreError::Unavailable(why)) = refused.map(drop) else {
                panic!("it must be refused as unavailable");
            };
            assert!(
                why.contains("lets no more connections in") && why.contains("CONNECTION LIMIT"),
                "{why}"
            );
        }
    });
}
