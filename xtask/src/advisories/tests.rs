//! A vulnerable lock file is refused, and a snapshot is taken of what is locked.

use super::*;

/// This project's lock file with one more package.
fn planted(name: &str, version: &str, source: &str) -> String {
    let own = fs::read_to_string(root().join("Cargo.lock")).expect("the lock file can be read");
    format!("{own}\n[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n{source}")
}

const REGISTRY: &str = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n";

#[test]
fn the_lock_file_is_without_known_vulnerabilities() {
    known().expect("no advisory applies");
}

#[test]
fn a_planted_vulnerable_package_is_refused_with_its_remedy() {
    let lock = planted("time", "0.1.44", REGISTRY);
    let message = judge(&lock, &root().join(SNAPSHOT)).expect_err("time 0.1.44 is vulnerable");
    for said in ["time 0.1.44", "RUSTSEC-2020-0071", "patched in >=0.2.23"] {
        assert!(message.contains(said), "{said} is missing in: {message}");
    }
}

#[test]
fn patched_versions_and_packages_from_elsewhere_pass() {
    for (version, source) in [("0.2.23", REGISTRY), ("0.1.44", "")] {
        let lock = planted("time", version, source);
        judge(&lock, &root().join(SNAPSHOT)).unwrap_or_else(|e| panic!("{version} {source:?}: {e}"));
    }
}

#[test]
fn a_snapshot_that_is_missing_or_empty_does_not_pass() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    judge("version = 4\n", folder.path()).expect_err("there is no snapshot");
    fs::create_dir(folder.path().join("crates")).expect("a folder can be made");
    let message = judge("version = 4\n", folder.path()).expect_err("the snapshot is empty");
    assert!(message.contains("holds no advisories"), "{message}");
}

#[test]
fn a_snapshot_takes_what_is_locked_and_forgets_the_rest() {
    let folder = tempfile::tempdir().expect("a folder for the test");
    let from = root().join(SNAPSHOT);
    let count = copy(
        &from,
        folder.path(),
        &BTreeSet::from(["time", "slab", "no-such-package"]),
    )
    .expect("the advisories can be copied");
    assert_eq!(count, 3);
    let count = copy(&from, folder.path(), &BTreeSet::from(["slab"])).expect("the advisories can be copied");
    assert_eq!(count, 1);
    assert!(!folder.path().join("crates/time").exists());
}
