//! Tables that others made.

use crate::operation::{Aggregate, Change, Compare, Condition, Item, Order, Precondition, Term};
use crate::store::contract::fixture::{
    ascending, bound, compare, delete, done, field, insert, is, items, json, page, plan, read, refers, text,
    try_write, update, write,
};
use crate::store::{Store, StoreError};
use crate::value::Value;
use rusqlite::Connection;
use std::path::PathBuf;
use std::sync::Arc;
use stoa_config::plan::{Plan, Resource, Type};

fn open(sql: &str, resources: Vec<Resource>) -> (tempfile::TempDir, PathBuf, Arc<Plan>, Arc<dyn Store>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.db");
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    let plan = Arc::new(plan(&path, resources));
    crate::migrate::check_schema(&plan, 0).unwrap();
    crate::migrate::apply(&plan, 0, true).unwrap();
    let store = crate::store::open(&plan, 0).unwrap();
    (folder, path, plan, store)
}

#[test]
fn what_is_there_is_read_as_declared() {
    let fields = vec![
        field("id", Type::Int, "key"),
        field("b", Type::Bool, "optional"),
        field("t", Type::Time, "optional"),
        field("d", Type::Date, "optional"),
        field(
            "p",
            Type::Decimal {
                precision: 10,
                scale: 2,
            },
            "optional",
        ),
        field("u", Type::Uuid, "optional"),
        field("x", Type::Text, "optional"),
        field("f", Type::Float, "optional"),
    ];
    let old = bound("old", "old", fields, &[0]);
    let (_folder, _path, _plan, store) = open(
        "CREATE TABLE old (id INTEGER PRIMARY KEY, b, t, d, p, u, x, f);
         INSERT INTO old VALUES
          (1, 'yes', '2013-01-01 05:00:00', '2013-01-01', '12.5', '5F0C0F6E-0000-4000-8000-000000000001', 7, 3),
          (2, 0, 1357016400, '2013-01-02 00:00', 3, x'5f0c0f6e000040008000000000000002', x'ff', '2.5'),
          (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
          (4, 1, '2013-01-01T07:00:00+02:00', 1357016400, 100.25, NULL, 'a', 1e3);",
        vec![old.clone()],
    );
    let all = read(0, items(&old, &[0, 1, 2, 3, 4, 5, 6, 7]), Condition::True);
    assert_eq!(
        json(&*store, &all),
        [
            r#"{"id":1,"b":true,"t":"2013-01-01T05:00:00.000000Z","d":"2013-01-01","p":12.50,"u":"5f0c0f6e-0000-4000-8000-000000000001","x":"7","f":3.0}"#,
            r#"{"id":2,"b":false,"t":"2013-01-01T05:00:00.000000Z","d":"2013-01-02","p":3.00,"u":"5f0c0f6e-0000-4000-8000-000000000002","x":"/w==","f":2.5}"#,
            r#"{"id":3,"b":null,"t":null,"d":null,"p":null,"u":null,"x":null,"f":null}"#,
            r#"{"id":4,"b":true,"t":"2013-01-01T05:00:00.000000Z","d":"2013-01-01","p":100.25,"u":null,"x":"a","f":1000.0}"#,
        ]
        .join(",")
    );
    let ids = |condition| {
        let found = json(&*store, &read(0, items(&old, &[0]), condition));
        found.replace("{\"id\":", "").replace('}', "")
    };
    let uuid = |n: u128| {
        Value::Uuid(uuid::Uuid::from_u128(
            0x5f0c_0f6e_0000_4000_8000_0000_0000_0000 + n,
        ))
    };
    assert_eq!(ids(is(5, uuid(1))), "1");
    assert_eq!(
        ids(Condition::In {
            field: 5,
            path: Vec::new(),
            values: vec![uuid(1), uuid(2), uuid(3)]
        }),
        "1,2"
    );
    assert_eq!(ids(is(2, Value::Time(1_357_016_400_000_000))), "1,2,4");
    assert_eq!(ids(compare(3, Compare::Gt, Value::Date(15_706))), "2");
    assert_eq!(
        ids(compare(4, Compare::Gt, Value::Decimal("12.40".into()))),
        "1,4"
    );
    assert_eq!(ids(is(1, Value::Bool(true))), "1,4");
    assert_eq!(ids(compare(7, Compare::Lt, Value::Float(3.5))), "1,2");
    pages(&*store, &old);
    added_up(&*store, &old);
}

/// What is written in several ways is one group, and adds up as what it is read as.
fn added_up(store: &dyn Store, old: &Resource) {
    let of = |function: Aggregate, field, name: &str| Item::Aggregate {
        function,
        of: Some(Term {
            field,
            path: Vec::new(),
            cast: None,
        }),
        cast: None,
        name: name.into(),
    };
    let mut select = items(old, &[1, 2]);
    select.push(of(Aggregate::Count, 0, "n"));
    let mut groups = read(0, select, Condition::True);
    groups.order = vec![ascending(1)];
    assert_eq!(
        json(store, &groups),
        concat!(
            r#"{"b":false,"t":"2013-01-01T05:00:00.000000Z","n":1},"#,
            r#"{"b":true,"t":"2013-01-01T05:00:00.000000Z","n":2},{"b":null,"t":null,"n":1}"#
        )
    );
    let select = vec![
        of(Aggregate::Sum, 4, "p"),
        of(Aggregate::Max, 4, "most"),
        of(Aggregate::Min, 3, "day"),
        of(Aggregate::Max, 2, "time"),
        of(Aggregate::Sum, 7, "f"),
        of(Aggregate::Max, 6, "x"),
    ];
    let mut totals = read(0, select, Condition::True);
    totals.order.clear();
    assert_eq!(
        json(store, &totals),
        r#"{"p":115.75,"most":100.25,"day":"2013-01-01","time":"2013-01-01T05:00:00.000000Z","f":1005.5,"x":"a"}"#
    );
}

/// Every order visits every row once.
fn pages(store: &dyn Store, old: &Resource) {
    for field in 1..8 {
        for descending in [false, true] {
            let order = |field, descending| Order {
                embed: None,
                field,
                path: Vec::new(),
                descending,
                nulls_first: false,
            };
            let mut part = read(0, items(old, &[0]), Condition::True);
            part.order = vec![order(field, descending), ascending(0)];
            let whole = json(store, &part);
            part.limit = 1;
            let mut seen = Vec::new();
            loop {
                let found = page(store, &part);
                seen.push(String::from_utf8(found.json).unwrap());
                if !found.more {
                    break;
                }
                part.after = Some(found.last);
            }
            assert_eq!(seen.join(","), whole, "by field {field}");
        }
    }
}

#[test]
fn what_cannot_be_read_is_said() {
    let old = bound(
        "old",
        "old",
        vec![field("id", Type::Int, "key"), field("n", Type::Int, "optional")],
        &[0],
    );
    let (_folder, _path, _plan, store) = open(
        "CREATE TABLE old (id INTEGER PRIMARY KEY, n); INSERT INTO old VALUES (1, 'NA')",
        vec![old.clone()],
    );
    let all = read(0, items(&old, &[0, 1]), Condition::True);
    let result =
        crate::store::contract::fixture::run(store.read(&all, crate::store::contract::fixture::soon()));
    let said = result.unwrap_err().to_string();
    assert!(said.contains("NA") && said.contains("read as int"), "{said}");
}

#[test]
fn rows_of_old_tables_are_written_and_versioned() {
    let fields = vec![
        field("a", Type::Int, "key"),
        field("b", Type::Text, "key"),
        field(
            "p",
            Type::Decimal {
                precision: 10,
                scale: 2,
            },
            "optional",
        ),
    ];
    let pairs = bound("pairs", "odd \"pairs", fields, &[0, 1]);
    let (_folder, path, _plan, store) = open(
        "CREATE TABLE \"odd \"\"pairs\" (a INT, b TEXT, p DECIMAL(10,2) CHECK (p < 100), extra TEXT, PRIMARY KEY (a, b)) WITHOUT ROWID",
        vec![pairs.clone()],
    );
    let row = |a: i64, b: &str, p: &str| vec![Value::Int(a), text(b), Value::Decimal(p.into())];
    let mut one = insert(0, &[0, 1, 2], vec![row(1, "x", "12.50")]);
    one.returning = Some(items(&pairs, &[0, 1, 2]));
    let written = done(&*store, one);
    assert_eq!(
        String::from_utf8_lossy(&written.json),
        r#"{"a":1,"b":"x","p":12.50}"#
    );
    assert_eq!(written.keys, vec![Value::List(vec![Value::Int(1), text("x")])]);
    let version = written.version.unwrap();
    let kind: String = Connection::open(&path)
        .unwrap()
        .query_row("SELECT typeof(p) FROM \"odd \"\"pairs\"", [], |r| r.get(0))
        .unwrap();
    assert_eq!(kind, "real", "as the table itself keeps numbers");
    let set = |version: i64, p: &str| {
        write(
            0,
            Change::Update {
                filter: Condition::And(vec![is(0, 1), is(1, text("x"))]),
                bucket: Some(5),
                set: vec![(2, Value::Decimal(p.into()))],
                precondition: Precondition::Versions(vec![version]),
                check: Condition::True,
            },
        )
    };
    let second = done(&*store, set(version, "1.00")).version.unwrap();
    assert_ne!(second, version);
    assert!(matches!(
        try_write(&*store, set(version, "2.00")),
        Err(StoreError::PreconditionFailed)
    ));
    let mut one = read(0, items(&pairs, &[2]), is(0, 1));
    one.limit = 1;
    assert_eq!(
        page(&*store, &one).version,
        Some(second),
        "a read says the same version"
    );
    let refused = try_write(&*store, set(second, "100.00"));
    assert!(matches!(refused, Err(StoreError::Refused(_))), "{refused:?}");
    let twice = try_write(&*store, insert(0, &[0, 1, 2], vec![row(1, "x", "3.00")]));
    match twice {
        Err(StoreError::Unique { fields, value, .. }) => {
            assert_eq!(
                (fields, value.as_deref()),
                (vec!["a".to_owned(), "b".to_owned()], Some("1, x"))
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn views_are_read_only_and_rowids_are_keys() {
    let log = bound(
        "log",
        "log",
        vec![
            field("rowid", Type::Int, "key auto"),
            field("line", Type::Text, ""),
        ],
        &[0],
    );
    let lines = bound(
        "lines",
        "lines",
        vec![field("line", Type::Text, ""), field("n", Type::Int, "")],
        &[],
    );
    let tags = bound(
        "tags",
        "tags",
        vec![
            field("id", Type::Int, "key"),
            field("log", refers(0, Type::Int), "optional"),
        ],
        &[0],
    );
    let (_folder, path, _plan, store) = open(
        "CREATE TABLE log (line TEXT); INSERT INTO log VALUES ('a'), ('b'), ('a');
         CREATE TABLE tags (id INTEGER PRIMARY KEY, log INT);
         CREATE VIEW lines AS SELECT line, count(*) AS n FROM log GROUP BY line;",
        vec![log.clone(), lines.clone(), tags],
    );
    let mut by_row = read(0, items(&log, &[0, 1]), compare(0, Compare::Gt, Value::Int(1)));
    by_row.limit = 1;
    let found = page(&*store, &by_row);
    assert_eq!(
        (String::from_utf8_lossy(&found.json).as_ref(), found.more),
        (r#"{"rowid":2,"line":"b"}"#, true)
    );
    let mut new = insert(0, &[1], vec![vec![text("c")]]);
    new.returning = Some(items(&log, &[0, 1]));
    assert_eq!(
        String::from_utf8_lossy(&done(&*store, new).json),
        r#"{"rowid":4,"line":"c"}"#
    );
    assert_eq!(
        done(&*store, update(0, is(0, 4), vec![(1, text("d"))])).affected,
        1
    );
    let mut grouped = read(1, items(&lines, &[0, 1]), Condition::True);
    grouped.order = vec![ascending(0)];
    assert_eq!(
        json(&*store, &grouped),
        r#"{"line":"a","n":2},{"line":"b","n":1},{"line":"d","n":1}"#
    );
    assert!(matches!(
        try_write(&*store, delete(1, Condition::True)),
        Err(StoreError::ReadOnly)
    ));
    referred(&*store);
    nothing_is_created(&path);
}

fn referred(store: &dyn Store) {
    // A ref between bound tables is checked by reading.
    let broken = try_write(
        store,
        insert(2, &[0, 1], vec![vec![Value::Int(1), Value::Int(99)]]),
    );
    assert!(matches!(broken, Err(StoreError::Reference { .. })));
    done(
        store,
        insert(2, &[0, 1], vec![vec![Value::Int(1), Value::Int(4)]]),
    );
}

fn nothing_is_created(path: &std::path::Path) {
    let names: Vec<String> = Connection::open(path)
        .unwrap()
        .prepare("SELECT name FROM sqlite_schema ORDER BY name")
        .unwrap()
        .query_map([], |r| r.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(
        names,
        ["lines", "log", "tags"],
        "nothing is created in somebody else's file"
    );
}

#[test]
fn an_embed_follows_into_an_old_table() {
    let carriers = bound(
        "carriers",
        "carriers",
        vec![field("code", Type::Text, "key"), field("name", Type::Text, "")],
        &[0],
    );
    let flights = bound(
        "flights",
        "flights",
        vec![
            field("rowid", Type::Int, "key auto"),
            field("carrier", refers(0, Type::Text), "optional"),
            field("raw", Type::Text, "optional"),
        ],
        &[0],
    );
    let (_folder, _path, _plan, store) = open(
        "CREATE TABLE carriers (code TEXT PRIMARY KEY, name TEXT); INSERT INTO carriers VALUES ('AA', 'American'), ('XX', NULL);
         CREATE TABLE flights (carrier TEXT, raw BLOB); INSERT INTO flights VALUES ('AA', x'ff'), ('AA', 'text'), ('ZZ', NULL);",
        vec![carriers.clone(), flights.clone()],
    );
    let embed = |resource, join, select| {
        Item::Embed(Box::new(crate::operation::Embed {
            name: "e".into(),
            resource,
            join,
            inner: false,
            spread: false,
            select,
            filter: Condition::True,
            order: vec![ascending(0)],
            limit: 10,
            offset: 0,
        }))
    };
    let many = embed(
        1,
        crate::operation::Join::ToMany { field: 1 },
        items(&flights, &[2]),
    );
    let mut select = items(&carriers, &[0]);
    select.push(many);
    assert_eq!(
        json(&*store, &read(0, select, Condition::True)),
        r#"{"code":"AA","e":[{"raw":"/w=="},{"raw":"text"}]},{"code":"XX","e":[]}"#
    );
    let one = embed(
        0,
        crate::operation::Join::ToOne { field: 1 },
        items(&carriers, &[1]),
    );
    let mut select = items(&flights, &[0]);
    select.push(one);
    assert_eq!(
        json(&*store, &read(1, select, Condition::True)),
        r#"{"rowid":1,"e":{"name":"American"}},{"rowid":2,"e":{"name":"American"}},{"rowid":3,"e":null}"#
    );
}

#[test]
fn what_is_left_out_is_filled_in_by_the_table() {
    let fields = vec![field("id", Type::Int, "key"), field("at", Type::Text, "optional")];
    let counts = bound("counts", "counts", fields.clone(), &[0]);
    let stays = bound("stays", "stays", fields, &[0]);
    let (_folder, _path, _plan, store) = open(
        "CREATE TABLE counts (id INTEGER PRIMARY KEY, at TEXT DEFAULT 'now');
         CREATE TABLE stays (id INT PRIMARY KEY, at TEXT DEFAULT 'now');",
        vec![counts, stays],
    );
    let empty = |resource| {
        write(
            resource,
            Change::Insert {
                fields: Vec::new(),
                rows: vec![Vec::new(), Vec::new()],
                buckets: vec![0, 0],
                conflict: crate::operation::Conflict::Refuse,
                check: Condition::True,
            },
        )
    };
    let made = done(&*store, empty(0));
    assert_eq!(
        (made.affected, made.keys),
        (2, vec![Value::Int(1), Value::Int(2)])
    );
    // SQLite would take a row without a key here, which nobody could ever address.
    assert!(matches!(
        try_write(&*store, empty(1)),
        Err(StoreError::Refused(_))
    ));
}
