//! `POST`: one row, or all rows of an array or none.

use super::{
    Ready,
    asked::{Asked, both},
    finish, replayed,
    shape::What,
};
use crate::{
    allow::{self, Allowed, Verb},
    bucket, codes,
    handler::Call,
    operation::{Change, Conflict, FieldIndex},
    parse::{
        Kind, Query,
        body::{self, Payload, Row},
        prefer::{Missing, Resolution, Returning},
    },
    refusal::{Refusal, Result, unknown_field},
    rest,
    validate::{self, Check, Completion, NewRow},
    value::{Value, nearest},
};
use bytes::Bytes;
use stoa_config::plan::{Resource, Shard, StoreKind};
use stoa_exchange::Reply;

/// `POST`: one row, or all rows of an array or none.
pub(crate) async fn create(call: &Call<'_>, bytes: Bytes) -> Result<Reply> {
    let mut asked = Asked::new(
        call,
        &[Kind::Select, Kind::Columns, Kind::OnConflict, Kind::Embedded],
        "POST",
    )?;
    let allowed = call.allow(call.resource, Verb::Create)?;
    let mut payload = call.payload(&bytes, true)?;
    let columns = columns(call.resource, &asked.query)?;
    match &columns {
        Some(columns) => {
            let kept = |name: &str| {
                call.resource
                    .field(name)
                    .is_none_or(|(i, _)| columns.contains(&i))
            };
            let named = |name: &str| asked.query.columns.iter().flatten().any(|c| c == name);
            payload
                .rows
                .iter_mut()
                .for_each(|row| row.retain(|(name, _)| kept(name) && named(name)));
        }
        None if call.alias && payload.array => body::same_keys(&payload.rows)?,
        None => {}
    }
    let conflict = conflict(call, &asked, &payload)?;
    let rows = new_rows(call, &asked, &payload, &allowed, columns.as_deref())?;
    let mut check = allowed.check;
    if let Conflict::Merge { .. } = &conflict {
        check = both(check, call.allow(call.resource, Verb::Update)?.check);
    }
    let what = What::Created {
        array: payload.array,
        merge: matches!(conflict, Conflict::Merge { .. }),
    };
    let returning = asked.returning(call, Some(Returning::Representation), &mut check)?;
    let shape = asked.shape(call, what, returning.is_some());
    if rows.is_empty() {
        return asked.nothing(&shape);
    }
    let fixed = (call.resource.shard != Shard::Single).then(|| rows[0].bucket);
    // Rows of other stores that it refers to may be gone since.
    if let Some(reply) = replayed(call, &asked, fixed, &bytes).await? {
        return Ok(reply);
    }
    let left_out = if has_defaults(call) {
        Value::Default
    } else {
        Value::Null
    };
    let (fields, rows, buckets) = columns_of(rows, call.resource.fields.len(), &left_out);
    let change = Change::Insert {
        fields,
        rows,
        buckets,
        conflict,
        check,
    };
    let ready = Ready {
        change,
        returning,
        shape,
        bucket: fixed,
        bytes: &bytes,
        id: None,
    };
    finish(call, &asked, ready).await
}

/// `columns` as positions.
pub(super) fn columns(resource: &Resource, query: &Query) -> Result<Option<Vec<FieldIndex>>> {
    let Some(names) = &query.columns else {
        return Ok(None);
    };
    positions(resource, names).map(Some)
}

fn positions(resource: &Resource, names: &[String]) -> Result<Vec<FieldIndex>> {
    let one = |name: &String| {
        let found = resource.field(name).map(|(position, _)| position);
        found.ok_or_else(|| {
            let near = nearest(name, resource.fields.iter().map(|f| f.name.as_str()));
            let relation = rest::relation_name(resource);
            let message = format!("Could not find the '{name}' column of '{relation}' in the schema cache");
            unknown_field(relation, name, near).postgrest("PGRST204", 400, message)
        })
    };
    names.iter().map(one).collect()
}

/// What happens to rows that are there already.
fn conflict(call: &Call<'_>, asked: &Asked, payload: &Payload) -> Result<Conflict> {
    let resource = call.resource;
    let on = positions(resource, asked.query.on_conflict.as_deref().unwrap_or_default())?;
    let decides = |on: &[FieldIndex]| {
        let keys = on.len() == resource.key.len() && on.iter().all(|f| resource.key.contains(f));
        let unique = on.iter().filter(|f| resource.fields[**f].unique).count() == 1;
        let shards = on.iter().filter(|f| resource.shard.field() == Some(**f)).count();
        keys || (unique && on.len() <= 1 + shards)
    };
    if !on.is_empty() && !decides(&on) {
        return Err(Refusal::new(
            &codes::BAD_QUERY,
            "`on_conflict` takes the key or one unique field.",
        )
        .postgrest(
            "42P10",
            400,
            "there is no unique or exclusion constraint matching the ON CONFLICT specification",
        ));
    }
    match asked.prefer.resolution {
        None => Ok(Conflict::Refuse),
        Some(Resolution::Ignore) => Ok(Conflict::Ignore { on }),
        Some(Resolution::Merge) => {
            let update = call.allow(resource, Verb::Update)?;
            let mut set: Vec<FieldIndex> = Vec::new();
            let sent = payload.rows.iter().flatten().map(|(name, _)| &**name);
            // Whoever says what a missing member means sets the columns that are named.
            let says = call.alias || asked.prefer.missing.is_some();
            let named = asked.query.columns.iter().flatten().filter(|_| says);
            for name in sent.chain(named.map(|name| &**name)) {
                if let Some((position, _)) = resource.field(name)
                    && !validate::is_fixed(resource, position)
                    && !on.contains(&position)
                    && !set.contains(&position)
                {
                    set.push(position);
                }
            }
            Ok(Conflict::Merge {
                on,
                set,
                filter: update.filter,
            })
        }
    }
}

/// A row whose owner field names somebody else is refused before anything is written.
pub(super) fn owners(resource: &Resource, rows: &[Row], fill: Option<&(FieldIndex, Value)>) -> Result<()> {
    let Some((field, owner)) = fill else { return Ok(()) };
    let name = &resource.fields[*field].name;
    for row in rows {
        let given = row.iter().find(|(n, _)| **n == **name).map(|(_, json)| json);
        let Some(given) = given else { continue };
        if crate::value::from_json(&resource.fields[*field].ty, given).is_ok_and(|v| v != *owner) {
            let relation = &resource.name;
            return Err(Refusal::from(allow::owner(resource, *field)).postgrest(
                "42501",
                403,
                format!("new row violates row-level security policy for table \"{relation}\""),
            ));
        }
    }
    Ok(())
}

fn new_rows(
    call: &Call<'_>,
    asked: &Asked,
    payload: &Payload,
    allowed: &Allowed,
    columns: Option<&[FieldIndex]>,
) -> Result<Vec<NewRow>> {
    owners(call.resource, &payload.rows, allowed.fill.as_ref())?;
    let nulls = match asked.prefer.missing {
        Some(Missing::Default) => false,
        Some(Missing::Null) => true,
        None => call.alias,
    };
    let completion = Completion {
        fill: allowed.fill.as_ref(),
        null_when_missing: columns.filter(|_| nulls),
        key: None,
        bucket: repeated(call.resource, asked),
    };
    let mut checker = Check::new(call.resource, call.rules());
    checker.texts = payload.texts;
    let rows = payload
        .rows
        .iter()
        .enumerate()
        .map(|(at, row)| checker.create(at, row, completion))
        .collect();
    let mut rows: Vec<NewRow> = match checker.finish(payload.array) {
        Some(refusal) => return Err(refusal),
        None => rows,
    };
    if !has_defaults(call) {
        all_or_none(call.resource, &rows)?;
    } else if asked.prefer.missing == Some(Missing::Default) {
        // Said in so many words, since a row that is there already is put back to its defaults by it.
        for column in columns.into_iter().flatten() {
            let written = call.resource.fields.get(*column).is_some_and(|field| !field.auto);
            for row in rows.iter_mut().filter(|_| written) {
                row.values[*column].get_or_insert(Value::Default);
            }
        }
    }
    Ok(rows)
}

/// Whether a statement can say of one value that the table fills it in.
pub(super) fn has_defaults(call: &Call<'_>) -> bool {
    let store = call.plan().stores.get(call.resource.store);
    let postgres = store.is_some_and(|s| matches!(s.kind, StoreKind::Postgres { .. }));
    postgres && call.resource.table.is_some()
}

/// A field that the table fills in is sent with every row or with none: SQLite has no word for "fill it in" beside a
/// value.
fn all_or_none(resource: &Resource, rows: &[NewRow]) -> Result<()> {
    for (position, field) in resource.fields.iter().enumerate() {
        let sent = rows.iter().filter(|row| row.values[position].is_some()).count();
        if field.generated && sent > 0 && sent < rows.len() {
            let name = &field.name;
            return Err(Refusal::new(
                &codes::BAD_BODY,
                format!("`{name}`, which the table fills in, is in some of the rows and not in others."),
            )
            .hint(format!("Send `{name}` with every row or with none.")));
        }
    }
    Ok(())
}

/// Where the rows of a repeated request lie whose place is the hash of an id that is made for them: a repetition makes
/// another id, and must find the first reply.
fn repeated(resource: &Resource, asked: &Asked) -> Option<u16> {
    let by_key = matches!(resource.key[..], [key] if resource.shard == Shard::Field(key));
    asked
        .claim
        .filter(|_| by_key)
        .map(|scope| bucket::bucket_of_bytes(&scope))
}

/// Rows as the store takes them: the fields that any row sets, and one value for each; `left_out` where a row says nothing.
pub(crate) fn columns_of(
    rows: Vec<NewRow>,
    width: usize,
    left_out: &Value,
) -> (Vec<FieldIndex>, Vec<Vec<Value>>, Vec<u16>) {
    let set = |field: &usize| rows.iter().any(|row| row.values[*field].is_some());
    let fields: Vec<FieldIndex> = (0..width).filter(set).collect();
    let buckets = rows.iter().map(|row| row.bucket).collect();
    let values = rows.into_iter().map(|mut row| {
        let one = |field: &usize| row.values[*field].take().unwrap_or_else(|| left_out.clone());
        fields.iter().map(one).collect()
    });
    let values = values.collect();
    (fields, values, buckets)
}
