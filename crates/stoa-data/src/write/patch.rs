//! `PATCH` and `DELETE`, of one row or of what a filter finds.

use super::{
    Ready,
    asked::Asked,
    create::{columns, has_defaults},
    existing, finish, replayed,
    shape::{Shape, What},
};
use crate::{
    allow::Verb,
    codes, etag,
    handler::Call,
    json::Json,
    operation::{Change, Condition, FieldIndex, Item, Precondition},
    parse::{
        Kind,
        body::Row,
        prefer::{Missing, Returning},
    },
    prepare, read,
    refusal::Result,
    render,
    store::{Written, shards::one_of},
    trouble,
    validate::{self, Check},
    value::Value,
};
use bytes::Bytes;
use std::sync::Arc;
use stoa_exchange::Reply;

/// `PATCH /{r}/{id}`: a merge patch (RFC 7396). Objects in json fields are merged with what stands there, which is
/// read first; a row that changed meanwhile is read again.
pub(crate) async fn patch_one(call: &Call<'_>, id: Value, bytes: Bytes) -> Result<Reply> {
    const TRIES: usize = 5;
    let mut asked = Asked::new(call, &[Kind::Select, Kind::Embedded], "PATCH")?;
    let allowed = call.allow(call.resource, Verb::Update)?;
    let payload = call.payload(&bytes, false)?;
    let row = &payload.rows[0];
    let wanted = etag::precondition(call.headers);
    let mut check = allowed.check.clone();
    let returning = asked.returning(call, Some(Returning::Representation), &mut check)?;
    let shape = asked.shape(call, What::Patched { many: false }, returning.is_some());
    let filter = prepare::key_is(call.resource, &id).and(allowed.filter);
    let bucket = prepare::bucket(call.resource, &filter);
    if let Some(reply) = replayed(call, &asked, bucket, &bytes).await? {
        return Ok(reply);
    }
    for left in (0..TRIES).rev() {
        let stored = existing::for_patch(call, &id, row, payload.texts, &wanted).await?;
        let mut checker = Check::new(call.resource, call.rules());
        checker.texts = payload.texts;
        let mut set = checker.patch(row, &stored.fixed);
        if let Some(refusal) = checker.finish(false) {
            return Err(refusal);
        }
        stored.merge(&mut set, call.resource)?;
        let merged = stored
            .version
            .filter(|_| wanted == Precondition::None || wanted == Precondition::Exists);
        let precondition = match (merged, &wanted) {
            (Some(version), _) => Precondition::Versions(vec![version]),
            (None, Precondition::None) => Precondition::Exists,
            (None, other) => other.clone(),
        };
        if set.is_empty() {
            return unchanged(call, &id, &asked, returning, &shape).await;
        }
        let change = Change::Update {
            filter: filter.clone(),
            bucket,
            set,
            precondition,
            check: check.clone(),
        };
        let done = finish(
            call,
            &asked,
            Ready {
                change,
                returning: returning.clone(),
                shape: shape.clone(),
                bucket,
                bytes: &bytes,
                id: Some(&id),
            },
        )
        .await;
        match done {
            Err(refusal) if merged.is_some() && left > 0 && refusal.code() == &codes::PRECONDITION_FAILED => {
            }
            done => return done,
        }
    }
    Err(trouble::precondition_failed())
}

/// A patch that sets nothing: the row as it is.
async fn unchanged(
    call: &Call<'_>,
    id: &Value,
    asked: &Asked,
    returning: Option<Vec<Item>>,
    shape: &Shape,
) -> Result<Reply> {
    let (mut page, _) = read::row(call, id, Arc::default(), Verb::Update).await?;
    if returning.is_some() {
        // What may be changed is not always what may be seen.
        (page, _) = read::row(call, id, Arc::clone(&asked.query.select), Verb::Read).await?;
    }
    if let Precondition::Versions(versions) = etag::precondition(call.headers)
        && !page.version.is_some_and(|v| versions.contains(&v))
    {
        return Err(trouble::precondition_failed());
    }
    let written = Written {
        affected: 1,
        shown: u64::from(returning.is_some()),
        json: if returning.is_some() {
            page.json
        } else {
            Vec::new()
        },
        version: page.version,
        keys: vec![id.clone()],
        inserted: 0,
    };
    Ok(render::stored_reply(shape.stored(&written)))
}

/// `PATCH /{r}?filter`.
pub(crate) async fn patch_many(call: &Call<'_>, bytes: Bytes) -> Result<Reply> {
    let mut asked = Asked::filtered(call, "PATCH")?;
    let allowed = call.allow(call.resource, Verb::Update)?;
    let mut payload = call.payload(&bytes, call.alias)?;
    // PostgREST takes the first row of an array, and none is a change of nothing.
    let mut row = payload.rows.drain(..).next().unwrap_or_default();
    if call.alias && row.is_empty() && asked.query.columns.is_none() {
        let returning = asked.returning(call, None, &mut allowed.check.clone())?;
        let shape = asked.shape(call, What::Patched { many: true }, returning.is_some());
        return asked.nothing(&shape);
    }
    let filter = read::required_filter(&asked.query, "Update")?;
    let mut filled = Vec::new();
    if let Some(columns) = columns(call.resource, &asked.query)? {
        filled = missing(call, &asked, &columns, &mut row);
    }
    let row = &row;
    let found = filter
        .clone()
        .and(asked.readable.clone())
        .and(allowed.filter.clone());
    let bucket = prepare::bucket(call.resource, &found);
    let kept_in = bucket.or_else(|| one_of(call.resource, &found));
    if let Some(reply) = replayed(call, &asked, kept_in, &bytes).await? {
        return Ok(reply);
    }
    let known = known(call, &filter, row, payload.texts).await?;
    let mut checker = Check::new(call.resource, call.rules());
    checker.texts = payload.texts;
    checker.rekey = call.alias;
    let mut set = checker.patch(row, &known);
    set.append(&mut filled);
    if let Some(refusal) = checker.finish(false) {
        return Err(refusal);
    }
    let mut check = allowed.check;
    let returning = asked.returning(call, Some(Returning::Representation), &mut check)?;
    let shape = asked.shape(call, What::Patched { many: true }, returning.is_some());
    if set.is_empty() {
        return asked.nothing(&shape);
    }
    let change = Change::Update {
        filter: found,
        bucket,
        set,
        precondition: Precondition::None,
        check,
    };
    finish(
        call,
        &asked,
        Ready {
            change,
            returning,
            shape,
            bucket: kept_in,
            bytes: &bytes,
            id: None,
        },
    )
    .await
}

/// Keeps the members that `columns` names. Those that it names and the body leaves out become null, or with
/// `missing=default` their default (the file's, else the table's own), which is returned; without either word they stay as they are on the native surface.
fn missing(
    call: &Call<'_>,
    asked: &Asked,
    columns: &[FieldIndex],
    row: &mut Row,
) -> Vec<(FieldIndex, Value)> {
    let position = |name: &str| call.resource.field(name).map(|(i, _)| i);
    row.retain(|(name, _)| position(name).is_some_and(|i| columns.contains(&i)));
    let word = match asked.prefer.missing {
        None if call.alias => Missing::Null,
        None => return Vec::new(),
        Some(word) => word,
    };
    let mut filled = Vec::new();
    for column in columns {
        let field = &call.resource.fields[*column];
        if row.iter().any(|(name, _)| **name == *field.name) {
            continue;
        }
        let own = || has_defaults(call).then_some(Value::Default);
        let default = match word {
            Missing::Default => {
                let said = call.rules().default(*column, &field.ty, validate::now_micros());
                said.or_else(own)
            }
            Missing::Null => None,
        };
        match default {
            Some(value) if !validate::is_fixed(call.resource, *column) => filled.push((*column, value)),
            _ => row.push((field.name.as_str().into(), Json::Null)),
        }
    }
    filled
}

/// Values of never-changing fields that may be sent along because they are what they are already: those that the
/// filter names, and, where it names one row by its key, that row's own. Clients send whole records back.
async fn known(
    call: &Call<'_>,
    filter: &Condition,
    row: &Row,
    texts: bool,
) -> Result<Vec<(FieldIndex, Value)>> {
    let mut known = validate::fixed_members(call.resource, row, texts);
    known.retain(|(position, value)| prepare::fixed(filter, *position) == Some(value));
    if let [key] = call.resource.key[..]
        && let Some(id) = prepare::fixed(filter, key)
        && let Some(stored) = existing::fixed(call, id, row, texts).await?
    {
        known.extend(stored);
    }
    Ok(known)
}

/// `DELETE /{r}/{id}`.
pub(crate) async fn delete_one(call: &Call<'_>, id: Value) -> Result<Reply> {
    let asked = Asked::new(call, &[Kind::Select, Kind::Embedded], "DELETE")?;
    let filter = prepare::key_is(call.resource, &id);
    let precondition = match etag::precondition(call.headers) {
        Precondition::None => Precondition::Exists,
        other => other,
    };
    delete(call, asked, filter, precondition, Some(&id)).await
}

/// `DELETE /{r}?filter`.
pub(crate) async fn delete_many(call: &Call<'_>) -> Result<Reply> {
    let asked = Asked::filtered(call, "DELETE")?;
    let filter = read::required_filter(&asked.query, "Delete")?;
    let filter = filter.and(asked.readable.clone());
    delete(call, asked, filter, Precondition::None, None).await
}

async fn delete(
    call: &Call<'_>,
    mut asked: Asked,
    filter: Condition,
    precondition: Precondition,
    id: Option<&Value>,
) -> Result<Reply> {
    let allowed = call.allow(call.resource, Verb::Delete)?;
    // A row that is asked for in the reply must be one that the caller may read.
    let mut shown = Condition::True;
    let returning = asked.returning(call, None, &mut shown)?;
    let many = id.is_none();
    let shape = asked.shape(call, What::Deleted { many }, returning.is_some());
    let filter = filter.and(allowed.filter).and(shown);
    let bucket = prepare::bucket(call.resource, &filter);
    let kept_in = bucket.or_else(|| one_of(call.resource, &filter));
    let change = Change::Delete {
        filter,
        bucket,
        precondition,
    };
    let ready = Ready {
        change,
        returning,
        shape,
        bucket: kept_in,
        bytes: &Bytes::new(),
        id,
    };
    finish(call, &asked, ready).await
}
