//! The small readers that every part of the query string is made of.

use crate::{
    operation::PathStep,
    refusal::{Refusal, Result, syntax},
};
use percent_encoding::percent_decode;

/// The most parameters of a query string.
const PAIRS_MAX: usize = 300;
/// The most steps of a JSON path.
const STEPS_MAX: usize = 16;

/// One parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) key: String,
    pub(crate) value: String,
    /// As it came, `key=value`.
    pub(crate) raw: String,
}

/// Splits and decodes a query string. Parameters without `=` are ignored on the alias, as the dialect says; elsewhere
/// nothing is.
pub(crate) fn pairs(query: &str, alias: bool) -> Result<Vec<Pair>> {
    let mut pairs = Vec::new();
    for raw in query.split('&') {
        let Some((key, value)) = raw.split_once('=') else {
            if raw.is_empty() || alias {
                continue;
            }
            let says = "it has no value, as in `name=eq.value`";
            return Err(syntax("parameter", raw, 0, says));
        };
        if pairs.len() == PAIRS_MAX {
            return Err(crate::refusal::too_complex(format!(
                "A query string holds at most {PAIRS_MAX} parameters."
            )));
        }
        pairs.push(Pair {
            key: decode(key, alias)?,
            value: decode(value, alias)?,
            raw: raw.to_owned(),
        });
    }
    Ok(pairs)
}

/// Percent-decoding with `+` as a space. Bytes that are not UTF-8 are refused, and `%` without two digits is, but on the
/// alias, where it stands for itself: patterns are often sent raw.
fn decode(text: &str, alias: bool) -> Result<String> {
    let refuse = || {
        syntax(
            "query string",
            text,
            0,
            "a `%` must be followed by two hexadecimal digits, and the bytes must be UTF-8",
        )
    };
    let bytes = text.as_bytes();
    let digits = |i: usize| {
        bytes
            .get(i + 1..i + 3)
            .is_some_and(|d| d.iter().all(u8::is_ascii_hexdigit))
    };
    if !alias && bytes.iter().enumerate().any(|(i, b)| *b == b'%' && !digits(i)) {
        return Err(refuse());
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode(spaced.as_bytes())
        .decode_utf8()
        .map_err(|_| refuse())?;
    if decoded.contains('\0') {
        return Err(syntax("query string", text, 0, "the character NUL is not taken"));
    }
    Ok(decoded.into_owned())
}

/// A position in a text that is read from left to right.
#[derive(Clone, Debug)]
pub(crate) struct Scanner<'a> {
    part: &'static str,
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    /// Reads `text`, called `part` in refusals.
    pub(crate) fn new(part: &'static str, text: &'a str) -> Self {
        Self { part, text, at: 0 }
    }

    pub(crate) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(crate) fn at_end(&self) -> bool {
        self.at == self.text.len()
    }

    /// A refusal at this position.
    pub(crate) fn refuse(&self, says: impl Into<String>) -> Refusal {
        let at = self.text[..self.at].chars().count();
        syntax(self.part, self.text, at, says)
    }

    /// Steps over `token` if it is next.
    pub(crate) fn eat(&mut self, token: &str) -> bool {
        let next = self.rest().starts_with(token);
        if next {
            self.at += token.len();
        }
        next
    }

    /// Steps over `token` or refuses.
    pub(crate) fn expect(&mut self, token: &str) -> Result<()> {
        if self.eat(token) {
            return Ok(());
        }
        let found = match self.peek() {
            Some(c) => format!("`{token}` was expected, not `{c}`"),
            None => format!("`{token}` was expected, but the text ends"),
        };
        Err(self.refuse(found))
    }

    pub(crate) fn space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches(' ').len();
    }

    /// Everything up to the first character that `ends` the run.
    pub(crate) fn until(&mut self, ends: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let run = &rest[..rest.find(ends).unwrap_or(rest.len())];
        self.at += run.len();
        run
    }

    /// A name: in quotes, or letters, digits, `_`, `$`, space, and `-` that does not begin `->`.
    pub(crate) fn name(&mut self) -> Result<String> {
        self.space();
        if self.peek() == Some('"') {
            let name = self.quoted()?;
            self.space();
            return Ok(name);
        }
        let rest = self.rest();
        let mut end = rest.len();
        for (i, c) in rest.char_indices() {
            let arrow = c == '-' && rest[i + 1..].starts_with('>');
            if arrow || !(c.is_alphanumeric() || matches!(c, '_' | '$' | ' ' | '-')) {
                end = i;
                break;
            }
        }
        let name = rest[..end].trim();
        if name.is_empty() {
            let found = self.peek();
            let found = found.map_or_else(|| String::from("end of input"), |c| format!("\"{c}\""));
            return Err(self.refuse(format!(
                "unexpected {found} expecting field name (* or [a..z0..9_$])"
            )));
        }
        self.at += end;
        Ok(name.to_owned())
    }

    /// A text in double quotes with `\` before characters that would end it.
    pub(crate) fn quoted(&mut self) -> Result<String> {
        let start = self.clone();
        self.expect("\"")?;
        let mut out = String::new();
        while let Some(c) = self.peek() {
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(out),
                '\\' => {
                    let next = self.peek().ok_or_else(|| start.refuse("the quotes do not end"))?;
                    self.at += next.len_utf8();
                    out.push(next);
                }
                c => out.push(c),
            }
        }
        *self = start;
        Err(self.refuse("the quotes do not end"))
    }

    /// A JSON path: `->key`, `->>key`, `->0`.
    pub(crate) fn path(&mut self) -> Result<Vec<PathStep>> {
        let mut steps = Vec::new();
        while self.eat("->") {
            if matches!(steps.last(), Some(PathStep::TextKey(_) | PathStep::TextIndex(_))) {
                return Err(self.beyond_text());
            }
            if steps.len() == STEPS_MAX {
                return Err(self.refuse(format!("a path has at most {STEPS_MAX} steps")));
            }
            let text = self.eat(">");
            steps.push(self.step(text)?);
        }
        Ok(steps)
    }

    fn step(&mut self, text: bool) -> Result<PathStep> {
        if self.peek() == Some('"') {
            let key = self.quoted()?.into();
            return Ok(if text {
                PathStep::TextKey(key)
            } else {
                PathStep::Key(key)
            });
        }
        let start = self.clone();
        let negative = self.eat("-");
        let run = self.key();
        let number = (!run.is_empty() && run.bytes().all(|b| b.is_ascii_digit()))
            .then(|| run.parse::<i32>().ok())
            .flatten();
        match number {
            Some(n) => {
                let n = if negative { -i64::from(n) } else { i64::from(n) };
                Ok(if text {
                    PathStep::TextIndex(n)
                } else {
                    PathStep::Index(n)
                })
            }
            None if run.is_empty() || negative => Err(start.no_step(negative, run)),
            None => {
                let key = run.into();
                Ok(if text {
                    PathStep::TextKey(key)
                } else {
                    PathStep::Key(key)
                })
            }
        }
    }
}

impl<'a> Scanner<'a> {
    /// A bare key of a JSON path: up to a reserved character or the next arrow.
    fn key(&mut self) -> &'a str {
        let rest = self.rest();
        let ends = |(at, c): (usize, char)| {
            let arrow = c == '-' && rest[at + 1..].starts_with('>');
            (arrow || matches!(c, '(' | ':' | '.' | ',' | '>' | ')')).then_some(at)
        };
        let run = &rest[..rest.char_indices().find_map(ends).unwrap_or(rest.len())];
        self.at += run.len();
        run
    }

    /// A step into what `->>` has made text.
    fn beyond_text(&self) -> Refusal {
        let position = self.rest().trim_start_matches(['>', '-']);
        let right = if position.starts_with(|c: char| c.is_ascii_digit()) {
            "integer"
        } else {
            "unknown"
        };
        self.refuse("`->>` gives text and must be the last step")
            .postgrest("42883", 404, format!("operator does not exist: text -> {right}"))
            .postgrest_hint(
                "No operator matches the given name and argument types. You might need to add explicit type casts.",
            )
    }

    /// What PostgREST's parser says where neither a key nor a position begins.
    fn no_step(&self, negative: bool, run: &str) -> Refusal {
        let mut at = self.clone();
        if negative {
            at.eat("-");
        }
        let found = run.chars().next().or(at.peek());
        let found = found.map_or_else(|| String::from("end of input"), |c| format!("\"{c}\""));
        let wanted = if negative {
            "digit"
        } else {
            "\"-\", digit or any non reserved character different from: .,>()"
        };
        at.refuse(format!("unexpected {found} expecting {wanted}"))
    }
}

/// A comma list of names: `columns`, `on_conflict`.
pub(crate) fn names(part: &'static str, text: &str) -> Result<Vec<String>> {
    const NAMES_MAX: usize = 200;
    let mut scanner = Scanner::new(part, text);
    let mut names = vec![scanner.name()?];
    while !scanner.at_end() {
        scanner.expect(",")?;
        if names.len() == NAMES_MAX {
            return Err(scanner.refuse(format!("at most {NAMES_MAX} names are taken")));
        }
        names.push(scanner.name()?);
    }
    Ok(names)
}
