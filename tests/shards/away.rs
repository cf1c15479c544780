//! A process that starts while one of four shards is away: the others are served, and it joins when it is there and its tables fit.

use super::PATIENCE;
use crate::support::{
    client::{Answer, Client},
    server::{Server, Setup, folder_with, stoa},
};
use serde_json::json;
use std::{fs, path::Path};
use stoa_exchange::clock;
use stoa_testkit::Cluster;

/// The shard that is away.
const AWAY: usize = 2;

fn file(clusters: &[Cluster], fields: &str) -> String {
    let shards: Vec<String> = clusters
        .iter()
        .map(|c| format!("{{ write: \"{}\" }}", c.primary.url("postgres")))
        .collect();
    format!(
        "api: a
stores: {{ main: {{ postgres: {{ shards: [{}] }} }} }}
resources:
  countries: {{ read: public, write: public, fields: {{ id: \"text, key\" }} }}
  customers:
    shard: id
    read: public
    write: public
    fields: {{ id: \"text, key\", {fields} }}
",
        shards.join(", ")
    )
}

fn start(folder: &Path) -> Server {
    Server::start(&Setup::new("serve", folder))
}

/// Asks until an answer fits.
fn until(what: &str, client: &Client, path: &str, fits: impl Fn(&Answer) -> bool) -> Answer {
    let began = clock::now();
    loop {
        let answer = client.get(path);
        if fits(&answer) {
            return answer;
        }
        assert!(
            clock::now() < began + PATIENCE,
            "{what}: {path} gives {} {}",
            answer.status,
            answer.text
        );
    }
}

/// A refusal that names the shard which is away, and says when to come back.
fn is_refused(answer: &Answer) {
    is_refused_by(AWAY, answer);
}

fn is_refused_by(shard: usize, answer: &Answer) {
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert!(answer.header("retry-after").is_some());
    let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
    assert!(detail.contains(&format!("hard {shard} ")), "{detail}");
}

/// The id of a customer on each shard, of those that a first process makes.
fn customers(clusters: &[Cluster], folder: &Path) -> Vec<String> {
    let server = start(folder);
    for n in 0..30 {
        let made = server
            .client
            .send("POST", "/customers", &[], Some(&json!({ "id": format!("c{n}") })));
        assert_eq!(made.status, 201, "{}", made.text);
    }
    let on = |c: &Cluster| c.primary.ask("postgres", "SELECT id FROM customers LIMIT 1");
    clusters.iter().map(on).collect()
}

#[test]
fn a_shard_that_is_away_at_the_start_joins_when_it_is_there() {
    let clusters: Vec<Cluster> = (0..4).map(|_| Cluster::start(0)).collect();
    let (_keep, folder) = folder_with(&file(&clusters, "name: \"text, optional\""));
    let ids = customers(&clusters, &folder);
    clusters[AWAY].primary.kill();
    // What the file says by now was never done there.
    let next = file(&clusters, "name: \"text, optional\", tier: \"int, optional\"");
    fs::write(folder.join("stoa.yaml"), next).expect("written");
    let mut server = start(&folder);
    others_are_served(&mut server, &ids);
    clusters[AWAY].primary.resume();
    let path = format!("/customers/{}", ids[AWAY]);
    until("it joins", &server.client, &path, |answer| answer.status == 200);
    server.wait_for_line("shard 2 is served from now on, after 1 steps");
    let patched = server.client.send(
        "PATCH",
        &path,
        &[("stoa-consistency", "strong")],
        Some(&json!({ "tier": 7 })),
    );
    assert_eq!((patched.status, &patched.json()["tier"]), (200, &json!(7)));
    let all = server.client.get("/customers?limit=100");
    assert_eq!(all.json().as_array().map(Vec::len), Some(30));
    one_that_dies_later_is_named(&clusters[AWAY], &server, &path);
    drop(server);
    tables_that_do_not_fit_keep_it_out(&clusters, &folder, &ids);
    the_first_may_be_away_too(&clusters, &folder, &ids);
    for cluster in &clusters {
        cluster.primary.kill();
    }
    let refused = Server::try_start(&Setup::new("serve", &folder))
        .err()
        .expect("it ends");
    assert!(refused.contains("store main: shard 0: "), "{refused}");
}

/// The first shard has the map, the key of cursors and what is not spread. The others know enough of it to serve their
/// own rows; a cursor that a process gave when all were there goes on.
fn the_first_may_be_away_too(clusters: &[Cluster], folder: &Path, ids: &[String]) {
    let before = start(folder);
    let page = before.client.get("/customers?limit=3");
    let link = page.header("link").expect("there is more");
    let next = link.split(['<', '>']).nth(1).expect("a link has an address");
    let next = next[next.find("/customers").expect("it leads on")..].to_owned();
    let rest = before.client.get(&next);
    drop(before);
    clusters[0].primary.kill();
    assert!(
        stoa(folder, &["migrate", "plan"]).code != 0,
        "a migration needs all"
    );
    let mut server = start(folder);
    server.wait_for_line("shard 0 is not served: ");
    let client = &server.client;
    is_refused_by(0, &client.get("/countries"));
    is_refused_by(0, &client.get("/customers"));
    for (shard, id) in ids.iter().enumerate() {
        let change = json!({ "name": "y" });
        let written = client.send("PATCH", &format!("/customers/{id}"), &[], Some(&change));
        if shard == 0 {
            is_refused_by(0, &written);
        } else {
            assert_eq!(written.status, 200, "{}", written.text);
        }
    }
    let partial = [("prefer", "partial=allow")];
    let some = client.send("GET", "/customers?limit=100", &partial, None);
    assert_eq!(
        some.header("stoa-missing-shards").as_deref(),
        Some("0"),
        "{}",
        some.text
    );
    let of_others = some.json().as_array().map_or(0, Vec::len);
    clusters[0].primary.resume();
    until("it joins", client, "/countries", |answer| answer.status == 200);
    let all = until("the list is whole", client, "/customers?limit=100", |answer| {
        answer.status == 200
    });
    assert!(
        of_others < 30 && all.json().as_array().map(Vec::len) == Some(30),
        "{of_others}"
    );
    let again = client.get(&next);
    assert_eq!((again.status, again.text), (200, rest.text), "the cursor goes on");
    drop(server);
    with_another_nobody_knows_what_is_missing(clusters, folder, ids);
}

/// Without the first and one more, nobody knows which of the two has a bucket that none of the others owns: what those own
/// is served, and no list claims to know what it leaves out.
fn with_another_nobody_knows_what_is_missing(clusters: &[Cluster], folder: &Path, ids: &[String]) {
    for away in [0, 1] {
        clusters[away].primary.kill();
    }
    let server = start(folder);
    let client = &server.client;
    for (shard, id) in ids.iter().enumerate() {
        let seen = client.get(&format!("/customers/{id}"));
        assert_eq!(seen.status, if shard < 2 { 503 } else { 200 }, "{}", seen.text);
    }
    let partial = [("prefer", "partial=allow")];
    is_refused_by(0, &client.send("GET", "/customers", &partial, None));
    for away in [1, 0] {
        clusters[away].primary.resume();
    }
    let all = until("the list is whole", client, "/customers?limit=100", |answer| {
        answer.status == 200
    });
    assert_eq!(all.json().as_array().map(Vec::len), Some(30));
}

fn others_are_served(server: &mut Server, ids: &[String]) {
    let client = &server.client;
    for (shard, id) in ids.iter().enumerate() {
        let seen = client.get(&format!("/customers/{id}"));
        let change = json!({ "name": "x" });
        let written = client.send("PATCH", &format!("/customers/{id}"), &[], Some(&change));
        if shard == AWAY {
            is_refused(&seen);
            is_refused(&written);
        } else {
            assert_eq!(
                (seen.status, written.status),
                (200, 200),
                "{} {}",
                seen.text,
                written.text
            );
        }
    }
    assert_eq!(
        client
            .send("POST", "/countries", &[], Some(&json!({ "id": "de" })))
            .status,
        201
    );
    is_refused(&client.get("/customers"));
    let partial = [("prefer", "partial=allow")];
    let some = client.send("GET", "/customers?limit=100", &partial, None);
    assert_eq!(some.status, 200, "{}", some.text);
    assert_eq!(some.header("stoa-missing-shards").as_deref(), Some("2"));
    let split = json!(ids.iter().map(|id| json!({ "id": id })).collect::<Vec<_>>());
    let parts = client.send(
        "POST",
        "/customers",
        &[("prefer", "atomic=per-shard")],
        Some(&split),
    );
    let states: Vec<_> = (0..4)
        .map(|n| parts.json()["parts"][n]["status"].clone())
        .collect();
    assert_eq!(
        states,
        [json!(409), json!(409), json!(503), json!(409)],
        "{}",
        parts.text
    );
    let request = parts.header("x-request-id").expect("a reply has an id");
    let ready = Client::new(&server.admin).get("/readyz?verbose");
    assert!(
        ready.status == 200 && ready.text.contains("shard 2 is not served: "),
        "{}",
        ready.text
    );
    server.wait_for_line("shard 2 is not served: ");
    // Why the part failed is in the record of the request, and not in its reply.
    let line = server.wait_for_line("shard 2: store-unavailable: ");
    assert!(line.contains(&request) && !line.contains("postgres://"), "{line}");
}

/// Who asks how the store is reads which shard died while the process served, and no more of it when it is back.
fn one_that_dies_later_is_named(cluster: &Cluster, server: &Server, path: &str) {
    let admin = Client::new(&server.admin);
    let ready = || admin.get("/readyz?verbose");
    assert!(!ready().text.contains("[-]"), "{}", ready().text);
    cluster.primary.kill();
    is_refused(&server.client.get(path));
    until("it is named", &admin, "/readyz?verbose", |answer| {
        answer.status == 200 && answer.text.contains("shard 2 does not answer: ")
    });
    cluster.primary.resume();
    until("it is back", &admin, "/readyz?verbose", |answer| {
        !answer.text.contains("[-]")
    });
    until("it is served", &server.client, path, |answer| {
        answer.status == 200
    });
}

/// What was changed while no process looked would lose data: that shard is left out, and who asks is told what is missing.
fn tables_that_do_not_fit_keep_it_out(clusters: &[Cluster], folder: &Path, ids: &[String]) {
    let shard = &clusters[AWAY].primary;
    shard.sql(
        "postgres",
        "ALTER TABLE customers ALTER tier TYPE text, ALTER tier SET DEFAULT 'x'",
    );
    shard.sql("postgres", "UPDATE customers SET tier = 'gold'");
    shard.kill();
    let mut server = start(folder);
    shard.resume();
    let admin = Client::new(&server.admin);
    until("the step is named", &admin, "/readyz?verbose", |answer| {
        answer.text.contains("tier")
    });
    server.wait_for_line("tier");
    is_refused(&server.client.get(&format!("/customers/{}", ids[AWAY])));
    assert_eq!(server.client.get(&format!("/customers/{}", ids[1])).status, 200);
    shard.sql("postgres", "UPDATE customers SET tier = NULL");
    shard.sql(
        "postgres",
        "ALTER TABLE customers ALTER tier DROP DEFAULT, ALTER tier TYPE bigint USING tier::bigint",
    );
    let path = format!("/customers/{}", ids[AWAY]);
    until("it joins", &server.client, &path, |answer| answer.status == 200);
}
