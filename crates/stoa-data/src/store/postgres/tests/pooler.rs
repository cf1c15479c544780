//! Something between that pools by transaction.

use crate::store::contract::server::Server;
use crate::store::contract::{all, fixture::parts, fixture::things, pooler::Pooler};

#[test]
fn the_whole_suite_passes_through_a_pooler_of_transactions() {
    let server = Server::start();
    for (name, check) in all() {
        eprintln!("{name}");
        let database = server.database(&[things(), parts()]);
        let pooler = Pooler::start(server.port, &database);
        let url = format!("postgres://stoa@127.0.0.1:{}/{database}", pooler.port);
        let (_plan, store) = server.open(vec![things(), parts()], &url);
        check(&*store);
        let (refused, transactions) = pooler.seen();
        assert!(refused > 0 && transactions > 0, "the pooler was not used");
    }
}
