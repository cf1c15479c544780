//! Schemas: a resource as it is read, created, replaced and patched, and the shared ones.

use super::{component, names::Names, store::Has};
use serde_json::{Map, Value, json};
use stoa_config::plan::{DefaultValue, Field, Pattern, Plan, Resource, Type};

/// Schemas that every document has.
pub(super) fn shared(plan: &Plan) -> Map<String, Value> {
    let mut schemas = Map::new();
    let text = |about: &str| json!({ "type": "string", "description": about });
    let nullable = |about: &str| json!({ "type": ["string", "null"], "description": about });
    schemas.insert(
        "Problem".into(),
        json!({
            "type": "object",
            "description": "An error reply: RFC 9457 and PostgREST's members in one body.",
            "required": ["type", "title", "status", "detail", "instance", "code", "message", "details", "hint"],
            "properties": {
                "type": text("Address of the page that explains the code."),
                "title": text("The kind of problem, the same in every occurrence."),
                "status": { "type": "integer", "description": "The HTTP status." },
                "detail": text("What is wrong with this request."),
                "instance": nullable("This occurrence: `urn:request:` and the request id."),
                "code": text("Stable code, for programs."),
                "message": text("As `detail`, for PostgREST's clients."),
                "details": { "description": "More for programs, or null." },
                "hint": nullable("What to do about it."),
                "errors": { "type": "array", "items": component("schemas", "FieldError"), "description": "Every bad field of the body." },
            },
            "example": {
                "type": "/docs/errors/not-found", "title": "Nothing is served at this address", "status": 404,
                "detail": "There is no such row.", "instance": "urn:request:4bf92f3577b34da6a3ce929d0e0e4736",
                "code": "not-found", "message": "There is no such row.", "details": null, "hint": null,
            },
        }),
    );
    let csv = text("RFC 4180, the names of the members in the first line.");
    schemas.insert("Csv".into(), csv);
    if plan.resources.iter().any(|r| Has::of_resource(plan, r).shards) {
        schemas.insert("Parts".into(), parts());
    }
    schemas.insert(
        "FieldError".into(),
        json!({
            "type": "object", "required": ["field", "message"],
            "properties": {
                "field": text("Name of the field; with the row's position in front (`2.price`) when the body is a list."),
                "message": text("What is wrong with it."),
            },
        }),
    );
    schemas
}

/// The reply of a write that was a transaction on each of several shards.
fn parts() -> Value {
    let part = json!({
        "type": "object", "required": ["shard", "status"],
        "properties": {
            "shard": { "type": "integer", "description": "The shard, by its position in the API file." },
            "rows": { "type": "array", "items": { "type": "integer" }, "description": "Positions in the body of the rows that this part is about." },
            "status": { "type": "integer", "description": "The status that this part would have had as a request of its own." },
            "affected": { "type": "integer", "description": "Rows that were written." },
            "body": { "type": "array", "items": {}, "description": "The rows, unless `Prefer: return=minimal`." },
            "problem": component("schemas", "Problem"),
        },
    });
    json!({
        "type": "object", "required": ["parts"],
        "description": "What became of each shard's part of the write.",
        "properties": { "parts": { "type": "array", "items": part } },
    })
}

/// The schemas of one resource.
pub(super) fn add(schemas: &mut Map<String, Value>, plan: &Plan, resource: &Resource, names: &Names) {
    let one = &names.one;
    schemas.insert(one.clone(), row(plan, resource));
    schemas.insert(format!("{one}List"), list_of(one));
    schemas.insert(
        format!("{one}Create"),
        body(
            plan,
            resource,
            &format!("A new row of `{}`.", resource.name),
            Use::Create,
        ),
    );
    schemas.insert(format!("{one}CreateList"), list_of(&format!("{one}Create")));
    schemas.insert(
        format!("{one}CreateBody"),
        json!({
            "description": "One row or a list of rows, which are written all or none.",
            "oneOf": [component("schemas", &format!("{one}Create")), component("schemas", &format!("{one}CreateList"))],
        }),
    );
    schemas.insert(
        format!("{one}Result"),
        json!({
            "description": "What was sent decides: a row for a row, a list for a list.",
            "oneOf": [component("schemas", one), component("schemas", &format!("{one}List"))],
        }),
    );
    if resource.key_field().is_some() {
        let about = "The whole row as it shall be. A member that is left out takes its default, or null.";
        schemas.insert(format!("{one}Replace"), body(plan, resource, about, Use::Replace));
    }
    let about = "The members to change (JSON merge patch, RFC 7396); null clears an optional one.";
    schemas.insert(format!("{one}Patch"), body(plan, resource, about, Use::Patch));
}

fn list_of(name: &str) -> Value {
    json!({ "type": "array", "items": component("schemas", name) })
}

/// The resource as it is read.
fn row(plan: &Plan, resource: &Resource) -> Value {
    let mut properties = Map::new();
    for field in &resource.fields {
        let mut schema = described(plan, field);
        if field.auto {
            schema["readOnly"] = json!(true);
        }
        properties.insert(field.name.clone(), schema);
    }
    // What a function gives is there when it was asked for by name.
    let always = resource.fields.iter().filter(|f| f.function.is_none());
    let required: Vec<_> = always.map(|f| f.name.as_str()).collect();
    json!({
        "type": "object",
        "description": format!("A row of `{}`. With `select` only the members that were asked for are there.", resource.name),
        "required": required,
        "properties": properties,
    })
}

/// What a body is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Create,
    Replace,
    Patch,
}

fn body(plan: &Plan, resource: &Resource, about: &str, purpose: Use) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (position, field) in resource.fields.iter().enumerate() {
        if !writable(resource, position, field, purpose) {
            continue;
        }
        let mut schema = constrained(described(plan, field), field);
        let key = resource.key.contains(&position);
        if purpose == Use::Replace && (key || field.auto) {
            schema["description"] = json!("May be sent along as it is; it does not change.");
            properties.insert(field.name.clone(), schema);
            continue;
        }
        if field.auto && purpose == Use::Create {
            let carries = resource.shard.field().is_some_and(|by| by != position);
            let text = if carries {
                "Made by Stoa when left out. A given one must carry the bucket of the shard key."
            } else {
                "Made by Stoa when left out."
            };
            schema["description"] = json!(text);
        }
        if let (Some(DefaultValue::Value(value)), true) = (&field.default, purpose != Use::Patch) {
            schema["default"] = value.clone();
        }
        properties.insert(field.name.clone(), schema);
        let filled = filled_in(resource, position) || counted(resource, position);
        if field.required() && purpose != Use::Patch && !filled {
            required.push(field.name.clone());
        }
    }
    let mut schema = json!({
        "type": "object", "description": about,
        "properties": properties, "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

fn writable(resource: &Resource, position: usize, field: &Field, purpose: Use) -> bool {
    let key = resource.key.contains(&position);
    if field.function.is_some() {
        return false;
    }
    match purpose {
        Use::Create => (key && !field.generated) || !field.auto,
        Use::Replace => true,
        Use::Patch => {
            let shard = resource.shard.field() == Some(position);
            !key && !shard && !field.auto && !field.immutable
        }
    }
}

/// Whether the table, which others made, may count the key up.
fn counted(resource: &Resource, position: usize) -> bool {
    let number = matches!(resource.fields[position].ty, Type::Int);
    number && resource.table.is_some() && resource.key == [position]
}

/// Whether an `owner` rule fills the field in from the caller.
fn filled_in(resource: &Resource, position: usize) -> bool {
    use stoa_config::plan::Access;
    matches!(resource.rules.create.access, Access::Owner(owner) if owner == position)
}

/// The type without constraints.
pub(super) fn plain(ty: &Type) -> Value {
    match ty.value() {
        Type::Uuid7 | Type::Uuid => json!({ "type": "string", "format": "uuid" }),
        Type::Int => json!({ "type": "integer", "format": "int64" }),
        Type::Float => json!({ "type": "number", "format": "double" }),
        Type::Decimal { .. } => json!({ "type": "number" }),
        Type::Bool => json!({ "type": "boolean" }),
        Type::Time => json!({ "type": "string", "format": "date-time" }),
        Type::Date => json!({ "type": "string", "format": "date" }),
        Type::Json => json!({}),
        Type::Enum(names) => json!({ "type": "string", "enum": names }),
        Type::List(item) => json!({ "type": "array", "items": plain(item) }),
        Type::Text | Type::Ref { .. } => json!({ "type": "string" }),
    }
}

/// The type of a field with what a reader should know, null where it may be.
fn described(plan: &Plan, field: &Field) -> Value {
    let mut schema = plain(&field.ty);
    match &field.ty {
        Type::Decimal { precision, scale } => {
            let text = format!(
                "Exact: {precision} digits, {scale} of them after the point. Read it as text where floats are not exact."
            );
            schema["description"] = json!(text);
        }
        Type::Ref { resource, .. } => {
            if let Some(other) = plan.resources.get(*resource) {
                schema["description"] = json!(format!("Key of a row of `{}`.", other.name));
                schema["x-stoa-ref"] = json!(other.name);
            }
        }
        Type::Json => schema["description"] = json!("Any JSON."),
        _ => {}
    }
    if field.optional && schema.get("type").is_some() {
        schema["type"] = json!([schema["type"], "null"]);
        if let Some(Value::Array(names)) = schema.get_mut("enum") {
            names.push(Value::Null);
        }
    }
    schema
}

/// Adds the field's constraints. Only to bodies: rows written before a constraint was tightened may still be read.
fn constrained(mut schema: Value, field: &Field) -> Value {
    let is_list = matches!(field.ty, Type::List(_));
    if let Some((min, max)) = field.chars {
        let (low, high) = if is_list {
            ("minItems", "maxItems")
        } else {
            ("minLength", "maxLength")
        };
        schema[low] = json!(min);
        schema[high] = json!(max);
    }
    if let Some(pattern) = field.matches.as_ref().and_then(portable) {
        schema["pattern"] = json!(pattern);
    } else if *field.ty.value() == Type::Text {
        schema["pattern"] = json!(NO_NUL);
    } else if matches!(field.ty.value(), Type::List(item) if **item == Type::Text) {
        schema["items"]["pattern"] = json!(NO_NUL);
    }
    for (bound, name) in [(&field.min, "minimum"), (&field.max, "maximum")] {
        let number = bound
            .as_ref()
            .and_then(|b| serde_json::from_str::<Value>(&b.text).ok());
        if let Some(number) = number.filter(Value::is_number) {
            schema[name] = number;
        }
    }
    if let Type::Decimal { precision, scale } = field.ty {
        digits(&mut schema, precision.into(), scale.into());
    }
    schema
}

/// Text without the one character that a text may not hold.
pub(super) const NO_NUL: &str = r"^[^\u0000]*$";

/// What so many digits, some of them after the point, can say.
pub(super) fn digits(schema: &mut Value, precision: usize, scale: usize) {
    let number = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    let (whole, part) = ("9".repeat(precision.saturating_sub(scale)), "9".repeat(scale));
    let most = match (whole.as_str(), scale) {
        ("", 0) => return,
        ("", _) => format!("0.{part}"),
        (whole, 0) => whole.to_owned(),
        (whole, _) => format!("{whole}.{part}"),
    };
    for (name, text) in [("minimum", format!("-{most}")), ("maximum", most)] {
        if schema.get(name).is_none() {
            schema[name] = number(&text);
        }
    }
    schema["multipleOf"] = match scale {
        0 => json!(1),
        _ => number(&format!("0.{}1", "0".repeat(scale - 1))),
    };
}

/// The pattern for JSON Schema, when ECMAScript reads it as we do.
fn portable(pattern: &Pattern) -> Option<String> {
    let source = pattern.source.as_str();
    let ours_only = ["(?", "[[:", "\\A", "\\z", "\\p", "\\P", "\\x{", "&&", "--", "~~"];
    let plain = source.replace("(?:", "(");
    (!ours_only.iter().any(|mark| plain.contains(mark))).then(|| format!("^(?:{source})$"))
}
