//! Upgrades.

use crate::support::{Backend, Client, LONG, get, serve_all, until};

const ASK: &str = "GET /ws HTTP/1.1\r\nhost: h\r\nconnection: Upgrade\r\nupgrade: echo\r\nx-asked: k\r\n\r\n";

/// A service that agrees to everything and then says everything back.
async fn agreeing() -> Backend {
    Backend::script(|mut client: Client, own| async move {
        let Some(request) = client.request().await else {
            return;
        };
        own.keep(request);
        client
            .send("HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\nhello")
            .await;
        loop {
            let said = std::mem::take(&mut client.rest);
            client.send(&said).await;
            if !client.more().await {
                return;
            }
        }
    })
    .await
}

#[tokio::test]
async fn bytes_pass_both_ways_after_101() {
    let backend = agreeing().await;
    let served = serve_all(backend.address);
    let mut client = served.connect().await;
    client.send(ASK).await;
    let reply = client.reply().await;
    assert_eq!(reply.status, 101);
    assert_eq!(reply.field("upgrade"), Some("echo"));
    assert_eq!(reply.field("connection"), Some("upgrade"));
    client.until(b"hello").await;
    for said in [&b"one"[..], b"GET / HTTP/1.1\n\nnot HTTP \x00\xff", b"\r\n"] {
        client.send(said).await;
        assert_eq!(client.until(said).await, said);
    }
    assert_eq!(served.edge.active(), 1);
    assert!(backend.seen()[0].contains("x-asked: k"));
    drop(client);
    until(|| served.edge.active() == 0).await;
}

#[tokio::test]
async fn bytes_sent_before_101_are_not_read_as_a_request() {
    let backend = agreeing().await;
    let served = serve_all(backend.address);
    let mut client = served.connect().await;
    client.send(format!("{ASK}{}", get("/smuggled"))).await;
    assert_eq!(client.reply().await.status, 101);
    client.until(b"hello").await;
    client.until(get("/smuggled").as_bytes()).await;
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test]
async fn a_service_that_declines_leaves_the_connection_as_it_was() {
    let backend = Backend::says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let served = serve_all(backend.address);
    let mut client = served.connect().await;
    client.send(format!("{ASK}{}", get("/next"))).await;
    assert_eq!(client.reply().await.text(), "ok");
    assert_eq!(client.reply().await.text(), "ok");
    client.send(ASK).await;
    assert_eq!(client.reply().await.text(), "ok");
    assert_eq!(backend.seen().len(), 3);
}

#[tokio::test]
async fn other_upgrades_are_not_passed_on() {
    let backend = Backend::echo().await;
    let served = serve_all(backend.address);
    for ask in [
        "GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: x\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket, h2c\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: H2C\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: websocket\r\ncontent-length: 1\r\n\r\nx",
    ] {
        let mut client = served.connect().await;
        client.send(ask).await;
        let reply = client.reply().await;
        assert_eq!(reply.status, 200, "{ask}");
        assert!(!reply.text().contains("upgrade:"), "{ask}: {}", reply.text());
        client.send(get("/next")).await;
        assert_eq!(client.reply().await.status, 200, "{ask}");
    }
}

#[tokio::test]
async fn a_protocol_that_nobody_asked_for_is_refused() {
    let backend =
        Backend::says("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n").await;
    let reply = serve_all(backend.address).ask(get("/")).await;
    assert_eq!(reply.status, 502);
}

#[tokio::test]
async fn a_drain_cuts_tunnels_at_its_deadline() {
    let backend = agreeing().await;
    let served = serve_all(backend.address);
    let mut client = served.connect().await;
    client.send(ASK).await;
    client.until(b"hello").await;
    let drained = tokio::time::timeout(LONG, served.edge.drain(std::time::Duration::from_millis(50)))
        .await
        .unwrap();
    assert_eq!(drained.cut, 1);
    assert!(client.closes().await);
}
