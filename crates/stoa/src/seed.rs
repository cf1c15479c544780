//! First rows: what `seed:` names, loaded by `dev` into created tables that are empty.
//!
//! Rows go through the resources' own handlers, so that they are validated as any `POST` is. The access rules
//! do not hold here, since nobody calls: `dev` opens the data half on [`without_rules`] for as long as [`load`] runs.

use http::{Method, header};
use serde_json::{Map, Value};
use std::{collections::HashMap, fmt, path::Path, sync::Arc};
use stoa_config::{
    fault::{Fault, SEED, Severity},
    plan::{Access, Plan},
};
use stoa_exchange::{Body, Context, Handler, Problem, Reply, Request, read_to_limit};

/// Bound of the seed file, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Rows of one `POST`: one transaction of bounded size.
const ROWS_PER_REQUEST: usize = 500;

/// What was loaded into one resource.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Loaded {
    /// The resource.
    pub(crate) resource: String,
    /// Rows that are now in it.
    pub(crate) rows: usize,
}

/// Why the rows were not loaded, in words for the terminal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SeedError(String);

impl fmt::Display for SeedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SeedError {}

/// Loads the rows of `plan.seed`, if there is one; resources that hold a row already are left alone.
/// `handlers` are those of a data half opened on [`without_rules`], by name of the resource.
///
/// # Errors
/// The first thing that is wrong with the file or with a row of it. What was loaded before stays.
pub(crate) async fn load(
    plan: &Plan,
    handlers: &HashMap<String, Arc<dyn Handler>>,
) -> Result<Vec<Loaded>, SeedError> {
    let Some(path) = &plan.seed else {
        return Ok(Vec::new());
    };
    let mut loaded = Vec::new();
    for (name, rows) in read(path)? {
        let handler = resource(plan, handlers, &name)?;
        let Value::Array(rows) = rows else {
            return Err(SeedError(format!("seed: `{name}` must be a list of rows")));
        };
        if rows.is_empty() || !is_empty(handler.as_ref(), &name).await? {
            continue;
        }
        for (chunk, first) in rows.chunks(ROWS_PER_REQUEST).zip((0..).step_by(ROWS_PER_REQUEST)) {
            insert(handler.as_ref(), &name, chunk, first).await?;
        }
        loaded.push(Loaded {
            rows: rows.len(),
            resource: name,
        });
    }
    Ok(loaded)
}

/// What is wrong with the file of first rows, as far as it can be told without a store.
pub(crate) fn check(plan: &Plan) -> Option<Fault> {
    let SeedError(message) = read(plan.seed.as_deref()?)
        .and_then(|resources| resources.keys().try_for_each(|name| fits(plan, name)))
        .err()?;
    let mark = plan.marks.get("seed")?.clone();
    Some(Fault {
        code: SEED,
        severity: Severity::Error,
        message: message.trim_start_matches("seed: ").to_owned(),
        place: mark.place,
        span: mark.span,
        second: None,
        help: Some("make the file, such as `{\"RESOURCE\": [{…}]}`, or leave `seed` out".to_owned()),
    })
}

/// Whether rows may be loaded into what is called so.
fn fits(plan: &Plan, name: &str) -> Result<(), SeedError> {
    match plan.resource(name) {
        Some(resource) if resource.table.is_some() => Err(SeedError(format!(
            "seed: `{name}` is bound to an existing table, which is never filled"
        ))),
        Some(_) => Ok(()),
        None => Err(SeedError(format!(
            "seed: there is no resource `{name}` in the API file"
        ))),
    }
}

/// The plan with every access rule `public`: for loading only, never to be served.
pub(crate) fn without_rules(plan: &Plan) -> Plan {
    let mut plan = plan.clone();
    for resource in &mut plan.resources {
        let rules = &mut resource.rules;
        for rule in [
            &mut rules.read,
            &mut rules.create,
            &mut rules.update,
            &mut rules.delete,
        ] {
            rule.access = Access::Public;
        }
    }
    plan
}

fn read(path: &Path) -> Result<Map<String, Value>, SeedError> {
    let shown = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
    let unreadable = |e: std::io::Error| SeedError(format!("seed: cannot read {shown}: {e}"));
    let bytes = std::fs::metadata(path).map_err(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        let message = format!("seed: {shown} has {bytes} bytes, at most {FILE_BYTES_MAX} are read");
        return Err(SeedError(message));
    }
    let text = std::fs::read(path).map_err(unreadable)?;
    match serde_json::from_slice(&text) {
        Ok(Value::Object(resources)) => Ok(resources),
        Ok(_) => Err(SeedError(format!(
            "seed: {shown} must be an object, {{\"RESOURCE\": [rows]}}"
        ))),
        Err(e) => Err(SeedError(format!("seed: {shown} is not JSON: {e}"))),
    }
}

fn resource<'a>(
    plan: &Plan,
    handlers: &'a HashMap<String, Arc<dyn Handler>>,
    name: &str,
) -> Result<&'a Arc<dyn Handler>, SeedError> {
    fits(plan, name)?;
    handlers
        .get(name)
        .ok_or_else(|| SeedError(format!("seed: nothing serves `{name}`")))
}

async fn is_empty(handler: &dyn Handler, name: &str) -> Result<bool, SeedError> {
    let request = request(Method::GET, &format!("/{name}?limit=1"), Body::Empty)?;
    let reply = send(handler, request).await.map_err(|e| refused(name, 0, &e))?;
    let body = read_to_limit(reply.into_body(), FILE_BYTES_MAX)
        .await
        .map_err(|e| SeedError(format!("seed: {name}: {e}")))?;
    Ok(body.trim_ascii() == b"[]")
}

async fn insert(handler: &dyn Handler, name: &str, rows: &[Value], first: usize) -> Result<(), SeedError> {
    let body = Body::from(Value::from(rows).to_string());
    let request = request(Method::POST, &format!("/{name}"), body)?;
    send(handler, request)
        .await
        .map(drop)
        .map_err(|e| refused(name, first, &e))
}

fn request(method: Method, target: &str, body: Body) -> Result<Request, SeedError> {
    http::Request::builder()
        .method(method)
        .uri(target)
        .header(header::CONTENT_TYPE, "application/json")
        .header("prefer", "return=minimal")
        .body(body)
        .map_err(|e| SeedError(format!("seed: {target}: {e}")))
}

async fn send(handler: &dyn Handler, request: Request) -> Result<Reply, Problem> {
    let mut context = Context::local();
    context.body_bytes_max = FILE_BYTES_MAX;
    handler.handle(&mut context, request).await
}

/// Says which rows were refused and why; positions count from 0, as they stand in the file.
fn refused(name: &str, first: usize, problem: &Problem) -> SeedError {
    let mut lines = vec![format!("seed: {name}: {}", problem.detail)];
    for error in problem.errors.iter().take(10) {
        let (row, field) = match error.field.split_once('.') {
            Some((row, field)) => (row.parse::<usize>().map_or(first, |row| first + row), field),
            None => (first, error.field.as_str()),
        };
        lines.push(format!("  row {row}, {field}: {}", error.message));
    }
    SeedError(lines.join("\n"))
}

#[cfg(test)]
pub(crate) mod tests;
