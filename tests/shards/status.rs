//! `stoa shard status` over real shards, well and not.

use crate::support::server::{Server, Setup, folder_with, stoa};
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

/// The file with the shards' URLs in this order, each a primary and what `read` names.
fn placed(shards: &[(String, Option<String>)]) -> String {
    let one = |(write, read): &(String, Option<String>)| {
        let read = read
            .as_ref()
            .map_or_else(String::new, |url| format!(", read: [\"{url}\"]"));
        format!("{{ write: \"{write}\"{read} }}")
    };
    let shards: Vec<String> = shards.iter().map(one).collect();
    format!(
        "api: a
stores: {{ main: {{ postgres: {{ shards: [{}] }} }} }}
resources:
  customers: {{ shard: id, read: public, write: public, fields: {{ id: \"text, key\" }} }}
",
        shards.join(", ")
    )
}

#[test]
fn servers_that_are_not_where_the_file_says_are_told() {
    let (first, second) = (Cluster::start(1), Cluster::start(0));
    let (a, b) = (url(&first.primary), url(&second.primary));
    let replica = url(&first.replicas[0]);
    let (_keep, folder) = folder_with(&placed(&[(a.clone(), Some(replica.clone())), (b.clone(), None)]));
    let write = |shards: &[(String, Option<String>)]| {
        std::fs::write(folder.join("stoa.yaml"), placed(shards)).expect("written");
    };
    assert_eq!(stoa(&folder, &["migrate", "apply"]).code, 0);

    write(&[(b.clone(), None), (a.clone(), None)]);
    let swapped = as_json(&folder, 1);
    for (place, own) in [(0, "shard 1"), (1, "shard 0")] {
        let shard = &swapped["stores"][0]["shards"][place];
        has(
            shard["fault"].as_str().unwrap_or_default(),
            &[own, "put the URLs back"],
        );
        assert_eq!(
            (&shard["buckets"], &shard["buckets_differing"]),
            (&json!(512), &json!(1024))
        );
    }

    // The primary's own address under another name is no replica, and is not taken for one that is never late.
    let again = a.replace("127.0.0.1", "localhost");
    write(&[(a.clone(), Some(again.clone())), (b.clone(), None)]);
    let lines = status(&folder, 1, &[]);
    let told = ["  primary: ", "localhost", "no replica", "`read`"];
    has(lines.lines().nth(1).unwrap_or_default(), &told);
    let mut server = Server::start(&Setup::new("serve", &folder));
    server.wait_for_line("main: shard 0: localhost:");
    server.wait_for_line("is given nothing: is the shard's primary");
    drop(server);
    write(&[(a.clone(), Some(a.clone())), (b.clone(), None)]);
    let checked = stoa(&folder, &["check"]);
    has(&checked.stderr, &["`read` names the primary itself"]);
    assert_eq!(
        status(&folder, 0, &[]).lines().count(),
        2,
        "one address is one server"
    );

    write(&[(a, Some(replica)), (b, None)]);
    first.wait_replayed();
    first.primary.kill();
    first.replicas[0].promote();
    let lines = status(&folder, 1, &[]);
    let lines: Vec<&str> = lines.lines().collect();
    let port = |server: &Postgres| format!(":{}", server.port);
    has(
        lines[0],
        &["main: shard 0: ", &port(&first.replicas[0]), "512 buckets"],
    );
    has(lines[1], &["  down: ", &port(&first.primary)]);
    assert_eq!(
        lines.len(),
        3,
        "the new primary is not listed as a replica too: {lines:?}"
    );
}
