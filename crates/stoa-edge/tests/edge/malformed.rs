//! Malformed and ambiguous requests: each is refused before anything acts on it.

use crate::support::{Backend, get, plan, serve, serve_all, service};

/// A request in front of which nothing may slip through.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: api.test\r\n\r\n";

/// Name, bytes, status. What follows the shape on the wire is a request that must not be served.
#[expect(clippy::too_many_lines, reason = "a table")]
fn shapes() -> Vec<(&'static str, Vec<u8>, u16)> {
    let post = |fields: &str, body: &str| {
        format!("POST / HTTP/1.1\r\nhost: api.test\r\n{fields}\r\n{body}").into_bytes()
    };
    let field = |field: &str| format!("GET / HTTP/1.1\r\nhost: api.test\r\n{field}\r\n\r\n").into_bytes();
    let line = |line: &str| format!("{line}\r\nhost: api.test\r\n\r\n").into_bytes();
    let raw = |bytes: &[u8]| bytes.to_vec();
    vec![
        (
            "both framings",
            post(
                "content-length: 6\r\ntransfer-encoding: chunked\r\n",
                "0\r\n\r\nX",
            ),
            400,
        ),
        (
            "both framings, other order",
            post(
                "transfer-encoding: chunked\r\ncontent-length: 6\r\n",
                "0\r\n\r\nX",
            ),
            400,
        ),
        (
            "two lengths that differ",
            post("content-length: 3\r\ncontent-length: 4\r\n", "abcd"),
            400,
        ),
        (
            "two lengths that agree",
            post("content-length: 3\r\ncontent-length: 3\r\n", "abc"),
            400,
        ),
        ("a length in disguise", post("Content_Length: 3\r\n", "abc"), 400),
        (
            "chunks in disguise",
            post("transfer_encoding: chunked\r\n", "0\r\n\r\n"),
            400,
        ),
        ("a list of lengths", post("content-length: 3, 3\r\n", "abc"), 400),
        (
            "a list of lengths that differ",
            post("content-length: 5,6\r\n", "abcde"),
            400,
        ),
        ("a length with a plus", post("content-length: +3\r\n", "abc"), 400),
        (
            "a length with a minus",
            post("content-length: -3\r\n", "abc"),
            400,
        ),
        (
            "a hexadecimal length",
            post("content-length: 0x3\r\n", "abc"),
            400,
        ),
        (
            "a length with a space inside",
            post("content-length: 1 0\r\n", "abc"),
            400,
        ),
        ("an empty length", post("content-length:\r\n", ""), 400),
        (
            "a length that overflows",
            post("content-length: 18446744073709551617\r\n", "abc"),
            400,
        ),
        (
            "a length with a fraction",
            post("content-length: 3.0\r\n", "abc"),
            400,
        ),
        (
            "a coding before chunked",
            post("transfer-encoding: gzip, chunked\r\n", "0\r\n\r\n"),
            400,
        ),
        (
            "chunked twice in one field",
            post("transfer-encoding: chunked, chunked\r\n", "0\r\n\r\n"),
            400,
        ),
        (
            "chunked twice in two fields",
            post(
                "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
                "0\r\n\r\n",
            ),
            400,
        ),
        (
            "identity after chunked",
            post(
                "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
                "0\r\n\r\n",
            ),
            400,
        ),
        (
            "almost chunked",
            post("transfer-encoding: xchunked\r\n", "0\r\n\r\n"),
            400,
        ),
        (
            "chunked with a parameter",
            post("transfer-encoding: chunked;a=b\r\n", "0\r\n\r\n"),
            400,
        ),
        (
            "chunked in quotes",
            post("transfer-encoding: \"chunked\"\r\n", "0\r\n\r\n"),
            400,
        ),
        (
            "chunked behind a vertical tab",
            post("transfer-encoding: \x0bchunked\r\n", "0\r\n\r\n"),
            400,
        ),
        (
            "an empty coding",
            post("transfer-encoding:\r\n", "0\r\n\r\n"),
            400,
        ),
        ("another coding", post("transfer-encoding: gzip\r\n", "abc"), 501),
        (
            "a space before the colon of a coding",
            post("transfer-encoding : chunked\r\n", "0\r\n\r\n"),
            400,
        ),
        (
            "a space before the colon of a length",
            post("content-length : 3\r\n", "abc"),
            400,
        ),
        ("a tab before the colon", field("x-a\t: 1"), 400),
        (
            "a coding in HTTP/1.0",
            raw(b"POST / HTTP/1.0\r\nhost: api.test\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
            400,
        ),
        ("a folded field", field("x-a: 1\r\n 2"), 400),
        ("a folded field with a tab", field("x-a: 1\r\n\t2"), 400),
        (
            "a fold right after the request line",
            raw(b"GET / HTTP/1.1\r\n host: api.test\r\n\r\n"),
            400,
        ),
        (
            "a bare line feed after the request line",
            raw(b"GET / HTTP/1.1\nhost: api.test\r\n\r\n"),
            400,
        ),
        (
            "a bare line feed after a field",
            raw(b"GET / HTTP/1.1\r\nhost: api.test\nx-a: 1\r\n\r\n"),
            400,
        ),
        (
            "only bare line feeds",
            raw(b"GET / HTTP/1.1\nhost: api.test\n\n"),
            400,
        ),
        (
            "a bare line feed at the end",
            raw(b"GET / HTTP/1.1\r\nhost: api.test\r\n\n"),
            400,
        ),
        ("a bare carriage return in a value", field("x-a: 1\r2"), 400),
        (
            "a bare carriage return before a coding",
            field("x-a: 1\rtransfer-encoding: chunked"),
            400,
        ),
        (
            "a bare carriage return in the request line",
            line("GET /\r HTTP/1.1"),
            400,
        ),
        ("a NUL in a value", field("x-a: 1\x002"), 400),
        ("a control character in a value", field("x-a: 1\x012"), 400),
        ("DEL in a value", field("x-a: 1\x7f2"), 400),
        ("a NUL in a name", field("x\x00a: 1"), 400),
        ("an empty name", field(": 1"), 400),
        ("no colon", field("x-a"), 400),
        ("a space in a name", field("x a: 1"), 400),
        ("a name with brackets", field("x(a): 1"), 400),
        ("a name that is not ASCII", field("x-\u{e9}: 1"), 400),
        ("no Host", raw(b"GET / HTTP/1.1\r\n\r\n"), 400),
        (
            "two Hosts",
            raw(b"GET / HTTP/1.1\r\nhost: api.test\r\nhost: api.test\r\n\r\n"),
            400,
        ),
        (
            "two Hosts that differ",
            raw(b"GET / HTTP/1.1\r\nhost: api.test\r\nHOST: evil.test\r\n\r\n"),
            400,
        ),
        ("an empty Host", raw(b"GET / HTTP/1.1\r\nhost:\r\n\r\n"), 400),
        (
            "a Host with a path",
            raw(b"GET / HTTP/1.1\r\nhost: api.test/x\r\n\r\n"),
            400,
        ),
        (
            "a Host with a user",
            raw(b"GET / HTTP/1.1\r\nhost: u@api.test\r\n\r\n"),
            400,
        ),
        (
            "a Host with a space",
            raw(b"GET / HTTP/1.1\r\nhost: api test\r\n\r\n"),
            400,
        ),
        (
            "a Host with a list",
            raw(b"GET / HTTP/1.1\r\nhost: api.test, evil.test\r\n\r\n"),
            400,
        ),
        (
            "a Host with a bad port",
            raw(b"GET / HTTP/1.1\r\nhost: api.test:99999\r\n\r\n"),
            400,
        ),
        (
            "a Host with a word as port",
            raw(b"GET / HTTP/1.1\r\nhost: api.test:http\r\n\r\n"),
            400,
        ),
        (
            "a target of another host",
            line("GET http://evil.test/ HTTP/1.1"),
            400,
        ),
        (
            "a target with a user",
            line("GET http://api.test@evil.test/ HTTP/1.1"),
            400,
        ),
        (
            "a target of another scheme",
            line("GET file:///etc/passwd HTTP/1.1"),
            400,
        ),
        ("a target without a slash", line("GET x HTTP/1.1"), 400),
        ("an asterisk for GET", line("GET * HTTP/1.1"), 400),
        ("a fragment", line("GET /a#b HTTP/1.1"), 400),
        ("a space in the target", line("GET /a b HTTP/1.1"), 400),
        ("two spaces", line("GET  / HTTP/1.1"), 400),
        ("a tab for a space", line("GET\t/ HTTP/1.1"), 400),
        ("a leading space", line(" GET / HTTP/1.1"), 400),
        ("a trailing space", line("GET / HTTP/1.1 "), 400),
        ("no version", line("GET /"), 400),
        ("a version of one number", line("GET / HTTP/1"), 400),
        ("a version in lower case", line("GET / http/1.1"), 400),
        ("a version to come", line("GET / HTTP/1.2"), 505),
        ("HTTP/2 by name", line("GET / HTTP/2.0"), 505),
        ("HTTP/0.9 by name", line("GET / HTTP/0.9"), 505),
        (
            "the preface of HTTP/2",
            raw(b"PRI * HTTP/2.0\r\n\r\nSM\r\nx\r\n\r\n"),
            505,
        ),
        ("a method that is no token", line("GE(T / HTTP/1.1"), 400),
        ("no method", line(" / HTTP/1.1"), 400),
        (
            "TLS",
            raw(b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n"),
            400,
        ),
        (
            "CONNECT",
            raw(b"CONNECT api.test:443 HTTP/1.1\r\nhost: api.test:443\r\n\r\n"),
            501,
        ),
        ("TRACE", line("TRACE / HTTP/1.1"), 405),
        (
            "a bare line feed before the request",
            raw(b"\nGET / HTTP/1.1\r\nhost: api.test\r\n\r\n"),
            400,
        ),
    ]
}

#[tokio::test]
async fn malformed_heads_are_refused_and_nothing_behind_them_is_served() {
    let backend = Backend::echo().await;
    let served = serve_all(backend.address);
    for (name, bytes, status) in shapes() {
        for split in [None, Some(bytes.len() / 2), Some(bytes.len() - 1)] {
            let mut client = served.connect().await;
            let whole = [&bytes[..], SMUGGLED.as_bytes()].concat();
            match split {
                None => client.send(&whole).await,
                Some(at) => {
                    client.send(&whole[..at]).await;
                    tokio::task::yield_now().await;
                    client.send(&whole[at..]).await;
                }
            }
            let reply = client.reply().await;
            assert_eq!(reply.status, status, "{name}: {}", reply.text());
            assert_eq!(reply.field("connection"), Some("close"), "{name}");
            assert_eq!(
                reply.field("content-type"),
                Some("application/problem+json"),
                "{name}"
            );
            assert_eq!(reply.json()["status"], status, "{name}");
            assert!(client.closes().await, "{name}: the connection stays open");
        }
    }
    assert_eq!(backend.seen(), Vec::<String>::new());
}

#[tokio::test]
async fn broken_chunks_never_become_a_whole_request() {
    let backend = Backend::echo().await;
    let served = serve_all(backend.address);
    let bodies: &[(&str, &[u8])] = &[
        ("a size with a prefix", b"0x3\r\nabc\r\n0\r\n\r\n"),
        ("a size with a plus", b"+3\r\nabc\r\n0\r\n\r\n"),
        ("a size with a minus", b"-3\r\nabc\r\n0\r\n\r\n"),
        ("a size behind a space", b" 3\r\nabc\r\n0\r\n\r\n"),
        ("a size before a space", b"3 \r\nabc\r\n0\r\n\r\n"),
        (
            "a size with an underscore",
            b"1_0\r\nabcdefghijklmnop\r\n0\r\n\r\n",
        ),
        ("an empty size", b"\r\nabc\r\n0\r\n\r\n"),
        ("a size that is no number", b"g\r\nabc\r\n0\r\n\r\n"),
        ("a size that overflows", b"fffffffffffffffff\r\nabc\r\n0\r\n\r\n"),
        (
            "a size with very many digits",
            b"00000000000000000000003\r\nabc\r\n0\r\n\r\n",
        ),
        ("a bare line feed behind the size", b"3\nabc\r\n0\r\n\r\n"),
        ("a bare line feed behind the data", b"3\r\nabc\n0\r\n\r\n"),
        ("a bare line feed behind the last size", b"3\r\nabc\r\n0\n\r\n"),
        ("a bare line feed at the end", b"3\r\nabc\r\n0\r\n\n"),
        ("data longer than its size", b"3\r\nabcd\r\n0\r\n\r\n"),
        ("data shorter than its size", b"5\r\nabc\r\n0\r\n\r\n"),
        ("a bare line feed in an extension", b"3;a\nb\r\nabc\r\n0\r\n\r\n"),
        (
            "a control character in an extension",
            b"3;a=\x00\r\nabc\r\n0\r\n\r\n",
        ),
        ("a bare carriage return behind the size", b"3\rabc\r\n0\r\n\r\n"),
        ("a folded trailer", b"3\r\nabc\r\n0\r\nx-a: 1\r\n 2\r\n\r\n"),
        ("a trailer without a colon", b"3\r\nabc\r\n0\r\nx-a\r\n\r\n"),
        (
            "a trailer with a bare line feed",
            b"3\r\nabc\r\n0\r\nx-a: 1\n\r\n",
        ),
    ];
    for (name, body) in bodies {
        let mut client = served.connect().await;
        client
            .send("POST /up HTTP/1.1\r\nhost: api.test\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        client.send(body).await;
        client.send(SMUGGLED).await;
        // What is left of the body may look unfinished: the client's end settles it.
        let _ = tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await;
        while client.more().await {}
        let said = crate::support::text(&client.rest);
        assert!(
            said.is_empty() || said.starts_with("HTTP/1.1 400"),
            "{name}: {said}"
        );
        assert_eq!(
            said.matches("HTTP/1.1").count(),
            usize::from(!said.is_empty()),
            "{name}: {said}"
        );
    }
    assert_eq!(backend.seen(), Vec::<String>::new());
}

#[tokio::test]
async fn bounds_of_the_head_are_kept() {
    let backend = Backend::echo().await;
    let mut plan = plan(vec![service("backend", &[backend.address], &["/**"])]);
    plan.server.header_bytes_max = 4096;
    plan.server.headers_max = 20;
    plan.server.uri_bytes_max = 1000;
    let served = serve(plan);
    let with = |fields: &str| format!("GET / HTTP/1.1\r\nhost: api.test\r\n{fields}\r\n");
    let many = "x-a: 1\r\n".repeat(20);
    let large = format!("x-a: {}\r\n", "a".repeat(4096));
    let endless = "a".repeat(9000);
    for (name, request, status) in [
        ("fields at the bound", with(&"x-a: 1\r\n".repeat(19)), 200),
        ("too many fields", with(&many), 431),
        ("too many bytes", with(&large), 431),
        ("a head without an end", with(&endless), 431),
        (
            "a target at the bound",
            get(&format!("/{}", "a".repeat(999))),
            200,
        ),
        (
            "a target that is too long",
            get(&format!("/{}", "a".repeat(1000))),
            414,
        ),
        ("a target without an end", format!("GET /{endless}"), 414),
    ] {
        let reply = served.ask(request).await;
        assert_eq!(reply.status, status, "{name}: {}", reply.text());
    }
}

/// A line that never ends is refused at its bound, not kept until the time for a head is over.
#[tokio::test]
async fn a_line_without_an_end_that_comes_in_pieces_is_refused_at_the_bound() {
    let backend = Backend::echo().await;
    let mut plan = plan(vec![service("backend", &[backend.address], &["/**"])]);
    // More than the first piece that is read.
    (plan.server.header_bytes_max, plan.server.uri_bytes_max) = (64 * 1024, 32 * 1024);
    let served = serve(plan);
    let reply = served.ask(format!("GET /{}", "a".repeat(65 * 1024))).await;
    assert_eq!(reply.status, 414, "{}", reply.text());
}

#[tokio::test]
async fn what_is_in_order_passes() {
    let backend = Backend::echo().await;
    let served = serve_all(backend.address);
    for (name, request) in [
        ("an empty line in front", format!("\r\n{}", get("/a"))),
        (
            "the absolute form",
            "GET http://api.test/a HTTP/1.1\r\nhost: api.test\r\n\r\n".to_owned(),
        ),
        ("HTTP/1.0 without Host", "GET /a HTTP/1.0\r\n\r\n".to_owned()),
        (
            "a Host that is an IPv6 address",
            "GET /a HTTP/1.1\r\nhost: [::1]:80\r\n\r\n".to_owned(),
        ),
        (
            "chunked in capitals",
            "POST /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
                .to_owned(),
        ),
        (
            "a chunk with an extension",
            "POST /a HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n"
                .to_owned(),
        ),
        (
            "an empty value",
            "GET /a HTTP/1.1\r\nhost: h\r\nx-a:\r\n\r\n".to_owned(),
        ),
        (
            "a value that is not ASCII",
            "GET /a HTTP/1.1\r\nhost: h\r\nx-a: \u{e9}\r\n\r\n".to_owned(),
        ),
        (
            "a method nobody knows",
            "BREW /a HTTP/1.1\r\nhost: h\r\n\r\n".to_owned(),
        ),
    ] {
        let reply = served.ask(request).await;
        assert_eq!(reply.status, 200, "{name}: {}", reply.text());
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_up_to_the_refused_one() {
    let backend = Backend::echo().await;
    let served = serve_all(backend.address);
    let mut client = served.connect().await;
    let bad = "GET /bad HTTP/1.1\r\nhost: api.test\r\nhost: x\r\n\r\n";
    client
        .send(format!("{}{}{bad}{SMUGGLED}", get("/one"), get("/two")))
        .await;
    assert!(client.reply().await.text().starts_with("GET /one"));
    assert!(client.reply().await.text().starts_with("GET /two"));
    assert_eq!(client.reply().await.status, 400);
    assert!(client.closes().await);
    assert_eq!(backend.seen().len(), 2);
}
