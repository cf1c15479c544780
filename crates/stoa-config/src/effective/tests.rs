//! The effective file: every value with its origin, and no secret.

use crate::{Loaded, Options, effective, load_text};
use serde_json::{Value, json};
use std::path::Path;

const FILE: &str = "\
api: shop
auth: { jwt: { secret: canary-canary-canary-canary-canary } }
stores: { main: sqlite:shop.db, far: \"postgres://u:canary@db/x\" }
services:
  pay: http://127.0.0.1:9001
resources:
  things:
    fields: { name: text }
    read: public
shared: \"${REDIS}\"
telemetry: { otlp: \"http://u:canary@otel:4318\", headers: { key: canary } }
profiles:
  prod: { server: { max_body: 2MiB }, stores: { far: \"postgres://u:canary@prod/x\" } }
";

fn load(text: &str, profile: Option<&str>) -> Loaded {
    let env = |name: &str| (name == "REDIS").then(|| "redis://:canary@r:6379".to_owned());
    let options = Options {
        profile,
        profile_optional: false,
        env: &env,
    };
    load_text("stoa.yaml", text, Path::new("/srv"), &options)
}

#[test]
fn defaults_are_filled_in() {
    let shown = effective(&load(FILE, None), false);
    assert_eq!(shown["server"]["http"], json!("127.0.0.1:8080"));
    assert_eq!(shown["version"], json!("1"), "a version is text");
    assert_eq!(shown["stores"]["main"], json!("sqlite:shop.db"));
    assert_eq!(
        shown["services"]["pay"]["routes"]["/pay/**"]["access"],
        json!("user")
    );
    assert_eq!(shown["resources"]["things"]["fields"]["id"], json!("uuid7, key"));
    assert_eq!(shown["resources"]["things"]["create"], json!("user"));
    assert_eq!(shown["resources"]["things"]["store"], json!("main"));
}

#[test]
fn every_value_says_where_it_came_from() {
    let shown = effective(&load(FILE, Some("prod")), true);
    assert_eq!(
        shown["server"]["drain"],
        json!({ "value": "30s", "origin": "default" })
    );
    assert_eq!(
        shown["server"]["max_body"],
        json!({ "value": "2MiB", "origin": "profile prod (stoa.yaml:13:31)" })
    );
    assert_eq!(
        shown["api"],
        json!({ "value": "shop", "origin": "stoa.yaml:1:6" })
    );
    assert_eq!(
        shown["shared"],
        json!({ "value": "[redacted]", "origin": "env REDIS" })
    );
}

/// A secret is planted wherever one can stand; nothing that is shown may hold it.
#[test]
fn secrets_are_never_shown() {
    for profile in [None, Some("prod")] {
        let loaded = load(FILE, profile);
        assert!(loaded.plan.is_some());
        for origin in [false, true] {
            let shown = effective(&loaded, origin).to_string();
            assert!(!shown.contains("canary"), "{shown}");
            assert!(shown.contains("[redacted]"));
        }
        let debug = format!("{:?}", loaded.plan);
        assert!(!debug.contains("canary"), "{debug}");
        assert!(!loaded.sources[0].text.contains("canary"));
    }
}

/// Faults about secrets show the line, and not what stands there; so do files that are not YAML.
#[test]
fn faults_do_not_show_secrets() {
    for text in [
        "api: a\nauth: { jwt: { secret: canary } }\n",
        "api: a\nstores: { main: \"mysql://u:canary@db/x\" }\n",
        "api: a\nstores: { main: \"postgres://u:canary@:0x/x\" }\n",
        "api: a\nshared: \"http://u:canary@r\"\n",
        "api: a\nauth: { jwt: { secret: canary }\n}}}\n",
        "api: a\nstores: { main: postgres://u:canary@db/x }\n]\n",
        "api: a\nservices: { s: \"http://u:canary@db/x\" }\n",
        "api: a\nauth: { jwt: { secret: [canary] } }\n",
    ] {
        let loaded = load(text, None);
        assert!(!loaded.faults.is_empty(), "{text}");
        let shown = crate::fault::render_human(&loaded.faults, &loaded.sources, false)
            + &crate::fault::render_json(&loaded.faults).to_string()
            + &crate::fault::render_github(&loaded.faults);
        assert!(!shown.contains("canary"), "{shown}");
    }
}

#[test]
fn a_file_with_errors_has_no_plan_in_force() {
    assert_eq!(effective(&load("api: A\n", None), false), Value::Null);
}
