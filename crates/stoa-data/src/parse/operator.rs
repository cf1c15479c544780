//! The operators of filters: their words, and which kinds of fields each has a meaning for.

use super::scan::Scanner;
use crate::{
    codes,
    operation::{Compare, PathStep, Search},
    refusal::{Refusal, Result, shorten},
    value::nearest,
};
use stoa_config::plan::Type;

/// The longest name of a language for text search.
const LANGUAGE_CHARS_MAX: usize = 63;

/// What stands between a field and a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Compare(Compare),
    In,
    Is,
    Search(Search),
}

/// Every operator by its word.
const OPERATORS: [(&str, Op); 25] = [
    ("eq", Op::Compare(Compare::Eq)),
    ("neq", Op::Compare(Compare::Neq)),
    ("gt", Op::Compare(Compare::Gt)),
    ("gte", Op::Compare(Compare::Gte)),
    ("lt", Op::Compare(Compare::Lt)),
    ("lte", Op::Compare(Compare::Lte)),
    ("like", Op::Compare(Compare::Like)),
    ("ilike", Op::Compare(Compare::Ilike)),
    ("in", Op::In),
    ("is", Op::Is),
    ("isdistinct", Op::Compare(Compare::IsDistinct)),
    ("cs", Op::Compare(Compare::Contains)),
    ("cd", Op::Compare(Compare::ContainedBy)),
    ("ov", Op::Compare(Compare::Overlaps)),
    ("match", Op::Compare(Compare::Match)),
    ("imatch", Op::Compare(Compare::Imatch)),
    ("fts", Op::Search(Search::Query)),
    ("plfts", Op::Search(Search::Plain)),
    ("phfts", Op::Search(Search::Phrase)),
    ("wfts", Op::Search(Search::Web)),
    ("sl", Op::Compare(Compare::Left)),
    ("sr", Op::Compare(Compare::Right)),
    ("nxr", Op::Compare(Compare::NotRight)),
    ("nxl", Op::Compare(Compare::NotLeft)),
    ("adj", Op::Compare(Compare::Adjacent)),
];

/// An operator as written.
pub(super) struct Operator {
    pub(super) negated: bool,
    pub(super) name: &'static str,
    pub(super) op: Op,
    /// `(any)` or `(all)`.
    pub(super) modifier: Option<Modifier>,
    /// The language of a text search.
    pub(super) language: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Modifier {
    Any,
    All,
}

impl Operator {
    /// Reads `[not.]operator[(modifier)].`
    pub(super) fn read(scanner: &mut Scanner<'_>) -> Result<Self> {
        let negated = scanner.eat("not.");
        let start = scanner.clone();
        let written = scanner.until(|c| !c.is_ascii_alphabetic() && c != '_');
        let Some((name, op)) = OPERATORS.into_iter().find(|(name, _)| *name == written) else {
            return Err(unknown(&start, written));
        };
        let mut operator = Self {
            negated,
            name,
            op,
            modifier: None,
            language: None,
        };
        if scanner.eat("(") {
            operator.modify(scanner, &start)?;
        }
        scanner.expect(".")?;
        Ok(operator)
    }

    fn modify(&mut self, scanner: &mut Scanner<'_>, start: &Scanner<'_>) -> Result<()> {
        let word = scanner.until(|c| !c.is_ascii_alphanumeric() && c != '_');
        match (self.op, word) {
            (Op::Search(_), language) if (1..=LANGUAGE_CHARS_MAX).contains(&language.len()) => {
                self.language = Some(language.to_owned());
            }
            (Op::Compare(op), "any" | "all") if takes_lists(op) => {
                self.modifier = Some(if word == "any" {
                    Modifier::Any
                } else {
                    Modifier::All
                });
            }
            (Op::Search(_), _) => return Err(start.refuse("a language was expected, as in `fts(english)`")),
            _ => return Err(start.refuse(format!("`{}` takes no ({word})", self.name))),
        }
        scanner.expect(")")
    }

    /// Whether PostgreSQL alone has it.
    pub(super) fn needs_postgres(&self) -> bool {
        match self.op {
            Op::Search(_) => true,
            Op::Compare(op) => op.needs_postgres(),
            Op::In | Op::Is => false,
        }
    }

    /// Whether it has a meaning for a field of this type, behind a path into its JSON. A text of a table that others
    /// made on PostgreSQL may be of a type that the file has no word for, a range say: then the server knows better.
    /// Lists are ordered item by item there, and by nothing in SQLite.
    pub(super) fn fits(&self, ty: &Type, path: &[PathStep], postgres: bool, foreign: bool) -> bool {
        let json = match path.last() {
            None => matches!(ty, Type::Json),
            Some(step) => matches!(step, PathStep::Key(_) | PathStep::Index(_)),
        };
        let text = match path {
            [] => matches!(ty, Type::Text | Type::Enum(_)),
            _ => !json,
        };
        let list = path.is_empty() && matches!(ty, Type::List(_));
        // JSON outside may be anything inside: a domain with a cast.
        let whole = foreign && path.is_empty();
        let foreign = foreign && text && path.is_empty();
        match self.op {
            Op::Is => true,
            Op::In => json && (whole || !path.is_empty()) || !json && !list,
            Op::Search(_) => text || json,
            Op::Compare(op) => match op {
                Compare::Like | Compare::Ilike | Compare::Match | Compare::Imatch => text,
                Compare::Contains | Compare::ContainedBy => list || json || foreign,
                Compare::Overlaps => list || foreign,
                Compare::Left | Compare::Right | Compare::NotRight | Compare::NotLeft | Compare::Adjacent => {
                    foreign
                }
                Compare::Eq | Compare::Neq | Compare::IsDistinct => true,
                Compare::Gt | Compare::Gte | Compare::Lt | Compare::Lte => !list || postgres,
            },
        }
    }
}

/// Whether an operator is called so.
pub(super) fn is_one(word: &str) -> bool {
    OPERATORS.iter().any(|(name, _)| *name == word)
}

/// Which operators may stand before `(any)` and `(all)`.
fn takes_lists(op: Compare) -> bool {
    matches!(
        op,
        Compare::Eq
            | Compare::Gt
            | Compare::Gte
            | Compare::Lt
            | Compare::Lte
            | Compare::Like
            | Compare::Ilike
            | Compare::Match
            | Compare::Imatch
    )
}

fn unknown(at: &Scanner<'_>, name: &str) -> Refusal {
    let words = || OPERATORS.iter().map(|(name, _)| *name);
    let refusal = Refusal::new(
        &codes::UNKNOWN_OPERATOR,
        format!(
            "`{}` does not begin with an operator, as in `eq.value`.",
            shorten(at.rest())
        ),
    );
    let refusal = match nearest(name, words()) {
        Some(near) if name.len() > 1 => refusal.near(Some(near)),
        _ => refusal.hint(format!(
            "The operators are {}.",
            words().collect::<Vec<_>>().join(" ")
        )),
    };
    let first = at
        .peek()
        .map_or_else(|| String::from("end of input"), |c| format!("\"{c}\""));
    let text = shorten(at.rest());
    refusal
        .postgrest(
            "PGRST100",
            400,
            format!("\"failed to parse filter ({text})\" (line 1, column 1)"),
        )
        .details(format!(
            "unexpected {first} expecting \"not\" or operator (eq, gt, ...)"
        ))
}
