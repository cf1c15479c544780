//! Who makes the request: bearer tokens and, later, API keys. One file per method beside this one.

pub mod codes;
pub mod token;

mod claims;
mod jwks;
mod jws;
mod jwt;
mod keys;
mod memory;
pub(crate) mod pem;
mod refusal;
pub(crate) mod strict;
#[cfg(test)]
mod tests;

use http::HeaderMap;
use stoa_config::{
    fault::{Fault, KEYS_REFUSED, Severity},
    plan::{self, JwtKeys, Place},
};
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
pub fn open(auth: &plan::Auth, realm: &str) -> Result<Auth, Vec<Fault>> {
    let mut methods: Vec<Box<dyn Authenticator>> = Vec::new();
    if let Some(jwt) = &auth.jwt {
        let bearer = jwt::Bearer::open(jwt, realm).map_err(|faults| {
            let refused = |why| Fault::later(KEYS_REFUSED, Place::default(), why);
            faults.into_iter().map(refused).collect::<Vec<_>>()
        })?;
        methods.push(Box::new(bearer));
    }
    Ok(Auth { methods })
}

/// What [`open`] would refuse of the key files, for a check that serves nothing. A file that is not there is a
/// warning: keys are often mounted only where the API runs.
pub fn check(auth: &plan::Auth) -> Vec<Fault> {
    let keys = auth.jwt.as_ref().map(|jwt| &jwt.keys);
    let Some(JwtKeys::PublicKey(path) | JwtKeys::JwksFile(path)) = keys else {
        return Vec::new();
    };
    let mut faults = open(auth, "").err().unwrap_or_default();
    if !path.exists() {
        for fault in &mut faults {
            fault.severity = Severity::Warning;
        }
    }
    faults
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
