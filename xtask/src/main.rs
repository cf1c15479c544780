//! The project's tasks: what a developer and the continuous integration run, one command each.

mod advisories;
mod bench;
mod check;
mod docs;
mod stage;
mod supply;
mod test;
mod tidy;
mod tools;

use stage::Outcome;
use std::{env, process::ExitCode};

const USAGE: &str = "\
usage: cargo xtask TASK

  check        format, tidiness, lints, documentation, generated pages, known vulnerabilities, licences and bans
  test [ARG…]  every test; installs what they need below target/. ARGs go to the test runner
  tools        only installs what the tests need
  docs         writes the generated pages: docs/file.md and docs/stoa.schema.json
  tidy         only the tidiness rules
  bench [PART…] CPU per request of the release build beside its peers; installs them. PART: edge, postgres, scatter, wide
  sbom         the bill of materials of the default build (CycloneDX), on stdout
  reproducible builds the release binary twice in two folders and compares the bytes
  advisories   judges the locked packages by RustSec's database of today and takes the snapshot of it anew that
               `check` uses (needs the network)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (task, rest) = match arguments.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => ("help", &[][..]),
    };
    match run(task, rest) {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(message)) => {
            eprintln!("xtask {task}: {message}");
            ExitCode::FAILURE
        }
        None => {
            eprint!("{USAGE}");
            ExitCode::from(if task == "help" { 0 } else { 2 })
        }
    }
}

/// Runs a task; `None` when there is none of that name.
fn run(task: &str, rest: &[String]) -> Option<Outcome> {
    Some(match task {
        "check" => check::check(),
        "test" => test::test(rest),
        "tools" => tools::all(),
        "docs" => docs::write(),
        "tidy" => tidy::tidy(),
        "bench" => bench::bench(rest),
        "sbom" => supply::sbom(),
        "reproducible" => supply::reproducible(),
        "advisories" => advisories::refresh(),
        _ => return None,
    })
}
