//! What a write asks for beside its body: preferences, representation, filter, idempotency key.

use super::shape::{Shape, What};
use crate::{
    allow::{self, Verb},
    codes, etag,
    handler::Call,
    operation::{Condition, Count, Item, Precondition, is_grouped},
    parse::{
        self, Kind, Query, accept,
        prefer::{Looked, Prefer, Returning},
    },
    read,
    refusal::{Refusal, Result},
    render, rest,
    store::Written,
};
use aws_lc_rs::digest;
use bytes::Bytes;
use std::sync::Arc;
use stoa_exchange::Reply;

/// What a write asks for beside its body.
pub(super) struct Asked {
    pub(super) prefer: Prefer,
    pub(super) media: accept::Media,
    pub(super) query: Query,
    pub(super) claim: Option<[u8; 32]>,
    /// Rows that a filtered write may look at: the read rule.
    pub(super) readable: Condition,
}

impl Asked {
    pub(super) fn new(call: &Call<'_>, allowed: &[Kind], on: &str) -> Result<Self> {
        let query = call.understood()?;
        query.only(allowed, on)?;
        Ok(Self {
            prefer: call.preferences()?,
            media: accept::accept(call.headers)?,
            query,
            claim: claim(call)?,
            readable: Condition::True,
        })
    }

    /// Of a write on what a filter finds. The filter is a question about rows: the read rule judges it too.
    pub(super) fn filtered(call: &Call<'_>, on: &str) -> Result<Self> {
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
        if mentions_embed(&asked.query.filter) {
            let says = "A write cannot be filtered by an embed; filter by the fields of the resource itself.";
            return Err(crate::refusal::not_supported(says));
        }
        if asked.query.filter != Condition::True {
            asked.readable = call.allow(call.resource, Verb::Read)?.filter;
        }
        Ok(asked)
    }

    /// What the reply shows; `unsaid` when nothing is preferred. Rows are shown only as far as the read rule lets the
    /// caller: what was asked for must be readable, what was not asked for is left out.
    pub(super) fn returning(
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
        if is_grouped(&self.query.select) {
            return Err(crate::refusal::not_supported(
                "Aggregates are of what a read finds; a write shows the rows that it changed.",
            ));
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
        Ok(Some(Arc::unwrap_or_clone(items)))
    }

    pub(super) fn shape(&self, call: &Call<'_>, what: What, representation: bool) -> Shape {
        let insert = matches!(what, What::Created { .. });
        let body = insert || matches!(what, What::Patched { .. });
        let many = matches!(what, What::Patched { many: true } | What::Deleted { many: true });
        let columns = parse::select::names(&self.query.select);
        Shape {
            alias: call.alias,
            what,
            representation,
            headers_only: self.prefer.returning == Some(Returning::HeadersOnly),
            media: self.media,
            columns: columns.into_iter().map(str::to_owned).collect(),
            applied: self.prefer.applied_to_write(Looked {
                at_conflicts: insert && (!call.resource.key.is_empty() || self.query.on_conflict.is_some()),
                at_missing: body,
                at_affected: many && self.counts_affected(call),
            }),
            counted: matches!(self.prefer.count, Some(Count::Exact | Count::Estimated)),
            resource: call.resource.name.clone(),
            relation: rest::relation_name(call.resource).to_owned(),
            key: {
                let key = call.resource.key.iter();
                let fields = key.filter_map(|k| call.resource.fields.get(*k));
                fields.map(|f| f.name.clone()).collect()
            },
        }
    }

    /// The reply of a write that found nothing to do.
    pub(super) fn nothing(&self, shape: &Shape) -> Result<Reply> {
        if self.media.is_object() {
            return Err(render::not_one(0));
        }
        Ok(render::stored_reply(shape.stored(&Written::default())))
    }

    /// Whether `max-affected` holds: on the alias only with `handling=strict`.
    pub(super) fn counts_affected(&self, call: &Call<'_>) -> bool {
        !call.alias || self.prefer.strict == Some(true)
    }
}

/// Both conditions; one when they are the same.
pub(super) fn both(a: Condition, b: Condition) -> Condition {
    if a == b { a } else { a.and(b) }
}

/// Whether an embed decides about it.
fn mentions_embed(condition: &Condition) -> bool {
    match condition {
        Condition::Embedded { .. } => true,
        Condition::And(list) | Condition::Or(list) => list.iter().any(mentions_embed),
        Condition::Not(inner) => mentions_embed(inner),
        _ => false,
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
pub(super) fn fingerprint(call: &Call<'_>, bytes: &Bytes) -> [u8; 32] {
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
