//! `stoa config`: the plan in force.

use super::Outcome;
use crate::{cli::ProfiledFile, terminal, yaml};

/// Prints the plan as YAML, or as JSON for machines.
pub(crate) fn run(file: &ProfiledFile, origin: bool, json: bool) -> Outcome {
    let loaded = super::load(file);
    super::plan_of(&loaded)?;
    let tree = stoa_config::effective(&loaded, origin);
    if json {
        terminal::result_json(&tree);
    } else {
        let mut text = String::new();
        yaml::write(&tree, 0, &mut text);
        terminal::result(text.trim_end());
    }
    Ok(())
}
