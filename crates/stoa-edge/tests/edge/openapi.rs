//! Requests judged by the OpenAPI document of their service.

use crate::support::{Backend, Reply, Served, serve};
use serde_json::{Value, json};

const DOCUMENT: &str = "
openapi: 3.1.0
info: { title: Orders, version: '1' }
paths:
  /orders:
    get:
      parameters:
        - { name: limit, in: query, schema: { type: integer, minimum: 1, maximum: 100 } }
        - { name: state, in: query, required: true, schema: { type: string, enum: [new, sent] } }
        - { name: x-tenant, in: header, required: true, schema: { type: string, pattern: '^t[0-9]+$' } }
      responses: {}
    post:
      requestBody:
        required: true
        content:
          application/json: { schema: { $ref: '#/components/schemas/Order' } }
          text/csv: {}
      responses: {}
  /orders/{id}:
    parameters: [{ name: id, in: path, required: true, schema: { type: integer } }]
    get: { responses: {} }
components:
  schemas:
    Order:
      type: object
      required: [customer, lines]
      additionalProperties: false
      properties:
        customer: { type: string, minLength: 1, maxLength: 5 }
        note: { type: [string, 'null'] }
        price: { type: number, exclusiveMinimum: 0, multipleOf: 0.01 }
        lines: { type: array, minItems: 1, maxItems: 2, uniqueItems: true, items: { $ref: '#/components/schemas/Line' } }
        pay: { oneOf: [{ type: object, required: [card] }, { type: object, required: [iban] }] }
        parent: { $ref: '#/components/schemas/Order' }
    Line: { type: object, required: [sku], properties: { sku: { type: string }, count: { type: integer } } }
";

async fn served(routes: &str) -> (Served, Backend) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("orders.yaml"), DOCUMENT).unwrap();
    let backend = Backend::echo().await;
    let text = format!(
        "api: test\nservices:\n  orders:\n    url: http://{}\n    openapi: orders.yaml\n{routes}",
        backend.address
    );
    let options = stoa_config::Options {
        profile: None,
        profile_optional: true,
        env: &|_| None,
    };
    let loaded = stoa_config::load_text("stoa.yaml", &text, folder.path(), &options);
    let mut plan = loaded.plan.unwrap_or_else(|| panic!("{:?}", loaded.faults));
    plan.server.http.set_port(0);
    plan.server.workers = Some(1);
    (serve(plan), backend)
}

async fn post(served: &Served, body: &str) -> Reply {
    let head = "POST /orders HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\n";
    let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
    served.ask(request).await
}

#[tokio::test]
async fn its_operations_are_the_routes() {
    let (served, _backend) = served("").await;
    for (request, status) in [
        ("GET /orders/7 HTTP/1.1\r\nhost: h\r\n\r\n", 200),
        ("HEAD /orders/7 HTTP/1.1\r\nhost: h\r\n\r\n", 200),
        ("DELETE /orders/7 HTTP/1.1\r\nhost: h\r\n\r\n", 405),
        ("GET /orders/7/lines HTTP/1.1\r\nhost: h\r\n\r\n", 404),
        ("GET /orders/x HTTP/1.1\r\nhost: h\r\n\r\n", 400),
        ("GET /orders/1.5 HTTP/1.1\r\nhost: h\r\n\r\n", 400),
    ] {
        let mut client = served.connect().await;
        client.send(request).await;
        let method = request.split(' ').next().unwrap();
        assert_eq!(client.reply_to(method).await.status, status, "{request}");
    }
}

#[tokio::test]
async fn parameters_are_judged_together() {
    let (served, backend) = served("").await;
    let reply = served
        .ask("GET /orders?limit=1e9&state=old HTTP/1.1\r\nhost: h\r\n\r\n")
        .await;
    assert_eq!(
        (reply.status, reply.json()["code"].as_str()),
        (400, Some("invalid-request"))
    );
    let errors = reply.json()["errors"].as_array().unwrap().clone();
    let mut fields: Vec<&str> = errors.iter().filter_map(|e| e["field"].as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["limit", "state", "x-tenant"]);
    for (query, tenant, status) in [
        ("state=new", "t1", 200),
        ("limit=100&state=s%65nt", "t1", 200),
        ("limit=0&state=new", "t1", 400),
        ("limit=x&state=new", "t1", 400),
        ("limit=&state=new", "t1", 400),
        ("state=new&state=sent", "t1", 400),
        ("stat%65=new", "t1", 200),
        ("state=new", "u1", 400),
    ] {
        let reply = served
            .ask(format!(
                "GET /orders?{query} HTTP/1.1\r\nhost: h\r\nx-tenant: {tenant}\r\n\r\n"
            ))
            .await;
        assert_eq!(reply.status, status, "{query} {tenant}");
    }
    assert_eq!(backend.seen().len(), 3);
}

#[tokio::test]
async fn a_body_is_judged_with_every_fault_at_its_place() {
    let (served, backend) = served("").await;
    let good =
        r#"{"customer":"ann","lines":[{"sku":"a","count":2.0}],"note":null,"price":12.34,"pay":{"card":1}}"#;
    let reply = post(&served, good).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert!(
        reply.text().ends_with(good),
        "the service gets what was sent: {}",
        reply.text()
    );

    let bad = r#"{"customer":"toolong","lines":[{"count":1.5},{"count":1.5},{}],"note":1,"price":0,"pay":{"card":1,"iban":2},"more":1,"parent":{"lines":[]}}"#;
    let reply = post(&served, bad).await;
    assert_eq!(
        (reply.status, reply.json()["code"].as_str()),
        (422, Some("invalid-body"))
    );
    let json = reply.json();
    let mut fields: Vec<&str> = json["errors"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|e| e["field"].as_str())
        .collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        [
            "customer",
            "lines",
            "lines",
            "lines.0.count",
            "lines.0.sku",
            "lines.1.count",
            "lines.1.sku",
            "lines.2.sku",
            "more",
            "note",
            "parent.customer",
            "parent.lines",
            "pay",
            "price"
        ]
    );
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test]
async fn two_readers_of_a_body_see_the_same() {
    let (served, backend) = served("").await;
    for (body, status) in [
        (
            r#"{"customer":"ann","customer":"bob","lines":[{"sku":"a"}]}"#,
            400,
        ),
        (r#"{"customer":"ann","lines":[{"sku":"a","sku":"b"}]}"#, 400),
        (r#"{"customer":"ann","lines":[{"sku":"a"}]} x"#, 400),
        ("nonsense", 400),
        ("[]", 422),
    ] {
        assert_eq!(post(&served, body).await.status, status, "{body}");
    }
    let deep = "[".repeat(20_000);
    assert_eq!(post(&served, &deep).await.status, 400);
    // A body that refers to itself as deep as JSON may be.
    let nested = (0..120).fold(json!({}), |inner: Value, _| json!({ "parent": inner }));
    assert_eq!(post(&served, &nested.to_string()).await.status, 422);
    for (fields, body, status) in [
        ("content-type: text/csv\r\n", "a,b", 200),
        ("content-type: text/html\r\n", "a,b", 415),
        ("", "a,b", 415),
        (
            "content-type: application/json\r\ncontent-encoding: gzip\r\n",
            "xyz",
            415,
        ),
        ("", "", 400),
    ] {
        let request = format!(
            "POST /orders HTTP/1.1\r\nhost: h\r\n{fields}content-length: {}\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(served.ask(request).await.status, status, "{fields}");
    }
    let chunked = "POST /orders HTTP/1.1\r\nhost: h\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    assert_eq!(served.ask(chunked).await.status, 422);
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test]
async fn routes_of_the_file_are_judged_by_it_too() {
    let routes = "    routes:\n      /orders/**: { access: public, max_body: 64B }\n";
    let (served, _backend) = served(routes).await;
    assert_eq!(post(&served, "{}").await.status, 422);
    assert_eq!(post(&served, &"x".repeat(65)).await.status, 413);
    // What the document does not know, the file lets through.
    let reply = served
        .ask("GET /orders/7/lines HTTP/1.1\r\nhost: h\r\nstoa-explain: 1\r\n\r\n")
        .await;
    assert_eq!(reply.status, 200);
    assert!(
        reply
            .field("stoa-explain")
            .unwrap()
            .contains("not in the document")
    );
}
