//! Row-level security of the database as it is written for PostgREST: it judges each caller; the file's own rules let
//! everybody through.

use crate::support::client::Answer;
use crate::support::server::{Server, Setup, folder_with};
use crate::support::token::{SECRET, mint};
use serde_json::{Value, json};
use std::fs;
use stoa_testkit::Postgres;

const FILE: &str = include_str!("existing/secured.yaml");

fn token(user: &str, claims: &Value) -> String {
    let caller = json!({ "user": user, "claims": claims });
    format!("Bearer {}", mint(caller.as_object().expect("an object")))
}

/// A request with a token, or of nobody.
fn send(server: &Server, who: &str, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let headers = [
        ("authorization", who),
        ("x-seen", "it's \"here\""),
        ("prefer", "return=representation"),
    ];
    let headers = if who.is_empty() {
        &headers[1..]
    } else {
        &headers[..]
    };
    server.client.send(method, path, headers, body)
}

#[test]
fn policies_of_the_database_keep_callers_apart() {
    let postgres = Postgres::start();
    postgres.sql("postgres", "CREATE DATABASE todo");
    postgres.sql("todo", include_str!("existing/secured.sql"));
    let before = postgres.dump("todo");
    let (_keep, folder) = folder_with(FILE);
    let url = postgres.url("todo").replace("stoa@", "authenticator@");
    let setup = Setup::new("serve", &folder)
        .env("JWT_SECRET", SECRET)
        .env("DATABASE_URL", &url);
    let server = Server::start(&setup);
    rows_are_their_owners(&server);
    functions_run_as_their_callers(&server);
    roles_are_of_the_list(&server);
    drop(server);
    assert_eq!(postgres.dump("todo"), before, "nothing was made or altered");
    // A role that the login may not take is said before anything is served.
    let more = FILE.replace("[web_user]", "[web_user, stoa]");
    fs::write(folder.join("stoa.yaml"), more).expect("written");
    let said = Server::try_start(&setup).err().expect("it does not start");
    assert!(said.contains("`roles` names `stoa`"), "{said}");
}

#[test]
fn a_member_that_may_not_become_the_role_is_told_at_the_start() {
    // Only from 16 on is that not the same.
    let postgres = Postgres::start_newest();
    postgres.sql("postgres", "CREATE DATABASE todo");
    postgres.sql("todo", include_str!("existing/secured.sql"));
    postgres.sql("todo", "GRANT web_user TO authenticator WITH SET FALSE");
    let (_keep, folder) = folder_with(FILE);
    let url = postgres.url("todo").replace("stoa@", "authenticator@");
    let setup = Setup::new("serve", &folder)
        .env("JWT_SECRET", SECRET)
        .env("DATABASE_URL", &url);
    let said = Server::try_start(&setup).err().expect("it does not start");
    let wanted = "`roles` names `web_user`: the store's login may not become it";
    assert!(said.contains(wanted), "{said}");
}

fn rows_are_their_owners(server: &Server) {
    let web_user = |user: &str| token(user, &json!({ "role": "web_user" }));
    let (ada, eve) = (web_user("ada"), web_user("e'v\"e\\ $1 $$"));
    for (who, list) in [(&ada, 1), (&eve, 2)] {
        let made = send(server, who, "POST", "/lists", Some(&json!({})));
        assert_eq!(made.json()["id"], json!(list), "{}", made.text);
        for task in ["a", "b"] {
            let row = json!({ "list_id": list, "task": task });
            assert_eq!(send(server, who, "POST", "/todos", Some(&row)).status, 201);
        }
    }
    for (who, mine, theirs, others_todo) in [(&ada, 1, 2, 3), (&eve, 2, 1, 1)] {
        let all = send(server, who, "GET", "/lists?select=id,todos(task)&order=id", None);
        let own = format!(r#"[{{"id":{mine},"todos":[{{"task":"a"}},{{"task":"b"}}]}}]"#);
        assert_eq!(all.text, own);
        let one = send(server, who, "GET", "/rest/v1/todos?select=list_id&limit=1", None);
        assert_eq!(one.text, format!(r#"[{{"list_id":{mine}}}]"#));
        let (list, todo) = (format!("/lists/{theirs}"), format!("/todos/{others_todo}"));
        let (list, todo) = (list.as_str(), todo.as_str());
        for (method, path, body, status) in [
            ("GET", list, None, 404),
            ("DELETE", todo, None, 404),
            ("PATCH", todo, Some(json!({ "task": "stolen" })), 404),
            (
                "PUT",
                todo,
                Some(json!({ "list_id": mine, "task": "stolen" })),
                409,
            ),
            ("PATCH", "/todos?task=eq.a", Some(json!({ "owner": "x" })), 403),
            (
                "POST",
                "/todos",
                Some(json!({ "list_id": mine, "task": "t", "owner": "x" })),
                403,
            ),
            // What a caller may not see cannot be referred to.
            (
                "POST",
                "/todos",
                Some(json!({ "list_id": theirs, "task": "t" })),
                422,
            ),
        ] {
            let answer = send(server, who, method, path, body.as_ref());
            assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        }
    }
}

/// Functions run with the rights of who calls them, and the policies judge the rows that they touch.
fn functions_run_as_their_callers(server: &Server) {
    let web_user = |user: &str| token(user, &json!({ "role": "web_user" }));
    let (ada, eve) = (web_user("ada"), web_user("e'v\"e\\ $1 $$"));
    for (who, list) in [(&ada, 1), (&eve, 2)] {
        let rows = send(
            server,
            who,
            "GET",
            "/rpc/mine?select=list_id,task&order=task",
            None,
        );
        let own = format!(r#"[{{"list_id":{list},"task":"a"}},{{"list_id":{list},"task":"b"}}]"#);
        assert_eq!(rows.text, own);
    }
    let body = json!({ "list": 1, "task": "made" });
    let made = send(server, &ada, "POST", "/rest/v1/rpc/add_todo", Some(&body));
    assert_eq!(
        (made.status, &made.json()["owner"]),
        (200, &json!("ada")),
        "{}",
        made.text
    );
    let found = send(
        server,
        &eve,
        "POST",
        "/rest/v1/rpc/mine",
        Some(&json!({ "word": "made" })),
    );
    assert_eq!(found.text, "[]", "row-level security holds inside");
    // Who has no right to run it: 401 for nobody, 403 for somebody, as PostgREST has it.
    let nobody = send(server, "", "POST", "/rest/v1/rpc/mine", None);
    assert_eq!(
        (nobody.status, &nobody.json()["code"]),
        (401, &json!("42501")),
        "{}",
        nobody.text
    );
    let named = token("ada", &json!({ "role": null }));
    let somebody = send(server, &named, "POST", "/rest/v1/rpc/mine", None);
    assert_eq!(
        (somebody.status, &somebody.json()["code"]),
        (403, &json!("42501")),
        "{}",
        somebody.text
    );
    assert_eq!(send(server, &named, "POST", "/rpc/mine", None).status, 403);
    // What functions read of the request, and nothing of the token.
    for (who, sub, role) in [("", Value::Null, "web_anon"), (&ada, json!("ada"), "web_user")] {
        for (method, path) in [("GET", "/rpc/whoami"), ("POST", "/rest/v1/rpc/whoami")] {
            let asked = send(server, who, method, path, None);
            let said = json!({ "role": role, "sub": sub, "method": method, "path": "/rpc/whoami",
                "seen": "it's \"here\"", "secret": null });
            assert_eq!(asked.json(), said, "{}", asked.text);
        }
    }
    let refused = send(
        server,
        &token("ada", &json!({ "role": "hidden" })),
        "GET",
        "/rpc/whoami",
        None,
    );
    assert_eq!(refused.status, 403, "{}", refused.text);
}

fn roles_are_of_the_list(server: &Server) {
    let get = |who: &str, path: &str| send(server, who, "GET", path, None);
    // Nobody: the anonymous role may not read these tables.
    assert_eq!(get("", "/todos").status, 401);
    assert_eq!(get("", "/rest/v1/todos").json()["code"], "42501");
    assert_eq!(
        get("", "/rest/v1/asked").json()[0],
        json!({
            "role": "web_anon", "method": "GET", "path": "/asked", "seen": "it's \"here\"", "secret": null,
            "claimed": "web_anon"
        })
    );
    for role in [
        json!("hidden"),
        json!("authenticator"),
        json!("stoa"),
        json!("none"),
        json!(["web_user"]),
        json!("web_user\"; RESET ROLE; --"),
    ] {
        let refused = get(&token("ada", &json!({ "role": role })), "/todos");
        assert_eq!(refused.status, 403, "{role}: {}", refused.text);
    }
    let none = token("ada", &json!({}));
    assert_eq!(get(&none, "/todos").status, 403);
    assert_eq!(get(&none, "/asked").json()[0]["role"], "web_anon");
    let large = token("ada", &json!({ "role": "web_user", "more": "x".repeat(12_000) }));
    assert_eq!(get(&large, "/lists?select=id").text, r#"[{"id":1}]"#);
}
