//! From one file to the next, with rows there.

use super::{MigrateError, Step, apply, check_schema, plan as steps_of, status};
use crate::operation::Condition;
use crate::store::contract::fixture::{
    bound, done, field, insert, items, json, plan, read, refers, resource, text,
};
use crate::value::Value;
use rusqlite::Connection;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stoa_config::plan::{DefaultValue, Field, Plan, Resource, Shard, Type};

fn book(more: Vec<Field>) -> Resource {
    let mut fields = vec![field("id", Type::Int, "key"), field("title", Type::Text, "")];
    fields.extend(more);
    resource("books", fields, &[0])
}

fn with_default(name: &str, ty: Type, value: serde_json::Value) -> Field {
    Field {
        default: Some(DefaultValue::Value(value)),
        ..field(name, ty, "")
    }
}

/// A store of these books with two rows.
fn start(more: Vec<Field>) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let plan = Arc::new(plan(&path, vec![book(more)]));
    assert!(
        matches!(check_schema(&plan, 0), Err(MigrateError::Refused(_))),
        "nothing is there yet"
    );
    apply(&plan, 0, false).unwrap();
    check_schema(&plan, 0).unwrap();
    let store = crate::store::open(&plan, 0).unwrap();
    let width = plan.resources[0].fields.len();
    let rows = (1..3).map(|id| {
        let mut row = vec![Value::Int(id), text("t")];
        row.resize(width, Value::Int(id));
        row
    });
    done(
        &*store,
        insert(0, &(0..width).collect::<Vec<_>>(), rows.collect()),
    );
    (folder, path)
}

fn to(path: &Path, resources: Vec<Resource>) -> Plan {
    plan(path, resources)
}

fn shown(plan: Plan) -> String {
    let plan = Arc::new(plan);
    let store = crate::store::open(&plan, 0).unwrap();
    let all: Vec<usize> = (0..plan.resources[0].fields.len()).collect();
    json(
        &*store,
        &read(0, items(&plan.resources[0], &all), Condition::True),
    )
}

fn refused(result: Result<super::Applied, MigrateError>) -> String {
    match result {
        Err(error @ (MigrateError::Refused(_) | MigrateError::Destructive(_))) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nothing_to_do_is_nothing() {
    let (_folder, path) = start(Vec::new());
    let same = to(&path, vec![book(Vec::new())]);
    assert_eq!(steps_of(&same, 0).unwrap().steps, []);
    let status = status(&same, 0).unwrap();
    assert_eq!((status.applied, status.pending.steps.len()), (1, 0));
    assert!(status.last.is_some());
}

#[test]
fn additions_are_made() {
    let (_folder, path) = start(Vec::new());
    let time_auto = Field {
        auto: true,
        ..field("made", Type::Date, "")
    };
    let next = book(vec![
        field("pages", Type::Int, "optional index"),
        with_default("state", Type::Text, "it's new".into()),
        with_default(
            "price",
            Type::Decimal {
                precision: 8,
                scale: 2,
            },
            "1.5".into(),
        ),
        with_default(
            "big",
            Type::Decimal {
                precision: 30,
                scale: 2,
            },
            "-1.5".into(),
        ),
        with_default("ok", Type::Bool, true.into()),
        time_auto,
    ]);
    let other = resource(
        "authors",
        vec![
            field("id", Type::Int, "key"),
            field("book", refers(0, Type::Int), ""),
        ],
        &[0],
    );
    let next = to(&path, vec![next, other]);
    assert!(
        check_schema(&next, 0)
            .unwrap_err()
            .to_string()
            .contains("stoa migrate apply")
    );
    apply(&next, 0, false).unwrap();
    assert_eq!(steps_of(&next, 0).unwrap().steps, []);
    let rows = shown(next);
    assert!(rows.starts_with(r#"{"id":1,"title":"t","pages":null,"state":"it's new","price":1.50,"big":-1.50,"ok":true,"made":"20"#), "{rows}");
}

#[test]
fn required_without_default_is_refused_with_rows_and_made_without() {
    let (_folder, path) = start(Vec::new());
    let next = to(&path, vec![book(vec![field("pages", Type::Int, "")])]);
    assert!(refused(apply(&next, 0, true)).contains("give it a default, or make it optional"));
    Connection::open(&path)
        .unwrap()
        .execute_batch("DELETE FROM books")
        .unwrap();
    apply(&next, 0, false).unwrap();
    assert_eq!(steps_of(&next, 0).unwrap().steps, []);
}

#[test]
fn null_may_come_and_go() {
    let (_folder, path) = start(vec![field("n", Type::Int, "")]);
    let relaxed = to(&path, vec![book(vec![field("n", Type::Int, "optional")])]);
    apply(&relaxed, 0, false).unwrap();
    assert_eq!(
        shown(relaxed),
        r#"{"id":1,"title":"t","n":1},{"id":2,"title":"t","n":2}"#
    );
    Connection::open(&path)
        .unwrap()
        .execute_batch("UPDATE books SET n = NULL WHERE id = 1")
        .unwrap();
    let strict = to(&path, vec![book(vec![field("n", Type::Int, "")])]);
    assert!(refused(apply(&strict, 0, true)).contains("1 rows have no n"));
    let filled = to(&path, vec![book(vec![with_default("n", Type::Int, 9.into())])]);
    apply(&filled, 0, false).unwrap();
    assert_eq!(
        shown(filled),
        r#"{"id":1,"title":"t","n":9},{"id":2,"title":"t","n":2}"#
    );
}

#[test]
fn types_change_without_loss_or_with_leave() {
    let (_folder, path) = start(vec![field("n", Type::Int, "optional")]);
    let decimal = |scale| Type::Decimal { precision: 12, scale };
    for (ty, rows) in [
        (
            decimal(2),
            r#"{"id":1,"title":"t","n":1.00},{"id":2,"title":"t","n":2.00}"#,
        ),
        (
            decimal(4),
            r#"{"id":1,"title":"t","n":1.0000},{"id":2,"title":"t","n":2.0000}"#,
        ),
    ] {
        let next = to(&path, vec![book(vec![field("n", ty, "optional")])]);
        apply(&next, 0, false).unwrap();
        assert_eq!(shown(next), rows);
    }
    let lossy = to(&path, vec![book(vec![field("n", Type::Date, "optional")])]);
    let said = refused(apply(&lossy, 0, false));
    assert!(
        said.contains("--allow-destructive") && said.contains("lost"),
        "{said}"
    );
    apply(&lossy, 0, true).unwrap();
    assert_eq!(
        shown(lossy),
        r#"{"id":1,"title":"t","n":null},{"id":2,"title":"t","n":null}"#
    );
}

#[test]
fn what_the_file_no_longer_names_stays_until_allowed() {
    let (_folder, path) = start(vec![field("n", Type::Int, "optional unique")]);
    let next = to(&path, vec![book(Vec::new())]);
    check_schema(&next, 0).unwrap();
    let left = apply(&next, 0, false).unwrap().left;
    assert_eq!(left.len(), 1);
    assert_eq!(
        shown(to(&path, vec![book(Vec::new())])),
        r#"{"id":1,"title":"t"},{"id":2,"title":"t"}"#
    );
    apply(&next, 0, true).unwrap();
    assert_eq!(steps_of(&next, 0).unwrap().steps, []);
    let other = to(
        &path,
        vec![resource("other", vec![field("id", Type::Int, "key")], &[0])],
    );
    apply(&other, 0, false).unwrap();
    let migration = steps_of(&other, 0).unwrap();
    assert!(
        migration.is_served() && migration.notes[0].contains("books"),
        "{migration:?}"
    );
    assert!(
        matches!(&migration.steps[..], [Step { destructive: true, sql, .. }] if sql == "DROP TABLE \"books\"")
    );
    apply(&other, 0, true).unwrap();
    assert_eq!(steps_of(&other, 0).unwrap().steps, []);
}

#[test]
fn a_column_that_must_have_a_value_stands_in_the_way() {
    let (_folder, path) = start(vec![field("n", Type::Int, "")]);
    let next = to(&path, vec![book(Vec::new())]);
    assert!(
        check_schema(&next, 0)
            .unwrap_err()
            .to_string()
            .contains("--allow-destructive")
    );
    assert!(refused(apply(&next, 0, false)).contains("the column goes"));
}

#[test]
fn a_unique_that_rows_stand_against_is_said() {
    let (_folder, path) = start(Vec::new());
    let mut unique = book(Vec::new());
    unique.fields[1].unique = true;
    let said = refused(apply(&to(&path, vec![unique]), 0, false));
    assert!(
        said.contains("unique index on title") && said.contains("UNIQUE constraint"),
        "{said}"
    );
    assert_eq!(
        shown(to(&path, vec![book(Vec::new())])),
        r#"{"id":1,"title":"t"},{"id":2,"title":"t"}"#
    );
}

#[test]
fn a_ref_that_rows_break_is_said() {
    let (_folder, path) = start(vec![field("n", Type::Int, "optional")]);
    let shelves = resource("shelves", vec![field("id", Type::Int, "key")], &[0]);
    let refers_out = to(
        &path,
        vec![book(vec![field("n", refers(1, Type::Int), "optional")]), shelves],
    );
    assert!(refused(apply(&refers_out, 0, false)).contains("refer to rows of shelves"));
}

#[test]
fn keys_and_shard_keys_stay() {
    let (_folder, path) = start(Vec::new());
    let mut sharded = book(Vec::new());
    sharded.shard = Shard::Field(1);
    assert!(refused(apply(&to(&path, vec![sharded]), 0, true)).contains("cannot change"));
    let mut keyed = book(Vec::new());
    keyed.key = vec![1];
    assert!(refused(apply(&to(&path, vec![keyed]), 0, true)).contains("cannot change"));
}

#[test]
fn tables_of_others_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE books (id INTEGER PRIMARY KEY, title TEXT)")
        .unwrap();
    let own = to(&path, vec![book(Vec::new())]);
    assert!(refused(apply(&own, 0, true)).contains("bind it with `table: books`"));
    let near = bound("books", "boks", vec![field("id", Type::Int, "key")], &[0]);
    assert!(
        steps_of(&to(&path, vec![near]), 0)
            .unwrap_err()
            .to_string()
            .contains("did you mean books?")
    );
    let near = bound(
        "books",
        "books",
        vec![field("id", Type::Int, "key"), field("titel", Type::Text, "")],
        &[0],
    );
    assert!(
        steps_of(&to(&path, vec![near]), 0)
            .unwrap_err()
            .to_string()
            .contains("did you mean title?")
    );
}

#[test]
fn ten_that_start_at_once_do_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let plan = to(&path, vec![book(Vec::new())]);
    let made: usize = std::thread::scope(|scope| {
        let each: Vec<_> = (0..10)
            .map(|_| scope.spawn(|| apply(&plan, 0, false).unwrap().steps.len()))
            .collect();
        each.into_iter().map(|t| usize::from(t.join().unwrap() > 0)).sum()
    });
    assert_eq!(made, 1);
    assert_eq!(status(&plan, 0).unwrap().applied, 1);
}

#[test]
fn a_table_and_a_column_are_renamed_with_what_they_hold() {
    let (_folder, path) = start(vec![field("n", Type::Int, "index")]);
    let mut works = book(vec![field("amount", Type::Int, "index optional")]);
    works.name = "works".to_owned();
    works.was = Some("books".to_owned());
    works.fields[0].name = "nr".to_owned();
    works.fields[0].was = Some("id".to_owned());
    works.fields[2].was = Some("n".to_owned());
    let next = to(&path, vec![works.clone()]);
    let plan = steps_of(&next, 0).unwrap();
    assert!(plan.steps.iter().all(|s| !s.destructive), "{plan:?}");
    apply(&next, 0, false).unwrap();
    assert_eq!(steps_of(&next, 0).unwrap(), super::Migration::default());
    assert_eq!(
        shown(next),
        r#"{"nr":1,"title":"t","amount":1},{"nr":2,"title":"t","amount":2}"#
    );
    // The word may stay in the file, and may go.
    works.was = None;
    works.fields.iter_mut().for_each(|f| f.was = None);
    assert_eq!(
        steps_of(&to(&path, vec![works]), 0).unwrap(),
        super::Migration::default()
    );
    let indexes: i64 = Connection::open(&path)
        .unwrap()
        .query_row(
            "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND name LIKE 'books%'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(indexes, 0);
}
