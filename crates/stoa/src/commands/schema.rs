//! `stoa schema`: the JSON Schema of the API file.

use crate::terminal;

/// Prints it.
pub(crate) fn run() {
    terminal::result_json(&stoa_config::json_schema());
}
