//! Trees as YAML.

use super::*;
use serde_json::json;

#[test]
fn the_tree_reads_as_the_file_does() {
    let tree = json!({
        "api": "shop",
        "version": "1",
        "server": { "http": "127.0.0.1:8080", "trusted_proxies": [], "workers": 2 },
        "services": { "pay": { "url": ["http://a:1"], "routes": { "GET /pay/{id}": { "access": "user" } } } },
        "quoted": ["no", "a: b", "x #y", ""],
    });
    let mut text = String::new();
    write(&tree, 0, &mut text);
    let wanted = "api: shop\nversion: \"1\"\nserver:\n  http: \"127.0.0.1:8080\"\n  trusted_proxies: []\n  workers: 2\nservices:\n  pay:\n    url:\n      - http://a:1\n    routes:\n      \"GET /pay/{id}\":\n        access: user\nquoted:\n  - \"no\"\n  - \"a: b\"\n  - \"x #y\"\n  - \"\"\n";
    assert_eq!(text, wanted);
}

#[test]
fn origins_are_comments() {
    let tree =
        json!({ "server": { "http": { "value": "0.0.0.0:80", "origin": "profile prod (stoa.yaml:9:3)" } } });
    let mut text = String::new();
    write(&tree, 0, &mut text);
    assert_eq!(
        text,
        "server:\n  http: \"0.0.0.0:80\"  # profile prod (stoa.yaml:9:3)\n"
    );
}
