//! Attacks on queries, bodies and cursors.

use super::*;

#[test]
fn sql_is_text_wherever_it_stands() {
    let api = Api::shop();
    api.letters();
    let evil = "'; DROP TABLE products; --";
    for query in [
        format!("name=eq.{evil}"),
        format!("name=in.({evil})"),
        format!("name=like.*{evil}*"),
        format!("or=(name.eq.\"{evil}\",name.eq.b)"),
        format!("details->>{}=eq.1", "k'y"),
        format!("select=name,\"x{}\":name", "' FROM products"),
    ] {
        let got = api.get(&format!("/products?{query}"));
        assert!(got.status < 500, "{query}: {got:?}");
    }
    for query in [
        format!("order={evil}"),
        format!("{evil}=eq.1"),
        format!("select={evil}"),
        format!("limit={evil}"),
        format!("offset=1{evil}"),
    ] {
        assert_eq!(api.get(&format!("/products?{query}")).status, 400, "{query}");
    }
    assert_eq!(api.names("order=name&limit=5"), "abcde");
}

#[test]
fn cursors_belong_to_their_list_and_caller() {
    let api = Api::shop();
    api.letters();
    let link = api.get("/products?order=name&limit=2").header("link").to_owned();
    let cursor = link
        .split("after=")
        .nth(1)
        .and_then(|l| l.split('>').next())
        .unwrap()
        .to_owned();
    let try_it = |query: &str, who: Option<&str>| {
        let path = format!("/products?{query}");
        let ask = api.ask("GET", &path);
        match who {
            Some(who) => api.ask("GET", &path).by(who).get().status,
            None => ask.get().status,
        }
    };
    assert_eq!(try_it(&format!("order=name&after={cursor}"), None), 200);
    assert_eq!(
        try_it(&format!("order=name&limit=4&select=name&after={cursor}"), None),
        200
    );
    assert_eq!(
        try_it(&format!("order=name&after={cursor}"), Some("mallory")),
        400
    );
    assert_eq!(try_it(&format!("order=name.desc&after={cursor}"), None), 400);
    assert_eq!(
        try_it(&format!("order=name&stock=eq.1&after={cursor}"), None),
        400
    );
    assert_eq!(try_it(&format!("after={cursor}"), None), 400);
    assert_eq!(try_it(&format!("order=name&offset=1&after={cursor}"), None), 400);
    for at in 0..cursor.len() {
        let mut forged = cursor.clone().into_bytes();
        forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        assert_eq!(try_it(&format!("order=name&after={forged}"), None), 400, "{at}");
    }
    let got = api.get(&format!("/reviews?order=stars&after={cursor}"));
    assert_eq!(got.status, 400, "{got:?}");
}

#[test]
fn bounds_hold() {
    let api = Api::shop();
    let many = |n: usize, one: &str| vec![one; n].join(",");
    let nested = |n: usize| {
        format!(
            "or={}name.eq.a{}",
            "(and".repeat(n).replacen("(and", "(", 1).replace("(and", "and("),
            ")".repeat(n)
        )
    };
    for query in [
        vec!["stock=gt.0"; 101].join("&"),
        format!("or=({})", many(101, "stock.eq.1")),
        format!("stock=in.({})", many(1_001, "1")),
        format!("stock=eq(any).{{{}}}", many(200, "1")),
        format!(
            "select={}",
            (0..201)
                .map(|i| format!("n{i}:name"))
                .collect::<Vec<_>>()
                .join(",")
        ),
        format!(
            "order={}",
            (0..30)
                .map(|i| format!("details->k{i}"))
                .collect::<Vec<_>>()
                .join(",")
        ),
        nested(20),
        "x=%zz".to_owned(),
        "name=eq.%ff".to_owned(),
        "name=eq.%00".to_owned(),
    ] {
        let got = api.get(&format!("/products?{query}"));
        assert_eq!(got.status, 400, "{}: {got:?}", &query[..query.len().min(60)]);
    }
    let got = api.get(&format!("/products?{}", vec!["stock=gt.0"; 100].join("&")));
    assert_eq!(got.status, 200, "{got:?}");
}

#[test]
fn a_host_that_is_none_stands_in_no_link() {
    let api = Api::shop();
    api.letters();
    let got = api.get("/products?limit=1&name=neq.%3E%22").is(200);
    assert_eq!(got.header("link").matches('>').count(), 1, "{got:?}");
}
