//! The small grammars of single values. Each is a pure function from text to a value or to the part of
//! the text that is at fault, and carries the words that the schema and the reference say about it.

pub(crate) mod access;
pub(crate) mod cel;
pub(crate) mod field;
pub(crate) mod literal;
pub(crate) mod name;
pub(crate) mod net;
pub(crate) mod policy;
mod postgres;
pub(crate) mod route;
pub(crate) mod template;
pub(crate) mod units;

#[cfg(test)]
mod tests;

use crate::{
    fault::Fault,
    node::{Node, Value},
    report::Report,
};
use std::ops::Range;

/// What a reader of the file needs to know of a grammar.
pub(crate) struct Words {
    /// `a duration`.
    pub(crate) name: &'static str,
    /// Code of the fault of a value that is not in the grammar.
    pub(crate) code: &'static str,
    /// For editors: what a value looks like (ECMA-262). It may accept more than the grammar, never less.
    pub(crate) pattern: Option<&'static str>,
    /// The words to choose from, when there is nothing else.
    pub(crate) choice: &'static [&'static str],
    pub(crate) examples: &'static [&'static str],
    /// Whether it holds a secret: never shown.
    pub(crate) secret: bool,
}

impl Words {
    pub(crate) const fn new(
        name: &'static str,
        code: &'static str,
        examples: &'static [&'static str],
    ) -> Self {
        Self {
            name,
            code,
            pattern: None,
            choice: &[],
            examples,
            secret: false,
        }
    }

    pub(crate) const fn pattern(mut self, pattern: &'static str) -> Self {
        self.pattern = Some(pattern);
        self
    }

    pub(crate) const fn choice(mut self, choice: &'static [&'static str]) -> Self {
        self.choice = choice;
        self
    }

    pub(crate) const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

/// A grammar: words and parser.
pub(crate) struct Grammar<T: 'static> {
    pub(crate) words: &'static Words,
    pub(crate) parse: fn(&str) -> Result<T, Flaw>,
}

/// What is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// Bytes of the text.
    pub(crate) at: Range<usize>,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
    /// Another code than the grammar's own; the innermost grammar decides.
    pub(crate) code: Option<&'static str>,
}

impl Flaw {
    pub(crate) fn at(at: Range<usize>, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
            help: None,
            code: None,
        }
    }

    /// The whole of `text` is wrong.
    pub(crate) fn whole(text: &str, message: impl Into<String>) -> Self {
        Self::at(0..text.len(), message)
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn code(mut self, code: &'static str) -> Self {
        self.code = self.code.or(Some(code));
        self
    }

    /// The same flaw of a text in which this one starts at `offset`.
    pub(crate) fn shifted(mut self, offset: usize) -> Self {
        self.at = self.at.start + offset..self.at.end + offset;
        self
    }

    pub(crate) fn report<'r>(self, words: &Words, node: &Node, report: &'r mut Report<'_>) -> &'r mut Fault {
        let fault = report.add(self.code.unwrap_or(words.code), node.part(&self.at), self.message);
        fault.help = self.help;
        fault
    }
}

/// Reads a single value; a fault is in the report.
pub(crate) fn scalar<T>(node: &Node, grammar: &Grammar<T>, report: &mut Report<'_>) -> Option<T> {
    let words = grammar.words;
    match &node.value {
        Value::Scalar(scalar) => match (grammar.parse)(&scalar.text) {
            Ok(value) => Some(value),
            Err(flaw) => {
                flaw.report(words, node, report);
                None
            }
        },
        Value::Null => None,
        _ => {
            report
                .wrong_type(node, "this", words.name)
                .help(format!("such as `{}`", words.examples.join("`, `")));
            None
        }
    }
}

/// `text` without blanks around it, and where it starts.
pub(crate) fn trimmed(text: &str) -> (usize, &str) {
    let start = text.len() - text.trim_start().len();
    (start, text.trim())
}

/// The words of `text` that blanks separate, with where they start.
pub(crate) fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_ascii_whitespace().map(|word| {
        let at = word.as_ptr() as usize - text.as_ptr() as usize;
        (at, word)
    })
}

/// The parts of `text` that `,` separates outside brackets and quotes, trimmed, with where they start.
/// Quotes count only where a part or a word starts, so that an apostrophe inside a word is a letter.
pub(crate) fn commas(text: &str) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_u32, 0);
    let mut quote: Option<char> = None;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        if let Some(open) = quote {
            if c == open && before != '\\' {
                quote = None;
            }
            before = c;
            continue;
        }
        match c {
            '"' | '\'' if matches!(before, ' ' | '[' | '(' | '{' | ',' | ':') => quote = Some(c),
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push((start, &text[start..at]));
                start = at + 1;
            }
            _ => {}
        }
        before = c;
    }
    parts.push((start, &text[start..]));
    parts
        .into_iter()
        .map(|(at, part)| {
            let (lead, part) = trimmed(part);
            (at + lead, part)
        })
        .collect()
}
