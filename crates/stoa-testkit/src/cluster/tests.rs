//! What may happen to a cluster does happen.

use super::Cluster;

fn count(server: &crate::Postgres) -> String {
    server.ask("postgres", "SELECT count(*) FROM t")
}

#[test]
fn replicas_follow_pause_and_are_promoted() {
    let cluster = Cluster::start(2);
    let [first, second] = &cluster.replicas[..] else {
        panic!("two replicas were asked for");
    };
    cluster
        .primary
        .sql("postgres", "CREATE TABLE t (id int); INSERT INTO t VALUES (1)");
    cluster.wait_replayed();
    assert_eq!((count(first), count(second)), ("1".to_owned(), "1".to_owned()));

    first.pause_replay();
    cluster.primary.sql("postgres", "INSERT INTO t VALUES (2)");
    second.wait_replayed(&cluster.primary);
    assert_eq!((count(first), count(second)), ("1".to_owned(), "2".to_owned()));
    first.resume_replay();
    first.wait_replayed(&cluster.primary);

    cluster.primary.kill();
    first.promote();
    first.sql("postgres", "INSERT INTO t VALUES (3)");
    cluster.primary.resume();
    cluster.primary.sql("postgres", "INSERT INTO t VALUES (4)");
    assert!(!first.is_replica() && !cluster.primary.is_replica() && second.is_replica());
    let timeline = "SELECT timeline_id FROM pg_control_checkpoint()";
    first.sql("postgres", "CHECKPOINT");
    assert_eq!(first.ask("postgres", timeline), "2");
    assert_eq!(cluster.primary.ask("postgres", timeline), "1");

    second.detach();
    assert_eq!(second.ask("postgres", timeline), "1");
    second.sql("postgres", "INSERT INTO t VALUES (5)");
}
