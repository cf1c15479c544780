//! The JSON Schema accepts what the file does and refuses what it does not.

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

/// What the schema says against a value, by the keywords this schema uses; any other keyword is a failure.
struct Validator<'s> {
    root: &'s Value,
}

impl Validator<'_> {
    fn check(&self, value: &Value, schema: &Value, path: &str) -> Result<(), String> {
        let Value::Object(keywords) = schema else {
            return if schema == &json!(true) {
                Ok(())
            } else {
                Err(format!("{path}: not allowed"))
            };
        };
        for (keyword, want) in keywords {
            let good = match keyword.as_str() {
                "$schema" | "$defs" | "title" | "description" | "default" | "examples" => true,
                "$ref" => {
                    let pointer = want.as_str().unwrap().trim_start_matches('#');
                    self.check(value, self.root.pointer(pointer).unwrap(), path)?;
                    true
                }
                "anyOf" => {
                    let tried = want
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|s| self.check(value, s, path));
                    let failed: Vec<String> = tried.map_while(Result::err).collect();
                    if failed.len() == want.as_array().unwrap().len() {
                        return Err(failed.join("; "));
                    }
                    true
                }
                "type" => match want {
                    Value::String(one) => is(value, one),
                    many => many
                        .as_array()
                        .unwrap()
                        .iter()
                        .any(|t| is(value, t.as_str().unwrap())),
                },
                "enum" => want.as_array().unwrap().contains(value),
                "pattern" => value.as_str().is_none_or(|t| matches(want, t)),
                "minimum" => value.as_u64().is_none_or(|n| n >= want.as_u64().unwrap()),
                "maximum" => value.as_u64().is_none_or(|n| n <= want.as_u64().unwrap()),
                "required" => want
                    .as_array()
                    .unwrap()
                    .iter()
                    .all(|k| value.get(k.as_str().unwrap()).is_some()),
                "propertyNames" => value
                    .as_object()
                    .is_none_or(|map| map.keys().all(|k| matches(&want["pattern"], k))),
                "items" | "properties" | "additionalProperties" => {
                    self.inside(value, keyword, keywords, path)?;
                    true
                }
                other => panic!("the schema uses `{other}`, which this test does not know"),
            };
            if !good {
                return Err(format!("{path}: {keyword} {want}"));
            }
        }
        Ok(())
    }
}

impl Validator<'_> {
    /// The keywords that speak of the values inside.
    fn inside(
        &self,
        value: &Value,
        keyword: &str,
        keywords: &Map<String, Value>,
        path: &str,
    ) -> Result<(), String> {
        let want = &keywords[keyword];
        if keyword == "items" {
            let mut items = value.as_array().into_iter().flatten().enumerate();
            return items.try_for_each(|(at, item)| self.check(item, want, &format!("{path}[{at}]")));
        }
        let known = keywords.get("properties").and_then(Value::as_object);
        for (key, value) in value.as_object().into_iter().flatten() {
            let path = format!("{path}.{key}");
            match known.and_then(|k| k.get(key)) {
                Some(schema) if keyword == "properties" => self.check(value, schema, &path)?,
                None if keyword == "additionalProperties" => self.check(value, want, &path)?,
                _ => {}
            }
        }
        Ok(())
    }
}

fn is(value: &Value, ty: &str) -> bool {
    match ty {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        other => panic!("{other}"),
    }
}

fn matches(pattern: &Value, text: &str) -> bool {
    regex::Regex::new(pattern.as_str().unwrap())
        .unwrap()
        .is_match(text)
}

fn against_schema(text: &str) -> Result<(), String> {
    let schema = schema();
    let value = json_of(text).ok_or("not YAML")?;
    Validator { root: &schema }.check(&value, &schema, "$")
}

/// What editors accept is what `load` accepts, for every example and every file of the tests.
#[test]
fn right_files_match_the_schema() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = ["hello", "shop", "large", "not_built", "long_forms"]
        .iter()
        .map(|name| root.join(format!("tests/files/{name}.yaml")))
        .collect();
    let examples = std::fs::read_dir(root.join("../../examples")).unwrap();
    files.extend(
        examples
            .map(|entry| entry.unwrap().path().join("stoa.yaml"))
            .filter(|p| p.exists()),
    );
    assert!(files.len() >= 8, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(against_schema(&text), Ok(()), "{}", file.display());
    }
}

/// The schema marks the mistakes that an editor can see.
#[test]
fn wrong_files_do_not() {
    for text in [
        "services: {}\n",
        "api: a\nservces: {}\n",
        "api: a\nservices: { s: 127.0.0.1 }\n",
        "api: a\nserver: { max_body: 1MB }\n",
        "api: a\nserver: { workers: 0 }\n",
        "api: a\nserver: { drain: 30 }\n",
        "api: a\nservices: { s: { timeout: 2s } }\n",
        "api: a\nservices: { s: { url: \"http://a\", strip_prefix: yes } }\n",
        "api: a\nservices: { s: { url: \"http://a\", routes: { s: {} } } }\n",
        "api: a\nservices: { s: { url: \"http://a\", routes: { /s: { access: admin } } } }\n",
        "api: a\nresources: { p: { fields: { n: string } } }\n",
        "api: a\nprofiles: { prod: { server: { max_bdy: 1MiB } } }\n",
    ] {
        assert!(against_schema(text).is_err(), "{text}");
    }
}
