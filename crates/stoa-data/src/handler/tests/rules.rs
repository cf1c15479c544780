//! Access rules become part of what is asked of the store.

use super::*;

fn order(api: &Api, who: &str, body: &str) -> String {
    let got = api.ask("POST", "/orders").by(who).send(body).is(201);
    assert_eq!(got.json()["customer_id"], who);
    got.json()["id"].as_str().unwrap().to_owned()
}

#[test]
fn owners_see_and_touch_their_rows_only() {
    let api = Api::shop();
    let (ann, bob) = (
        order(&api, "ann", r#"{"note":"a"}"#),
        order(&api, "bob", r#"{"customer_id":"bob"}"#),
    );
    api.get("/orders").is(401);
    api.ask("POST", "/orders").send("{}").is(401);
    let list = api.ask("GET", "/orders?select=id").by("ann").get().is(200);
    assert_eq!(list.body, format!(r#"[{{"id":"{ann}"}}]"#));
    for filter in [
        "customer_id=eq.bob",
        "or=(customer_id.eq.bob,customer_id.neq.bob)&customer_id=neq.ann",
        &format!("id=eq.{bob}"),
    ] {
        assert_eq!(
            api.ask("GET", &format!("/orders?{filter}"))
                .by("ann")
                .get()
                .is(200)
                .body,
            "[]",
            "{filter}"
        );
        assert_eq!(
            api.ask("PATCH", &format!("/orders?{filter}"))
                .by("ann")
                .send(r#"{"note":"x"}"#)
                .is(200)
                .body,
            "[]"
        );
        let gone = api
            .ask("DELETE", &format!("/orders?{filter}"))
            .prefer("count=exact")
            .by("ann")
            .get()
            .is(204);
        assert_eq!(gone.header("content-range"), "*/0");
    }
}

#[test]
fn nobody_reaches_the_row_of_another() {
    let api = Api::shop();
    let (ann, bob) = (order(&api, "ann", "{}"), order(&api, "bob", "{}"));
    let theirs = format!("/orders/{bob}");
    let counted = api
        .ask("GET", "/orders")
        .prefer("count=exact")
        .by("ann")
        .get()
        .is(200);
    assert_eq!(counted.header("content-range"), "0-0/1");
    api.ask("GET", &theirs)
        .by("ann")
        .get()
        .problem(404, "row-not-found");
    api.ask("PATCH", &theirs)
        .by("ann")
        .send(r#"{"note":"x"}"#)
        .problem(404, "row-not-found");
    api.ask("DELETE", &theirs)
        .by("ann")
        .get()
        .problem(404, "row-not-found");
    let put = api.ask("PUT", &theirs).by("ann").send(r#"{"note":"x"}"#);
    assert!((400..500).contains(&put.status), "{put:?}");
    api.ask("POST", "/orders")
        .by("ann")
        .send(r#"{"customer_id":"bob"}"#)
        .is(403);
    api.ask("PATCH", &format!("/orders/{ann}"))
        .by("ann")
        .send(r#"{"customer_id":"bob"}"#)
        .is(422);
    let merge = format!(r#"{{"id":"{bob}","note":"x"}}"#);
    let got = api
        .ask("POST", "/orders")
        .by("ann")
        .prefer("resolution=merge-duplicates")
        .send(&merge);
    assert!((400..500).contains(&got.status), "{got:?}");
    assert_eq!(
        api.ask("GET", &theirs).by("bob").get().is(200).json()["note"].to_string(),
        "null"
    );
}

#[test]
fn a_sharded_id_carries_its_bucket() {
    let api = Api::shop();
    let id: uuid::Uuid = order(&api, "ann", "{}").parse().unwrap();
    let bucket = crate::bucket::bucket_of(&crate::value::Value::Text("ann".into()));
    assert_eq!(crate::bucket::bucket_in(&id), bucket);
    let fitting = crate::bucket::new_id(bucket);
    api.ask("POST", "/orders")
        .by("ann")
        .send(&format!(r#"{{"id":"{fitting}"}}"#))
        .is(201);
    let other = crate::bucket::new_id((bucket + 1) % crate::bucket::BUCKETS);
    let got = api
        .ask("POST", "/orders")
        .by("ann")
        .send(&format!(r#"{{"id":"{other}"}}"#))
        .problem(422, "invalid-fields");
    assert_eq!(got.json()["errors"][0]["field"], "id");
    api.ask("PUT", &format!("/orders/{other}"))
        .by("ann")
        .send("{}")
        .problem(422, "invalid-fields");
    let mine = crate::bucket::new_id(bucket);
    api.ask("PUT", &format!("/orders/{mine}"))
        .by("ann")
        .send("{}")
        .is(201);
    assert_eq!(
        api.ask("PUT", &format!("/orders/{mine}"))
            .by("ann")
            .send(r#"{"quantity":2}"#)
            .is(200)
            .json()["quantity"]
            .to_string(),
        "2"
    );
}

#[test]
fn verbs_that_nobody_may_use() {
    let api = Api::shop();
    api.ask("POST", "/people")
        .send(r#"{"id":"a","name":"A"}"#)
        .is(201);
    for (method, path) in [
        ("PATCH", "/people/a"),
        ("DELETE", "/people/a"),
        ("PATCH", "/people?id=eq.a"),
        ("DELETE", "/people?id=eq.a"),
    ] {
        let got = api.ask(method, path).by("ann").send(r#"{"name":"B"}"#);
        assert_eq!(got.status, 403, "{method} {path}: {got:?}");
    }
    api.ask("PUT", "/people/a")
        .by("ann")
        .send(r#"{"name":"B"}"#)
        .is(403);
    let guarded = api.ask("PUT", "/people/z").by("ann").header("if-match", "\"1\"");
    guarded.send(r#"{"name":"B"}"#).is(403);
    let got = api
        .ask("POST", "/people")
        .by("ann")
        .prefer("resolution=merge-duplicates")
        .send(r#"{"id":"a","name":"B"}"#);
    assert_eq!(got.status, 403, "{got:?}");
    api.ask("PUT", "/people/b")
        .by("ann")
        .send(r#"{"name":"B"}"#)
        .is(201);
    assert_eq!(api.get("/people/a").is(200).json()["name"], "A");
}

#[test]
fn a_request_shows_the_rules_it_met() {
    let plan = crate::testing::plan(SHOP);
    let people = plan.resource("people").expect("people");
    for (method, rules) in [
        (Method::GET, "read: public"),
        (Method::PUT, "create: public,update: none"),
    ] {
        let shown = decision(people, &method, false)["rules"].clone();
        let shown: Vec<_> = shown
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r.as_str().unwrap().to_owned())
            .collect();
        assert_eq!(shown.join(","), rules);
    }
}
