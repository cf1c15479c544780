//! `${NAME}`, `${NAME:-default}`, `${file:/path}` and `$$` in values. Keys are never expanded, and what is
//! put in is text: it cannot become a map, a list or another expansion.

use crate::{
    fault::codes,
    node::{Node, Value},
    report::Report,
};
use std::{collections::BTreeMap, fs::File, io::Read as _, ops::Range, path::Path};

/// Bytes of a `${file:…}` at most.
const FILE_BYTES_MAX: u64 = 64 << 10;
/// Bytes of a value after expansion at most.
const VALUE_BYTES_MAX: usize = 1 << 20;

/// Where values come from.
pub(crate) struct Expander<'a> {
    pub(crate) env: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) folder: &'a Path,
    /// Every name asked for, and whether it was found.
    pub(crate) variables: BTreeMap<String, bool>,
}

impl Expander<'_> {
    /// Expands every value below `node`. A value with a fault keeps its text.
    pub(crate) fn expand(&mut self, node: &mut Node, report: &mut Report<'_>) {
        match &mut node.value {
            Value::Scalar(scalar) if scalar.text.contains('$') => self.scalar(node, report),
            Value::Null | Value::Scalar(_) => {}
            Value::List(items) => items.iter_mut().for_each(|item| self.expand(item, report)),
            Value::Map(map) => map
                .entries
                .iter_mut()
                .for_each(|e| self.expand(&mut e.value, report)),
        }
    }

    fn scalar(&mut self, node: &mut Node, report: &mut Report<'_>) {
        let Some(text) = node.scalar().map(|s| s.text.clone()) else {
            return;
        };
        let mut out = String::with_capacity(text.len());
        let mut used: Vec<String> = Vec::new();
        let mut failed = false;
        let mut rest = 0;
        while let Some(dollar) = text[rest..].find('$').map(|at| rest + at) {
            out.push_str(&text[rest..dollar]);
            let after = &text[dollar + 1..];
            if after.starts_with('$') {
                out.push('$');
                rest = dollar + 2;
            } else if after.starts_with('{') {
                let Some(close) = after.find('}').map(|at| dollar + 1 + at) else {
                    let span = node.part(&(dollar..text.len()));
                    report
                        .add(codes::EXPANSION, span, "the `${` is not closed")
                        .help("add the `}`, or write `$${`");
                    failed = true;
                    break;
                };
                let at = dollar..close + 1;
                match self.one(&text[dollar + 2..close], &at, node, report) {
                    Some((name, value)) => {
                        out.push_str(&value);
                        used.push(name);
                    }
                    None => failed = true,
                }
                rest = close + 1;
            } else {
                // A `$` alone is itself: regular expressions end in one.
                out.push('$');
                rest = dollar + 1;
            }
            if out.len() > VALUE_BYTES_MAX {
                report.add(
                    codes::BUDGET,
                    node.span,
                    "the value is longer than 1 MiB after expansion",
                );
                failed = true;
                break;
            }
        }
        if failed {
            // The fault is told; the place that reads the value must not add its own.
            *node = Node::faulty(node.span);
            return;
        }
        out.push_str(&text[rest..]);
        if let Value::Scalar(scalar) = &mut node.value {
            if out != scalar.text {
                scalar.raw = None;
            }
            scalar.text = out;
        }
        if !used.is_empty() {
            node.origin.variables = Some(used.into());
        }
    }

    /// The name and the value of what stands inside `${…}`.
    fn one(
        &mut self,
        inner: &str,
        at: &Range<usize>,
        node: &Node,
        report: &mut Report<'_>,
    ) -> Option<(String, String)> {
        let span = node.part(at);
        if let Some(path) = inner.strip_prefix("file:") {
            let name = format!("file:{path}");
            let found = read(&self.folder.join(path));
            self.variables.insert(name.clone(), found.is_ok());
            return match found {
                Ok(value) => Some((name, value)),
                Err(why) => {
                    report.add(
                        codes::SECRET_FILE,
                        span,
                        format!("`{path}` cannot be read: {why}"),
                    );
                    None
                }
            };
        }
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(good) || name.starts_with(|c: char| c.is_ascii_digit()) {
            report
                .add(
                    codes::EXPANSION,
                    span,
                    format!("`${{{inner}}}` is not an expansion"),
                )
                .help("write `${NAME}`, `${NAME:-default}` or `${file:/path}`; `$$` is one `$`");
            return None;
        }
        let found = (self.env)(name).filter(|value| default.is_none() || !value.is_empty());
        self.variables.insert(name.to_owned(), found.is_some());
        if let Some(value) = found.or_else(|| default.map(str::to_owned)) {
            Some((name.to_owned(), value))
        } else {
            report
                .add(codes::VARIABLE, span, format!("the variable `{name}` is not set"))
                .help(format!("set it, or write `${{{name}:-default}}`"));
            None
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|e| e.to_string())?;
    if !file.metadata().is_ok_and(|m| m.is_file()) {
        return Err("it is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| e.to_string())?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("it is larger than {} KiB", FILE_BYTES_MAX >> 10));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| "it is not text in UTF-8".to_owned())?;
    let end = text.trim_end_matches(['\n', '\r']).len();
    text.truncate(end);
    Ok(text)
}
