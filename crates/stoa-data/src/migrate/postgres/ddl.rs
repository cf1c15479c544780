//! The tables that a plan wants, in PostgreSQL's types.

use super::super::ddl::{self, Wanted, literal};
use crate::store::table::{BUCKET, VERSION};
use serde_json::Value as Json;
use stoa_config::plan::{DefaultValue, Plan, Resource, Type};

/// The table of a resource that Stoa makes. [`Wanted::columns`]' `encoding` is the type as `format_type` prints it.
pub(super) fn wanted(plan: &Plan, index: usize, resource: &Resource) -> Wanted {
    let mut wanted = ddl::wanted(plan, index, resource);
    for column in &mut wanted.columns {
        let field = resource.fields.iter().find(|f| f.name == column.name);
        let ty = match (field, column.name.as_str()) {
            (Some(field), _) => field.ty.value().clone(),
            (None, name) => {
                let small = name == BUCKET;
                debug_assert!(small || name == VERSION, "a column of Stoa's own");
                column.ty = String::from(if small { "smallint" } else { "bigint" });
                column.encoding.clone_from(&column.ty);
                continue;
            }
        };
        column.encoding = shown(&ty);
        column.ty = sql_type(&ty);
        column.default = match field.and_then(|f| f.default.as_ref()) {
            Some(DefaultValue::Value(value)) => default(&ty, value),
            Some(DefaultValue::Now) | None => None,
        };
    }
    wanted
}

/// A type as `format_type` prints it.
fn shown(ty: &Type) -> String {
    match ty {
        Type::Uuid | Type::Uuid7 => "uuid".to_owned(),
        Type::Text | Type::Enum(_) => "text".to_owned(),
        Type::Int => "bigint".to_owned(),
        Type::Float => "double precision".to_owned(),
        Type::Decimal { precision, scale } => format!("numeric({precision},{scale})"),
        Type::Bool => "boolean".to_owned(),
        Type::Time => "timestamp with time zone".to_owned(),
        Type::Date => "date".to_owned(),
        Type::Json => "jsonb".to_owned(),
        Type::List(item) => format!("{}[]", shown(item)),
        Type::Ref { value, .. } => shown(value),
    }
}

/// A type as a column has it. Texts sort by their bytes, as everywhere in Stoa.
pub(super) fn sql_type(ty: &Type) -> String {
    let plain = shown(ty);
    if plain.trim_end_matches("[]") == "text" {
        format!("{plain} COLLATE \"C\"")
    } else {
        plain
    }
}

/// A default as SQL. `None` when it cannot be said in SQL; Stoa fills it in on each insert in any case.
fn default(ty: &Type, value: &Json) -> Option<String> {
    let plain = match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let text = match ty {
        Type::List(_) => {
            let items = value.as_array()?;
            let item = |item: &Json| match item {
                Json::String(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
                other => other.to_string(),
            };
            format!("{{{}}}", items.iter().map(item).collect::<Vec<_>>().join(","))
        }
        Type::Json => value.to_string(),
        Type::Ref { .. } => return None,
        _ => plain,
    };
    Some(format!("{}::{}", literal(&text), shown(ty)))
}
