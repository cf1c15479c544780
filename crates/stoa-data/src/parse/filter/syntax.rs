//! Where PostgREST's parser stops in a logic tree, and what it says there: clients' tests and people know its words.
//! It tries a comparison first, then a tree inside the tree, and tells what got farthest.

use super::super::operator;

/// A place in the text and what was expected there.
struct Fault {
    at: usize,
    wanted: Vec<&'static str>,
}

type Read = Result<usize, Fault>;

const FIELD: &str = "field name (* or [a..z0..9_$])";
const STEP: &str = "any non reserved character different from: .,>()";
const IS: &str = "isVal: (null, not_null, true, false, unknown)";
const OPERATOR: &str = "operator (eq, gt, ...)";
const WORD: &str = "logic operator (and, or)";

/// Its message and details for the tree `word` + `text`, as in `or` + `(a.eq.1)`; `None` where it has nothing to say.
pub(super) fn fault(word: &str, text: &str) -> Option<(String, String)> {
    let text: Vec<char> = word.chars().chain(text.chars()).collect();
    let reader = Reader { text: &text };
    let fault = reader.tree(0).err()?;
    let shown: String = text.iter().skip(word.chars().count()).collect();
    let found = match reader.peek(fault.at) {
        Some(c) => format!("\"{c}\""),
        None => String::from("end of input"),
    };
    let wanted = match fault.wanted.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    };
    Some((
        format!(
            "\"failed to parse logic tree ({})\" (line 1, column {})",
            crate::refusal::shorten(&shown),
            fault.at + 1
        ),
        format!("unexpected {found} expecting {wanted}"),
    ))
}

struct Reader<'t> {
    text: &'t [char],
}

impl Reader<'_> {
    fn peek(&self, at: usize) -> Option<char> {
        self.text.get(at).copied()
    }

    fn begins(&self, at: usize, word: &str) -> bool {
        word.chars()
            .enumerate()
            .all(|(i, c)| self.peek(at + i) == Some(c))
    }

    /// The first position from `at` on whose character is none of these.
    fn skip(&self, mut at: usize, some: impl Fn(char) -> bool) -> usize {
        while self.peek(at).is_some_and(&some) {
            at += 1;
        }
        at
    }

    fn expect(&self, at: usize, wanted: char, shown: &[&'static str]) -> Read {
        if self.peek(at) == Some(wanted) {
            return Ok(at + 1);
        }
        Err(Fault {
            at,
            wanted: shown.to_vec(),
        })
    }

    fn tree(&self, at: usize) -> Read {
        let comparison = match self.comparison(at) {
            Ok(end) => return Ok(end),
            Err(fault) => fault,
        };
        let negated = self.begins(at, "not.");
        let word = if negated { at + 4 } else { at };
        let mut end = if self.begins(word, "and") {
            word + 3
        } else if self.begins(word, "or") {
            word + 2
        } else {
            let wanted = if negated {
                vec![WORD]
            } else {
                vec!["negation operator (not)", WORD]
            };
            let fault = Fault { at: word, wanted };
            return Err(if negated { fault } else { comparison.or(fault) });
        };
        end = self.skip(end, |c| c == ' ');
        end = self.expect(end, '(', &["\"(\""])?;
        loop {
            end = self.tree(self.skip(end, |c| c == ' '))?;
            if self.peek(end) != Some(',') {
                break;
            }
            end += 1;
        }
        end = self.expect(end, ')', &["\",\"", "\")\""])?;
        Ok(self.skip(end, |c| c == ' '))
    }

    /// `field->path.not.operator(modifier).value`.
    fn comparison(&self, at: usize) -> Read {
        let mut end = self.name(at)?;
        while self.begins(end, "->") {
            end = self.skip(end, |c| matches!(c, '-' | '>'));
            let key = end;
            end = if self.peek(end) == Some('"') {
                self.quoted(end)?
            } else {
                self.skip(end, |c| !"(:.,>)-".contains(c))
            };
            if end == key {
                let wanted = vec!["\"-\"", "digit", STEP];
                return Err(Fault { at: key, wanted });
            }
        }
        let delimiter: &[&str] = &["letter", "digit", "\"-\"", "\"->>\"", "\"->\"", "delimiter (.)"];
        end = self.expect(end, '.', delimiter)?;
        let negated = self.begins(end, "not.");
        let word = if negated { end + 4 } else { end };
        end = self.skip(word, |c| c.is_ascii_alphabetic());
        let name: String = self.text.get(word..end).unwrap_or_default().iter().collect();
        if !operator::is_one(&name) {
            let wanted = if negated {
                vec![OPERATOR]
            } else {
                vec!["\"not\"", OPERATOR]
            };
            return Err(Fault { at: word, wanted });
        }
        if self.peek(end) == Some('(') {
            end = self.skip(end + 1, |c| c.is_alphanumeric() || c == '_');
            end = self.expect(end, ')', &["\")\""])?;
        }
        end = self.expect(end, '.', &["delimiter (.)"])?;
        match name.as_str() {
            "in" => self.list(end),
            "is" => self.truth(end),
            _ => Ok(self.value(end)),
        }
    }

    fn name(&self, at: usize) -> Read {
        let at = self.skip(at, |c| c == ' ');
        if self.peek(at) == Some('"') {
            return self.quoted(at);
        }
        let mut end = at;
        loop {
            end = self.skip(end, |c| c.is_alphanumeric() || "_ $".contains(c));
            if self.peek(end) != Some('-') || self.peek(end + 1) == Some('>') {
                break;
            }
            end += 1;
        }
        if end > at {
            return Ok(end);
        }
        let wanted = vec![FIELD];
        Err(Fault { at, wanted })
    }

    /// A text in double quotes.
    fn quoted(&self, at: usize) -> Read {
        let mut end = at + 1;
        loop {
            match self.peek(end) {
                Some('"') => return Ok(end + 1),
                Some('\\') => end += 2,
                Some(_) => end += 1,
                None => {
                    let wanted = vec!["\"\\\"\""];
                    return Err(Fault {
                        at: self.text.len(),
                        wanted,
                    });
                }
            }
        }
    }

    fn list(&self, at: usize) -> Read {
        let mut end = self.expect(at, '(', &["\"(\""])?;
        loop {
            end = self.value(end);
            if self.peek(end) != Some(',') {
                return self.expect(end, ')', &["\",\"", "\")\""]);
            }
            end += 1;
        }
    }

    fn truth(&self, at: usize) -> Read {
        let end = self.skip(at, |c| c.is_ascii_alphabetic() || c == '_');
        let word: String = self.text.get(at..end).unwrap_or_default().iter().collect();
        let known = ["null", "not_null", "true", "false", "unknown"];
        if known.contains(&word.to_ascii_lowercase().as_str()) {
            return Ok(end);
        }
        let wanted = vec![IS];
        Err(Fault { at, wanted })
    }

    /// A value in quotes, a `{…}` list, or everything up to `,` or `)`.
    fn value(&self, at: usize) -> usize {
        let ends = |end: &usize| matches!(self.peek(*end), None | Some(',' | ')'));
        if self.peek(at) == Some('"')
            && let Some(end) = self.quoted(at).ok().filter(ends)
        {
            return end;
        }
        if self.peek(at) == Some('{') {
            let end = self.skip(at, |c| c != '}');
            if self.peek(end).is_some() {
                return self.skip(end, |c| c == '}');
            }
        }
        self.skip(at, |c| !matches!(c, ',' | ')'))
    }
}

impl Fault {
    /// What got farther of two; both, where they got equally far.
    fn or(mut self, other: Self) -> Self {
        match self.at.cmp(&other.at) {
            std::cmp::Ordering::Less => other,
            std::cmp::Ordering::Greater => self,
            std::cmp::Ordering::Equal => {
                self.wanted.extend(other.wanted);
                self
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fault;

    #[test]
    fn the_place_and_the_words_are_those_of_postgrest() {
        for (word, text, column, details) in [
            (
                "or",
                "()",
                4,
                "unexpected \")\" expecting field name (* or [a..z0..9_$]), negation operator (not) or logic operator (and, or)",
            ),
            ("or", ")(", 3, "unexpected \")\" expecting \"(\""),
            (
                "and",
                "(ord(id.eq.1,id.eq.1),id.eq.2)",
                7,
                "unexpected \"d\" expecting \"(\"",
            ),
            (
                "or",
                "(id.in.1,2,id.eq.3)",
                10,
                "unexpected \"1\" expecting \"(\"",
            ),
            (
                "or",
                "(id.eq.1,not.xor(id.eq.2,id.eq.3))",
                16,
                "unexpected \"x\" expecting logic operator (and, or)",
            ),
            (
                "or",
                "(id.eq.1,id.eq.",
                18,
                "unexpected end of input expecting \",\" or \")\"",
            ),
            (
                "not.and",
                "(id.eq.1,)",
                17,
                "unexpected \")\" expecting field name (* or [a..z0..9_$]), negation operator (not) or logic operator (and, or)",
            ),
        ] {
            let (message, said) = fault(word, text).expect(text);
            let wanted = format!("\"failed to parse logic tree ({text})\" (line 1, column {column})");
            assert_eq!((message.as_str(), said.as_str()), (wanted.as_str(), details));
        }
    }

    #[test]
    fn what_it_takes_has_no_fault() {
        for text in [
            "(a.eq.1,b.is.null)",
            "(not.and(a.eq.1,b->c->>0.not.in.(1,\"2,)\")), or(x.fts(english).y,\"q.r\".eq.\"a,b\") )",
            "(a.cs.{1,2},b.eq.,c-d.like(any).{x,y})",
        ] {
            assert!(fault("and", text).is_none(), "{text}");
        }
    }
}
