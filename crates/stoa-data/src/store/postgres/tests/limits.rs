//! Time, load, and what the planner expects.

use crate::operation::{Compare, Condition, Count, Item, PathStep, Write};
use crate::store::StoreError;
use crate::store::contract::fixture::{
    compare, delete, done, field, insert, is, items, page, parts, read, resource, run, soon, text, things,
    try_write, update,
};
use crate::store::contract::server::Server;
use crate::store::postgres::alone::Alone;
use crate::value::Value;
use std::sync::Arc;
use std::time::Duration;
use stoa_config::plan::{Secret, Type};
use stoa_exchange::clock;

#[test]
fn a_slow_read_leaves_the_shared_connections_and_ends_in_time() {
    let server = Server::start();
    let (_plan, store) = server.store(vec![things(), parts()]);
    done(&*store, insert(0, &[0], vec![vec![Value::Int(7)]]));
    let held = server.hold("d0", "LOCK TABLE parts IN ACCESS EXCLUSIVE MODE");
    let stuck = read(1, items(&parts(), &[0]), Condition::True);
    let quick = read(0, items(&things(), &[0]), is(0, 7));
    // While such a read waits, short ones on the same connections are not held up for long.
    run(async {
        let started = clock::now();
        let long = store.read(&stuck, started + Duration::from_secs(2));
        let short = async {
            for _ in 0..50 {
                assert_eq!(store.read(&quick, soon()).await.unwrap().rows, 1);
            }
            clock::now().saturating_duration_since(started)
        };
        let (late, took) = futures_util::future::join(long, short).await;
        assert!(matches!(late, Err(StoreError::Deadline)), "{late:?}");
        assert!(took < Duration::from_secs(1), "{took:?}");
        assert!(clock::now() < started + Duration::from_millis(2_500));
    });
    let late = run(store.write(
        insert(1, &[0], vec![vec![Value::Int(1)]]),
        clock::now() + Duration::from_millis(400),
        None,
    ));
    assert!(matches!(late, Err(StoreError::Deadline)), "{late:?}");
    drop(held);
    assert_eq!(
        done(&*store, insert(1, &[0], vec![vec![Value::Int(1)]])).affected,
        1
    );
    assert_eq!(page(&*store, &stuck).rows, 1);
}

#[test]
fn too_many_at_once_are_refused_at_once() {
    let server = Server::start();
    let (_plan, store) = server.store(vec![things(), parts()]);
    let all = read(0, items(&things(), &[0]), Condition::True);
    run(store.read(&all, soon())).unwrap();
    run(async {
        let many = (0..2_000).map(|_| store.read(&all, soon()));
        let results = futures_util::future::join_all(many).await;
        let refused = results
            .iter()
            .filter(|r| matches!(r, Err(StoreError::Overloaded)))
            .count();
        let served = results.iter().filter(|r| r.is_ok()).count();
        assert_eq!(refused + served, 2_000);
        assert!(refused > 0 && served >= 256, "{served} served");
        let writes =
            (0..2_000).map(|i| store.write(insert(0, &[0], vec![vec![Value::Int(i)]]), soon(), None));
        let results = futures_util::future::join_all(writes).await;
        let refused = results
            .iter()
            .filter(|r| matches!(r, Err(StoreError::Overloaded)))
            .count();
        let served = results.iter().filter(|r| r.is_ok()).count();
        assert_eq!(refused + served, 2_000);
        assert!(refused > 0 && served >= 256, "{served} served");
        assert_eq!(
            store.read(&all, soon()).await.unwrap().rows,
            (served as u64).min(1_000)
        );
    });
}

#[test]
fn counts_by_the_planner() {
    let server = Server::start();
    let (_plan, store) = server.store(vec![things(), parts()]);
    let rows = |from: i64, to: i64| {
        (from..to)
            .map(|i| vec![Value::Int(i), Value::Int(i % 7)])
            .collect()
    };
    done(&*store, insert(0, &[0, 2], rows(0, 900)));
    server.sql("d0", "ANALYZE things");
    let asked = |count, filter| {
        let mut asked = read(0, items(&things(), &[0]), filter);
        (asked.limit, asked.count) = (10, count);
        page(&*store, &asked).total.unwrap()
    };
    assert_eq!(asked(Count::Planned, Condition::True), 900);
    let some = asked(Count::Planned, is(2, 3));
    assert!((100..160).contains(&some), "{some}");
    assert_eq!(
        asked(Count::Planned, is(0, 3)),
        1,
        "a page that is whole needs no guess"
    );
    // Exact up to the largest page, 200 rows.
    assert_eq!(asked(Count::Estimated, is(2, 3)), 129);
    assert!(asked(Count::Estimated, Condition::True) > 200);
}

#[test]
fn tables_that_change_under_way_are_read_as_they_are() {
    let server = Server::start();
    let (_plan, store) = server.store(vec![things(), parts()]);
    done(&*store, insert(0, &[0, 1], vec![vec![Value::Int(1), text("a")]]));
    let all = read(0, items(&things(), &[0, 1]), Condition::True);
    let named = |w: Write| Write {
        returning: Some(items(&things(), &[1])),
        ..w
    };
    let change = || named(update(0, is(0, 1), vec![(1, text("b"))]));
    page(&*store, &all);
    done(&*store, change());
    server.sql("d0", "ALTER TABLE things ALTER COLUMN name TYPE varchar(50)");
    assert_eq!(page(&*store, &all).rows, 1);
    assert_eq!(done(&*store, change()).affected, 1);
}

#[test]
fn what_the_server_refuses_is_said() {
    let server = Server::start();
    let (_plan, store) = server.store(vec![things(), parts()]);
    let refused = |w: Write| try_write(&*store, w).unwrap_err();
    let zero = refused(insert(0, &[0, 1], vec![vec![Value::Int(1), text("a\0b")]]));
    assert!(
        matches!(&zero, StoreError::Server(e) if &*e.state == "22021"),
        "{zero:?}"
    );
    server.sql("d0", "ALTER TABLE things ADD CHECK (n < 10)");
    let check = refused(insert(0, &[0, 2], vec![vec![Value::Int(1), Value::Int(10)]]));
    assert!(
        matches!(&check, StoreError::Server(e) if &*e.state == "23514"),
        "{check:?}"
    );
    let odd = run(store.read(
        &read(0, items(&things(), &[0]), compare(1, Compare::Like, text("a\\"))),
        soon(),
    ));
    assert!(matches!(odd, Ok(_) | Err(StoreError::Server(_))), "{odd:?}");
    server.sql("d0", "DROP TABLE parts");
    let gone = run(store.read(&read(1, items(&parts(), &[0]), Condition::True), soon()));
    assert!(matches!(gone, Err(StoreError::Unavailable(_))), "{gone:?}");
}

#[test]
fn a_login_that_is_not_taken_is_told_with_what_to_do() {
    let server = Server::start();
    let fine = server.url("postgres");
    let cases = [
        (server.url("nowhere"), "3D000", "Create the database"),
        (fine.replace("stoa@", "nobody@"), "28000", "Check the user"),
    ];
    for (url, state, remedy) in cases {
        let plan = Arc::new(server.plan(vec![things()], &url));
        let said = crate::store::open(&plan, 0).err().unwrap().to_string();
        assert!(said.contains(state) && said.contains(remedy), "{said}");
    }
}

#[test]
fn every_type_in_a_row_a_list_and_a_cursor() {
    let list = |ty| Type::List(Box::new(ty));
    let fields = vec![
        field("id", Type::Uuid7, "key"),
        field("day", Type::Date, "optional"),
        field("days", list(Type::Date), "optional"),
        field("ids", list(Type::Uuid), "optional"),
        field("oks", list(Type::Bool), "optional"),
        field("numbers", list(Type::Int), "optional"),
        field("at", Type::Time, "optional"),
        field("times", list(Type::Time), "optional"),
        field(
            "kind",
            Type::Enum(vec!["a".to_owned(), "b".to_owned()]),
            "optional",
        ),
        field("data", Type::Json, "optional"),
        field("ratios", list(Type::Float), "optional"),
    ];
    let all = resource("all", fields, &[0]);
    let server = Server::start();
    let (_plan, store) = server.store(vec![all.clone()]);
    let id = uuid::Uuid::from_u128(7);
    let row = vec![
        Value::Uuid(id),
        Value::Date(20_000),
        Value::List(vec![Value::Date(0), Value::Null]),
        Value::List(vec![Value::Uuid(id)]),
        Value::List(vec![Value::Bool(true), Value::Bool(false)]),
        Value::List(vec![Value::Int(i64::MIN)]),
        Value::Time(-1),
        Value::List(vec![Value::Time(0)]),
        Value::Text("b".into()),
        Value::Json("{\"k\":[1,{\"x\":2}]}".into()),
        Value::List(vec![Value::Float(1.5)]),
    ];
    let fields: Vec<usize> = (0..row.len()).collect();
    done(&*store, insert(0, &fields, vec![row]));
    let path = Item::Field {
        field: 9,
        path: vec![PathStep::Key("k".into()), PathStep::Index(1)],
        cast: None,
        name: "p".into(),
    };
    let mut select = items(&all, &fields);
    select.push(path);
    let mut asked = read(0, select, Condition::True);
    asked.limit = 1;
    asked.order = vec![
        crate::store::contract::fixture::ascending(6),
        crate::store::contract::fixture::ascending(0),
    ];
    let found = page(&*store, &asked);
    assert_eq!(
        String::from_utf8(found.json).unwrap(),
        r#"{"id":"00000000-0000-0000-0000-000000000007","day":"2024-10-04","days":["1970-01-01",null],"ids":["00000000-0000-0000-0000-000000000007"],"oks":[true,false],"numbers":[-9223372036854775808],"at":"1969-12-31T23:59:59.999999Z","times":["1970-01-01T00:00:00.000000Z"],"kind":"b","data":{"k":[1,{"x":2}]},"ratios":[1.5],"p":{"x":2}}"#
    );
    assert_eq!(found.last, vec![Value::Time(-1), Value::Uuid(id)]);
    assert_eq!(done(&*store, delete(0, is(0, Value::Uuid(id)))).affected, 1);
}

/// From PostgreSQL 17 on a server may end the session whose transaction takes longer than it lets one.
#[test]
fn a_server_that_bounds_transactions_ends_a_write_and_no_migration() {
    let server = Server::start_newest();
    let (_plan, store) = server.store(vec![things(), parts()]);
    let url = server.url("d0");
    drop(store);
    server.sql(
        "d0",
        "ALTER DATABASE d0 SET transaction_timeout = '200ms';
         CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(9); RETURN new; END';
         CREATE TRIGGER slow BEFORE INSERT ON parts FOR EACH ROW EXECUTE FUNCTION slow()",
    );
    let (_plan, store) = server.open(vec![things(), parts()], &url);
    let late = try_write(&*store, insert(1, &[0], vec![vec![Value::Int(1)]]));
    assert!(matches!(late, Err(StoreError::Deadline)), "{late:?}");
    assert_eq!(
        done(&*store, insert(0, &[0], vec![vec![Value::Int(1)]])).affected,
        1
    );
    run(async {
        let alone = Alone::open(&Secret::new(url.as_str())).await.unwrap();
        let rows = alone.rows("SHOW transaction_timeout").await.unwrap();
        assert_eq!(rows, [[Some("0".to_owned())]]);
    });
}
