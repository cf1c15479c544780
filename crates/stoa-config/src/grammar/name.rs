//! Names, plain texts, header fields, methods.

use super::{Flaw, Grammar, Words};
use crate::{fault::codes, plan::TableName};

pub(crate) static API: Grammar<String> = Grammar {
    words: &API_WORDS,
    parse: api,
};
pub(crate) static API_WORDS: Words = Words::new("the API's name", codes::NAME, &["shop", "payments-v2"])
    .pattern("^[a-z0-9]([a-z0-9-]*[a-z0-9])?$");

pub(crate) static NAME_WORDS: Words =
    Words::new("a name", codes::NAME, &["main", "per-user"]).pattern("^[A-Za-z][A-Za-z0-9_-]*$");

/// Names that are also columns.
pub(crate) static FIELD: Grammar<String> = Grammar {
    words: &FIELD_WORDS,
    parse: field,
};
pub(crate) static FIELD_WORDS: Words =
    Words::new("a field's name", codes::NAME, &["name", "created_at"]).pattern("^[^.]+$");

pub(crate) static TEXT: Grammar<String> = Grammar {
    words: &TEXT_WORDS,
    parse: text,
};
pub(crate) static TEXT_WORDS: Words = Words::new("a text", codes::TEXT, &["any text"]);

pub(crate) static SECRET: Grammar<String> = Grammar {
    words: &SECRET_WORDS,
    parse: text,
};
pub(crate) static SECRET_WORDS: Words =
    Words::new("a secret", codes::TEXT, &["${NAME}", "${file:/run/secrets/name}"]).secret();

pub(crate) static PATH: Grammar<String> = Grammar {
    words: &PATH_WORDS,
    parse: path,
};
pub(crate) static PATH_WORDS: Words = Words::new(
    "a file's path, relative to the API file",
    codes::TEXT,
    &["tls/cert.pem"],
);

pub(crate) static HEADER: Grammar<http::HeaderName> = Grammar {
    words: &HEADER_WORDS,
    parse: header,
};
pub(crate) static HEADER_WORDS: Words = Words::new("a header field's name", codes::HEADER, &["x-api-key"])
    .pattern("^([A-Za-z0-9!#$%&'*+.^_`|~-]+|.*\\$\\{.*)$");

pub(crate) static METHOD: Grammar<http::Method> = Grammar {
    words: &METHOD_WORDS,
    parse: method,
};
pub(crate) static METHOD_WORDS: Words =
    Words::new("a method", codes::METHOD, &["GET", "POST"]).pattern("^[A-Z][A-Z-]*$");

/// Bytes of a name at most (PostgreSQL's bound of an identifier).
const NAME_MAX: usize = 63;

fn api(text: &str) -> Result<String, Flaw> {
    let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if text.is_empty() || text.len() > NAME_MAX {
        return Err(Flaw::whole(text, "the API's name has 1 to 63 characters"));
    }
    if !text.bytes().all(good) || text.starts_with('-') || text.ends_with('-') {
        let better: String = text
            .to_lowercase()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        return Err(Flaw::whole(
            text,
            format!("`{text}` cannot be an API's name: lower-case letters, digits and `-` inside"),
        )
        .help(format!("write `{}`", better.trim_matches('-'))));
    }
    Ok(text.to_owned())
}

pub(crate) fn name(text: &str) -> Result<String, Flaw> {
    if text.is_empty() || text.len() > NAME_MAX {
        return Err(Flaw::whole(text, "a name has 1 to 63 characters"));
    }
    if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err(Flaw::whole(
            text,
            format!("`{text}` cannot be a name: it must start with a letter"),
        ));
    }
    let bad = text
        .char_indices()
        .find(|(_, c)| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')));
    match bad {
        Some((at, c)) => Err(Flaw::at(
            at..at + c.len_utf8(),
            format!("`{c}` cannot stand in a name: letters, digits, `_` and `-` can"),
        )),
        None => Ok(text.to_owned()),
    }
}

fn field(text: &str) -> Result<String, Flaw> {
    if text.is_empty() || text.len() > NAME_MAX {
        return Err(Flaw::whole(text, "a field's name has 1 to 63 characters"));
    }
    let bad = text
        .char_indices()
        .find(|(_, c)| c.is_control() || matches!(c, '"' | '.' | ',' | '(' | ')' | ':'));
    match bad {
        Some((at, c)) => Err(Flaw::at(
            at..at + c.len_utf8(),
            format!("`{}` cannot stand in a field's name", c.escape_default()),
        )),
        None => Ok(text.to_owned()),
    }
}

pub(crate) fn text(text: &str) -> Result<String, Flaw> {
    match text.trim().is_empty() {
        true => Err(Flaw::whole(text, "the value is empty")),
        false if text.contains('\0') => Err(Flaw::whole(text, "the value holds a NUL")),
        false => Ok(text.to_owned()),
    }
}

/// A name in a database, with or without its schema.
pub(crate) fn qualified(text: &str) -> Option<TableName> {
    let mut parts = parts(text)?.into_iter();
    match (parts.next(), parts.next(), parts.next()) {
        (Some(name), None, None) => Some(TableName { schema: None, name }),
        (Some(schema), Some(name), None) => Some(TableName {
            schema: Some(schema),
            name,
        }),
        _ => None,
    }
}

/// The parts between the dots, each bare or in double quotes, where a quote is doubled.
fn parts(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        let (part, after) = if let Some(quoted) = rest.strip_prefix('"') {
            let mut part = String::new();
            let mut chars = quoted.char_indices().peekable();
            let end = loop {
                match chars.next()? {
                    (_, '"') if chars.next_if(|(_, c)| *c == '"').is_some() => part.push('"'),
                    (at, '"') => break at,
                    (_, c) => part.push(c),
                }
            };
            (part, quoted.get(end + 1..)?)
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            let (part, after) = rest.split_at(end);
            if part.contains('"') {
                return None;
            }
            (part.to_owned(), after)
        };
        if part.is_empty() {
            return None;
        }
        parts.push(part);
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None if after.is_empty() => return Some(parts),
            None => return None,
        }
    }
}

fn path(path: &str) -> Result<String, Flaw> {
    if path.contains("://") {
        return Err(Flaw::whole(path, "this must be a file's path, not a URL"));
    }
    text(path)
}

pub(crate) fn header(text: &str) -> Result<http::HeaderName, Flaw> {
    http::HeaderName::from_bytes(text.as_bytes()).map_err(|_| {
        Flaw::whole(text, format!("`{text}` cannot be a header field's name")).code(codes::HEADER)
    })
}

/// Methods a person may have meant.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

pub(crate) fn method(text: &str) -> Result<http::Method, Flaw> {
    let upper = text.to_ascii_uppercase();
    if matches!(upper.as_str(), "CONNECT" | "TRACE") {
        return Err(Flaw::whole(text, format!("`{upper}` is never served")));
    }
    let method = http::Method::from_bytes(text.as_bytes())
        .ok()
        .filter(|_| text == upper);
    let misspelt = METHODS
        .iter()
        .find(|m| **m != text && (**m == upper || strsim::damerau_levenshtein(m, &upper) == 1));
    match (method, misspelt) {
        (Some(method), None) => Ok(method),
        (Some(method), Some(_)) if METHODS.contains(&text) => Ok(method),
        (_, Some(meant)) => {
            Err(Flaw::whole(text, format!("`{text}` is not a method")).help(format!("write `{meant}`")))
        }
        (None, None) => Err(Flaw::whole(text, format!("`{text}` is not a method")).help("such as `GET`")),
    }
}
