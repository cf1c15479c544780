//! The data half's part of the plan: resources, fields, constraints.

use super::{Cache, Place, Rule};
use std::{fmt, time::Duration};

/// `resources.NAME`.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Name in the file and in the path. Letters, digits, `_`, `-`; never one of Stoa's own paths.
    pub name: String,
    /// Where it stands in the file.
    pub place: Place,
    /// Position in [`super::Plan::stores`].
    pub store: usize,
    /// `table`: an existing table or view that is served as it is. `None`: Stoa creates the table `name`.
    pub table: Option<TableName>,
    /// `shard`.
    pub shard: Shard,
    /// `fields` in the order of the file; a generated `id` comes first.
    pub fields: Vec<Field>,
    /// Positions of the key fields in `fields`. One for created tables; empty for a view without a key.
    pub key: Vec<usize>,
    /// `references`: what an existing table or view refers to beside its `ref` fields.
    pub references: Vec<Reference>,
    /// The entries of `references` that a function gives.
    pub by_function: Vec<ByFunction>,
    /// `list`.
    pub list: List,
    /// `read`, `write` and the finer rules.
    pub rules: Rules,
    /// `cache`.
    pub cache: Option<Cache>,
    /// `consistency`: how fresh what `GET` shows is, for stores with replicas.
    pub consistency: Consistency,
    /// `was`: the name that the created table had before.
    pub was: Option<String>,
}

/// `consistency`: which of a shard's servers may answer a read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Consistency {
    /// The primary.
    Strong,
    /// A replica that has what the caller wrote, as the caller's `Stoa-Consistency` says; else the primary.
    #[default]
    Session,
    /// A replica that is at most so far behind; else the primary.
    Bounded(Duration),
    /// Any replica within `max_lag`.
    Eventual,
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Strong => f.write_str("strong"),
            Self::Session => f.write_str("session"),
            Self::Bounded(lag) => write!(f, "bounded {}ms", lag.as_millis()),
            Self::Eventual => f.write_str("eventual"),
        }
    }
}

impl Resource {
    /// The field called `name` and its position.
    pub fn field(&self, name: &str) -> Option<(usize, &Field)> {
        self.fields.iter().enumerate().find(|(_, f)| f.name == name)
    }

    /// The one key field, for resources that have exactly one.
    pub fn key_field(&self) -> Option<&Field> {
        match self.key[..] {
            [position] => self.fields.get(position),
            _ => None,
        }
    }
}

/// An entry of `references`: a way to embed that no single `ref` field says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// What the constraint is called; callers may say it as a hint.
    pub name: String,
    /// Positions of the fields here; never empty.
    pub fields: Vec<usize>,
    /// Position of the target in [`super::Plan::resources`]; of the same store.
    pub resource: usize,
    /// Positions of the target's fields, one for each of `fields` and of the same type.
    pub targets: Vec<usize>,
    /// Whether it is no constraint of the database: a view shows the columns of one.
    pub derived: bool,
}

/// An entry of `references` with `function`: a way to embed what a function of PostgreSQL gives for a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByFunction {
    /// What callers embed it by.
    pub name: String,
    /// The function that takes a row of the table. Without a schema, in the table's.
    pub function: TableName,
    /// Position in [`super::Plan::resources`] of what it leads to: its function returns rows of that one's table.
    pub resource: usize,
    /// `one`: whether it leads to one row at most.
    pub one: bool,
}

/// A table or view in a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    /// Schema, where the file names one.
    pub schema: Option<String>,
    /// Table.
    pub name: String,
}

/// `shard:`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shard {
    /// Left out or `single`: all rows on the first shard, whatever their bucket. The bucket is the hash of the key.
    Single,
    /// By this field, a position in [`Resource::fields`]. The bucket is the hash of its value.
    Field(usize),
    /// By this field, a `ref` to a row whose id carries its bucket: the bucket is the one in the value, so that
    /// rows lie where the row lies that they refer to.
    Parent(usize),
}

impl Shard {
    /// The shard key, a position in [`Resource::fields`]; `None` when all rows are on the first shard.
    pub fn field(self) -> Option<usize> {
        match self {
            Self::Single => None,
            Self::Field(field) | Self::Parent(field) => Some(field),
        }
    }
}

/// The access rules of a resource.
#[derive(Clone, Debug)]
pub struct Rules {
    /// `read`.
    pub read: Rule,
    /// `create`, else `write`.
    pub create: Rule,
    /// `update`, else `write`.
    pub update: Rule,
    /// `delete`, else `write`.
    pub delete: Rule,
}

impl Rules {
    /// The four rules with their names.
    pub fn each(&self) -> [(&'static str, &Rule); 4] {
        [
            ("read", &self.read),
            ("create", &self.create),
            ("update", &self.update),
            ("delete", &self.delete),
        ]
    }
}

/// `list:`.
#[derive(Clone, Debug)]
pub struct List {
    /// `filter`: positions of the fields a caller may filter by. Left out: every scalar field.
    pub filter: Vec<usize>,
    /// `sort`: positions of the fields a caller may sort by. Left out: every scalar field.
    pub sort: Vec<usize>,
    /// `page`: rows of a page when the caller says no limit. Default 50.
    pub page: u32,
    /// `max`: the most rows of a page. Default 200.
    pub max: u32,
    /// `aggregates`: whether a caller may ask for sums and the like. Default no.
    pub aggregates: bool,
    /// `consistency` of lists, where it differs from the resource's.
    pub consistency: Option<Consistency>,
}

/// One field of a resource.
#[derive(Clone, Debug)]
pub struct Field {
    /// Name in the file and in JSON; of the column too, unless `column` says otherwise.
    pub name: String,
    /// `column`: what the column of an existing table is called, where that cannot be a field's name.
    pub column: Option<String>,
    /// `function`: what gives the value out of a row of an existing table, in place of a column. Without a schema, in
    /// the table's. Such a field is `optional`, `auto` and `generated`, and no part of `*`.
    pub function: Option<TableName>,
    /// Where it stands in the file.
    pub place: Place,
    /// Type.
    pub ty: Type,
    /// `unique`.
    pub unique: bool,
    /// `optional`: may be null.
    pub optional: bool,
    /// `auto`: Stoa fills it in (a key: a new id; a time: now, on create). A caller may not write it, except a key.
    pub auto: bool,
    /// `generated` and `computed`: the existing table fills it in when it is left out. With `auto` (`computed`) it
    /// alone does, and a caller may not write it.
    pub generated: bool,
    /// `immutable`: set on create only. Keys and shard keys are.
    pub immutable: bool,
    /// `index`.
    pub index: bool,
    /// `default`.
    pub default: Option<DefaultValue>,
    /// `min`, in the field's own type.
    pub min: Option<Bound>,
    /// `max`, in the field's own type.
    pub max: Option<Bound>,
    /// `N..M chars`: the length of a text in characters; the number of items of a list.
    pub chars: Option<(u32, u32)>,
    /// `matches`: the whole text must match.
    pub matches: Option<Pattern>,
    /// `was`: the name that the column had before.
    pub was: Option<String>,
}

impl Field {
    /// What its column is called in the database.
    pub fn column(&self) -> &str {
        self.column.as_deref().unwrap_or(&self.name)
    }

    /// Whether a caller must send the field on create.
    pub fn required(&self) -> bool {
        !self.optional && !self.auto && !self.generated && self.default.is_none()
    }
}

/// A checked regular expression, in the syntax of RE2 (linear time).
#[derive(Clone, Debug)]
pub struct Pattern {
    /// As written.
    pub source: String,
    /// Compiled, anchored at both ends.
    pub regex: regex::Regex,
}

/// Field types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// A UUID that Stoa makes in time order (RFC 9562 version 7) and that carries the row's bucket.
    Uuid7,
    /// A UUID.
    Uuid,
    /// Text in UTF-8 without NUL.
    Text,
    /// A 64-bit signed integer.
    Int,
    /// A 64-bit float; never NaN or infinite.
    Float,
    /// A decimal number kept exactly; `1 <= precision <= 38`, `scale <= precision`.
    Decimal {
        /// Digits in all.
        precision: u8,
        /// Digits after the point.
        scale: u8,
    },
    /// True or false.
    Bool,
    /// A moment, RFC 3339, kept in UTC to the microsecond.
    Time,
    /// A day, `YYYY-MM-DD`.
    Date,
    /// Any JSON.
    Json,
    /// One of these texts.
    Enum(Vec<String>),
    /// The key of a row of another resource (or the same): a position in [`super::Plan::resources`].
    /// `value` is the type of that key.
    Ref {
        /// Position of the target in [`super::Plan::resources`].
        resource: usize,
        /// Type of the target's key; never a `Ref`.
        value: Box<Type>,
    },
    /// A list of values of a scalar type.
    List(Box<Type>),
}

impl Type {
    /// The type of the value itself: a `Ref` is its target's key.
    pub fn value(&self) -> &Type {
        match self {
            Self::Ref { value, .. } => value,
            other => other,
        }
    }

    /// Whether one value fits one cell: everything but `json` and lists.
    pub fn is_scalar(&self) -> bool {
        !matches!(self, Self::Json | Self::List(_))
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uuid7 => f.write_str("uuid7"),
            Self::Uuid => f.write_str("uuid"),
            Self::Text => f.write_str("text"),
            Self::Int => f.write_str("int"),
            Self::Float => f.write_str("float"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::Bool => f.write_str("bool"),
            Self::Time => f.write_str("time"),
            Self::Date => f.write_str("date"),
            Self::Json => f.write_str("json"),
            Self::Enum(names) => write!(f, "enum({})", names.join(", ")),
            Self::Ref { value, .. } => write!(f, "ref to {value}"),
            Self::List(item) => write!(f, "list of {item}"),
        }
    }
}

/// `default V`, checked against the field's type.
#[derive(Clone, Debug, PartialEq)]
pub enum DefaultValue {
    /// A fixed value, as JSON of the field's type.
    Value(serde_json::Value),
    /// `default now` of a time or date.
    Now,
}

/// `min` or `max`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The bound as written in the canonical form of the type: digits, or RFC 3339.
    pub text: String,
}
