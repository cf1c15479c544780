//! Runs `docs/tour.md` as it stands: its commands, and each question to the API beside the same question in SQL.

use crate::support::{
    repository,
    server::{Server, Setup},
    tools,
};
use rusqlite::{Connection, types::ValueRef};
use serde_json::{Map, Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A fenced block of the page: its language and its lines.
struct Block {
    language: String,
    text: String,
}

#[test]
fn the_tour_is_true() {
    let page = fs::read_to_string(repository().join("docs/tour.md")).expect("the tour can be read");
    let blocks = blocks(&page);
    let keep = tempfile::tempdir().expect("a folder for the tour");
    let folder = keep.path();
    // The tour names a script of the repository, whose folder this is not.
    copy_script(folder);
    let start = blocks
        .iter()
        .position(|b| b.text.trim() == "stoa serve")
        .expect("the tour starts a server");
    for block in &blocks[..start] {
        shell(folder, &block.text);
    }
    let server = Server::start(&Setup::new("serve", folder));
    let database = Connection::open(folder.join("flights.db")).expect("the tour made the database");
    let mut compared = 0;
    let mut rest = blocks[start + 1..].iter().peekable();
    while let Some(block) = rest.next() {
        assert_eq!(block.language, "sh", "a question in SQL follows one to the API");
        let answer = shell(folder, &block.text.replace("http://127.0.0.1:8080", &server.http));
        if let Some(question) = rest.next_if(|next| next.language == "sql") {
            let found: Value = serde_json::from_str(&answer).unwrap_or(Value::String(answer));
            let wanted = ask(&database, &question.text);
            assert_ne!(
                wanted,
                json!([]),
                "a question without rows compares nothing: {}",
                question.text
            );
            assert!(
                same(&found, &wanted),
                "{}\nanswered {found}\nSQL says {wanted}",
                block.text
            );
            compared += 1;
        } else {
            assert!(
                answer.contains("\"dep_delay\"") || answer.contains("dep_delay"),
                "the nearest name: {answer}"
            );
            assert!(
                answer.contains("none"),
                "the rule that forbids the write: {answer}"
            );
        }
    }
    assert!(compared >= 9, "{compared} questions were compared");
    every_row_is_counted(&server, &database);
}

/// Rows of each table, as the API counts them and as SQL does.
fn every_row_is_counted(server: &Server, database: &Connection) {
    for table in ["airlines", "airports", "planes", "weather", "flights"] {
        let answer = server.client.send(
            "HEAD",
            &format!("/{table}?limit=1"),
            &[("prefer", "count=exact")],
            None,
        );
        let range = answer.header("content-range").unwrap_or_default();
        let question = format!("SELECT count(*) FROM {table}");
        let count: i64 = database
            .query_row(&question, [], |row| row.get(0))
            .expect("a count");
        assert_eq!(
            range.rsplit('/').next(),
            Some(count.to_string().as_str()),
            "{table}: {range}"
        );
    }
}

fn copy_script(folder: &Path) {
    let name = "tests/tour/load.py";
    fs::create_dir_all(folder.join("tests/tour")).expect("a folder can be made");
    fs::copy(repository().join(name), folder.join(name)).expect("the script can be copied");
}

fn blocks(page: &str) -> Vec<Block> {
    let parts: Vec<&str> = page.split("```").collect();
    let fenced = parts.iter().skip(1).step_by(2);
    let block = |part: &&str| {
        let (language, text) = part.split_once('\n').expect("a block has a language");
        Block {
            language: language.to_owned(),
            text: text.to_owned(),
        }
    };
    fenced.map(block).collect()
}

/// Runs lines in a shell where `stoa` and `python3` are those under test.
fn shell(folder: &Path, lines: &str) -> String {
    let stoa = Path::new(env!("CARGO_BIN_EXE_stoa"))
        .parent()
        .expect("the binary lies in a folder");
    let python: PathBuf = tools::python();
    let python = python.parent().expect("Python lies in a folder");
    let before = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("bash");
    command
        .args(["-c", &format!("set -eu\n{lines}")])
        .current_dir(folder);
    command.env(
        "PATH",
        format!("{}:{}:{before}", stoa.display(), python.display()),
    );
    tools::succeed(lines, &mut command)
}

/// The rows of a question in SQL as JSON; a text that holds an object or an array is read.
fn ask(database: &Connection, question: &str) -> Value {
    let mut statement = database.prepare(question).expect("the SQL of the tour is right");
    let names: Vec<String> = statement.column_names().map(ToString::to_string).collect();
    let mut rows = statement.query([]).expect("the SQL of the tour runs");
    let mut all = Vec::new();
    while let Some(row) = rows.next().expect("rows can be read") {
        let mut object = Map::new();
        for (at, name) in names.iter().enumerate() {
            let value = match row.get_ref(at).expect("the column is there") {
                ValueRef::Null => Value::Null,
                ValueRef::Integer(number) => json!(number),
                ValueRef::Real(number) => json!(number),
                ValueRef::Text(text) | ValueRef::Blob(text) => {
                    let text = String::from_utf8_lossy(text).into_owned();
                    let nested = text
                        .starts_with(['{', '['])
                        .then(|| serde_json::from_str(&text).ok());
                    nested.flatten().unwrap_or(Value::String(text))
                }
            };
            object.insert(name.clone(), value);
        }
        all.push(Value::Object(object));
    }
    Value::Array(all)
}

/// Equal, where numbers are compared by value.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}
