//! Bodies: streamed both ways, bounded, with trailers.

use crate::support::{Backend, Client, field, get, plan, serve, serve_all, service, until};
use std::time::Duration;

#[tokio::test]
async fn a_reply_is_passed_on_as_it_comes() {
    let backend = Backend::script(|mut client: Client, _| async move {
        client.request().await;
        client
            .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            .await;
        // The second part waits until the client has the first and says so with another connection's request.
        client.until(b"never").await;
    })
    .await;
    let served = serve_all(backend.address);
    let mut client = served.connect().await;
    client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let said = client.until(b"first\r\n").await;
    assert!(said.starts_with(b"HTTP/1.1 200"));
    assert_eq!(served.edge.active(), 1);
}

#[tokio::test]
async fn a_request_is_passed_on_as_it_comes_and_answered_before_its_end() {
    let backend = Backend::script(|mut client: Client, _| async move {
        client.until(b"first").await;
        client
            .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await;
        client.until(b"second").await;
    })
    .await;
    let served = serve_all(backend.address);
    let mut client = served.connect().await;
    client
        .send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 11\r\n\r\nfirst")
        .await;
    assert_eq!(client.reply().await.text(), "ok");
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let backend = Backend::script(|mut client: Client, own| async move {
        let Some(request) = client.request().await else { return };
        own.keep(request);
        client
            .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 9\r\n\r\n")
            .await;
    })
    .await;
    let reply = serve_all(backend.address)
        .ask(
            "POST / HTTP/1.1\r\nhost: h\r\nte: trailers\r\ntrailer: x-check\r\ntransfer-encoding: chunked\r\n\r\n\
             3\r\nabc\r\n0\r\nx-check: 7\r\n\r\n",
        )
        .await;
    assert_eq!(reply.text(), "okx-sum: 9\r\n");
    assert!(
        backend.seen()[0].ends_with("abcx-check: 7\r\n"),
        "{}",
        backend.seen()[0]
    );
}

#[tokio::test]
async fn the_body_is_asked_for_when_somebody_takes_it() {
    let backend = Backend::echo().await;
    let served = serve_all(backend.address);
    let mut client = served.connect().await;
    client
        .send("POST / HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n")
        .await;
    assert_eq!(client.reply().await.status, 100);
    client.send("abc").await;
    let reply = client.reply().await;
    assert_eq!(reply.status, 200);
    assert!(reply.text().ends_with("\r\n\r\nabc"));

    let mut refused = served.connect().await;
    refused
        .send("POST / HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 30000000\r\n\r\n")
        .await;
    assert_eq!(refused.reply().await.status, 413);
    assert!(refused.closes().await);
}

#[tokio::test]
async fn bodies_over_the_bound_of_the_route_are_refused() {
    let backend = Backend::echo().await;
    let mut service = service("backend", &[backend.address], &["/small", "/**"]);
    service.routes[0].body_bytes_max = Some(10);
    let served = serve(plan(vec![service]));
    let long = "x".repeat(11);
    let chunked = format!("6\r\nxxxxxx\r\n5\r\n{}\r\n0\r\n\r\n", &long[..5]);
    for (name, request, status) in [
        (
            "at the bound",
            format!(
                "POST /small HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\n{}",
                &long[..10]
            ),
            200,
        ),
        (
            "announced",
            "POST /small HTTP/1.1\r\nhost: h\r\ncontent-length: 11\r\n\r\n".to_owned(),
            413,
        ),
        (
            "on the way",
            format!("POST /small HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n{chunked}"),
            413,
        ),
        (
            "elsewhere",
            format!("POST /other HTTP/1.1\r\nhost: h\r\ncontent-length: 11\r\n\r\n{long}"),
            200,
        ),
    ] {
        let mut client = served.connect().await;
        client.send(request).await;
        let reply = client.reply().await;
        assert_eq!(reply.status, status, "{name}: {}", reply.text());
        if status == 413 {
            assert_eq!(reply.json()["code"], "body-too-large");
            assert!(client.closes().await, "{name}");
        }
    }
    assert_eq!(
        backend.seen().len(),
        2,
        "what is refused is never a whole request upstream"
    );
}

#[tokio::test]
async fn a_large_reply_arrives_whole_and_is_recorded() {
    const BYTES: usize = 3_000_000;
    let mut whole = format!("HTTP/1.1 200 OK\r\ncontent-length: {BYTES}\r\n\r\n").into_bytes();
    whole.extend(std::iter::repeat_n(b'x', BYTES));
    let backend = Backend::says(whole).await;
    let served = serve_all(backend.address);
    let reply = served.ask("GET /big?secret=1 HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert_eq!(reply.body.len(), BYTES);
    let lines = served.lines.wait(1).await;
    assert_eq!(
        (lines[0].status, lines[0].sent_bytes, lines[0].complete),
        (200, BYTES as u64, true)
    );
    assert_eq!(lines[0].path, "/big");
}

#[tokio::test]
async fn slow_heads_and_bodies_are_ended() {
    let backend = Backend::echo().await;
    let mut plan = plan(vec![service("backend", &[backend.address], &["/**"])]);
    plan.server.header_timeout = Duration::from_millis(300);
    plan.server.body_timeout = Duration::from_millis(300);
    plan.server.idle_timeout = Duration::from_millis(600);
    let served = serve(plan);

    let mut head = served.connect().await;
    head.send("GET / HTTP/1.1\r\nhost: h\r\n").await;
    assert_eq!(head.reply().await.status, 408);
    assert!(head.closes().await);

    let mut body = served.connect().await;
    body.send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\nabc")
        .await;
    let reply = body.reply().await;
    assert_eq!(
        (reply.status, reply.json()["code"].as_str()),
        (408, Some("body-timeout"))
    );
    assert!(body.closes().await);

    let mut silent = served.connect().await;
    assert!(silent.closes().await, "a connection that says nothing is closed");

    let mut idle = served.connect().await;
    idle.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert_eq!(idle.reply().await.status, 200);
    assert!(idle.closes().await, "a connection that rests is closed");
    assert!(
        backend.seen().iter().all(|r| r.starts_with("GET")),
        "half a body is no request"
    );
}

#[tokio::test]
async fn what_is_left_of_a_request_reaches_a_service_that_answered_early() {
    let backend = Backend::script(|mut client: Client, own| async move {
        client.until(b"first").await;
        client
            .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await;
        client.until(b"second").await;
        own.keep("all of it".to_owned());
        while let Some(request) = client.request().await {
            own.keep(request);
            client
                .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await;
        }
    })
    .await;
    let mut plan = plan(vec![service("backend", &[backend.address], &["/**"])]);
    plan.server.workers = Some(1);
    let served = serve(plan);
    let mut client = served.connect().await;
    client
        .send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 11\r\n\r\nfirst")
        .await;
    assert_eq!(client.reply().await.text(), "ok");
    client.send("second").await;
    until(|| backend.seen().len() == 1).await;
    client.send(get("/next")).await;
    assert_eq!(client.reply().await.text(), "ok");
    assert_eq!(backend.connections(), 1, "then the connection is as good as any");
}

#[tokio::test]
async fn bodies_reach_a_service_as_they_were_sent() {
    let backend = Backend::echo().await;
    let served = serve_all(backend.address);
    let long = "x".repeat(100_000);
    for (request, framing, body) in [
        (
            "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n".to_owned(),
            ("content-length", Some("0")),
            "",
        ),
        (
            "POST / HTTP/1.1\r\nhost: h\r\n\r\n".to_owned(),
            ("content-length", None),
            "",
        ),
        (
            format!("PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 100000\r\n\r\n{long}"),
            ("content-length", Some("100000")),
            long.as_str(),
        ),
        (
            format!(
                "PUT / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n186a0\r\n{long}\r\n0\r\n\r\n"
            ),
            ("transfer-encoding", Some("chunked")),
            long.as_str(),
        ),
    ] {
        assert_eq!(served.ask(&request).await.status, 200);
        let seen = backend.seen().pop().unwrap();
        let (head, got) = seen.split_once("\r\n\r\n").unwrap();
        assert_eq!(field(head, framing.0), framing.1, "{head}");
        assert!(got == body, "{head}: {} bytes", got.len());
    }
}

#[tokio::test]
async fn a_reply_may_come_in_any_pieces() {
    let said = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nx-a:\r\nx-b:  b \r\ntrailer: x-sum\r\n\
        transfer-encoding: chunked\r\n\r\n2;x=y\r\nok\r\na\r\n0123456789\r\n0\r\nx-sum: 9\r\nx-two: 2\r\n\r\n";
    let backend = Backend::script(move |mut client: Client, own| async move {
        while let Some(request) = client.request().await {
            own.keep(request);
            for byte in said {
                client.send([*byte]).await;
                tokio::task::yield_now().await;
            }
        }
    })
    .await;
    let mut plan = plan(vec![service("backend", &[backend.address], &["/**"])]);
    plan.server.workers = Some(1);
    let served = serve(plan);
    for _ in 0..2 {
        let reply = served
            .ask("GET / HTTP/1.1\r\nhost: h\r\nte: trailers\r\nconnection: te\r\n\r\n")
            .await;
        assert_eq!(reply.field("x-a"), Some(""));
        assert_eq!(reply.field("x-b"), Some("b"));
        assert!(
            reply.text().starts_with("ok0123456789x-sum: 9\r\n"),
            "{}",
            reply.text()
        );
    }
    assert_eq!(backend.connections(), 1);
}

/// A server that refuses a request before its body has come.
async fn refuses() -> crate::support::Served {
    let backend = Backend::says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    serve(plan(vec![service("s", &[backend.address], &["GET /**"])]))
}

#[tokio::test]
async fn a_request_follows_one_whose_body_nobody_wanted() {
    let served = refuses().await;
    let mut client = served.connect().await;
    for _ in 0..3 {
        client
            .send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\n")
            .await;
        tokio::task::yield_now().await;
        client.send("hello").await;
        let reply = client.reply().await;
        assert_eq!((reply.status, reply.field("connection")), (405, None));
    }
    client.send(get("/")).await;
    assert_eq!(client.reply().await.status, 200);
}

#[tokio::test]
async fn who_keeps_a_body_back_is_told_that_the_connection_ends() {
    let served = refuses().await;
    for fields in [
        "content-length: 5\r\n",
        "content-length: 5\r\nexpect: 100-continue\r\n",
        "content-length: 900000\r\n",
        "transfer-encoding: chunked\r\n",
    ] {
        let mut client = served.connect().await;
        client
            .send(format!("POST / HTTP/1.1\r\nhost: h\r\n{fields}\r\n"))
            .await;
        let reply = client.reply().await;
        assert_eq!(
            (reply.status, reply.field("connection")),
            (405, Some("close")),
            "{fields}"
        );
        assert!(client.closes().await, "{fields}");
    }
}
