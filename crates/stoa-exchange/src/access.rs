//! What both halves ask of a caller, in the same words: an identity, a role, a scope, a CEL rule. The rules
//! that look at rows are the data half's own.

use crate::{Caller, Context, Identity, Problem, codes};
use cel::{
    Env, Program,
    common::ast::{EntryExpr, Expr, IdedExpr},
};
use http::{HeaderMap, Method, header};
use percent_encoding::percent_decode_str;
use std::{
    borrow::Cow,
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, LazyLock},
};

/// What a rule may know of the request.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts<'a> {
    /// The API's name, as in `WWW-Authenticate`.
    pub realm: &'a str,
    /// Method.
    pub method: &'a Method,
    /// Path as sent, without the query.
    pub path: &'a str,
    /// Query as sent, without `?`.
    pub query: Option<&'a str>,
    /// Host, lower case, with port if there was one.
    pub host: &'a str,
    /// Header fields.
    pub headers: &'a HeaderMap,
    /// The client's address.
    pub client: IpAddr,
}

impl<'a> RequestFacts<'a> {
    /// The facts of a request.
    pub fn of(realm: &'a str, context: &'a Context, request: &'a http::request::Parts) -> Self {
        Self {
            realm,
            method: &request.method,
            path: request.uri.path(),
            query: request.uri.query(),
            host: &context.host,
            headers: &request.headers,
            client: context.client,
        }
    }
}

/// The caller.
///
/// # Errors
/// 401 with a challenge (RFC 6750 section 3) when nobody is known.
pub fn require_caller<'i>(identity: &'i Identity, realm: &str) -> Result<&'i Caller, Problem> {
    identity.caller().ok_or_else(|| {
        let realm = realm.replace(['"', '\\'], "'");
        Problem::new(
            &codes::UNAUTHENTICATED,
            "this address needs a caller with an identity",
        )
        .hint(
            "send `Authorization: Bearer TOKEN`; `stoa token mint --user NAME` makes a token for development",
        )
        .header(header::WWW_AUTHENTICATE, format!("Bearer realm=\"{realm}\""))
    })
}

/// A caller with any of these roles.
///
/// # Errors
/// 401 when nobody is known, 403 naming the roles otherwise.
pub fn require_role<'i>(
    identity: &'i Identity,
    realm: &str,
    roles: &[String],
) -> Result<&'i Caller, Problem> {
    let caller = require_caller(identity, realm)?;
    if roles.iter().any(|role| caller.roles.contains(role)) {
        return Ok(caller);
    }
    Err(forbidden(&format!("needs role {}", roles.join(" or "))))
}

/// A caller with all of these scopes.
///
/// # Errors
/// 401 when nobody is known, 403 with `insufficient_scope` (RFC 6750 section 3.1) otherwise.
pub fn require_scopes<'i>(
    identity: &'i Identity,
    realm: &str,
    scopes: &[String],
) -> Result<&'i Caller, Problem> {
    let caller = require_caller(identity, realm)?;
    if scopes.iter().all(|scope| caller.scopes.contains(scope)) {
        return Ok(caller);
    }
    let realm = realm.replace(['"', '\\'], "'");
    let wanted = scopes.join(" ").replace(['"', '\\'], "'");
    let challenge = format!("Bearer realm=\"{realm}\", error=\"insufficient_scope\", scope=\"{wanted}\"");
    Err(Problem::new(
        &codes::INSUFFICIENT_SCOPE,
        format!("needs scope {}", scopes.join(" and ")),
    )
    .header(header::WWW_AUTHENTICATE, challenge))
}

/// 403. `rule` says what is needed; it never tells what the caller has.
pub fn forbidden(rule: &str) -> Problem {
    Problem::new(&codes::FORBIDDEN, rule)
}

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// What a CEL rule sees: `claims` (none for a caller who is not known) and `request`. Only what the program
/// refers to is built.
pub fn cel_context(
    program: &Program,
    identity: &Identity,
    request: &RequestFacts<'_>,
) -> cel::Context<'static, 'static> {
    let mut context = cel::Context::with_env(Arc::clone(&ENV));
    let references = program.references();
    if references.has_variable("claims") {
        let claims: HashMap<String, cel::Value> = identity
            .caller()
            .into_iter()
            .flat_map(|caller| &caller.claims)
            .map(|(name, value)| (name.clone(), cel_value(value)))
            .collect();
        context.add_variable_from_value("claims", claims);
    }
    if references.has_variable("request") {
        context.add_variable_from_value("request", cel_request(request));
    }
    context
}

/// Whether a rule without rows holds. An error (a claim that is not there) is a no.
pub fn holds(program: &Program, identity: &Identity, request: &RequestFacts<'_>) -> bool {
    let context = cel_context(program, identity, request);
    matches!(program.execute(&context), Ok(cel::Value::Bool(true)))
}

/// Whether the program looks at the caller.
pub fn needs_caller(program: &Program) -> bool {
    program.references().has_variable("claims")
}

/// JSON as a CEL value. A number that is neither 64-bit integer is a double.
pub fn cel_value(value: &serde_json::Value) -> cel::Value {
    use serde_json::Value as Json;
    match value {
        Json::Null => cel::Value::Null,
        Json::Bool(b) => cel::Value::Bool(*b),
        Json::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
            (Some(n), ..) => cel::Value::Int(n),
            (_, Some(n), _) => cel::Value::UInt(n),
            (.., Some(n)) => cel::Value::Float(n),
            (None, None, None) => cel::Value::Null,
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(items) => items.iter().map(cel_value).collect::<Vec<_>>().into(),
        Json::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), cel_value(value)))
            .collect::<HashMap<_, _>>()
            .into(),
    }
}

fn cel_request(request: &RequestFacts<'_>) -> HashMap<&'static str, cel::Value> {
    HashMap::from([
        ("method", request.method.as_str().into()),
        ("path", decoded_path(request.path).into()),
        ("host", request.host.into()),
        ("headers", headers(request.headers).into()),
        ("query", query(request.query.unwrap_or_default()).into()),
        ("ip", request.client.to_string().into()),
    ])
}

/// The path with its segments decoded, as routes are matched: an encoded letter must not slip past a rule. A
/// segment that would decode to more than one stays as it was sent.
fn decoded_path(path: &str) -> String {
    let segment = |raw: &str| match percent_decode_str(raw).decode_utf8() {
        Ok(text) if !text.contains(['/', '\\']) => text.into_owned(),
        _ => raw.to_owned(),
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

/// Fields by lower-case name; the values of a repeated field joined as RFC 9110 section 5.3 has it. Fields that
/// are not text are left out.
fn headers(fields: &HeaderMap) -> HashMap<String, cel::Value> {
    let joined = |name| {
        let values: Result<Vec<&str>, _> = fields
            .get_all(name)
            .iter()
            .map(http::HeaderValue::to_str)
            .collect();
        values.ok().map(|values| values.join(", "))
    };
    fields
        .keys()
        .filter_map(|name| Some((name.as_str().to_owned(), joined(name)?.into())))
        .collect()
}

/// Parameters by name. One that comes twice is left out: a rule and the target might each see another.
fn query(query: &str) -> HashMap<String, cel::Value> {
    let mut parameters: HashMap<String, Option<cel::Value>> = HashMap::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Some(name), Some(value)) = (decoded(name), decoded(value)) else {
            continue;
        };
        parameters
            .entry(name)
            .and_modify(|twice| *twice = None)
            .or_insert_with(|| Some(value.into()));
    }
    parameters
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

fn decoded(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_decode_str(&spaced)
        .decode_utf8()
        .ok()
        .map(Cow::into_owned)
}

/// Whether evaluating the program takes time in proportion to its input at most: loops must not be nested, and
/// must not build lists. The input itself is bounded: claims by the size of a token, fields by that of a head.
///
/// # Errors
/// What is too costly, and what to write instead.
pub fn check_cost(program: &Program) -> Result<(), String> {
    loops(program.expression(), false)
}

fn loops(node: &IdedExpr, inside: bool) -> Result<(), String> {
    match &node.expr {
        Expr::Comprehension(each) => {
            if inside {
                return Err(String::from(
                    "a loop inside a loop (`exists`, `all`) could take too long; write it with `in`",
                ));
            }
            if matches!(each.accu_init.expr, Expr::List(_) | Expr::Map(_)) {
                return Err(String::from(
                    "`map` and `filter` are not available in rules; write the condition with `exists` or `all`",
                ));
            }
            loops(&each.iter_range, inside)?;
            loops(&each.accu_init, inside)?;
            loops(&each.loop_cond, true)?;
            loops(&each.loop_step, true)?;
            loops(&each.result, inside)
        }
        other => children(other)
            .into_iter()
            .try_for_each(|child| loops(child, inside)),
    }
}

/// The expressions directly inside one that is not a loop.
pub fn children(expression: &Expr) -> Vec<&IdedExpr> {
    match expression {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::Map(map) => map.entries.iter().flat_map(|e| entries(&e.expr)).collect(),
        Expr::Struct(shape) => shape.entries.iter().flat_map(|e| entries(&e.expr)).collect(),
        Expr::Comprehension(each) => vec![
            &each.iter_range,
            &each.accu_init,
            &each.loop_cond,
            &each.loop_step,
            &each.result,
        ],
        Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => Vec::new(),
    }
}

fn entries(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}
