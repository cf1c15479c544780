//! Plans and operations for the suite, written short.

use crate::operation::{
    Change, Compare, Condition, Conflict, Count, FieldIndex, Freshness, Item, Order, Precondition, Read,
    Write,
};
use crate::store::{Outcome, Page, Store, StoreError, Written};
use crate::value::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use stoa_config::plan::{
    Access, Field, List, Place, Plan, Resource, Rule, Rules, Shard, StoreKind, TableName, Type,
};
use stoa_exchange::clock;

/// A field: name, type, and the words of its constraints.
pub(crate) fn field(name: &str, ty: Type, words: &str) -> Field {
    let has = |word: &str| words.split_whitespace().any(|w| w == word);
    Field {
        name: name.to_owned(),
        place: Place::default(),
        ty,
        unique: has("unique"),
        optional: has("optional"),
        auto: has("auto"),
        immutable: has("immutable"),
        index: has("index"),
        default: None,
        min: None,
        max: None,
        chars: None,
        matches: None,
        generated: false,
        function: None,
        column: None,
        was: None,
    }
}

pub(crate) fn resource(name: &str, fields: Vec<Field>, key: &[usize]) -> Resource {
    let rule = || Rule {
        access: Access::Public,
        written: true,
        place: Place::default(),
    };
    Resource {
        name: name.to_owned(),
        place: Place::default(),
        store: 0,
        table: None,
        shard: Shard::Single,
        references: Vec::new(),
        by_function: Vec::new(),
        list: List {
            filter: (0..fields.len()).collect(),
            sort: (0..fields.len()).collect(),
            page: 50,
            max: 200,
            aggregates: false,
            consistency: None,
        },
        fields,
        key: key.to_vec(),
        rules: Rules {
            read: rule(),
            create: rule(),
            update: rule(),
            delete: rule(),
        },
        cache: None,
        consistency: stoa_config::plan::Consistency::default(),
        was: None,
    }
}

pub(crate) fn bound(name: &str, table: &str, fields: Vec<Field>, key: &[usize]) -> Resource {
    let table = Some(TableName {
        schema: None,
        name: table.to_owned(),
    });
    Resource {
        table,
        ..resource(name, fields, key)
    }
}

pub(crate) fn refers(resource: usize, value: Type) -> Type {
    Type::Ref {
        resource,
        value: Box::new(value),
    }
}

pub(crate) fn plan(path: &Path, resources: Vec<Resource>) -> Plan {
    let file = "api: test\nstores: { main: 'sqlite:x' }\nresources: { any: { fields: { n: int } } }\n";
    let mut plan = Plan::clone(&crate::testing::plan(file));
    plan.file = path.with_extension("yaml");
    plan.stores[0].kind = StoreKind::Sqlite {
        path: path.to_owned(),
    };
    plan.resources = resources;
    plan
}

/// The positions of the fields of [`things`].
pub(crate) mod thing {
    pub(crate) const ID: usize = 0;
    pub(crate) const N: usize = 2;
    pub(crate) const PRICE: usize = 3;
    pub(crate) const BIG: usize = 4;
    pub(crate) const OK: usize = 6;
    pub(crate) const DATA: usize = 9;
    pub(crate) const TAGS: usize = 10;
    pub(crate) const CODE: usize = 11;
}

/// A resource with every kind of field.
pub(crate) fn things() -> Resource {
    let fields = vec![
        field("id", Type::Int, "key"),
        field("name", Type::Text, "optional"),
        field("n", Type::Int, "optional index"),
        field(
            "price",
            Type::Decimal {
                precision: 12,
                scale: 2,
            },
            "optional",
        ),
        field(
            "big",
            Type::Decimal {
                precision: 38,
                scale: 6,
            },
            "optional",
        ),
        field("ratio", Type::Float, "optional"),
        field("ok", Type::Bool, "optional"),
        field("at", Type::Time, "optional"),
        field("day", Type::Date, "optional"),
        field("data", Type::Json, "optional"),
        field("tags", Type::List(Box::new(Type::Text)), "optional"),
        field("code", Type::Text, "optional unique"),
    ];
    resource("things", fields, &[0])
}

/// Resource 1: refers to things.
pub(crate) fn parts() -> Resource {
    let fields = vec![
        field("id", Type::Int, "key"),
        field("thing", refers(0, Type::Int), "optional"),
        field("label", Type::Text, "optional"),
        field(
            "weight",
            Type::Decimal {
                precision: 38,
                scale: 3,
            },
            "optional",
        ),
        field("size", Type::Float, "optional"),
    ];
    resource("parts", fields, &[0])
}

pub(crate) fn soon() -> Instant {
    clock::now() + Duration::from_secs(20)
}

pub(crate) fn text(text: &str) -> Value {
    Value::Text(text.into())
}

pub(crate) fn decimal(text: &str) -> Value {
    Value::Decimal(text.into())
}

/// The fields by their names.
pub(crate) fn items(resource: &Resource, fields: &[FieldIndex]) -> Vec<Item> {
    fields
        .iter()
        .map(|f| Item::Field {
            field: *f,
            path: Vec::new(),
            cast: None,
            name: resource.fields[*f].name.as_str().into(),
        })
        .collect()
}

pub(crate) fn ascending(field: FieldIndex) -> Order {
    Order {
        embed: None,
        field,
        path: Vec::new(),
        descending: false,
        nulls_first: false,
    }
}

/// All rows of the first field by the key, at most 1,000.
pub(crate) fn read(resource: usize, select: Vec<Item>, filter: Condition) -> Read {
    Read {
        resource,
        select: Arc::new(select),
        filter,
        order: vec![ascending(0)],
        limit: 1_000,
        offset: 0,
        after: None,
        count: Count::None,
        bucket: None,
        run_as: None,
        fresh: Freshness::default(),
        partial: false,
    }
}

pub(crate) fn compare(field: FieldIndex, op: Compare, value: Value) -> Condition {
    Condition::Compare {
        field,
        path: Vec::new(),
        op,
        value,
    }
}

pub(crate) fn is(field: FieldIndex, value: impl Into<Value>) -> Condition {
    compare(field, Compare::Eq, value.into())
}

impl From<i64> for Value {
    fn from(n: i64) -> Self {
        Self::Int(n)
    }
}

pub(crate) fn write(resource: usize, change: Change) -> Write {
    Write {
        resource,
        change,
        returning: None,
        max_affected: None,
        exactly_one: false,
        rollback: false,
        idempotency: None,
        must_exist: Vec::new(),
        run_as: None,
        per_shard: false,
    }
}

/// The bucket of the row whose key is this number.
pub(crate) fn bucket(n: usize) -> u16 {
    crate::bucket::bucket_of(&Value::Int(i64::try_from(n).unwrap()))
}

pub(crate) fn insert(resource: usize, fields: &[FieldIndex], rows: Vec<Vec<Value>>) -> Write {
    write(
        resource,
        Change::Insert {
            fields: fields.to_vec(),
            buckets: rows.iter().map(|row| bucket(key_of(&row[0]))).collect(),
            rows,
            conflict: Conflict::Refuse,
            check: Condition::True,
        },
    )
}

fn key_of(value: &Value) -> usize {
    match value {
        Value::Int(n) => usize::try_from(n.unsigned_abs()).unwrap(),
        _ => 0,
    }
}

pub(crate) fn update(resource: usize, filter: Condition, set: Vec<(FieldIndex, Value)>) -> Write {
    write(
        resource,
        Change::Update {
            filter,
            bucket: None,
            set,
            precondition: Precondition::None,
            check: Condition::True,
        },
    )
}

pub(crate) fn delete(resource: usize, filter: Condition) -> Write {
    write(
        resource,
        Change::Delete {
            filter,
            bucket: None,
            precondition: Precondition::None,
        },
    )
}

/// Runs a future in this thread's runtime, as a worker does: connections outlive a request.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
    }
    RUNTIME.with(|runtime| runtime.block_on(future))
}

pub(crate) fn page(store: &dyn Store, read: &Read) -> Page {
    run(store.read(read, soon())).unwrap()
}

/// The rows of a read as JSON text.
pub(crate) fn json(store: &dyn Store, read: &Read) -> String {
    String::from_utf8(page(store, read).json).unwrap()
}

pub(crate) fn try_write(store: &dyn Store, write: Write) -> Result<Written, StoreError> {
    match run(store.write(write, soon(), None))?.outcome {
        Outcome::Written(written) => Ok(written),
        Outcome::Replayed(_) => panic!("no key was given"),
        Outcome::Parts(_) => panic!("nothing was to be split"),
    }
}

pub(crate) fn done(store: &dyn Store, write: Write) -> Written {
    try_write(store, write).unwrap()
}

/// A migrated SQLite store in a new folder.
pub(crate) fn sqlite(resources: Vec<Resource>) -> (tempfile::TempDir, Arc<Plan>, Arc<dyn Store>) {
    let folder = tempfile::tempdir().unwrap();
    let plan = Arc::new(plan(&folder.path().join("test.db"), resources));
    crate::migrate::apply(&plan, 0, false).unwrap();
    let store = crate::store::open(&plan, 0).unwrap();
    (folder, plan, store)
}
