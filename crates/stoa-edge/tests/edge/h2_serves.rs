//! HTTP/2 between clients and the edge, as it should be.

use crate::{
    h2_raw::{
        self, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Outcome, PREFACE, Raw, SETTINGS, block, frame, pseudo,
    },
    support::{Backend, Client, LONG, Served, find, get, serve, serve_all, text, until},
    tls::{Authority, Files, plan_over, shake, tls},
};
use bytes::Bytes;
use http::{HeaderMap, Request, Version};
use std::sync::Arc;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

type Sender = h2::client::SendRequest<Bytes>;

async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Sender {
    let (sender, connection) = h2::client::handshake(stream).await.expect("HTTP/2 is spoken");
    tokio::spawn(async move { drop(connection.await) });
    sender
}

pub(crate) async fn plain(served: &Served) -> Sender {
    speak(TcpStream::connect(served.edge.address()).await.unwrap()).await
}

/// A reply: status, fields, body.
async fn ask(sender: &Sender, request: Request<()>, body: &[Bytes]) -> (u16, HeaderMap, Vec<u8>) {
    let mut sender = sender.clone().ready().await.unwrap();
    let (reply, mut stream) = sender.send_request(request, body.is_empty()).unwrap();
    for (at, part) in body.iter().enumerate() {
        stream.send_data(part.clone(), at + 1 == body.len()).unwrap();
    }
    let (head, mut incoming) = tokio::time::timeout(LONG, reply)
        .await
        .unwrap()
        .unwrap()
        .into_parts();
    let mut all = Vec::new();
    while let Some(part) = incoming.data().await {
        let part = part.unwrap();
        incoming.flow_control().release_capacity(part.len()).unwrap();
        all.extend_from_slice(&part);
    }
    (head.status.as_u16(), head.headers, all)
}

fn request(method: &str, path: &str) -> Request<()> {
    let uri = format!("http://api.test{path}");
    Request::builder()
        .method(method)
        .uri(uri)
        .version(Version::HTTP_2)
        .body(())
        .unwrap()
}

#[tokio::test]
async fn a_request_reaches_its_service_as_http_1() {
    let backend = Backend::echo().await;
    let served = serve_all(backend.address);
    let sender = plain(&served).await;
    let mut asked = request("POST", "/a/b?c=%22d%22");
    let fields = asked.headers_mut();
    fields.append("cookie", "a=1".parse().unwrap());
    fields.append("cookie", "b=2".parse().unwrap());
    fields.insert("te", "trailers".parse().unwrap());
    fields.insert("x-own", " blank ".parse().unwrap());
    fields.insert("content-length", "5".parse().unwrap());
    let (status, fields, body) = ask(&sender, asked, &["hel".into(), "lo".into()]).await;
    let seen = String::from_utf8(body).unwrap();
    assert_eq!(status, 200);
    assert!(
        fields.contains_key("x-request-id") && !fields.contains_key("connection"),
        "{fields:?}"
    );
    assert!(
        seen.starts_with("POST /a/b?c=%22d%22 HTTP/1.1\r\nhost: 127.0.0.1:"),
        "{seen}"
    );
    assert!(seen.ends_with("\r\n\r\nhello"), "{seen}");
    for line in [
        "cookie: a=1; b=2",
        "te: trailers",
        "x-own: blank",
        "content-length: 5",
        "x-forwarded-host: api.test",
        "x-forwarded-proto: http",
    ] {
        assert!(seen.contains(&format!("\r\n{line}\r\n")), "{line}: {seen}");
    }
    assert!(seen.contains("\r\nvia: 2.0 stoa-"), "{seen}");
    let lines = served.lines.wait(1).await;
    assert_eq!((lines[0].version, lines[0].complete), (Version::HTTP_2, true));
}

#[tokio::test]
async fn over_tls_the_client_chooses_the_version() {
    let (authority, files) = (Authority::new("a"), Files::new());
    let pair = files.pair("api", &authority.issue(&["api.test"]));
    let backend = Backend::echo().await;
    let served = serve(plan_over(tls(vec![pair]), &backend));
    let mut config = authority.client();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let client = shake(&served, &Arc::new(config.clone()), "api.test")
        .await
        .unwrap();
    assert_eq!(client.stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let sender = speak(client.stream).await;
    let asks = (0..50).map(|n| ask(&sender, request("GET", if n % 2 == 0 { "/a" } else { "/b" }), &[]));
    for (status, _, body) in futures_util::future::join_all(asks).await {
        assert_eq!(status, 200);
        assert!(text(&body).contains("\r\nx-forwarded-proto: https\r\n"));
    }
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let mut client = shake(&served, &Arc::new(config.clone()), "api.test")
        .await
        .unwrap();
    client.send(get("/")).await;
    assert_eq!(client.reply().await.status, 200);
    config.alpn_protocols = vec![b"spdy/3".to_vec()];
    assert!(shake(&served, &Arc::new(config), "api.test").await.is_err());
}

#[tokio::test]
async fn large_bodies_go_both_ways() {
    let backend = Backend::echo().await;
    let served = serve_all(backend.address);
    let sender = plain(&served).await;
    let parts: Vec<Bytes> = (0..40).map(|_| Bytes::from(vec![b'x'; 16_000])).collect();
    let (status, fields, body) = ask(&sender, request("PUT", "/"), &parts).await;
    assert_eq!(status, 200);
    assert_eq!(fields["content-length"], body.len().to_string().as_str());
    assert!(
        body.len() > 640_000 && body.ends_with(&[b'x'; 1000]),
        "{}",
        body.len()
    );
    // Without a length it is chunked to the service; over the bound it is refused.
    let parts: Vec<Bytes> = (0..80).map(|_| Bytes::from(vec![b'x'; 16_000])).collect();
    let (status, ..) = ask(&sender, request("PUT", "/"), &parts).await;
    assert_eq!(status, 413);
    let (status, ..) = ask(&sender, request("GET", "/"), &[]).await;
    assert_eq!(status, 200, "the connection lives on");
}

#[tokio::test]
async fn replies_without_content_have_none() {
    let served = serve_all(
        Backend::says("HTTP/1.1 200 OK\r\ncontent-length: 7\r\netag: \"a\"\r\n\r\n")
            .await
            .address,
    );
    let (status, fields, body) = ask(&plain(&served).await, request("HEAD", "/"), &[]).await;
    assert_eq!((status, body.len()), (200, 0));
    assert_eq!(fields["content-length"], "7");
    let served = serve_all(
        Backend::says("HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n")
            .await
            .address,
    );
    let (status, fields, body) = ask(&plain(&served).await, request("GET", "/"), &[]).await;
    assert_eq!((status, body.len(), fields.contains_key("etag")), (304, 0, true));
    let served = serve_all(Backend::says("HTTP/1.1 204 No Content\r\n\r\n").await.address);
    let (status, ..) = ask(&plain(&served).await, request("DELETE", "/"), &[]).await;
    assert_eq!(status, 204);
    // A problem, whose body is made here.
    let (status, _, body) = ask(&plain(&served).await, request("TRACE", "/"), &[]).await;
    assert_eq!(status, 405);
    assert!(text(&body).contains("TRACE is not served"));
}

#[tokio::test]
async fn trailers_of_a_service_arrive() {
    let reply = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\nconnection: keep-alive\r\nkeep-alive: timeout=5\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n";
    let served = serve_all(Backend::says(reply).await.address);
    let mut sender = plain(&served).await.ready().await.unwrap();
    let (reply, _) = sender.send_request(request("GET", "/"), true).unwrap();
    let (head, mut body) = reply.await.unwrap().into_parts();
    assert!(!head.headers.contains_key("keep-alive"), "{:?}", head.headers);
    while let Some(part) = body.data().await {
        assert_eq!(part.unwrap(), "abc");
    }
    assert_eq!(body.trailers().await.unwrap().unwrap()["x-sum"], "6");
}

/// A service that breaks off is a reset, never an end that looks whole; only that request has it.
#[tokio::test]
async fn a_reply_that_breaks_off_is_reset() {
    let backend = Backend::script(|mut client: Client, _| async move {
        client.request().await;
        client
            .send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
            .await;
    })
    .await;
    let served = serve_all(backend.address);
    let mut raw = Raw::open(&served).await;
    raw.send(h2_raw::get(1, "/")).await;
    assert!(matches!(raw.outcome(1).await, Outcome::Reset(_)));
    raw.send(h2_raw::get(3, "/")).await;
    assert!(matches!(raw.outcome(3).await, Outcome::Reset(_)));
    assert!(!served.lines.wait(2).await.iter().any(|line| line.complete));
}

#[tokio::test]
async fn the_preface_may_come_in_pieces_and_others_are_http_1() {
    let backend = Backend::echo().await;
    let served = serve_all(backend.address);
    let mut client = served.connect().await;
    client.stream.set_nodelay(true).unwrap();
    for byte in PREFACE {
        client.send([*byte]).await;
        tokio::task::yield_now().await;
    }
    client.send(frame(SETTINGS, 0, 0, &[])).await;
    let mut raw = Raw { client };
    raw.send(h2_raw::get(1, "/")).await;
    assert!(matches!(raw.outcome(1).await, Outcome::Status(200, _)));
    let mut client = served.connect().await;
    for byte in get("/p").bytes() {
        client.send([byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.reply().await.status, 200);
    // Nearly the preface is a request of HTTP/1, and a bad one.
    let reply = served.ask("PRI * HTTP/2.0\r\n\r\nSMS\r\n\r\n").await;
    assert_eq!(reply.status, 505);
}

#[tokio::test]
async fn upgrades_to_http_2_are_not_followed_and_never_passed_on() {
    let backend = Backend::echo().await;
    let served = serve_all(backend.address);
    let asked = "GET / HTTP/1.1\r\nhost: api.test\r\nconnection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n";
    let unnamed = "GET / HTTP/1.1\r\nhost: api.test\r\nconnection: upgrade\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n\r\n";
    for asked in [asked, unnamed] {
        let reply = served.ask(asked).await;
        let seen = reply.text().to_ascii_lowercase();
        assert_eq!(reply.status, 200);
        assert!(
            !seen.contains("upgrade") && !seen.contains("http2-settings") && !seen.contains("h2c"),
            "{seen}"
        );
    }
}

#[tokio::test]
async fn a_client_that_takes_its_request_back_ends_the_service_s_work() {
    let silent = Backend::script(|mut client: Client, own| async move {
        own.keep(client.request().await.unwrap_or_default());
        while client.more().await {}
        own.keep("left".to_owned());
    })
    .await;
    let served = serve_all(silent.address);
    let mut raw = Raw::open(&served).await;
    raw.send(h2_raw::get(1, "/")).await;
    until(|| silent.seen().len() == 1).await;
    raw.send(frame(h2_raw::RST_STREAM, 0, 1, &8_u32.to_be_bytes()))
        .await;
    until(|| silent.seen().len() == 2).await;
    assert_eq!(served.lines.wait(1).await[0].status, 499);
}

#[tokio::test]
async fn a_drain_says_goodbye_and_ends_what_is_under_way() {
    let backend = Backend::script(|mut client: Client, own| async move {
        own.keep(client.request().await.unwrap_or_default());
        while own.seen().len() < 2 {
            tokio::task::yield_now().await;
        }
        client
            .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await;
    })
    .await;
    let served = serve_all(backend.address);
    let mut busy = Raw::open(&served).await;
    let mut idle = Raw::open(&served).await;
    busy.send(h2_raw::get(1, "/")).await;
    until(|| backend.seen().len() == 1).await;
    let draining = tokio::spawn(served.edge.drain(LONG));
    // It does not answer the ping by which the library would know that it got the word.
    assert_eq!(idle.end().await, Some(0));
    assert_eq!(busy.wait(GOAWAY).await.unwrap().code(), 0);
    backend.keep("go on".to_owned());
    assert_eq!(busy.outcome(1).await, Outcome::Status(200, b"ok".to_vec()));
    assert_eq!(draining.await.unwrap().cut, 0);
}

#[tokio::test]
async fn a_refused_head_is_answered_and_its_connection_lives_on() {
    let backend = Backend::echo().await;
    let served = serve_all(backend.address);
    let mut raw = Raw::open(&served).await;
    let mut fields = pseudo("GET", "/");
    let value = [b'v'; 100];
    let names: Vec<String> = (0..120).map(|n| format!("x-{n}")).collect();
    fields.extend(names.iter().map(|n| (n.as_bytes(), &value[..])));
    raw.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&fields)))
        .await;
    let Outcome::Status(431, body) = raw.outcome(1).await else {
        panic!("too many fields");
    };
    assert!(
        find(&body, b"the header may have 100 fields").is_some(),
        "{}",
        text(&body)
    );
    raw.send(h2_raw::get(3, "/")).await;
    assert!(matches!(raw.outcome(3).await, Outcome::Status(200, _)));
    assert_eq!(served.lines.wait(2).await[0].problem, Some("headers-too-large"));
}

/// Clients that cannot do it all at once send the rest again.
#[tokio::test]
async fn requests_over_the_bound_are_refused_to_be_sent_again() {
    let silent = Backend::script(|mut client: Client, own| async move {
        own.keep(client.request().await.unwrap_or_default());
        while client.more().await {}
    })
    .await;
    let mut plan = crate::support::plan(vec![crate::support::service("s", &[silent.address], &["/**"])]);
    plan.server.streams_max = 3;
    let served = serve(plan);
    let mut raw = Raw::open(&served).await;
    for n in 0..5 {
        raw.send(h2_raw::get(1 + 2 * n, "/")).await;
    }
    for stream in [7, 9] {
        assert_eq!(raw.outcome(stream).await, Outcome::Reset(7), "REFUSED_STREAM");
    }
    until(|| silent.seen().len() == 3).await;
}
