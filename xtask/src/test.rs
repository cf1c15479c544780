//! `cargo xtask test`: every test, on a machine that has Rust, Python and Node.js and nothing else.

use crate::{
    stage::{Outcome, cargo, profile, run, stage, works},
    tools,
};
use std::env;

pub(crate) fn test(arguments: &[String]) -> Outcome {
    stage("tools of the tests", tools::all)?;
    let program = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    if works(&program, &["nextest", "--version"]) {
        nextest(arguments)?;
    } else {
        eprintln!("cargo-nextest is not installed: running `cargo test`, which has no time limit per test.");
        eprintln!("To have it: cargo install --locked cargo-nextest");
        let mut command = cargo(&["test", "--locked", "--workspace", "--all-targets"]);
        command.args(profile("--profile")).args(arguments);
        stage("tests", || run(&mut command))?;
    }
    if !arguments.is_empty() {
        return Ok(());
    }
    let mut command = cargo(&["test", "--locked", "--workspace", "--doc", "--quiet"]);
    stage("tests in the documentation", || {
        run(command.args(profile("--profile")))
    })
}

fn nextest(arguments: &[String]) -> Outcome {
    let mut build = cargo(&["nextest", "run", "--locked", "--workspace", "--no-run"]);
    build.args(profile("--cargo-profile"));
    stage("build of the tests", || run(&mut build))?;
    let mut command = cargo(&["nextest", "run", "--locked", "--workspace"]);
    command.args(profile("--cargo-profile"));
    if env::var_os("STOA_PROFILE").is_some() {
        command.args(["--profile", "ci"]);
    }
    stage("tests", || run(command.args(arguments)))
}
