//! What every store must do. Each function takes a store over the tables of [`fixture::things`] and
//! [`fixture::parts`], empty, and fails when the store does otherwise.

pub(crate) mod fixture;
mod paging;
pub(crate) mod pooler;
mod reads;
pub(crate) mod server;
pub(crate) mod session;
mod spread;
mod writes;

use super::Store;
use stoa_config::plan::Shard;

/// One check.
type Check = fn(&dyn Store);

/// All of them, by name.
pub(crate) fn all() -> Vec<(&'static str, Check)> {
    let mut list = reads::all();
    list.extend(writes::all());
    list.extend(paging::all());
    list
}

/// PostgreSQL passes each on a database of its own.
#[test]
fn postgres() {
    let server = server::Server::start();
    for (name, check) in all() {
        let (_plan, store) = server.store(vec![fixture::things(), fixture::parts()]);
        eprintln!("{name}");
        check(&*store);
    }
}

/// A primary with two replicas passes each: a caller that says what it has written sees it.
fn with_replicas(checks: Vec<(&'static str, Check)>) {
    let server = server::Server::start_cluster(2);
    for (name, check) in checks {
        let (_plan, store) = server.store(vec![fixture::things(), fixture::parts()]);
        eprintln!("{name}");
        check(&session::Session::over(store));
    }
}

#[test]
fn postgres_with_replicas_reads() {
    with_replicas(reads::all());
}

#[test]
fn postgres_with_replicas_writes() {
    with_replicas(writes::all());
}

#[test]
fn postgres_with_replicas_pages() {
    with_replicas(paging::all());
}

/// Three shards pass each while no resource is sharded.
#[test]
fn shards() {
    let server = server::Server::start();
    let shards = server.shards(vec![fixture::things(), fixture::parts()], 3);
    for (name, check) in all() {
        eprintln!("{name}");
        check(&*shards.store);
        server.clear(&shards);
    }
}

/// Three shards over which the rows of a resource are spread pass what asks for no transaction over several.
#[test]
fn spread() {
    let server = server::Server::start();
    let mut things = fixture::things();
    things.shard = Shard::Field(0);
    let shards = server.shards(vec![things, fixture::parts()], 3);
    let store = spread::OneByOne(shards.store.clone());
    for (name, check) in paging::all() {
        eprintln!("{name}");
        check(&store);
        server.clear(&shards);
    }
}

/// SQLite passes each on a file of its own.
#[test]
fn sqlite() {
    for (name, check) in all() {
        let (_folder, _plan, store) = fixture::sqlite(vec![fixture::things(), fixture::parts()]);
        eprintln!("{name}");
        check(&*store);
    }
}
