//! From one file to the next on a PostgreSQL server, with rows there.

use super::super::{MigrateError, Migration, Step, apply, check_schema, plan as steps_of, status};
use crate::operation::Condition;
use crate::store::contract::fixture::{done, field, insert, items, json, read, refers, resource, text};
use crate::store::contract::server::Server;
use crate::value::Value;
use serde_json::json;
use std::sync::Arc;
use stoa_config::plan::{DefaultValue, Field, Plan, Resource, Type};

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

/// An empty database, as one that a plan's store is in.
struct Database<'a> {
    server: &'a Server,
    url: String,
}

impl<'a> Database<'a> {
    fn new(server: &'a Server) -> Self {
        let url = server.url(&server.database(&[]));
        Self { server, url }
    }

    fn name(&self) -> &str {
        self.url.rsplit('/').next().unwrap()
    }

    fn plan(&self, resources: Vec<Resource>) -> Plan {
        self.server.plan(resources, &self.url)
    }

    /// Makes these tables, with two rows in the first.
    fn start(&self, resources: Vec<Resource>) {
        let plan = Arc::new(self.plan(resources));
        apply(&plan, 0, false).unwrap();
        let store = crate::store::open(&plan, 0).unwrap();
        let width = plan.resources[0].fields.len();
        let rows = (1..3).map(|id| {
            let mut row = vec![Value::Int(id), text("t")];
            row.resize(width, Value::Int(id));
            row
        });
        let fields: Vec<usize> = (0..width).collect();
        done(&*store, insert(0, &fields, rows.collect()));
    }

    /// Applies it, and nothing is left to do.
    fn becomes(&self, resources: Vec<Resource>) -> Vec<Step> {
        let plan = self.plan(resources);
        let steps = apply(&plan, 0, false).unwrap().steps;
        assert_eq!(
            steps_of(&plan, 0).unwrap(),
            Migration::default(),
            "after {steps:#?}"
        );
        check_schema(&plan, 0).unwrap();
        steps
    }

    fn shown(&self, resources: Vec<Resource>) -> String {
        let plan = Arc::new(self.plan(resources));
        let store = crate::store::open(&plan, 0).unwrap();
        let all: Vec<usize> = (0..plan.resources[0].fields.len()).collect();
        json(
            &*store,
            &read(0, items(&plan.resources[0], &all), Condition::True),
        )
    }

    fn refused(&self, resources: Vec<Resource>) -> String {
        match apply(&self.plan(resources), 0, false) {
            Err(error @ (MigrateError::Refused(_) | MigrateError::Destructive(_))) => error.to_string(),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn kept_replies_of_an_older_version_stay_without_a_bucket() {
    let server = Server::start();
    let database = Database::new(&server);
    database.start(vec![book(vec![])]);
    let old = "ALTER TABLE _stoa_idempotency DROP COLUMN bucket; \
        INSERT INTO _stoa_idempotency VALUES ('\\x01', '\\x02', 201, '[]', '', 9999999999)";
    server.sql(database.name(), old);
    let plan = database.plan(vec![book(vec![])]);
    assert!(matches!(check_schema(&plan, 0), Err(MigrateError::Refused(_))));
    let made = database.becomes(vec![book(vec![])]);
    assert!(
        made.len() == 1 && made[0].why.starts_with("_stoa_idempotency: "),
        "{made:?}"
    );
    let kept = "SELECT count(*) FROM _stoa_idempotency WHERE bucket IS NULL";
    assert_eq!(server.ask(database.name(), kept), "1");
}

#[test]
fn tables_follow_the_file() {
    let server = Server::start();
    for (what, case) in [
        ("nothing is there at first", from_nothing as fn(&Database<'_>)),
        ("columns come", columns),
        ("types widen, and others lose their values", types),
        ("names change", names),
        (
            "a name that is given up after a rename goes under both",
            names_given_up,
        ),
        ("values become required", required),
        ("references come", references),
        ("uniqueness that rows stand against is said", unique),
        ("what is not named stays", leftovers),
        ("what a kill left is mended", broken),
        ("ten at once do it once", ten),
        ("a table of somebody else is not taken", taken),
    ] {
        println!("{what}");
        case(&Database::new(&server));
    }
}

fn from_nothing(database: &Database<'_>) {
    let everything = resource(
        "all",
        vec![
            field("id", Type::Uuid7, "key auto"),
            with_default("a", Type::Text, json!("it's")),
            with_default(
                "b",
                Type::Decimal {
                    precision: 30,
                    scale: 2,
                },
                json!("1.50"),
            ),
            with_default("c", Type::List(Box::new(Type::Text)), json!(["x,y", "\"q\""])),
            with_default("d", Type::Json, json!({ "k": [1] })),
            with_default("e", Type::Bool, json!(true)),
            with_default("f", Type::Time, json!("2026-01-02T03:04:05Z")),
            with_default("g", Type::Enum(vec!["x".into(), "y".into()]), json!("y")),
            with_default("h", Type::Float, json!(0.5)),
            with_default("i", Type::Date, json!("2026-01-02")),
        ],
        &[0],
    );
    let plan = database.plan(vec![everything.clone(), book(Vec::new())]);
    assert!(matches!(check_schema(&plan, 0), Err(MigrateError::Refused(_))));
    assert_eq!(status(&plan, 0).unwrap().applied, 0);
    let steps = database.becomes(vec![everything, book(Vec::new())]);
    assert!(steps.iter().all(|s| !s.destructive));
    let now = status(&plan, 0).unwrap();
    assert_eq!((now.applied, now.pending), (1, Migration::default()));
    assert!(now.last.is_some());
}

fn columns(database: &Database<'_>) {
    database.start(vec![book(Vec::new())]);
    let more = || {
        vec![
            field("n", Type::Int, "optional index"),
            with_default("kind", Type::Text, json!("new")),
            field("at", Type::Time, "auto"),
        ]
    };
    let steps = database.becomes(vec![book(more())]);
    let index = steps.iter().find(|s| s.why.contains("index on n")).unwrap();
    assert!(index.sql.contains("CONCURRENTLY"), "{}", index.sql);
    let shown = database.shown(vec![book(more())]);
    assert!(
        shown.starts_with(r#"{"id":1,"title":"t","n":null,"kind":"new","at":""#),
        "{shown}"
    );
    let said = database.refused(vec![book([more(), vec![field("must", Type::Int, "")]].concat())]);
    assert!(said.contains("give it a default"), "{said}");
}

fn types(database: &Database<'_>) {
    let decimal = |precision, scale| Type::Decimal { precision, scale };
    let with = |ty: Type| vec![book(vec![field("n", ty, "optional")])];
    database.start(with(Type::Int));
    let steps = database.becomes(with(decimal(22, 2)));
    assert!(!steps[0].destructive);
    database.becomes(with(decimal(24, 3)));
    assert_eq!(
        database.shown(with(decimal(24, 3))),
        r#"{"id":1,"title":"t","n":1.000},{"id":2,"title":"t","n":2.000}"#
    );
    let narrower = with(decimal(5, 1));
    assert!(database.refused(narrower.clone()).contains("lose data"));
    apply(&database.plan(narrower.clone()), 0, true).unwrap();
    assert_eq!(
        database.shown(narrower),
        r#"{"id":1,"title":"t","n":null},{"id":2,"title":"t","n":null}"#
    );
}

fn names(database: &Database<'_>) {
    database.start(vec![book(vec![field("n", Type::Int, "index")])]);
    let mut works = book(vec![field("amount", Type::Int, "index")]);
    works.name = "works".to_owned();
    works.was = Some("books".to_owned());
    works.fields[0].name = "nr".to_owned();
    works.fields[0].was = Some("id".to_owned());
    works.fields[2].was = Some("n".to_owned());
    let plan = database.plan(vec![works.clone()]);
    let applied = apply(&plan, 0, false).unwrap();
    assert!(applied.steps.iter().all(|s| !s.destructive) && applied.left.is_empty());
    check_schema(&plan, 0).unwrap();
    let shown = r#"{"nr":1,"title":"t","amount":1},{"nr":2,"title":"t","amount":2}"#;
    assert_eq!(database.shown(vec![works.clone()]), shown);
    // Both names hold, and what is written under one is there under the other.
    let (server, name) = (database.server, database.name());
    let both = "SELECT string_agg(format('%s %s', n, amount), ',' ORDER BY nr) FROM works";
    for (change, there) in [
        ("UPDATE works SET n = 7 WHERE nr = 1", "7 7,2 2"),
        ("UPDATE works SET amount = 8 WHERE nr = 2", "7 7,8 8"),
        ("UPDATE books SET n = 9 WHERE id = 2", "7 7,9 9"),
        (
            "INSERT INTO books (_bucket, _version, id, title, n) VALUES (0, 1, 3, 't', 3)",
            "7 7,9 9,3 3",
        ),
        (
            "INSERT INTO works (_bucket, _version, nr, title, amount) VALUES (0, 1, 4, 't', 4)",
            "7 7,9 9,3 3,4 4",
        ),
        (
            "DELETE FROM books WHERE id > 2; UPDATE works SET amount = nr",
            "1 1,2 2",
        ),
    ] {
        server.sql(name, change);
        assert_eq!(server.ask(name, both), there, "{change}");
    }
    works.was = None;
    works.fields.iter_mut().for_each(|f| f.was = None);
    let plan = database.plan(vec![works.clone()]);
    check_schema(&plan, 0).unwrap();
    let left = apply(&plan, 0, false).unwrap().left;
    assert_eq!(left.len(), 2, "{left:?}");
    apply(&plan, 0, true).unwrap();
    assert_eq!(database.shown(vec![works.clone()]), shown);
    assert_eq!(database.becomes(vec![works]), []);
}

/// Neither the old name nor the new one is in the file any more: both columns stand in the way of inserts, and go at once.
fn names_given_up(database: &Database<'_>) {
    database.start(vec![book(vec![field("n", Type::Int, "")])]);
    let mut renamed = book(vec![field("amount", Type::Int, "")]);
    renamed.fields[2].was = Some("n".to_owned());
    apply(&database.plan(vec![renamed]), 0, false).unwrap();
    let said = database.refused(vec![book(vec![])]);
    assert!(
        said.contains("no field n any more, which is called amount too"),
        "{said}"
    );
    let plan = database.plan(vec![book(vec![])]);
    apply(&plan, 0, true).unwrap();
    check_schema(&plan, 0).unwrap();
    assert_eq!(
        database.shown(vec![book(vec![])]),
        r#"{"id":1,"title":"t"},{"id":2,"title":"t"}"#
    );
    assert_eq!(database.becomes(vec![book(vec![])]), []);
    database.server.sql(
        database.name(),
        "INSERT INTO books (_bucket, _version, id, title) VALUES (0, 1, 3, 't')",
    );
}

fn required(database: &Database<'_>) {
    database.start(vec![book(vec![field("n", Type::Int, "")])]);
    database.becomes(vec![book(vec![field("n", Type::Int, "optional")])]);
    database
        .server
        .sql(database.name(), "UPDATE books SET n = NULL WHERE id = 1");
    let said = database.refused(vec![book(vec![field("n", Type::Int, "")])]);
    assert!(said.contains("1 rows have no n"), "{said}");
    let filled = || vec![book(vec![with_default("n", Type::Int, json!(7))])];
    database.becomes(filled());
    assert_eq!(
        database.shown(filled()),
        r#"{"id":1,"title":"t","n":7},{"id":2,"title":"t","n":2}"#
    );
}

fn references(database: &Database<'_>) {
    let of = |ty: Type| {
        resource(
            "parts",
            vec![field("id", Type::Int, "key"), field("book_id", ty, "")],
            &[0],
        )
    };
    database.start(vec![book(Vec::new()), of(Type::Int)]);
    database.server.sql(
        database.name(),
        "INSERT INTO parts (_bucket, _version, id, book_id) VALUES (0, 1, 1, 1), (0, 1, 2, 9)",
    );
    let refer = || vec![book(Vec::new()), of(refers(0, Type::Int))];
    let said = database.refused(refer());
    assert!(
        said.contains("book_id refers to books") && said.contains("(9)"),
        "{said}"
    );
    database
        .server
        .sql(database.name(), "UPDATE parts SET book_id = 2 WHERE id = 2");
    // The constraint is there, not validated: the next run does that.
    let steps = database.becomes(refer());
    assert!(
        steps.iter().any(|s| s.sql.contains("VALIDATE CONSTRAINT")),
        "{steps:?}"
    );
    database.becomes(vec![book(Vec::new()), of(Type::Int)]);
}

fn unique(database: &Database<'_>) {
    database.start(vec![book(Vec::new())]);
    let mut one_title = book(Vec::new());
    one_title.fields[1].unique = true;
    let said = database.refused(vec![one_title.clone()]);
    assert!(
        said.contains("unique index on title") && said.contains("(t)"),
        "{said}"
    );
    // What the attempt left is half an index, which may forbid all the same. Taken back from the file, it goes.
    let half = "SELECT count(*) FROM pg_index WHERE indrelid = 'books'::regclass AND NOT indisvalid";
    assert_eq!(database.server.ask(database.name(), half), "1");
    let steps = database.becomes(vec![book(Vec::new())]);
    assert!(
        steps.len() == 1 && steps[0].required && steps[0].sql.starts_with("DROP INDEX"),
        "{steps:?}"
    );
    assert_eq!(database.server.ask(database.name(), half), "0");
    database.refused(vec![one_title.clone()]);
    // With the rows mended it is made anew.
    database
        .server
        .sql(database.name(), "UPDATE books SET title = id::text");
    let steps = database.becomes(vec![one_title]);
    assert!(steps[0].sql.starts_with("DROP INDEX CONCURRENTLY"), "{steps:?}");
}

fn leftovers(database: &Database<'_>) {
    database.start(vec![book(vec![field("n", Type::Int, "optional")])]);
    let less = database.plan(vec![book(Vec::new())]);
    check_schema(&less, 0).unwrap();
    assert_eq!(apply(&less, 0, false).unwrap().left.len(), 1);
    apply(&less, 0, true).unwrap();
    assert_eq!(steps_of(&less, 0).unwrap(), Migration::default());
    let other = database.plan(vec![resource("other", vec![field("id", Type::Int, "key")], &[0])]);
    apply(&other, 0, false).unwrap();
    let left = steps_of(&other, 0).unwrap();
    assert!(left.is_served() && left.notes[0].contains("books"), "{left:?}");
    apply(&other, 0, true).unwrap();
    assert_eq!(steps_of(&other, 0).unwrap(), Migration::default());
}

fn broken(database: &Database<'_>) {
    database.start(vec![book(vec![field("n", Type::Int, "")])]);
    // As a process leaves it that is killed while it builds.
    database.server.sql(
        database.name(),
        "CREATE INDEX books_n_index ON books (n); \
         UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'books_n_index'::regclass; \
         ALTER TABLE books ADD CONSTRAINT _stoa_books_title_there CHECK (title IS NOT NULL) NOT VALID; \
         ALTER TABLE books ALTER title DROP NOT NULL",
    );
    let steps = database.becomes(vec![book(vec![field("n", Type::Int, "index")])]);
    assert_eq!(steps.len(), 2, "{steps:?}");
}

fn ten(database: &Database<'_>) {
    let plan = database.plan(vec![book(vec![field("n", Type::Int, "index")])]);
    let made: usize = std::thread::scope(|scope| {
        let all: Vec<_> = (0..10)
            .map(|_| scope.spawn(|| apply(&plan, 0, false).unwrap().steps.len()))
            .collect();
        all.into_iter().map(|t| usize::from(t.join().unwrap() > 0)).sum()
    });
    assert_eq!(made, 1);
    assert_eq!(status(&plan, 0).unwrap().applied, 1);
}

fn taken(database: &Database<'_>) {
    database
        .server
        .sql(database.name(), "CREATE TABLE books (id int primary key)");
    let said = database.refused(vec![book(Vec::new())]);
    assert!(said.contains("bind it with `table: books`"), "{said}");
    let bound = crate::store::contract::fixture::bound;
    let said = database.refused(vec![bound(
        "b",
        "books",
        vec![field("idd", Type::Int, "key")],
        &[0],
    )]);
    assert!(said.contains("did you mean id?"), "{said}");
    let fits = vec![bound("b", "books", vec![field("id", Type::Int, "key")], &[0])];
    assert_eq!(database.becomes(fits), []);
}
