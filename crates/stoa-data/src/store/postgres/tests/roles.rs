//! Statements that run as somebody: nothing of one caller is left for the next, with a pooler between or without.

use crate::operation::{Change, Condition, Count, IdempotencyClaim, Precondition, Read, RunAs, Write};
use crate::store::contract::fixture::{
    bound, delete, done, field, insert, is, items, page, read, run, soon, text, try_write, update, write,
};
use crate::store::contract::pooler::Pooler;
use crate::store::contract::server::Server;
use crate::store::{Outcome, Store, StoreError, StoredReply};
use crate::value::Value;
use std::sync::Arc;
use stoa_config::plan::{Resource, TableName, Type};

const NOTES: &str = "
    CREATE ROLE web_user; CREATE ROLE web_anon; CREATE ROLE stranger;
    CREATE SCHEMA api;
    CREATE TABLE api.notes (id int PRIMARY KEY, owner text, body text);
    CREATE FUNCTION api.me() RETURNS text LANGUAGE sql STABLE
        AS $$ SELECT current_setting('request.jwt.claims', true)::json->>'sub' $$;
    ALTER TABLE api.notes ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON api.notes USING (owner = api.me()) WITH CHECK (owner = api.me());
    CREATE VIEW api.asked AS SELECT 1 AS id, current_user::text AS owner,
        concat(current_setting('request.method', true), ' ', current_setting('request.path', true)) AS body;
    GRANT USAGE ON SCHEMA api TO web_user, web_anon;
    GRANT ALL ON api.notes TO web_user;
    GRANT SELECT ON api.asked TO web_user, web_anon";

fn table(name: &str) -> Resource {
    let fields = vec![
        field("id", Type::Int, "key"),
        field("owner", Type::Text, "optional"),
        field("body", Type::Text, "optional"),
    ];
    let mut resource = bound(name, name, fields, &[0]);
    resource.table = Some(TableName {
        schema: Some("api".to_owned()),
        name: name.to_owned(),
    });
    resource
}

fn as_whom(role: &str, subject: &str) -> Arc<RunAs> {
    Arc::new(RunAs {
        role: role.to_owned(),
        settings: [
            (
                "request.jwt.claims",
                serde_json::json!({ "sub": subject }).to_string(),
            ),
            ("request.headers", "{}".to_owned()),
            ("request.cookies", "{}".to_owned()),
            ("request.method", "GET".to_owned()),
            ("request.path", format!("/of/{subject}")),
        ],
    })
}

fn by(read: Read, role: &str, subject: &str) -> Read {
    Read {
        run_as: Some(as_whom(role, subject)),
        ..read
    }
}

fn of(write: Write, subject: &str) -> Write {
    Write {
        run_as: Some(as_whom("web_user", subject)),
        ..write
    }
}

fn rows(resource: usize, role: &str, subject: &str) -> Read {
    by(
        read(resource, items(&table("notes"), &[1, 2]), Condition::True),
        role,
        subject,
    )
}

fn shown(store: &dyn Store, read: &Read) -> String {
    String::from_utf8(page(store, read).json).unwrap()
}

#[test]
fn each_caller_is_judged_alone() {
    let server = Server::start();
    let name = server.database(&[]);
    server.sql(&name, NOTES);
    let pooler = Pooler::start(server.port, &name);
    let direct = server.url(&name);
    let pooled = format!("postgres://stoa@127.0.0.1:{}/{name}", pooler.port);
    for url in [direct, pooled] {
        server.sql(
            &name,
            "TRUNCATE api.notes; DROP TABLE IF EXISTS _stoa_idempotency",
        );
        let (_plan, store) = server.open(vec![table("notes"), table("asked")], &url);
        judged(&*store);
    }
}

fn judged(store: &dyn Store) {
    // What is quoted, dollar-quoted or long is a value, and nothing else.
    let odd = "o'\"\\; RESET ROLE; $1 $$ \u{2603}";
    let long = "x".repeat(30_000);
    let callers = ["ada", odd, &long];
    for (id, subject) in (0_i64..).zip(callers) {
        let row = vec![Value::from(id), text(subject), text("b")];
        let made = done(store, of(insert(0, &[0, 1, 2], vec![row]), subject));
        assert_eq!(made.affected, 1);
    }
    for _ in 0..5 {
        for (id, subject) in (0_i64..).zip(callers) {
            let own = page(store, &rows(0, "web_user", subject));
            assert_eq!(own.rows, 1, "{subject}");
            let mut counted = rows(0, "web_user", subject);
            for count in [Count::Exact, Count::Planned, Count::Estimated] {
                counted.count = count;
                counted.limit = 1;
                assert_eq!(page(store, &counted).rows, 1);
            }
            let others = |n: i64| is(0, (id + n) % 3);
            assert_eq!(
                done(store, of(update(0, others(1), vec![(2, text("c"))]), subject)).affected,
                0
            );
            assert_eq!(done(store, of(delete(0, others(2)), subject)).affected, 0);
            assert_eq!(
                done(store, of(update(0, others(0), vec![(2, text("d"))]), subject)).affected,
                1
            );
            let given = try_write(store, of(update(0, others(0), vec![(1, text("ada2"))]), subject));
            assert!(denied(&given), "{given:?}");
            // Who asks after them gets nothing of theirs: neither the role nor a setting.
            assert!(denied(&run(store.read(&rows(0, "web_anon", subject), soon()))));
            assert_eq!(
                shown(store, &rows(1, "web_anon", "eve")),
                r#"{"owner":"web_anon","body":"GET /of/eve"}"#
            );
            let alone = read(1, items(&table("asked"), &[1, 2]), Condition::True);
            assert_eq!(shown(store, &alone), r#"{"owner":"stoa","body":" "}"#);
        }
    }
    let missing = run(store.read(&rows(1, "nobody'; DROP TABLE api.notes", "eve"), soon()));
    assert!(matches!(missing, Err(StoreError::Unavailable(_))), "{missing:?}");
    kept(store);
}

fn denied<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Server(error)) if &*error.state == "42501")
}

/// The reply of an idempotency key is kept by the store itself, whose tables the caller's role may not write.
fn kept(store: &dyn Store) {
    let claim = |fill: u8| IdempotencyClaim {
        scope: [fill; 32],
        fingerprint: [fill; 32],
        bucket: None,
    };
    let change = |subject: &str, fill: u8| Write {
        idempotency: Some(claim(fill)),
        ..of(
            write(
                0,
                Change::Update {
                    filter: is(0, 0),
                    bucket: None,
                    set: vec![(2, text("kept"))],
                    precondition: Precondition::None,
                    check: Condition::True,
                },
            ),
            subject,
        )
    };
    let reply = |affected: u64| StoredReply {
        status: 200,
        headers: Vec::new(),
        body: affected.to_string().into(),
    };
    for (subject, fill, affected) in [("ada", 1, 1), ("eve", 2, 0)] {
        for again in [false, true] {
            let render = Box::new(move |written: &crate::store::Written| reply(written.affected));
            let done = run(store.write(change(subject, fill), soon(), Some(render))).unwrap();
            match done.outcome {
                Outcome::Written(written) => assert_eq!((written.affected, again), (affected, false)),
                Outcome::Replayed(stored) => assert_eq!((stored, again), (reply(affected), true)),
                Outcome::Parts(_) => panic!("nothing was to be split"),
            }
        }
    }
}
