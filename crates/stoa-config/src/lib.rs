//! The API file: read, checked, resolved into the [`plan`]. No sockets, no async.
//!
//! [`load`] reads the file and reports every fault in one run; a [`Loaded`] without errors holds the
//! [`plan::Plan`]. The tables that decode also make the JSON Schema ([`json_schema`]) and the file
//! reference ([`reference`]).

pub mod fault;
pub mod plan;

use fault::Fault;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// How a file is read.
pub struct Options<'a> {
    /// The profile to merge over the file; an unknown one is a fault unless `profile_optional`.
    pub profile: Option<&'a str>,
    /// A profile that does not exist is left out silently (`dev` does that).
    pub profile_optional: bool,
    /// Looks up an environment variable.
    pub env: &'a dyn Fn(&str) -> Option<String>,
}

/// What reading a file gave.
pub struct Loaded {
    /// The plan; `None` when there are errors.
    pub plan: Option<plan::Plan>,
    /// Every fault, errors first by place.
    pub faults: Vec<Fault>,
    /// Files that were read (the API file, included files), to watch and to show lines of: name and text.
    pub sources: Vec<Source>,
}

/// A file that was read.
pub struct Source {
    /// As the user named it; places refer to it.
    pub name: String,
    /// Absolute.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

/// Reads the API file at `path` (a file, or a folder that holds `stoa.yaml`) and everything it names.
/// Never panics and never stops at the first fault.
pub fn load(_path: &Path, _options: &Options<'_>) -> Loaded {
    Loaded {
        plan: None,
        faults: Vec::new(),
        sources: Vec::new(),
    }
}

/// As [`load`], from text; relative paths are relative to `folder`.
pub fn load_text(_name: &str, _text: &str, _folder: &Path, _options: &Options<'_>) -> Loaded {
    Loaded {
        plan: None,
        faults: Vec::new(),
        sources: Vec::new(),
    }
}

/// The plan in force as one tree in the shape of the file, defaults filled, secrets as `[redacted]`; with
/// `origin`, each value as `{value, origin}` where origin is `default`, `FILE:LINE:COLUMN`, `profile NAME
/// (FILE:LINE:COLUMN)` or `env NAME`.
pub fn effective(_loaded: &Loaded, _origin: bool) -> Value {
    Value::Null
}

/// What the plan asks for that this version does not build yet and that would silently do nothing. `dev`
/// and `serve` refuse to start with these.
pub fn not_built(_plan: &plan::Plan) -> Vec<Fault> {
    Vec::new()
}

/// JSON Schema (2020-12) of the API file.
pub fn json_schema() -> Value {
    Value::Null
}

/// The file reference, Markdown.
pub fn reference() -> String {
    String::new()
}
