//! What was acknowledged is there after a kill, and in a copy.

use crate::operation::Condition;
use crate::store::contract::fixture::{done, insert, items, page, parts, plan, read, sqlite, things};
use crate::value::Value;
use rusqlite::Connection;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const CHILD: &str = "STOA_TEST_WRITES_TO";

/// Not a test by itself: the process that is killed. It writes from several threads and says what was acknowledged.
#[test]
fn child_that_writes() {
    let Some(path) = std::env::var_os(CHILD) else {
        return;
    };
    let plan = Arc::new(plan(Path::new(&path), vec![things(), parts()]));
    let store = crate::store::open(&plan, 0).unwrap();
    std::thread::scope(|scope| {
        for worker in 0..4_i64 {
            let store = &*store;
            scope.spawn(move || {
                for i in 0..1_000_000_i64 {
                    let id = i * 4 + worker;
                    done(
                        store,
                        insert(
                            0,
                            &[0, 1],
                            vec![vec![Value::Int(id), Value::Text("x".repeat(200).into())]],
                        ),
                    );
                    println!("done {id}");
                }
            });
        }
    });
}

#[test]
fn acknowledged_writes_survive_kill_9() {
    for kill_after in [7, 150, 400] {
        let (folder, _plan, store) = sqlite(vec![things(), parts()]);
        drop(store);
        let path: PathBuf = folder.path().join("test.db");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "store::sqlite::tests::durable::child_that_writes",
                "--nocapture",
            ])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok);
        let said = |line: String| line.strip_prefix("done ").and_then(|id| id.parse::<i64>().ok());
        let mut acknowledged: Vec<i64> = lines.by_ref().filter_map(said).take(kill_after).collect();
        child.kill().unwrap();
        // What was said between the last line read and the kill counts too.
        acknowledged.extend(lines.filter_map(said));
        child.wait().unwrap();
        assert!(acknowledged.len() >= kill_after);
        let conn = Connection::open(&path).unwrap();
        let whole: String = conn
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(whole, "ok");
        for id in &acknowledged {
            let there: bool = conn
                .query_row("SELECT EXISTS (SELECT 1 FROM things WHERE id = ?)", [id], |row| {
                    row.get(0)
                })
                .unwrap();
            assert!(there, "{id} was acknowledged and is gone");
        }
    }
}

#[test]
fn a_backup_is_of_one_moment_while_it_serves() {
    let (folder, plan, store) = sqlite(vec![things(), parts()]);
    // Each write makes two rows, so that a copy of half a write shows.
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut id = 0;
            while !stop.load(Ordering::Relaxed) && id < 200_000 {
                id += 2;
                done(
                    &*store,
                    insert(0, &[0], vec![vec![Value::Int(id)], vec![Value::Int(id + 1)]]),
                );
            }
        });
        let _stop = Stop(&stop);
        let before = loop {
            let rows = page(&*store, &read(0, items(&things(), &[0]), Condition::True)).rows;
            if rows > 0 {
                break rows;
            }
        };
        for number in 0..5 {
            let dest = folder.path().join(format!("copy-{number}.db"));
            crate::backup::backup(&plan, 0, &dest).unwrap();
            let conn = Connection::open(&dest).unwrap();
            let whole: String = conn
                .query_row("PRAGMA integrity_check", [], |row| row.get(0))
                .unwrap();
            assert_eq!(whole, "ok");
            let rows: u32 = conn
                .query_row("SELECT count(*) FROM things", [], |row| row.get(0))
                .unwrap();
            assert!(u64::from(rows) >= before && rows.is_multiple_of(2), "{rows} rows");
        }
    });
    let again = crate::backup::backup(&plan, 0, &folder.path().join("copy-0.db"));
    assert!(again.unwrap_err().to_string().contains("is there already"));
    let nowhere = folder.path().join("no/such/folder.db");
    assert!(crate::backup::backup(&plan, 0, &nowhere).is_err());
}

/// Ends the writer also when an assertion fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
