//! The connection of a write is cut before each message of it, one after the other: whatever of `BEGIN`, the key, the
//! statement, `COMMIT` and the answers did not arrive, a repetition with the same key makes it exactly one write.

use crate::operation::{Condition, IdempotencyClaim, Write};
use crate::store::contract::fixture::{insert, is, items, page, parts, read, run, soon, things};
use crate::store::contract::server::Server;
use crate::store::{Outcome, Store, StoreError, StoredReply};
use crate::value::Value;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// More messages than a write has, both ways.
const MESSAGES_MAX: i64 = 200;

/// Stands between a store and its server; its threads end with the process.
struct Between {
    port: u16,
    /// Messages that still get through; below zero, all do.
    left: Arc<AtomicI64>,
}

impl Between {
    fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let left = Arc::new(AtomicI64::new(-1));
        let shared = Arc::clone(&left);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else {
                    continue;
                };
                for (from, to, starts) in [(&client, &server, true), (&server, &client, false)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let left = Arc::clone(&shared);
                    std::thread::spawn(move || {
                        let _ = pass(&from, &to, starts, &left);
                        let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                    });
                }
            }
        });
        Self { port, left }
    }
}

/// Passes messages on until there may be no more.
fn pass(mut from: &TcpStream, mut to: &TcpStream, starts: bool, left: &AtomicI64) -> io::Result<()> {
    to.set_nodelay(true)?;
    let mut kind = usize::from(!starts);
    loop {
        // The first message of a client has no kind.
        let mut head = vec![0; kind + 4];
        from.read_exact(&mut head)?;
        let length = u32::from_be_bytes(head[kind..].try_into().unwrap()) as usize - 4;
        let mut body = vec![0; length];
        from.read_exact(&mut body)?;
        if left.load(Ordering::SeqCst) >= 0 && left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            left.store(0, Ordering::SeqCst);
            return Ok(());
        }
        to.write_all(&[head, body].concat())?;
        kind = 1;
    }
}

fn keyed(id: i64) -> Write {
    let mut scope = [7; 32];
    scope[..8].copy_from_slice(&id.to_be_bytes());
    Write {
        idempotency: Some(IdempotencyClaim {
            scope,
            fingerprint: [1; 32],
            bucket: None,
        }),
        ..insert(0, &[0], vec![vec![Value::Int(id)]])
    }
}

fn send(store: &dyn Store, write: Write) -> Result<Outcome, StoreError> {
    let reply = || StoredReply {
        status: 201,
        headers: Vec::new(),
        body: bytes::Bytes::from_static(b"{}"),
    };
    run(store.write(write, soon(), Some(Box::new(move |_| reply())))).map(|done| done.outcome)
}

#[test]
fn a_write_that_is_cut_off_anywhere_is_one_write_when_it_is_repeated() {
    let server = Server::start();
    let url = server.url(&server.database(&[things(), parts()]));
    let (_plan, straight) = server.open(vec![things(), parts()], &url);
    let between = Between::start(server.port);
    let through = url.replace(&server.port.to_string(), &between.port.to_string());
    let (_plan, cut) = server.open(vec![things(), parts()], &format!("{through}?sslmode=disable"));
    let (mut lost, mut done) = (0, 0);
    for id in 0..MESSAGES_MAX {
        // A connection rests for the next write.
        between.left.store(-1, Ordering::SeqCst);
        let warm = keyed(10_000 + id);
        while send(&*cut, warm.clone()).is_err() {}
        between.left.store(id, Ordering::SeqCst);
        let first = send(&*cut, keyed(id));
        if first.is_ok() && between.left.load(Ordering::SeqCst) > 0 {
            assert!(lost > 0 && done > 0, "{lost} and {done} of {id}");
            return;
        }
        let again = loop {
            match send(&*straight, keyed(id)) {
                // The server has not noticed yet that the first one is gone.
                Err(StoreError::IdempotencyRunning) => {}
                other => break other.unwrap_or_else(|error| panic!("cut before message {id}: {error}")),
            }
        };
        match (&first, &again) {
            (Ok(_), Outcome::Written(_)) => panic!("cut before message {id}: what was acknowledged is lost"),
            (_, Outcome::Written(_)) => lost += 1,
            _ => done += 1,
        }
        let found = page(&*straight, &read(0, items(&things(), &[0]), is(0, id)));
        assert_eq!(found.rows, 1, "cut before message {id}");
    }
    let all = page(&*straight, &read(0, items(&things(), &[0]), Condition::True));
    panic!("a write has more than {MESSAGES_MAX} messages: {} rows", all.rows);
}
