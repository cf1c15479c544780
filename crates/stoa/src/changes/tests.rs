//! Differences of trees.

use super::*;
use serde_json::json;

#[test]
fn changes_name_the_path_and_both_values() {
    let before = json!({ "a": { "x": 1, "gone": [1] }, "same": true, "list": [1, 2] });
    let after = json!({ "a": { "x": 2, "new": {} }, "same": true, "list": [2, 1] });
    let shown: Vec<String> = between(&before, &after).iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        ["a.x 1 → 2", "a.new added", "a.gone removed", "list [1,2] → [2,1]"]
    );
    assert!(between(&after, &after).is_empty());
}

#[test]
fn one_line_stays_one_line() {
    let after: Value = (0..10)
        .map(|n| (format!("k{n}"), json!(n)))
        .collect::<Map<_, _>>()
        .into();
    let line = on_one_line(&between(&json!({}), &after));
    assert_eq!(
        line,
        "k0 added: 0, k1 added: 1, k2 added: 2, k3 added: 3 and 6 more"
    );
    let long = on_one_line(&between(&json!({ "k": "a" }), &json!({ "k": "b".repeat(500) })));
    assert!(long.chars().count() < 80);
}
