//! What differs between two plans, in the words of the file: for `stoa diff` and the line after a reload.

use serde_json::{Map, Value};
use std::fmt;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    /// Path in the file: `services.payments.timeout`.
    pub(crate) path: String,
    /// What it was; `None` when it is new.
    pub(crate) before: Option<Value>,
    /// What it is; `None` when it is gone.
    pub(crate) after: Option<Value>,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => write!(f, "{path} {} → {}", short(before), short(after)),
            (None, Some(Value::Object(_) | Value::Array(_))) => write!(f, "{path} added"),
            (None, Some(after)) => write!(f, "{path} added: {}", short(after)),
            (_, None) => write!(f, "{path} removed"),
        }
    }
}

/// Every difference between two trees, in the order of the newer one; what is gone comes after.
pub(crate) fn between(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare("", before, after, &mut changes);
    changes
}

fn compare(path: &str, before: &Value, after: &Value, changes: &mut Vec<Change>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => compare_members(path, before, after, changes),
        _ if before == after => {}
        _ => changes.push(Change {
            path: path.to_owned(),
            before: Some(before.clone()),
            after: Some(after.clone()),
        }),
    }
}

fn compare_members(
    path: &str,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    changes: &mut Vec<Change>,
) {
    let below = |key: &str| {
        if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        }
    };
    for (key, value) in after {
        match before.get(key) {
            Some(old) => compare(&below(key), old, value, changes),
            None => changes.push(Change {
                path: below(key),
                before: None,
                after: Some(value.clone()),
            }),
        }
    }
    for (key, value) in before.iter().filter(|(key, _)| !after.contains_key(*key)) {
        changes.push(Change {
            path: below(key),
            before: Some(value.clone()),
            after: None,
        });
    }
}

/// At most so many characters of a value are shown on a line.
const SHORT_CHARS: usize = 60;

fn short(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.chars().count() <= SHORT_CHARS {
        return text;
    }
    let cut: String = text.chars().take(SHORT_CHARS).collect();
    format!("{cut}…")
}

/// The first few on one line.
pub(crate) fn on_one_line(changes: &[Change]) -> String {
    const SHOWN: usize = 4;
    if changes.is_empty() {
        return String::from("nothing that is served differs");
    }
    let first: Vec<String> = changes.iter().take(SHOWN).map(ToString::to_string).collect();
    let more = changes.len().saturating_sub(SHOWN);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    format!("{}{more}", first.join(", "))
}

#[cfg(test)]
mod tests;
