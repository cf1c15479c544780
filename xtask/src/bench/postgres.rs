//! Resources on PostgreSQL, beside a handler written for one row alone, `pgbench -S`, and Fastify with pg.

use crate::{
    bench::{
        built,
        server::{Load, Server, Stoa, TURN_SECONDS, fill, medians, row_id},
    },
    stage::{Outcome, command, output, root, run, works},
};
use std::{fs, path::Path, process::Stdio};
use stoa_testkit::{Postgres, free_port};

/// The peers' table: the same rows without what Stoa keeps beside them.
const PLAIN: &str = "CREATE TABLE plain AS SELECT id, name, price, stock, created_at FROM items; \
                     ALTER TABLE plain ADD PRIMARY KEY (id); ANALYZE";
/// Connections to the database, as many as a worker of Stoa shares between reads.
const CONNECTIONS: &str = "2";
/// Rows of the list.
const LIST: f64 = 100.0;

pub(super) fn bench(folder: &Path) -> Outcome {
    let database = Postgres::start();
    let url = database.url("postgres");
    let stoa = Stoa {
        file: "bench/postgres.yaml",
        folder,
        variables: vec![("DATABASE_URL", url.clone())],
    };
    let stoa = stoa.start(free_port())?;
    fill(&stoa, folder)?;
    database.sql("postgres", PLAIN);
    rows(&stoa, &url)?;
    rates(&stoa, &database, &url)?;
    lists(&stoa, folder, &url)
}

/// A row by its key, in CPU of the process.
fn rows(stoa: &Server, url: &str) -> Outcome {
    let port = free_port();
    let bare = command(
        &built("bench-peers").to_string_lossy(),
        &["row", &port.to_string(), url],
    );
    let bare = Server::start(bare, port)?;
    let (ours, theirs) = (
        Load::get(&format!("/items/{}", row_id(4_711))),
        Load::get(&format!("/{}", row_id(4_711))),
    );
    let [a, b] = medians([&|| Ok(ours.turn(stoa)?.micros), &|| {
        Ok(theirs.turn(&bare)?.micros)
    }])?;
    let title = "CPU µs per request, median";
    println!("{title:<34}{:>12}{:>12}{:>14}", "Stoa", "bare", "Stoa / bare");
    println!(
        "{:<34}{a:>12.1}{b:>12.1}{:>14.2}",
        "row by key, PostgreSQL",
        a / b
    );
    Ok(())
}

/// Rows by their key per second, everything on this machine.
fn rates(stoa: &Server, database: &Postgres, url: &str) -> Outcome {
    let pgbench = database.program("pgbench").display().to_string();
    run(command(&pgbench, &["-i", "-q", "-s", "1", url])
        .stdout(Stdio::null())
        .stderr(Stdio::null()))?;
    let select = [
        "-S",
        "-n",
        "-M",
        "prepared",
        "-j",
        "1",
        "-T",
        TURN_SECONDS,
        "-c",
        CONNECTIONS,
        url,
    ];
    let load = Load::get(&format!("/items/{}", row_id(4_711)));
    let tps = || {
        let said = output(&mut command(&pgbench, &select))?;
        let line = said.lines().find_map(|line| line.strip_prefix("tps = "));
        let number = line.and_then(|line| line.split(' ').next()?.parse().ok());
        number.ok_or(format!("pgbench said no rate:\n{said}"))
    };
    let [a, b] = medians([&|| Ok(load.turn(stoa)?.per_second), &tps])?;
    println!(
        "{:<34}{:>12}{:>12}{:>14}",
        "rows by key per second", "Stoa", "pgbench -S", "Stoa / it"
    );
    println!(
        "{:<34}{a:>12.0}{b:>12.0}{:>14.2}",
        "2 connections to PostgreSQL",
        a / b
    );
    Ok(())
}

/// Rows of a list per second.
fn lists(stoa: &Server, folder: &Path, url: &str) -> Outcome {
    if !works("node", &["--version"]) || !works("npm", &["--version"]) {
        return Err("the bench needs Node.js 20 or newer and npm: `apt-get install nodejs npm`".to_owned());
    }
    for name in ["package.json", "server.mjs"] {
        let from = root().join("bench/fastify").join(name);
        fs::copy(&from, folder.join(name)).map_err(|e| format!("cannot copy {}: {e}", from.display()))?;
    }
    run(command("npm", &["install", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(folder))?;
    let port = free_port();
    let mut fastify = command("node", &["server.mjs", &port.to_string(), url]);
    fastify.current_dir(folder);
    let fastify = Server::start(fastify, port)?;
    let (ours, theirs) = (Load::get("/items?limit=100"), Load::get("/list"));
    let [a, b] = medians([&|| Ok(ours.turn(stoa)?.per_second * LIST), &|| {
        Ok(theirs.turn(&fastify)?.per_second * LIST)
    }])?;
    println!(
        "{:<34}{:>12}{:>12}{:>14}",
        "rows per second, median", "Stoa", "Fastify", "Stoa / Fastify"
    );
    println!(
        "{:<34}{a:>12.0}{b:>12.0}{:>14.2}",
        "list of 100 rows, PostgreSQL",
        a / b
    );
    let [a, b] = medians([&|| Ok(ours.turn(stoa)?.micros), &|| {
        Ok(theirs.turn(&fastify)?.micros)
    }])?;
    println!("{:<34}{a:>12.1}{b:>12.1}{:>14.2}", "  CPU µs per request", a / b);
    Ok(())
}
