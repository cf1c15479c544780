//! Rows out of a store, in the order of their keys.

use super::{EACH, FORMAT, Stores, TransferError, VERSION, in_order, store_of};
use crate::operation::{Condition, Count, Freshness, Item, Order, Read};
use serde_json::{Map, json};
use std::io::Write;
use std::sync::Arc;
use stoa_config::plan::{Plan, Resource};
use stoa_exchange::clock;

/// Rows of a line at most.
const ROWS_MAX: u64 = 500;
/// After a line that is longer, in bytes, the next one has fewer rows.
const LINE_BYTES: usize = 4 * 1024 * 1024;

/// Writes the rows of the resources that are wanted, and whose tables Stoa made, as lines. Gives how many there were of each.
/// Rows that are written meanwhile may or may not be among them.
///
/// # Errors
/// [`TransferError`] when the lines cannot be written or a store does not answer.
pub async fn export(
    plan: &Plan,
    stores: &Stores,
    wanted: &dyn Fn(&str) -> bool,
    out: &mut dyn Write,
) -> Result<Vec<(String, u64)>, TransferError> {
    let head = json!({ "stoa": FORMAT, "version": VERSION, "api": plan.api });
    writeln!(out, "{head}")?;
    let mut counts = Vec::new();
    for at in in_order(plan, wanted) {
        let resource = &plan.resources[at];
        let rows = rows_of(plan, stores, at, out).await?;
        counts.push((resource.name.clone(), rows));
    }
    let end: Map<_, _> = counts
        .iter()
        .map(|(name, rows)| (name.clone(), json!(rows)))
        .collect();
    writeln!(out, "{}", json!({ "end": end }))?;
    out.flush()?;
    Ok(counts)
}

async fn rows_of(plan: &Plan, stores: &Stores, at: usize, out: &mut dyn Write) -> Result<u64, TransferError> {
    let resource = &plan.resources[at];
    let store = store_of(plan, stores, at)?;
    let name = json!(resource.name);
    let mut read = whole(at, resource);
    let mut rows = 0;
    loop {
        let page = store.read(&read, clock::now() + EACH).await;
        let page = page.map_err(|error| TransferError::Store {
            resource: resource.name.clone(),
            error,
        })?;
        if page.rows > 0 {
            write!(out, "{{\"resource\":{name},\"rows\":[")?;
            out.write_all(&page.json)?;
            out.write_all(b"]}\n")?;
        }
        rows += page.rows;
        if !page.more {
            return Ok(rows);
        }
        read.limit = if page.json.len() > LINE_BYTES {
            (read.limit / 2).max(1)
        } else {
            (read.limit * 2).min(ROWS_MAX)
        };
        read.after = Some(page.last);
    }
}

/// Every field of every row, as the primary has it.
pub(super) fn whole(at: usize, resource: &Resource) -> Read {
    let item = |(field, of): (usize, &stoa_config::plan::Field)| Item::Field {
        field,
        path: Vec::new(),
        cast: None,
        name: of.name.as_str().into(),
    };
    let order = |field: &usize| Order {
        embed: None,
        field: *field,
        path: Vec::new(),
        descending: false,
        nulls_first: false,
    };
    Read {
        resource: at,
        select: Arc::new(resource.fields.iter().enumerate().map(item).collect()),
        filter: Condition::True,
        order: resource.key.iter().map(order).collect(),
        limit: ROWS_MAX,
        offset: 0,
        after: None,
        count: Count::None,
        bucket: None,
        partial: false,
        fresh: Freshness::strong(),
        run_as: None,
    }
}
