//! Routes of whole files: answers of their own, rewrites, header fields both ways.

use crate::support::{Backend, Served, get, load, serve};
use stoa_config::plan::Plan;

/// The plan of a file that calls its service `{backend}`, on any port.
pub(crate) fn file(text: &str, backend: &Backend) -> Plan {
    let text = text.replace("{backend}", &format!("http://{}", backend.address));
    let mut plan = load(&format!("api: test\n{text}"));
    plan.server.http = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    plan.server.workers = Some(2);
    plan
}

async fn served(text: &str) -> (Served, Backend) {
    let backend = Backend::echo().await;
    (serve(file(text, &backend)), backend)
}

const OWN: &str = "
routes:
  /old/{id}/**: { redirect: \"/new/**?by={id}\", status: 308 }
  /moved/**: { redirect: https://other.test/api/** }
  /{name}: { redirect: \"/{name}/\" }
  GET /hello: { reply: { body: { hello: world }, headers: { cache-control: no-store, x-id: \"{request.id}\" } } }
  /gone/**: { reply: 410 }
  /later: { reply: { status: 503, headers: { retry-after: \"60\" } } }
  POST /drop: { reply: 202, reply_headers: { set: { x-drop: \"1\" } } }
";

#[tokio::test]
async fn a_redirect_leads_where_the_file_says() {
    let (served, _backend) = served(OWN).await;
    for (path, status, location) in [
        ("/old/7/a/b%20c?x=1", 308, "/new/a/b%20c?by=7"),
        ("/old/1%26admin=1", 308, "/new?by=1%26admin%3D1"),
        ("/moved/a?x=1&y=2", 307, "https://other.test/api/a?x=1&y=2"),
        ("/moved", 307, "https://other.test/api"),
    ] {
        let reply = served.ask(get(path)).await;
        assert_eq!(
            (reply.status, reply.field("location")),
            (status, Some(location)),
            "{path}"
        );
        assert_eq!(reply.field("content-length"), Some("0"));
    }
}

#[tokio::test]
async fn no_request_chooses_the_host_of_a_redirect() {
    let (served, _backend) = served(OWN).await;
    for (request, status, location) in [
        (
            "GET /evil.test HTTP/1.1\r\nhost: evil.test\r\nx-forwarded-host: evil.test\r\n\r\n",
            307,
            Some("/evil.test/"),
        ),
        (
            "GET http://evil.test/old/7/x HTTP/1.1\r\nhost: evil.test\r\n\r\n",
            308,
            Some("/new/x?by=7"),
        ),
        ("GET //evil.test HTTP/1.1\r\nhost: h\r\n\r\n", 400, None),
        ("GET /old/7//evil.test HTTP/1.1\r\nhost: h\r\n\r\n", 400, None),
        ("GET /%2Fevil.test HTTP/1.1\r\nhost: h\r\n\r\n", 400, None),
        ("GET /%5Cevil.test HTTP/1.1\r\nhost: h\r\n\r\n", 400, None),
        ("GET /%0d%0alocation:%20x HTTP/1.1\r\nhost: h\r\n\r\n", 400, None),
        ("GET /moved/.. HTTP/1.1\r\nhost: h\r\n\r\n", 400, None),
        (
            "GET /moved/@evil.test HTTP/1.1\r\nhost: h\r\n\r\n",
            307,
            Some("https://other.test/api/@evil.test"),
        ),
    ] {
        let reply = served.ask(request).await;
        assert_eq!(
            (reply.status, reply.field("location")),
            (status, location),
            "{request}"
        );
    }
}

#[tokio::test]
async fn a_fixed_reply_is_the_same_for_everybody() {
    let (served, _backend) = served(OWN).await;
    let hello = served.ask(get("/hello")).await;
    assert_eq!(
        (hello.status, hello.text().as_str()),
        (200, "{\"hello\":\"world\"}")
    );
    assert_eq!(hello.field("content-type"), Some("application/json"));
    assert_eq!(hello.field("cache-control"), Some("no-store"));
    assert_eq!(hello.field("x-id"), hello.field("x-request-id"));

    let mut client = served.connect().await;
    client.send("HEAD /hello HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let head = client.reply_to("HEAD").await;
    assert_eq!((head.status, head.field("content-length")), (200, Some("17")));

    let gone = served.ask(get("/gone/x")).await;
    assert_eq!((gone.status, gone.json()["status"].as_u64()), (410, Some(410)));
    assert_eq!(gone.json()["code"], "fixed-reply");
    let later = served.ask(get("/later")).await;
    assert_eq!((later.status, later.field("retry-after")), (503, Some("60")));
    // Its body is read, so that the connection serves another request.
    client
        .send("POST /drop HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nabc")
        .await;
    let dropped = client.reply().await;
    assert_eq!((dropped.status, dropped.field("x-drop")), (202, Some("1")));
    client.send(get("/hello")).await;
    assert_eq!(client.reply().await.status, 200);
}

const REWRITES: &str = "
auth: { jwt: { secret: a-secret-of-thirty-two-bytes-at-least } }
services:
  backend:
    url: {backend}
    routes:
      /api/{tenant}/**:
        access: public
        rewrite: /internal/**
        headers:
          set: { x-tenant: \"{tenant}\", x-user: \"{claims.sub}\", authorization: Bearer inside, x-ip: \"{request.ip}\" }
          add: { accept: text/plain }
          remove: [cookie, x-debug]
        reply_headers:
          set: { x-tenant: \"{tenant}\", x-frame-options: DENY }
          add: { vary: accept }
          remove: [x-powered-by]
      GET /none: { access: none, reply_headers: { set: { x-frame-options: DENY } } }
";

#[tokio::test]
async fn a_service_sees_what_the_route_writes() {
    let backend = Backend::script(|mut client, own| async move {
        while let Some(request) = client.request().await {
            own.keep(request);
            client
                .send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-powered-by: x\r\nx-tenant: theirs\r\nvary: origin\r\n\r\n")
                .await;
        }
    })
    .await;
    let served = serve(file(REWRITES, &backend));
    let request = "GET /api/t%201/a/b?x=1 HTTP/1.1\r\nhost: h\r\ncookie: a=b\r\nx-user: admin\r\nx-debug: 1\r\n\
                   accept: application/json\r\nconnection: x-tenant, X-User, authorization, x-other\r\nx-other: 1\r\n\r\n";
    let reply = served.ask(request).await;
    assert_eq!(reply.status, 200);
    let seen = backend.seen().remove(0);
    assert!(seen.starts_with("GET /internal/a/b?x=1 HTTP/1.1\r\n"), "{seen}");
    let field = |name| crate::support::field(&seen, name);
    assert_eq!(field("x-tenant"), Some("t%201"));
    assert_eq!(field("x-user"), None, "nobody is known, and nobody may say so");
    assert_eq!(field("authorization"), Some("Bearer inside"));
    assert_eq!(field("x-ip"), Some("127.0.0.1"));
    assert_eq!(
        (field("cookie"), field("x-debug"), field("x-other")),
        (None, None, None)
    );
    assert!(
        seen.contains("accept: application/json\r\n") && seen.contains("accept: text/plain\r\n"),
        "{seen}"
    );

    assert_eq!(reply.field("x-tenant"), Some("t%201"));
    assert_eq!(reply.field("x-powered-by"), None);
    assert!(
        reply.head.contains("vary: origin\r\n") && reply.head.contains("vary: accept\r\n"),
        "{}",
        reply.head
    );
    // On refusals too.
    let refused = served.ask(get("/none")).await;
    assert_eq!(
        (refused.status, refused.field("x-frame-options")),
        (403, Some("DENY"))
    );
}

#[tokio::test]
async fn what_is_rewritten_is_explained() {
    let (served, _backend) = served(REWRITES).await;
    let reply = served
        .ask("GET /api/a/b HTTP/1.1\r\nhost: h\r\nstoa-explain: 1\r\n\r\n")
        .await;
    let explained: serde_json::Value = serde_json::from_str(reply.field("stoa-explain").unwrap()).unwrap();
    assert_eq!(explained["rewrite"], "/internal/b");
    assert_eq!(explained["headers"][0], "x-tenant");
}

const ADMISSION: &str = "
server: { trusted_proxies: [127.0.0.1/32], ip: { deny: [192.0.2.66] } }
auth: { jwt: { secret: a-secret-of-thirty-two-bytes-at-least } }
routes:
  GET /here: { access: public, ip: 10.0.0.0/8, reply: 200 }
services:
  backend:
    url: {backend}
    routes:
      /inside/**: { access: user, ip: { allow: [10.0.0.0/8, fd00::/8], deny: [10.6.6.0/24] } }
      POST /typed: { access: public, content_types: [application/json, image/*] }
";

#[tokio::test]
async fn addresses_are_judged_before_credentials() {
    let (served, backend) = served(ADMISSION).await;
    for (path, client, status) in [
        ("/inside/a", "10.1.2.3", 401),
        ("/inside/a", "::ffff:10.1.2.3", 401),
        ("/inside/a", "[fd00::7]", 401),
        ("/inside/a", "10.6.6.1", 403),
        ("/inside/a", "192.0.2.1", 403),
        // The rightmost that is no trusted proxy counts, whatever stands before it.
        ("/inside/a", "10.1.2.3, 192.0.2.1", 403),
        ("/inside/a", "unknown", 403),
        ("/here", "10.0.0.1", 200),
        ("/here", "11.0.0.1", 403),
        ("/nothing", "11.0.0.1", 404),
        ("/nothing", "192.0.2.66", 403),
    ] {
        let reply = served
            .ask(format!(
                "GET {path} HTTP/1.1\r\nhost: h\r\nx-forwarded-for: {client}\r\n\r\n"
            ))
            .await;
        assert_eq!(reply.status, status, "{path} {client}");
        if status == 403 {
            assert_eq!(reply.json()["code"], "address-refused");
        }
    }
    assert!(backend.seen().is_empty());
}

#[tokio::test]
async fn bodies_of_other_types_are_refused() {
    let (served, backend) = served(ADMISSION).await;
    for (fields, status) in [
        (
            "content-type: application/json\r\ncontent-length: 2\r\n\r\n{}",
            200,
        ),
        (
            "content-type: Application/JSON; charset=utf-8\r\ncontent-length: 2\r\n\r\n{}",
            200,
        ),
        ("content-type: image/png\r\ncontent-length: 2\r\n\r\n{}", 200),
        ("content-length: 0\r\n\r\n", 200),
        ("content-type: text/plain\r\ncontent-length: 2\r\n\r\n{}", 415),
        (
            "content-type: application/jsonp\r\ncontent-length: 2\r\n\r\n{}",
            415,
        ),
        ("content-length: 2\r\n\r\n{}", 415),
        (
            "content-type: application/json\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\n{}",
            415,
        ),
        (
            "content-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
            415,
        ),
    ] {
        let reply = served
            .ask(format!("POST /typed HTTP/1.1\r\nhost: h\r\n{fields}"))
            .await;
        assert_eq!(reply.status, status, "{fields:?}");
        let wanted = (status == 415).then_some("application/json, image/*");
        assert_eq!(reply.field("accept"), wanted);
    }
    assert_eq!(backend.seen().len(), 4);
}
