//! Paths that mean one thing to a rule and another to a service: there are none.

use crate::support::{Backend, get, plan, serve, serve_all, service};
use stoa_config::plan::Access;

#[tokio::test]
async fn no_spelling_gets_around_a_rule() {
    let backend = Backend::echo().await;
    let mut one = service("b", &[backend.address], &["/admin/**", "/**"]);
    one.routes[0].access.access = Access::Nobody;
    let served = serve(plan(vec![one]));
    for (path, status) in [
        ("/admin", 403),
        ("/admin/", 403),
        ("/admin/x", 403),
        ("/%61dmin/x", 403),
        ("/%61%64%6d%69%6e", 403),
        ("http://h.test/admin/x", 403),
        ("//admin/x", 400),
        ("/admin//x", 400),
        ("/x/../admin/x", 400),
        ("/./admin/x", 400),
        ("/x/%2e%2e/admin", 400),
        ("/x/.%2E/admin", 400),
        ("/x/..;/admin", 400),
        ("/x/..;a=b/admin", 400),
        ("/x/%2e%2e%3b/admin", 400),
        ("/x%2f..%2fadmin", 400),
        ("/x%2Fadmin", 400),
        ("/x%5cadmin", 400),
        ("/x\\admin", 400),
        ("/admin%00", 400),
        ("/admin%0a", 400),
        ("/admin%7f", 400),
        ("/%", 400),
        ("/%4", 400),
        ("/%zz", 400),
        ("/%c0%af", 400),
        ("/%c1%a1dmin", 400),
        ("/%e0%80%af", 400),
        ("/%ff", 400),
        ("/x/..", 400),
        ("/x/.", 400),
    ] {
        let host = "host: h.test";
        let reply = served.ask(format!("GET {path} HTTP/1.1\r\n{host}\r\n\r\n")).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text());
    }
    assert_eq!(
        backend.seen(),
        Vec::<String>::new(),
        "none of them reached the service"
    );

    for headers in [
        "x-original-url: /admin/x",
        "x-rewrite-url: /admin/x",
        "x-http-method-override: DELETE",
    ] {
        let reply = served
            .ask(format!("GET /x HTTP/1.1\r\nhost: h\r\n{headers}\r\n\r\n"))
            .await;
        assert!(reply.text().starts_with("GET /x HTTP/1.1"), "{headers}");
    }
}

#[tokio::test]
async fn the_service_sees_the_path_that_was_judged() {
    let backend = Backend::echo().await;
    let mut stripped = service("payments", &[backend.address], &["/payments/**"]);
    stripped.strip_prefix = true;
    let mut based = service("based", &[backend.address], &["/based/**"]);
    based.endpoints[0].base_path = "/v1".to_owned();
    let whole = service("b", &[backend.address], &["/**"]);
    let served = serve(plan(vec![stripped, based, whole]));
    for (path, seen) in [
        ("/a/b?x=1&y=%2F..", "/a/b?x=1&y=%2F.."),
        ("/%7euser/%61", "/~user/a"),
        ("/caf%c3%a9", "/caf%C3%A9"),
        ("/a;v=1", "/a;v=1"),
        ("/a/", "/a/"),
        ("/a|b", "/a%7Cb"),
        ("http://api.test/abs?q", "/abs?q"),
        ("http://api.test", "/"),
        ("/payments/x?y=1", "/x?y=1"),
        ("/payments", "/"),
        ("/payments/", "/"),
        ("/based/x", "/v1/based/x"),
    ] {
        let reply = served.ask(get(path)).await;
        assert_eq!(reply.text().split(' ').nth(1), Some(seen), "{path}");
    }
}

#[tokio::test]
async fn raw_characters_of_queries_go_upstream_as_escapes() {
    let backend = Backend::echo().await;
    let served = serve_all(backend.address);
    let mut client = served.connect().await;
    for (sent, seen) in [
        ("/a?details->>colour=eq.red", "/a?details-%3E%3Ecolour=eq.red"),
        ("/a?b=\"x\"&c=<y", "/a?b=%22x%22&c=%3Cy"),
        ("http://api.test/a?b>c", "/a?b%3Ec"),
        ("/a?b%3Ec", "/a?b%3Ec"),
    ] {
        let body = format!("POST {sent} HTTP/1.1\r\nhost: api.test\r\ncontent-length: 3\r\n\r\n?<>");
        client.send(body).await;
        let reply = client.reply().await;
        assert_eq!(reply.status, 200, "{sent}: {}", reply.text());
        assert!(
            reply.text().starts_with(&format!("POST {seen} HTTP/1.1\r\n")),
            "{}",
            reply.text()
        );
        assert!(reply.text().ends_with("\r\n\r\n?<>"), "{}", reply.text());
    }
    // In a path they stay refused: a path has one form.
    assert_eq!(served.ask(get("/a<b>")).await.status, 400);
}
