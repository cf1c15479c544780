//! Rows inside rows, and lists: PostgreSQL's binary `record` and arrays.

/// The columns of a `record`.
#[derive(Debug)]
pub(in crate::store::postgres) struct Fields<'a> {
    rest: &'a [u8],
    left: usize,
}

impl<'a> Fields<'a> {
    /// Reads the head; `None` when it is no record.
    pub(in crate::store::postgres) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        let left = usize::try_from(number(&mut rest)?).ok()?;
        Some(Self { rest, left })
    }
}

/// Each column's bytes; `None` inside for null. An outer `None` as an item: the bytes end too early.
impl<'a> Iterator for Fields<'a> {
    type Item = Option<Option<&'a [u8]>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        // The type stands in front of each.
        Some(number(&mut self.rest).and_then(|_| sized(&mut self.rest)))
    }
}

/// Dimensions of an array at most: PostgreSQL's own bound.
const DIMENSIONS_MAX: usize = 6;

/// The elements of an array, in the order in which it is written down.
#[derive(Debug)]
pub(in crate::store::postgres) struct Items<'a> {
    rest: &'a [u8],
    left: usize,
    lengths: [usize; DIMENSIONS_MAX],
    dimensions: usize,
}

impl<'a> Items<'a> {
    /// Reads the head; `None` when it is no array.
    pub(in crate::store::postgres) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        let dimensions = usize::try_from(number(&mut rest)?).ok()?;
        let (_has_nulls, _type) = (number(&mut rest)?, number(&mut rest)?);
        let mut lengths = [0; DIMENSIONS_MAX];
        let mut left = usize::from(dimensions > 0);
        for length in lengths.get_mut(..dimensions)? {
            *length = usize::try_from(number(&mut rest)?).ok()?;
            left = left.checked_mul(*length)?;
            let _lower_bound = number(&mut rest)?;
        }
        Some(Self {
            rest,
            left,
            lengths,
            dimensions,
        })
    }

    /// How long the array is in each of its dimensions; empty when it has no elements.
    pub(in crate::store::postgres) fn lengths(&self) -> Vec<usize> {
        self.lengths.get(..self.dimensions).unwrap_or_default().to_vec()
    }
}

/// As [`Fields`].
impl<'a> Iterator for Items<'a> {
    type Item = Option<Option<&'a [u8]>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        Some(sized(&mut self.rest))
    }
}

fn number(rest: &mut &[u8]) -> Option<i32> {
    let (head, tail) = rest.split_at_checked(4)?;
    *rest = tail;
    Some(i32::from_be_bytes(head.try_into().ok()?))
}

/// A length and so many bytes; -1 is null.
#[expect(clippy::option_option, reason = "outside: the bytes end; inside: null")]
fn sized<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = number(rest)?;
    if length < 0 {
        return Some(None);
    }
    let (head, tail) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = tail;
    Some(Some(head))
}
