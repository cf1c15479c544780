//! SQL from operations. One text for one shape of request, so that prepared statements are found again:
//! values are always bound, names always quoted, lists padded to a power of two.
//!
//! What differs between databases is behind [`Dialect`]; the rest is the common part of SQL.

mod change;
mod condition;
mod gate;
mod join;
mod search;
mod select;
mod shape;
mod whole_row;

pub(crate) use condition::render_path;
pub(crate) use gate::{Gate, OWNED, Share};
pub(crate) use shape::{Out, OutKind, Position, Shape, Within};
pub(crate) use whole_row::RowStatement;

use super::table::{Column, Table, Tables};
use crate::operation::{Aggregate, Cast, Embed, FieldIndex, Item, Join, Kind, PathStep, Search};
use crate::value::Value;
use std::borrow::Cow;

/// What differs between databases.
pub(crate) trait Dialect: Sync {
    /// The `number`th bound value, from 1.
    fn placeholder(&self, out: &mut String, number: usize);
    /// The column as it is compared and ordered.
    fn operand(&self, out: &mut String, column: &Column, reference: &str);
    /// The column as it is matched with a pattern.
    fn text(&self, out: &mut String, column: &Column, reference: &str) {
        let _ = column;
        out.push_str(reference);
    }
    /// The column so that it compares with another of another type.
    fn common(&self, out: &mut String, column: &Column, reference: &str);
    /// The row's version. `alias` ends in a dot, or is empty.
    fn version(&self, out: &mut String, table: &Table, alias: &str);
    /// What stands before, between and after the two operands; `None` where the database has no such function.
    fn parts(&self, function: Function) -> Option<[&'static str; 3]>;
    /// The name of the function that reads the words of a text search.
    fn search(&self, how: Search) -> Option<&'static str>;
    /// Whether the column holds text that is split into words already.
    fn is_vector(&self, column: &Column) -> bool;
    /// Whether the column holds JSON as it was written, white space and all.
    fn keeps_text(&self, column: &Column) -> bool;
    /// What a value is made before it meets a column of a type that the file has no word for.
    fn foreign(&self, column: &Column) -> Option<String>;
    /// Put behind an operand that is JSON, so that it compares as JSON.
    fn json_order(&self) -> &'static str;
    /// Put behind the table of a read that one key and its bucket fix, so that the primary key finds the row.
    fn by_primary_key(&self) -> &'static str;
    /// Whether equality needs several spellings of the value (a UUID in a table that Stoa did not make).
    fn spellings(&self, column: &Column) -> &'static [Spelling];
    /// What stands in front of the columns of an embedded row, which `)` ends. `embeds` says which of them are
    /// embedded rows again.
    fn open_row(&self, out: &mut String, embeds: &[bool]);
    /// What stands around the name of a column of embedded rows that are gathered into one list.
    fn gather(&self) -> [&'static str; 2];
    /// Put behind a column that is read, so that it comes in a form that the store reads.
    fn shown(&self, column: &Column) -> &'static str;
    /// Put behind that, so that rows can be grouped by it.
    fn groupable(&self, column: &Column) -> &'static str;
    /// A column that was read so, as rows are grouped and groups are ordered by it.
    fn group(&self, out: &mut String, column: &Column, reference: &str);
    /// What stands around a value so that it becomes another type.
    fn cast(&self, from: Source<'_>, to: Cast) -> [Cow<'static, str>; 2];
    /// What stands around a value so that an aggregate takes it.
    fn computed(&self, from: Source<'_>) -> [Cow<'static, str>; 2];
    /// What stands around values of a kind (`None`: lists, or rows) to make one of them. In tables that Stoa made
    /// (`created`), texts are compared by their bytes.
    fn aggregate(&self, function: Aggregate, of: Option<Kind>, created: bool) -> [&'static str; 2];
    /// A pair of bounds that hold for every text that matches the pattern, for the index's sake.
    fn prefix_bounds(&self, column: &Column, pattern: &str) -> Option<(String, String)>;
}

/// Functions of two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Function {
    /// Text, pattern.
    Like,
    /// The same, whatever the case.
    Ilike,
    /// Whole, part.
    Contains,
    /// List, list; range, range.
    Overlaps,
    /// Text, regular expression.
    Match,
    /// The same, whatever the case.
    Imatch,
    /// Range, range: `sl`.
    Left,
    /// `sr`.
    Right,
    /// `nxr`.
    NotRight,
    /// `nxl`.
    NotLeft,
    /// `adj`.
    Adjacent,
    /// JSON, path; gives JSON.
    Path,
    /// JSON, path; gives text.
    PathText,
    /// A list, path; gives JSON.
    ListPath,
    /// A list, path; gives text.
    ListPathText,
    /// A text inside JSON that is kept as it was written.
    PathAsWritten,
}

/// What a computed value is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Source<'a> {
    /// A column as it is.
    Column(&'a Column),
    /// A value that was computed already.
    Kind(Kind),
}

impl<'a> Source<'a> {
    /// A column, or what a path leads to in it.
    pub(crate) fn of(column: &'a Column, path: &[PathStep]) -> Self {
        match path.last() {
            None => Self::Column(column),
            Some(PathStep::TextKey(_) | PathStep::TextIndex(_)) => Self::Kind(Kind::Text),
            Some(PathStep::Key(_) | PathStep::Index(_)) => Self::Kind(Kind::Json),
        }
    }
}

/// How a value is written when a column may hold it in several ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spelling {
    /// As the type says.
    Canonical,
    /// In capitals.
    Upper,
    /// As bytes.
    Bytes,
}

/// A statement under construction.
#[derive(Debug, Default)]
pub(crate) struct Sql<'a> {
    /// The text.
    pub(crate) text: String,
    /// What is bound, in order.
    pub(crate) args: Vec<Arg<'a>>,
}

/// A bound value.
#[derive(Clone, Debug)]
pub(crate) enum Arg<'a> {
    /// A value of a column.
    Value(&'a Column, &'a Value, Spelling),
    /// A value to be stored in a column.
    Stored(&'a Column, &'a Value),
    /// Text as it is.
    Text(Cow<'a, str>),
    /// JSON as it is.
    Json(Cow<'a, str>),
    /// Null beside a path into JSON: JSON, or text.
    Null {
        /// Whether JSON.
        json: bool,
    },
    /// Steps into JSON.
    Path(&'a [PathStep]),
    /// A number as it is.
    Int(i64),
    /// Text that the database reads in the type of the parameter it stands for; `None` is null.
    Literal(Option<Cow<'a, str>>),
}

/// Builds statements over one store's tables.
pub(crate) struct Builder<'a> {
    pub(crate) dialect: &'static dyn Dialect,
    pub(crate) tables: &'a Tables,
    pub(crate) sql: Sql<'a>,
    /// What the shard must own.
    pub(crate) gate: Option<Gate>,
    aliases: usize,
    /// What stands in place of the first table: a function that gives its rows.
    pub(crate) source: Option<String>,
    /// Where the name of a column is put together.
    scratch: String,
}

/// The table whose columns a condition names, under which alias, with which items selected.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) table: &'a Table,
    pub(crate) alias: usize,
    /// Whether there may be no row: it was joined beside another.
    pub(crate) outer: bool,
    /// Where the rows come from, when not from the table itself.
    pub(crate) called: Option<Called<'a>>,
    pub(crate) items: &'a [Item],
}

/// A function that gives rows for a row of another scope.
#[derive(Clone, Copy)]
pub(crate) struct Called<'a> {
    /// Quoted, with its schema.
    function: &'a str,
    /// The alias of the row.
    of: usize,
    /// Whether there may be no such row.
    outer: bool,
}

/// For `abc%`: from `abc` to before `abd`, where texts sort by their bytes.
pub(crate) fn prefix_bounds(pattern: &str) -> Option<(String, String)> {
    let prefix: String = pattern
        .chars()
        .take_while(|c| !matches!(c, '%' | '_' | '\\'))
        .collect();
    let mut high: Vec<char> = prefix.chars().collect();
    let last = high.pop()?;
    let next = match last {
        '\u{D7FF}' => '\u{E000}',
        other => char::from_u32(u32::from(other) + 1)?,
    };
    high.push(next);
    Some((prefix, high.into_iter().collect()))
}

/// Why a statement cannot be built: the plan or the parser let through what it should not have.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unbuildable(pub(crate) String);

pub(crate) type Built<T> = Result<T, Unbuildable>;

impl<'a> Scope<'a> {
    /// The column of a field.
    pub(crate) fn column(&self, field: FieldIndex) -> Built<&'a Column> {
        self.table
            .column(field)
            .ok_or_else(|| Unbuildable(format!("{} has no field {field}", self.table.label)))
    }
}

impl<'a> Builder<'a> {
    pub(crate) fn new(dialect: &'static dyn Dialect, tables: &'a Tables) -> Self {
        Self {
            dialect,
            tables,
            sql: Sql {
                text: String::with_capacity(256),
                args: Vec::with_capacity(8),
            },
            gate: None,
            aliases: 0,
            source: None,
            scratch: String::with_capacity(32),
        }
    }

    /// The table of a resource.
    pub(crate) fn table(&self, resource: usize) -> Built<&'a Table> {
        self.tables
            .get(resource)
            .ok_or_else(|| Unbuildable(format!("resource {resource} lives in another store")))
    }

    /// A scope over `table` with an alias of its own.
    pub(crate) fn scope(&mut self, table: &'a Table, items: &'a [Item]) -> Scope<'a> {
        Scope {
            table,
            alias: self.next_alias(),
            outer: false,
            called: None,
            items,
        }
    }

    /// A scope over the rows of an embed, which stand inside a row of `parent`.
    pub(crate) fn scope_of(&mut self, embed: &'a Embed, parent: Scope<'a>) -> Built<Scope<'a>> {
        let table = self.table(embed.resource)?;
        let called = match embed.join {
            Join::Called { by, .. } => {
                let function = parent.table.leads.get(by);
                let function =
                    function.ok_or_else(|| Unbuildable(format!("{} leads nowhere", parent.table.label)))?;
                Some(Called {
                    function,
                    of: parent.alias,
                    outer: parent.outer,
                })
            }
            _ => None,
        };
        Ok(Scope {
            called,
            ..self.scope(table, &embed.select)
        })
    }

    /// An alias that nothing has.
    pub(crate) fn next_alias(&mut self) -> usize {
        self.aliases += 1;
        self.aliases - 1
    }

    pub(crate) fn push(&mut self, text: &str) {
        self.sql.text.push_str(text);
    }

    /// A placeholder for a value.
    pub(crate) fn bind(&mut self, arg: Arg<'a>) {
        self.sql.args.push(arg);
        self.dialect.placeholder(&mut self.sql.text, self.sql.args.len());
    }

    /// A value beside a column, to compare them.
    pub(crate) fn bind_value(&mut self, column: &'a Column, value: &'a Value) {
        if let Some(casts) = &column.casts {
            return match &casts.from_text {
                Some(function) => {
                    self.push(function);
                    self.push("(CAST(");
                    self.bind(Arg::Literal(condition::plain(value)));
                    self.push(" AS text))");
                }
                None => self.bind(Arg::Literal(condition::plain(value))),
            };
        }
        self.bind(Arg::Value(column, value, Spelling::Canonical));
    }

    /// `t0.`
    pub(crate) fn alias(&mut self, alias: usize) {
        // Most statements name one row.
        if alias == 0 {
            return self.push("t0");
        }
        let mut digits = itoa::Buffer::new();
        self.push("t");
        self.push(digits.format(alias));
    }

    /// The version of the scope's row.
    pub(crate) fn version(&mut self, scope: Scope<'a>) {
        self.scratch.clear();
        self.scratch.push('t');
        self.scratch.push_str(itoa::Buffer::new().format(scope.alias));
        self.scratch.push('.');
        self.dialect
            .version(&mut self.sql.text, scope.table, &self.scratch);
    }

    /// A column of the scope, in [`Self::scratch`].
    fn name(&mut self, scope: Scope<'a>, column: &Column) {
        self.scratch.clear();
        column.refer(scope.alias, scope.outer, &mut self.scratch);
    }

    /// A column of the scope.
    pub(crate) fn reference(&mut self, scope: Scope<'a>, column: &Column) {
        column.refer(scope.alias, scope.outer, &mut self.sql.text);
    }

    /// ` FROM "table" AS t0`
    pub(crate) fn from(&mut self, scope: Scope<'a>) {
        self.push(" FROM ");
        self.rows_of(scope);
    }

    /// `"table" AS t0`, or `"schema"."function"(t0.*) AS t1`.
    pub(crate) fn rows_of(&mut self, scope: Scope<'a>) {
        match (&self.source, scope.called) {
            (Some(source), _) if scope.alias == 0 => self.sql.text.push_str(source),
            (_, Some(called)) => {
                self.push(called.function);
                self.push("(");
                self.alias(called.of);
                self.push(".*)");
            }
            _ => self.push(&scope.table.name),
        }
        self.push(" AS ");
        self.alias(scope.alias);
    }
}
