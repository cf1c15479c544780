use super::*;

/// Every `$ref` of the schema leads to a definition, and every table has its keys described.
#[test]
fn references_hold() {
    let schema = schema();
    let definitions = schema["$defs"].as_object().unwrap();
    let mut stack = vec![&schema];
    let mut references = 0;
    while let Some(value) = stack.pop() {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            references += 1;
            let name = reference.strip_prefix("#/$defs/").unwrap();
            assert!(definitions.contains_key(name), "{name}");
        }
        match value {
            Value::Object(map) => stack.extend(map.values()),
            Value::Array(items) => stack.extend(items),
            _ => {}
        }
    }
    assert!(references > 20, "{references}");
    for (name, definition) in definitions {
        assert_eq!(definition["additionalProperties"], json!(false), "{name}");
        assert!(
            definition["description"].as_str().is_some_and(|d| d.len() > 5),
            "{name}"
        );
    }
}

/// The examples and defaults of the tables are YAML.
#[test]
fn examples_are_yaml() {
    let mut maps: Vec<&'static MapSpec> = vec![&ROOT];
    let mut at = 0;
    while let Some(spec) = maps.get(at).copied() {
        for key in spec.keys {
            assert!(
                json_of(key.example).is_some(),
                "{}.{}: {}",
                spec.name,
                key.name,
                key.example
            );
            assert!(
                key.default.is_none_or(|d| json_of(d).is_some()),
                "{}.{}",
                spec.name,
                key.name
            );
            let mut shapes = vec![&key.shape];
            while let Some(shape) = shapes.pop() {
                match shape {
                    Shape::Map(inner) if maps.iter().all(|m| m.name != inner.name) => maps.push(inner),
                    Shape::Named(_, item) | Shape::List(item) => shapes.push(item),
                    Shape::Any(any) => shapes.extend(*any),
                    _ => {}
                }
            }
        }
        at += 1;
    }
    assert!(at > 15, "{at}");
}
