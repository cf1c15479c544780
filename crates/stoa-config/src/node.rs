//! The file as a tree of values that remember where they were written.

use std::{ops::Range, sync::Arc};

/// Bytes of the API file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

impl Span {
    pub(crate) fn new(range: Range<usize>) -> Self {
        Self {
            start: range.start as u32,
            end: range.end as u32,
        }
    }

    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// From the start of this to the end of `other`.
    pub(crate) fn to(self, other: Self) -> Self {
        Self {
            start: self.start,
            end: other.end.max(self.start),
        }
    }
}

/// One value.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) value: Value,
    pub(crate) span: Span,
    pub(crate) origin: Origin,
}

/// What a value is. Scalars stay text: the place that expects a number or a switch decides what they mean.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Nothing, `~` or `null`: the key counts as left out.
    Null,
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Map),
}

/// Text as written.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Whether it was written in quotes or as a block.
    pub(crate) quoted: bool,
    /// Where the first byte of `text` stands in the file, when the file holds `text` byte for byte.
    pub(crate) raw: Option<u32>,
}

/// A map in the order of the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Map {
    pub(crate) entries: Vec<Entry>,
}

impl Map {
    pub(crate) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|e| e.key == key)
    }

    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|e| e.key == key)
    }
}

/// One key and its value.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Span,
    pub(crate) value: Node,
}

/// Where a value came from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    /// It was filled in.
    pub(crate) default: bool,
    /// The profile's part of the file said it.
    pub(crate) profile: bool,
    /// What was expanded in it: `NAME` or `file:/path`.
    pub(crate) variables: Option<Arc<[String]>>,
}

impl Node {
    pub(crate) fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }

    pub(crate) fn map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    pub(crate) fn list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// Whether nobody wrote it; a value whose fault is told already counts as written.
    pub(crate) fn is_left_out(&self) -> bool {
        self.is_null() && !self.is_expanded()
    }

    /// A value whose fault is told: nothing more is to be said about it.
    pub(crate) fn faulty(span: Span) -> Self {
        Self {
            value: Value::Null,
            span,
            origin: Origin {
                variables: Some(Arc::new([])),
                ..Origin::default()
            },
        }
    }

    /// Whether some of its text came from outside the file.
    pub(crate) fn is_expanded(&self) -> bool {
        self.origin.variables.is_some()
    }

    /// The part `at` of the scalar's text, where the file holds it as it is; else the whole value.
    pub(crate) fn part(&self, at: &Range<usize>) -> Span {
        let whole = self.span;
        match self.scalar().and_then(|s| s.raw) {
            Some(raw) if !self.is_expanded() => {
                Span::new(raw as usize + at.start..raw as usize + at.end.max(at.start))
            }
            _ => whole,
        }
    }

    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}
