//! Known vulnerabilities of the locked packages, judged without the network from a snapshot of RustSec's database:
//! `xtask/advisories`, whose README says what it holds and what it cannot know.

use crate::{
    check,
    stage::{Outcome, root, stage},
};
use rustsec::{Database, Lockfile};
use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

/// The snapshot, relative to the workspace.
const SNAPSHOT: &str = "xtask/advisories";

/// No package of the lock file has a vulnerability that the snapshot knows.
pub(crate) fn known() -> Outcome {
    let path = root().join("Cargo.lock");
    let lock = fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let count = judge(&lock, &root().join(SNAPSHOT))?;
    eprintln!("none of {count} known advisories applies");
    Ok(())
}

/// Judges a lock file by the advisories in a folder; returns how many there are.
fn judge(lock: &str, snapshot: &Path) -> Outcome<usize> {
    let database =
        Database::open(snapshot).map_err(|e| format!("cannot read {}: {e}", snapshot.display()))?;
    let count = database.iter().len();
    if count == 0 {
        return Err(format!("{} holds no advisories", snapshot.display()));
    }
    let lock: Lockfile = lock
        .parse()
        .map_err(|e| format!("cannot read the lock file: {e}"))?;
    let faults: Vec<String> = database
        .vulnerabilities(&lock)
        .iter()
        .map(|found| {
            let patched: Vec<String> = found.versions.patched().iter().map(ToString::to_string).collect();
            let remedy = match patched.as_slice() {
                [] => "no version is patched: do without the package".to_owned(),
                some => format!("patched in {}", some.join(" or ")),
            };
            format!(
                "{} {}: {} ({}): {remedy}",
                found.package.name, found.package.version, found.advisory.title, found.advisory.id
            )
        })
        .collect();
    if faults.is_empty() {
        Ok(count)
    } else {
        Err(format!(
            "{} packages with known vulnerabilities\n{}",
            faults.len(),
            faults.join("\n")
        ))
    }
}

/// Asks the whole database of today, then takes those of its advisories that are about locked packages into the
/// snapshot. Needs the network, since cargo-deny fetches the database.
pub(crate) fn refresh() -> Outcome {
    let judged = stage("advisories of today", || check::deny(&["advisories"]));
    let fetched = fetched().map_err(|e| match &judged {
        Ok(()) => e,
        Err(earlier) => format!("{earlier}; {e}"),
    })?;
    let lock = root().join("Cargo.lock");
    let lock = Lockfile::load(&lock).map_err(|e| format!("cannot read {}: {e}", lock.display()))?;
    let names: BTreeSet<&str> = lock
        .packages
        .iter()
        .filter(|package| package.source.is_some())
        .map(|package| package.name.as_str())
        .collect();
    let count = copy(&fetched, &root().join(SNAPSHOT), &names)?;
    eprintln!("{count} advisories are in {SNAPSHOT} now");
    judged
}

/// Replaces the advisories of a snapshot by those that another folder has of these packages.
fn copy(from: &Path, snapshot: &Path, names: &BTreeSet<&str>) -> Outcome<usize> {
    let into = snapshot.join("crates");
    if into.exists() {
        fs::remove_dir_all(&into).map_err(|e| format!("cannot empty {}: {e}", into.display()))?;
    }
    fs::create_dir_all(&into).map_err(|e| format!("cannot create {}: {e}", into.display()))?;
    let mut count = 0;
    for name in names {
        let Ok(files) = fs::read_dir(from.join("crates").join(name)) else {
            continue;
        };
        let folder = into.join(name);
        fs::create_dir_all(&folder).map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
        for file in files.flatten() {
            let path = file.path();
            fs::copy(&path, folder.join(file.file_name()))
                .map_err(|e| format!("cannot copy {}: {e}", path.display()))?;
            count += 1;
        }
    }
    Ok(count)
}

/// The folder into which cargo-deny fetched RustSec's database.
fn fetched() -> Outcome<PathBuf> {
    let home = env::var("CARGO_HOME").or_else(|_| env::var("HOME").map(|home| format!("{home}/.cargo")));
    let home = home.map_err(|_| "neither CARGO_HOME nor HOME is set".to_owned())?;
    let folder = Path::new(&home).join("advisory-dbs");
    let databases = fs::read_dir(&folder).into_iter().flatten().flatten();
    databases
        .map(|database| database.path())
        .find(|path| path.join("crates").is_dir())
        .ok_or_else(|| format!("no database was fetched into {}", folder.display()))
}

#[cfg(test)]
mod tests;
