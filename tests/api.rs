//! Runs the scenarios of `tests/api/*.yaml`: requests and the replies they must get, over every store.
//!
//! `tests/api/README.md` describes their form. One test per file; a list that misses a file fails.

mod judge;
mod scenario;

use crate::support::{
    client::{Answer, Client},
    copy_folder, repository,
    server::{Server, Setup, folder_with},
    stores::Stores,
    token,
};
use scenario::{Book, Scenario, Step};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, sync::Mutex, thread};

/// What a write's reply says on a store with replicas, and the reads after it hand back.
const WRITTEN: &str = "stoa-consistency";

macro_rules! books {
    ($($name:ident)+) => {
        $(mod $name {
            #[test] fn sqlite() { super::run_book(stringify!($name), "sqlite"); }
            #[test] fn postgres() { super::run_book(stringify!($name), "postgres"); }
            #[test] fn replicas() { super::run_book(stringify!($name), "replicas"); }
        })+
        const BOOKS: &[&str] = &[$(stringify!($name)),+];
    };
}

books! {
    access aggregates alias bodies computed computed_relations conditional cors crud edge embed_access embeds filters functions idempotency operators
    paging postgres prefer references routes schemas select shards spreads tables tokens validation
}

/// Some go through what pools by transaction as well: it changes what a transaction is made of, and no answer.
macro_rules! pooled {
    ($($name:ident)+) => {
        mod pgbouncer {
            $(#[test] fn $name() { super::run_book(stringify!($name), "pgbouncer"); })+
        }
    };
}

pooled! { crud functions idempotency postgres }

#[test]
fn every_scenario_file_is_run() {
    let mut found: Vec<String> = std::fs::read_dir(repository().join("tests/api"))
        .expect("tests/api can be read")
        .map(|entry| {
            entry
                .expect("tests/api can be read")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter_map(|name| name.strip_suffix(".yaml").map(str::to_owned))
        .collect();
    found.sort();
    let mut listed = BOOKS.to_vec();
    listed.sort_unstable();
    assert_eq!(
        found, listed,
        "the list in tests/api.rs and the files of tests/api differ"
    );
}

/// Books that run at once on the shards.
const LANES: usize = 3;

/// All books over one set of three shards, each a primary with a replica: six servers take longer to start than a book to
/// run. `BOOK=filters` in the environment runs that one alone.
#[test]
fn on_three_shards() {
    let only = std::env::var("BOOK").ok();
    let wanted = |name: &&&str| only.as_ref().is_none_or(|only| only == **name);
    let books = Mutex::new(BOOKS.iter().filter(wanted));
    let (stores, failures) = (Stores::start("shards"), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                let next = || books.lock().expect("no lane panicked").next();
                while let Some(name) = next() {
                    let failed = scenarios(name, "shards", || stores.shared());
                    failures.lock().expect("no lane panicked").extend(failed);
                }
            });
        }
    });
    assert_none(&failures.into_inner().expect("no lane panicked"));
}

/// Runs every scenario of a file on a store of its own.
fn run_book(name: &str, store: &'static str) {
    assert_none(&scenarios(name, store, || Stores::start(store)));
}

/// Reports all failures together.
fn assert_none(failures: &[String]) {
    let count = failures.len();
    assert!(
        count == 0,
        "{count} scenarios failed\n\n{}",
        failures.join("\n\n")
    );
}

/// Runs the scenarios of a file that are for this kind of store; gives what failed.
fn scenarios(name: &str, store: &'static str, stores: impl FnOnce() -> Stores) -> Vec<String> {
    let path = repository().join("tests/api").join(format!("{name}.yaml"));
    let text = std::fs::read_to_string(&path).expect("the scenario file can be read");
    // `on` and `n` are names here, not booleans.
    let options = serde_saphyr::options! { strict_booleans: true };
    let book: Book = match serde_saphyr::from_str_with_options(&text, options) {
        Ok(book) => book,
        Err(e) => panic!("{name}.yaml: {e}"),
    };
    let of_store = |one: &&Scenario| {
        one.on
            .as_deref()
            .or(book.on.as_deref())
            // With replicas it is the same database, and behind a pooler.
            .is_none_or(|on| {
                let same = matches!(store, "replicas" | "pgbouncer");
                on.split_whitespace()
                    .any(|on| on == store || (on == "postgres" && same))
            })
    };
    let scenarios: Vec<&Scenario> = book.scenarios.iter().filter(of_store).collect();
    let mut failures = Vec::new();
    if scenarios.is_empty() {
        return failures;
    }
    let mut stores = stores();
    for one in &scenarios {
        let database = stores.fresh(book.sql.as_deref());
        if let Err(why) = run_scenario(&book, &one.steps, &database) {
            failures.push(format!("{name}.yaml on {store}: {}\n{why}", one.name));
        }
    }
    failures
}

fn run_scenario(book: &Book, steps: &[Step], store: &str) -> Result<(), String> {
    let file = book.file.as_deref().unwrap_or_default();
    let (_keep, folder) = folder_with(&file.replace("\"${STORE}\"", store));
    if let Some(example) = &book.example {
        copy_folder(&repository().join("examples").join(example), &folder);
    }
    for (name, text) in &book.files {
        std::fs::write(folder.join(name), text).expect("a file of the scenario can be written");
    }
    let setup = Setup::new(&book.command, &folder).env("JWT_SECRET", token::SECRET);
    let server = Server::started(&setup)?;
    let admin = Client::new(&server.admin);
    let mut saved = BTreeMap::from([("http".to_owned(), server.http.clone())]);
    for step in book.setup.iter().chain(steps) {
        let client = if step.admin { &admin } else { &server.client };
        run_step(client, step, &mut saved).map_err(|why| format!("  {}\n{why}", step.request))?;
    }
    Ok(())
}

fn run_step(client: &Client, step: &Step, saved: &mut BTreeMap<String, String>) -> Result<(), String> {
    let line = fill(&step.request, saved);
    let (method, path) = line.split_once(' ').ok_or("a request is METHOD PATH")?;
    let mut headers: Vec<(String, String)> = step
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), fill(value, saved)))
        .collect();
    if let Some(caller) = &step.caller {
        headers.push(("authorization".into(), format!("Bearer {}", token::mint(caller))));
    }
    let body = match (&step.body, &step.text) {
        (Some(value), _) => Some(fill_value(value, saved).to_string()),
        (None, Some(text)) => Some(fill(text, saved)),
        (None, None) => None,
    };
    if step.body.is_some()
        && !headers
            .iter()
            .any(|(n, _)| n.eq_ignore_ascii_case("content-type"))
    {
        headers.push(("content-type".into(), "application/json".into()));
    }
    // Who has written says so, or it may be shown what was before.
    let written = saved
        .get(WRITTEN)
        .filter(|_| !headers.iter().any(|(n, _)| n == WRITTEN));
    headers.extend(written.map(|token| (WRITTEN.to_owned(), token.clone())));
    let answer = client.try_send(method, path, &headers, body.as_deref().map(str::as_bytes))?;
    if let Some(token) = answer.header(WRITTEN) {
        saved.insert(WRITTEN.to_owned(), token);
    }
    let mut expect = step.expect.clone();
    expect.body = expect.body.map(|value| fill_value(&value, saved));
    for value in expect.headers.values_mut() {
        *value = fill(value, saved);
    }
    judge::judge(&expect, &answer).map_err(|why| format!("{why}\n  the reply was {}", shown(&answer)))?;
    for (name, place) in &step.save {
        let value = judge::find(&answer, place).ok_or_else(|| format!("  nothing to save at {place}"))?;
        saved.insert(name.clone(), value);
    }
    Ok(())
}

/// Puts saved values in place of `{name}`; braces around anything else stay.
fn fill(text: &str, saved: &BTreeMap<String, String>) -> String {
    saved.iter().fold(text.to_owned(), |text, (name, value)| {
        text.replace(&format!("{{{name}}}"), value)
    })
}

fn fill_value(value: &Value, saved: &BTreeMap<String, String>) -> Value {
    match value {
        Value::String(text) => Value::String(fill(text, saved)),
        Value::Array(items) => items.iter().map(|item| fill_value(item, saved)).collect(),
        Value::Object(members) => {
            let filled = members
                .iter()
                .map(|(name, value)| (name.clone(), fill_value(value, saved)));
            Value::Object(filled.collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

fn shown(answer: &Answer) -> String {
    let mut text = format!("{}\n", answer.status);
    for (name, value) in &answer.headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        for part in ["    ", name.as_str(), ": ", &value, "\n"] {
            text.push_str(part);
        }
    }
    text.push_str("    ");
    text.extend(answer.text.chars().take(2_000));
    text
}
