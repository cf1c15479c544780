//! The routes of a service. What the service answers is its own; what Stoa adds is described.

use super::{Paths, imported, names::pascal, parameter, response, secure};
use serde_json::{Map, Value, json};
use stoa_config::plan::{Access, Answer, Idempotency, Plan, Route, Segment, Service};

/// Refusals of Stoa's own on the way to a service.
const ANY: &[u16] = &[400, 408, 413, 414, 431, 502, 503, 504];
/// Methods of a route that names none. `HEAD` goes with `GET`; `OPTIONS` and `TRACE` say nothing to a reader.
const EVERY: &[&str] = &["get", "post", "put", "patch", "delete"];

/// Adds the routes that somebody may use.
pub(super) fn add(paths: &mut Paths, plan: &Plan, service: &Service) {
    let Some(document) = imported::of(service) else {
        return add_routes(
            paths,
            plan,
            &service.name,
            &service.routes.iter().collect::<Vec<_>>(),
        );
    };
    let described = imported::add(paths, plan, service, document);
    let others = service
        .routes
        .iter()
        .zip(described)
        .filter(|(_, described)| !described);
    let others: Vec<&Route> = others.map(|(route, _)| route).collect();
    add_routes(paths, plan, &service.name, &others);
}

/// The routes that end here, in one group.
pub(super) const OWN: &str = "routes";

pub(super) fn add_own(paths: &mut Paths, plan: &Plan) {
    add_routes(paths, plan, OWN, &plan.routes.iter().collect::<Vec<_>>());
}

fn add_routes(paths: &mut Paths, plan: &Plan, name: &str, routes: &[&Route]) {
    for route in routes {
        if matches!(route.access.access, Access::Nobody) {
            continue;
        }
        let path = template(route);
        for method in methods(route) {
            let operation = operation(paths, plan, name, route, &path, &method);
            paths.add(&path, &method, operation);
        }
    }
}

fn methods(route: &Route) -> Vec<String> {
    if route.methods.is_empty() {
        return EVERY.iter().map(|m| (*m).to_owned()).collect();
    }
    let named = route.methods.iter().map(|m| m.as_str().to_ascii_lowercase());
    let known = [
        "get", "put", "post", "delete", "options", "head", "patch", "trace",
    ];
    named.filter(|m| known.contains(&m.as_str())).collect()
}

/// The path as OpenAPI writes it; `**` becomes the parameter `rest`, with a number where the name is taken.
fn template(route: &Route) -> String {
    let mut path = String::new();
    for segment in &route.path.segments {
        match segment {
            Segment::Literal(text) => path.extend(["/", text]),
            Segment::Param(name) => path.extend(["/{", name, "}"]),
        }
    }
    if route.path.rest {
        let taken = |name: &str| {
            let is = |s: &Segment| matches!(s, Segment::Param(param) if param == name);
            route.path.segments.iter().any(is)
        };
        let rest = super::names::unique("rest".into(), taken);
        path.extend(["/{", &rest, "}"]);
    }
    if path.is_empty() { "/".into() } else { path }
}

fn operation(paths: &Paths, plan: &Plan, service: &str, route: &Route, path: &str, method: &str) -> Value {
    let names = paths.parameters(path);
    let last = names.len().saturating_sub(1);
    let parameters = names.iter().enumerate().map(|(i, name)| {
        let about = if route.path.rest && i == last { "The rest of the path; may hold more segments." } else { "A segment of the path." };
        json!({ "name": name, "in": "path", "required": true, "description": about, "schema": { "type": "string" } })
    });
    let mut parameters: Vec<Value> = parameters.collect();
    if let Some(rule) = route.idempotency {
        let mut key = parameter::idempotency_key();
        key["required"] = json!(rule == Idempotency::Required);
        parameters.push(key);
    }
    let mut operation = json!({
        "operationId": operation_id(service, path, method),
        "summary": format!("{} {}", method.to_ascii_uppercase(), route.path),
        "description": about(service, route),
        "tags": [service],
        "parameters": parameters,
        "responses": responses(plan, route),
    });
    if !matches!(method, "get" | "head" | "delete" | "options" | "trace") {
        operation["requestBody"] = json!({ "required": false, "content": { "*/*": { "schema": {} } } });
    }
    if let Some(host) = &route.host {
        operation["x-stoa-host"] = json!(host);
    }
    let limits = route.limits.iter().filter_map(|i| plan.limits.get(*i));
    let limits: Vec<_> = limits.map(|l| l.name.as_str()).collect();
    if !limits.is_empty() {
        operation["x-stoa-limit"] = json!(limits);
    }
    secure(
        &mut operation,
        plan,
        &route.access,
        &route.access.access.to_string(),
    );
    operation
}

fn responses(plan: &Plan, route: &Route) -> Map<String, Value> {
    let mut responses = Map::new();
    response::refuse(&mut responses, ANY);
    if plan.auth.is_configured() {
        response::refuse(&mut responses, &[401, 403]);
    }
    if !route.limits.is_empty() {
        response::refuse(&mut responses, &[429]);
    }
    if route.idempotency.is_some() {
        response::refuse(&mut responses, &[409, 422]);
    }
    let (status, mut good) = match &route.handling.answer {
        None => (None, response::good("Whatever the service answers.", None, &[])),
        Some(Answer::Redirect(to)) => (
            Some(to.status),
            response::good("The address to go to.", None, &["Location"]),
        ),
        Some(Answer::Reply(reply)) => (
            Some(reply.status),
            response::good("The same for everybody.", None, &[]),
        ),
    };
    good["content"] = match &route.handling.answer {
        None => json!({ "*/*": { "schema": {} } }),
        Some(Answer::Reply(reply)) if !reply.body.is_empty() => {
            json!({ reply.content_type: { "schema": {} } })
        }
        Some(_) => json!({}),
    };
    let key = status.map_or_else(|| "default".to_owned(), |s| s.as_u16().to_string());
    responses.insert(key, good);
    responses
}

fn about(service: &str, route: &Route) -> String {
    match &route.handling.answer {
        None => format!("Answered by the service `{service}`."),
        Some(Answer::Redirect(to)) => format!("Leads to `{}{}`.", to.origin, to.to.source),
        Some(Answer::Reply(_)) => "Answered by the gateway itself.".to_owned(),
    }
}

/// `getPaymentsById`: method, then the path without the service's own name when it begins with it.
fn operation_id(service: &str, path: &str, method: &str) -> String {
    let words = path.split('/').filter(|s| !s.is_empty()).map(|segment| {
        let name = segment.strip_prefix('{').and_then(|s| s.strip_suffix('}'));
        name.map_or_else(|| pascal(segment), |name| format!("By{}", pascal(name)))
    });
    let words: String = words.collect();
    let named = if words.is_empty() { pascal(service) } else { words };
    format!("{method}{named}")
}
