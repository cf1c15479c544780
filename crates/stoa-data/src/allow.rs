//! Whether the caller may do this to a resource, and on which rows.
//!
//! The rules that look at rows (`owner`, `when` over `row`) become conditions of the operation, never a
//! filter after the fact. A condition that is NULL for a row does not hold: whoever runs it must ask for true,
//! not for "not false".

mod rule;
mod typed;

#[cfg(test)]
mod tests;

use crate::{
    operation::{Compare, Condition, FieldIndex},
    value::Value,
};
pub use rule::check as check_cel;
use stoa_config::{
    fault::{Fault, RULE_ROWS},
    plan::{Access, Resource, Type},
};
pub use stoa_exchange::RequestFacts;
use stoa_exchange::{
    Identity, Problem,
    access::{forbidden, holds, needs_caller, require_caller, require_role, require_scopes},
};

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

/// What the rule allows.
#[derive(Clone, Debug, PartialEq)]
pub struct Allowed {
    /// Which existing rows may be seen or touched. `True` for [`Verb::Create`].
    pub filter: Condition,
    /// What each row must satisfy after it is written. `True` for [`Verb::Read`] and [`Verb::Delete`].
    pub check: Condition,
    /// The field that is filled in on create when the body leaves it out; when present it must be this value
    /// (problem [`owner`]).
    pub fill: Option<(FieldIndex, Value)>,
    /// A field that the rule fixes to one value: where it is the shard key it fixes the bucket.
    pub bucket_by: Option<(FieldIndex, Value)>,
}

impl Allowed {
    fn all() -> Self {
        Self::rows(Verb::Read, Condition::True)
    }

    /// `condition` on the rows as they are and, where the verb writes rows, as they become.
    fn rows(verb: Verb, condition: Condition) -> Self {
        let (filter, check) = match verb {
            Verb::Read | Verb::Delete => (condition, Condition::True),
            Verb::Create => (Condition::True, condition),
            Verb::Update => (condition.clone(), condition),
        };
        Self {
            filter,
            check,
            fill: None,
            bucket_by: None,
        }
    }
}

/// Judges the resource's rule for `verb` on the caller.
///
/// # Errors
/// 401 for a caller without identity where one is needed, 403 naming the rule otherwise.
pub fn allow(
    resource: &Resource,
    verb: Verb,
    identity: &Identity,
    request: &RequestFacts<'_>,
) -> Result<Allowed, Problem> {
    let realm = request.realm;
    let rules = &resource.rules;
    let (name, rule) = match verb {
        Verb::Read => ("read", &rules.read),
        Verb::Create => ("create", &rules.create),
        Verb::Update => ("update", &rules.update),
        Verb::Delete => ("delete", &rules.delete),
    };
    match &rule.access {
        Access::Public => Ok(Allowed::all()),
        Access::Nobody => Err(forbidden(&format!(
            "nobody may {name} {} (`{name}: none`)",
            resource.name
        ))),
        Access::User => require_caller(identity, realm).map(|_| Allowed::all()),
        Access::Role(roles) => require_role(identity, realm, roles).map(|_| Allowed::all()),
        Access::Scope(scopes) => require_scopes(identity, realm, scopes).map(|_| Allowed::all()),
        Access::Owner(field) => owned(resource, *field, verb, identity, realm),
        Access::When(cel) => match rule::condition(resource, cel, identity, request) {
            Condition::False => {
                if needs_caller(&cel.program) {
                    require_caller(identity, realm)?;
                }
                Err(forbidden(&format!("needs `when: {}`", cel.source)))
            }
            condition => Ok(Allowed::rows(verb, condition)),
        },
    }
}

/// Judges the rule of a function, which has no rows.
///
/// # Errors
/// As [`allow`].
pub(crate) fn may_run(rule: &Access, identity: &Identity, request: &RequestFacts<'_>) -> Result<(), Problem> {
    let realm = request.realm;
    match rule {
        Access::Public => Ok(()),
        Access::Nobody => Err(forbidden("nobody may run this function (`access: none`)")),
        Access::User => require_caller(identity, realm).map(drop),
        Access::Role(roles) => require_role(identity, realm, roles).map(drop),
        Access::Scope(scopes) => require_scopes(identity, realm, scopes).map(drop),
        Access::When(cel) if holds(&cel.program, identity, request) => Ok(()),
        Access::When(cel) => {
            if needs_caller(&cel.program) {
                require_caller(identity, realm)?;
            }
            Err(forbidden(&format!("needs `when: {}`", cel.source)))
        }
        // The plan has no such rule on a function.
        Access::Owner(_) => Err(forbidden("needs the owner of a row, and there is no row here")),
    }
}

fn owned(
    resource: &Resource,
    field: FieldIndex,
    verb: Verb,
    identity: &Identity,
    realm: &str,
) -> Result<Allowed, Problem> {
    let caller = require_caller(identity, realm)?;
    let Some(owner) = resource.fields.get(field) else {
        return Err(forbidden("needs the owner of the row"));
    };
    let subject = typed::subject(owner.ty.value(), &caller.subject).ok_or_else(|| {
        forbidden(&format!(
            "needs owner {}: the caller's sub is not of its type, {}",
            owner.name, owner.ty
        ))
    })?;
    let condition = Condition::Compare {
        field,
        path: Vec::new(),
        op: Compare::Eq,
        value: subject.clone(),
    };
    let mut allowed = Allowed::rows(verb, condition);
    if verb == Verb::Create {
        allowed.fill = Some((field, subject.clone()));
    }
    allowed.bucket_by = Some((field, subject));
    Ok(allowed)
}

/// Whether every row for which `known` holds is seen to satisfy `wanted`, from their shape alone: `false` says nothing.
pub(crate) fn implies(known: &Condition, wanted: &Condition) -> bool {
    match (known, wanted) {
        (_, Condition::True) | (Condition::False, _) => true,
        (known, wanted) if known == wanted => true,
        (known, Condition::And(all)) => all.iter().all(|one| implies(known, one)),
        (Condition::Or(any), wanted) => any.iter().all(|one| implies(one, wanted)),
        (Condition::And(all), Condition::Or(any)) => {
            any.iter().any(|one| implies(known, one)) || all.iter().any(|one| implies(one, wanted))
        }
        (known, Condition::Or(any)) => any.iter().any(|one| implies(known, one)),
        (Condition::And(all), wanted) => all.iter().any(|one| implies(one, wanted)),
        _ => false,
    }
}

/// 403 for a row that would belong to somebody else.
pub fn owner(resource: &Resource, field: FieldIndex) -> Problem {
    let name = resource.fields.get(field).map_or("owner", |f| f.name.as_str());
    forbidden(&format!(
        "needs owner {name}: the row in {} would belong to somebody else",
        resource.name
    ))
    .hint(format!("leave `{name}` out: it is filled in with the caller"))
}

/// Every rule of the resource that cannot be judged inside the database.
pub fn check(resource: &Resource) -> Vec<Fault> {
    let judge = |access: &Access| match access {
        Access::When(cel) => check_cel(resource, cel),
        Access::Owner(field) => match resource.fields.get(*field).map(|f| f.ty.value()) {
            Some(Type::Text | Type::Int | Type::Uuid | Type::Uuid7 | Type::Enum(_)) => Ok(()),
            _ => Err(String::from(
                "`owner` needs a field of type text, uuid or int, to compare with the caller's sub",
            )),
        },
        _ => Ok(()),
    };
    let mut faults: Vec<Fault> = Vec::new();
    for (name, rule) in resource.rules.each() {
        // `write` stands for three rules in one place.
        if let Err(why) = judge(&rule.access)
            && !faults.iter().any(|fault| fault.place == rule.place)
        {
            let message = format!("`{name}` of {}: {why}", resource.name);
            faults.push(Fault::later(RULE_ROWS, rule.place.clone(), message));
        }
    }
    faults
}
