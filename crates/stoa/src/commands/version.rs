//! `stoa --version`.

use crate::terminal;
use serde_json::json;

/// The version of this build.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit that was built; `unknown` outside a repository.
pub(crate) const COMMIT: &str = env!("STOA_COMMIT");
/// What this build can do that another may not.
pub(crate) const FEATURES: &[&str] = &["sqlite"];

/// Prints version, commit and features.
pub(crate) fn run(json: bool) {
    if json {
        terminal::result_json(&json!({ "version": VERSION, "commit": COMMIT, "features": FEATURES }));
    } else {
        terminal::result(format_args!("stoa {VERSION} ({COMMIT}; {})", FEATURES.join(", ")));
    }
}
