//! What was acknowledged stays, and what happens once happens once: kills, signals and races under load.

use crate::support::{
    client::{Answer, Client},
    server::{Server, Setup, folder_with, stoa},
    stores::Stores,
};
use serde_json::{Value, json};
use std::{
    collections::HashSet,
    fs,
    path::Path,
    sync::{
        Barrier, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};
use stoa_exchange::clock;
use stoa_testkit::Postgres;

const FILE: &str = "
api: faults
stores: { main: sqlite:faults.db }
resources:
  rows:
    fields: { n: int, who: text }
    list: { max: 1000 }
    read: public
    write: public
";
/// Clients that write at the same time.
const WRITERS: usize = 8;
/// Clients that want to change one version of one row.
const RIVALS: usize = 50;

fn start(folder: &Path) -> Server {
    Server::start(&Setup::new("serve", folder))
}

/// Writes rows from several clients until `enough` or the server is gone; returns the ids it acknowledged.
fn write_until(server: &Server, enough: &(dyn Fn(usize) -> bool + Sync)) -> Vec<String> {
    let (acknowledged, stop) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let count = AtomicUsize::new(0);
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let (acknowledged, stop, count) = (&acknowledged, &stop, &count);
            scope.spawn(move || {
                let client = Client::new(&server.http);
                let headers = [("content-type".to_owned(), "application/json".to_owned())];
                for n in 0.. {
                    if stop.load(SeqCst) {
                        return;
                    }
                    let body = json!({ "n": n, "who": format!("w{writer}") }).to_string();
                    let Ok(answer) = client.try_send("POST", "/rows", &headers, Some(body.as_bytes())) else {
                        return;
                    };
                    if answer.status == 201 {
                        let id = answer.json()["id"]
                            .as_str()
                            .expect("a created row has an id")
                            .to_owned();
                        acknowledged.lock().expect("no writer panicked").push(id);
                        if enough(count.fetch_add(1, SeqCst) + 1) {
                            stop.store(true, SeqCst);
                        }
                    } else {
                        assert_eq!(
                            answer.status, 503,
                            "only a draining server refuses: {}",
                            answer.text
                        );
                    }
                }
            });
        }
    });
    acknowledged.into_inner().expect("no writer panicked")
}

/// The ids of all rows, read page by page along the cursors.
fn all_ids(server: &Server) -> HashSet<String> {
    let mut ids = HashSet::new();
    let mut path = "/rows?select=id&order=id&limit=1000".to_owned();
    loop {
        let answer = server.client.get(&path);
        assert_eq!(answer.status, 200, "{}", answer.text);
        for row in answer.json().as_array().expect("a list") {
            let new = ids.insert(row["id"].as_str().expect("an id").to_owned());
            assert!(new, "no row comes twice: {row}");
        }
        let Some(link) = answer.header("link") else {
            return ids;
        };
        let target = link
            .trim_start_matches('<')
            .split('>')
            .next()
            .expect("a link has a target");
        let at = target.find("/rows").expect("the link leads to the same list");
        target[at..].clone_into(&mut path);
    }
}

#[test]
fn a_kill_loses_no_acknowledged_write() {
    let (_keep, folder) = folder_with(FILE);
    let server = start(&folder);
    let acknowledged = write_until(&server, &|count| {
        if count == 1_000 {
            server.signal("KILL");
        }
        false
    });
    drop(server);
    assert!(acknowledged.len() >= 1_000, "{}", acknowledged.len());
    let server = start(&folder);
    let ids = all_ids(&server);
    let lost = acknowledged.iter().filter(|id| !ids.contains(*id)).count();
    assert_eq!(lost, 0, "of {} acknowledged writes", acknowledged.len());
    // At most the request each writer had under way was written without being acknowledged.
    assert!(ids.len() <= acknowledged.len() + WRITERS, "{} rows", ids.len());
}

#[test]
fn an_end_by_signal_under_load_answers_what_it_began() {
    let (_keep, folder) = folder_with(FILE);
    let mut server = start(&folder);
    let acknowledged = write_until(&server, &|count| {
        if count == 500 {
            server.signal("TERM");
        }
        false
    });
    let status = server.wait();
    assert!(status.success(), "{status}");
    drop(server);
    let server = start(&folder);
    let ids = all_ids(&server);
    assert_eq!(
        ids.len(),
        acknowledged.len(),
        "what is there is what was acknowledged"
    );
    assert!(acknowledged.iter().all(|id| ids.contains(id)));
}

#[test]
fn racing_retries_of_one_key_write_one_row() {
    let (_keep, folder) = folder_with(FILE);
    let server = start(&folder);
    for round in 0..10 {
        let barrier = Barrier::new(WRITERS);
        let key = format!("\"race-{round}\"");
        let send = || {
            let client = Client::new(&server.http);
            barrier.wait();
            client.send(
                "POST",
                "/rows",
                &[("idempotency-key", &key)],
                Some(&json!({ "n": round, "who": "race" })),
            )
        };
        let answers: Vec<Answer> = thread::scope(|scope| {
            let threads: Vec<_> = (0..WRITERS).map(|_| scope.spawn(send)).collect();
            threads
                .into_iter()
                .map(|t| t.join().expect("the client does not panic"))
                .collect()
        });
        let first = answers
            .iter()
            .filter(|a| a.status == 201 && a.header("idempotent-replayed").is_none());
        assert_eq!(first.count(), 1, "one of the retries does the work");
        let others = answers.iter().all(|a| a.status == 201 || a.status == 409);
        assert!(
            others,
            "{:?}",
            answers.iter().map(|a| a.status).collect::<Vec<_>>()
        );
        let rows = server.client.get(&format!("/rows?n=eq.{round}")).json();
        assert_eq!(rows.as_array().map(Vec::len), Some(1), "round {round}");
    }
}

#[test]
fn one_of_many_conditional_writes_wins() {
    for kind in ["sqlite", "postgres", "shards"] {
        eprintln!("on {kind}");
        let mut stores = Stores::start(kind);
        one_of_many_wins(&FILE.replace("sqlite:faults.db", &stores.fresh(None)));
    }
}

fn one_of_many_wins(file: &str) {
    let (_keep, folder) = folder_with(file);
    let server = start(&folder);
    let created = server
        .client
        .send("POST", "/rows", &[], Some(&json!({ "n": 0, "who": "a" })));
    let path = created.header("location").expect("a created row has a place");
    let mut tag = created.header("etag").expect("a row has a tag");
    for round in 1..=5 {
        let barrier = Barrier::new(RIVALS);
        let send = || {
            let client = Client::new(&server.http);
            barrier.wait();
            client.send(
                "PATCH",
                &path,
                &[("if-match", &tag)],
                Some(&json!({ "n": round })),
            )
        };
        let answers: Vec<Answer> = thread::scope(|scope| {
            let threads: Vec<_> = (0..RIVALS).map(|_| scope.spawn(send)).collect();
            threads
                .into_iter()
                .map(|t| t.join().expect("the client does not panic"))
                .collect()
        });
        let mut statuses: Vec<u16> = answers.iter().map(|a| a.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses[0], 200, "{statuses:?}");
        assert!(statuses[1..].iter().all(|s| *s == 412), "{statuses:?}");
        tag = server.client.get(&path).header("etag").expect("a row has a tag");
    }
}

/// Callers of a database that hangs.
const STUCK: usize = 40;
/// Requests beside them that have nothing to do with it.
const BESIDE: usize = 50;
/// How long a request that has nothing to do with it may take, on a machine that does much else.
const UNTOUCHED: Duration = Duration::from_secs(2);

#[test]
fn a_database_that_hangs_holds_up_nobody_else() {
    let postgres = Postgres::start();
    let (_keep, folder) = folder_with(&format!(
        "api: a
stores: {{ here: sqlite:here.db, there: \"{}\" }}
resources:
  near: {{ store: here, read: public, write: public, fields: {{ n: int }} }}
  far: {{ store: there, read: public, write: public, fields: {{ n: int }} }}
",
        postgres.url("postgres")
    ));
    let server = start(&folder);
    assert_eq!(server.client.get("/far").status, 200);
    postgres.signal("-STOP");
    let asked = AtomicUsize::new(0);
    thread::scope(|scope| {
        for n in 0..STUCK {
            let (server, asked) = (&server, &asked);
            scope.spawn(move || {
                let client = Client::new(&server.http);
                asked.fetch_add(1, SeqCst);
                let stuck = match n % 2 {
                    0 => client.get("/far"),
                    _ => client.send("POST", "/far", &[], Some(&json!({ "n": n }))),
                };
                let is_refused = stuck.status == 503 && stuck.header("retry-after").is_some();
                assert!(
                    is_refused || matches!(stuck.status, 200 | 201),
                    "{} {}",
                    stuck.status,
                    stuck.text
                );
            });
        }
        while asked.load(SeqCst) < STUCK {
            thread::yield_now();
        }
        let beside = |n: usize| {
            let began = clock::now();
            let made = server.client.send("POST", "/near", &[], Some(&json!({ "n": n })));
            let seen = server.client.get("/near?limit=1");
            (made.status, seen.status, began.elapsed())
        };
        let beside: Vec<_> = (0..BESIDE).map(beside).collect();
        // However this ends, who is stuck is answered.
        postgres.signal("-CONT");
        for (made, seen, took) in beside {
            assert_eq!((made, seen), (201, 200));
            assert!(took < UNTOUCHED, "{took:?}");
        }
    });
    let back = clock::now();
    while server.client.get("/far").status != 200 {
        assert!(back.elapsed() < UNTOUCHED, "it is not used again");
    }
}

const MORE: &str = "  more:\n    fields: { n: int }\n    read: public\n    write: public\n";

#[test]
fn a_broken_reload_changes_nothing_and_a_good_one_takes_effect() {
    let (_keep, folder) = folder_with(FILE);
    let mut server = start(&folder);
    server.forget();
    fs::write(folder.join("stoa.yaml"), FILE.replace("fields:", "feilds:")).expect("written");
    server.signal("HUP");
    server.wait_for_line("feilds");
    assert_eq!(server.client.get("/rows").status, 200);
    assert_eq!(server.client.get("/more").status, 404);
    fs::write(folder.join("stoa.yaml"), format!("{FILE}{MORE}")).expect("written");
    assert_eq!(stoa(&folder, &["migrate", "apply"]).code, 0);
    server.signal("HUP");
    wait_for(&server, "/more", 200);
    assert_eq!(server.client.get("/rows").status, 200);
}

#[test]
fn dev_reloads_on_save_and_survives_a_broken_edit() {
    let (_keep, folder) = folder_with(FILE);
    let mut server = Server::start(&Setup::new("dev", &folder));
    server.forget();
    fs::write(folder.join("stoa.yaml"), FILE.replace("fields:", "feilds:")).expect("written");
    server.wait_for_line("feilds");
    assert_eq!(server.client.get("/rows").status, 200);
    fs::write(folder.join("stoa.yaml"), format!("{FILE}{MORE}")).expect("written");
    wait_for(&server, "/more", 200);
}

/// The seed is at fault at first: that is said, and the API is there. Mending it alone is enough.
#[test]
fn dev_reloads_when_a_file_that_is_named_changes() {
    let (_keep, folder) = folder_with(&format!("{FILE}seed: seed.json\n"));
    let seed = folder.join("seed.json");
    fs::write(&seed, r#"{"rows": [{"n": "many", "who": "ada"}]}"#).expect("written");
    let mut server = Server::start(&Setup::new("dev", &folder));
    assert_eq!(server.client.get("/rows").json(), json!([]));
    server.forget();
    fs::write(&seed, r#"{"rows": [{"n": 1, "who": "ada"}]}"#).expect("written");
    server.wait_for_line("rows: 1 first rows loaded");
    wait_for(&server, "/rows?n=eq.1", 200);
    assert_eq!(server.client.get("/rows").json()[0]["who"], "ada");
}

#[test]
fn reloads_under_load_lose_no_request() {
    let (_keep, folder) = folder_with(FILE);
    let server = start(&folder);
    let acknowledged = write_until(&server, &|count| {
        if count % 100 == 0 {
            server.signal("HUP");
        }
        count >= 1_000
    });
    assert!(
        acknowledged.len() >= 1_000,
        "a writer lost its connection at {}",
        acknowledged.len()
    );
    assert_eq!(all_ids(&server).len(), acknowledged.len());
}

#[test]
fn a_copy_taken_while_writing_is_whole() {
    let (_keep, folder) = folder_with(FILE);
    let server = start(&folder);
    let first = write_until(&server, &|count| count >= 100);
    let copies = AtomicUsize::new(0);
    write_until(&server, &|count| {
        if count == 50 {
            let ran = stoa(&folder, &["backup", "copy.db"]);
            assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
            copies.fetch_add(1, SeqCst);
        }
        count >= 200
    });
    assert_eq!(copies.load(SeqCst), 1);
    let copy = rusqlite::Connection::open(folder.join("copy.db")).expect("the copy opens");
    let verdict: String = copy
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("the copy can be checked");
    assert_eq!(verdict, "ok");
    let rows: i64 = copy
        .query_row("SELECT count(*) FROM rows", [], |row| row.get(0))
        .expect("a count");
    assert!(
        usize::try_from(rows).is_ok_and(|rows| rows >= first.len() + 50),
        "{rows}"
    );
}

/// Asks until the answer has this status, at most as long as a connection of the client allows.
fn wait_for(server: &Server, path: &str, status: u16) {
    for _ in 0..20_000 {
        if server.client.get(path).status == status {
            return;
        }
    }
    panic!(
        "{path} never answered {status}: {:?}",
        server.client.get(path).json().get("detail").map(Value::to_string)
    );
}
