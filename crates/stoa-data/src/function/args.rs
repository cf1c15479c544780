//! Arguments by name, from a query string or a body, as the database writes values of their types.

use crate::{
    codes,
    json::Json,
    operation::GivenArgument,
    parse::{body, scan},
    refusal::{Refusal, Result, bad_value, shorten},
    value::{Value, from_json, from_text},
};
use http::HeaderMap;
use std::fmt::Write as _;
use stoa_config::plan::{Argument, Function, RawBody, Type};

/// Arguments as they came.
pub(super) struct Given {
    members: Vec<(String, Json)>,
    /// Whether every value came as text, to be read in its argument's type.
    texts: bool,
}

impl Given {
    /// The members of the object in a body; none of an empty one.
    pub(super) fn of_body(headers: &HeaderMap, bytes: &[u8]) -> Result<Self> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self {
                members: Vec::new(),
                texts: false,
            });
        }
        let payload = body::payload(headers, bytes, false, false)?;
        let row = payload.rows.into_iter().next().unwrap_or_default();
        let members = row
            .into_iter()
            .map(|(name, value)| (name.into(), value))
            .collect();
        Ok(Self {
            members,
            texts: payload.texts,
        })
    }

    /// The parameters of a query string that the function has, and the others as they came. A parameter that the
    /// function has not is an argument too, unless it may be about the rows that come back.
    pub(super) fn of_query(function: &Function, query: &str, alias: bool) -> Result<(Self, String)> {
        let (mut members, mut left) = (Vec::new(), Vec::new());
        for pair in scan::pairs(query, alias)? {
            let declared = function.args.iter().any(|arg| arg.name == pair.key);
            let word = matches!(
                pair.key.as_str(),
                "select" | "order" | "limit" | "offset" | "and" | "or"
            ) || pair.key.starts_with("not.")
                || pair.key.contains('.');
            let operator = pair.value.split_once('.').is_some_and(|(word, _)| {
                !word.is_empty()
                    && word
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || matches!(b, b'(' | b')'))
            });
            if declared || !(word || operator) {
                put(&mut members, function, pair.key, pair.value);
            } else {
                left.push(pair.raw);
            }
        }
        let given = Self { members, texts: true };
        Ok((given, left.join("&")))
    }

    /// The arguments in the order of the file, in the database's words.
    ///
    /// # Errors
    /// One is missing, unknown, said twice, or not of its type.
    pub(super) fn checked(self, function: &Function, schema: &str) -> Result<Vec<GivenArgument>> {
        let names: Vec<&str> = self.members.iter().map(|(name, _)| name.as_str()).collect();
        let unknown = names
            .iter()
            .any(|name| !function.args.iter().any(|arg| arg.name == **name));
        let missing = function
            .args
            .iter()
            .any(|arg| !arg.optional && !names.contains(&arg.name.as_str()));
        let twice = (1..names.len()).any(|i| names[..i].contains(&names[i]));
        if unknown || missing || twice {
            return Err(mismatch(function, schema, names));
        }
        let mut args = Vec::with_capacity(self.members.len());
        for (position, arg) in function.args.iter().enumerate() {
            let Some((_, json)) = self.members.iter().find(|(name, _)| *name == arg.name) else {
                continue;
            };
            let value = self.value(arg, json)?;
            args.push((position, literal(&value).map(Into::into)));
        }
        Ok(args)
    }

    fn value(&self, arg: &Argument, json: &Json) -> Result<Value> {
        let read = match (json, &arg.ty) {
            (Json::Array(items), Type::List(ty)) if self.texts => {
                let one = |item: &Json| match item {
                    Json::Text(text) => from_text(ty, text),
                    other => from_json(ty, other),
                };
                let items: std::result::Result<_, String> = items.iter().map(one).collect();
                items.map(Value::List)
            }
            (json, _) => self.plain(arg, json),
        };
        read.map_err(|says| bad_value(&arg.name, &json.to_text(), &says))
    }

    fn plain(&self, arg: &Argument, json: &Json) -> std::result::Result<Value, String> {
        match json {
            Json::Text(text) if self.texts => from_text(&arg.ty, text),
            // JSON may hold text where the database reads a number: every value of it is taken.
            Json::Text(text) if !matches!(arg.ty, Type::Json) => from_text(&arg.ty, text),
            json => from_json(&arg.ty, json),
        }
    }
}

/// A body as the database reads its one parameter. What is JSON or XML the database knows best.
pub(super) fn raw(kind: RawBody, bytes: &[u8]) -> Result<Box<str>> {
    if kind == RawBody::Bytes {
        let mut text = String::with_capacity(2 + bytes.len() * 2);
        text.push_str("\\x");
        for byte in bytes {
            // Infallible: it writes to a text.
            let _ = write!(text, "{byte:02x}");
        }
        return Ok(text.into());
    }
    let text = std::str::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'));
    let refused = || {
        Refusal::new(&codes::BAD_BODY, "The body is not text in UTF-8 without NUL.").postgrest(
            "22021",
            400,
            "invalid byte sequence for encoding \"UTF8\"",
        )
    };
    text.map(Into::into).ok_or_else(refused)
}

/// Adds a parameter of a query string. A list is written as one, `{a,b}`, or its items come one by one.
fn put(members: &mut Vec<(String, Json)>, function: &Function, name: String, text: String) {
    let list = |arg: &Argument| arg.name == name && matches!(arg.ty, Type::List(_));
    if text.starts_with('{') || !function.args.iter().any(list) {
        members.push((name, Json::Text(text.into())));
        return;
    }
    let item = Json::Text(text.into());
    match members.iter_mut().find(|(known, _)| *known == name) {
        Some((_, Json::Array(items))) => items.push(item),
        Some(_) | None => members.push((name, Json::Array(vec![item]))),
    }
}

/// What a call with other arguments than the function's is told.
fn mismatch(function: &Function, schema: &str, mut names: Vec<&str>) -> Refusal {
    names.sort_unstable();
    let shown = format!("{schema}.{}", function.name);
    let (sought, searched) = if names.is_empty() {
        (
            format!("{shown} without parameters"),
            format!("{shown} without parameters"),
        )
    } else {
        let list: Vec<String> = names.iter().map(|name| shorten(name)).collect();
        let list = list.join(", ");
        (
            format!("{shown}({list})"),
            format!("{shown} with parameters {list}"),
        )
    };
    let own: Vec<String> = function
        .args
        .iter()
        .map(|arg| {
            let optional = if arg.optional { ", optional" } else { "" };
            format!("`{}` ({}{optional})", arg.name, arg.ty)
        })
        .collect();
    let own = if own.is_empty() {
        String::from("none")
    } else {
        own.join(", ")
    };
    let args: Vec<&str> = function.args.iter().map(|arg| arg.name.as_str()).collect();
    Refusal::new(
        &codes::BAD_ARGUMENTS,
        format!("`{}` does not take these arguments.", function.name),
    )
    .hint(format!("Its arguments: {own}."))
    .postgrest(
        "PGRST202",
        404,
        format!("Could not find the function {sought} in the schema cache"),
    )
    .details(format!(
        "Searched for the function {searched}, but no matches were found in the schema cache."
    ))
    .postgrest_hint(format!(
        "Perhaps you meant to call the function {shown}({})",
        args.join(", ")
    ))
}

/// A value as the database reads it; `None` is null.
fn literal(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::List(items) => {
            let mut text = String::from("{");
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                match literal(item) {
                    None => text.push_str("NULL"),
                    Some(item) => {
                        text.push('"');
                        text.push_str(&item.replace('\\', "\\\\").replace('"', "\\\""));
                        text.push('"');
                    }
                }
            }
            text.push('}');
            Some(text)
        }
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_written_as_the_database_reads_them() {
        let text = |text: &str| Value::Text(text.into());
        let list = Value::List(vec![text("a"), text("b \"c\", \\d"), text("{}"), text("")]);
        assert_eq!(literal(&list).as_deref(), Some(r#"{"a","b \"c\", \\d","{}",""}"#));
        assert_eq!(literal(&Value::List(Vec::new())).as_deref(), Some("{}"));
        assert_eq!(literal(&Value::Null), None);
    }
}
