//! Migrations of PostgreSQL by real processes: many at once, one that is killed, old and new ones side by side.

use crate::support::{
    client::Client,
    server::{Server, Setup, folder_with, stoa_with},
};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use stoa_testkit::Postgres;

const BEFORE: &str = r#"
api: library
stores: { main: "${DATABASE_URL}" }
resources:
  books:
    fields: { id: "int, key", title: text, n: "int, unique", note: "text, default none, optional" }
    read: public
    write: public
"#;
const AFTER: &str = r#"
api: library
stores: { main: "${DATABASE_URL}" }
resources:
  works:
    was: books
    fields: { id: "int, key", title: text, amount: "int, unique, was n", remark: "text, default none, optional, was note" }
    read: public
    write: public
"#;

fn database(postgres: &Postgres) -> String {
    postgres.sql("postgres", "CREATE DATABASE library");
    postgres.url("library")
}

fn serve<'a>(folder: &'a std::path::Path, url: &str) -> Setup<'a> {
    Setup::new("serve", folder).env("DATABASE_URL", url)
}

#[test]
fn ten_processes_that_start_together_migrate_once() {
    let postgres = Postgres::start();
    let url = database(&postgres);
    let (_keep, folder) = folder_with(BEFORE);
    let servers: Vec<Server> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..10)
            .map(|_| scope.spawn(|| Server::start(&serve(&folder, &url))))
            .collect();
        all.into_iter()
            .map(|one| one.join().expect("it starts"))
            .collect()
    });
    for (id, server) in servers.iter().enumerate() {
        let row = json!({ "id": id, "title": "t", "n": id });
        assert_eq!(server.client.send("POST", "/books", &[], Some(&row)).status, 201);
        assert_eq!(
            server
                .client
                .get("/books?select=id")
                .json()
                .as_array()
                .map(Vec::len),
            Some(id + 1)
        );
    }
    assert_eq!(postgres.ask("library", "SELECT count(*) FROM _stoa_schema"), "1");
}

/// What one process sends without a pause until it is told to end; every answer that is not the one that should be.
fn load(server: &Server, path: &str, n: &str, from: u32, end: &AtomicBool, sent: &AtomicU32) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut id = from;
    while !end.load(Ordering::Relaxed) {
        id += 1;
        let one = format!("{path}/{id}");
        let merge = [("prefer", "resolution=merge-duplicates")];
        for (method, path, headers, body, status) in [
            (
                "POST",
                path,
                &[][..],
                Some(json!({ "id": id, "title": "t", n: id })),
                201,
            ),
            ("GET", one.as_str(), &[], None, 200),
            ("PATCH", &one, &[], Some(json!({ n: id + 1_000_000 })), 200),
            (
                "POST",
                path,
                &merge,
                Some(json!({ "id": id, "title": "u", n: id })),
                200,
            ),
            ("PUT", &one, &[], Some(json!({ "title": "v", n: id })), 200),
            (
                "GET",
                &format!("{path}?{n}=eq.{id}&select=id,title,{n}"),
                &[],
                None,
                200,
            ),
        ] {
            let answer = server.client.send(method, path, headers, body.as_ref());
            if answer.status != status {
                wrong.push(format!("{method} {path} {}: {}", answer.status, answer.text));
            }
            if method == "GET" && !answer.text.contains(&format!("\"{n}\":{id}")) {
                wrong.push(format!("{method} {path}: {}", answer.text));
            }
        }
        sent.fetch_add(1, Ordering::Relaxed);
    }
    wrong
}

/// Ends the load, also when the test has failed.
struct Ends<'a>([&'a AtomicBool; 2]);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        for end in self.0 {
            end.store(true, Ordering::Relaxed);
        }
    }
}

/// Waits until so many rounds were done since now.
fn rounds(sent: &AtomicU32, more: u32) {
    let until = sent.load(Ordering::Relaxed) + more;
    while sent.load(Ordering::Relaxed) < until {
        std::thread::yield_now();
    }
}

#[test]
fn old_and_new_processes_serve_side_by_side_through_a_rename() {
    let postgres = Postgres::start();
    let url = database(&postgres);
    let ((_keep, before), (_keep_too, after)) = (folder_with(BEFORE), folder_with(AFTER));
    let env = [("DATABASE_URL", url.as_str())];
    let old = Server::start(&serve(&before, &url));
    let (end_old, end_new) = (AtomicBool::new(false), AtomicBool::new(false));
    let (by_old, by_new) = (AtomicU32::new(0), AtomicU32::new(0));
    let new = std::thread::scope(|scope| {
        let _ends = Ends([&end_old, &end_new]);
        let loading = scope.spawn(|| load(&old, "/books", "n", 0, &end_old, &by_old));
        rounds(&by_old, 10);
        let new = Server::start(&serve(&after, &url));
        // A process of before may start again, as when a roll-out is taken back.
        let again = Server::start(&serve(&before, &url));
        let new = scope.spawn(|| {
            let wrong = load(&new, "/works", "amount", 100_000, &end_new, &by_new);
            (new, wrong)
        });
        rounds(&by_old, 20);
        rounds(&by_new, 20);
        assert_eq!(again.client.get("/books/100001").json()["n"], 100_001);
        end_old.store(true, Ordering::Relaxed);
        assert_eq!(loading.join().expect("no panic"), Vec::<String>::new());
        drop(again);
        // The end of what was: the new ones serve meanwhile.
        let ended = stoa_with(&after, &["migrate", "apply", "--allow-destructive"], &env);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        rounds(&by_new, 10);
        end_new.store(true, Ordering::Relaxed);
        let (new, wrong) = new.join().expect("no panic");
        assert_eq!(wrong, Vec::<String>::new());
        new
    });
    let sent = by_old.load(Ordering::Relaxed);
    let last = new.client.get(&format!("/works/{sent}")).json();
    assert_eq!(
        last,
        json!({ "id": sent, "title": "v", "amount": sent, "remark": "none" })
    );
    let left = "SELECT count(*) FROM pg_class WHERE relname ~ '^books$|^(books|works)_(n|note)_'";
    assert_eq!(postgres.ask("library", left), "0");
    assert_eq!(
        postgres.ask("library", "SELECT count(*) FROM pg_proc WHERE proname ~ '^_stoa'"),
        "0"
    );
    let done = stoa_with(&after, &["migrate", "plan"], &env);
    assert!(
        done.stderr.contains("nothing to do"),
        "{}{}",
        done.stdout,
        done.stderr
    );
}

#[test]
fn a_process_that_is_killed_while_it_fills_is_gone_on_from() {
    let postgres = Postgres::start();
    let url = database(&postgres);
    let ((_keep, before), (_keep_too, after)) = (folder_with(BEFORE), folder_with(AFTER));
    let env = [("DATABASE_URL", url.as_str())];
    for folder in [&before, &after] {
        assert_eq!(stoa_with(folder, &["migrate", "apply"], &env).code, 0);
    }
    // As it is when the column has its twin and no row is filled yet. A row fills a page nearly, so there are several
    // batches.
    postgres.sql(
        "library",
        "ALTER TABLE works ALTER amount DROP NOT NULL, ALTER title SET STORAGE PLAIN; \
         DELETE FROM _stoa_meta WHERE name ~ '^fill .*amount'; ALTER TABLE works DISABLE TRIGGER USER; \
         INSERT INTO works (_bucket, _version, id, title, n) SELECT 0, 1, i, repeat('x', 7000), i FROM generate_series(1, 2500) i; \
         ALTER TABLE works ENABLE TRIGGER USER",
    );
    // Somebody holds the last row: the filling comes close and waits.
    let holder = postgres.hold("library", "SELECT FROM works WHERE id = 2500 FOR UPDATE");
    let mut killed = std::process::Command::new(env!("CARGO_BIN_EXE_stoa"))
        .args(["migrate", "apply"])
        .current_dir(&after)
        .envs(env)
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("the built binary starts");
    let pages = "SELECT coalesce(max(convert_from(value, 'UTF8')), '0') FROM _stoa_meta WHERE name ~ '^fill .*amount'";
    while postgres.ask("library", pages) != "2000" {
        assert!(
            killed.try_wait().expect("its state").is_none(),
            "it ended too early"
        );
    }
    killed.kill().expect("it is killed");
    killed.wait().expect("it has ended");
    let status = stoa_with(&after, &["migrate", "status", "--json"], &env);
    let status: Value = serde_json::from_str(&status.stdout).expect(&status.stdout);
    let pending = status["stores"][0]["pending"].to_string();
    assert!(
        pending.contains("amount is filled from n, in batches, 2000 pages are done"),
        "{pending}"
    );
    drop(holder);
    // Rows of before are not touched again: those that were filled by the killed one keep their place.
    let place =
        "SELECT string_agg(ctid::text, ' ' ORDER BY id) FROM (SELECT ctid, id FROM works WHERE id <= 500) t";
    let placed = postgres.ask("library", place);
    let server = Server::start(&serve(&after, &url));
    assert_eq!(postgres.ask("library", place), placed);
    assert_eq!(
        server.client.get("/works?amount=eq.2500&select=id").json(),
        json!([{ "id": 2500 }])
    );
    assert_eq!(
        postgres.ask(
            "library",
            "SELECT count(*) FROM works WHERE amount IS DISTINCT FROM n"
        ),
        "0"
    );
}

/// Asks the admin port until its answer fits.
fn answers(admin: &Client, path: &str, status: u16, part: &str) {
    let began = stoa_exchange::clock::now();
    loop {
        let answer = admin.try_send("GET", path, &[], None);
        if answer
            .as_ref()
            .is_ok_and(|a| a.status == status && a.text.contains(part))
        {
            return;
        }
        let told = answer.map(|a| a.text);
        assert!(began.elapsed() < Duration::from_mins(1), "{path}: {told:?}");
    }
}

/// A process that migrates, or waits for one that does, lives and says what it does; its port is open when it can serve.
#[test]
fn a_process_that_migrates_says_so_on_its_admin_port() {
    let postgres = Postgres::start();
    let url = database(&postgres);
    let (_keep, folder) = folder_with(BEFORE);
    drop(Server::start(&serve(&folder, &url)));
    std::fs::write(
        folder.join("stoa.yaml"),
        BEFORE.replace("note: \"", "more: \"int, optional\", note: \""),
    )
    .expect("written");
    // Somebody reads the table and does not end: the migration waits for the table's lock, and tries again.
    let held = postgres.hold("library", "LOCK TABLE books IN ACCESS SHARE MODE");
    let mut server = Server::launched(&serve(&folder, &url));
    let admin = Client::new(&server.admin);
    let until = |path: &str, status: u16, part: &str| answers(&admin, path, status, part);
    until("/readyz", 503, "migrating the store main: step 1 of 1: ");
    until("/livez", 200, "ok");
    until("/metrics", 200, "stoa_ready 0");
    assert!(
        server.client.try_send("GET", "/books", &[], None).is_err(),
        "it does not serve yet"
    );
    // Who is told to stop does not wait for it.
    server.signal("TERM");
    assert!(server.wait().success());
    server = Server::launched(&serve(&folder, &url));
    let admin = Client::new(&server.admin);
    let until = |path: &str, status: u16, part: &str| answers(&admin, path, status, part);
    until("/readyz", 503, "migrating");
    drop(held);
    until("/readyz", 200, "");
    assert_eq!(server.client.get("/books").status, 200);
    server.wait_for_line("serving library");
}

/// A start needs its one PostgreSQL: it ends with the reason and what was asked, soon, also where nobody answers.
#[test]
fn a_server_that_is_away_ends_the_start_within_a_bound() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = silent.local_addr().expect("it is bound").port();
    let closed = stoa_testkit::free_port();
    let (_keep, folder) = folder_with(BEFORE);
    for (port, why) in [(closed, "refused"), (silent, "does not answer")] {
        let began = stoa_exchange::clock::now();
        let url = format!("postgres://stoa@127.0.0.1:{port}/library");
        let ended = Server::try_start(&serve(&folder, &url)).err().expect("it ends");
        let took = began.elapsed();
        assert!(took < Duration::from_secs(30), "{took:?}: {ended}");
        assert!(
            ended.contains(&format!("127.0.0.1:{port}")) && ended.contains(why),
            "{ended}"
        );
    }
}
