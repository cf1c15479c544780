//! Tests.

use super::*;

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(k, v)| {
            (
                k.parse::<HeaderName>().unwrap(),
                HeaderValue::from_str(v).unwrap(),
            )
        })
        .fold(HeaderMap::new(), |mut map, (k, v)| {
            map.append(k, v);
            map
        })
}

#[test]
fn fields_named_in_connection_are_removed_but_not_those_that_frame() {
    let mut fields = map(&[
        ("connection", "x-a , close,, bad name"),
        ("connection", "Content-Length, HOST"),
        ("x-a", "1"),
        ("x-a", "2"),
        ("host", "h"),
        ("content-length", "3"),
        ("te", "gzip"),
    ]);
    strip_hop_by_hop(&mut fields);
    let mut left: Vec<_> = fields.keys().map(HeaderName::as_str).collect();
    left.sort_unstable();
    assert_eq!(left, ["content-length", "host"]);
}

#[test]
fn upgrades_that_are_passed_on() {
    for (fields, passed) in [
        (&[("connection", "upgrade"), ("upgrade", "websocket")][..], true),
        (
            &[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")],
            true,
        ),
        (&[("upgrade", "websocket")], false),
        (&[("connection", "upgrade")], false),
        (&[("connection", "upgrade"), ("upgrade", "h2c")], false),
        (&[("connection", "upgrade"), ("upgrade", "H2C-16")], false),
        (&[("connection", "upgrade"), ("upgrade", "websocket, h2c")], false),
        (&[("connection", "upgrade"), ("upgrade", "HTTP/2.0")], false),
        (
            &[
                ("connection", "upgrade"),
                ("upgrade", "websocket"),
                ("upgrade", "h2c"),
            ],
            false,
        ),
        (&[("connection", "upgrade"), ("upgrade", "")], false),
    ] {
        assert_eq!(upgrade(&map(fields)).is_some(), passed, "{fields:?}");
    }
}
