//! Access rules: `public`, `none`, `user`, `role A, B`, `scope a, b`, `owner FIELD`, `when: CEL`.

use super::{Flaw, Grammar, Words, commas, trimmed};
use crate::{fault::codes, report::did_you_mean};
use std::ops::Range;

/// A rule whose names are not bound yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RawAccess {
    Public,
    Nobody,
    User,
    Role(Vec<String>),
    Scope(Vec<String>),
    /// Field, and where it stands in the text.
    Owner(String, Range<usize>),
    /// Expression, and where it starts in the text.
    When(String, usize),
}

pub(crate) static ACCESS: Grammar<RawAccess> = Grammar {
    words: &ACCESS_WORDS,
    parse: access,
};
pub(crate) static ACCESS_WORDS: Words = Words::new(
    "an access rule",
    codes::ACCESS,
    &[
        "public",
        "none",
        "user",
        "role admin, editor",
        "scope payments.read",
        "owner customer_id",
        "when: claims.tenant == request.headers['x-tenant']",
    ],
)
.pattern("^(public|none|user|(role|scope)\\s+\\S.*|owner\\s+\\S+|when:\\s*\\S[\\s\\S]*|.*\\$\\{.*)$");

pub(crate) static ROLE: Grammar<String> = Grammar {
    words: &ROLE_WORDS,
    parse: |text| member(text).map(str::to_owned),
};
pub(crate) static ROLE_WORDS: Words = Words::new(
    "the name of a role or scope",
    codes::ACCESS,
    &["admin", "payments.read"],
);

const KINDS: [&str; 7] = ["public", "none", "user", "role", "scope", "owner", "when:"];

fn access(text: &str) -> Result<RawAccess, Flaw> {
    let (lead, rule) = trimmed(text);
    if let Some(rest) = rule.strip_prefix("when:") {
        let (skip, expression) = trimmed(rest);
        if expression.is_empty() {
            return Err(
                Flaw::whole(text, "nothing follows `when:`").help("such as `when: claims.tenant == 'a'`")
            );
        }
        return Ok(RawAccess::When(
            expression.to_owned(),
            lead + "when:".len() + skip,
        ));
    }
    let end = rule.find(char::is_whitespace).unwrap_or(rule.len());
    let (word, rest) = rule.split_at(end);
    let (skip, argument) = trimmed(rest);
    let argument_at = lead + end + skip;
    let whole = lead..lead + rule.len();
    match word {
        "public" | "none" | "user" if !argument.is_empty() => Err(Flaw::at(
            argument_at..argument_at + argument.len(),
            format!("`{word}` stands alone"),
        )),
        "public" => Ok(RawAccess::Public),
        "none" => Ok(RawAccess::Nobody),
        "user" => Ok(RawAccess::User),
        "role" | "scope" | "owner" if argument.is_empty() => {
            let example = match word {
                "role" => "role admin",
                "scope" => "scope payments.read",
                _ => "owner customer_id",
            };
            Err(Flaw::at(whole, format!("nothing follows `{word}`")).help(format!("such as `{example}`")))
        }
        "role" => names(argument)
            .map(RawAccess::Role)
            .map_err(|flaw| flaw.shifted(argument_at)),
        "scope" => names(argument)
            .map(RawAccess::Scope)
            .map_err(|flaw| flaw.shifted(argument_at)),
        "owner" => {
            let at = argument_at..argument_at + argument.len();
            if argument.contains([' ', ',']) {
                Err(Flaw::at(at, "`owner` takes one field"))
            } else {
                Ok(RawAccess::Owner(argument.to_owned(), at))
            }
        }
        other => {
            let flaw = Flaw::at(lead..lead + end, format!("`{other}` is not an access rule"));
            Err(flaw.help(match other {
                "admin" | "admins" => "write `role admin`".to_owned(),
                "anyone" | "all" | "everyone" | "anonymous" | "*" => "write `public`".to_owned(),
                "authenticated" | "required" | "login" | "true" => "write `user`".to_owned(),
                "private" | "nobody" | "deny" | "no" | "false" => "write `none`".to_owned(),
                "when" => "write `when: EXPRESSION`".to_owned(),
                "roles" => "write `role NAME, NAME`".to_owned(),
                "scopes" => "write `scope NAME, NAME`".to_owned(),
                other => did_you_mean(other, KINDS),
            }))
        }
    }
}

fn names(text: &str) -> Result<Vec<String>, Flaw> {
    let mut names = Vec::new();
    for (at, part) in commas(text) {
        let name = member(part).map_err(|flaw| flaw.shifted(at))?;
        if names.iter().any(|n| n == name) {
            return Err(Flaw::at(at..at + name.len(), format!("`{name}` is there twice")));
        }
        names.push(name.to_owned());
    }
    Ok(names)
}

fn member(text: &str) -> Result<&str, Flaw> {
    if text.is_empty() {
        return Err(Flaw::whole(text, "a name is missing here"));
    }
    match text.find(|c: char| c.is_whitespace() || c.is_control() || c == '"' || c == '\\') {
        Some(at) => Err(Flaw::at(
            text.len() - text[at..].trim_start().len()..text.len(),
            format!("`{}` is not expected here", text[at..].trim()),
        )
        .help("commas separate names")),
        None => Ok(text),
    }
}
