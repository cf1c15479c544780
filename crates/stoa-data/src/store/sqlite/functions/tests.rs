//! `LIKE` against a slow and plain reading of it, and the order of JSON.

use super::json::order;
use super::like;
use proptest::prelude::*;
use std::cmp::Ordering;

/// As the definition says, trying everything.
fn plain(text: &[char], pattern: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['%', rest @ ..] => (0..=text.len()).any(|skip| plain(&text[skip..], rest)),
        ['_', rest @ ..] => !text.is_empty() && plain(&text[1..], rest),
        ['\\', c, rest @ ..] | [c, rest @ ..] => text.first() == Some(c) && plain(&text[1..], rest),
    }
}

proptest! {
    #[test]
    fn like_is_as_defined(text in "[abä%_\\\\]{0,8}", pattern in "[abä%_\\\\]{0,6}") {
        let chars = |s: &str| s.chars().collect::<Vec<_>>();
        prop_assert_eq!(like(&text, &pattern), plain(&chars(&text), &chars(&pattern)));
    }

    #[test]
    fn json_has_one_order(a in ".{0,20}", b in ".{0,20}", c in ".{0,20}") {
        let all = [a, b, c, "1".into(), "-0.0".into(), "1e400".into(), "[]".into(), "null".into()];
        for x in &all {
            prop_assert_eq!(order(x, x), Ordering::Equal);
            for y in &all {
                prop_assert_eq!(order(x, y), order(y, x).reverse());
                for z in &all {
                    if order(x, y).is_le() && order(y, z).is_le() {
                        prop_assert!(order(x, z).is_le());
                    }
                }
            }
        }
    }
}

#[test]
fn a_pattern_bomb_ends() {
    let text = "a".repeat(5_000);
    assert!(!like(&text, &format!("{}b", "%a".repeat(50))));
}

#[test]
fn numbers_of_json_compare_by_value() {
    for (a, b, expected) in [
        ("1.0", "1", Ordering::Equal),
        ("10", "9", Ordering::Greater),
        ("-10", "-9", Ordering::Less),
        ("1e2", "100.00", Ordering::Equal),
        ("0.001", "1e-3", Ordering::Equal),
        ("0", "-0.0", Ordering::Equal),
        (
            "123456789012345678901234567890",
            "123456789012345678901234567891",
            Ordering::Less,
        ),
        ("1e99999999999999999999", "1", Ordering::Greater),
        ("{\"a\":1,\"b\":2}", "{\"b\":2.0,\"a\":1}", Ordering::Equal),
    ] {
        assert_eq!(order(a, b), expected, "{a} {b}");
    }
}
