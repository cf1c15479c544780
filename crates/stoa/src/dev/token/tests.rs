//! Who the development token says the caller is.

use super::*;
use std::path::Path;
use stoa_config::Options;

fn plan(text: &str) -> Plan {
    let options = Options {
        profile: None,
        profile_optional: true,
        env: &|_| None,
    };
    let loaded = stoa_config::load_text("stoa.yaml", text, Path::new("/tmp"), &options);
    loaded.plan.unwrap_or_else(|| panic!("{:?}", loaded.faults))
}

const AUTH: &str = "api: a\nauth: { jwt: { secret: only-for-tests-only-for-tests-0123456789 } }\n";

#[test]
fn it_has_every_role_and_scope_of_the_file() {
    let text = format!(
        "{AUTH}services:\n  pay:\n    url: http://127.0.0.1:1\n    routes:\n      GET /pay/a: {{ access: \"role b, a\" }}\n      GET /pay/b: {{ access: scope s }}\nresources:\n  things: {{ fields: {{ name: text }}, write: role c }}\n"
    );
    let token = mint(&plan(&text)).unwrap().unwrap();
    assert_eq!(token.roles, ["a", "b", "c"]);
    assert_eq!(token.scopes, ["s"]);
    assert_eq!(token.user, "dev");
    let said = stoa_edge::token::explain(&plan(&text).auth, &token.text);
    assert_eq!(said["accepted"], true, "{said}");
}

#[test]
fn its_user_fits_the_field_that_owns_rows() {
    for (ty, user) in [
        ("uuid", "00000000-0000-7000-8000-000000000001"),
        ("int", "1"),
        ("text", "dev"),
    ] {
        let text = format!("{AUTH}resources:\n  things: {{ fields: {{ who: {ty} }}, read: owner who }}\n");
        assert_eq!(mint(&plan(&text)).unwrap().unwrap().user, user);
    }
}

#[test]
fn a_file_without_auth_has_none() {
    assert!(
        mint(&plan(
            "api: a\nresources:\n  things: { fields: { name: text } }\n"
        ))
        .is_none()
    );
}
