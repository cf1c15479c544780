//! Functions of a database that callers may run.

use super::{Place, Rule, TableName, Type};

/// `functions.NAME`.
#[derive(Clone, Debug)]
pub struct Function {
    /// Name in the file and in the path.
    pub name: String,
    /// Where it stands in the file.
    pub place: Place,
    /// Position in [`super::Plan::stores`]; a PostgreSQL store.
    pub store: usize,
    /// `function`: its name in the database, in `public` when no schema is named.
    pub function: TableName,
    /// `args` in the order of the file.
    pub args: Vec<Argument>,
    /// `body`: the whole body is the function's one parameter, which has no name. Then there are no `args`.
    pub body: Option<RawBody>,
    /// `returns`.
    pub returns: Returns,
    /// `volatility`.
    pub volatility: Volatility,
    /// `sets_response`: the function may choose the reply's status and fields. Default no.
    pub sets_response: bool,
    /// `access`.
    pub access: Rule,
}

/// One named parameter.
#[derive(Clone, Debug)]
pub struct Argument {
    /// Name in the file and in the database.
    pub name: String,
    /// Type; never a `Ref`.
    pub ty: Type,
    /// Whether a caller may leave it out: the database has a default.
    pub optional: bool,
}

/// `body`: what a body is that a function takes as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawBody {
    /// Any JSON.
    Json,
    /// Text in UTF-8.
    Text,
    /// XML.
    Xml,
    /// Bytes.
    Bytes,
}

impl RawBody {
    /// The media types that it comes in; the first is the one to name.
    pub fn media_types(self) -> &'static [&'static str] {
        match self {
            Self::Json => &["application/json"],
            Self::Text => &["text/plain"],
            Self::Xml => &["text/xml", "application/xml"],
            Self::Bytes => &["application/octet-stream"],
        }
    }
}

/// `returns`: what a function gives back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Returns {
    /// Nothing.
    Void,
    /// One value or one row, of any type.
    #[default]
    Value,
    /// Rows or values, of any type.
    Rows,
    /// Rows of a resource: a position in [`super::Plan::resources`].
    Resource(usize),
}

/// `volatility`, as the database knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Volatility {
    /// It may change rows.
    #[default]
    Volatile,
    /// It only reads.
    Stable,
    /// It depends on its arguments alone.
    Immutable,
}
