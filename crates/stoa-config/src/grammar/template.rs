//! Paths and values with parameters of a route in them.

use super::{Flaw, Grammar, Words};
use crate::fault::codes;
use std::ops::Range;

/// A piece of a template, its names not looked up yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    /// What stands between braces, and where.
    Name(String, Range<usize>),
    /// `/**`, and where.
    Rest(Range<usize>),
}

/// A target: `[https://host]/path[?query]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) source: String,
    /// Empty for a path alone.
    pub(crate) origin: String,
    pub(crate) path: Vec<Piece>,
    pub(crate) query: Option<Vec<Piece>>,
}

pub(crate) static REDIRECT: Grammar<Target> = Grammar {
    words: &REDIRECT_WORDS,
    parse: target,
};
pub(crate) static REDIRECT_WORDS: Words = Words::new(
    "where to: a path or a URL",
    codes::TARGET,
    &["/new/**", "https://example.com/{id}"],
)
.pattern("^(/|https?://|.*\\$\\{).*$");

pub(crate) static REWRITE: Grammar<Target> = Grammar {
    words: &REWRITE_WORDS,
    parse: rewrite,
};
pub(crate) static REWRITE_WORDS: Words = Words::new(
    "a path with the route's parameters",
    codes::TARGET,
    &["/internal/{id}/**"],
)
.pattern("^(/|.*\\$\\{).*$");

pub(crate) static VALUE: Grammar<Vec<Piece>> = Grammar {
    words: &VALUE_WORDS,
    parse: value,
};
pub(crate) static VALUE_WORDS: Words = Words::new(
    "a field's value",
    codes::FIELD_VALUE,
    &["any text", "{id}", "{claims.sub}", "{request.ip}"],
);

/// As [`VALUE`], and not shown: what a service is sent may be a key.
pub(crate) static SECRET_VALUE: Grammar<Vec<Piece>> = Grammar {
    words: &SECRET_VALUE_WORDS,
    parse: value,
};
pub(crate) static SECRET_VALUE_WORDS: Words = Words::new(
    "a field's value; not shown by `stoa config`",
    codes::FIELD_VALUE,
    &["{claims.sub}", "Bearer ${SERVICE_TOKEN}"],
)
.secret();

fn rewrite(text: &str) -> Result<Target, Flaw> {
    if !text.starts_with('/') {
        return Err(Flaw::whole(text, format!("`{text}` does not begin with `/`"))
            .help("a rewrite names the path that the service sees"));
    }
    target(text)
}

fn target(text: &str) -> Result<Target, Flaw> {
    let start = origin(text)?;
    let (path_end, query) = match text.find('?') {
        Some(at) => (at, Some(at + 1)),
        None => (text.len(), None),
    };
    if let Some(at) = text.find('#') {
        return Err(Flaw::at(at..text.len(), "a fragment is never sent"));
    }
    let written = &text[start..path_end];
    let mut path = Vec::new();
    let (body, rest) = match written.strip_suffix("/**") {
        Some(body) => (body, Some(path_end - 3..path_end)),
        None => (written, None),
    };
    if let Some(at) = body.find('*') {
        return Err(Flaw::at(
            start + at..start + at + 1,
            "`**` stands for the rest, and only at the end",
        ));
    }
    pieces(body, start, &mut path)?;
    path.extend(rest.map(Piece::Rest));
    if path.is_empty() {
        path.push(Piece::Text("/".to_owned()));
    }
    let query = query
        .map(|at| {
            let mut found = Vec::new();
            pieces(&text[at..], at, &mut found).map(|()| found)
        })
        .transpose()?;
    let tried = sample(&path, "x")
        + &query
            .as_ref()
            .map_or(String::new(), |q| format!("?{}", sample(q, "x")));
    well_formed(text, &tried)?;
    Ok(Target {
        source: text.to_owned(),
        origin: text[..start].to_owned(),
        path,
        query,
    })
}

/// Where the path begins behind `https://host`.
fn origin(text: &str) -> Result<usize, Flaw> {
    if text.starts_with('/') {
        if text.starts_with("//") {
            return Err(Flaw::at(0..2, "`//` begins a host's name, not a path")
                .help("write `https://HOST/…` for another host"));
        }
        return Ok(0);
    }
    let Some(host) = ["https://", "http://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme))
    else {
        return Err(Flaw::whole(text, format!("`{text}` is neither a path nor a URL"))
            .help("such as `/new/**` or `https://example.com/**`"));
    };
    let begin = text.len() - host.len();
    let end = host.find(['/', '?']).map_or(text.len(), |at| begin + at);
    let good = url::Url::parse(&text[..end]).is_ok_and(|url| {
        url.username().is_empty() && url.password().is_none() && !text[..end].contains(['{', '\\'])
    });
    if good && end > begin {
        return Ok(end);
    }
    Err(Flaw::at(begin..end, "this is not a host's name")
        .help("the host of a redirect stands in the file: no part of a request chooses it"))
}

/// The template with a word in place of each parameter.
fn sample(pieces: &[Piece], word: &str) -> String {
    let one = |piece: &Piece| match piece {
        Piece::Text(text) => text.clone(),
        Piece::Name(..) => word.to_owned(),
        Piece::Rest(_) => format!("/{word}"),
    };
    pieces.iter().map(one).collect()
}

fn well_formed(text: &str, tried: &str) -> Result<(), Flaw> {
    let path = tried.split('?').next().unwrap_or_default();
    if http::uri::PathAndQuery::try_from(tried).is_err()
        || !tried.is_ascii()
        || tried.contains(['\\', '"', '<', '>'])
    {
        return Err(Flaw::whole(
            text,
            "the path has a character that must be percent-encoded",
        ));
    }
    if path.split('/').skip(1).any(|s| s == "." || s == "..") || path.contains("//") {
        return Err(Flaw::whole(text, "the path has an empty segment, `.` or `..`"));
    }
    Ok(())
}

fn value(text: &str) -> Result<Vec<Piece>, Flaw> {
    const BYTES_MAX: usize = 4096;
    if text.len() > BYTES_MAX {
        return Err(Flaw::whole(
            text,
            format!("the value is longer than {BYTES_MAX} bytes"),
        ));
    }
    if let Some((at, c)) = text.char_indices().find(|(_, c)| !matches!(c, ' '..='~' | '\t')) {
        return Err(Flaw::at(
            at..at + c.len_utf8(),
            "the value holds a character that no field may have",
        )
        .help("visible ASCII and blanks; never a line break"));
    }
    let mut found = Vec::new();
    pieces(text, 0, &mut found)?;
    Ok(found)
}

/// Texts and names in braces; `{{` and `}}` are braces. `start` is where `text` stands in the whole.
fn pieces(text: &str, start: usize, found: &mut Vec<Piece>) -> Result<(), Flaw> {
    let mut plain = String::new();
    let mut at = 0;
    while let Some(brace) = text[at..].find(['{', '}']) {
        let here = at + brace;
        plain.push_str(&text[at..here]);
        let doubled = text[here..].starts_with("{{") || text[here..].starts_with("}}");
        if doubled {
            plain.push_str(&text[here..=here]);
            at = here + 2;
            continue;
        }
        let end = text[here..].find('}').map(|e| here + e);
        let Some(end) = end.filter(|end| *end > here) else {
            return Err(
                Flaw::at(start + here..start + here + 1, "this brace has no other")
                    .help("`{{` and `}}` stand for braces"),
            );
        };
        let name = &text[here + 1..end];
        if name.is_empty()
            || !name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_.:-/".contains(&b))
        {
            return Err(Flaw::at(
                start + here..start + end + 1,
                format!("`{name}` cannot be a parameter's name"),
            ));
        }
        if !plain.is_empty() {
            found.push(Piece::Text(std::mem::take(&mut plain)));
        }
        found.push(Piece::Name(name.to_owned(), start + here..start + end + 1));
        at = end + 1;
    }
    plain.push_str(&text[at..]);
    if !plain.is_empty() {
        found.push(Piece::Text(plain));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
