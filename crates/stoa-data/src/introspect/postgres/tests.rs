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
         list of text; text; -; date; bool; int"
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
        columns: columns.iter().map(ToString::to_string).collect(),
        schema: Some(schema.to_owned()),
        table: "people".to_owned(),
        targets: targets.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(
        tables[1].references,
        [
            to(&["a", "b"], "other", &["a", "b"]),
            to(&["owner"], "public", &["id"])
        ]
    );
    assert!(tables[2].view && tables[2].key.is_empty());
    assert!(tables[3].columns[1].unique);
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
fn a_database_that_is_not_there_is_said_without_the_password() {
    let url = Secret::new("postgres://u:hidden@127.0.0.1:1/x");
    let said = introspect_postgres(&url).unwrap_err().to_string();
    assert!(said.contains("127.0.0.1:1") && !said.contains("hidden"), "{said}");
}
