//! One request on a resource, and its steps.

use super::{Inner, STATEMENT_MAX};
use crate::{
    allow::{self, Allowed, RequestFacts, Verb},
    codes,
    consistency::Session,
    cursor::Signer,
    operation::{Freshness, IdempotencyClaim, Item, Read, ResourceIndex, Write},
    parse::{
        self, Query,
        body::{self, Payload},
        loose,
        prefer::{self, Prefer},
    },
    read,
    refusal::{self, Refusal, Result},
    stitch,
    store::{Outcome, Page, Render, StoredReply},
    trouble,
    validate::Rules,
    value::{Value, from_text},
    write,
};
use bytes::Bytes;
use http::{HeaderMap, Method, header, request};
use percent_encoding::percent_decode_str;
use std::{borrow::Cow, sync::Arc, time::Instant};
use stoa_config::plan::{Access, Consistency, Plan, Resource, Rule};
use stoa_exchange::{Body, BodyError, Context, Identity, Reply, clock, codes as common, read_to_limit};

/// One request on a resource.
pub(crate) struct Call<'a> {
    inner: &'a Inner,
    pub(crate) index: ResourceIndex,
    pub(crate) resource: &'a Resource,
    /// Whether PostgREST's own defaults apply.
    pub(crate) alias: bool,
    pub(crate) identity: &'a Identity,
    pub(crate) facts: RequestFacts<'a>,
    pub(crate) headers: &'a HeaderMap,
    /// What a read promises; `None` for writes, and whatever they look at.
    consistency: Option<Consistency>,
    session: &'a Session<'a>,
    pub(crate) query: &'a str,
    context: &'a Context,
    pub(crate) deadline: Instant,
    body_bytes_max: u64,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        inner: &'a Inner,
        index: ResourceIndex,
        alias: bool,
        context: &'a Context,
        parts: &'a request::Parts,
        session: &'a Session<'a>,
        consistency: Option<Consistency>,
    ) -> Self {
        let statement_end = clock::now() + STATEMENT_MAX;
        Self {
            inner,
            index,
            resource: &inner.plan.resources[index],
            alias,
            identity: &context.identity,
            facts: RequestFacts::of(&inner.plan.api, context, parts),
            headers: &parts.headers,
            consistency,
            session,
            query: parts.uri.query().unwrap_or(""),
            context,
            deadline: context.deadline.map_or(statement_end, |d| d.min(statement_end)),
            body_bytes_max: context.body_bytes_max,
        }
    }

    pub(crate) fn plan(&self) -> &'a Plan {
        &self.inner.plan
    }

    pub(crate) fn rules(&self) -> &'a Rules {
        &self.inner.rules[self.index]
    }

    /// The query string, read.
    pub(crate) fn understood(&self) -> Result<Query> {
        if self.query.is_empty() {
            return Ok(Query::all(Arc::clone(&self.inner.whole[self.index])));
        }
        parse::query(self.plan(), self.index, self.query, self.alias)
    }

    pub(crate) fn preferences(&self) -> Result<Prefer> {
        prefer::prefer(self.headers, self.alias, self.plan().server.allow_rollback)
    }

    /// The body, in whichever of its media types it came.
    pub(crate) fn payload(&self, bytes: &Bytes, many: bool) -> Result<Payload> {
        let mut payload = body::payload(self.headers, bytes, many, self.alias)?;
        if self.alias && !payload.texts {
            loose::rows(self.resource, &mut payload.rows);
        }
        Ok(payload)
    }

    /// `scheme://host` for absolute links, empty when the host is not fit to stand in one.
    pub(crate) fn origin(&self) -> String {
        let (scheme, host) = (self.context.scheme, &self.context.host);
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']' | '_');
        if host.is_empty() || !host.chars().all(plain) {
            return String::new();
        }
        format!("{}://{host}", scheme.as_str())
    }

    pub(crate) fn signer(&self) -> &'a Signer {
        &self.inner.signers[self.resource.store]
    }

    pub(crate) fn allow(&self, resource: &Resource, verb: Verb) -> Result<Allowed> {
        allow::allow(resource, verb, self.identity, &self.facts).map_err(|problem| {
            let anonymous = self.identity.caller().is_none();
            let status = if anonymous { 401 } else { 403 };
            Refusal::from(problem).postgrest(
                "42501",
                status,
                format!("permission denied for table {}", resource.name),
            )
        })
    }

    /// How fresh a read of the resource with these items must be: what a write looks at is what the primary has.
    pub(crate) fn freshness(&self, resource: &Resource, items: &[Item]) -> Freshness {
        let Some(consistency) = self.consistency else {
            return Freshness::strong();
        };
        let mut fresh = Freshness::of(consistency, self.session.after(resource.store));
        self.embedded(items, &mut fresh);
        self.session.stricter(fresh)
    }

    /// Rows inside rows are not older than their own resource allows.
    fn embedded(&self, items: &[Item], fresh: &mut Freshness) {
        for item in items {
            let Item::Embed(embed) = item else { continue };
            if let Some(resource) = self.plan().resources.get(embed.resource) {
                let after = self.session.after(resource.store);
                fresh.join(&Freshness::of(resource.consistency, after));
            }
            self.embedded(&embed.select, fresh);
        }
    }

    /// Runs a read, with what it embeds from other shards.
    pub(crate) async fn fetch(&self, read: &Read) -> Result<Page> {
        if !stitch::is_needed(self.plan(), read.resource, &read.select) {
            return self.fetch_together(read).await;
        }
        stitch::judge(self.plan(), read, &read.filter)?;
        stitch::judge_order(self.plan(), read)?;
        let mut first = read.clone();
        let stitches = stitch::cut(
            self.plan(),
            read.resource,
            Arc::make_mut(&mut first.select).as_mut_slice(),
        )?;
        let mut page = self.fetch_together(&first).await?;
        if !stitches.is_empty() && page.rows > 0 {
            // Large, and not what most reads need.
            page.json = Box::pin(stitch::sew(self, page.json, stitches)).await?;
        }
        Ok(page)
    }

    /// Runs a read on the store of `read.resource`.
    async fn fetch_together(&self, read: &Read) -> Result<Page> {
        let at = self.plan().resources.get(read.resource).map(|r| r.store);
        let (Some(at), Some(store)) = (at, at.and_then(|at| self.inner.stores.get(at))) else {
            return Err(Refusal::new(
                &common::INTERNAL,
                "The store of the resource is not open.",
            ));
        };
        let page = store.read(read, self.deadline).await;
        let mut page = page.map_err(|error| trouble::refusal(error, self, None))?;
        self.session.read(at, &mut page);
        Ok(page)
    }

    /// Runs a write.
    pub(crate) async fn run(
        &self,
        write: Write,
        render: Option<Render>,
    ) -> std::result::Result<Outcome, crate::store::StoreError> {
        let at = self.resource.store;
        let done = self.inner.stores[at].write(write, self.deadline, render).await?;
        self.session.wrote(at, done.at, done.by);
        Ok(done.outcome)
    }

    /// The reply kept for an idempotency key.
    pub(crate) async fn kept(&self, claim: &IdempotencyClaim) -> Result<Option<StoredReply>> {
        let at = self.resource.store;
        let kept = self.inner.stores[at].kept(claim, self.deadline).await;
        let kept = kept.map_err(|error| trouble::refusal(error, self, None))?;
        let Some(done) = kept else { return Ok(None) };
        self.session.wrote(at, done.at, done.by);
        Ok(match done.outcome {
            Outcome::Replayed(reply) => Some(reply),
            Outcome::Written(_) | Outcome::Parts(_) => None,
        })
    }

    pub(super) async fn answer(&self, method: &Method, id: Option<&str>, body: Body) -> Result<Reply> {
        if *method == Method::OPTIONS {
            return Ok(self.options(id.is_some()));
        }
        self.stranger(method)?;
        let id = id.map(|id| self.key(id)).transpose()?;
        let head = *method == Method::HEAD;
        // Writes are large and in boxes of their own: a read does not carry room for them.
        match (method.as_str(), id) {
            ("GET" | "HEAD", None) => read::list(self, head).await,
            ("GET" | "HEAD", Some(id)) => read::one(self, &id, head).await,
            ("POST", None) => {
                body::check_type(self.headers, false)?;
                Box::pin(write::create(self, self.body(body).await?)).await
            }
            ("PUT", Some(id)) => {
                body::check_type(self.headers, false)?;
                Box::pin(write::replace(self, id, self.body(body).await?)).await
            }
            ("PUT", None) if self.alias => {
                body::check_type(self.headers, false)?;
                Box::pin(write::replace_filtered(self, self.body(body).await?)).await
            }
            ("PATCH", Some(id)) => {
                body::check_type(self.headers, true)?;
                Box::pin(write::patch_one(self, id, self.body(body).await?)).await
            }
            ("PATCH", None) => {
                body::check_type(self.headers, true)?;
                Box::pin(write::patch_many(self, self.body(body).await?)).await
            }
            ("DELETE", Some(id)) => Box::pin(write::delete_one(self, id)).await,
            ("DELETE", None) => Box::pin(write::delete_many(self)).await,
            (other, id) => Err(self.not_allowed(other, id.is_some())),
        }
    }

    /// Who is nobody and may do nothing here is told that first, whatever else is wrong with the request: what a
    /// resource has is not for strangers to find out. `PUT`, which two rules judge, is judged when it is known which.
    fn stranger(&self, method: &Method) -> Result<()> {
        if self.identity.caller().is_some() {
            return Ok(());
        }
        let verb = match *method {
            Method::GET | Method::HEAD => Verb::Read,
            Method::POST => Verb::Create,
            Method::PATCH => Verb::Update,
            Method::DELETE => Verb::Delete,
            _ => return Ok(()),
        };
        self.allow(self.resource, verb).map(|_| ())
    }

    fn not_allowed(&self, method: &str, one: bool) -> Refusal {
        let where_ = if one { "A row" } else { "A list" };
        let allow = self.methods(one);
        Refusal::new(
            &common::METHOD_NOT_ALLOWED,
            format!("{where_} of `{}` serves {allow}.", self.resource.name),
        )
        .header(header::ALLOW, allow)
        .postgrest("PGRST117", 405, format!("Unsupported HTTP method: {method}"))
    }

    /// What is served here: a method that the file gives to nobody is not named, nor `PUT` where no key says which row.
    fn methods(&self, one: bool) -> String {
        let rules = &self.resource.rules;
        let given = |rule: &Rule| !matches!(rule.access, Access::Nobody);
        let keyed = !self.resource.key.is_empty();
        let put = keyed && (one || self.alias) && given(&rules.create) && given(&rules.update);
        let named = [
            ("POST", !one && given(&rules.create)),
            ("PUT", put),
            ("PATCH", given(&rules.update)),
            ("DELETE", given(&rules.delete)),
        ];
        let named = named.into_iter().filter(|(_, is)| *is).map(|(name, _)| name);
        if self.alias {
            ["OPTIONS", "GET", "HEAD"]
                .into_iter()
                .chain(named)
                .collect::<Vec<_>>()
                .join(",")
        } else {
            ["GET", "HEAD"]
                .into_iter()
                .chain(named)
                .chain(["OPTIONS"])
                .collect::<Vec<_>>()
                .join(", ")
        }
    }

    fn options(&self, one: bool) -> Reply {
        let mut reply = Reply::new(Body::Empty);
        if let Ok(allow) = http::HeaderValue::from_str(&self.methods(one)) {
            reply.headers_mut().insert(header::ALLOW, allow);
        }
        if !self.alias {
            *reply.status_mut() = http::StatusCode::NO_CONTENT;
        }
        reply
    }

    /// The key in the path. What cannot be a key is not found.
    fn key(&self, text: &str) -> Result<Value> {
        let unknown = |why: String| {
            Refusal::new(
                &codes::ROW_NOT_FOUND,
                format!("`{}` has no such row: {why}.", self.resource.name),
            )
        };
        let Some(field) = self.resource.key_field() else {
            return Err(unknown(String::from(
                "its rows have no single key; ask the list with filters",
            )));
        };
        let decoded = if text.contains('%') {
            percent_decode_str(text).decode_utf8()
        } else {
            Ok(Cow::Borrowed(text))
        };
        let decoded = decoded.map_err(|_| unknown(String::from("the key is not UTF-8")))?;
        if decoded.contains('/') && text.contains('/') {
            return Err(unknown(String::from("nothing is served below a row")));
        }
        from_text(&field.ty, &decoded).map_err(|says| unknown(format!("`{}` {says}", field.name)))
    }

    async fn body(&self, body: Body) -> Result<Bytes> {
        whole(body, self.body_bytes_max).await
    }

    /// A row that is not there, or not for the caller.
    pub(crate) fn not_found(&self, id: &Value) -> Refusal {
        not_found(self.resource, id)
    }
}

/// A row that is not there, or not for the caller.
pub(crate) fn not_found(resource: &Resource, id: &Value) -> Refusal {
    let id = refusal::shorten(&id.to_string());
    Refusal::new(
        &codes::ROW_NOT_FOUND,
        format!("`{}` has no row `{id}`.", resource.name),
    )
}

/// The whole of a body, up to a bound in bytes.
pub(crate) async fn whole(body: Body, max: u64) -> Result<Bytes> {
    read_to_limit(body, max).await.map_err(|error| match error {
        BodyError::TooLarge(max) => Refusal::new(
            &common::BODY_TOO_LARGE,
            format!("The body is larger than {max} bytes."),
        ),
        BodyError::Stalled => Refusal::new(
            &common::BODY_TIMEOUT,
            "The next part of the body did not arrive in time.",
        ),
        other => {
            Refusal::new(&common::BAD_REQUEST, "The body ended before its end.").cause(other.to_string())
        }
    })
}
