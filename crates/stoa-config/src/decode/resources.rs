//! `resources:`, as far as one resource can be read by itself. [`crate::resolve`] binds the names.

use super::{Reader, list, policies, read::flag, references};
use crate::{
    fault::codes,
    grammar::{
        self, Words,
        field::{self, ConstraintKind, RawType},
        name, policy, units,
    },
    node::{Entry, Node, Span, Value},
    plan::TableName,
    report::Report,
    spec::{Key, MapSpec, Shape},
};

pub(crate) const NAMES_SHAPE: Shape = Shape::List(&Shape::Value(&name::FIELD_WORDS));

pub(crate) static RESOURCE: MapSpec = MapSpec {
    name: "resource",
    doc: "Data that Stoa serves itself, at `/NAME` and `/NAME/{id}`.",
    keys: &[
        Key::new(
            "store",
            Shape::Value(&name::NAME_WORDS),
            "The store that holds its rows; the only one, or `main`, when left out.",
            "main",
        ),
        Key::new(
            "table",
            Shape::Value(&TABLE_WORDS),
            "An existing table or view to serve: nothing is created or altered. A name with a dot or a quote stands in double quotes, as in SQL.",
            "public.products",
        ),
        Key::new(
            "shard",
            Shape::Value(&SHARD_WORDS),
            "The field by which rows are spread over shards; `single` keeps all on the first.",
            "customer_id",
        )
        .or("single"),
        Key::new(
            "fields",
            Shape::Named(&name::FIELD_WORDS, &FIELD_SHAPE),
            "The fields, which are also the columns. `id: uuid7, key` is added when no key is declared.",
            "{ name: text }",
        )
        .needed(),
        Key::new(
            "references",
            Shape::List(&Shape::Map(&references::REFERENCE)),
            "What an existing table or view refers to beside its `ref` fields: by several columns, to others than the key, or under a constraint's own name. They are ways to embed; nothing is checked by them.",
            "[{ name: shift, fields: [unit, day], to: shifts, targets: [unit, day] }]",
        ),
        Key::new(
            "list",
            Shape::Map(&LIST),
            "What a caller may filter and sort by, and the size of a page.",
            "{ filter: [name], sort: [name], page: 50, max: 200 }",
        ),
        Key::new(
            "read",
            policies::ACCESS_SHAPE,
            "Who may read. Left out: `user` where `auth` is configured.",
            "public",
        ),
        Key::new(
            "write",
            policies::ACCESS_SHAPE,
            "Who may create, update and delete.",
            "role admin",
        ),
        Key::new(
            "create",
            policies::ACCESS_SHAPE,
            "Who may create; as `write` when left out.",
            "user",
        ),
        Key::new(
            "update",
            policies::ACCESS_SHAPE,
            "Who may update; as `write` when left out.",
            "owner customer_id",
        ),
        Key::new(
            "delete",
            policies::ACCESS_SHAPE,
            "Who may delete; as `write` when left out.",
            "none",
        ),
        Key::new(
            "consistency",
            Shape::Value(&policy::CONSISTENCY_WORDS),
            "How fresh a read is, on a store with replicas. A caller may ask for a stricter one.",
            "bounded 5s",
        )
        .or("session"),
        Key::new(
            "was",
            Shape::Value(&name::NAME_WORDS),
            "The name that the created table had before: it is renamed, and keeps its rows.",
            "goods",
        ),
        Key::new(
            "cache",
            policies::CACHE_SHAPE,
            "How long a reply is kept. A write purges what it made stale.",
            "30s",
        ),
        Key::new(
            "stale",
            Shape::Value(&units::DURATION_WORDS),
            "How long after that it may be served while it is fetched anew.",
            "5m",
        ),
    ],
    instead: &[
        ("in", "did you mean `store`?"),
        ("columns", "did you mean `fields`?"),
        ("access", "write `read:` and `write:`"),
        ("filter", "put it under `list`"),
        ("sort", "put it under `list`"),
        ("limit", "limits are for services' routes"),
        ("on", "events are not part of this version"),
    ],
};

pub(crate) static LIST: MapSpec = MapSpec {
    name: "list",
    doc: "What `GET /NAME` offers.",
    keys: &[
        Key::new(
            "filter",
            NAMES_SHAPE,
            "Fields a caller may filter by; every single-valued field when left out.",
            "[name, price]",
        ),
        Key::new(
            "sort",
            NAMES_SHAPE,
            "Fields a caller may sort by; every single-valued field when left out. A json field or a list only by what is inside, as in `order=details->>colour`.",
            "[name]",
        ),
        Key::new(
            "page",
            Shape::Int { min: 1, max: 100_000 },
            "Rows of a page when the caller says no `limit`.",
            "50",
        )
        .or("50"),
        Key::new(
            "max",
            Shape::Int { min: 1, max: 100_000 },
            "The most rows of a page.",
            "200",
        )
        .or("200"),
        Key::new(
            "consistency",
            Shape::Value(&policy::CONSISTENCY_WORDS),
            "How fresh a list is, where it differs from the resource's own.",
            "eventual",
        ),
        Key::new(
            "aggregates",
            Shape::Bool,
            "Whether `select` takes `count()`, `sum()`, `avg()`, `min()` and `max()`, which read every row that a filter finds.",
            "true",
        )
        .or("false"),
    ],
    instead: &[
        ("order", "did you mean `sort`?"),
        ("limit", "did you mean `page` or `max`?"),
    ],
};

pub(crate) const FIELD_SHAPE: Shape = Shape::Any(&[Shape::Value(&field::FIELD_WORDS), Shape::Map(&FIELD)]);

pub(crate) static FIELD: MapSpec = MapSpec {
    name: "field",
    doc: "The long form of `TYPE, CONSTRAINT, …`.",
    keys: &[
        Key::new(
            "type",
            Shape::Value(&field::TYPE_WORDS),
            "The type.",
            "\"decimal(12,2)\"",
        )
        .needed(),
        Key::new("key", Shape::Bool, "Whether it is the key.", "true").or("false"),
        Key::new(
            "unique",
            Shape::Bool,
            "Whether no two rows may share a value; on a sharded resource per shard key.",
            "true",
        )
        .or("false"),
        Key::new(
            "optional",
            Shape::Bool,
            "Whether it may be null and left out.",
            "true",
        )
        .or("false"),
        Key::new(
            "auto",
            Shape::Bool,
            "Whether Stoa fills it in: a key with a new id, a time with now.",
            "true",
        )
        .or("false"),
        Key::new(
            "generated",
            Shape::Bool,
            "Whether the existing table fills it in when a caller leaves it out: a default, a number that counts up.",
            "true",
        )
        .or("false"),
        Key::new(
            "computed",
            Shape::Bool,
            "Whether the existing table alone fills it in, so that no caller may write it.",
            "true",
        )
        .or("false"),
        Key::new(
            "immutable",
            Shape::Bool,
            "Whether it is set on create only.",
            "true",
        )
        .or("false"),
        Key::new(
            "index",
            Shape::Bool,
            "Whether the database keeps an index of it.",
            "true",
        )
        .or("false"),
        Key::new(
            "column",
            Shape::Value(&name::TEXT_WORDS),
            "What the column of an existing table is called, where a field cannot have its name.",
            "\"unit.price\"",
        ),
        Key::new(
            "function",
            Shape::Value(&TABLE_WORDS),
            "The function of PostgreSQL that takes a row of the existing table and gives the value: read by name only, and never written.",
            "public.full_name",
        ),
        Key::new(
            "default",
            Shape::Free,
            "The value when a caller leaves it out; `now` for times.",
            "new",
        ),
        Key::new("min", Shape::Value(&BOUND_WORDS), "The smallest value.", "0"),
        Key::new("max", Shape::Value(&BOUND_WORDS), "The largest value.", "99"),
        Key::new(
            "chars",
            Shape::Value(&field::CHARS_WORDS),
            "Characters of a text, items of a list.",
            "1..120",
        ),
        Key::new(
            "matches",
            Shape::Value(&name::TEXT_WORDS),
            "A regular expression (RE2) that the whole text matches.",
            "\"^[a-z]+$\"",
        ),
        Key::new(
            "was",
            Shape::Value(&name::FIELD_WORDS),
            "The name that the column had before: it is renamed, and keeps its values.",
            "title",
        ),
    ],
    instead: &[
        (
            "required",
            "fields are required unless they are `optional`: leave it out",
        ),
        ("nullable", "did you mean `optional`?"),
        ("pattern", "did you mean `matches`?"),
        ("length", "did you mean `chars`?"),
    ],
};

pub(crate) static TABLE_WORDS: Words = Words::new(
    "a table or function, with or without its schema",
    codes::NAME,
    &[
        "products",
        "public.products",
        "\"my.schema\".\"odd \"\"name\"\"\"",
    ],
);
static SHARD_WORDS: Words = Words::new("a field, or `single`", codes::SHARD, &["customer_id", "single"]);
static BOUND_WORDS: Words = Words::new(
    "a value of the field's type",
    codes::CONSTRAINT,
    &["0", "2026-01-01"],
);

/// A resource whose names are not bound yet.
pub(crate) struct RawResource<'n> {
    pub(crate) name: String,
    pub(crate) name_span: Span,
    pub(crate) read: Reader<'n>,
    pub(crate) table: Option<TableName>,
    pub(crate) fields: Vec<RawDeclaration>,
}

/// A field as declared.
pub(crate) struct RawDeclaration {
    pub(crate) name: String,
    pub(crate) name_span: Span,
    pub(crate) ty: RawType,
    /// Of the type, or of the target's name in a `ref`.
    pub(crate) ty_span: Span,
    pub(crate) constraints: Vec<(ConstraintKind, Span)>,
}

impl RawDeclaration {
    pub(crate) fn constraint(&self, word: &str) -> Option<&(ConstraintKind, Span)> {
        self.constraints.iter().find(|(kind, _)| kind.word() == word)
    }

    pub(crate) fn has(&self, word: &str) -> bool {
        self.constraint(word).is_some()
    }
}

pub(crate) fn resources<'n>(node: &'n Node, report: &mut Report<'_>) -> Vec<RawResource<'n>> {
    let Value::Map(map) = &node.value else {
        if !node.is_null() {
            report
                .wrong_type(node, "`resources`", "a map of names and resources")
                .help("such as `resources: { products: { fields: { name: text } } }`");
        }
        return Vec::new();
    };
    map.entries
        .iter()
        .filter_map(|entry| resource(entry, report))
        .collect()
}

fn resource<'n>(entry: &'n Entry, report: &mut Report<'_>) -> Option<RawResource<'n>> {
    if let Err(flaw) = name::name(&entry.key) {
        report.add(codes::NAME, entry.key_span, flaw.message);
    }
    let what = format!("resource `{}`", entry.key);
    if entry.value.is_null() {
        report
            .add(
                codes::MISSING_KEY,
                entry.key_span,
                format!("{what} has no `fields`"),
            )
            .help("add `fields: { name: text }`");
        return None;
    }
    let read = Reader::open(&RESOURCE, &entry.value, what, report)?;
    let table = read.get("table").and_then(|n| table(n, "table", report));
    let fields = read.get("fields").map(|n| fields(n, report)).unwrap_or_default();
    Some(RawResource {
        name: entry.key.clone(),
        name_span: entry.key_span,
        read,
        table,
        fields,
    })
}

/// A name in a database, with or without its schema.
pub(crate) fn table(node: &Node, what: &str, report: &mut Report<'_>) -> Option<TableName> {
    let text = grammar::scalar(node, &name::TEXT, report)?;
    let named = name::qualified(&text);
    if named.is_none() {
        report
            .add(codes::NAME, node.span, format!("`{text}` is not a {what}"))
            .help(format!(
                "write `{0}` or `SCHEMA.{0}`; a name with a dot or a quote stands in double quotes",
                what.to_uppercase()
            ));
    }
    named
}

fn fields(node: &Node, report: &mut Report<'_>) -> Vec<RawDeclaration> {
    let Value::Map(map) = &node.value else {
        report
            .wrong_type(node, "`fields`", "a map of names and types")
            .help("such as `fields: { name: text, price: \"decimal(12,2), min 0\" }`");
        return Vec::new();
    };
    if map.entries.is_empty() {
        report
            .add(codes::MISSING_KEY, node.span, "`fields` is empty")
            .help("such as `{ name: text }`");
    }
    map.entries
        .iter()
        .map(|entry| declaration(entry, report))
        .collect()
}

fn declaration(entry: &Entry, report: &mut Report<'_>) -> RawDeclaration {
    if let Err(flaw) = (name::FIELD.parse)(&entry.key) {
        report.add(codes::NAME, entry.key_span, flaw.message);
    }
    let (name, name_span) = (entry.key.clone(), entry.key_span);
    let Some((ty, ty_node, constraints)) = typed(entry, report) else {
        return faulty(entry);
    };
    let ty_span = match &ty {
        RawType::Ref(target) => ty_node.part(&target.at),
        _ => ty_node.span,
    };
    RawDeclaration {
        name,
        name_span,
        ty,
        ty_span,
        constraints,
    }
}

/// A type, the node that says it, and the constraints.
type Typed<'n> = (RawType, &'n Node, Vec<(ConstraintKind, Span)>);

fn typed<'n>(entry: &'n Entry, report: &mut Report<'_>) -> Option<Typed<'n>> {
    let node = &entry.value;
    match &node.value {
        Value::Null => {
            if node.is_left_out() {
                let message = format!("field `{}` has no type", entry.key);
                report
                    .add(codes::MISSING_KEY, entry.key_span, message)
                    .help(format!("such as `{}: text`", entry.key));
            }
            None
        }
        Value::Map(_) => {
            let read = Reader::open(&FIELD, node, format!("field `{}`", entry.key), report)?;
            let constraints = long_constraints(&read, report);
            let ty = read.value("type", &field::TYPE, report)?;
            Some((ty, read.get("type")?, constraints))
        }
        _ => {
            let raw = grammar::scalar(node, &field::FIELD, report)?;
            let constraints = raw.constraints.into_iter().map(|c| (c.kind, node.part(&c.at)));
            Some((raw.ty, node, constraints.collect()))
        }
    }
}

/// A field whose fault is told stays known, so that what names it is not at fault as well; it stays the
/// key if it may have been meant to be.
fn faulty(entry: &Entry) -> RawDeclaration {
    let node = &entry.value;
    let key = match &node.value {
        Value::Scalar(scalar) => scalar.text.contains("key"),
        Value::Map(map) => map.get("key").is_some(),
        _ => entry.key == "id",
    };
    RawDeclaration {
        name: entry.key.clone(),
        name_span: entry.key_span,
        ty: RawType::Text,
        ty_span: node.span,
        constraints: key
            .then_some((ConstraintKind::Key, node.span))
            .into_iter()
            .collect(),
    }
}

fn long_constraints(read: &Reader<'_>, report: &mut Report<'_>) -> Vec<(ConstraintKind, Span)> {
    let mut found = Vec::new();
    let switches = [
        ConstraintKind::Key,
        ConstraintKind::Unique,
        ConstraintKind::Optional,
        ConstraintKind::Auto,
        ConstraintKind::Generated,
        ConstraintKind::Computed,
        ConstraintKind::Immutable,
        ConstraintKind::Index,
    ];
    for kind in switches {
        let word = kind.word();
        if let Some(node) = read.get(word)
            && flag(node, word, report) == Some(true)
        {
            found.push((kind, read.key_span(word)));
        }
    }
    for word in ["min", "max", "matches", "was", "column"] {
        let kind = match word {
            "min" => ConstraintKind::Min,
            "column" => ConstraintKind::Column,
            "max" => ConstraintKind::Max,
            "was" => ConstraintKind::Was,
            _ => ConstraintKind::Matches,
        };
        if let (Some(node), Some(text)) = (read.get(word), read.value(word, &name::TEXT, report)) {
            found.push((kind(text), node.span));
        }
    }
    if let Some(node) = read.get("function")
        && let Some(name) = table(node, "function", report)
    {
        found.push((ConstraintKind::Function(Some(name)), node.span));
    }
    if let Some((min, max)) = read.value("chars", &field::CHARS, report) {
        found.push((
            ConstraintKind::Chars(min, max),
            read.get("chars").map_or_else(Span::default, |n| n.span),
        ));
    }
    if let Some(node) = read.get("default") {
        found.push((ConstraintKind::Default(literal(node)), node.span));
    }
    found
}

/// A default in YAML as the text of the short form.
fn literal(node: &Node) -> String {
    match &node.value {
        // Quotes of YAML are not quotes of the value: `default: "now"` is `now`.
        Value::Scalar(scalar) => scalar.text.clone(),
        _ => crate::effective::to_json(node).to_string(),
    }
}

/// Names of a list and where they stand, without those that are not text.
pub(crate) fn names<'n>(node: &'n Node, what: &str, report: &mut Report<'_>) -> Vec<(String, &'n Node)> {
    list(node, what, report)
        .iter()
        .filter_map(|item| Some((grammar::scalar(item, &name::TEXT, report)?, item)))
        .collect()
}
