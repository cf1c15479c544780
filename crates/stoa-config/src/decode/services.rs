//! `services:`

mod keys;

pub(crate) use keys::{COMPRESS, CORS, HOST, LIMIT, PRIORITY, ROUTE, SERVICE_SHAPE};

use super::{
    Context, Reader, flag, imported, limits, own::route_head, policies, policies::RulePlace, read::default,
    traffic, upstream, websocket::websocket,
};
use crate::{
    fault::codes,
    grammar::{self, name, policy, route, units},
    node::{Entry, Node, Value},
    plan::{
        Access, Auth, Balance, Handling, Health, Limit, PathPattern, Place, Retry, Route, Rule, Segment,
        Service, Timeouts, Upstream, WebSocket,
    },
    report::Report,
};
use keys::{HEALTH, RETRY, SERVICE};

/// What routes refer to.
pub(crate) struct Shared<'s> {
    pub(crate) limits: &'s mut Vec<Limit>,
    pub(crate) auth: &'s Auth,
    /// Names of all services.
    pub(crate) names: Vec<String>,
    /// Whether the first reply to an `Idempotency-Key` can be kept anywhere.
    pub(crate) has_store: bool,
}

pub(crate) fn services(
    node: &Node,
    context: &Context<'_>,
    shared: &mut Shared<'_>,
    report: &mut Report<'_>,
) -> Vec<Service> {
    let Value::Map(map) = &node.value else {
        if !node.is_null() {
            report
                .wrong_type(node, "`services`", "a map of names and services")
                .help("such as `services: { payments: http://127.0.0.1:9001 }`");
        }
        return Vec::new();
    };
    let mut services = Vec::new();
    shared.names = map.entries.iter().map(|e| e.key.clone()).collect();
    for entry in &map.entries {
        if let Err(flaw) = name::name(&entry.key) {
            report.add(codes::NAME, entry.key_span, flaw.message);
        }
        services.extend(service(entry, context, shared, report));
    }
    services
}

fn service(
    entry: &Entry,
    context: &Context<'_>,
    shared: &mut Shared<'_>,
    report: &mut Report<'_>,
) -> Option<Service> {
    let (name, node) = (entry.key.as_str(), &entry.value);
    let place = report.text.place(entry.key_span);
    let mut service = Service {
        name: name.to_owned(),
        place: place.clone(),
        endpoints: Vec::new(),
        upstream: Upstream::default(),
        balance: Balance::LeastLatency,
        health: None,
        timeouts: Timeouts::default(),
        retry: Some(Retry::default()),
        websocket: WebSocket::default(),
        strip_prefix: false,
        routes: Vec::new(),
    };
    if node.is_null() && !node.is_left_out() {
        return None;
    }
    if node.is_null() {
        report
            .add(
                codes::MISSING_KEY,
                entry.key_span,
                format!("service `{name}` has no URL"),
            )
            .help(format!("write `{name}: http://HOST:PORT`"));
        return None;
    }
    if node.map().is_none() {
        upstream::addresses(node, &mut service, report);
        service.routes = vec![everything(name, place, shared.auth)];
        return Some(service);
    }
    let read = Reader::open(&SERVICE, node, format!("service `{name}`"), report)?;
    if let Some(node) = read.get("url") {
        upstream::addresses(node, &mut service, report);
    }
    let balance = read.value("balance", &policy::BALANCE, report);
    service.balance = read.or_default(balance, "balance", &policy::BALANCE);
    service.health = read.get("health").and_then(|n| health(n, report));
    upstream::care(&read, context, &mut service, report);
    service.timeouts = read
        .get("timeout")
        .and_then(|n| policies::timeouts(n, service.timeouts, report))
        .unwrap_or_default();
    if let Some(node) = read.get("retry") {
        service.retry = retry(node, report);
    }
    service.websocket = read
        .get("websocket")
        .and_then(|n| websocket(n, report))
        .unwrap_or_default();
    service.strip_prefix = read
        .get("strip_prefix")
        .and_then(|n| flag(n, "strip_prefix", report))
        .unwrap_or(false);
    let document = imported::document(&read, context, report);
    match read.get("routes") {
        None if let Some(document) = &document => {
            service.routes = imported::routes(document, &place, shared.auth);
        }
        None => service.routes = vec![everything(name, place, shared.auth)],
        Some(node) => service.routes = routes(node, &service, shared, report),
    }
    imported::judge(&mut service, document);
    traffic::everywhere(&mut service, &read, &shared.names, report);
    // Thousands of services with a route each are not unheard of.
    service.routes.shrink_to_fit();
    service.endpoints.shrink_to_fit();
    Some(service)
}

fn health(node: &Node, report: &mut Report<'_>) -> Option<Health> {
    let (path, every, timeout) = if node.map().is_none() {
        (grammar::scalar(node, &route::HEALTH_PATH, report), None, None)
    } else {
        let read = Reader::open(&HEALTH, node, "`health`", report)?;
        (
            read.value("path", &route::HEALTH_PATH, report),
            read.value("every", &units::DURATION, report),
            read.value("timeout", &units::DURATION, report),
        )
    };
    Some(Health {
        path: path?,
        every: every.unwrap_or_else(|| default(&HEALTH, "every", &units::DURATION)),
        timeout: timeout.unwrap_or_else(|| default(&HEALTH, "timeout", &units::DURATION)),
    })
}

fn retry(node: &Node, report: &mut Report<'_>) -> Option<Retry> {
    let read = Reader::open(&RETRY, node, "`retry`", report)?;
    let budget = read.value("budget", &units::PERCENT, report);
    Some(Retry {
        attempts: read.int("attempts", report).unwrap_or(2) as u8,
        budget_percent: read.or_default(budget, "budget", &units::PERCENT),
    })
}

/// What a rule left out means.
pub(crate) fn left_out(auth: &Auth, place: Place) -> Rule {
    Rule {
        access: if auth.is_configured() {
            Access::User
        } else {
            Access::Public
        },
        written: false,
        place,
    }
}

pub(crate) fn bare(display: &str, place: Place, path: PathPattern, auth: &Auth) -> Route {
    Route {
        display: display.into(),
        access: left_out(auth, place.clone()),
        place,
        host: None,
        methods: Vec::new(),
        path,
        limits: Vec::new(),
        cache: None,
        idempotency: None,
        body_bytes_max: None,
        timeouts: None,
        retry_always: false,
        cors: None,
        handling: Handling::default(),
    }
}

/// The route of a service without `routes`.
fn everything(name: &str, place: Place, auth: &Auth) -> Route {
    let path = PathPattern {
        segments: vec![Segment::Literal(name.to_owned())],
        rest: true,
    };
    bare(&path.to_string(), place, path, auth)
}

fn routes(node: &Node, service: &Service, shared: &mut Shared<'_>, report: &mut Report<'_>) -> Vec<Route> {
    let Value::Map(map) = &node.value else {
        report
            .wrong_type(node, "`routes`", "a map of routes and their policies")
            .help("such as `GET /payments/{id}: { access: user }`");
        return Vec::new();
    };
    map.entries
        .iter()
        .filter_map(|entry| one(entry, service, shared, report))
        .collect()
}

fn one(entry: &Entry, service: &Service, shared: &mut Shared<'_>, report: &mut Report<'_>) -> Option<Route> {
    let (known, mut found) = route_head(entry, shared.auth, report);
    let display = found.display.clone();
    if entry.value.map().is_none() && entry.value.scalar().is_some() {
        let text = entry.value.scalar().map(|s| s.text.clone()).unwrap_or_default();
        let what = format!("route `{display}`");
        report
            .wrong_type(&entry.value, &what, "a map")
            .help(format!("write `{{ access: {text} }}`"));
    } else if let Some(read) = Reader::open(&ROUTE, &entry.value, format!("route `{display}`"), report) {
        fill(&mut found, &read, service, shared, report);
    }
    known.then_some(found)
}

fn fill(
    found: &mut Route,
    read: &Reader<'_>,
    service: &Service,
    shared: &mut Shared<'_>,
    report: &mut Report<'_>,
) {
    found.host = read.value("host", &route::HOST, report);
    if let Some(node) = read.get("access") {
        found.access = policies::rule(node, &RulePlace::Route, report);
    }
    if let Some(node) = read.get("limit") {
        found.limits = limits::uses(node, &found.display, shared.limits, report);
    }
    match read.get("cache") {
        Some(node) => found.cache = policies::cache(node, (read.get("stale"), read.get("tags")), report),
        None => policies::only_with_cache(read, &["stale", "tags"], report),
    }
    found.idempotency = read.value("idempotency", &policy::IDEMPOTENCY, report);
    if found.idempotency.is_some() && !shared.has_store {
        report
            .add(
                codes::IDEMPOTENCY_STORE,
                read.key_span("idempotency"),
                "`idempotency` needs a place to keep the first reply",
            )
            .help("add `stores: { main: sqlite:FILE }` or `shared: URL`");
    }
    found.body_bytes_max = read.value("max_body", &units::SIZE, report);
    found.timeouts = read
        .get("timeout")
        .and_then(|n| policies::timeouts(n, service.timeouts, report));
    found.retry_always = read.value("retry", &policy::RETRY_ALWAYS, report).is_some();
    found.cors = read.get("cors").and_then(|n| policies::cors(n, report));
    found.handling = traffic::of_route(read, found, service, &shared.names, report);
}
