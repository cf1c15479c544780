//! The query parameters that filter by a field: one for every field that a caller may filter by.

use super::store::Has;
use serde_json::{Value, json};
use stoa_config::plan::{Field, Resource, Type};

/// The parameters: the fields of `list.filter`, the key and the shard key.
pub(super) fn parameters(resource: &Resource, has: Has) -> impl Iterator<Item = Value> {
    fields(resource).map(move |field| parameter(resource, field, has))
}

fn fields(resource: &Resource) -> impl Iterator<Item = &Field> {
    let fields = resource.fields.iter().enumerate();
    let named = fields.filter(|(position, _)| {
        resource.list.filter.contains(position)
            || resource.key.contains(position)
            || resource.shard.field() == Some(*position)
    });
    named.map(|(_, field)| field)
}

/// What the value of `and` and `or` looks like: conditions of one level on these fields.
pub(super) fn logic(resource: &Resource, has: Has) -> String {
    let mut kinds: Vec<(String, Vec<&str>)> = Vec::new();
    for field in fields(resource) {
        let condition = condition(&field.ty, true, has);
        match kinds.iter_mut().find(|(known, _)| *known == condition) {
            Some((_, names)) => names.push(&field.name),
            None => kinds.push((condition, vec![&field.name])),
        }
    }
    let kinds = kinds
        .iter()
        .map(|(condition, names)| format!(r"({})\.{condition}", names.join("|")));
    let one = kinds.collect::<Vec<_>>().join("|");
    format!(r"^\(({one})(,({one})){{0,4}}\)$")
}

fn parameter(resource: &Resource, field: &Field, has: Has) -> Value {
    let said = operators(&field.ty);
    let said: Vec<_> = said.iter().map(|o| format!("`{o}`")).collect();
    let inside = match field.ty.value() {
        Type::Json => format!(
            " A member inside is named by its way, `{}->>colour=eq.black`, with every operator of texts.",
            field.name
        ),
        _ => String::new(),
    };
    let also = if has.postgres {
        postgres(resource, field)
    } else {
        String::new()
    };
    let description = format!(
        "Filter by this {}: {}.{also}{inside}",
        kind(&field.ty),
        said.join(", ")
    );
    let mut parameter = json!({
        "name": field.name, "in": "query", "required": false, "description": description,
        "schema": { "type": "string", "pattern": pattern(&field.ty, has) },
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

/// What PostgreSQL alone has for a field. A text of a table that others made may be of a type that the file has no word for.
fn postgres(resource: &Resource, field: &Field) -> String {
    let foreign = resource.table.is_some();
    match field.ty.value() {
        Type::Text | Type::Enum(_) => format!(
            " Regular expressions: `match`, `imatch`. Text search: `fts`, `plfts`, `phfts`, `wfts`, with a language as in `wfts(english).word`.{}",
            if foreign && *field.ty.value() == Type::Text {
                " Where the column is a range: `cs`, `cd`, `ov`, `sl`, `sr`, `nxl`, `nxr`, `adj`."
            } else {
                ""
            }
        ),
        Type::Json => " Text search in its texts: `fts`, `plfts`, `phfts`, `wfts`.".to_owned(),
        _ => String::new(),
    }
}

/// What a filter of this type looks like.
fn pattern(ty: &Type, has: Has) -> String {
    format!("^{}$", condition(ty, false, has))
}

/// What JSON of one level looks like.
pub(super) fn json() -> String {
    format!("^{}$", json_literal(false))
}

/// An operator that fits the type and its value. Inside `and` and `or` commas and parentheses end a value that is not
/// quoted. Lists of `any` and `all` count as so many filters, of which a request has a bound.
fn condition(ty: &Type, inside: bool, has: Has) -> String {
    let is = if *ty.value() == Type::Bool {
        "null|not_null|true|false|unknown"
    } else {
        "null|not_null"
    };
    let forms = match ty.value() {
        Type::Json => format!(r"(cs|cd)\.({})", json_literal(inside)),
        Type::List(item) => {
            let item = literal(item);
            format!(r"(eq|neq|cs|cd|ov|isdistinct)\.\{{({item}(,{item})*)?\}}")
        }
        ty => {
            let value = literal(ty);
            let like = match (ty, inside) {
                (Type::Text | Type::Enum(_), false) => r"|i?like\.[^\\\u0000]*",
                (Type::Text | Type::Enum(_), true) => r#"|i?like\.[^\s,(){}"\\\u0000]+"#,
                _ => "",
            };
            let words = match ty {
                Type::Text | Type::Enum(_) if has.postgres => {
                    r"|(i?match|(fts|plfts|phfts|wfts)(\(simple\))?)\.[a-zA-Z0-9]+"
                }
                _ => "",
            };
            let one = "eq|neq|gt|gte|lt|lte|isdistinct";
            let each = r"(eq|gt|gte|lt|lte)\((any|all)\)";
            let more = if inside { 1 } else { 9 };
            format!(
                r"({one})\.{value}|in\.\({value}(,{value})*\)|{each}\.\{{{value}(,{value}){{0,{more}}}\}}{like}{words}"
            )
        }
    };
    format!(r"(not\.)?({forms}|is\.({is}))")
}

/// A list or an object of one level.
fn json_literal(inside: bool) -> String {
    let text = if inside {
        r#"[^,(){}"\\\u0000-\u001f]"#
    } else {
        r#"[^"\\\u0000-\u001f]"#
    };
    let one = format!(r#"(-?[1-9][0-9]{{0,8}}|0|true|false|null|"{text}*")"#);
    let member = format!(r#""[a-zA-Z_]+":{one}"#);
    let most = if inside { "{0}" } else { "*" };
    format!(r"\[({one}(,{one}){most})?\]|\{{({member}(,{member}){most})?\}}")
}

/// A day that every year has: the 29th of February is a date, too, but not of every year.
const DATE: &str =
    "[0-9]{4}-((0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])|(0[13-9]|1[0-2])-(29|30)|(0[13578]|1[02])-31)";

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
            format!(
                r"{DATE}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{{1,6}})?(Z|[+-](0[0-9]|1[0-2]):[0-5][0-9])"
            )
        }
        Type::Date => DATE.into(),
        Type::Enum(names) => format!(
            "({})",
            names
                .iter()
                .map(|n| regex_escape(n))
                .collect::<Vec<_>>()
                .join("|")
        ),
        _ => r#"[^\s,(){}"\\\u0000][^,(){}"\\\u0000]*"#.into(),
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
