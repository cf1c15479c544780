//! Single rows: tags, conditions, what is not there.

use super::*;

#[test]
fn a_row_has_a_tag_that_guards_it() {
    let api = Api::shop();
    let made = api
        .ask("POST", "/products")
        .send(r#"{"name":"a","price":"1.5"}"#)
        .is(201);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/products/{id}");
    assert_eq!(made.header("location"), path);
    let got = api.get(&path).is(200);
    let tag = got.header("etag").to_owned();
    assert_eq!(made.header("etag"), tag);
    assert_eq!(got.json()["price"].to_string(), "1.50");
    let again = api.ask("GET", &path).header("if-none-match", &tag).get().is(304);
    assert_eq!((again.body.as_str(), again.header("etag")), ("", tag.as_str()));
    api.ask("GET", &path)
        .header("if-none-match", &format!("\"x\", W/{tag}"))
        .get()
        .is(304);
    api.ask("GET", &path).header("if-none-match", "*").get().is(304);
    api.ask("GET", &path)
        .header("if-none-match", "\"1\"")
        .get()
        .is(200);
    let other = api.get(&format!("{path}?select=name")).is(200);
    assert_ne!(
        other.header("etag"),
        tag,
        "another representation has another tag"
    );

    // The tag of any representation guards a write; it changes with the write.
    let changed = api
        .ask("PATCH", &path)
        .header("if-match", other.header("etag"))
        .send(r#"{"name":"b"}"#)
        .is(200);
    assert_ne!(changed.header("etag"), tag);
    api.ask("PATCH", &path)
        .header("if-match", &tag)
        .send(r#"{"name":"c"}"#)
        .problem(412, "precondition-failed");
    api.ask("PATCH", &path)
        .header("if-match", &format!("W/{}", changed.header("etag")))
        .send(r#"{"name":"c"}"#)
        .problem(412, "precondition-failed");
    api.ask("PUT", &path)
        .header("if-match", &tag)
        .send(r#"{"name":"c","price":1}"#)
        .problem(412, "precondition-failed");
    api.ask("DELETE", &path)
        .header("if-match", &tag)
        .get()
        .problem(412, "precondition-failed");
    api.ask("DELETE", &path)
        .header("if-match", changed.header("etag"))
        .get()
        .is(204);
    api.get(&path).problem(404, "row-not-found");
}

#[test]
fn put_creates_and_replaces() {
    let api = Api::shop();
    let id = crate::bucket::new_id(0).to_string();
    let path = format!("/products/{id}");
    api.ask("PUT", &path)
        .header("if-match", "*")
        .send(r#"{"name":"a","price":1}"#)
        .is(404);
    let made = api
        .ask("PUT", &path)
        .header("if-none-match", "*")
        .send(r#"{"name":"a","price":1,"stock":7,"details":{"a":1}}"#)
        .is(201);
    assert_eq!(made.header("location"), path);
    api.ask("PUT", &path)
        .header("if-none-match", "*")
        .send(r#"{"name":"a","price":1}"#)
        .problem(412, "precondition-failed");
    let replaced = api
        .ask("PUT", &path)
        .send(r#"{"name":"b","price":2}"#)
        .is(200)
        .json();
    assert_eq!(
        (replaced["stock"].to_string(), replaced["details"].to_string()),
        ("0".into(), "null".into())
    );
    assert_eq!(replaced["created_at"], made.json()["created_at"]);

    // What was read can be sent back; what never changes cannot be changed.
    let mut row = replaced.clone();
    row["name"] = "c".into();
    assert_eq!(
        api.ask("PUT", &path).send(&row.to_string()).is(200).json()["name"],
        "c"
    );
    row["created_at"] = "2001-01-01T00:00:00Z".into();
    let got = api
        .ask("PUT", &path)
        .send(&row.to_string())
        .problem(422, "invalid-fields");
    assert_eq!(got.json()["errors"][0]["field"], "created_at");
    api.ask("PATCH", &path)
        .send(&row.to_string())
        .problem(422, "invalid-fields");
    let other = format!(r#"{{"id":"{}","name":"c","price":1}}"#, crate::bucket::new_id(0));
    let got = api.ask("PUT", &path).send(&other).problem(422, "invalid-fields");
    assert_eq!(got.json()["errors"][0]["field"], "id");
}

#[test]
fn a_patch_merges() {
    let api = Api::shop();
    let made = api
        .ask("POST", "/products")
        .send(r#"{"name":"a","price":1,"details":{"a":{"b":1,"c":2},"d":3}}"#)
        .is(201);
    let path = made.header("location").to_owned();
    let got = api
        .ask("PATCH", &path)
        .header("content-type", "application/merge-patch+json")
        .send(r#"{"details":{"a":{"b":null,"e":5},"d":null}}"#)
        .is(200);
    assert_eq!(got.json()["details"].to_string(), r#"{"a":{"c":2,"e":5}}"#);
    assert_eq!(
        api.ask("PATCH", &path)
            .send(r#"{"details":null,"sku":"x"}"#)
            .is(200)
            .json()["details"]
            .to_string(),
        "null"
    );
    let before = api.get(&path);
    let same = api.ask("PATCH", &path).send("{}").is(200);
    assert_eq!(same.header("etag"), before.header("etag"));
    api.ask("PATCH", &path)
        .header("if-match", "\"77\"")
        .send("{}")
        .is(412);
    let minimal = api
        .ask("PATCH", &path)
        .prefer("return=minimal")
        .send(r#"{"stock":3}"#)
        .is(204);
    assert_eq!(
        (minimal.body.as_str(), minimal.header("preference-applied")),
        ("", "return=minimal")
    );
    api.ask("PATCH", &path)
        .header("if-match", minimal.header("etag"))
        .send(r#"{"stock":4}"#)
        .is(200);
    api.ask("PATCH", &path)
        .send(r#"{"name":null}"#)
        .problem(422, "invalid-fields");
    api.ask("PATCH", &path).send("[]").problem(400, "bad-body");
    api.ask("PATCH", &path)
        .header("content-type", "text/plain")
        .send("{}")
        .is(415);
}

#[test]
fn addresses_that_are_none() {
    let api = Api::shop();
    for path in [
        "/products/abc",
        "/products/%ff",
        "/products/a/b",
        "/products/00000000-0000-0000-0000-000000000000",
    ] {
        for method in ["GET", "PATCH", "DELETE"] {
            api.ask(method, path).send("{}").problem(404, "row-not-found");
        }
    }
    let got = api.ask("POST", "/products/abc").send("{}");
    assert_eq!(got.status, 404);
    let got = api
        .ask("PUT", "/products")
        .send("{}")
        .problem(405, "method-not-allowed");
    assert_eq!(got.header("allow"), "GET, HEAD, POST, PATCH, DELETE, OPTIONS");
    assert_eq!(
        api.ask("OPTIONS", "/products/1").get().is(204).header("allow"),
        "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"
    );
}

#[test]
fn text_keys_are_decoded_once() {
    let api = Api::shop();
    for (id, path) in [
        ("a b", "/people/a%20b"),
        ("%41", "/people/%2541"),
        ("é", "/people/%C3%A9"),
    ] {
        let made = api
            .ask("POST", "/people")
            .send(&serde_json::json!({"id": id, "name": "x"}).to_string())
            .is(201);
        assert_eq!(made.header("location"), path);
        assert_eq!(api.get(path).is(200).json()["id"], id);
    }
}

#[test]
fn keys_that_no_path_can_hold_are_found_by_filter() {
    let api = Api::shop();
    for (id, place) in [
        ("a/b", "/people?id=eq.a%2Fb"),
        ("a\\b", "/people?id=eq.a%5Cb"),
        ("..", "/people?id=eq..."),
        ("", "/people?id=eq."),
    ] {
        let made = api
            .ask("POST", "/people")
            .send(&serde_json::json!({"id": id, "name": "x"}).to_string())
            .is(201);
        assert_eq!(made.header("location"), place);
        assert_eq!(api.get(place).is(200).json()[0]["id"], id);
    }
}
