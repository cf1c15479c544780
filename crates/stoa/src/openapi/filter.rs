//! The query parameters that filter by a field: one for every field that a caller may filter by.

use serde_json::{Value, json};
use stoa_config::plan::{Field, Resource, Shard, Type};

/// The parameters: the fields of `list.filter`, the key and the shard key.
pub(super) fn parameters(resource: &Resource) -> impl Iterator<Item = Value> {
    let fields = resource.fields.iter().enumerate();
    let named = fields.filter(|(position, _)| {
        resource.list.filter.contains(position)
            || resource.key.contains(position)
            || resource.shard == Shard::Field(*position)
    });
    named.map(|(_, field)| parameter(field))
}

fn parameter(field: &Field) -> Value {
    let said = operators(&field.ty);
    let said: Vec<_> = said.iter().map(|o| format!("`{o}`")).collect();
    let inside = match field.ty.value() {
        Type::Json => format!(
            " A member inside is named by its way, `{}->>colour=eq.black`, with every operator of texts.",
            field.name
        ),
        _ => String::new(),
    };
    let description = format!("Filter by this {}: {}.{inside}", kind(&field.ty), said.join(", "));
    let mut parameter = json!({
        "name": field.name, "in": "query", "required": false, "description": description,
        "schema": { "type": "string", "pattern": pattern(&field.ty) },
    });
    if let Some(sample) = sample(&field.ty) {
        parameter["example"] = json!(format!("eq.{sample}"));
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

/// The operators that fit a type, as the dialect names them.
fn operators(ty: &Type) -> Vec<&'static str> {
    let ordered = ["eq", "neq", "gt", "gte", "lt", "lte", "in", "isdistinct", "is"];
    match ty.value() {
        Type::Json => vec!["cs", "cd", "is"],
        Type::List(_) => vec!["eq", "neq", "cs", "cd", "ov", "isdistinct", "is"],
        Type::Text | Type::Enum(_) => [&["like", "ilike"], &ordered[..]].concat(),
        _ => ordered.to_vec(),
    }
}

/// What a filter of this type looks like.
fn pattern(ty: &Type) -> String {
    let is = if *ty.value() == Type::Bool {
        "null|not_null|true|false|unknown"
    } else {
        "null|not_null"
    };
    let forms = match ty.value() {
        Type::Json => r"(cs|cd)\.[\[{].*[\]}]".to_owned(),
        Type::List(item) => {
            let item = literal(item);
            format!(r"(eq|neq|cs|cd|ov|isdistinct)\.\{{({item}(,{item})*)?\}}")
        }
        ty => {
            let value = literal(ty);
            let like = if matches!(ty, Type::Text | Type::Enum(_)) {
                r"|i?like\.[^\\]*"
            } else {
                ""
            };
            let one = "eq|neq|gt|gte|lt|lte|isdistinct";
            let each = r"(eq|gt|gte|lt|lte)\((any|all)\)";
            format!(r"({one})\.{value}|in\.\({value}(,{value})*\)|{each}\.\{{{value}(,{value})*\}}{like}")
        }
    };
    format!(r"^(not\.)?({forms}|is\.({is}))$")
}

/// What a value of this type looks like in a query.
fn literal(ty: &Type) -> String {
    let hex = |n: u8| format!("[0-9a-fA-F]{{{n}}}");
    match ty.value() {
        Type::Uuid7 | Type::Uuid => [8, 4, 4, 4, 12].map(hex).join("-"),
        Type::Int => "-?[0-9]{1,18}".into(),
        Type::Float => r"-?[0-9]{1,15}(\.[0-9]{1,15})?".into(),
        Type::Decimal { precision, scale } => {
            let whole = precision.saturating_sub(*scale).max(1);
            match scale {
                0 => format!("-?[0-9]{{1,{whole}}}"),
                scale => format!(r"-?[0-9]{{1,{whole}}}(\.[0-9]{{1,{scale}}})?"),
            }
        }
        Type::Bool => "(true|false)".into(),
        Type::Time => {
            r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,6})?(Z|[+-](0[0-9]|1[0-2]):[0-5][0-9])"
                .into()
        }
        Type::Date => "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])".into(),
        Type::Enum(names) => format!(
            "({})",
            names
                .iter()
                .map(|n| regex_escape(n))
                .collect::<Vec<_>>()
                .join("|")
        ),
        _ => r#"[^,(){}"\\]+"#.into(),
    }
}

fn regex_escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if r"\^$.|?*+()[]{}/-".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// A value that the type takes, for the example.
fn sample(ty: &Type) -> Option<String> {
    Some(match ty.value() {
        Type::Enum(names) => names.first()?.clone(),
        Type::Int => "10".into(),
        Type::Decimal { scale, .. } if *scale > 0 => "9.5".into(),
        Type::Decimal { .. } => "9".into(),
        Type::Bool => "true".into(),
        Type::Text => "text".into(),
        _ => return None,
    })
}
