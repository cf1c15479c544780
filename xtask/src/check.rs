//! `cargo xtask check`: everything that can be judged without running the product, cheapest first.

use crate::{
    advisories, docs,
    stage::{Outcome, cargo, command, profile, run, stage},
    supply, tidy, tools,
};

pub(crate) fn check() -> Outcome {
    stage("format", || run(&mut cargo(&["fmt", "--all", "--check"])))?;
    stage("tidy", tidy::tidy)?;
    stage("known vulnerabilities", advisories::known)?;
    stage("generated pages", docs::check)?;
    stage("clippy", clippy)?;
    stage("documentation", documentation)?;
    stage("budget of dependencies", supply::budget)?;
    stage("licences, bans, sources", || {
        deny(&["licenses", "bans", "sources"])
    })
}

fn clippy() -> Outcome {
    let mut command = cargo(&["clippy", "--locked", "--workspace", "--all-targets"]);
    run(command.args(profile("--profile")).args(["--", "-D", "warnings"]))
}

fn documentation() -> Outcome {
    let mut command = cargo(&["doc", "--locked", "--workspace", "--no-deps"]);
    run(command
        .args(profile("--profile"))
        .env("RUSTDOCFLAGS", "-D warnings"))
}

/// cargo-deny's checks of these names.
pub(crate) fn deny(checks: &[&str]) -> Outcome {
    let program = tools::cargo_deny()?;
    let mut command = command(&program, &["--locked", "check", "--hide-inclusion-graph"]);
    run(command.args(checks))
}
