//! The client libraries that people use, unchanged, through `/rest/v1`.

use crate::support::{
    repository,
    server::{Server, Setup, folder_with},
    token, tools,
};
use std::process::Command;
use tempfile::TempDir;

const FILE: &str = r#"
api: library
auth: { jwt: { secret: "${JWT_SECRET}" } }
stores: { main: sqlite:library.db }
resources:
  authors:
    fields: { id: "int, key", name: "text, unique", born: "int, optional" }
    read: public
    write: user
  books:
    fields:
      id: int, key
      title: text, 1..80 chars
      price: "decimal(8,2), default 1"
      tags: list of text, default []
      author_id: ref authors, optional
    list: { filter: [title, price, tags, author_id] }
    read: public
    write: user
"#;

fn library() -> (TempDir, Server) {
    let (keep, folder) = folder_with(FILE);
    let server = Server::start(&Setup::new("serve", &folder).env("JWT_SECRET", token::SECRET));
    (keep, server)
}

#[test]
fn postgrest_js_reads_and_writes() {
    let (keep, server) = library();
    let mut node = Command::new("node");
    node.arg(repository().join("tests/clients/postgrest.mjs"))
        .args([format!("{}/rest/v1", server.http), token::user("ann")])
        .env("NODE_FOLDER", tools::node_folder())
        .current_dir(keep.path());
    let said = tools::succeed("the postgrest-js client", &mut node);
    assert!(said.contains("all questions answered"), "{said}");
}

#[test]
fn postgrest_py_reads_and_writes() {
    let (keep, server) = library();
    let base = format!("{}/rest/v1", server.http);
    let said = tools::run_python(
        "clients/postgrest_client.py",
        keep.path(),
        &[&base, &token::user("ann")],
    );
    assert!(said.contains("all questions answered"), "{said}");
}
