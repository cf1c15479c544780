//! Tests.

use super::*;

fn template(path: Vec<Part>, query: Option<Vec<Part>>) -> PathTemplate {
    PathTemplate {
        source: String::new(),
        path,
        query,
    }
}

fn text(piece: &str) -> Part {
    Part::Text(piece.to_owned())
}

#[test]
fn the_rest_keeps_its_slashes() {
    let to = template(vec![text("/new"), Part::Rest(1)], None);
    for (from, expected) in [
        ("/old", "/new"),
        ("/old/", "/new/"),
        ("/old/a/b%20c?x=1", "/new/a/b%20c?x=1"),
    ] {
        let made = rewritten(&to, &from.parse().unwrap()).unwrap();
        assert_eq!(made.as_str(), expected);
    }
    let all = template(vec![Part::Rest(1)], None);
    assert_eq!(rewritten(&all, &"/old".parse().unwrap()).unwrap().as_str(), "/");
}

#[test]
fn a_parameter_in_a_query_is_one_value() {
    let to = template(vec![text("/find")], Some(vec![text("q="), Part::Segment(1)]));
    let made = rewritten(&to, &"/old/1&admin=true%20+%23".parse().unwrap()).unwrap();
    assert_eq!(made.as_str(), "/find?q=1%26admin%3Dtrue%20%2B%23");
}

#[test]
fn no_parameter_makes_another_segment() {
    let to = template(vec![text("/."), Part::Segment(1), text("/x")], None);
    assert!(rewritten(&to, &"/old/;a".parse().unwrap()).is_err());
    assert_eq!(
        rewritten(&to, &"/old/well-known".parse().unwrap())
            .unwrap()
            .as_str(),
        "/.well-known/x"
    );
}
