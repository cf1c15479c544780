//! A process that starts while no server takes writes: replicas that have all the file needs answer reads at once, and the
//! primary is taken in when it is there.

use super::{NOTICE, file, insert, name, send, until};
use crate::support::{
    client::{Answer, Client},
    server::{Server, Setup, folder_with},
};
use serde_json::json;
use std::{fs, path::Path};
use stoa_exchange::clock;
use stoa_testkit::Cluster;

/// What was to be refused: with a time to come back, and a code.
fn is_refused(answer: &Answer, codes: &[&str]) {
    assert_eq!(
        (answer.status, answer.header("retry-after").as_deref()),
        (503, Some("1")),
        "{}",
        answer.text
    );
    let code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
    assert!(codes.contains(&code.as_str()), "{}", answer.text);
}

fn start(folder: &Path) -> Server {
    Server::start(&Setup::new("serve", folder))
}

fn verbose(server: &Server) -> Answer {
    send(&Client::new(&server.admin), "GET", "/readyz?verbose", &[], None)
}

#[test]
fn replicas_answer_reads_until_there_is_a_primary() {
    let cluster = Cluster::start(2);
    let text = file(&cluster);
    let (_keep, folder) = folder_with(&text);
    let first = start(&folder);
    assert_eq!(insert(&first.client, 1).status, 201);
    let token = insert(&first.client, 2)
        .header("stoa-consistency")
        .expect("a token");
    drop(first);
    cluster.wait_replayed();
    cluster.primary.kill();

    let mut server = start(&folder);
    reads_alone_are_served(&cluster, &server, &token);
    cluster.primary.resume();
    taken_in(&mut server, 4);
    until("replicas answer again", || {
        let seen = send(&server.client, "GET", "/things/4", &[("stoa-explain", "1")], None);
        seen.status == 200 && !verbose(&server).text.contains("[-]")
    });
    drop(server);

    // The replicas have nothing of a new field: there is nothing to serve.
    cluster.wait_replayed();
    cluster.primary.kill();
    let next = text.replacen("n: int }", "n: int, note: \"text, optional\" }", 1);
    fs::write(folder.join("stoa.yaml"), next).expect("written");
    let refused = Server::try_start(&Setup::new("serve", &folder))
        .err()
        .expect("it ends");
    assert!(
        refused.contains(&name(&cluster.replicas[0]))
            && refused.contains("missing: ")
            && refused.contains("note"),
        "{refused}"
    );

    // One that is promoted is written to.
    fs::write(folder.join("stoa.yaml"), &text).expect("written");
    let mut server = start(&folder);
    assert_eq!(send(&server.client, "GET", "/things/4", &[], None).status, 200);
    is_refused(&insert(&server.client, 5), &["no-primary"]);
    cluster.replicas[0].promote();
    taken_in(&mut server, 5);
    assert_eq!(
        cluster.replicas[0].ask("postgres", "SELECT count(*) FROM things WHERE id = 5"),
        "1"
    );
}

/// Reads of the server without a primary, and what it refuses.
fn reads_alone_are_served(cluster: &Cluster, server: &Server, token: &str) {
    let seen = [("stoa-consistency", token)];
    for path in [
        "/things/1",
        "/things/2",
        "/things?order=id",
        "/things?select=n&id=eq.2",
    ] {
        let answer = send(&server.client, "GET", path, &seen, None);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    }
    is_refused(&insert(&server.client, 3), &["no-primary"]);
    let deleted = send(&server.client, "DELETE", "/things/1", &[], None);
    is_refused(&deleted, &["no-primary"]);
    is_refused(
        &send(&server.client, "GET", "/latest/1", &[], None),
        &["no-primary"],
    );
    let ready = verbose(server);
    assert_eq!(ready.status, 200, "{}", ready.text);
    assert!(
        ready
            .text
            .contains("takes no writes, reads are served by replicas")
            && ready.text.contains(&name(&cluster.primary)),
        "{}",
        ready.text
    );
}

/// What takes writes is there now: the process writes without a restart.
fn taken_in(server: &mut Server, id: u32) {
    until("it is written to", || insert(&server.client, id).status == 201);
    server.wait_for_line("shard 0 is served from now on");
    let strict = [("stoa-consistency", "strong")];
    let path = format!("/things/{id}");
    assert_eq!(send(&server.client, "GET", &path, &strict, None).status, 200);
    assert_eq!(send(&server.client, "GET", "/latest/1", &[], None).status, 200);
}

fn sharded(clusters: &[Cluster], fields: &str) -> String {
    let shard = |c: &Cluster| {
        let (write, read) = (c.primary.url("postgres"), c.replicas[0].url("postgres"));
        format!("{{ write: \"{write}\", read: [\"{read}\"] }}")
    };
    let shards: Vec<String> = clusters.iter().map(shard).collect();
    format!(
        "api: a
stores: {{ main: {{ postgres: {{ shards: [{}] }} }} }}
resources:
  things: {{ read: public, write: public, fields: {{ id: \"int, key\", n: int }} }}
  customers:
    shard: id
    read: public
    write: public
    fields: {{ id: \"text, key\", {fields} }}
",
        shards.join(", ")
    )
}

#[test]
fn replicas_of_a_shard_answer_reads_until_it_has_a_primary() {
    let clusters = [Cluster::start(1), Cluster::start(1)];
    let (_keep, folder) = folder_with(&sharded(&clusters, "name: \"text, optional\""));
    let first = start(&folder);
    for n in 0..20 {
        let made = send(
            &first.client,
            "POST",
            "/customers",
            &[],
            Some(json!({ "id": format!("c{n}") })),
        );
        assert_eq!(made.status, 201, "{}", made.text);
    }
    drop(first);
    clusters.iter().for_each(Cluster::wait_replayed);
    let on = |c: &Cluster| c.primary.ask("postgres", "SELECT id FROM customers LIMIT 1");
    let ids = [on(&clusters[0]), on(&clusters[1])];

    // Of both shards nobody takes writes: all is read, and nothing written.
    for cluster in &clusters {
        cluster.primary.kill();
    }
    let mut server = start(&folder);
    all_are_read(&server, 20);
    for id in &ids {
        is_refused(&rename(&server, id), &["shard-no-primary", "no-primary"]);
    }
    clusters[1].primary.resume();
    until("the second shard is written to", || {
        rename(&server, &ids[1]).status == 200
    });
    server.wait_for_line("shard 1 is served from now on");
    is_refused(&rename(&server, &ids[0]), &["shard-no-primary", "no-primary"]);
    all_are_read(&server, 20);
    clusters[0].primary.resume();
    until("the first one too", || rename(&server, &ids[0]).status == 200);
    drop(server);

    // With a new field the replica of the second does not fit: that shard is not served, and it is said why.
    clusters.iter().for_each(Cluster::wait_replayed);
    clusters[1].primary.kill();
    fs::write(
        folder.join("stoa.yaml"),
        sharded(&clusters, "name: \"text, optional\", tier: \"int, optional\""),
    )
    .expect("written");
    let mut server = start(&folder);
    assert_eq!(rename(&server, &ids[0]).status, 200);
    let path = format!("/customers/{}", ids[1]);
    assert_eq!(send(&server.client, "GET", &path, &[], None).status, 503);
    server.wait_for_line("tier");
    let ready = verbose(&server).text;
    assert!(
        ready.contains("shard 1 is not served") && ready.contains("tier"),
        "{ready}"
    );
    clusters[1].primary.resume();
    until("it is migrated and served", || {
        send(&server.client, "GET", &path, &[], None).status == 200
    });
    server.wait_for_line("shard 1 is served from now on, after 1 steps");
}

fn rename(server: &Server, id: &str) -> Answer {
    let path = format!("/customers/{id}");
    send(&server.client, "PATCH", &path, &[], Some(json!({ "name": "x" })))
}

/// Of every shard, by one key and in a list.
fn all_are_read(server: &Server, rows: usize) {
    let began = clock::now();
    loop {
        let all = send(&server.client, "GET", "/customers?limit=100", &[], None);
        if all.status == 200 {
            assert_eq!(all.json().as_array().map(Vec::len), Some(rows), "{}", all.text);
            return;
        }
        // A replica rests a moment after its server has sent its connections away.
        assert!(clock::now() < began + NOTICE, "{} {}", all.status, all.text);
    }
}
