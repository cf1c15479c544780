//! The header fields that carry credentials.

use super::*;

fn good() -> String {
    let claims = format!("{{\"sub\":\"ada\",\"exp\":{}}}", years(1));
    forge("{\"alg\":\"HS256\"}", &claims, HS256)
}

fn with(fields: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for field in fields {
        let value = HeaderValue::from_bytes(field.as_bytes()).unwrap();
        headers.append(header::AUTHORIZATION, value);
    }
    headers
}

#[test]
fn nobody_without_a_bearer_token() {
    let auth = open_one(secret());
    for fields in [
        &[][..],
        &["Basic YTpi"],
        &["Bearerx abc"],
        &["Bear"],
        &["Digest x"],
    ] {
        let identity = auth.authenticate(&with(fields)).unwrap();
        assert!(identity.caller().is_none(), "{fields:?}");
    }
    assert!(!auth.carries_credentials(&with(&[])));
    assert!(auth.carries_credentials(&with(&["Basic YTpi"])));
}

#[test]
fn the_scheme_is_read_in_any_case() {
    let auth = open_one(secret());
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR", "Bearer ", "Bearer\t"] {
        let identity = auth
            .authenticate(&with(&[&format!("{scheme} {}", good())]))
            .unwrap();
        assert_eq!(identity.subject(), Some("ada"), "{scheme}");
    }
}

#[test]
fn fields_that_are_not_well_formed_are_refused() {
    let auth = open_one(secret());
    let good = format!("Bearer {}", good());
    for fields in [
        &[&*good, &*good][..],
        &["Basic YTpi", &good],
        &[&good, "Basic YTpi"],
        &["Bearer"],
        &["Bearer  "],
    ] {
        let problem = auth.authenticate(&with(fields)).unwrap_err();
        assert_eq!(problem.status(), 400, "{fields:?}");
        let challenge = problem.headers[header::WWW_AUTHENTICATE].to_str().unwrap();
        assert!(challenge.contains("error=\"invalid_request\""), "{challenge}");
    }
}

#[test]
fn bytes_and_several_tokens_in_one_field_are_refused() {
    let auth = open_one(secret());
    let good = good();
    for field in [
        format!("Bearer {good} {good}"),
        format!("Bearer {good},{good}"),
        format!("Bearer {good};x=1"),
        format!("Bearer \"{good}\""),
        format!("Bearer {good}\u{e9}"),
        format!("Bearer Bearer {good}"),
    ] {
        let problem = auth.authenticate(&with(&[&field])).unwrap_err();
        assert_eq!(problem.status(), 401, "{field}");
        assert!(problem.headers.contains_key(header::WWW_AUTHENTICATE));
    }
}

#[test]
fn a_realm_cannot_break_out_of_its_quotes() {
    let auth = open(&auth(secret()), "a\" b\\\u{7f}").unwrap_or_else(|faults| panic!("{faults:?}"));
    let problem = auth.authenticate(&bearer("x")).unwrap_err();
    let challenge = problem.headers[header::WWW_AUTHENTICATE].to_str().unwrap();
    assert!(challenge.starts_with("Bearer realm=\"a' b'?\", "), "{challenge}");
}

#[test]
fn without_auth_a_token_is_nobody_s_business() {
    let auth = open(&plan::Auth::default(), "shop").unwrap_or_else(|faults| panic!("{faults:?}"));
    assert!(auth.authenticate(&bearer("x")).unwrap().caller().is_none());
    assert!(auth.carries_credentials(&bearer("x")));
}
