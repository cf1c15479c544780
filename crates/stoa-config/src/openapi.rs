//! Reads the OpenAPI document of a service.

mod schema;

use crate::{
    effective::to_json,
    grammar::route,
    node::Node,
    plan::{MediaRange, OpenApi, Operation, OperationBody, Parameter, ParameterPlace, Segment},
    report::Report,
    source::Text,
    yaml,
};
use schema::Compiler;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fs::File, io::Read as _, path::Path};

/// Bytes of a document at most.
const BYTES_MAX: u64 = 4 << 20;
/// Operations of a document at most.
const OPERATIONS_MAX: usize = 5_000;
const METHODS: [&str; 7] = ["get", "put", "post", "delete", "options", "head", "patch"];

/// A document, and what of it is not checked.
pub(crate) struct Read {
    pub(crate) document: OpenApi,
    pub(crate) unchecked: Vec<String>,
}

/// Reads the document at `path`.
///
/// # Errors
/// In words: why it cannot be read.
pub(crate) fn read(path: &Path) -> Result<Read, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|e| format!("cannot be read: {e}"))?;
    file.take(BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| format!("cannot be read: {e}"))?;
    if bytes.len() as u64 > BYTES_MAX {
        return Err(format!("is larger than {} MiB", BYTES_MAX >> 20));
    }
    let text = String::from_utf8(bytes).map_err(|_| "is not text in UTF-8".to_owned())?;
    of(value(text)?)
}

fn value(text: String) -> Result<Value, String> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(&text).map_err(|e| format!("is not JSON: {e}"));
    }
    let text = Text::new("openapi", text);
    let mut report = Report::new(&text);
    let tree: Option<Node> = yaml::parse(&mut report);
    match tree {
        Some(tree) if !report.has_errors() => Ok(to_json(&tree)),
        _ => {
            let fault = report.finish().into_iter().next();
            let said = fault.map(|f| {
                format!(
                    "is not YAML that is read here: line {}: {}",
                    f.place.line, f.message
                )
            });
            Err(said.unwrap_or_else(|| "is not YAML".to_owned()))
        }
    }
}

fn of(document: Value) -> Result<Read, String> {
    let version = document["openapi"].as_str().unwrap_or_default();
    if !(version.starts_with("3.0") || version.starts_with("3.1")) {
        return Err("is no OpenAPI document of version 3.0 or 3.1".to_owned());
    }
    let Some(paths) = document["paths"].as_object() else {
        return Err("has no `paths`".to_owned());
    };
    let mut compiler = Compiler::new(&document);
    let mut operations = Vec::new();
    for (path, item) in paths {
        for method in METHODS {
            let Some(operation) = item.get(method) else {
                continue;
            };
            operations.push(one(path, method, item, operation, &mut compiler)?);
            if operations.len() > OPERATIONS_MAX {
                return Err(format!("has more than {OPERATIONS_MAX} operations"));
            }
        }
    }
    if operations.is_empty() {
        return Err("has no operations".to_owned());
    }
    let mut schemas = BTreeMap::new();
    if let Some(all) = document["components"]["schemas"].as_object() {
        for (name, value) in all {
            schemas.insert(name.clone(), compiler.schema(value, &format!("schema `{name}`"))?);
        }
    }
    let missing = compiler.referred.iter().find(|name| !schemas.contains_key(*name));
    if let Some(name) = missing {
        return Err(format!("refers to the schema `{name}`, which it does not have"));
    }
    let unchecked = compiler.unchecked.into_iter().collect();
    Ok(Read {
        document: OpenApi {
            document,
            operations,
            schemas,
        },
        unchecked,
    })
}

fn one(
    source: &str,
    method: &str,
    item: &Value,
    operation: &Value,
    compiler: &mut Compiler<'_>,
) -> Result<Operation, String> {
    let method = method.to_ascii_uppercase();
    let shown = format!("{method} {source}");
    let key = format!("{method} {}", as_route(source));
    let key = (route::ROUTE.parse)(&key)
        .map_err(|flaw| format!("has `{shown}`, which cannot be a route: {}", flaw.message))?;
    let mut parameters: BTreeMap<(String, String), Parameter> = BTreeMap::new();
    let lists = [&item["parameters"], &operation["parameters"]];
    for value in lists.into_iter().filter_map(Value::as_array).flatten() {
        let value = compiler.resolve(value, &shown)?;
        let place = value["in"].as_str().unwrap_or_default().to_owned();
        if let Some(parameter) = parameter(value, &place, &key.path.segments, &shown, compiler)? {
            // The operation's own stand over those of the path.
            parameters.insert((place, parameter.name.clone()), parameter);
        }
    }
    let body = match operation.get("requestBody") {
        Some(body) => Some(self::body(compiler.resolve(body, &shown)?, &shown, compiler)?),
        None => None,
    };
    Ok(Operation {
        method: key.methods.into_iter().next().unwrap_or_default(),
        source: source.to_owned(),
        path: key.path,
        parameters: parameters.into_values().collect(),
        body,
    })
}

/// A path as routes write it: names of letters, digits and `_`, and no slash at the end.
fn as_route(source: &str) -> String {
    let mut inside = false;
    let named: String = source
        .chars()
        .map(|c| {
            match c {
                '{' => inside = true,
                '}' => inside = false,
                c if inside && !c.is_ascii_alphanumeric() => return '_',
                _ => {}
            }
            c
        })
        .collect();
    let bare = named.trim_end_matches('/');
    if bare.is_empty() {
        "/".to_owned()
    } else {
        bare.to_owned()
    }
}

fn parameter(
    value: &Value,
    place: &str,
    segments: &[Segment],
    shown: &str,
    compiler: &mut Compiler<'_>,
) -> Result<Option<Parameter>, String> {
    let name = value["name"].as_str().unwrap_or_default().to_owned();
    let place = match place {
        "query" => ParameterPlace::Query,
        "header" => match http::HeaderName::from_bytes(name.as_bytes()) {
            // These are described by other parts of a document (OpenAPI 3.1, section 4.8.12).
            Ok(own) if matches!(own.as_str(), "accept" | "content-type" | "authorization") => {
                return Ok(None);
            }
            Ok(own) => ParameterPlace::Header(own),
            Err(_) => {
                return Err(format!(
                    "names the header field `{name}` at {shown}, which is none"
                ));
            }
        },
        "path" => {
            let wanted = as_route(&format!("{{{name}}}"));
            let is = |s: &Segment| matches!(s, Segment::Param(own) if wanted == format!("{{{own}}}"));
            match segments.iter().position(is) {
                Some(at) => ParameterPlace::Path(at),
                None => return Err(format!("has no `{{{name}}}` in the path of {shown}")),
            }
        }
        _ => return Ok(None),
    };
    let schema = match value.get("schema") {
        Some(schema) if is_scalar(compiler.resolve(schema, shown)?) => Some(compiler.schema(schema, shown)?),
        _ => None,
    };
    Ok(Some(Parameter {
        name,
        place,
        required: value["required"] == Value::Bool(true),
        schema,
    }))
}

fn is_scalar(schema: &Value) -> bool {
    matches!(
        schema["type"].as_str(),
        Some("string" | "integer" | "number" | "boolean")
    )
}

fn body(value: &Value, shown: &str, compiler: &mut Compiler<'_>) -> Result<OperationBody, String> {
    let empty = Map::new();
    let mut types = Vec::new();
    for (media, content) in value["content"].as_object().unwrap_or(&empty) {
        let essence = media
            .split(';')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_lowercase();
        let Some((kind, subtype)) = essence.split_once('/') else {
            return Err(format!("has the media type `{media}` at {shown}, which is none"));
        };
        let json = subtype == "json" || subtype.ends_with("+json");
        let schema = match content.get("schema") {
            Some(schema) if json => Some(compiler.schema(schema, shown)?),
            _ => None,
        };
        let range = MediaRange {
            kind: kind.to_owned(),
            subtype: (subtype != "*").then(|| subtype.to_owned()),
        };
        types.push((range, schema));
    }
    Ok(OperationBody {
        required: value["required"] == Value::Bool(true),
        types,
    })
}

#[cfg(test)]
mod tests;
