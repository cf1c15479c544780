//! Cross-origin requests.

use crate::support::{Backend, plan, serve, service};
use std::time::Duration;
use stoa_config::plan::Cors;

fn rules(origins: &[&str], credentials: bool) -> Cors {
    Cors {
        origins: origins.iter().map(|o| (*o).to_owned()).collect(),
        methods: Vec::new(),
        headers: Vec::new(),
        expose: vec!["x-own".parse().unwrap()],
        credentials,
        max_age: Duration::from_mins(10),
    }
}

#[tokio::test]
async fn origins() {
    let backend = Backend::says(
        "HTTP/1.1 200 OK\r\naccess-control-allow-origin: https://other\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    let sub: &[&str] = &["https://a.test", "https://*.b.test"];
    for (origins, credentials, origin, allowed) in [
        (&["*"][..], false, "https://any.test", Some("*")),
        (sub, true, "https://a.test", Some("https://a.test")),
        (sub, true, "https://x.b.test", Some("https://x.b.test")),
        (sub, true, "https://x.y.b.test", Some("https://x.y.b.test")),
        (sub, true, "https://b.test", None),
        (sub, true, "https://.b.test", None),
        (sub, true, "https://evilb.test", None),
        (sub, true, "http://a.test", None),
        (sub, true, "https://a.test.evil", None),
        (sub, true, "https://evil/x.b.test", None),
        (sub, true, "https://a.test:8443", None),
        (sub, true, "null", None),
    ] {
        let mut plan = plan(vec![service("b", &[backend.address], &["GET /a"])]);
        plan.server.cors = Some(rules(origins, credentials));
        let served = serve(plan);
        let reply = served
            .ask(format!("GET /a HTTP/1.1\r\nhost: h\r\norigin: {origin}\r\n\r\n"))
            .await;
        assert_eq!(reply.field("access-control-allow-origin"), allowed, "{origin}");
        assert_eq!(
            reply.field("access-control-allow-credentials").is_some(),
            credentials && allowed.is_some(),
            "{origin}"
        );
        assert_eq!(
            reply.field("vary"),
            (allowed != Some("*")).then_some("origin"),
            "{origin}"
        );
        let exposed = reply.field("access-control-expose-headers").unwrap_or_default();
        for name in [
            "content-range",
            "location",
            "etag",
            "link",
            "x-request-id",
            "ratelimit",
            "retry-after",
            "x-own",
        ] {
            assert_eq!(
                exposed.split(", ").any(|e| e == name),
                allowed.is_some(),
                "{origin}: {exposed}"
            );
        }
        let refused = served
            .ask(format!(
                "GET /none HTTP/1.1\r\nhost: h\r\norigin: {origin}\r\n\r\n"
            ))
            .await;
        assert_eq!(refused.status, 404);
        assert_eq!(
            refused.field("access-control-allow-origin"),
            allowed,
            "404 for {origin}"
        );
    }
}

#[tokio::test]
async fn preflights() {
    let backend = Backend::echo().await;
    let mut one = service(
        "b",
        &[backend.address],
        &["GET,POST /a", "OPTIONS /own", "GET /bare", "PUT /**"],
    );
    one.routes[0].cors = Some(rules(&["https://a.test"], true));
    one.routes[0].access.access = stoa_config::plan::Access::User;
    let served = serve(plan(vec![one]));
    let ask = |path: &str, origin: &str, method: &str| {
        format!(
            "OPTIONS {path} HTTP/1.1\r\nhost: h\r\norigin: {origin}\r\naccess-control-request-method: {method}\r\n\
             access-control-request-headers: authorization, x-a\r\n\r\n"
        )
    };
    let reply = served.ask(ask("/a", "https://a.test", "POST")).await;
    assert_eq!(reply.status, 204);
    assert_eq!(reply.field("access-control-allow-origin"), Some("https://a.test"));
    assert_eq!(reply.field("access-control-allow-methods"), Some("GET, POST"));
    assert_eq!(
        reply.field("access-control-allow-headers"),
        Some("authorization, x-a")
    );
    assert_eq!(reply.field("access-control-max-age"), Some("600"));
    assert_eq!(reply.field("access-control-allow-credentials"), Some("true"));

    for (origin, method) in [("https://evil.test", "GET"), ("https://a.test", "DELETE")] {
        let reply = served.ask(ask("/a", origin, method)).await;
        assert_eq!(
            reply.field("access-control-allow-methods"),
            None,
            "{origin} {method}"
        );
    }
    // A refusal can be read by the page too.
    let refused = served
        .ask("GET /a HTTP/1.1\r\nhost: h\r\norigin: https://a.test\r\n\r\n")
        .await;
    assert_eq!(
        (refused.status, refused.field("access-control-allow-origin")),
        (401, Some("https://a.test"))
    );

    assert_eq!(backend.seen().len(), 0);
    assert_eq!(
        served.ask(ask("/own", "https://a.test", "GET")).await.status,
        200,
        "a route that serves OPTIONS itself"
    );
    let whole = served.ask("OPTIONS * HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert_eq!(
        (whole.status, backend.seen().len()),
        (204, 1),
        "the server as a whole is no route"
    );
    let plain = served.ask("OPTIONS /bare HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert_eq!(
        (plain.status, plain.field("allow")),
        (204, Some("GET, HEAD, OPTIONS, PUT"))
    );
}
