//! The operations of a resource.

use super::{Paths, component, filter, names::Names, parameter, response, secure, store::Has};
use serde_json::{Map, Value, json};
use stoa_config::plan::{Access, Plan, Resource, Rule};

/// Refusals that any request can meet before it reaches the resource.
const ANY: &[u16] = &[400, 401, 403, 404, 406, 408, 414, 431, 500, 503, 504];
/// Refusals of requests with a body.
const BODY: &[u16] = &[413, 415, 422];
/// Refusals of everything that changes rows.
const WRITE: &[u16] = &[405, 409, 412, 422, 507];

/// How the parameters that filter are written.
const FILTERS: &str = "A filter is `FIELD=OPERATOR.VALUE`: `price=lt.10`, `name=ilike.*mug*`, `status=in.(new,paid)`. \
    `not.` in front of the operator negates it; a parameter that is sent twice must hold twice.";

/// Adds the operations that somebody may use.
pub(super) fn add(paths: &mut Paths, plan: &Plan, resource: &Resource, names: &Names) {
    let of = Of {
        plan,
        resource,
        names,
        has: Has::of_resource(plan, resource),
    };
    let rules = &resource.rules;
    let many = format!("/{}", resource.name);
    of.put(paths, &many, "get", &rules.read, of.list());
    if resource.key.is_empty() {
        // A view without a key is only read.
        return;
    }
    of.put(paths, &many, "post", &rules.create, of.create());
    of.put(paths, &many, "patch", &rules.update, of.update_many());
    of.put(paths, &many, "delete", &rules.delete, of.delete_many());
    let Some(key) = parameter::key(resource) else {
        return;
    };
    // `PUT` creates or updates: with one of the two it is of use.
    let may_update = !matches!(rules.update.access, Access::Nobody);
    let replacing = if may_update { &rules.update } else { &rules.create };
    let one = format!("/{}/{{{}}}", resource.name, key["name"].as_str().unwrap_or("id"));
    let with_key = |mut operation: Value| {
        if let Some(Value::Array(parameters)) = operation.get_mut("parameters") {
            parameters.insert(0, key.clone());
        }
        operation
    };
    of.put(paths, &one, "get", &rules.read, with_key(of.get()));
    of.put(paths, &one, "put", replacing, with_key(of.replace()));
    of.put(paths, &one, "patch", &rules.update, with_key(of.update()));
    of.put(paths, &one, "delete", &rules.delete, with_key(of.delete()));
}

/// One resource with what its operations are made of.
struct Of<'a> {
    plan: &'a Plan,
    resource: &'a Resource,
    names: &'a Names,
    has: Has,
}

impl Of<'_> {
    fn put(&self, paths: &mut Paths, path: &str, method: &str, rule: &Rule, mut operation: Value) {
        if matches!(rule.access, Access::Nobody) {
            return;
        }
        let shown = match &rule.access {
            Access::Owner(field) => {
                let name = self.resource.fields.get(*field).map_or("", |f| f.name.as_str());
                format!("owner {name}")
            }
            other => other.to_string(),
        };
        operation["tags"] = json!([self.resource.name]);
        secure(&mut operation, self.plan, rule, &shown);
        paths.add(path, method, operation);
    }

    /// References to the resource's `select` and to shared parameters.
    fn with_select(&self, names: &[&str]) -> Vec<Value> {
        let [select, ..] = parameter::own(self.names);
        let mut all = parameter::refs(&[select]);
        all.extend(parameter::refs(names));
        all
    }

    fn list(&self) -> Value {
        let resource = self.resource;
        let mut parameters: Vec<Value> = filter::parameters(resource, self.has).collect();
        parameters.extend(parameter::refs(&parameter::own(self.names)));
        parameters.push(parameter::order(resource));
        let prefer = self.has.preferences("PreferRead");
        parameters.extend(parameter::refs(&["Limit", "Offset", "After", &prefer]));
        parameters.extend(self.has.freshness());
        let rows = format!("{}List", self.names.one);
        let mut fields = self.has.of_read(&["Content-Range", "Link", "Preference-Applied"]);
        fields.extend(self.has.shards.then_some("Stoa-Missing-Shards"));
        let mut responses = Map::new();
        let said = "The rows of one page.";
        responses.insert("200".into(), response::good(said, Some(&rows), &fields));
        response::refuse(&mut responses, ANY);
        response::refuse(&mut responses, &[416]);
        json!({
            "operationId": format!("list{}", self.names.many),
            "summary": format!("List {}", resource.name),
            "description": format!(
                "A page has {} rows unless `limit` says otherwise, and at most {}. {FILTERS}", resource.list.page, resource.list.max),
            "parameters": parameters, "responses": responses,
        })
    }

    fn create(&self) -> Value {
        let one = &self.names.one;
        let mut parameters = vec![
            parameter::columns(self.resource),
            parameter::on_conflict(self.resource),
        ];
        let prefer = self.has.preferences("PreferCreate");
        parameters.extend(self.with_select(&[&prefer, "IdempotencyKey"]));
        let fields = self.has.of_write(&[
            "ETag",
            "Location",
            "Content-Range",
            "Preference-Applied",
            "Idempotent-Replayed",
        ]);
        let result = format!("{one}Result");
        let mut responses = Map::new();
        let said = "Nothing was new: rows that were there already were merged.";
        responses.insert("200".into(), response::good(said, Some(&result), &fields));
        let said = "Created. No body with `Prefer: return=minimal`.";
        responses.insert("201".into(), response::good(said, Some(&result), &fields));
        let said =
            "The one row is there already and `Prefer: resolution=ignore-duplicates` leaves it as it is.";
        responses.insert("204".into(), response::good(said, None, &fields));
        self.in_parts(&mut responses);
        refuse_write(&mut responses);
        json!({
            "operationId": format!("create{}", self.names.many),
            "summary": format!("Create {}", self.resource.name),
            "parameters": parameters,
            "requestBody": request_body(&format!("{one}CreateBody"), &["application/json"]),
            "responses": responses,
        })
    }

    fn get(&self) -> Value {
        let mut responses = Map::new();
        let said = "The row.";
        responses.insert(
            "200".into(),
            response::good(
                said,
                Some(&self.names.one),
                &self.has.of_read(&["ETag", "Preference-Applied"]),
            ),
        );
        responses.insert(
            "304".into(),
            response::good("The caller has the current version.", None, &["ETag"]),
        );
        response::refuse(&mut responses, ANY);
        response::refuse(&mut responses, &[412]);
        let mut parameters = self.with_select(&["IfMatch", "IfNoneMatch"]);
        parameters.extend(self.has.freshness());
        json!({
            "operationId": format!("get{}", self.names.one),
            "summary": format!("Get one of {}", self.resource.name),
            "parameters": parameters,
            "responses": responses,
        })
    }

    fn replace(&self) -> Value {
        let one = &self.names.one;
        let fields = ["ETag", "Preference-Applied", "Idempotent-Replayed"];
        let fields = self.has.of_write(&fields);
        let created = [&["Location"], &fields[..]].concat();
        let mut responses = Map::new();
        responses.insert("200".into(), response::good("Replaced.", Some(one), &fields));
        responses.insert(
            "201".into(),
            response::good("There was no such row: created.", Some(one), &created),
        );
        let said = "Done, with `Prefer: return=minimal`.";
        responses.insert("204".into(), response::good(said, None, &fields));
        refuse_write(&mut responses);
        json!({
            "operationId": format!("replace{one}"),
            "summary": format!("Replace or create one of {}", self.resource.name),
            "parameters": self.with_select(&["PreferWrite", "IfMatch", "IfNoneMatchWrite", "IdempotencyKey"]),
            "requestBody": request_body(&format!("{one}Replace"), &["application/json"]),
            "responses": responses,
        })
    }

    fn update(&self) -> Value {
        let one = &self.names.one;
        let fields = self
            .has
            .of_write(&["ETag", "Preference-Applied", "Idempotent-Replayed"]);
        let mut responses = Map::new();
        responses.insert("200".into(), response::good("Changed.", Some(one), &fields));
        let said = "Changed, with `Prefer: return=minimal`.";
        responses.insert("204".into(), response::good(said, None, &fields));
        refuse_write(&mut responses);
        json!({
            "operationId": format!("update{one}"),
            "summary": format!("Change one of {}", self.resource.name),
            "parameters": self.with_select(&["PreferWrite", "IfMatch", "IdempotencyKey"]),
            "requestBody": request_body(&format!("{one}Patch"), PATCH),
            "responses": responses,
        })
    }

    fn delete(&self) -> Value {
        let fields = self.has.of_write(&["Preference-Applied", "Idempotent-Replayed"]);
        let mut responses = Map::new();
        let said = "Deleted, and the row was asked for with `Prefer: return=representation`.";
        responses.insert("200".into(), response::good(said, Some(&self.names.one), &fields));
        responses.insert("204".into(), response::good("Deleted.", None, &fields));
        response::refuse(&mut responses, ANY);
        response::refuse(&mut responses, WRITE);
        json!({
            "operationId": format!("delete{}", self.names.one),
            "summary": format!("Delete one of {}", self.resource.name),
            "parameters": self.with_select(&["PreferWrite", "IfMatch", "IdempotencyKey"]),
            "responses": responses,
        })
    }

    /// The reply of a write whose parts were a transaction on each shard.
    fn in_parts(&self, responses: &mut Map<String, Value>) {
        if !self.has.shards {
            return;
        }
        let said = "With `Prefer: atomic=per-shard`, where several shards were written to: what became of each part.";
        let fields = self.has.of_write(&["Preference-Applied"]);
        let mut parts = response::good(said, None, &fields);
        parts["content"] = json!({ "application/json": { "schema": component("schemas", "Parts") } });
        responses.insert("207".into(), parts);
    }

    fn update_many(&self) -> Value {
        let mut operation = self.by_filter("update", "Change", "changed");
        let body = format!("{}Patch", self.names.one);
        if let Some(Value::Array(parameters)) = operation.get_mut("parameters") {
            parameters.push(parameter::columns(self.resource));
        }
        operation["requestBody"] = request_body(&body, PATCH);
        if let Some(Value::Object(responses)) = operation.get_mut("responses") {
            response::refuse(responses, BODY);
        }
        operation
    }

    fn delete_many(&self) -> Value {
        self.by_filter("delete", "Delete", "deleted")
    }

    /// A write on every row that matches.
    fn by_filter(&self, verb: &str, summary: &str, done: &str) -> Value {
        let mut parameters: Vec<Value> = filter::parameters(self.resource, self.has).collect();
        parameters.extend(parameter::refs(&parameter::own(self.names)));
        let prefer = self.has.preferences("PreferWriteMany");
        parameters.extend(parameter::refs(&[&prefer, "IdempotencyKey"]));
        let rows = format!("{}List", self.names.one);
        let fields = ["Content-Range", "Preference-Applied", "Idempotent-Replayed"];
        let fields = self.has.of_write(&fields);
        let mut responses = Map::new();
        let said = format!("The rows that were {done}.");
        responses.insert("200".into(), response::good(&said, Some(&rows), &fields));
        responses.insert("204".into(), response::good("Done.", None, &fields));
        self.in_parts(&mut responses);
        response::refuse(&mut responses, ANY);
        response::refuse(&mut responses, WRITE);
        json!({
            "operationId": format!("{verb}{}", self.names.many),
            "summary": format!("{summary} the {} that match", self.resource.name),
            "description": format!("At least one filter is needed: without one the answer is `400`. {FILTERS}"),
            "parameters": parameters, "responses": responses,
        })
    }
}

/// What a write with a body can be refused with.
fn refuse_write(responses: &mut Map<String, Value>) {
    response::refuse(responses, ANY);
    response::refuse(responses, BODY);
    response::refuse(responses, WRITE);
}

/// Media types of a patch.
const PATCH: &[&str] = &["application/merge-patch+json", "application/json"];

fn request_body(schema: &str, types: &[&str]) -> Value {
    let content: Map<String, Value> = types
        .iter()
        .map(|name| {
            (
                (*name).to_owned(),
                json!({ "schema": component("schemas", schema) }),
            )
        })
        .collect();
    json!({ "required": true, "content": content })
}
