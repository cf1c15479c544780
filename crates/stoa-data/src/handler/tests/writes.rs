//! Writes: create, replace, merge, delete, upsert, repetition.

use super::*;

#[test]
fn every_bad_field_is_reported_at_once() {
    let api = Api::shop();
    let body = r#"{"nme":"x","name":"","price":-1,"stock":1.5,"state":"lve","created_at":"2020-01-01T00:00:00Z","tags":[1]}"#;
    let got = api
        .ask("POST", "/products")
        .send(body)
        .problem(422, "invalid-fields");
    let errors = got.json()["errors"].clone();
    let mut fields: Vec<_> = errors
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["field"].as_str().unwrap().to_owned())
        .collect();
    fields.sort();
    assert_eq!(
        fields,
        ["created_at", "name", "nme", "price", "state", "stock", "tags"]
    );
    assert!(
        got.body.contains("did you mean `name`") && got.body.contains("did you mean live"),
        "{got:?}"
    );
    let got = api
        .ask("POST", "/products")
        .send("{}")
        .problem(422, "invalid-fields");
    assert_eq!(
        got.json()["errors"].as_array().unwrap().len(),
        2,
        "name and price are required: {got:?}"
    );
    let got = api
        .ask("POST", "/products")
        .send(r#"[{"name":"a","price":1},{"name":"b"},{"name":7,"price":2}]"#)
        .problem(422, "invalid-fields");
    assert_eq!(got.json()["errors"][0]["field"], "1.price");
    assert_eq!(got.json()["errors"][1]["field"], "2.name");
    assert_eq!(api.names(""), "", "all or nothing");
}

#[test]
fn bodies_that_are_none() {
    let api = Api::shop();
    let deep = format!("{{\"details\":{}{}}}", "[".repeat(20_000), "]".repeat(20_000));
    for (body, says) in [
        ("", "empty"),
        ("{", "byte 1"),
        ("7", "a number"),
        ("[7]", "Item 0"),
        (r#"{"name":"a","name":"b"}"#, "stands twice"),
        (r#"{"price":NaN}"#, "a value was expected"),
        (r#"{"price":1e999}"#, "too large"),
        (r#"{"name":"\ud800"}"#, "surrogate"),
        (&deep, "deeper"),
    ] {
        let got = api.ask("POST", "/products").send(body).problem(400, "bad-body");
        assert!(got.body.contains(says), "{got:?} should say {says}");
    }
    api.ask("POST", "/products")
        .header("content-type", "text/plain")
        .send("{}")
        .is(415);
    api.ask("POST", "/products")
        .send(&" ".repeat(2 << 20))
        .problem(413, "body-too-large");
    api.ask("POST", "/products")
        .send(r#"{"name":"a\u0000b","price":1}"#)
        .problem(422, "invalid-fields");
}

#[test]
fn numbers_keep_their_digits() {
    let api = Api::shop();
    for (sent, kept) in [
        ("0.1", "0.10"),
        ("9999999999.99", "9999999999.99"),
        ("\"12.30\"", "12.30"),
        ("1e2", "100.00"),
    ] {
        let got = api
            .ask("POST", "/products")
            .send(&format!(
                r#"{{"name":"a","price":{sent},"stock":9223372036854775807}}"#
            ))
            .is(201);
        assert!(got.body.contains(&format!("\"price\":{kept},")), "{got:?}");
        assert!(got.body.contains("\"stock\":9223372036854775807"), "{got:?}");
    }
}

#[test]
fn many_rows_and_few() {
    let api = Api::shop();
    let got = api
        .ask("POST", "/products?select=name")
        .send(r#"[{"name":"a","price":1},{"name":"b","price":2,"stock":5}]"#)
        .is(201);
    assert_eq!(
        (got.body.as_str(), got.header("location")),
        (r#"[{"name":"a"},{"name":"b"}]"#, "")
    );
    assert_eq!(api.ask("POST", "/products").send("[]").is(201).body, "[]");
    let got = api
        .ask("POST", "/products")
        .prefer("return=minimal")
        .send(r#"{"name":"c","price":3}"#)
        .is(201);
    assert!(
        got.body.is_empty() && got.header("location").starts_with("/products/"),
        "{got:?}"
    );

    api.ask("PATCH", "/products")
        .send(r#"{"stock":1}"#)
        .problem(400, "filter-required");
    api.ask("DELETE", "/products")
        .get()
        .problem(400, "filter-required");
    let got = api
        .ask("PATCH", "/products?price=gte.2&select=name,stock&")
        .send(r#"{"stock":9}"#)
        .is(200);
    let mut rows: Vec<_> = got
        .json()
        .as_array()
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    rows.sort();
    assert_eq!(rows, [r#"{"name":"b","stock":9}"#, r#"{"name":"c","stock":9}"#]);
    assert_eq!(got.header("content-range"), "0-1/*");
    api.ask("PATCH", "/products?stock=eq.9")
        .prefer("max-affected=1")
        .send(r#"{"stock":8}"#)
        .problem(400, "max-affected");
    assert_eq!(api.names("stock=eq.9&order=name"), "bc", "nothing was changed");
    api.ask("PATCH", "/products?stock=eq.9&order=name")
        .send("{}")
        .problem(400, "unknown-parameter");
    let got = api
        .ask("DELETE", "/products?name=eq.b")
        .prefer("count=exact")
        .get()
        .is(204);
    assert_eq!(got.header("content-range"), "*/1");
    let got = api
        .ask("DELETE", "/products?name=eq.c&select=name")
        .prefer("return=representation")
        .get()
        .is(200);
    assert_eq!(got.body, r#"[{"name":"c"}]"#);
    assert_eq!(api.names(""), "a");
    api.ask("POST", "/products")
        .prefer("tx=rollback")
        .send(r#"{"name":"z","price":1}"#)
        .is(201);
    assert_eq!(api.names(""), "a", "undone");
}

#[test]
fn what_is_there_already() {
    let api = Api::shop();
    let id = api
        .ask("POST", "/products")
        .send(r#"{"name":"a","price":1,"sku":"s"}"#)
        .is(201)
        .json()["id"]
        .clone();
    let got = api
        .ask("POST", "/products")
        .send(r#"{"name":"b","price":1,"sku":"s"}"#)
        .problem(409, "already-exists");
    assert!(got.body.contains("`sku`") && got.body.contains("`s`"), "{got:?}");
    let got = api
        .ask("POST", "/products?on_conflict=sku")
        .prefer("resolution=ignore-duplicates")
        .send(r#"[{"name":"b","price":1,"sku":"s"}]"#)
        .is(201);
    assert_eq!(
        (got.body.as_str(), got.header("preference-applied")),
        ("[]", "resolution=ignore-duplicates")
    );
    let got = api
        .ask("POST", "/products?on_conflict=sku")
        .prefer("resolution=merge-duplicates")
        .send(r#"[{"name":"c","price":2,"sku":"s"},{"name":"d","price":3,"sku":"t"}]"#)
        .is(201);
    assert_eq!(got.json()[0]["id"], id, "the old row, overwritten");
    assert_eq!(api.names("order=name"), "cd");
    api.ask("POST", "/products?on_conflict=name")
        .prefer("resolution=merge-duplicates")
        .send("[]")
        .problem(400, "bad-query");
}

#[test]
fn references_are_kept() {
    let api = Api::shop();
    let id = api.product("a", "1");
    let ghost = crate::bucket::new_id(3);
    let got = api
        .ask("POST", "/reviews")
        .send(&format!(r#"{{"id":1,"product_id":"{ghost}","stars":1}}"#))
        .problem(422, "reference-missing");
    assert_eq!(got.json()["errors"][0]["field"], "product_id");
    assert!(got.body.contains(&ghost.to_string()), "{got:?}");
    api.ask("POST", "/reviews")
        .send(&format!(r#"{{"id":1,"product_id":"{id}","stars":1}}"#))
        .is(201);
    let got = api
        .ask("DELETE", &format!("/products/{id}"))
        .get()
        .problem(409, "still-referred");
    assert!(got.body.contains("reviews"), "{got:?}");
}

#[test]
fn an_idempotency_key_writes_once() {
    let api = Api::shop();
    let body = r#"{"name":"a","price":1}"#;
    let first = api
        .ask("POST", "/products")
        .header("idempotency-key", "\"k-1\"")
        .send(body)
        .is(201);
    let again = api
        .ask("POST", "/products")
        .header("idempotency-key", "k-1")
        .send(body)
        .is(201);
    assert_eq!(again.body, first.body);
    assert_eq!(
        (
            first.header("idempotent-replayed"),
            again.header("idempotent-replayed")
        ),
        ("", "true")
    );
    for name in ["etag", "location", "content-type"] {
        assert_eq!(again.header(name), first.header(name), "{name}");
    }
    assert_eq!(api.names(""), "a");
    api.ask("POST", "/products")
        .header("idempotency-key", "k-1")
        .send(r#"{"name":"b","price":1}"#)
        .problem(422, "idempotency-mismatch");
    api.ask("POST", "/products")
        .header("idempotency-key", "k-1")
        .by("ann")
        .send(body)
        .is(201);
    assert_eq!(api.names(""), "aa", "another caller's key is another key");
    for bad in ["", "\"\"", &"x".repeat(256)] {
        api.ask("POST", "/products")
            .header("idempotency-key", bad)
            .send(body)
            .problem(400, "bad-idempotency-key");
    }
    let path = first.header("location");
    api.ask("DELETE", path)
        .header("idempotency-key", "d")
        .get()
        .is(204);
    assert_eq!(
        api.ask("DELETE", path)
            .header("idempotency-key", "d")
            .get()
            .is(204)
            .header("idempotent-replayed"),
        "true"
    );
}

#[test]
fn strict_preferences() {
    let api = Api::shop();
    api.ask("GET", "/products").prefer("foo=bar").get().is(200);
    let got = api
        .ask("GET", "/products")
        .prefer("handling=strict, foo=bar")
        .get()
        .problem(400, "bad-preference");
    assert!(got.body.contains("foo=bar"));
}

#[test]
fn rows_come_as_csv() {
    let api = Api::shop();
    let csv = "name,price,stock,tags\n\"a,b\",1.50,3,\"{x,y}\"\nc,2,0,{}\n";
    let got = api
        .ask("POST", "/products?select=name,price,stock,tags")
        .header("content-type", "text/csv")
        .send(csv)
        .is(201);
    assert_eq!(
        got.body,
        r#"[{"name":"a,b","price":1.50,"stock":3,"tags":["x","y"]},{"name":"c","price":2.00,"stock":0,"tags":[]}]"#
    );
    let bad = api
        .ask("POST", "/products")
        .header("content-type", "text/csv")
        .send("name,price\nd,x\n");
    assert_eq!(
        bad.problem(422, "invalid-fields").json()["errors"][0]["field"],
        "0.price"
    );
    api.ask("PUT", "/products/1")
        .header("content-type", "text/csv")
        .send(csv)
        .is(404);
    let id = crate::bucket::new_id(0);
    api.ask("PUT", &format!("/products/{id}"))
        .header("content-type", "text/csv")
        .send(csv)
        .problem(400, "bad-body");
}
