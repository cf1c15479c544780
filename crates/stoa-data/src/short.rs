//! One whole row by its key, asked for without a word about how: most requests are that. It is answered here with the steps of
//! [`crate::read::one`] that such a request needs; what says more, and what does not go well, is left to that.

use crate::{
    allow::{self, RequestFacts, Verb},
    consistency, etag,
    handler::{Inner, VARY, not_found},
    operation::ResourceIndex,
    parse::accept::{self, Media},
    prepare,
    render::Draft,
    store::{RowFuture, WholeRow},
    value::{Value, from_text},
};
use http::{HeaderMap, Method, header};
use stoa_config::plan::{Access, Plan, Resource, StoreKind};
use stoa_exchange::{Context, Problem, Reply, Request};

/// Whether the rows of a resource may be read like this: the rule on them looks at the caller alone, and the database does
/// not judge who asks.
pub(crate) fn fits(plan: &Plan, resource: &Resource) -> bool {
    let rule = &resource.rules.read.access;
    let of_caller = matches!(
        rule,
        Access::Public | Access::User | Access::Role(_) | Access::Scope(_)
    );
    let roles = matches!(
        plan.stores.get(resource.store).map(|s| &s.kind),
        Some(StoreKind::Postgres { roles: Some(_), .. })
    );
    of_caller && !roles && resource.table.is_none() && resource.key.len() == 1
}

/// Begins the read, where the request is one of these and its store has the way open.
pub(crate) fn row<'a>(
    inner: &'a Inner,
    index: ResourceIndex,
    context: &Context,
    request: &Request,
) -> Option<RowFuture<'a>> {
    let fits = inner.short.get(index).is_some_and(|fits| *fits);
    let plain = *request.method() == Method::GET && request.uri().query().is_none_or(str::is_empty);
    if !fits || !plain || context.trail.is_on() || context.deadline.is_some() || says_more(request.headers())
    {
        return None;
    }
    let resource = inner.plan.resources.get(index)?;
    let id = id(resource, request)?;
    let key = from_text(&resource.key_field()?.ty, id).ok()?;
    if !matches!(resource.rules.read.access, Access::Public) {
        let facts = RequestFacts {
            realm: &inner.plan.api,
            method: request.method(),
            path: request.uri().path(),
            query: request.uri().query(),
            host: &context.host,
            headers: request.headers(),
            client: context.client,
        };
        allow::allow(resource, Verb::Read, &context.identity, &facts).ok()?;
    }
    let bucket = prepare::bucket_of_row(resource, &key)?;
    inner.stores.get(resource.store)?.row(index, key, bucket)
}

/// The key in the path, where it is written as it is.
fn id<'r>(resource: &Resource, request: &'r Request) -> Option<&'r str> {
    let rest = request.uri().path().strip_prefix('/')?;
    let id = rest.strip_prefix(resource.name.as_str())?.strip_prefix('/')?;
    let more = |found: u8, b: u8| found | u8::from(b == b'%') | u8::from(b == b'/');
    (!id.is_empty() && id.bytes().fold(0, more) == 0).then_some(id)
}

/// Whether the fields of a request ask for anything else than a row as it is.
fn says_more(headers: &HeaderMap) -> bool {
    let more = |name: &header::HeaderName| {
        matches!(*name, header::IF_MATCH | header::COOKIE)
            || name.as_str() == "prefer"
            || *name == consistency::FIELD
    };
    headers.keys().any(more) || !matches!(accept::accept(headers), Ok(Media::Json))
}

/// The reply: the row, or that the caller has it already.
pub(crate) fn reply(request: &Request, row: WholeRow) -> Reply {
    let tag = etag::tag(Some(row.version), Media::Json.content_type(), &row.json);
    let draft = if etag::none_match_hits(request.headers(), &tag) {
        Draft::new(304).header(header::ETAG, tag)
    } else {
        Draft::new(200)
            .header(header::ETAG, tag)
            .body(Media::Json, row.json)
    };
    draft.header(header::VARY, VARY).reply(false)
}

/// There is no such row.
pub(crate) fn missing(resource: &Resource, request: &Request) -> Problem {
    let id = id(resource, request).unwrap_or_default();
    let key = resource
        .key_field()
        .and_then(|field| from_text(&field.ty, id).ok());
    not_found(resource, &key.unwrap_or(Value::Null)).into_problem(false)
}
