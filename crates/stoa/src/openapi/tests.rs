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
