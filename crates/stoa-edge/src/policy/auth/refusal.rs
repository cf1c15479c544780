//! Why a token is refused.

use std::{borrow::Cow, fmt};

/// One reason. Never holds anything that the token says: a token may be a secret, and may be an attack on
/// whoever reads the reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal(Cow<'static, str>);

impl Refusal {
    pub(super) fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self(reason.into())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
