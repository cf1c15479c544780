//! Reads a map by its table.

use crate::{
    fault::codes,
    grammar::{self, Grammar, units},
    node::{Entry, Map, Node, Span, Value},
    report::{Report, did_you_mean, nearest},
    spec::{Key, MapSpec, Shape},
};

/// A map whose keys are known to be in its table.
pub(crate) struct Reader<'n> {
    spec: &'static MapSpec,
    map: &'n Map,
    /// For messages: "service `payments`".
    pub(crate) what: String,
}

impl<'n> Reader<'n> {
    /// Reports a value that is no map, unknown keys and missing ones.
    pub(crate) fn open(
        spec: &'static MapSpec,
        node: &'n Node,
        what: impl Into<String>,
        report: &mut Report<'_>,
    ) -> Option<Self> {
        let what = what.into();
        let Value::Map(map) = &node.value else {
            if !node.is_null() {
                report.wrong_type(node, &what, "a map").help(keys_help(spec));
            }
            return None;
        };
        unknown_keys(spec, map, &what, report);
        let reader = Self { spec, map, what };
        for key in spec.keys.iter().filter(|k| k.required) {
            if map.get(key.name).is_none_or(|e| e.value.is_left_out()) {
                missing(key, node.span, &reader.what, report);
            }
        }
        Some(reader)
    }

    /// The value of a key that is there and not empty.
    pub(crate) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entry(key).map(|e| &e.value)
    }

    pub(crate) fn entry(&self, key: &str) -> Option<&'n Entry> {
        debug_assert!(
            self.spec.key(key).is_some(),
            "{key} is not in the table {}",
            self.spec.name
        );
        self.map.get(key).filter(|e| !e.value.is_null())
    }

    /// Whether the table has this key.
    pub(crate) fn knows(&self, key: &str) -> bool {
        self.spec.key(key).is_some()
    }

    /// Whether the file says something at a key, right or wrong.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(|e| !e.value.is_left_out())
    }

    /// Where the key stands.
    pub(crate) fn key_span(&self, key: &str) -> Span {
        self.map.get(key).map(|e| e.key_span).unwrap_or_default()
    }

    pub(crate) fn value<T>(&self, key: &str, grammar: &Grammar<T>, report: &mut Report<'_>) -> Option<T> {
        self.get(key)
            .and_then(|node| grammar::scalar(node, grammar, report))
    }

    pub(crate) fn flag(&self, key: &str, report: &mut Report<'_>) -> Option<bool> {
        self.get(key).and_then(|node| flag(node, key, report))
    }

    /// A whole number within the bounds of the table.
    pub(crate) fn int(&self, key: &str, report: &mut Report<'_>) -> Option<u64> {
        let node = self.get(key)?;
        let bounds = self.spec.key(key).and_then(|k| bounds(&k.shape))?;
        int(node, key, bounds, report)
    }

    /// The default of the table, as a value of its grammar.
    pub(crate) fn or_default<T>(&self, value: Option<T>, key: &str, grammar: &Grammar<T>) -> T {
        value.unwrap_or_else(|| default(self.spec, key, grammar))
    }
}

/// What the table says a key is when it is left out.
pub(crate) fn default<T>(spec: &MapSpec, key: &str, grammar: &Grammar<T>) -> T {
    let text = spec.key(key).and_then(|k| k.default).unwrap_or_default();
    match (grammar.parse)(text) {
        Ok(value) => value,
        Err(flaw) => unreachable!(
            "the default of {}.{key} in the table: {}",
            spec.name, flaw.message
        ),
    }
}

fn bounds(shape: &Shape) -> Option<(u64, u64)> {
    match shape {
        Shape::Int { min, max } => Some((*min, *max)),
        Shape::Any(shapes) => shapes.iter().find_map(bounds),
        _ => None,
    }
}

pub(crate) fn missing(key: &Key, span: Span, what: &str, report: &mut Report<'_>) {
    report
        .add(codes::MISSING_KEY, span, format!("{what} has no `{}`", key.name))
        .help(format!("add `{}: {}`", key.name, key.example));
}

/// The nearest key, or the advice for the nearest word people bring along, or all keys.
fn near_key(spec: &MapSpec, word: &str) -> String {
    let keys = spec.keys.iter().map(|k| k.name);
    if nearest(word, keys.clone()).is_none()
        && let Some(near) = nearest(word, spec.instead.iter().map(|(word, _)| *word))
        && let Some((_, advice)) = spec.instead.iter().find(|(word, _)| *word == near)
    {
        return (*advice).to_owned();
    }
    did_you_mean(word, keys)
}

pub(crate) fn unknown_keys(spec: &MapSpec, map: &Map, what: &str, report: &mut Report<'_>) {
    for entry in &map.entries {
        if spec.key(&entry.key).is_some() {
            continue;
        }
        let instead = spec.instead.iter().find(|(word, _)| *word == entry.key);
        let help = match instead {
            Some((_, advice)) => (*advice).to_owned(),
            None => near_key(spec, &entry.key),
        };
        report
            .add(
                codes::UNKNOWN_KEY,
                entry.key_span,
                format!("unknown key `{}` in {what}", entry.key),
            )
            .help(help);
    }
}

fn keys_help(spec: &MapSpec) -> String {
    let keys: Vec<String> = spec.keys.iter().map(|k| format!("`{}`", k.name)).collect();
    format!("its keys are {}", keys.join(", "))
}

/// `true` or `false`.
pub(crate) fn flag(node: &Node, what: &str, report: &mut Report<'_>) -> Option<bool> {
    let Some(scalar) = node.scalar() else {
        report.wrong_type(node, &format!("`{what}`"), "`true` or `false`");
        return None;
    };
    let literal = !scalar.quoted || node.is_expanded();
    match scalar.text.as_str() {
        "true" if literal => return Some(true),
        "false" if literal => return Some(false),
        _ => {}
    }
    let meant = match scalar.text.to_ascii_lowercase().as_str() {
        "yes" | "on" | "y" | "1" | "true" | "enabled" => Some("true"),
        "no" | "off" | "n" | "0" | "false" | "disabled" => Some("false"),
        _ => None,
    };
    let fault = report.add(
        codes::NOT_BOOL,
        node.span,
        format!("`{what}` is `{}`, and must be `true` or `false`", scalar.text),
    );
    if let Some(meant) = meant {
        fault.help(format!("write `{what}: {meant}`, without quotes"));
    }
    None
}

/// A whole number within bounds.
pub(crate) fn int(node: &Node, what: &str, (min, max): (u64, u64), report: &mut Report<'_>) -> Option<u64> {
    let Some(scalar) = node.scalar() else {
        report.wrong_type(node, &format!("`{what}`"), "a whole number");
        return None;
    };
    let leading_zero = scalar.text.len() > 1 && scalar.text.starts_with('0');
    let literal = (!scalar.quoted || node.is_expanded()) && !leading_zero;
    let number = units::digits(&scalar.text).filter(|n| literal && (min..=max).contains(n));
    if number.is_none() {
        report
            .add(
                codes::NUMBER,
                node.span,
                format!(
                    "`{what}` is `{}`, and must be a whole number from {min} to {max}",
                    scalar.text
                ),
            )
            .help("write digits only, without quotes, leading zeros or exponents");
    }
    number
}

/// The items of a list.
pub(crate) fn list<'n>(node: &'n Node, what: &str, report: &mut Report<'_>) -> &'n [Node] {
    match &node.value {
        Value::List(items) => items,
        Value::Null => &[],
        _ => {
            let example = node.scalar().map(|s| format!("write `[{}]`", s.text));
            let fault = report.wrong_type(node, &format!("`{what}`"), "a list");
            fault.help = example.filter(|e| e.len() < 80);
            &[]
        }
    }
}

/// A list, or one value in its place.
pub(crate) fn one_or_many(node: &Node) -> &[Node] {
    match &node.value {
        Value::List(items) => items,
        Value::Null => &[],
        _ => std::slice::from_ref(node),
    }
}
