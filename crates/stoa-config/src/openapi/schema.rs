//! JSON Schemas as lists of checks.

use crate::plan::{Check, Schema};
use regex::RegexBuilder;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Schemas inside each other at most.
const DEPTH_MAX: usize = 64;
/// Steps from reference to reference at most.
const STEPS_MAX: usize = 32;
/// What a compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 1 << 20;
const SCHEMAS: &str = "#/components/schemas/";

/// Words that say nothing about whether a value is right.
const NOTES: [&str; 22] = [
    "title",
    "description",
    "default",
    "example",
    "examples",
    "format",
    "deprecated",
    "readOnly",
    "writeOnly",
    "externalDocs",
    "xml",
    "discriminator",
    "contentMediaType",
    "contentEncoding",
    "contentSchema",
    "$comment",
    "$id",
    "$schema",
    "$anchor",
    "nullable",
    "exclusiveMinimum",
    "exclusiveMaximum",
];

pub(super) struct Compiler<'d> {
    document: &'d Value,
    /// Schemas that are referred to.
    pub(super) referred: BTreeSet<String>,
    /// Words that are not checked.
    pub(super) unchecked: BTreeSet<String>,
    depth: usize,
}

impl<'d> Compiler<'d> {
    pub(super) fn new(document: &'d Value) -> Self {
        Self {
            document,
            referred: BTreeSet::new(),
            unchecked: BTreeSet::new(),
            depth: 0,
        }
    }

    /// What a value is, behind its references.
    pub(super) fn resolve<'v>(&self, value: &'v Value, at: &str) -> Result<&'v Value, String>
    where
        'd: 'v,
    {
        let mut value = value;
        for _ in 0..STEPS_MAX {
            let Some(reference) = value.get("$ref").and_then(Value::as_str) else {
                return Ok(value);
            };
            let inside = reference.strip_prefix('#').and_then(|p| self.document.pointer(p));
            value = inside.ok_or_else(|| format!("refers at {at} to `{reference}`, which is not in it"))?;
        }
        Err(format!("refers in circles at {at}"))
    }

    pub(super) fn schema(&mut self, value: &Value, at: &str) -> Result<Schema, String> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("has schemas nested more than {DEPTH_MAX} deep at {at}"));
        }
        let found = match value {
            Value::Bool(true) => Ok(Schema::default()),
            Value::Bool(false) => Ok(Schema(vec![Check::Never])),
            Value::Object(map) => self.object(map, at),
            _ => Err(format!("has a schema at {at} that is none")),
        };
        self.depth -= 1;
        found
    }

    fn object(&mut self, map: &Map<String, Value>, at: &str) -> Result<Schema, String> {
        let mut checks = Vec::new();
        if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
            let Some(name) = reference.strip_prefix(SCHEMAS).filter(|n| !n.contains('/')) else {
                return Err(format!(
                    "refers at {at} to `{reference}`: only `{SCHEMAS}NAME` is followed"
                ));
            };
            self.referred.insert(name.to_owned());
            checks.push(Check::Ref(name.to_owned()));
        }
        for (word, value) in map {
            match scalar(word, value, map, at)? {
                Some(check) => checks.push(check),
                None => checks.extend(self.nested(word, value, map, at)?),
            }
        }
        let open = map.get("additionalProperties").is_some_and(|v| !v.is_null());
        if map.contains_key("properties") || open {
            checks.push(self.properties(map, at)?);
        }
        if map.contains_key("items") || map.contains_key("prefixItems") {
            checks.push(self.items(map, at)?);
        }
        Ok(Schema(checks))
    }

    /// Words that hold schemas.
    fn nested(
        &mut self,
        word: &str,
        value: &Value,
        map: &Map<String, Value>,
        at: &str,
    ) -> Result<Option<Check>, String> {
        Ok(Some(match word {
            "allOf" => Check::All(self.each(value, at)?),
            "anyOf" => Check::Any(nullable(self.each(value, at)?, map)),
            "oneOf" => Check::One(nullable(self.each(value, at)?, map)),
            "not" => Check::Not(Box::new(self.schema(value, at)?)),
            "propertyNames" => Check::Names(Box::new(self.schema(value, at)?)),
            _ => {
                let known = [
                    "$ref",
                    "properties",
                    "additionalProperties",
                    "items",
                    "prefixItems",
                    "uniqueItems",
                ];
                if !(known.contains(&word) || NOTES.contains(&word) || word.starts_with("x-")) {
                    self.unchecked.insert(word.to_owned());
                }
                return Ok(None);
            }
        }))
    }

    fn each(&mut self, value: &Value, at: &str) -> Result<Vec<Schema>, String> {
        let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().map(|v| self.schema(v, at)).collect()
    }

    fn properties(&mut self, map: &Map<String, Value>, at: &str) -> Result<Check, String> {
        let mut known = BTreeMap::new();
        for (name, value) in map
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            known.insert(name.clone(), self.schema(value, at)?);
        }
        // What `patternProperties` would take is not refused for not being named.
        let rest = map
            .get("additionalProperties")
            .filter(|_| !map.contains_key("patternProperties"));
        let rest = rest.map(|value| self.schema(value, at)).transpose()?;
        Ok(Check::Properties {
            known,
            rest: rest.map(Box::new),
        })
    }

    fn items(&mut self, map: &Map<String, Value>, at: &str) -> Result<Check, String> {
        let first = map
            .get("prefixItems")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        let first = first.map(|v| self.schema(v, at)).collect::<Result<_, _>>()?;
        let rest = map.get("items").map(|v| self.schema(v, at)).transpose()?;
        Ok(Check::Items {
            first,
            rest: rest.map(Box::new),
        })
    }
}

/// Words about the value itself.
fn scalar(word: &str, value: &Value, map: &Map<String, Value>, at: &str) -> Result<Option<Check>, String> {
    let wrong = || format!("has a schema at {at} whose `{word}` is not right");
    let number = || {
        value
            .as_u64()
            .or_else(|| value.as_f64().map(|n| n as u64))
            .ok_or_else(wrong)
    };
    let most = u64::MAX;
    Ok(Some(match word {
        "type" => Check::Types(types(value, map).ok_or_else(wrong)?),
        "enum" => {
            let mut values = value.as_array().cloned().ok_or_else(wrong)?;
            if map.get("nullable") == Some(&Value::Bool(true)) {
                values.push(Value::Null);
            }
            Check::Enum(values)
        }
        "const" => Check::Enum(vec![value.clone()]),
        "required" => {
            let names = value.as_array().ok_or_else(wrong)?.iter();
            Check::Required(names.filter_map(|n| n.as_str().map(str::to_owned)).collect())
        }
        "minProperties" => Check::Size(number()?, most),
        "maxProperties" => Check::Size(0, number()?),
        "minItems" => Check::Count(number()?, most),
        "maxItems" => Check::Count(0, number()?),
        "minLength" => Check::Length(number()?, most),
        "maxLength" => Check::Length(0, number()?),
        "uniqueItems" if *value == Value::Bool(true) => Check::Unique,
        "pattern" => {
            let text = value.as_str().ok_or_else(wrong)?;
            let regex = RegexBuilder::new(text).size_limit(PATTERN_BYTES_MAX).build();
            Check::Pattern(regex.map_err(|_| {
                format!("has the pattern `{text}` at {at}, which is no regular expression that runs in linear time")
            })?)
        }
        "minimum" => Check::Minimum(value.as_f64().ok_or_else(wrong)?, flag(map, "exclusiveMinimum")),
        "maximum" => Check::Maximum(value.as_f64().ok_or_else(wrong)?, flag(map, "exclusiveMaximum")),
        "exclusiveMinimum" if value.is_number() => Check::Minimum(value.as_f64().ok_or_else(wrong)?, true),
        "exclusiveMaximum" if value.is_number() => Check::Maximum(value.as_f64().ok_or_else(wrong)?, true),
        "multipleOf" => Check::MultipleOf(value.as_f64().filter(|n| *n > 0.0).ok_or_else(wrong)?),
        _ => return Ok(None),
    }))
}

fn flag(map: &Map<String, Value>, word: &str) -> bool {
    map.get(word) == Some(&Value::Bool(true))
}

/// OpenAPI 3.0 says `nullable` where JSON Schema has a type.
fn nullable(mut schemas: Vec<Schema>, map: &Map<String, Value>) -> Vec<Schema> {
    if flag(map, "nullable") {
        schemas.push(Schema(vec![Check::Types(vec!["null"])]));
    }
    schemas
}

fn types(value: &Value, map: &Map<String, Value>) -> Option<Vec<&'static str>> {
    const TYPES: [&str; 7] = [
        "null", "boolean", "object", "array", "number", "string", "integer",
    ];
    let known = |value: &Value| TYPES.into_iter().find(|t| value.as_str() == Some(t));
    let mut types = match value {
        Value::Array(list) => list.iter().map(known).collect::<Option<Vec<_>>>()?,
        one => vec![known(one)?],
    };
    if flag(map, "nullable") {
        types.push("null");
    }
    Some(types)
}
