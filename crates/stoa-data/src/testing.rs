//! What tests of several modules share.

use std::{path::Path, sync::Arc};
use stoa_config::{Options, load_text, plan::Plan};

/// The plan of a file in this folder, which has no fault.
pub(crate) fn plan_in(folder: &Path, yaml: &str) -> Arc<Plan> {
    let options = Options {
        profile: None,
        profile_optional: true,
        env: &|_| None,
    };
    let loaded = load_text("stoa.yaml", yaml, folder, &options);
    Arc::new(loaded.plan.unwrap_or_else(|| panic!("{:?}", loaded.faults)))
}

/// The plan of a file that names no other file.
pub(crate) fn plan(yaml: &str) -> Arc<Plan> {
    plan_in(Path::new("/"), yaml)
}
