//! A rule as a condition grants what the rule itself grants: random rules over random rows, judged by `cel` and by
//! the condition with the logic of SQL.

use super::*;
use proptest::prelude::*;
use std::{cmp::Ordering, collections::HashMap};

const FIELDS: [&str; 10] = ["n", "m", "f", "d", "b", "t", "s", "e", "u", "l"];

fn claims() -> Json {
    json!({
        "sub": "ada", "n": 2, "yes": true, "no": false, "word": "x", "none": null,
        "words": ["x", "ada", "new"], "numbers": [1, 2, 3], "id": ID,
    })
}

/// Comparisons without a value of the wrong type.
fn atom() -> impl Strategy<Value = String> {
    let order = prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let equality = prop::sample::select(vec!["==", "!="]);
    let number = prop::sample::select(vec!["row.n", "row.m", "row.d", "row.f"]);
    let text = prop::sample::select(vec!["row.t", "row.s"]);
    let word = prop::sample::select(vec!["'x'", "''", "claims.sub", "claims.word", "claims.words[0]"]);
    let given = prop::sample::select(vec![
        "true",
        "false",
        "claims.yes",
        "claims.no",
        "claims.n > 1",
        "claims.missing",
        "claims.n",
        "claims.none == null",
        "claims.words.exists(w, w == 'ada')",
        "request.query.x == '1'",
        "has(claims.missing)",
    ]);
    let whole = prop::sample::select(vec![
        "row.b",
        "row.n == null",
        "row.t != null",
        "row.b == null",
        "row.e == 'new'",
        "row.e != 'paid'",
        "row.n in claims.numbers",
        "row.t in claims.words",
        "row.n in []",
        "row.n in [1, 2]",
        "'x' in row.l",
        "claims.sub in row.l",
        "row.u == claims.id",
        "row.u != claims.id",
        "row.t == claims.missing",
        "row.b == claims.yes",
        "row.n in claims.missing",
    ]);
    prop_oneof![
        (number.clone(), order.clone(), 0..4).prop_map(|(f, o, n)| format!("{f} {o} {n}")),
        (number, order.clone()).prop_map(|(f, o)| format!("claims.n {o} {f}")),
        order.prop_map(|o| format!("row.n {o} row.m")),
        equality.clone().prop_map(|o| format!("row.t {o} row.s")),
        (text, equality, word).prop_map(|(f, o, w)| format!("{f} {o} {w}")),
        given.prop_map(str::to_owned),
        whole.prop_map(str::to_owned),
    ]
}

/// Comparisons with a value of the wrong type, which CEL calls unequal and a rule does not judge.
fn mismatch() -> impl Strategy<Value = String> {
    let sources = [
        "row.n == claims.sub",
        "row.t != claims.n",
        "row.u != claims.word",
        "row.n != 1.5",
        "row.t in claims.numbers",
        "row.d == claims.yes",
    ];
    prop::sample::select(sources.to_vec()).prop_map(str::to_owned)
}

fn rule(atom: impl Strategy<Value = String> + 'static) -> impl Strategy<Value = String> {
    atom.prop_recursive(4, 24, 3, |inner| {
        let test = prop::sample::select(vec!["claims.yes", "claims.no", "claims.missing", "claims.n == 2"]);
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} && {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} || {b})")),
            inner.clone().prop_map(|a| format!("!({a})")),
            (test, inner.clone(), inner).prop_map(|(t, a, b)| format!("({t} ? {a} : {b})")),
        ]
    })
}

type Row = HashMap<FieldIndex, Value>;

fn row(nulls: bool) -> impl Strategy<Value = Row> {
    let word = || prop::sample::select(vec!["x", "ada", "", "new"]).prop_map(|s| Value::Text(s.into()));
    let ids = [ID, "0190f5e4-7c1a-7000-8000-00000000000b"];
    let values: Vec<BoxedStrategy<Value>> = vec![
        (0..4_i64).prop_map(Value::Int).boxed(),
        (0..4_i64).prop_map(Value::Int).boxed(),
        (0..8_i32).prop_map(|n| Value::Float(f64::from(n) / 2.0)).boxed(),
        (0..40_i32)
            .prop_map(|n| Value::Decimal(format!("{}.{}0", n / 10, n % 10).into()))
            .boxed(),
        any::<bool>().prop_map(Value::Bool).boxed(),
        word().boxed(),
        word().boxed(),
        prop::sample::select(vec!["new", "paid"])
            .prop_map(|s| Value::Text(s.into()))
            .boxed(),
        prop::sample::select(ids.to_vec())
            .prop_map(|id| Value::Uuid(id.parse().unwrap()))
            .boxed(),
        prop::collection::vec(word(), 0..3).prop_map(Value::List).boxed(),
    ];
    let maybe = move |value: BoxedStrategy<Value>| {
        let weight = u32::from(nulls);
        if nulls {
            prop_oneof![weight => Just(Value::Null), 3 => value].boxed()
        } else {
            value
        }
    };
    let values: Vec<_> = values.into_iter().map(maybe).collect();
    values.prop_map(|values| FIELDS.iter().map(|name| position(name)).zip(values).collect())
}

fn as_cel(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(b) => cel::Value::Bool(*b),
        Value::Int(n) => cel::Value::Int(*n),
        Value::Float(n) => cel::Value::Float(*n),
        Value::Decimal(text) => cel::Value::Float(text.parse().unwrap()),
        Value::List(items) => items.iter().map(as_cel).collect::<Vec<_>>().into(),
        other => other.to_string().into(),
    }
}

/// What CEL itself says; an error is `None`.
fn by_cel(source: &str, row: &Row) -> Option<bool> {
    let fields = fields();
    let row: HashMap<String, cel::Value> = row
        .iter()
        .map(|(field, value)| (fields[*field].name.clone(), as_cel(value)))
        .collect();
    let request = HashMap::from([("query", HashMap::from([("x", "1")]))]);
    let mut context = cel::Context::default();
    context.add_variable_from_value("claims", stoa_exchange::access::cel_value(&claims()));
    context.add_variable_from_value("request", request);
    context.add_variable_from_value("row", row);
    match cel(source).program.execute(&context) {
        Ok(cel::Value::Bool(holds)) => Some(holds),
        _ => None,
    }
}

fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Null, _) | (_, Value::Null) => None,
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Decimal(a), Value::Decimal(b)) => a.parse::<f64>().unwrap().partial_cmp(&b.parse().unwrap()),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (Value::Uuid(a), Value::Uuid(b)) => Some(a.cmp(b)),
        other => panic!("a database would refuse {other:?}"),
    }
}

fn compared(a: &Value, op: Compare, b: &Value) -> Option<bool> {
    if op == Compare::Contains {
        let (Value::List(list), Value::List(wanted)) = (a, b) else {
            return None;
        };
        return Some(wanted.iter().all(|item| list.contains(item)));
    }
    let order = order(a, b)?;
    Some(match op {
        Compare::Eq => order.is_eq(),
        Compare::Neq => order.is_ne(),
        Compare::Lt => order.is_lt(),
        Compare::Lte => order.is_le(),
        Compare::Gt => order.is_gt(),
        Compare::Gte => order.is_ge(),
        other => panic!("no rule makes {other:?}"),
    })
}

/// The logic of SQL: `None` is NULL.
fn by_sql(condition: &Condition, row: &Row) -> Option<bool> {
    match condition {
        Condition::True => Some(true),
        Condition::False => Some(false),
        Condition::And(list) => {
            let each: Vec<_> = list.iter().map(|c| by_sql(c, row)).collect();
            if each.contains(&Some(false)) {
                Some(false)
            } else {
                each.into_iter().collect::<Option<Vec<_>>>().map(|_| true)
            }
        }
        Condition::Or(list) => {
            let each: Vec<_> = list.iter().map(|c| by_sql(c, row)).collect();
            if each.contains(&Some(true)) {
                Some(true)
            } else {
                each.into_iter().collect::<Option<Vec<_>>>().map(|_| false)
            }
        }
        Condition::Not(inner) => by_sql(inner, row).map(|holds| !holds),
        Condition::Compare { field, op, value, .. } => compared(&row[field], *op, value),
        Condition::Fields { left, op, right } => compared(&row[left], *op, &row[right]),
        Condition::In { field, values, .. } => {
            if values.is_empty() {
                return Some(false);
            }
            let each: Vec<_> = values
                .iter()
                .map(|v| compared(&row[field], Compare::Eq, v))
                .collect();
            if each.contains(&Some(true)) {
                Some(true)
            } else {
                each.into_iter().collect::<Option<Vec<_>>>().map(|_| false)
            }
        }
        Condition::Is { field, what, .. } => Some(match (what, &row[field]) {
            (Is::Null | Is::Unknown, value) => value.is_null(),
            (Is::NotNull, value) => !value.is_null(),
            (Is::True, value) => *value == Value::Bool(true),
            (Is::False, value) => *value == Value::Bool(false),
        }),
        Condition::Embedded { .. } | Condition::Search { .. } => panic!("no rule makes this"),
    }
}

fn by_rule(source: &str, row: &Row) -> bool {
    match judge(Access::When(cel(source)), Verb::Read, &caller(claims())) {
        Ok(allowed) => by_sql(&allowed.filter, row) == Some(true),
        Err(_) => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn without_nulls_they_agree(source in rule(atom()), row in row(false)) {
        prop_assert_eq!(by_rule(&source, &row), by_cel(&source, &row) == Some(true), "{}", source);
        let turned = format!("!({source})");
        prop_assert_eq!(by_rule(&turned, &row), by_cel(&source, &row) == Some(false), "{}", turned);
    }

    #[test]
    fn with_nulls_and_other_types_nothing_more_is_granted(
        source in rule(prop_oneof![4 => atom(), 1 => mismatch()]),
        row in row(true),
    ) {
        prop_assert!(!by_rule(&source, &row) || by_cel(&source, &row) == Some(true), "{}", source);
    }

    #[test]
    fn what_is_implied_holds(a in rule(atom()), b in rule(atom()), row in row(true)) {
        let condition = |source: &str| match judge(Access::When(cel(source)), Verb::Read, &caller(claims())) {
            Ok(allowed) => allowed.filter,
            Err(_) => Condition::False,
        };
        for (known, wanted) in [(a.clone(), b.clone()), (a.clone(), format!("{b} || {a}")), (format!("{a} && {b}"), b)] {
            let (known, wanted) = (condition(&known), condition(&wanted));
            if implies(&known, &wanted) && by_sql(&known, &row) == Some(true) {
                prop_assert_eq!(by_sql(&wanted, &row), Some(true), "{:?} {:?}", known, wanted);
            }
        }
    }

    #[test]
    fn what_these_rules_are_passes_the_check(source in rule(atom())) {
        prop_assert_eq!(check_cel(&resource(Access::Public), &cel(&source)), Ok(()), "{}", source);
    }
}
