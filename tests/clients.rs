//! The client libraries that people use, unchanged, through `/rest/v1`.

use crate::support::{
    repository,
    server::{Server, Setup, folder_with},
    stores::Stores,
    token, tools,
};
use std::{path::Path, process::Command};

const FILE: &str = r#"
api: library
auth: { jwt: { secret: "${JWT_SECRET}" } }
stores: { main: "${STORE}" }
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
    list: { filter: [title, price, tags, author_id], aggregates: true }
    read: public
    write: user
  shops:
    fields: { id: "int, key", name: text }
    read: public
    write: user
  offers:
    fields: { id: "int, key", shop_id: ref shops, book_id: ref books }
    read: public
    write: user
"#;

/// Asks a library's questions of every kind of store. A library that hands back no token is shown what it wrote where
/// commits wait for the replicas.
fn on_each_store(ask: impl Fn(&Path, &str)) {
    for kind in ["sqlite", "postgres", "replicas", "shards"] {
        eprintln!("on {kind}");
        let mut stores = Stores::start(kind);
        stores.replicate_at_once();
        let (keep, folder) = folder_with(&FILE.replace("\"${STORE}\"", &stores.fresh(None)));
        let server = Server::start(&Setup::new("serve", &folder).env("JWT_SECRET", token::SECRET));
        ask(keep.path(), &format!("{}/rest/v1", server.http));
    }
}

/// Runs a script of `tests/clients` in Node.js.
fn in_node(script: &str, folder: &Path, base: &str) {
    let mut node = Command::new("node");
    node.arg(repository().join("tests/clients").join(script))
        .args([base, &token::user("ann")])
        .env("NODE_FOLDER", tools::node_folder())
        .current_dir(folder);
    let said = tools::succeed(script, &mut node);
    assert!(said.contains("all questions answered"), "{said}");
}

#[test]
fn postgrest_js_reads_and_writes() {
    on_each_store(|folder, base| in_node("postgrest.mjs", folder, base));
}

#[test]
fn supabase_js_reads_and_writes() {
    on_each_store(|folder, base| {
        // The library adds the path by itself.
        let root = base.trim_end_matches("/rest/v1");
        in_node("supabase.mjs", folder, root);
    });
}

#[test]
fn the_provider_of_react_admin_reads_and_writes() {
    on_each_store(|folder, base| in_node("react_admin.mjs", folder, base));
}

#[test]
fn postgrest_py_reads_and_writes() {
    on_each_store(|folder, base| {
        let said = tools::run_python(
            "clients/postgrest_client.py",
            folder,
            &[base, &token::user("ann")],
        );
        assert!(said.contains("all questions answered"), "{said}");
    });
}
