//! A real service behind Stoa: httpbin (PyPI), which echoes what reached it; and a scripted one for what is about time.

use crate::support::{
    client::Client,
    server::{Server, Setup, folder_with, free_port},
    service::Service,
};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    thread,
};
use tempfile::TempDir;

/// Stoa in front of a service at `address`, reached below `/bin`.
fn in_front_of(address: &str) -> (TempDir, Server) {
    let dead = free_port();
    let (keep, folder) = folder_with(&format!(
        "
api: proxy
services:
  bin:
    url: http://{address}
    strip_prefix: true
    timeout: {{ connect: 2s, first_byte: 1s, total: 20s }}
    routes:
      /bin/**: {{ access: public }}
  dead:
    url: http://{dead}
    routes:
      /dead/**: {{ access: public }}
"
    ));
    let server = Server::start(&Setup::new("serve", &folder));
    (keep, server)
}

#[test]
fn httpbin_gets_what_was_sent() {
    let bin = Service::start("httpbin_server.py");
    let (_keep, server) = in_front_of(&bin.address);
    let client = &server.client;
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let body = json!({ "a": [1, 2], "text": "grüße" });
        let answer = client.send(
            method,
            "/bin/anything/x%20y?q=1&q=2&empty=",
            &[("x-own", "yes")],
            Some(&body),
        );
        assert_eq!(answer.status, 200, "{method}: {}", answer.text);
        let echo = answer.json();
        assert_eq!(echo["method"], method);
        assert_eq!(echo["json"], body, "{method}");
        assert_eq!(echo["args"], json!({ "q": ["1", "2"], "empty": "" }));
        assert_eq!(echo["headers"]["X-Own"], "yes");
        assert!(
            echo["url"]
                .as_str()
                .is_some_and(|url| url.contains("/anything/x%20y")),
            "{echo}"
        );
    }
    let traced = client.send("TRACE", "/bin/anything", &[], None);
    assert_eq!(traced.status, 405, "{}", traced.text);
    let large = "x".repeat(900_000);
    let answer = client.send(
        "POST",
        "/bin/anything",
        &[("content-type", "application/json")],
        Some(&json!(large)),
    );
    assert_eq!(answer.json()["json"].as_str().map(str::len), Some(large.len()));
    let headers = [("content-type", "application/json")];
    let answer = client.send(
        "POST",
        "/bin/anything",
        &headers,
        Some(&json!("x".repeat(1_100_000))),
    );
    assert_eq!(answer.status, 413, "{}", answer.text);
}

#[test]
fn httpbin_sees_the_fields_of_a_proxy() {
    let bin = Service::start("httpbin_server.py");
    let (_keep, server) = in_front_of(&bin.address);
    let sent = [
        ("x-request-id", "id-42"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-prefix", "/elsewhere"),
        ("te", "trailers"),
        ("keep-alive", "300"),
    ];
    let answer = server.client.send("GET", "/bin/headers?show_env=1", &sent, None);
    assert_eq!(answer.header("x-request-id").as_deref(), Some("id-42"));
    let headers = &answer.json()["headers"];
    assert_eq!(headers["X-Request-Id"], "id-42");
    // The client is not a trusted proxy: what it claims is replaced by where it came from.
    assert_eq!(headers["X-Forwarded-For"], "127.0.0.1");
    assert_eq!(headers["X-Forwarded-Prefix"], Value::Null);
    assert_eq!(headers["X-Forwarded-Proto"], "http");
    assert!(
        headers["Traceparent"].as_str().is_some_and(|t| t.len() == 55),
        "{headers}"
    );
    assert_eq!(
        headers["Keep-Alive"],
        Value::Null,
        "a hop-by-hop field stays on its hop"
    );
}

#[test]
fn replies_of_httpbin_pass_unchanged() {
    let bin = Service::start("httpbin_server.py");
    let (_keep, server) = in_front_of(&bin.address);
    let client = &server.client;
    for status in [200, 201, 204, 301, 304, 400, 404, 418, 500, 503] {
        assert_eq!(client.get(&format!("/bin/status/{status}")).status, status);
    }
    let answer = client.get("/bin/gzip");
    assert_eq!(answer.header("content-encoding").as_deref(), Some("gzip"));
    assert!(
        answer.json().is_null(),
        "the coded bytes are not decoded on the way"
    );
    let answer = client.get("/bin/response-headers?x-one=1&x-two=2");
    assert_eq!(
        (answer.header("x-one"), answer.header("x-two")),
        (Some("1".into()), Some("2".into()))
    );
    let answer = client.get("/bin/stream/20");
    assert_eq!(
        answer
            .text
            .lines()
            .filter(|line| serde_json::from_str::<Value>(line).is_ok())
            .count(),
        20
    );
    let answer = client.send("HEAD", "/bin/bytes/1000", &[], None);
    assert_eq!((answer.status, answer.text.len()), (200, 0));
    let answer = client.get("/bin/cookies/set?a=1&b=2");
    assert_eq!(answer.status, 302);
    assert_eq!(
        answer.headers.get_all("set-cookie").iter().count(),
        2,
        "{:?}",
        answer.headers
    );
    assert_eq!(client.get("/bin/range/26").text, "abcdefghijklmnopqrstuvwxyz");
    let answer = client.send("GET", "/bin/range/26", &[("range", "bytes=2-4")], None);
    assert_eq!((answer.status, answer.text.as_str()), (206, "cde"));
}

#[test]
fn a_service_that_is_late_or_down_is_named() {
    let bin = Service::start("httpbin_server.py");
    let (_keep, server) = in_front_of(&bin.address);
    let late = server.client.get("/bin/delay/5");
    assert_eq!(late.status, 504, "{}", late.text);
    assert_eq!(
        late.header("content-type").as_deref(),
        Some("application/problem+json")
    );
    assert!(late.text.contains("`bin`"), "{}", late.text);
    let dead = server.client.get("/dead/x");
    assert_eq!(dead.status, 502, "{}", dead.text);
    assert!(dead.text.contains("`dead`"), "{}", dead.text);
    assert!(
        !dead.text.contains("127.0.0.1"),
        "an address inside is not told: {}",
        dead.text
    );
}

#[test]
fn bodies_stream_both_ways() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("bound").to_string();
    let (seen, seen_by_service) = mpsc::channel::<String>();
    let (read, read_by_client) = mpsc::channel::<()>();
    let service = thread::spawn(move || {
        let (stream, _) = listener.accept().expect("Stoa connects");
        let mut reader = BufReader::new(stream);
        head(&mut reader);
        // The first half of the request's body is here before the client sends the second.
        seen.send(chunk(&mut reader)).expect("the test listens");
        seen.send(chunk(&mut reader)).expect("the test listens");
        assert_eq!(chunk(&mut reader), "");
        let stream = reader.get_mut();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            .expect("sent");
        read_by_client.recv().expect("the client read the first half");
        stream.write_all(b"6\r\nsecond\r\n0\r\n\r\n").expect("sent");
    });
    let (_keep, server) = in_front_of(&address);
    let host = server.http.trim_start_matches("http://").to_owned();
    let mut client = BufReader::new(TcpStream::connect(&host).expect("Stoa listens"));
    let send = |client: &mut BufReader<TcpStream>, text: &str| {
        client.get_mut().write_all(text.as_bytes()).expect("sent");
    };
    send(
        &mut client,
        &format!("POST /bin/x HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n"),
    );
    assert_eq!(seen_by_service.recv().expect("the service reads"), "one");
    send(&mut client, "3\r\ntwo\r\n0\r\n\r\n");
    assert_eq!(seen_by_service.recv().expect("the service reads"), "two");
    assert!(head(&mut client).starts_with("HTTP/1.1 200"));
    assert_eq!(chunk(&mut client), "first");
    read.send(()).expect("the service waits");
    assert_eq!(chunk(&mut client), "second");
    service.join().expect("the service did not panic");
}

#[test]
fn smuggling_shapes_are_refused() {
    let bin = Service::start("httpbin_server.py");
    let (_keep, server) = in_front_of(&bin.address);
    let host = server.http.trim_start_matches("http://");
    let cases = [
        "POST /bin/anything HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /bin/anything HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nabcde",
        "POST /bin/anything HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        "POST /bin/anything HTTP/1.1\r\nhost: x\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        "GET /bin/anything HTTP/1.1\r\nhost: x\r\nx-a: 1\r\n folded\r\n\r\n",
        "GET /bin/anything HTTP/1.1\nhost: x\n\n",
        "GET /bin/anything HTTP/1.1\r\n\r\n",
        "GET /bin/anything HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "POST /bin/anything HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        "POST /bin/anything HTTP/1.1\r\nhost: x\r\ncontent-length: +1\r\n\r\na",
        "GET /bin/any\x00thing HTTP/1.1\r\nhost: x\r\n\r\n",
    ];
    for case in cases {
        let mut client = BufReader::new(TcpStream::connect(host).expect("Stoa listens"));
        client.get_mut().write_all(case.as_bytes()).expect("sent");
        let head = head(&mut client);
        assert!(
            head.is_empty() || head.starts_with("HTTP/1.1 400"),
            "{case:?} was answered {head:?}"
        );
    }
    // A chunk size that is none is refused after the head was good.
    let bad =
        "POST /bin/anything HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n";
    let mut client = BufReader::new(TcpStream::connect(host).expect("Stoa listens"));
    client.get_mut().write_all(bad.as_bytes()).expect("sent");
    let head = head(&mut client);
    assert!(head.is_empty() || head.starts_with("HTTP/1.1 400"), "{head:?}");
    assert_eq!(Client::new(&server.http).get("/bin/status/200").status, 200);
}

/// Reads a message's head.
fn head(reader: &mut impl BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|n| n > 0) {}
    head
}

/// Reads one chunk of a body.
fn chunk(reader: &mut impl BufRead) -> String {
    let mut size = String::new();
    reader.read_line(&mut size).expect("a chunk has a size");
    let length = usize::from_str_radix(size.trim(), 16).expect("a hexadecimal size");
    let mut bytes = vec![0; length + 2];
    reader.read_exact(&mut bytes).expect("a chunk has its bytes");
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}
