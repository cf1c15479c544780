//! One row, whole, by its key: most rows are read so, in a statement whose text is always the same.

use super::{Arg, Builder, Shape, Spelling};
use crate::operation::{Compare, Condition, Item, Read};
use crate::store::slow;
use crate::store::table::Table;
use crate::value::Value;

/// The text of the statement, as it was built the first time. Its parameters are the bucket, the key and 2, its columns those
/// of the table in their order, and the version.
#[derive(Debug)]
pub(crate) struct RowStatement {
    /// Columns that it reads.
    columns: usize,
    pub(crate) text: String,
    /// What its text is known by.
    pub(crate) hash: u64,
}

/// The key that a read of a whole row is for; `None` when it is another read.
fn key<'a>(builder: &Builder<'_>, read: &'a Read, table: &Table) -> Option<&'a Value> {
    let Condition::Compare {
        field,
        path,
        op: Compare::Eq,
        value,
    } = &read.filter
    else {
        return None;
    };
    let by_key = table.created && table.key == [*field] && path.is_empty() && read.bucket.is_some();
    let one = read.limit == 1 && read.offset == 0 && read.after.is_none() && read.order.is_empty();
    let plain = builder.gate.is_none() && builder.source.is_none();
    let whole = || {
        let every = read.select.iter().enumerate().all(|(position, item)| {
            matches!(item, Item::Field { field, path, cast: None, .. } if *field == position && path.is_empty())
        });
        every && read.select.len() == table.columns.len()
    };
    (by_key && one && plain && whole()).then_some(value)
}

impl<'a> Builder<'a> {
    /// Takes the text of a whole row that was built before; whether there is one.
    pub(super) fn known_row(&mut self, read: &'a Read, table: &'a Table, shape: &Shape<'a>) -> bool {
        let known = self.tables.whole_row(table.resource).and_then(|row| row.get());
        let known = known.filter(|known| known.columns == shape.slots.len());
        let (Some(known), Some(bucket), Some(column)) = (known, read.bucket, table.key_column()) else {
            return false;
        };
        let Some(value) = key(self, read, table) else {
            return false;
        };
        self.push(&known.text);
        let key = Arg::Value(column, value, Spelling::Canonical);
        self.sql
            .args
            .extend([Arg::Int(i64::from(bucket)), key, Arg::Int(2)]);
        true
    }

    /// Keeps the text that was built, when it is that of a whole row.
    pub(super) fn keep_row(&self, read: &Read, table: &Table, shape: &Shape<'_>) {
        let as_known = matches!(
            self.sql.args[..],
            [Arg::Int(_), Arg::Value(_, _, Spelling::Canonical), Arg::Int(2)]
        );
        if let Some(row) = self.tables.whole_row(table.resource)
            && as_known
            && key(self, read, table).is_some()
        {
            row.get_or_init(|| RowStatement {
                columns: shape.slots.len(),
                hash: slow::shape(&self.sql.text),
                text: self.sql.text.clone(),
            });
        }
    }
}
