//! Keyset paging: every row once, whatever the order.

use super::Check;
use super::fixture::{compare, done, insert, items, page, read, text, things};
use crate::operation::{Compare, Condition, Order};
use crate::store::Store;
use crate::value::Value;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

pub(super) fn all() -> Vec<(&'static str, Check)> {
    vec![
        ("pages hold every row once", pages as Check),
        ("three values of truth", truth),
    ]
}

/// Few different values, so that there are many ties, and nulls.
fn rows() -> Vec<Vec<Value>> {
    (0..40_i64)
        .map(|id| {
            let name = if id % 4 == 0 {
                Value::Null
            } else {
                text(["a", "B", "ä"][id as usize % 3])
            };
            let n = if id % 5 == 0 {
                Value::Null
            } else {
                Value::Int(id % 3)
            };
            vec![Value::Int(id), name, n]
        })
        .collect()
}

fn pages(store: &dyn Store) {
    done(store, insert(0, &[0, 1, 2], rows()));
    let entry =
        (0..3_usize, any::<bool>(), any::<bool>()).prop_map(|(field, descending, nulls_first)| Order {
            embed: None,
            field,
            path: Vec::new(),
            descending,
            nulls_first,
        });
    let asked = (proptest::collection::vec(entry, 0..3), any::<bool>(), 1..9_u64);
    let mut runner = TestRunner::new(Config {
        cases: 60,
        failure_persistence: None,
        ..Config::default()
    });
    let result = runner.run(&asked, |(mut order, descending, limit)| {
        order.push(Order {
            embed: None,
            field: 0,
            path: Vec::new(),
            descending,
            nulls_first: false,
        });
        let mut whole = read(0, items(&things(), &[0]), Condition::True);
        whole.order = order.clone();
        let whole_text = String::from_utf8(page(store, &whole).json).unwrap();
        let mut part = whole;
        part.limit = limit;
        let mut seen = Vec::new();
        loop {
            let found = page(store, &part);
            seen.push(String::from_utf8(found.json).unwrap());
            if !found.more {
                break;
            }
            prop_assert_eq!(found.last.len(), order.len());
            part.after = Some(found.last);
        }
        seen.retain(|s| !s.is_empty());
        prop_assert_eq!(seen.join(","), whole_text);
        Ok(())
    });
    result.unwrap();
}

/// A condition over the two optional fields, and what it says of a row.
fn condition() -> impl Strategy<Value = Condition> {
    let op = prop_oneof![
        Just(Compare::Eq),
        Just(Compare::Neq),
        Just(Compare::Gt),
        Just(Compare::Gte),
        Just(Compare::Lt),
        Just(Compare::Lte),
        Just(Compare::IsDistinct),
    ];
    let value = prop_oneof![Just(Value::Null), (0..3_i64).prop_map(Value::Int)];
    let leaf = prop_oneof![
        (op, value).prop_map(|(op, value)| compare(2, op, value)),
        proptest::collection::vec(
            prop_oneof![Just(Value::Null), (0..3_i64).prop_map(Value::Int)],
            0..4
        )
        .prop_map(|values| Condition::In {
            field: 2,
            path: Vec::new(),
            values
        }),
        Just(Condition::True),
        Just(Condition::False),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Condition::And),
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Condition::Or),
            inner.prop_map(|c| Condition::Not(Box::new(c))),
        ]
    })
}

/// SQL's truth: `None` is unknown.
fn judge(condition: &Condition, n: Option<i64>) -> Option<bool> {
    let equal = |value: &Value| match (n, value) {
        (Some(n), Value::Int(v)) => Some(n == *v),
        _ => None,
    };
    match condition {
        Condition::True => Some(true),
        Condition::False => Some(false),
        Condition::And(list) => not(either(list.iter().map(|c| not(judge(c, n))))),
        Condition::Or(list) => either(list.iter().map(|c| judge(c, n))),
        Condition::Not(inner) => not(judge(inner, n)),
        Condition::In { values, .. } => either(values.iter().map(equal)),
        Condition::Compare {
            op: Compare::IsDistinct,
            value,
            ..
        } => Some(match (n, value) {
            (Some(n), Value::Int(v)) => n != *v,
            (None, Value::Null) => false,
            _ => true,
        }),
        Condition::Compare {
            op,
            value: Value::Int(v),
            ..
        } => n.map(|n| match op {
            Compare::Eq => n == *v,
            Compare::Neq => n != *v,
            Compare::Gt => n > *v,
            Compare::Gte => n >= *v,
            Compare::Lt => n < *v,
            _ => n <= *v,
        }),
        _ => None,
    }
}

fn not(truth: Option<bool>) -> Option<bool> {
    truth.map(|b| !b)
}

/// True when one is, else unknown when one is.
fn either(truths: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let all: Vec<_> = truths.collect();
    if all.contains(&Some(true)) {
        return Some(true);
    }
    (!all.contains(&None)).then_some(false)
}

fn truth(store: &dyn Store) {
    done(store, insert(0, &[0, 1, 2], rows()));
    let mut runner = TestRunner::new(Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    });
    let result = runner.run(&condition(), |condition| {
        let expected = (0..40_i64)
            .filter(|id| judge(&condition, (id % 5 != 0).then_some(id % 3)) == Some(true))
            .map(|id| format!("{{\"id\":{id}}}"))
            .collect::<Vec<_>>()
            .join(",");
        let found = page(store, &read(0, items(&things(), &[0]), condition));
        prop_assert_eq!(String::from_utf8(found.json).unwrap(), expected);
        Ok(())
    });
    result.unwrap();
}
