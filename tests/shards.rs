//! Three shards, each a primary with a replica, behind two processes, while everything is taken away once: processes
//! are killed, buckets are moved behind the backs of their maps, a primary is killed and its replica promoted. Nothing
//! that was acknowledged is lost, nothing is there twice or in the wrong place, and callers are told nothing but to
//! come back.

mod away;
mod kept;
mod status;

use crate::support::{
    client::{Answer, Client},
    server::{Server, Setup, folder_with},
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};
use stoa_exchange::clock;
use stoa_testkit::{Cluster, Postgres};

/// Callers at once, each with customers of its own.
const CALLERS: usize = 8;
/// Customers of a caller: enough that each caller writes on every shard.
const CUSTOMERS: usize = 6;
/// Orders that callers must get done between one misfortune and the next.
const PROGRESS: u64 = 60;
/// How long that may take on a machine that does much else.
const PATIENCE: Duration = Duration::from_mins(1);
/// The namespace of the locks of buckets, and the one that is held by whoever changes what a shard owns.
const LOCKS: (i32, i32) = (0x7374_6f61, -1);
/// The buckets that are moved from the first shard to the second.
const MOVED: (u16, u16) = (0, 170);

/// What the callers share.
struct Shared {
    /// Where the processes listen now.
    addresses: RwLock<Vec<String>>,
    stop: AtomicBool,
    done: AtomicU64,
    /// Acknowledged orders: by their note, which is unique, the id and the total.
    orders: Mutex<BTreeMap<String, (String, u64)>>,
    /// Replies that a caller must not get.
    faults: Mutex<Vec<String>>,
}

impl Shared {
    fn fault(&self, what: &str, answer: &Answer) {
        let text = format!("{what}: {} {}", answer.status, answer.text);
        self.faults.lock().expect("no caller panicked").push(text);
    }
}

fn file(clusters: &[Cluster]) -> String {
    let shards: Vec<String> = clusters
        .iter()
        .map(|c| {
            let (write, read) = (c.primary.url("postgres"), c.replicas[0].url("postgres"));
            format!("        - {{ write: \"{write}\", read: [\"{read}\"] }}")
        })
        .collect();
    format!(
        "api: a
stores:
  main:
    postgres:
      shards:
{}
resources:
  customers:
    shard: id
    read: public
    write: public
    fields: {{ id: \"text, key\" }}
  orders:
    shard: customer
    read: public
    write: public
    fields: {{ customer: ref customers, note: text, total: int }}
",
        shards.join("\n")
    )
}

#[test]
fn misfortunes_lose_nothing_double_nothing_and_misplace_nothing() {
    let clusters: Vec<Cluster> = (0..3).map(|_| Cluster::start(1)).collect();
    for cluster in &clusters {
        // What is acknowledged is on the replica's disk too, or a promotion could lose it.
        cluster.primary.set("synchronous_standby_names", "*");
    }
    let (_keep, folder) = folder_with(&file(&clusters));
    let start = || Server::start(&Setup::new("serve", &folder));
    let mut processes = [start(), start()];
    let shared = Shared {
        addresses: RwLock::new(processes.iter().map(|p| p.http.clone()).collect()),
        stop: AtomicBool::new(false),
        done: AtomicU64::new(0),
        orders: Mutex::default(),
        faults: Mutex::default(),
    };
    thread::scope(|scope| {
        for caller in 0..CALLERS {
            let shared = &shared;
            scope.spawn(move || call(shared, caller));
        }
        // However this ends, the callers end.
        let _stop = Stop(&shared);
        progress(&shared, "at first");
        for at in 0..2 {
            processes[at].signal("KILL");
            processes[at].is_gone();
            progress(&shared, "with one process");
            processes[at] = start();
            let mut addresses = shared.addresses.write().expect("no caller panicked");
            addresses[at].clone_from(&processes[at].http);
            drop(addresses);
            progress(&shared, "with a new process");
        }
        let (from, to) = (&clusters[0].primary, &clusters[1].primary);
        move_buckets((from, to), MOVED, &["customers", "orders"]);
        progress(&shared, "after buckets moved");
        clusters[2].primary.kill();
        clusters[2].replicas[0].promote();
        progress(&shared, "after a promotion");
        processes[0].signal("KILL");
        processes[0].is_gone();
        processes[0] = start();
        shared.addresses.write().expect("no caller panicked")[0].clone_from(&processes[0].http);
        progress(&shared, "with a process that came after the promotion");
    });
    let faults = shared.faults.into_inner().expect("no caller panicked");
    assert!(faults.is_empty(), "callers were told:\n{}", faults.join("\n"));
    let orders = shared.orders.into_inner().expect("no caller panicked");
    eprintln!("{} orders were acknowledged", orders.len());
    let shards = [
        &clusters[0].primary,
        &clusters[1].primary,
        &clusters[2].replicas[0],
    ];
    judge_tables(&shards, &orders);
    judge_list(&processes[0].client, &orders);
}

/// Ends the callers when it is dropped.
struct Stop<'a>(&'a Shared);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

/// Waits until the callers got something done.
fn progress(shared: &Shared, when: &str) {
    let (from, began) = (shared.done.load(Ordering::Relaxed), clock::now());
    while shared.done.load(Ordering::Relaxed) < from + PROGRESS {
        assert!(
            clock::now() < began + PATIENCE,
            "{when} the callers got nothing done; they were told: {:?}",
            shared.faults.lock().expect("no caller panicked")
        );
        thread::yield_now();
    }
}

/// One caller: orders for its customers, each written until it is acknowledged, and read again at once.
fn call(shared: &Shared, caller: usize) {
    let mut clients = HashMap::new();
    for customer in 0..CUSTOMERS {
        let body = json!({ "id": format!("c{caller}-{customer}") });
        let key = format!("customer {caller} {customer}");
        if !write(shared, &mut clients, "/customers", &key, &body, caller) {
            return;
        }
    }
    for round in 0.. {
        let note = format!("{caller}-{round}");
        let total = round * 10 + caller as u64;
        let customer = format!("c{caller}-{}", round as usize % CUSTOMERS);
        let body = json!({ "customer": customer, "note": note, "total": total });
        if !write(
            shared,
            &mut clients,
            "/orders",
            &note,
            &body,
            caller + round as usize,
        ) {
            return;
        }
        shared.done.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sends one write, again and again with its key, until it is acknowledged. False when it is time to stop.
fn write(
    shared: &Shared,
    clients: &mut HashMap<String, Client>,
    path: &str,
    key: &str,
    body: &Value,
    first: usize,
) -> bool {
    let headers = [
        ("content-type".to_owned(), "application/json".to_owned()),
        ("idempotency-key".to_owned(), format!("\"{key}\"")),
    ];
    let text = body.to_string();
    for turn in first.. {
        if shared.stop.load(Ordering::Relaxed) {
            return false;
        }
        let client = client(shared, clients, turn);
        let Ok(answer) = client.try_send("POST", path, &headers, Some(text.as_bytes())) else {
            continue;
        };
        match answer.status {
            201 => {
                if path == "/orders" {
                    let (note, total) = (&body["note"], body["total"].as_u64());
                    let id = answer.json()["id"].as_str().unwrap_or_default().to_owned();
                    read_again(shared, client, &id, total, answer.header("stoa-consistency"));
                    let mut orders = shared.orders.lock().expect("no caller panicked");
                    let note = note.as_str().unwrap_or_default().to_owned();
                    orders.insert(note, (id, total.unwrap_or_default()));
                }
                return true;
            }
            503 if answer.header("retry-after").is_some() => {}
            // The first attempt still runs somewhere.
            409 if answer.json()["code"] == "idempotency-running" => {}
            _ => shared.fault(&format!("POST {path} {text}"), &answer),
        }
    }
    false
}

/// Who has written sees it, wherever its bucket is by now.
fn read_again(shared: &Shared, client: &Client, id: &str, total: Option<u64>, token: Option<String>) {
    let Some(token) = token else {
        return;
    };
    let headers = [("stoa-consistency".to_owned(), token)];
    let path = format!("/orders/{id}");
    match client.try_send("GET", &path, &headers, None) {
        Ok(answer) if answer.status == 200 && answer.json()["total"].as_u64() == total => {}
        Ok(answer) if answer.status == 503 && answer.header("retry-after").is_some() => {}
        Ok(answer) => shared.fault(&format!("GET {path} after it was written"), &answer),
        Err(_) => {}
    }
}

fn client<'c>(shared: &Shared, clients: &'c mut HashMap<String, Client>, turn: usize) -> &'c Client {
    let addresses = shared.addresses.read().expect("no caller panicked");
    let address = addresses[turn % addresses.len()].clone();
    drop(addresses);
    clients
        .entry(address)
        .or_insert_with_key(|address| Client::new(address))
}

/// Moves buckets of some tables from the first shard to the second as the fence asks of whoever does it: nobody owns them
/// while their rows, and the replies that are kept for keys, are copied.
fn move_buckets((from, to): (&Postgres, &Postgres), (low, high): (u16, u16), tables: &[&str]) {
    let (space, every) = LOCKS;
    let sql = |server: &Postgres, text: String| server.sql("postgres", &text);
    let of = format!("_bucket BETWEEN {low} AND {high}");
    sql(
        from,
        format!(
            "BEGIN; SELECT pg_advisory_xact_lock({space}, {every}); \
             SELECT count(pg_advisory_xact_lock({space}, b)) FROM generate_series({low}, {high}) AS b; \
             DELETE FROM _stoa_owned WHERE bucket BETWEEN {low} AND {high}; COMMIT"
        ),
    );
    let folder = from.folder().display();
    for table in tables {
        let file = format!("{folder}/{table}.copy");
        sql(
            from,
            format!("COPY (SELECT * FROM {table} WHERE {of}) TO '{file}'"),
        );
        sql(to, format!("COPY {table} FROM '{file}'"));
    }
    let file = format!("{folder}/kept.copy");
    sql(
        from,
        format!("COPY (SELECT * FROM _stoa_idempotency WHERE bucket BETWEEN {low} AND {high}) TO '{file}'"),
    );
    sql(
        to,
        format!(
            "BEGIN; CREATE TEMP TABLE kept (LIKE _stoa_idempotency) ON COMMIT DROP; COPY kept FROM '{file}'; \
             INSERT INTO _stoa_idempotency SELECT * FROM kept ON CONFLICT DO NOTHING; COMMIT"
        ),
    );
    for table in tables.iter().rev() {
        sql(from, format!("DELETE FROM {table} WHERE {of}"));
    }
    sql(
        to,
        format!("INSERT INTO _stoa_owned SELECT b, 2 FROM generate_series({low}, {high}) AS b"),
    );
    sql(
        from,
        format!("UPDATE _stoa_map SET shard = 1, epoch = 2 WHERE bucket BETWEEN {low} AND {high}"),
    );
}

/// What the databases hold is what was acknowledged, once each, and where it belongs.
fn judge_tables(shards: &[&Postgres], orders: &BTreeMap<String, (String, u64)>) {
    let mut found: BTreeMap<String, Vec<(String, u64)>> = BTreeMap::new();
    for shard in shards {
        for table in ["customers", "orders"] {
            let stray = "NOT EXISTS (SELECT FROM _stoa_owned AS o WHERE o.bucket = t._bucket)";
            let strays = shard.ask(
                "postgres",
                &format!("SELECT count(*) FROM {table} AS t WHERE {stray}"),
            );
            assert_eq!(strays, "0", "rows of {table} lie where their bucket does not");
        }
        let all = "SELECT coalesce(json_agg(json_build_array(note, id, total)), '[]') FROM orders";
        let rows: Vec<(String, String, u64)> =
            serde_json::from_str(&shard.ask("postgres", all)).expect("rows as JSON");
        for (note, id, total) in rows {
            found.entry(note).or_default().push((id, total));
        }
    }
    for (note, rows) in &found {
        assert_eq!(rows.len(), 1, "order {note} is there more than once: {rows:?}");
    }
    for (note, order) in orders {
        assert_eq!(found.get(note).map(|rows| &rows[0]), Some(order), "order {note}");
    }
    // Each caller may have been stopped while one order was under way.
    assert!(
        found.len() <= orders.len() + CALLERS,
        "{} for {}",
        found.len(),
        orders.len()
    );
}

/// The list of all shards, page by page, has every order once and in its order.
fn judge_list(client: &Client, orders: &BTreeMap<String, (String, u64)>) {
    let mut path = "/orders?select=note,total&order=note&limit=100".to_owned();
    let mut notes: Vec<String> = Vec::new();
    loop {
        let answer = client.send("GET", &path, &[("stoa-consistency", "strong")], None);
        assert_eq!(answer.status, 200, "{}", answer.text);
        let rows = answer.json();
        let page = rows.as_array().expect("a list");
        notes.extend(
            page.iter()
                .filter_map(|row| row["note"].as_str())
                .map(str::to_owned),
        );
        let Some(link) = answer.header("link") else { break };
        let next = link.split(['<', '>']).nth(1).expect("a link has an address");
        next[next.find("/orders").expect("it leads on")..].clone_into(&mut path);
    }
    assert!(
        notes.is_sorted_by(|a, b| a < b),
        "the list is in order, each once"
    );
    for note in orders.keys() {
        assert!(
            notes.binary_search(note).is_ok(),
            "order {note} is not in the list"
        );
    }
}
