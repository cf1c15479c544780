//! Reads: what comes back, and which rows.

use super::Check;
use super::fixture::{
    ascending, compare, decimal, done, insert, is, items, json, page, parts, read, text, thing, things,
};
use crate::operation::{Compare, Condition, Count, Embed, Is, Item, Join, Order, PathStep};
use crate::store::Store;
use crate::value::Value;

pub(super) fn all() -> Vec<(&'static str, Check)> {
    vec![
        ("values come back as they were written", values as Check),
        ("numbers sort as numbers", order),
        ("like minds case, ilike does not", like),
        ("lists and JSON contain", contains),
        ("paths lead into JSON", paths),
        ("a count is of all rows", counts),
        ("an embed is one row or a list", embeds),
        ("inner leaves out", inner),
        ("is and in", is_and_in),
        ("hostile text is only text", hostile),
    ]
}

fn values(store: &dyn Store) {
    let fields: Vec<usize> = (0..12).collect();
    let digits = "-12345678901234567890123456789012.345678";
    let row = vec![
        Value::Int(i64::MAX),
        text("naïve \"quote\" \\ \u{1}\n😀"),
        Value::Int(i64::MIN),
        decimal("-1234567890.10"),
        decimal(digits),
        Value::Float(0.1 + 0.2),
        Value::Bool(true),
        Value::Time(1_764_000_000_123_456),
        Value::Date(-1),
        // A store may put the members in an order of its own, the shorter and smaller names first.
        Value::Json(r#"{"a":1.00000000000000000000000000001,"bb":[{},"x y"]}"#.into()),
        Value::List(vec![text("x,y"), text("{z}")]),
        text("c1"),
    ];
    done(store, insert(0, &fields, vec![row]));
    done(store, insert(0, &[0], vec![vec![Value::Int(1)]]));
    let nulls = r#"{"id":1,"name":null,"n":null,"price":null,"big":null,"ratio":null,"ok":null,"at":null,"day":null,"data":null,"tags":null,"code":null}"#;
    let full = format!(
        r#"{{"id":9223372036854775807,"name":"naïve \"quote\" \\ \u0001\n😀","n":-9223372036854775808,"price":-1234567890.10,"big":{digits},"ratio":0.30000000000000004,"ok":true,"at":"2025-11-24T16:00:00.123456Z","day":"1969-12-31","data":{{"a":1.00000000000000000000000000001,"bb":[{{}},"x y"]}},"tags":["x,y","{{z}}"],"code":"c1"}}"#
    );
    let all = read(0, items(&things(), &fields), Condition::True);
    assert_eq!(json(store, &all), format!("{nulls},{full}"));
    let one = page(store, &all);
    assert_eq!((one.rows, one.more, one.version.is_some()), (2, false, true));
}

fn order(store: &dyn Store) {
    let amounts = [
        "-99999999999999999999999999999999.999999",
        "-2.000000",
        "-1.500000",
        "0.000000",
        "0.000001",
        "10.000000",
        "99999999999999999999999999999999.999999",
    ];
    let rows = amounts.iter().enumerate().rev();
    let rows = rows
        .map(|(i, a)| {
            vec![
                Value::Int(number(i)),
                decimal(a),
                decimal(&format!("{}.00", number(i) - 3)),
            ]
        })
        .collect();
    done(store, insert(0, &[thing::ID, thing::BIG, thing::PRICE], rows));
    for field in [thing::BIG, thing::PRICE] {
        let mut by = read(0, items(&things(), &[0]), Condition::True);
        by.order = vec![ascending(field), ascending(0)];
        assert_eq!(
            json(store, &by),
            (0..7)
                .map(|i| format!("{{\"id\":{i}}}"))
                .collect::<Vec<_>>()
                .join(",")
        );
    }
    let more = compare(thing::BIG, Compare::Gt, decimal("-1.600000"));
    assert_eq!(page(store, &read(0, items(&things(), &[0]), more)).rows, 5);
}

/// Which ids a condition finds.
fn ids(store: &dyn Store, filter: Condition) -> String {
    json(store, &read(0, items(&things(), &[0]), filter))
        .replace("{\"id\":", "")
        .replace('}', "")
}

fn like(store: &dyn Store) {
    let names = ["Ärger", "ärger", "abc", "aBc", "a%c", "ab", "z"];
    let rows = names
        .iter()
        .enumerate()
        .map(|(i, n)| vec![Value::Int(number(i)), text(n)])
        .collect();
    done(store, insert(0, &[0, 1], rows));
    done(store, insert(0, &[0], vec![vec![Value::Int(7)]]));
    for (op, pattern, found) in [
        (Compare::Like, "a%c", "2,3,4"),
        (Compare::Like, "ab%", "2,5"),
        (Compare::Like, "a_c", "2,3,4"),
        (Compare::Like, r"a\%c", "4"),
        (Compare::Like, "%r", "0,1"),
        (Compare::Like, "", ""),
        (Compare::Ilike, "äRG%", "0,1"),
        (Compare::Ilike, "A_C", "2,3,4"),
        (Compare::Ilike, "%", "0,1,2,3,4,5,6"),
    ] {
        assert_eq!(
            ids(store, compare(1, op, text(pattern))),
            found,
            "{op:?} {pattern}"
        );
    }
    let not = Condition::Not(Box::new(compare(1, Compare::Like, text("a%"))));
    assert_eq!(ids(store, not), "0,1,6");
}

fn contains(store: &dyn Store) {
    let list = |items: &[&str]| Value::List(items.iter().map(|i| text(i)).collect());
    let json = |text: &str| Value::Json(text.into());
    done(
        store,
        insert(
            0,
            &[0, thing::TAGS, thing::DATA],
            vec![
                vec![
                    Value::Int(1),
                    list(&["a", "b"]),
                    json(r#"{"a":1,"b":{"c":[1,2,3]}}"#),
                ],
                vec![Value::Int(2), list(&["b"]), json("[1,2.0,\"x\"]")],
                vec![Value::Int(3), list(&[]), Value::Null],
            ],
        ),
    );
    for (field, op, value, found) in [
        (thing::TAGS, Compare::Contains, list(&["b"]), "1,2"),
        (thing::TAGS, Compare::Contains, list(&[]), "1,2,3"),
        (thing::TAGS, Compare::ContainedBy, list(&["b", "c"]), "2,3"),
        (thing::TAGS, Compare::Overlaps, list(&["a", "z"]), "1"),
        (thing::TAGS, Compare::Eq, list(&["a", "b"]), "1"),
        (thing::DATA, Compare::Contains, json(r#"{"b":{"c":[3,1]}}"#), "1"),
        (thing::DATA, Compare::Contains, json("[2]"), "2"),
        (thing::DATA, Compare::Contains, json("\"x\""), "2"),
        (
            thing::DATA,
            Compare::Eq,
            json(r#"{ "b": {"c":[1,2,3]}, "a": 1.0 }"#),
            "1",
        ),
    ] {
        assert_eq!(
            ids(store, compare(field, op, value.clone())),
            found,
            "{op:?} {value}"
        );
    }
}

fn paths(store: &dyn Store) {
    let json = |text: &str| Value::Json(text.into());
    done(
        store,
        insert(
            0,
            &[0, thing::DATA],
            vec![
                vec![
                    Value::Int(1),
                    json(r#"{"a":{"b\"'":[10,20]},"t":"x","f":true,"z":null}"#),
                ],
                vec![Value::Int(2), json(r#"{"a":{"b\"'":[9]},"t":"y"}"#)],
            ],
        ),
    );
    let deep = vec![
        PathStep::Key("a".into()),
        PathStep::Key("b\"'".into()),
        PathStep::Index(-1),
    ];
    let at = |path: Vec<PathStep>, op, value| Condition::Compare {
        field: thing::DATA,
        path,
        op,
        value,
    };
    assert_eq!(
        ids(store, at(deep.clone(), Compare::Gt, text("9"))),
        "1",
        "JSON numbers compare as numbers"
    );
    let as_text = vec![
        PathStep::Key("a".into()),
        PathStep::Key("b\"'".into()),
        PathStep::TextIndex(0),
    ];
    assert_eq!(
        ids(store, at(as_text, Compare::Gt, text("9"))),
        "",
        "texts compare as texts"
    );
    assert_eq!(
        ids(store, at(vec![PathStep::Key("t".into())], Compare::Eq, text("x"))),
        "1"
    );
    assert_eq!(
        ids(
            store,
            at(vec![PathStep::TextKey("t".into())], Compare::Like, text("%"))
        ),
        "1,2"
    );
    shown_paths(store, deep);
}

fn shown_paths(store: &dyn Store, deep: Vec<PathStep>) {
    let item = |name: &str, path| Item::Field {
        field: thing::DATA,
        path,
        cast: None,
        name: name.into(),
    };
    let select = vec![
        item("last", deep),
        item("t", vec![PathStep::TextKey("t".into())]),
        item("j", vec![PathStep::Key("t".into())]),
        item("z", vec![PathStep::Key("z".into())]),
    ];
    let shown = super::fixture::json(store, &read(0, select, Condition::True));
    assert_eq!(
        shown,
        r#"{"last":20,"t":"x","j":"x","z":null},{"last":9,"t":"y","j":"y","z":null}"#
    );
    let flag = Condition::Is {
        field: thing::DATA,
        path: vec![PathStep::TextKey("f".into())],
        what: Is::True,
    };
    assert_eq!(ids(store, flag), "1");
}

fn counts(store: &dyn Store) {
    done(
        store,
        insert(0, &[0], (0..10).map(|i| vec![Value::Int(i)]).collect()),
    );
    let mut first = read(0, items(&things(), &[0]), compare(0, Compare::Gte, Value::Int(2)));
    first.limit = 3;
    first.count = Count::Exact;
    let first_page = page(store, &first);
    assert_eq!(
        (first_page.rows, first_page.total, first_page.more),
        (3, Some(8), true)
    );
    assert_eq!(first_page.last, vec![Value::Int(4)]);
    first.offset = 6;
    let last = page(store, &first);
    assert_eq!((last.rows, last.total, last.more), (2, Some(8), false));
    first.offset = 100;
    let beyond = page(store, &first);
    assert_eq!((beyond.rows, beyond.total, beyond.json.len()), (0, Some(8), 0));
    first.offset = u64::MAX;
    first.limit = u64::MAX;
    assert_eq!(page(store, &first).total, Some(8));
    let none = crate::operation::Read {
        limit: 0,
        offset: 0,
        ..first
    };
    assert_eq!((page(store, &none).rows, page(store, &none).total), (0, Some(8)));
}

fn stock(store: &dyn Store) {
    done(
        store,
        insert(
            0,
            &[0, 1],
            vec![vec![Value::Int(1), text("one")], vec![Value::Int(2), text("two")]],
        ),
    );
    let part = |id: i64, thing: Value, label: &str, weight: &str, size: f64| {
        vec![
            Value::Int(id),
            thing,
            text(label),
            decimal(weight),
            Value::Float(size),
        ]
    };
    done(
        store,
        insert(
            1,
            &[0, 1, 2, 3, 4],
            vec![
                part(
                    10,
                    Value::Int(1),
                    "b \"q\"",
                    "12345678901234567890123456789012345.123",
                    0.1,
                ),
                part(11, Value::Int(1), "a", "-0.500", 1e300),
                part(12, Value::Null, "loose", "1.000", -0.0),
                part(13, Value::Int(1), "c", "9.000", 2.0),
            ],
        ),
    );
}

fn embed(resource: usize, join: Join, select: Vec<Item>, inner: bool) -> Embed {
    Embed {
        name: "x".into(),
        resource,
        join,
        inner,
        spread: false,
        select,
        filter: Condition::True,
        order: vec![ascending(0)],
        limit: 100,
        offset: 0,
    }
}

fn embeds(store: &dyn Store) {
    stock(store);
    let (things, parts) = (things(), parts());
    let one = embed(0, Join::ToOne { field: 1 }, items(&things, &[0, 1]), false);
    let mut select = items(&parts, &[0]);
    select.push(Item::Embed(Box::new(one)));
    assert_eq!(
        json(store, &read(1, select, Condition::True)),
        r#"{"id":10,"x":{"id":1,"name":"one"}},{"id":11,"x":{"id":1,"name":"one"}},{"id":12,"x":null},{"id":13,"x":{"id":1,"name":"one"}}"#
    );
    let mut many = embed(1, Join::ToMany { field: 1 }, items(&parts, &[2, 3, 4]), false);
    many.order = vec![Order {
        embed: None,
        field: 2,
        path: Vec::new(),
        descending: false,
        nulls_first: false,
    }];
    many.filter = compare(0, Compare::Neq, Value::Int(13));
    let mut select = items(&things, &[0]);
    select.push(Item::Embed(Box::new(many.clone())));
    assert_eq!(
        json(store, &read(0, select, Condition::True)),
        r#"{"id":1,"x":[{"label":"a","weight":-0.500,"size":1e300},{"label":"b \"q\"","weight":12345678901234567890123456789012345.123,"size":0.1}]},{"id":2,"x":[]}"#
    );
    (many.limit, many.offset, many.filter) = (1, 1, Condition::True);
    // A row of a row of a row: things → parts → things.
    let inside = embed(0, Join::ToOne { field: 1 }, items(&things, &[1]), false);
    many.select.push(Item::Embed(Box::new(inside)));
    let mut select = items(&things, &[0]);
    select.push(Item::Embed(Box::new(many)));
    assert_eq!(
        json(store, &read(0, select, is(0, 1))),
        r#"{"id":1,"x":[{"label":"b \"q\"","weight":12345678901234567890123456789012345.123,"size":0.1,"x":{"name":"one"}}]}"#
    );
}

fn inner(store: &dyn Store) {
    stock(store);
    let (things, parts) = (things(), parts());
    for (inner, filter, found) in [
        (false, Condition::True, r#"{"id":1},{"id":2}"#),
        (true, Condition::True, r#"{"id":1}"#),
        (
            false,
            Condition::Not(Box::new(Condition::Embedded { item: 1 })),
            r#"{"id":2}"#,
        ),
        (false, Condition::Embedded { item: 1 }, r#"{"id":1}"#),
    ] {
        let mut select = items(&things, &[0]);
        // `relation()`: joins without output.
        select.push(Item::Embed(Box::new(embed(
            1,
            Join::ToMany { field: 1 },
            Vec::new(),
            inner,
        ))));
        let mut asked = read(0, select, filter);
        asked.count = Count::Exact;
        let page = page(store, &asked);
        assert_eq!(String::from_utf8_lossy(&page.json), found);
        assert_eq!(page.total, Some(page.rows));
    }
    let mut select = items(&parts, &[0]);
    select.push(Item::Embed(Box::new(embed(
        0,
        Join::ToOne { field: 1 },
        items(&things, &[0]),
        true,
    ))));
    assert_eq!(page(store, &read(1, select, Condition::True)).rows, 3);
}

fn is_and_in(store: &dyn Store) {
    done(
        store,
        insert(
            0,
            &[0, 2, thing::OK],
            vec![
                vec![Value::Int(1), Value::Int(5), Value::Bool(true)],
                vec![Value::Int(2), Value::Null, Value::Bool(false)],
                vec![Value::Int(3), Value::Int(7), Value::Null],
            ],
        ),
    );
    let is = |field, what| Condition::Is {
        field,
        path: Vec::new(),
        what,
    };
    let within = |values: &[i64]| Condition::In {
        field: 2,
        path: Vec::new(),
        values: values.iter().map(|n| Value::Int(*n)).collect(),
    };
    let not = |c| Condition::Not(Box::new(c));
    for (condition, found) in [
        (is(thing::OK, Is::True), "1"),
        (is(thing::OK, Is::False), "2"),
        (is(thing::OK, Is::Unknown), "3"),
        (not(is(thing::OK, Is::True)), "2,3"),
        (is(2, Is::NotNull), "1,3"),
        (within(&[]), ""),
        (not(within(&[])), "1,2,3"),
        (within(&[5, 7, 9]), "1,3"),
        (not(within(&[5])), "3"),
        (compare(2, Compare::Neq, Value::Int(5)), "3"),
        (compare(2, Compare::IsDistinct, Value::Int(5)), "2,3"),
        (compare(2, Compare::Eq, Value::Null), ""),
        (
            Condition::Fields {
                left: 0,
                op: Compare::Lt,
                right: 2,
            },
            "1,3",
        ),
        (Condition::Or(Vec::new()), ""),
        (Condition::And(Vec::new()), "1,2,3"),
        (Condition::False, ""),
    ] {
        assert_eq!(ids(store, condition.clone()), found, "{condition:?}");
    }
}

fn hostile(store: &dyn Store) {
    let evil = [
        "'; DROP TABLE things; --",
        "\" OR 1=1 --",
        "\\",
        "%",
        "_",
        "?1",
        "$1",
        ":x",
        "😀'\"`",
    ];
    let rows = evil
        .iter()
        .enumerate()
        .map(|(i, e)| vec![Value::Int(number(i)), text(e)])
        .collect();
    done(store, insert(0, &[0, 1], rows));
    for (i, e) in evil.iter().enumerate() {
        assert_eq!(ids(store, is(1, text(e))), i.to_string());
        let key = vec![PathStep::Key((*e).into())];
        let path = Condition::Is {
            field: thing::DATA,
            path: key,
            what: Is::NotNull,
        };
        assert_eq!(ids(store, path), "");
        let renamed = vec![Item::Field {
            field: 0,
            path: Vec::new(),
            cast: None,
            name: (*e).into(),
        }];
        let shown = json(store, &read(0, renamed, is(0, number(i))));
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown[*e], serde_json::json!(i));
    }
    assert_eq!(
        page(store, &read(0, items(&things(), &[0]), Condition::True)).rows,
        evil.len() as u64
    );
}

fn number(i: usize) -> i64 {
    i64::try_from(i).unwrap()
}
