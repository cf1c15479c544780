//! Writes: what is there afterwards, and what is said when nothing is.

use super::Check;
use super::fixture::{
    ascending, bucket, compare, delete, done, insert, is, items, json, page, parts, read, run, soon, text,
    thing, things, try_write, update, write,
};
use crate::operation::{
    Change, Compare, Condition, Conflict, Embed, IdempotencyClaim, Item, Join, Precondition, Write,
};
use crate::store::{Outcome, Store, StoreError, StoredReply};
use crate::value::Value;

pub(super) fn all() -> Vec<(&'static str, Check)> {
    vec![
        ("an insert answers with what it made", inserts as Check),
        ("a reply shows the row that was made among its like", among),
        ("unique names field and value", unique),
        ("a ref must lead somewhere", references),
        ("a version changes once", versions),
        ("a row that is made again has another version", made_again),
        ("of fifty with one version one wins", fifty),
        ("replace makes or overwrites", replace),
        ("conflicts are ignored or merged", conflicts),
        ("a row that breaks the rule is not written", checks),
        ("too many rows change nothing", bounds),
        ("a rollback leaves nothing", rollback),
        ("one reply for one key", idempotency),
        ("a race for one key makes one row", race),
        ("a bad write among good ones is alone", isolation),
        ("deletes show what they removed", deletes),
    ]
}

fn all_things(store: &dyn Store) -> String {
    json(store, &read(0, items(&things(), &[0, 1]), Condition::True))
}

fn rows(list: &[(i64, &str)]) -> Vec<Vec<Value>> {
    list.iter()
        .map(|(id, name)| vec![Value::Int(*id), text(name)])
        .collect()
}

fn with(write: Write, change: impl FnOnce(&mut Write)) -> Write {
    let mut write = write;
    change(&mut write);
    write
}

fn inserts(store: &dyn Store) {
    let shown = with(insert(0, &[0, 1], rows(&[(2, "b"), (1, "a")])), |w| {
        w.returning = Some(items(&things(), &[1, 0]));
    });
    let written = done(store, shown);
    assert_eq!(
        (written.affected, written.inserted, written.version),
        (2, 2, None)
    );
    assert_eq!(
        String::from_utf8_lossy(&written.json),
        r#"{"name":"b","id":2},{"name":"a","id":1}"#
    );
    assert_eq!(written.keys, vec![Value::Int(2), Value::Int(1)]);
    let one = done(store, insert(0, &[0], vec![vec![Value::Int(3)]]));
    assert_eq!((one.version.is_some(), one.json.len()), (true, 0));
    let many = (10..2_010).map(|i| vec![Value::Int(i)]).collect();
    let many = done(store, insert(0, &[0], many));
    assert_eq!((many.affected, many.keys.len()), (2_000, 1_000));
    assert_eq!(done(store, insert(0, &[0], Vec::new())).affected, 0);
}

/// part → its thing → the parts of it: what the write itself made is among them.
fn among(store: &dyn Store) {
    done(store, insert(0, &[0], vec![vec![Value::Int(1)]]));
    let embed = |resource, join, select| {
        Item::Embed(Box::new(Embed {
            name: "x".into(),
            resource,
            join,
            inner: false,
            spread: false,
            select,
            filter: Condition::True,
            order: vec![ascending(0)],
            limit: 100,
            offset: 0,
        }))
    };
    let siblings = embed(1, Join::ToMany { field: 1 }, items(&parts(), &[0]));
    let mut select = items(&parts(), &[0]);
    select.push(embed(0, Join::ToOne { field: 1 }, vec![siblings]));
    let part = |id: i64| vec![Value::Int(id), Value::Int(1)];
    let made = with(insert(1, &[0, 1], vec![part(5), part(4)]), |w| {
        w.returning = Some(select);
    });
    assert_eq!(
        String::from_utf8_lossy(&done(store, made).json),
        r#"{"id":5,"x":{"x":[{"id":4},{"id":5}]}},{"id":4,"x":{"x":[{"id":4},{"id":5}]}}"#
    );
}

fn unique(store: &dyn Store) {
    let code = |id: i64, code: &str| vec![Value::Int(id), text(code)];
    done(
        store,
        insert(0, &[0, thing::CODE], vec![code(1, "x"), code(2, "y")]),
    );
    let expect = |result: Result<_, StoreError>, field: &str, wanted: &str| match result {
        Err(StoreError::Unique { fields, value, .. }) => {
            assert_eq!((fields, value.as_deref()), (vec![field.to_owned()], Some(wanted)));
        }
        other => panic!("{other:?}"),
    };
    let two = insert(0, &[0, thing::CODE], vec![code(3, "z"), code(4, "y")]);
    expect(try_write(store, two).map(drop), "code", "y");
    expect(
        try_write(store, insert(0, &[0, thing::CODE], vec![code(1, "q")])).map(drop),
        "id",
        "1",
    );
    expect(
        try_write(
            store,
            insert(0, &[0, thing::CODE], vec![code(5, "w"), code(6, "w")]),
        )
        .map(drop),
        "code",
        "w",
    );
    expect(
        try_write(store, update(0, is(0, 1), vec![(thing::CODE, text("y"))])).map(drop),
        "code",
        "y",
    );
    assert_eq!(
        page(store, &read(0, items(&things(), &[0]), Condition::True)).rows,
        2,
        "nothing of them stays"
    );
    // Nulls are not equal to each other.
    done(
        store,
        insert(0, &[0], vec![vec![Value::Int(7)], vec![Value::Int(8)]]),
    );
}

fn references(store: &dyn Store) {
    done(store, insert(0, &[0], vec![vec![Value::Int(1)]]));
    let part = |id: i64, thing: i64| vec![Value::Int(id), Value::Int(thing)];
    done(store, insert(1, &[0, 1], vec![part(1, 1)]));
    let broken = |result: Result<_, StoreError>, referred: bool, of: &str, named: &str| match result {
        Err(StoreError::Reference {
            field,
            resource,
            value,
            still_referred,
            ..
        }) => {
            assert_eq!((field.as_str(), resource.as_str()), ("thing", of));
            assert_eq!((value.as_deref(), still_referred), (Some(named), referred));
        }
        other => panic!("{other:?}"),
    };
    broken(
        try_write(store, insert(1, &[0, 1], vec![part(2, 1), part(3, 77)])).map(drop),
        false,
        "things",
        "77",
    );
    broken(
        try_write(store, update(1, is(0, 1), vec![(1, Value::Int(5))])).map(drop),
        false,
        "things",
        "5",
    );
    broken(
        try_write(store, delete(0, is(0, 1))).map(drop),
        true,
        "parts",
        "1",
    );
    let asked = with(insert(1, &[0], vec![vec![Value::Int(9)]]), |w| {
        w.must_exist = vec![(0, Value::Int(3))];
    });
    broken(try_write(store, asked).map(drop), false, "things", "3");
    done(store, delete(1, Condition::True));
    assert_eq!(done(store, delete(0, is(0, 1))).affected, 1);
}

fn change(set: &str, filter: Condition, precondition: Precondition) -> Write {
    write(
        0,
        Change::Update {
            filter,
            bucket: None,
            set: vec![(1, text(set))],
            precondition,
            check: Condition::True,
        },
    )
}

fn versions(store: &dyn Store) {
    let first = first_version(store);
    let at = |more: i64| Precondition::Versions(vec![first + more]);
    let second = done(store, change("b", is(0, 1), at(0)));
    assert_eq!((second.affected, second.version), (1, Some(first + 1)));
    assert!(matches!(
        try_write(store, change("c", is(0, 1), at(0))),
        Err(StoreError::PreconditionFailed)
    ));
    assert!(matches!(
        try_write(store, change("c", is(0, 9), at(0))),
        Err(StoreError::NotFound)
    ));
    assert!(matches!(
        try_write(store, change("c", is(0, 9), Precondition::Exists)),
        Err(StoreError::NotFound)
    ));
    assert_eq!(done(store, change("c", is(0, 9), Precondition::None)).affected, 0);
    let either = done(
        store,
        change("d", is(0, 1), Precondition::Versions(vec![7, first + 1, 9])),
    );
    assert_eq!(either.version, Some(first + 2));
    let nothing = with(change("", is(0, 1), Precondition::Exists), |w| {
        if let Change::Update { set, .. } = &mut w.change {
            set.clear();
        }
    });
    assert_eq!(
        done(store, nothing).version,
        Some(first + 2),
        "an empty patch is no new version"
    );
    let gone = |precondition| {
        write(
            0,
            Change::Delete {
                filter: is(0, 1),
                bucket: Some(bucket(1)),
                precondition,
            },
        )
    };
    assert!(matches!(
        try_write(store, gone(at(1))),
        Err(StoreError::PreconditionFailed)
    ));
    assert_eq!(done(store, gone(at(2))).affected, 1);
    assert!(matches!(
        try_write(store, gone(Precondition::Exists)),
        Err(StoreError::NotFound)
    ));
}

/// Makes the first row and gives its version.
fn first_version(store: &dyn Store) -> i64 {
    let made = done(store, insert(0, &[0, 1], rows(&[(1, "a")])));
    made.version.expect("a row has a version")
}

/// A tag of a row that was removed does not fit the row that took its place.
fn made_again(store: &dyn Store) {
    let first = first_version(store);
    done(store, delete(0, is(0, 1)));
    assert_ne!(first_version(store), first);
    assert!(matches!(
        try_write(store, change("b", is(0, 1), Precondition::Versions(vec![first]))),
        Err(StoreError::PreconditionFailed)
    ));
}

fn fifty(store: &dyn Store) {
    let first = first_version(store);
    for version in first..first + 4 {
        let results = run(async {
            let each = (0..50).map(|i| {
                store.write(
                    change(&i.to_string(), is(0, 1), Precondition::Versions(vec![version])),
                    soon(),
                    None,
                )
            });
            let mut results = Vec::new();
            let mut waiting: Vec<_> = each.collect();
            // All are sent before any is waited for.
            std::future::poll_fn(|context| {
                waiting.retain_mut(|future| match future.as_mut().poll(context) {
                    std::task::Poll::Ready(result) => {
                        results.push(result);
                        false
                    }
                    std::task::Poll::Pending => true,
                });
                if waiting.is_empty() {
                    std::task::Poll::Ready(())
                } else {
                    std::task::Poll::Pending
                }
            })
            .await;
            results
        });
        let won = results.iter().filter(|r| r.is_ok()).count();
        let lost = results
            .iter()
            .filter(|r| matches!(r, Err(StoreError::PreconditionFailed)))
            .count();
        assert_eq!((won, lost), (1, 49));
    }
}

fn replace(store: &dyn Store) {
    let put = |id: i64, name: &str, filter: Condition, precondition| {
        write(
            0,
            Change::Replace {
                key: Value::Int(id),
                bucket: bucket(usize::try_from(id).unwrap()),
                insert: vec![(0, Value::Int(id)), (1, text(name))],
                update: vec![(1, text(name)), (2, Value::Null)],
                filter,
                check: compare(1, Compare::Neq, text("forbidden")),
                precondition,
            },
        )
    };
    let none = || Precondition::None;
    let made = done(store, put(1, "a", Condition::True, none()));
    let first = made.version.expect("a row has a version");
    assert_eq!((made.affected, made.inserted), (1, 1));
    let again = done(store, put(1, "b", Condition::True, none()));
    assert_eq!(
        (again.affected, again.inserted, again.version),
        (1, 0, Some(first + 1))
    );
    let refused = |w: Write| try_write(store, w).unwrap_err();
    assert!(matches!(
        refused(put(1, "c", Condition::True, Precondition::Absent)),
        StoreError::PreconditionFailed
    ));
    let at = |more| Precondition::Versions(vec![first + more]);
    assert!(matches!(
        refused(put(1, "c", Condition::True, at(0))),
        StoreError::PreconditionFailed
    ));
    assert!(matches!(
        refused(put(5, "c", Condition::True, at(0))),
        StoreError::PreconditionFailed
    ));
    assert!(matches!(
        refused(put(1, "c", is(1, text("other")), none())),
        StoreError::CheckFailed
    ));
    assert!(matches!(
        refused(put(1, "forbidden", Condition::True, none())),
        StoreError::CheckFailed
    ));
    assert!(matches!(
        refused(put(6, "forbidden", Condition::True, none())),
        StoreError::CheckFailed
    ));
    assert_eq!(
        done(store, put(1, "d", Condition::True, at(1))).version,
        Some(first + 2)
    );
    assert_eq!(all_things(store), r#"{"id":1,"name":"d"}"#);
}

fn conflicts(store: &dyn Store) {
    let code = |id: i64, name: &str, code: &str| vec![Value::Int(id), text(name), text(code)];
    let fields = [0, 1, thing::CODE];
    done(
        store,
        insert(0, &fields, vec![code(1, "a", "x"), code(2, "b", "y")]),
    );
    let upsert = |rows: Vec<Vec<Value>>, how: Conflict| {
        with(insert(0, &fields, rows), |w| {
            w.returning = Some(items(&things(), &[0, 1]));
            if let Change::Insert { conflict, .. } = &mut w.change {
                *conflict = how;
            }
        })
    };
    let ignored = done(
        store,
        upsert(
            vec![code(1, "q", "q"), code(3, "c", "z")],
            Conflict::Ignore { on: Vec::new() },
        ),
    );
    assert_eq!((ignored.affected, ignored.inserted), (1, 1));
    assert_eq!(String::from_utf8_lossy(&ignored.json), r#"{"id":3,"name":"c"}"#);
    let merge = |filter| Conflict::Merge {
        on: vec![thing::CODE],
        set: vec![1],
        filter,
    };
    let merged = done(
        store,
        upsert(
            vec![code(9, "new", "y"), code(4, "d", "w")],
            merge(Condition::True),
        ),
    );
    assert_eq!((merged.affected, merged.inserted), (2, 1));
    assert_eq!(
        String::from_utf8_lossy(&merged.json),
        r#"{"id":2,"name":"new"},{"id":4,"name":"d"}"#
    );
    let denied = try_write(
        store,
        upsert(vec![code(5, "e", "v"), code(9, "no", "x")], merge(is(0, 2))),
    );
    assert!(matches!(denied, Err(StoreError::CheckFailed)));
    let other = try_write(store, upsert(vec![code(1, "e", "fresh")], merge(Condition::True)));
    assert!(
        matches!(other, Err(StoreError::Unique { .. })),
        "another conflict than the one named: {other:?}"
    );
    assert_eq!(
        all_things(store),
        r#"{"id":1,"name":"a"},{"id":2,"name":"new"},{"id":3,"name":"c"},{"id":4,"name":"d"}"#
    );
}

fn checks(store: &dyn Store) {
    let mine = compare(1, Compare::Eq, text("mine"));
    let own = |w: Write| {
        with(w, |w| match &mut w.change {
            Change::Insert { check, .. } | Change::Update { check, .. } => *check = mine.clone(),
            _ => {}
        })
    };
    done(store, own(insert(0, &[0, 1], rows(&[(1, "mine")]))));
    let denied = try_write(store, own(insert(0, &[0, 1], rows(&[(2, "mine"), (3, "yours")]))));
    assert!(matches!(denied, Err(StoreError::CheckFailed)));
    assert!(matches!(
        try_write(store, own(update(0, is(0, 1), vec![(1, text("yours"))]))),
        Err(StoreError::CheckFailed)
    ));
    // Unknown is not true.
    assert!(matches!(
        try_write(store, own(update(0, is(0, 1), vec![(1, Value::Null)]))),
        Err(StoreError::CheckFailed)
    ));
    assert_eq!(all_things(store), r#"{"id":1,"name":"mine"}"#);
}

fn bounds(store: &dyn Store) {
    done(store, insert(0, &[0, 1], rows(&[(1, "a"), (2, "b"), (3, "c")])));
    let two = with(update(0, Condition::True, vec![(1, text("z"))]), |w| {
        w.max_affected = Some(2);
    });
    assert!(matches!(try_write(store, two), Err(StoreError::Affected(3))));
    let one = with(delete(0, compare(0, Compare::Gt, Value::Int(1))), |w| {
        w.exactly_one = true;
    });
    assert!(matches!(try_write(store, one), Err(StoreError::Affected(2))));
    let none = with(delete(0, is(0, 9)), |w| w.exactly_one = true);
    assert!(matches!(try_write(store, none), Err(StoreError::Affected(0))));
    assert_eq!(
        all_things(store),
        r#"{"id":1,"name":"a"},{"id":2,"name":"b"},{"id":3,"name":"c"}"#
    );
}

fn rollback(store: &dyn Store) {
    let gone = with(insert(0, &[0, 1], rows(&[(1, "a")])), |w| {
        w.rollback = true;
        w.returning = Some(items(&things(), &[1]));
    });
    assert_eq!(
        String::from_utf8_lossy(&done(store, gone).json),
        r#"{"name":"a"}"#
    );
    assert_eq!(all_things(store), "");
}

fn claim(scope: u8, fingerprint: u8) -> IdempotencyClaim {
    IdempotencyClaim {
        scope: [scope; 32],
        fingerprint: [fingerprint; 32],
        bucket: None,
    }
}

fn reply() -> StoredReply {
    StoredReply {
        status: 201,
        headers: vec![("location".to_owned(), "/things/1".to_owned())],
        body: bytes::Bytes::from_static(b"{\"id\":1}"),
    }
}

fn idempotency(store: &dyn Store) {
    let keyed = |id: i64, key| {
        with(insert(0, &[0], vec![vec![Value::Int(id)]]), |w| {
            w.idempotency = Some(key);
        })
    };
    let send = |w: Write| {
        run(store.write(
            w,
            soon(),
            Some(Box::new(|written| {
                assert_eq!(written.affected, 1);
                reply()
            })),
        ))
        .map(|done| done.outcome)
    };
    assert!(matches!(send(keyed(1, claim(1, 1))), Ok(Outcome::Written(_))));
    assert_eq!(send(keyed(1, claim(1, 1))).unwrap(), Outcome::Replayed(reply()));
    assert!(matches!(
        send(keyed(1, claim(1, 2))),
        Err(StoreError::IdempotencyMismatch)
    ));
    // A write that failed keeps nothing: the key can be used again.
    assert!(matches!(
        send(keyed(1, claim(2, 1))),
        Err(StoreError::Unique { .. })
    ));
    assert!(matches!(send(keyed(2, claim(2, 3))), Ok(Outcome::Written(_))));
    let undone = with(keyed(3, claim(3, 1)), |w| w.rollback = true);
    assert!(matches!(send(undone), Ok(Outcome::Written(_))));
    assert!(matches!(send(keyed(3, claim(3, 1))), Ok(Outcome::Written(_))));
    assert_eq!(
        page(store, &read(0, items(&things(), &[0]), Condition::True)).rows,
        3
    );
}

fn race(store: &dyn Store) {
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut id = 1_000 * i64::from(std::process::id() % 7 + 1);
                loop {
                    id += 1;
                    let one = with(insert(0, &[0], vec![vec![Value::Int(1)]]), |w| {
                        w.idempotency = Some(claim(9, 9));
                    });
                    match run(store.write(one, soon(), Some(Box::new(|_| reply())))).map(|done| done.outcome)
                    {
                        Ok(Outcome::Written(_)) => return,
                        Ok(Outcome::Replayed(found)) => return assert_eq!(found, reply()),
                        Err(StoreError::IdempotencyRunning) if id < i64::MAX => {}
                        other => panic!("{other:?}"),
                    }
                }
            });
        }
    });
    assert_eq!(all_things(store), r#"{"id":1,"name":null}"#);
}

fn isolation(store: &dyn Store) {
    done(store, insert(0, &[0, 1], rows(&[(500, "there")])));
    std::thread::scope(|scope| {
        for worker in 0..8_i64 {
            scope.spawn(move || {
                for i in 0..10_i64 {
                    let good = insert(0, &[0], vec![vec![Value::Int(worker * 10 + i)]]);
                    let bad = insert(
                        0,
                        &[0],
                        vec![vec![Value::Int(600 + worker * 10 + i)], vec![Value::Int(500)]],
                    );
                    run(store.write(good, soon(), None)).unwrap();
                    assert!(matches!(
                        run(store.write(bad, soon(), None)),
                        Err(StoreError::Unique { .. })
                    ));
                }
            });
        }
    });
    assert_eq!(
        page(store, &read(0, items(&things(), &[0]), Condition::True)).rows,
        81
    );
}

fn deletes(store: &dyn Store) {
    done(store, insert(0, &[0, 1], rows(&[(1, "a"), (2, "b"), (3, "c")])));
    let some = with(delete(0, compare(0, Compare::Gt, Value::Int(1))), |w| {
        w.returning = Some(items(&things(), &[1]));
    });
    let written = done(store, some);
    assert_eq!((written.affected, written.inserted), (2, 0));
    assert_eq!(
        String::from_utf8_lossy(&written.json),
        r#"{"name":"b"},{"name":"c"}"#
    );
    assert_eq!(all_things(store), r#"{"id":1,"name":"a"}"#);
    assert_eq!(json(store, &read(1, items(&parts(), &[0]), Condition::True)), "");
}
