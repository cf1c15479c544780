//! What PostgREST's clients find at `/rest/v1`: relations by the schema they are in, functions, a document at the root,
//! and its words for what is not there.

use crate::{
    codes, function,
    handler::{Inner, serve},
    operation::ResourceIndex,
    refusal::{Refusal, Result, shorten},
    value::nearest,
};
use http::{HeaderMap, HeaderValue, Method, header, request};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use std::sync::Arc;
use stoa_config::plan::{Plan, Resource};
use stoa_exchange::{Body, Context, Handler, HandlerFuture, Problem, Reply, Request, codes as common};

/// The schema of every table that Stoa makes, and of what names none.
pub(crate) const PUBLIC: &str = "public";
/// Where the alias begins.
pub(crate) const ROOT: &str = "/rest/v1";

/// Everything below `/rest/v1`, and functions below `/rpc`.
pub(crate) struct Rest {
    pub(crate) inner: Arc<Inner>,
    /// Answers `GET /rest/v1/`.
    pub(crate) root: Arc<dyn Handler>,
}

impl Handler for Rest {
    fn handle<'a>(&'a self, context: &'a mut Context, request: Request) -> HandlerFuture<'a> {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let path = parts.uri.path().to_owned();
            if let Some(name) = path.strip_prefix("/rpc/") {
                return function::serve(&self.inner, name, false, context, parts, body).await;
            }
            let rest = path.strip_prefix(ROOT).unwrap_or(&path);
            let segments: Vec<&str> = rest.split('/').filter(|s| !s.is_empty()).collect();
            match segments[..] {
                [] => self.root(context, parts, body).await,
                ["rpc", name] => function::serve(&self.inner, name, true, context, parts, body).await,
                [name] => {
                    let name = percent_decode_str(name).decode_utf8_lossy();
                    let found = relation(&self.inner, None, &name, &parts.method, &parts.headers);
                    let index = found.map_err(|refusal| refusal.into_problem(true))?;
                    serve(&self.inner, index, None, true, context, parts, body).await
                }
                _ => Err(nowhere().into_problem(true)),
            }
        })
    }
}

impl Rest {
    async fn root(
        &self,
        context: &mut Context,
        parts: request::Parts,
        body: Body,
    ) -> std::result::Result<Reply, Problem> {
        const METHODS: &str = "OPTIONS,GET,HEAD";
        match parts.method {
            Method::GET | Method::HEAD => self.root.handle(context, Request::from_parts(parts, body)).await,
            Method::OPTIONS => {
                let mut reply = Reply::new(Body::Empty);
                reply
                    .headers_mut()
                    .insert(header::ALLOW, HeaderValue::from_static(METHODS));
                Ok(reply)
            }
            method => {
                let message = format!("Unsupported HTTP method: {method}");
                Err(Refusal::new(&common::METHOD_NOT_ALLOWED, message.clone())
                    .header(header::ALLOW, METHODS)
                    .postgrest("PGRST117", 405, message)
                    .into_problem(true))
            }
        }
    }
}

fn nowhere() -> Refusal {
    let says = "Invalid path specified in request URL";
    Refusal::new(&common::NOT_FOUND, says)
        .postgrest("PGRST125", 404, says)
        .details(Value::Null)
}

/// The schema of a resource's table.
pub(crate) fn schema(resource: &Resource) -> &str {
    let named = resource.table.as_ref().and_then(|table| table.schema.as_deref());
    named.unwrap_or(PUBLIC)
}

/// What callers of the alias call a resource: its table, where that exists without Stoa.
pub(crate) fn relation_name(resource: &Resource) -> &str {
    resource.table.as_ref().map_or(&resource.name, |t| &t.name)
}

/// The schemas of a plan's resources and functions, `public` first.
pub(crate) fn schemas(plan: &Plan) -> Vec<String> {
    let of_functions = plan
        .functions
        .iter()
        .map(|f| f.function.schema.as_deref().unwrap_or(PUBLIC));
    let mut schemas: Vec<String> = Vec::new();
    for schema in plan.resources.iter().map(schema).chain(of_functions) {
        if !schemas.iter().any(|known| known == schema) {
            schemas.push(schema.to_owned());
        }
    }
    // The order of the file, but for PostgreSQL's own.
    schemas.sort_by_key(|schema| schema != PUBLIC);
    if schemas.is_empty() {
        schemas.push(PUBLIC.to_owned());
    }
    schemas
}

/// The schema that a caller asks for: reads and writes have a header each.
///
/// # Errors
/// It is none of the API's.
pub(crate) fn profile<'h>(
    schemas: &[String],
    method: &Method,
    headers: &'h HeaderMap,
) -> Result<Option<&'h str>> {
    let name = match *method {
        Method::GET | Method::HEAD => "accept-profile",
        _ => "content-profile",
    };
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let text = std::str::from_utf8(value.as_bytes()).unwrap_or_default();
    if schemas.iter().any(|schema| schema == text) {
        return Ok(Some(text));
    }
    let (shown, all) = (shorten(text), schemas.join(", "));
    let detail = format!("There is no schema `{shown}`; there are: {all}.");
    Err(Refusal::new(&codes::UNKNOWN_SCHEMA, detail)
        .postgrest("PGRST106", 406, format!("Invalid schema: {shown}"))
        .details(Value::Null)
        .postgrest_hint(format!("Only the following schemas are exposed: {all}")))
}

/// The resource that a name means: of the schema that is asked for, by its own name or by that of its table. `own` is
/// the resource of that name, where the path led to one.
pub(crate) fn relation(
    inner: &Inner,
    own: Option<ResourceIndex>,
    name: &str,
    method: &Method,
    headers: &HeaderMap,
) -> Result<ResourceIndex> {
    let asked = profile(&inner.schemas, method, headers)?;
    let resources = &inner.plan.resources;
    if let Some(index) = own
        && asked.is_none_or(|asked| asked == schema(&resources[index]))
    {
        return Ok(index);
    }
    let wanted = asked.unwrap_or(&inner.schemas[0]);
    let here = |(index, resource): &(usize, &Resource)| inner.served[*index] && schema(resource) == wanted;
    let named = |resource: &Resource| match &resource.table {
        Some(table) => table.name == name || resource.name == name,
        None => resource.name == name,
    };
    let mut all = resources.iter().enumerate().filter(here);
    if let Some((index, _)) = all.find(|(_, resource)| named(resource)) {
        return Ok(index);
    }
    let names = resources.iter().enumerate().filter(here);
    let near = nearest(name, names.map(|(_, resource)| resource.name.as_str()));
    let shown = shorten(name);
    let mut refusal = Refusal::new(
        &common::NOT_FOUND,
        format!("Nothing is called `{shown}` in `{wanted}`."),
    )
    .near(near)
    .postgrest(
        "PGRST205",
        404,
        format!("Could not find the table '{wanted}.{shown}' in the schema cache"),
    )
    .details(Value::Null);
    if let Some(near) = near {
        refusal = refusal.postgrest_hint(format!("Perhaps you meant the table '{wanted}.{near}'"));
    }
    Err(refusal)
}

/// Says which schema a reply is of, where there are several or one was asked for.
pub(crate) fn tell_profile(inner: &Inner, schema: &str, headers: &HeaderMap, reply: &mut Reply) {
    let asked = ["accept-profile", "content-profile"]
        .iter()
        .any(|name| headers.contains_key(*name));
    if (asked || inner.schemas.len() > 1)
        && let Ok(value) = HeaderValue::from_bytes(schema.as_bytes())
    {
        reply.headers_mut().insert("content-profile", value);
    }
}
