//! Time, locks, space, wrong files.

use crate::operation::{Compare, Condition, Order, Read};
use crate::store::contract::fixture::{
    ascending, compare, done, insert, items, page, parts, plan, read, run, soon, sqlite, text, thing, things,
    try_write,
};
use crate::store::{Store, StoreError};
use crate::value::Value;
use rusqlite::Connection;
use std::sync::Arc;
use std::time::Duration;
use stoa_exchange::clock;

fn fill(store: &dyn Store, rows: i64) {
    for part in 0..rows / 1_000 {
        let rows = (0..1_000).map(|i| {
            let id = part * 1_000 + i;
            vec![
                Value::Int(id),
                text(&format!("name {}", id * 7919 % 1_000)),
                Value::Int(id % 100),
            ]
        });
        done(store, insert(0, &[0, 1, 2], rows.collect()));
    }
}

/// Looks at every row, with a function of ours on each.
fn heavy() -> Read {
    let mut heavy = read(
        0,
        items(&things(), &[0]),
        compare(1, Compare::Ilike, text("%E 99%9")),
    );
    heavy.order = vec![
        Order {
            embed: None,
            field: 1,
            path: Vec::new(),
            descending: true,
            nulls_first: true,
        },
        ascending(0),
    ];
    heavy.count = crate::operation::Count::Exact;
    heavy
}

#[test]
fn a_slow_read_leaves_the_worker_and_is_right() {
    let (_folder, _plan, store) = sqlite(vec![things(), parts()]);
    fill(&*store, 20_000);
    for _ in 0..3 {
        let found = page(&*store, &heavy());
        assert_eq!((found.rows, found.total), (20, Some(20)));
    }
    // Readers that all have something to do do not stop what is quick.
    let quick = read(0, items(&things(), &[0]), compare(0, Compare::Eq, Value::Int(5)));
    run(async {
        let slow = heavy();
        let mut waiting: Vec<_> = (0..20).map(|_| store.read(&slow, soon())).collect();
        let mut left = waiting.len();
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        for future in &mut waiting {
            assert!(
                future.as_mut().poll(&mut context).is_pending(),
                "known to be slow: not tried in the worker"
            );
        }
        assert_eq!(store.read(&quick, soon()).await.unwrap().rows, 1);
        for future in waiting {
            assert_eq!(future.await.unwrap().rows, 20);
            left -= 1;
        }
        assert_eq!(left, 0);
    });
}

#[test]
fn a_deadline_ends_a_read_and_a_write() {
    let (_folder, _plan, store) = sqlite(vec![things(), parts()]);
    fill(&*store, 30_000);
    let at_once = || clock::now() + Duration::from_millis(3);
    let mut endless = heavy();
    // Every row against every JSON path: far more than three milliseconds.
    endless.filter = Condition::Or(
        (0..60)
            .map(|i| compare(1, Compare::Ilike, text(&format!("%q{i}%z%"))))
            .collect(),
    );
    assert!(matches!(
        run(store.read(&endless, at_once())),
        Err(StoreError::Deadline)
    ));
    let change = crate::store::contract::fixture::update(0, endless.filter.clone(), vec![(1, text("x"))]);
    let result = run(store.write(change, at_once(), None));
    assert!(matches!(result, Err(StoreError::Deadline)), "{result:?}");
    let past = clock::now().checked_sub(Duration::from_secs(1)).unwrap();
    let late = insert(0, &[0], vec![vec![Value::Int(-1)]]);
    assert!(matches!(
        run(store.write(late, past, None)),
        Err(StoreError::Deadline)
    ));
    assert_eq!(
        page(
            &*store,
            &read(0, items(&things(), &[0]), compare(0, Compare::Eq, Value::Int(-1)))
        )
        .rows,
        0
    );
}

#[test]
fn a_write_out_of_time_takes_no_other_with_it() {
    let (_folder, _plan, store) = sqlite(vec![things(), parts()]);
    fill(&*store, 30_000);
    let slow = Condition::Or(
        (0..60)
            .map(|i| compare(1, Compare::Ilike, text(&format!("%q{i}%z%"))))
            .collect(),
    );
    run(async {
        // All are queued before the writer has done the first.
        let mut writes = Vec::new();
        for i in 0..10_i64 {
            writes.push(store.write(insert(0, &[0], vec![vec![Value::Int(-1 - i)]]), soon(), None));
            let slow = crate::store::contract::fixture::update(0, slow.clone(), vec![(1, text("x"))]);
            writes.push(store.write(slow, clock::now() + Duration::from_millis(30), None));
        }
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let mut results = Vec::new();
        writes.retain_mut(|w| match w.as_mut().poll(&mut context) {
            std::task::Poll::Ready(result) => {
                results.push(result);
                false
            }
            std::task::Poll::Pending => true,
        });
        for write in writes {
            results.push(write.await);
        }
        assert_eq!(results.iter().filter(|r| r.is_ok()).count(), 10);
        assert_eq!(
            results
                .iter()
                .filter(|r| matches!(r, Err(StoreError::Deadline)))
                .count(),
            10
        );
    });
    let new = read(0, items(&things(), &[0]), compare(0, Compare::Lt, Value::Int(0)));
    assert_eq!(page(&*store, &new).rows, 10);
}

#[test]
fn a_lock_of_another_process_is_said() {
    let (folder, _plan, store) = sqlite(vec![things(), parts()]);
    let other = Connection::open(folder.path().join("test.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let result = try_write(&*store, insert(0, &[0], vec![vec![Value::Int(1)]]));
    assert!(
        matches!(&result, Err(StoreError::Unavailable(text)) if text.contains("lock")),
        "{result:?}"
    );
    // Reads go on, and writes do when the lock is gone.
    assert_eq!(
        page(&*store, &read(0, items(&things(), &[0]), Condition::True)).rows,
        0
    );
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(
        done(&*store, insert(0, &[0], vec![vec![Value::Int(1)]])).affected,
        1
    );
}

#[test]
fn a_full_disk_is_said_and_breaks_nothing() {
    let (folder, plan, _store) = sqlite(vec![things(), parts()]);
    let limit = super::super::SqliteStore::open(&plan, 0, &folder.path().join("test.db")).unwrap();
    limit.limit_pages(60);
    let store: Arc<dyn Store> = Arc::new(limit);
    let big = || text(&"x".repeat(20_000));
    let mut full = 0;
    for id in 0..40_i64 {
        match try_write(&*store, insert(0, &[0, 1], vec![vec![Value::Int(id), big()]])) {
            Ok(_) => assert_eq!(full, 0, "once full it stays full"),
            Err(StoreError::Full(_)) => full += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(full > 0);
    let rows = page(&*store, &read(0, items(&things(), &[0]), Condition::True)).rows;
    assert_eq!(rows, 40 - full);
    let all = crate::store::contract::fixture::delete(0, Condition::True);
    assert_eq!(done(&*store, all).affected, rows, "what is removed makes room");
    done(&*store, insert(0, &[0, 1], vec![vec![Value::Int(1), big()]]));
    let conn = Connection::open(folder.path().join("test.db")).unwrap();
    let whole: String = conn
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(whole, "ok");
}

#[test]
fn wrong_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let nowhere = plan(std::path::Path::new("/proc/x.db"), vec![things()]);
    let plan = Arc::new(plan(&path, vec![things()]));
    let said = |plan| match crate::store::open(plan, 0).map(drop) {
        Err(StoreError::Unavailable(text)) => text,
        other => panic!("{other:?}"),
    };
    assert!(said(&plan).contains("stoa migrate apply"));
    std::fs::write(
        &path,
        "long enough to be taken for the header of a database, which it is not at all",
    )
    .unwrap();
    assert!(said(&plan).contains("is not a SQLite database"));
    std::fs::write(&path, "").unwrap();
    assert!(said(&plan).contains("stoa migrate apply"));
    // Nobody can make a file there, not even root.
    match crate::migrate::apply(&nowhere, 0, false) {
        Err(error) => assert!(error.to_string().contains("/proc/x.db"), "{error}"),
        Ok(made) => panic!("{made:?}"),
    }
}

#[test]
fn the_pages_of_a_list_use_the_index() {
    let (folder, plan, store) = sqlite(vec![things(), parts()]);
    fill(&*store, 1_000);
    let conn = super::super::connect::open(
        &folder.path().join("test.db"),
        super::super::connect::Use::Read,
        Duration::ZERO,
    )
    .unwrap();
    let tables = super::super::connect::tables(&plan, 0, &conn).unwrap();
    let steps = |read: &Read| {
        use crate::store::sql::{Builder, Shape};
        let shape = Shape::new(&read.select, tables.get(0).unwrap(), &tables).unwrap();
        let mut builder = Builder::new(&super::super::dialect::SQLITE, &tables);
        builder.read(read, &shape).unwrap();
        let text = format!("EXPLAIN QUERY PLAN {}", builder.sql.text);
        let mut statement = conn.prepare_cached(&text).unwrap();
        super::super::read::bind(&mut statement, &builder.sql).unwrap();
        let mut rows = statement.raw_query();
        let mut list = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            list.push(row.get::<_, String>(3).unwrap());
        }
        list.join("; ")
    };
    let mut by_key = read(0, items(&things(), &[0, 1]), Condition::True);
    by_key.after = Some(vec![Value::Int(5)]);
    let found = steps(&by_key);
    assert!(found.contains("SEARCH") && !found.contains("B-TREE"), "{found}");
    let mut one = read(
        0,
        items(&things(), &[0, 1]),
        compare(0, Compare::Eq, Value::Int(5)),
    );
    one.bucket = Some(3);
    let found = steps(&one);
    assert!(found.contains("SEARCH") && found.contains("id=?"), "{found}");
    let mut by_number = read(0, items(&things(), &[0]), Condition::True);
    by_number.order = vec![ascending(thing::N), ascending(0)];
    by_number.after = Some(vec![Value::Int(5), Value::Int(7)]);
    let found = steps(&by_number);
    assert!(found.contains("things_n_index"), "{found}");
}

#[test]
fn a_panic_in_a_write_undoes_that_write_and_the_writer_goes_on() {
    let (_folder, _plan, store) = sqlite(vec![things(), parts()]);
    let row = |id: i64| {
        insert(
            0,
            &[0, 1, 2],
            vec![vec![Value::Int(id), text("a"), Value::Int(id)]],
        )
    };
    let mut broken = row(1);
    broken.idempotency = Some(crate::operation::IdempotencyClaim {
        scope: [1; 32],
        fingerprint: [1; 32],
        bucket: None,
    });
    let render: crate::store::Render = Box::new(|_| panic!("a fault of ours"));
    let error = run(async { store.write(broken, soon(), Some(render)).await.unwrap_err() });
    assert!(matches!(error, StoreError::Internal(_)), "{error}");
    done(&*store, row(2));
    let all = read(0, items(&things(), &[0]), Condition::True);
    assert_eq!(page(&*store, &all).rows, 1, "only the second was written");
}
