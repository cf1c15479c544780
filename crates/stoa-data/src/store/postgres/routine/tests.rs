//! Which function of the database an entry of the file means, and what is said when it means none.

use super::*;
use crate::testing;
use serde_json::{Value, json};

/// The plan of a file with one function.
fn plan(function: &str) -> std::sync::Arc<Plan> {
    let yaml = format!(
        "api: x\nstores: {{ main: 'postgres://h/d' }}\nauth: {{ jwt: {{ secret: {} }} }}\n\
         resources: {{ items: {{ table: items, fields: {{ id: 'int, key', name: text }}, read: public, write: none }}, \
         things: {{ table: s.things, fields: {{ id: 'int, key', label: 'text, function' }}, read: public, write: none }} }}\n\
         functions: {{ f: {{ access: public, {function} }} }}",
        "s".repeat(32)
    );
    testing::plan(&yaml)
}

/// A parameter as `NAME TYPE`, with `=` behind it where it has a default and `...` in front where it is variadic.
fn input(text: &str) -> Value {
    let (variadic, text) = text
        .strip_prefix("...")
        .map_or((false, text), |rest| (true, rest));
    let (default, text) = text.strip_suffix('=').map_or((false, text), |rest| (true, rest));
    let (name, ty) = text.split_once(' ').unwrap_or(("", text));
    let category = match ty {
        "integer" | "bigint" | "numeric" => "N",
        "text" => "S",
        "jsonb" | "uuid" | "bytea" => "U",
        "boolean" => "B",
        "anyelement" => "P",
        _ => "A",
    };
    json!({ "name": name, "sql": format!("pg_catalog.{ty}"), "ty": ty, "category": category, "default": default, "variadic": variadic })
}

/// A function that takes these, and returns an integer by its argument alone.
fn candidate(shown: &str, inputs: &[&str]) -> Value {
    let inputs: Vec<Value> = inputs.iter().map(|text| input(text)).collect();
    json!({ "shown": shown, "kind": "f", "volatility": "v", "set": false, "returns": "integer", "columns": null, "inputs": inputs })
}

fn judged(function: &str, candidates: &[Value]) -> Result<Routine, String> {
    let plan = plan(function);
    let read = |value: &Value| serde_json::from_value(value.clone()).expect("a candidate");
    let candidates: Vec<Candidate> = candidates.iter().map(read).collect();
    judge(&plan, &plan.functions[0], "public", &candidates)
}

/// The call with every argument.
fn call(function: &str, candidates: &[Value]) -> String {
    let routine = judged(function, candidates).expect("it fits");
    routine.call(0..routine.args.len())
}

#[test]
fn what_fits_is_called_by_name() {
    let one = candidate("f(integer,text)", &["a integer", "b text="]);
    assert_eq!(
        call(
            "args: { a: int, b: 'text, optional' }",
            std::slice::from_ref(&one)
        ),
        r#""public"."f"("a" => $1, "b" => $2)"#
    );
    assert_eq!(call("args: { a: int }", &[one]), r#""public"."f"("a" => $1)"#);
    let rest = candidate("f(integer[],integer)", &["a integer", "...b integer[]"]);
    assert_eq!(
        call("args: { b: list of int, a: int }", &[rest]),
        r#""public"."f"("a" => $2, VARIADIC "b" => $1)"#
    );
    assert_eq!(
        call("body: json", &[candidate("f(jsonb)", &["jsonb"])]),
        r#""public"."f"($1)"#
    );
}

#[test]
fn types_tell_functions_of_one_name_apart() {
    let both = [
        candidate("f(integer)", &["a integer"]),
        candidate("f(text)", &["a text"]),
    ];
    assert_eq!(
        call("args: { a: int }", &both),
        r#""public"."f"("a" => $1::pg_catalog.integer)"#
    );
    assert_eq!(
        call("args: { a: text }", &both),
        r#""public"."f"("a" => $1::pg_catalog.text)"#
    );
    let raw = [
        candidate("f(jsonb)", &["jsonb"]),
        candidate("f(integer)", &["a integer"]),
    ];
    assert_eq!(call("body: json", &raw), r#""public"."f"($1::pg_catalog.jsonb)"#);
    // One without defaults goes before one with.
    let more = [
        candidate("f(integer)", &["a integer"]),
        candidate("f(integer,integer)", &["a integer", "b integer="]),
    ];
    assert!(call("args: { a: int }", &more[..1]).contains("$1"));
    let both = judged("args: { a: int }", &more);
    assert!(both.is_err_and(|why| why.contains("several functions")));
    let rival = judged("args: { a: int, b: 'int, optional' }", &more);
    assert!(rival.is_err_and(|why| why.contains("could mean f(integer,integer) or f(integer)")));
    assert!(judged("args: { a: int, b: int }", &more).is_ok());
}

#[test]
fn what_does_not_fit_is_said_with_what_to_do() {
    let one = || candidate("f(integer)", &["a integer"]);
    let with = |key: &str, value: Value| {
        let mut one = one();
        one[key] = value;
        one
    };
    for (function, found, says) in [
        ("", vec![], "the database has no function public.f: make it"),
        ("", vec![one()], "it needs the argument `a` (integer): add it"),
        (
            "args: { aa: int }",
            vec![one()],
            "no argument `aa` (did you mean `a`?)",
        ),
        (
            "args: { a: bool }",
            vec![one()],
            "`a` is integer, which the file's `bool` does not fit",
        ),
        ("args: { a: list of int }", vec![one()], "does not fit"),
        ("args: { a: 'int, optional' }", vec![one()], "has no default"),
        (
            "body: json",
            vec![one()],
            "single parameter without a name, of type json or jsonb",
        ),
        (
            "",
            vec![candidate("f(integer)", &["integer"])],
            "`body:` takes the only one",
        ),
        ("args: { a: int }", vec![with("kind", json!("p"))], "procedure"),
        ("args: { a: int }", vec![with("kind", json!("a"))], "aggregate"),
        (
            "args: { a: int }",
            vec![with("set", json!(true))],
            "write `returns: rows`",
        ),
        (
            "args: { a: int }",
            vec![with("returns", json!("void"))],
            "write `returns: void`",
        ),
        (
            "args: { a: int }, volatility: stable",
            vec![one()],
            "it is VOLATILE",
        ),
        (
            "args: { a: int }, returns: rows items",
            vec![one()],
            "not rows of `items`: write `returns: value`",
        ),
        (
            "args: { a: int }, returns: rows items",
            vec![with("columns", json!(["id"]))],
            "no column name, which is a field of `items`",
        ),
        (
            "args: { c: int }",
            vec![one(), candidate("f(text)", &["b text"])],
            "takes these `args`: f(integer), f(text)",
        ),
    ] {
        let why = judged(function, &found).expect_err(function);
        assert!(why.contains(says), "{function}: {why}");
    }
}

#[test]
fn what_the_database_reads_from_text_fits() {
    let one = || candidate("f(integer)", &["a integer"]);
    let with = |key: &str, value: Value| {
        let mut one = one();
        one[key] = value;
        one
    };
    for (function, found) in [
        ("args: { a: text }", one()),
        ("args: { a: json }", candidate("f(text)", &["a text"])),
        ("args: { a: json }", candidate("f(anyelement)", &["a anyelement"])),
        ("args: { a: int }, returns: void", one()),
        (
            "args: { a: int }, returns: rows items",
            with("columns", json!(["name", "id"])),
        ),
        (
            "args: { a: int }, volatility: stable",
            with("volatility", json!("i")),
        ),
    ] {
        let fits = judged(function, &[found]);
        assert!(fits.is_ok(), "{function}: {fits:?}");
    }
}

/// What a function gives out of a row needs a row of the table.
#[test]
fn rows_of_a_resource_with_functions_are_those_of_its_table() {
    for (table, fits) in [
        (json!(["s", "things"]), true),
        (json!(["public", "things"]), false),
        (json!(["s", "items"]), false),
        (json!(null), false),
    ] {
        let mut found = candidate("f(integer)", &["a integer"]);
        found["columns"] = json!(["id"]);
        found["table"] = table.clone();
        match judged("args: { a: int }, returns: rows things", &[found]) {
            Ok(_) => assert!(fits, "{table}"),
            Err(why) => assert!(
                !fits
                    && why.contains("whose field `label` is given by a function of such a row: return SETOF"),
                "{table}: {why}"
            ),
        }
    }
}
