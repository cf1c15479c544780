//! Writes: what the caller sent becomes one change, the store runs it in one transaction, and the reply shows it.

mod existing;
mod shape;

use crate::{
    allow::{self, Allowed, Verb},
    bucket, codes, etag,
    handler::Call,
    operation::{Change, Condition, Conflict, FieldIndex, IdempotencyClaim, Item, Precondition, Write},
    parse::{
        self, Kind, Query, accept,
        body::{self, Payload, Row},
        prefer::{self, Missing, Prefer, Resolution, Returning},
    },
    prepare, read,
    refusal::{Refusal, Result, unknown_field},
    render,
    store::{Outcome, Written},
    trouble,
    validate::{self, Check, Completion, NewRow},
    value::{Value, nearest},
};
use aws_lc_rs::digest;
use bytes::Bytes;
use shape::{Shape, What};
use stoa_config::plan::{Resource, Shard};
use stoa_exchange::Reply;

/// `POST`: one row, or all rows of an array or none.
pub(crate) async fn create(call: &Call<'_>, bytes: Bytes) -> Result<Reply> {
    let mut asked = Asked::new(
        call,
        &[Kind::Select, Kind::Columns, Kind::OnConflict, Kind::Embedded],
        "POST",
    )?;
    let allowed = call.allow(call.resource, Verb::Create)?;
    let mut payload = body::read(&bytes, true)?;
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
        return Ok(render::stored_reply(shape.stored(&Written::default())));
    }
    let fixed = matches!(call.resource.shard, Shard::Field(_)).then(|| rows[0].bucket);
    let (fields, rows, buckets) = columns_of(rows, call.resource.fields.len());
    let change = Change::Insert {
        fields,
        rows,
        buckets,
        conflict,
        check,
    };
    finish(call, &asked, change, returning, shape, fixed, &bytes, None).await
}

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
    let [key] = call.resource.key[..] else {
        return Err(only_key());
    };
    let id = match &asked.query.filter {
        Condition::Compare { .. } => prepare::fixed(&asked.query.filter, key)
            .cloned()
            .ok_or_else(only_key)?,
        _ => return Err(only_key()),
    };
    put(call, asked, id, &bytes).await
}

async fn put(call: &Call<'_>, mut asked: Asked, id: Value, bytes: &Bytes) -> Result<Reply> {
    let (create, update) = (
        call.allow(call.resource, Verb::Create),
        call.allow(call.resource, Verb::Update),
    );
    let payload = body::read(bytes, call.alias)?;
    let [row] = &payload.rows[..] else {
        return Err(mismatch("The body must hold exactly one row."));
    };
    let existing = existing::fixed(call, &id, row).await?;
    let mut checker = Check::new(call.resource, call.rules());
    checker.unchanged(row, existing.as_deref());
    let mut row = row.clone();
    if existing.is_some() {
        // Sent back as they are: neither a change nor a fault.
        row.retain(|(name, _)| {
            call.resource
                .field(name)
                .is_none_or(|(_, f)| !f.auto || is_key(call.resource, name))
        });
    }
    let mut precondition = etag::precondition(call.headers);
    let (allowed, update) = match (create, update) {
        (Ok(create), Ok(update)) => (create, update),
        (Ok(create), Err(_)) => {
            precondition = Precondition::Absent;
            let update = Allowed {
                filter: Condition::False,
                ..create.clone()
            };
            (create, update)
        }
        (Err(_), Ok(update)) => {
            if precondition == Precondition::None {
                precondition = Precondition::Exists;
            }
            (update.clone(), update)
        }
        (Err(refusal), Err(_)) => return Err(refusal),
    };
    owners(call.resource, std::slice::from_ref(&row), allowed.fill.as_ref())?;
    let completion = Completion {
        fill: allowed.fill.as_ref(),
        null_when_missing: None,
        key: Some(&id),
    };
    let NewRow { values, bucket } = checker.create(0, &row, completion);
    if let Some(refusal) = checker.finish(false) {
        return Err(refusal);
    }
    let set = |(position, value): (usize, &Option<Value>)| {
        let fixed = validate::is_fixed(call.resource, position);
        (!fixed).then(|| (position, value.clone().unwrap_or(Value::Null)))
    };
    let update_set = values.iter().enumerate().filter_map(set).collect();
    let insert = values
        .into_iter()
        .enumerate()
        .filter_map(|(i, v)| v.map(|v| (i, v)))
        .collect();
    let mut check = both(allowed.check, update.check);
    let returning = asked.returning(call, Some(Returning::Representation), &mut check)?;
    let shape = asked.shape(call, What::Replaced, returning.is_some());
    let change = Change::Replace {
        key: id.clone(),
        bucket,
        insert,
        update: update_set,
        filter: update.filter,
        check,
        precondition,
    };
    finish(
        call,
        &asked,
        change,
        returning,
        shape,
        Some(bucket),
        bytes,
        Some(&id),
    )
    .await
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

/// `PATCH /{r}/{id}`: a merge patch (RFC 7396). Objects in json fields are merged with what stands there, which is
/// read first; a row that changed meanwhile is read again.
pub(crate) async fn patch_one(call: &Call<'_>, id: Value, bytes: Bytes) -> Result<Reply> {
    const TRIES: usize = 5;
    let mut asked = Asked::new(call, &[Kind::Select, Kind::Embedded], "PATCH")?;
    let allowed = call.allow(call.resource, Verb::Update)?;
    let payload = body::read(&bytes, false)?;
    let row = &payload.rows[0];
    let wanted = etag::precondition(call.headers);
    let mut check = allowed.check.clone();
    let returning = asked.returning(call, Some(Returning::Representation), &mut check)?;
    let shape = asked.shape(call, What::Patched { many: false }, returning.is_some());
    let filter = prepare::key_is(call.resource, &id).and(allowed.filter);
    let bucket = prepare::bucket(call.resource, &filter);
    for left in (0..TRIES).rev() {
        let stored = existing::for_patch(call, &id, row, &wanted).await?;
        let mut checker = Check::new(call.resource, call.rules());
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
            change,
            returning.clone(),
            shape.clone(),
            bucket,
            &bytes,
            Some(&id),
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
    let mut page = read::row(call, id, &asked.query.select, Verb::Update).await?;
    if returning.is_some() {
        // What may be changed is not always what may be seen.
        page = read::row(call, id, &asked.query.select, Verb::Read).await?;
    }
    if let Precondition::Versions(versions) = etag::precondition(call.headers)
        && !page.version.is_some_and(|v| versions.contains(&v))
    {
        return Err(trouble::precondition_failed());
    }
    let written = Written {
        affected: 1,
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
    let filter = read::required_filter(&asked.query, "Update")?;
    let allowed = call.allow(call.resource, Verb::Update)?;
    let mut payload = body::read(&bytes, false)?;
    if let Some(columns) = columns(call.resource, &asked.query)? {
        let kept = |name: &str| {
            call.resource
                .field(name)
                .is_some_and(|(i, _)| columns.contains(&i))
        };
        payload.rows[0].retain(|(name, _)| kept(name));
    }
    let row = &payload.rows[0];
    // The key of the one row that the filter names may be sent along.
    let mut known = Vec::new();
    for (position, value) in validate::fixed_members(call.resource, row) {
        if prepare::fixed(&filter, position) == Some(&value) {
            known.push((position, value));
        }
    }
    let mut checker = Check::new(call.resource, call.rules());
    let set = checker.patch(row, &known);
    if let Some(refusal) = checker.finish(false) {
        return Err(refusal);
    }
    let mut check = allowed.check;
    let returning = asked.returning(call, Some(Returning::Representation), &mut check)?;
    let shape = asked.shape(call, What::Patched { many: true }, returning.is_some());
    let filter = filter.and(asked.readable.clone()).and(allowed.filter);
    if set.is_empty() {
        return Ok(render::stored_reply(shape.stored(&Written::default())));
    }
    let bucket = prepare::bucket(call.resource, &filter);
    let change = Change::Update {
        filter,
        bucket,
        set,
        precondition: Precondition::None,
        check,
    };
    finish(call, &asked, change, returning, shape, bucket, &bytes, None).await
}

/// `DELETE /{r}/{id}`.
pub(crate) async fn delete_one(call: &Call<'_>, id: Value) -> Result<Reply> {
    let mut asked = Asked::new(call, &[Kind::Select, Kind::Embedded], "DELETE")?;
    let allowed = call.allow(call.resource, Verb::Delete)?;
    let mut shown = Condition::True;
    let returning = asked.returning(call, None, &mut shown)?;
    let shape = asked.shape(call, What::Deleted { many: false }, returning.is_some());
    // A row that is asked for in the reply must be one that the caller may read.
    let filter = prepare::key_is(call.resource, &id).and(allowed.filter).and(shown);
    let bucket = prepare::bucket(call.resource, &filter);
    let precondition = match etag::precondition(call.headers) {
        Precondition::None => Precondition::Exists,
        other => other,
    };
    let change = Change::Delete {
        filter,
        bucket,
        precondition,
    };
    finish(
        call,
        &asked,
        change,
        returning,
        shape,
        bucket,
        &Bytes::new(),
        Some(&id),
    )
    .await
}

/// `DELETE /{r}?filter`.
pub(crate) async fn delete_many(call: &Call<'_>) -> Result<Reply> {
    let mut asked = Asked::filtered(call, "DELETE")?;
    let filter = read::required_filter(&asked.query, "Delete")?;
    let allowed = call.allow(call.resource, Verb::Delete)?;
    let mut shown = Condition::True;
    let returning = asked.returning(call, None, &mut shown)?;
    let shape = asked.shape(call, What::Deleted { many: true }, returning.is_some());
    let filter = filter.and(asked.readable.clone()).and(allowed.filter).and(shown);
    let bucket = prepare::bucket(call.resource, &filter);
    let change = Change::Delete {
        filter,
        bucket,
        precondition: Precondition::None,
    };
    finish(
        call,
        &asked,
        change,
        returning,
        shape,
        bucket,
        &Bytes::new(),
        None,
    )
    .await
}

/// What a write asks for beside its body.
struct Asked {
    prefer: Prefer,
    media: accept::Media,
    query: Query,
    claim: Option<[u8; 32]>,
    /// Rows that a filtered write may look at: the read rule.
    readable: Condition,
}

impl Asked {
    fn new(call: &Call<'_>, allowed: &[Kind], on: &str) -> Result<Self> {
        let query = parse::query(call.plan(), call.index, call.query, call.alias)?;
        query.only(allowed, on)?;
        Ok(Self {
            prefer: prefer::prefer(call.headers)?,
            media: accept::accept(call.headers)?,
            query,
            claim: claim(call)?,
            readable: Condition::True,
        })
    }

    /// Of a write on what a filter finds. The filter is a question about rows: the read rule judges it too.
    fn filtered(call: &Call<'_>, on: &str) -> Result<Self> {
        let mut kinds = vec![Kind::Select, Kind::Filter, Kind::Embedded];
        if on == "PATCH" {
            kinds.push(Kind::Columns);
        }
        if call.alias {
            // PostgREST takes these on writes and does nothing with them.
            kinds.extend([Kind::Order, Kind::Limit, Kind::Offset]);
        }
        let mut asked = Self::new(call, &kinds, on)?;
        if etag::precondition(call.headers) != Precondition::None {
            return Err(Refusal::new(
                &codes::NOT_SUPPORTED,
                "`If-Match` guards one row, addressed by its key in the path.",
            ));
        }
        if asked.query.filter != Condition::True {
            asked.readable = call.allow(call.resource, Verb::Read)?.filter;
        }
        Ok(asked)
    }

    /// What the reply shows; `unsaid` when nothing is preferred. Rows are shown only as far as the read rule lets the
    /// caller: what was asked for must be readable, what was not asked for is left out.
    fn returning(
        &mut self,
        call: &Call<'_>,
        unsaid: Option<Returning>,
        check: &mut Condition,
    ) -> Result<Option<Vec<Item>>> {
        let unsaid = if call.alias { None } else { unsaid };
        let wanted = self.prefer.returning.or(unsaid);
        if wanted != Some(Returning::Representation) {
            return Ok(None);
        }
        let explicit = self.prefer.returning.is_some();
        let readable = match call.allow(call.resource, Verb::Read) {
            Ok(allowed) => allowed.filter,
            Err(_) if !explicit => return Ok(None),
            Err(refusal) => return Err(refusal),
        };
        if !allow::implies(check, &readable) {
            if !explicit {
                return Ok(None);
            }
            *check = std::mem::replace(check, Condition::True).and(readable);
        }
        let mut items = self.query.select.clone();
        read::rule_embeds(call, &mut items)?;
        Ok(Some(items))
    }

    fn shape(&self, call: &Call<'_>, what: What, representation: bool) -> Shape {
        let insert = matches!(what, What::Created { .. });
        let body = !matches!(what, What::Deleted { .. });
        let many = matches!(what, What::Patched { many: true } | What::Deleted { many: true });
        let columns = self
            .query
            .select
            .iter()
            .map(|i| parse::select::name_of(i).to_owned());
        Shape {
            alias: call.alias,
            what,
            representation,
            headers_only: self.prefer.returning == Some(Returning::HeadersOnly),
            media: self.media,
            columns: columns.collect(),
            applied: self
                .prefer
                .applied_to_write(insert, body, many && self.counts_affected(call)),
            counted: self.prefer.count.is_some(),
            resource: call.resource.name.clone(),
            key: call.resource.key_field().map(|f| f.name.clone()),
        }
    }

    /// Whether `max-affected` holds: on the alias only with `handling=strict`.
    fn counts_affected(&self, call: &Call<'_>) -> bool {
        !call.alias || self.prefer.strict == Some(true)
    }
}

/// Both conditions; one when they are the same.
fn both(a: Condition, b: Condition) -> Condition {
    if a == b { a } else { a.and(b) }
}

/// Runs the change and makes the reply; with an idempotency key the reply is kept in the same transaction.
#[expect(
    clippy::too_many_arguments,
    reason = "one tail for six writes; a struct would only name the same things twice"
)]
async fn finish(
    call: &Call<'_>,
    asked: &Asked,
    change: Change,
    returning: Option<Vec<Item>>,
    shape: Shape,
    bucket: Option<u16>,
    bytes: &Bytes,
    id: Option<&Value>,
) -> Result<Reply> {
    let filtered = matches!(
        shape.what,
        What::Patched { many: true } | What::Deleted { many: true }
    );
    let write = Write {
        resource: call.index,
        change,
        returning,
        max_affected: asked
            .prefer
            .max_affected
            .filter(|_| filtered && asked.counts_affected(call)),
        exactly_one: asked.media.is_object(),
        rollback: asked.prefer.rollback == Some(true),
        idempotency: asked.claim.map(|scope| IdempotencyClaim {
            scope,
            fingerprint: fingerprint(call, bytes),
            bucket: bucket.unwrap_or_else(|| bucket::bucket_of_bytes(&scope)),
        }),
        must_exist: Vec::new(),
    };
    existing::references(call, &write).await?;
    let max = write.max_affected;
    let kept = shape.clone();
    let render: Option<crate::store::Render> = match asked.claim {
        Some(_) => Some(Box::new(move |written: &Written| kept.stored(written))),
        None => None,
    };
    match call.run(write, render).await {
        Ok(Outcome::Written(written)) => Ok(render::stored_reply(shape.stored(&written))),
        Ok(Outcome::Replayed(mut stored)) => {
            stored
                .headers
                .push((String::from("idempotent-replayed"), String::from("true")));
            Ok(render::stored_reply(stored))
        }
        Err(error) => Err(trouble::of_write(error, call, id, max)),
    }
}

/// The scope of `Idempotency-Key`: caller, method, path and key. The key is bare or in quotes.
fn claim(call: &Call<'_>) -> Result<Option<[u8; 32]>> {
    let mut values = call.headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    let key = text
        .strip_prefix('"')
        .and_then(|t| t.strip_suffix('"'))
        .unwrap_or(text);
    let fine = (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    if !fine || values.next().is_some() {
        return Err(Refusal::new(
            &codes::BAD_IDEMPOTENCY_KEY,
            "`Idempotency-Key` takes one key of 1 to 255 visible characters.",
        ));
    }
    let subject = call
        .identity
        .subject()
        .map_or_else(|| String::from("-"), |s| format!("+{s}"));
    Ok(Some(hash(&[
        subject.as_bytes(),
        call.facts.method.as_str().as_bytes(),
        call.facts.path.as_bytes(),
        key.as_bytes(),
    ])))
}

/// What must be the same in a repetition: query, media types, preferences, preconditions and payload.
fn fingerprint(call: &Call<'_>, bytes: &Bytes) -> [u8; 32] {
    let mut parts: Vec<&[u8]> = vec![call.query.as_bytes(), bytes];
    for name in ["content-type", "accept", "prefer", "if-match", "if-none-match"] {
        parts.push(name.as_bytes());
        parts.extend(call.headers.get_all(name).iter().map(http::HeaderValue::as_bytes));
    }
    hash(&parts)
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// `columns` as positions.
fn columns(resource: &Resource, query: &Query) -> Result<Option<Vec<FieldIndex>>> {
    let Some(names) = &query.columns else {
        return Ok(None);
    };
    positions(resource, names).map(Some)
}

fn positions(resource: &Resource, names: &[String]) -> Result<Vec<FieldIndex>> {
    let one = |name: &String| match resource.field(name) {
        Some((position, _)) => Ok(position),
        None => {
            let near = nearest(name, resource.fields.iter().map(|f| f.name.as_str()));
            let message = format!(
                "Could not find the '{name}' column of '{}' in the schema cache",
                resource.name
            );
            Err(unknown_field(&resource.name, name, near).postgrest("PGRST204", 400, message))
        }
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
        let shards = on.iter().filter(|f| resource.shard == Shard::Field(**f)).count();
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
            for (name, _) in payload.rows.iter().flatten() {
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
fn owners(resource: &Resource, rows: &[Row], fill: Option<&(FieldIndex, Value)>) -> Result<()> {
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
    };
    let mut checker = Check::new(call.resource, call.rules());
    let rows = payload
        .rows
        .iter()
        .enumerate()
        .map(|(at, row)| checker.create(at, row, completion))
        .collect();
    match checker.finish(payload.array) {
        Some(refusal) => Err(refusal),
        None => Ok(rows),
    }
}

/// Rows as the store takes them: the fields that any row sets, and one value for each.
fn columns_of(rows: Vec<NewRow>, width: usize) -> (Vec<FieldIndex>, Vec<Vec<Value>>, Vec<u16>) {
    let set = |field: &usize| rows.iter().any(|row| row.values[*field].is_some());
    let fields: Vec<FieldIndex> = (0..width).filter(set).collect();
    let buckets = rows.iter().map(|row| row.bucket).collect();
    let values = rows.into_iter().map(|mut row| {
        let one = |field: &usize| row.values[*field].take().unwrap_or(Value::Null);
        fields.iter().map(one).collect()
    });
    let values = values.collect();
    (fields, values, buckets)
}
