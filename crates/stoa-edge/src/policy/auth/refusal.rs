//! Why a token is refused.

use std::{borrow::Cow, fmt};

/// One reason. Never holds anything that the token says: a token may be a secret, and may be an attack on
/// whoever reads the reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    reason: Cow<'static, str>,
    /// Whether the token is sound and only what it claims is refused.
    pub(super) of_claims: bool,
}

impl Refusal {
    pub(super) fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason: reason.into(),
            of_claims: false,
        }
    }

    /// A sound token whose claims are refused.
    pub(super) fn of_claims(reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason: reason.into(),
            of_claims: true,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// Text for a quoted string of `WWW-Authenticate`: the characters of RFC 6750 section 3 only.
pub(super) fn quotable(text: &str) -> String {
    let fit = |c: char| match c {
        '"' | '`' | '\\' => '\'',
        ' '..='~' => c,
        _ => '?',
    };
    text.chars().map(fit).collect()
}
