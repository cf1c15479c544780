//! The OpenAPI document is valid, and what the shop answers is what the document says.

use crate::support::{
    copy_folder, repository,
    server::{Server, Setup, folder_with, stoa},
    tools,
};
use serde_json::Value;
use std::{fs, path::Path, process::Command};
use stoa_testkit::Postgres;
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
        valid(&example);
    }
}

/// The document of the file in `folder` is what an independent validator takes.
fn valid(folder: &Path) {
    let ran = stoa(folder, &["openapi"]);
    assert_eq!(ran.code, 0, "{}: {}", folder.display(), ran.stderr);
    let keep = tempfile::tempdir().expect("a folder for the test");
    let path = keep.path().join("openapi.json");
    fs::write(&path, &ran.stdout).expect("the document can be written");
    let mut command = Command::new(tools::python());
    command.args(["-m", "openapi_spec_validator"]).arg(&path);
    tools::succeed(&format!("the validator over {}", folder.display()), &mut command);
    let document: Value = serde_json::from_str(&ran.stdout).expect("the document is JSON");
    assert!(
        document["openapi"].as_str().is_some_and(|v| v.starts_with("3.1")),
        "{}",
        document["openapi"]
    );
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
        schemathesis(&server, keep.path(), &[], seed);
    }
}

/// Runs every check against a server whose file lies in `folder`, with what else it is to be told.
fn schemathesis(server: &Server, folder: &Path, more: &[&str], seed: u32) {
    let user = "00000000-0000-7000-8000-000000000001";
    let minted = stoa(folder, &["token", "mint", "--user", user, "--role", "admin"]);
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
        .args(more)
        .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
        .env("PYTHONPATH", &clients)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("STOA_BASE", &server.http)
        .env("STOA_TOKEN", token)
        .current_dir(folder);
    tools::succeed(&format!("schemathesis with seed {seed}"), &mut command);
}

/// Functions for the shop, once its tables are made.
const FUNCTIONS: &str = "\
functions:
  dear: { args: { above: 'decimal(12,2), optional' }, returns: rows products, volatility: stable, access: public }
  share: { args: { part: float, of: int, day: 'date, optional' }, volatility: immutable, access: public }
  words: { args: { line: text, quick: bool }, returns: rows, volatility: stable, access: user }
  restock: { args: { product: uuid, stock: int }, returns: void, access: role admin }
  take: { body: json, volatility: stable, access: public }
";
const MADE: &str = "\
  CREATE FUNCTION dear(above numeric DEFAULT 0) RETURNS SETOF products STABLE LANGUAGE sql AS 'SELECT * FROM products WHERE price > above'; \
  CREATE FUNCTION share(part float8, of int8, day date DEFAULT NULL) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT concat(part, of, day)'; \
  CREATE FUNCTION words(line text, quick boolean) RETURNS SETOF text STABLE LANGUAGE sql AS 'SELECT unnest(string_to_array(line, chr(32)))'; \
  CREATE FUNCTION restock(product uuid, stock int8) RETURNS void LANGUAGE sql \
    AS 'UPDATE products SET stock = greatest(coalesce(restock.stock, 0), 0) WHERE id = product'; \
  CREATE FUNCTION take(jsonb) RETURNS jsonb STABLE LANGUAGE sql AS 'SELECT $1'";

#[test]
fn the_document_of_a_postgres_store_with_functions_is_valid_and_true() {
    let postgres = Postgres::start();
    postgres.sql("postgres", "CREATE DATABASE shop");
    let (keep, folder) = folder_with("");
    copy_folder(&repository().join("examples/shop"), &folder);
    let file = folder.join("stoa.yaml");
    let shop = fs::read_to_string(&file).expect("the file of the shop");
    let shop = shop.replace("main: sqlite:shop.db", &format!("main: {}", postgres.url("shop")));
    fs::write(&file, &shop).expect("written");
    let migrated = stoa(&folder, &["migrate", "apply"]);
    assert_eq!(migrated.code, 0, "{}", migrated.stderr);
    postgres.sql("shop", MADE);
    fs::write(&file, format!("{shop}\n{FUNCTIONS}")).expect("written");
    valid(&folder);
    let server = Server::start(&Setup::new("dev", &folder));
    // The table family has its own run on SQLite: here, what only this store has.
    let functions = ["--include-path-regex", "^/(rpc/|products$)"];
    schemathesis(&server, &folder, &functions, 1);
    drop(keep);
}
