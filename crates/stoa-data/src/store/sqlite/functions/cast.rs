//! `stoa_cast`: values from one type to another, as PostgreSQL casts them.
//!
//! What is computed is kept as SQLite keeps it best: booleans as 0 and 1, whole numbers as integers, floats as reals,
//! numbers with all their digits, moments, days, UUIDs and JSON as text.

use crate::operation::{Cast, Kind};
use crate::store::cast::{CASTS, Fault, bad, float, name, number, text_of, within};
use crate::store::number::Number;
use crate::store::sql::Source;
use crate::store::sqlite::codec::{self, Cell};
use crate::store::table::{Affinity, Column, Storage};
use crate::value::{Value, render_date, render_time};
use rusqlite::Error;
use rusqlite::functions::Context;
use rusqlite::types::Value as Owned;
use serde_json::Value as Json;
use stoa_config::plan::Type;

/// What a fault begins with, so that it is told from SQLite's own errors.
const MARK: &str = "stoa_cast ";

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{MARK}{} {}", self.state, self.message)
    }
}

impl std::error::Error for Fault {}

/// PostgreSQL's state and words for a fault of `stoa_cast` among SQLite's errors.
pub(crate) fn fault(message: &str) -> Option<(&str, &str)> {
    message.strip_prefix(MARK)?.split_once(' ')
}

/// What stands behind the value in `stoa_cast(value, 'from', 'to')`.
pub(crate) fn arguments(from: Source<'_>, to: Cast) -> String {
    format!(", '{}', '{}')", described(from), name(to))
}

fn described(from: Source<'_>) -> String {
    let column = match from {
        Source::Kind(kind) => return format!("k:{}", kind_name(kind)),
        Source::Column(column) => column,
    };
    let storage = match column.storage {
        Storage::Native => "n",
        Storage::Found(Affinity::Numeric) => "fn",
        Storage::Found(Affinity::Text) => "ft",
        Storage::Found(Affinity::None) | Storage::Server(_) => "fb",
    };
    let ty = match &column.ty {
        Type::Decimal { precision, scale } => format!("decimal.{precision}.{scale}"),
        Type::List(_) => String::from("list"),
        Type::Bool => String::from("bool"),
        Type::Int => String::from("int"),
        Type::Float => String::from("float"),
        Type::Uuid | Type::Uuid7 => String::from("uuid"),
        Type::Time => String::from("time"),
        Type::Date => String::from("date"),
        Type::Json => String::from("json"),
        Type::Text | Type::Enum(_) | Type::Ref { .. } => String::from("text"),
    };
    format!("{storage}:{ty}")
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "bool",
        Kind::Int => "int",
        Kind::Number => "number",
        Kind::Float => "float",
        Kind::Text => "text",
        Kind::Uuid => "uuid",
        Kind::Time => "time",
        Kind::Date => "date",
        Kind::Json => "json",
    }
}

/// Where a value comes from: a column, or an earlier computation.
enum From {
    Column(Column),
    Kind(Kind),
}

/// Reads [`described`] back.
fn read_from(text: &str) -> Option<From> {
    let (storage, ty) = text.split_once(':')?;
    if storage == "k" {
        let kinds = [
            Kind::Bool,
            Kind::Int,
            Kind::Number,
            Kind::Float,
            Kind::Text,
            Kind::Uuid,
            Kind::Time,
            Kind::Date,
            Kind::Json,
        ];
        return kinds
            .into_iter()
            .find(|kind| kind_name(*kind) == ty)
            .map(From::Kind);
    }
    let mut parts = ty.split('.');
    let ty = match parts.next()? {
        "decimal" => Type::Decimal {
            precision: parts.next()?.parse().ok()?,
            scale: parts.next()?.parse().ok()?,
        },
        "list" => Type::List(Box::new(Type::Text)),
        "bool" => Type::Bool,
        "int" => Type::Int,
        "float" => Type::Float,
        "uuid" => Type::Uuid,
        "time" => Type::Time,
        "date" => Type::Date,
        "json" => Type::Json,
        _ => Type::Text,
    };
    Some(From::Column(Column {
        name: String::new(),
        member: String::new(),
        quoted: String::from("of a cast"),
        function: None,
        row: None,
        casts: None,
        ty,
        refers: None,
        nullable: true,
        storage: match storage {
            "n" => Storage::Native,
            "fn" => Storage::Found(Affinity::Numeric),
            "ft" => Storage::Found(Affinity::Text),
            _ => Storage::Found(Affinity::None),
        },
    }))
}

/// `stoa_cast(value, 'from', 'to')`.
pub(super) fn cast(context: &Context<'_>) -> rusqlite::Result<Owned> {
    let unknown = || Error::UserFunctionError("stoa_cast of an unknown type".into());
    let from = context.get_or_create_aux(1, |text| {
        let text = text.as_str().map_err(|e| Error::UserFunctionError(Box::new(e)))?;
        read_from(text).ok_or_else(unknown)
    })?;
    let to = context.get_or_create_aux(2, |text| {
        let text = text.as_str().map_err(|e| Error::UserFunctionError(Box::new(e)))?;
        let found = CASTS.iter().find(|(name, _)| *name == text);
        found.map(|(_, cast)| *cast).ok_or_else(unknown)
    })?;
    let cell = super::cell(context, 0);
    if cell == Cell::Null {
        return Ok(Owned::Null);
    }
    let (value, list) = match &*from {
        From::Column(column) => (codec::read(&cell, column), matches!(column.ty, Type::List(_))),
        From::Kind(kind) => (computed(&cell, *kind).ok_or_else(String::new), false),
    };
    let value = value.map_err(|why| Error::UserFunctionError(why.into()))?;
    let made = if list && *to == Cast::Text {
        Ok(Value::Text(array(&value.to_string()).into()))
    } else {
        become_type(value, *to)
    };
    made.map(owned)
        .map_err(|fault| Error::UserFunctionError(Box::new(fault)))
}

/// A computed value, read back.
fn computed(cell: &Cell<'_>, kind: Kind) -> Option<Value> {
    Some(match (kind, cell) {
        (Kind::Bool, Cell::Int(n)) => Value::Bool(*n != 0),
        (Kind::Int, Cell::Int(n)) => Value::Int(*n),
        (Kind::Number, Cell::Int(n)) => Value::Decimal(n.to_string().into()),
        (Kind::Number, Cell::Text(text)) => Value::Decimal(text.as_ref().into()),
        (Kind::Float, Cell::Real(n)) => Value::Float(*n),
        (Kind::Text, Cell::Text(text)) => Value::Text(text.as_ref().into()),
        (Kind::Json, Cell::Text(text)) => Value::Json(text.as_ref().into()),
        (Kind::Uuid, cell) => Value::Uuid(codec::uuid(cell)?),
        (Kind::Time, cell) => Value::Time(codec::read_time(cell)?),
        (Kind::Date, cell) => Value::Date(codec::read_date(cell)?),
        _ => return None,
    })
}

fn owned(value: Value) -> Owned {
    match value {
        Value::Null => Owned::Null,
        Value::Bool(yes) => Owned::Integer(i64::from(yes)),
        Value::Int(n) => Owned::Integer(n),
        Value::Float(n) => Owned::Real(n),
        Value::Time(micros) => Owned::Text(render_time(micros)),
        Value::Date(days) => Owned::Text(render_date(days)),
        other => Owned::Text(other.to_string()),
    }
}

fn become_type(value: Value, to: Cast) -> Result<Value, Fault> {
    let syntax = |text: &str| {
        let state = if matches!(to, Cast::Date | Cast::Time) {
            "22007"
        } else {
            "22P02"
        };
        bad(
            state,
            format!("invalid input syntax for type {}: \"{text}\"", name(to)),
        )
    };
    match (value, to) {
        (Value::Text(text), Cast::Text) => Ok(Value::Text(text)),
        (value, Cast::Text) => Ok(Value::Text(text_of(&value).into())),
        (Value::Json(text), Cast::Json) => Ok(Value::Json(text)),
        (Value::Json(text), to) => of_json(&text, to),
        (Value::Text(text), to) => of_text(&text, to).unwrap_or_else(|| Err(syntax(&text))),
        (Value::Time(micros), Cast::Date) => Ok(Value::Date(
            i32::try_from(micros.div_euclid(86_400_000_000)).unwrap_or_default(),
        )),
        (Value::Date(days), Cast::Time) => Ok(Value::Time(i64::from(days) * 86_400_000_000)),
        (Value::Bool(yes), Cast::Int4) => Ok(Value::Int(i64::from(yes))),
        (Value::Int(n), to) => number(&Number::from_int(n), to),
        (Value::Decimal(digits), to) => match Number::read(&digits) {
            Some(n) => number(&n, to),
            None => Err(syntax(&digits)),
        },
        (Value::Float(n), to) => float(n, to),
        (value, _) => Ok(value),
    }
}

/// `None`: the text does not read as the type.
fn of_text(text: &str, to: Cast) -> Option<Result<Value, Fault>> {
    let trimmed = text.trim();
    let cell = Cell::Text(trimmed.into());
    Some(Ok(match to.kind() {
        Kind::Bool => Value::Bool(codec::boolean(&cell)?),
        Kind::Int => {
            let digits = trimmed.strip_prefix(['-', '+']).unwrap_or(trimmed);
            if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            return Some(within(trimmed.parse().ok(), to));
        }
        Kind::Number => Value::Decimal(Number::read(trimmed)?.to_string().into()),
        Kind::Float => return Some(float(trimmed.parse().ok().filter(|n: &f64| n.is_finite())?, to)),
        Kind::Uuid => Value::Uuid(codec::uuid(&cell)?),
        Kind::Time => Value::Time(codec::read_time(&cell)?),
        Kind::Date => Value::Date(codec::read_date(&cell)?),
        Kind::Json => {
            serde_json::from_str::<&serde_json::value::RawValue>(trimmed).ok()?;
            Value::Json(trimmed.into())
        }
        Kind::Text => Value::Text(text.into()),
    }))
}

fn of_json(text: &str, to: Cast) -> Result<Value, Fault> {
    let json: Json = serde_json::from_str(text).unwrap_or_default();
    let kind = match (&json, to.kind()) {
        (Json::Number(n), Kind::Int | Kind::Number | Kind::Float) => {
            return match Number::read(&n.to_string()) {
                Some(n) => number(&n, to),
                None => Err(bad("22003", format!("{} out of range", name(to)))),
            };
        }
        (Json::Bool(yes), Kind::Bool) => return Ok(Value::Bool(*yes)),
        (Json::Null, _) => "null",
        (Json::Bool(_), _) => "boolean",
        (Json::Number(_), _) => "numeric",
        (Json::String(_), _) => "string",
        (Json::Array(_), _) => "array",
        (Json::Object(_), _) => "object",
    };
    Err(bad(
        "22023",
        format!("cannot cast jsonb {kind} to type {}", name(to)),
    ))
}

/// A JSON list as the text of an array: `{a,"b c"}`.
fn array(json: &str) -> String {
    let Ok(Json::Array(items)) = serde_json::from_str(json) else {
        return json.to_owned();
    };
    let one = |item: &Json| {
        let text = match item {
            Json::Null => return String::from("NULL"),
            Json::String(text) => text.clone(),
            Json::Bool(yes) => return String::from(if *yes { "t" } else { "f" }),
            other => other.to_string(),
        };
        let plain = !text.is_empty()
            && !text.eq_ignore_ascii_case("null")
            && !text.contains(|c: char| matches!(c, '{' | '}' | ',' | '"' | '\\') || c.is_whitespace());
        if plain {
            return text;
        }
        format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
    };
    format!("{{{}}}", items.iter().map(one).collect::<Vec<_>>().join(","))
}
