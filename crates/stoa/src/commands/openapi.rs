//! `stoa openapi [FILE]`.

use super::Outcome;
use crate::{cli::ProfiledFile, openapi, terminal};

/// Prints the OpenAPI document of the API.
pub(crate) fn run(file: &ProfiledFile) -> Outcome {
    let plan = super::plan_of(&super::load(file))?;
    terminal::result_json(&openapi::document(&plan));
    Ok(())
}
