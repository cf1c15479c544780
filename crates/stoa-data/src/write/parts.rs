//! The reply of a write whose parts were transactions of their own: what became of each, in one body. Why a part failed is
//! left for the log.

use crate::{
    handler::Call,
    refusal::Refusal,
    render::{self, Draft},
    store::{Part, Written},
    trouble,
};
use serde_json::json;
use stoa_exchange::{PartCause, Reply};

use super::shape::Shape;

/// `207` (RFC 4918's status for it, with a body of our own): for each part its shard, the rows of the body that it is about,
/// its status, and the representation or the problem.
pub(super) fn reply(call: &Call<'_>, shape: &Shape, parts: Vec<Part>) -> Reply {
    let mut body = Vec::from(&b"{\"parts\":["[..]);
    let mut causes: Vec<String> = Vec::new();
    for (position, part) in parts.into_iter().enumerate() {
        if position > 0 {
            body.push(b',');
        }
        let Part { shard, rows, result } = part;
        let mut about = json!({ "shard": shard });
        if !rows.is_empty() {
            about["rows"] = json!(rows);
        }
        match result {
            Ok(written) => done(shape, &mut about, &written, &mut body),
            Err(error) => {
                let refusal: Refusal = trouble::refusal(error, call, None);
                let problem = refusal.into_problem(call.alias);
                if let Some(cause) = &problem.cause {
                    causes.push(format!("shard {shard}: {}: {cause}", problem.code.name));
                }
                about["status"] = json!(problem.status().as_u16());
                about["problem"] = problem.to_json(None);
                body.extend_from_slice(about.to_string().as_bytes());
            }
        }
    }
    body.extend_from_slice(b"]}");
    let applied = match &shape.applied {
        Some(others) => format!("{others}, atomic=per-shard"),
        None => "atomic=per-shard".to_owned(),
    };
    let draft = Draft::new(207)
        .header(render::PREFERENCE_APPLIED, applied)
        .json(body);
    let mut reply = crate::render::stored_reply(draft.stored());
    if !causes.is_empty() {
        reply.extensions_mut().insert(PartCause(causes.join("; ")));
    }
    reply
}

/// A part that is done. The rows are JSON already.
fn done(shape: &Shape, about: &mut serde_json::Value, written: &Written, body: &mut Vec<u8>) {
    about["status"] = json!(shape.status(written));
    about["affected"] = json!(written.affected);
    let text = about.to_string();
    body.extend_from_slice(text.trim_end_matches('}').as_bytes());
    if shape.representation {
        body.extend_from_slice(b",\"body\":[");
        body.extend_from_slice(&written.json);
        body.push(b']');
    }
    body.push(b'}');
}
