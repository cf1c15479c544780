//! What the pipeline does with routes, handlers and panics.

use crate::support::{Backend, Lines, Served, gateway_with, get, load, plan, serve, service};
use http::{Method, Request};
use std::{collections::HashMap, sync::Arc};
use stoa_config::plan::{self, Access, Plan};
use stoa_exchange::{Body, Context, Handler, HandlerFuture, Reply, read_to_limit};

/// A resource that answers with what it was asked, or panics.
struct Asked;

impl Handler for Asked {
    fn handle<'a>(&'a self, context: &'a mut Context, request: stoa_exchange::Request) -> HandlerFuture<'a> {
        Box::pin(async move {
            assert!(!request.uri().path().ends_with("panic"), "as asked");
            let (parts, body) = request.into_parts();
            let body = read_to_limit(body, context.body_bytes_max).await.map_err(|e| {
                stoa_exchange::Problem::new(&stoa_exchange::codes::INTERNAL, "the body").cause(e)
            })?;
            let route = context.route.as_deref().unwrap_or_default();
            Ok(Reply::new(Body::from(format!(
                "{} {} {route} {}",
                parts.method,
                parts.uri,
                body.len()
            ))))
        })
    }
}

fn with_resource(name: &str, mut plan: Plan) -> Served {
    plan.resources.push(resource(name));
    let handler: Arc<dyn Handler> = Arc::new(Asked);
    let lines = Arc::new(Lines::default());
    let gateway = gateway_with(
        plan.clone(),
        &lines,
        HashMap::from([(name.to_owned(), handler)]),
        None,
    );
    Served {
        edge: stoa_edge::Edge::start(&plan, gateway).unwrap(),
        lines,
    }
}

fn resource(name: &str) -> plan::Resource {
    let text = format!(
        "api: test\nresources:\n  {name}:\n    fields: {{ name: text }}\n    read: public\n    write: public\n"
    );
    load(&text).resources.remove(0)
}

#[tokio::test]
async fn resources_are_reached_at_their_three_paths_with_every_method() {
    let served = with_resource("products", plan(Vec::new()));
    for (request, said) in [
        (get("/products?x=1"), "GET /products?x=1 /products 0"),
        (get("/products/7"), "GET /products/7 /products/{id} 0"),
        (
            get("/rest/v1/products"),
            "GET /rest/v1/products /rest/v1/products 0",
        ),
        (
            "BREW /products HTTP/1.1\r\nhost: h\r\n\r\n".to_owned(),
            "BREW /products /products 0",
        ),
        (
            "PUT /products/1 HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nabc".to_owned(),
            "PUT /products/1 /products/{id} 3",
        ),
    ] {
        assert_eq!(served.ask(request).await.text(), said);
    }
    let near = served.ask(get("/produkts")).await;
    assert_eq!(
        (near.status, near.json()["hint"].as_str()),
        (404, Some("did you mean `/products`?"))
    );
    assert_eq!(served.ask(get("/products/1/2")).await.status, 404);
}

#[tokio::test]
async fn a_panic_is_the_end_of_one_request() {
    let served = with_resource("products", plan(Vec::new()));
    let mut client = served.connect().await;
    for (path, status) in [
        ("/products/panic", 500),
        ("/products/1", 200),
        ("/products/panic", 500),
    ] {
        client.send(get(path)).await;
        let reply = client.reply().await;
        assert_eq!(reply.status, status);
        assert!(!reply.text().contains("as asked"), "{}", reply.text());
    }
    let lines = served.lines.wait(3).await;
    assert_eq!(
        lines.iter().map(|l| l.problem).collect::<Vec<_>>(),
        [Some("internal"), None, Some("internal")]
    );
}

#[tokio::test]
async fn methods_and_hints() {
    let backend = Backend::echo().await;
    let routes = [
        "GET /orders/{id}",
        "POST /orders/**",
        "GET /orders",
        "PUT,DELETE /orders/{id}/items",
    ];
    let served = serve(plan(vec![service("b", &[backend.address], &routes)]));
    for (method, path, status, allow) in [
        ("GET", "/orders", 200, None),
        ("POST", "/orders/7", 200, None),
        ("POST", "/orders", 200, None),
        ("DELETE", "/orders/7", 405, Some("GET, HEAD, OPTIONS, POST")),
        ("GET", "/orders/7/items", 405, Some("DELETE, OPTIONS, POST, PUT")),
        ("GET", "/nothing/like/it", 404, None),
    ] {
        let reply = served
            .ask(format!("{method} {path} HTTP/1.1\r\nhost: h\r\n\r\n"))
            .await;
        assert_eq!(
            (reply.status, reply.field("allow")),
            (status, allow),
            "{method} {path}"
        );
    }
}

#[tokio::test]
async fn access_is_judged_before_the_service_is_asked() {
    let backend = Backend::echo().await;
    let mut one = service("b", &[backend.address], &["/none", "/user", "/open"]);
    one.routes[0].access.access = Access::Nobody;
    one.routes[1].access.access = Access::User;
    let served = serve(plan(vec![one]));
    for (path, status) in [("/none", 403), ("/user", 401), ("/open", 200)] {
        let reply = served.ask(get(path)).await;
        assert_eq!(reply.status, status, "{path}");
        assert_eq!(reply.field("www-authenticate").is_some(), status == 401, "{path}");
    }
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test]
async fn routes_of_hosts_come_first() {
    let backend = Backend::echo().await;
    let mut one = service("b", &[backend.address], &["/a", "/a", "/a"]);
    for (route, (host, access)) in one.routes.iter_mut().zip([
        (Some("api.test"), Access::Nobody),
        (Some("*.wild.test"), Access::User),
        (None, Access::Public),
    ]) {
        route.host = host.map(str::to_owned);
        route.access.access = access;
    }
    let served = serve(plan(vec![one]));
    for (host, status) in [
        ("api.test", 403),
        ("API.test:80", 403),
        ("api.test.", 403),
        ("x.wild.test", 401),
        ("x.y.wild.test", 200),
        ("wild.test", 200),
        ("other.test", 200),
    ] {
        let reply = served
            .ask(format!("GET /a HTTP/1.1\r\nhost: {host}\r\n\r\n"))
            .await;
        assert_eq!(reply.status, status, "{host}");
    }
}

#[tokio::test]
async fn decisions_are_shown_when_asked_for() {
    let backend = Backend::echo().await;
    let served = serve(plan(vec![service("b", &[backend.address], &["GET /a"])]));
    let reply = served
        .ask("GET /a HTTP/1.1\r\nhost: h\r\nstoa-explain: 1\r\n\r\n")
        .await;
    let explained: serde_json::Value = serde_json::from_str(reply.field("stoa-explain").unwrap()).unwrap();
    assert_eq!(explained["route"], "GET /a");
    assert_eq!(explained["access"]["allowed"], true);
    assert_eq!(explained["endpoint"]["service"], "b");
    assert_eq!(served.ask(get("/a")).await.field("stoa-explain"), None);
}

#[tokio::test]
async fn a_gateway_answers_without_a_listener() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let backend = Backend::echo().await;
    let lines = Arc::new(Lines::default());
    let gateway = gateway_with(
        plan(vec![service("b", &[backend.address], &["GET /a"])]),
        &lines,
        HashMap::new(),
        None,
    );
    let ask = |method: Method, path: &str| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "h")
            .body(Body::Empty)
            .unwrap();
        let gateway = gateway.clone();
        is_send(async move { gateway.answer(request).await })
    };
    let reply = ask(Method::GET, "/a").await;
    assert_eq!(reply.status(), 200);
    assert!(reply.headers().contains_key("x-request-id"));
    assert!(
        read_to_limit(reply.into_body(), 10_000)
            .await
            .unwrap()
            .starts_with(b"GET /a")
    );
    assert_eq!(ask(Method::PUT, "/a").await.status(), 405);
    assert_eq!(lines.wait(2).await.len(), 2);

    let (parts, ()) = Request::builder().uri("/a").body(()).unwrap().into_parts();
    let explained = gateway.explain_route(&parts);
    assert_eq!(
        (explained["route"].as_str(), explained["target"].as_str()),
        (Some("GET /a"), Some("service b"))
    );
}

#[tokio::test]
async fn a_bad_token_is_refused_wherever_somebody_must_be_known() {
    let backend = Backend::echo().await;
    let mut with_auth = load(
        "api: test\nauth: { jwt: { secret: 0123456789abcdef0123456789abcdef } }\n\
         services: { b: { url: 'http://127.0.0.1:9', routes: { /open: { access: public }, /user: { access: user } } } }\n",
    );
    assert!(with_auth.auth.is_configured(), "{:?}", with_auth.auth);
    let mut one = service("b", &[backend.address], &["/open", "/user"]);
    one.routes[1].access.access = Access::User;
    with_auth.services = vec![one];
    with_auth.server = plan(Vec::new()).server;
    let served = with_resource("products", with_auth);
    for (path, token, status) in [
        ("/open", None, 200),
        ("/user", None, 401),
        ("/products", None, 200),
        ("/open", Some("Bearer nonsense"), 200),
        ("/user", Some("Bearer nonsense"), 401),
        ("/products", Some("Bearer nonsense"), 401),
    ] {
        let field = token.map_or(String::new(), |t| format!("authorization: {t}\r\n"));
        let reply = served
            .ask(format!("GET {path} HTTP/1.1\r\nhost: h\r\n{field}\r\n"))
            .await;
        assert_eq!(reply.status, status, "{path} {token:?}: {}", reply.text());
        assert_eq!(reply.field("www-authenticate").is_some(), status == 401);
    }
    assert_eq!(backend.seen().len(), 2);
}

#[tokio::test]
async fn documents_are_public_and_read_only() {
    let handler: Arc<dyn Handler> = Arc::new(Asked);
    let plan = plan(Vec::new());
    let lines = Arc::new(Lines::default());
    let parts = stoa_edge::Parts {
        resources: HashMap::new(),
        rest: None,
        documents: vec![
            ("/openapi.json".to_owned(), handler.clone()),
            ("/docs/".to_owned(), handler),
        ],
        observer: lines.clone(),
        explain: false,
    };
    let gateway = Arc::new(
        stoa_edge::Gateway::build(&Arc::new(plan.clone()), parts, None)
            .ok()
            .unwrap(),
    );
    let served = Served {
        edge: stoa_edge::Edge::start(&plan, gateway).unwrap(),
        lines,
    };
    for (method, path, status) in [
        ("GET", "/openapi.json", 200),
        ("GET", "/docs", 200),
        ("GET", "/docs/errors/not-found", 200),
        ("POST", "/openapi.json", 405),
        ("GET", "/openapi.json/x", 404),
    ] {
        let reply = served
            .ask(format!(
                "{method} {path} HTTP/1.1\r\nhost: h\r\nstoa-explain: 1\r\n\r\n"
            ))
            .await;
        assert_eq!(reply.status, status, "{method} {path}");
        assert!(reply.field("x-request-id").is_some());
        assert_eq!(
            reply.field("stoa-explain"),
            None,
            "only where the gateway explains"
        );
    }
}
