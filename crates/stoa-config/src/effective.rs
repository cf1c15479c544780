//! The plan in force as a tree in the shape of the file.

use crate::{
    decode::root::ROOT,
    node::{Entry, Map, Node, Origin, Scalar, Span, Value as NodeValue},
    plan::{Place, Plan, Rule, StoreKind},
    report::Report,
    source::Text,
    spec::{MapSpec, Shape},
    yaml,
};
use serde_json::{Number, Value, json};

/// What stands in place of a secret.
const REDACTED: &str = "[redacted]";

/// Shows the merged, expanded tree with every default of the tables filled in.
pub(crate) fn show(tree: &Node, plan: &Plan, text: &Text, origin: bool) -> Value {
    let mut tree = tree.clone();
    fill_plan(&mut tree, plan);
    let shower = Shower {
        text,
        origin,
        profile: plan.profile.as_deref().unwrap_or_default(),
    };
    shower.map(&tree, &ROOT)
}

struct Shower<'a> {
    text: &'a Text,
    origin: bool,
    profile: &'a str,
}

impl Shower<'_> {
    fn map(&self, node: &Node, spec: &MapSpec) -> Value {
        let mut out = serde_json::Map::new();
        let empty = Map::default();
        let map = node.map().unwrap_or(&empty);
        for key in spec.keys {
            let written = map.get(key.name).map(|e| &e.value).filter(|v| !v.is_null());
            let filled = || key.default.and_then(parsed);
            let value = match written {
                Some(node) => self.shape(node, &key.shape),
                None => match filled() {
                    Some(node) => self.shape(&node, &key.shape),
                    None => continue,
                },
            };
            out.insert(key.name.to_owned(), value);
        }
        Value::Object(out)
    }

    fn shape(&self, node: &Node, shape: &Shape) -> Value {
        match (shape, &node.value) {
            (Shape::Any(shapes), _) => match shapes.iter().find(|s| fits(node, s)) {
                Some(shape) => self.shape(node, shape),
                None => self.leaf(node, false),
            },
            (Shape::Map(spec), NodeValue::Map(_) | NodeValue::Null) => self.map(node, spec),
            (Shape::Named(_, item), NodeValue::Map(map)) => {
                let pairs = map
                    .entries
                    .iter()
                    .map(|e| (e.key.clone(), self.shape(&e.value, item)));
                Value::Object(pairs.collect())
            }
            (Shape::List(item), NodeValue::List(items)) if !items.is_empty() => {
                items.iter().map(|node| self.shape(node, item)).collect()
            }
            (Shape::Value(words), _) => self.leaf(node, words.secret && !shows_nothing(node)),
            _ => self.leaf(node, false),
        }
    }

    fn leaf(&self, node: &Node, secret: bool) -> Value {
        let from_file = node
            .origin
            .variables
            .iter()
            .flat_map(|v| v.iter())
            .any(|v| v.starts_with("file:"));
        let value = if secret || from_file {
            Value::from(REDACTED)
        } else {
            to_json(node)
        };
        if self.origin {
            json!({ "value": value, "origin": self.origin(node) })
        } else {
            value
        }
    }

    fn origin(&self, node: &Node) -> String {
        if node.origin.default {
            return "default".to_owned();
        }
        if let Some(names) = node.origin.variables.as_ref().filter(|names| !names.is_empty()) {
            let names: Vec<String> = names
                .iter()
                .map(|name| {
                    if name.starts_with("file:") {
                        name.clone()
                    } else {
                        format!("env {name}")
                    }
                })
                .collect();
            return names.join(", ");
        }
        let place: Place = self.text.place(node.span);
        if node.origin.profile {
            format!("profile {} ({place})", self.profile)
        } else {
            place.to_string()
        }
    }
}

/// A path of SQLite is no secret, although a store's URL may be one.
fn shows_nothing(node: &Node) -> bool {
    node.scalar().is_some_and(|s| s.text.starts_with("sqlite:"))
}

fn fits(node: &Node, shape: &Shape) -> bool {
    match shape {
        Shape::Map(_) | Shape::Named(..) => node.map().is_some(),
        Shape::List(_) => node.list().is_some(),
        Shape::Value(_) | Shape::Bool | Shape::Int { .. } => node.scalar().is_some(),
        Shape::Any(shapes) => shapes.iter().any(|s| fits(node, s)),
        Shape::Free => true,
    }
}

/// A default of a table as a node.
fn parsed(default: &str) -> Option<Node> {
    let text = Text::new("default", default.to_owned());
    let mut node = yaml::parse(&mut Report::new(&text))?;
    mark(&mut node);
    Some(node)
}

fn mark(node: &mut Node) {
    node.origin.default = true;
    match &mut node.value {
        NodeValue::List(items) => items.iter_mut().for_each(mark),
        NodeValue::Map(map) => map.entries.iter_mut().for_each(|e| mark(&mut e.value)),
        NodeValue::Null | NodeValue::Scalar(_) => {}
    }
}

/// What the plan adds that no table can say: the store of a file without one, generated keys, rules that
/// were left out, the route of a service without routes.
fn fill_plan(tree: &mut Node, plan: &Plan) {
    let NodeValue::Map(root) = &mut tree.value else {
        return;
    };
    if root.get("stores").is_none_or(|e| e.value.is_null())
        && let Some(StoreKind::Sqlite { path }) = plan.stores.first().map(|s| &s.kind)
    {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let main = entry("main", text_node(&format!("sqlite:{file}")));
        set(root, "stores", map_node(vec![main]));
    }
    if let Some(NodeValue::Map(resources)) = root.get_mut("resources").map(|e| &mut e.value.value) {
        for resource in &plan.resources {
            if let Some(NodeValue::Map(map)) = resources.get_mut(&resource.name).map(|e| &mut e.value.value) {
                fill_resource(map, resource, plan);
            }
        }
    }
    if let Some(NodeValue::Map(routes)) = root.get_mut("routes").map(|e| &mut e.value.value) {
        fill_routes(routes, &plan.routes);
    }
    if let Some(NodeValue::Map(services)) = root.get_mut("services").map(|e| &mut e.value.value) {
        for service in &plan.services {
            let Some(entry) = services.get_mut(&service.name) else {
                continue;
            };
            if entry.value.map().is_none() {
                let url = std::mem::replace(&mut entry.value, map_node(Vec::new()));
                if let NodeValue::Map(map) = &mut entry.value.value {
                    set(map, "url", url);
                }
            }
            if let NodeValue::Map(map) = &mut entry.value.value {
                fill_service(map, service);
            }
        }
    }
}

fn fill_resource(map: &mut Map, resource: &crate::plan::Resource, plan: &Plan) {
    if let Some(store) = plan.stores.get(resource.store) {
        set(map, "store", text_node(&store.name));
    }
    let fields = map.get_mut("fields").map(|e| &mut e.value.value);
    if let (Some(NodeValue::Map(fields)), Some(key)) = (fields, resource.key_field())
        && fields.get(&key.name).is_none()
    {
        fields
            .entries
            .insert(0, entry(&key.name, text_node("uuid7, key")));
    }
    let write = map.get("write").is_some_and(|e| !e.value.is_null());
    for (verb, rule) in resource.rules.each() {
        if !(rule.written || write && verb != "read") {
            set(map, verb, text_node(&rule_text(rule)));
        }
    }
}

fn fill_service(map: &mut Map, service: &crate::plan::Service) {
    if map.get("routes").is_none_or(|e| e.value.is_null()) {
        let routes = service
            .routes
            .iter()
            .map(|r| entry(&r.display, map_node(Vec::new())))
            .collect();
        set(map, "routes", map_node(routes));
    }
    if let Some(NodeValue::Map(routes)) = map.get_mut("routes").map(|e| &mut e.value.value) {
        fill_routes(routes, &service.routes);
    }
}

fn fill_routes(routes: &mut Map, plan: &[crate::plan::Route]) {
    for (entry, route) in routes.entries.iter_mut().zip(plan) {
        if entry.value.is_null() {
            entry.value = map_node(Vec::new());
        }
        if let (NodeValue::Map(map), false) = (&mut entry.value.value, route.access.written) {
            set(map, "access", text_node(&rule_text(&route.access)));
        }
    }
}

fn rule_text(rule: &Rule) -> String {
    rule.access.to_string()
}

/// Puts a value where there is none.
fn set(map: &mut Map, key: &str, value: Node) {
    match map.get_mut(key) {
        Some(entry) if entry.value.is_null() => entry.value = value,
        Some(_) => {}
        None => map.entries.push(entry(key, value)),
    }
}

fn entry(key: &str, value: Node) -> Entry {
    Entry {
        key: key.to_owned(),
        key_span: Span::default(),
        value,
    }
}

fn filled(value: NodeValue) -> Node {
    Node {
        value,
        span: Span::default(),
        origin: Origin {
            default: true,
            ..Origin::default()
        },
    }
}

fn text_node(text: &str) -> Node {
    filled(NodeValue::Scalar(Scalar {
        text: text.to_owned(),
        quoted: true,
        raw: None,
    }))
}

fn map_node(entries: Vec<Entry>) -> Node {
    filled(NodeValue::Map(Map { entries }))
}

/// The places of the secrets that are written in the file itself.
pub(crate) fn secrets(tree: &Node) -> Vec<Span> {
    let mut found = Vec::new();
    walk_secrets(tree, &Shape::Map(&ROOT), &mut found);
    found
}

fn walk_secrets(node: &Node, shape: &Shape, found: &mut Vec<Span>) {
    match (shape, &node.value) {
        (Shape::Map(spec), NodeValue::Map(map)) => {
            for entry in &map.entries {
                match spec.key(&entry.key) {
                    // A profile has the shape of the file.
                    Some(key) if key.name == "profiles" => {
                        let profiles = entry
                            .value
                            .map()
                            .map(|m| m.entries.as_slice())
                            .unwrap_or_default();
                        for profile in profiles {
                            walk_secrets(&profile.value, &Shape::Map(&ROOT), found);
                        }
                    }
                    Some(key) => walk_secrets(&entry.value, &key.shape, found),
                    None => {}
                }
            }
        }
        (Shape::Named(_, item), NodeValue::Map(map)) => {
            map.entries
                .iter()
                .for_each(|e| walk_secrets(&e.value, item, found));
        }
        (Shape::List(item), NodeValue::List(items)) => {
            for node in items {
                walk_secrets(node, item, found);
            }
        }
        (Shape::Any(shapes), _) => {
            if let Some(shape) = shapes.iter().find(|s| fits(node, s)) {
                walk_secrets(node, shape, found);
            }
        }
        (Shape::Value(words), NodeValue::Scalar(scalar))
            // A reference such as `${NAME}` is no secret, and says where to look.
            if words.secret && !shows_nothing(node) && !scalar.text.contains("${") => {
                found.push(node.span);
            }
        (Shape::Value(words), NodeValue::List(_) | NodeValue::Map(_)) if words.secret => {
            found.push(node.span);
        }
        _ => {}
    }
}

/// The JSON a YAML reader would see (YAML 1.2 core schema).
pub(crate) fn to_json(node: &Node) -> Value {
    match &node.value {
        NodeValue::Null => Value::Null,
        NodeValue::Scalar(scalar) if scalar.quoted => Value::from(scalar.text.as_str()),
        NodeValue::Scalar(scalar) => plain(&scalar.text),
        NodeValue::List(items) => items.iter().map(to_json).collect(),
        NodeValue::Map(map) => {
            let pairs = map.entries.iter().map(|e| (e.key.clone(), to_json(&e.value)));
            Value::Object(pairs.collect())
        }
    }
}

fn plain(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => {
            let unsigned = text.trim_start_matches('-');
            let octal = unsigned.len() > 1 && unsigned.starts_with('0') && !unsigned.contains('.');
            let number = (!octal).then(|| text.parse::<Number>().ok()).flatten();
            number.map_or_else(|| Value::from(text), Value::Number)
        }
    }
}

#[cfg(test)]
mod tests;
