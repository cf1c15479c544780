//! The OpenAPI 3.1 document of a plan: every resource, every function and every route of a service, with what each asks
//! of its caller and every answer it can give.
//!
//! Names are promises to generated clients: operation ids and schema names depend on nothing but the names in
//! the API file, and every schema has a name.

mod filter;
mod function;
mod imported;
mod names;
mod parameter;
mod resource;
mod response;
mod schema;
mod service;
mod store;

pub(crate) use response::codes;
use serde_json::{Map, Value, json};
use stoa_config::plan::{Access, Plan, Rule};

/// The document of `plan`.
pub(crate) fn document(plan: &Plan) -> Value {
    let mut paths = Paths::default();
    let mut schemas = schema::shared(plan);
    let names = names::of(&plan.resources);
    let mut parameters = parameter::shared(plan);
    for (resource, name) in plan.resources.iter().zip(&names) {
        parameter::add(&mut parameters, plan, resource, name);
        schema::add(&mut schemas, plan, resource, name);
        resource::add(&mut paths, plan, resource, name);
    }
    for function in &plan.functions {
        function::add(&mut paths, &mut schemas, plan, function, &names);
    }
    for service in &plan.services {
        service::add(&mut paths, plan, service);
    }
    service::add_own(&mut paths, plan);
    let mut components = Map::new();
    components.insert("schemas".into(), schemas.into());
    components.insert("parameters".into(), parameters.into());
    components.insert("headers".into(), response::headers());
    components.insert("responses".into(), response::problems());
    imported::components(&mut components, plan);
    if plan.auth.is_configured() {
        components.insert("securitySchemes".into(), security_schemes(plan));
    }
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": plan.api,
            "version": plan.version,
            "description": introduction(plan),
        },
        "servers": [{ "url": "/", "description": "Where this document came from" }],
        "tags": tags(plan),
        "paths": paths.into_value(),
        "components": components,
    })
}

/// The paths of the document. Two routes whose paths differ only in the names of their parameters are one path
/// in OpenAPI: the first one's names stand.
#[derive(Default)]
struct Paths {
    items: Map<String, Value>,
    shapes: Vec<(String, String)>,
    operation_ids: Vec<String>,
}

impl Paths {
    /// Adds an operation. Returns false, and adds nothing, when the path has the method already.
    fn add(&mut self, path: &str, method: &str, mut operation: Value) -> bool {
        let shape = shape(path);
        let known = self.shapes.iter().find(|(s, _)| *s == shape);
        let path = known.map_or_else(|| path.to_owned(), |(_, path)| path.clone());
        if known.is_none() {
            self.shapes.push((shape, path.clone()));
        }
        let item = self.items.entry(path).or_insert_with(|| json!({}));
        if item.get(method).is_some() {
            return false;
        }
        let wanted = operation["operationId"].as_str().unwrap_or(method).to_owned();
        let id = names::unique(wanted, |id| self.operation_ids.iter().any(|used| used == id));
        operation["operationId"] = json!(id);
        self.operation_ids.push(id);
        item[method] = operation;
        true
    }

    fn into_value(self) -> Value {
        Value::Object(self.items)
    }

    /// The names of the parameters that stand for the path of this shape, in order.
    fn parameters(&self, path: &str) -> Vec<String> {
        let shape = shape(path);
        let known = self.shapes.iter().find(|(s, _)| *s == shape);
        let path = known.map_or(path, |(_, path)| path.as_str());
        let inside = |segment: &str| Some(segment.strip_prefix('{')?.strip_suffix('}')?.to_owned());
        path.split('/').filter_map(inside).collect()
    }
}

/// The path with its parameters' names blotted out.
fn shape(path: &str) -> String {
    let blot = |s: &str| {
        if s.starts_with('{') {
            "{}".to_owned()
        } else {
            s.to_owned()
        }
    };
    path.split('/').map(blot).collect::<Vec<_>>().join("/")
}

fn introduction(plan: &Plan) -> String {
    let mut text = String::from(
        "Every reply carries `x-request-id` and `traceparent`. Every error is a [`Problem`](https://www.rfc-editor.org/rfc/rfc9457) \
         with a stable `code`; its `type` leads to a page that explains it. `HEAD` is served wherever `GET` is.",
    );
    if !plan.resources.is_empty() {
        text.push_str(
            "\n\n`Accept` chooses the representation: `application/json`, `text/csv`, or `application/vnd.pgrst.object+json` for exactly one \
             row, without an array around it (`406` when there are more or none).\n\nThe same rows are served at `/rest/v1/{resource}` with the defaults, statuses and codes of PostgREST, for its client \
             libraries (`@supabase/postgrest-js`, `supabase-js`, `postgrest`): no representation unless `Prefer: return=representation` \
             asks for it, `204` for writes, rows addressed by filters alone. Parameters and access rules are those of the \
             operations below, so they are not described a second time. A counted page that is not all rows is `206` there.",
        );
    }
    if !plan.functions.is_empty() {
        text.push_str(
            "\n\nFunctions of the database are run at `/rpc/{function}`, and at `/rest/v1/rpc/{function}` as PostgREST's clients do it: with \
             their arguments by name.",
        );
    }
    text
}

fn tags(plan: &Plan) -> Value {
    let resources = plan.resources.iter().map(|r| {
        let text = match &r.table {
            Some(table) => format!("Rows of the existing table `{}`.", table.name),
            None => format!("The resource `{}`.", r.name),
        };
        json!({ "name": r.name, "description": text })
    });
    let services = plan.services.iter().filter(|s| plan.resource(&s.name).is_none());
    let services = services.map(|s| {
        json!({ "name": s.name, "description": format!("Routes to the service `{}`; its replies are its own.", s.name) })
    });
    let functions = (!plan.functions.is_empty())
        .then(|| json!({ "name": "rpc", "description": "Functions of the database." }));
    let own = (!plan.routes.is_empty() && plan.services.iter().all(|s| s.name != service::OWN)).then(
        || json!({ "name": service::OWN, "description": "Addresses that the gateway answers itself." }),
    );
    resources.chain(functions).chain(services).chain(own).collect()
}

fn security_schemes(plan: &Plan) -> Value {
    let mut schemes = Map::new();
    if plan.auth.jwt.is_some() {
        schemes.insert(
            "bearerAuth".into(),
            json!({
                "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                "description": "`Authorization: Bearer TOKEN`. `stoa token mint` makes one for development.",
            }),
        );
    }
    if let Some(keys) = &plan.auth.api_keys {
        let header = keys.header.as_str();
        schemes.insert(
            "apiKey".into(),
            json!({ "type": "apiKey", "in": "header", "name": header }),
        );
    }
    Value::Object(schemes)
}

/// Puts the access rule on an operation: `security`, `x-stoa-access`, and a sentence.
fn secure(operation: &mut Value, plan: &Plan, rule: &Rule, shown: &str) {
    let open = matches!(rule.access, Access::Public) || !plan.auth.is_configured();
    let mut accepted = Vec::new();
    if !open && plan.auth.jwt.is_some() {
        accepted.push(json!({ "bearerAuth": [] }));
    }
    if !open && plan.auth.api_keys.is_some() {
        accepted.push(json!({ "apiKey": [] }));
    }
    operation["security"] = accepted.into();
    operation["x-stoa-access"] = json!(shown);
    let said = operation["description"].as_str().unwrap_or_default();
    let gap = if said.is_empty() { "" } else { "\n\n" };
    operation["description"] = json!(format!("{said}{gap}Access: `{shown}`."));
}

/// A reference to a component.
fn component(kind: &str, name: &str) -> Value {
    json!({ "$ref": format!("#/components/{kind}/{name}") })
}

#[cfg(test)]
mod tests;
