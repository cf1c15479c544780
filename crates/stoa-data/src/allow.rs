//! Whether the caller may do this to a resource, and on which rows.
//!
//! The rules that look at rows (`owner`, `when` over `row`) become conditions of the operation, never a
//! filter after the fact.

use crate::{
    operation::{Condition, FieldIndex},
    value::Value,
};
use http::{HeaderMap, Method};
use std::net::IpAddr;
use stoa_config::plan::{Access, Resource};
use stoa_exchange::{Identity, Problem, codes};

/// What is done to rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `read`.
    Read,
    /// `create`.
    Create,
    /// `update`.
    Update,
    /// `delete`.
    Delete,
}

/// What a rule may know of the request.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts<'a> {
    /// The API's name, as in `WWW-Authenticate`.
    pub realm: &'a str,
    /// Method.
    pub method: &'a Method,
    /// Path as sent, without the query.
    pub path: &'a str,
    /// Query as sent, without `?`.
    pub query: Option<&'a str>,
    /// Host, lower case, with port if there was one.
    pub host: &'a str,
    /// Header fields.
    pub headers: &'a HeaderMap,
    /// The client's address.
    pub client: IpAddr,
}

/// What the rule allows.
#[derive(Clone, Debug, PartialEq)]
pub struct Allowed {
    /// Which existing rows may be seen or touched.
    pub filter: Condition,
    /// What each row must satisfy after it is written.
    pub check: Condition,
    /// The field that is filled in on create when the body leaves it out; when present it must be this value
    /// (problem [`owner`]).
    pub fill: Option<(FieldIndex, Value)>,
    /// A field that the rule fixes to one value: where it is the shard key it fixes the bucket.
    pub bucket_by: Option<(FieldIndex, Value)>,
}

/// Judges the resource's rule for `verb` on the caller.
///
/// # Errors
/// 401 for a caller without identity where one is needed, 403 naming the rule otherwise.
pub fn allow(
    resource: &Resource,
    verb: Verb,
    _identity: &Identity,
    _request: &RequestFacts<'_>,
) -> Result<Allowed, Problem> {
    let rule = match verb {
        Verb::Read => &resource.rules.read,
        Verb::Create => &resource.rules.create,
        Verb::Update => &resource.rules.update,
        Verb::Delete => &resource.rules.delete,
    };
    match &rule.access {
        Access::Public => Ok(Allowed {
            filter: Condition::True,
            check: Condition::True,
            fill: None,
            bucket_by: None,
        }),
        other => Err(Problem::new(
            &codes::FORBIDDEN,
            format!("the rule of `{}` is `{other}`", resource.name),
        )),
    }
}

/// 403 for a row that would belong to somebody else.
pub fn owner(resource: &Resource, field: FieldIndex) -> Problem {
    let name = resource.fields.get(field).map_or("owner", |f| f.name.as_str());
    Problem::new(
        &codes::FORBIDDEN,
        format!("`{name}` of {} must be the caller", resource.name),
    )
    .hint(format!("leave `{name}` out; it is filled in"))
}
