//! Writes: what the caller sent becomes one change, the store runs it in one transaction, and the reply shows it.

mod asked;
mod create;
mod existing;
mod parts;
mod patch;
mod replace;
mod shape;

use crate::{
    bucket, codes,
    handler::Call,
    operation::{Change, IdempotencyClaim, Item, Write},
    refusal::{Refusal, Result},
    render, run_as, stitch,
    store::{Outcome, Render, StoredReply, Written},
    trouble,
    value::Value,
};
use asked::{Asked, fingerprint};
use bytes::Bytes;
use shape::{Shape, What};
use stoa_config::plan::Shard;
use stoa_exchange::Reply;

pub(crate) use create::{columns_of, create};
pub(crate) use patch::{delete_many, delete_one, patch_many, patch_one};
pub(crate) use replace::{replace, replace_filtered};

/// A change that is ready to run, and the reply to make of it.
struct Ready<'a> {
    change: Change,
    returning: Option<Vec<Item>>,
    shape: Shape,
    /// A bucket of the rows, when one is the same at every repetition of the request.
    bucket: Option<u16>,
    bytes: &'a Bytes,
    /// The key in the path.
    id: Option<&'a Value>,
}

/// What the idempotency key of the request claims. Its reply moves with `bucket`, which is therefore one of those that the
/// request writes in; where nothing fixes those, the request writes in all of them, and one is as good as another.
fn claim(call: &Call<'_>, scope: [u8; 32], bucket: Option<u16>, bytes: &Bytes) -> IdempotencyClaim {
    IdempotencyClaim {
        scope,
        fingerprint: fingerprint(call, bytes),
        bucket: (call.resource.shard != Shard::Single)
            .then(|| bucket.unwrap_or_else(|| bucket::bucket_of_bytes(&scope))),
    }
}

/// The kept reply of a repeated request. Asked before the row is looked at, which may be another by now, or gone.
async fn replayed(
    call: &Call<'_>,
    asked: &Asked,
    bucket: Option<u16>,
    bytes: &Bytes,
) -> Result<Option<Reply>> {
    let Some(scope) = asked.claim else { return Ok(None) };
    let kept = call.kept(&claim(call, scope, bucket, bytes)).await?;
    Ok(kept.map(replay))
}

fn replay(mut stored: StoredReply) -> Reply {
    stored
        .headers
        .push((String::from("idempotent-replayed"), String::from("true")));
    render::stored_reply(stored)
}

/// Runs the change and makes the reply; with an idempotency key the reply is kept in the same transaction.
async fn finish(call: &Call<'_>, asked: &Asked, ready: Ready<'_>) -> Result<Reply> {
    let Ready {
        change,
        returning,
        shape,
        bucket,
        bytes,
        id,
    } = ready;
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
        idempotency: asked.claim.map(|scope| claim(call, scope, bucket, bytes)),
        must_exist: Vec::new(),
        run_as: run_as::of(call, call.resource.store)?,
        per_shard: asked.prefer.per_shard.is_some(),
    };
    let mut write = write;
    let stitches = match &mut write.returning {
        Some(items) => stitch::cut(call.plan(), call.index, items)?,
        None => Vec::new(),
    };
    if !stitches.is_empty() && (write.idempotency.is_some() || write.per_shard) {
        return Err(kept_whole());
    }
    existing::references(call, &write).await?;
    let max = write.max_affected;
    let kept = shape.clone();
    let render: Option<Render> = match asked.claim {
        Some(_) => Some(Box::new(move |written: &Written| kept.stored(written))),
        None => None,
    };
    match call.run(write, render).await {
        Ok(Outcome::Written(mut written)) => {
            if !stitches.is_empty() {
                written.json = stitch::sew(call, written.json, stitches).await?;
            }
            Ok(render::stored_reply(shape.stored(&written)))
        }
        Ok(Outcome::Replayed(stored)) => Ok(replay(stored)),
        Ok(Outcome::Parts(parts)) => Ok(parts::reply(call, &shape, parts)),
        Err(error) => Err(trouble::of_write(error, call, id, max)),
    }
}

/// A reply that is kept is made in the write's own transaction, on one shard.
fn kept_whole() -> Refusal {
    let says = "`select` embeds rows of other shards, which a reply that is kept or split cannot show.";
    Refusal::new(&codes::SPANS_SHARDS, says)
        .hint("Leave the embed out, and read it after the write.")
        .postgrest("PGRST127", 400, "Feature not implemented")
        .details(says)
}
