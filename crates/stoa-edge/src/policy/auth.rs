//! Who makes the request: bearer tokens and, later, API keys. One file per method beside this one.

pub mod codes;

use http::HeaderMap;
use stoa_config::{fault::Fault, plan};
use stoa_exchange::{Identity, Problem};

/// One way for a caller to say who it is.
pub trait Authenticator: Send + Sync {
    /// Whether the request carries credentials of this kind, good or bad.
    fn carries(&self, headers: &HeaderMap) -> bool;

    /// Who makes the request; called when [`Authenticator::carries`] said yes.
    ///
    /// # Errors
    /// 401 with `WWW-Authenticate` when the credentials are refused.
    fn authenticate(&self, headers: &HeaderMap) -> Result<Identity, Problem>;
}

/// Every method that the plan configures.
pub struct Auth {
    methods: Vec<Box<dyn Authenticator>>,
}

/// Reads the keys that the plan names. `realm` is the API's name, as in `WWW-Authenticate`.
///
/// # Errors
/// Key files that cannot be read or are refused.
pub fn open(_auth: &plan::Auth, _realm: &str) -> Result<Auth, Vec<Fault>> {
    Ok(Auth { methods: Vec::new() })
}

impl Auth {
    /// Whether the request carries credentials of any kind, good or bad.
    pub fn carries_credentials(&self, headers: &HeaderMap) -> bool {
        headers.contains_key(http::header::AUTHORIZATION) || self.methods.iter().any(|m| m.carries(headers))
    }

    /// Who makes the request: `Anonymous` when it carries no credentials of a configured method.
    ///
    /// # Errors
    /// 401 with `WWW-Authenticate` when credentials were sent and are refused.
    pub fn authenticate(&self, headers: &HeaderMap) -> Result<Identity, Problem> {
        match self.methods.iter().find(|m| m.carries(headers)) {
            Some(method) => method.authenticate(headers),
            None => Ok(Identity::Anonymous),
        }
    }
}
