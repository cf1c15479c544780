//! Tests.

use super::*;
use crate::plan::Check;

fn read(text: &str) -> Result<Read, String> {
    of(value(text.to_owned())?)
}

const PETS: &str = "
openapi: 3.0.3
info: { title: Pets, version: '1' }
paths:
  /pets/{pet-id}/:
    parameters:
      - { name: pet-id, in: path, required: true, schema: { type: integer } }
      - { name: trace, in: header, schema: { type: string } }
    get:
      parameters: [{ $ref: '#/components/parameters/Limit' }]
      responses: {}
    put:
      requestBody: { required: true, content: { application/json: { schema: { $ref: '#/components/schemas/Pet' } }, 'image/*': {} } }
      responses: {}
components:
  parameters:
    Limit: { name: limit, in: query, schema: { type: integer, maximum: 10, exclusiveMaximum: true } }
  schemas:
    Pet: { type: object, required: [name], properties: { name: { type: string, nullable: true }, mother: { $ref: '#/components/schemas/Pet' } }, if: {} }
";

#[test]
fn operations_are_routes() {
    let found = read(PETS).unwrap();
    let shown: Vec<String> = found
        .document
        .operations
        .iter()
        .map(|o| format!("{} {}", o.method, o.path))
        .collect();
    assert_eq!(shown, ["GET /pets/{pet_id}", "PUT /pets/{pet_id}"]);
    assert_eq!(found.unchecked, ["if"]);
    let get = &found.document.operations[0];
    assert_eq!(get.parameters.len(), 3);
    let limit = get.parameters.iter().find(|p| p.name == "limit").unwrap();
    let checks = &limit.schema.as_ref().unwrap().0;
    assert!(
        checks
            .iter()
            .any(|c| matches!(c, Check::Maximum(max, true) if max.to_string() == "10")),
        "{checks:?}"
    );
    let put = &found.document.operations[1];
    let types: Vec<String> = put
        .body
        .iter()
        .flat_map(|b| &b.types)
        .map(|(r, _)| r.to_string())
        .collect();
    assert_eq!(types, ["application/json", "image/*"]);
}

#[test]
fn what_cannot_be_used_is_said() {
    for (text, why) in [
        ("{", "is not JSON"),
        ("a: [", "is not YAML"),
        ("a: &x 1", "is not YAML that is read here: line 1"),
        ("swagger: '2.0'", "no OpenAPI document"),
        ("openapi: 3.1.0", "no `paths`"),
        ("openapi: 3.1.0\npaths: {}", "no operations"),
        (
            "openapi: 3.1.0\npaths: { /a**b: { get: {} } }",
            "cannot be a route",
        ),
        (
            "openapi: 3.1.0\npaths: { /a: { get: { parameters: [{ $ref: '#/x' }] } } }",
            "which is not in it",
        ),
        (
            "openapi: 3.1.0\npaths: { /a: { get: { parameters: [{ $ref: '#/p' }] } } }\np: { $ref: '#/p' }",
            "in circles",
        ),
        (
            "openapi: 3.1.0\npaths: { /a: { get: { parameters: [{ name: id, in: path }] } } }",
            "no `{id}`",
        ),
        (
            "openapi: 3.1.0\npaths: { /a: { post: { requestBody: { content: { application/json: { schema: { $ref: 'other.yaml' } } } } } } }",
            "only `#/components/schemas/NAME`",
        ),
        (
            "openapi: 3.1.0\npaths: { /a: { post: { requestBody: { content: { application/json: { schema: { $ref: '#/components/schemas/X' } } } } } } }",
            "which it does not have",
        ),
        (
            "openapi: 3.1.0\npaths: { /a: { get: { parameters: [{ name: q, in: query, schema: { type: string, pattern: '(?=a)' } }] } } }",
            "linear time",
        ),
        (
            "openapi: 3.1.0\npaths: { /a: { get: { parameters: [{ name: q, in: query, schema: { type: string, minLength: x } }] } } }",
            "`minLength` is not right",
        ),
    ] {
        let said = read(text).err().unwrap_or_else(|| panic!("{text} is taken"));
        assert!(said.contains(why), "{text}: {said}");
    }
    let deep = "{\"allOf\":[".repeat(200) + "{}" + &"]}".repeat(200);
    let text = format!(
        "{{\"openapi\":\"3.1.0\",\"paths\":{{\"/a\":{{\"get\":{{}}}}}},\"components\":{{\"schemas\":{{\"X\":{deep}}}}}}}"
    );
    assert!(read(&text).is_err());
}
