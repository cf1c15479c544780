//! Every example is checked, fits the JSON Schema, starts, and answers the lines of its README.

use crate::support::{
    copy_folder, repository,
    server::{Server, Setup, stoa},
    tools,
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn examples() -> Vec<PathBuf> {
    let entries = fs::read_dir(repository().join("examples")).expect("the examples can be read");
    let mut all: Vec<_> = entries
        .map(|e| e.expect("the examples can be read").path())
        .collect();
    all.sort();
    assert!(all.len() >= 3, "{all:?}");
    all
}

#[test]
fn every_example_passes_check() {
    for example in examples() {
        let ran = stoa(&example, &["check"]);
        assert_eq!(ran.code, 0, "{}: {}", example.display(), ran.stderr);
    }
}

#[test]
fn every_example_fits_the_schema_and_a_wrong_file_does_not() {
    let keep = tempfile::tempdir().expect("a folder for the test");
    let schema = stoa(keep.path(), &["schema"]);
    assert_eq!(schema.code, 0, "{}", schema.stderr);
    fs::write(keep.path().join("stoa.schema.json"), &schema.stdout).expect("the schema can be written");
    let files: Vec<String> = examples()
        .iter()
        .map(|e| e.join("stoa.yaml").to_string_lossy().into_owned())
        .collect();
    let arguments: Vec<&str> = std::iter::once("stoa.schema.json")
        .chain(files.iter().map(String::as_str))
        .collect();
    tools::run_python("clients/fits_schema.py", keep.path(), &arguments);
}

#[test]
fn the_lines_of_the_readmes_answer() {
    for example in examples() {
        let keep = tempfile::tempdir().expect("a folder for the test");
        copy_folder(&example, keep.path());
        let server = Server::start(&Setup::new("dev", keep.path()));
        let name = example
            .file_name()
            .expect("an example has a name")
            .to_string_lossy()
            .into_owned();
        let text = fs::read_to_string(example.join("README.md")).expect("an example has a README");
        let mut story = Vec::new();
        for (lines, result) in blocks(&text) {
            let server_start = lines.contains("cargo run") || lines.contains("http.server");
            if server_start || lines.contains("--profile prod") {
                continue;
            }
            // Assignments of earlier blocks (tokens) hold in later ones.
            let lines = lines
                .replace("http://127.0.0.1:8080", &server.http)
                .replace(&format!("examples/{name}"), &keep.path().to_string_lossy());
            let output = shell(keep.path(), &story, &lines);
            if let Some(result) = result {
                let wanted: Value = serde_json::from_str(&result).expect("the README shows JSON");
                let found: Value = serde_json::from_str(&output).unwrap_or(Value::String(output));
                assert_eq!(found, wanted, "{name}: {lines}");
            } else if lines.contains("curl") {
                assert!(!output.is_empty(), "{name}: {lines}");
                assert!(
                    !output.contains(" 500 ") && !output.contains("\"status\":500"),
                    "{name}: {lines}\n{output}"
                );
            }
            story.extend(
                lines
                    .lines()
                    .filter(|line| line.contains("=$("))
                    .map(str::to_owned),
            );
        }
    }
}

/// The shell blocks of a page, each with the JSON block that directly follows it.
fn blocks(page: &str) -> Vec<(String, Option<String>)> {
    let parts: Vec<&str> = page.split("```").collect();
    let mut blocks: Vec<(String, Option<String>)> = Vec::new();
    for block in parts.iter().skip(1).step_by(2) {
        if let Some(lines) = block.strip_prefix("sh\n") {
            blocks.push((lines.to_owned(), None));
        } else if let (Some(json), Some(last)) = (block.strip_prefix("json\n"), blocks.last_mut()) {
            last.1 = Some(json.to_owned());
        }
    }
    assert!(!blocks.is_empty(), "the page has lines to run");
    blocks
}

/// Runs lines in a shell where `stoa` is the built binary; `before` are assignments to make first.
fn shell(folder: &Path, before: &[String], lines: &str) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_stoa"))
        .parent()
        .expect("the binary lies in a folder");
    let path = format!(
        "{}:{}",
        binary.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let script = format!("set -eu\n{}\n{lines}", before.join("\n"));
    let mut command = Command::new("bash");
    command
        .args(["-c", &script])
        .env("PATH", path)
        .current_dir(folder);
    tools::succeed(lines, &mut command)
}
