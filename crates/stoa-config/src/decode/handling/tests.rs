//! Tests.

use crate::{Options, load_text, plan::Answer};
use std::path::Path;

fn load(text: &str) -> crate::Loaded {
    let options = Options {
        profile: None,
        profile_optional: false,
        env: &|_| None,
    };
    load_text(
        "stoa.yaml",
        &format!("api: x\n{text}"),
        Path::new("/nowhere"),
        &options,
    )
}

fn first(text: &str) -> &'static str {
    let loaded = load(text);
    loaded
        .faults
        .first()
        .unwrap_or_else(|| panic!("{text} is taken"))
        .code
}

#[test]
fn answers_that_cannot_be_given() {
    for (route, code) in [
        ("/old/**: { redirect: //evil.test/ }", "E0240"),
        ("/old/{id}: { redirect: \"https://{id}/\" }", "E0240"),
        ("/old: { redirect: /new/** }", "E0240"),
        ("/old/{id}: { redirect: \"/new/{ident}\" }", "E0240"),
        ("/old/**: { redirect: /old/** }", "E0240"),
        ("/old: { redirect: /new, status: 304 }", "E0243"),
        ("/old: { redirect: /new, status: 200 }", "E0105"),
        ("/old: { reply: 304 }", "E0243"),
        ("/old: { reply: { status: 204, body: x } }", "E0243"),
        ("/old: { redirect: /new, reply: 200 }", "E0107"),
        ("/old: { reply: 200, status: 308 }", "E0107"),
        ("/old: { access: public }", "E0103"),
        ("/old: { reply: { headers: { content-length: \"3\" } } }", "E0242"),
        (
            "/old: { reply: 200, reply_headers: { set: { x-a: \"a\\nb\" } } }",
            "E0241",
        ),
        (
            "/old: { reply: 200, reply_headers: { set: { x-a: \"{claims.sub}\" } } }",
            "E0241",
        ),
        ("/old: { reply: 200, cache: 60s }", "E0101"),
    ] {
        assert_eq!(first(&format!("routes:\n  {route}\n")), code, "{route}");
    }
}

#[test]
fn what_a_service_is_told_is_not_for_routes() {
    for (keys, code) in [
        ("rewrite: //x", "E0240"),
        ("rewrite: \"https://x/\"", "E0240"),
        ("rewrite: \"/{nobody}\"", "E0240"),
        ("headers: { set: { host: x } }", "E0242"),
        ("headers: { set: { X-Forwarded-For: x } }", "E0242"),
        ("headers: { remove: transfer-encoding }", "E0242"),
        ("headers: { add: { connection: x } }", "E0242"),
        ("headers: { set: { x_user: x } }", "E0242"),
        ("headers: { set: { x-a: x }, remove: [x-a] }", "E0107"),
        ("headers: { set: { x-a: \"{request.path}\" } }", "E0241"),
        ("reply_headers: { set: { content-encoding: gzip } }", "E0242"),
        ("redirect: /a, cache: 60s", "E0107"),
    ] {
        let text = format!(
            "services:\n  s:\n    url: http://127.0.0.1:1\n    routes:\n      /p/{{id}}/**: {{ {keys} }}\n"
        );
        assert_eq!(first(&text), code, "{keys}");
    }
    let both = "services:\n  s:\n    url: http://127.0.0.1:1\n    strip_prefix: true\n    routes:\n      /p/**: { rewrite: /q/** }\n";
    assert_eq!(load(both).faults[0].code, "E0107");
}

#[test]
fn what_is_right_is_taken() {
    let plan = load(
        "routes:
  /old/{id}/**: { redirect: \"https://example.com/new/{id}/**?from={id}\", status: 308, access: public }
  GET /hello: { reply: { body: { hello: [world, 1] }, headers: { x-a: b } } }
  /gone: { reply: 410 }
",
    )
    .plan
    .unwrap();
    let Some(Answer::Redirect(redirect)) = &plan.routes[0].handling.answer else {
        panic!("{:?}", plan.routes[0])
    };
    assert_eq!(
        (redirect.origin.as_str(), redirect.status.as_u16()),
        ("https://example.com", 308)
    );
    let Some(Answer::Reply(reply)) = &plan.routes[1].handling.answer else {
        panic!("{:?}", plan.routes[1])
    };
    assert_eq!(
        (reply.body.as_str(), reply.content_type),
        ("{\"hello\":[\"world\",1]}", "application/json")
    );
    assert_eq!(plan.rules_left_open(), ["GET /hello", "/gone"]);
}

#[test]
fn a_route_of_a_service_and_one_of_the_file_may_not_be_the_same() {
    let text = "services:\n  s: http://127.0.0.1:1\nroutes:\n  /s/**: { reply: 200 }\n";
    assert_eq!(load(text).faults[0].code, "E0409");
}
