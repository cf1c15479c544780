//! A database that others made: `stoa init --from`, what is served of it, and that nothing in it is altered.

use crate::support::server::{Server, Setup, stoa};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use stoa_testkit::Postgres;

/// A database of these statements, and the folder of the file that `init` wrote for it.
fn others(postgres: Postgres, sql: &str) -> (Postgres, tempfile::TempDir) {
    postgres.sql("postgres", "CREATE DATABASE others");
    postgres.sql("others", sql);
    let folder = tempfile::tempdir().expect("a folder for the test");
    let ran = stoa(folder.path(), &["init", "--from", &postgres.url("others")]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    (postgres, folder)
}

/// Lets everybody write, as somebody who serves the tables would decide.
fn written(folder: &Path) -> String {
    let path = folder.join("stoa.yaml");
    let file = fs::read_to_string(&path).expect("the file is there");
    let open: Vec<String> = file
        .lines()
        .map(|line| line.replace("write: none ", "write: public "))
        .collect();
    fs::write(&path, open.join("\n")).expect("the file can be written");
    file
}

#[test]
fn every_table_of_others_is_served_and_none_altered() {
    let (postgres, folder) = others(Postgres::start(), include_str!("existing/others.sql"));
    let file = written(folder.path());
    for part in [
        "  # What fills\n  # itself in # here\n  defaults:\n",
        "      # how many\n      \"n\": \"int, generated\"\n",
        "      twice: \"int, optional, computed\"\n",
        "    table: \"\\\"my.schema\\\".\\\"ta\\\"\\\"b.le\\\"\"\n",
        "      a_b_2: { type: \"text\", optional: true, column: \"a,b\" }\n",
        ", fields: [\"px\", \"py\"], to: ",
        "      author_id: \"ref api_authors, optional\"\n",
        "      positive: \"decimal(10,2), optional\"\n",
        "      code: \"text, key\"\n",
        "      caption: \"text, function\"\n",
        "      of_book: { type: \"decimal(10,2)\", function: \"public.of,book\" }\n",
    ] {
        assert!(file.contains(part), "{part} is not in\n{file}");
    }
    assert!(!file.contains("left out"), "{file}");
    let checked = stoa(folder.path(), &["check"]);
    assert_eq!(checked.code, 0, "{}", checked.stderr);
    let before = postgres.dump("others");
    let server = Server::start(&Setup::new("dev", folder.path()));
    are_answered(&server, include_str!("existing/requests.txt"));
    every_kind_goes_in_and_out(&server);
    drop(server);
    assert_eq!(postgres.dump("others"), before, "nothing was made or altered");
    // The functions of fields and references are there before anything is served; what is missing is said all at once.
    postgres.sql(
        "others",
        "DROP FUNCTION caption(books); DROP FUNCTION alike(books)",
    );
    let said = Server::try_start(&Setup::new("dev", folder.path())).err();
    let said = said.expect("it does not start");
    for fault in [
        "the field caption, given by the function \"public\".\"caption\", which the database does not have",
        "leads to public_books by the function \"public\".\"alike\", which the database does not have",
    ] {
        assert!(said.contains(fault), "{said}");
    }
}

/// Sends each request of a list, and compares what is answered.
fn are_answered(server: &Server, text: &'static str) {
    let mut said = Vec::new();
    for (request, wanted) in requests(text) {
        let mut parts = request.splitn(3, ' ');
        let (method, path) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let body: Option<Value> = parts.next().map(|text| serde_json::from_str(text).expect(text));
        let path: String = path.chars().map(encoded).collect();
        let answer = server.client.send(method, &path, &[], body.as_ref());
        let (status, part) = wanted.split_once(' ').unwrap_or((wanted, ""));
        if answer.status.to_string() != status || !answer.text.contains(part) {
            said.push(format!(
                "{request}\n  wanted {wanted}\n  was {} {}",
                answer.status, answer.text
            ));
        }
    }
    assert!(said.is_empty(), "{}", said.join("\n"));
}

#[test]
fn what_postgresql_18_has_is_served() {
    let (_postgres, folder) = others(Postgres::start_newest(), include_str!("existing/new.sql"));
    let file = written(folder.path());
    for part in [
        "      id: \"uuid, key, generated\"\n",
        "      gross: \"int, optional, computed\"\n",
        "      valid: \"text, key\"\n",
        "    # not a ref: (id, during), its rows belong to those whose periods cover theirs, not to equal ones\n",
        "      room: \"ref rooms, optional\"\n",
        "      late: \"text, optional\"\n",
    ] {
        assert!(file.contains(part), "{part} is not in\n{file}");
    }
    let server = Server::start(&Setup::new("dev", folder.path()));
    are_answered(&server, include_str!("existing/new.txt"));
}

fn encoded(c: char) -> String {
    if c.is_ascii() {
        return c.to_string();
    }
    url::form_urlencoded::byte_serialize(c.encode_utf8(&mut [0; 4]).as_bytes()).collect()
}

/// Requests and what they are answered.
fn requests(text: &'static str) -> Vec<(&'static str, &'static str)> {
    let lines = text.lines();
    let lines: Vec<&str> = lines.filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
    lines.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}

/// A value of every type is written, read back and found again.
fn every_kind_goes_in_and_out(server: &Server) {
    let kinds: Value = serde_json::from_str(include_str!("existing/kinds.json")).expect("JSON");
    let made = server.client.send("POST", "/kinds", &[], Some(&kinds));
    assert_eq!(made.status, 201, "{}", made.text);
    let (made, tag) = (made.json(), made.header("etag").expect("a row has a tag"));
    let id = made["id"].as_i64().expect("a number");
    for (name, value) in kinds.as_object().expect("an object") {
        assert_eq!(*value, made[name], "{name}");
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Array(_) | Value::Object(_) => continue,
            other => other.to_string(),
        };
        let text: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let found = server.client.get(&format!(
            "/kinds?select=id&order={name}.desc&id=eq.{id}&{name}=eq.{text}"
        ));
        assert_eq!(found.text, format!("[{{\"id\":{id}}}]"), "{name}");
    }
    // The tag of a row is made of all its columns, and compared in the statement.
    let path = format!("/kinds/{id}");
    let change = |tag: &str| {
        server.client.send(
            "PATCH",
            &path,
            &[("if-match", tag)],
            Some(&json!({ "xml": "<c/>" })),
        )
    };
    assert_eq!(change(&tag).status, 200);
    assert_eq!(change(&tag).status, 412, "the row is another now");
    for (body, status) in [
        (json!({ "odd": "nope" }), 422),
        (json!({ "positive": -1 }), 422),
        (json!({ "small": 70_000 }), 422),
        (json!({ "ints": [99_999_999_999_i64] }), 422),
        (json!({ "short": "longer than ten" }), 422),
        (json!({ "inet": "here" }), 422),
        (json!({ "mood": "bad" }), 422),
    ] {
        let answer = server.client.send("PATCH", &path, &[], Some(&body));
        assert_eq!(answer.status, status, "{body}: {}", answer.text);
    }
}
