//! The commands as a person or a script uses them: what they print where, and how they end.

use crate::support::{
    server::{Server, Setup, folder_with, stoa, stoa_with},
    token,
};
use serde_json::{Value, json};
use std::fs;
use stoa_testkit::Postgres;

/// Ten faults, each on a line of its own.
const TEN_FAULTS: &str = "\
api: faults
server:
  http: 127.0.0.1:99999
  max_body: 1MB2
  htttp: 127.0.0.1:1
stores: { main: sqlite:x.db }
limits:
  slow: 100/fortnight
services:
  pay:
    url: htp://127.0.0.1
    timeout: 2 parsecs
resources:
  products:
    fields:
      name: txt
      price: decimal(2,12)
      owner: ref nobody
    read: everybody
    list: { filter: [colour] }
";

#[test]
fn check_lists_ten_faults_each_with_its_line() {
    let (_keep, folder) = folder_with(TEN_FAULTS);
    let ran = stoa(&folder, &["check", "--format", "json"]);
    assert_eq!(ran.code, 1);
    let report: Value = serde_json::from_str(&ran.stdout).expect("the report is JSON");
    let faults = report["faults"].as_array().expect("a list of faults");
    let mut lines: Vec<u64> = faults.iter().filter_map(|fault| fault["line"].as_u64()).collect();
    lines.sort_unstable();
    assert_eq!(lines, [3, 4, 5, 8, 11, 12, 16, 17, 18, 19, 20], "{report:#}");
    for fault in faults {
        assert!(fault["column"].as_u64().is_some_and(|c| c > 0), "{fault}");
        assert!(
            fault["message"].as_str().is_some_and(|m| !m.is_empty()),
            "{fault}"
        );
        let code = fault["code"].as_str().expect("a fault has a code");
        let explained = stoa(&folder, &["explain", code]);
        assert!(
            explained.code == 0 && explained.stdout.len() > 40,
            "{code}: {}",
            explained.stderr
        );
    }
    let human = stoa(&folder, &["check"]);
    assert_eq!(
        (human.code, human.stdout.as_str()),
        (1, ""),
        "faults for people go to stderr"
    );
    for line in &lines {
        assert!(
            human.stderr.contains(&format!("stoa.yaml:{line}:")),
            "line {line}:\n{}",
            human.stderr
        );
    }
    assert!(
        human.stderr.contains(['^', '━']) && human.stderr.contains("help"),
        "{}",
        human.stderr
    );
    assert!(!human.stderr.contains('\x1b'), "NO_COLOR is honoured");
    let github = stoa(&folder, &["check", "--format", "github"]);
    assert_eq!(
        github
            .stdout
            .lines()
            .filter(|line| line.starts_with("::error "))
            .count(),
        lines.len()
    );
}

#[test]
fn ends_tell_right_from_wrong_input_from_wrong_usage() {
    let (_keep, folder) =
        folder_with("api: a\nresources: { r: { fields: { n: int }, read: public, write: public } }\n");
    for (code, words) in [
        (0, &["check"][..]),
        (0, &["--version"]),
        (0, &["--help"]),
        (0, &["schema"]),
        (0, &["openapi"]),
        (0, &["config"]),
        (0, &["completions", "bash"]),
        (0, &["explain", "not-found"]),
        (0, &["explain", "/docs/errors/not-found"]),
        (0, &["route", "GET", "/r"]),
        (1, &["check", "nowhere.yaml"]),
        (1, &["check", "--profile", "nope"]),
        (1, &["explain", "no-such-code"]),
        (1, &["token", "mint", "--user", "ann"]),
        (1, &["dev", "nowhere.yaml"]),
        (2, &["chekc"]),
        (2, &["check", "--nope"]),
        (2, &["dev", "--http", "not-an-address"]),
        (2, &[]),
    ] {
        let ran = stoa(&folder, words);
        assert_eq!(ran.code, code, "stoa {words:?}\n{}\n{}", ran.stdout, ran.stderr);
        assert!(code == 0 || !ran.stderr.is_empty(), "stoa {words:?} says why");
    }
}

#[test]
fn a_missing_key_file_is_told_where_it_is_named() {
    let (_keep, folder) = folder_with(
        "api: k\nauth: { jwt: { public_key: nothere.pem } }\nresources: { p: { fields: { n: int } } }\n",
    );
    let ran = stoa(&folder, &["check", "--json"]);
    let report: Value = serde_json::from_str(&ran.stdout).expect("the report is JSON");
    let fault = &report["faults"][0];
    assert_eq!(
        (ran.code, &fault["line"], &fault["column"]),
        (0, &json!(2), &json!(16)),
        "{report:#}"
    );
}

#[test]
fn config_shows_the_plan_and_no_secret() {
    let secret = "super-secret-that-nobody-may-see-0123456789";
    let (_keep, folder) = folder_with(
        "api: a
auth: { jwt: { secret: \"${JWT_SECRET}\" } }
resources: { r: { fields: { n: int } } }
profiles: { prod: { server: { http: 0.0.0.0:9999 } } }
",
    );
    for words in [
        &["config"][..],
        &["config", "--origin"],
        &["config", "--profile", "prod"],
        &["config", "--json"],
    ] {
        let ran = stoa_with(&folder, words, &[("JWT_SECRET", secret)]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(
            !ran.stdout.contains(secret) && ran.stdout.contains("[redacted]"),
            "{words:?}\n{}",
            ran.stdout
        );
        assert_eq!(
            ran.stdout.contains("0.0.0.0:9999"),
            words.contains(&"prod"),
            "{words:?}\n{}",
            ran.stdout
        );
    }
    let origin = stoa_with(&folder, &["config", "--origin"], &[("JWT_SECRET", secret)]).stdout;
    assert!(
        origin.contains("default") && origin.contains("JWT_SECRET") && origin.contains("stoa.yaml:1:"),
        "{origin}"
    );
    let missing = stoa(&folder, &["check"]);
    assert!(
        missing.code == 1 && missing.stderr.contains("JWT_SECRET"),
        "{}",
        missing.stderr
    );
}

#[test]
fn every_template_is_accepted_and_served() {
    for template in ["hello", "shop", "gateway"] {
        let keep = tempfile::tempdir().expect("a folder for the test");
        let ran = stoa(keep.path(), &["init", "--template", template]);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert_eq!(stoa(keep.path(), &["check"]).code, 0);
        let before = fs::read_to_string(keep.path().join("stoa.yaml")).expect("the file was written");
        assert_eq!(stoa(keep.path(), &["init"]).code, 1, "nothing is written over");
        assert_eq!(
            fs::read_to_string(keep.path().join("stoa.yaml")).expect("the file is there"),
            before
        );
        let server = Server::start(&Setup::new("dev", keep.path()));
        assert_eq!(server.client.get("/openapi.json").status, 200);
    }
}

#[test]
fn a_database_that_exists_is_served_as_it_is() {
    let keep = tempfile::tempdir().expect("a folder for the test");
    let database = rusqlite::Connection::open(keep.path().join("old.db")).expect("a database");
    database
        .execute_batch(
            "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL, \"odd name\" REAL);
             CREATE TABLE pets (id INTEGER PRIMARY KEY, owner_id INTEGER REFERENCES people(id), kind TEXT);
             CREATE VIEW names AS SELECT name FROM people;
             INSERT INTO people VALUES (1, 'Ann', 1.5);
             INSERT INTO pets VALUES (7, 1, 'cat');",
        )
        .expect("tables");
    let ran = stoa(keep.path(), &["init", "--from", "sqlite:old.db"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let file = fs::read_to_string(keep.path().join("stoa.yaml")).expect("the file was written");
    assert!(
        file.contains("read: public") && file.contains("write: none") && file.contains("ref people"),
        "{file}"
    );
    assert_eq!(stoa(keep.path(), &["check"]).code, 0, "{file}");
    let server = Server::start(&Setup::new("serve", keep.path()));
    let rows = server.client.get("/pets?select=kind,people(name)").json();
    assert_eq!(rows, json!([{ "kind": "cat", "people": { "name": "Ann" } }]));
    let refused = server
        .client
        .send("POST", "/people", &[], Some(&json!({ "id": 2, "name": "Bob" })));
    assert!(refused.status == 403 || refused.status == 401, "{}", refused.text);
    let tables: i64 = database
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'people%' OR name LIKE 'pets%'",
            [],
            |r| r.get(0),
        )
        .expect("a count");
    assert_eq!(tables, 2, "the tables are as they were");
}

const BEFORE: &str =
    "api: m\nresources: { r: { fields: { n: int, gone: text }, read: public, write: public } }\n";
const AFTER: &str = "api: m\nresources: { r: { fields: { n: int, more: \"text, optional\" }, read: public, write: public } }\n";

#[test]
fn migrations_are_shown_before_they_run_and_lose_nothing_unasked() {
    let (_keep, folder) = folder_with(BEFORE);
    let plan = stoa(&folder, &["migrate", "plan"]);
    assert_eq!(plan.code, 0, "{}", plan.stderr);
    assert!(
        plan.stdout.to_uppercase().contains("CREATE TABLE"),
        "{}",
        plan.stdout
    );
    assert_eq!(
        stoa(&folder, &["migrate", "status"]).code,
        1,
        "nothing has run yet"
    );
    assert_eq!(stoa(&folder, &["migrate", "apply"]).code, 0);
    assert_eq!(stoa(&folder, &["migrate", "status"]).code, 0);
    let server = Server::start(&Setup::new("serve", &folder));
    assert_eq!(
        server
            .client
            .send("POST", "/r", &[], Some(&json!({ "n": 1, "gone": "x" })))
            .status,
        201
    );
    drop(server);
    fs::write(folder.join("stoa.yaml"), AFTER).expect("written");
    let plan = stoa(&folder, &["migrate", "plan"]);
    let shown = plan.stdout.to_uppercase();
    assert!(
        shown.contains("ADD COLUMN") && shown.contains("DROP COLUMN"),
        "{}",
        plan.stdout
    );
    let refused = stoa(&folder, &["migrate", "apply"]);
    assert!(
        refused.code == 1 && refused.stderr.contains("--allow-destructive"),
        "{}",
        refused.stderr
    );
    let applied = stoa(&folder, &["migrate", "apply", "--allow-destructive"]);
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    let server = Server::start(&Setup::new("serve", &folder));
    let rows = server.client.get("/r?select=n,more").json();
    assert_eq!(rows, json!([{ "n": 1, "more": null }]));
}

#[test]
fn a_minted_token_works_and_a_bad_one_is_explained() {
    let (_keep, folder) = folder_with(
        "api: t
auth: { jwt: { secret: \"${JWT_SECRET}\" } }
resources: { r: { fields: { n: int }, read: role admin, write: scope r.write } }
",
    );
    let env = [("JWT_SECRET", token::SECRET)];
    let minted = stoa_with(
        &folder,
        &[
            "token", "mint", "--user", "ann", "--role", "admin", "--scope", "r.write",
        ],
        &env,
    );
    assert_eq!(minted.code, 0, "{}", minted.stderr);
    let minted = minted.stdout.trim();
    let server = Server::start(&Setup::new("serve", &folder).env("JWT_SECRET", token::SECRET));
    let bearer = format!("Bearer {minted}");
    let headers = [("authorization", bearer.as_str())];
    assert_eq!(
        server
            .client
            .send("POST", "/r", &headers, Some(&json!({ "n": 1 })))
            .status,
        201
    );
    assert_eq!(server.client.send("GET", "/r", &headers, None).status, 200);
    let read = stoa_with(&folder, &["token", "decode", minted], &env);
    assert_eq!(read.code, 0, "{}", read.stderr);
    assert!(
        read.stdout.contains("ann") && read.stdout.contains("admin"),
        "{}",
        read.stdout
    );
    let pasted = stoa_with(&folder, &["token", "decode", &bearer], &env);
    assert_eq!(pasted.code, 0, "{}", pasted.stderr);
    let mut caller = serde_json::Map::new();
    caller.insert("user".into(), json!("ann"));
    caller.insert("claims".into(), json!({ "exp": "$now-3600" }));
    let old = stoa_with(&folder, &["token", "decode", &token::mint(&caller)], &env);
    assert!(
        old.code == 1 && old.stderr.contains("expired"),
        "{}\n{}",
        old.stdout,
        old.stderr
    );
    caller.insert("claims".into(), json!({}));
    caller.insert(
        "secret".into(),
        json!("another-secret-that-nobody-configured-000000"),
    );
    let forged = stoa_with(&folder, &["token", "decode", &token::mint(&caller)], &env);
    assert!(
        forged.code == 1 && forged.stderr.contains("signature"),
        "{}\n{}",
        forged.stdout,
        forged.stderr
    );
}

#[test]
fn serve_refuses_open_resources_without_auth_and_names_them() {
    let (_keep, folder) = folder_with("api: o\nresources: { things: { fields: { n: int } } }\n");
    let said = Server::try_start(&Setup::new("serve", &folder))
        .err()
        .expect("it does not start");
    assert!(said.contains("things") && said.contains("auth"), "{said}");
    let mut server = Server::start(&Setup::new("dev", &folder));
    assert_eq!(server.client.get("/things").status, 200);
    assert!(
        server.said().contains("public"),
        "dev says that they are public: {}",
        server.said()
    );
}

#[test]
fn the_panel_of_dev_prints_a_line_that_answers() {
    let keep = tempfile::tempdir().expect("a folder for the test");
    assert_eq!(stoa(keep.path(), &["init"]).code, 0);
    let mut server = Server::start(&Setup::new("dev", keep.path()));
    let line = server.wait_for_line("curl ");
    let at = line.find("curl ").expect("just found");
    let mut command = std::process::Command::new("bash");
    command.args(["-c", &line[at..]]).current_dir(keep.path());
    let answer = crate::support::tools::succeed(&line, &mut command);
    assert!(
        answer.contains('{') && !answer.starts_with("{\"type\""),
        "{line}\n{answer}"
    );
}

#[test]
fn check_looks_at_the_first_rows() {
    let file =
        "api: a\nseed: rows.json\nresources: { r: { fields: { n: int }, read: public, write: public } }\n";
    let (_keep, folder) = folder_with(file);
    for (text, says) in [
        (None, "cannot read rows.json"),
        (Some("{"), "is not JSON"),
        (Some(r#"{"q": []}"#), "no resource `q`"),
    ] {
        if let Some(text) = text {
            fs::write(folder.join("rows.json"), text).expect("written");
        }
        let ran = stoa(&folder, &["check"]);
        assert_eq!(ran.code, 1, "{}", ran.stderr);
        assert!(
            ran.stderr.contains("E0424") && ran.stderr.contains(says),
            "{}",
            ran.stderr
        );
        assert!(ran.stderr.contains("stoa.yaml:2:1"), "{}", ran.stderr);
    }
    fs::write(folder.join("rows.json"), r#"{"r": [{"n": 1}]}"#).expect("written");
    assert_eq!(stoa(&folder, &["check"]).code, 0);
}

/// A database that somebody else made becomes an API that `check` accepts, `serve` serves, and nothing alters.
#[test]
fn init_writes_the_file_of_a_postgres_database() {
    let postgres = Postgres::start();
    postgres.sql("postgres", "CREATE DATABASE school");
    postgres.sql(
        "school",
        "CREATE SCHEMA archive; \
         CREATE TABLE \"Class Rooms\" (nr int PRIMARY KEY, seats int NOT NULL); \
         CREATE TABLE pupils (id bigserial PRIMARY KEY, name text NOT NULL, room int REFERENCES \"Class Rooms\"); \
         CREATE TABLE archive.pupils (id bigint PRIMARY KEY, left_on date); \
         INSERT INTO \"Class Rooms\" VALUES (7, 30); INSERT INTO pupils (name, room) VALUES ('Ada', 7); \
         INSERT INTO archive.pupils VALUES (1, '2020-02-02')",
    );
    let keep = tempfile::tempdir().expect("a folder for the test");
    // The server trusts everybody; what matters is that the password goes nowhere.
    let url = postgres.url("school").replace("stoa@", "stoa:hidden@");
    let ran = stoa(keep.path(), &["init", "--from", &url]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let file = fs::read_to_string(keep.path().join("stoa.yaml")).expect("the file is there");
    assert!(
        !file.contains("hidden") && file.contains("${DATABASE_URL:-postgres://stoa@"),
        "{file}"
    );
    assert!(
        file.contains("read: public") && file.contains("write: none "),
        "{file}"
    );
    assert_eq!(stoa(keep.path(), &["check"]).code, 0);
    let schema =
        "SELECT md5(string_agg(table_name || column_name, ',' ORDER BY 1)) FROM information_schema.columns";
    let before = postgres.ask("school", schema);
    let server = Server::start(&Setup::new("dev", keep.path()));
    let get = |path: &str| server.client.get(path).text;
    assert_eq!(
        get("/public_pupils?select=name,room:Class_Rooms(seats)"),
        r#"[{"name":"Ada","room":{"seats":30}}]"#,
        "{file}"
    );
    assert_eq!(get("/archive_pupils/1"), r#"{"id":1,"left_on":"2020-02-02"}"#);
    drop(server);
    assert_eq!(
        postgres.ask("school", schema),
        before,
        "nothing was made or altered"
    );
}
