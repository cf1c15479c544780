//! A field's short form: `decimal(12,2), min 0`.

use super::{Flaw, Grammar, Words, commas, name, units, words};
use crate::{fault::codes, plan::TableName, report::did_you_mean};
use std::ops::Range;

/// A piece of a text and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) at: Range<usize>,
}

impl Piece {
    fn new(at: usize, text: &str) -> Self {
        Self {
            text: text.to_owned(),
            at: at..at + text.len(),
        }
    }
}

/// A type whose target is not bound yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RawType {
    Uuid7,
    Uuid,
    Text,
    Int,
    Float,
    Decimal { precision: u8, scale: u8 },
    Bool,
    Time,
    Date,
    Json,
    Enum(Vec<String>),
    Ref(Piece),
    List(Box<RawType>),
}

/// A field as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawField {
    pub(crate) ty: RawType,
    pub(crate) constraints: Vec<Constraint>,
}

/// One constraint and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Constraint {
    pub(crate) kind: ConstraintKind,
    pub(crate) at: Range<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ConstraintKind {
    Key,
    Unique,
    Optional,
    Auto,
    Generated,
    Computed,
    Immutable,
    Index,
    Column(String),
    /// Without a name: that of the field.
    Function(Option<TableName>),
    Default(String),
    Min(String),
    Max(String),
    Chars(u32, u32),
    Matches(String),
    Was(String),
}

impl ConstraintKind {
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Unique => "unique",
            Self::Optional => "optional",
            Self::Auto => "auto",
            Self::Generated => "generated",
            Self::Computed => "computed",
            Self::Immutable => "immutable",
            Self::Index => "index",
            Self::Column(_) => "column",
            Self::Function(_) => "function",
            Self::Default(_) => "default",
            Self::Min(_) => "min",
            Self::Max(_) => "max",
            Self::Chars(..) => "chars",
            Self::Matches(_) => "matches",
            Self::Was(_) => "was",
        }
    }
}

pub(crate) static FIELD: Grammar<RawField> = Grammar {
    words: &FIELD_WORDS,
    parse: field,
};
pub(crate) static FIELD_WORDS: Words = Words::new(
    "a type and constraints",
    codes::FIELD_TYPE,
    &[
        "text, 1..120 chars",
        "decimal(12,2), min 0",
        "int, 1..99",
        "enum(new, paid, sent), default new",
        "ref products",
        "list of text, default []",
        "time, auto",
        "text, optional, matches ^[a-z]+$",
    ],
)
.pattern(
    "^\\s*(list\\s+of\\s+)*(uuid7|uuid|text|int|float|decimal|bool|time|date|json|enum|ref)\\b.*$|\\$\\{",
);

pub(crate) static TYPE: Grammar<RawType> = Grammar {
    words: &TYPE_WORDS,
    parse: |text| ty(text, 0),
};
pub(crate) static TYPE_WORDS: Words = Words::new(
    "a type",
    codes::FIELD_TYPE,
    &[
        "uuid7",
        "uuid",
        "text",
        "int",
        "float",
        "decimal(12,2)",
        "bool",
        "time",
        "date",
        "json",
        "enum(a, b)",
        "ref products",
        "list of text",
    ],
)
.pattern(
    "^\\s*(list\\s+of\\s+)*(uuid7|uuid|text|int|float|decimal|bool|time|date|json|enum|ref)\\b.*$|\\$\\{",
);

pub(crate) static CHARS: Grammar<(u32, u32)> = Grammar {
    words: &CHARS_WORDS,
    parse: chars,
};
pub(crate) static CHARS_WORDS: Words =
    Words::new("two lengths", codes::CONSTRAINT, &["1..120"]).pattern("^[0-9]+\\.\\.[0-9]+$|\\$\\{");

pub(crate) const TYPES: [&str; 13] = [
    "uuid7", "uuid", "text", "int", "float", "decimal", "bool", "time", "date", "json", "enum", "ref", "list",
];
const CONSTRAINTS: [&str; 15] = [
    "key",
    "unique",
    "optional",
    "auto",
    "generated",
    "computed",
    "immutable",
    "index",
    "column",
    "function",
    "default",
    "min",
    "max",
    "was",
    "matches",
];
/// Words of an `enum` at most.
const WORDS_MAX: usize = 256;

fn field(text: &str) -> Result<RawField, Flaw> {
    let (head, regex) = split_matches(text);
    let mut parts = commas(head).into_iter();
    let (type_at, type_text) = parts.next().unwrap_or((0, ""));
    let ty = ty(type_text, 0).map_err(|flaw| flaw.shifted(type_at))?;
    let mut constraints: Vec<Constraint> = Vec::new();
    let last = head.trim_end().len();
    for (at, part) in parts {
        if part.is_empty() {
            if regex.is_some() && at >= last {
                continue;
            }
            return Err(
                Flaw::at(comma_before(text, at), "nothing stands between two commas").code(codes::CONSTRAINT),
            );
        }
        constraint(part)
            .map_err(|flaw| flaw.shifted(at).code(codes::CONSTRAINT))?
            .into_iter()
            .for_each(|kind| {
                constraints.push(Constraint {
                    kind,
                    at: at..at + part.len(),
                });
            });
    }
    if let Some((at, regex)) = regex {
        constraints.push(Constraint {
            kind: ConstraintKind::Matches(regex.to_owned()),
            at: at..at + regex.len(),
        });
    }
    for (position, one) in constraints.iter().enumerate() {
        let word = one.kind.word();
        if constraints[..position].iter().any(|c| c.kind.word() == word) {
            return Err(Flaw::at(one.at.clone(), format!("`{word}` is there twice")).code(codes::CONSTRAINT));
        }
    }
    Ok(RawField { ty, constraints })
}

/// `matches` takes the rest of the text, commas too.
fn split_matches(text: &str) -> (&str, Option<(usize, &str)>) {
    for (at, _) in text.match_indices("matches") {
        let before = text[..at].trim_end();
        let after = &text[at + "matches".len()..];
        let whole_word = after.is_empty() || after.starts_with(' ');
        if before.ends_with(',') && whole_word {
            let regex = after.trim();
            let regex_at = text.len() - after.trim_start().len();
            return (&text[..at], Some((regex_at, regex)));
        }
    }
    (text, None)
}

/// Lists inside each other at most.
const LISTS_MAX: usize = 1;

fn ty(text: &str, lists: usize) -> Result<RawType, Flaw> {
    let end = text
        .find(|c: char| c.is_whitespace() || c == '(')
        .unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let rest_at = end + (rest.len() - rest.trim_start().len());
    let rest = rest.trim();
    let plain = |ty: RawType| {
        if rest.is_empty() {
            Ok(ty)
        } else {
            Err(Flaw::at(
                rest_at..rest_at + rest.len(),
                format!("`{rest}` is not expected after `{word}`"),
            )
            .help("commas separate constraints"))
        }
    };
    match word {
        "" => Err(Flaw::whole(text, "the type is missing").help("such as `text`")),
        "uuid7" => plain(RawType::Uuid7),
        "uuid" => plain(RawType::Uuid),
        "text" => plain(RawType::Text),
        "int" => plain(RawType::Int),
        "float" => plain(RawType::Float),
        "bool" => plain(RawType::Bool),
        "time" => plain(RawType::Time),
        "date" => plain(RawType::Date),
        "json" => plain(RawType::Json),
        "decimal" => decimal(rest).map_err(|flaw| flaw.shifted(rest_at)),
        "enum" => words_of_enum(rest).map_err(|flaw| flaw.shifted(rest_at)),
        "ref" => {
            if rest.is_empty() || rest.contains(char::is_whitespace) {
                return Err(
                    Flaw::whole(text, "`ref` takes the name of one resource").help("such as `ref products`")
                );
            }
            Ok(RawType::Ref(Piece::new(rest_at, rest)))
        }
        "list" => {
            let item = rest
                .strip_prefix("of")
                .filter(|r| r.starts_with(char::is_whitespace));
            let Some(item) = item else {
                return Err(Flaw::whole(text, "a list is `list of TYPE`").help("such as `list of text`"));
            };
            if lists >= LISTS_MAX {
                return Err(Flaw::whole(text, "a list holds single values, not lists").help("use `json`"));
            }
            let at = rest_at + (rest.len() - item.trim_start().len());
            let inner = ty(item.trim(), lists + 1).map_err(|flaw| flaw.shifted(at))?;
            match inner {
                RawType::Json | RawType::Ref(_) => {
                    Err(Flaw::at(at..text.len(), "a list holds plain values, not this").help("use `json`"))
                }
                inner => Ok(RawType::List(Box::new(inner))),
            }
        }
        other => Err(Flaw::at(0..end, format!("`{other}` is not a type")).help(type_help(other))),
    }
}

fn type_help(word: &str) -> String {
    let meant = match word.to_ascii_lowercase().as_str() {
        "string" | "str" | "varchar" | "char" => "text",
        "integer" | "bigint" | "int64" | "int4" | "int8" | "number" | "smallint" | "serial" => "int",
        "boolean" => "bool",
        "timestamp" | "timestamptz" | "datetime" => "time",
        "double" | "real" => "float",
        "numeric" | "money" => "decimal(12,2)",
        "jsonb" | "object" | "map" => "json",
        "array" => "list of text",
        "uuidv7" => "uuid7",
        "uuidv4" => "uuid",
        _ => return did_you_mean(word, TYPES),
    };
    format!("did you mean `{meant}`?")
}

/// What stands in the brackets of `text`, with where it starts.
fn bracketed(text: &str) -> Option<(usize, &str)> {
    let inner = text.strip_prefix('(')?.strip_suffix(')')?;
    Some((1, inner))
}

/// The comma in front of the empty part at `at`.
fn comma_before(text: &str, at: usize) -> Range<usize> {
    let comma = text.get(..at).and_then(|before| before.rfind(',')).unwrap_or(at);
    comma..at
}

fn decimal(rest: &str) -> Result<RawType, Flaw> {
    let flaw = || {
        Flaw::whole(rest, "a decimal needs its digits in all and after the point")
            .help("such as `decimal(12,2)`")
    };
    let (at, inner) = bracketed(rest).ok_or_else(flaw)?;
    let parts = commas(inner);
    let [(precision_at, precision), (scale_at, scale)] = parts[..] else {
        return Err(flaw());
    };
    let number = |text: &str| units::digits(text).and_then(|n| u8::try_from(n).ok());
    let precision = number(precision)
        .filter(|p| (1..=38).contains(p))
        .ok_or_else(|| {
            let at = at + precision_at;
            Flaw::at(at..at + precision.len(), "a decimal has 1 to 38 digits")
        })?;
    let scale = number(scale).filter(|s| *s <= precision).ok_or_else(|| {
        let at = at + scale_at;
        Flaw::at(
            at..at + scale.len(),
            "the digits after the point are at most those in all",
        )
    })?;
    Ok(RawType::Decimal { precision, scale })
}

fn words_of_enum(rest: &str) -> Result<RawType, Flaw> {
    let flaw = || Flaw::whole(rest, "an enum needs its words").help("such as `enum(new, paid, sent)`");
    let (offset, inner) = bracketed(rest).ok_or_else(flaw)?;
    if inner.trim().is_empty() {
        return Err(flaw());
    }
    let mut words: Vec<String> = Vec::new();
    for (at, word) in commas(inner) {
        let here = offset + at..offset + at + word.len();
        if word.is_empty() {
            return Err(Flaw::at(here, "a word is missing here"));
        }
        if words.iter().any(|w| w == word) {
            return Err(Flaw::at(here, format!("`{word}` is in the enum twice")).code(codes::DUPLICATE_VALUE));
        }
        if words.len() >= WORDS_MAX {
            return Err(Flaw::at(here, format!("an enum has at most {WORDS_MAX} words")));
        }
        words.push(word.to_owned());
    }
    Ok(RawType::Enum(words))
}

fn constraint(part: &str) -> Result<Vec<ConstraintKind>, Flaw> {
    let end = part.find(char::is_whitespace).unwrap_or(part.len());
    let (word, rest) = part.split_at(end);
    let (rest_at, rest) = (part.len() - rest.trim_start().len(), rest.trim());
    let alone = |kind: ConstraintKind| {
        if rest.is_empty() {
            Ok(vec![kind])
        } else {
            Err(Flaw::at(rest_at..part.len(), format!("`{word}` stands alone"))
                .help("commas separate constraints"))
        }
    };
    let with = |kind: fn(String) -> ConstraintKind| {
        if rest.is_empty() {
            Err(Flaw::whole(part, format!("nothing follows `{word}`")))
        } else {
            Ok(vec![kind(rest.to_owned())])
        }
    };
    match word {
        "key" => alone(ConstraintKind::Key),
        "unique" if rest == "global" => Err(Flaw::at(
            rest_at..part.len(),
            "`unique: global` is not built yet",
        )
        .help(
            "`unique` holds per shard key; keep the resource on one shard for a value that is unique overall",
        )),
        "unique" => alone(ConstraintKind::Unique),
        "optional" => alone(ConstraintKind::Optional),
        "auto" => alone(ConstraintKind::Auto),
        "generated" => alone(ConstraintKind::Generated),
        "computed" => alone(ConstraintKind::Computed),
        "immutable" => alone(ConstraintKind::Immutable),
        "index" => alone(ConstraintKind::Index),
        "column" => with(ConstraintKind::Column),
        "function" if rest.is_empty() => Ok(vec![ConstraintKind::Function(None)]),
        "function" => match name::qualified(rest) {
            Some(name) => Ok(vec![ConstraintKind::Function(Some(name))]),
            None => Err(
                Flaw::at(rest_at..part.len(), format!("`{rest}` is not a function"))
                    .help("write `function NAME` or `function SCHEMA.NAME`"),
            ),
        },
        "default" => with(ConstraintKind::Default),
        "min" => with(ConstraintKind::Min),
        "max" => with(ConstraintKind::Max),
        "matches" => with(ConstraintKind::Matches),
        "was" => with(ConstraintKind::Was),
        _ if part.contains("..") => range(part),
        other => Err(
            Flaw::at(0..end, format!("`{other}` is not a constraint")).help(match other {
                "nullable" | "null" => "write `optional`".to_owned(),
                "required" | "not" => {
                    "fields are required unless they are `optional`: leave it out".to_owned()
                }
                "primary" | "pk" => "write `key`".to_owned(),
                "pattern" | "regex" => "write `matches REGEX`, last".to_owned(),
                "length" | "len" | "chars" => "write `1..120 chars`".to_owned(),
                other => did_you_mean(other, CONSTRAINTS),
            }),
        ),
    }
}

fn range(part: &str) -> Result<Vec<ConstraintKind>, Flaw> {
    let mut parts = words(part);
    let (_, range) = parts.next().unwrap_or((0, ""));
    let unit = parts.next();
    if let Some((at, unit)) = unit
        && (unit != "chars" || parts.next().is_some())
    {
        return Err(
            Flaw::at(at..part.len(), format!("`{unit}` is not expected here")).help("such as `1..120 chars`")
        );
    }
    if unit.is_some() {
        return chars(range).map(|(min, max)| vec![ConstraintKind::Chars(min, max)]);
    }
    let (min, max) = range.split_once("..").unwrap_or((range, ""));
    if min.is_empty() || max.is_empty() {
        return Err(
            Flaw::whole(part, "a range has two ends").help("such as `1..99`, or `min 1`, or `max 99`")
        );
    }
    Ok(vec![
        ConstraintKind::Min(min.to_owned()),
        ConstraintKind::Max(max.to_owned()),
    ])
}

fn chars(text: &str) -> Result<(u32, u32), Flaw> {
    let number = |t: &str| units::digits(t).and_then(|n| u32::try_from(n).ok());
    let ends = text
        .split_once("..")
        .and_then(|(a, b)| Some((number(a)?, number(b)?)));
    match ends {
        Some((min, max)) if min <= max => Ok((min, max)),
        Some((min, max)) => {
            Err(Flaw::whole(text, format!("{min} is more than {max}")).code(codes::CONTRADICTION))
        }
        None => Err(Flaw::whole(text, format!("`{text}` is not two lengths")).help("such as `1..120 chars`")),
    }
}
