//! The plan in force as a tree in the shape of the file.

use crate::node::{Node, Value as NodeValue};
use serde_json::{Map, Number, Value};

/// The JSON a YAML reader would see (YAML 1.2 core schema).
pub(crate) fn to_json(node: &Node) -> Value {
    match &node.value {
        NodeValue::Null => Value::Null,
        NodeValue::Scalar(scalar) if scalar.quoted => Value::from(scalar.text.as_str()),
        NodeValue::Scalar(scalar) => plain(&scalar.text),
        NodeValue::List(items) => items.iter().map(to_json).collect(),
        NodeValue::Map(map) => {
            let pairs = map.entries.iter().map(|e| (e.key.clone(), to_json(&e.value)));
            Value::Object(pairs.collect::<Map<_, _>>())
        }
    }
}

fn plain(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => {
            let zeros =
                text.trim_start_matches('-').starts_with('0') && text.len() > 1 && !text.contains('.');
            let number = (!zeros).then(|| text.parse::<Number>().ok()).flatten();
            number.map_or_else(|| Value::from(text), Value::Number)
        }
    }
}
