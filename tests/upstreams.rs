//! Services with several addresses, by the built binary: the file's keys reach the edge, its upkeep runs, and the log and the metrics tell.

use crate::support::{
    client::Client,
    server::{Server, Setup, folder_with, free_port},
};
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

/// A service at an address that says this to everybody, and how many asked.
fn says(address: &str, reply: &'static str) -> Arc<AtomicUsize> {
    let listener = TcpListener::bind(address).expect("the address is free");
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(stream), count) = (stream, Arc::clone(&count)) else {
                continue;
            };
            thread::spawn(move || {
                let mut reader = BufReader::new(&stream);
                let mut line = String::new();
                while reader.read_line(&mut line).is_ok_and(|n| n > 0) {
                    if line == "\r\n" {
                        count.fetch_add(1, Ordering::SeqCst);
                        if (&stream).write_all(reply.as_bytes()).is_err() {
                            return;
                        }
                    }
                    line.clear();
                }
            });
        }
    });
    asked
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const BUSY: &str = "HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy";

#[test]
fn a_dead_address_costs_nobody_an_error_and_is_seen_in_the_log_and_the_metrics() {
    let (one, two, dead) = (free_port(), free_port(), free_port());
    let (at_one, at_two) = (says(&one, OK), says(&two, OK));
    let (_keep, folder) = folder_with(&format!(
        "
api: upstreams
services:
  several:
    url: [\"http://{one} weight 3\", http://{dead}, {{ url: \"http://{two}\", weight: 1 }}]
    balance: round-robin
    health: {{ path: /healthz, every: 200ms }}
    routes:
      /several/**: {{ access: public }}
"
    ));
    let mut server = Server::start(&Setup::new("serve", &folder));
    for _ in 0..40 {
        assert_eq!(server.client.get("/several/x").status, 200);
    }
    let left_out = server.wait_for_line("an address of a service is left out");
    assert!(left_out.contains(&dead), "{left_out}");
    let admin = Client::new(&server.admin);
    let metrics = admin.get("/metrics").text;
    for (address, value) in [(&one, 1), (&two, 1), (&dead, 0)] {
        let line =
            format!("stoa_endpoint_in_use{{service=\"several\",endpoint=\"http://{address}\"}} {value}");
        assert!(metrics.contains(&line), "no {line}\n{metrics}");
    }
    let (first, second) = (at_one.load(Ordering::SeqCst), at_two.load(Ordering::SeqCst));
    assert!(first > second, "weight 3 got {first}, weight 1 {second}");
    // A check finds it when it is back, without a request.
    let back = says(&dead, OK);
    let returned = server.wait_for_line("an address of a service is in use again");
    assert!(returned.contains(&dead), "{returned}");
    assert!(back.load(Ordering::SeqCst) > 0);
}

#[test]
fn a_service_that_answers_503_to_all_is_reached_1_2_times_for_each_request() {
    let address = free_port();
    let asked = says(&address, BUSY);
    let (_keep, folder) = folder_with(&format!(
        "
api: upstreams
services:
  busy:
    url: http://{address}
    retry: {{ attempts: 4 }}
    routes:
      /busy/**: {{ access: public }}
"
    ));
    let server = Server::start(&Setup::new("serve", &folder));
    thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                let client = Client::new(&server.http);
                for _ in 0..8 {
                    assert_eq!(client.get("/busy/x").status, 503);
                }
            });
        }
    });
    let reached = asked.load(Ordering::SeqCst);
    assert!((400..=480).contains(&reached), "{reached} for 400");
    let metrics = Client::new(&server.admin).get("/metrics").text;
    let line = format!("stoa_service_retries_total{{service=\"busy\"}} {}", reached - 400);
    assert!(metrics.contains(&line), "no {line}\n{metrics}");
}
