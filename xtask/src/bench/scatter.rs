//! A list over eight shards beside the same list on the slowest of them alone.

use crate::{
    bench::{
        built,
        server::{Load, Server, Stoa, medians, post},
    },
    stage::{Outcome, command},
};
use std::path::Path;
use stoa_testkit::{Postgres, free_port};

const SHARDS: usize = 8;
/// How far away the first shard is, in milliseconds; each next one a millisecond farther.
const NEAREST: usize = 2;
/// Customers, and orders of each.
const CUSTOMERS: usize = 64;
const ORDERS: usize = 40;

pub(super) fn bench(folder: &Path) -> Outcome {
    let database = Postgres::start();
    let mut ways = Vec::new();
    let mut variables = Vec::new();
    let names: Vec<String> = (0..SHARDS).map(|n| format!("SHARD_{n}")).collect();
    for (n, name) in names.iter().enumerate() {
        database.sql("postgres", &format!("CREATE DATABASE shard{n}"));
        let (port, to, delay) = (free_port(), database.port.to_string(), (NEAREST + n).to_string());
        let way = command(
            &built("bench-peers").to_string_lossy(),
            &["delay", &port.to_string(), &to, &delay],
        );
        ways.push(Server::start(way, port)?);
        variables.push((
            name.as_str(),
            format!("postgres://stoa@127.0.0.1:{port}/shard{n}"),
        ));
    }
    let file = "bench/shards.yaml";
    let stoa = Stoa {
        file,
        folder,
        variables,
    }
    .start(free_port())?;
    fill(&stoa, folder)?;
    let farthest = database.ask(
        &format!("shard{}", SHARDS - 1),
        "SELECT customer FROM orders ORDER BY customer LIMIT 1",
    );
    let load = |path: &str| {
        let mut load = Load::get(path);
        load.connections = 1;
        load
    };
    let all = load("/orders?limit=20");
    let one = load(&format!("/orders?customer=eq.{farthest}&limit=20"));
    let [a, b] = medians([&|| Ok(all.turn(&stoa)?.millis), &|| Ok(one.turn(&stoa)?.millis)])?;
    println!(
        "{:<34}{:>12}{:>12}{:>14}",
        "ms per request, median", "8 shards", "slowest", "all / slowest"
    );
    println!("{:<34}{a:>12.2}{b:>12.2}{:>14.2}", "list of 20 rows", a / b);
    Ok(())
}

/// Orders of customers that lie on every shard.
fn fill(stoa: &Server, folder: &Path) -> Outcome {
    let orders = (0..CUSTOMERS * ORDERS).map(|n| {
        let customer = n % CUSTOMERS;
        format!(r#"{{"customer":"customer-{customer}","quantity":{n}}}"#)
    });
    let orders: Vec<String> = orders.collect();
    for some in orders.chunks(640) {
        post(stoa, folder, "/orders", &format!("[{}]", some.join(",")))?;
    }
    Ok(())
}
