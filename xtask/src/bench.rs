//! `cargo xtask bench`: what a request costs, Stoa beside its peers on the same work.
//!
//! CPU per request (user and system time of the process over the requests it answered) is the steady figure: on a
//! shared machine the wall clock measures the neighbours. Every server has one worker, and servers that are compared
//! take turns.

mod edge;
mod postgres;
mod scatter;
mod server;
mod wide;

use crate::{
    stage::{Outcome, cargo, command, root, run, stage, works},
    tools,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A part of the bench: its name, and what measures and prints it.
type Part = (&'static str, fn(&Path) -> Outcome);

const PARTS: [Part; 4] = [
    ("edge", edge::bench),
    ("postgres", postgres::bench),
    ("scatter", scatter::bench),
    ("wide", wide::bench),
];

/// Builds and runs the parts that are named, or all.
pub(crate) fn bench(wanted: &[String]) -> Outcome {
    let known = |name: &String| PARTS.iter().any(|(part, _)| part == name);
    if let Some(unknown) = wanted.iter().find(|name| !known(name)) {
        let all: Vec<&str> = PARTS.iter().map(|(part, _)| *part).collect();
        return Err(format!(
            "no part of the bench is called {unknown}; the parts are {}",
            all.join(", ")
        ));
    }
    for (program, package) in [("nginx", "nginx-light"), ("wrk", "wrk"), ("curl", "curl")] {
        install(program, package)?;
    }
    tools::postgres()?;
    stage("build as releases are built", || {
        run(&mut cargo(&["build", "--profile", "dist", "--package", "stoa"]))?;
        run(&mut cargo(&[
            "build",
            "--profile",
            "dist",
            "--package",
            "bench-peers",
        ]))
    })?;
    for (name, part) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            let folder = root().join("target/bench").join(name);
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).map_err(|e| format!("cannot create {}: {e}", folder.display()))?;
            stage(name, || part(&folder))?;
        }
    }
    Ok(())
}

/// The path of a program that was built.
fn built(name: &str) -> PathBuf {
    root().join("target/dist").join(name)
}

fn install(program: &str, package: &str) -> Outcome {
    let found = works("sh", &["-c", &format!("command -v {program}")]);
    if found {
        return Ok(());
    }
    eprintln!("{program} is missing: installing Debian's {package}");
    run(&mut command("apt-get", &["install", "-y", "-qq", package]))
        .map_err(|e| format!("{e}; the bench needs {program}: `apt-get install {package}`"))
}
