//! `GET` and `HEAD`: lists with pages, and single rows with their entity tag.

use crate::{
    allow::Verb,
    codes,
    cursor::Cursor,
    etag,
    handler::Call,
    operation::{Condition, Count, Item, Order, Precondition, Read, is_grouped},
    parse::{Kind, Query, accept, select},
    prepare,
    refusal::{Refusal, Result},
    render::{self, Draft},
    rest, run_as,
    store::Page,
    trouble,
    value::Value,
};
use http::{HeaderName, Method, header};
use std::sync::Arc;
use stoa_config::plan::Resource;
use stoa_exchange::Reply;

/// A list.
pub(crate) async fn list(call: &Call<'_>, head: bool) -> Result<Reply> {
    let preferences = call.preferences()?;
    let media = accept::accept(call.headers)?;
    let query = call.understood()?;
    query.only(
        &[
            Kind::Select,
            Kind::Filter,
            Kind::Order,
            Kind::Limit,
            Kind::Offset,
            Kind::After,
            Kind::Embedded,
        ],
        "A list",
    )?;
    let window = window(call, &query, head)?;
    let bound = bound(call, &query);
    let order = prepare::total(query.order.clone(), call.resource, &query.select);
    let cursor = cursor(call, &query, &order, &bound)?;
    let begins = cursor.as_ref().map_or(window.offset, |c| c.position);
    let count = preferences.count.unwrap_or(Count::None);
    let mut read = read(call, &query, order, &window, cursor, count)?;
    read.partial = preferences.partial.is_some();
    let page = call.fetch(&read).await?;
    if let Some(total) = page.total
        && begins > total
        && query.after.is_none()
    {
        return Err(beyond(begins, total));
    }
    // PostgREST has no line of names where there are no rows.
    let columns = match (call.alias, page.rows) {
        (true, 0) => Vec::new(),
        _ => select::names(&read.select),
    };
    let body = render::body(&page.json, page.rows, media, &columns)?;
    let partial = page.total.is_some_and(|total| page.rows < total);
    let status = if call.alias && partial { 206 } else { 200 };
    let link = if call.alias {
        None
    } else {
        next(call, &query, &page, &bound, begins)
    };
    let draft = Draft::new(status)
        .header(
            header::CONTENT_RANGE,
            render::content_range(begins, page.rows, page.total),
        )
        .maybe(header::LINK, link)
        .maybe(
            header::CONTENT_LOCATION,
            call.alias.then(|| content_location(call)),
        )
        .maybe(
            render::PREFERENCE_APPLIED,
            preferences.applied_to_read(!page.missing.is_empty()),
        )
        .body(media, body);
    Ok(incomplete(draft, &page).reply(head))
}

/// Which shards' rows are not there.
const MISSING_SHARDS: HeaderName = HeaderName::from_static("stoa-missing-shards");

/// A list without the rows of some shards says so, and is kept by no cache.
fn incomplete(draft: Draft, page: &Page) -> Draft {
    if page.missing.is_empty() {
        return draft;
    }
    let shards: Vec<String> = page.missing.iter().map(ToString::to_string).collect();
    draft
        .header(MISSING_SHARDS, shards.join(", "))
        .header(header::CACHE_CONTROL, "no-store")
}

/// The position that `after` says.
fn cursor(call: &Call<'_>, query: &Query, order: &[Order], bound: &str) -> Result<Option<Cursor>> {
    let Some(text) = &query.after else {
        return Ok(None);
    };
    let says = if call.resource.key.is_empty() {
        "Rows without a key have no cursors; use `offset`."
    } else if is_grouped(&query.select) {
        "Groups of rows have no cursors; use `offset`."
    } else if query.offset.is_some() {
        "`after` and `offset` both say where the page begins; use one."
    } else {
        let types = prepare::types(&call.plan().resources, call.index, &query.select, order);
        return call.signer().open(bound, text, &types).map(Some);
    };
    Err(Refusal::new(&codes::BAD_CURSOR, says))
}

/// Which part of the rows.
struct Window {
    limit: u64,
    offset: u64,
}

/// The page: coerced to `list.max`; without `limit` it is `list.page` here and everything on the alias, which also
/// takes `Range`.
fn window(call: &Call<'_>, query: &Query, head: bool) -> Result<Window> {
    let list = &call.resource.list;
    let unsaid = if call.alias { list.max } else { list.page };
    let mut limit = query.limit.unwrap_or(u64::from(unsaid)).min(u64::from(list.max));
    let mut offset = query.offset.unwrap_or(0);
    if call.alias
        && !head
        && let Some((from, to)) = range(call)?
    {
        // Both windows at once: what lies in the one and in the other.
        let end = query.limit.map(|n| offset.saturating_add(n));
        offset = offset.max(from);
        let end = match (end, to) {
            (Some(a), Some(b)) => Some(a.min(b + 1)),
            (Some(a), None) => Some(a),
            (None, to) => to.map(|b| b + 1),
        };
        limit = end.map_or(limit, |end| end.saturating_sub(offset).min(u64::from(list.max)));
    }
    Ok(Window { limit, offset })
}

/// `Range: 0-9`; anything else, `bytes=` too, is none of ours.
fn range(call: &Call<'_>) -> Result<Option<(u64, Option<u64>)>> {
    let text = call.headers.get(header::RANGE).and_then(|v| v.to_str().ok());
    let Some((from, to)) = text.and_then(|t| t.split_once('-')) else {
        return Ok(None);
    };
    let number = |text: &str| text.trim().parse::<u32>().ok().map(u64::from);
    let Some(from) = number(from) else { return Ok(None) };
    if to.trim().is_empty() {
        return Ok(Some((from, None)));
    }
    match number(to) {
        None => Ok(None),
        Some(to) if from > to => {
            let says =
                "The lower boundary must be lower than or equal to the upper boundary in the Range header.";
            Err(Refusal::new(&codes::RANGE_NOT_SATISFIABLE, says)
                .postgrest("PGRST103", 416, "Requested range not satisfiable")
                .details(says))
        }
        Some(to) => Ok(Some((from, Some(to)))),
    }
}

fn beyond(offset: u64, total: u64) -> Refusal {
    let says = format!("An offset of {offset} was requested, but there are only {total} rows.");
    Refusal::new(&codes::RANGE_NOT_SATISFIABLE, says.clone())
        .header(header::CONTENT_RANGE, format!("*/{total}"))
        .postgrest("PGRST103", 416, "Requested range not satisfiable")
        .details(says)
}

/// What a cursor of this list is bound to.
fn bound(call: &Call<'_>, query: &Query) -> String {
    let subject = call.identity.subject().unwrap_or("");
    format!("{}\0{subject}\0{}", call.resource.name, query.shape)
}

/// The read rule of every embed becomes part of it.
pub(crate) fn rule_embeds(call: &Call<'_>, select: &mut Arc<Vec<Item>>) -> Result<()> {
    if !select.iter().any(|item| matches!(item, Item::Embed(_))) {
        return Ok(());
    }
    let select = Arc::make_mut(select);
    prepare::embeds(&call.plan().resources, select, &mut |resource: &Resource| {
        call.allow(resource, Verb::Read).map(|allowed| allowed.filter)
    })
}

/// Rows that a function gives: chosen, ordered and counted like a list's, with the same read rule, as they come.
pub(crate) fn of_function(call: &Call<'_>, query: &Query, count: Count) -> Result<Read> {
    let unranged = *call.facts.method != Method::GET;
    let window = window(call, query, unranged)?;
    let read = read(call, query, query.order.clone(), &window, None, count)?;
    // They are no table's: they have no bucket, and who runs the function is asked once.
    Ok(Read {
        bucket: None,
        run_as: None,
        ..read
    })
}

fn read(
    call: &Call<'_>,
    query: &Query,
    order: Vec<Order>,
    window: &Window,
    cursor: Option<Cursor>,
    count: Count,
) -> Result<Read> {
    let allowed = call.allow(call.resource, Verb::Read)?;
    let mut select = Arc::clone(&query.select);
    rule_embeds(call, &mut select)?;
    let filter = query.filter.clone().and(allowed.filter);
    let bucket = prepare::bucket(call.resource, &filter);
    Ok(Read {
        resource: call.index,
        run_as: run_as::of(call, call.resource.store)?,
        fresh: call.freshness(call.resource, &select),
        select,
        filter,
        order,
        limit: window.limit,
        offset: window.offset,
        after: cursor.map(|c| c.values),
        count,
        bucket,
        partial: false,
    })
}

/// `Link` to the next page, whenever there is more.
fn next(call: &Call<'_>, query: &Query, page: &Page, bound: &str, begins: u64) -> Option<String> {
    if !page.more || page.rows == 0 {
        return None;
    }
    let position = begins.saturating_add(page.rows);
    let place = if call.resource.key.is_empty() || page.last.is_empty() {
        format!("offset={position}")
    } else {
        let values = page.last.clone();
        format!(
            "after={}",
            call.signer().seal(bound, &Cursor { values, position })
        )
    };
    let sep = if query.kept.is_empty() { "" } else { "&" };
    // A `>` would end the link; the rest of a query cannot hold one.
    let kept = query
        .kept
        .replace('>', "%3E")
        .replace('<', "%3C")
        .replace('"', "%22");
    Some(format!(
        "<{}{}?{kept}{sep}{place}>; rel=\"next\"",
        call.origin(),
        call.facts.path
    ))
}

/// PostgREST's `Content-Location`: the parameters sorted by key.
fn content_location(call: &Call<'_>) -> String {
    let mut pairs: Vec<&str> = call.query.split('&').filter(|p| p.contains('=')).collect();
    pairs.sort_by_key(|p| p.split('=').next());
    let sep = if pairs.is_empty() { "" } else { "?" };
    format!(
        "/{}{sep}{}",
        render::encode(rest::relation_name(call.resource)),
        pairs.join("&")
    )
}

/// One row by its key.
pub(crate) async fn one(call: &Call<'_>, id: &Value, head: bool) -> Result<Reply> {
    let preferences = call.preferences()?;
    let media = accept::accept(call.headers)?;
    let query = call.understood()?;
    query.only(&[Kind::Select, Kind::Embedded], "A row")?;
    let (page, select) = row(call, id, query.select, Verb::Read).await?;
    guard(call, &page)?;
    let columns = match media {
        accept::Media::Csv => select::names(&select),
        _ => Vec::new(),
    };
    let body = render::object(&page.json, media, &columns)?;
    let tag = etag::tag(page.version, media.content_type(), &body);
    if etag::none_match_hits(call.headers, &tag) {
        return Ok(Draft::new(304).header(header::ETAG, tag).reply(false));
    }
    let draft = Draft::new(200)
        .header(header::ETAG, tag)
        .maybe(render::PREFERENCE_APPLIED, preferences.applied_to_read(false))
        .body(media, body);
    Ok(draft.reply(head))
}

/// `If-Match` on a read.
fn guard(call: &Call<'_>, page: &Page) -> Result<()> {
    match etag::precondition(call.headers) {
        Precondition::Versions(versions) if !page.version.is_some_and(|v| versions.contains(&v)) => {
            Err(trouble::precondition_failed())
        }
        _ => Ok(()),
    }
}

/// Reads the row with this key, as far as the rule of `verb` lets the caller; refuses with 404 where there is none.
/// Gives back what was selected.
pub(crate) async fn row(
    call: &Call<'_>,
    id: &Value,
    mut select: Arc<Vec<Item>>,
    verb: Verb,
) -> Result<(Page, Arc<Vec<Item>>)> {
    let allowed = call.allow(call.resource, verb)?;
    rule_embeds(call, &mut select)?;
    let filter = prepare::key_is(call.resource, id).and(allowed.filter);
    let read = Read {
        resource: call.index,
        run_as: run_as::of(call, call.resource.store)?,
        fresh: call.freshness(call.resource, &select),
        select,
        bucket: prepare::bucket(call.resource, &filter),
        filter,
        order: Vec::new(),
        limit: 1,
        offset: 0,
        after: None,
        count: Count::None,
        partial: false,
    };
    let page = call.fetch(&read).await?;
    if page.rows == 0 {
        return Err(call.not_found(id));
    }
    Ok((page, read.select))
}

/// The caller's condition of a filtered write; without one it is refused.
pub(crate) fn required_filter(query: &Query, what: &str) -> Result<Condition> {
    if query.filter == Condition::True {
        let detail = format!("{what} without a filter would reach every row.");
        return Err(Refusal::new(&codes::FILTER_REQUIRED, detail.clone())
            .hint("Say which rows, as in `?id=eq.…`.")
            .postgrest(
                "21000",
                400,
                format!("{} requires a WHERE clause", what.to_uppercase()),
            )
            .exactly());
    }
    Ok(query.filter.clone())
}
