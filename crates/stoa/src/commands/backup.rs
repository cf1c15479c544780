//! `stoa backup PATH [FILE]`: a consistent copy of the SQLite stores while they serve.

use super::{Failure, Outcome};
use crate::{
    cli::ProfiledFile,
    terminal::{self, style},
};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};
use stoa_config::plan::{Plan, StoreKind};
use stoa_data::backup;

/// Copies one store to the file `to`, several into the folder `to`, each named as the store.
pub(crate) fn run(to: &Path, file: &ProfiledFile, json: bool) -> Outcome {
    let plan = super::plan_of(&super::load(file))?;
    let sqlite: Vec<usize> = (0..plan.stores.len())
        .filter(|position| matches!(plan.stores[*position].kind, StoreKind::Sqlite { .. }))
        .collect();
    if sqlite.is_empty() {
        return Err(Failure::input("the file has no SQLite store"));
    }
    let copies = copies(&plan, &sqlite, to)?;
    for (position, target) in &copies {
        let name = &plan.stores[*position].name;
        backup::backup(&plan, *position, target).map_err(|e| Failure::Input(format!("store {name}: {e}")))?;
    }
    if json {
        let one = |(position, target): &(usize, PathBuf)| json!({ "store": plan.stores[*position].name, "file": target, "bytes": bytes(target) });
        terminal::result_json(&json!({ "copies": copies.iter().map(one).collect::<Vec<_>>() }));
        return Ok(());
    }
    for (position, target) in &copies {
        let (good, name) = (style::GOOD, &plan.stores[*position].name);
        terminal::say(format_args!(
            "{good}copied{good:#}  {name} to {} ({} bytes)",
            target.display(),
            bytes(target)
        ));
    }
    Ok(())
}

/// Where each store goes. A folder that is there, or several stores, get one file per store.
fn copies(plan: &Plan, stores: &[usize], to: &Path) -> Result<Vec<(usize, PathBuf)>, Failure> {
    if let ([only], false) = (
        stores,
        to.is_dir() || to.as_os_str().as_encoded_bytes().ends_with(b"/"),
    ) {
        return Ok(vec![(*only, to.to_owned())]);
    }
    fs::create_dir_all(to).map_err(|e| Failure::Input(format!("{} cannot be made: {e}", to.display())))?;
    let one = |position: &usize| (*position, to.join(format!("{}.db", plan.stores[*position].name)));
    Ok(stores.iter().map(one).collect())
}

fn bytes(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |m| m.len())
}
