//! Who the caller is.

use serde_json::{Map, Value};
use std::sync::Arc;

/// Who makes the request.
#[derive(Clone, Debug, Default)]
pub enum Identity {
    /// Nobody known.
    #[default]
    Anonymous,
    /// A caller whose token or key was accepted.
    Known(Arc<Caller>),
}

/// A caller whose token or key was accepted.
#[derive(Debug, Default, PartialEq)]
pub struct Caller {
    /// `sub` of the token or `user` of the key. Never empty.
    pub subject: String,
    /// Roles, from the claim that the file names.
    pub roles: Vec<String>,
    /// Scopes, from `scope` (RFC 8693 section 4.2).
    pub scopes: Vec<String>,
    /// Every claim, for CEL and for limits by claim.
    pub claims: Map<String, Value>,
    /// When the token ends, in seconds since 1970.
    pub expires_unix: Option<u64>,
}

impl Identity {
    /// The caller, if known.
    pub fn caller(&self) -> Option<&Caller> {
        match self {
            Self::Anonymous => None,
            Self::Known(caller) => Some(caller),
        }
    }

    /// The caller's subject, if known.
    pub fn subject(&self) -> Option<&str> {
        self.caller().map(|c| c.subject.as_str())
    }
}
