//! `WAIT FOR LSN`, which PostgreSQL 19 has. None is to be had yet: somebody between says that the server is of that version,
//! and puts in the statement's place what an older server can be asked, or lets it refuse what it does not know.

use crate::operation::{Freshness, Read};
use crate::store::contract::fixture::{insert, is, items, parts, read, run, things};
use crate::store::contract::server::Server;
use crate::store::{Role, Store};
use crate::value::Value;
use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use stoa_config::plan::{Consistency, Secret, StoreKind};
use stoa_exchange::clock;

/// How late the replica applies what it received: less than a read waits.
const LATE: Duration = Duration::from_millis(8);
/// Writes that are read at once.
const ROWS: i64 = 60;

/// Stands in front of a server.
struct Between {
    port: u16,
    /// How often it was asked to wait.
    waits: Arc<AtomicU64>,
}

impl Between {
    /// `waits`: whether the server seems to know the statement.
    fn start(server: u16, knows: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let waits = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&waits);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let counted = Arc::clone(&counted);
                let up = TcpStream::connect(("127.0.0.1", server)).unwrap();
                let (mut from, mut to) = (up.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || io::copy(&mut from, &mut to));
                // Either side may leave.
                std::thread::spawn(move || drop(said(client, up, knows, &counted)));
            }
        });
        Self { port, waits }
    }
}

/// What a client says goes on to the server, some of it altered.
fn said(mut client: TcpStream, mut server: TcpStream, knows: bool, waits: &AtomicU64) -> io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    // The first messages have no kind: whether there is TLS, which there is not, and who asks.
    loop {
        let mut head = [0; 8];
        client.read_exact(&mut head)?;
        let [a, b, c, d, code @ ..] = head;
        let mut body = vec![0; u32::from_be_bytes([a, b, c, d]) as usize - 8];
        client.read_exact(&mut body)?;
        server.write_all(&[&head[..], &body].concat())?;
        if u32::from_be_bytes(code) == 196_608 {
            break;
        }
    }
    loop {
        let mut head = [0; 5];
        client.read_exact(&mut head)?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize - 4;
        let mut body = vec![0; length];
        client.read_exact(&mut body)?;
        if head[0] == b'Q' {
            let text = String::from_utf8(body).unwrap();
            body = altered(&text, knows, waits).into_bytes();
        }
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        server.write_all(&[&head[..1], &length, &body].concat())?;
    }
}

fn altered(text: &str, knows: bool, waits: &AtomicU64) -> String {
    let text = text.replace("current_setting('server_version_num')", "'190000'");
    let Some(rest) = text.strip_prefix("WAIT FOR LSN '") else {
        return text;
    };
    waits.fetch_add(1, Ordering::Relaxed);
    // The synopsis of its page, with these two options.
    let (lsn, rest) = rest.split_once("' WITH (TIMEOUT '").unwrap();
    let left = rest.strip_suffix("ms', NO_THROW)\0").unwrap();
    let left: u32 = left.parse().unwrap();
    let (high, low) = lsn.split_once('/').unwrap();
    assert!(u32::from_str_radix(high, 16).is_ok() && u32::from_str_radix(low, 16).is_ok());
    assert!((1..=20).contains(&left));
    if !knows {
        return text;
    }
    format!(
        "SELECT CASE WHEN pg_last_wal_replay_lsn() >= '{lsn}' THEN 'success' ELSE 'timeout' END AS status \
         FROM pg_sleep({left} / 1000.0)\0"
    )
}

fn soon() -> Instant {
    clock::now() + Duration::from_secs(5)
}

/// Reads what was just written through a replica that is a moment late; gives how many of the reads it answered, and how
/// often it was asked to wait.
fn read_behind_writes(server: &Server, knows: bool) -> (usize, u64) {
    let [replica] = &server.replicas[..] else {
        panic!("one replica")
    };
    let url = server.url(&server.database(&[things(), parts()]));
    server.wait_replicas();
    let between = Between::start(replica.port, knows);
    let mut plan = server.plan(vec![things(), parts()], &url);
    if let StoreKind::Postgres { shards, .. } = &mut plan.stores[0].kind {
        let port = between.port.to_string();
        shards[0].read = vec![Secret::new(url.replace(&server.port.to_string(), &port))];
    }
    let store = Server::over(plan);
    let there = || store.servers()[1].role == Role::Replica && store.servers()[1].out.is_none();
    let began = clock::now();
    while !there() {
        assert!(
            clock::now() < began + Duration::from_secs(10),
            "the replica is not there"
        );
        std::thread::yield_now();
    }
    replica.delay_replay(LATE);
    let answered = (0..ROWS).filter(|id| is_read_from(&*store, *id) == format!("127.0.0.1:{}", between.port));
    let answered = answered.count();
    replica.delay_replay(Duration::ZERO);
    (answered, between.waits.load(Ordering::Relaxed))
}

/// Writes a row, reads it at once, and gives who answered.
fn is_read_from(store: &dyn Store, id: i64) -> String {
    let done = run(store.write(insert(0, &[0], vec![vec![Value::Int(id)]]), soon(), None)).unwrap();
    let one = Read {
        fresh: Freshness::of(Consistency::Session, done.at),
        limit: 1,
        ..read(0, items(&things(), &[0]), is(0, id))
    };
    let page = run(store.read(&one, soon())).unwrap();
    assert_eq!(page.rows, 1, "row {id}");
    page.by.map_or_else(String::new, |by| by.server.to_string())
}

#[test]
fn a_replica_that_can_wait_is_told_to_and_one_that_refuses_is_asked() {
    let server = Server::start_cluster(1);
    for knows in [true, false] {
        let (answered, waits) = read_behind_writes(&server, knows);
        eprintln!("knows {knows}: {answered} of {ROWS} answered by the replica, {waits} waits");
        assert!(waits > 0 && answered > 0, "{answered} answered, {waits} waits");
    }
}
