//! Services that fail: what the client is told, and what is never repeated.

use crate::support::{Backend, Client, get, plan, serve, serve_all, service, until};
use std::{net::SocketAddr, time::Duration};

/// An address where nobody listens.
async fn nobody() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

#[tokio::test]
async fn replies_that_are_not_proper_http_are_502() {
    for (name, said) in [
        (
            "a bare line feed",
            "HTTP/1.1 200 OK\ncontent-length: 2\n\nok".to_owned(),
        ),
        (
            "two lengths",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok".to_owned(),
        ),
        (
            "both framings",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        ),
        (
            "a head of a megabyte",
            format!("HTTP/1.1 200 OK\r\nx-a: {}\r\n\r\n", "a".repeat(1_000_000)),
        ),
        (
            "too many fields",
            format!("HTTP/1.1 200 OK\r\n{}\r\n", "x-a: 1\r\n".repeat(1000)),
        ),
        (
            "a folded field",
            "HTTP/1.1 200 OK\r\nx-a: 1\r\n 2\r\ncontent-length: 0\r\n\r\n".to_owned(),
        ),
        (
            "a 204 with a body",
            "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello".to_owned(),
        ),
        ("no status", "HTTP/1.1 OK\r\n\r\n".to_owned()),
        ("not HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n".to_owned()),
        ("HTTP/0.9", "hello\r\n\r\n".to_owned()),
        (
            "a control character",
            "HTTP/1.1 200 OK\r\nx-a: \x01\r\ncontent-length: 0\r\n\r\n".to_owned(),
        ),
    ] {
        let backend = Backend::says(said).await;
        let reply = serve_all(backend.address).ask(get("/")).await;
        assert_eq!(reply.status, 502, "{name}");
        let detail = reply.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("service `backend`"), "{name}: {detail}");
        assert!(
            !reply.text().contains(&backend.address.port().to_string()),
            "{name}: {}",
            reply.text()
        );
    }
}

#[tokio::test]
async fn a_service_that_hangs_up_is_named() {
    let closing = Backend::script(|mut client: Client, _| async move {
        client.request().await;
    })
    .await;
    let reply = serve_all(closing.address).ask(get("/")).await;
    assert_eq!(reply.status, 502);
    assert_eq!(
        reply.json()["detail"],
        "service `backend` closed the connection before it answered"
    );

    let refused = serve_all(nobody().await).ask(get("/")).await;
    assert_eq!(refused.status, 502);
    assert_eq!(
        refused.json()["detail"],
        "service `backend` refused the connection"
    );
}

#[tokio::test]
async fn interim_replies_are_skipped() {
    let said = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let backend = Backend::says(said).await;
    let reply = serve_all(backend.address).ask(get("/")).await;
    assert_eq!((reply.status, reply.text()), (200, "ok".to_owned()));
}

#[tokio::test]
async fn a_reply_that_breaks_off_never_looks_whole() {
    for (name, said, request) in [
        (
            "by length",
            "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
            get("/"),
        ),
        (
            "by chunks",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
            get("/"),
        ),
        (
            "by a bad chunk",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n",
            get("/"),
        ),
    ] {
        let backend = Backend::script(move |mut client: Client, own| async move {
            own.keep(client.request().await.unwrap_or_default());
            client.send(said).await;
        })
        .await;
        let served = serve_all(backend.address);
        let mut client = served.connect().await;
        client.send(request).await;
        let reply = client.reply().await;
        assert_eq!(reply.status, 200, "{name}");
        assert!(!reply.whole, "{name}: {:?}", reply.text());
        assert!(client.closes().await);
        let lines = served.lines.wait(1).await;
        assert!(!lines[0].complete, "{name}");
        assert_eq!(backend.seen().len(), 1, "{name}: repeated after the reply began");
    }
}

#[tokio::test]
async fn a_broken_reply_to_http_1_0_ends_in_a_reset() {
    let backend = Backend::script(|mut client: Client, _| async move {
        client.request().await;
        client
            .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")
            .await;
    })
    .await;
    let served = serve_all(backend.address);
    let mut client = served.connect().await;
    client.send("GET / HTTP/1.0\r\nhost: h\r\n\r\n").await;
    let mut space = [0; 1024];
    let error = loop {
        match tokio::io::AsyncReadExt::read(&mut client.stream, &mut space).await {
            Ok(0) => panic!("an orderly end looks like the end of the reply"),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn waits_end_and_say_which() {
    let silent = Backend::script(|mut client: Client, _| async move { while client.more().await {} }).await;
    let mut one = service("slow", &[silent.address], &["/first/**", "/total/**"]);
    one.routes[0].timeouts = Some(timeouts(Duration::from_millis(50), None));
    one.routes[1].timeouts = Some(timeouts(Duration::from_secs(9), Some(Duration::from_millis(50))));
    let served = serve(plan(vec![one]));
    for (path, bound) in [("/first/a", "first_byte"), ("/total/a", "total")] {
        let reply = served.ask(get(path)).await;
        assert_eq!(reply.status, 504);
        assert_eq!(
            reply.json()["detail"],
            format!("service `slow` did not answer within `{bound}`")
        );
    }
    assert_eq!(served.lines.wait(2).await[0].problem, Some("gateway-timeout"));
}

fn timeouts(first_byte: Duration, total: Option<Duration>) -> stoa_config::plan::Timeouts {
    stoa_config::plan::Timeouts {
        first_byte,
        total,
        idle: Duration::from_millis(50),
        ..Default::default()
    }
}

#[tokio::test]
async fn a_pause_inside_a_reply_ends_it() {
    let pausing = Backend::script(|mut client: Client, _| async move {
        client.request().await;
        client
            .send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
            .await;
        while client.more().await {}
    })
    .await;
    let mut one = service("slow", &[pausing.address], &["/**"]);
    one.timeouts = timeouts(Duration::from_secs(5), None);
    let reply = serve(plan(vec![one])).ask(get("/")).await;
    assert!(!reply.whole);
    assert_eq!(reply.text(), "abc");
}

#[tokio::test]
async fn an_endpoint_that_refuses_is_passed_over() {
    let backend = Backend::says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let served = serve(plan(vec![service(
        "backend",
        &[nobody().await, backend.address],
        &["/**"],
    )]));
    for method in ["GET", "POST", "GET", "POST"] {
        let reply = served
            .ask(format!("{method} / HTTP/1.1\r\nhost: h\r\n\r\n"))
            .await;
        assert_eq!(reply.status, 200);
    }
    assert_eq!(backend.seen().len(), 4);
}

#[tokio::test]
async fn endpoints_take_turns() {
    let (one, two) = (Backend::echo().await, Backend::echo().await);
    let served = serve(plan(vec![service(
        "backend",
        &[one.address, two.address],
        &["/**"],
    )]));
    for _ in 0..6 {
        served.ask(get("/")).await;
    }
    assert_eq!((one.seen().len(), two.seen().len()), (3, 3));
}

#[tokio::test]
async fn connections_are_used_again_and_a_stale_one_is_replaced() {
    // Each connection answers twice and then closes without a word, as a service whose own idle time is over.
    let backend = Backend::script(|mut client: Client, own| async move {
        for _ in 0..2 {
            let Some(request) = client.request().await else {
                return;
            };
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
    for _ in 0..10 {
        client.send(get("/")).await;
        assert_eq!(client.reply().await.text(), "ok");
    }
    assert_eq!(backend.seen().len(), 10);
    assert_eq!(backend.connections(), 5);
}

#[tokio::test]
async fn a_write_is_not_repeated_when_its_connection_breaks() {
    // The second request of each connection is read and then dropped: it may have had its effect.
    let backend = Backend::script(|mut client: Client, own| async move {
        own.keep(client.request().await.unwrap_or_default());
        client
            .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await;
        own.keep(client.request().await.unwrap_or_default());
    })
    .await;
    let mut plan = plan(vec![service("backend", &[backend.address], &["/**"])]);
    plan.server.workers = Some(1);
    let served = serve(plan);
    for (post, seen) in [("2\r\n\r\nhi", 2), ("0\r\n\r\n", 4)] {
        let post = format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {post}");
        assert_eq!(served.ask(&post).await.status, 200);
        assert_eq!(served.ask(&post).await.status, 502);
        assert_eq!(backend.seen().len(), seen);
    }

    // A read may be: it goes out once more, on a new connection.
    assert_eq!(served.ask(get("/")).await.status, 200);
    assert_eq!(served.ask(get("/")).await.status, 200);
    assert_eq!(backend.seen().len(), 7);
}

#[tokio::test]
async fn a_client_that_leaves_takes_its_request_along() {
    let silent = Backend::script(|mut client: Client, own| async move {
        own.keep(client.request().await.unwrap_or_default());
        assert!(client.closes().await);
        own.keep("gone".to_owned());
    })
    .await;
    let served = serve_all(silent.address);
    let mut client = served.connect().await;
    client.send(get("/")).await;
    until(|| silent.seen().len() == 1).await;
    assert_eq!(served.edge.active(), 1);
    drop(client);
    until(|| silent.seen().len() == 2 && served.edge.active() == 0).await;
    assert!(!served.lines.wait(1).await[0].complete);
}

#[tokio::test]
async fn a_client_that_only_half_closes_gets_its_reply() {
    let backend = Backend::echo().await;
    let served = serve_all(backend.address);
    // The reply has a few milliseconds to come, which a machine that is busy elsewhere may not give it.
    for _ in 0..50 {
        let mut client = served.connect().await;
        client.send(get("/")).await;
        tokio::io::AsyncWriteExt::shutdown(&mut client.stream)
            .await
            .unwrap();
        while client.more().await {}
        if client.rest.starts_with(b"HTTP/1.1 200") {
            return;
        }
    }
    panic!("no reply came");
}

#[tokio::test]
async fn a_reply_without_a_body_that_has_one_spoils_nothing() {
    let backend = Backend::says(
        "HTTP/1.1 304 Not Modified\r\ncontent-length: 38\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    let mut plan = plan(vec![service("backend", &[backend.address], &["/**"])]);
    plan.server.workers = Some(1);
    let served = serve(plan);
    let mut client = served.connect().await;
    for round in 1..=3 {
        client.send(get("/")).await;
        assert_eq!(client.reply().await.status, 304);
        assert_eq!(backend.connections(), round, "the connection is not used again");
    }
}

#[tokio::test]
async fn interim_replies_without_end_are_refused() {
    let backend = Backend::script(|mut client: Client, _| async move {
        client.request().await;
        while tokio::io::AsyncWriteExt::write_all(&mut client.stream, b"HTTP/1.1 102 Processing\r\n\r\n")
            .await
            .is_ok()
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let reply = serve_all(backend.address).ask(get("/")).await;
    assert_eq!(reply.status, 502, "{}", reply.text());
    let detail = reply.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("interim replies without end"), "{detail}");
}

#[tokio::test]
async fn a_connection_that_is_not_accepted_in_time_is_named() {
    // A queue of one place that is full: the system leaves whoever comes next unanswered.
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    full.listen(0).unwrap();
    let address = full.local_addr().unwrap().as_socket().unwrap();
    let mut waiting = Vec::new();
    let connect = |to| tokio::time::timeout(Duration::from_millis(50), tokio::net::TcpStream::connect(to));
    while let Ok(stream) = connect(address).await {
        waiting.push(stream.unwrap());
    }
    let mut one = service("backend", &[address], &["/**"]);
    one.timeouts.connect = Duration::from_millis(60);
    let reply = serve(plan(vec![one.clone()])).ask(get("/")).await;
    assert_eq!(reply.status, 504);
    assert_eq!(
        reply.json()["detail"],
        "service `backend` did not accept a connection within `connect`"
    );

    // With another endpoint the client does not notice.
    let other = Backend::says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let mut two = service("backend", &[address, other.address], &["/**"]);
    two.timeouts.connect = Duration::from_millis(60);
    let served = serve(plan(vec![two]));
    for _ in 0..4 {
        assert_eq!(served.ask(get("/")).await.status, 200);
    }
}

#[tokio::test]
async fn the_version_of_a_service_ends_at_this_hop() {
    let backend = Backend::says("HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let served = serve_all(backend.address);
    let mut client = served.connect().await;
    for _ in 0..2 {
        client.send(get("/")).await;
        let reply = client.reply().await;
        assert!(reply.head.starts_with("HTTP/1.1 200"), "{}", reply.head);
        assert_eq!(reply.field("connection"), None, "{}", reply.head);
    }
}

#[tokio::test]
async fn names_are_looked_up() {
    let backend = Backend::says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    for (name, status) in [("localhost", 200), ("nobody.invalid", 502)] {
        let mut one = service("backend", &[backend.address], &["/**"]);
        one.endpoints[0].host = stoa_config::plan::Host::Name(name.to_owned());
        one.timeouts.connect = Duration::from_secs(9);
        let reply = serve(plan(vec![one])).ask(get("/")).await;
        assert_eq!(reply.status, status, "{name}: {}", reply.text());
        assert!(!reply.text().contains(name), "{}", reply.text());
    }
}

#[tokio::test]
async fn an_early_answer_to_a_long_request_does_not_hold_up_the_next() {
    let backend = Backend::script(|mut client: Client, own| async move {
        client.until(b"\r\n\r\n").await;
        own.keep(String::new());
        client
            .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await;
        while client.more().await {}
    })
    .await;
    let mut plan = plan(vec![service("backend", &[backend.address], &["/**"])]);
    plan.server.workers = Some(1);
    let served = serve(plan);
    let mut slow = served.connect().await;
    slow.send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 100\r\n\r\nhalf")
        .await;
    assert_eq!(slow.reply().await.status, 200);
    assert_eq!(served.ask(get("/")).await.status, 200);
    assert_eq!(backend.connections(), 2);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_let_go() {
    const BYTES: usize = 64 * 1024 * 1024;
    let backend = Backend::script(|mut client: Client, own| async move {
        client.request().await;
        client
            .send(format!("HTTP/1.1 200 OK\r\ncontent-length: {BYTES}\r\n\r\n"))
            .await;
        let block = vec![b'x'; 64 * 1024];
        while tokio::io::AsyncWriteExt::write_all(&mut client.stream, &block)
            .await
            .is_ok()
        {}
        own.keep("let go".to_owned());
    })
    .await;
    let mut plan = plan(vec![service("backend", &[backend.address], &["/**"])]);
    plan.server.reply_timeout = Duration::from_millis(100);
    let served = serve(plan);
    let mut client = served.connect().await;
    client.send(get("/")).await;
    let lines = served.lines.wait(1).await;
    assert!(!lines[0].complete && lines[0].sent_bytes < BYTES as u64);
    until(|| backend.seen().len() == 1).await;
}

#[tokio::test]
async fn a_connection_that_a_service_ends_is_not_used_again() {
    for (name, said) in [
        (
            "close",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: x, Close\r\n\r\nok",
        ),
        ("HTTP/1.0", "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        (
            "bytes behind the reply",
            "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad",
        ),
        (
            "bytes behind the chunks",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        ),
    ] {
        let backend = Backend::says(said).await;
        let mut plan = plan(vec![service("backend", &[backend.address], &["/**"])]);
        plan.server.workers = Some(1);
        let served = serve(plan);
        let mut client = served.connect().await;
        for round in 1..=3 {
            client.send(get("/")).await;
            assert_eq!(client.reply().await.text(), "ok", "{name}");
            assert_eq!(backend.connections(), round, "{name}");
        }
    }
}

#[tokio::test]
async fn what_a_service_says_unasked_is_never_a_reply() {
    // Once the client has the first reply, the service says another that nobody asked for.
    let backend = Backend::script(|mut client: Client, own| async move {
        while let Some(request) = client.request().await {
            own.keep(request);
            client
                .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await;
            until(|| own.seen().iter().any(|s| s == "go on")).await;
            client
                .send("HTTP/1.1 408 Request Timeout\r\ncontent-length: 3\r\n\r\nbad")
                .await;
            own.keep("said".to_owned());
        }
    })
    .await;
    let mut plan = plan(vec![service("backend", &[backend.address], &["/**"])]);
    plan.server.workers = Some(1);
    let served = serve(plan);
    let mut client = served.connect().await;
    client.send(get("/")).await;
    assert_eq!(client.reply().await.text(), "ok");
    backend.keep("go on".to_owned());
    until(|| backend.seen().iter().any(|s| s == "said")).await;
    // A worker looks at its sockets between requests: this one is not the service's.
    assert_eq!(served.ask("GET / HTTP/1.1\r\n\r\n").await.status, 400);
    client.send(get("/")).await;
    assert_eq!(client.reply().await.text(), "ok");
    assert_eq!(backend.connections(), 2);
}

#[tokio::test]
async fn a_reply_without_a_length_ends_with_its_connection() {
    let backend = Backend::script(|mut client: Client, own| async move {
        own.keep(client.request().await.unwrap_or_default());
        client.send("HTTP/1.1 200 OK\r\n\r\nall there is").await;
    })
    .await;
    let served = serve_all(backend.address);
    for _ in 0..2 {
        let reply = served.ask(get("/")).await;
        assert_eq!((reply.text().as_str(), reply.whole), ("all there is", true));
    }
    assert_eq!(backend.connections(), 2);
}
