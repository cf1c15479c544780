//! The text of the file and its lines.

use crate::{node::Span, plan::Place};
use std::sync::Arc;

/// A file's text with the start of every line.
pub(crate) struct Text {
    pub(crate) name: Arc<str>,
    pub(crate) content: String,
    starts: Vec<usize>,
}

impl Text {
    pub(crate) fn new(name: &str, content: String) -> Self {
        let breaks = content.match_indices('\n').map(|(at, _)| at + 1);
        let starts = std::iter::once(0).chain(breaks).collect();
        Self {
            name: name.into(),
            content,
            starts,
        }
    }

    /// Line and column of where `span` starts.
    pub(crate) fn place(&self, span: Span) -> Place {
        let at = (span.start as usize).min(self.content.len());
        let line = self.starts.partition_point(|&start| start <= at) - 1;
        let before = self
            .content
            .as_bytes()
            .get(self.starts[line]..at)
            .unwrap_or_default();
        // Characters, not bytes: every byte that does not continue a character starts one.
        let column = before.iter().filter(|&&b| b & 0xC0 != 0x80).count();
        Place {
            file: Arc::clone(&self.name),
            line: line as u32 + 1,
            column: column as u32 + 1,
        }
    }

    /// The key or word that starts at a place.
    pub(crate) fn span(&self, place: &Place) -> Span {
        let Some(&start) = self.starts.get(place.line.saturating_sub(1) as usize) else {
            return Span::default();
        };
        let line = self.content[start..].lines().next().unwrap_or_default();
        let skip = line.char_indices().nth(place.column.saturating_sub(1) as usize);
        let from = skip.map_or(line.len(), |(at, _)| at);
        let rest = &line[from..];
        let end = rest
            .find(": ")
            .or_else(|| rest.strip_suffix(':').map(str::len))
            .unwrap_or(rest.len());
        Span::new(start + from..start + from + end)
    }

    /// `span` cut at the end of its first line, and at least one character wide where there is one.
    pub(crate) fn visible(&self, span: Span) -> Span {
        let start = self.floor(span.start as usize);
        let end = self.floor(span.end as usize).max(start);
        let line_end = self.content[start..]
            .find('\n')
            .map_or(self.content.len(), |n| start + n);
        let mut end = end.min(line_end);
        if end == start {
            end = self.content[start..line_end]
                .chars()
                .next()
                .map_or(start, |c| start + c.len_utf8());
        }
        Span::new(start..end)
    }

    /// The nearest start of a character at or before `at`.
    fn floor(&self, at: usize) -> usize {
        let mut at = at.min(self.content.len());
        while !self.content.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}
