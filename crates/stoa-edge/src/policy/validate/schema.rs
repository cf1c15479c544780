//! A value judged by a schema: every fault, each at its place.

use super::ERRORS_MAX;
use serde_json::Value;
use std::collections::HashSet;
use stoa_config::plan::{Check, OpenApi, Schema};
use stoa_exchange::FieldError;

/// Schemas that are followed into each other at most: more would be a schema that refers to itself without end.
const DEPTH_MAX: usize = 128;

/// Adds what is wrong with `value`, which stands at `at`.
pub(super) fn check(
    document: &OpenApi,
    schema: &Schema,
    value: &Value,
    at: &str,
    errors: &mut Vec<FieldError>,
) {
    let mut judge = Judge {
        document,
        errors,
        depth: 0,
    };
    judge.schema(schema, value, at);
}

struct Judge<'a> {
    document: &'a OpenApi,
    errors: &'a mut Vec<FieldError>,
    depth: usize,
}

impl Judge<'_> {
    fn say(&mut self, at: &str, message: impl Into<String>) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(FieldError {
                field: at.to_owned(),
                message: message.into(),
            });
        }
    }

    fn schema(&mut self, schema: &Schema, value: &Value, at: &str) {
        if self.depth > DEPTH_MAX {
            self.say(at, "is nested too deep");
            return;
        }
        self.depth += 1;
        for check in &schema.0 {
            if self.errors.len() >= ERRORS_MAX {
                break;
            }
            self.one(check, value, at);
        }
        self.depth -= 1;
    }

    /// Whether a value is right, without saying what is not.
    fn holds(&self, schema: &Schema, value: &Value, at: &str) -> bool {
        let mut errors = Vec::new();
        let mut judge = Judge {
            document: self.document,
            errors: &mut errors,
            depth: self.depth,
        };
        judge.schema(schema, value, at);
        errors.is_empty()
    }

    fn one(&mut self, check: &Check, value: &Value, at: &str) {
        match check {
            Check::Never => self.say(at, "is not taken here"),
            Check::Ref(name) => {
                if let Some(schema) = self.document.schemas.get(name) {
                    self.schema(schema, value, at);
                }
            }
            Check::All(all) => all.iter().for_each(|schema| self.schema(schema, value, at)),
            Check::Any(any) => {
                if !any.iter().any(|schema| self.holds(schema, value, at)) {
                    self.say(at, "fits none of the forms that are taken");
                }
            }
            Check::One(one) => match one.iter().filter(|schema| self.holds(schema, value, at)).count() {
                1 => {}
                0 => self.say(at, "fits none of the forms that are taken"),
                _ => self.say(at, "fits more than one of the forms of which one is taken"),
            },
            Check::Not(not) => {
                if self.holds(not, value, at) {
                    self.say(at, "has a form that is not taken");
                }
            }
            Check::Types(types) => {
                if !types.iter().any(|ty| is(value, ty)) {
                    self.say(at, format!("must be {}", types.join(" or ")));
                }
            }
            Check::Enum(values) => {
                if !values.iter().any(|v| same(v, value)) {
                    let shown: Vec<String> = values.iter().take(20).map(Value::to_string).collect();
                    self.say(at, format!("must be {}", shown.join(" or ")));
                }
            }
            _ => self.inside(check, value, at),
        }
    }

    /// Checks that concern one type.
    fn inside(&mut self, check: &Check, value: &Value, at: &str) {
        match (check, value) {
            (
                Check::Properties { .. } | Check::Required(_) | Check::Names(_) | Check::Size(..),
                Value::Object(map),
            ) => {
                self.object(check, map, at);
            }
            (Check::Items { .. } | Check::Count(..) | Check::Unique, Value::Array(items)) => {
                self.list(check, items, at);
            }
            (Check::Length(min, max), Value::String(text)) => {
                let length = text.chars().count() as u64;
                if length < *min || length > *max {
                    self.say(at, bounds("characters", *min, *max));
                }
            }
            (Check::Pattern(regex), Value::String(text)) if !regex.is_match(text) => {
                self.say(at, format!("must match {}", regex.as_str()));
            }
            (Check::Minimum(..) | Check::Maximum(..) | Check::MultipleOf(_), Value::Number(number)) => {
                let number = number.as_f64().unwrap_or(f64::NAN);
                let (fine, said) = match check {
                    Check::Minimum(min, true) => (number > *min, format!("must be more than {min}")),
                    Check::Minimum(min, false) => (number >= *min, format!("must be at least {min}")),
                    Check::Maximum(max, true) => (number < *max, format!("must be less than {max}")),
                    Check::Maximum(max, false) => (number <= *max, format!("must be at most {max}")),
                    Check::MultipleOf(step) => {
                        (multiple(number, *step), format!("must be a multiple of {step}"))
                    }
                    _ => (true, String::new()),
                };
                if !fine {
                    self.say(at, said);
                }
            }
            _ => {}
        }
    }

    fn object(&mut self, check: &Check, map: &serde_json::Map<String, Value>, at: &str) {
        match check {
            Check::Properties { known, rest } => {
                for (name, value) in map {
                    match (known.get(name), rest) {
                        (Some(schema), _) => self.schema(schema, value, &below(at, name)),
                        (None, Some(rest)) if matches!(rest.0[..], [Check::Never]) => {
                            self.say(&below(at, name), "is not known here");
                        }
                        (None, Some(rest)) => self.schema(rest, value, &below(at, name)),
                        (None, None) => {}
                    }
                }
            }
            Check::Required(names) => {
                for name in names.iter().filter(|name| !map.contains_key(*name)) {
                    self.say(&below(at, name), "is missing");
                }
            }
            Check::Names(schema) => {
                for name in map.keys() {
                    self.schema(schema, &Value::from(name.as_str()), &below(at, name));
                }
            }
            Check::Size(min, max) => {
                let size = map.len() as u64;
                if size < *min || size > *max {
                    self.say(at, bounds("members", *min, *max));
                }
            }
            _ => {}
        }
    }

    fn list(&mut self, check: &Check, items: &[Value], at: &str) {
        match check {
            Check::Items { first, rest } => {
                for (position, value) in items.iter().enumerate() {
                    if let Some(schema) = first.get(position).or(rest.as_deref()) {
                        self.schema(schema, value, &below(at, &position.to_string()));
                    }
                }
            }
            Check::Count(min, max) => {
                let count = items.len() as u64;
                if count < *min || count > *max {
                    self.say(at, bounds("items", *min, *max));
                }
            }
            Check::Unique => {
                let mut seen = HashSet::with_capacity(items.len());
                if !items.iter().all(|item| seen.insert(item.to_string())) {
                    self.say(at, "has an item twice");
                }
            }
            _ => {}
        }
    }
}

fn below(at: &str, name: &str) -> String {
    if at.is_empty() {
        name.to_owned()
    } else {
        format!("{at}.{name}")
    }
}

fn bounds(what: &str, min: u64, max: u64) -> String {
    match (min, max) {
        (min, u64::MAX) => format!("must have at least {min} {what}"),
        (0, max) => format!("must have at most {max} {what}"),
        (min, max) => format!("must have {min} to {max} {what}"),
    }
}

fn is(value: &Value, ty: &str) -> bool {
    match (ty, value) {
        ("null", Value::Null)
        | ("boolean", Value::Bool(_))
        | ("object", Value::Object(_))
        | ("array", Value::Array(_))
        | ("number", Value::Number(_))
        | ("string", Value::String(_)) => true,
        // 1.0 is an integer (JSON Schema 2020-12, section 6.1.1).
        ("integer", Value::Number(number)) => {
            number.is_i64()
                || number.is_u64()
                || number.as_f64().is_some_and(|n| n.is_finite() && n.fract() == 0.0)
        }
        _ => false,
    }
}

/// Numbers are compared by value.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_str() == b.as_str() || a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

fn multiple(number: f64, step: f64) -> bool {
    let times = number / step;
    (times - times.round()).abs() < 1e-9 * times.abs().max(1.0)
}
