//! The query parameters that filter by a field: one per field of `list.filter`.

use serde_json::{Value, json};
use stoa_config::plan::{Field, Resource, Type};

/// The parameters of every field that a caller may filter by.
pub(super) fn parameters(resource: &Resource) -> impl Iterator<Item = Value> {
    let fields = resource
        .list
        .filter
        .iter()
        .filter_map(|i| resource.fields.get(*i));
    fields.map(parameter)
}

fn parameter(field: &Field) -> Value {
    let operators = operators(&field.ty);
    let example = format!("eq.{}", sample(field));
    let description = format!(
        "Filter by this {}: {}.",
        kind(&field.ty),
        operators
            .iter()
            .map(|o| format!("`{o}`"))
            .collect::<Vec<_>>()
            .join(", "),
    );
    let mut parameter = json!({
        "name": field.name, "in": "query", "required": false, "description": description,
        "schema": { "type": "string", "pattern": format!("^(not\\.)?({})(\\(.*\\))?\\.", operators.join("|")) },
    });
    if matches!(
        field.ty.value(),
        Type::Text | Type::Enum(_) | Type::Int | Type::Bool | Type::Decimal { .. }
    ) {
        parameter["example"] = json!(example);
    }
    parameter
}

fn kind(ty: &Type) -> String {
    match ty.value() {
        Type::Enum(_) => "enum".into(),
        Type::List(item) => format!("list of {}", kind(item)),
        other => other.to_string(),
    }
}

/// The operators that make sense for a type, as the dialect names them.
fn operators(ty: &Type) -> Vec<&'static str> {
    match ty.value() {
        Type::List(_) | Type::Json => vec!["eq", "neq", "cs", "cd", "ov", "is"],
        Type::Bool => vec!["eq", "neq", "in", "is", "isdistinct"],
        Type::Text | Type::Enum(_) => {
            vec![
                "eq",
                "neq",
                "gt",
                "gte",
                "lt",
                "lte",
                "like",
                "ilike",
                "in",
                "is",
                "isdistinct",
            ]
        }
        _ => vec!["eq", "neq", "gt", "gte", "lt", "lte", "in", "is", "isdistinct"],
    }
}

/// A value that the type takes, for the example.
fn sample(field: &Field) -> String {
    match field.ty.value() {
        Type::Enum(names) => names.first().cloned().unwrap_or_default(),
        Type::Int => "10".into(),
        Type::Decimal { scale, .. } if *scale > 0 => "9.5".into(),
        Type::Decimal { .. } => "9".into(),
        Type::Bool => "true".into(),
        _ => "text".into(),
    }
}
