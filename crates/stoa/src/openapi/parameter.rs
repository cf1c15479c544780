//! Parameters that operations share.

use super::component;
use serde_json::{Value, json};
use stoa_config::plan::Resource;

/// `components.parameters`.
pub(super) fn shared() -> Value {
    json!({
        "Select": query("select", "The members of each row, comma separated: `name,price`, renamed `label:name`, into JSON `details->>colour`, \
            rows along a `ref` `relation(name)`. Left out: every field.", &json!({ "type": "string" })),
        "And": query("and", "All of several filters: `(price.gte.10,price.lt.20)`. They nest: `or(…)`, `not.and(…)`.", &json!({ "type": "string", "pattern": r"^\(.+\)$" })),
        "Or": query("or", "Any of several filters: `(price.lt.10,stock.eq.0)`. They nest: `and(…)`, `not.or(…)`.", &json!({ "type": "string", "pattern": r"^\(.+\)$" })),
        "Limit": query("limit", "At most so many rows; more than the resource's `max` is reduced to it.",
            &json!({ "type": "integer", "minimum": 0 })),
        "Offset": query("offset", "Leave out so many rows. For deep pages follow `Link` instead.",
            &json!({ "type": "integer", "minimum": 0 })),
        "After": query("after", "The cursor of the `Link` field of the page before. It holds for the same filter and order only.",
            &json!({ "type": "string" })),
        "PreferRead": header("Prefer", "`count=exact`, `count=planned` or `count=estimated` puts the number of all rows into `Content-Range`; \
            `handling=strict` refuses a preference that is not known.", &json!({ "type": "string" })),
        "PreferWrite": header("Prefer", "`return=representation` (the default) or `return=minimal`; `handling=strict` with `max-affected=N` undoes a \
            write that touches more rows; `tx=rollback` tries a write out.", &json!({ "type": "string" })),
        "PreferCreate": header("Prefer", "`return=representation` (the default) or `return=minimal`; `resolution=merge-duplicates` overwrites rows \
            that are there already, `resolution=ignore-duplicates` keeps them; `missing=default`.", &json!({ "type": "string" })),
        "IfMatch": header("If-Match", "The `ETag` that the row must still have, or `*`; otherwise `412`, and nothing is changed.", &json!({ "type": "string" })),
        "IfNoneMatch": header("If-None-Match", "The `ETag` that the caller has: the answer is `304` while it is the current one.", &json!({ "type": "string" })),
        "IfNoneMatchWrite": header("If-None-Match", "`*`: only if there is no such row yet; otherwise `412`.", &json!({ "type": "string" })),
        "IdempotencyKey": header("Idempotency-Key", "Any text, new for every write that is meant once. A repetition within 24 hours gets the first reply again, \
            with `Idempotent-Replayed: true`, and changes nothing.", &json!({ "type": "string", "minLength": 1, "maxLength": 255 })),
    })
}

/// The key of one row in the path.
pub(super) fn key(resource: &Resource) -> Option<Value> {
    let field = resource.key_field()?;
    let mut schema = super::schema::plain(&field.ty);
    if schema["type"] == "string" && schema.get("format").is_none() {
        schema["minLength"] = json!(1);
    }
    Some(json!({
        "name": field.name, "in": "path", "required": true,
        "description": format!("The row's `{}`.", field.name), "schema": schema,
    }))
}

/// `order` with the fields of this resource.
pub(super) fn order(resource: &Resource) -> Value {
    let sortable = |i: &usize| resource.list.sort.contains(i) || resource.key.contains(i);
    let names = names(resource, sortable);
    let text = format!(
        "Sort by these fields, comma separated, each with `.desc`, `.nullsfirst` or `.nullslast` behind it: {}.",
        shown(&names),
    );
    let one = format!(
        "({})(\\.(asc|desc))?(\\.(nullsfirst|nullslast))?",
        names.join("|")
    );
    query("order", &text, &listed(&one))
}

/// `columns` with the fields that a body may hold.
pub(super) fn columns(resource: &Resource) -> Value {
    let names = names(resource, |i| {
        resource.key.contains(i) || !resource.fields[*i].auto
    });
    let text = "Only these members of the body are written, comma separated; a member that is missing takes its default.";
    query("columns", text, &listed(&format!("({})", names.join("|"))))
}

/// `on_conflict` with the fields that decide whether a row is there already.
pub(super) fn on_conflict(resource: &Resource) -> Value {
    let names = names(resource, |i| {
        resource.key.contains(i) || resource.fields[*i].unique
    });
    let text = format!(
        "The field that decides whether a row is there already: {}. Left out: the key.",
        shown(&names),
    );
    query(
        "on_conflict",
        &text,
        &json!({ "type": "string", "pattern": format!("^({})$", names.join("|")) }),
    )
}

fn names(resource: &Resource, wanted: impl Fn(&usize) -> bool) -> Vec<&str> {
    let fields = resource.fields.iter().enumerate();
    fields
        .filter(|(i, _)| wanted(i))
        .map(|(_, f)| f.name.as_str())
        .collect()
}

fn shown(names: &[&str]) -> String {
    names
        .iter()
        .map(|n| format!("`{n}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// A comma separated list of what `one` describes.
fn listed(one: &str) -> Value {
    json!({ "type": "string", "pattern": format!("^{one}(,{one})*$") })
}

/// References to shared parameters.
pub(super) fn refs(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| component("parameters", name)).collect()
}

fn query(name: &str, description: &str, schema: &Value) -> Value {
    json!({ "name": name, "in": "query", "required": false, "description": description, "schema": schema })
}

fn header(name: &str, description: &str, schema: &Value) -> Value {
    json!({ "name": name, "in": "header", "required": false, "description": description, "schema": schema })
}
