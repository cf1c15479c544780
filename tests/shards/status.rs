//! `stoa shard status` over real shards, well and not.

use crate::support::server::{folder_with, stoa};
use serde_json::{Value, json};
use std::path::Path;
use stoa_testkit::{Cluster, Postgres};

/// A password, which the servers do not ask for.
const SECRET: &str = "hidden-word";

fn url(server: &Postgres) -> String {
    server
        .url("postgres")
        .replace("stoa@", &format!("stoa:{SECRET}@"))
}

fn status(folder: &Path, code: i32, words: &[&str]) -> String {
    let ran = stoa(folder, &[&["shard", "status"], words].concat());
    assert_eq!(ran.code, code, "{}{}", ran.stdout, ran.stderr);
    assert!(
        !ran.stdout.contains(SECRET),
        "no password is shown: {}",
        ran.stdout
    );
    ran.stdout
}

fn as_json(folder: &Path, code: i32) -> Value {
    let text = status(folder, code, &["--json"]);
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

fn has(line: &str, parts: &[&str]) {
    assert!(
        parts.iter().all(|part| line.contains(part)),
        "{line} has not {parts:?}"
    );
}

#[test]
fn the_status_of_shards_is_shown() {
    let (first, second) = (Cluster::start(1), Cluster::start(0));
    let (_keep, folder) = folder_with(&format!(
        "api: a
stores:
  main:
    postgres:
      shards:
        - {{ write: \"{}\", read: [\"{}\"] }}
        - {{ write: \"{}\" }}
resources:
  customers: {{ shard: id, read: public, write: public, fields: {{ id: \"text, key\" }} }}
",
        url(&first.primary),
        url(&first.replicas[0]),
        url(&second.primary)
    ));
    let fresh = as_json(&folder, 0);
    assert_eq!(fresh["stores"][0]["shards"][0]["buckets"], Value::Null, "{fresh}");
    assert_eq!(stoa(&folder, &["migrate", "apply"]).code, 0);
    first.wait_replayed();
    two_that_are_well(&folder, (&first, &second));

    let other = "DELETE FROM _stoa_owned WHERE bucket = 1000";
    second.primary.sql("postgres", other);
    has(
        &status(&folder, 1, &[]),
        &["512 buckets by the map, 511 of its own"],
    );
    second.primary.kill();
    first.replicas[0].kill();
    let down = as_json(&folder, 1);
    let shards = &down["stores"][0]["shards"];
    assert_eq!(
        (&shards[1]["primary"], &shards[1]["buckets"]),
        (&Value::Null, &Value::Null)
    );
    assert!(
        shards[1]["fault"].as_str().is_some_and(|why| !why.is_empty()),
        "{down}"
    );
    assert!(shards[0]["replicas"][0]["fault"].is_string(), "{down}");
}

fn two_that_are_well(folder: &Path, (first, second): (&Cluster, &Cluster)) {
    let lines = status(folder, 0, &[]);
    let lines: Vec<&str> = lines.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    let port = |server: &Postgres| format!(":{}", server.port);
    has(
        lines[0],
        &["main: shard 0: ", &port(&first.primary), ", 512 buckets, epoch 1"],
    );
    has(
        lines[1],
        &["  replica: ", &port(&first.replicas[0]), " 0 bytes behind"],
    );
    has(
        lines[2],
        &[
            "main: shard 1: ",
            &port(&second.primary),
            ", 512 buckets, epoch 1",
        ],
    );
    let well = as_json(folder, 0);
    let shards = &well["stores"][0]["shards"];
    assert_eq!(well["stores"][0]["store"], "main");
    for shard in [0, 1] {
        let one = &shards[shard];
        let said = (
            &one["shard"],
            &one["buckets"],
            &one["buckets_by_map"],
            &one["fault"],
        );
        assert_eq!(
            said,
            (&json!(shard), &json!(512), &json!(512), &Value::Null),
            "{well}"
        );
    }
    assert_eq!(shards[0]["replicas"][0]["lag_bytes"], 0);
}
