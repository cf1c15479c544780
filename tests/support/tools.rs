//! The interpreters and packages that `cargo xtask tools` installed.

use super::repository;
use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The Python that has the tests' packages.
pub(crate) fn python() -> PathBuf {
    installed("venv", "bin/python")
}

/// A program of that Python's packages.
pub(crate) fn python_program(name: &str) -> PathBuf {
    installed("venv", &format!("bin/{name}"))
}

/// The folder that holds `node_modules`.
pub(crate) fn node_folder() -> PathBuf {
    installed("npm", "node_modules")
        .parent()
        .expect("node_modules lies in a folder")
        .to_owned()
}

fn installed(tool: &str, name: &str) -> PathBuf {
    let path = repository().join("target/tools").join(tool).join(name);
    assert!(
        path.exists(),
        "the tests' tools are missing: run `cargo xtask tools` once, then this test again"
    );
    path
}

/// Runs a Python script of `tests/` with arguments; fails the test with its output when it fails.
pub(crate) fn run_python(script: &str, folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(python());
    command
        .arg(repository().join("tests").join(script))
        .args(arguments)
        .current_dir(folder);
    succeed(script, &mut command)
}

/// Runs a command and returns its standard output; fails the test when it fails.
pub(crate) fn succeed(what: &str, command: &mut Command) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .output()
        .unwrap_or_else(|e| panic!("cannot start {what}: {e}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{what} ended with {status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}
