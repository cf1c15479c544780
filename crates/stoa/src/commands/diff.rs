//! `stoa diff NEWFILE [FILE]`: what a reload would change.

use super::Outcome;
use crate::{
    changes,
    cli::ProfiledFile,
    terminal::{self, style},
};
use serde_json::{Value, json};
use std::path::Path;

/// Prints one line per difference; secrets are redacted before they are compared.
pub(crate) fn run(new: &Path, file: &ProfiledFile, json: bool) -> Outcome {
    let now = super::load(file);
    super::plan_of(&now)?;
    let new = ProfiledFile {
        path: Some(new.to_owned()),
        profile: file.profile.clone(),
    };
    let next = super::load(&new);
    super::plan_of(&next)?;
    let (before, after) = (
        stoa_config::effective(&now, false),
        stoa_config::effective(&next, false),
    );
    let changes = changes::between(&before, &after);
    if json {
        let one = |c: &changes::Change| json!({ "path": c.path, "before": c.before, "after": c.after });
        terminal::result_json(&json!({ "changes": changes.iter().map(one).collect::<Vec<Value>>() }));
        return Ok(());
    }
    for change in &changes {
        let (mark, paint) = match (&change.before, &change.after) {
            (None, _) => ('+', style::GOOD),
            (_, None) => ('-', style::BAD),
            _ => ('~', style::WARN),
        };
        terminal::result(format_args!("{paint}{mark}{paint:#} {change}"));
    }
    if changes.is_empty() {
        terminal::say("no difference");
    }
    Ok(())
}
