//! JSON as callers send it, read strictly: bounded depth, no duplicate keys, no lone surrogates, numbers kept
//! digit by digit. `serde_json` reads the last of two equal keys and treats one magic key as a number, which
//! is why a caller's body does not go through it.

use std::{collections::HashSet, fmt};

/// The deepest nesting of a body.
pub(crate) const DEPTH_MAX: usize = 64;
/// The longest number, in bytes of its text.
const NUMBER_BYTES_MAX: usize = 400;

/// A JSON value. Objects keep the order of their keys.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// The number as written.
    Number(Box<str>),
    Text(Box<str>),
    Array(Vec<Json>),
    Object(Vec<(Box<str>, Json)>),
}

/// Why a text is not JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct JsonError {
    /// What is wrong, in words.
    pub(crate) what: String,
    /// Where, in bytes from the start.
    pub(crate) at: usize,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.at)
    }
}

/// Reads one JSON value that fills the whole text.
pub(crate) fn parse(bytes: &[u8]) -> Result<Json, JsonError> {
    parse_to(bytes, DEPTH_MAX)
}

/// As [`parse`], of rows that a store rendered: values of [`DEPTH_MAX`] stand inside rows inside embeds.
pub(crate) fn parse_own(bytes: &[u8]) -> Result<Json, JsonError> {
    parse_to(bytes, 2 * DEPTH_MAX)
}

fn parse_to(bytes: &[u8], depth_max: usize) -> Result<Json, JsonError> {
    let text = std::str::from_utf8(bytes).map_err(|e| JsonError {
        what: String::from("the text is not UTF-8"),
        at: e.valid_up_to(),
    })?;
    let mut reader = Reader {
        text,
        at: 0,
        depth_max,
    };
    reader.space();
    let value = reader.value(0)?;
    reader.space();
    if reader.at < text.len() {
        return Err(reader.error("something follows after the value"));
    }
    Ok(value)
}

impl Json {
    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// Writes it without insignificant white space.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(true) => out.push_str("true"),
            Self::Bool(false) => out.push_str("false"),
            Self::Number(text) => out.push_str(text),
            Self::Text(text) => write_text(text, out),
            Self::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (i, (key, value)) in members.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    write_text(key, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }

    /// As text without insignificant white space.
    pub(crate) fn to_text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    /// Whether a text or key in it holds NUL, which databases cannot keep.
    pub(crate) fn holds_nul(&self) -> bool {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) => false,
            Self::Text(text) => text.contains('\0'),
            Self::Array(items) => items.iter().any(Self::holds_nul),
            Self::Object(members) => members
                .iter()
                .any(|(key, value)| key.contains('\0') || value.holds_nul()),
        }
    }

    /// Without the members that are null, at every depth of objects (`nulls=stripped`).
    pub(crate) fn without_nulls(self) -> Self {
        match self {
            Self::Array(items) => Self::Array(items.into_iter().map(Self::without_nulls).collect()),
            Self::Object(members) => Self::Object(
                members
                    .into_iter()
                    .filter(|(_, value)| *value != Self::Null)
                    .map(|(key, value)| (key, value.without_nulls()))
                    .collect(),
            ),
            other => other,
        }
    }
}

/// Writes a JSON string with its quotes.
pub(crate) fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if u32::from(c) < 0x20 => {
                out.push_str("\\u00");
                for nibble in [u32::from(c) >> 4, u32::from(c) & 15] {
                    out.push(char::from_digit(nibble, 16).unwrap_or('0'));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth_max: usize,
}

impl<'a> Reader<'a> {
    fn error(&self, what: impl Into<String>) -> JsonError {
        JsonError {
            what: what.into(),
            at: self.at,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Result<Json, JsonError> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            return Ok(value);
        }
        Err(self.error("a value was expected"))
    }

    fn value(&mut self, depth: usize) -> Result<Json, JsonError> {
        if depth >= self.depth_max {
            return Err(self.error(format!("the value is nested deeper than {}", self.depth_max)));
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Json::Text(self.string()?)),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => Err(self.error("a value was expected")),
            None => Err(self.error("the text ends where a value was expected")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.at += 1;
        let mut members: Vec<(Box<str>, Json)> = Vec::new();
        let mut seen = HashSet::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Json::Object(members));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err(self.error("a key in quotes was expected"));
            }
            let start = self.at;
            let key = self.string()?;
            if !seen.insert(key.clone()) {
                self.at = start;
                return Err(self.error(format!("the key {key:?} stands twice in one object")));
            }
            self.space();
            if self.peek() != Some(b':') {
                return Err(self.error("`:` was expected"));
            }
            self.at += 1;
            self.space();
            let value = self.value(depth + 1)?;
            members.push((key, value));
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Json::Object(members));
                }
                _ => return Err(self.error("`,` or `}` was expected")),
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Json::Array(items));
        }
        loop {
            self.space();
            items.push(self.value(depth + 1)?);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Json::Array(items));
                }
                _ => return Err(self.error("`,` or `]` was expected")),
            }
        }
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            return Err(self.error("a digit was expected"));
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let text = &self.text[start..self.at];
        if text.len() > NUMBER_BYTES_MAX {
            self.at = start;
            return Err(self.error(format!("the number has more than {NUMBER_BYTES_MAX} digits")));
        }
        if !text.parse::<f64>().is_ok_and(f64::is_finite) {
            self.at = start;
            return Err(self.error(format!("the number {text} is too large")));
        }
        Ok(Json::Number(text.into()))
    }

    fn string(&mut self) -> Result<Box<str>, JsonError> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest: &'a str = &self.text[self.at..];
            let plain = rest
                .bytes()
                .position(|b| b == b'"' || b == b'\\' || b < 0x20)
                .ok_or_else(|| self.error("the text ends inside quotes"))?;
            out.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(out.into());
                }
                Some(b'\\') => out.push(self.escape()?),
                _ => return Err(self.error("a control character inside quotes must be escaped")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        self.at += 1;
        let plain = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err(self.error("an unknown escape")),
        };
        self.at += 1;
        Ok(plain)
    }

    fn unicode(&mut self) -> Result<char, JsonError> {
        let high = self.hex4()?;
        if let Some(c) = char::from_u32(high) {
            return Ok(c);
        }
        let lone = "half of a surrogate pair stands alone";
        if high >= 0xdc00 || !self.text[self.at..].starts_with("\\u") {
            return Err(self.error(lone));
        }
        self.at += 1;
        let low = self.hex4()?;
        if !(0xdc00..0xe000).contains(&low) {
            return Err(self.error(lone));
        }
        char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)).ok_or_else(|| self.error(lone))
    }

    /// Four digits after the `u` at the position.
    fn hex4(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.as_bytes().get(self.at + 1..self.at + 5);
        let value = digits.and_then(|digits| {
            digits
                .iter()
                .try_fold(0, |sum, b| Some(sum * 16 + char::from(*b).to_digit(16)?))
        });
        let value = value.ok_or_else(|| self.error("four hexadecimal digits were expected"))?;
        self.at += 5;
        Ok(value)
    }
}

#[cfg(test)]
mod tests;
