//! The token that `dev` mints: it may do whatever the file's rules let anybody do.

use std::{collections::BTreeSet, time::Duration};
use stoa_config::plan::{Access, Plan, Type};
use stoa_edge::token;

/// How long it holds.
pub(crate) const TTL: Duration = Duration::from_hours(8);

/// A token and who it says the caller is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DevToken {
    /// The token.
    pub(crate) text: String,
    /// `sub`.
    pub(crate) user: String,
    /// Every role that the file names.
    pub(crate) roles: Vec<String>,
    /// Every scope that the file names.
    pub(crate) scopes: Vec<String>,
}

/// Mints it; the error says why this file's tokens cannot be made here. `None` for a file without `auth`.
pub(crate) fn mint(plan: &Plan) -> Option<Result<DevToken, String>> {
    if !plan.auth.is_configured() {
        return None;
    }
    let (mut roles, mut scopes) = (BTreeSet::new(), BTreeSet::new());
    for access in rules(plan) {
        match access {
            Access::Role(names) => roles.extend(names.iter().cloned()),
            Access::Scope(names) => scopes.extend(names.iter().cloned()),
            _ => {}
        }
    }
    let (roles, scopes) = (Vec::from_iter(roles), Vec::from_iter(scopes));
    let user = user(plan).to_owned();
    let minted = token::mint(&plan.auth, &user, &roles, &scopes, TTL);
    Some(minted.map(|text| DevToken {
        text,
        user,
        roles,
        scopes,
    }))
}

fn rules(plan: &Plan) -> impl Iterator<Item = &Access> {
    let routes = plan.all_routes().map(|r| &r.access.access);
    let resources = plan
        .resources
        .iter()
        .flat_map(|r| r.rules.each())
        .map(|(_, rule)| &rule.access);
    routes.chain(resources)
}

/// Who the caller is: a value that fits the fields that `owner` rules compare with it.
fn user(plan: &Plan) -> &'static str {
    let owner = plan.resources.iter().find_map(|resource| {
        resource
            .rules
            .each()
            .into_iter()
            .find_map(|(_, rule)| match rule.access {
                Access::Owner(position) => resource.fields.get(position).map(|f| f.ty.value()),
                _ => None,
            })
    });
    match owner {
        Some(Type::Uuid | Type::Uuid7) => "00000000-0000-7000-8000-000000000001",
        Some(Type::Int) => "1",
        _ => "dev",
    }
}

#[cfg(test)]
mod tests;
