//! The pages as they are sent.

use super::{Docs, Page, code_spans, error_page, escape};
use bytes::Bytes;
use http::{StatusCode, header};
use stoa_exchange::{Body, Context, Handler, Reply, Request, read_to_limit};

fn get(path: &str, method: &str, none_match: Option<&str>) -> Request {
    let mut request = http::Request::builder().method(method).uri(path);
    if let Some(tag) = none_match {
        request = request.header(header::IF_NONE_MATCH, tag);
    }
    request.body(Body::Empty).unwrap()
}

async fn send(handler: &dyn Handler, request: Request) -> Reply {
    let mut context = Context::local();
    match handler.handle(&mut context, request).await {
        Ok(reply) => reply,
        Err(problem) => problem.into_reply(None),
    }
}

async fn text(reply: Reply) -> String {
    let body = read_to_limit(reply.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

#[tokio::test]
async fn every_page_is_served_under_the_strict_policy_and_names_no_other_host() {
    let docs = Docs::new("shop");
    for path in [
        "/docs",
        "/docs/",
        "/docs/app.js",
        "/docs/style.css",
        "/docs/errors",
        "/docs/errors/not-found",
    ] {
        let reply = send(&docs, get(path, "GET", None)).await;
        assert_eq!(reply.status(), StatusCode::OK, "{path}");
        let policy = reply.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(
            policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        let body = text(reply).await;
        for outside in [
            "src=\"http",
            "href=\"http",
            "url(",
            "import(",
            "<script>",
            "style=\"",
            "onclick=",
        ] {
            assert!(!body.contains(outside), "{path} has {outside}");
        }
    }
}

#[tokio::test]
async fn every_code_has_its_page() {
    let docs = Docs::new("shop");
    for code in crate::openapi::codes() {
        let reply = send(&docs, get(&format!("/docs/errors/{}", code.name), "GET", None)).await;
        assert_eq!(reply.status(), StatusCode::OK, "{}", code.name);
        assert!(text(reply).await.contains(code.name));
    }
    let reply = send(&docs, get("/docs/errors/no-such-code", "GET", None)).await;
    assert_eq!(reply.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_page_that_the_caller_has_is_not_sent_again() {
    let page = Page::new("text/plain", Bytes::from_static(b"hello"));
    let etag = page.etag.clone();
    let reply = send(&page, get("/x", "GET", Some(&format!("\"other\", W/{etag}")))).await;
    assert_eq!(reply.status(), StatusCode::NOT_MODIFIED);
    let reply = send(&page, get("/x", "GET", Some("\"other\""))).await;
    assert_eq!(reply.status(), StatusCode::OK);
    let reply = send(&page, get("/x", "POST", None)).await;
    assert_eq!(reply.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[test]
fn what_others_wrote_is_text() {
    assert_eq!(escape("<b a='\"'>&"), "&lt;b a=&#39;&quot;&#39;&gt;&amp;");
    assert_eq!(code_spans("a `b` c"), "a <code>b</code> c");
    let page = error_page("x<y", "t", "a `<i>` b", None);
    assert!(page.contains("x&lt;y") && page.contains("<code>&lt;i&gt;</code>") && !page.contains("<i>"));
}
