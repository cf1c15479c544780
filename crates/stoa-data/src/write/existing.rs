//! What a write must know of rows that exist: fields that never change, json to merge with, referred rows of other
//! stores.

use crate::{
    allow::Verb,
    codes,
    handler::Call,
    json::{self, Json},
    operation::{Change, Condition, Count, FieldIndex, Freshness, Item, Precondition, Read, Version, Write},
    parse::body::Row,
    read,
    refusal::{Refusal, Result},
    run_as,
    store::{StoreError, is_enforced},
    trouble, validate,
    value::{Value, from_json},
};
use std::sync::Arc;
use stoa_config::plan::{Resource, Type};

/// How deep a merged value may become.
const MERGE_DEPTH_MAX: usize = json::DEPTH_MAX;

/// The values of the fields, as they are.
async fn values(
    call: &Call<'_>,
    id: &Value,
    fields: &[FieldIndex],
) -> Result<(Vec<(FieldIndex, Value)>, Option<Version>)> {
    let item = |field: &FieldIndex| Item::Field {
        field: *field,
        path: Vec::new(),
        cast: None,
        name: call.resource.fields[*field].name.as_str().into(),
    };
    let items: Vec<Item> = fields.iter().map(item).collect();
    let (page, _) = read::row(call, id, Arc::new(items), Verb::Update).await?;
    let broken = |why: String| {
        Refusal::new(&stoa_exchange::codes::INTERNAL, "The row could not be read back.").cause(why)
    };
    let Json::Object(members) = json::parse_own(&page.json).map_err(|e| broken(e.to_string()))? else {
        return Err(broken(String::from("a row is an object")));
    };
    let mut values = Vec::with_capacity(members.len());
    for (name, json) in &members {
        if let Some((position, field)) = call.resource.field(name) {
            values.push((position, from_json(&field.ty, json).map_err(broken)?));
        }
    }
    Ok((values, page.version))
}

/// The values of the never-changing fields that a `PUT` sends; `None` when it sends none or the row is not there.
pub(super) async fn fixed(
    call: &Call<'_>,
    id: &Value,
    row: &Row,
    texts: bool,
) -> Result<Option<Vec<(FieldIndex, Value)>>> {
    let members = validate::fixed_members(call.resource, row, texts);
    let fields: Vec<FieldIndex> = members
        .iter()
        .map(|(f, _)| *f)
        .filter(|f| !call.resource.key.contains(f))
        .collect();
    if fields.is_empty() {
        return Ok(None);
    }
    match values(call, id, &fields).await {
        Ok((values, _)) => Ok(Some(values)),
        Err(refusal) if is_none(&refusal) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// Whether the row is not there, or not for the caller to update: a `PUT` may still create it.
fn is_none(refusal: &Refusal) -> bool {
    refusal.code() == &codes::ROW_NOT_FOUND
        || refusal.code() == &stoa_exchange::codes::FORBIDDEN
        || refusal.code() == &stoa_exchange::codes::UNAUTHENTICATED
}

/// What stands in the row that a patch is for.
#[derive(Debug, Default)]
pub(super) struct Stored {
    /// Never-changing fields that the patch sends, the key among them.
    pub(super) fixed: Vec<(FieldIndex, Value)>,
    /// Json fields to merge with.
    json: Vec<(FieldIndex, Value)>,
    /// The version they belong to; set only when there is something to merge.
    pub(super) version: Option<Version>,
}

/// Reads what a patch needs to know, and nothing when it needs nothing.
pub(super) async fn for_patch(
    call: &Call<'_>,
    id: &Value,
    row: &Row,
    texts: bool,
    wanted: &Precondition,
) -> Result<Stored> {
    let members = validate::fixed_members(call.resource, row, texts);
    let key = |field: &FieldIndex| call.resource.key.contains(field);
    let fixed: Vec<FieldIndex> = members.iter().map(|(f, _)| *f).filter(|f| !key(f)).collect();
    let merged = |(name, json): &(Box<str>, Json)| {
        let (position, field) = call.resource.field(name)?;
        (matches!(field.ty, Type::Json)
            && matches!(json, Json::Object(_))
            && !validate::is_fixed(call.resource, position))
        .then_some(position)
    };
    let json: Vec<FieldIndex> = row.iter().filter_map(merged).collect();
    let mut stored = Stored::default();
    if let [position] = call.resource.key[..] {
        stored.fixed.push((position, id.clone()));
    }
    if fixed.is_empty() && json.is_empty() {
        return Ok(stored);
    }
    let all: Vec<FieldIndex> = fixed.iter().chain(&json).copied().collect();
    let (values, version) = match values(call, id, &all).await {
        Err(refusal)
            if refusal.code() == &codes::ROW_NOT_FOUND && matches!(wanted, Precondition::Versions(_)) =>
        {
            return Err(trouble::precondition_failed());
        }
        other => other?,
    };
    for (field, value) in values {
        let list = if json.contains(&field) {
            &mut stored.json
        } else {
            &mut stored.fixed
        };
        list.push((field, value));
    }
    stored.version = version.filter(|_| !json.is_empty());
    Ok(stored)
}

impl Stored {
    /// Merges objects for json fields with what stands there (RFC 7396).
    pub(super) fn merge(&self, set: &mut [(FieldIndex, Value)], resource: &Resource) -> Result<()> {
        for (field, value) in set {
            let Some((_, Value::Json(old))) = self.json.iter().find(|(f, _)| f == field) else {
                // Nothing stands there: nulls in the patch still mean "leave out".
                if self.json.iter().any(|(f, _)| f == field) {
                    *value = merged(resource, *field, None, value)?;
                }
                continue;
            };
            *value = merged(resource, *field, Some(old), value)?;
        }
        Ok(())
    }
}

fn merged(resource: &Resource, field: FieldIndex, old: Option<&str>, patch: &Value) -> Result<Value> {
    let Value::Json(patch) = patch else {
        return Ok(patch.clone());
    };
    let name = &resource.fields[field].name;
    let broken = |e: json::JsonError| {
        Refusal::new(
            &stoa_exchange::codes::INTERNAL,
            format!("`{name}` could not be merged."),
        )
        .cause(e.to_string())
    };
    let old = old
        .map(|old| json::parse_own(old.as_bytes()).map_err(broken))
        .transpose()?;
    let patch = json::parse_own(patch.as_bytes()).map_err(broken)?;
    let merged = merge_patch(old.unwrap_or(Json::Null), patch, 0);
    Ok(Value::Json(merged.to_text().into()))
}

/// RFC 7396, section 2.
fn merge_patch(target: Json, patch: Json, depth: usize) -> Json {
    let Json::Object(patch) = patch else { return patch };
    if depth > MERGE_DEPTH_MAX {
        return Json::Object(patch);
    }
    let mut members = match target {
        Json::Object(members) => members,
        _ => Vec::new(),
    };
    for (key, value) in patch {
        let position = members.iter().position(|(k, _)| *k == key);
        match (position, value) {
            (Some(position), Json::Null) => {
                members.remove(position);
            }
            (None, Json::Null) => {}
            (Some(position), value) => {
                let old = std::mem::replace(&mut members[position].1, Json::Null);
                members[position].1 = merge_patch(old, value, depth + 1);
            }
            (None, value) => members.push((key, merge_patch(Json::Null, value, depth + 1))),
        }
    }
    Json::Object(members)
}

/// Refuses a `ref` to a row that is not there, where that may lie in another store or on another shard: nothing but
/// reading can tell. The store itself checks all others.
pub(super) async fn references(call: &Call<'_>, write: &Write) -> Result<()> {
    let resources = &call.plan().resources;
    for (position, field) in call.resource.fields.iter().enumerate() {
        let Type::Ref { resource, .. } = field.ty else {
            continue;
        };
        let Some(target) = resources.get(resource) else {
            continue;
        };
        let apart = target.store != call.resource.store
            || call.plan().stores[target.store].is_in_parts()
                && !is_enforced(call.plan(), call.index, position);
        let ([key], true) = (&target.key[..], apart) else {
            continue;
        };
        let mut wanted = set_values(&write.change, position);
        wanted.retain(|v| !v.is_null());
        wanted.sort_by_key(ToString::to_string);
        wanted.dedup();
        for part in wanted.chunks(500) {
            let found = keys_there(call, resource, *key, part).await?;
            if let Some(lost) = part.iter().find(|value| !found.contains(&value.to_string())) {
                let error = StoreError::Reference {
                    field: field.name.clone(),
                    resource: target.name.clone(),
                    value: Some(lost.to_string()),
                    still_referred: false,
                    said: None,
                };
                return Err(trouble::refusal(error, call, None));
            }
        }
    }
    Ok(())
}

fn set_values(change: &Change, wanted: FieldIndex) -> Vec<Value> {
    let of = |set: &[(FieldIndex, Value)]| {
        set.iter()
            .filter(|(f, _)| *f == wanted)
            .map(|(_, v)| v.clone())
            .collect()
    };
    match change {
        Change::Insert { fields, rows, .. } => match fields.iter().position(|f| *f == wanted) {
            Some(at) => rows.iter().filter_map(|row| row.get(at).cloned()).collect(),
            None => Vec::new(),
        },
        Change::Update { set, .. } => of(set),
        Change::Replace { insert, .. } => of(insert),
        Change::Delete { .. } => Vec::new(),
    }
}

async fn keys_there(
    call: &Call<'_>,
    resource: usize,
    key: FieldIndex,
    values: &[Value],
) -> Result<Vec<String>> {
    let filter = Condition::In {
        field: key,
        path: Vec::new(),
        values: values.to_vec(),
    };
    let read = Read {
        resource,
        select: Arc::new(vec![Item::Field {
            field: key,
            path: Vec::new(),
            cast: None,
            name: "key".into(),
        }]),
        filter,
        order: Vec::new(),
        limit: values.len() as u64,
        offset: 0,
        after: None,
        count: Count::None,
        bucket: None,
        run_as: run_as::of(call, call.plan().resources[resource].store)?,
        partial: false,
        fresh: Freshness::strong(),
    };
    let page = call.fetch(&read).await?;
    let mut whole = vec![b'['];
    whole.extend_from_slice(&page.json);
    whole.push(b']');
    let Ok(Json::Array(rows)) = json::parse_own(&whole) else {
        return Ok(Vec::new());
    };
    let target = &call.plan().resources[resource].fields[key].ty;
    let one = |row: &Json| match row {
        Json::Object(members) => {
            let (_, json) = members.first()?;
            from_json(target, json).ok().map(|v| v.to_string())
        }
        _ => None,
    };
    Ok(rows.iter().filter_map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merges_as_the_standard_shows() {
        // RFC 7396, appendix A.
        for (target, patch, want) in [
            (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
            (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
            (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
            (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
            (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
            (
                r#"{"a":{"b":"c"}}"#,
                r#"{"a":{"b":"d","c":null}}"#,
                r#"{"a":{"b":"d"}}"#,
            ),
            (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
            (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
            (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
            (r#"{"a":"foo"}"#, "null", "null"),
            (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
            ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
            ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        ] {
            let json = |text: &str| json::parse(text.as_bytes()).expect("JSON");
            assert_eq!(
                merge_patch(json(target), json(patch), 0).to_text(),
                want,
                "{target} {patch}"
            );
        }
    }
}
