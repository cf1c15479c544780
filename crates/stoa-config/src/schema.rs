//! The tables as JSON Schema (2020-12), so that editors complete and explain the file.

use crate::{
    decode::root::ROOT,
    effective,
    grammar::Words,
    report::Report,
    source::Text,
    spec::{Key, MapSpec, Shape},
    yaml,
};
use serde_json::{Map, Value, json};

/// A value that is put in by expansion can be of any kind.
const EXPANSION: &str = "\\$\\{";

/// JSON Schema of the API file.
pub(crate) fn schema() -> Value {
    let mut writer = Writer {
        definitions: Map::new(),
    };
    let root = writer.definition(&ROOT, Form::Whole);
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Stoa API file",
        "description": ROOT.doc,
        "$ref": root,
    });
    if let Value::Object(map) = &mut schema {
        map.insert("$defs".to_owned(), Value::Object(writer.definitions));
    }
    schema
}

/// Whether a map stands for itself or as part of an overlay.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Whole,
    /// Nothing is required, and `null` removes.
    Overlay,
}

struct Writer {
    definitions: Map<String, Value>,
}

impl Writer {
    /// Writes the definition of a map once; the reference to it.
    fn definition(&mut self, spec: &'static MapSpec, form: Form) -> String {
        let prefix = if form == Form::Overlay { "profile." } else { "" };
        let name = format!("{prefix}{}", spec.name);
        let reference = format!("#/$defs/{name}");
        if self.definitions.contains_key(&name) {
            return reference;
        }
        // Its place is taken before its keys are written: a map may hold itself.
        self.definitions.insert(name.clone(), Value::Null);
        let mut properties = Map::new();
        for key in spec.keys {
            properties.insert(key.name.to_owned(), self.key(spec, key, form));
        }
        let required: Vec<&str> = spec.keys.iter().filter(|k| k.required).map(|k| k.name).collect();
        let mut definition = json!({
            "type": ["object", "null"],
            "description": spec.doc,
            "properties": properties,
            "additionalProperties": false,
        });
        if let (Value::Object(map), Form::Whole, false) = (&mut definition, form, required.is_empty()) {
            map.insert("type".to_owned(), json!("object"));
            map.insert("required".to_owned(), json!(required));
        }
        self.definitions.insert(name, definition);
        reference
    }

    fn key(&mut self, spec: &MapSpec, key: &'static Key, form: Form) -> Value {
        let mut value = match (spec.name == ROOT.name && key.name == "profiles", form) {
            (true, Form::Whole) => {
                let overlay = self.definition(&ROOT, Form::Overlay);
                json!({ "type": ["object", "null"], "additionalProperties": { "$ref": overlay } })
            }
            // A profile inside a profile does not exist.
            (true, Form::Overlay) => json!(false),
            (false, _) => self.shape(&key.shape, form),
        };
        if form == Form::Overlay && value.is_object() {
            value = json!({ "anyOf": [value, { "type": "null" }] });
        }
        if let Value::Object(map) = &mut value {
            map.insert("description".to_owned(), json!(key.doc));
            if let Some(default) = key.default.and_then(json_of) {
                map.insert("default".to_owned(), default);
            }
            if let Some(example) = json_of(key.example) {
                map.insert("examples".to_owned(), json!([example]));
            }
        }
        value
    }

    fn shape(&mut self, shape: &'static Shape, form: Form) -> Value {
        match shape {
            Shape::Value(words) => text(words),
            Shape::Bool => expandable(&json!({ "type": "boolean" })),
            Shape::Int { min, max } => {
                expandable(&json!({ "type": "integer", "minimum": min, "maximum": max }))
            }
            Shape::Map(spec) => json!({ "$ref": self.definition(spec, form) }),
            Shape::Named(words, item) => {
                let mut item = self.shape(item, form);
                if form == Form::Overlay {
                    item = json!({ "anyOf": [item, { "type": "null" }] });
                }
                let mut map = json!({ "type": ["object", "null"], "additionalProperties": item });
                if let (Value::Object(map), Some(pattern)) = (&mut map, words.pattern) {
                    map.insert("propertyNames".to_owned(), json!({ "pattern": pattern }));
                }
                map
            }
            Shape::List(item) => json!({ "type": "array", "items": self.shape(item, form) }),
            Shape::Any(shapes) => {
                let shapes: Vec<Value> = shapes.iter().map(|s| self.shape(s, form)).collect();
                json!({ "anyOf": shapes })
            }
            Shape::Free => json!({}),
        }
    }
}

fn expandable(value: &Value) -> Value {
    json!({ "anyOf": [value, { "type": "string", "pattern": EXPANSION }] })
}

fn text(words: &Words) -> Value {
    if !words.choice.is_empty() {
        return expandable(&json!({ "enum": words.choice, "title": words.name }));
    }
    match words.pattern {
        Some(pattern) => json!({
            "type": "string",
            "title": words.name,
            "pattern": pattern,
            "examples": words.examples,
        }),
        // A text may look like a number or a switch to a YAML reader: `version: 1.10`.
        None => json!({
            "type": ["string", "number", "boolean"],
            "title": words.name,
            "examples": words.examples,
        }),
    }
}

/// What a default or example of a table is in JSON.
fn json_of(text: &str) -> Option<Value> {
    let text = Text::new("table", text.to_owned());
    let mut report = Report::new(&text);
    let node = yaml::parse(&mut report)?;
    (!report.has_errors()).then(|| effective::to_json(&node))
}

#[cfg(test)]
mod tests;
