//! The type of field that reads every value of a column: the declared type where all values agree with it, what
//! the values say where none was declared, text where nothing else fits.

use crate::store::sqlite::{Cell, connect, decimal, read_boolean, read_date, read_time, read_uuid};
use crate::store::table::Affinity;

/// What a column was declared as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Declared {
    Bool,
    Date,
    Time,
    Uuid,
    Json,
    Decimal(u8, u8),
    Int,
    Float,
    Number,
    Bytes,
    Text,
    Nothing,
}

/// What all values of a column have in common so far.
#[derive(Clone, Debug)]
pub(super) struct Guess {
    declared: Declared,
    seen: bool,
    int: bool,
    number: bool,
    bool: bool,
    date: bool,
    time: bool,
    uuid: bool,
    json: bool,
    decimal: bool,
    bytes: bool,
}

impl Guess {
    pub(super) fn new(declared: &str) -> Self {
        Self {
            declared: read(declared),
            seen: false,
            int: true,
            number: true,
            bool: true,
            date: true,
            time: true,
            uuid: true,
            json: true,
            decimal: true,
            bytes: false,
        }
    }

    /// Takes one value into account. Only what the declared type asks about is looked at closely.
    pub(super) fn see(&mut self, cell: &Cell<'_>) {
        if *cell == Cell::Null {
            return;
        }
        self.seen = true;
        self.int &= matches!(cell, Cell::Int(_));
        self.number &= matches!(cell, Cell::Int(_) | Cell::Real(_));
        self.bytes |= matches!(cell, Cell::Blob(bytes) if std::str::from_utf8(bytes).is_err());
        match self.declared {
            Declared::Bool => {
                let plain = matches!(cell, Cell::Int(0 | 1) | Cell::Text(_));
                self.bool = self.bool && plain && read_boolean(cell).is_some();
            }
            Declared::Date | Declared::Time => {
                let day = matches!(cell, Cell::Text(text) if text.trim().len() == 10);
                self.date = self.date && day && read_date(cell).is_some();
                self.time = self.time && read_time(cell).is_some();
            }
            Declared::Uuid => self.uuid = self.uuid && read_uuid(cell).is_some(),
            Declared::Json => {
                self.json = self.json
                    && matches!(cell, Cell::Text(text) if serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok());
            }
            Declared::Decimal(_, scale) => self.decimal = self.decimal && is_exact(cell, scale),
            _ => {}
        }
    }

    /// The type, as the API file writes it.
    pub(super) fn settle(&self) -> Option<String> {
        if self.bytes || (!self.seen && self.declared == Declared::Bytes) {
            return None;
        }
        let by_values = match (self.seen, self.int, self.number) {
            (true, true, _) => "int",
            (true, _, true) => "float",
            _ => "text",
        };
        let plain = match self.declared {
            Declared::Bool if self.bool => "bool",
            Declared::Date if self.seen && !self.date && self.time => "time",
            Declared::Date if self.date => "date",
            Declared::Time if self.seen && self.date => "date",
            Declared::Time if self.time => "time",
            Declared::Uuid if self.uuid => "uuid",
            Declared::Json if self.json => "json",
            Declared::Decimal(precision, scale) if self.decimal => {
                return Some(format!("decimal({precision},{scale})"));
            }
            Declared::Int if self.int => "int",
            Declared::Float if self.number => "float",
            Declared::Number | Declared::Decimal(..) if !self.seen => "float",
            Declared::Text => "text",
            _ => by_values,
        };
        Some(plain.to_owned())
    }
}

/// Whether a number has no more digits than the declared scale keeps: reading it as a decimal loses nothing.
fn is_exact(cell: &Cell<'_>, scale: u8) -> bool {
    let text = match cell {
        Cell::Int(n) => n.to_string(),
        Cell::Real(n) if n.is_finite() => ryu::Buffer::new().format_finite(*n).to_owned(),
        Cell::Text(text) => text.trim().to_owned(),
        _ => return false,
    };
    let (Some(short), Some(long)) = (decimal(&text, scale), decimal(&text, 38.min(scale + 12))) else {
        return false;
    };
    let (short, long) = (trimmed(&short), trimmed(&long));
    short == long
}

fn trimmed(digits: &str) -> &str {
    if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    }
}

fn read(declared: &str) -> Declared {
    let upper = declared.to_ascii_uppercase();
    let word = upper.split(['(', ' ']).next().unwrap_or_default();
    match word {
        "" | "ANY" => Declared::Nothing,
        "BOOL" | "BOOLEAN" => Declared::Bool,
        "DATE" => Declared::Date,
        "DATETIME" | "TIMESTAMP" | "TIMESTAMPTZ" => Declared::Time,
        "UUID" | "GUID" | "UNIQUEIDENTIFIER" => Declared::Uuid,
        "JSON" | "JSONB" => Declared::Json,
        "DECIMAL" | "NUMERIC" | "NUMBER" | "MONEY" => match digits(&upper) {
            Some((precision, scale)) => Declared::Decimal(precision, scale),
            None => Declared::Number,
        },
        "BLOB" | "BYTEA" | "BINARY" | "VARBINARY" => Declared::Bytes,
        _ if upper.contains("INT") => Declared::Int,
        _ if ["CHAR", "CLOB", "TEXT"].iter().any(|t| upper.contains(t)) => Declared::Text,
        _ if ["REAL", "FLOA", "DOUB"].iter().any(|t| upper.contains(t)) => Declared::Float,
        _ if connect::affinity(declared) == Affinity::Numeric => Declared::Number,
        _ => Declared::Bytes,
    }
}

/// `DECIMAL(12, 2)` is 12 and 2.
fn digits(upper: &str) -> Option<(u8, u8)> {
    let inside = upper.split_once('(')?.1.split_once(')')?.0;
    let mut numbers = inside.split(',').map(|n| n.trim().parse::<u8>());
    let precision = numbers.next()?.ok()?;
    let scale = numbers.next().unwrap_or(Ok(0)).ok()?;
    ((1..=38).contains(&precision) && scale <= precision).then_some((precision, scale))
}
