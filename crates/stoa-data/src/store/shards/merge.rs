//! Pages of several shards become one, in the order that each of them has. Pure.
//!
//! Values are compared as PostgreSQL compares them in the tables that Stoa makes: texts by their bytes (`COLLATE "C"`),
//! UUIDs by theirs, and nulls where the order says. What a JSON path leads to has no such order here, and is refused
//! before.

use crate::operation::Order;
use crate::store::{Mark, Page};
use crate::value::Value;
use std::cmp::Ordering;

/// Which rows of the merged ones are shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) offset: u64,
    pub(super) limit: u64,
}

/// The rows of the window; `pages` hold their marks.
pub(super) fn merge(order: &[Order], pages: &[Page], window: Window) -> Page {
    let mut heads = vec![0_usize; pages.len()];
    let mut out = Page::default();
    let mut passed = 0;
    loop {
        let next = first(order, pages, &heads);
        let Some((shard, mark)) = next else {
            out.more = pages.iter().any(|page| page.more);
            break;
        };
        if out.rows == window.limit {
            out.more = true;
            break;
        }
        let at = heads[shard];
        heads[shard] += 1;
        if passed < window.offset {
            passed += 1;
            continue;
        }
        if out.rows == 0 {
            // A page says the version of its first row only.
            out.version = pages[shard].version.filter(|_| at == 0);
        } else {
            out.json.push(b',');
        }
        out.json.extend_from_slice(row(&pages[shard], at));
        out.rows += 1;
        if out.rows == window.limit {
            out.last.clone_from(&mark.position);
        }
    }
    out
}

/// The row that comes first among the next ones of each page; of equal ones that of the first page.
fn first<'a>(order: &[Order], pages: &'a [Page], heads: &[usize]) -> Option<(usize, &'a Mark)> {
    let mut best: Option<(usize, &Mark)> = None;
    for (shard, (page, head)) in pages.iter().zip(heads).enumerate() {
        let Some(mark) = page.marks.get(*head) else {
            continue;
        };
        let before = |other: &Mark| compare(order, &mark.position, &other.position) == Ordering::Less;
        if best.is_none_or(|(_, other)| before(other)) {
            best = Some((shard, mark));
        }
    }
    best
}

/// One row of a page as JSON.
fn row(page: &Page, at: usize) -> &[u8] {
    let end = page.marks.get(at).map_or(0, |mark| mark.end);
    // A comma stands between rows.
    let start = match at.checked_sub(1) {
        Some(before) => page.marks.get(before).map_or(0, |mark| mark.end + 1),
        None => 0,
    };
    page.json.get(start..end).unwrap_or_default()
}

fn compare(order: &[Order], a: &[Value], b: &[Value]) -> Ordering {
    let entries = order.iter().zip(a.iter().zip(b));
    entries
        .map(|(entry, (a, b))| one(entry, a, b))
        .find(|found| *found != Ordering::Equal)
        .unwrap_or(Ordering::Equal)
}

/// Which of two values comes first by an entry of the order.
pub(super) fn one(entry: &Order, a: &Value, b: &Value) -> Ordering {
    let nulls = if entry.nulls_first {
        Ordering::Less
    } else {
        Ordering::Greater
    };
    match (a.is_null(), b.is_null()) {
        (true, true) => Ordering::Equal,
        (true, false) => nulls,
        (false, true) => nulls.reverse(),
        (false, false) if entry.descending => b.total(a),
        (false, false) => a.total(b),
    }
}

#[cfg(test)]
mod tests;
