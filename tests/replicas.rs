//! A primary with replicas behind the built binary: a caller never sees its own past, and roles are followed while it serves.

mod without_primary;

use crate::support::{
    client::{Answer, Client},
    server::{Server, Setup, folder_with},
};
use serde_json::{Value, json};
use std::{
    sync::{
        Once,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};
use stoa_exchange::clock;
use stoa_testkit::{Cluster, Postgres};

/// Rounds of a write and the read after it.
const ROUNDS: u32 = 2_000;
/// Callers at once.
const CALLERS: u32 = 4;
/// Callers who read beside one who writes.
const READERS: usize = 72;
/// Writes that are timed.
const WRITES: u32 = 60;
/// How long something may take to be noticed on a machine that does much else.
const NOTICE: Duration = Duration::from_secs(20);

fn file(cluster: &Cluster) -> String {
    let bound =
        "CREATE TABLE bound (id bigint PRIMARY KEY, n bigint NOT NULL); INSERT INTO bound VALUES (1, 1)";
    cluster.primary.sql("postgres", bound);
    let read: Vec<String> = cluster.replicas.iter().map(|r| r.url("postgres")).collect();
    format!(
        "api: a
stores:
  main:
    postgres:
      shards: [{{ write: \"{}\", read: [{}] }}]
resources:
  things:
    read: public
    write: public
    fields: {{ id: \"int, key\", n: int }}
  latest:
    table: bound
    read: public
    write: none
    consistency: strong
    fields: {{ id: \"int, key\", n: int }}
",
        cluster.primary.url("postgres"),
        read.join(", ")
    )
}

fn name(server: &Postgres) -> String {
    format!("127.0.0.1:{}", server.port)
}

fn send(client: &Client, method: &str, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
    let mut headers: Vec<(String, String)> = headers
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
        .collect();
    let body = body.map(|body| body.to_string());
    if body.is_some() {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    client
        .try_send(method, path, &headers, body.as_deref().map(str::as_bytes))
        .expect("the server answers")
}

/// Waits until something holds.
fn until(what: &str, mut holds: impl FnMut() -> bool) -> Duration {
    let began = clock::now();
    while !holds() {
        assert!(clock::now() < began + NOTICE, "waited in vain: {what}");
    }
    clock::now() - began
}

/// The value of a metric of a server.
fn metric(admin: &Client, metric: &str, server: &str) -> Option<f64> {
    let text = send(admin, "GET", "/metrics", &[], None).text;
    let line = text
        .lines()
        .find(|line| line.starts_with(metric) && line.contains(&format!("server=\"{server}\"")))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn who_has_written_sees_it_and_others_read_from_replicas() {
    let cluster = Cluster::start(2);
    let (_keep, folder) = folder_with(&file(&cluster));
    let server = Server::start(&Setup::new("dev", &folder));
    let admin = Client::new(&server.admin);
    cluster.replicas[0].delay_replay(Duration::from_millis(200));
    until("both replicas are in use", || {
        cluster
            .replicas
            .iter()
            .all(|r| metric(&admin, "stoa_store_server_in_use", &name(r)) == Some(1.0))
    });
    for id in 0..CALLERS {
        let made = send(
            &server.client,
            "POST",
            "/things",
            &[],
            Some(json!({ "id": id, "n": 0 })),
        );
        assert_eq!(made.status, 201, "{}", made.text);
    }
    let (stale, elsewhere) = (AtomicU32::new(0), AtomicU32::new(0));
    // In the second half the other replica applies nothing at all.
    let paused = Once::new();
    std::thread::scope(|scope| {
        for id in 0..CALLERS {
            let (http, cluster, stale, elsewhere) = (&server.http, &cluster, &stale, &elsewhere);
            let paused = &paused;
            scope.spawn(move || {
                let client = Client::new(http);
                let path = format!("/things/{id}");
                for n in 1..=ROUNDS / CALLERS {
                    if n > ROUNDS / CALLERS / 2 {
                        paused.call_once(|| cluster.replicas[1].pause_replay());
                    }
                    let wrote = send(&client, "PATCH", &path, &[], Some(json!({ "n": n })));
                    assert_eq!(wrote.status, 200, "{}", wrote.text);
                    let token = wrote
                        .header("stoa-consistency")
                        .expect("a write says where it is");
                    let seen = send(&client, "GET", &path, &[("stoa-consistency", &token)], None);
                    stale.fetch_add(u32::from(seen.json()["n"] != n), Ordering::Relaxed);
                    let other = send(&client, "GET", &path, &[("stoa-explain", "1")], None);
                    let explained = other.header("stoa-explain").expect("dev explains");
                    let explained: Value = serde_json::from_str(&explained).expect("it is JSON");
                    let by = explained["servers"][0]["server"]
                        .as_str()
                        .expect("a server answered");
                    elsewhere.fetch_add(u32::from(by != name(&cluster.primary)), Ordering::Relaxed);
                }
            });
        }
    });
    let (stale, elsewhere) = (stale.into_inner(), elsewhere.into_inner());
    assert_eq!(stale, 0, "of {ROUNDS} reads with a token were stale");
    assert!(
        elsewhere * 10 >= ROUNDS * 9,
        "{elsewhere} of {ROUNDS} other reads were answered by replicas"
    );
    let reads = |r: &Postgres| metric(&admin, "stoa_store_server_reads_total", &name(r)).unwrap_or(0.0);
    let counted: f64 = cluster.replicas.iter().map(reads).sum();
    assert!(counted >= f64::from(elsewhere), "{counted} are counted");
}

/// The replica applies everything a minute late and answers nothing any more, so the primary answers all readers, who are
/// more than it lets in at once. Writes beside them take about as long as when the replica answered.
#[test]
fn writes_take_no_longer_when_the_primary_answers_all_reads() {
    let cluster = Cluster::start(1);
    let shown = file(&cluster).replace("      shards:", "      max_lag: 1s\n      shards:");
    let (_keep, folder) = folder_with(&shown);
    let server = Server::start(&Setup::new("serve", &folder));
    let admin = Client::new(&server.admin);
    let late = &cluster.replicas[0];
    let in_use = |wanted: f64| metric(&admin, "stoa_store_server_in_use", &name(late)) == Some(wanted);
    let rows: Vec<Value> = (0..500).map(|id| json!({ "id": id, "n": 0 })).collect();
    let made = send(&server.client, "POST", "/things", &[], Some(json!(rows)));
    assert_eq!(made.status, 201, "{}", made.text);
    until("the replica answers", || in_use(1.0));
    let before = beside_readers(&server);
    late.delay_replay(Duration::from_mins(1));
    until("it is too late", || {
        let wrote = send(&server.client, "PATCH", "/things/1", &[], Some(json!({ "n": 1 })));
        assert_eq!(wrote.status, 200, "{}", wrote.text);
        in_use(0.0)
    });
    let after = beside_readers(&server);
    assert!(in_use(0.0));
    let instead = metric(
        &admin,
        "stoa_store_server_fallback_reads_total",
        &name(&cluster.primary),
    );
    assert!(instead.is_some_and(|reads| reads > 100.0), "{instead:?}");
    eprintln!("writes take {before:?} at most, then {after:?}");
    assert!(
        after < before * 3 + Duration::from_millis(100),
        "{before:?}, then {after:?}"
    );
}

/// How long writes take at most, but for one of a hundred, while many callers read.
fn beside_readers(server: &Server) -> Duration {
    let done = AtomicBool::new(false);
    let mut took: Vec<Duration> = std::thread::scope(|scope| {
        for _ in 0..READERS {
            scope.spawn(|| {
                let client = Client::new(&server.http);
                while !done.load(Ordering::Relaxed) {
                    let seen = send(&client, "GET", "/things?limit=5", &[], None);
                    let is_busy = seen.status == 503 && seen.header("retry-after").is_some();
                    assert!(seen.status == 200 || is_busy, "{} {}", seen.status, seen.text);
                }
            });
        }
        let write = |n: u32| {
            let began = clock::now();
            let path = format!("/things/{}", n % 500);
            let wrote = send(&server.client, "PATCH", &path, &[], Some(json!({ "n": n })));
            (wrote, began.elapsed())
        };
        let wrote: Vec<(Answer, Duration)> = (0..WRITES).map(write).collect();
        done.store(true, Ordering::Relaxed);
        let took = |(wrote, took): (Answer, Duration)| {
            assert_eq!(wrote.status, 200, "{}", wrote.text);
            took
        };
        wrote.into_iter().map(took).collect()
    });
    took.sort_unstable();
    took[took.len() * 99 / 100]
}

#[test]
fn a_promotion_is_followed_while_it_serves() {
    let cluster = Cluster::start(1);
    let (_keep, folder) = folder_with(&file(&cluster));
    let mut server = Server::start(&Setup::new("serve", &folder));
    let admin = Client::new(&server.admin);
    let cookie = a_page_sees_what_it_wrote(&server.client);
    cluster.primary.kill();
    writes_stop_and_reads_go_on(&server.client, &cookie);
    assert_eq!(send(&admin, "GET", "/readyz", &[], None).status, 200);

    cluster.replicas[0].promote();
    let took = until("the new primary is written to", || {
        insert(&server.client, 2).status == 201
    });
    assert!(took < Duration::from_secs(2), "it took {took:?}");
    let again = insert(&server.client, 2);
    assert_eq!(again.header("idempotent-replayed").as_deref(), Some("true"));
    assert!(again.header("stoa-consistency").is_some());
    assert_eq!(send(&server.client, "GET", "/latest/1", &[], None).status, 200);
    // Whoever starts now finds the new primary, and reads what the first process has signed.
    let second = Server::start(&Setup::new("serve", &folder));
    let token = again.header("stoa-consistency").unwrap_or_default();
    let seen = send(
        &second.client,
        "GET",
        "/things/2",
        &[("stoa-consistency", &token)],
        None,
    );
    assert_eq!(seen.status, 200, "{}", seen.text);

    cluster.primary.resume();
    until("the old primary is known for what it is", || {
        let text = send(&admin, "GET", "/metrics", &[], None).text;
        let old = name(&cluster.primary);
        text.lines()
            .any(|l| l.contains(&old) && l.contains("role=\"outdated\""))
    });
    for id in 3..23 {
        assert_eq!(insert(&server.client, id).status, 201);
    }
    let lost = "SELECT count(*) FROM things WHERE id > 1";
    assert_eq!(cluster.primary.ask("postgres", lost), "0");
    let ready = send(&admin, "GET", "/readyz?verbose", &[], None).text;
    assert!(ready.contains("was left behind"), "{ready}");
    server.wait_for_line("writes stop");
    server.wait_for_line("was left behind");
}

fn insert(client: &Client, id: u32) -> Answer {
    let key = format!("k{id}");
    let row = json!({ "id": id, "n": 1 });
    send(client, "POST", "/things", &[("idempotency-key", &key)], Some(row))
}

/// Gives the page's cookie.
fn a_page_sees_what_it_wrote(client: &Client) -> String {
    let page = [("origin", "https://a.example")];
    let made = send(client, "POST", "/things", &page, Some(json!({ "id": 1, "n": 1 })));
    assert_eq!(made.status, 201, "{}", made.text);
    let cookie = made.header("set-cookie").expect("a page gets a cookie");
    let cookie = cookie.split(';').next().expect("a cookie has a value").to_owned();
    let seen = send(client, "GET", "/things/1", &[("cookie", &cookie)], None);
    assert_eq!(seen.json()["n"], 1);
    assert!(seen.header("stoa-position").is_some());
    until("the replica has it", || {
        send(client, "GET", "/things/1", &[], None).status == 200
    });
    let forged = send(client, "GET", "/things/1", &[("stoa-consistency", "AAAA")], None);
    assert_eq!(
        (forged.status, forged.json()["code"].as_str()),
        (400, Some("bad-consistency"))
    );
    cookie
}

fn writes_stop_and_reads_go_on(client: &Client, cookie: &str) {
    until("writes are refused for what it is", || {
        let refused = insert(client, 2);
        assert_eq!(
            (refused.status, refused.header("retry-after").as_deref()),
            (503, Some("1"))
        );
        refused.json()["code"] == "no-primary"
    });
    assert_eq!(
        send(client, "GET", "/things/1", &[("cookie", cookie)], None).status,
        200
    );
    assert_eq!(send(client, "GET", "/latest/1", &[], None).status, 503);
    let strict = [("stoa-consistency", "strong")];
    assert_eq!(send(client, "GET", "/things/1", &strict, None).status, 503);
}
