//! Whether the caller may use the route.

use http::request::Parts;
use stoa_config::plan::Access;
use stoa_exchange::{
    Context, Problem, RequestFacts,
    access::{self, forbidden, require_caller, require_role, require_scopes},
};

#[cfg(test)]
mod tests;

/// Judges the route's rule on the caller in `context`. `realm` is the API's name, as in `WWW-Authenticate`.
///
/// # Errors
/// 401 for a caller without identity where one is needed, 403 naming the rule otherwise.
pub fn allow(rule: &Access, realm: &str, context: &Context, request: &Parts) -> Result<(), Problem> {
    let identity = &context.identity;
    match rule {
        Access::Public => Ok(()),
        Access::Nobody => Err(forbidden("nobody may use this address (`access: none`)")),
        Access::User => require_caller(identity, realm).map(drop),
        Access::Role(roles) => require_role(identity, realm, roles).map(drop),
        Access::Scope(scopes) => require_scopes(identity, realm, scopes).map(drop),
        Access::When(cel) => {
            let facts = RequestFacts::of(realm, context, request);
            if access::holds(&cel.program, identity, &facts) {
                return Ok(());
            }
            if access::needs_caller(&cel.program) {
                require_caller(identity, realm)?;
            }
            Err(forbidden(&format!("needs `when: {}`", cel.source)))
        }
        // A route has no rows; the plan has no such rule on one.
        Access::Owner(_) => Err(forbidden("needs the owner of a row, and there is no row here")),
    }
}
