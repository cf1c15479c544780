//! What callers and files hold in secret is in no log, no metric and no reply to somebody else; and a process that is full
//! still says how it is.

use crate::support::{
    client::Client,
    server::{Server, Setup, command, folder_with},
    token,
};
use serde_json::json;
use std::net::TcpStream;

const FILE: &str = r#"
api: secrets
auth: { jwt: { secret: "${JWT_SECRET}" } }
services:
  gone:
    url: http://127.0.0.1:1
    routes: { "/gone/**": { access: public }, "/kept/**": { access: role admin } }
resources:
  cards:
    fields: { number: "text, unique, 1..30 chars", n: "int, optional" }
    read: public
    write: public
"#;

#[test]
fn no_secret_is_in_a_log_a_metric_or_a_problem() {
    let secret = "CANARY-the-secret-of-the-file-0123456789";
    for mode in ["serve", "dev"] {
        let (_keep, folder) = folder_with(FILE);
        let setup = Setup::new(mode, &folder)
            .env("JWT_SECRET", secret)
            .env("RUST_LOG", "trace")
            .env("RUST_BACKTRACE", "full");
        let mut server = Server::start(&setup);
        let claims = json!({ "user": "ann", "claims": { "card": "CANARY" } });
        let signed = token::mint(claims.as_object().expect("an object"));
        let headers = [
            ("authorization", "Bearer CANARY.CANARY.CANARY"),
            ("cookie", "session=CANARY"),
            ("x-api-key", "CANARY"),
            ("idempotency-key", "CANARY"),
        ];
        let bearer = format!("Bearer {signed}");
        let mut problems = String::new();
        for (method, path, headers, body) in [
            ("GET", "/gone/x?token=CANARY", &headers[..3], None),
            ("GET", "/kept/x?token=CANARY", &headers[..3], None),
            ("GET", "/kept/x", &[("authorization", bearer.as_str())][..], None),
            (
                "POST",
                "/cards",
                &headers[1..],
                Some(r#"{"number":"x","n":CANARY"#),
            ),
            (
                "POST",
                "/cards",
                &headers[1..],
                Some(r#"{"number":"CANARY-CANARY-CANARY-CANARY-CANARY"}"#),
            ),
            ("POST", "/cards", &headers[1..3], Some(r#"{"number":"CANARY"}"#)),
        ] {
            let headers: Vec<_> = headers
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect();
            let answer = server
                .client
                .try_send(method, path, &headers, body.map(str::as_bytes));
            let answer = answer.expect("an answer");
            if answer.status != 201 {
                problems.push_str(&answer.text);
            }
        }
        let metrics = Client::new(&server.admin).get("/metrics").text;
        let taken = server
            .client
            .try_send("POST", "/cards", &[], Some(br#"{"number":"CANARY"}"#));
        assert_eq!(taken.expect("an answer").status, 409);
        for (what, text) in [
            ("log", server.said()),
            ("metrics", metrics),
            ("problems", problems),
        ] {
            assert!(
                !text.contains("CANARY"),
                "{mode}: a secret is in the {what}:\n{text}"
            );
        }
    }
}

#[test]
fn a_process_without_files_left_answers_its_probes_and_recovers() {
    let (_keep, folder) = folder_with(FILE);
    let mut limited = Setup::new("serve", &folder).env("JWT_SECRET", token::SECRET);
    limited.files_max = Some(256);
    let server = Server::start(&limited);
    let address = server.http.trim_start_matches("http://").to_owned();
    let held: Vec<TcpStream> = (0..600)
        .map_while(|_| TcpStream::connect(&address).ok())
        .collect();
    assert!(held.len() > 256, "more than fit: {}", held.len());
    let admin = Client::new(&server.admin);
    assert_eq!(admin.get("/livez").status, 200);
    assert_eq!(admin.get("/readyz").status, 200);
    drop(held);
    let answers = || {
        server
            .client
            .try_send("GET", "/cards", &[], None)
            .is_ok_and(|a| a.status == 200)
    };
    assert!((0..1_000).any(|_| answers()), "it serves again");
}

#[test]
fn a_configuration_that_is_shown_is_without_secrets() {
    let (_keep, folder) = folder_with(FILE);
    for words in [
        &["config"][..],
        &["config", "--origin"],
        &["check"],
        &["openapi"],
        &["route", "GET", "/cards"],
    ] {
        let output = command(&folder)
            .args(words)
            .env("JWT_SECRET", "CANARY-the-secret-of-the-file-0123456789")
            .output()
            .expect("the built binary starts");
        assert!(output.status.success(), "{words:?}");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(!said.contains("CANARY"), "{words:?}: {said}");
    }
}
