//! Tests.

use super::*;

fn who(peer: &str, fields: &[(&'static str, &str)]) -> (String, Scheme, String) {
    let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"]
        .iter()
        .map(|n| n.parse().unwrap())
        .collect();
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("Own.Test"));
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    let client = client(peer.parse().unwrap(), Scheme::Http, &trusted, &headers);
    (client.address.to_string(), client.scheme, client.host)
}

#[test]
fn the_client_is_the_rightmost_hop_that_is_not_trusted() {
    let own = "own.test".to_owned();
    for (peer, fields, address) in [
        ("9.9.9.9:1", &[("x-forwarded-for", "1.1.1.1")][..], "9.9.9.9"),
        ("9.9.9.9:1", &[("forwarded", "for=1.1.1.1")], "9.9.9.9"),
        ("10.0.0.1:1", &[], "10.0.0.1"),
        ("10.0.0.1:1", &[("x-forwarded-for", "1.1.1.1")], "1.1.1.1"),
        (
            "10.0.0.1:1",
            &[("x-forwarded-for", "6.6.6.6, 1.1.1.1, 10.0.0.7")],
            "1.1.1.1",
        ),
        (
            "10.0.0.1:1",
            &[("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "1.1.1.1")],
            "1.1.1.1",
        ),
        (
            "10.0.0.1:1",
            &[("x-forwarded-for", "10.0.0.3, 10.0.0.7")],
            "10.0.0.3",
        ),
        (
            "10.0.0.1:1",
            &[("x-forwarded-for", "1.1.1.1, nonsense")],
            "10.0.0.1",
        ),
        ("10.0.0.1:1", &[("x-forwarded-for", "1.1.1.1:5000")], "1.1.1.1"),
        (
            "10.0.0.1:1",
            &[("x-forwarded-for", "[2001:db8::1]:5000")],
            "2001:db8::1",
        ),
        (
            "10.0.0.1:1",
            &[("forwarded", "for=\"[2001:db8::1]:80\";proto=http")],
            "2001:db8::1",
        ),
        (
            "10.0.0.1:1",
            &[("forwarded", "for=6.6.6.6, for=1.1.1.1")],
            "1.1.1.1",
        ),
        (
            "10.0.0.1:1",
            &[("forwarded", "for=6.6.6.6"), ("x-forwarded-for", "1.1.1.1")],
            "1.1.1.1",
        ),
        ("10.0.0.1:1", &[("forwarded", "for=unknown")], "10.0.0.1"),
        ("[fd00::1]:1", &[("x-forwarded-for", "1.1.1.1")], "1.1.1.1"),
        (
            "[::ffff:10.0.0.1]:1",
            &[("x-forwarded-for", "1.1.1.1")],
            "1.1.1.1",
        ),
        ("[::ffff:9.9.9.9]:1", &[("x-forwarded-for", "1.1.1.1")], "9.9.9.9"),
    ] {
        assert_eq!(
            who(peer, fields),
            (address.to_owned(), Scheme::Http, own.clone()),
            "{peer} {fields:?}"
        );
    }
}

#[test]
fn scheme_and_host_come_from_trusted_proxies_only() {
    let said = [("x-forwarded-proto", "https"), ("x-forwarded-host", "Shop.Test")];
    assert_eq!(
        who("10.0.0.1:1", &said),
        ("10.0.0.1".to_owned(), Scheme::Https, "shop.test".to_owned())
    );
    assert_eq!(
        who("9.9.9.9:1", &said),
        ("9.9.9.9".to_owned(), Scheme::Http, "own.test".to_owned())
    );
    let odd = [("x-forwarded-host", "a b\"")];
    assert_eq!(who("10.0.0.1:1", &odd).2, "own.test");
    let newest = [(
        "forwarded",
        "for=6.6.6.6;host=far;proto=http, for=1.1.1.1;host=near;proto=https",
    )];
    assert_eq!(
        who("10.0.0.1:1", &newest),
        ("1.1.1.1".to_owned(), Scheme::Https, "near".to_owned())
    );
}
