//! SQLite's side of the SQL builder.

use super::functions::cast_arguments;
use crate::operation::{Aggregate, Cast, Kind, Search};
use crate::store::sql::{Dialect, Function, Source, Spelling, prefix_bounds};
use crate::store::table::{Affinity, Column, Storage, Table, VERSION};
use std::borrow::Cow;
use stoa_config::plan::Type;

/// The one value of the dialect.
pub(crate) static SQLITE: Sqlite = Sqlite;

/// SQLite as a [`Dialect`].
#[derive(Debug)]
pub(crate) struct Sqlite;

const JSON_ORDER: &str = " COLLATE stoa_json";

impl Dialect for Sqlite {
    fn placeholder(&self, out: &mut String, _number: usize) {
        out.push('?');
    }

    fn operand(&self, out: &mut String, column: &Column, reference: &str) {
        let Storage::Found(affinity) = column.storage else {
            out.push_str(reference);
            if !column.ty.is_scalar() {
                out.push_str(JSON_ORDER);
            }
            return;
        };
        let numeric = affinity == Affinity::Numeric;
        match (&column.ty, numeric) {
            (Type::Int | Type::Float, false) => wrapped(out, "CAST", reference, " AS NUMERIC"),
            (Type::Decimal { scale, .. }, false) => {
                wrapped(out, "stoa_decimal", reference, &format!(", {scale}"));
            }
            (Type::Bool, false) => wrapped(out, "stoa_bool", reference, ""),
            (Type::Text | Type::Enum(_), _) if affinity != Affinity::Text => {
                wrapped(out, "stoa_text", reference, "");
            }
            (Type::Uuid | Type::Uuid7, _) => wrapped(out, "stoa_uuid", reference, ""),
            (Type::Time, _) => wrapped(out, "stoa_time", reference, ""),
            (Type::Date, _) => wrapped(out, "stoa_date", reference, ""),
            (Type::Json | Type::List(_), _) => {
                out.push_str(reference);
                out.push_str(JSON_ORDER);
            }
            _ => out.push_str(reference),
        }
    }

    fn common(&self, out: &mut String, column: &Column, reference: &str) {
        match (&column.ty, column.storage) {
            (Type::Decimal { scale, .. }, Storage::Native) => {
                wrapped(out, "stoa_scaled", reference, &format!(", {scale}"));
            }
            (Type::Decimal { .. } | Type::Int | Type::Float, _) => {
                wrapped(out, "stoa_decimal", reference, ", 18");
            }
            _ => self.operand(out, column, reference),
        }
    }

    fn version(&self, out: &mut String, table: &Table, alias: &str) {
        if table.created {
            out.push_str(alias);
            out.push('"');
            out.push_str(VERSION);
            out.push('"');
            return;
        }
        out.push_str("stoa_hash(");
        for (position, column) in table.columns.iter().enumerate() {
            if position > 0 {
                out.push_str(", ");
            }
            out.push_str(alias);
            out.push_str(&column.quoted);
        }
        out.push(')');
    }

    fn parts(&self, function: Function) -> Option<[&'static str; 3]> {
        Some(match function {
            Function::Like => ["stoa_like(", ", ", ")"],
            Function::Ilike => ["stoa_ilike(", ", ", ")"],
            Function::Contains => ["stoa_contains(", ", ", ")"],
            Function::Overlaps => ["stoa_overlaps(", ", ", ")"],
            Function::Path | Function::ListPath => ["stoa_json(", ", ", ", 0)"],
            Function::PathText | Function::PathAsWritten | Function::ListPathText => {
                ["stoa_json(", ", ", ", 1)"]
            }
            Function::Match
            | Function::Imatch
            | Function::Left
            | Function::Right
            | Function::NotRight
            | Function::NotLeft
            | Function::Adjacent => return None,
        })
    }

    fn search(&self, _how: Search) -> Option<&'static str> {
        None
    }

    fn is_vector(&self, _column: &Column) -> bool {
        false
    }

    fn keeps_text(&self, _column: &Column) -> bool {
        false
    }

    fn foreign(&self, _column: &Column) -> Option<String> {
        None
    }

    fn json_order(&self) -> &'static str {
        JSON_ORDER
    }

    fn by_primary_key(&self) -> &'static str {
        // The index on the key alone looks as good to the planner, and costs a second search.
        " NOT INDEXED"
    }

    fn spellings(&self, column: &Column) -> &'static [Spelling] {
        match (&column.ty, column.storage) {
            (Type::Uuid | Type::Uuid7, Storage::Found(_)) => {
                &[Spelling::Canonical, Spelling::Upper, Spelling::Bytes]
            }
            _ => &[],
        }
    }

    fn open_row(&self, out: &mut String, embeds: &[bool]) {
        out.push_str("stoa_row('");
        out.extend(embeds.iter().map(|embed| if *embed { 'e' } else { '.' }));
        out.push_str("', ");
    }

    fn gather(&self) -> [&'static str; 2] {
        ["'[' || coalesce(group_concat(", ", ','), '') || ']'"]
    }

    fn shown(&self, _column: &Column) -> &'static str {
        ""
    }

    fn groupable(&self, _column: &Column) -> &'static str {
        ""
    }

    fn group(&self, out: &mut String, column: &Column, reference: &str) {
        self.operand(out, column, reference);
    }

    fn cast(&self, from: Source<'_>, to: Cast) -> [Cow<'static, str>; 2] {
        ["stoa_cast(".into(), cast_arguments(from, to).into()]
    }

    fn computed(&self, from: Source<'_>) -> [Cow<'static, str>; 2] {
        let Source::Column(column) = from else {
            return ["".into(), "".into()];
        };
        let own = match (&column.ty, column.storage) {
            (Type::Decimal { .. }, _) => Cast::Numeric,
            (Type::Json | Type::List(_), _) | (_, Storage::Native) => return ["".into(), "".into()],
            (Type::Int, _) => Cast::Int8,
            (Type::Float, _) => Cast::Float8,
            (Type::Bool, _) => Cast::Bool,
            (Type::Uuid | Type::Uuid7, _) => Cast::Uuid,
            (Type::Time, _) => Cast::Time,
            (Type::Date, _) => Cast::Date,
            (Type::Text | Type::Enum(_) | Type::Ref { .. }, _) => Cast::Text,
        };
        self.cast(from, own)
    }

    fn aggregate(&self, function: Aggregate, of: Option<Kind>, _created: bool) -> [&'static str; 2] {
        let open = match (function, of) {
            (Aggregate::Count, _) => "count(",
            (Aggregate::Sum, _) => "stoa_sum(",
            (Aggregate::Avg, _) => "stoa_avg(",
            (Aggregate::Min, Some(Kind::Number)) => "stoa_min(",
            (Aggregate::Max, Some(Kind::Number)) => "stoa_max(",
            (Aggregate::Min, _) => "min(",
            (Aggregate::Max, _) => "max(",
        };
        [open, ")"]
    }

    /// Only where texts sort by their bytes, as in Stoa's own tables.
    fn prefix_bounds(&self, column: &Column, pattern: &str) -> Option<(String, String)> {
        if column.storage != Storage::Native || column.ty != Type::Text {
            return None;
        }
        prefix_bounds(pattern)
    }
}

/// `function(reference rest)`
fn wrapped(out: &mut String, function: &str, reference: &str, rest: &str) {
    out.push_str(function);
    out.push('(');
    out.push_str(reference);
    out.push_str(rest);
    out.push(')');
}
