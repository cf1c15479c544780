//! The process is killed at any moment, again and again, under mixed writes. Nothing that was acknowledged is lost,
//! nothing with one key is done twice, and each row has a history that could have happened one request after the
//! other.

use crate::support::{
    client::Client,
    server::{Server, Setup, folder_with},
};
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};
use stoa_testkit::{
    Postgres,
    history::{self, Ask, Event, Row, Told, is_linearizable, tick},
};

const FILE: &str = "
api: crashes
stores: { main: \"${STORE}\" }
resources:
  rows:
    fields: { id: \"text, key\", n: int }
    read: public
    write: public
";
/// Callers at the same time.
const CALLERS: usize = 8;
/// Rows they share: few, so that they meet.
const ROWS: usize = 12;
/// The longest that the process lives under load.
const LIFE_MAX: Duration = Duration::from_millis(40);

/// A request that was sent, with all that it takes to send it again.
struct Sent {
    row: usize,
    event: Event,
    key: Option<String>,
}

/// How often the process is killed: 200 times, or as `STOA_KILLS` says.
fn kills() -> usize {
    let wanted = std::env::var("STOA_KILLS").ok().and_then(|n| n.parse().ok());
    wanted.unwrap_or(200)
}

/// The seed of everything that is chosen: `STOA_SEED`, or another one each time.
fn seed() -> u64 {
    let given = std::env::var("STOA_SEED").ok().and_then(|n| n.parse().ok());
    let seed = given.unwrap_or_else(|| fastrand::u64(..));
    eprintln!("STOA_SEED={seed}");
    seed
}

#[test]
fn kills_lose_nothing_and_double_nothing_on_sqlite() {
    let folder = killed_again_and_again("sqlite:crashes.db", 1, || ());
    is_whole(&folder.path().join("crashes.db"));
}

#[test]
fn kills_lose_nothing_and_double_nothing_on_postgres() {
    let postgres = Postgres::start();
    postgres.sql("postgres", "CREATE DATABASE crashes");
    // The server finishes what it was sent, also for a client that is dead.
    killed_again_and_again(&postgres.url("crashes"), 1, || postgres.wait_without("stoa"));
}

#[test]
fn kills_of_three_processes_lose_nothing_and_double_nothing_on_postgres() {
    let postgres = Postgres::start();
    postgres.sql("postgres", "CREATE DATABASE crashes");
    killed_again_and_again(&postgres.url("crashes"), 3, || postgres.wait_without("stoa"));
}

/// Lives and kills of so many processes over a store, of whose last requests nothing can be done any more once `settle`
/// returns. Gives the folder they lived in.
fn killed_again_and_again(store: &str, processes: usize, settle: impl Fn()) -> tempfile::TempDir {
    let mut rng = fastrand::Rng::with_seed(seed());
    let values = AtomicU64::new(1);
    let (keep, folder) = folder_with(FILE);
    let setup = || Setup::new("serve", &folder).env("STORE", store);
    let mut before = vec![None; ROWS];
    let mut unanswered: Vec<Sent> = Vec::new();
    let (mut requests, mut replayed) = (0, 0);
    for life in 0..kills().div_ceil(processes) {
        let servers = start_together(processes, &setup);
        let server = &servers[life % processes];
        let after: Vec<Row> = (0..ROWS).map(|row| read(&server.client, row).0).collect();
        // The repeats of the last life's requests say what became of them there.
        let (told, repeated) = repeat(&server.client, unanswered.drain(..));
        replayed += told
            .iter()
            .filter(|s| matches!(s.event.told, Told::Done(_)))
            .count();
        check(life, &told, &before, &after);
        let mut sent = live(&servers, &values, &mut rng);
        settle();
        let settled = tick();
        for one in sent.iter_mut().filter(|s| s.event.told == Told::Nothing) {
            one.event.ended = settled;
        }
        drop(servers);
        requests += sent.len();
        before = after;
        unanswered = repeated.into_iter().chain(sent).collect();
    }
    let server = Server::start(&setup());
    let after: Vec<Row> = (0..ROWS).map(|row| read(&server.client, row).0).collect();
    let (told, _) = repeat(&server.client, unanswered.drain(..));
    check(kills(), &told, &before, &after);
    drop(server);
    eprintln!("{requests} requests, {replayed} that were done without an answer");
    assert!(
        requests > kills() / processes * CALLERS,
        "the callers hardly asked: {requests}"
    );
    keep
}

fn start_together<'a>(processes: usize, setup: &(dyn Fn() -> Setup<'a> + Sync)) -> Vec<Server> {
    thread::scope(|scope| {
        let start = || Server::start(&setup());
        let all: Vec<_> = (0..processes).map(|_| scope.spawn(start)).collect();
        all.into_iter()
            .map(|one| one.join().expect("it starts"))
            .collect()
    })
}

/// Each row's history of one life.
fn check(life: usize, sent: &[Sent], before: &[Row], after: &[Row]) {
    for row in 0..ROWS {
        let events: Vec<Event> = sent
            .iter()
            .filter(|s| s.row == row)
            .map(|s| s.event.clone())
            .collect();
        assert!(
            is_linearizable(before[row], &events, after[row]),
            "life {life}: row {row} went from {:?} to {:?}, which these cannot explain:\n{}",
            before[row],
            after[row],
            history::shown(&events)
        );
    }
}

/// Asks from several callers until their processes are killed, one after the other, at moments that nobody knows.
fn live(servers: &[Server], values: &AtomicU64, rng: &mut fastrand::Rng) -> Vec<Sent> {
    let sent = Mutex::new(Vec::new());
    let (begun, beginning) = mpsc::channel::<()>();
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let server = &servers[caller % servers.len()];
            let (sent, begun) = (&sent, begun.clone());
            let mut rng = rng.fork();
            scope.spawn(move || {
                let own = call(&Client::new(&server.http), values, &mut rng, &begun);
                sent.lock().expect("no caller panicked").extend(own);
            });
        }
        beginning.recv().expect("a caller asks");
        // Not a wait for something: the moment of the kill is what is chosen.
        let (_never, nothing) = mpsc::channel::<()>();
        for server in servers {
            let _ = nothing.recv_timeout(LIFE_MAX.mul_f64(rng.f64()));
            server.signal("KILL");
            server.is_gone();
        }
    });
    sent.into_inner().expect("no caller panicked")
}

/// One caller, until it is answered no more.
fn call(client: &Client, values: &AtomicU64, rng: &mut fastrand::Rng, begun: &mpsc::Sender<()>) -> Vec<Sent> {
    let mut sent = Vec::new();
    let mut tags: Vec<Option<(u64, String)>> = vec![None; ROWS];
    loop {
        let row = rng.usize(..ROWS);
        let value = values.fetch_add(1, Relaxed);
        let ask = match (rng.u8(..10), &tags[row]) {
            (0 | 1, _) => Ask::Create(value),
            (2 | 3, _) => Ask::Put(value),
            (4, _) => Ask::Patch(value),
            (5 | 6, Some((old, _))) => Ask::PatchIf(*old, value),
            (7, _) => Ask::Delete,
            _ => Ask::Read,
        };
        let key = (ask != Ask::Read && rng.bool()).then(|| format!("\"{value}\""));
        let tag = tags[row].as_ref().map(|(_, tag)| tag.as_str());
        let start = tick();
        let _ = begun.send(());
        let answer = send(client, row, ask, key.as_deref(), tag);
        let told = match &answer {
            Ok(answer) => Told::Answer(answer.status, answer.row),
            Err(_) => Told::Nothing,
        };
        sent.push(Sent {
            row,
            event: Event {
                ask,
                told,
                begun: start,
                ended: tick(),
            },
            key: key.map(|key| format!("{key}#{}", tag.unwrap_or_default())),
        });
        match answer {
            Ok(answer) => {
                if let (Some(n), Some(tag)) = (answer.row, answer.tag) {
                    tags[row] = Some((n, tag));
                }
            }
            Err(_) => return sent,
        }
    }
}

/// Sends the unanswered requests that have a key once more, and again. Gives those of the last life with what is
/// known of them now, and the repeats, which belong to this life.
fn repeat(client: &Client, sent: impl Iterator<Item = Sent>) -> (Vec<Sent>, Vec<Sent>) {
    let (mut told, mut repeats) = (Vec::new(), Vec::new());
    for mut one in sent {
        if let (Told::Nothing, Some(kept)) = (one.event.told, &one.key) {
            let (key, tag) = kept.split_once('#').expect("a key and a tag");
            let tag = Some(tag).filter(|t| !t.is_empty());
            let begun = tick();
            let again = || send(client, one.row, one.event.ask, Some(key), tag).expect("the server answers");
            let first = again();
            if first.replayed {
                one.event.told = Told::Done(first.status);
            } else {
                one.event.told = Told::NotDone;
                repeats.push(Sent {
                    row: one.row,
                    event: Event {
                        told: Told::Answer(first.status, first.row),
                        begun,
                        ended: tick(),
                        ..one.event.clone()
                    },
                    key: None,
                });
            }
            if first.status < 300 {
                let second = again();
                assert!(second.replayed, "{:?} was done twice", one.event.ask);
                assert_eq!((second.status, second.row), (first.status, first.row));
            }
        }
        told.push(one);
    }
    (told, repeats)
}

/// What the tests need of a reply.
struct Reply {
    status: u16,
    row: Row,
    tag: Option<String>,
    replayed: bool,
}

fn read(client: &Client, row: usize) -> (Row, Option<String>) {
    let reply = send(client, row, Ask::Read, None, None).expect("the server answers");
    (reply.row, reply.tag)
}

fn send(
    client: &Client,
    row: usize,
    ask: Ask,
    key: Option<&str>,
    tag: Option<&str>,
) -> Result<Reply, String> {
    let id = format!("row-{row}");
    let path = format!("/rows/{id}");
    let (method, path, body) = match ask {
        Ask::Create(n) => ("POST", "/rows".to_owned(), Some(json!({ "id": id, "n": n }))),
        Ask::Put(n) => ("PUT", path, Some(json!({ "n": n }))),
        Ask::Patch(n) | Ask::PatchIf(_, n) => ("PATCH", path, Some(json!({ "n": n }))),
        Ask::Delete => ("DELETE", path, None),
        Ask::Read => ("GET", path, None),
    };
    let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    headers.extend(key.map(|key| ("idempotency-key".to_owned(), key.to_owned())));
    if let (Ask::PatchIf(..), Some(tag)) = (ask, tag) {
        headers.push(("if-match".to_owned(), tag.to_owned()));
    }
    let body = body.as_ref().map(Value::to_string);
    let answer = client.try_send(method, &path, &headers, body.as_deref().map(str::as_bytes))?;
    let known = matches!(answer.status, 200 | 201 | 204 | 404 | 409 | 412);
    assert!(known, "{method} {path}: {} {}", answer.status, answer.text);
    Ok(Reply {
        status: answer.status,
        row: answer.json()["n"].as_u64(),
        tag: answer.header("etag"),
        replayed: answer.header("idempotent-replayed").is_some(),
    })
}

/// The database file is sound.
fn is_whole(path: &Path) {
    let conn = rusqlite::Connection::open(path).expect("the database opens");
    let verdict: String = conn
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .expect("it can be checked");
    assert_eq!(verdict, "ok");
}
