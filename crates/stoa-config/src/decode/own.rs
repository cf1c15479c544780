//! `routes:` of the file itself: routes that end here, without a service.

use super::{
    Reader, admission, handling, limits, overload,
    policies::{self, RulePlace},
    services::{COMPRESS, CORS, HOST, LIMIT, PRIORITY, Shared, bare},
};
use crate::{
    fault::codes,
    grammar::{route, template},
    node::{Entry, Node, Value},
    plan::{Auth, PathPattern, Route},
    report::Report,
    spec::{Key, MapSpec, Shape},
};

pub(crate) static OWN_ROUTE: MapSpec = MapSpec {
    name: "own route",
    doc: "A route that Stoa answers itself, with `redirect` or `reply`.",
    keys: &[
        Key::new(
            "redirect",
            Shape::Value(&template::REDIRECT_WORDS),
            "Where the caller is sent: a path, or a URL whose host stands here. The query is passed on unless the target has one.",
            "/new/**",
        ),
        Key::new(
            "status",
            handling::STATUS_SHAPE,
            "Status of the redirect: 301, 302, 303, 307 or 308.",
            "308",
        )
        .or("307"),
        Key::new(
            "reply",
            handling::REPLY_SHAPE,
            "The answer, or its status.",
            "{ status: 200, body: { hello: world } }",
        ),
        HOST,
        Key::new(
            "access",
            policies::ACCESS_SHAPE,
            "Who may. Left out: `user` where `auth` is configured.",
            "public",
        ),
        Key::new(
            "ip",
            admission::IP_SHAPE,
            "Which clients may ask, by their address.",
            "{ allow: [10.0.0.0/8], deny: [10.1.2.3] }",
        ),
        LIMIT,
        PRIORITY,
        COMPRESS,
        CORS,
        Key::new(
            "reply_headers",
            handling::REPLY_FIELDS_SHAPE,
            "Header fields of the reply.",
            "{ set: { cache-control: no-store } }",
        ),
    ],
    instead: &[
        (
            "url",
            "a route with a service stands under it: `services: { NAME: { url: …, routes: … } }`",
        ),
        (
            "service",
            "a route with a service stands under it: `services: { NAME: { routes: … } }`",
        ),
        ("to", "did you mean `redirect`?"),
        ("body", "write `reply: { body: … }`"),
        ("headers", "did you mean `reply_headers`?"),
    ],
};

/// Reads `routes:`.
pub(crate) fn routes(node: &Node, shared: &mut Shared<'_>, report: &mut Report<'_>) -> Vec<Route> {
    let Value::Map(map) = &node.value else {
        if !node.is_null() {
            report
                .wrong_type(node, "`routes`", "a map of routes and their answers")
                .help("such as `/old/**: { redirect: /new/** }`");
        }
        return Vec::new();
    };
    let entries = map.entries.iter();
    entries.filter_map(|entry| one(entry, shared, report)).collect()
}

fn one(entry: &Entry, shared: &mut Shared<'_>, report: &mut Report<'_>) -> Option<Route> {
    let (known, mut found) = route_head(entry, shared.auth, report);
    let read = Reader::open(
        &OWN_ROUTE,
        &entry.value,
        format!("route `{}`", found.display),
        report,
    )?;
    found.host = read.value("host", &route::HOST, report);
    if let Some(node) = read.get("access") {
        found.access = policies::rule(node, &RulePlace::Route, report);
    }
    if let Some(node) = read.get("limit") {
        found.limits = limits::uses(node, &found.display, shared.limits, report);
    }
    found.cors = read.get("cors").and_then(|n| policies::cors(n, report));
    found.handling = handling::handling(&read, &found.path, report);
    found.handling.ip = admission::ip(&read, report);
    found.handling.priority = overload::priority(&read, report);
    found.handling.compress = handling::compress(&read, report);
    if !(read.has("redirect") || read.has("reply")) {
        report
            .add(
                codes::MISSING_KEY,
                entry.key_span,
                format!("route `{}` has no answer", found.display),
            )
            .help("add `redirect: /path` or `reply: { status: 200 }`; a route of a service stands under the service");
    }
    known.then_some(found)
}

/// The route that a key names, and whether the key is in order.
pub(crate) fn route_head(entry: &Entry, auth: &Auth, report: &mut Report<'_>) -> (bool, Route) {
    let key = match (route::ROUTE.parse)(&entry.key) {
        Ok(key) => Some(key),
        Err(flaw) => {
            let start = entry.key_span.start as usize;
            let there = report.text.content.get(start..start + entry.key.len()) == Some(entry.key.as_str());
            let span = if there {
                crate::node::Span::new(start + flaw.at.start..start + flaw.at.end)
            } else {
                entry.key_span
            };
            report
                .add(flaw.code.unwrap_or(codes::ROUTE), span, flaw.message)
                .help = flaw.help;
            None
        }
    };
    let display = match &key {
        Some(key) if key.methods.is_empty() => key.path.to_string(),
        Some(key) => {
            let methods: Vec<&str> = key.methods.iter().map(http::Method::as_str).collect();
            format!("{} {}", methods.join(","), key.path)
        }
        None => entry.key.clone(),
    };
    let empty = PathPattern {
        segments: Vec::new(),
        rest: false,
    };
    let path = key.as_ref().map_or(empty, |k| k.path.clone());
    let mut found = bare(&display, report.text.place(entry.key_span), path, auth);
    found.methods = key.as_ref().map(|k| k.methods.clone()).unwrap_or_default();
    (key.is_some(), found)
}
