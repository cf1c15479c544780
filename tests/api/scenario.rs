//! The form of a scenario file.

use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// One file of `tests/api`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Book {
    /// What the file shows, for the reader.
    #[serde(rename = "about")]
    _about: String,
    /// The API file.
    pub(super) file: Option<String>,
    /// A folder of `examples/` in place of `file`.
    pub(super) example: Option<String>,
    /// `sqlite` or `postgres`, where the file is about one store alone.
    pub(super) on: Option<String>,
    /// Statements that run in a PostgreSQL database before the server starts.
    pub(super) sql: Option<String>,
    /// Other files beside the API file: name and text.
    #[serde(default)]
    pub(super) files: BTreeMap<String, String>,
    /// `serve` or `dev`.
    #[serde(default = "serve")]
    pub(super) command: String,
    /// Steps before those of every scenario.
    #[serde(default)]
    pub(super) setup: Vec<Step>,
    /// Each runs on a server and a store of its own.
    pub(super) scenarios: Vec<Scenario>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    pub(super) name: String,
    /// `sqlite`, `postgres` and `shards`, those of them that it is about.
    pub(super) on: Option<String>,
    pub(super) steps: Vec<Step>,
}

/// One request and what must come back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    /// `METHOD /path?query`.
    pub(super) request: String,
    /// Sent to the admin port.
    #[serde(default)]
    pub(super) admin: bool,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    /// Whose token is sent: `user`, `roles`, `scopes`, `claims`, `secret`.
    #[serde(rename = "as")]
    pub(super) caller: Option<Map<String, Value>>,
    /// Sent as JSON.
    pub(super) body: Option<Value>,
    /// Sent as it stands.
    pub(super) text: Option<String>,
    pub(super) expect: Expect,
    /// Names for parts of the reply: `body.id`, `body.0.name`, `header.etag`.
    #[serde(default)]
    pub(super) save: BTreeMap<String, String>,
}

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    pub(super) status: u16,
    /// Exact text, `/regex/` or `$absent`.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    /// What the JSON must hold.
    pub(super) body: Option<Value>,
    /// Objects have the members of `body` and no others.
    #[serde(default)]
    pub(super) exact: bool,
    /// The body's text: exact or `/regex/`.
    pub(super) text: Option<String>,
}

fn serve() -> String {
    "serve".to_owned()
}
