//! Fields that end here, and those that are written here.

use crate::support::{Backend, Client, field, plan, serve, serve_all, service};

async fn sees(request: &str) -> String {
    let backend = Backend::echo().await;
    let reply = serve_all(backend.address).ask(request).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.text()
}

#[tokio::test]
async fn fields_of_one_hop_do_not_go_upstream() {
    let seen = sees(
        "GET /a HTTP/1.1\r\nhost: api.test\r\nconnection: keep-alive, X-One\r\nx-one: 1\r\nconnection: x-two\r\nx-two: 2\r\n\
         keep-alive: timeout=5\r\nproxy-connection: keep-alive\r\nproxy-authorization: Basic x\r\nte: gzip, trailers;q=0.5\r\n\
         upgrade: h2c\r\nhttp2-settings: AAMAAABk\r\nexpect: 100-continue\r\nx-kept: yes\r\n\r\n",
    )
    .await;
    for gone in [
        "connection",
        "x-one",
        "x-two",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "upgrade",
        "expect",
    ] {
        assert_eq!(field(&seen, gone), None, "{gone} in {seen}");
    }
    assert_eq!(field(&seen, "te"), Some("trailers"));
    assert_eq!(field(&seen, "x-kept"), Some("yes"));
}

#[tokio::test]
async fn fields_of_one_hop_do_not_come_back() {
    let backend = Backend::says(
        "HTTP/1.1 200 OK\r\nserver: leaky/1.2\r\nconnection: x-one\r\nx-one: 1\r\nkeep-alive: timeout=5\r\n\
         proxy-authenticate: Basic\r\nupgrade: h2c\r\nx-kept: yes\r\ncontent-length: 2\r\n\r\nok",
    )
    .await;
    let reply = serve_all(backend.address)
        .ask("GET / HTTP/1.1\r\nhost: h\r\n\r\n")
        .await;
    for gone in [
        "server",
        "connection",
        "x-one",
        "keep-alive",
        "proxy-authenticate",
        "upgrade",
    ] {
        assert_eq!(reply.field(gone), None, "{gone} in {}", reply.head);
    }
    assert_eq!(reply.field("x-kept"), Some("yes"));
    assert!(reply.field("date").is_some());
}

#[tokio::test]
async fn what_a_stranger_says_about_itself_is_dropped() {
    let seen = sees(
        "GET / HTTP/1.1\r\nhost: Api.Test:8080\r\nx-forwarded-for: 1.2.3.4\r\nx-forwarded-proto: https\r\n\
         x-forwarded-host: evil.test\r\nx-forwarded-port: 1\r\nforwarded: for=1.2.3.4;proto=https\r\n\
         x_forwarded_for: 1.2.3.4\r\nX-Forwarded_Host: evil.test\r\nx_own: kept\r\nx-real-ip: 1.2.3.4\r\n\
         X_Real_IP: 1.2.3.4\r\n\r\n",
    )
    .await;
    assert_eq!(field(&seen, "x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(field(&seen, "x-forwarded-proto"), Some("http"));
    assert_eq!(field(&seen, "x-forwarded-host"), Some("api.test:8080"));
    assert_eq!(field(&seen, "x-forwarded-port"), Some("8080"));
    assert_eq!(
        field(&seen, "forwarded"),
        Some("for=127.0.0.1;host=\"api.test:8080\";proto=http")
    );
    assert_eq!(field(&seen, "x-real-ip"), Some("127.0.0.1"));
    assert_eq!(field(&seen, "x_own"), Some("kept"));
    assert!(!seen.contains("1.2.3.4") && !seen.contains("evil.test"), "{seen}");
}

#[tokio::test]
async fn what_a_trusted_proxy_says_is_kept_and_added_to() {
    let backend = Backend::echo().await;
    let mut plan = plan(vec![service("backend", &[backend.address], &["/**"])]);
    plan.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let seen = serve(plan)
        .ask(
            "GET / HTTP/1.1\r\nhost: inner\r\nx-forwarded-for: 6.6.6.6, 9.9.9.9\r\nx-forwarded-proto: https\r\n\
             x-forwarded-host: shop.test\r\n\r\n",
        )
        .await
        .text();
    assert_eq!(
        field(&seen, "x-forwarded-for"),
        Some("6.6.6.6, 9.9.9.9, 127.0.0.1")
    );
    assert_eq!(field(&seen, "x-forwarded-proto"), Some("https"));
    assert_eq!(field(&seen, "x-forwarded-host"), Some("shop.test"));
    assert_eq!(field(&seen, "x-forwarded-port"), Some("443"));
    assert_eq!(field(&seen, "x-real-ip"), Some("9.9.9.9"));
    assert_eq!(
        field(&seen, "forwarded"),
        Some("for=6.6.6.6, for=9.9.9.9, for=127.0.0.1;host=\"shop.test\";proto=https")
    );
}

#[tokio::test]
async fn services_read_one_chain_out_of_both_families() {
    let backend = Backend::echo().await;
    let mut plan = plan(vec![service("backend", &[backend.address], &["/**"])]);
    plan.server.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let served = serve(plan);
    for (sent, chain, forwarded) in [
        (
            "forwarded: for=\"[2001:db8::7]:99\";proto=https, for=_hidden",
            "2001:db8::7, unknown, 127.0.0.1",
            "for=\"[2001:db8::7]:99\";proto=https, for=_hidden, for=127.0.0.1;",
        ),
        (
            "x-forwarded-for: [2001:db8::7]:99, nonsense",
            "[2001:db8::7]:99, nonsense, 127.0.0.1",
            "for=\"[2001:db8::7]\", for=unknown, for=127.0.0.1;",
        ),
        // A stranger's `Forwarded`, passed on by a proxy that only knows the other family.
        (
            "x-forwarded-for: 9.9.9.9\r\nforwarded: for=6.6.6.6;host=evil.test",
            "9.9.9.9, 127.0.0.1",
            "for=9.9.9.9, for=127.0.0.1;",
        ),
    ] {
        let request = format!("GET / HTTP/1.1\r\nhost: h\r\n{sent}\r\n\r\n");
        let seen = served.ask(request).await.text();
        assert_eq!(field(&seen, "x-forwarded-for"), Some(chain), "{sent}");
        let written = field(&seen, "forwarded").unwrap();
        assert!(written.starts_with(forwarded), "{sent}: {written}");
        assert!(!seen.contains("evil.test"), "{seen}");
    }
}

#[tokio::test]
async fn no_field_names_another_path_or_method_to_the_service() {
    let seen = sees(
        "GET /a HTTP/1.1\r\nhost: h\r\nX-Original-URL: /admin\r\nX-Rewrite-URL: /admin\r\n\
         X-HTTP-Method-Override: DELETE\r\nX-HTTP-Method: DELETE\r\nX-Method-Override: DELETE\r\n\
         X_Original_URL: /admin\r\nX_HTTP_Method_Override: DELETE\r\n\r\n",
    )
    .await;
    assert!(!seen.contains("/admin") && !seen.contains("DELETE"), "{seen}");
}

#[tokio::test]
async fn host_names_the_endpoint() {
    let backend = Backend::echo().await;
    let seen = serve_all(backend.address)
        .ask("GET / HTTP/1.1\r\nhost: api.test\r\n\r\n")
        .await
        .text();
    assert_eq!(field(&seen, "host"), Some(backend.address.to_string().as_str()));
}

#[tokio::test]
async fn ids_and_traces_are_accepted_or_made_and_told_to_both_sides() {
    let backend = Backend::echo().await;
    let served = serve_all(backend.address);
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let reply = served
        .ask(format!("GET / HTTP/1.1\r\nhost: h\r\nx-request-id: abc-1\r\ntraceparent: {trace}\r\ntracestate: a=b\r\n\r\n"))
        .await;
    let seen = reply.text();
    assert_eq!(field(&seen, "x-request-id"), Some("abc-1"));
    assert_eq!(reply.field("x-request-id"), Some("abc-1"));
    assert_eq!(field(&seen, "tracestate"), Some("a=b"));
    let passed = field(&seen, "traceparent").unwrap();
    assert!(
        passed.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && passed != trace,
        "{passed}"
    );
    assert_eq!(reply.field("traceparent"), Some(passed));

    let reply = served
        .ask("GET / HTTP/1.1\r\nhost: h\r\nx-request-id: has space\r\ntraceparent: nonsense\r\ntracestate: a=b\r\n\r\n")
        .await;
    let made = reply.field("x-request-id").unwrap().to_owned();
    assert_eq!(made.len(), 32);
    assert_eq!(field(&reply.text(), "x-request-id"), Some(made.as_str()));
    assert_eq!(field(&reply.text(), "tracestate"), None);

    let refused = served
        .ask("GET /%00 HTTP/1.1\r\nhost: h\r\nx-request-id: abc-2\r\n\r\n")
        .await;
    assert_eq!(refused.field("x-request-id"), Some("abc-2"));
    assert_eq!(refused.json()["instance"], "urn:request:abc-2");
}

#[tokio::test]
async fn a_request_that_comes_round_is_refused() {
    let round = Backend::script(|mut client: Client, own| async move {
        let Some(request) = client.request().await else {
            return;
        };
        own.keep(request.clone());
        let via = field(&request, "via").unwrap().to_owned();
        let head = format!("HTTP/1.1 200 OK\r\nx-via: {via}\r\ncontent-length: 0\r\n\r\n");
        client.send(head).await;
    })
    .await;
    let served = serve_all(round.address);
    let via = served.ask("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let reply = served
        .ask(format!(
            "GET / HTTP/1.1\r\nhost: h\r\nvia: {}\r\n\r\n",
            via.field("x-via").unwrap()
        ))
        .await;
    assert_eq!(reply.status, 508);
    assert_eq!(round.seen().len(), 1);
}

#[tokio::test]
async fn http_1_0_and_connection_close_end_the_connection() {
    let backend = Backend::says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let served = serve_all(backend.address);
    for request in [
        "GET / HTTP/1.0\r\nhost: h\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n",
    ] {
        let mut client = served.connect().await;
        client.send(request).await;
        assert_eq!(client.reply().await.text(), "ok");
        assert!(client.closes().await, "{request}");
    }
    let mut client = served.connect().await;
    for _ in 0..3 {
        client
            .send("GET / HTTP/1.0\r\nhost: h\r\nconnection: keep-alive\r\n\r\n")
            .await;
        assert_eq!(client.reply().await.text(), "ok");
    }
}

#[tokio::test]
async fn head_has_the_head_of_get_and_no_body() {
    let backend = Backend::says("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").await;
    let served = serve(plan(vec![service("backend", &[backend.address], &["GET /a"])]));
    let mut client = served.connect().await;
    for _ in 0..2 {
        client.send("HEAD /a HTTP/1.1\r\nhost: h\r\n\r\n").await;
        let reply = client.reply_to("HEAD").await;
        assert_eq!((reply.status, reply.field("content-length")), (200, Some("5")));
    }
    assert_eq!(backend.seen().len(), 2);
    assert!(backend.seen()[0].starts_with("HEAD /a "));
}

#[tokio::test]
async fn a_request_that_may_go_no_further_ends_here() {
    let backend = Backend::echo().await;
    let served = serve_all(backend.address);
    for (sent, status, passed) in [
        ("max-forwards: 0", 204, None),
        ("max-forwards: x", 204, None),
        ("max-forwards: 1", 200, Some("0")),
        ("max-forwards: 10", 200, Some("9")),
        ("x-other: 0", 200, None),
    ] {
        let reply = served
            .ask(format!("OPTIONS /a HTTP/1.1\r\nhost: h\r\n{sent}\r\n\r\n"))
            .await;
        assert_eq!(reply.status, status, "{sent}");
        assert_eq!(field(&reply.text(), "max-forwards"), passed, "{sent}");
    }
    // It is about OPTIONS and TRACE only.
    let get = served
        .ask("GET /a HTTP/1.1\r\nhost: h\r\nmax-forwards: 0\r\n\r\n")
        .await;
    assert_eq!(get.status, 200);
    assert_eq!(
        served
            .ask("TRACE /a HTTP/1.1\r\nhost: h\r\nmax-forwards: 0\r\n\r\n")
            .await
            .status,
        405
    );
}

/// A service may send its caller anywhere; the gateway goes nowhere for it.
#[tokio::test]
async fn no_one_but_the_file_chooses_what_is_connected_to() {
    let inside = Backend::echo().await;
    let location = format!("http://{}/secret", inside.address);
    let backend = Backend::says(format!(
        "HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
    ))
    .await;
    let served = serve_all(backend.address);
    let reply = served.ask("GET /a HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert_eq!(
        (reply.status, reply.field("location")),
        (302, Some(location.as_str()))
    );
    for request in [
        format!(
            "GET http://{}/secret HTTP/1.1\r\nhost: {}\r\n\r\n",
            inside.address, inside.address
        ),
        format!("GET /a HTTP/1.1\r\nhost: {}\r\n\r\n", inside.address),
        format!(
            "GET /a HTTP/1.1\r\nhost: h\r\nx-forwarded-host: {0}\r\nforwarded: host={0}\r\nx-original-url: http://{0}/\r\n\r\n",
            inside.address
        ),
    ] {
        assert_eq!(served.ask(&request).await.status, 302, "{request}");
    }
    assert!(inside.seen().is_empty() && inside.connections() == 0);
    assert_eq!(backend.seen().len(), 4);
}
