//! The keys of `routes:`, and hosts.

use super::{Flaw, Grammar, Words, name, trimmed};
use crate::{
    fault::codes,
    plan::{PathPattern, Segment},
};

/// A route's key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RouteKey {
    pub(crate) methods: Vec<http::Method>,
    pub(crate) path: PathPattern,
}

pub(crate) static ROUTE: Grammar<RouteKey> = Grammar {
    words: &ROUTE_WORDS,
    parse: route,
};
pub(crate) static ROUTE_WORDS: Words = Words::new(
    "a route: `[METHOD[,METHOD]] /path`",
    codes::ROUTE,
    &[
        "GET /payments/{id}",
        "POST /payments",
        "GET,POST /forms",
        "/admin/**",
    ],
)
.pattern("^([A-Za-z,\\s-]*\\s)?/.*$");

pub(crate) static HEALTH_PATH: Grammar<String> = Grammar {
    words: &HEALTH_PATH_WORDS,
    parse: health_path,
};
pub(crate) static HEALTH_PATH_WORDS: Words =
    Words::new("a path", codes::ROUTE, &["/healthz"]).pattern("^(/.*|.*\\$\\{.*)$");

pub(crate) static HOST: Grammar<String> = Grammar {
    words: &HOST_WORDS,
    parse: host,
};
pub(crate) static HOST_WORDS: Words = Words::new(
    "a host's name",
    codes::HOST,
    &["api.example.com", "*.example.com"],
)
.pattern("^(\\*\\.)?[A-Za-z0-9_.:\\[\\]-]+$|\\$\\{");

/// Segments of a path at most.
const SEGMENTS_MAX: usize = 32;

fn route(text: &str) -> Result<RouteKey, Flaw> {
    let Some(slash) = text.find('/') else {
        return Err(Flaw::whole(text, format!("the route `{text}` has no path"))
            .help("a route is `[METHOD[,METHOD]] /path`, such as `GET /payments/{id}`"));
    };
    let before = &text[..slash];
    if !before.is_empty() && !before.ends_with(' ') {
        return Err(Flaw::at(
            0..slash,
            "a blank belongs between the methods and the path",
        ));
    }
    let mut methods = Vec::new();
    if !before.trim().is_empty() {
        let mut at = 0;
        for part in before.split(',') {
            let (lead, word) = trimmed(part);
            let start = at + lead;
            at += part.len() + 1;
            if word.is_empty() || word.contains(' ') {
                return Err(Flaw::at(start..start + word.len(), "commas separate the methods")
                    .help("such as `GET,POST /forms`"));
            }
            let method = name::method(word).map_err(|flaw| flaw.shifted(start))?;
            if methods.contains(&method) {
                return Err(Flaw::at(
                    start..start + word.len(),
                    format!("`{word}` is there twice"),
                ));
            }
            methods.push(method);
        }
    }
    let path = path(text[slash..].trim_end()).map_err(|flaw| flaw.shifted(slash))?;
    Ok(RouteKey { methods, path })
}

fn path(text: &str) -> Result<PathPattern, Flaw> {
    let mut pattern = PathPattern {
        segments: Vec::new(),
        rest: false,
    };
    if text == "/" {
        return Ok(pattern);
    }
    let mut at = 1;
    let parts: Vec<&str> = text[1..].split('/').collect();
    if parts.len() > SEGMENTS_MAX {
        return Err(Flaw::whole(
            text,
            format!("the path has more than {SEGMENTS_MAX} segments"),
        ));
    }
    for (position, part) in parts.iter().enumerate() {
        let here = at..at + part.len();
        at += part.len() + 1;
        if *part == "**" {
            if position + 1 < parts.len() {
                return Err(Flaw::at(here, "`**` matches any rest and stands only at the end"));
            }
            pattern.rest = true;
            continue;
        }
        let segment = segment(part, position + 1 == parts.len()).map_err(|flaw| flaw.shifted(here.start))?;
        let twice = pattern.segments.contains(&segment) && matches!(segment, Segment::Param(_));
        if twice {
            return Err(Flaw::at(here, format!("`{part}` is in the path twice")));
        }
        pattern.segments.push(segment);
    }
    Ok(pattern)
}

fn segment(part: &str, last: bool) -> Result<Segment, Flaw> {
    if part.is_empty() {
        return Err(if last {
            Flaw::at(0..0, "the path ends in a slash").help("remove it, or end in `/**`")
        } else {
            Flaw::at(0..0, "the path has two slashes in a row")
        });
    }
    if let Some(param) = part.strip_prefix('{').and_then(|p| p.strip_suffix('}')) {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if param.is_empty() || !param.chars().all(good) {
            return Err(
                Flaw::whole(part, format!("`{param}` cannot be a parameter's name"))
                    .help("letters, digits and `_`: `{id}`"),
            );
        }
        return Ok(Segment::Param(param.to_owned()));
    }
    if let Some(name) = part.strip_prefix(':') {
        return Err(
            Flaw::whole(part, format!("`{part}` is not how a parameter is written"))
                .help(format!("write `{{{name}}}`")),
        );
    }
    if let Some(at) = part.find(['*', '{', '}', '?', '#', ' ', '\\']) {
        let c = &part[at..=at];
        let flaw = Flaw::at(at..at + 1, format!("`{c}` cannot stand in a path"));
        return Err(match c {
            "*" => flaw.help("one segment is `{name}`, any rest is `/**` at the end"),
            "{" | "}" => flaw.help("a parameter is a whole segment: `/{name}/`"),
            "?" => flaw.help("routes match the path only"),
            _ => flaw,
        });
    }
    let text = decoded(part).ok_or_else(|| {
        Flaw::whole(
            part,
            format!("`{part}` is not a percent-encoded text without `/` and NUL"),
        )
    })?;
    if text == "." || text == ".." {
        return Err(Flaw::whole(
            part,
            format!("`{part}` is never part of a request's path"),
        ));
    }
    Ok(Segment::Literal(text))
}

/// Percent-decoded, as requests are compared.
fn decoded(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let [high, low, tail @ ..] = tail else { return None };
            let digit = |b: u8| char::from(b).to_digit(16);
            bytes.push((digit(*high)? * 16 + digit(*low)?) as u8);
            rest = tail;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.contains(['/', '\0']) && !text.chars().any(char::is_control)).then_some(text)
}

fn health_path(text: &str) -> Result<String, Flaw> {
    if text.starts_with('/') && http::uri::PathAndQuery::try_from(text).is_ok() {
        Ok(text.to_owned())
    } else {
        Err(Flaw::whole(text, format!("`{text}` is not a path")).help("such as `/healthz`"))
    }
}

pub(crate) fn host(text: &str) -> Result<String, Flaw> {
    let flaw =
        |message: &str| Flaw::whole(text, format!("`{text}` {message}")).help("such as `api.example.com`");
    let plain = text.strip_prefix("*.").unwrap_or(text);
    if plain.contains("://") || plain.contains('/') {
        return Err(flaw("is more than a host's name"));
    }
    if plain.contains('*') {
        return Err(flaw(
            "has a `*` in the middle: it stands for the first label only",
        ));
    }
    if plain.contains(':') && !plain.starts_with('[') {
        return Err(flaw("has a port: a route's host is compared without it"));
    }
    match url::Host::parse(plain) {
        Ok(host) => Ok(match text.strip_prefix("*.") {
            Some(_) => format!("*.{host}"),
            None => host.to_string(),
        }),
        Err(_) => Err(flaw("is not a host's name")),
    }
}
