//! Rules on resources, and whether they say about a row what CEL says about it.

mod agreement;

use super::*;
use crate::operation::Is;
use http::{HeaderMap, Method};
use serde_json::{Value as Json, json};
use std::{net::IpAddr, sync::Arc};
use stoa_config::plan::{Cel, Field, List, Place, Rule, Rules, Shard};
use stoa_exchange::Caller;

fn field(name: &str, ty: Type) -> Field {
    Field {
        name: name.to_owned(),
        place: Place::default(),
        ty,
        unique: false,
        optional: true,
        auto: false,
        immutable: false,
        index: false,
        default: None,
        min: None,
        max: None,
        chars: None,
        matches: None,
        generated: false,
        function: None,
        column: None,
        was: None,
    }
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

fn fields() -> Vec<Field> {
    let decimal = Type::Decimal {
        precision: 8,
        scale: 2,
    };
    let reference = Type::Ref {
        resource: 1,
        value: Box::new(Type::Uuid),
    };
    vec![
        field("n", Type::Int),
        field("m", Type::Int),
        field("f", Type::Float),
        field("d", decimal),
        field("b", Type::Bool),
        field("t", Type::Text),
        field("s", Type::Text),
        field("e", Type::Enum(names(&["new", "paid"]))),
        field("u", Type::Uuid),
        field("r", reference),
        field("at", Type::Time),
        field("on", Type::Date),
        field("l", Type::List(Box::new(Type::Text))),
        field("j", Type::Json),
    ]
}

fn position(name: &str) -> FieldIndex {
    fields().iter().position(|f| f.name == name).unwrap()
}

fn resource(access: Access) -> Resource {
    let rule = Rule {
        access,
        written: true,
        place: Place::default(),
    };
    Resource {
        name: String::from("orders"),
        place: Place::default(),
        store: 0,
        table: None,
        shard: Shard::Single,
        fields: fields(),
        key: vec![8],
        references: Vec::new(),
        by_function: Vec::new(),
        list: List {
            filter: vec![],
            sort: vec![],
            page: 50,
            max: 200,
            aggregates: false,
            consistency: None,
        },
        rules: Rules {
            read: rule.clone(),
            create: rule.clone(),
            update: rule.clone(),
            delete: rule,
        },
        cache: None,
        consistency: stoa_config::plan::Consistency::default(),
        was: None,
    }
}

fn cel(source: &str) -> Cel {
    let program = cel::Program::compile(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    Cel {
        source: source.into(),
        program: Arc::new(program),
    }
}

fn caller(claims: Json) -> Identity {
    let Json::Object(claims) = claims else {
        panic!("claims are an object")
    };
    let words = |name: &str| {
        let list = claims
            .get(name)
            .and_then(Json::as_array)
            .cloned()
            .unwrap_or_default();
        list.iter().map(|v| v.as_str().unwrap().to_owned()).collect()
    };
    Identity::Known(Arc::new(Caller {
        subject: claims["sub"].as_str().unwrap().to_owned(),
        roles: words("roles"),
        scopes: words("scopes"),
        claims,
        expires_unix: None,
    }))
}

fn judge(access: Access, verb: Verb, identity: &Identity) -> Result<Allowed, Problem> {
    let headers = HeaderMap::new();
    let facts = RequestFacts {
        realm: "shop",
        method: &Method::GET,
        path: "/orders",
        query: Some("x=1"),
        host: "localhost",
        headers: &headers,
        client: IpAddr::from([127, 0, 0, 1]),
    };
    allow(&resource(access), verb, identity, &facts)
}

fn status(access: Access, verb: Verb, identity: &Identity) -> u16 {
    judge(access, verb, identity)
        .err()
        .map_or(0, |problem| problem.status().as_u16())
}

fn compare(name: &str, op: Compare, value: Value) -> Condition {
    Condition::Compare {
        field: position(name),
        path: vec![],
        op,
        value,
    }
}

const VERBS: [Verb; 4] = [Verb::Read, Verb::Create, Verb::Update, Verb::Delete];
const ID: &str = "0190f5e4-7c1a-7000-8000-00000000000a";

#[test]
fn rules_by_caller() {
    let nobody = Identity::Anonymous;
    let plain = caller(json!({ "sub": "ada" }));
    let admin = caller(json!({ "sub": "root", "roles": ["admin"], "scopes": ["a", "b"] }));
    let cases = [
        (Access::Public, [0, 0, 0]),
        (Access::Nobody, [403, 403, 403]),
        (Access::User, [401, 0, 0]),
        (Access::Role(names(&["x", "admin"])), [401, 403, 0]),
        (Access::Scope(names(&["a", "b"])), [401, 403, 0]),
        (Access::Scope(names(&["a", "c"])), [401, 403, 403]),
        (Access::Owner(position("t")), [401, 0, 0]),
        (Access::Owner(position("u")), [401, 403, 403]),
        (Access::When(cel("row.t == claims.sub")), [401, 0, 0]),
        (Access::When(cel("claims.sub == 'root'")), [401, 403, 0]),
        (Access::When(cel("row.b || claims.sub == 'root'")), [0, 0, 0]),
        (
            Access::When(cel("row.b && request.method == 'POST'")),
            [403, 403, 403],
        ),
    ];
    for (access, wanted) in cases {
        for verb in VERBS {
            let got = [&nobody, &plain, &admin].map(|who| status(access.clone(), verb, who));
            assert_eq!(got, wanted, "{access} {verb:?}");
        }
    }
}

#[test]
fn the_owner_sees_and_keeps_its_own_rows() {
    let ada = caller(json!({ "sub": ID }));
    let own = Value::Uuid(ID.parse().unwrap());
    let condition = compare("r", Compare::Eq, own.clone());
    let bucket = Some((position("r"), own));
    for verb in VERBS {
        let allowed = judge(Access::Owner(position("r")), verb, &ada).unwrap();
        let (reads, writes) = (verb != Verb::Create, matches!(verb, Verb::Create | Verb::Update));
        let when = |holds| if holds { condition.clone() } else { Condition::True };
        assert_eq!(allowed.filter, when(reads), "{verb:?}");
        assert_eq!(allowed.check, when(writes), "{verb:?}");
        assert_eq!(
            allowed.fill,
            bucket.clone().filter(|_| verb == Verb::Create),
            "{verb:?}"
        );
        assert_eq!(allowed.bucket_by, bucket, "{verb:?}");
    }
    let problem = owner(&resource(Access::Public), position("r"));
    assert_eq!(problem.status(), 403);
    assert!(problem.detail.contains("owner r"), "{problem}");
}

/// Two subjects never own the same row, and a subject that no row can have owns none.
#[test]
fn a_subject_is_read_in_the_field_s_type() {
    let text = |s: &str| Some(Value::Text(s.into()));
    let int = |n| Some(Value::Int(n));
    let cases = [
        ("t", "ada", text("ada")),
        ("t", " ada", text(" ada")),
        ("t", "a\0b", None),
        ("e", "new", text("new")),
        ("e", "ada", None),
        ("n", "7", int(7)),
        ("n", "-7", int(-7)),
        ("n", "07", None),
        ("n", "+7", None),
        ("n", " 7", None),
        ("n", "7.0", None),
        ("n", "9223372036854775808", None),
        ("n", "ada", None),
        ("u", ID, Some(Value::Uuid(ID.parse().unwrap()))),
        ("u", "ada", None),
        ("u", "0190f5e47c1a70008000000000000000a", None),
        ("u", "0190f5e47c1a7000800000000000000a", None),
        ("u", "{0190f5e4-7c1a-7000-8000-00000000000a}", None),
        ("b", "true", None),
        ("d", "1.00", None),
        ("j", "{}", None),
    ];
    for (name, sub, wanted) in cases {
        let got = judge(
            Access::Owner(position(name)),
            Verb::Read,
            &caller(json!({ "sub": sub })),
        );
        let got = got.map(|allowed| allowed.bucket_by.unwrap().1);
        match (got, wanted) {
            (Ok(got), Some(wanted)) => assert_eq!(got, wanted, "{name} {sub}"),
            (Err(problem), None) => {
                assert_eq!(problem.status(), 403);
                assert!(!problem.detail.contains(sub), "{problem}");
            }
            (got, wanted) => panic!("{name} {sub:?}: {got:?}, not {wanted:?}"),
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn rules_become_conditions() {
    let who = caller(
        json!({ "sub": "ada", "n": 3, "vip": true, "no": false, "tags": ["new", "old", 7], "none": null }),
    );
    let eq = |name, value| compare(name, Compare::Eq, value);
    let is = |name: &str, what| Condition::Is {
        field: position(name),
        path: vec![],
        what,
    };
    let text = |s: &str| Value::Text(s.into());
    let (own, three) = (eq("t", text("ada")), eq("n", Value::Int(3)));
    let cases = [
        ("row.t == claims.sub", own.clone()),
        ("claims.sub == row.t", own.clone()),
        ("row['t'] == claims.sub", own.clone()),
        ("row.t == claims.sub && claims.vip", own.clone()),
        ("row.t == claims.sub || claims.vip", Condition::True),
        ("row.t == claims.sub || claims.no", own.clone()),
        ("row.t == claims.sub || claims.missing == 1", own.clone()),
        ("row.t == claims.sub && claims.missing == 1", Condition::False),
        ("claims.vip ? row.t == claims.sub : row.b", own.clone()),
        ("claims.missing ? row.t == claims.sub : row.b", Condition::False),
        ("!(row.t != claims.sub)", own.clone()),
        ("row.n == claims.n", three.clone()),
        ("row.n == 3.0", three.clone()),
        ("row.n == 3u", three.clone()),
        ("row.n == 3.5", Condition::False),
        ("row.n == claims.sub", Condition::False),
        ("row.n != claims.sub", Condition::False),
        ("row.t == claims.none", is("t", Is::Null)),
        ("row.t != null", is("t", Is::NotNull)),
        ("!(row.t != null)", is("t", Is::Null)),
        ("row.n > claims.none", Condition::False),
        ("row.b", is("b", Is::True)),
        ("!row.b", is("b", Is::False)),
        ("row.b == true", eq("b", Value::Bool(true))),
        ("3 < row.n", compare("n", Compare::Gt, Value::Int(3))),
        ("!(row.n <= 3)", compare("n", Compare::Gt, Value::Int(3))),
        (
            "row.d >= 1.5",
            compare("d", Compare::Gte, Value::Decimal("1.50".into())),
        ),
        (
            "row.d < 10",
            compare("d", Compare::Lt, Value::Decimal("10.00".into())),
        ),
        (
            "row.at < '2026-01-02T03:04:05Z'",
            compare("at", Compare::Lt, Value::Time(1_767_323_045_000_000)),
        ),
        ("row.on == '1970-01-03'", eq("on", Value::Date(2))),
        (
            "row.u == '0190f5e4-7c1a-7000-8000-00000000000a'",
            eq("u", Value::Uuid(ID.parse().unwrap())),
        ),
        (
            "row.n < row.m",
            Condition::Fields {
                left: position("n"),
                op: Compare::Lt,
                right: position("m"),
            },
        ),
        (
            "row.e in claims.tags",
            Condition::In {
                field: position("e"),
                path: vec![],
                values: vec![text("new")],
            },
        ),
        ("!(row.e in claims.tags)", Condition::False),
        ("row.e in claims.missing", Condition::False),
        ("row.e in claims.sub", Condition::False),
        (
            "'x' in row.l",
            compare("l", Compare::Contains, Value::List(vec![text("x")])),
        ),
        (
            "row.b && row.t == claims.sub && row.n == 3",
            is("b", Is::True).and(own.clone()).and(three.clone()),
        ),
        (
            "row.b || row.t == claims.sub || row.n == 3",
            Condition::Or(vec![is("b", Is::True), own, three]),
        ),
    ];
    for (source, wanted) in cases {
        let got = match judge(Access::When(cel(source)), Verb::Read, &who) {
            Ok(allowed) => allowed.filter,
            Err(_) => Condition::False,
        };
        assert_eq!(got, wanted, "{source}");
    }
}

#[test]
fn what_a_condition_implies() {
    let (a, b) = (
        compare("n", Compare::Eq, Value::Int(1)),
        compare("t", Compare::Eq, Value::Text("x".into())),
    );
    let both = a.clone().and(b.clone());
    let any = Condition::Or(vec![a.clone(), b.clone()]);
    let cases = [
        (&a, &Condition::True, true),
        (&Condition::False, &a, true),
        (&a, &a, true),
        (&a, &any, true),
        (&both, &a, true),
        (&both, &any, true),
        (&any, &any, true),
        (&Condition::True, &a, false),
        (&a, &b, false),
        (&a, &both, false),
        (&any, &a, false),
        (&a, &Condition::False, false),
    ];
    for (known, wanted, implied) in cases {
        assert_eq!(implies(known, wanted), implied, "{known:?} {wanted:?}");
    }
}

#[test]
fn what_a_when_rule_writes_is_checked_too() {
    let who = caller(json!({ "sub": "ada" }));
    let own = compare("t", Compare::Eq, Value::Text("ada".into()));
    for (verb, filter, check) in [
        (Verb::Read, own.clone(), Condition::True),
        (Verb::Create, Condition::True, own.clone()),
        (Verb::Update, own.clone(), own.clone()),
        (Verb::Delete, own.clone(), Condition::True),
    ] {
        let allowed = judge(Access::When(cel("row.t == claims.sub")), verb, &who).unwrap();
        assert_eq!(
            (allowed.filter, allowed.check, allowed.fill),
            (filter, check, None),
            "{verb:?}"
        );
    }
}

#[test]
fn rules_that_cannot_become_sql_are_refused() {
    let refused = [
        ("row.t.size() > 3", "`size` over `row`"),
        ("size(row.t) > 3", "`size` over `row`"),
        ("row.t.startsWith('a')", "`startsWith` over `row`"),
        ("row.n + 1 == 2", "`+` over `row`"),
        ("-row.n == 2", "`-` over `row`"),
        ("row.t + 'x' == claims.sub", "`+` over `row`"),
        ("row.j.owner == claims.sub", "this use of `row`"),
        ("row == claims", "this use of `row`"),
        ("row", "this use of `row`"),
        ("row.b ? row.n == 1 : row.n == 2", "`? :` over `row`"),
        ("claims.list.exists(x, x == row.t)", "this use of `row`"),
        ("row.l.exists(x, x == 'a')", "this use of `row`"),
        ("has(row.t)", "write `row.t != null`"),
        ("row[claims.sub] == 'x'", "must be written out"),
        ("row.missing == 1", "no field `missing`"),
        ("row.t", "not a condition"),
        ("!row.n", "not a condition"),
        ("row.b && row.t", "not a condition"),
        ("row.t < 'x'", "databases disagree"),
        ("row.e > 'new'", "databases disagree"),
        ("row.u >= claims.sub", "databases disagree"),
        ("row.b < true", "databases disagree"),
        ("row.j == claims.sub", "has no comparison"),
        ("row.l == ['a']", "has no comparison"),
        ("row.l in [['a']]", "has no comparison"),
        ("row.t == 7", "never has the value"),
        ("row.n == 'x'", "never has the value"),
        ("row.n == 1.5", "never has the value"),
        ("row.d == 1.555", "never has the value"),
        ("row.e == 'old'", "never has the value"),
        ("row.e in ['new', 'old']", "never has the value"),
        ("row.u == 'x'", "never has the value"),
        ("row.at == 'yesterday'", "never has the value"),
        ("row.b == 1", "never has the value"),
        ("row.n == 1 / 0", "never has the value"),
        ("row.n < null", "never has the value"),
        ("7 in row.l", "never has the value"),
        ("'x' in row.t", "not a list"),
        ("row.t in 'abc'", "needs a list"),
        ("row.t in {'a': 1}", "needs a list"),
        ("row.n == row.t", "different types"),
        ("row.d == row.f", "different types"),
        ("row.n in row.l", "`in` over `row`"),
        (
            "claims.a.exists(x, claims.b.exists(y, x == y))",
            "loop inside a loop",
        ),
        ("claims.a.map(x, x + 1) == [2]", "`map` and `filter`"),
        ("claims.a.filter(x, x > 1) == [2]", "`map` and `filter`"),
    ];
    for (source, reason) in refused {
        let why = check_cel(&resource(Access::Public), &cel(source)).expect_err(source);
        assert!(why.contains(reason), "{source}: {why}");
    }
}

/// What check let pass, and a request then turns out not to fit, grants nothing.
#[test]
fn a_rule_that_slipped_through_grants_nothing() {
    let who = caller(json!({ "sub": "ada" }));
    for source in [
        "row.t.size() > 3",
        "!(row.t.size() > 3)",
        "has(row.t)",
        "!has(row.t)",
        "row.missing != 1",
        "row",
    ] {
        assert_eq!(
            status(Access::When(cel(source)), Verb::Read, &who),
            403,
            "{source}"
        );
    }
}

#[test]
fn the_rules_of_a_resource_are_checked() {
    let mut orders = resource(Access::Public);
    orders.rules.read.access = Access::When(cel("size(row.t) > 1"));
    orders.rules.delete.access = Access::Owner(position("j"));
    orders.rules.delete.place.line = 7;
    let faults = check(&orders);
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(
        faults[0].message.contains("`read` of orders: `size`"),
        "{faults:?}"
    );
    assert!(
        faults[1].message.contains("`delete` of orders: `owner`"),
        "{faults:?}"
    );
    assert_eq!(faults[1].place.line, 7);
    assert!(check(&resource(Access::Owner(position("r")))).is_empty());
}
