//! Compares a reply with what a scenario expects.

use super::scenario::Expect;
use crate::support::client::Answer;
use serde_json::Value;

/// `Err` says every difference.
pub(super) fn judge(expect: &Expect, answer: &Answer) -> Result<(), String> {
    let mut faults = Vec::new();
    if answer.status != expect.status {
        faults.push(format!("  status {} instead of {}", answer.status, expect.status));
    }
    for (name, wanted) in &expect.headers {
        let found = answer.header(name);
        match (wanted.as_str(), &found) {
            ("$absent", None) => {}
            ("$absent", Some(found)) => faults.push(format!("  header {name} is there: {found}")),
            (_, None) => faults.push(format!("  header {name} is missing")),
            (wanted, Some(found)) if !text_fits(wanted, found) => {
                faults.push(format!("  header {name} is {found:?} instead of {wanted:?}"));
            }
            _ => {}
        }
    }
    if let Some(wanted) = &expect.text
        && !text_fits(wanted, &answer.text)
    {
        faults.push(format!("  the body's text is not {wanted:?}"));
    }
    if let Some(wanted) = &expect.body {
        match serde_json::from_str(&answer.text) {
            Ok(found) => compare("body", wanted, &found, expect.exact, &mut faults),
            Err(e) => faults.push(format!("  the body is not JSON: {e}")),
        }
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults.join("\n"))
    }
}

/// The text at `body.a.0.b` or `header.name` of a reply.
pub(super) fn find(answer: &Answer, place: &str) -> Option<String> {
    if let Some(name) = place.strip_prefix("header.") {
        // `header.link next` is the address of the link with that relation.
        return match name.split_once(' ') {
            Some((name, relation)) => link(&answer.header(name)?, relation),
            None => answer.header(name),
        };
    }
    let body = answer.json();
    let pointer = place.strip_prefix("body")?.replace('.', "/");
    match body.pointer(&pointer)? {
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// Path and query of the link with this relation.
fn link(field: &str, relation: &str) -> Option<String> {
    let one = field
        .split(", <")
        .find(|part| part.contains(&format!("rel=\"{relation}\"")))?;
    let target = one.trim_start_matches('<').split('>').next()?;
    let path = target
        .split_once("://")
        .map_or(target, |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
    Some(path.to_owned())
}

fn compare(place: &str, wanted: &Value, found: &Value, exact: bool, faults: &mut Vec<String>) {
    match (wanted, found) {
        (Value::String(mark), _) if mark == "$any" => {}
        (Value::String(wanted), Value::String(found)) if text_fits(wanted, found) => {}
        (Value::Array(wanted), Value::Array(found)) => {
            if wanted.len() != found.len() {
                faults.push(format!(
                    "  {place} has {} items instead of {}",
                    found.len(),
                    wanted.len()
                ));
                return;
            }
            for (at, (wanted, found)) in wanted.iter().zip(found).enumerate() {
                compare(&format!("{place}.{at}"), wanted, found, exact, faults);
            }
        }
        (Value::Object(wanted), Value::Object(found)) => {
            for (name, wanted) in wanted {
                match found.get(name) {
                    None if wanted == "$absent" => {}
                    None => faults.push(format!("  {place}.{name} is missing")),
                    Some(found) if wanted == "$absent" => {
                        faults.push(format!("  {place}.{name} is there: {found}"));
                    }
                    Some(found) => compare(&format!("{place}.{name}"), wanted, found, exact, faults),
                }
            }
            for name in found.keys().filter(|name| exact && !wanted.contains_key(*name)) {
                faults.push(format!("  {place}.{name} is not expected"));
            }
        }
        // Figures are compared as figures: how a decimal is written is judged with `text`.
        (Value::Number(a), Value::Number(b)) if a.as_f64() == b.as_f64() => {}
        (wanted, found) if wanted == found => {}
        (wanted, found) => faults.push(format!("  {place} is {found} instead of {wanted}")),
    }
}

fn text_fits(wanted: &str, found: &str) -> bool {
    match wanted.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
        Some(pattern) if !pattern.is_empty() => {
            let regex = regex::Regex::new(pattern);
            regex.unwrap_or_else(|e| panic!("{wanted}: {e}")).is_match(found)
        }
        _ => wanted == found,
    }
}

#[test]
fn differences_are_found() {
    let cases = [
        (r#"{"a":1}"#, r#"{"a":1,"b":2}"#, false, 0),
        (r#"{"a":1}"#, r#"{"a":1,"b":2}"#, true, 1),
        (r#"{"a":"$any","b":"$absent"}"#, r#"{"a":[1]}"#, false, 0),
        (r#"[{"a":1},{"a":2}]"#, r#"[{"a":2},{"a":1}]"#, false, 2),
        (r#"["/^x+$/"]"#, r#"["xxx"]"#, false, 0),
        (r#"["/^x+$/"]"#, r#"["xy"]"#, false, 1),
        (r"[1]", r"[1,2]", false, 1),
        (r"[12.5]", r"[12.50]", false, 0),
        (r#""1""#, r"1", false, 1),
        (r"null", r"0", false, 1),
    ];
    for (wanted, found, exact, count) in cases {
        let (a, b) = (serde_json::from_str(wanted), serde_json::from_str(found));
        let mut faults = Vec::new();
        compare("body", &a.expect("JSON"), &b.expect("JSON"), exact, &mut faults);
        assert_eq!(faults.len(), count, "{wanted} {found}: {faults:?}");
    }
}
