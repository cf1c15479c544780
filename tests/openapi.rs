//! The OpenAPI document is valid, and what the shop answers is what the document says.

use crate::support::{
    copy_folder, repository,
    server::{Server, Setup, stoa},
    tools,
};
use serde_json::Value;
use std::{fs, process::Command};
use tempfile::TempDir;

fn shop() -> (TempDir, Server) {
    let keep = tempfile::tempdir().expect("a folder for the test");
    copy_folder(&repository().join("examples/shop"), keep.path());
    let server = Server::start(&Setup::new("dev", keep.path()));
    (keep, server)
}

#[test]
fn the_document_of_every_example_is_valid() {
    for example in fs::read_dir(repository().join("examples")).expect("the examples can be read") {
        let example = example.expect("the examples can be read").path();
        let ran = stoa(&example, &["openapi"]);
        assert_eq!(ran.code, 0, "{}: {}", example.display(), ran.stderr);
        let keep = tempfile::tempdir().expect("a folder for the test");
        let path = keep.path().join("openapi.json");
        fs::write(&path, &ran.stdout).expect("the document can be written");
        let mut command = Command::new(tools::python());
        command.args(["-m", "openapi_spec_validator"]).arg(&path);
        tools::succeed(&format!("the validator over {}", example.display()), &mut command);
        let document: Value = serde_json::from_str(&ran.stdout).expect("the document is JSON");
        assert!(
            document["openapi"].as_str().is_some_and(|v| v.starts_with("3.1")),
            "{}",
            document["openapi"]
        );
    }
}

#[test]
fn the_served_document_is_the_printed_one() {
    let (keep, server) = shop();
    let printed: Value = serde_json::from_str(&stoa(keep.path(), &["openapi"]).stdout).expect("JSON");
    let served = server.client.get("/openapi.json").json();
    assert_eq!(served["paths"], printed["paths"]);
    assert_eq!(served["components"], printed["components"]);
}

/// Every check of schemathesis, with what no document can say in `tests/clients/schemathesis_hooks.py`. `STOA_SEEDS=20`
/// runs twenty seeds instead of one.
#[test]
fn schemathesis_finds_no_failure_and_no_undeclared_answer() {
    let seeds = std::env::var("STOA_SEEDS").map_or(1, |seeds| seeds.parse().expect("STOA_SEEDS is a number"));
    for seed in 1..=seeds {
        let (keep, server) = shop();
        let user = "00000000-0000-7000-8000-000000000001";
        let minted = stoa(keep.path(), &["token", "mint", "--user", user, "--role", "admin"]);
        assert_eq!(minted.code, 0, "{}", minted.stderr);
        let token = minted.stdout.trim();
        let clients = repository().join("tests/clients");
        let mut command = Command::new(tools::python_program("schemathesis"));
        command
            .arg("--config-file")
            .arg(clients.join("schemathesis.toml"))
            .arg("run")
            .arg(format!("{}/openapi.json", server.http))
            .args(["--checks", "all", "--max-examples", "10", "--seed"])
            .arg(seed.to_string())
            .args(["--header", &format!("Authorization: Bearer {token}")])
            .args([
                "--generation-database",
                "none",
                "--no-color",
                "--continue-on-failure",
            ])
            .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
            .env("PYTHONPATH", &clients)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("STOA_BASE", &server.http)
            .env("STOA_TOKEN", token)
            .current_dir(keep.path());
        tools::succeed(&format!("schemathesis with seed {seed}"), &mut command);
    }
}
