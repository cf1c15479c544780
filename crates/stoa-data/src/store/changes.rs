//! What a change says, whatever store runs it.

use crate::operation::{Change, Condition, FieldIndex};
use crate::value::Value;

/// The access rule as it must hold for each row after it is written.
pub(crate) fn check_of(change: &Change) -> &Condition {
    match change {
        Change::Insert { check, .. } | Change::Update { check, .. } | Change::Replace { check, .. } => check,
        Change::Delete { .. } => &Condition::True,
    }
}

/// Every field and value that a change sets.
pub(crate) fn each_set<'w>(change: &'w Change, visit: &mut dyn FnMut(FieldIndex, &'w Value)) {
    match change {
        Change::Insert { fields, rows, .. } => {
            for row in rows {
                for (field, value) in fields.iter().zip(row) {
                    visit(*field, value);
                }
            }
        }
        Change::Update { set, .. } => set.iter().for_each(|(field, value)| visit(*field, value)),
        Change::Replace { insert, .. } => insert.iter().for_each(|(field, value)| visit(*field, value)),
        Change::Delete { .. } => {}
    }
}
