//! Pages of several shards as one.

use super::*;
use crate::store::contract::fixture::{ascending, text};

fn page(rows: &[(&str, Value)], more: bool) -> Page {
    let mut page = Page {
        more,
        ..Page::default()
    };
    for (json, value) in rows {
        if !page.json.is_empty() {
            page.json.push(b',');
        }
        page.json.extend_from_slice(json.as_bytes());
        page.marks.push(Mark {
            end: page.json.len(),
            position: vec![value.clone()],
        });
        page.rows += 1;
    }
    page
}

fn merged(order: &Order, offset: u64, limit: u64) -> (String, bool) {
    let pages = [
        page(&[("1", text("B")), ("2", text("a")), ("3", Value::Null)], false),
        page(&[], false),
        page(&[("4", text("A")), ("5", text("b"))], true),
    ];
    let page = merge(std::slice::from_ref(order), &pages, Window { offset, limit });
    assert_eq!(page.last.is_empty(), page.rows < limit);
    (String::from_utf8(page.json).unwrap(), page.more)
}

#[test]
fn the_order_of_each_is_the_order_of_all() {
    let order = ascending(0);
    assert_eq!(merged(&order, 0, 9), ("4,1,2,5,3".to_owned(), true));
    assert_eq!(merged(&order, 1, 2), ("1,2".to_owned(), true));
    assert_eq!(merged(&order, 4, 1), ("3".to_owned(), true));
    let nulls_first = Order {
        nulls_first: true,
        ..ascending(0)
    };
    let pages = [
        page(&[("3", Value::Null), ("1", text("B"))], false),
        page(&[("4", text("A"))], false),
    ];
    let all = Window { offset: 0, limit: 9 };
    let found = merge(std::slice::from_ref(&nulls_first), &pages, all);
    assert_eq!((found.json.as_slice(), found.more), (&b"3,4,1"[..], false));
}
