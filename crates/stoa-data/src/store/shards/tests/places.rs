//! Which database is which shard, and what happens when one is missing.

use super::{all, both, resources};
use crate::migrate::{self, MigrateError};
use crate::operation::Read;
use crate::store::contract::fixture::{done, insert, is, page, read, run, soon, try_write};
use crate::store::contract::server::Server;
use crate::store::{Store, StoreError};
use crate::value::Value;
use std::sync::Arc;

fn refused(result: Result<migrate::Migration, MigrateError>, says: &str) {
    match result {
        Err(MigrateError::Refused(reasons)) => {
            assert!(
                reasons.join("\n").contains(says),
                "{reasons:?} does not say {says:?}"
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_database_knows_which_shard_it_is() {
    let server = Server::start();
    let urls = server.empty(4);
    let plan = |urls: &[String]| server.sharded_plan(resources(), urls);
    let of = |places: &[usize]| places.iter().map(|p| urls[*p].clone()).collect::<Vec<_>>();
    let three = plan(&of(&[0, 1, 2]));
    let shown = migrate::plan(&three, 0).unwrap();
    assert!(
        shown
            .steps
            .iter()
            .any(|s| s.why == "shard 1: it owns 341 of the 1024 buckets"),
        "{shown:?}"
    );
    migrate::apply(&three, 0, false).unwrap();
    assert!(migrate::plan(&three, 0).unwrap().steps.is_empty());
    let shown = crate::store::shard_status(&three, 0).unwrap();
    let buckets: Vec<_> = shown.iter().map(|s| (s.mapped, s.owned, s.epoch)).collect();
    let own = |n| (Some(n), Some(n), Some(1));
    assert_eq!(buckets, [own(341), own(341), own(342)]);
    assert!(shown.iter().all(crate::store::ShardStatus::is_well), "{shown:?}");
    refused(
        migrate::plan(&plan(&of(&[0, 2, 1])), 0),
        "shard 1 of the file is shard 2 of the store",
    );
    refused(
        migrate::plan(&plan(&of(&[1])), 0),
        "the database of the file is shard 1 of the store",
    );
    refused(
        migrate::plan(&plan(&of(&[0, 1])), 0),
        "gives buckets to shards that the file does not name",
    );
    refused(migrate::plan(&plan(&of(&[0, 1, 3])), 0), "was never a shard");
    assert!(
        migrate::apply(&plan(&of(&[0, 2, 1])), 0, true).is_err(),
        "nothing is done either"
    );
    let other = server.empty(3);
    migrate::apply(&plan(&other), 0, false).unwrap();
    refused(
        migrate::plan(&plan(&[urls[0].clone(), other[1].clone(), urls[2].clone()]), 0),
        "shard 1 belongs to another store",
    );
    // Another database where the first one was: the others know that there was a map.
    let fresh = server.empty(1).remove(0);
    refused(
        migrate::plan(&plan(&[fresh, urls[1].clone(), urls[2].clone()]), 0),
        "the first shard has no map of the buckets",
    );
    // One more takes part, and owns nothing.
    let four = plan(&urls);
    migrate::apply(&four, 0, false).unwrap();
    let after = migrate::plan(&four, 0).unwrap();
    assert!(after.steps.is_empty());
    assert_eq!(after.notes.len(), 1, "{after:?}");
    assert!(after.notes[0].starts_with("shard 3 owns no bucket"));
    let store = crate::store::open(&Arc::new(four), 0).unwrap();
    done(
        &*store,
        insert(0, &[0, 1], vec![vec![Value::Int(1), Value::Int(1)]]),
    );
    assert_eq!(page(&*store, &all()).total, Some(1));
}

/// A store that has rows before it has shards keeps them where they are.
#[test]
fn rows_stay_where_they_are_when_shards_join() {
    let server = Server::start();
    let urls = server.empty(2);
    let one = server.sharded_plan(resources(), &urls[..1]);
    migrate::apply(&one, 0, false).unwrap();
    let store = crate::store::open(&Arc::new(one), 0).unwrap();
    done(
        &*store,
        insert(
            0,
            &[0, 1],
            (0..50).map(|n| vec![Value::Int(n), Value::Int(n)]).collect(),
        ),
    );
    let two = server.sharded_plan(resources(), &urls);
    migrate::apply(&two, 0, false).unwrap();
    let both = crate::store::open(&Arc::new(two), 0).unwrap();
    assert_eq!(page(&*both, &all()).total, Some(50));
    assert_eq!(page(&*store, &all()).total, Some(50));
}

#[test]
fn ten_at_once_migrate_each_shard_once() {
    let server = Server::start();
    let urls = server.empty(2);
    let plan = server.sharded_plan(resources(), &urls);
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| migrate::apply(&plan, 0, false).unwrap());
        }
    });
    for url in &urls {
        let name = url.rsplit('/').next().unwrap();
        assert_eq!(server.ask(name, "SELECT count(*) FROM _stoa_schema"), "1");
        assert_eq!(server.ask(name, "SELECT count(*) FROM _stoa_owned"), "512");
    }
}

#[test]
fn a_schema_that_is_behind_is_named_with_its_shard() {
    let server = Server::start();
    let urls = server.empty(2);
    let plan = server.sharded_plan(resources(), &urls);
    migrate::apply(&plan, 0, false).unwrap();
    let second = urls[1].rsplit('/').next().unwrap();
    server.sql(second, "ALTER TABLE parts DROP COLUMN thing");
    match migrate::check_schema(&plan, 0) {
        Err(MigrateError::Refused(reasons)) => {
            let text = reasons.join("\n");
            assert!(text.contains("shard 1: table parts: new column thing"), "{text}");
            assert!(!text.contains("shard 0"), "{text}");
        }
        other => panic!("{other:?}"),
    }
}

/// The key of a row on each shard.
fn keys(store: &dyn Store) -> Vec<i64> {
    let places = [0..341_u16, 341..682, 682..1_024];
    let on = |range: &std::ops::Range<u16>| {
        (0..9_999)
            .find(|id| range.contains(&crate::bucket::bucket_of(&Value::Int(*id))))
            .unwrap()
    };
    let keys: Vec<i64> = places.iter().map(on).collect();
    for id in &keys {
        done(
            store,
            insert(0, &[0, 1], vec![vec![Value::Int(*id), Value::Int(0)]]),
        );
    }
    keys
}

#[test]
fn one_shard_that_is_down_stops_its_own_keys_only() {
    let server = Server::start();
    let urls = server.empty(3);
    let plan = Arc::new(server.sharded_plan(resources(), &urls));
    migrate::apply(&plan, 0, false).unwrap();
    let store = crate::store::open(&plan, 0).unwrap();
    let keys = keys(&*store);
    let name = urls[1].rsplit('/').next().unwrap();
    server.sql(
        "postgres",
        &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false"),
    );
    server.sql(
        "postgres",
        &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"),
    );
    let named = |error: StoreError| match error {
        StoreError::Shard { shard: 1, error } => {
            assert!(matches!(*error, StoreError::Unavailable(_)), "{error}");
        }
        other => panic!("{other}"),
    };
    let one = |id: i64| read(0, both(), is(0, id));
    for id in [keys[0], keys[2]] {
        assert_eq!(page(&*store, &one(id)).rows, 1);
        done(
            &*store,
            crate::store::contract::fixture::update(0, is(0, id), vec![(1, Value::Int(7))]),
        );
    }
    named(run(store.read(&one(keys[1]), soon())).unwrap_err());
    let change = crate::store::contract::fixture::update(0, is(0, keys[1]), vec![(1, Value::Int(7))]);
    named(try_write(&*store, change).unwrap_err());
    named(run(store.read(&all(), soon())).unwrap_err());
    let partial = page(
        &*store,
        &Read {
            partial: true,
            ..all()
        },
    );
    assert_eq!((partial.rows, partial.total, partial.missing), (2, None, vec![1]));
    run(store.ready(soon())).unwrap();
    server.sql(
        "postgres",
        &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true"),
    );
    let until = soon();
    while run(store.read(&one(keys[1]), until)).is_err() {}
    assert_eq!(page(&*store, &all()).rows, 3);
}
