//! Trees as YAML, for people.

use serde_json::Value;
use std::fmt::Write as _;

/// Writes `tree` as block YAML, indented by `depth` steps. A value with its origin, `{value, origin}`, becomes `value  # origin`.
pub(crate) fn write(tree: &Value, depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    match tree {
        Value::Object(members) => {
            for (key, value) in members {
                let _ = write!(out, "{indent}{}:", scalar(&Value::String(key.clone())));
                child(value, depth, out);
            }
        }
        Value::Array(items) => {
            for item in items {
                let _ = write!(out, "{indent}-");
                child(item, depth, out);
            }
        }
        other => {
            let _ = writeln!(out, "{indent}{}", scalar(other));
        }
    }
}

fn child(value: &Value, depth: usize, out: &mut String) {
    if let Some((inner, origin)) = with_origin(value) {
        let shown = if is_leaf(inner) {
            scalar(inner)
        } else {
            inner.to_string()
        };
        let _ = writeln!(out, " {shown}  # {origin}");
    } else if is_leaf(value) {
        let _ = writeln!(out, " {}", scalar(value));
    } else {
        out.push('\n');
        write(value, depth + 1, out);
    }
}

fn with_origin(value: &Value) -> Option<(&Value, &str)> {
    let members = value.as_object().filter(|m| m.len() == 2)?;
    Some((members.get("value")?, members.get("origin")?.as_str()?))
}

fn is_leaf(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => true,
    }
}

/// A value on one line: plain where YAML would read the same text back, quoted as JSON otherwise.
pub(crate) fn scalar(value: &Value) -> String {
    let Value::String(text) = value else {
        return value.to_string();
    };
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./: {}()@+".contains(c))
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
        && !text.contains(['{', '}'])
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "y" | "n"
        );
    if plain { text.clone() } else { value.to_string() }
}

#[cfg(test)]
mod tests;
