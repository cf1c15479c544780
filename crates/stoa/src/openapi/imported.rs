//! The OpenAPI document of a service as part of the API's own.

use super::{Paths, names::pascal, response, secure};
use serde_json::{Map, Value, json};
use stoa_config::plan::{Access, OpenApi, Operation, PathPattern, Plan, Route, Segment, Service};

/// Kinds of components that are taken over.
const KINDS: [&str; 6] = [
    "schemas",
    "parameters",
    "requestBodies",
    "responses",
    "headers",
    "examples",
];
/// Refusals of Stoa's own that no document of a service knows.
const OWN: [u16; 8] = [400, 401, 403, 408, 413, 502, 503, 504];

/// The document of a service, if it has one.
pub(super) fn of(service: &Service) -> Option<&OpenApi> {
    let mut routes = service.routes.iter();
    routes.find_map(|route| route.handling.openapi.as_deref())
}

/// Adds the operations that a service's routes serve, and says which of its routes are nothing but one of them.
pub(super) fn add(paths: &mut Paths, plan: &Plan, service: &Service, document: &OpenApi) -> Vec<bool> {
    let mut described = vec![false; service.routes.len()];
    for operation in &document.operations {
        let same = |route: &Route| route.path == operation.path && route.methods.contains(&operation.method);
        let exact = service.routes.iter().position(same);
        if let Some(at) = exact {
            described[at] = true;
        }
        let wide = || service.routes.iter().position(|route| covers(route, operation));
        let Some(route) = exact.or_else(wide).and_then(|at| service.routes.get(at)) else {
            continue;
        };
        if matches!(route.access.access, Access::Nobody) {
            continue;
        }
        let method = operation.method.as_str().to_ascii_lowercase();
        let shown = shown(operation, &method, service, document, plan, route);
        paths.add(&operation.path.to_string(), &method, shown);
    }
    described
}

fn shown(
    operation: &Operation,
    method: &str,
    service: &Service,
    document: &OpenApi,
    plan: &Plan,
    route: &Route,
) -> Value {
    let item = &document.document["paths"][&operation.source];
    let mut found = item[method].clone();
    let own = found["parameters"].as_array().cloned().unwrap_or_default();
    let is = |a: &Value, b: &Value| a["name"] == b["name"] && a["in"] == b["in"] && !a["name"].is_null();
    let shared = item["parameters"].as_array().into_iter().flatten();
    let shared = shared.filter(|p| !own.iter().any(|other| is(other, p)));
    let parameters: Vec<Value> = shared.chain(&own).cloned().collect();
    if let Some(map) = found.as_object_mut() {
        map.remove("servers");
        map.remove("callbacks");
        map.insert("tags".to_owned(), json!([service.name]));
        map.insert("parameters".to_owned(), parameters.into());
    }
    rewrite(&mut found, &prefix(service), old(document));
    for parameter in found["parameters"].as_array_mut().into_iter().flatten() {
        if parameter["in"] == "path" {
            let name = parameter["name"].as_str().unwrap_or_default();
            parameter["name"] = name.replace(|c: char| !c.is_ascii_alphanumeric(), "_").into();
        }
    }
    let mut responses = Map::new();
    response::refuse(&mut responses, &OWN);
    if operation.body.is_some() {
        response::refuse(&mut responses, &[415, 422]);
    }
    if let Some(said) = found["responses"].as_object() {
        responses.extend(said.clone());
    }
    found["responses"] = responses.into();
    secure(&mut found, plan, &route.access, &route.access.access.to_string());
    found
}

/// Adds the components of every document, each under the name of its service.
pub(super) fn components(all: &mut Map<String, Value>, plan: &Plan) {
    for service in &plan.services {
        let Some(document) = of(service) else { continue };
        let prefix = prefix(service);
        for kind in KINDS {
            for (name, value) in document.document["components"][kind]
                .as_object()
                .into_iter()
                .flatten()
            {
                let mut value = value.clone();
                rewrite(&mut value, &prefix, old(document));
                let there = all.entry(kind).or_insert_with(|| json!({}));
                there[format!("{prefix}{name}")] = value;
            }
        }
    }
}

fn prefix(service: &Service) -> String {
    format!("{}_", pascal(&service.name))
}

/// Whether a document speaks the dialect of 3.0.
fn old(document: &OpenApi) -> bool {
    document.document["openapi"]
        .as_str()
        .is_some_and(|v| v.starts_with("3.0"))
}

/// Has references lead to the new names, and says what 3.0 says in the words of 3.1.
fn rewrite(value: &mut Value, prefix: &str, old: bool) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite(item, prefix, old)),
        Value::Object(map) => {
            if old {
                modern(map);
            }
            for value in map.values_mut() {
                rewrite(value, prefix, old);
            }
        }
        Value::String(text) => {
            let renamed = text.strip_prefix("#/components/").and_then(|rest| {
                let (kind, name) = rest.split_once('/')?;
                Some(format!("#/components/{kind}/{prefix}{name}"))
            });
            if let Some(renamed) = renamed {
                *text = renamed;
            }
        }
        _ => {}
    }
}

fn modern(map: &mut Map<String, Value>) {
    if map.get("nullable").is_some_and(Value::is_boolean) {
        let nullable = map.remove("nullable") == Some(Value::Bool(true));
        if let (true, Some(Value::String(ty))) = (nullable, map.get("type").cloned()) {
            map.insert("type".to_owned(), json!([ty, "null"]));
        }
    }
    for (bound, exclusive) in [("minimum", "exclusiveMinimum"), ("maximum", "exclusiveMaximum")] {
        match map.get(exclusive) {
            Some(Value::Bool(true)) => {
                if let Some(value) = map.remove(bound) {
                    map.insert(exclusive.to_owned(), value);
                }
            }
            Some(Value::Bool(false)) => drop(map.remove(exclusive)),
            _ => {}
        }
    }
}

/// Whether every request of an operation may meet a route.
fn covers(route: &Route, operation: &Operation) -> bool {
    let method = route.methods.is_empty() || route.methods.contains(&operation.method);
    let PathPattern { segments, rest } = &route.path;
    let theirs = &operation.path.segments;
    let enough = if *rest {
        theirs.len() >= segments.len()
    } else {
        theirs.len() == segments.len()
    };
    let fits = |(own, other): (&Segment, &Segment)| matches!(own, Segment::Param(_)) || own == other;
    method && route.host.is_none() && enough && segments.iter().zip(theirs).all(fits)
}
