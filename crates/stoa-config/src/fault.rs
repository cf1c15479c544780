//! Faults: what is wrong with a file, where, and what to do.

pub(crate) mod codes;
mod render;

use crate::plan::Place;
use std::ops::Range;

pub use render::{render_github, render_human, render_json};

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

/// The code of [`Fault::later`] for keys of tokens.
pub const KEYS_REFUSED: &str = codes::KEYS_REFUSED;
/// The code of [`Fault::later`] for certificates and their keys.
pub const CERTIFICATE: &str = codes::CERTIFICATE;
/// The code of [`Fault::later`] for rules over rows.
pub const RULE_ROWS: &str = codes::RULE_ROWS;
/// The code of [`Fault::later`] for files of TLS to a service.
pub const SERVICE_TLS: &str = codes::SERVICE_TLS;
/// The code of first rows that cannot be loaded, which the binary finds.
pub const SEED: &str = codes::SEED;

impl Fault {
    /// An error that is found when the plan is put to use: it knows its place in the file at most.
    pub fn later(code: &'static str, place: Place, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            place,
            span: 0..0,
            second: None,
            help: None,
        }
    }

    pub(crate) fn blank() -> Self {
        Self {
            code: codes::TOO_MANY_FAULTS,
            severity: Severity::Error,
            message: String::new(),
            place: Place::default(),
            span: 0..0,
            second: None,
            help: None,
        }
    }

    pub(crate) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }
}

/// How bad a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file works, but probably not as meant.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// The long text of a code.
pub fn explain(code: &str) -> Option<&'static str> {
    let upper = code.trim().to_ascii_uppercase();
    codes::ALL.iter().find(|c| c.name == upper).map(|c| c.text)
}

/// A few words on a code, for lists.
pub fn title(code: &str) -> Option<&'static str> {
    codes::ALL.iter().find(|c| c.name == code).map(|c| c.title)
}

/// Every code, in order.
pub fn codes() -> Vec<&'static str> {
    codes::ALL.iter().map(|c| c.name).collect()
}
