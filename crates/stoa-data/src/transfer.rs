//! All rows out of the stores of one plan and into those of another: from SQLite to PostgreSQL, from one database to
//! shards.
//!
//! What goes between is text, a line at a time: a head, then lines that hold a resource's name and some of its rows as JSON,
//! and at the end how many rows there were of each. Neither side holds more than a line of them.

mod export;
mod import;

pub use export::export;
pub use import::{Import, Moved};

use crate::store::{Store, StoreError};
use std::{fmt, io, sync::Arc, time::Duration};
use stoa_config::plan::{Plan, Type};

/// How long one read or write may take.
const EACH: Duration = Duration::from_mins(1);
/// What the first line says it is.
const FORMAT: &str = "rows";
/// The form of the lines.
const VERSION: u64 = 1;

/// The stores of a plan, by their positions; `None` for one that holds no resource.
pub type Stores = [Option<Arc<dyn Store>>];

/// Why rows did not come over.
#[derive(Debug)]
pub enum TransferError {
    /// The lines cannot be read or written.
    Io(io::Error),
    /// A store did not do it.
    Store {
        /// The resource.
        resource: String,
        /// Why.
        error: StoreError,
    },
    /// What came does not fit; what to do is in the text.
    Input(String),
}

impl fmt::Display for TransferError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Store { resource, error } => write!(f, "{resource}: {error}"),
            Self::Input(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for TransferError {}

impl From<io::Error> for TransferError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Positions of the resources whose tables Stoa made, as far as they are wanted, those first that others refer to. Where
/// references go round in a circle, some come before what they refer to.
fn in_order(plan: &Plan, wanted: &dyn Fn(&str) -> bool) -> Vec<usize> {
    fn visit(plan: &Plan, at: usize, seen: &mut [bool], order: &mut Vec<usize>) {
        let (Some(resource), Some(false)) = (plan.resources.get(at), seen.get(at)) else {
            return;
        };
        seen[at] = true;
        for field in &resource.fields {
            if let Type::Ref { resource: to, .. } = &field.ty {
                visit(plan, *to, seen, order);
            }
        }
        order.push(at);
    }
    let mut seen = vec![false; plan.resources.len()];
    let mut order = Vec::new();
    for at in 0..plan.resources.len() {
        visit(plan, at, &mut seen, &mut order);
    }
    order.retain(|at| {
        let resource = plan.resources.get(*at);
        resource.is_some_and(|r| r.table.is_none() && wanted(&r.name))
    });
    order
}

/// The store of a resource.
fn store_of<'a>(plan: &Plan, stores: &'a Stores, resource: usize) -> Result<&'a dyn Store, TransferError> {
    let store = plan.resources.get(resource).and_then(|r| stores.get(r.store));
    store
        .and_then(Option::as_deref)
        .ok_or_else(|| TransferError::Store {
            resource: plan
                .resources
                .get(resource)
                .map_or_else(String::new, |r| r.name.clone()),
            error: StoreError::Internal("its store is not open".to_owned()),
        })
}
