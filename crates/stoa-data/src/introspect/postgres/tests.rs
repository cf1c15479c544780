//! What is read of databases that others made.

use super::introspect_postgres;
use crate::introspect::{Reference, Table};
use std::fmt::Write as _;
use stoa_config::plan::Secret;
use stoa_testkit::Postgres;

const OLD: &str = r#"
    CREATE TYPE mood AS ENUM ('sad', 'very glad', 'it''s');
    CREATE TYPE plain AS ENUM ('a', 'b');
    CREATE DOMAIN amount AS numeric(10,2) NOT NULL;
    CREATE TABLE "Odd ""Name""" (id uuid PRIMARY KEY, "a b" text UNIQUE);
    CREATE TABLE people (
        id serial PRIMARY KEY, name varchar(20) NOT NULL, mood mood, plain plain, all_plain plain[], price amount,
        free numeric, ratio real, at timestamp, at_tz timestamptz(3), data jsonb, tags text[], span interval,
        bytes bytea, day date, ok bool, small smallint GENERATED ALWAYS AS (1) STORED, UNIQUE (name, day));
    INSERT INTO people (name, price, free) VALUES ('x', 1, 1.2345), ('y', 2, 7);
    CREATE SCHEMA other;
    CREATE TABLE other.people (a int, b int, PRIMARY KEY (b, a));
    CREATE TABLE other.pets (
        id int PRIMARY KEY, owner int REFERENCES public.people, a int, b int,
        FOREIGN KEY (a, b) REFERENCES other.people (a, b));
    CREATE VIEW other.seen AS SELECT id, name FROM people;
    CREATE TABLE parts (id int PRIMARY KEY, at date) PARTITION BY RANGE (id);
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
    CREATE TABLE _stoa_meta (name text)"#;

fn read(postgres: &Postgres, database: &str, sql: &str) -> Vec<Table> {
    postgres.sql("postgres", &format!("CREATE DATABASE {database}"));
    postgres.sql(database, sql);
    introspect_postgres(&Secret::new(postgres.url(database))).unwrap()
}

#[test]
fn tables_of_others_are_read() {
    let postgres = Postgres::start();
    let tables = read(&postgres, "old", OLD);
    let names: Vec<String> = tables
        .iter()
        .map(|t| format!("{}.{}", t.schema.as_deref().unwrap_or(""), t.name))
        .collect();
    assert_eq!(
        names,
        [
            "other.people",
            "other.pets",
            "other.seen",
            "public.Odd \"Name\"",
            "public.parts",
            "public.people"
        ]
    );
    let people = &tables[5];
    let types: Vec<&str> = people
        .columns
        .iter()
        .map(|c| c.ty.as_deref().unwrap_or("-"))
        .collect();
    assert_eq!(
        types.join("; "),
        "int; text; text; enum(a, b); list of enum(a, b); decimal(10,2); decimal(38,4); float; time; time; json; \
         list of text; text; text; date; bool; int"
    );
    let column = |name: &str| people.columns.iter().find(|c| c.name == name).unwrap();
    assert!(column("id").generated && column("id").not_null && column("small").generated);
    assert!(column("price").not_null && !column("mood").not_null);
    assert_eq!(
        (people.key.clone(), people.uniques.clone()),
        (
            vec!["id".to_owned()],
            vec![vec!["name".to_owned(), "day".to_owned()]]
        )
    );
    assert_eq!(tables[0].key, ["b", "a"]);
    let to = |columns: &[&str], schema: &str, targets: &[&str]| Reference {
        name: Some(format!("pets_{}_fkey", columns.join("_"))),
        derived: false,
        temporal: false,
        columns: columns.iter().map(ToString::to_string).collect(),
        schema: Some(schema.to_owned()),
        table: "people".to_owned(),
        targets: targets.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(
        tables[1].references,
        [
            to(&["a", "b"], "other", &["a", "b"]),
            to(&["owner"], "public", &["id"]),
            // The view in its own schema shows the same key.
            Reference {
                derived: true,
                temporal: false,
                table: "seen".to_owned(),
                ..to(&["owner"], "other", &["id"])
            },
        ]
    );
    assert!(column("small").computed && !column("id").computed);
    // A view of one table that shows its key can be written by it, and knows what the table's columns are.
    let seen = &tables[2];
    assert!(!seen.view && seen.key == ["id"] && seen.columns[0].generated && seen.columns[1].not_null);
    assert!(tables[3].columns[1].unique);
}

#[test]
fn functions_of_a_row_are_read_with_its_table() {
    let postgres = Postgres::start();
    let tables = read(
        &postgres,
        "functions",
        r#"
        CREATE SCHEMA other;
        CREATE TYPE mood AS ENUM ('sad', 'glad');
        CREATE DOMAIN amount AS numeric(10,2);
        CREATE TABLE a (id int PRIMARY KEY, taken int);
        CREATE VIEW b AS SELECT id FROM a;
        CREATE FUNCTION "Full Name"(a) RETURNS text LANGUAGE sql AS 'SELECT NULL::text';
        COMMENT ON FUNCTION "Full Name"(a) IS 'both';
        CREATE FUNCTION mood(a) RETURNS mood LANGUAGE sql AS 'SELECT NULL::mood';
        CREATE FUNCTION price(a) RETURNS amount LANGUAGE sql AS 'SELECT NULL::amount';
        CREATE FUNCTION price(b) RETURNS int[] LANGUAGE sql AS 'SELECT NULL::int[]';
        CREATE FUNCTION taken(a) RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION many(a) RETURNS SETOF int LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION row_of(a) RETURNS b LANGUAGE sql AS 'SELECT NULL::b';
        CREATE FUNCTION children(a) RETURNS SETOF a LANGUAGE sql AS 'SELECT $1.*';
        CREATE FUNCTION first(a) RETURNS SETOF b LANGUAGE sql ROWS 1 AS 'SELECT $1.id';
        CREATE FUNCTION nothing(a) RETURNS void LANGUAGE sql AS 'SELECT';
        CREATE FUNCTION two(a, int) RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION list(a[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION other.elsewhere(a) RETURNS int LANGUAGE sql AS 'SELECT 1'"#,
    );
    let given = |table: &Table| {
        let functions = table.columns.iter().filter(|c| c.function.is_some());
        let all: Vec<String> = functions
            .map(|c| format!("{}: {}", c.name, c.ty.as_deref().unwrap_or("-")))
            .collect();
        all.join("; ")
    };
    assert_eq!(
        given(&tables[0]),
        "Full Name: text; mood: enum(sad, glad); price: decimal(10,2)"
    );
    assert_eq!(given(&tables[1]), "price: list of int");
    let leads = tables[0].leads.iter();
    let leads: Vec<_> = leads.map(|l| (&*l.function, &*l.table, l.one)).collect();
    assert_eq!(
        leads,
        [
            ("children", "a", false),
            ("first", "b", true),
            ("row_of", "b", true)
        ]
    );
    assert_eq!(tables[0].columns[2].comment.as_deref(), Some("both"));
}

/// Fifty tables of twenty columns: the number of questions does not grow with them.
#[test]
fn a_large_database_is_read() {
    let postgres = Postgres::start();
    let mut sql = String::new();
    for table in 0..50 {
        write!(sql, "CREATE TABLE t{table} (id int PRIMARY KEY").unwrap();
        for column in 1..20 {
            write!(sql, ", c{column} text").unwrap();
        }
        sql.push_str(");");
    }
    let tables = read(&postgres, "large", &sql);
    assert_eq!(tables.iter().map(|t| t.columns.len()).sum::<usize>(), 1_000);
}

#[test]
fn views_and_domains_are_followed_and_extensions_left_out() {
    let postgres = Postgres::start();
    let tables = read(
        &postgres,
        "views",
        r#"
        CREATE EXTENSION pg_stat_statements;
        CREATE DOMAIN base AS numeric(10,2);
        CREATE DOMAIN above AS base DEFAULT 1;
        CREATE TABLE t ("a ) } b" int, b int, n above NOT NULL, c numeric, d numeric, PRIMARY KEY (b, "a ) } b"));
        INSERT INTO t VALUES (1, 1, 1, 1.5, 2.25);
        COMMENT ON TABLE t IS 'about t';
        COMMENT ON COLUMN t.n IS 'about n';
        CREATE VIEW v1 AS SELECT b AS two, "a ) } b" AS "o ne", n + 1 AS more, n FROM t WHERE b > ('(:resno 1)' <> '')::int;
        CREATE VIEW v2 AS SELECT "o ne" AS one, two FROM v1;
        CREATE VIEW v3 AS SELECT two FROM v1;
        CREATE VIEW v4 AS SELECT x.b FROM t x JOIN t y USING (b);
        CREATE VIEW v5 AS SELECT b, "a ) } b" AS a FROM t UNION SELECT b, b FROM t;
        CREATE TABLE child (id int PRIMARY KEY);
        CREATE TABLE parent (id int PRIMARY KEY, child_id int REFERENCES child);
        CREATE SCHEMA api;
        CREATE VIEW api.child AS SELECT id AS nr FROM child;
        CREATE VIEW api.parent AS SELECT id, child_id AS "of" FROM parent"#,
    );
    let of = |name: &str, schema: &str| {
        let found = |t: &&Table| t.name == name && t.schema.as_deref() == Some(schema);
        tables.iter().find(found).unwrap_or_else(|| panic!("{name}"))
    };
    assert!(tables.iter().all(|t| !t.name.starts_with("pg_stat")));
    let t = of("t", "public");
    assert_eq!(t.comment.as_deref(), Some("about t"));
    let n = &t.columns[2];
    assert_eq!(
        (n.comment.as_deref(), n.ty.as_deref()),
        (Some("about n"), Some("decimal(10,2)"))
    );
    assert!(n.generated);
    let scales: Vec<_> = t.columns[3..].iter().map(|c| c.ty.as_deref().unwrap()).collect();
    assert_eq!(scales, ["decimal(38,1)", "decimal(38,2)"]);
    assert_eq!(of("v1", "public").key, ["two", "o ne"]);
    assert_eq!(of("v2", "public").key, ["two", "one"]);
    assert!(of("v1", "public").columns[3].generated && !of("v1", "public").columns[2].generated);
    for (name, view) in [("v3", false), ("v4", true), ("v5", true)] {
        let found = of(name, "public");
        assert_eq!((found.view, found.key.len()), (view, 0), "{name}");
    }
    // The other view of its schema is what a view leads to, and not the table behind.
    let reference = &of("parent", "api").references;
    assert_eq!(
        *reference,
        [Reference {
            name: Some("parent_child_id_fkey".to_owned()),
            derived: true,
            temporal: false,
            columns: vec!["of".to_owned()],
            schema: Some("api".to_owned()),
            table: "child".to_owned(),
            targets: vec!["nr".to_owned()],
        }]
    );
}

#[test]
fn a_database_that_is_not_there_is_said_without_the_password() {
    let url = Secret::new("postgres://u:hidden@127.0.0.1:1/x");
    let said = introspect_postgres(&url).unwrap_err().to_string();
    assert!(said.contains("127.0.0.1:1") && !said.contains("hidden"), "{said}");
}

/// What PostgreSQL 18 brought.
const NEW: &str = "
    CREATE EXTENSION btree_gist;
    CREATE TABLE prices (
        id uuid PRIMARY KEY DEFAULT uuidv7(), net int NOT NULL, gross int GENERATED ALWAYS AS (net * 2) VIRTUAL);
    CREATE TABLE homes (id int, valid daterange, street text, PRIMARY KEY (id, valid WITHOUT OVERLAPS));
    CREATE TABLE stays (
        n int PRIMARY KEY, id int, during daterange, UNIQUE (id, during WITHOUT OVERLAPS),
        CONSTRAINT at_home FOREIGN KEY (id, PERIOD during) REFERENCES homes (id, PERIOD valid));
    CREATE VIEW seen AS SELECT n, id, during FROM stays;
    CREATE TABLE loose (
        id int PRIMARY KEY, home int REFERENCES stays NOT ENFORCED, late text, n int CHECK (n > 0) NOT ENFORCED);
    INSERT INTO loose VALUES (1, 99, NULL, -1);
    ALTER TABLE loose ADD CONSTRAINT late_there NOT NULL late NOT VALID";

#[test]
fn what_postgresql_18_has_is_read() {
    let postgres = Postgres::start_newest();
    let tables = read(&postgres, "new", NEW);
    let table = |name: &str| tables.iter().find(|t| t.name == name).unwrap();
    let column = |of: &str, name: &str| table(of).columns.iter().find(|c| c.name == name).unwrap().clone();
    assert!(column("prices", "id").generated && !column("prices", "id").computed);
    assert!(column("prices", "gross").computed && column("prices", "net").not_null);
    // No two rows have the same key; that of another kind is none for `ON CONFLICT`.
    assert_eq!(table("homes").key, ["id", "valid"]);
    assert!(table("stays").uniques.is_empty());
    let [temporal] = &table("stays").references[..] else {
        panic!("{:?}", table("stays").references);
    };
    assert!(temporal.temporal && temporal.columns == ["id", "during"]);
    assert!(table("seen").references.is_empty());
    assert!(!table("loose").references[0].temporal);
    // Rows of before have null.
    assert!(!column("loose", "late").not_null);
}
