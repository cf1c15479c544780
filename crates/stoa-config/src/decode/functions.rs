//! `functions:`

use super::{Reader, policies, policies::RulePlace, resources};
use crate::{
    fault::codes,
    grammar::{self, field, field::ConstraintKind, name, policy},
    node::{Entry, Node, Value},
    plan::{Argument, Function, Resource, Returns, Store, StoreKind, TableName},
    report::{Report, did_you_mean},
    resolve::types,
    spec::{Key, MapSpec, Shape},
};

pub(crate) static FUNCTION: MapSpec = MapSpec {
    name: "function",
    doc: "A function of a PostgreSQL database that callers may run, at `/rpc/NAME`.",
    keys: &[
        Key::new(
            "store",
            Shape::Value(&name::NAME_WORDS),
            "The store that has it; the only one, or the one called `main`, when left out.",
            "main",
        ),
        Key::new(
            "function",
            Shape::Value(&resources::TABLE_WORDS),
            "Its name in the database, with or without its schema; NAME in `public` when left out.",
            "reports.turnover",
        ),
        Key::new(
            "args",
            Shape::Named(&name::FIELD_WORDS, &Shape::Value(&field::FIELD_WORDS)),
            "Its named parameters and their types. `optional` ones have a default in the database.",
            "{ since: date, top: \"int, optional\" }",
        )
        .or("{}"),
        Key::new(
            "body",
            Shape::Value(&policy::RAW_BODY_WORDS),
            "The whole body is its one parameter, which has no name: `json`, `text`, `xml` or `bytes`. In place of `args`.",
            "json",
        ),
        Key::new(
            "returns",
            Shape::Value(&policy::RETURNS_WORDS),
            "What comes back: `void`, one `value` of any type, `rows` of any type, or `rows RESOURCE`, which take `select`, filters, `order`, `limit`, `offset` and counts.",
            "rows products",
        )
        .or("value"),
        Key::new(
            "volatility",
            Shape::Value(&policy::VOLATILITY_WORDS),
            "`stable` and `immutable` ones change nothing: they run read-only, also by `POST`.",
            "stable",
        )
        .or("volatile"),
        Key::new(
            "sets_response",
            Shape::Bool,
            "Whether it may choose the reply's status and fields, by the settings `response.status` and `response.headers`.",
            "true",
        )
        .or("false"),
        Key::new(
            "access",
            policies::ACCESS_SHAPE,
            "Who may run it.",
            "role admin",
        )
        .needed(),
    ],
    instead: &[
        ("arguments", "did you mean `args`?"),
        ("parameters", "did you mean `args`?"),
        ("read", "write `access:`"),
        ("sql", "a function is made in the database, with CREATE FUNCTION"),
    ],
};

/// Reads `functions:` and binds their names.
pub(crate) fn functions(
    root: &Reader<'_>,
    store_names: &[String],
    stores: &[Store],
    resources: &[Resource],
    report: &mut Report<'_>,
) -> Vec<Function> {
    let Some(node) = root.get("functions") else {
        return Vec::new();
    };
    let Value::Map(map) = &node.value else {
        if !node.is_null() {
            report
                .wrong_type(node, "`functions`", "a map of names and functions")
                .help("such as `functions: { turnover: { access: role admin } }`");
        }
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in &map.entries {
        found.extend(function(entry, store_names, stores, resources, report));
    }
    found
}

fn function(
    entry: &Entry,
    store_names: &[String],
    stores: &[Store],
    resources: &[Resource],
    report: &mut Report<'_>,
) -> Option<Function> {
    if let Err(flaw) = name::name(&entry.key) {
        report.add(codes::NAME, entry.key_span, flaw.message);
    }
    let read = Reader::open(
        &FUNCTION,
        &entry.value,
        format!("function `{}`", entry.key),
        report,
    )?;
    let store = store(&read, entry, store_names, stores, report);
    let args = read.get("args").map(|n| arguments(n, report)).unwrap_or_default();
    let body = read.value("body", &policy::RAW_BODY, report);
    if let (Some(node), false) = (read.get("body"), args.is_empty()) {
        let message = format!("{} takes the whole body, so it has no `args`", read.what);
        report
            .add(codes::FUNCTION, node.span, message)
            .help("take one of the two out");
    }
    let returned = read.value("returns", &policy::RETURNS, report);
    let returns = returned.and_then(|text| returns(&text, &read, store, resources, report));
    let in_database = read
        .get("function")
        .and_then(|n| resources::table(n, "function", report));
    let access = read
        .get("access")
        .map(|n| policies::rule(n, &RulePlace::Route, report));
    Some(Function {
        name: entry.key.clone(),
        place: report.text.place(entry.key_span),
        store: store?,
        function: in_database.unwrap_or_else(|| TableName {
            schema: None,
            name: entry.key.clone(),
        }),
        args,
        body,
        sets_response: read.flag("sets_response", report).unwrap_or(false),
        returns: returns.unwrap_or_default(),
        volatility: read
            .value("volatility", &policy::VOLATILITY, report)
            .unwrap_or_default(),
        access: access?,
    })
}

/// The position of its store, which has functions.
fn store(
    read: &Reader<'_>,
    entry: &Entry,
    names: &[String],
    stores: &[Store],
    report: &mut Report<'_>,
) -> Option<usize> {
    let (name, span) = match read.get("store").map(|n| (n.scalar(), n.span)) {
        Some((Some(scalar), span)) => (scalar.text.clone(), span),
        Some((None, _)) => return None,
        None => match (names.iter().find(|n| *n == "main"), names) {
            (Some(main), _) => (main.clone(), entry.key_span),
            (None, [only]) => (only.clone(), entry.key_span),
            _ => {
                let message = format!("{} does not say which store has it", read.what);
                report
                    .add(codes::UNKNOWN_STORE, entry.key_span, message)
                    .help(format!("add `store:`, one of {}", names.join(", ")));
                return None;
            }
        },
    };
    if !names.contains(&name) {
        report
            .add(
                codes::UNKNOWN_STORE,
                span,
                format!("store `{name}` is not defined"),
            )
            .help(did_you_mean(&name, names.iter().map(String::as_str)));
        return None;
    }
    // A store with a fault of its own is not there.
    let position = stores.iter().position(|s| s.name == name)?;
    let (why, help) = match &stores[position].kind {
        StoreKind::Sqlite { .. } => (
            "a SQLite store, which has no functions",
            "keep `functions:` in a profile whose store is PostgreSQL",
        ),
        StoreKind::Postgres { shards, .. } if shards.len() > 1 => (
            "a store of several shards, of which a function would see one",
            "keep the function and what it reads in a store of one shard",
        ),
        StoreKind::Postgres { .. } => return Some(position),
    };
    let message = format!("{} is in `{name}`, {why}", read.what);
    report.add(codes::FUNCTION_STORE, span, message).help(help);
    None
}

fn arguments(node: &Node, report: &mut Report<'_>) -> Vec<Argument> {
    let Value::Map(map) = &node.value else {
        report
            .wrong_type(node, "`args`", "a map of names and types")
            .help("such as `args: { since: date }`");
        return Vec::new();
    };
    let mut args = Vec::new();
    for entry in &map.entries {
        if let Err(flaw) = (name::FIELD.parse)(&entry.key) {
            report.add(codes::NAME, entry.key_span, flaw.message);
        }
        let Some(raw) = grammar::scalar(&entry.value, &field::FIELD, report) else {
            continue;
        };
        if let field::RawType::Ref(_) = raw.ty {
            report
                .add(
                    codes::FIELD_TYPE,
                    entry.value.span,
                    "an argument refers to no resource",
                )
                .help("write the type of the resource's key");
        }
        let mut optional = false;
        for constraint in &raw.constraints {
            if constraint.kind == ConstraintKind::Optional {
                optional = true;
            } else {
                let word = constraint.kind.word();
                report
                    .add(
                        codes::CONSTRAINT,
                        entry.value.part(&constraint.at),
                        format!("`{word}` does not fit an argument"),
                    )
                    .help("only `optional` follows the type: the database has its default");
            }
        }
        args.push(Argument {
            name: entry.key.clone(),
            ty: types::plain(&raw.ty),
            optional,
        });
    }
    args
}

fn returns(
    text: &str,
    read: &Reader<'_>,
    store: Option<usize>,
    resources: &[Resource],
    report: &mut Report<'_>,
) -> Option<Returns> {
    let name = match text {
        "void" => return Some(Returns::Void),
        "value" => return Some(Returns::Value),
        "rows" => return Some(Returns::Rows),
        other => other.strip_prefix("rows").unwrap_or(other).trim(),
    };
    let span = read.get("returns").map(|n| n.span).unwrap_or_default();
    let Some(position) = resources.iter().position(|r| r.name == name) else {
        report
            .add(
                codes::UNKNOWN_RESOURCE,
                span,
                format!("there is no resource `{name}`"),
            )
            .help(did_you_mean(name, resources.iter().map(|r| r.name.as_str())));
        return None;
    };
    if store.is_some_and(|store| resources[position].store != store) {
        report.add(
            codes::UNKNOWN_RESOURCE,
            span,
            format!("the rows of `{name}` are in another store than the function"),
        );
        return None;
    }
    Some(Returns::Resource(position))
}
