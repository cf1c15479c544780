//! What stands behind a field in `select`: casts and aggregates. Which there are is a closed list, the same for every store.

use crate::{
    codes,
    operation::{Aggregate, Cast, Kind, PathStep},
    parse::scan::Scanner,
    refusal::{Refusal, Result, shorten},
};
use stoa_config::plan::{Field, Plan, Resource, StoreKind, Type};

/// The names of the types that `::` takes, as PostgreSQL has them.
const CASTS: [(&str, Cast); 25] = [
    ("text", Cast::Text),
    ("varchar", Cast::Text),
    ("character varying", Cast::Text),
    ("int", Cast::Int4),
    ("integer", Cast::Int4),
    ("int4", Cast::Int4),
    ("smallint", Cast::Int2),
    ("int2", Cast::Int2),
    ("bigint", Cast::Int8),
    ("int8", Cast::Int8),
    ("numeric", Cast::Numeric),
    ("decimal", Cast::Numeric),
    ("real", Cast::Float4),
    ("float4", Cast::Float4),
    ("float", Cast::Float8),
    ("float8", Cast::Float8),
    ("double precision", Cast::Float8),
    ("bool", Cast::Bool),
    ("boolean", Cast::Bool),
    ("uuid", Cast::Uuid),
    ("date", Cast::Date),
    ("timestamptz", Cast::Time),
    ("timestamp with time zone", Cast::Time),
    ("json", Cast::Json),
    ("jsonb", Cast::Json),
];

/// Refuses a path into what has no inside.
pub(crate) fn has_inside(plan: &Plan, resource: &Resource, field: &Field) -> Result<()> {
    let store = plan.stores.get(resource.store);
    let postgres = store.is_some_and(|store| matches!(store.kind, StoreKind::Postgres { .. }));
    // A column of a type that the file has no word for, a row say, is text there.
    let foreign = postgres && resource.table.is_some();
    match field.ty.value() {
        Type::Json | Type::List(_) => return Ok(()),
        Type::Text if foreign => return Ok(()),
        _ => {}
    }
    Err(crate::refusal::not_supported(format!(
        "`{}` is {}: only a json field or a list has something inside.",
        field.name, field.ty
    )))
}

/// The name that a path gives: its last key.
pub(super) fn last_key(path: &[PathStep]) -> Option<&str> {
    path.iter().rev().find_map(|step| match step {
        PathStep::Key(key) | PathStep::TextKey(key) => Some(key.as_ref()),
        PathStep::Index(_) | PathStep::TextIndex(_) => None,
    })
}

/// `::type` behind a value of a kind; `None` is a list, which becomes text.
pub(super) fn cast(scanner: &mut Scanner<'_>, from: Option<Kind>) -> Result<Option<Cast>> {
    if !scanner.eat("::") {
        return Ok(None);
    }
    let start = scanner.clone();
    let name = scanner
        .until(|c| !(c.is_alphanumeric() || matches!(c, '_' | '$' | ' ')))
        .trim()
        .to_ascii_lowercase();
    if name.is_empty() {
        return Err(start.refuse("a type was expected after `::`"));
    }
    let Some((_, to)) = CASTS.iter().find(|(known, _)| *known == name) else {
        return Err(no_type(&name));
    };
    let may = match from {
        None => *to == Cast::Text,
        Some(from) => may_become(from, *to),
    };
    if may {
        Ok(Some(*to))
    } else {
        Err(no_cast(from, *to))
    }
}

/// Which casts PostgreSQL has between its own types.
fn may_become(from: Kind, to: Cast) -> bool {
    use Kind::{Bool, Date, Float, Int, Json, Number, Text, Time};
    match (from, to.kind()) {
        (Bool, Int) => to == Cast::Int4,
        (Text, _)
        | (_, Text)
        | (Int | Number | Float, Int | Number | Float)
        | (Json, Bool | Int | Number | Float)
        | (Date | Time, Date | Time) => true,
        (from, to) => from == to,
    }
}

/// The name of one of the aggregates and its brackets.
pub(super) fn aggregate(scanner: &mut Scanner<'_>) -> Result<Aggregate> {
    let start = scanner.clone();
    let name = scanner.until(|c| !c.is_ascii_alphabetic());
    let all = [
        Aggregate::Count,
        Aggregate::Sum,
        Aggregate::Avg,
        Aggregate::Min,
        Aggregate::Max,
    ];
    let found = all.into_iter().find(|one| one.name() == name);
    match found.filter(|_| scanner.eat("()")) {
        Some(aggregate) => Ok(aggregate),
        None => Err(start.refuse("count(), sum(), avg(), min() or max() was expected")),
    }
}

/// What PostgreSQL calls a kind.
fn called(kind: Option<Kind>) -> &'static str {
    match kind {
        None => "text[]",
        Some(Kind::Bool) => "boolean",
        Some(Kind::Int) => "bigint",
        Some(Kind::Number) => "numeric",
        Some(Kind::Float) => "double precision",
        Some(Kind::Text) => "text",
        Some(Kind::Uuid) => "uuid",
        Some(Kind::Time) => "timestamp with time zone",
        Some(Kind::Date) => "date",
        Some(Kind::Json) => "jsonb",
    }
}

/// Refuses a function that the databases do not have for values of a kind.
pub(super) fn no_function(function: Aggregate, of: Option<Kind>) -> Refusal {
    let (name, of) = (function.name(), called(of));
    Refusal::new(&codes::BAD_QUERY, format!("`{name}()` does not work on {of}."))
        .hint("A cast in front of it may help, as in `field::numeric.sum()`.")
        .postgrest("42883", 404, format!("function {name}({of}) does not exist"))
        .details(serde_json::Value::Null)
        .postgrest_hint(
            "No function matches the given name and argument types. You might need to add explicit type casts.",
        )
}

fn no_cast(from: Option<Kind>, to: Cast) -> Refusal {
    let (from, to) = (called(from), called(Some(to.kind())));
    Refusal::new(
        &codes::BAD_QUERY,
        format!("There is no cast from {from} to {to}."),
    )
    .postgrest("42846", 400, format!("cannot cast type {from} to {to}"))
    .exactly()
}

fn no_type(name: &str) -> Refusal {
    let mut names: Vec<&str> = CASTS.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    let name = shorten(name);
    Refusal::new(&codes::BAD_QUERY, format!("There is no cast to `{name}`."))
        .hint(format!("The types are {}.", names.join(", ")))
        .postgrest("42704", 400, format!("type \"{name}\" does not exist"))
        .exactly()
}
