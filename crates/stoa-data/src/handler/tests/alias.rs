//! The alias `/rest/v1` answers as PostgREST does.

use super::*;

fn seeded() -> Api {
    let api = Api::shop();
    api.letters();
    api
}

#[test]
fn reads_as_postgrest_does() {
    let api = seeded();
    let got = api.get("/rest/v1/products?select=name&order=name").is(200);
    assert_eq!(got.header("content-range"), "0-4/*");
    assert_eq!(
        (got.header("link"), got.header("content-location")),
        ("", "/products?order=name&select=name")
    );
    assert_eq!(got.header("content-type"), "application/json; charset=utf-8");
    let got = api
        .ask("GET", "/rest/v1/products?limit=2")
        .prefer("count=exact")
        .get()
        .is(206);
    assert_eq!(got.header("content-range"), "0-1/7");
    let got = api
        .ask("GET", "/rest/v1/products?name=eq.a")
        .prefer("count=exact")
        .get()
        .is(200);
    assert_eq!(got.header("content-range"), "0-0/1");
    let got = api
        .ask("GET", "/rest/v1/products?offset=8")
        .prefer("count=exact")
        .get()
        .problem(416, "PGRST103");
    assert_eq!(
        got.json()["details"],
        "An offset of 8 was requested, but there are only 7 rows."
    );
    assert_eq!(got.header("content-range"), "*/7");
    let got = api
        .ask("GET", "/rest/v1/products?select=name&order=name")
        .header("range", "1-2")
        .get()
        .is(200);
    assert_eq!(
        (got.body.as_str(), got.header("content-range")),
        (r#"[{"name":"b"},{"name":"c"}]"#, "1-2/*")
    );
    api.ask("GET", "/rest/v1/products")
        .header("range", "5-1")
        .get()
        .problem(416, "PGRST103");
    api.get("/rest/v1/products?limit=-1").problem(416, "PGRST103");
    api.get("/rest/v1/products?limit=abc").is(200);
    assert_eq!(api.get("/rest/v1/products?limit=0").is(200).body, "[]");
    let got = api
        .ask("GET", "/rest/v1/products?name=eq.a&select=name")
        .header("accept", "application/vnd.pgrst.object+json")
        .get()
        .is(200);
    assert_eq!(got.body, r#"{"name":"a"}"#);
    let got = api
        .ask("GET", "/rest/v1/products?select=name")
        .header("accept", "application/vnd.pgrst.object+json")
        .get()
        .problem(406, "PGRST116");
    assert_eq!(
        got.json()["message"],
        "Cannot coerce the result to a single JSON object"
    );
    assert_eq!(got.json()["details"], "The result contains 5 rows");
}

#[test]
fn writes_as_postgrest_does() {
    let api = Api::shop();
    let got = api
        .ask("POST", "/rest/v1/products")
        .send(r#"{"name":"a","price":1,"sku":"s"}"#)
        .is(201);
    assert_eq!(
        (
            got.body.as_str(),
            got.header("location"),
            got.header("content-range")
        ),
        ("", "", "*/*")
    );
    let got = api
        .ask("POST", "/rest/v1/products?select=name")
        .prefer("return=representation,count=exact")
        .send(r#"{"name":"b","price":1}"#)
        .is(201);
    assert_eq!(
        (got.body.as_str(), got.header("content-range")),
        (r#"[{"name":"b"}]"#, "*/1")
    );
    assert_eq!(
        got.header("preference-applied"),
        "return=representation, count=exact"
    );
    let got = api
        .ask("POST", "/rest/v1/products")
        .prefer("return=headers-only")
        .send(r#"{"name":"c","price":1}"#)
        .is(201);
    assert!(got.header("location").starts_with("/products?id=eq."), "{got:?}");
    assert_eq!(api.ask("POST", "/rest/v1/products").send("[]").is(201).body, "");
    let got = api
        .ask("PATCH", "/rest/v1/products?name=eq.a")
        .send(r#"{"stock":2}"#)
        .is(204);
    assert_eq!((got.body.as_str(), got.header("content-range")), ("", "0-0/*"));
    let got = api
        .ask("PATCH", "/rest/v1/products?name=eq.zz")
        .send(r#"{"stock":2}"#)
        .is(204);
    assert_eq!(got.header("content-range"), "*/*");
    let got = api
        .ask("PATCH", "/rest/v1/products?name=eq.a&select=stock")
        .prefer("return=representation")
        .send(r#"{"stock":3}"#)
        .is(200);
    assert_eq!(got.body, r#"[{"stock":3}]"#);
    let object = "application/vnd.pgrst.object+json";
    let got = api
        .ask("PATCH", "/rest/v1/products?name=eq.a&select=stock")
        .header("accept", object)
        .prefer("return=representation")
        .send(r#"{"stock":4}"#)
        .is(200);
    assert_eq!(got.body, r#"{"stock":4}"#);
    let got = api
        .ask("PATCH", "/rest/v1/products?price=eq.1")
        .header("accept", object)
        .prefer("return=representation")
        .send(r#"{"stock":5}"#)
        .problem(406, "PGRST116");
    assert_eq!(got.json()["details"], "The result contains 3 rows");
    assert_eq!(api.names("stock=eq.5"), "", "undone");
    api.ask("PATCH", "/rest/v1/products?price=eq.1")
        .prefer("handling=strict, max-affected=2")
        .send(r#"{"stock":5}"#)
        .problem(400, "PGRST124");
    api.ask("DELETE", "/rest/v1/products").get().problem(400, "21000");
    assert_eq!(
        api.ask("DELETE", "/rest/v1/products?name=eq.b")
            .get()
            .is(204)
            .header("content-range"),
        "*/*"
    );
    let got = api
        .ask("DELETE", "/rest/v1/products?name=eq.c&select=name")
        .prefer("return=representation")
        .get()
        .is(200);
    assert_eq!(got.body, r#"[{"name":"c"}]"#);
}

#[test]
fn upserts_and_puts_as_postgrest_does() {
    let api = Api::shop();
    let id = api.product("a", "1");
    let row = format!(r#"{{"id":"{id}","name":"b","price":2}}"#);
    api.ask("POST", "/rest/v1/products")
        .prefer("resolution=merge-duplicates")
        .send(&row)
        .is(200);
    assert_eq!(api.names(""), "b");
    api.ask("POST", "/rest/v1/products")
        .prefer("resolution=ignore-duplicates")
        .send(&row)
        .is(201);
    let path = format!("/rest/v1/products?id=eq.{id}");
    api.ask("PUT", &path).send(&row.replace("\"b\"", "\"c\"")).is(204);
    let got = api
        .ask("PUT", &path)
        .prefer("return=representation")
        .send(&row)
        .is(200);
    assert_eq!(got.json()[0]["name"], "b");
    api.ask("PUT", "/rest/v1/products?name=eq.b")
        .send(&row)
        .problem(405, "PGRST105");
    api.ask("PUT", &format!("{path}&limit=1"))
        .send(&row)
        .problem(400, "PGRST114");
    api.ask("PUT", &path)
        .send(&format!("[{row},{row}]"))
        .problem(400, "PGRST115");
    // The clients send `columns` with an array.
    let rows = r#"[{"name":"x","price":1,"stock":7},{"name":"y","price":1}]"#;
    api.ask("POST", "/rest/v1/products")
        .send(rows)
        .problem(400, "PGRST102");
    api.ask("POST", "/rest/v1/products?columns=\"name\",\"price\",\"stock\"")
        .send(rows)
        .problem(400, "23502");
    let got = api
        .ask(
            "POST",
            "/rest/v1/products?columns=\"name\",\"price\",\"stock\"&select=name,stock",
        )
        .prefer("return=representation,missing=default")
        .send(rows)
        .is(201);
    assert_eq!(got.body, r#"[{"name":"x","stock":7},{"name":"y","stock":0}]"#);
    api.ask("POST", "/rest/v1/products?columns=nme")
        .send(rows)
        .problem(400, "PGRST204");
}

#[test]
fn a_whole_record_can_be_sent_back() {
    let api = Api::shop();
    let id = api.product("a", "1");
    let mut row = api.get(&format!("/products/{id}")).is(200).json();
    row["name"] = "b".into();
    let path = format!("/rest/v1/products?id=eq.{id}");
    api.ask("PATCH", &path).send(&row.to_string()).is(204);
    assert_eq!(api.names(""), "b");
    row["created_at"] = "2001-01-01T00:00:00Z".into();
    api.ask("PATCH", &path)
        .send(&row.to_string())
        .problem(400, "428C9");
}

#[test]
fn errors_have_postgrests_codes() {
    let api = Api::shop();
    api.ask("POST", "/products")
        .send(r#"{"name":"a","price":1,"sku":"s"}"#)
        .is(201);
    for (method, path, body, status, code, message) in ERRORS {
        let got = api
            .ask(method, &format!("/rest/v1/{path}"))
            .send(body)
            .problem(*status, code);
        assert_eq!(got.json()["message"], *message, "{path}");
    }
    let got = api
        .ask("POST", "/rest/v1/products")
        .send(r#"{"name":"b","price":1,"sku":"s"}"#);
    assert_eq!(got.json()["details"], "Key (sku)=(s) already exists.");
    assert_eq!(
        api.ask("OPTIONS", "/rest/v1/products")
            .get()
            .is(200)
            .header("allow"),
        "OPTIONS,GET,HEAD,POST,PUT,PATCH,DELETE"
    );
    let got = api
        .ask("GET", "/rest/v1/products")
        .prefer("handling=strict, foo=bar")
        .get()
        .problem(400, "PGRST122");
    assert_eq!(got.json()["details"], "Invalid preferences: foo=bar");
    api.ask("GET", "/rest/v1/products")
        .header("accept", "image/png")
        .get()
        .problem(406, "PGRST107");
}

/// Method, path, body; status, code and message.
const ERRORS: &[(&str, &str, &str, u16, &str, &str)] = &[
    (
        "GET",
        "products?name=noop.0",
        "",
        400,
        "PGRST100",
        "\"failed to parse filter (noop.0)\" (line 1, column 1)",
    ),
    (
        "GET",
        "products?nme=eq.0",
        "",
        400,
        "42703",
        "column products.nme does not exist",
    ),
    (
        "GET",
        "products?select=nme",
        "",
        400,
        "42703",
        "column products.nme does not exist",
    ),
    (
        "GET",
        "products?stock=eq.x",
        "",
        400,
        "22P02",
        "invalid input syntax for type integer: \"x\"",
    ),
    (
        "GET",
        "products?select=order(id)",
        "",
        400,
        "PGRST200",
        "Could not find a relationship between 'products' and 'order' in the schema cache",
    ),
    (
        "GET",
        "products?reviews.stars=eq.1",
        "",
        400,
        "PGRST108",
        "'reviews' is not an embedded resource in this request",
    ),
    (
        "GET",
        "products?select=*,reviews(*)&reviews=eq.1",
        "",
        400,
        "PGRST120",
        "Bad operator on the 'reviews' embedded resource",
    ),
    (
        "GET",
        "products?select=count()",
        "",
        400,
        "PGRST123",
        "Use of aggregate functions is not allowed",
    ),
    ("POST", "products", "{", 400, "PGRST102", "Empty or invalid json"),
    (
        "POST",
        "products",
        r#"{"nme":1}"#,
        400,
        "PGRST204",
        "Could not find the 'nme' column of 'products' in the schema cache",
    ),
    (
        "POST",
        "products",
        r#"{"name":"a"}"#,
        400,
        "23502",
        "null value in column \"price\" of relation \"products\" violates not-null constraint",
    ),
    (
        "POST",
        "products",
        r#"{"name":"a","price":-1}"#,
        400,
        "23514",
        "new row for relation \"products\" violates check constraint \"products_price_check\"",
    ),
    (
        "POST",
        "products",
        r#"{"name":"b","price":1,"sku":"s"}"#,
        409,
        "23505",
        "duplicate key value violates unique constraint \"products_sku_key\"",
    ),
    (
        "POST",
        "reviews",
        r#"{"id":1,"stars":1,"product_id":"00000000-0000-0000-0000-000000000000"}"#,
        409,
        "23503",
        "insert or update on table \"reviews\" violates foreign key constraint \"reviews_product_id_fkey\"",
    ),
    (
        "POST",
        "orders",
        "{}",
        401,
        "42501",
        "permission denied for table orders",
    ),
    (
        "BREW",
        "products",
        "",
        405,
        "PGRST117",
        "Unsupported HTTP method: BREW",
    ),
];
