//! Tags of rows and of bodies, and the conditions that name them.

use super::*;
use http::HeaderValue;

fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    headers
}

#[test]
fn a_tag_differs_with_version_body_and_media() {
    let tags = [
        tag(Some(1), "a", b"x"),
        tag(Some(2), "a", b"x"),
        tag(Some(1), "b", b"x"),
        tag(Some(1), "a", b"y"),
        tag(None, "a", b"x"),
    ];
    for (i, one) in tags.iter().enumerate() {
        assert!(one.starts_with('"') && one.ends_with('"'), "strong: {one}");
        assert!(tags[i + 1..].iter().all(|other| other != one));
    }
}

#[test]
fn if_match_compares_the_version_alone() {
    for (values, want) in [
        (vec!["\"1f-00\""], Precondition::Versions(vec![31])),
        (vec!["\"1f\", \"2-ab\""], Precondition::Versions(vec![31, 2])),
        (vec!["\"1\"", "\"2\""], Precondition::Versions(vec![1, 2])),
        (vec!["W/\"1\""], Precondition::Versions(vec![])),
        (vec!["\"zz\", 1, \"\""], Precondition::Versions(vec![])),
        (vec!["*"], Precondition::Exists),
    ] {
        assert_eq!(
            precondition(&headers(&header::IF_MATCH, &values)),
            want,
            "{values:?}"
        );
    }
    let negative = tag(Some(-5), "", b"");
    assert_eq!(
        precondition(&headers(&header::IF_MATCH, &[&negative])),
        Precondition::Versions(vec![-5])
    );
    assert_eq!(
        precondition(&headers(&header::IF_NONE_MATCH, &["*"])),
        Precondition::Absent
    );
    assert_eq!(
        precondition(&headers(&header::IF_NONE_MATCH, &["\"1\""])),
        Precondition::None
    );
}
