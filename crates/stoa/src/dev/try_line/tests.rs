//! Values that are made up.

use super::*;
use stoa_config::plan::{Pattern, Place};

fn field(ty: Type) -> Field {
    Field {
        name: String::from("name"),
        place: Place::default(),
        ty,
        unique: false,
        optional: false,
        auto: false,
        immutable: false,
        index: false,
        default: None,
        min: None,
        max: None,
        chars: None,
        matches: None,
        generated: false,
        function: None,
        column: None,
        was: None,
    }
}

#[test]
fn samples_fit_their_constraints() {
    let bound = |text: &str| {
        Some(Bound {
            text: text.to_owned(),
        })
    };
    let text = |chars| {
        sample(&Field {
            chars: Some(chars),
            ..field(Type::Text)
        })
    };
    assert_eq!(text((1, 120)), Some(json!("My first name")));
    assert_eq!(text((1, 5)), Some(json!("My fi")));
    assert_eq!(text((20, 20)).unwrap().as_str().unwrap().chars().count(), 20);
    let int = |min, max| {
        sample(&Field {
            min,
            max,
            ..field(Type::Int)
        })
    };
    assert_eq!(int(bound("7"), None), Some(json!(7)));
    assert_eq!(int(None, bound("-3")), Some(json!(-3)));
    assert_eq!(int(None, None), Some(json!(1)));
    assert_eq!(sample(&field(Type::Enum(vec!["new".into()]))), Some(json!("new")));
}

#[test]
fn what_cannot_be_made_up_safely_is_not() {
    let pattern = Pattern {
        source: "[A-Z]+".into(),
        regex: regex::Regex::new("[A-Z]+").unwrap(),
    };
    assert_eq!(
        sample(&Field {
            matches: Some(pattern),
            ..field(Type::Text)
        }),
        None
    );
    assert_eq!(sample(&field(Type::Uuid)), None);
    let value = Box::new(Type::Uuid7);
    assert_eq!(sample(&field(Type::Ref { resource: 0, value })), None);
}
