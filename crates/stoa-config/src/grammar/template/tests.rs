//! Tests.

use super::*;

#[test]
fn targets_are_cut_at_their_parameters() {
    let target = (REDIRECT.parse)("https://a.test:8443/x-{id}/**?by={who}").unwrap();
    assert_eq!(target.origin, "https://a.test:8443");
    assert_eq!(
        target.path,
        [
            Piece::Text("/x-".to_owned()),
            Piece::Name("id".to_owned(), 22..26),
            Piece::Rest(26..29),
        ]
    );
    assert_eq!(
        target.query,
        Some(vec![
            Piece::Text("by=".to_owned()),
            Piece::Name("who".to_owned(), 33..38)
        ])
    );
    assert_eq!(
        (REDIRECT.parse)("https://a.test").unwrap().path,
        [Piece::Text("/".to_owned())]
    );
}

#[test]
fn targets_whose_host_a_request_could_choose_are_refused() {
    for text in [
        "//evil.test/**",
        "https://{id}/x",
        "https://{id}.test/",
        "https://user@a.test/",
        "https://",
        "http:///x",
        "ftp://a.test/",
        "javascript:alert(1)",
        "new/**",
        "/a//b",
        "/a/../b",
        "/a/**/b",
        "/a/*",
        "/a b",
        "/ä",
        "/\\evil.test",
        "/a#b",
        "/{id",
        "/id}",
        "/{}",
        "",
    ] {
        assert!((REDIRECT.parse)(text).is_err(), "{text}");
    }
    assert!((REWRITE.parse)("https://a.test/").is_err());
}

#[test]
fn values_hold_no_line_break() {
    for text in ["a\r\nb: c", "a\nb", "\u{0}", "ä", "{a b}", "{"] {
        assert!((VALUE.parse)(text).is_err(), "{text:?}");
    }
    assert_eq!((VALUE.parse)("{{a}}").unwrap(), [Piece::Text("{a}".to_owned())]);
    assert_eq!((VALUE.parse)("").unwrap(), []);
}
