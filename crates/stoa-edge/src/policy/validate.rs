//! Requests judged by the OpenAPI document of their service: parameters, media types, JSON bodies.

mod schema;

use super::auth::strict;
use crate::{
    codes as edge,
    intake::Progress,
    route::{
        path,
        table::{Found, Table},
    },
};
use http::{HeaderMap, header, request};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use std::{borrow::Cow, sync::Arc};
use stoa_config::plan::{Check, OpenApi, Operation, OperationBody, Parameter, ParameterPlace, Schema};
use stoa_exchange::{Body, Context, FieldError, Problem, codes, read_to_limit};

/// Faults of a request that are told.
const ERRORS_MAX: usize = 50;

/// A document, ready to judge.
pub(crate) struct Validate {
    document: Arc<OpenApi>,
    /// Positions in its operations.
    operations: Table<usize>,
}

impl Validate {
    pub(crate) fn of(document: &Arc<OpenApi>) -> Self {
        let mut operations = Table::default();
        for (at, operation) in document.operations.iter().enumerate() {
            operations.add(None, std::slice::from_ref(&operation.method), &operation.path, at);
        }
        Self {
            document: document.clone(),
            operations,
        }
    }

    /// Judges a request; what comes back is its body, whole where it was read. What the document does not describe, a
    /// route of the file lets through.
    pub(crate) async fn judge(
        &self,
        context: &mut Context,
        parts: &request::Parts,
        body: Body,
        progress: Option<&Progress>,
    ) -> Result<Body, Problem> {
        let Found::Route(at) = self.operations.find("", &parts.method, parts.uri.path()) else {
            context.trail.note("validate", || json!("not in the document"));
            return Ok(body);
        };
        let Some(operation) = self.document.operations.get(*at) else {
            return Ok(body);
        };
        context.trail.note("validate", || {
            json!(format!("{} {}", operation.method, operation.source))
        });
        self.parameters(operation, parts)?;
        match &operation.body {
            Some(rule) => self.body(rule, context, parts, body, progress).await,
            None => Ok(body),
        }
    }

    fn parameters(&self, operation: &Operation, parts: &request::Parts) -> Result<(), Problem> {
        let mut errors = Vec::new();
        for parameter in &operation.parameters {
            let values = values(parameter, parts);
            if values.is_empty() && parameter.required {
                errors.push(wrong(&parameter.name, "is missing"));
            }
            let Some(schema) = &parameter.schema else { continue };
            if values.len() > 1 {
                errors.push(wrong(&parameter.name, "is there more than once"));
            }
            for value in values {
                let value = typed(&value, schema);
                schema::check(&self.document, schema, &value, &parameter.name, &mut errors);
            }
        }
        if errors.is_empty() {
            return Ok(());
        }
        let detail = sentence(&errors);
        Err(Problem::new(&edge::INVALID_REQUEST, detail).errors(errors))
    }

    async fn body(
        &self,
        rule: &OperationBody,
        context: &Context,
        parts: &request::Parts,
        body: Body,
        progress: Option<&Progress>,
    ) -> Result<Body, Problem> {
        if matches!(body, Body::Empty) {
            if rule.required {
                return Err(Problem::new(
                    &edge::INVALID_REQUEST,
                    "the request has no body, and needs one",
                ));
            }
            return Ok(body);
        }
        let schema = media(rule, &parts.headers)?;
        let Some(schema) = schema else { return Ok(body) };
        if parts.headers.contains_key(header::CONTENT_ENCODING) {
            return Err(Problem::new(
                &codes::UNSUPPORTED_MEDIA_TYPE,
                "an encoded body cannot be judged here: send it as it is",
            )
            .header(header::ACCEPT_ENCODING, "identity"));
        }
        let bytes = read_to_limit(body, context.body_bytes_max)
            .await
            .map_err(|error| {
                // What broke the body is the caller's to know.
                let own = progress.and_then(Progress::problem);
                own.unwrap_or_else(|| {
                    Problem::new(&codes::BAD_REQUEST, "the body could not be read").cause(error)
                })
            })?;
        let value = strict::value(&bytes)
            .map_err(|why| Problem::new(&codes::BAD_REQUEST, format!("the body {why}")))?;
        let mut errors = Vec::new();
        schema::check(&self.document, schema, &value, "", &mut errors);
        if errors.is_empty() {
            return Ok(Body::full(bytes));
        }
        let detail = sentence(&errors);
        Err(Problem::new(&edge::INVALID_BODY, detail).errors(errors))
    }

    /// For `stoa route`.
    pub(crate) fn in_words(&self) -> Value {
        json!({ "openapi": format!("{} operations", self.document.operations.len()) })
    }
}

/// The schema for the media type that a body says it has.
fn media<'r>(rule: &'r OperationBody, sent: &HeaderMap) -> Result<Option<&'r Schema>, Problem> {
    if rule.types.is_empty() {
        return Ok(None);
    }
    let mut all = sent.get_all(header::CONTENT_TYPE).iter();
    let (first, second) = (all.next().and_then(|v| v.to_str().ok()), all.next());
    let essence = first
        .filter(|_| second.is_none())
        .and_then(|text| text.split(';').next())
        .map(|text| text.trim().to_ascii_lowercase())
        .unwrap_or_default();
    let (kind, subtype) = essence.split_once('/').unwrap_or_default();
    let exact = |range: &&(stoa_config::plan::MediaRange, Option<Schema>)| {
        range.0.kind == kind && range.0.subtype.as_deref() == Some(subtype)
    };
    let wide = |range: &&(stoa_config::plan::MediaRange, Option<Schema>)| {
        (range.0.kind == kind || range.0.kind == "*") && range.0.subtype.is_none()
    };
    let found = rule
        .types
        .iter()
        .find(exact)
        .or_else(|| rule.types.iter().find(wide));
    found.map(|(_, schema)| schema.as_ref()).ok_or_else(|| {
        let taken: Vec<String> = rule.types.iter().map(|(range, _)| range.to_string()).collect();
        let taken = taken.join(", ");
        Problem::new(
            &codes::UNSUPPORTED_MEDIA_TYPE,
            format!("a body of type `{essence}` is not taken here; {taken} is"),
        )
        .header(header::ACCEPT, taken)
    })
}

/// What was sent for a parameter.
fn values<'p>(parameter: &Parameter, parts: &'p request::Parts) -> Vec<Cow<'p, str>> {
    match &parameter.place {
        ParameterPlace::Path(at) => path::segments(parts.uri.path())
            .nth(*at)
            .map(path::decode)
            .into_iter()
            .collect(),
        ParameterPlace::Header(name) => {
            let all = parts.headers.get_all(name).iter();
            all.map(|value| String::from_utf8_lossy(value.as_bytes()))
                .collect()
        }
        ParameterPlace::Query => {
            let pairs = parts
                .uri
                .query()
                .unwrap_or_default()
                .split('&')
                .filter(|p| !p.is_empty());
            let pairs = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
            pairs
                .filter(|(name, _)| form(name) == parameter.name)
                .map(|(_, value)| form(value))
                .collect()
        }
    }
}

/// A name or value of a query, without its escapes.
fn form(text: &str) -> Cow<'_, str> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return Cow::Owned(percent_decode_str(&spaced).decode_utf8_lossy().into_owned());
    }
    percent_decode_str(text).decode_utf8_lossy()
}

/// A parameter's text as what its schema wants; as text where it is not that.
fn typed(text: &str, schema: &Schema) -> Value {
    let wants = |ty: &str| {
        schema
            .0
            .iter()
            .any(|check| matches!(check, Check::Types(types) if types.contains(&ty)))
    };
    let parsed = match text {
        "true" | "false" if wants("boolean") => serde_json::from_str(text).ok(),
        _ if wants("integer") || wants("number") => serde_json::from_str(text).ok().filter(Value::is_number),
        _ => None,
    };
    parsed.unwrap_or_else(|| Value::from(text))
}

fn wrong(field: &str, message: &str) -> FieldError {
    FieldError {
        field: field.to_owned(),
        message: message.to_owned(),
    }
}

fn sentence(errors: &[FieldError]) -> String {
    match errors {
        [one] if one.field.is_empty() => format!("the body {}", one.message),
        [one] => format!("`{}` {}", one.field, one.message),
        many => format!("{} values are not right", many.len()),
    }
}
