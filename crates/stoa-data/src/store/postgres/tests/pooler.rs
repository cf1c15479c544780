//! Something between that pools by transaction: `PgBouncer`, and one of our own, which hands out another connection for
//! every transaction.

use crate::operation::{Cast, Item, Read};
use crate::store::StoreError;
use crate::store::contract::server::Server;
use crate::store::contract::session::Session;
use crate::store::contract::{
    all,
    fixture::{bound, done, field, insert, is, items, page, parts, read, run, soon, text, things, try_write},
    pooler::Pooler,
};
use crate::value::Value;
use std::sync::Arc;
use std::time::Duration;
use stoa_config::plan::{Resource, Secret, StoreKind, Type};
use stoa_exchange::clock;
use stoa_testkit::Pgbouncer;

/// What it says in its log of a setting that a client wanted in its session.
const REFUSED: &str = "unsupported startup parameter";
/// Each client has a connection to the server until it leaves.
const BY_SESSION: &str = "pool_mode = session\ndefault_pool_size = 40";
/// Checks that show enough where another pass shows all.
const SOME: usize = 12;
/// Lets it take what a client wants in its session, and do nothing with it.
const IGNORES: &str = "ignore_startup_parameters = extra_float_digits,options";

#[test]
fn the_whole_suite_passes_through_a_pooler_of_transactions() {
    let server = Server::start();
    for (name, check) in all() {
        eprintln!("{name}");
        let database = server.database(&[things(), parts()]);
        let pooler = Pooler::start(server.port, &database);
        let url = format!("postgres://stoa@127.0.0.1:{}/{database}", pooler.port);
        let (_plan, store) = server.open(vec![things(), parts()], &url);
        check(&*store);
        let (refused, transactions) = pooler.seen();
        assert!(refused > 0 && transactions > 0, "the pooler was not used");
    }
}

#[test]
fn the_whole_suite_passes_through_pgbouncer_which_is_left_as_it_was() {
    for settings in ["", IGNORES, BY_SESSION] {
        let server = Server::start();
        let pooler = Pgbouncer::start(&server, settings);
        let resources = vec![things(), parts()];
        let mut checks = all();
        if !settings.is_empty() {
            checks.truncate(SOME);
        }
        for (name, check) in checks {
            eprintln!("{name}");
            let database = server.empty_named();
            let bounded = format!("ALTER DATABASE {database} SET statement_timeout = '77s'");
            server.sql("postgres", &bounded);
            let url = pooler.url(&database);
            // What makes the tables goes the same way.
            crate::migrate::apply(&server.plan(resources.clone(), &url), 0, false).unwrap();
            let (_plan, store) = server.open(resources.clone(), &url);
            check(&*store);
            drop(store);
            nothing_is_left(&pooler, &url);
        }
        assert_eq!(pooler.log().contains(REFUSED), settings != IGNORES);
    }
}

/// Whoever comes next over the same connections finds nothing of ours there: all of them are looked at, each inside of a
/// transaction that keeps the others from being given it.
fn nothing_is_left(pooler: &Pgbouncer, url: &str) {
    run(async {
        let mut held = Vec::new();
        for _ in 0..3 {
            let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(connection);
            client.batch_execute("BEGIN").await.unwrap();
            let asked = "SELECT concat_ws('|', current_setting('statement_timeout'), current_setting('lock_timeout'), \
                current_setting('idle_in_transaction_session_timeout'), current_setting('search_path'), \
                current_setting('role'), (SELECT count(*) FROM pg_prepared_statements), \
                (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()))";
            let said = client.simple_query(asked).await.unwrap();
            let said = said.iter().find_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
                _ => None,
            });
            assert_eq!(
                said,
                Some("77s|0|0|\"$user\", public|none|0|0"),
                "{}",
                pooler.log()
            );
            held.push(client);
        }
    });
}

fn stamps() -> Resource {
    let fields = vec![
        field("id", Type::Int, "key"),
        field("at", Type::Time, "optional"),
        field("note", Type::Text, "optional"),
    ];
    bound("stamps", "stamps", fields, &[0])
}

/// A server of another time zone with the table of [`stamps`].
fn of_another_zone() -> (Server, String) {
    let server = Server::start();
    let database = server.empty_named();
    server.sql(
        "postgres",
        &format!("ALTER DATABASE {database} SET TimeZone = 'America/New_York'"),
    );
    server.sql(
        &database,
        "CREATE TABLE stamps (id int PRIMARY KEY, at timestamptz, note text);
         INSERT INTO stamps VALUES (1, '2024-01-01T02:00:00Z', 'x')",
    );
    (server, database)
}

#[test]
fn times_are_of_utc_through_pgbouncer_as_well() {
    let (server, database) = of_another_zone();
    let pooler = Pgbouncer::start(&server, "");
    let cast = |cast, name: &str| Item::Field {
        field: 1,
        path: Vec::new(),
        cast: Some(cast),
        name: name.into(),
    };
    for url in [server.url(&database), pooler.url(&database)] {
        let (_plan, store) = server.open(vec![stamps()], &url);
        let select = vec![cast(Cast::Date, "day"), cast(Cast::Text, "text")];
        let found = page(
            &*store,
            &Read {
                limit: 1,
                ..read(0, select, is(0, 1))
            },
        );
        let wanted = r#"{"day":"2024-01-01","text":"2024-01-01 02:00:00+00"}"#;
        assert_eq!(String::from_utf8(found.json).unwrap(), wanted, "{url}");
    }
}

#[test]
fn what_takes_too_long_is_stopped_on_the_server_through_pgbouncer() {
    let (server, database) = of_another_zone();
    server.sql(
        &database,
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(30); RETURN new; END';
         CREATE TRIGGER slow BEFORE UPDATE ON stamps FOR EACH ROW EXECUTE FUNCTION slow()",
    );
    let pooler = Pgbouncer::start(&server, "");
    let (_plan, store) = server.open(vec![stamps()], &pooler.url(&database));
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    let slow = || crate::store::contract::fixture::update(0, is(0, 1), vec![(2, text("y"))]);
    // At its deadline.
    let late = run(store.write(slow(), clock::now() + Duration::from_millis(300), None));
    assert!(matches!(late, Err(StoreError::Deadline)), "{late:?}");
    // And when its caller leaves: a request to cancel goes the same way.
    run(async {
        let writing = store.write(slow(), soon(), None);
        let left = tokio::time::timeout(Duration::from_millis(300), writing).await;
        assert!(left.is_err());
        let began = clock::now();
        while server.ask("postgres", sleeping) != "0" {
            assert!(
                clock::now() < began + Duration::from_secs(4),
                "it goes on: {}",
                pooler.log()
            );
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    assert_eq!(
        done(&*store, insert(0, &[0], vec![vec![Value::Int(2)]])).affected,
        1
    );
}

#[test]
fn settings_of_a_session_in_the_url_are_no_wish_that_is_dropped() {
    let (server, database) = of_another_zone();
    server.sql(
        &database,
        "CREATE SCHEMA other; CREATE TABLE other.stamps (LIKE stamps)",
    );
    for (settings, wanted) in [("", REFUSED), (IGNORES, "search_path")] {
        let pooler = Pgbouncer::start(&server, settings);
        let url = format!("{}?options=-csearch_path%3Dother", pooler.url(&database));
        let plan = Arc::new(server.plan(vec![stamps()], &url));
        let said = crate::store::open(&plan, 0).err().unwrap().to_string();
        assert!(said.contains(wanted) && said.contains("ALTER ROLE"), "{said}");
    }
    // Where it is so on the server, that is fine.
    server.sql(
        &database,
        &format!("ALTER DATABASE {database} SET search_path = other"),
    );
    let pooler = Pgbouncer::start(&server, IGNORES);
    let url = format!("{}?options=-csearch_path%3Dother", pooler.url(&database));
    let (_plan, store) = server.open(vec![stamps()], &url);
    assert_eq!(page(&*store, &read(0, items(&stamps(), &[0]), is(0, 1))).rows, 0);
    assert!(try_write(&*store, insert(0, &[0], vec![vec![Value::Int(1)]])).is_ok());
}

#[test]
fn replicas_are_read_through_pgbouncer() {
    let server = Server::start_cluster(1);
    let database = server.database(&[things(), parts()]);
    server.wait_replicas();
    let (first, second) = (
        Pgbouncer::start(&server, ""),
        Pgbouncer::start(&server.replicas[0], ""),
    );
    let mut plan = server.plan(vec![things(), parts()], &first.url(&database));
    if let StoreKind::Postgres { shards, .. } = &mut plan.stores[0].kind {
        shards[0].read = vec![Secret::new(second.url(&database))];
    }
    let store = Server::over(plan);
    let session = Session::over(Arc::clone(&store));
    let mut on_the_replica = 0;
    for id in 0..40 {
        done(&session, insert(0, &[0], vec![vec![Value::Int(id)]]));
        let seen = page(&session, &read(0, items(&things(), &[0]), is(0, id)));
        assert_eq!(seen.rows, 1, "row {id}");
        on_the_replica += u32::from(
            seen.by
                .is_some_and(|by| by.server.ends_with(&second.port.to_string())),
        );
    }
    assert!(on_the_replica > 0, "none of 40 reads was the replica's");
}
