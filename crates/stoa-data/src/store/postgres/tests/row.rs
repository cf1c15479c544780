//! The short way to a row, and that what does not go well on it is left to the long one.

use crate::operation::Read;
use crate::store::contract::fixture::{
    bucket, done, insert, is, items, parts, read, run, soon, text, things,
};
use crate::store::contract::server::Server;
use crate::store::{AtOnce, Store};
use crate::value::Value;

/// The row with this key, whole, as `GET /things/1` reads it.
fn whole(key: i64) -> Read {
    let all: Vec<usize> = (0..things().fields.len()).collect();
    Read {
        order: Vec::new(),
        limit: 1,
        bucket: Some(bucket(usize::try_from(key).unwrap())),
        ..read(0, items(&things(), &all), is(0, key))
    }
}

/// What the short way gives; `None` where it is not open.
fn short(store: &dyn Store, key: i64) -> Option<AtOnce> {
    let row = store.row(0, Value::Int(key), bucket(usize::try_from(key).unwrap()));
    row.map(run)
}

/// A server with two rows, one of them empty, that were read once.
fn filled(server: &Server) -> std::sync::Arc<dyn Store> {
    let (_plan, store) = server.store(vec![things(), parts()]);
    let row = [
        text("say \"é\""),
        Value::Int(-7),
        Value::Decimal("12.50".into()),
        Value::Decimal("0.000001".into()),
        Value::Float(0.1),
        Value::Bool(true),
        Value::Time(1_700_000_000_123_456),
        Value::Date(19_000),
        Value::Json("{\"a\":[1,2]}".into()),
        Value::List(vec![text("x"), text("y")]),
        text("c"),
    ];
    let full = std::iter::once(Value::Int(1)).chain(row).collect();
    let all: Vec<usize> = (0..things().fields.len()).collect();
    done(&*store, insert(0, &all, vec![full]));
    done(&*store, insert(0, &[0], vec![vec![Value::Int(2)]]));
    assert!(short(&*store, 1).is_none(), "nothing is prepared yet");
    assert_eq!(run(store.read(&whole(1), soon())).unwrap().rows, 1);
    store
}

#[test]
fn the_short_way_gives_what_the_long_one_does() {
    let server = Server::start();
    let store = filled(&server);
    for key in [1, 2] {
        let long = run(store.read(&whole(key), soon())).unwrap();
        let Some(AtOnce::Row(row)) = short(&*store, key) else {
            panic!("the way is not open");
        };
        assert_eq!(
            String::from_utf8(row.json).unwrap(),
            String::from_utf8(long.json).unwrap()
        );
        assert_eq!(Some(row.version), long.version);
    }
    assert_eq!(short(&*store, 3), Some(AtOnce::Missing));
}

#[test]
fn a_connection_that_was_closed_is_left_to_the_long_way() {
    let server = Server::start();
    let store = filled(&server);
    let row = store.row(0, Value::Int(1), bucket(1)).unwrap();
    server.sql(
        "postgres",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()",
    );
    assert_eq!(run(row), AtOnce::Unsettled);
    assert_eq!(run(store.read(&whole(1), soon())).unwrap().rows, 1);
    assert!(matches!(short(&*store, 1), Some(AtOnce::Row(_))));
}

#[test]
fn a_row_that_is_locked_away_goes_the_long_way_from_then_on() {
    let server = Server::start();
    let name = server.database(&[things(), parts()]);
    let (_plan, store) = server.open(vec![things(), parts()], &server.url(&name));
    done(&*store, insert(0, &[0], vec![vec![Value::Int(1)]]));
    run(store.read(&whole(1), soon())).unwrap();
    let locked = server.hold(&name, "LOCK TABLE things IN ACCESS EXCLUSIVE MODE");
    assert_eq!(short(&*store, 1), Some(AtOnce::Unsettled), "its time is over");
    assert_eq!(short(&*store, 1), None, "it is known to be slow");
    drop(locked);
    assert_eq!(run(store.read(&whole(1), soon())).unwrap().rows, 1);
}

#[test]
fn a_column_that_changed_is_read_anew() {
    let server = Server::start();
    let name = server.database(&[things(), parts()]);
    let (_plan, store) = server.open(vec![things(), parts()], &server.url(&name));
    done(&*store, insert(0, &[0], vec![vec![Value::Int(1)]]));
    run(store.read(&whole(1), soon())).unwrap();
    server.sql(&name, "ALTER TABLE things ALTER COLUMN name TYPE varchar(50)");
    assert_eq!(
        short(&*store, 1),
        Some(AtOnce::Unsettled),
        "the plan of before does not fit"
    );
    assert_eq!(run(store.read(&whole(1), soon())).unwrap().rows, 1);
    assert!(matches!(short(&*store, 1), Some(AtOnce::Row(_))));
}
