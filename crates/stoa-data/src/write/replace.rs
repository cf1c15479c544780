//! `PUT`: the row is there afterwards as given.

use super::{
    Ready,
    asked::{Asked, both},
    create::owners,
    existing, finish, replayed,
    shape::What,
};
use crate::{
    allow::{Allowed, Verb},
    codes, etag,
    handler::Call,
    operation::{Change, Condition, Precondition},
    parse::{Kind, body::Row, prefer::Returning},
    prepare,
    refusal::{Refusal, Result},
    validate::{self, Check, Completion, NewRow},
    value::Value,
};
use bytes::Bytes;
use stoa_config::plan::Resource;
use stoa_exchange::Reply;

/// `PUT /{r}/{id}`.
pub(crate) async fn replace(call: &Call<'_>, id: Value, bytes: Bytes) -> Result<Reply> {
    let asked = Asked::new(call, &[Kind::Select, Kind::Embedded], "PUT")?;
    put(call, asked, id, &bytes).await
}

/// PostgREST's `PUT /{r}?key=eq.value`.
pub(crate) async fn replace_filtered(call: &Call<'_>, bytes: Bytes) -> Result<Reply> {
    let asked = Asked::new(
        call,
        &[
            Kind::Select,
            Kind::Embedded,
            Kind::Filter,
            Kind::Columns,
            Kind::Limit,
            Kind::Offset,
        ],
        "PUT",
    )?;
    if asked.query.limit.is_some() || asked.query.offset.is_some() {
        let says = "limit/offset querystring parameters are not allowed for PUT";
        return Err(Refusal::new(&codes::BAD_QUERY, says).postgrest("PGRST114", 400, says));
    }
    let only_key = || {
        let says = "Filters must include all and only primary key columns with 'eq' operators";
        Refusal::new(&codes::BAD_QUERY, says).postgrest("PGRST105", 405, says)
    };
    // PostgREST takes filters alone here, no trees of them.
    let trees = call.query.split('&').filter_map(|pair| pair.split('=').next());
    let is_tree = |key: &str| matches!(key, "and" | "or" | "not.and" | "not.or");
    if trees.into_iter().any(is_tree) {
        return Err(only_key());
    }
    let id = prepare::only_key(call.resource, &asked.query.filter).ok_or_else(only_key)?;
    put(call, asked, id, &bytes).await
}

async fn put(call: &Call<'_>, mut asked: Asked, id: Value, bytes: &Bytes) -> Result<Reply> {
    let rights = Rights::of(call)?;
    let mut payload = call.payload(bytes, call.alias)?;
    if let Some(columns) = &asked.query.columns {
        let named = |name: &str| columns.iter().any(|column| column == name);
        payload
            .rows
            .iter_mut()
            .for_each(|row| row.retain(|(name, _)| named(name)));
    }
    let [row] = &payload.rows[..] else {
        return Err(mismatch("The body must hold exactly one row."));
    };
    let place = prepare::bucket(call.resource, &prepare::key_is(call.resource, &id));
    if let Some(reply) = replayed(call, &asked, place, bytes).await? {
        return Ok(reply);
    }
    let NewRow { values, bucket } = new_row(call, &rights, &id, row, payload.texts).await?;
    let set = |(position, value): (usize, &Option<Value>)| {
        // What the table fills in by itself stays as it is when it is left out.
        let left_out = call.resource.fields[position].generated && value.is_none();
        let fixed = left_out || validate::is_fixed(call.resource, position);
        (!fixed).then(|| (position, value.clone().unwrap_or(Value::Null)))
    };
    let update = values.iter().enumerate().filter_map(set).collect();
    let value = |(i, value): (usize, Option<Value>)| value.map(|value| (i, value));
    let insert = values.into_iter().enumerate().filter_map(value).collect();
    let mut check = both(rights.create.check, rights.update.check);
    let returning = asked.returning(call, Some(Returning::Representation), &mut check)?;
    let shape = asked.shape(call, What::Replaced, returning.is_some());
    let change = Change::Replace {
        key: id.clone(),
        bucket,
        insert,
        update,
        filter: rights.update.filter,
        check,
        precondition: rights.precondition,
    };
    let ready = Ready {
        change,
        returning,
        shape,
        bucket: Some(bucket),
        bytes,
        id: Some(&id),
    };
    match (finish(call, &asked, ready).await, rights.create_only) {
        (Err(refusal), Some(denied)) if refusal.code() == &codes::PRECONDITION_FAILED => Err(denied),
        (done, _) => done,
    }
}

/// What the caller may do with `PUT`: create, replace, or both.
struct Rights {
    create: Allowed,
    update: Allowed,
    precondition: Precondition,
    /// Why a row that exists may not be replaced, where only creating is allowed.
    create_only: Option<Refusal>,
}

impl Rights {
    fn of(call: &Call<'_>) -> Result<Self> {
        let asked = etag::precondition(call.headers);
        match (
            call.allow(call.resource, Verb::Create),
            call.allow(call.resource, Verb::Update),
        ) {
            (Ok(create), Ok(update)) => Ok(Self {
                create,
                update,
                precondition: asked,
                create_only: None,
            }),
            (Ok(_), Err(denied)) if matches!(asked, Precondition::Exists | Precondition::Versions(_)) => {
                Err(denied)
            }
            (Ok(create), Err(denied)) => Ok(Self {
                update: Allowed {
                    filter: Condition::False,
                    ..create.clone()
                },
                create,
                create_only: (asked == Precondition::None).then_some(denied),
                precondition: Precondition::Absent,
            }),
            (Err(denied), Ok(_)) if asked == Precondition::Absent => Err(denied),
            (Err(_), Ok(update)) => Ok(Self {
                create: update.clone(),
                update,
                precondition: if asked == Precondition::None {
                    Precondition::Exists
                } else {
                    asked
                },
                create_only: None,
            }),
            (Err(denied), Err(_)) => Err(denied),
        }
    }
}

/// The whole row, from the body, the path and what is filled in.
async fn new_row(call: &Call<'_>, rights: &Rights, id: &Value, row: &Row, texts: bool) -> Result<NewRow> {
    let existing = existing::fixed(call, id, row, texts).await?;
    let mut checker = Check::new(call.resource, call.rules());
    checker.texts = texts;
    checker.unchanged(row, existing.as_deref());
    let mut row = row.clone();
    if existing.is_some() {
        // Sent back as they are: neither a change nor a fault.
        row.retain(|(name, _)| {
            let field = call.resource.field(name);
            field.is_none_or(|(_, field)| !field.auto || is_key(call.resource, name))
        });
    }
    let fill = rights.create.fill.as_ref();
    owners(call.resource, std::slice::from_ref(&row), fill)?;
    let completion = Completion {
        fill,
        null_when_missing: None,
        key: Some(id),
        bucket: None,
    };
    let new = checker.create(0, &row, completion);
    checker.finish(false).map_or(Ok(new), Err)
}

fn mismatch(detail: &str) -> Refusal {
    Refusal::new(&codes::BAD_BODY, detail).postgrest(
        "PGRST115",
        400,
        "Payload values do not match URL in primary key column(s)",
    )
}

fn is_key(resource: &Resource, name: &str) -> bool {
    resource
        .field(name)
        .is_some_and(|(i, _)| resource.key.contains(&i))
}
