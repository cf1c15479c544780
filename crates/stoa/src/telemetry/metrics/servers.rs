//! The servers of the stores in the Prometheus text format.

use super::{head, quoted};
use std::fmt::Write as _;
use stoa_data::store::{Role, Server};

/// A series: its name, kind and help, and its value for a server that has one.
type Series = (
    &'static str,
    &'static str,
    &'static str,
    fn(&Server) -> Option<f64>,
);

const SERIES: [Series; 8] = [
    (
        "stoa_store_server_in_use",
        "gauge",
        "1 while the server is given what its role is for.",
        |s| Some(f64::from(u8::from(s.out.is_none() && s.role != Role::Split))),
    ),
    (
        "stoa_store_server_timeline",
        "gauge",
        "PostgreSQL's timeline of the server.",
        |s| Some(f64::from(s.timeline)),
    ),
    (
        "stoa_store_replica_lag_seconds",
        "gauge",
        "For how long the primary has had what the replica has not.",
        |s| s.lag.map(|lag| lag.as_secs_f64()),
    ),
    (
        "stoa_store_replica_lag_bytes",
        "gauge",
        "Bytes of the log that the primary has and the replica has not replayed.",
        |s| s.lag_bytes.map(|n| n as f64),
    ),
    (
        "stoa_store_server_reads_total",
        "counter",
        "Reads that the server answered.",
        |s| Some(s.reads as f64),
    ),
    (
        "stoa_store_server_fallback_reads_total",
        "counter",
        "Reads that went to the primary because no replica could answer them.",
        |s| Some(s.fallbacks as f64),
    ),
    (
        "stoa_store_server_ejections_total",
        "counter",
        "Times that the server was taken out of use.",
        |s| Some(s.ejections as f64),
    ),
    (
        "stoa_store_server_returns_total",
        "counter",
        "Times that the server came back into use.",
        |s| Some(s.returns as f64),
    ),
];

/// Each server of each store, by the store's name.
pub(super) fn render(out: &mut String, servers: &[(String, Server)]) {
    if servers.is_empty() {
        return;
    }
    let name = "stoa_store_server_role";
    head(
        out,
        name,
        "gauge",
        "1 for what the server is: primary, replica, outdated, split, down.",
    );
    for (store, server) in servers {
        let _ = writeln!(
            out,
            "{name}{{{},role=\"{}\"}} 1",
            labels(store, server),
            server.role
        );
    }
    for (name, kind, help, value) in SERIES {
        head(out, name, kind, help);
        for (store, server) in servers {
            if let Some(value) = value(server) {
                let _ = writeln!(out, "{name}{{{}}} {value}", labels(store, server));
            }
        }
    }
}

fn labels(store: &str, server: &Server) -> String {
    let mut text = String::from("store=\"");
    quoted(&mut text, store);
    let _ = write!(text, "\",shard=\"{}\",server=\"", server.shard);
    quoted(&mut text, &server.name);
    text.push('"');
    text
}
