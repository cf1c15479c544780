//! What is said of functions that the database has otherwise than the file says.

use super::*;
use crate::store::postgres::of_row::question;
use crate::testing;
use std::sync::Arc;
use stoa_config::plan::{Plan, TableName};

/// The plan of a file with one field that a function gives.
fn plan(field: &str, store: &str) -> Arc<Plan> {
    let yaml = format!(
        "api: x\nstores: {{ main: {store} }}\nauth: {{ jwt: {{ secret: {} }} }}\n\
         resources: {{ things: {{ table: s.items, fields: {{ id: 'int, key', f: '{field}' }}, read: public, write: none }} }}",
        "s".repeat(32)
    );
    testing::plan(&yaml)
}

/// A row of the answer: what is of the function as `SCHEMA TAKES SET TYPE PSEUDO MAY`.
fn row(text: &str) -> Vec<Option<String>> {
    let parts: Vec<&str> = text.split(' ').collect();
    let [schema, takes, set, ty, pseudo, may] = parts[..] else {
        panic!("{text}")
    };
    let shown = format!("{schema}.f(x)");
    [
        "s", "f", schema, &shown, takes, set, "0", "20", ty, pseudo, may, ty,
    ]
    .map(|cell| Some(cell.to_owned()))
    .to_vec()
}

fn judged(field: &str, rows: &[&str]) -> Result<Option<Called>, String> {
    let plan = plan(field, "postgres://h/d");
    let rows: Vec<Vec<Option<String>>> = rows.iter().map(|text| row(text)).collect();
    let resource = &plan.resources[0];
    assert_eq!(judge(resource, &resource.fields[0], &rows), Ok(None), "a column");
    judge(resource, &resource.fields[1], &rows)
}

#[test]
fn the_function_of_the_schema_that_takes_the_row_is_called() {
    let rows = [
        "public t f bigint f t",
        "s f f text f t",
        "s t f bigint f t",
        "w t f bigint f t",
    ];
    for (field, name) in [
        ("int, function", "\"s\".\"f\""),
        ("int, function f", "\"s\".\"f\""),
        ("int, function w.f", "\"w\".\"f\""),
    ] {
        let called = Called {
            name: name.to_owned(),
            returns: 20,
        };
        assert_eq!(judged(field, &rows), Ok(Some(called)), "{field}");
    }
}

#[test]
fn types_are_read_as_columns_of_them_are() {
    for (ty, returns, fits) in [
        ("int", "smallint", true),
        ("int", "numeric", false),
        ("decimal(5,1)", "numeric", true),
        ("text", "interval", true),
        ("enum(a, b)", "text", true),
        ("text", "integer", false),
        ("list of int", "bigint[]", true),
        ("list of enum(a, b)", "text[]", true),
        ("list of int", "text[]", false),
        ("uuid7", "uuid", true),
        ("json", "jsonb", true),
    ] {
        let called = judged(&format!("{ty}, function"), &[&format!("s t f {returns} f t")]);
        assert_eq!(called.is_ok(), fits, "{ty} of {returns}: {called:?}");
    }
}

#[test]
fn what_does_not_fit_is_said_with_what_to_do() {
    for (rows, why) in [
        (
            vec!["public t f bigint f t"],
            "which the database does not have: CREATE FUNCTION \"s\".\"f\"(\"s\".\"items\"), or take the field out",
        ),
        (
            vec!["s f f bigint f t"],
            "which does not take a row of \"s\".\"items\" alone (there is s.f(x)): CREATE FUNCTION",
        ),
        (
            vec!["s t t bigint f t"],
            "which returns a set of bigint: a field is one value, so take it out",
        ),
        (vec!["s t f void t t"], "which returns void: a field is one value"),
        (
            vec!["s t f numeric f t"],
            "which returns numeric, and `int` does not read that: write `decimal(38,10)`",
        ),
        (
            vec!["s t f bigint f f"],
            "the store's login or its `roles`: GRANT EXECUTE ON FUNCTION s.f(x) and USAGE ON SCHEMA \"s\"",
        ),
    ] {
        let said = judged("int, function", &rows).expect_err(why);
        let start = "resource things has the field f, given by the function \"s\".\"f\", ";
        assert!(said.starts_with(start) && said.contains(why), "{said}");
    }
}

#[test]
fn who_may_run_it_is_asked_of_whom_statements_run_as() {
    let named = TableName {
        schema: Some("s".to_owned()),
        name: "items".to_owned(),
    };
    let asked = |field: &str, store: &str| {
        let plan = plan(field, store);
        question(&plan, &plan.resources[0], &named)
    };
    assert_eq!(asked("int", "postgres://h/d"), None);
    let login = asked("int, function", "postgres://h/d").expect("a question");
    assert!(
        login.contains("has_function_privilege(current_user, p.oid, 'EXECUTE')"),
        "{login}"
    );
    let roles = "{ postgres: { shards: [{ write: 'postgres://h/d' }], roles: { allowed: [web], anonymous: 'a''n' } } }";
    let roles = asked("int, function", roles).expect("a question");
    assert!(roles.contains("m.rolname IN ('web', 'a''n')"), "{roles}");
}
