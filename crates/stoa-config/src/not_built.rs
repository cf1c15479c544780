//! What the file may say and this version does not do yet. Later work deletes entries here.

use crate::{
    fault::{Fault, Severity, codes},
    node::{Node, Value},
    plan::{JwtKeys, Mark, Plan},
    source::Text,
};
use std::collections::BTreeMap;

/// A part that is not built: what it is called, and the paths of the file where `plan` uses it.
struct Part {
    what: &'static str,
    used: fn(&Plan) -> Vec<String>,
}

const PARTS: &[Part] = &[
    Part {
        what: "API keys",
        used: |p| section(p.auth.api_keys.is_some(), "auth.api_keys"),
    },
    Part {
        what: "key sets from a URL",
        used: jwks_url,
    },
    Part {
        what: "OpenID Connect discovery",
        used: discovery,
    },
    Part {
        what: "limits",
        used: |p| on_routes(p, "limit"),
    },
    Part {
        what: "caching",
        used: |p| on_routes(p, "cache"),
    },
    Part {
        what: "caching",
        used: resource_cache,
    },
    Part {
        what: "idempotency on a service's route",
        used: |p| on_routes(p, "idempotency"),
    },
    Part {
        what: "state shared between processes",
        used: |p| section(p.shared.is_some(), "shared"),
    },
    Part {
        what: "pushing telemetry",
        used: |p| section(p.telemetry.otlp.is_some(), "telemetry.otlp"),
    },
];

/// What the plan asks for that this version does not build yet and that would silently do nothing. `dev`
/// and `serve` refuse to start with these.
pub fn not_built(plan: &Plan) -> Vec<Fault> {
    let mut faults = Vec::new();
    for part in PARTS {
        for path in (part.used)(plan) {
            let key = path.rsplit('\u{1f}').next().unwrap_or_default().to_owned();
            let Some(mark) = nearest(plan, &path) else {
                continue;
            };
            faults.push(Fault {
                code: codes::NOT_BUILT,
                severity: Severity::Error,
                message: format!("not built yet: {} (`{key}` would silently do nothing)", part.what),
                place: mark.place,
                span: mark.span,
                second: None,
                help: Some(help(&key)),
            });
        }
    }
    faults.sort_by_key(|a| (a.place.line, a.place.column));
    faults
}

fn help(key: &str) -> String {
    format!("leave `{key}` out until a version that has it, or keep it in a profile that is not used yet")
}

/// Every key of the file with its place. Paths are joined by a control character, because routes and
/// claims hold dots.
pub(crate) fn marks(root: &Node, text: &Text) -> BTreeMap<String, Mark> {
    let mut marks = BTreeMap::new();
    walk(root, "", text, &mut marks);
    marks
}

fn walk(node: &Node, path: &str, text: &Text, marks: &mut BTreeMap<String, Mark>) {
    let Value::Map(map) = &node.value else { return };
    for entry in map.entries.iter().filter(|e| !e.value.is_null()) {
        let path = join(&[path, &entry.key]);
        let mark = Mark {
            place: text.place(entry.key_span),
            span: text.visible(entry.key_span).range(),
        };
        walk(&entry.value, &path, text, marks);
        marks.insert(path, mark);
    }
}

fn join(parts: &[&str]) -> String {
    let parts: Vec<&str> = parts.iter().copied().filter(|p| !p.is_empty()).collect();
    parts.join("\u{1f}")
}

/// The place of a path, or of the nearest one above it that is in the file.
fn nearest(plan: &Plan, path: &str) -> Option<Mark> {
    let mut path = path;
    loop {
        if let Some(mark) = plan.marks.get(path) {
            return Some(mark.clone());
        }
        path = &path[..path.rfind('\u{1f}')?];
    }
}

fn section(used: bool, path: &str) -> Vec<String> {
    if used {
        vec![path.replace('.', "\u{1f}")]
    } else {
        Vec::new()
    }
}

fn jwks_url(plan: &Plan) -> Vec<String> {
    let used = plan
        .auth
        .jwt
        .as_ref()
        .is_some_and(|j| matches!(j.keys, JwtKeys::JwksUrl(_)));
    section(used, "auth.jwt.jwks")
}

fn discovery(plan: &Plan) -> Vec<String> {
    let used = plan
        .auth
        .jwt
        .as_ref()
        .is_some_and(|j| matches!(j.keys, JwtKeys::Discovery));
    section(used, "auth.jwt.issuer")
}

/// The routes whose map has `key`.
fn on_routes(plan: &Plan, key: &str) -> Vec<String> {
    let end = join(&["", key]);
    let of_route = |path: &str| {
        let parts: Vec<&str> = path.split('\u{1f}').collect();
        matches!(parts[..], ["services", _, "routes", _, last] | ["routes", _, last] if last == end)
    };
    plan.marks.keys().filter(|path| of_route(path)).cloned().collect()
}

fn resource_cache(plan: &Plan) -> Vec<String> {
    let cached = plan.resources.iter().filter(|r| r.cache.is_some());
    cached.map(|r| join(&["resources", &r.name, "cache"])).collect()
}
