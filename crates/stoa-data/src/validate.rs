//! Bodies against the API file: every bad field of every row, in one reply.

use crate::{
    bucket, codes,
    json::Json,
    operation::FieldIndex,
    parse::body::Row,
    refusal::{Refusal, shorten},
    rest,
    value::{Value, from_json, from_text, nearest},
};
use stoa_config::plan::{DefaultValue, Field, Resource, Type};
use stoa_exchange::{FieldError, clock};

/// The most errors that one reply lists.
const ERRORS_MAX: usize = 200;

/// The constraints of a resource's fields, read once.
#[derive(Debug)]
pub(crate) struct Rules {
    fields: Vec<Bounds>,
}

#[derive(Debug)]
struct Bounds {
    min: Option<Value>,
    max: Option<Value>,
    default: Option<DefaultFill>,
}

#[derive(Debug)]
enum DefaultFill {
    Value(Value),
    Now,
}

impl Rules {
    /// Reads the constraints; the plan has checked them.
    pub(crate) fn new(resource: &Resource) -> Self {
        let bounds = |field: &Field| {
            let ty = match field.ty.value() {
                Type::List(item) => item.as_ref(),
                other => other,
            };
            Bounds {
                min: field.min.as_ref().and_then(|b| from_text(ty, &b.text).ok()),
                max: field.max.as_ref().and_then(|b| from_text(ty, &b.text).ok()),
                default: match &field.default {
                    None => None,
                    Some(DefaultValue::Now) => Some(DefaultFill::Now),
                    Some(DefaultValue::Value(json)) => default(&field.ty, json).map(DefaultFill::Value),
                },
            }
        };
        Self {
            fields: resource.fields.iter().map(bounds).collect(),
        }
    }

    /// What stands in a field that the body leaves out; `None` for nothing.
    pub(crate) fn default(&self, field: FieldIndex, ty: &Type, now_micros: i64) -> Option<Value> {
        match self.fields.get(field)?.default.as_ref()? {
            DefaultFill::Value(value) => Some(value.clone()),
            DefaultFill::Now => Some(now(ty, now_micros)),
        }
    }
}

fn default(ty: &Type, json: &serde_json::Value) -> Option<Value> {
    let parsed = crate::json::parse(json.to_string().as_bytes()).ok()?;
    from_json(ty, &parsed).ok()
}

fn now(ty: &Type, micros: i64) -> Value {
    match ty.value() {
        Type::Date => Value::Date(micros.div_euclid(86_400_000_000) as i32),
        _ => Value::Time(micros),
    }
}

/// The wall clock in microseconds.
pub(crate) fn now_micros() -> i64 {
    i64::try_from(clock::unix_micros()).unwrap_or(i64::MAX)
}

/// One bad field.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Bad {
    pub(crate) row: usize,
    pub(crate) field: String,
    pub(crate) message: String,
    kind: BadKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BadKind {
    Unknown,
    Missing,
    Fixed,
    /// The key differs from the path's.
    Key,
    Type,
    Constraint,
}

/// A body being checked.
pub(crate) struct Check<'a> {
    pub(crate) resource: &'a Resource,
    pub(crate) rules: &'a Rules,
    /// One moment for every row of the body.
    pub(crate) now_micros: i64,
    /// Every value is text, to be read in its field's type.
    pub(crate) texts: bool,
    /// A patch may set the key of an existing table.
    pub(crate) rekey: bool,
    /// Rows that were made elsewhere bring along what the server fills in.
    pub(crate) is_whole: bool,
    /// Whether a row that is there is patched.
    patches: bool,
    pub(crate) bad: Vec<Bad>,
}

/// How a new row is completed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Completion<'a> {
    /// The owner that is filled in when the body leaves the field out.
    pub(crate) fill: Option<&'a (FieldIndex, Value)>,
    /// Fields of `columns` that are null when a row leaves them out, instead of their default.
    pub(crate) null_when_missing: Option<&'a [FieldIndex]>,
    /// The key in the path of a `PUT`.
    pub(crate) key: Option<&'a Value>,
    /// The bucket of a row whose place is its generated key's: the same at every repetition of the request.
    pub(crate) bucket: Option<u16>,
}

/// A whole new row, one entry per field of the resource, and its bucket. `None` where the database fills in.
#[derive(Clone)]
pub(crate) struct NewRow {
    pub(crate) values: Vec<Option<Value>>,
    pub(crate) bucket: u16,
}

impl<'a> Check<'a> {
    pub(crate) fn new(resource: &'a Resource, rules: &'a Rules) -> Self {
        Self {
            resource,
            rules,
            now_micros: now_micros(),
            texts: false,
            rekey: false,
            is_whole: false,
            patches: false,
            bad: Vec::new(),
        }
    }

    fn say(&mut self, row: usize, field: &str, kind: BadKind, message: impl Into<String>) {
        if self.bad.len() < ERRORS_MAX {
            self.bad.push(Bad {
                row,
                field: field.to_owned(),
                message: message.into(),
                kind,
            });
        }
    }

    /// The given members as typed values by field; notes the unknown and the wrong ones.
    fn given(&mut self, at: usize, row: &Row) -> Vec<Option<Value>> {
        let mut values = vec![None; self.resource.fields.len()];
        for (name, json) in row {
            let Some((position, field)) = self.resource.field(name) else {
                if self.bad.len() >= ERRORS_MAX {
                    // Looking for near names of a million keys would hold the worker.
                    continue;
                }
                let near = nearest(name, self.resource.fields.iter().map(|f| f.name.as_str()));
                let near = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                self.say(
                    at,
                    &shorten(name),
                    BadKind::Unknown,
                    format!("is not a field of `{}`{near}", self.resource.name),
                );
                continue;
            };
            match sent(&field.ty, json, self.texts) {
                Ok(value) => {
                    self.constraints(at, position, field, &value);
                    values[position] = Some(value);
                }
                Err(message) => {
                    self.say(at, &field.name, BadKind::Type, message);
                    // Bad, but not missing.
                    values[position] = Some(Value::Null);
                }
            }
        }
        values
    }

    fn is_bad(&self, row: usize, field: &str) -> bool {
        self.bad.iter().any(|b| b.row == row && b.field == field)
    }

    fn constraints(&mut self, at: usize, position: usize, field: &Field, value: &Value) {
        let rules = self.rules;
        let Some(bounds) = rules.fields.get(position) else {
            return;
        };
        let mut wrong = Vec::new();
        match value {
            Value::Text(text) => text_constraints(field, text, &mut wrong),
            Value::List(items) => {
                if let Some((min, max)) = field.chars {
                    length(items.len(), min, max, "item", &mut wrong);
                }
                for item in items {
                    range(bounds, item, &mut wrong);
                }
            }
            _ => {}
        }
        range(bounds, value, &mut wrong);
        for message in wrong {
            self.say(at, &field.name, BadKind::Constraint, message);
        }
    }

    /// Notes never-changing fields that a `PUT` on an existing row would change.
    pub(crate) fn unchanged(&mut self, row: &Row, existing: Option<&[(FieldIndex, Value)]>) {
        let Some(existing) = existing else { return };
        for (position, value) in fixed_members(self.resource, row, self.texts) {
            let differs = existing.iter().any(|(f, v)| *f == position && *v != value);
            if differs {
                let name = self.resource.fields[position].name.clone();
                self.say(0, &name, BadKind::Fixed, "cannot be changed once the row exists");
            }
        }
    }

    /// A whole new row from what the caller sent.
    pub(crate) fn create(&mut self, at: usize, row: &Row, completion: Completion<'_>) -> NewRow {
        let mut values = self.given(at, row);
        let resource = self.resource;
        for (position, field) in resource.fields.iter().enumerate() {
            let is_key = resource.key.contains(&position);
            match values[position].take() {
                // A key may be written, unless the table alone counts it up.
                Some(_)
                    if !self.is_whole
                        && field.auto
                        && (!is_key || (field.generated && completion.key.is_none())) =>
                {
                    self.say(
                        at,
                        &field.name,
                        BadKind::Fixed,
                        "is filled in by the server and cannot be written",
                    );
                }
                Some(Value::Null) if !field.optional => {
                    if !self.is_bad(at, &field.name) {
                        self.say(at, &field.name, BadKind::Missing, "must not be null");
                    }
                }
                Some(value) => values[position] = Some(value),
                None => values[position] = self.absent(at, position, field, completion),
            }
        }
        if let Some(key) = completion.key {
            self.key_of_path(at, key, &mut values);
        }
        let bucket = self.place(at, &mut values, completion.bucket);
        NewRow { values, bucket }
    }

    fn absent(
        &mut self,
        at: usize,
        position: usize,
        field: &Field,
        completion: Completion<'_>,
    ) -> Option<Value> {
        let is_key = self.resource.key.contains(&position);
        if is_key && completion.key.is_some() {
            return None;
        }
        // The table alone fills it in, or it has no column.
        if field.generated && field.auto {
            return None;
        }
        if let Some((fill, value)) = completion.fill
            && *fill == position
        {
            return Some(value.clone());
        }
        if completion
            .null_when_missing
            .is_some_and(|fields| fields.contains(&position))
        {
            if field.optional {
                return Some(Value::Null);
            }
            self.say(at, &field.name, BadKind::Missing, "must not be null");
            return None;
        }
        if let Some(value) = self.rules.default(position, &field.ty, self.now_micros) {
            return Some(value);
        }
        if field.generated {
            return None;
        }
        match field.ty.value() {
            // Made once the bucket is known.
            Type::Uuid7 if is_key => None,
            Type::Uuid if is_key && field.auto => None,
            Type::Time | Type::Date if field.auto => Some(now(&field.ty, self.now_micros)),
            Type::Uuid | Type::Uuid7 if field.auto => Some(Value::Uuid(bucket::new_id(0))),
            _ if field.auto => None,
            // What the API file does not say about a table of others, the table itself may: its columns have
            // defaults, and its integer keys are counted up.
            _ if self.resource.table.is_some() && field.optional => None,
            Type::Int if self.resource.table.is_some() && self.resource.key == [position] => None,
            _ if field.optional => Some(Value::Null),
            _ => {
                self.say(at, &field.name, BadKind::Missing, "is required");
                None
            }
        }
    }

    fn key_of_path(&mut self, at: usize, key: &Value, values: &mut [Option<Value>]) {
        let parts = match key {
            Value::List(parts) => parts.as_slice(),
            one => std::slice::from_ref(one),
        };
        let resource = self.resource;
        for (position, key) in resource.key.iter().zip(parts) {
            let Some(value) = values.get_mut(*position) else {
                continue;
            };
            match value {
                Some(given) if given != key => {
                    let message = format!("must be `{key}`, as in the address");
                    self.say(at, &resource.fields[*position].name, BadKind::Key, message);
                }
                _ => *value = Some(key.clone()),
            }
        }
    }

    /// The bucket of a new row, and the generated key that carries it.
    fn place(&mut self, at: usize, values: &mut [Option<Value>], wanted: Option<u16>) -> u16 {
        let resource = self.resource;
        let [key] = resource.key[..] else { return 0 };
        let field = &resource.fields[key];
        let generated = values[key].is_none() && matches!(field.ty.value(), Type::Uuid7 | Type::Uuid);
        if resource.table.is_some() {
            if generated && !field.generated {
                values[key] = Some(Value::Uuid(bucket::new_id(0)));
            }
            return 0;
        }
        let by = resource.shard.field().unwrap_or(key);
        if by == key {
            if generated {
                let id = wanted.map_or_else(|| bucket::new_id(0), bucket::new_id_in);
                values[key] = Some(Value::Uuid(id));
            }
            return values[key]
                .as_ref()
                .map_or(0, |key| bucket::bucket_by(resource.shard, key));
        }
        let Some(value) = &values[by] else { return 0 };
        let bucket = bucket::bucket_by(resource.shard, value);
        match &values[key] {
            Some(Value::Uuid(id)) if field.ty == Type::Uuid7 && bucket::bucket_in(id) != bucket => {
                let by = &resource.fields[by].name;
                let message = format!(
                    "does not belong to this `{by}`: ids of `{}` carry its bucket; leave `{}` out and it is made",
                    resource.name, field.name
                );
                self.say(at, &field.name, BadKind::Constraint, message);
            }
            None if generated => values[key] = Some(Value::Uuid(bucket::new_id(bucket))),
            _ => {}
        }
        bucket
    }

    /// The values that a patch sets. `stored` are the values as they are of fields that cannot change: sending those is fine.
    pub(crate) fn patch(&mut self, row: &Row, stored: &[(FieldIndex, Value)]) -> Vec<(FieldIndex, Value)> {
        self.patches = true;
        let values = self.given(0, row);
        let resource = self.resource;
        let mut set = Vec::new();
        for (position, value) in values.into_iter().enumerate() {
            let (Some(value), Some(field)) = (value, resource.fields.get(position)) else {
                continue;
            };
            if self.is_bad(0, &field.name) {
                continue;
            }
            if is_fixed(resource, position) && !(self.rekey && may_rekey(resource, position)) {
                if !stored.iter().any(|(f, v)| *f == position && *v == value) {
                    let why = if field.auto && !resource.key.contains(&position) {
                        "is filled in by the server and cannot be written"
                    } else {
                        "cannot be changed once the row exists"
                    };
                    self.say(0, &field.name, BadKind::Fixed, why);
                }
                continue;
            }
            if value.is_null() && !field.optional {
                self.say(0, &field.name, BadKind::Missing, "must not be null");
                continue;
            }
            set.push((position, value));
        }
        set
    }

    /// The refusal that lists everything that is wrong; `None` when nothing is. `array` puts positions before the fields.
    pub(crate) fn finish(self, array: bool) -> Option<Refusal> {
        let first = self.bad.first()?;
        let relation = rest::relation_name(self.resource);
        let field = first.field.clone();
        let mut details = None;
        let message = match first.kind {
            BadKind::Unknown => (
                "PGRST204",
                format!("Could not find the '{field}' column of '{relation}' in the schema cache"),
            ),
            BadKind::Missing => (
                "23502",
                format!(
                    "null value in column \"{field}\" of relation \"{relation}\" violates not-null constraint"
                ),
            ),
            BadKind::Fixed => {
                details = self.generated(&field);
                (
                    "428C9",
                    fixed(&field, self.patches, details.is_some(), &first.message),
                )
            }
            BadKind::Key => (
                "PGRST115",
                "Payload values do not match URL in primary key column(s)".to_owned(),
            ),
            BadKind::Type => (
                "22P02",
                format!("invalid input syntax for \"{field}\": it {}", first.message),
            ),
            BadKind::Constraint => (
                "23514",
                format!(
                    "new row for relation \"{relation}\" violates check constraint \"{relation}_{field}_check\""
                ),
            ),
        };
        let stop = if first.message.ends_with('?') { "" } else { "." };
        let detail = match self.bad.len() {
            1 => format!("`{field}` {}{stop}", first.message),
            n => format!(
                "{n} fields do not fit; the first is `{field}`, which {}{stop}",
                first.message
            ),
        };
        let errors = self.bad.into_iter().map(|bad| FieldError {
            field: if array {
                format!("{}.{}", bad.row, bad.field)
            } else {
                bad.field
            },
            message: bad.message,
        });
        let errors = errors.collect();
        let refusal = Refusal::new(&codes::INVALID_FIELDS, detail)
            .errors(errors)
            .postgrest(message.0, 400, message.1);
        Some(match details {
            Some(details) => refusal.details(details),
            None => refusal,
        })
    }

    /// PostgreSQL's words about a column that its table alone fills in. A key is one that counts.
    fn generated(&self, name: &str) -> Option<String> {
        let (position, field) = self.resource.field(name)?;
        let what = if self.resource.key.contains(&position) {
            "an identity column defined as GENERATED ALWAYS"
        } else {
            "a generated column"
        };
        let own = field.generated && field.auto && field.function.is_none();
        own.then(|| format!("Column \"{}\" is {what}.", field.column()))
    }
}

/// What PostgreSQL says of a write to a column that cannot be written.
fn fixed(field: &str, patches: bool, generated: bool, why: &str) -> String {
    match (generated, patches) {
        (true, true) => format!("column \"{field}\" can only be updated to DEFAULT"),
        (true, false) => format!("cannot insert a non-DEFAULT value into column \"{field}\""),
        (false, _) => format!("column \"{field}\" cannot be written: it {why}"),
    }
}

/// Whether a field of an existing row never changes: keys, shard keys, `immutable` and `auto` ones.
pub(crate) fn is_fixed(resource: &Resource, position: FieldIndex) -> bool {
    let Some(field) = resource.fields.get(position) else {
        return false;
    };
    field.auto
        || field.immutable
        || resource.key.contains(&position)
        || resource.shard.field() == Some(position)
}

/// Whether a field is fixed only because it is part of the key: of a table that others made, the database decides
/// whether a key changes.
fn may_rekey(resource: &Resource, position: FieldIndex) -> bool {
    let sharded = resource.shard.field() == Some(position);
    let field = resource.fields.get(position);
    let keyed = resource.key.contains(&position) && field.is_some_and(|field| !field.auto);
    keyed && resource.table.is_some() && !sharded
}

/// A member as a value of its field; `texts` says that every value came as text.
fn sent(ty: &Type, json: &Json, texts: bool) -> Result<Value, String> {
    match json {
        Json::Text(text) if texts => from_text(ty, text),
        json => from_json(ty, json),
    }
}

fn text_constraints(field: &Field, text: &str, wrong: &mut Vec<String>) {
    if let Some((min, max)) = field.chars {
        length(text.chars().count(), min, max, "character", wrong);
    }
    if let Some(pattern) = &field.matches
        && !pattern.regex.is_match(text)
    {
        wrong.push(format!("must match {}", pattern.source));
    }
}

fn length(count: usize, min: u32, max: u32, unit: &str, wrong: &mut Vec<String>) {
    if count < min as usize || count > max as usize {
        let s = if max == 1 { "" } else { "s" };
        wrong.push(format!("must have {min} to {max} {unit}{s}, not {count}"));
    }
}

fn range(bounds: &Bounds, value: &Value, wrong: &mut Vec<String>) {
    let beyond =
        |bound: &Option<Value>, order| bound.as_ref().is_some_and(|b| value.compare(b) == Some(order));
    if let (Some(min), true) = (&bounds.min, beyond(&bounds.min, std::cmp::Ordering::Less)) {
        wrong.push(format!("must be at least {min}"));
    }
    if let (Some(max), true) = (&bounds.max, beyond(&bounds.max, std::cmp::Ordering::Greater)) {
        wrong.push(format!("must be at most {max}"));
    }
}

/// Members of a row that the caller gave for fields that never change, as typed values.
pub(crate) fn fixed_members(resource: &Resource, row: &Row, texts: bool) -> Vec<(FieldIndex, Value)> {
    let one = |(name, json): &(Box<str>, Json)| {
        let (position, field) = resource.field(name)?;
        let fixed = is_fixed(resource, position);
        fixed
            .then(|| sent(&field.ty, json, texts).ok().map(|v| (position, v)))
            .flatten()
    };
    row.iter().filter_map(one).collect()
}

#[cfg(test)]
mod tests;
