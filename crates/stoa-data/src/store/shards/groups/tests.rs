//! Parts that become groups, and what is refused instead.

use super::value::{average, beats, cast, identity, shown, sum};
use super::*;
use crate::store::Mark;
use proptest::prelude::*;

fn decimal(text: &str) -> Value {
    Value::Decimal(text.into())
}

fn member(name: &str, made: Made, first: usize, second: Option<usize>) -> Member {
    Member {
        name: name.into(),
        made,
        cast: None,
        first,
        second,
        field: (made == Made::Key).then_some((None, 0)),
    }
}

/// By one key: a count, a sum, an average and the largest.
fn groups(first: Option<u64>) -> Groups {
    let by_key = Order {
        embed: None,
        field: 0,
        path: Vec::new(),
        descending: false,
        nulls_first: false,
    };
    Groups {
        select: Vec::new(),
        members: vec![
            member("k", Made::Key, 0, None),
            member("count", Made::Count, 1, None),
            member("sum", Made::Sum, 2, None),
            member("avg", Made::Average, 3, Some(4)),
            member("max", Made::Extreme(Ordering::Greater), 5, None),
        ],
        order: vec![by_key],
        sorted: vec![0],
        first,
        columns: 6,
    }
}

/// The parts that a shard gives for rows of a key and a number.
fn part(rows: &[(i64, Option<i64>)], more: bool) -> Page {
    let mut keys: Vec<i64> = rows.iter().map(|(key, _)| *key).collect();
    keys.sort_unstable();
    keys.dedup();
    let marks = keys.into_iter().map(|key| {
        let own = rows.iter().filter(|(k, _)| *k == key);
        let numbers: Vec<i64> = own.clone().filter_map(|(_, n)| *n).collect();
        let count = |n: usize| Value::Int(i64::try_from(n).unwrap());
        let total: i128 = numbers.iter().map(|n| i128::from(*n)).sum();
        let total = if numbers.is_empty() {
            Value::Null
        } else {
            decimal(&total.to_string())
        };
        Mark {
            end: 0,
            position: vec![
                Value::Int(key),
                count(own.count()),
                total.clone(),
                total,
                count(numbers.len()),
                numbers.iter().max().map_or(Value::Null, |n| Value::Int(*n)),
            ],
        }
    });
    Page {
        marks: marks.collect(),
        more,
        ..Page::default()
    }
}

const ALL: Window = Window {
    offset: 0,
    limit: 100,
};

proptest! {
    #[test]
    fn rows_on_several_shards_give_what_they_give_on_one(
        rows in prop::collection::vec((0_i64..5, prop::option::of(any::<i64>()), 0_usize..3), 0..40)
    ) {
        let of = |shard: usize| {
            let own = rows.iter().filter(|(.., at)| *at == shard);
            part(&own.map(|(key, n, _)| (*key, *n)).collect::<Vec<_>>(), false)
        };
        let all: Vec<_> = rows.iter().map(|(key, n, _)| (*key, *n)).collect();
        let spread = groups(None).merge(&[of(0), of(1), of(2)], ALL, true).unwrap();
        let one = groups(None).merge(&[part(&all, false)], ALL, true).unwrap();
        prop_assert_eq!(String::from_utf8_lossy(&spread.json), String::from_utf8_lossy(&one.json));
        prop_assert_eq!(spread.total, one.total);
    }
}

#[test]
fn groups_are_shown_with_their_digits() {
    let pages = [
        part(&[(1, Some(1)), (2, None)], false),
        part(&[(1, Some(1)), (1, Some(0))], false),
    ];
    let page = groups(None).merge(&pages, ALL, true).unwrap();
    assert_eq!(
        String::from_utf8(page.json).unwrap(),
        "{\"k\":1,\"count\":3,\"sum\":2,\"avg\":0.66666666666666666667,\"max\":1},\
         {\"k\":2,\"count\":1,\"sum\":null,\"avg\":null,\"max\":null}"
    );
    assert_eq!((page.rows, page.total, page.more), (2, Some(2), false));
    let window = Window { offset: 1, limit: 1 };
    let page = groups(Some(2)).merge(&pages, window, false).unwrap();
    assert_eq!((page.rows, page.total, page.more), (1, None, false));
}

#[test]
fn a_part_that_was_cut_off_is_refused_where_all_are_needed() {
    let cut = [part(&[(1, None)], true)];
    assert!(matches!(
        groups(None).merge(&cut, ALL, false),
        Err(StoreError::SpansShards { .. })
    ));
    assert!(groups(Some(1)).merge(&cut, ALL, false).unwrap().more);
    let many = |from: i64| {
        part(
            &(from..from + 6_000).map(|k| (k, None)).collect::<Vec<_>>(),
            false,
        )
    };
    assert!(groups(None).merge(&[many(0), many(1_000)], ALL, false).is_ok());
    let refused = groups(None).merge(&[many(0), many(6_000)], ALL, false);
    assert!(
        matches!(refused, Err(StoreError::SpansShards { .. })),
        "{refused:?}"
    );
}

#[test]
fn what_is_no_number_is_added_as_the_database_does() {
    for (a, b, both) in [
        ("1.50", "2.5", "4.00"),
        ("NaN", "1", "NaN"),
        ("1", "Infinity", "Infinity"),
        ("-Infinity", "Infinity", "NaN"),
        ("-Infinity", "-Infinity", "-Infinity"),
    ] {
        assert_eq!(sum(&decimal(a), &decimal(b)).unwrap(), decimal(both), "{a} + {b}");
        assert_eq!(sum(&decimal(b), &decimal(a)).unwrap(), decimal(both), "{b} + {a}");
    }
    assert_eq!(sum(&Value::Null, &decimal("1")).unwrap(), decimal("1"));
    assert_eq!(average(&decimal("NaN"), &Value::Int(2)).unwrap(), decimal("NaN"));
    assert_eq!(
        average(&Value::Float(1.0), &Value::Int(4)).unwrap(),
        Value::Float(0.25)
    );
    assert_eq!(shown(decimal("Infinity")), Value::Null);
    assert!(matches!(
        sum(&Value::Float(f64::MAX), &Value::Float(f64::MAX)),
        Err(StoreError::Server(error)) if &*error.state == "22003"
    ));
    assert!(
        sum(&decimal(&"9".repeat(1_001)), &decimal("1")).is_err(),
        "not by a rounded one"
    );
}

#[test]
fn the_largest_is_the_databases() {
    let order = ["-Infinity", "-2", "-1.5", "0", "0.01", "10", "Infinity", "NaN"];
    for (at, low) in order.iter().enumerate() {
        for (other, high) in order.iter().enumerate() {
            let larger = beats(&decimal(high), &decimal(low), Ordering::Greater).unwrap();
            assert_eq!(larger, other > at, "{high} over {low}");
        }
    }
    assert!(
        beats(
            &Value::Float(f64::NAN),
            &Value::Float(f64::INFINITY),
            Ordering::Greater
        )
        .unwrap()
    );
    assert!(beats(&Value::Text("Z".into()), &Value::Text("a".into()), Ordering::Less).unwrap());
    assert!(!beats(&Value::Null, &Value::Int(1), Ordering::Less).unwrap());
    assert!(beats(&Value::Bool(true), &Value::Bool(false), Ordering::Less).is_err());
}

#[test]
fn casts_are_the_databases() {
    let as_type = |value: Value, to: Cast| match cast(value, to) {
        Ok(value) => Ok(value.to_string()),
        Err(StoreError::Server(error)) => Err(error.message),
        Err(other) => panic!("{other}"),
    };
    assert_eq!(as_type(decimal("2.5"), Cast::Int4), Ok("3".into()));
    assert_eq!(
        as_type(Value::Int(40_000), Cast::Int2),
        Err("smallint out of range".into())
    );
    assert_eq!(as_type(Value::Float(2.5), Cast::Int8), Ok("2".into()));
    assert_eq!(
        as_type(decimal("NaN"), Cast::Int4),
        Err("cannot convert NaN to integer".into())
    );
    assert_eq!(as_type(Value::Null, Cast::Text), Ok("null".into()));
}

#[test]
fn what_the_database_groups_together_is_one() {
    let same = |a: Value, b: Value| {
        let (mut one, mut two) = (Vec::new(), Vec::new());
        identity(&a, &mut one).unwrap();
        identity(&b, &mut two).unwrap();
        one == two
    };
    let json = |text: &str| Value::Json(text.into());
    assert!(same(decimal("1.0"), decimal("1.00")));
    assert!(same(Value::Float(0.0), Value::Float(-0.0)));
    assert!(same(json("{\"a\":[1.0,10]}"), json("{\"a\":[1,10]}")));
    assert!(!same(json("\"1.0\""), json("\"1\"")));
    assert!(!same(json("1"), json("10")));
    assert!(!same(Value::Text("null".into()), Value::Null));
    assert!(!same(Value::Float(f64::NAN), Value::Null));
}
