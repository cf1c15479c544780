//! What is compressed, and for whom.

use crate::{
    routes::file,
    support::{Backend, Reply, Served, serve},
};
use std::io::Read;

const FILE: &str = "
services:
  backend:
    url: {backend}
    routes:
      /always/**: { access: public, compress: always }
      /never/**: { access: public, compress: false }
      /**: { access: public }
";

/// A text of this many bytes that nearly nothing is left of.
fn long(bytes: usize) -> String {
    "0123456789abcdef".repeat(bytes / 16)
}

fn decoded(reply: &Reply) -> String {
    let mut text = String::new();
    let body = &reply.body[..];
    match reply.field("content-encoding") {
        None => body.to_vec().as_slice().read_to_string(&mut text),
        Some("gzip") => flate2::read::GzDecoder::new(body).read_to_string(&mut text),
        Some("br") => brotli::Decompressor::new(body, 4096).read_to_string(&mut text),
        Some("zstd") => zstd::stream::read::Decoder::new(body)
            .unwrap()
            .read_to_string(&mut text),
        Some(other) => panic!("{other}"),
    }
    .unwrap();
    text
}

/// Answers with these fields and this body.
async fn served(fields: &str, body: &str) -> (Served, Backend) {
    let length = body.len();
    let backend = Backend::says(format!(
        "HTTP/1.1 200 OK\r\n{fields}content-length: {length}\r\n\r\n{body}"
    ))
    .await;
    (serve(file(FILE, &backend)), backend)
}

async fn ask(served: &Served, path: &str, fields: &str) -> Reply {
    let request = format!("GET {path} HTTP/1.1\r\nhost: h\r\n{fields}\r\n");
    served.ask(request).await
}

#[tokio::test]
async fn texts_are_encoded_as_the_request_accepts() {
    let body = long(200_000);
    let (served, _backend) = served(
        "content-type: application/json; charset=utf-8\r\naccept-ranges: bytes\r\n",
        &body,
    )
    .await;
    for (accepts, coding) in [
        ("gzip, deflate, br, zstd", Some("zstd")),
        ("gzip, br", Some("br")),
        ("gzip", Some("gzip")),
        ("gzip, br;q=0.5", Some("gzip")),
        ("identity;q=0, *", Some("zstd")),
        ("gzip;q=0", None),
        ("deflate", None),
    ] {
        let reply = ask(&served, "/a", &format!("accept-encoding: {accepts}\r\n")).await;
        assert_eq!(reply.field("content-encoding"), coding, "{accepts}");
        assert_eq!(reply.field("vary"), Some("accept-encoding"));
        assert_eq!(decoded(&reply), body);
        assert_eq!(reply.field("accept-ranges").is_none(), coding.is_some());
        assert!(coding.is_none() || reply.body.len() < body.len() / 50);
    }
    let plain = ask(&served, "/a", "").await;
    assert_eq!(
        (plain.field("content-encoding"), plain.field("vary")),
        (None, Some("accept-encoding"))
    );
    let refused = ask(&served, "/a", "accept-encoding: identity;q=0\r\n").await;
    assert_eq!(
        (refused.status, refused.json()["code"].as_str()),
        (406, Some("not-acceptable"))
    );
}

#[tokio::test]
async fn a_small_body_has_its_length_said() {
    let body = long(8192);
    let (served, _backend) = served("content-type: text/html\r\n", &body).await;
    let reply = ask(&served, "/a", "accept-encoding: br\r\n").await;
    assert_eq!((reply.field("content-encoding"), reply.whole), (Some("br"), true));
    assert_eq!(decoded(&reply), body);
}

#[tokio::test]
async fn what_must_stay_as_it_is_stays() {
    let long = long(4096);
    for (fields, body, varies) in [
        ("content-type: image/png\r\n", &*long, false),
        ("", &long, false),
        ("content-type: text/event-stream\r\n", &long, false),
        (
            "content-type: text/plain\r\ncontent-encoding: gzip\r\n",
            &long,
            false,
        ),
        (
            "content-type: text/plain\r\ncache-control: max-age=1, No-Transform\r\n",
            &long,
            false,
        ),
        (
            "content-type: text/plain\r\ncontent-digest: sha-256=:AA==:\r\n",
            &long,
            false,
        ),
        ("content-type: text/plain\r\n", &long[..1023], false),
    ] {
        let (served, _backend) = served(fields, body).await;
        let reply = ask(&served, "/a", "accept-encoding: zstd, br, gzip\r\n").await;
        assert_eq!(reply.text(), body, "{fields}");
        assert_eq!(reply.field("vary").is_some(), varies, "{fields}");
        assert_eq!(
            reply.field("content-length"),
            Some(body.len().to_string().as_str())
        );
    }
    let (served, _backend) = served(
        "content-type: text/plain\r\nvary: Origin, Accept-Encoding\r\n",
        &long,
    )
    .await;
    let never = ask(&served, "/never/a", "accept-encoding: br\r\n").await;
    assert_eq!(never.field("content-encoding"), None);
    let said = ask(&served, "/a", "accept-encoding: br\r\n").await;
    assert_eq!(said.head.matches("ary: ").count(), 1, "{}", said.head);
    let mut client = served.connect().await;
    client
        .send("HEAD /a HTTP/1.1\r\nhost: h\r\naccept-encoding: br\r\n\r\n")
        .await;
    let head = client.reply_to("HEAD").await;
    assert_eq!((head.status, head.field("content-encoding")), (200, None));
}

#[tokio::test]
async fn parts_of_a_whole_are_not_encoded() {
    let backend = Backend::says(
        "HTTP/1.1 206 Partial Content\r\ncontent-type: text/plain\r\ncontent-range: bytes 0-1999/9999\r\ncontent-length: 2000\r\n\r\n"
            .to_owned()
            + &long(2000),
    )
    .await;
    let served = serve(file(FILE, &backend));
    let reply = ask(&served, "/a", "accept-encoding: br\r\nrange: bytes=0-1999\r\n").await;
    assert_eq!((reply.status, reply.field("content-encoding")), (206, None));
    // A range of an encoding is no range of the whole: the condition fails, and all is asked for.
    ask(
        &served,
        "/a",
        "accept-encoding: br\r\nrange: bytes=0-1\r\nif-range: \"v~br\"\r\n",
    )
    .await;
    let seen = backend.seen().pop().unwrap();
    assert!(!seen.contains("range"), "{seen}");
}

/// The length of what is encoded tells a stranger who chooses a part of it about the rest (BREACH).
#[tokio::test]
async fn replies_to_credentials_are_not_encoded() {
    let (served, _backend) = served("content-type: text/html\r\n", &long(4096)).await;
    for secret in ["authorization: Basic YTpi\r\n", "cookie: session=1\r\n"] {
        let fields = format!("accept-encoding: br\r\n{secret}");
        let reply = ask(&served, "/a", &fields).await;
        assert_eq!(reply.field("content-encoding"), None, "{secret}");
        assert_eq!(reply.field("vary"), Some("accept-encoding"));
        let insists = ask(&served, "/a", &fields.replace("br", "br, identity;q=0")).await;
        assert_eq!(insists.field("content-encoding"), None, "{secret}");
        let always = ask(&served, "/always/a", &fields).await;
        assert_eq!(always.field("content-encoding"), Some("br"));
    }
}

#[tokio::test]
async fn conditions_hold_over_encodings() {
    let backend = Backend::script(|mut client, own| async move {
        while let Some(request) = client.request().await {
            own.keep(request.clone());
            let fits = request.contains("if-none-match: \"v1\"") || request.contains("if-none-match: W/\"v1\"");
            let reply = if fits {
                "HTTP/1.1 304 Not Modified\r\netag: \"v1\"\r\n\r\n".to_owned()
            } else {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\netag: \"v1\"\r\ncontent-length: 4096\r\n\r\n";
                head.to_owned() + &long(4096)
            };
            client.send(reply).await;
        }
    })
    .await;
    let served = serve(file(FILE, &backend));
    let first = ask(&served, "/a", "accept-encoding: br\r\n").await;
    assert_eq!(first.field("etag"), Some("\"v1~br\""));
    let again = ask(
        &served,
        "/a",
        "accept-encoding: br\r\nif-none-match: \"v1~br\"\r\n",
    )
    .await;
    assert_eq!((again.status, again.field("etag")), (304, Some("\"v1~br\"")));
    assert_eq!(again.field("vary"), Some("accept-encoding"));
    let plain = ask(&served, "/a", "if-none-match: \"v1\"\r\n").await;
    assert_eq!((plain.status, plain.field("etag")), (304, Some("\"v1\"")));
    // What was read encoded guards a write.
    ask(&served, "/a", "if-match: \"v1~br\"\r\n").await;
    assert!(backend.seen().pop().unwrap().contains("if-match: \"v1\"\r\n"));
}

#[tokio::test]
async fn what_streams_is_seen_at_once() {
    for coding in ["zstd", "br", "gzip"] {
        let go = std::sync::Arc::new(tokio::sync::Notify::new());
        let wait = go.clone();
        let backend = Backend::script(move |mut client, _| {
            let wait = wait.clone();
            async move {
                client.request().await;
                client
                    .send("HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n6\r\nfirst\n\r\n")
                    .await;
                wait.notified().await;
                client.send("5\r\nlast\n\r\n0\r\n\r\n").await;
            }
        })
        .await;
        let served = serve(file(FILE, &backend));
        let mut client = served.connect().await;
        client
            .send(format!(
                "GET /a HTTP/1.1\r\nhost: h\r\naccept-encoding: {coding}\r\n\r\n"
            ))
            .await;
        client.until(b"\r\n\r\n").await;
        // The first chunk is here before the service says more.
        let size = client.until(b"\r\n").await;
        let size = usize::from_str_radix(String::from_utf8(size).unwrap().trim(), 16).unwrap();
        while client.rest.len() < size + 2 {
            assert!(client.more().await);
        }
        let mut first = [0; 6];
        let part = &client.rest[..size];
        match coding {
            "gzip" => flate2::read::GzDecoder::new(part).read_exact(&mut first),
            "br" => brotli::Decompressor::new(part, 4096).read_exact(&mut first),
            _ => zstd::stream::read::Decoder::new(part)
                .unwrap()
                .read_exact(&mut first),
        }
        .unwrap();
        assert_eq!(&first, b"first\n", "{coding}");
        go.notify_one();
        client.until(b"\r\n0\r\n\r\n").await;
    }
}

#[tokio::test]
async fn a_reply_that_breaks_off_does_not_look_whole() {
    let backend = Backend::script(|mut client, _| async move {
        client.request().await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 400000\r\n\r\n";
        client.send(head.to_owned() + &long(100_000)).await;
    })
    .await;
    let served = serve(file(FILE, &backend));
    for coding in ["zstd", "br", "gzip"] {
        let reply = ask(&served, "/a", &format!("accept-encoding: {coding}\r\n")).await;
        assert_eq!((reply.status, reply.whole), (200, false), "{coding}");
    }
}
