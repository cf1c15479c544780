//! `/openapi.json`, `/docs` and `/docs/errors/CODE`: pages made once per plan, that load nothing from elsewhere.

use crate::openapi;
use aws_lc_rs::digest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use std::{collections::HashMap, sync::Arc};
use stoa_config::plan::Plan;
use stoa_exchange::{Body, Context, Handler, HandlerFuture, Problem, Reply, Request, codes};
use tokio::sync::OnceCell;

/// Nothing from elsewhere, nothing inline, no framing: a page that shows what others wrote can run none of it.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The documents of a plan, as `stoa_edge::Parts::documents` wants them.
pub(crate) fn documents(plan: &Arc<Plan>) -> Vec<(String, Arc<dyn Handler>)> {
    let docs: Arc<dyn Handler> = Arc::new(Docs::new(&plan.api));
    vec![
        ("/openapi.json".into(), described(plan, "application/json")),
        ("/docs".into(), Arc::clone(&docs)),
        ("/docs/".into(), docs),
    ]
}

/// The description of a plan's API.
pub(crate) fn described(plan: &Arc<Plan>, media_type: &'static str) -> Arc<dyn Handler> {
    Arc::new(Description {
        plan: Arc::clone(plan),
        media_type,
        page: OnceCell::new(),
    })
}

/// The description of an API, made when it is first asked for: that of many routes is large and takes its time, and many
/// processes are never asked.
struct Description {
    plan: Arc<Plan>,
    media_type: &'static str,
    page: OnceCell<Page>,
}

impl Description {
    async fn make(&self) -> Result<Page, Problem> {
        let (plan, media_type) = (Arc::clone(&self.plan), self.media_type);
        // Not on the worker: the others would wait for it.
        let made = tokio::task::spawn_blocking(move || {
            Page::new(media_type, Bytes::from(openapi::document(&plan).to_string()))
        });
        let failed =
            |error| Problem::new(&codes::INTERNAL, "The description could not be made.").cause(error);
        made.await.map_err(failed)
    }
}

impl Handler for Description {
    fn handle<'a>(&'a self, _context: &'a mut Context, request: Request) -> HandlerFuture<'a> {
        Box::pin(async move {
            let page = self.page.get_or_try_init(|| self.make()).await?;
            page.reply(&request)
        })
    }
}

/// One fixed reply with a validator.
struct Page {
    media_type: &'static str,
    body: Bytes,
    etag: String,
}

impl Page {
    fn new(media_type: &'static str, body: Bytes) -> Self {
        let hash = digest::digest(&digest::SHA256, &body);
        let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]));
        Self {
            media_type,
            body,
            etag,
        }
    }

    fn html(text: String) -> Self {
        Self::new("text/html; charset=utf-8", Bytes::from(text))
    }

    fn reply(&self, request: &Request) -> Result<Reply, Problem> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let problem = Problem::new(&codes::METHOD_NOT_ALLOWED, "Documents are only read.");
            return Err(problem.header(header::ALLOW, "GET, HEAD"));
        }
        let known = request.headers().get_all(header::IF_NONE_MATCH).iter();
        let fresh = known.filter_map(|v| v.to_str().ok()).any(|v| self.is_named_by(v));
        let mut reply = Reply::new(if fresh {
            Body::Empty
        } else {
            Body::full(self.body.clone())
        });
        if fresh {
            *reply.status_mut() = StatusCode::NOT_MODIFIED;
        }
        let headers = reply.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.media_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        headers.insert(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static(CONTENT_SECURITY_POLICY),
        );
        if let Ok(etag) = HeaderValue::from_str(&self.etag) {
            headers.insert(header::ETAG, etag);
        }
        Ok(reply)
    }

    /// Whether an `If-None-Match` names this page (weak comparison, RFC 9110 section 13.1.2).
    fn is_named_by(&self, list: &str) -> bool {
        list.split(',')
            .map(str::trim)
            .any(|one| one == "*" || one.trim_start_matches("W/") == self.etag)
    }
}

impl Handler for Page {
    fn handle<'a>(&'a self, _context: &'a mut Context, request: Request) -> HandlerFuture<'a> {
        Box::pin(async move { self.reply(&request) })
    }
}

/// `/docs` and everything below.
struct Docs {
    pages: HashMap<String, Page>,
}

impl Docs {
    fn new(api: &str) -> Self {
        let mut pages = HashMap::new();
        let index = include_str!("docs_page/index.html").replace("{{api}}", &escape(api));
        pages.insert("/docs".to_owned(), Page::html(index));
        let script = Bytes::from_static(include_bytes!("docs_page/app.js"));
        pages.insert(
            "/docs/app.js".to_owned(),
            Page::new("text/javascript; charset=utf-8", script),
        );
        let style = Bytes::from_static(include_bytes!("docs_page/style.css"));
        pages.insert(
            "/docs/style.css".to_owned(),
            Page::new("text/css; charset=utf-8", style),
        );
        pages.insert("/docs/errors".to_owned(), Page::html(errors_index()));
        for code in openapi::codes() {
            let page = error_page(code.name, code.title, code.explain, Some(code.status));
            pages.insert(format!("/docs/errors/{}", code.name), Page::html(page));
        }
        for code in stoa_config::fault::codes() {
            let text = stoa_config::fault::explain(code).unwrap_or_default();
            let page = error_page(code, "A fault of the API file", text, None);
            pages.insert(format!("/docs/errors/{code}"), Page::html(page));
        }
        Self { pages }
    }
}

impl Handler for Docs {
    fn handle<'a>(&'a self, _context: &'a mut Context, request: Request) -> HandlerFuture<'a> {
        Box::pin(async move {
            let path = request.uri().path();
            let path = path.strip_suffix('/').unwrap_or(path);
            match self.pages.get(path) {
                Some(page) => page.reply(&request),
                None => Err(Problem::new(&codes::NOT_FOUND, "There is no such page.")
                    .hint("`/docs` describes the API, `/docs/errors` lists the codes of errors.")),
            }
        })
    }
}

fn errors_index() -> String {
    let mut rows = Vec::new();
    let mut all: Vec<_> = openapi::codes().collect();
    all.sort_by_key(|c| (c.status, c.name));
    for code in all {
        let (name, status) = (code.name, code.status);
        let title = escape(code.title);
        rows.push(format!(
            "<tr><td>{status}</td><td><a href=\"/docs/errors/{name}\"><code>{name}</code></a></td><td>{title}</td></tr>\n"
        ));
    }
    let rows = rows.concat();
    let body = format!(
        "<h1>Errors</h1>\n<table><thead><tr><th scope=\"col\">Status</th><th scope=\"col\">Code</th>\
         <th scope=\"col\">What is wrong</th></tr></thead>\n<tbody>\n{rows}</tbody></table>"
    );
    shell("Errors", &body)
}

fn error_page(name: &str, title: &str, explain: &str, status: Option<u16>) -> String {
    let status = status.map_or_else(String::new, |s| format!("<span class=\"status\">{s}</span> "));
    let text: Vec<_> = explain
        .split("\n\n")
        .map(|p| format!("<p>{}</p>", code_spans(&escape(p))))
        .collect();
    let body = format!(
        "<p class=\"crumb\"><a href=\"/docs/errors\">Errors</a></p>\n<h1>{status}<code>{}</code></h1>\n<p class=\"lead\">{}.</p>\n{}",
        escape(name),
        escape(title),
        text.join("\n"),
    );
    shell(name, &body)
}

fn shell(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{} · Stoa</title>\n\
         <link rel=\"stylesheet\" href=\"/docs/style.css\">\n</head>\n<body class=\"page\">\n<main>\n\
         <p class=\"crumb\"><a href=\"/docs\">API</a></p>\n{body}\n</main>\n</body>\n</html>\n",
        escape(title),
    )
}

/// `` `x` `` becomes code. The text is escaped already.
fn code_spans(text: &str) -> String {
    let mut html = String::new();
    for (i, part) in text.split('`').enumerate() {
        match i % 2 {
            1 => html.extend(["<code>", part, "</code>"]),
            _ => html.push_str(part),
        }
    }
    html
}

fn escape(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            c => html.push(c),
        }
    }
    html
}

#[cfg(test)]
mod tests;
