//! What the document promises, from small API files.

use super::document;
use crate::seed::tests::plan;
use serde_json::{Value, json};
use std::collections::HashSet;

const SHOP: &str = r#"
api: shop
auth: { jwt: { secret: "a secret of thirty-two bytes or more" } }
services:
  payments:
    url: http://127.0.0.1:9001
    routes:
      GET /payments/{id}: { access: scope payments.read }
      DELETE /payments/{payment}: { access: role admin }
      GET /payments/rates: { access: public }
      /payments/admin/**: { access: none }
      /files/**: { access: user }
resources:
  products:
    fields:
      name: text, 1..120 chars
      sku: text, unique, matches [A-Z]+
      price: decimal(12,2), min 0
      tags: list of text, default []
      details: json, optional
      created_at: time, auto
    read: public
    write: role admin
  orders:
    shard: customer_id
    fields:
      customer_id: uuid
      product_id: ref products
      quantity: int, 1..99
      status: enum(new, paid), default new
      note: text, optional
    read: owner customer_id
    write: owner customer_id
  archive:
    fields: { text: text }
    read: public
    write: none
"#;

fn shop() -> Value {
    document(&plan(SHOP))
}

#[test]
fn operation_ids_are_stable_and_unique() {
    let document = shop();
    let mut ids = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            ids.push(format!("{} {path} {id}", method.to_uppercase()));
        }
    }
    ids.sort();
    let unique: HashSet<_> = ids.iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(unique.len(), ids.len());
    for expected in [
        "GET /products listProducts",
        "POST /products createProducts",
        "PATCH /products updateProducts",
        "DELETE /products deleteProducts",
        "GET /products/{id} getProduct",
        "PUT /products/{id} replaceProduct",
        "PATCH /products/{id} updateProduct",
        "DELETE /products/{id} deleteProduct",
        "GET /payments/{id} getPaymentsById",
        "GET /payments/rates getPaymentsRates",
        "GET /files/{rest} getFilesByRest",
    ] {
        assert!(
            ids.iter().any(|id| id == expected),
            "{expected} is not among {ids:#?}"
        );
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_body_has_a_named_schema() {
    let document = shop();
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 100);
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
    }
    for item in document["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            let content = operation.pointer("/requestBody/content/application~1json/schema");
            assert!(
                content.is_none_or(|schema| schema.get("$ref").is_some()),
                "{operation:#}"
            );
        }
    }
}

fn collect(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                found.push(reference.clone());
            }
            members.values().for_each(|v| collect(v, found));
        }
        Value::Array(items) => items.iter().for_each(|v| collect(v, found)),
        _ => {}
    }
}

#[test]
fn what_nobody_may_do_is_left_out() {
    let document = shop();
    assert!(document["paths"]["/archive"].get("post").is_none());
    assert!(document["paths"]["/archive"].get("get").is_some());
    assert!(document["paths"].get("/payments/admin/{rest}").is_none());
}

#[test]
fn paths_that_differ_in_names_only_are_one() {
    let document = shop();
    assert!(document["paths"].get("/payments/{payment}").is_none());
    let delete = &document["paths"]["/payments/{id}"]["delete"];
    assert_eq!(delete["parameters"][0]["name"], "id");
}

#[test]
fn access_is_said_in_every_way() {
    let document = shop();
    let list = &document["paths"]["/products"]["get"];
    assert_eq!(list["security"], json!([]));
    assert_eq!(list["x-stoa-access"], "public");
    let create = &document["paths"]["/products"]["post"];
    assert_eq!(create["security"], json!([{ "bearerAuth": [] }]));
    assert_eq!(create["x-stoa-access"], "role admin");
    let orders = &document["paths"]["/orders"]["get"];
    assert_eq!(orders["x-stoa-access"], "owner customer_id");
}

#[test]
fn schemas_say_the_constraints() {
    let document = shop();
    let schemas = &document["components"]["schemas"];
    let create = &schemas["ProductCreate"];
    assert_eq!(create["required"], json!(["name", "sku", "price"]));
    assert_eq!(
        create["properties"]["name"],
        json!({ "type": "string", "minLength": 1, "maxLength": 120, "pattern": r"^[^\u0000]*$" })
    );
    assert_eq!(create["properties"]["sku"]["pattern"], "^(?:[A-Z]+)$");
    let price = &create["properties"]["price"];
    assert_eq!(price["minimum"], json!(0));
    assert_eq!(price["maximum"].to_string(), "9999999999.99");
    assert_eq!(price["multipleOf"].to_string(), "0.01");
    assert_eq!(create["properties"]["tags"]["default"], json!([]));
    assert!(create["properties"].get("created_at").is_none());
    assert_eq!(schemas["Product"]["properties"]["created_at"]["readOnly"], true);
    assert_eq!(schemas["Product"]["properties"]["id"]["format"], "uuid");
    let order = &schemas["OrderCreate"];
    assert_eq!(
        order["required"],
        json!(["product_id", "quantity"]),
        "the owner is filled in"
    );
    assert_eq!(order["properties"]["quantity"]["maximum"], json!(99));
    assert_eq!(order["properties"]["note"]["type"], json!(["string", "null"]));
    assert_eq!(
        schemas["Order"]["properties"]["product_id"]["x-stoa-ref"],
        "products"
    );
    let patch = &schemas["OrderPatch"]["properties"];
    assert!(patch.get("customer_id").is_none(), "the shard key cannot change");
    assert!(
        schemas["OrderReplace"]["required"]
            .as_array()
            .unwrap()
            .iter()
            .all(|name| name != "id")
    );
}

/// Whether a pattern of the document takes a text, as ECMAScript would read it.
fn fits(pattern: &Value, text: &str) -> bool {
    let pattern = pattern.as_str().unwrap();
    regex::Regex::new(pattern).unwrap().is_match(text)
}

#[test]
fn patterns_show_what_a_selection_and_a_logic_tree_are() {
    let document = shop();
    let parameters = &document["components"]["parameters"];
    let select = &parameters["ProductSelect"]["schema"]["pattern"];
    for good in [
        "",
        "*",
        "name,price",
        "label:name,*",
        "details->a->>b",
        "name,orders(*)",
        "mine:orders(id,status)",
    ] {
        assert!(fits(select, good), "{good}");
    }
    for bad in [
        "nmae",
        "name,",
        "details->>a->b",
        "archive(*)",
        "orders(nmae)",
        "name(*)",
    ] {
        assert!(!fits(select, bad), "{bad}");
    }
    let and = &parameters["OrderAnd"]["schema"]["pattern"];
    for good in [
        "(quantity.gte.3)",
        "(quantity.gte.3,status.not.in.(new,paid),note.is.null)",
        "(note.ilike.*gift*)",
    ] {
        assert!(fits(and, good), "{good}");
    }
    for bad in [
        "()",
        "quantity.gte.3",
        "(quantity.gte.x)",
        "(0)",
        "(note.like.a)b)",
    ] {
        assert!(!fits(and, bad), "{bad}");
    }
}

#[test]
fn only_fields_of_the_filter_are_parameters() {
    let document = shop();
    let parameters = document["paths"]["/products"]["get"]["parameters"]
        .as_array()
        .unwrap();
    let named = |name: &str| parameters.iter().any(|p| p["name"] == name);
    assert!(named("name") && named("price"));
    assert!(
        !named("details"),
        "json is not filtered by unless the file says so"
    );
}

#[test]
fn codes_are_unique_and_their_problems_are_described() {
    let mut names = HashSet::new();
    let problems = super::response::problems();
    let described: String = problems
        .as_object()
        .unwrap()
        .values()
        .map(|p| p["description"].to_string())
        .collect();
    for code in super::codes() {
        assert!(names.insert(code.name), "{} is declared twice", code.name);
        assert!(
            code.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'),
            "{}",
            code.name
        );
        let rare = matches!(code.status, 501 | 505 | 508);
        assert!(
            rare || described.contains(&format!("`{}`", code.name)),
            "no answer describes {}",
            code.name
        );
    }
}

const FUNCTIONS: &str = r#"
api: functions
auth: { jwt: { secret: "a secret of thirty-two bytes or more" } }
stores: { main: "postgres://u@127.0.0.1/db" }
server: { allow_rollback: true }
resources:
  items:
    table: items
    fields: { id: "int, key", name: "text, optional", data: "json, optional" }
    list: { filter: [id, name, data] }
    read: public
    write: none
functions:
  add: { args: { a: int, b: "int, optional" }, volatility: immutable, access: public }
  cheap: { args: { name: text, tags: list of text }, returns: rows items, volatility: stable, access: user }
  numbers: { returns: rows, access: role admin }
  rename: { args: { item: int }, returns: void, access: role admin }
  hidden: { access: none }
"#;

#[test]
fn functions_are_described_with_what_they_take_and_give() {
    let document = document(&plan(FUNCTIONS));
    let paths = &document["paths"];
    let id = |path: &str, method: &str| paths[path][method]["operationId"].clone();
    assert_eq!(id("/rpc/add", "get"), "queryAdd");
    assert_eq!(id("/rpc/add", "post"), "callAdd");
    assert_eq!(id("/rpc/rename", "post"), "callRename");
    assert!(paths["/rpc/rename"].get("get").is_none(), "it changes rows");
    assert!(paths.get("/rpc/hidden").is_none());
    let schemas = &document["components"]["schemas"];
    assert_eq!(
        schemas["AddArguments"]["properties"]["a"]["type"],
        json!(["integer", "null"])
    );
    assert_eq!(schemas["AddArguments"]["required"], json!(["a"]));
    assert_eq!(schemas["AddArguments"]["example"], json!({ "a": 10, "b": 10 }));
    let parameters = paths["/rpc/cheap"]["get"]["parameters"].as_array().unwrap();
    let named: Vec<_> = parameters.iter().filter(|p| p["name"] == "name").collect();
    assert_eq!(named.len(), 1, "the argument goes before the field");
    assert_eq!(named[0]["required"], true);
    let tags = parameters.iter().find(|p| p["name"] == "tags").unwrap();
    assert_eq!(tags["schema"]["items"]["type"], "string");
    let by_post = paths["/rpc/cheap"]["post"]["parameters"].as_array().unwrap();
    let field = by_post.iter().find(|p| p["name"] == "name").unwrap();
    assert_eq!(field["required"], false, "beside a body it is the field's filter");
    let rows = "/responses/200/content/application~1json/schema";
    assert_eq!(
        paths["/rpc/cheap"]["get"].pointer(rows).unwrap()["$ref"],
        "#/components/schemas/ItemList"
    );
    assert_eq!(
        paths["/rpc/numbers"]["post"].pointer(rows).unwrap()["type"],
        "array"
    );
    assert!(paths["/rpc/rename"]["post"]["responses"].get("200").is_none());
    assert!(paths["/rpc/rename"]["post"]["responses"].get("204").is_some());
    assert_eq!(
        paths["/rpc/rename"]["post"]["security"],
        json!([{ "bearerAuth": [] }])
    );
    assert_eq!(paths["/rpc/add"]["get"]["x-stoa-access"], "public");
}

#[test]
fn what_only_postgres_has_is_said_of_its_resources_alone() {
    let about = |document: &Value, path: &str, name: &str| {
        let parameters = document["paths"][path]["get"]["parameters"].as_array().unwrap();
        let found = parameters.iter().find(|p| p["name"] == name).unwrap().clone();
        (
            found["description"].as_str().unwrap().to_owned(),
            found["schema"]["pattern"].clone(),
        )
    };
    let (said, pattern) = about(&document(&plan(FUNCTIONS)), "/items", "name");
    assert!(
        said.contains("`imatch`") && said.contains("`wfts`") && said.contains("`adj`"),
        "{said}"
    );
    assert!(fits(&pattern, "match.a") && fits(&pattern, "not.wfts(simple).cat"));
    let (said, _) = about(&document(&plan(FUNCTIONS)), "/items", "data");
    assert!(said.contains("`fts`") && !said.contains("`match`"), "{said}");
    let (said, pattern) = about(&shop(), "/products", "name");
    assert!(!said.contains("match") && !fits(&pattern, "match.a"), "{said}");
}

#[test]
fn replicas_and_shards_are_described_where_the_store_has_them() {
    let text = r#"
api: shop
auth: { jwt: { secret: "a secret of thirty-two bytes or more" } }
stores:
  main:
    postgres:
      shards: [{ write: "postgres://u@a/d", read: ["postgres://u@b/d"] }, { write: "postgres://u@c/d" }]
resources:
  orders: { shard: customer, fields: { customer: uuid, note: text }, read: user, write: user }
  words: { fields: { word: text }, read: user, write: user }
"#;
    let document = document(&plan(text));
    let answer =
        |path: &str, method: &str, status: &str| document["paths"][path][method]["responses"][status].clone();
    for (path, spread) in [("/orders", true), ("/words", false)] {
        let list = answer(path, "get", "200");
        assert!(list["headers"].get("Stoa-Position").is_some());
        assert_eq!(list["headers"].get("Stoa-Missing-Shards").is_some(), spread);
        assert!(
            answer(path, "post", "201")["headers"]
                .get("Stoa-Consistency")
                .is_some()
        );
        for method in ["post", "patch", "delete"] {
            let parts = answer(path, method, "207");
            assert_eq!(parts.is_object(), spread, "{method} {path}");
        }
        assert!(answer(path, "get", "503").is_object());
        let prefer = document["paths"][path]["get"]["parameters"].to_string();
        assert_eq!(prefer.contains("PreferReadOfShards"), spread);
        assert!(prefer.contains("parameters/Consistency"));
    }
    let prefer = &document["components"]["parameters"]["PreferReadOfShards"]["description"];
    assert!(prefer.as_str().unwrap().contains("partial=allow"), "{prefer}");
    let mut references = Vec::new();
    collect(&document, &mut references);
    for reference in references {
        assert!(
            document.pointer(&reference[1..]).is_some(),
            "{reference} leads nowhere"
        );
    }
    assert!(shop()["components"]["headers"].get("Stoa-Consistency").is_some());
    assert!(shop()["components"]["parameters"].get("Consistency").is_none());
}
