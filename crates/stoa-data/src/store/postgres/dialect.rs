//! PostgreSQL's side of the SQL builder.

use crate::operation::{Aggregate, Cast, Kind as Computed, Search};
use crate::store::sql::{Dialect, Function, Source, Spelling, prefix_bounds};
use crate::store::table::{Column, Storage, Table, VERSION};
use std::borrow::Cow;
use stoa_config::plan::Type as Kind;
use tokio_postgres::types::Type;

/// The one value of the dialect.
pub(crate) static POSTGRES: Postgres = Postgres;

/// PostgreSQL as a [`Dialect`].
#[derive(Debug)]
pub(crate) struct Postgres;

impl Dialect for Postgres {
    fn placeholder(&self, out: &mut String, number: usize) {
        out.push('$');
        out.push_str(itoa::Buffer::new().format(number));
    }

    fn operand(&self, out: &mut String, column: &Column, reference: &str) {
        out.push_str(reference);
        out.push_str(match held(column) {
            Held::Json => "::jsonb",
            Held::Other => "::text",
            Held::Plain | Held::Char | Held::Ordered | Held::Unknown | Held::TextList => "",
        });
    }

    fn text(&self, out: &mut String, column: &Column, reference: &str) {
        out.push_str(reference);
        let words = matches!(column.ty, Kind::Enum(_)) && column.storage != Storage::Native;
        if words || matches!(held(column), Held::Ordered | Held::Other) {
            out.push_str("::text");
        }
    }

    fn common(&self, out: &mut String, column: &Column, reference: &str) {
        self.operand(out, column, reference);
        match column.ty {
            Kind::Uuid | Kind::Uuid7 => out.push_str("::text"),
            Kind::Float => out.push_str("::numeric"),
            _ => {}
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
        // Never negative, so that it reads well in an `ETag`.
        out.push_str("(hash_record_extended(ROW(");
        // What a function gives may change without the row.
        let columns = table.columns.iter().filter(|column| column.function.is_none());
        for (position, column) in columns.enumerate() {
            if position > 0 {
                out.push_str(", ");
            }
            out.push_str(alias);
            out.push_str(&column.quoted);
            // These have no hash of their own, or one that does not tell all values apart.
            if !matches!(held(column), Held::Plain) || column.row.is_some() {
                out.push_str("::text");
            }
        }
        out.push_str("), 0) & 9223372036854775807)");
    }

    fn parts(&self, function: Function) -> Option<[&'static str; 3]> {
        Some(match function {
            Function::Like => ["(", " LIKE ", ")"],
            // Texts sort by their bytes, which knows no case but ASCII's: case is asked of Unicode.
            Function::Ilike => ["(", " ILIKE ", " COLLATE \"und-x-icu\")"],
            Function::Contains => ["(", " @> ", ")"],
            Function::Overlaps => ["(", " && ", ")"],
            Function::Match => ["(", " ~ ", ")"],
            Function::Imatch => ["(", " ~* ", " COLLATE \"und-x-icu\")"],
            Function::Left => ["(", " << ", ")"],
            Function::Right => ["(", " >> ", ")"],
            Function::NotRight => ["(", " &< ", ")"],
            Function::NotLeft => ["(", " &> ", ")"],
            Function::Adjacent => ["(", " -|- ", ")"],
            Function::Path => ["(CAST(", " AS jsonb) #> ", ")"],
            Function::PathText => ["(CAST(", " AS jsonb) #>> ", ")"],
            Function::ListPath => ["(to_jsonb(", ") #> ", ")"],
            Function::ListPathText => ["(to_jsonb(", ") #>> ", ")"],
            Function::PathAsWritten => ["(", " #>> ", ")"],
        })
    }

    fn search(&self, how: Search) -> Option<&'static str> {
        Some(match how {
            Search::Query => "to_tsquery",
            Search::Plain => "plainto_tsquery",
            Search::Phrase => "phraseto_tsquery",
            Search::Web => "websearch_to_tsquery",
        })
    }

    fn is_vector(&self, column: &Column) -> bool {
        column.storage == Storage::Server(Type::TS_VECTOR.oid())
    }

    fn keeps_text(&self, column: &Column) -> bool {
        column.storage == Storage::Server(Type::JSON.oid())
    }

    fn foreign(&self, column: &Column) -> Option<String> {
        let Storage::Server(oid) = column.storage else {
            return None;
        };
        let ty = Type::from_oid(oid)?;
        matches!(held(column), Held::Ordered | Held::Other).then(|| ty.name().to_owned())
    }

    fn json_order(&self) -> &'static str {
        ""
    }

    fn by_primary_key(&self) -> &'static str {
        ""
    }

    fn spellings(&self, _column: &Column) -> &'static [Spelling] {
        &[]
    }

    fn open_row(&self, out: &mut String, _embeds: &[bool]) {
        out.push_str("ROW(");
    }

    fn gather(&self) -> [&'static str; 2] {
        ["array_agg(", ")"]
    }

    fn shown(&self, column: &Column) -> &'static str {
        match held(column) {
            Held::Ordered | Held::Unknown | Held::Other => "::text",
            Held::TextList => "::text[]",
            Held::Plain | Held::Json | Held::Char => "",
        }
    }

    fn groupable(&self, column: &Column) -> &'static str {
        match held(column) {
            Held::Json => "::jsonb",
            Held::Plain | Held::Char | Held::Ordered | Held::Unknown | Held::TextList | Held::Other => "",
        }
    }

    fn group(&self, out: &mut String, _column: &Column, reference: &str) {
        out.push_str(reference);
    }

    fn cast(&self, from: Source<'_>, to: Cast) -> [Cow<'static, str>; 2] {
        let first = match from {
            Source::Kind(_) => "",
            Source::Column(column) => match held(column) {
                Held::Json => "::jsonb",
                Held::Plain | Held::TextList => "",
                Held::Char | Held::Ordered | Held::Unknown | Held::Other => "::text",
            },
        };
        let to = match to {
            Cast::Bool => "bool",
            Cast::Int2 => "int2",
            Cast::Int4 => "int4",
            Cast::Int8 => "int8",
            Cast::Numeric => "numeric",
            Cast::Float4 => "float4",
            Cast::Float8 => "float8",
            Cast::Text => "text",
            Cast::Uuid => "uuid",
            Cast::Time => "timestamptz",
            Cast::Date => "date",
            Cast::Json => "jsonb",
        };
        ["CAST(".into(), format!("{first} AS {to})").into()]
    }

    fn computed(&self, from: Source<'_>) -> [Cow<'static, str>; 2] {
        let shown = match from {
            Source::Column(column) => self.shown(column),
            Source::Kind(_) => "",
        };
        ["".into(), shown.into()]
    }

    fn aggregate(&self, function: Aggregate, of: Option<Computed>, created: bool) -> [&'static str; 2] {
        let open = match function {
            Aggregate::Count => "count(",
            Aggregate::Sum => "sum(",
            Aggregate::Avg => "avg(",
            Aggregate::Min => "min(",
            Aggregate::Max => "max(",
        };
        // What PostgreSQL makes of a sum depends on the width of what is added.
        let close = match (function, of) {
            (Aggregate::Sum | Aggregate::Avg, Some(Computed::Int | Computed::Number)) => ")::numeric",
            (Aggregate::Min | Aggregate::Max, Some(Computed::Int)) => ")::int8",
            // Also what is inside JSON, or became text.
            (Aggregate::Min | Aggregate::Max, Some(Computed::Text)) if created => " COLLATE \"C\")",
            _ => ")",
        };
        [open, close]
    }

    fn prefix_bounds(&self, column: &Column, pattern: &str) -> Option<(String, String)> {
        if column.storage != Storage::Native || column.ty != Kind::Text {
            return None;
        }
        prefix_bounds(pattern)
    }
}

/// What a column is to the statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// It is read, compared and bound as it is.
    Plain,
    /// `json`, which compares with nothing.
    Json,
    /// `char(n)`, whose blanks at the end do not count.
    Char,
    /// A type of the server's with an order of its own (`inet`, `interval`): read as text, compared as what it is, so
    /// that 9 days come before 10.
    Ordered,
    /// A type made in this database (an enum, `citext`): the same, as far as it has an order.
    Unknown,
    /// A list of what is read as text.
    TextList,
    /// Anything else, which is read and compared as text.
    Other,
}

fn held(column: &Column) -> Held {
    let Storage::Server(oid) = column.storage else {
        return Held::Plain;
    };
    match Type::from_oid(oid) {
        None if matches!(column.ty, Kind::List(_)) => Held::TextList,
        None => Held::Unknown,
        Some(Type::JSON) => Held::Json,
        Some(Type::BPCHAR) => Held::Char,
        Some(ty)
            if is_plain(&ty)
                || matches!(ty.kind(), tokio_postgres::types::Kind::Array(item) if is_plain(item) && *item != Type::JSONB) =>
        {
            Held::Plain
        }
        Some(_) if matches!(column.ty, Kind::List(_)) => Held::TextList,
        Some(ty) if has_order(&ty) => Held::Ordered,
        Some(_) => Held::Other,
    }
}

/// Types of the server's that are read as text and have an order.
fn has_order(ty: &Type) -> bool {
    let range = matches!(
        ty.kind(),
        tokio_postgres::types::Kind::Range(_) | tokio_postgres::types::Kind::Multirange(_)
    );
    let one = [
        Type::MONEY,
        Type::INET,
        Type::CIDR,
        Type::MACADDR,
        Type::MACADDR8,
        Type::INTERVAL,
        Type::TIME,
        Type::TIMETZ,
        Type::BIT,
        Type::VARBIT,
        Type::BYTEA,
        Type::OID,
        Type::XID8,
        Type::PG_LSN,
        Type::TS_VECTOR,
        Type::TSQUERY,
    ];
    range || one.contains(ty)
}

/// Types that are read and bound in their own binary form.
fn is_plain(ty: &Type) -> bool {
    [
        Type::BOOL,
        Type::INT2,
        Type::INT4,
        Type::INT8,
        Type::FLOAT4,
        Type::FLOAT8,
        Type::NUMERIC,
        Type::TEXT,
        Type::VARCHAR,
        Type::NAME,
        Type::UUID,
        Type::DATE,
        Type::TIMESTAMP,
        Type::TIMESTAMPTZ,
        Type::JSONB,
    ]
    .contains(ty)
}

/// The type with which a value of a column is stored.
pub(super) fn stored_type(column: &Column) -> Type {
    match held(column) {
        Held::Other => Type::UNKNOWN,
        _ => bound_type(column),
    }
}

/// The type with which a value is compared with a column. `UNKNOWN`: the value goes as text, which the server reads as
/// whatever stands on the other side.
pub(super) fn bound_type(column: &Column) -> Type {
    let Storage::Server(oid) = column.storage else {
        return native(&column.ty);
    };
    match Type::from_oid(oid) {
        None | Some(Type::BPCHAR) => Type::UNKNOWN,
        // Wider, so that a value which does not fit is only unequal.
        Some(Type::INT2 | Type::INT4) => Type::INT8,
        Some(Type::VARCHAR | Type::NAME) => Type::TEXT,
        Some(Type::JSON) => Type::JSONB,
        Some(ty) => match held(column) {
            Held::Other => Type::TEXT,
            Held::Ordered | Held::TextList => Type::UNKNOWN,
            _ => ty,
        },
    }
}

/// The type of a column that Stoa makes.
pub(super) fn native(kind: &Kind) -> Type {
    match kind {
        Kind::Uuid | Kind::Uuid7 => Type::UUID,
        Kind::Text | Kind::Enum(_) => Type::TEXT,
        Kind::Int => Type::INT8,
        Kind::Float => Type::FLOAT8,
        Kind::Decimal { .. } => Type::NUMERIC,
        Kind::Bool => Type::BOOL,
        Kind::Time => Type::TIMESTAMPTZ,
        Kind::Date => Type::DATE,
        Kind::Json => Type::JSONB,
        Kind::Ref { value, .. } => native(value),
        Kind::List(item) => match native(item) {
            Type::UUID => Type::UUID_ARRAY,
            Type::INT8 => Type::INT8_ARRAY,
            Type::FLOAT8 => Type::FLOAT8_ARRAY,
            Type::NUMERIC => Type::NUMERIC_ARRAY,
            Type::BOOL => Type::BOOL_ARRAY,
            Type::TIMESTAMPTZ => Type::TIMESTAMPTZ_ARRAY,
            Type::DATE => Type::DATE_ARRAY,
            Type::JSONB => Type::JSONB_ARRAY,
            _ => Type::TEXT_ARRAY,
        },
    }
}
