//! Tests.

use super::*;
use proptest::prelude::*;

fn pattern(path: &str) -> PathPattern {
    let mut segments: Vec<&str> = path
        .split('/')
        .skip(1)
        .filter(|s| path != "/" || !s.is_empty())
        .collect();
    let rest = segments.last() == Some(&"**");
    if rest {
        segments.pop();
    }
    let segment = |s: &&str| match s.strip_prefix('{') {
        Some(name) => Segment::Param(name.trim_end_matches('}').to_owned()),
        None => Segment::Literal((*s).to_owned()),
    };
    PathPattern {
        segments: segments.iter().map(segment).collect(),
        rest,
    }
}

fn table(routes: &[&'static str]) -> Table<&'static str> {
    let mut table = Table::default();
    for route in routes {
        let (methods, path) = route.split_once(' ').unwrap_or(("", route));
        let methods: Vec<Method> = methods
            .split(',')
            .filter(|m| !m.is_empty())
            .map(|m| m.parse().unwrap())
            .collect();
        table.add(None, &methods, &pattern(path), *route);
    }
    table
}

fn found(table: &Table<&'static str>, method: &str, path: &str) -> String {
    match table.find("", &method.parse().unwrap(), path) {
        Found::Route(route) => (*route).to_owned(),
        Found::Methods(allowed) => format!(
            "405 {}",
            allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(",")
        ),
        Found::Nothing => "404".to_owned(),
    }
}

#[test]
fn the_most_specific_wins_segment_by_segment() {
    let table = table(&[
        "/**",
        "/a/**",
        "/a/{x}",
        "/a/b",
        "/a/{x}/c",
        "/a/b/**",
        "/{x}/b",
        "GET /m",
        "/m",
        "/caf\u{e9}",
        "/",
    ]);
    for (path, route) in [
        ("/", "/"),
        ("/a", "/a/**"),
        ("/a/", "/a/**"),
        ("/a/b", "/a/b"),
        ("/a/z", "/a/{x}"),
        ("/a/z/c", "/a/{x}/c"),
        ("/a/z/d", "/a/**"),
        ("/a/b/c", "/a/b/**"),
        ("/z/b", "/{x}/b"),
        ("/z/c", "/**"),
        ("/m", "GET /m"),
        ("/caf%C3%A9", "/caf\u{e9}"),
        ("/b%20c", "/**"),
    ] {
        assert_eq!(found(&table, "GET", path), route, "{path}");
    }
    assert_eq!(found(&table, "POST", "/m"), "/m");
}

#[test]
fn methods_are_looked_for_behind_less_specific_routes() {
    let table = table(&["GET /a/{x}", "POST /a/**", "DELETE /b"]);
    for (method, path, route) in [
        ("GET", "/a/1", "GET /a/{x}"),
        ("HEAD", "/a/1", "GET /a/{x}"),
        ("POST", "/a/1", "POST /a/**"),
        ("PUT", "/a/1", "405 GET,HEAD,OPTIONS,POST"),
        ("GET", "/a/1/2", "405 OPTIONS,POST"),
        ("GET", "/a/", "405 OPTIONS,POST"),
        ("GET", "/b", "405 DELETE,OPTIONS"),
        ("GET", "/c", "404"),
        ("GET", "/", "404"),
    ] {
        assert_eq!(found(&table, method, path), route, "{method} {path}");
    }
}

#[test]
fn near_misses() {
    let table = table(&["/payments/rates", "/payments/{id}/items", "/orders", "/files/**"]);
    assert_eq!(table.near("/payment/rates"), Some("/payments/rates"));
    assert_eq!(table.near("/payments/77/item"), Some("/payments/{id}/items"));
    assert_eq!(table.near("/order"), Some("/orders"));
    assert_eq!(table.near("/filez/a"), Some("/files"));
    assert_eq!(table.near("/zzz"), None);
}

/// Whether a pattern matches, and how specific it is: the plain reading of the rule.
fn rank(pattern: &PathPattern, path: &str) -> Option<Vec<u8>> {
    let given: Vec<&str> = if path == "/" {
        Vec::new()
    } else {
        path[1..].split('/').collect()
    };
    let mut rank = Vec::new();
    for (at, segment) in pattern.segments.iter().enumerate() {
        match (segment, given.get(at)?) {
            (Segment::Literal(text), given) if text == given => rank.push(0),
            (Segment::Param(_), given) if !given.is_empty() => rank.push(1),
            _ => return None,
        }
    }
    match (given.len() == pattern.segments.len(), pattern.rest) {
        (true, false) => Some(rank),
        (_, true) => {
            rank.push(2);
            Some(rank)
        }
        (false, false) => None,
    }
}

proptest! {
    #[test]
    fn finds_what_the_rule_says(
        routes in proptest::collection::vec("(/(a|b|\\{x\\})){0,3}(/\\*\\*)?", 1..8),
        path in "(/(a|b|c)){1,4}/?",
    ) {
        let patterns: Vec<PathPattern> = routes.iter().filter(|r| !r.is_empty()).map(|r| pattern(r)).collect();
        let mut table = Table::default();
        for (number, pattern) in patterns.iter().enumerate() {
            table.add(None, &[], pattern, number);
        }
        let best = patterns.iter().enumerate().filter_map(|(n, p)| Some((rank(p, &path)?, n))).min();
        match (table.find("", &Method::GET, &path), best) {
            (Found::Route(number), Some((rank_of_best, _))) => {
                prop_assert_eq!(rank(&patterns[*number], &path), Some(rank_of_best));
            }
            (Found::Nothing, None) => {}
            (_, best) => prop_assert!(false, "{path}: expected {best:?}"),
        }
    }
}
