//! Pages that are generated from the code, and the check that they are fresh.

use crate::stage::{Outcome, root};
use std::fs;

/// Path and content of every generated page.
fn pages() -> [(&'static str, String); 2] {
    let schema = format!("{:#}\n", stoa_config::json_schema());
    [
        ("docs/file.md", stoa_config::reference()),
        ("docs/stoa.schema.json", schema),
    ]
}

pub(crate) fn write() -> Outcome {
    for (path, content) in pages() {
        let target = root().join(path);
        fs::write(&target, content).map_err(|e| format!("cannot write {path}: {e}"))?;
        eprintln!("wrote {path}");
    }
    Ok(())
}

pub(crate) fn check() -> Outcome {
    for (path, content) in pages() {
        let found = fs::read_to_string(root().join(path)).map_err(|e| format!("cannot read {path}: {e}"))?;
        if found != content {
            return Err(format!(
                "{path} is not what the code generates: run `cargo xtask docs` and commit it"
            ));
        }
    }
    Ok(())
}
