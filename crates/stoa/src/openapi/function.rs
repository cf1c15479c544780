//! The operations of a function of a database: `POST` with its arguments as an object, `GET` with them as parameters where
//! it changes nothing.

use super::{Paths, component, filter, names, names::Names, parameter, response, schema, secure, store::Has};
use serde_json::{Map, Value, json};
use stoa_config::plan::{Access, Argument, Function, Plan, RawBody, Returns, Type, Volatility};

/// Refusals that any request can meet, those of the database included.
const ANY: &[u16] = &[
    400, 401, 403, 404, 405, 406, 408, 409, 414, 416, 431, 500, 503, 504,
];
/// Refusals of requests with a body.
const BODY: &[u16] = &[413, 415, 422];
/// Refusals of what may change rows.
const WRITE: &[u16] = &[507];

/// Adds the operations and the schema of the arguments, unless nobody may run it. `resources` are the names of every resource.
pub(super) fn add(
    paths: &mut Paths,
    schemas: &mut Map<String, Value>,
    plan: &Plan,
    function: &Function,
    resources: &[Names],
) {
    if matches!(function.access.access, Access::Nobody) {
        return;
    }
    let name = names::pascal(&function.name);
    let args = names::unique(format!("{name}Arguments"), |name| schemas.contains_key(name));
    if function.body.is_none() {
        schemas.insert(args.clone(), arguments(function));
    }
    let of = Of {
        plan,
        function,
        resources,
        has: Has::of(plan, function.store),
    };
    let path = format!("/rpc/{}", function.name);
    paths.add(&path, "post", of.post(&name, &args));
    if function.volatility != Volatility::Volatile && function.body.is_none() {
        paths.add(&path, "get", of.get(&name));
    }
}

/// One function with what its operations are made of.
struct Of<'a> {
    plan: &'a Plan,
    function: &'a Function,
    resources: &'a [Names],
    has: Has,
}

impl Of<'_> {
    fn post(&self, name: &str, args: &str) -> Value {
        let mut responses = self.responses();
        response::refuse(&mut responses, BODY);
        if self.function.volatility == Volatility::Volatile {
            response::refuse(&mut responses, WRITE);
        }
        let mut operation = self.operation(&format!("call{name}"), self.of_rows(false), &responses);
        operation["requestBody"] = self.body(args);
        operation
    }

    /// The arguments by name, or what the function takes as it is.
    fn body(&self, args: &str) -> Value {
        let (types, schema, required) = match self.function.body {
            None => {
                let needed = self.function.args.iter().any(|arg| !arg.optional);
                (&["application/json"][..], component("schemas", args), needed)
            }
            Some(RawBody::Json) => (
                RawBody::Json.media_types(),
                json!({ "description": "Any JSON." }),
                true,
            ),
            Some(raw) => (raw.media_types(), json!({ "type": "string" }), false),
        };
        let types = types
            .iter()
            .map(|name| ((*name).to_owned(), json!({ "schema": schema })));
        json!({ "required": required, "content": types.collect::<Map<_, _>>() })
    }

    fn get(&self, name: &str) -> Value {
        let mut parameters: Vec<Value> = self.function.args.iter().map(argument).collect();
        parameters.extend(self.of_rows(true));
        self.operation(&format!("query{name}"), parameters, &self.responses())
    }

    fn operation(&self, id: &str, mut parameters: Vec<Value>, responses: &Map<String, Value>) -> Value {
        let function = self.function;
        parameters.extend(parameter::refs(&["PreferCall"]));
        let does = match function.volatility {
            Volatility::Volatile => "It may change rows.",
            Volatility::Stable | Volatility::Immutable => "It changes nothing: it runs read-only.",
        };
        let mut operation = json!({
            "operationId": id,
            "summary": format!("Run {}", function.name),
            "description": format!("A function of the database. {does}"),
            "tags": ["rpc"], "parameters": parameters, "responses": responses,
        });
        let shown = function.access.access.to_string();
        secure(&mut operation, self.plan, &function.access, &shown);
        operation
    }

    /// What a caller may ask of the rows. An argument in the query string goes before a field of the same name.
    fn of_rows(&self, in_query: bool) -> Vec<Value> {
        let mut found = match self.function.returns {
            Returns::Void | Returns::Value => return Vec::new(),
            Returns::Rows => return parameter::refs(&["Limit", "Offset"]),
            Returns::Resource(index) => match (self.plan.resources.get(index), self.resources.get(index)) {
                (Some(resource), Some(names)) => {
                    let mut found: Vec<Value> = filter::parameters(resource, self.has).collect();
                    found.extend(parameter::refs(&parameter::own(names)));
                    found.push(parameter::order(resource));
                    found.extend(parameter::refs(&["Limit", "Offset"]));
                    found
                }
                _ => return Vec::new(),
            },
        };
        if in_query {
            let taken = |name: &Value| self.function.args.iter().any(|arg| *name == arg.name.as_str());
            found.retain(|parameter| !taken(&parameter["name"]));
        }
        found
    }

    fn responses(&self) -> Map<String, Value> {
        let mut responses = Map::new();
        let fields = ["Content-Range", "Preference-Applied"];
        let changes = self.function.volatility == Volatility::Volatile;
        let fields = if changes {
            self.has.of_write(&fields)
        } else {
            fields.to_vec()
        };
        let (status, good) = match self.function.returns {
            Returns::Void => ("204", response::good("Done.", None, &fields)),
            Returns::Value => (
                "200",
                response::any(
                    "What it returned.",
                    &json!({ "description": "Any JSON." }),
                    &fields,
                ),
            ),
            Returns::Rows => {
                let rows = json!({ "type": "array", "items": {} });
                ("200", response::any("The rows or values.", &rows, &fields))
            }
            Returns::Resource(index) => {
                let rows = self
                    .resources
                    .get(index)
                    .map(|names| format!("{}List", names.one));
                ("200", response::good("The rows.", rows.as_deref(), &fields))
            }
        };
        responses.insert(status.into(), good);
        response::refuse(&mut responses, ANY);
        responses.insert(
            "default".into(),
            response::raised(if self.function.sets_response {
                "What the function itself chooses or raises: any status, with any fields."
            } else {
                "What the function itself raises (`RAISE SQLSTATE 'PTxyz'`)."
            }),
        );
        responses
    }
}

/// The object that `POST` takes.
fn arguments(function: &Function) -> Value {
    let mut properties = Map::new();
    let mut example = Map::new();
    for arg in &function.args {
        let mut property = taken(&arg.ty);
        // The database reads a null as one, whatever the type.
        if property.get("type").is_some() {
            property["type"] = json!([property["type"], "null"]);
            if let Some(Value::Array(names)) = property.get_mut("enum") {
                names.push(Value::Null);
            }
        }
        properties.insert(arg.name.clone(), property);
        if let Some(sample) = sample(&arg.ty) {
            example.insert(arg.name.clone(), sample);
        }
    }
    let required: Vec<_> = function.args.iter().filter(|arg| !arg.optional).collect();
    let mut object = json!({
        "type": "object",
        "description": format!("The arguments of `{}` by name. One that is left out takes the database's default.", function.name),
        "properties": properties, "additionalProperties": false,
    });
    if !required.is_empty() {
        object["required"] = required.iter().map(|arg| arg.name.as_str()).collect();
    }
    if example.len() == function.args.len() && !example.is_empty() {
        object["example"] = example.into();
    }
    object
}

/// What an argument of this type takes.
fn taken(ty: &Type) -> Value {
    let mut schema = schema::plain(ty);
    match ty {
        Type::Text => schema["pattern"] = json!(schema::NO_NUL),
        Type::Decimal { precision, scale } => {
            schema::digits(&mut schema, (*precision).into(), (*scale).into());
        }
        _ => {}
    }
    schema
}

/// An argument as a parameter of `GET`.
fn argument(arg: &Argument) -> Value {
    let (schema, about) = match &arg.ty {
        Type::List(item) => (
            json!({ "type": "array", "minItems": 1, "items": taken(item) }),
            "A list: once for each item, or once as `{a,b}`.",
        ),
        Type::Json => (json!({ "type": "string", "pattern": filter::json() }), "JSON."),
        ty => (taken(ty), ""),
    };
    let kind = format!("The argument `{}` ({}).", arg.name, arg.ty);
    let mut parameter = json!({
        "name": arg.name, "in": "query", "required": !arg.optional,
        "description": format!("{kind} {about}").trim_end(), "schema": schema,
    });
    if let Some(sample) = sample(&arg.ty) {
        parameter["example"] = sample;
    }
    parameter
}

/// A value of the type, for the example.
fn sample(ty: &Type) -> Option<Value> {
    Some(match ty.value() {
        Type::Enum(names) => json!(names.first()?),
        Type::Int => json!(10),
        Type::Decimal { .. } => json!(9),
        Type::Float => json!(0.5),
        Type::Bool => json!(true),
        Type::Text => json!("text"),
        Type::Date => json!("2024-02-29"),
        Type::Time => json!("2024-02-29T12:00:00Z"),
        Type::Uuid | Type::Uuid7 => json!("01890a5d-ac96-774b-bcce-b302099a8057"),
        Type::Json | Type::List(_) | Type::Ref { .. } => return None,
    })
}
