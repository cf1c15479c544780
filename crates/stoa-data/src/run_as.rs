//! As whom the database runs a caller's statements, for stores with `roles`: its own policies (row-level security, grants)
//! judge then, beside the rules of the file.
//!
//! The role is one of the file's list, whatever a token says. What policies read of the request has PostgREST's names:
//! `request.jwt.claims`, `request.headers`, `request.cookies`, `request.method`, `request.path`. All of it are bound
//! values of `set_config`, which hold for one transaction.

use crate::handler::Call;
use crate::refusal::{Refusal, Result};
use http::{HeaderMap, header};
use serde_json::{Map, Value};
use std::sync::Arc;
use stoa_config::plan::{DatabaseRoles, Plan, StoreKind};
use stoa_exchange::{Identity, RequestFacts, access, codes as common};

/// Bytes of the claims as JSON at most. A token is smaller than the bound of a request's head.
const CLAIMS_BYTES_MAX: usize = 64 << 10;
/// Fields that hold secrets: policies have the claims, and what a session holds may end in a log.
const HIDDEN: [header::HeaderName; 3] = [header::AUTHORIZATION, header::COOKIE, header::PROXY_AUTHORIZATION];

/// What the database is told of a request before its statements run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunAs {
    /// A role that the file lists.
    pub(crate) role: String,
    /// Names of settings and their values.
    pub(crate) settings: [(&'static str, String); 5],
}

/// The role and settings for a request on a store; `None` where the store has no `roles`.
///
/// # Errors
/// 403 for a token that names a role which the file does not list, 401 for nobody where there is no anonymous role.
pub(crate) fn of(call: &Call<'_>, store: usize) -> Result<Option<Arc<RunAs>>> {
    for_caller(call.plan(), store, call.identity, &call.facts)
}

/// As [`of`], of a request that is on no resource.
pub(crate) fn for_caller(
    plan: &Plan,
    store: usize,
    identity: &Identity,
    facts: &RequestFacts<'_>,
) -> Result<Option<Arc<RunAs>>> {
    let Some(StoreKind::Postgres {
        roles: Some(roles), ..
    }) = plan.stores.get(store).map(|s| &s.kind)
    else {
        return Ok(None);
    };
    let role = role(roles, identity, facts.realm)?;
    let mut claims = identity.caller().map(|c| c.claims.clone()).unwrap_or_default();
    if let Some(subject) = identity.subject() {
        claims.entry("sub").or_insert_with(|| subject.into());
    }
    // As PostgREST has it: whoever asks, policies find the role.
    claims.insert("role".to_owned(), role.into());
    let claims = Value::Object(claims).to_string();
    if claims.len() > CLAIMS_BYTES_MAX {
        return Err(Refusal::new(
            &common::FORBIDDEN,
            format!("The token's claims are larger than {CLAIMS_BYTES_MAX} bytes."),
        ));
    }
    let path = facts.path;
    let path = path
        .strip_prefix("/rest/v1")
        .filter(|rest| rest.starts_with('/'))
        .unwrap_or(path);
    Ok(Some(Arc::new(RunAs {
        role: role.to_owned(),
        settings: [
            ("request.jwt.claims", claims),
            ("request.headers", fields(facts.headers).to_string()),
            ("request.cookies", cookies(facts.headers).to_string()),
            ("request.method", facts.method.to_string()),
            ("request.path", path.to_owned()),
        ],
    })))
}

fn role<'r>(roles: &'r DatabaseRoles, identity: &Identity, realm: &str) -> Result<&'r str> {
    let claim = identity.caller().and_then(|caller| {
        let (first, rest) = roles.claim.split_first()?;
        rest.iter()
            .try_fold(caller.claims.get(first)?, |value, name| value.get(name))
    });
    match claim {
        None | Some(Value::Null) => {
            if let Some(role) = &roles.anonymous {
                return Ok(role);
            }
            access::require_caller(identity, realm).map_err(|problem| {
                Refusal::from(problem).postgrest("PGRST302", 401, "Anonymous access is disabled")
            })?;
            let path = roles.claim.join(".");
            Err(denied(format!(
                "The token has no claim `{path}`, which names a role of the database."
            )))
        }
        Some(claim) => {
            let listed = |name: &str| roles.allowed.iter().find(|role| *role == name);
            claim
                .as_str()
                .and_then(listed)
                .map(String::as_str)
                .ok_or_else(|| {
                    let path = roles.claim.join(".");
                    denied(format!(
                        "The role that the token's `{path}` names is not among those that the file allows."
                    ))
                })
        }
    }
}

fn denied(says: String) -> Refusal {
    Refusal::new(&common::FORBIDDEN, says.clone()).postgrest("42501", 403, says)
}

/// The fields by their lower-case names; several of one name are joined, as HTTP reads them.
fn fields(headers: &HeaderMap) -> Value {
    let mut fields = Map::new();
    for name in headers.keys().filter(|name| !HIDDEN.contains(name)) {
        let values: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        // The database keeps no NUL, and no field has one.
        fields.insert(name.as_str().to_owned(), values.join(", ").into());
    }
    Value::Object(fields)
}

fn cookies(headers: &HeaderMap) -> Value {
    let mut cookies = Map::new();
    for line in headers.get_all(header::COOKIE) {
        let line = String::from_utf8_lossy(line.as_bytes());
        for (name, value) in line.split(';').filter_map(|pair| pair.trim().split_once('=')) {
            cookies.insert(name.to_owned(), value.into());
        }
    }
    Value::Object(cookies)
}

#[cfg(test)]
mod tests;
