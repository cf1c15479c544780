//! The file's own keys, and the order in which its sections are read.

use super::{
    Context, Reader, auth, functions, limits, own, resources, server,
    services::{self, Shared},
    stores, telemetry,
};
use crate::{
    fault::codes,
    grammar::{Words, name, net, route},
    node::{Map, Node, Origin, Span, Value},
    plan::{Plan, Route, Secret, Service, Store, StoreKind, Telemetry},
    report::Report,
    resolve,
    spec::{Key, MapSpec, Shape},
};
use std::{collections::BTreeMap, path::Path};

pub(crate) static ROOT: MapSpec = MapSpec {
    name: "stoa.yaml",
    doc: "The API file.",
    keys: &[
        Key::new(
            "api",
            Shape::Value(&name::API_WORDS),
            "The API's name: lower-case letters, digits and `-`, at most 63 characters.",
            "shop",
        )
        .needed(),
        Key::new(
            "version",
            Shape::Value(&name::TEXT_WORDS),
            "The API's version as its authors write it; shown in OpenAPI.",
            "\"1\"",
        )
        .or("\"1\""),
        Key::new(
            "server",
            Shape::Map(&server::SERVER),
            "The listeners and the bounds that hold for every request.",
            "{ http: 0.0.0.0:8080 }",
        )
        .or("{}"),
        Key::new(
            "auth",
            Shape::Map(&auth::AUTH),
            "How callers identify themselves.",
            "{ jwt: { issuer: https://id.example.com } }",
        ),
        Key::new(
            "limits",
            Shape::Named(&name::NAME_WORDS, &limits::LIMIT_SHAPE),
            "Named limits that routes refer to.",
            "{ per-user: 100/min by user }",
        ),
        Key::new(
            "stores",
            Shape::Named(&name::NAME_WORDS, &stores::STORE_SHAPE),
            "Databases behind resources. A file with resources and none gets `main: sqlite:API.db`.",
            "{ main: sqlite:shop.db }",
        ),
        Key::new(
            "services",
            Shape::Named(&name::NAME_WORDS, &services::SERVICE_SHAPE),
            "HTTP servers that requests are passed on to.",
            "{ payments: http://127.0.0.1:9001 }",
        ),
        Key::new(
            "routes",
            Shape::Named(&route::ROUTE_WORDS, &Shape::Map(&own::OWN_ROUTE)),
            "Routes without a service: redirects and fixed replies.",
            "{ \"/old/**\": { redirect: /new/** }, GET /hello: { reply: { body: hi } } }",
        ),
        Key::new(
            "resources",
            Shape::Named(&name::NAME_WORDS, &Shape::Map(&resources::RESOURCE)),
            "Data that Stoa serves itself.",
            "{ products: { fields: { name: text } } }",
        ),
        Key::new(
            "functions",
            Shape::Named(&name::NAME_WORDS, &Shape::Map(&functions::FUNCTION)),
            "Functions of a PostgreSQL database that callers may run, at `/rpc/NAME`. None is served that is not named here.",
            "{ turnover: { args: { since: date }, access: role admin } }",
        ),
        Key::new(
            "seed",
            Shape::Value(&name::PATH_WORDS),
            "A JSON file of first rows, `{\"RESOURCE\": [rows]}`, that `dev` loads into empty tables it created.",
            "seed.json",
        ),
        Key::new(
            "shared",
            Shape::Value(&net::SHARED_WORDS),
            "What processes share: cache, limits and purges.",
            "\"${REDIS_URL}\"",
        ),
        Key::new(
            "telemetry",
            Shape::Map(&telemetry::TELEMETRY),
            "Where traces and metrics are pushed.",
            "{ otlp: \"${OTLP_URL}\" }",
        ),
        Key::new(
            "tests",
            Shape::List(&Shape::Map(&TEST)),
            "Requests and what they must answer, for `stoa test`.",
            "[{ request: GET /products, expect: { status: 200 } }]",
        ),
        Key::new(
            "profiles",
            Shape::Named(&name::NAME_WORDS, &Shape::Free),
            "Overlays, merged over the file (RFC 7396) by `--profile NAME`: maps merge, lists and values replace, `null` removes.",
            "{ prod: { server: { http: 0.0.0.0:8080 } } }",
        ),
    ],
    instead: &[
        ("name", "did you mean `api`?"),
        (
            "redirects",
            "did you mean `routes`?  routes: { /old/**: { redirect: /new/** } }",
        ),
        ("data", "did you mean `stores`?"),
        ("database", "did you mean `stores`?"),
        ("upstreams", "did you mean `services`?"),
        ("tables", "did you mean `resources`?"),
        ("cors", "put it under `server`"),
    ],
};

pub(crate) static TEST: MapSpec = MapSpec {
    name: "test",
    doc: "One request and what it must answer.",
    keys: &[
        Key::new(
            "name",
            Shape::Value(&name::TEXT_WORDS),
            "What it shows.",
            "a stranger may read",
        ),
        Key::new(
            "request",
            Shape::Value(&REQUEST_WORDS),
            "Method and target.",
            "GET /products",
        )
        .needed(),
        Key::new(
            "user",
            Shape::Value(&name::TEXT_WORDS),
            "The caller's `sub`.",
            "alice",
        ),
        Key::new(
            "roles",
            Shape::List(&Shape::Value(&name::TEXT_WORDS)),
            "The caller's roles.",
            "[admin]",
        ),
        Key::new(
            "scopes",
            Shape::List(&Shape::Value(&name::TEXT_WORDS)),
            "The caller's scopes.",
            "[payments.read]",
        ),
        Key::new(
            "headers",
            Shape::Named(&name::HEADER_WORDS, &Shape::Value(&name::TEXT_WORDS)),
            "Header fields sent.",
            "{ accept: application/json }",
        ),
        Key::new("body", Shape::Free, "JSON sent.", "{ name: Pen }"),
        Key::new(
            "expect",
            Shape::Map(&EXPECT),
            "What must come back.",
            "{ status: 200 }",
        )
        .needed(),
    ],
    instead: &[],
};

pub(crate) static EXPECT: MapSpec = MapSpec {
    name: "expect",
    doc: "What a reply must be.",
    keys: &[
        Key::new("status", Shape::Int { min: 100, max: 599 }, "Its status.", "200"),
        Key::new(
            "headers",
            Shape::Named(&name::HEADER_WORDS, &Shape::Value(&name::TEXT_WORDS)),
            "Header fields it must have.",
            "{ cache-control: no-store }",
        ),
        Key::new("body", Shape::Free, "JSON it must hold.", "{ name: Pen }"),
    ],
    instead: &[],
};

static REQUEST_WORDS: Words = Words::new("a request", codes::ROUTE, &["GET /products?limit=1"]);

/// Reads the merged and expanded tree.
pub(crate) fn decode(
    root: &Node,
    folder: &Path,
    variables: BTreeMap<String, bool>,
    profile: Option<&str>,
    report: &mut Report<'_>,
) -> Option<Plan> {
    let context = Context { folder };
    if root.scalar().is_some() || root.list().is_some() {
        report
            .wrong_type(root, "the file", "a map")
            .help("start with `api: NAME`");
        return None;
    }
    let read = Reader::open(&ROOT, root, "the file", report)?;
    let api = read
        .value("api", &name::API, report)
        .unwrap_or_else(|| "api".to_owned());
    let version = read
        .value("version", &name::TEXT, report)
        .unwrap_or_else(|| "1".to_owned());
    let empty = Node {
        value: Value::Map(Map::default()),
        span: Span::default(),
        origin: Origin::default(),
    };
    let server = server::server(read.get("server").unwrap_or(&empty), &context, report);
    let auth = read
        .get("auth")
        .and_then(|n| auth::auth(n, &context, report))
        .unwrap_or_default();
    let mut limits = read
        .get("limits")
        .map(|n| limits::limits(n, report))
        .unwrap_or_default();
    let shared = read.value("shared", &net::SHARED, report).map(Secret::new);
    let (stores, store_names) = stores_of(&read, &api, &context, report);
    let of_routes = Shared {
        limits: &mut limits,
        auth: &auth,
        names: Vec::new(),
        has_store: read.has("shared") || !store_names.is_empty(),
    };
    let (services, routes) = services_and_routes(&read, &context, of_routes, report);
    let raw = read
        .get("resources")
        .map(|n| resources::resources(n, report))
        .unwrap_or_default();
    let resources = resolve::resources(&raw, &store_names, &stores, &auth, report);
    let functions = functions::functions(&read, &store_names, &stores, &resources, report);
    resolve::routes::check(&services, &routes, &raw, report);
    check_tests(&read, report);
    warn_of_nothing(&read, report);
    let seed = read.value("seed", &name::PATH, report);
    let telemetry = read
        .get("telemetry")
        .and_then(|n| telemetry::telemetry(n, report));
    Some(Plan {
        api,
        version,
        profile: profile.map(str::to_owned),
        file: folder.join("stoa.yaml"),
        server: server?,
        auth,
        limits,
        stores,
        services,
        routes,
        resources,
        functions,
        seed: seed.map(|path| context.path(&path)),
        shared,
        telemetry: telemetry.unwrap_or_else(Telemetry::default),
        variables,
        marks: BTreeMap::new(),
    })
}

fn services_and_routes(
    read: &Reader<'_>,
    context: &Context<'_>,
    mut shared: Shared<'_>,
    report: &mut Report<'_>,
) -> (Vec<Service>, Vec<Route>) {
    let services = read
        .get("services")
        .map(|node| services::services(node, context, &mut shared, report));
    let routes = read
        .get("routes")
        .map(|node| own::routes(node, &mut shared, report));
    (services.unwrap_or_default(), routes.unwrap_or_default())
}

fn warn_of_nothing(read: &Reader<'_>, report: &mut Report<'_>) {
    if ["services", "routes", "resources", "functions"]
        .iter()
        .any(|key| read.get(key).is_some())
    {
        return;
    }
    report
        .warn(
            codes::NOTHING_SERVED,
            Span::default(),
            "the file has neither services nor resources",
        )
        .help("add `services: { payments: http://127.0.0.1:9001 }` or `resources: …`");
}

/// `stores:`, or the one a file with resources gets.
fn stores_of(
    read: &Reader<'_>,
    api: &str,
    context: &Context<'_>,
    report: &mut Report<'_>,
) -> (Vec<Store>, Vec<String>) {
    let mut names = Vec::new();
    let stores = read
        .get("stores")
        .map(|n| stores::stores(n, context, &mut names, report));
    if names.is_empty() && !read.has("stores") && read.get("resources").is_some() {
        let main = Store {
            name: "main".to_owned(),
            kind: StoreKind::Sqlite {
                path: context.path(&format!("{api}.db")),
            },
        };
        return (vec![main], vec!["main".to_owned()]);
    }
    (stores.unwrap_or_default(), names)
}

fn check_tests(read: &Reader<'_>, report: &mut Report<'_>) {
    let Some(node) = read.get("tests") else { return };
    for item in super::list(node, "tests", report) {
        let Some(test) = Reader::open(&TEST, item, "this test", report) else {
            continue;
        };
        test.value("name", &name::TEXT, report);
        if let Some(request) = test.value("request", &name::TEXT, report) {
            let target = request
                .split_once(' ')
                .map(|(method, target)| (method, target.trim()));
            let good = target
                .is_some_and(|(method, target)| name::method(method).is_ok() && target.starts_with('/'));
            if let (false, Some(node)) = (good, test.get("request")) {
                report
                    .add(codes::ROUTE, node.span, format!("`{request}` is not a request"))
                    .help("such as `GET /products?limit=1`");
            }
        }
        if let Some(expect) = test
            .get("expect")
            .and_then(|n| Reader::open(&EXPECT, n, "`expect`", report))
        {
            expect.int("status", report);
        }
    }
}
