//! Sums, averages and extremes of numbers with all their digits. Floats are added in the order of the rows.

use crate::store::number::Number;
use crate::store::sqlite::codec::Cell;
use rusqlite::functions::{Aggregate, Context};
use rusqlite::types::Value as Owned;
use std::cmp::Ordering;

/// What was added so far.
#[derive(Default)]
pub(super) struct Total {
    count: u64,
    number: Number,
    /// The sum, where floats are added.
    float: Option<f64>,
}

impl Total {
    fn add(&mut self, cell: &Cell<'_>) {
        match cell {
            Cell::Int(n) => self.number.add(&Number::from_int(*n)),
            Cell::Text(text) => match Number::read(text) {
                Some(n) => self.number.add(&n),
                None => return,
            },
            Cell::Real(n) => self.float = Some(self.float.map_or(*n, |sum| sum + n)),
            Cell::Null | Cell::Blob(_) => return,
        }
        self.count += 1;
    }

    pub(super) fn sum(self) -> Owned {
        match self.float {
            Some(sum) => Owned::Real(sum),
            None => Owned::Text(self.number.to_string()),
        }
    }

    pub(super) fn average(self) -> Owned {
        match self.float {
            Some(sum) => Owned::Real(sum / self.count as f64),
            None => Owned::Text(self.number.divided(self.count).to_string()),
        }
    }
}

/// `stoa_sum(value)` and `stoa_avg(value)`: what is made of the numbers in the end.
pub(super) struct Added(pub(super) fn(Total) -> Owned);

impl Aggregate<Total, Owned> for Added {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<Total> {
        Ok(Total::default())
    }

    fn step(&self, context: &mut Context<'_>, total: &mut Total) -> rusqlite::Result<()> {
        total.add(&Cell::from(context.get_raw(0)));
        Ok(())
    }

    fn finalize(&self, _: &mut Context<'_>, total: Option<Total>) -> rusqlite::Result<Owned> {
        let total = total.filter(|total| total.count > 0);
        Ok(total.map_or(Owned::Null, self.0))
    }
}

/// `stoa_min(value)`, `stoa_max(value)` of numbers with all their digits.
pub(super) struct Extreme(pub(super) Ordering);

impl Aggregate<Option<Number>, Option<String>> for Extreme {
    fn init(&self, _: &mut Context<'_>) -> rusqlite::Result<Option<Number>> {
        Ok(None)
    }

    fn step(&self, context: &mut Context<'_>, found: &mut Option<Number>) -> rusqlite::Result<()> {
        let number = match Cell::from(context.get_raw(0)) {
            Cell::Int(n) => Some(Number::from_int(n)),
            Cell::Text(text) => Number::read(&text),
            _ => None,
        };
        if let Some(number) = number
            && found.as_ref().is_none_or(|found| number.compare(found) == self.0)
        {
            *found = Some(number);
        }
        Ok(())
    }

    fn finalize(
        &self,
        _: &mut Context<'_>,
        found: Option<Option<Number>>,
    ) -> rusqlite::Result<Option<String>> {
        Ok(found.flatten().map(|number| number.to_string()))
    }
}
