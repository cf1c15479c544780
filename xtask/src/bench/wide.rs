//! How long it takes from a database of 50 tables and 1,000 columns to an API that answers.

use crate::{
    bench::{built, server::Server},
    stage::{Outcome, command, now, run},
};
use std::{fs, path::Path, process::Stdio};
use stoa_testkit::{Postgres, free_port};

const TABLES: usize = 50;
const COLUMNS: usize = 20;

pub(super) fn bench(folder: &Path) -> Outcome {
    let database = Postgres::start();
    for table in 0..TABLES {
        let columns: Vec<String> = (2..COLUMNS).map(|n| format!("column_{n} text")).collect();
        let parent = table.saturating_sub(1);
        database.sql(
            "postgres",
            &format!(
                "CREATE TABLE table_{table} (id int PRIMARY KEY, parent int REFERENCES table_{parent}, {}); \
                 INSERT INTO table_{table} (id) VALUES (1)",
                columns.join(", ")
            ),
        );
    }
    let url = database.url("postgres");
    let stoa = built("stoa").display().to_string();
    let start = now();
    run(command(&stoa, &["init", "--from", &url, "."])
        .current_dir(folder)
        .stdout(Stdio::null()))?;
    let read = start.elapsed();
    // The file says no address; the bench takes a free one.
    let (file, port) = (folder.join("stoa.yaml"), free_port());
    let text = fs::read_to_string(&file).map_err(|e| e.to_string())?;
    let text = format!("{text}server: {{ http: \"127.0.0.1:{port}\", admin: none }}\n");
    fs::write(&file, text).map_err(|e| e.to_string())?;
    let again = now();
    let mut serve = command(&stoa, &["serve"]);
    serve
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let server = Server::start(serve, port)?;
    let last = format!("http://127.0.0.1:{}/table_{}", server.port, TABLES - 1);
    run(command("curl", &["-sS", "--fail-with-body", "-o", "/dev/null", &last]).current_dir(folder))?;
    let ready = again.elapsed();
    println!(
        "{TABLES} tables of {COLUMNS} columns: read in {:.2} s, served in {:.2} s",
        read.as_secs_f64(),
        ready.as_secs_f64()
    );
    Ok(())
}
