//! Which role a caller gets, and what policies are told.

use super::{cookies, fields, role};
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use std::sync::Arc;
use stoa_config::plan::DatabaseRoles;
use stoa_exchange::{Caller, Identity};

fn caller(claims: Value) -> Identity {
    let Value::Object(claims) = claims else {
        panic!("claims")
    };
    Identity::Known(Arc::new(Caller {
        subject: "ada".to_owned(),
        claims,
        ..Caller::default()
    }))
}

#[test]
fn a_token_gets_only_a_role_of_the_list() {
    let roles = |claim: &str, anonymous: Option<&str>| DatabaseRoles {
        claim: claim.split('.').map(str::to_owned).collect(),
        allowed: vec!["web_user".to_owned(), "editor".to_owned()],
        anonymous: anonymous.map(str::to_owned),
    };
    let (plain, nested) = (roles("role", Some("web_anon")), roles("app.role", None));
    for (roles, identity, wanted) in [
        (&plain, Identity::Anonymous, Ok("web_anon")),
        (&plain, caller(json!({ "role": "web_user" })), Ok("web_user")),
        (&plain, caller(json!({})), Ok("web_anon")),
        (&plain, caller(json!({ "role": null })), Ok("web_anon")),
        (&plain, caller(json!({ "role": "postgres" })), Err(403)),
        (&plain, caller(json!({ "role": "web_anon" })), Err(403)),
        (&plain, caller(json!({ "role": "WEB_USER" })), Err(403)),
        (&plain, caller(json!({ "role": "none" })), Err(403)),
        (&plain, caller(json!({ "role": "" })), Err(403)),
        (&plain, caller(json!({ "role": ["web_user"] })), Err(403)),
        (&plain, caller(json!({ "role": "web_user\u{0}" })), Err(403)),
        (
            &nested,
            caller(json!({ "app": { "role": "editor" } })),
            Ok("editor"),
        ),
        (&nested, caller(json!({ "role": "editor" })), Err(403)),
        (&nested, caller(json!({ "app": "editor" })), Err(403)),
        (&nested, Identity::Anonymous, Err(401)),
    ] {
        let found = role(roles, &identity, "shop");
        let found = found.map_err(|refusal| refusal.into_problem(false).status().as_u16());
        assert_eq!(found, wanted, "{identity:?}");
    }
}

#[test]
fn policies_see_fields_and_cookies_and_no_secret() {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", HeaderValue::from_static("Bearer secret"));
    headers.append("x-a", HeaderValue::from_static("it's \"1\""));
    headers.append("x-a", HeaderValue::from_static("2"));
    headers.insert("cookie", HeaderValue::from_static("a=1; b=x=y; odd"));
    assert_eq!(fields(&headers), json!({ "x-a": "it's \"1\", 2" }));
    assert_eq!(cookies(&headers), json!({ "a": "1", "b": "x=y" }));
}
