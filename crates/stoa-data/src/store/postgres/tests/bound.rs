//! Tables that others made.

use crate::operation::{Change, Compare, Condition, Precondition, Write};
use crate::store::contract::fixture::{
    bound, compare, delete, done, field, insert, is, items, json, page, read, text, try_write, update, write,
};
use crate::store::contract::server::Server;
use crate::store::{Store, StoreError};
use crate::value::Value;
use std::sync::Arc;
use stoa_config::plan::{Resource, Type};

const OLD: &str = "
    CREATE TYPE mood AS ENUM ('sad', 'glad');
    CREATE DOMAIN amount AS numeric(10,2);
    CREATE TABLE old (
        id serial PRIMARY KEY, small smallint, name varchar(20), pad char(5), mood mood, moods mood[],
        price amount, ratio real, at timestamp, data json, tags int[], span interval);
    INSERT INTO old (small, name, pad, mood, moods, price, ratio, at, data, tags, span) VALUES
        (7, 'x', 'ab', 'glad', '{sad,glad}', 12.5, 0.1, '2024-05-06 07:08:09.5', '{\"a\" : [1, 2]}', '{1,2}', '1 day'),
        (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
    CREATE VIEW seen AS SELECT DISTINCT id, name FROM old;
    CREATE VIEW part AS SELECT id, name FROM old WHERE id > 1 WITH CHECK OPTION";

fn old() -> Resource {
    let list = |ty| Type::List(Box::new(ty));
    let decimal = Type::Decimal {
        precision: 10,
        scale: 2,
    };
    let fields = vec![
        field("id", Type::Int, "key auto"),
        field("small", Type::Int, "optional"),
        field("name", Type::Text, "optional"),
        field("pad", Type::Text, "optional"),
        field("mood", Type::Text, "optional"),
        field("moods", list(Type::Text), "optional"),
        field("price", decimal, "optional"),
        field("ratio", Type::Float, "optional"),
        field("at", Type::Time, "optional"),
        field("data", Type::Json, "optional"),
        field("tags", list(Type::Int), "optional"),
        field("span", Type::Text, "optional"),
    ];
    bound("old", "old", fields, &[0])
}

fn open(server: &Server, resources: Vec<Resource>) -> Arc<dyn Store> {
    let name = server.database(&[]);
    server.sql(&name, OLD);
    server.open(resources, &server.url(&name)).1
}

#[test]
fn what_is_there_is_read_and_compared_as_declared() {
    let server = Server::start();
    let store = open(&server, vec![old()]);
    let all: Vec<usize> = (0..12).collect();
    assert_eq!(
        json(&*store, &read(0, items(&old(), &all), Condition::True)),
        concat!(
            r#"{"id":1,"small":7,"name":"x","pad":"ab   ","mood":"glad","moods":["sad","glad"],"price":12.50,"#,
            r#""ratio":0.1,"at":"2024-05-06T07:08:09.500000Z","data":{"a":[1,2]},"tags":[1,2],"span":"1 day"},"#,
            r#"{"id":2,"small":null,"name":null,"pad":null,"mood":null,"moods":null,"price":null,"ratio":null,"#,
            r#""at":null,"data":null,"tags":null,"span":null}"#
        )
    );
    for filter in [
        is(1, 7),
        compare(1, Compare::Lt, Value::Int(1 << 40)),
        is(2, text("x")),
        is(4, text("glad")),
        is(6, Value::Decimal("12.50".into())),
        is(7, Value::Float(0.1)),
        is(8, Value::Time(1_714_979_289_500_000)),
        is(9, Value::Json("{\"a\":[1,2]}".into())),
        compare(10, Compare::Contains, Value::List(vec![Value::Int(2)])),
        compare(2, Compare::Ilike, text("X")),
    ] {
        let found = page(&*store, &read(0, items(&old(), &[0]), filter.clone()));
        assert_eq!(
            String::from_utf8(found.json).unwrap(),
            r#"{"id":1}"#,
            "{filter:?}"
        );
    }
}

#[test]
fn rows_are_written_and_versioned() {
    let server = Server::start();
    let store = open(&server, vec![old()]);
    let shown = Write {
        returning: Some(items(&old(), &[0, 2, 4, 8])),
        ..insert(
            0,
            &[2, 4, 8, 10],
            vec![vec![
                text("new"),
                text("sad"),
                Value::Time(0),
                Value::List(vec![Value::Int(3)]),
            ]],
        )
    };
    let made = done(&*store, shown);
    assert_eq!(made.keys, vec![Value::Int(3)]);
    assert_eq!(
        String::from_utf8(made.json).unwrap(),
        r#"{"id":3,"name":"new","mood":"sad","at":"1970-01-01T00:00:00.000000Z"}"#
    );
    let mut one = read(0, items(&old(), &[0]), is(0, 3));
    one.limit = 1;
    let version = page(&*store, &one).version;
    assert_eq!(
        version, made.version,
        "a row has the version that its making gave it"
    );
    let at = |version| {
        write(
            0,
            Change::Update {
                filter: is(0, 3),
                bucket: None,
                set: vec![(2, text("newer"))],
                precondition: Precondition::Versions(vec![version]),
                check: Condition::True,
            },
        )
    };
    let changed = done(&*store, at(version.unwrap()));
    assert_ne!(changed.version, version);
    let stale = try_write(&*store, at(version.unwrap()));
    assert!(matches!(stale, Err(StoreError::PreconditionFailed)), "{stale:?}");
    let wrong = try_write(&*store, update(0, is(0, 3), vec![(4, text("angry"))]));
    assert!(
        matches!(&wrong, Err(StoreError::Server(e)) if &*e.state == "22P02"),
        "{wrong:?}"
    );
    let large = try_write(&*store, update(0, is(0, 3), vec![(1, Value::Int(1 << 40))]));
    assert!(
        matches!(&large, Err(StoreError::Server(e)) if &*e.state == "22003"),
        "{large:?}"
    );
    assert_eq!(done(&*store, delete(0, is(0, 3))).affected, 1);
}

#[test]
fn views_are_read_only_and_what_is_missing_is_named() {
    let server = Server::start();
    let fields = || {
        vec![
            field("id", Type::Int, "key"),
            field("name", Type::Text, "optional"),
        ]
    };
    let seen = bound("seen", "seen", fields(), &[0]);
    let store = open(&server, vec![seen.clone()]);
    assert_eq!(
        page(&*store, &read(0, items(&seen, &[0, 1]), Condition::True)).rows,
        2
    );
    let refused = try_write(&*store, insert(0, &[1], vec![vec![text("a")]]));
    assert!(matches!(refused, Err(StoreError::ReadOnly)));
    let part = bound("part", "part", fields(), &[0]);
    let writable = server.open(vec![part], &server.url("d0")).1;
    assert_eq!(
        done(&*writable, update(0, is(0, 2), vec![(1, text("b"))])).affected,
        1
    );
    assert_eq!(
        done(&*writable, update(0, is(0, 1), vec![(1, text("b"))])).affected,
        0
    );
    let outside = try_write(
        &*writable,
        insert(0, &[0, 1], vec![vec![Value::Int(0), text("a")]]),
    );
    assert!(
        matches!(&outside, Err(StoreError::Server(e)) if &*e.state == "44000"),
        "{outside:?}"
    );
    let mut other = fields();
    other.push(field("colour", Type::Text, "optional"));
    for (resource, named) in [
        (bound("seen", "seen", other, &[0]), "colour"),
        (bound("a", "nowhere", fields(), &[0]), "nowhere"),
    ] {
        let plan = Arc::new(server.plan(vec![resource], &server.url("d0")));
        let why = crate::store::open(&plan, 0).map(drop).unwrap_err().to_string();
        assert!(why.contains(named), "{why}");
    }
    let unprepared = Arc::new(server.plan(
        vec![crate::store::contract::fixture::things()],
        &server.url("postgres"),
    ));
    let why = crate::store::open(&unprepared, 0)
        .map(drop)
        .unwrap_err()
        .to_string();
    assert!(why.contains("stoa migrate apply"), "{why}");
}

#[test]
fn what_is_there_is_cast_grouped_and_added_up() {
    use crate::operation::{Aggregate, Cast, Item, Term, kind_of};
    let server = Server::start();
    let store = open(&server, vec![old()]);
    let whole = old();
    let all: Vec<usize> = (0..12).collect();
    // Grouped by columns of every type, each a group of its own.
    let mut select = items(&whole, &all);
    let count = |name: &str, function, of| Item::Aggregate {
        function,
        of,
        cast: None,
        name: name.into(),
    };
    select.push(count("n", Aggregate::Count, None));
    let mut grouped = read(0, select, Condition::True);
    grouped.limit = 2;
    assert_eq!(
        json(&*store, &grouped),
        concat!(
            r#"{"id":1,"small":7,"name":"x","pad":"ab   ","mood":"glad","moods":["sad","glad"],"price":12.50,"#,
            r#""ratio":0.1,"at":"2024-05-06T07:08:09.500000Z","data":{"a":[1,2]},"tags":[1,2],"span":"1 day","n":1},"#,
            r#"{"id":2,"small":null,"name":null,"pad":null,"mood":null,"moods":null,"price":null,"ratio":null,"#,
            r#""at":null,"data":null,"tags":null,"span":null,"n":1}"#
        )
    );
    // Each as text, and the extremes and sums of what has them.
    let as_text = |field: &usize| Item::Field {
        field: *field,
        path: Vec::new(),
        cast: Some(Cast::Text),
        name: whole.fields[*field].name.as_str().into(),
    };
    let select = all.iter().map(as_text).collect();
    assert_eq!(
        json(&*store, &read(0, select, is(0, 1))),
        concat!(
            r#"{"id":"1","small":"7","name":"x","pad":"ab","mood":"glad","moods":"{sad,glad}","price":"12.50","#,
            r#""ratio":"0.1","at":"2024-05-06 07:08:09.5","data":"{\"a\": [1, 2]}","tags":"{1,2}","span":"1 day"}"#
        )
    );
    let mut select = Vec::new();
    let functions = [Aggregate::Sum, Aggregate::Avg, Aggregate::Min, Aggregate::Max];
    for field in &all {
        for function in functions {
            let of = kind_of(&whole.fields[*field].ty, &[], None);
            if function.result(of).is_some() {
                let name = format!("{}_{}", function.name(), whole.fields[*field].name);
                let term = Term {
                    field: *field,
                    path: Vec::new(),
                    cast: None,
                };
                select.push(count(&name, function, Some(term)));
            }
        }
    }
    let mut totals = read(0, select, Condition::True);
    totals.order.clear();
    assert_eq!(
        json(&*store, &totals),
        concat!(
            r#"{"sum_id":3,"avg_id":1.5000000000000000,"min_id":1,"max_id":2,"sum_small":7,"avg_small":7.0000000000000000,"#,
            r#""min_small":7,"max_small":7,"min_name":"x","max_name":"x","min_pad":"ab   ","max_pad":"ab   ","#,
            r#""min_mood":"glad","max_mood":"glad","sum_price":12.50,"avg_price":12.5000000000000000,"min_price":12.50,"#,
            r#""max_price":12.50,"sum_ratio":0.1,"avg_ratio":0.10000000149011612,"min_ratio":0.1,"max_ratio":0.1,"#,
            r#""min_at":"2024-05-06T07:08:09.500000Z","max_at":"2024-05-06T07:08:09.500000Z","min_span":"1 day","max_span":"1 day"}"#
        )
    );
}
