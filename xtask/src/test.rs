//! `cargo xtask test`: every test, on a machine that has Rust, Python and Node.js and nothing else.

use crate::{
    stage::{Outcome, cargo, profile, run, stage, works},
    tools,
};
use std::{env, process::Command};

/// What runs a second time, on the newest PostgreSQL that npm has: the first run is on the system's. Names of tests, in
/// part.
const ON_THE_NEWEST: &[&str] = &[
    "store::contract::postgres",
    "store::postgres::tests::bound",
    "store::postgres::tests::limits::tables_that_change",
    "store::postgres::tests::tls",
    "introspect::postgres",
    "migrate::postgres::tests::tables_follow",
    "api::crud::postgres",
    "api::functions::postgres",
    "api::idempotency::replicas",
];

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
        if arguments.is_empty() {
            let mut command = cargo(&["test", "--locked", "--workspace", "--all-targets"]);
            command.args(profile("--profile")).arg("--");
            on_the_newest(command.args(ON_THE_NEWEST))?;
        }
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
    stage("tests", || run(runner().args(arguments)))?;
    if !arguments.is_empty() {
        return Ok(());
    }
    let named: Vec<String> = ON_THE_NEWEST.iter().map(|name| format!("test({name})")).collect();
    on_the_newest(runner().args(["-E", &named.join(" or ")]))
}

/// `cargo nextest run`, as `.ci/run` wants it where that asks.
fn runner() -> Command {
    let mut command = cargo(&["nextest", "run", "--locked", "--workspace"]);
    command.args(profile("--cargo-profile"));
    if env::var_os("STOA_PROFILE").is_some() {
        command.args(["--profile", "ci"]);
    }
    command
}

fn on_the_newest(command: &mut Command) -> Outcome {
    stage("tests on the newest PostgreSQL", || {
        run(command.env("STOA_TEST_POSTGRES", "newest"))
    })
}
