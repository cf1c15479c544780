//! An OpenAPI document of a service, as far as requests are judged by it.

use super::{MediaRange, PathPattern};
use regex::Regex;
use serde_json::Value;
use std::collections::BTreeMap;

/// `services.NAME.openapi`.
#[derive(Debug)]
pub struct OpenApi {
    /// The document itself, for the API's own.
    pub document: Value,
    /// Its operations, each with the route that it is.
    pub operations: Vec<Operation>,
    /// `components.schemas` by name, to which [`Check::Ref`] refers.
    pub schemas: BTreeMap<String, Schema>,
}

/// One operation.
#[derive(Debug)]
pub struct Operation {
    /// The method.
    pub method: http::Method,
    /// The path as the document writes it.
    pub source: String,
    /// The path as a route.
    pub path: PathPattern,
    /// Parameters whose values are judged.
    pub parameters: Vec<Parameter>,
    /// What it says of the body.
    pub body: Option<OperationBody>,
}

/// A parameter.
#[derive(Debug)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub place: ParameterPlace,
    /// Whether a request without it is refused.
    pub required: bool,
    /// What its value must be; `None` for lists and objects, which have many spellings.
    pub schema: Option<Schema>,
}

/// Where a parameter stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParameterPlace {
    /// In the path: the position of its segment.
    Path(usize),
    /// In the query.
    Query,
    /// A header field.
    Header(http::HeaderName),
}

/// The body of an operation.
#[derive(Debug)]
pub struct OperationBody {
    /// Whether a request without one is refused.
    pub required: bool,
    /// The media types that it may have, each with the schema of those that are JSON.
    pub types: Vec<(MediaRange, Option<Schema>)>,
}

/// A JSON Schema as what it asks; all of it must hold.
#[derive(Clone, Debug, Default)]
pub struct Schema(pub Vec<Check>);

/// One thing that a schema asks. What concerns another type than a value has holds for it.
#[derive(Clone, Debug)]
#[expect(
    missing_docs,
    reason = "the names are the standard's (JSON Schema 2020-12, validation)"
)]
pub enum Check {
    Never,
    Types(Vec<&'static str>),
    Enum(Vec<Value>),
    Properties {
        known: BTreeMap<String, Schema>,
        rest: Option<Box<Schema>>,
    },
    Required(Vec<String>),
    Names(Box<Schema>),
    Size(u64, u64),
    Items {
        first: Vec<Schema>,
        rest: Option<Box<Schema>>,
    },
    Count(u64, u64),
    Unique,
    Length(u64, u64),
    Pattern(Regex),
    /// With whether the bound itself is out.
    Minimum(f64, bool),
    Maximum(f64, bool),
    MultipleOf(f64),
    All(Vec<Schema>),
    Any(Vec<Schema>),
    One(Vec<Schema>),
    Not(Box<Schema>),
    /// One of [`OpenApi::schemas`].
    Ref(String),
}
