//! Where PostgreSQL's own programs are.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Names the folder of the programs of the server that tests run on, where it is not the newest that the system has.
const CHOSEN: &str = "STOA_TEST_POSTGRES";
/// Where Debian installs each version.
const INSTALLED: &str = "/usr/lib/postgresql";

/// The folder of the server's programs.
fn bin() -> PathBuf {
    if let Some(chosen) = std::env::var_os(CHOSEN).filter(|folder| !folder.is_empty()) {
        let folder = PathBuf::from(chosen);
        assert!(
            folder.join("initdb").exists(),
            "{CHOSEN} is {}, which has no initdb",
            folder.display()
        );
        return folder;
    }
    let versions = std::fs::read_dir(INSTALLED).into_iter().flatten().flatten();
    let bins = versions.map(|version| version.path());
    let newest = bins
        .filter(|version| version.join("bin/initdb").exists())
        .max_by_key(|version| major(version));
    let newest = newest.unwrap_or_else(|| panic!("PostgreSQL 15 or newer is installed, or {CHOSEN} is set"));
    newest.join("bin")
}

/// The version that a folder is named by.
fn major(version: &Path) -> Option<u32> {
    version.file_name()?.to_str()?.parse().ok()
}

/// One of the server's programs. Some builds come without the clients: then it is the system's.
pub(crate) fn program(name: &str) -> PathBuf {
    let own = bin().join(name);
    if own.exists() { own } else { PathBuf::from(name) }
}

/// The version of the server that tests run on, `18.6` say.
pub(crate) fn version() -> String {
    let output = Command::new(program("initdb"))
        .arg("--version")
        .output()
        .expect("initdb starts");
    // `initdb (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`
    let said = String::from_utf8_lossy(&output.stdout);
    said.split_whitespace()
        .nth(2)
        .unwrap_or_else(|| panic!("initdb says its version: {said}"))
        .to_owned()
}
