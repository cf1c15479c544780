//! The tables as Markdown: the reference of the file.

use crate::{
    decode::root::ROOT,
    fault::codes,
    grammar::{Words, access, field, policy, route, units},
    spec::{Key, MapSpec, Shape},
};
use std::fmt::Write as _;

const HEAD: &str = "# The API file\n\n\
This page is generated from the tables that read the file (`cargo xtask docs`); edit those.\n\n\
The file is YAML 1.2, by default `stoa.yaml`. Unknown keys, duplicate keys and wrong types are errors, all reported in \
one run. Anchors, aliases, merge keys, tags and several documents are refused. Where text is expected, `no`, `1.10` and \
`012` are text; a switch is `true` or `false` only. A key without a value counts as left out.\n\n\
`${NAME}`, `${NAME:-default}` and `${file:/run/secrets/x}` are expanded in values, after parsing; `$$` is one `$`. With \
`:-`, a variable that is set to nothing counts as not set. Relative paths are relative to the file.\n\n\
A short form in one line always has a long form as a map. Inside `{…}` YAML splits at commas: quote a value that has \
one.\n";

/// The reference, Markdown.
pub(crate) fn reference() -> String {
    let mut out = String::from(HEAD);
    let mut maps: Vec<&'static MapSpec> = vec![&ROOT];
    let mut at = 0;
    while let Some(spec) = maps.get(at).copied() {
        section(&mut out, spec, at == 0);
        for key in spec.keys {
            inner(&key.shape, &mut maps);
        }
        at += 1;
    }
    grammars(&mut out);
    faults(&mut out);
    out
}

/// Adds the maps of a shape that have no section yet.
fn inner(shape: &'static Shape, maps: &mut Vec<&'static MapSpec>) {
    match shape {
        Shape::Map(spec) if maps.iter().all(|m| m.name != spec.name) => maps.push(spec),
        Shape::Named(_, item) | Shape::List(item) => inner(item, maps),
        Shape::Any(shapes) => shapes.iter().for_each(|shape| inner(shape, maps)),
        Shape::Map(_) | Shape::Value(_) | Shape::Bool | Shape::Int { .. } | Shape::Free => {}
    }
}

fn section(out: &mut String, spec: &MapSpec, first: bool) {
    let title = if first {
        "Top level".to_owned()
    } else {
        format!("`{}`", spec.name)
    };
    let _ = write!(out, "\n## {title}\n\n{}\n\n", spec.doc);
    out.push_str("| key | value | default | meaning | example |\n|---|---|---|---|---|\n");
    for key in spec.keys {
        row(out, key);
    }
}

fn row(out: &mut String, key: &Key) {
    let default = match (key.required, key.default) {
        (true, _) => "**needed**".to_owned(),
        (false, Some("{}") | None) => String::new(),
        (false, Some(default)) => format!("`{default}`"),
    };
    let _ = writeln!(
        out,
        "| `{}` | {} | {default} | {} | `{}` |",
        key.name,
        cell(&shape(&key.shape)),
        cell(key.doc),
        cell(key.example),
    );
}

/// A text inside a table: a bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn shape(shape: &Shape) -> String {
    match shape {
        Shape::Value(words) if !words.choice.is_empty() => {
            let words: Vec<String> = words.choice.iter().map(|w| format!("`{w}`")).collect();
            words.join(" or ")
        }
        Shape::Value(words) => words.name.to_owned(),
        Shape::Bool => "`true` or `false`".to_owned(),
        Shape::Int { min, max } => format!("{min} to {max}"),
        Shape::Map(spec) => format!("[`{}`](#{})", spec.name, anchor(spec.name)),
        Shape::Named(words, item) => format!("map of {} to: {}", words.name, self::shape(item)),
        Shape::List(item) => format!("list of: {}", self::shape(item)),
        Shape::Any(shapes) => shapes.iter().map(self::shape).collect::<Vec<_>>().join("; or "),
        Shape::Free => "anything".to_owned(),
    }
}

fn anchor(name: &str) -> String {
    let keep = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    name.to_ascii_lowercase().chars().filter(keep).collect()
}

fn grammars(out: &mut String) {
    out.push_str("\n## Short forms\n\n| what | examples |\n|---|---|\n");
    let words: [&Words; 10] = [
        &units::DURATION_WORDS,
        &units::SIZE_WORDS,
        &units::PERCENT_WORDS,
        &access::ACCESS_WORDS,
        &policy::LIMIT_WORDS,
        &policy::CACHE_WORDS,
        &policy::BALANCE_WORDS,
        &route::ROUTE_WORDS,
        &field::TYPE_WORDS,
        &field::FIELD_WORDS,
    ];
    for words in words {
        let examples: Vec<String> = words.examples.iter().map(|e| format!("`{}`", cell(e))).collect();
        let _ = writeln!(out, "| {} | {} |", cell(words.name), examples.join(" · "));
    }
}

fn faults(out: &mut String) {
    out.push_str("\n## Faults\n\n`stoa check` reports these; `stoa explain CODE` prints the text.\n\n");
    for code in codes::ALL {
        let _ = writeln!(out, "- **{}**, {}. {}", code.name, code.title, code.text);
    }
}

#[cfg(test)]
mod tests;
