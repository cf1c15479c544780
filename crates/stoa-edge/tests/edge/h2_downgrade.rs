//! Requests of HTTP/2 that would become something else in HTTP/1: each is refused, or reaches the service as one
//! well-formed request.

use crate::{
    h2_raw::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, Outcome, PADDED, Raw, block, field, frame, get,
        number, pseudo,
    },
    support::{Backend, serve_all},
};

/// What would be smuggled.
const INNER: &str = "GET /smuggled HTTP/1.1\r\nHost: api.test\r\n\r\n";

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Name, fields (pseudo fields too), data behind them, whether it may reach the service.
struct Shape {
    name: &'static str,
    fields: Fields,
    data: Option<Vec<u8>>,
    served: bool,
}

fn of(fields: &[(&[u8], &[u8])]) -> Fields {
    fields.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect()
}

/// A request with more fields.
fn with(method: &str, more: &[(&[u8], &[u8])]) -> Fields {
    let mut fields = of(&pseudo(method, "/"));
    fields.extend(of(more));
    fields
}

/// A request with another pseudo field.
fn other(name: &str, value: &[u8]) -> Fields {
    let mut fields = of(&pseudo("GET", "/"));
    for (own, old) in &mut fields {
        if own == name.as_bytes() {
            *old = value.to_vec();
        }
    }
    fields
}

fn without(name: &str) -> Fields {
    let mut fields = of(&pseudo("GET", "/"));
    fields.retain(|(own, _)| own != name.as_bytes());
    fields
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn shapes() -> Vec<Shape> {
    let inner = INNER.as_bytes();
    let refused = |name, fields| Shape {
        name,
        fields,
        data: None,
        served: false,
    };
    let served = |name, fields| Shape {
        name,
        fields,
        data: None,
        served: true,
    };
    let body = |name, fields, data: &[u8]| Shape {
        name,
        fields,
        data: Some(data.to_vec()),
        served: false,
    };
    let line = |text: &str| format!("{text}{INNER}").into_bytes();
    vec![
        body(
            "transfer-encoding: chunked",
            with("POST", &[(b"transfer-encoding", b"chunked")]),
            b"0\r\n\r\n",
        ),
        body(
            "transfer-encoding in capitals",
            with("POST", &[(b"Transfer-Encoding", b"chunked")]),
            b"0\r\n\r\n",
        ),
        body(
            "transfer-encoding: identity",
            with("POST", &[(b"transfer-encoding", b"identity")]),
            inner,
        ),
        body(
            "transfer_encoding",
            with("POST", &[(b"transfer_encoding", b"chunked")]),
            b"0\r\n\r\n",
        ),
        body(
            "transfer-encoding with a blank in its name",
            with("POST", &[(b"transfer-encoding ", b"chunked")]),
            b"0\r\n\r\n",
        ),
        body(
            "a colon in a name",
            with("POST", &[(b"transfer-encoding: chunked", b"x")]),
            b"0\r\n\r\n",
        ),
        body(
            "a line end in a name",
            with("POST", &[(b"x: y\r\ntransfer-encoding", b"chunked")]),
            b"0\r\n\r\n",
        ),
        refused("a line end in a value", with("GET", &[(b"x", b"a\r\ny: b")])),
        refused("a request in a value", with("GET", &[(b"x", &line("a\r\n\r\n"))])),
        refused("a bare line feed in a value", with("GET", &[(b"x", b"a\ny: b")])),
        refused(
            "a bare carriage return in a value",
            with("GET", &[(b"x", b"a\rb")]),
        ),
        refused("a zero byte in a value", with("GET", &[(b"x", b"a\0b")])),
        refused("an escape in a value", with("GET", &[(b"x", b"a\x1bb")])),
        refused("a deletion in a value", with("GET", &[(b"x", b"a\x7fb")])),
        refused("a zero byte in a name", with("GET", &[(b"x\0y", b"a")])),
        refused("a blank in a name", with("GET", &[(b"x y", b"a")])),
        refused("an empty name", with("GET", &[(b"", b"a")])),
        refused("a name in capitals", with("GET", &[(b"X-Y", b"a")])),
        refused(
            "a name that is not ASCII",
            with("GET", &[("x-\u{e9}".as_bytes(), b"a")]),
        ),
        refused(
            "connection",
            with("GET", &[(b"connection", b"x-own"), (b"x-own", b"a")]),
        ),
        refused("connection: close", with("GET", &[(b"connection", b"close")])),
        refused("keep-alive", with("GET", &[(b"keep-alive", b"timeout=5")])),
        refused(
            "proxy-connection",
            with("GET", &[(b"proxy-connection", b"keep-alive")]),
        ),
        refused("upgrade: websocket", with("GET", &[(b"upgrade", b"websocket")])),
        refused(
            "upgrade: h2c",
            with("GET", &[(b"upgrade", b"h2c"), (b"http2-settings", b"AAMAAABk")]),
        ),
        refused("te: chunked", with("GET", &[(b"te", b"chunked")])),
        body(
            "a length that is too short",
            with("POST", &[(b"content-length", b"3")]),
            inner,
        ),
        body(
            "a length that is too long",
            with("POST", &[(b"content-length", b"500")]),
            inner,
        ),
        body(
            "a length of nothing, with a body",
            with("POST", &[(b"content-length", b"0")]),
            inner,
        ),
        body(
            "two lengths that differ",
            with("POST", &[(b"content-length", b"3"), (b"content-length", b"4")]),
            b"abc",
        ),
        body(
            "two lengths that agree",
            with("POST", &[(b"content-length", b"3"), (b"content-length", b"3")]),
            b"abc",
        ),
        body(
            "a length with a plus",
            with("POST", &[(b"content-length", b"+3")]),
            b"abc",
        ),
        body(
            "a list of lengths",
            with("POST", &[(b"content-length", b"3, 3")]),
            b"abc",
        ),
        body(
            "a hexadecimal length",
            with("POST", &[(b"content-length", b"0x3")]),
            b"abc",
        ),
        body(
            "an empty length",
            with("POST", &[(b"content-length", b"")]),
            b"abc",
        ),
        body(
            "content_length",
            with("POST", &[(b"content_length", b"3")]),
            b"abc",
        ),
        body(
            "a length that overflows",
            with("POST", &[(b"content-length", b"18446744073709551619")]),
            b"abc",
        ),
        refused(
            "a length without a body",
            with("POST", &[(b"content-length", b"5")]),
        ),
        refused(
            "a method with a line end",
            other(":method", &line("GET / HTTP/1.1\r\nhost: a\r\n\r\n")),
        ),
        refused(
            "a method with a blank",
            other(":method", b"GET /smuggled HTTP/1.1"),
        ),
        refused("an empty method", other(":method", b"")),
        refused("no method", without(":method")),
        refused(
            "CONNECT",
            of(&[(b":method", b"CONNECT"), (b":authority", b"api.test:80")]),
        ),
        refused("CONNECT with a path", with("CONNECT", &[])),
        refused(
            "CONNECT to a protocol",
            with("CONNECT", &[(b":protocol", b"websocket")]),
        ),
        refused("TRACE", with("TRACE", &[])),
        refused(
            "a path with a line end",
            other(":path", &line("/ HTTP/1.1\r\nhost: a\r\n\r\n")),
        ),
        refused("a path with a blank", other(":path", b"/ HTTP/1.1")),
        refused("a path with a tab", other(":path", b"/a\tb")),
        refused("a path with a zero byte", other(":path", b"/a\0b")),
        refused("a path that is not ASCII", other(":path", "/\u{e9}".as_bytes())),
        refused("an empty path", other(":path", b"")),
        refused("no path", without(":path")),
        refused("a path that is a URL", other(":path", b"http://other.test/")),
        refused("a path without its slash", other(":path", b"smuggled")),
        refused("a path of an authority", other(":path", b"api.test:80")),
        refused("a star, of GET", other(":path", b"*")),
        refused("a query with raw quotes", other(":path", b"/?a=\"b\"")),
        refused(
            "an authority with a line end",
            other(":authority", b"api.test\r\nx: y"),
        ),
        refused("an authority with a user", other(":authority", b"user@api.test")),
        refused(
            "an authority with a path",
            other(":authority", b"api.test/smuggled"),
        ),
        refused("an authority with a blank", other(":authority", b"api.test x")),
        refused("an empty authority", other(":authority", b"")),
        refused("no authority and no host", without(":authority")),
        refused("another host", with("GET", &[(b"host", b"other.test")])),
        served("the same host", with("GET", &[(b"host", b"API.test")])),
        refused(
            "two hosts",
            with("GET", &[(b"host", b"api.test"), (b"host", b"api.test")]),
        ),
        served("a host in place of the authority", {
            let mut fields = without(":authority");
            fields.extend(of(&[(b"host", b"api.test")]));
            fields
        }),
        refused(
            "a scheme with a line end",
            other(":scheme", b"http://api.test/ HTTP/1.1\r\nx: y"),
        ),
        refused("a scheme with a URL", other(":scheme", b"https://other.test/?")),
        refused("another scheme", other(":scheme", b"ftp")),
        refused("no scheme", without(":scheme")),
        refused("a pseudo field twice", with("GET", &[(b":path", b"/smuggled")])),
        refused("a pseudo field behind others", {
            let mut fields = without(":path");
            fields.extend(of(&[(b"x", b"y"), (b":path", b"/")]));
            fields
        }),
        refused("an unknown pseudo field", with("GET", &[(b":x", b"y")])),
        refused("a pseudo field of replies", with("GET", &[(b":status", b"200")])),
        served("blanks around a value", with("GET", &[(b"x", b" \ta\t ")])),
        served(
            "cookies in parts",
            with("GET", &[(b"cookie", b"a=1"), (b"cookie", b"b=2")]),
        ),
        served("te: trailers", with("GET", &[(b"te", b"trailers")])),
        served("a value of bytes over 127", with("GET", &[(b"x", b"\xe9")])),
        served(
            "fields that overrule",
            with(
                "GET",
                &[
                    (b"x-http-method-override", b"DELETE"),
                    (b"x-original-url", b"/smuggled"),
                    (b"x-forwarded-for", b"1.2.3.4"),
                    (b"x_forwarded_for", b"1.2.3.4"),
                ],
            ),
        ),
        Shape {
            name: "a request as a body",
            fields: with("POST", &[]),
            data: Some(inner.to_vec()),
            served: true,
        },
        Shape {
            name: "chunks as a body",
            fields: with("POST", &[]),
            data: Some(format!("0\r\n\r\n{INNER}").into_bytes()),
            served: true,
        },
        Shape {
            name: "a body of GET",
            fields: with("GET", &[(b"content-length", b"3")]),
            data: Some(b"abc".to_vec()),
            served: true,
        },
        Shape {
            name: "an empty body",
            fields: with("POST", &[]),
            data: Some(Vec::new()),
            served: true,
        },
    ]
}

/// What a service got must be one request, with nothing of what the shapes would have it take for more.
fn judge(name: &str, seen: &str) {
    let (head, body) = seen
        .split_once("\r\n\r\n")
        .unwrap_or_else(|| panic!("{name}: {seen}"));
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    assert_eq!(first.split(' ').count(), 3, "{name}: {first}");
    assert!(
        first.starts_with("GET /") || first.starts_with("POST /"),
        "{name}: {first}"
    );
    let mut framings = 0;
    for line in lines {
        assert!(!line.contains(['\r', '\n', '\0']), "{name}: {line:?}");
        let (field, value) = line
            .split_once(": ")
            .unwrap_or_else(|| panic!("{name}: {line:?}"));
        assert_eq!(value.trim(), value, "{name}: {line:?}");
        framings += usize::from(matches!(field, "content-length" | "transfer-encoding"));
        let passed = ["x-http-method-override", "x-original-url", "x_forwarded_for"].contains(&field);
        assert!(!passed && !value.contains("1.2.3.4"), "{name}: {line}");
    }
    assert!(framings <= 1, "{name}: {head}");
    assert!(framings == 1 || body.is_empty(), "{name}: {seen}");
}

#[tokio::test]
async fn no_request_becomes_another_one() {
    let shapes = shapes();
    assert!(shapes.len() >= 80, "{}", shapes.len());
    for shape in shapes {
        let backend = Backend::echo().await;
        let served = serve_all(backend.address);
        let mut raw = Raw::open(&served).await;
        let fields: Vec<(&[u8], &[u8])> = shape.fields.iter().map(|(n, v)| (&n[..], &v[..])).collect();
        let ends = if shape.data.is_none() { END_STREAM } else { 0 };
        let mut bytes = frame(HEADERS, END_HEADERS | ends, 1, &block(&fields));
        if let Some(data) = &shape.data {
            bytes.extend(frame(DATA, END_STREAM, 1, data));
        }
        raw.send(&bytes).await;
        let outcome = raw.outcome(1).await;
        assert_eq!(
            outcome.is_refusal(),
            !shape.served,
            "{}: {outcome:?}, and the service got {:?}",
            shape.name,
            backend.seen()
        );
        // What was refused while it was sent on is no whole request; what was not came once.
        let seen = backend.seen();
        assert_eq!(seen.len(), usize::from(shape.served), "{}: {seen:?}", shape.name);
        for seen in &seen {
            judge(shape.name, seen);
        }
    }
}

/// One after the other on the same connection, so that what one leaves behind would be found by the next.
#[tokio::test]
async fn what_is_refused_leaves_nothing_behind() {
    let backend = Backend::echo().await;
    let served = serve_all(backend.address);
    for shape in shapes() {
        let mut raw = Raw::open(&served).await;
        let fields: Vec<(&[u8], &[u8])> = shape.fields.iter().map(|(n, v)| (&n[..], &v[..])).collect();
        let mut bytes = frame(HEADERS, END_HEADERS, 1, &block(&fields));
        bytes.extend(frame(
            DATA,
            END_STREAM,
            1,
            shape.data.as_deref().unwrap_or_default(),
        ));
        bytes.extend(get(3, "/next"));
        raw.send(&bytes).await;
        // The shape may end the connection; where it does not, the next request has its own reply.
        if let Outcome::Status(status, body) = raw.outcome(3).await {
            assert_eq!(status, 200, "{}", shape.name);
            assert!(body.starts_with(b"GET /next HTTP/1.1\r\n"), "{}", shape.name);
        }
    }
    assert!(
        !backend
            .seen()
            .iter()
            .any(|seen| seen.starts_with("GET /smuggled"))
    );
}

/// The forms that HPACK and frames allow change nothing: padding, parts, indexed and Huffman-coded names.
#[tokio::test]
async fn forms_of_the_same_request_are_the_same_request() {
    let backend = Backend::echo().await;
    let served = serve_all(backend.address);
    let fields = block(&pseudo("GET", "/same"));
    let mut padded = vec![7];
    padded.extend(&fields);
    padded.extend([0; 7]);
    let mut indexed = vec![0x82, 0x86];
    number(&mut indexed, 0x40, 6, 1);
    indexed.extend(b"\x08api.test");
    number(&mut indexed, 0x40, 6, 4);
    indexed.extend(b"\x05/same");
    let parts = |at: usize| {
        let mut bytes = frame(HEADERS, END_STREAM, 1, &fields[..at]);
        bytes.extend(frame(CONTINUATION, 0, 1, &fields[at..=at]));
        bytes.extend(frame(CONTINUATION, END_HEADERS, 1, &fields[at + 1..]));
        bytes
    };
    let forms = [
        frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, &padded),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &indexed),
        parts(0),
        parts(5),
    ];
    for form in forms {
        let mut raw = Raw::open(&served).await;
        raw.send(form).await;
        let Outcome::Status(200, body) = raw.outcome(1).await else {
            panic!("it is a request");
        };
        assert!(body.starts_with(b"GET /same HTTP/1.1\r\nhost: "));
    }
}

/// Trailers of a request may not direct or frame it.
#[tokio::test]
async fn trailers_of_a_request_change_nothing() {
    let backend = Backend::echo().await;
    let served = serve_all(backend.address);
    for (name, value) in [
        (":path", "/smuggled"),
        ("content-length", "3"),
        ("transfer-encoding", "chunked"),
        ("host", "other.test"),
        ("x-sum", "a\r\nb"),
        ("x-sum", "6"),
    ] {
        let mut raw = Raw::open(&served).await;
        let mut bytes = frame(HEADERS, END_HEADERS, 1, &block(&pseudo("POST", "/t")));
        bytes.extend(frame(DATA, 0, 1, b"abc"));
        let mut trailer = Vec::new();
        field(&mut trailer, name.as_bytes(), value.as_bytes());
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, &trailer));
        raw.send(&bytes).await;
        let outcome = raw.outcome(1).await;
        if let Outcome::Status(200, body) = outcome {
            let seen = String::from_utf8(body).unwrap();
            assert!(seen.starts_with("POST /t HTTP/1.1\r\n"), "{name}: {seen}");
            assert!(seen.matches("content-length").count() == 0, "{name}: {seen}");
            assert!(
                !seen.contains("smuggled") && !seen.contains("other.test"),
                "{name}: {seen}"
            );
        } else {
            assert!(value != "6", "{name}: {outcome:?}");
        }
    }
}
