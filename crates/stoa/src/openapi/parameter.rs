//! Parameters that operations share.

use super::{component, filter, names::Names, store::Has};
use serde_json::{Map, Value, json};
use stoa_config::plan::{Field, Plan, Resource, Type};

/// `components.parameters`.
pub(super) fn shared(plan: &Plan) -> Map<String, Value> {
    let mut all = preferences(plan);
    if (0..plan.stores.len()).any(|store| Has::of(plan, store).replicas) {
        let text = "The field as the reply of a write had it: the rows show that write. `strong`: they show everything that is written.";
        let schema = json!({ "type": "string", "minLength": 1 });
        all.insert("Consistency".into(), header("Stoa-Consistency", text, &schema));
    }
    let others = json!({
        "Limit": query("limit", "At most so many rows; more than the resource's `max` is reduced to it.",
            &json!({ "type": "integer", "minimum": 0 })),
        "Offset": query("offset", "Leave out so many rows. For deep pages follow `Link` instead.",
            &json!({ "type": "integer", "format": "int64", "minimum": 0, "maximum": i64::MAX })),
        "After": query("after", "The cursor of the `Link` field of the page before. It holds for the same filter and order only.",
            &json!({ "type": "string", "minLength": 1 })),
        "IfMatch": header("If-Match", "The `ETag` that the row must still have, or `*`; otherwise `412`, and nothing is changed.", &json!({ "type": "string" })),
        "IfNoneMatch": header("If-None-Match", "The `ETag` that the caller has: the answer is `304` while it is the current one.", &json!({ "type": "string" })),
        "IfNoneMatchWrite": header("If-None-Match", "`*`: only if there is no such row yet; otherwise `412`.", &json!({ "type": "string" })),
        "IdempotencyKey": idempotency_key(),
    });
    if let Value::Object(others) = others {
        all.extend(others);
    }
    all
}

/// `Idempotency-Key`.
pub(super) fn idempotency_key() -> Value {
    let text = "Any text of visible ASCII characters, new for every write that is meant once. A repetition within 24 hours gets the \
        first reply again, with `Idempotent-Replayed: true`, and changes nothing.";
    let schema =
        json!({ "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]*[!-~][ -~]*$" });
    header("Idempotency-Key", text, &schema)
}

/// `Prefer` of each kind of request. Rows on several shards have two preferences more.
fn preferences(plan: &Plan) -> Map<String, Value> {
    let returning = "`return=representation` (the default), `return=minimal` or `return=headers-only`";
    let rollback = if plan.server.allow_rollback {
        "; `tx=rollback` undoes everything at the end"
    } else {
        ""
    };
    let strict = "; `handling=strict` refuses a preference that is not known.";
    let count = "`count=exact` puts the number of all rows into `Content-Range`, `count=planned` and `count=estimated` what PostgreSQL's planner expects";
    let max = "`max-affected=N` undoes a write that touches more rows";
    let partial = "; `partial=allow` shows what there is when a shard does not answer";
    let split =
        "; `atomic=per-shard` lets a write on several shards be a transaction on each, answered `207`";
    let kinds = [
        ("PreferRead", count.to_owned(), partial),
        ("PreferWrite", returning.to_owned(), ""),
        ("PreferWriteMany", format!("{returning}; {max}"), split),
        (
            "PreferCreate",
            format!(
                "{returning}; `resolution=merge-duplicates` overwrites rows that are there already, `resolution=ignore-duplicates` keeps them; `missing=default` or `missing=null` says what a member of `columns` is that a row leaves out"
            ),
            split,
        ),
        (
            "PreferCall",
            format!(
                "For functions that return rows: {count}; `max-affected=N` undoes everything when there are more"
            ),
            "",
        ),
    ];
    let of_shards = plan.resources.iter().any(|r| Has::of_resource(plan, r).shards);
    let mut all = Map::new();
    for (name, says, more) in kinds {
        let written = if name == "PreferRead" { "" } else { rollback };
        let schema = json!({ "type": "string" });
        let text = format!("{says}{written}{strict}");
        all.insert(name.into(), header("Prefer", &text, &schema));
        if of_shards && !more.is_empty() {
            let text = format!("{says}{written}{more}{strict}");
            all.insert(format!("{name}OfShards"), header("Prefer", &text, &schema));
        }
    }
    all
}

/// The names of a resource's own parameters among the components.
pub(super) fn own(names: &Names) -> [String; 3] {
    ["Select", "And", "Or"].map(|kind| format!("{}{kind}", names.one))
}

/// The parameters that name fields of a resource, which several of its operations share.
pub(super) fn add(parameters: &mut Map<String, Value>, plan: &Plan, resource: &Resource, names: &Names) {
    let [select, and, or] = own(names);
    let about = format!(
        "The members of each row, comma separated: `name,price`, renamed `label:name`, into JSON `details->>colour`, as another \
        type `price::text`, rows along references to any depth `relation(name,other(name))`, their members lifted into the row \
        `...relation(name)`{}. Left out: every field. The pattern shows what is always understood; the dialect knows more.",
        if resource.list.aggregates {
            ", one value of many rows `count()`, `price.sum()`, grouped by the other members"
        } else {
            ""
        }
    );
    let schema = json!({ "type": "string", "pattern": selection(plan, resource) });
    parameters.insert(select, query("select", &about, &schema));
    let pattern = filter::logic(resource, Has::of_resource(plan, resource));
    for (name, key, about) in [
        (
            and,
            "and",
            "All of several filters: `(price.gte.10,price.lt.20)`.",
        ),
        (or, "or", "Any of several filters: `(price.lt.10,stock.eq.0)`."),
    ] {
        let about = format!("{about} They nest, `and(…)`, `not.or(…)`, beyond what the pattern shows.");
        let schema = json!({ "type": "string", "pattern": pattern });
        parameters.insert(name, query(key, &about, &schema));
    }
}

/// What `select` looks like: fields, ways into JSON, and embeds of one level along the references.
fn selection(plan: &Plan, resource: &Resource) -> String {
    let every = |resource: &Resource| names(resource, |_| true).join("|");
    let mut items = vec![r"\*".to_owned(), format!("({LABEL}:)?({})", every(resource))];
    let json = names(resource, |i| *resource.fields[*i].ty.value() == Type::Json);
    if !json.is_empty() {
        items.push(format!(
            "({LABEL}:)?({})(->{LABEL}){{0,8}}->>?{LABEL}",
            json.join("|")
        ));
    }
    let here = plan.resources.iter().position(|r| r.name == resource.name);
    for (there, other) in plan.resources.iter().enumerate() {
        if other.store == resource.store && here.is_some_and(|here| ways(plan, here, there) == 1) {
            let fields = every(other);
            items.push(format!(
                r"({LABEL}:)?{}\((\*|({fields})(,({fields}))*)\)",
                other.name
            ));
        }
    }
    let one = items.join("|");
    format!(r"^(({one})(,({one})){{0,40}}|\s*)$")
}

/// How many references lead from one of two resources to the other.
fn ways(plan: &Plan, one: usize, other: usize) -> usize {
    let leads = |field: &Field, to: usize| matches!(field.ty, Type::Ref { resource, .. } if resource == to);
    let refs = |from: usize, to: usize| {
        let fields = plan.resources.get(from).map_or(&[][..], |r| &r.fields);
        fields.iter().filter(|f| leads(f, to)).count()
    };
    let between = |third: &&Resource| {
        let key = || third.key.iter().filter_map(|k| third.fields.get(*k));
        key().any(|f| leads(f, one)) && key().any(|f| leads(f, other))
    };
    refs(one, other) + refs(other, one) + plan.resources.iter().filter(between).count()
}

/// A name that a caller gives, or a key of a JSON object.
const LABEL: &str = "[a-zA-Z_][a-zA-Z0-9_]*";

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
    let plain = names(resource, |i| {
        sortable(i) && resource.fields[*i].ty.value().is_scalar()
    });
    // What has an inside is sorted by that alone.
    let inside = names(resource, |i| {
        sortable(i) && !resource.fields[*i].ty.value().is_scalar()
    });
    let text = format!(
        "Sort by these fields, comma separated, each with `.desc`, `.nullsfirst` or `.nullslast` behind it: {}. \
        By an embed of one row: `relation(field)`.{}",
        shown(&plain),
        if inside.is_empty() {
            String::new()
        } else {
            format!(" By what is inside, as in `field->>key`: {}.", shown(&inside))
        }
    );
    let mut ways = vec![plain.join("|")];
    if !inside.is_empty() {
        ways.push(format!("({})->>?{LABEL}", inside.join("|")));
    }
    let one = format!("({})(\\.(asc|desc))?(\\.(nullsfirst|nullslast))?", ways.join("|"));
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
    json!({ "type": "string", "pattern": format!("^{one}(,{one}){{0,19}}$") })
}

/// References to shared parameters.
pub(super) fn refs<S: AsRef<str>>(names: &[S]) -> Vec<Value> {
    let reference = |name: &S| component("parameters", name.as_ref());
    names.iter().map(reference).collect()
}

fn query(name: &str, description: &str, schema: &Value) -> Value {
    json!({ "name": name, "in": "query", "required": false, "description": description, "schema": schema })
}

fn header(name: &str, description: &str, schema: &Value) -> Value {
    json!({ "name": name, "in": "header", "required": false, "description": description, "schema": schema })
}
