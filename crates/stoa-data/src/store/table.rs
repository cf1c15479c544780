//! How the rows of a resource lie in a table: names, types, key. Every SQL store builds its statements from this.

use crate::operation::{FieldIndex, ResourceIndex};
use crate::store::json::write_text;
use crate::store::sql::RowStatement;
use std::fmt::Write as _;
use std::sync::OnceLock;
use stoa_config::plan::{Plan, Resource, Shard, Type};

/// Column that holds a row's bucket and leads the primary key of every created table.
pub(crate) const BUCKET: &str = "_bucket";
/// The same, quoted.
pub(crate) const BUCKET_QUOTED: &str = "\"_bucket\"";
/// Column that holds a row's version: the microsecond of its creation at first, one more with each update.
pub(crate) const VERSION: &str = "_version";

/// The tables of one store, by the position of their resource.
#[derive(Debug)]
pub(crate) struct Tables {
    by_resource: Vec<Option<Table>>,
    whole_rows: Vec<OnceLock<RowStatement>>,
}

impl Tables {
    pub(crate) fn new(by_resource: Vec<Option<Table>>) -> Self {
        Self {
            whole_rows: by_resource.iter().map(|_| OnceLock::new()).collect(),
            by_resource,
        }
    }

    /// The table of a resource; `None` when the resource lives in another store.
    pub(crate) fn get(&self, resource: ResourceIndex) -> Option<&Table> {
        self.by_resource.get(resource)?.as_ref()
    }

    /// The place of the statement that reads a whole row of a resource.
    pub(crate) fn whole_row(&self, resource: ResourceIndex) -> Option<&OnceLock<RowStatement>> {
        self.whole_rows.get(resource)
    }

    pub(crate) fn each(&self) -> impl Iterator<Item = &Table> {
        self.by_resource.iter().flatten()
    }
}

/// One table.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// Position of the resource.
    pub(crate) resource: ResourceIndex,
    /// Name of the resource.
    pub(crate) label: String,
    /// Name in SQL, quoted, with its schema.
    pub(crate) name: String,
    /// By the position of the field.
    pub(crate) columns: Vec<Column>,
    /// By the position in [`Resource::by_function`]: the function, quoted with its schema, that leads on from a row.
    pub(crate) leads: Vec<String>,
    /// Positions of the key's fields.
    pub(crate) key: Vec<FieldIndex>,
    /// Columns (quoted) that find one row again inside a transaction; none for a view.
    pub(crate) locator: Vec<String>,
    /// Whether Stoa made it: it has a bucket and a version.
    pub(crate) created: bool,
    /// Whether it cannot be written.
    pub(crate) view: bool,
    /// Whether its rows say which transaction wrote them: those of a view and of a table in partitions do not.
    pub(crate) plain: bool,
    /// The shard field, when it is not the key.
    pub(crate) shard: Option<FieldIndex>,
}

/// One column.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// Name of the field.
    pub(crate) name: String,
    /// The name as the beginning of a member of a JSON object: `"name":`.
    pub(crate) member: String,
    /// Name in SQL, quoted.
    pub(crate) quoted: String,
    /// The function, quoted with its schema, that gives the value out of the row: then no column has the name.
    pub(crate) function: Option<String>,
    /// The type, quoted with its schema, of a column that holds rows (a composite type) and is JSON outside.
    pub(crate) row: Option<String>,
    /// How the database itself makes JSON of the values and values of JSON and text.
    pub(crate) casts: Option<Box<Casts>>,
    /// Type of the values; never a `Ref`.
    pub(crate) ty: Type,
    /// The resource it refers to.
    pub(crate) refers: Option<ResourceIndex>,
    /// Whether nulls may be found there.
    pub(crate) nullable: bool,
    /// How values are kept.
    pub(crate) storage: Storage,
}

impl Column {
    /// `t0."name"`, that as JSON where it holds a row, or `"schema"."function"(t0.*)`, of the row with the alias of this number. Where there may be no row
    /// (`outer`) no function is asked about it.
    pub(crate) fn refer(&self, alias: usize, outer: bool, out: &mut String) {
        let mut digits = itoa::Buffer::new();
        let alias = digits.format(alias);
        let Some(function) = &self.function else {
            let around = self.row.as_ref().map_or(["", ""], |_| ["to_jsonb(", ")"]);
            for part in [around[0], "t", alias, ".", &self.quoted, around[1]] {
                out.push_str(part);
            }
            return;
        };
        // Not the alias alone: a column of that name would be taken for it.
        // Infallible: it writes to a text.
        let _ = if outer {
            write!(
                out,
                "CASE WHEN t{alias}.* IS DISTINCT FROM NULL THEN {function}(t{alias}.*) END"
            )
        } else {
            write!(out, "{function}(t{alias}.*)")
        };
    }

    /// Whether this is its name in the database.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.quoted == quote(name)
    }
}

/// The functions, quoted with their schema, by which a domain is cast: PostgreSQL itself heeds no casts of domains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Casts {
    /// To `json`.
    pub(crate) to_json: String,
    /// From `json`.
    pub(crate) from_json: Option<String>,
    /// From `text`.
    pub(crate) from_text: Option<String>,
}

/// How a column keeps its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    /// As Stoa writes its own tables.
    Native,
    /// A bound SQLite table's: whatever is there, kept and compared by the affinity of the declared type.
    Found(Affinity),
    /// A bound PostgreSQL table's: a column of the type with this number (`pg_type.oid`), of its base for a domain.
    Server(u32),
}

/// What SQLite makes of values in a column (SQLite, "Determination Of Column Affinity").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Affinity {
    /// INTEGER, REAL, NUMERIC: numbers are kept as numbers.
    Numeric,
    /// TEXT: numbers become text.
    Text,
    /// BLOB: everything stays as it was given.
    None,
}

impl Table {
    /// The table that Stoa makes for a resource.
    pub(crate) fn created(index: ResourceIndex, resource: &Resource) -> Self {
        let mut locator = vec![quote(BUCKET)];
        locator.extend(
            resource
                .key
                .iter()
                .filter_map(|k| resource.fields.get(*k))
                .map(|f| quote(&f.name)),
        );
        Self {
            resource: index,
            label: resource.name.clone(),
            name: quote(&resource.name),
            columns: resource
                .fields
                .iter()
                .map(|f| column(f, Storage::Native))
                .collect(),
            leads: Vec::new(),
            key: resource.key.clone(),
            locator,
            created: true,
            view: false,
            plain: true,
            shard: shard_field(resource),
        }
    }

    /// The column of a field.
    pub(crate) fn column(&self, field: FieldIndex) -> Option<&Column> {
        self.columns.get(field)
    }

    /// Whether this is the name of the table in the database, without its schema.
    pub(crate) fn is_named(&self, name: &str) -> bool {
        let quoted = quote(name);
        self.name == quoted || self.name.ends_with(&format!(".{quoted}"))
    }

    /// The one key column, where there is exactly one.
    pub(crate) fn key_column(&self) -> Option<&Column> {
        match self.key[..] {
            [field] => self.columns.get(field),
            _ => None,
        }
    }
}

/// The column of a field.
pub(crate) fn column(field: &stoa_config::plan::Field, storage: Storage) -> Column {
    Column {
        name: field.name.clone(),
        member: member(&field.name),
        quoted: quote(field.column()),
        function: None,
        row: None,
        casts: None,
        ty: field.ty.value().clone(),
        refers: match &field.ty {
            Type::Ref { resource, .. } => Some(*resource),
            _ => None,
        },
        nullable: field.optional || storage != Storage::Native,
        storage,
    }
}

/// `"name":`.
pub(crate) fn member(name: &str) -> String {
    let mut text = Vec::with_capacity(name.len() + 3);
    write_text(name, &mut text);
    text.push(b':');
    String::from_utf8_lossy(&text).into_owned()
}

/// The shard field when it is not the key itself.
pub(crate) fn shard_field(resource: &Resource) -> Option<FieldIndex> {
    resource
        .shard
        .field()
        .filter(|field| !resource.key.contains(field))
}

/// Whether the database itself enforces this `ref`: both tables are made by Stoa in one store, and a row and
/// what it refers to are always on the same shard. Every other `ref` is checked by reading
/// ([`crate::operation::Write::must_exist`]).
pub fn is_enforced(plan: &Plan, resource: ResourceIndex, field: FieldIndex) -> bool {
    let Some(from) = plan.resources.get(resource) else {
        return false;
    };
    let Some(Type::Ref {
        resource: to_index, ..
    }) = from.fields.get(field).map(|f| &f.ty)
    else {
        return false;
    };
    let Some(to) = plan.resources.get(*to_index) else {
        return false;
    };
    if from.store != to.store || from.table.is_some() || to.table.is_some() || to.key.len() != 1 {
        return false;
    }
    lie_together(from, field, to)
}

/// Whether a row and the one that its `field` refers to are always on the same shard: neither resource is sharded, or
/// the reference is the very shard key. Both are in one store.
pub(crate) fn lie_together(from: &Resource, field: FieldIndex, to: &Resource) -> bool {
    match to.shard {
        Shard::Single => from.shard == Shard::Single,
        Shard::Field(_) | Shard::Parent(_) => from.shard.field() == Some(field),
    }
}

/// A name as SQL writes it: always quoted, quotes inside doubled.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
