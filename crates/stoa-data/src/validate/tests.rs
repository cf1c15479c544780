//! Every bad field of a body is told.

use super::*;
use crate::{
    json,
    store::contract::fixture::{field, resource},
};
use stoa_config::plan::Bound;

fn things() -> Resource {
    let mut name = field("name", Type::Text, "");
    name.chars = Some((1, 3));
    let mut n = field("n", Type::Int, "");
    (n.min, n.max) = (
        Some(Bound { text: "1".to_owned() }),
        Some(Bound { text: "9".to_owned() }),
    );
    let mut price = field(
        "price",
        Type::Decimal {
            precision: 6,
            scale: 2,
        },
        "optional",
    );
    price.max = Some(Bound {
        text: "10.5".to_owned(),
    });
    let mut at = field("at", Type::Time, "");
    at.default = Some(DefaultValue::Now);
    let mut tags = field("tags", Type::List(Box::new(Type::Int)), "optional");
    (tags.chars, tags.max) = (Some((0, 2)), Some(Bound { text: "5".to_owned() }));
    let once = field("once", Type::Text, "optional immutable");
    resource(
        "things",
        vec![field("id", Type::Uuid7, "key"), name, n, price, at, tags, once],
        &[0],
    )
}

fn row(text: &str) -> Row {
    match json::parse(text.as_bytes()) {
        Ok(Json::Object(row)) => row,
        other => panic!("{other:?}"),
    }
}

fn said(resource: &Resource, bad: &[Bad]) -> Vec<String> {
    assert!(!resource.name.is_empty());
    bad.iter().map(|b| format!("{} {}", b.field, b.message)).collect()
}

#[test]
fn constraints_of_a_new_row() {
    let things = things();
    let rules = Rules::new(&things);
    for (text, want) in [
        (r#"{"name":"abc","n":1}"#, vec![]),
        (r#"{"name":"ééé","n":9,"price":10.50,"tags":[1,5]}"#, vec![]),
        (
            r#"{"name":"","n":0}"#,
            vec!["name must have 1 to 3 characters, not 0", "n must be at least 1"],
        ),
        (
            r#"{"name":"abcd","n":10}"#,
            vec!["name must have 1 to 3 characters, not 4", "n must be at most 9"],
        ),
        (
            r#"{"name":"a","n":1,"price":"10.51"}"#,
            vec!["price must be at most 10.50"],
        ),
        (
            r#"{"name":"a","n":1,"tags":[1,2,3]}"#,
            vec!["tags must have 0 to 2 items, not 3"],
        ),
        (r#"{"name":"a","n":1,"tags":[6]}"#, vec!["tags must be at most 5"]),
        (r#"{"name":null,"n":1}"#, vec!["name must not be null"]),
        ("{}", vec!["name is required", "n is required"]),
        (r#"{"name":"a","n":1,"at":null}"#, vec!["at must not be null"]),
    ] {
        let mut check = Check::new(&things, &rules);
        let new = check.create(0, &row(text), Completion::default());
        assert_eq!(said(&things, &check.bad), want, "{text}");
        if want.is_empty() {
            assert!(matches!(new.values[0], Some(Value::Uuid(_))), "the key is made");
            assert!(matches!(new.values[4], Some(Value::Time(t)) if t > 0), "now");
            assert_eq!(new.bucket, bucket::bucket_of(new.values[0].as_ref().unwrap()));
        }
    }
}

#[test]
fn a_patch_keeps_what_never_changes() {
    let things = things();
    let rules = Rules::new(&things);
    let stored = [(6, Value::Text("o".into()))];
    let mut check = Check::new(&things, &rules);
    assert_eq!(
        check.patch(&row(r#"{"n":3,"once":"o","price":null}"#), &stored),
        [(2, Value::Int(3)), (3, Value::Null)]
    );
    assert!(check.bad.is_empty());
    let mut check = Check::new(&things, &rules);
    check.patch(
        &row(r#"{"once":"p","id":"00000000-0000-0000-0000-000000000000","n":null}"#),
        &stored,
    );
    assert_eq!(
        said(&things, &check.bad),
        [
            "id cannot be changed once the row exists",
            "n must not be null",
            "once cannot be changed once the row exists"
        ]
    );
}

#[test]
fn errors_are_bounded() {
    let things = things();
    let rules = Rules::new(&things);
    let many: Row = (0..5_000).map(|i| (format!("x{i}").into(), Json::Null)).collect();
    let mut check = Check::new(&things, &rules);
    check.create(0, &many, Completion::default());
    assert_eq!(check.bad.len(), ERRORS_MAX);
}

#[test]
fn a_table_of_others_fills_in_what_is_left_out() {
    let fields = || {
        vec![
            field("id", Type::Int, "key"),
            field("name", Type::Text, ""),
            field("at", Type::Text, "optional"),
        ]
    };
    let bound = crate::store::contract::fixture::bound("old", "old", fields(), &[0]);
    let own = resource("own", fields(), &[0]);
    let made = |resource: &Resource| {
        let rules = Rules::new(resource);
        let mut check = Check::new(resource, &rules);
        let completion = Completion {
            fill: None,
            null_when_missing: None,
            key: None,
            bucket: None,
        };
        let new = check.create(0, &row(r#"{"name": "x"}"#), completion);
        (new.values, check.finish(false).is_some())
    };
    let text = |text: &str| Some(Value::Text(text.into()));
    assert_eq!(made(&bound), (vec![None, text("x"), None], false));
    assert_eq!(made(&own), (vec![None, text("x"), Some(Value::Null)], true));
}
