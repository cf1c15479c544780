//! The tables that a plan wants, as SQL.

use crate::store::is_enforced;
use crate::store::table::{BUCKET, VERSION, quote, shard_field};
use serde_json::Value as Json;
use stoa_config::plan::{DefaultValue, Field, Plan, Resource, Shard, Type};

/// A table as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) columns: Vec<WantedColumn>,
    /// Names, the bucket first.
    pub(crate) key: Vec<String>,
    pub(crate) indexes: Vec<WantedIndex>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WantedColumn {
    pub(crate) name: String,
    /// The type, as SQL.
    pub(crate) ty: String,
    /// Stoa's type, which says how values are written.
    pub(crate) encoding: String,
    pub(crate) not_null: bool,
    /// As SQL.
    pub(crate) default: Option<String>,
    /// Table and column.
    pub(crate) references: Option<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WantedIndex {
    pub(crate) name: String,
    pub(crate) columns: Vec<String>,
    pub(crate) unique: bool,
}

/// The table of a resource that Stoa makes.
pub(crate) fn wanted(plan: &Plan, index: usize, resource: &Resource) -> Wanted {
    let number = |name: &str| WantedColumn {
        name: name.to_owned(),
        ty: "INTEGER".to_owned(),
        encoding: "int".to_owned(),
        not_null: true,
        default: None,
        references: None,
    };
    let mut columns = vec![number(BUCKET)];
    for (position, field) in resource.fields.iter().enumerate() {
        columns.push(column(
            plan,
            index,
            position,
            field,
            resource.key.contains(&position),
        ));
    }
    columns.push(number(VERSION));
    let key_fields = resource
        .key
        .iter()
        .filter_map(|k| resource.fields.get(*k))
        .map(|f| f.name.clone());
    Wanted {
        name: resource.name.clone(),
        columns,
        key: std::iter::once(BUCKET.to_owned()).chain(key_fields).collect(),
        indexes: indexes(resource),
    }
}

fn column(plan: &Plan, resource: usize, position: usize, field: &Field, is_key: bool) -> WantedColumn {
    let references = match &field.ty {
        Type::Ref { resource: target, .. } if is_enforced(plan, resource, position) => plan
            .resources
            .get(*target)
            .and_then(|t| Some((t.name.clone(), t.key_field()?.name.clone()))),
        _ => None,
    };
    WantedColumn {
        name: field.name.clone(),
        ty: sql_type(field.ty.value()).to_owned(),
        encoding: encoding(field.ty.value()),
        not_null: is_key || !field.optional,
        default: match &field.default {
            Some(DefaultValue::Value(value)) => default(field.ty.value(), value),
            Some(DefaultValue::Now) | None => None,
        },
        references,
    }
}

/// The unique index on the key alone (the primary key starts with the bucket) is what references lead to and what
/// the default order follows.
fn indexes(resource: &Resource) -> Vec<WantedIndex> {
    let mut list = Vec::new();
    let mut add = |columns: Vec<String>, unique: bool| {
        let kind = if unique { "unique" } else { "index" };
        let name = format!("{}_{}_{kind}", resource.name, columns.join("_"));
        if !list
            .iter()
            .any(|i: &WantedIndex| i.columns == columns && i.unique)
        {
            list.push(WantedIndex {
                name,
                columns,
                unique,
            });
        }
    };
    let key: Vec<String> = resource
        .key
        .iter()
        .filter_map(|k| resource.fields.get(*k))
        .map(|f| f.name.clone())
        .collect();
    add(key.clone(), true);
    let shard = shard_field(resource).and_then(|s| resource.fields.get(s));
    if let Some(shard) = shard {
        add(std::iter::once(shard.name.clone()).chain(key).collect(), false);
    }
    for (position, field) in resource.fields.iter().enumerate() {
        if field.unique && !resource.key.contains(&position) {
            let shard = shard.filter(|s| s.name != field.name).map(|s| s.name.clone());
            add(shard.into_iter().chain([field.name.clone()]).collect(), true);
        } else if field.index || matches!(field.ty, Type::Ref { .. }) {
            add(vec![field.name.clone()], false);
        }
    }
    list
}

/// Whether an index is one that Stoa made for a table.
pub(super) fn made_index(index: &str, table: &str) -> bool {
    index
        .strip_prefix(table)
        .is_some_and(|rest| rest.starts_with('_') && (rest.ends_with("_unique") || rest.ends_with("_index")))
}

/// How a type's values are written: two types of one encoding can be exchanged without touching the rows.
fn encoding(ty: &Type) -> String {
    match ty {
        Type::Uuid | Type::Uuid7 => "uuid".to_owned(),
        Type::Text | Type::Enum(_) => "text".to_owned(),
        Type::Decimal { precision, scale } if *precision <= 18 => format!("decimal scaled {scale}"),
        Type::Decimal { precision, scale } => format!("decimal text {precision},{scale}"),
        Type::List(item) => format!("list {}", encoding(item)),
        Type::Ref { value, .. } => encoding(value),
        other => other.to_string(),
    }
}

fn sql_type(ty: &Type) -> &'static str {
    match ty {
        Type::Int | Type::Bool => "INTEGER",
        Type::Float => "REAL",
        Type::Decimal { precision, .. } if *precision <= 18 => "INTEGER",
        _ => "TEXT",
    }
}

/// A default as SQL. `None` when it cannot be said in SQL; Stoa fills it in on each insert in any case.
fn default(ty: &Type, value: &Json) -> Option<String> {
    let plain = match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    Some(match ty {
        Type::Bool => i64::from(value.as_bool()?).to_string(),
        Type::Int => value.as_i64()?.to_string(),
        Type::Float => format!("{:?}", value.as_f64().filter(|n| n.is_finite())?),
        Type::Decimal { precision, scale } => crate::store::sqlite::decimal_sql(&plain, *precision, *scale)?,
        Type::Json | Type::List(_) => literal(&value.to_string()),
        Type::Text | Type::Enum(_) => literal(value.as_str()?),
        Type::Uuid | Type::Uuid7 => literal(&uuid::Uuid::parse_str(&plain).ok()?.to_string()),
        Type::Time => literal(&crate::store::sqlite::time_text(&plain)?),
        Type::Date => literal(&plain),
        Type::Ref { .. } => return None,
    })
}

/// Text as SQL.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl Wanted {
    /// `CREATE TABLE …` under a name (a rebuild makes the new table under another one first).
    pub(crate) fn create(&self, name: &str) -> String {
        let mut parts: Vec<String> = self.columns.iter().map(|c| format!("  {}", c.sql())).collect();
        let key: Vec<String> = self.key.iter().map(|k| quote(k)).collect();
        parts.push(format!("  PRIMARY KEY ({})", key.join(", ")));
        format!(
            "CREATE TABLE {} (\n{}\n) STRICT, WITHOUT ROWID",
            quote(name),
            parts.join(",\n")
        )
    }
}

impl Wanted {
    /// How the columns are written, to be written down: the bucket's entry says what it is the hash of.
    pub(crate) fn record(&self, resource: &Resource) -> Json {
        let mut columns: serde_json::Map<String, Json> = self
            .columns
            .iter()
            .map(|c| (c.name.clone(), Json::from(c.encoding.clone())))
            .collect();
        let by = resource.shard.field().or_else(|| resource.key.first().copied());
        let by = by
            .and_then(|f| resource.fields.get(f))
            .map_or("", |f| f.name.as_str());
        let how = match resource.shard {
            Shard::Parent(_) => "bucket in",
            Shard::Single | Shard::Field(_) => "hash of",
        };
        columns.insert(BUCKET.to_owned(), Json::from(format!("{how} {by}")));
        Json::Object(columns)
    }
}

impl WantedColumn {
    /// As in `CREATE TABLE`.
    pub(crate) fn sql(&self) -> String {
        let mut sql = format!("{} {}", quote(&self.name), self.ty);
        if self.not_null {
            sql.push_str(" NOT NULL");
        }
        if let Some(default) = &self.default {
            sql.push_str(" DEFAULT ");
            sql.push_str(default);
        }
        if let Some((table, column)) = &self.references {
            let (table, column) = (quote(table), quote(column));
            sql = format!("{sql} REFERENCES {table} ({column})");
        }
        sql
    }
}

impl WantedIndex {
    /// `CREATE [UNIQUE] INDEX …`
    pub(crate) fn create(&self, table: &str) -> String {
        let columns: Vec<String> = self.columns.iter().map(|c| quote(c)).collect();
        format!(
            "CREATE {}INDEX {} ON {} ({})",
            if self.unique { "UNIQUE " } else { "" },
            quote(&self.name),
            quote(table),
            columns.join(", ")
        )
    }
}
