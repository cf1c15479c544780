//! Functions of a database are looked for at the start, as tables are: what is not as the file says is said before anything
//! is served.

use crate::support::server::{Server, Setup, folder_with};
use crate::support::token::SECRET;
use std::fs;
use stoa_testkit::Postgres;

fn file(functions: &str) -> String {
    format!(
        "api: f\nauth: {{ jwt: {{ secret: \"${{JWT_SECRET}}\" }} }}\nstores: {{ main: \"${{DATABASE_URL}}\" }}\nfunctions:\n{functions}"
    )
}

const GOOD: &str = "  add: { args: { a: int, b: int }, volatility: stable, access: public }\n";

#[test]
fn a_function_that_is_not_as_the_file_says_stops_the_start_and_one_that_comes_later_is_served() {
    let postgres = Postgres::start();
    postgres.sql("postgres", "CREATE DATABASE f");
    postgres.sql(
        "f",
        "CREATE FUNCTION add(a int, b int) RETURNS int LANGUAGE sql STABLE AS 'SELECT a + b'; \
         CREATE FUNCTION touch(a int) RETURNS void LANGUAGE sql AS 'SELECT 1'",
    );
    let bad = format!(
        "{GOOD}  later: {{ access: public }}\n  touch: {{ args: {{ a: bool }}, returns: void, access: public }}\n"
    );
    let (_keep, folder) = folder_with(&file(&bad));
    let url = postgres.url("f");
    let setup = Setup::new("serve", &folder)
        .env("JWT_SECRET", SECRET)
        .env("DATABASE_URL", &url);
    let said = Server::try_start(&setup).err().expect("it does not start");
    // Both at once, each with its place, what the database has, and what to do.
    for part in [
        "stoa.yaml:6:3: function `later`: the database has no function public.later: make it with CREATE FUNCTION",
        "stoa.yaml:7:3: function `touch`: the database has touch(integer), and its argument `a` is integer",
    ] {
        assert!(said.contains(part), "{part}\n{said}");
    }
    fs::write(folder.join("stoa.yaml"), file(GOOD)).expect("written");
    let mut server = Server::start(&setup);
    assert_eq!(server.client.get("/rpc/add?a=1&b=2").text, "3");
    // A reload with a function that is not there is refused, and what runs goes on.
    let more = format!("{GOOD}  later: {{ volatility: stable, access: public }}\n");
    fs::write(folder.join("stoa.yaml"), file(&more)).expect("written");
    server.signal("HUP");
    server.wait_for_line("the database has no function public.later");
    assert_eq!(server.client.get("/rpc/add?a=1&b=2").text, "3");
    assert_eq!(server.client.get("/rpc/later").status, 404);
    postgres.sql(
        "f",
        "CREATE FUNCTION later() RETURNS int LANGUAGE sql STABLE AS 'SELECT 7'",
    );
    server.forget();
    server.signal("HUP");
    server.wait_for_line("reload");
    assert_eq!(server.client.get("/rpc/later").text, "7");
    // One that goes while it is served is the database's to say.
    postgres.sql("f", "DROP FUNCTION later()");
    let gone = server.client.get("/rest/v1/rpc/later");
    assert_eq!(
        (gone.status, gone.json()["code"].as_str()),
        (404, Some("42883")),
        "{}",
        gone.text
    );
}
