//! What a function may choose of a reply, and what it may not.

use super::*;

fn state(status: Option<&str>, fields: Option<&str>) -> String {
    match Response::read(status, fields) {
        Ok(_) => String::new(),
        Err(StoreError::Server(error)) => error.state.into(),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn only_final_statuses_are_taken() {
    for good in ["200", " 201 ", "418", "599", ""] {
        assert_eq!(state(Some(good), None), "", "{good}");
    }
    for bad in ["100", "101", "199", "600", "1000", "-1", "two", "200; x"] {
        assert_eq!(state(Some(bad), None), "PGRST112", "{bad}");
    }
}

#[test]
fn only_fields_that_are_a_functions_to_say_are_taken() {
    for good in [
        "",
        "[]",
        r#"[{"X-A": "1"}, {"X-A": "2"}]"#,
        r#"[{"set-cookie": "a=b"}]"#,
        r#"[{"Cache-Control": "no-store"}, {"Location": "/x"}, {"Content-Type": "text/plain"}]"#,
    ] {
        assert_eq!(state(None, Some(good)), "", "{good}");
    }
    for bad in [
        "x",
        "{}",
        "[1]",
        r#"[{"a": 1}]"#,
        r#"[{"a": "1", "b": "2"}]"#,
        "[{}]",
        r#"[{"a b": "1"}]"#,
        r#"[{"a": "1\r\nx: y"}]"#,
        r#"[{"Content-Length": "0"}]"#,
        r#"[{"Transfer-Encoding": "chunked"}]"#,
        r#"[{"connection": "close"}]"#,
        r#"[{"Proxy-Authenticate": "x"}]"#,
        r#"[{"Access-Control-Allow-Origin": "*"}]"#,
        r#"[{"Stoa-Consistency": "x"}]"#,
        r#"[{"Set-Cookie": " Stoa-Consistency=x"}]"#,
        r#"[{"X-Request-Id": "x"}]"#,
    ] {
        assert_eq!(state(None, Some(bad)), "PGRST111", "{bad}");
    }
    let many = format!("[{}]", vec![r#"{"a":"1"}"#; FIELDS_MAX + 1].join(","));
    assert_eq!(state(None, Some(&many)), "PGRST111");
    let long = format!(r#"[{{"a":"{}"}}]"#, "x".repeat(BYTES_MAX));
    assert_eq!(state(None, Some(&long)), "PGRST111");
}

#[test]
fn a_field_takes_the_place_of_the_replys_and_a_status_without_a_body_has_none() {
    let mut reply = Reply::new(Body::full("x"));
    reply
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let fields = r#"[{"Content-Type": "text/plain"}, {"X-A": "1"}, {"x-a": "2"}]"#;
    Response::read(Some("201"), Some(fields))
        .unwrap()
        .apply(&mut reply);
    assert_eq!(reply.status(), 201);
    assert_eq!(reply.headers()[header::CONTENT_TYPE], "text/plain");
    let all: Vec<_> = reply.headers().get_all("x-a").iter().collect();
    assert_eq!(all, ["1", "2"]);
    Response::read(Some("204"), None).unwrap().apply(&mut reply);
    assert!(matches!(reply.body(), Body::Empty));
    assert!(!reply.headers().contains_key(header::CONTENT_TYPE));
}
