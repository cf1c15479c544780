//! The reply that is kept for a key goes where a bucket of the key's rows goes, so that whoever repeats the request finds it.

use super::move_buckets;
use crate::support::server::{Server, Setup, folder_with};
use serde_json::json;
use stoa_testkit::Cluster;

#[test]
fn a_key_of_several_rows_moves_with_them() {
    let clusters: Vec<Cluster> = (0..2).map(|_| Cluster::start(0)).collect();
    let shards: Vec<String> = clusters
        .iter()
        .map(|c| format!("{{ write: \"{}\" }}", c.primary.url("postgres")))
        .collect();
    let (_keep, folder) = folder_with(
        &format!(
            "api: a
stores: {{ main: {{ postgres: {{ shards: [{}] }} }} }}
resources:
  customers: {{ shard: id, read: public, write: public, fields: {{ id: \"text, key\", n: int, default 0 }} }}
",
            shards.join(", ")
        )
        .replace("n: int, default 0", "n: \"int, default 0\""),
    );
    let server = Server::start(&Setup::new("serve", &folder));
    let (from, to) = (&clusters[0].primary, &clusters[1].primary);
    for n in 0..40 {
        let made = server
            .client
            .send("POST", "/customers", &[], Some(&json!({ "id": format!("c{n}") })));
        assert_eq!(made.status, 201, "{}", made.text);
    }
    // Three neighbours among the buckets of the first shard: they can be moved and others stay.
    let three = "SELECT string_agg(id, ','), min(b), max(b) FROM \
        (SELECT id, _bucket AS b FROM customers ORDER BY _bucket LIMIT 3) AS t";
    let found = from.ask("postgres", three);
    let parts: Vec<&str> = found.split('|').collect();
    let (ids, low, high) = (
        parts[0],
        parts[1].parse().expect("a bucket"),
        parts[2].parse().expect("a bucket"),
    );
    let path = format!("/customers?id=in.({ids})");
    let keys: Vec<String> = (0..4).map(|n| format!("\"k{n}\"")).collect();
    let patch = |key: &String| {
        server.client.send(
            "PATCH",
            &path,
            &[("idempotency-key", key)],
            Some(&json!({ "n": 1 })),
        )
    };
    let first: Vec<String> = keys.iter().map(|key| patch(key).text).collect();
    let strays = format!("SELECT count(*) FROM _stoa_idempotency WHERE bucket NOT BETWEEN {low} AND {high}");
    assert_eq!(
        from.ask("postgres", &strays),
        "0",
        "each key lies in a bucket of its rows"
    );
    let versions = "SELECT string_agg(_version::text, ',' ORDER BY id) FROM customers WHERE n = 1";
    let before = from.ask("postgres", versions);

    move_buckets((from, to), (low, high), &["customers"]);
    for (key, first) in keys.iter().zip(&first) {
        let again = patch(key);
        assert_eq!(
            again.header("idempotent-replayed").as_deref(),
            Some("true"),
            "{} {}",
            again.status,
            again.text
        );
        assert_eq!(again.text, *first);
    }
    assert_eq!(
        to.ask("postgres", versions),
        before,
        "nothing was changed a second time"
    );
}
