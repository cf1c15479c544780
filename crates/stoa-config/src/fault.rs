//! Faults: what is wrong with a file, where, and what to do.

use crate::{Source, plan::Place};
use serde_json::Value;
use std::ops::Range;

/// One fault.
#[derive(Clone, Debug)]
pub struct Fault {
    /// Stable code, `E0107`; [`explain`] knows it.
    pub code: &'static str,
    /// Whether it stops the file from being used.
    pub severity: Severity,
    /// What is wrong, naming the thing.
    pub message: String,
    /// Where.
    pub place: Place,
    /// Bytes of the source under the caret.
    pub span: Range<usize>,
    /// The other half of the story, with what to say there.
    pub second: Option<(Place, Range<usize>, String)>,
    /// The edit that mends it.
    pub help: Option<String>,
}

/// How bad a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file works, but probably not as meant.
    Warning,
}

/// For people: message, place, the line with a caret, help. Ends with a count of errors and warnings.
pub fn render_human(_faults: &[Fault], _sources: &[Source], _colour: bool) -> String {
    String::new()
}

/// For machines: `{"faults":[{code,severity,file,line,column,message,help}]}`.
pub fn render_json(_faults: &[Fault]) -> Value {
    Value::Null
}

/// For GitHub Actions: one `::error file=…,line=…,col=…::` line per fault.
pub fn render_github(_faults: &[Fault]) -> String {
    String::new()
}

/// The long text of a code.
pub fn explain(_code: &str) -> Option<&'static str> {
    None
}

/// Every code, in order.
pub fn codes() -> Vec<&'static str> {
    Vec::new()
}
