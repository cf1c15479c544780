//! Query strings as tables and properties; over a store they are tested with the handler.

use super::*;
use crate::operation::Join;
use proptest::prelude::*;
use std::sync::{Arc, LazyLock};

static PLAN: LazyLock<Arc<Plan>> = LazyLock::new(|| crate::testing::plan(crate::handler::tests::SHOP));

fn read(text: &str) -> Result<Query> {
    query(&PLAN, 0, text, false)
}

#[test]
fn the_first_of_a_kind_decides_on_the_alias() {
    let text = "limit=1&limit=2&offset=3&offset=4&select=name&select=sku&order=name&order=price&a&";
    let query = query(&PLAN, 0, text, true).expect("read");
    assert_eq!(
        (query.limit, query.offset, query.order.len(), query.select.len()),
        (Some(1), Some(3), 1, 1)
    );
    assert_eq!(select::names(&query.select), ["name"]);
    for text in [
        "limit=1&limit=2",
        "select=name&select=sku",
        "name",
        "name=eq.a&name",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
    assert!(read("name=eq.a&&").is_ok());
}

#[test]
fn what_a_link_repeats_and_what_a_cursor_is_bound_to() {
    let one = read("name=eq.a&limit=2&after=x&order=name").expect("read");
    assert_eq!(one.kept, "name=eq.a&limit=2&order=name");
    let same = read("order=name&name=eq.a&select=sku").expect("read");
    assert_eq!(one.shape, same.shape);
    for other in ["order=name&name=eq.b", "order=name", "order=name.desc&name=eq.a"] {
        assert_ne!(one.shape, read(other).expect("read").shape, "{other}");
    }
}

#[test]
fn stars_give_way_to_named_items() {
    let query = read("select=*,name:sku,reviews(*)").expect("read");
    let names = select::names(&query.select);
    assert_eq!(names.iter().filter(|n| **n == "name").count(), 1);
    let Some(Item::Embed(embed)) = query.select.last() else {
        panic!("an embed is last");
    };
    assert!(matches!(embed.join, Join::ToMany { .. }));
    assert!(query.embeds);
}

fn words() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("name"),
        Just("price"),
        Just("details"),
        Just("tags"),
        Just("reviews"),
        Just("select"),
        Just("order"),
        Just("limit"),
        Just("or"),
        Just("and"),
        Just("not"),
        Just("in"),
        Just("is"),
        Just("eq"),
        Just("like"),
        Just("cs"),
        Just("any"),
        Just("null"),
        Just("="),
        Just("="),
        Just("&"),
        Just("."),
        Just("."),
        Just(","),
        Just("("),
        Just(")"),
        Just("{"),
        Just("}"),
        Just("\""),
        Just("\\"),
        Just("->"),
        Just("->>"),
        Just("!"),
        Just(":"),
        Just("::"),
        Just("*"),
        Just("-"),
        Just("1"),
        Just("+"),
        Just("%20"),
        Just("%"),
        Just("é"),
        Just("..."),
        Just("count()"),
        Just(".sum()"),
        Just("::text"),
        Just("desc"),
        Just("nullsfirst"),
    ];
    proptest::collection::vec(word, 0..24).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in r"\PC{0,80}", alias: bool) {
        let _ = query(&PLAN, 0, &text, alias);
    }

    #[test]
    fn anything_like_a_query_is_read_or_refused(text in words(), alias: bool) {
        if let Err(refusal) = query(&PLAN, 0, &text, alias) {
            let problem = refusal.into_problem(alias);
            prop_assert!((300..500).contains(&problem.status().as_u16()), "{problem}");
            prop_assert!(!problem.detail.is_empty());
        }
    }

    #[test]
    fn every_text_can_be_asked_for(text in r"[^\x00]{0,20}") {
        let encoded = percent_encoding::utf8_percent_encode(&text, percent_encoding::NON_ALPHANUMERIC);
        let query = read(&format!("name=eq.{encoded}")).expect("read");
        let want = crate::value::Value::Text(text.as_str().into());
        prop_assert_eq!(crate::prepare::fixed(&query.filter, 1), Some(&want));
        let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
        let encoded = percent_encoding::utf8_percent_encode(&quoted, percent_encoding::NON_ALPHANUMERIC);
        let query = read(&format!("and=(name.eq.%22{encoded}%22,stock.gt.0)")).expect("read");
        prop_assert_eq!(crate::prepare::fixed(&query.filter, 1), Some(&want));
    }
}
