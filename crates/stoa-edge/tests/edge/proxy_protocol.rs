//! Connections whose balancer says whose they are.

use crate::{
    h2_raw::{self, Outcome, PREFACE, Raw, SETTINGS, frame},
    support::{Backend, Client, Served, get, plan, serve, service},
    tls::{Authority, Files, plan_over, tls},
};
use std::{sync::Arc, time::Duration};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

const LINE: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";

fn block(peer: [u8; 4]) -> Vec<u8> {
    let mut out = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f".to_vec();
    out.extend(peer);
    out.extend([198, 51, 100, 1, 0, 80, 1, 187, 4, 0, 0]);
    out
}

fn behind(backend: &Backend, balancers: &str) -> Served {
    let mut plan = plan(vec![service("s", &[backend.address], &["/**"])]);
    plan.server.proxy_protocol = vec![balancers.parse().unwrap()];
    plan.server.header_timeout = Duration::from_millis(500);
    serve(plan)
}

#[tokio::test]
async fn who_connected_to_the_balancer_is_the_client() {
    let backend = Backend::echo().await;
    let served = behind(&backend, "127.0.0.0/8");
    for (header, peer) in [
        (LINE.as_bytes().to_vec(), "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 ::1 1 2\r\n".to_vec(), "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
        (block([203, 0, 113, 9]), "203.0.113.9"),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0".to_vec(), "127.0.0.1"),
    ] {
        let whole = [header.clone(), get("/a").into_bytes()].concat();
        // In one piece, and byte by byte.
        for size in [whole.len(), 1] {
            let mut client = served.connect().await;
            client.stream.set_nodelay(true).unwrap();
            for piece in whole.chunks(size) {
                client.send(piece).await;
                tokio::task::yield_now().await;
            }
            let seen = client.reply().await.text();
            assert!(
                seen.contains(&format!("\r\nx-forwarded-for: {peer}\r\n")),
                "{peer}: {seen}"
            );
            assert!(
                seen.contains(&format!("\r\nx-real-ip: {peer}\r\n")),
                "{peer}: {seen}"
            );
            client.send(get("/b")).await;
            assert!(
                client.reply().await.text().contains(peer),
                "the connection is the client's"
            );
        }
    }
}

#[tokio::test]
async fn it_stands_before_tls_and_before_http_2() {
    let backend = Backend::echo().await;
    let served = behind(&backend, "127.0.0.0/8");
    let mut client = served.connect().await;
    client
        .send(
            [
                LINE.as_bytes(),
                PREFACE,
                &frame(SETTINGS, 0, 0, &[]),
                &h2_raw::get(1, "/"),
            ]
            .concat(),
        )
        .await;
    let Outcome::Status(200, body) = (Raw { client }).outcome(1).await else {
        panic!("it is a request");
    };
    assert!(String::from_utf8(body).unwrap().contains("x-real-ip: 192.0.2.7"));

    let (authority, files) = (Authority::new("a"), Files::new());
    let pair = files.pair("api", &authority.issue(&["api.test"]));
    let mut plan = plan_over(tls(vec![pair]), &backend);
    plan.server.proxy_protocol = vec!["127.0.0.1/32".parse().unwrap()];
    let served = serve(plan);
    let mut client = served.connect().await;
    client.send(LINE).await;
    let name = ServerName::try_from("api.test").unwrap();
    let connector = TlsConnector::from(Arc::new(authority.client()));
    let mut client = Client {
        stream: connector.connect(name, client.stream).await.unwrap(),
        rest: Vec::new(),
    };
    client.send(get("/")).await;
    let seen = client.reply().await.text();
    assert!(
        seen.contains("x-real-ip: 192.0.2.7") && seen.contains("x-forwarded-proto: https"),
        "{seen}"
    );
}

#[tokio::test]
async fn a_balancer_that_does_not_say_is_closed() {
    let backend = Backend::echo().await;
    let served = behind(&backend, "127.0.0.0/8");
    let long = format!("PROXY TCP4 {}", "1".repeat(200));
    for bad in [
        get("/").as_str(),
        "PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\n",
        "PROXY TCP9 192.0.2.7 198.51.100.1 56324 443\r\n",
        "PROXY TCP4 192.0.2.7",
        long.as_str(),
        "\r\n\r\n\0\r\nQUIT\n\x21\x11\x7f\x7f",
        "\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0",
        "",
    ] {
        let mut client = served.connect().await;
        client.send(bad).await;
        client.send(get("/smuggled")).await;
        while client.more().await {}
        assert!(client.rest.is_empty(), "{bad:?}: {:?}", client.rest);
    }
    assert!(backend.seen().is_empty(), "{:?}", backend.seen());
}

/// Who is no balancer is not believed, and not asked.
#[tokio::test]
async fn from_others_it_is_a_malformed_request() {
    let backend = Backend::echo().await;
    let served = behind(&backend, "10.0.0.0/8");
    assert_eq!(served.ask(get("/")).await.status, 200);
    for header in [LINE.as_bytes().to_vec(), block([192, 0, 2, 7])] {
        let reply = served.ask([header, get("/").into_bytes()].concat()).await;
        assert_eq!(reply.status, 400);
    }
    assert!(!backend.seen().iter().any(|seen| seen.contains("192.0.2.7")));
    assert_eq!(backend.seen().len(), 1);
}
