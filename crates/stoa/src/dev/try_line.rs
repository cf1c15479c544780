//! The line of the panel that answers when it is pasted: asked of the gateway in this process before it is shown.

use http::{Method, header};
use serde_json::{Map, Value, json};
use std::{fmt::Write as _, sync::Arc, time::Duration};
use stoa_config::plan::{Access, Bound, Field, Plan, Resource, Segment, Type};
use stoa_edge::Gateway;
use stoa_exchange::{Body, read_to_limit};

/// More of a reply is not read to see whether it holds rows.
const REPLY_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A service that takes longer is not the line to show first.
const ANSWER_WITHIN: Duration = Duration::from_millis(300);
/// So many routes of services are asked; the panel must not wait for more.
const ROUTES_ASKED_MAX: usize = 4;

/// What a request to an address gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Rows,
    NoRows,
    Refused,
}

/// A curl line for the API at `base`: one that answers with rows, else one that writes the first row, else a
/// route whose service answers, else the description of the API.
pub(crate) async fn find(plan: &Plan, gateway: &Arc<Gateway>, base: &str, token: Option<&str>) -> String {
    let mut empty = None;
    for with_token in [None, token]
        .into_iter()
        .take(if token.is_some() { 2 } else { 1 })
    {
        for resource in &plan.resources {
            match ask(gateway, &format!("/{}", resource.name), with_token).await {
                Answer::Rows => return curl(base, &resource.name, with_token),
                Answer::NoRows => empty = empty.or(Some((resource, with_token))),
                Answer::Refused => {}
            }
        }
    }
    for resource in &plan.resources {
        if let Some(line) = first_row(resource, base, token) {
            return line;
        }
    }
    if let Some((resource, with_token)) = empty {
        return curl(base, &resource.name, with_token);
    }
    for (path, token) in routes(plan, token) {
        if ask(gateway, &path, token).await != Answer::Refused {
            return curl(base, path.trim_start_matches('/'), token);
        }
    }
    curl(base, "openapi.json", None)
}

async fn ask(gateway: &Arc<Gateway>, path: &str, token: Option<&str>) -> Answer {
    let mut request = http::Request::builder()
        .method(Method::GET)
        .uri(path)
        .header(header::HOST, "localhost");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let Ok(request) = request.body(Body::Empty) else {
        return Answer::Refused;
    };
    let Ok(reply) = tokio::time::timeout(ANSWER_WITHIN, gateway.answer(request)).await else {
        return Answer::Refused;
    };
    if !reply.status().is_success() {
        return Answer::Refused;
    }
    let body = tokio::time::timeout(ANSWER_WITHIN, read_to_limit(reply.into_body(), REPLY_BYTES_MAX)).await;
    match body {
        Ok(Ok(body)) if body.trim_ascii() == b"[]" => Answer::NoRows,
        Ok(Ok(_)) => Answer::Rows,
        _ => Answer::Refused,
    }
}

fn curl(base: &str, path: &str, token: Option<&str>) -> String {
    let mut line = format!("curl {base}/{path}");
    if let Some(token) = token {
        let _ = write!(line, " -H 'authorization: Bearer {token}'");
    }
    line
}

/// A `POST` of a row that the resource takes, where anybody or the token may create and a row can be made up.
fn first_row(resource: &Resource, base: &str, token: Option<&str>) -> Option<String> {
    let token = match resource.rules.create.access {
        Access::Public => None,
        Access::Nobody | Access::When(_) => return None,
        _ => Some(token?),
    };
    if resource.table.is_some() {
        return None;
    }
    let mut row = Map::new();
    for field in resource.fields.iter().filter(|f| f.required()) {
        row.insert(field.name.clone(), sample(field)?);
    }
    if row.is_empty() {
        return None;
    }
    // `'` would end the shell's quotes.
    let row = Value::Object(row).to_string().replace('\'', "");
    Some(format!(
        "{} -H 'content-type: application/json' -d '{row}'",
        curl(base, &resource.name, token)
    ))
}

/// A value that the field takes; `None` where none can be made up safely.
fn sample(field: &Field) -> Option<Value> {
    if field.matches.is_some() {
        return None;
    }
    let number = |bound: &Option<Bound>| bound.as_ref().and_then(|b| b.text.parse::<i64>().ok());
    let (min, max) = (number(&field.min), number(&field.max));
    let within = 1.max(min.unwrap_or(1)).min(max.unwrap_or(i64::MAX));
    match &field.ty {
        Type::Text => {
            let (least, most) = field.chars.unwrap_or((0, u32::MAX));
            let text = format!("My first {}", field.name);
            let filled = format!("{text:.<width$}", width = least.min(200) as usize);
            Some(json!(filled.chars().take(most as usize).collect::<String>()))
        }
        Type::Int | Type::Float => Some(json!(within)),
        Type::Decimal { precision, scale } if precision > scale => Some(json!(within)),
        Type::Bool => Some(json!(true)),
        Type::Enum(names) => names.first().map(|name| json!(name)),
        Type::Json => Some(json!({})),
        Type::List(_) => Some(json!([])),
        Type::Date if min.is_none() && max.is_none() => Some(json!("2026-01-31")),
        Type::Time if field.min.is_none() && field.max.is_none() => Some(json!("2026-01-31T12:00:00Z")),
        _ => None,
    }
}

/// Paths that GET reaches without parameters, public ones first, with the token where one is asked for.
fn routes<'a>(plan: &'a Plan, token: Option<&'a str>) -> impl Iterator<Item = (String, Option<&'a str>)> {
    let all = plan.all_routes().filter(|route| {
        let gets = route.methods.is_empty() || route.methods.contains(&Method::GET);
        gets && route.host.is_none() && !route.path.segments.iter().any(|s| matches!(s, Segment::Param(_)))
    });
    let (public, others): (Vec<_>, Vec<_>) = all.partition(|r| matches!(r.access.access, Access::Public));
    let path = |segments: &[Segment]| {
        let path = segments
            .iter()
            .fold(String::new(), |path, segment| match segment {
                Segment::Literal(text) | Segment::Param(text) => path + "/" + text,
            });
        if path.is_empty() { String::from("/") } else { path }
    };
    let public = public.into_iter().map(move |r| (path(&r.path.segments), None));
    let others = others.into_iter().map(move |r| (path(&r.path.segments), token));
    public
        .chain(others.filter(|(_, token)| token.is_some()))
        .take(ROUTES_ASKED_MAX)
}

#[cfg(test)]
mod tests;
