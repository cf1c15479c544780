//! Types by declaration and by values.

use super::{Reference, introspect};
use rusqlite::Connection;

#[test]
fn reads_types_keys_and_references() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch(
        "CREATE TABLE carriers (code VARCHAR(2) PRIMARY KEY, name TEXT NOT NULL UNIQUE);
         CREATE TABLE flights (
            year INTEGER, dist REAL, price DECIMAL(10,2), loose DECIMAL(10,2), amount NUMERIC, ok BOOLEAN,
            day DATE, at TIMESTAMP, made DATETIME, data JSON, id UUID, raw BLOB, any_int, any_text, na INTEGER,
            carrier REFERENCES carriers, \"odd \"\"name\" INT, empty DATE);
         INSERT INTO carriers VALUES ('AA', 'American');
         INSERT INTO flights VALUES
            (2013, 1.5, 12.5, 0.125, 1, 1, '2013-01-01', '2013-01-01 05:00:00', 1357016400, '{}',
             '5F0C0F6E-0000-4000-8000-000000000001', x'ff00', 1, 'x', 1, 'AA', 1, NULL),
            (2014, 2.0, 7, 1, 2.5, 0, NULL, '2013-01-01T05:00:00Z', 1357016401, '[1]',
             NULL, NULL, 2, 'y', 'NA', NULL, NULL, NULL);
         CREATE TABLE pairs (a INT, b TEXT, PRIMARY KEY (b, a)) WITHOUT ROWID;
         CREATE TABLE whole (id INTEGER PRIMARY KEY, note TEXT DEFAULT 'x');
         CREATE VIEW years AS SELECT year, count(*) AS n FROM flights GROUP BY year;
         CREATE VIEW broken AS SELECT x FROM gone;
         CREATE TABLE _stoa_meta (name TEXT);",
    )
    .unwrap();
    let tables = introspect(&path).unwrap();
    let names: Vec<&str> = tables.iter().map(|t| t.name.as_str()).collect();
    assert_eq!(names, ["carriers", "flights", "pairs", "whole", "years"]);
    let flights = &tables[1];
    let types: Vec<(&str, Option<&str>)> = flights
        .columns
        .iter()
        .map(|c| (c.name.as_str(), c.ty.as_deref()))
        .collect();
    assert_eq!(
        types,
        [
            ("rowid", Some("int")),
            ("year", Some("int")),
            ("dist", Some("float")),
            ("price", Some("decimal(10,2)")),
            ("loose", Some("float")),
            ("amount", Some("float")),
            ("ok", Some("bool")),
            ("day", Some("date")),
            ("at", Some("time")),
            ("made", Some("time")),
            ("data", Some("json")),
            ("id", Some("uuid")),
            ("raw", None),
            ("any_int", Some("int")),
            ("any_text", Some("text")),
            ("na", Some("text")),
            ("carrier", Some("text")),
            ("odd \"name", Some("int")),
            ("empty", Some("date")),
        ]
    );
    assert_eq!(flights.key, ["rowid"]);
    assert_eq!((flights.rows_seen, flights.complete), (2, true));
    assert_eq!(flights.references, [carrier()]);
    assert!(tables[0].columns[1].unique && tables[0].columns[0].unique);
    assert_eq!(tables[2].key, ["b", "a"]);
    assert!(tables[3].columns[0].generated && !tables[2].columns[0].generated);
    assert!(tables[4].view && tables[4].key.is_empty());
    assert_eq!(tables[4].columns[1].ty.as_deref(), Some("int"));
}

fn carrier() -> Reference {
    Reference {
        name: None,
        derived: false,
        temporal: false,
        schema: None,
        columns: vec!["carrier".to_owned()],
        table: "carriers".to_owned(),
        targets: vec!["code".to_owned()],
    }
}

#[test]
fn says_what_is_no_database() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    assert!(introspect(&path).unwrap_err().to_string().contains("no file"));
    std::fs::write(
        &path,
        "this is no database, but it is long enough to look like a header",
    )
    .unwrap();
    assert!(
        introspect(&path)
            .unwrap_err()
            .to_string()
            .contains("not a SQLite database")
    );
}
