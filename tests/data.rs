//! `stoa data`: everything that was made on SQLite goes to one PostgreSQL, and from there to three shards, with its ids.

use crate::support::{
    client::Client,
    server::{Ran, Server, Setup, folder_with, stoa, stoa_fed},
    stores::Stores,
};
use serde_json::{Value, json};
use std::path::Path;

const FILE: &str = r#"
api: shop
stores: { main: sqlite:shop.db }
resources:
  countries:
    read: public
    write: public
    fields: { code: "text, key", name: text }
  customers:
    shard: id
    read: public
    write: public
    fields: { id: "text, key", country: ref countries, since: "date, optional" }
  orders:
    shard: customer
    list: { max: 1000 }
    read: public
    write: public
    fields:
      customer: ref customers
      follows: ref orders, optional
      n: int
      total: decimal(20,4)
      ratio: float
      paid: bool, default false
      number: uuid, optional
      kind: enum(web, shop), default web
      tags: list of text, default []
      details: json, optional
      created_at: time, auto
profiles:
  one: { stores: { main: ONE } }
  three: { stores: { main: THREE } }
"#;

fn files() -> (Stores, Stores, String) {
    let (mut one, mut three) = (Stores::start("postgres"), Stores::start("shards"));
    let file = FILE
        .replace("ONE", &one.fresh(None))
        .replace("THREE", &three.fresh(None));
    (one, three, file)
}

fn serve(folder: &Path, profile: Option<&str>) -> Server {
    let mut setup = Setup::new("serve", folder);
    setup.arguments = profile.map_or_else(Vec::new, |name| vec!["--profile".to_owned(), name.to_owned()]);
    Server::start(&setup)
}

fn post(client: &Client, path: &str, body: &Value) -> Value {
    let made = client.send("POST", path, &[], Some(body));
    assert_eq!(made.status, 201, "{path} {body}: {}", made.text);
    made.json()
}

/// Rows of every type, some of which refer to others of their own kind.
fn fill(client: &Client) {
    post(
        client,
        "/countries",
        &json!([{ "code": "de", "name": "Ä\"\n" }, { "code": "at", "name": "" }]),
    );
    for n in 0..12 {
        let country = if n % 2 == 0 { "de" } else { "at" };
        let customer = json!({ "id": format!("c{n}"), "country": country, "since": "1999-12-31" });
        post(client, "/customers", &customer);
        let mut before = Value::Null;
        for order in 0..5 {
            let id = post(
                client,
                "/orders",
                &json!({
                    "customer": format!("c{n}"), "follows": before, "n": i64::MAX - order, "ratio": 0.1 + f64::from(n),
                    "total": format!("1234567890123456.{order}1"), "paid": n % 2 == 0, "kind": "shop", "number": "0f8fad5b-d9cb-469f-a165-70867728950e",
                    "tags": ["a,b", "{}", "\"", ""], "details": { "x": [1.50, null, { "y": "z" }] },
                }),
            );
            before = id["id"].clone();
        }
        // The first one refers to the last: whichever comes first, one of them waits for the other.
        let first = client
            .get(&format!("/orders?customer=eq.c{n}&order=id&limit=1"))
            .json()[0]["id"]
            .clone();
        let path = format!("/orders/{}", first.as_str().expect("an id"));
        let patched = client.send("PATCH", &path, &[], Some(&json!({ "follows": before })));
        assert_eq!(patched.status, 200, "{}", patched.text);
    }
}

/// Everything, as text, so that each digit counts.
fn all(client: &Client) -> [String; 3] {
    [
        "/countries?order=code",
        "/customers?order=id&limit=100",
        "/orders?order=id&limit=1000",
    ]
    .map(|path| {
        let list = client.send("GET", path, &[("stoa-consistency", "strong")], None);
        assert_eq!(list.status, 200, "{}", list.text);
        list.text
    })
}

fn export(folder: &Path, words: &[&str]) -> String {
    let ran = stoa(folder, &[&["data", "export"], words].concat());
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    ran.stdout
}

fn import(folder: &Path, profile: &str, lines: &str) -> Ran {
    stoa_fed(folder, &["data", "import", "--profile", profile, "--json"], lines)
}

#[test]
fn rows_go_from_sqlite_to_postgresql_to_three_shards() {
    let (_one, _three, file) = files();
    let (_keep, folder) = folder_with(&file);
    let server = serve(&folder, None);
    fill(&server.client);
    let before = all(&server.client);
    drop(server);

    let lines = export(&folder, &[]);
    // Cut off on the way: what came is there, and the whole comes on top.
    let cut = &lines[..lines.trim_end().rfind('\n').expect("many lines")];
    let ran = import(&folder, "one", cut);
    assert!(
        ran.code == 1 && ran.stderr.contains("ends before its last line"),
        "{}",
        ran.stderr
    );
    for _ in 0..2 {
        let ran = import(&folder, "one", &lines);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        let said: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        let orders = json!({ "resource": "orders", "rows": 60, "there": 60 });
        assert_eq!(said["resources"][2], orders, "{said}");
    }
    let server = serve(&folder, Some("one"));
    assert_eq!(all(&server.client), before);
    drop(server);

    let ran = import(&folder, "three", &export(&folder, &["--profile", "one"]));
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let server = serve(&folder, Some("three"));
    assert_eq!(all(&server.client), before);
    let orders: Value = serde_json::from_str(&before[2]).expect("JSON");
    for order in orders.as_array().expect("a list") {
        let path = format!("/orders/{}", order["id"].as_str().expect("an id"));
        let found = server
            .client
            .send("GET", &path, &[("stoa-consistency", "strong")], None);
        assert_eq!(
            (found.status, &found.json()),
            (200, order),
            "an id alone finds its row"
        );
    }
    post(
        &server.client,
        "/orders",
        &json!({ "customer": "c3", "n": 1, "total": 1, "ratio": 1 }),
    );
}

#[test]
fn what_does_not_fit_is_told_with_its_row() {
    let mut one = Stores::start("postgres");
    let file = FILE
        .replace("ONE", &one.fresh(None))
        .replace("THREE", "postgres://127.0.0.1/elsewhere");
    let unspread = file
        .replace("    shard: customer\n", "")
        .replace("    shard: id\n", "");
    let (_keep, folder) = folder_with(&unspread);
    let server = serve(&folder, None);
    fill(&server.client);
    drop(server);
    let lines = export(&folder, &["--only", "countries,customers,orders"]);
    // Ids that were made before the file had the shard key do not say where their rows lie.
    std::fs::write(folder.join("stoa.yaml"), &file).expect("written");
    let ran = import(&folder, "one", &lines);
    assert_eq!(ran.code, 1);
    for part in [
        "`orders`: rows do not fit:",
        "id does not belong to this `customer`",
        "carry its bucket",
    ] {
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
    let narrow = file.replace("kind: enum(web, shop)", "kind: enum(web)");
    std::fs::write(
        folder.join("stoa.yaml"),
        narrow.replace("    shard: customer\n", ""),
    )
    .expect("written");
    let ran = import(&folder, "one", &lines);
    assert!(
        ran.code == 1 && ran.stderr.contains("kind must be"),
        "{}",
        ran.stderr
    );
    let ran = import(&folder, "one", "id,name\n1,x\n");
    assert!(
        ran.code == 1 && ran.stderr.contains("is not JSON"),
        "{}",
        ran.stderr
    );
    let ran = import(&folder, "one", "{\"resource\":\"orders\",\"rows\":[]}\n");
    assert!(
        ran.code == 1 && ran.stderr.contains("`stoa data export`"),
        "{}",
        ran.stderr
    );
}
