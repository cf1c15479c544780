//! Puts the commit that is built into `stoa --version`.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=STOA_COMMIT");
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    let commit = std::env::var("STOA_COMMIT")
        .ok()
        .or_else(|| git(&["rev-parse", "--short=12", "HEAD"]));
    println!(
        "cargo::rustc-env=STOA_COMMIT={}",
        commit.as_deref().unwrap_or("unknown")
    );
}

/// What git says; `None` outside a repository (a source archive) or without git.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
