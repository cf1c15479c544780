//! Clients that are slow on purpose, and those that only seem so (failure case 8).

use crate::{
    h2_raw::{
        DATA, END_HEADERS, HEADERS, Outcome, PREFACE, Raw, SETTINGS, WINDOW_UPDATE, block, frame, pseudo,
    },
    support::{Backend, Client, LONG, Served, get, plan, serve, service, until},
    tls::{Authority, Files, plan_over, shake, tls},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use stoa_exchange::clock;
use tokio::{
    io::AsyncWriteExt,
    net::TcpSocket,
    time::{sleep, timeout},
};

const HEAD: &str = "POST / HTTP/1.1\r\nhost: api.test\r\ncontent-length: 100000\r\n\r\n";

/// Half a second may be missing, at 500 bytes a second.
fn hasty(backend: &Backend) -> Served {
    let mut plan = plan(vec![service("s", &[backend.address], &["/**"])]);
    plan.server.body_timeout = Duration::from_millis(500);
    serve(plan)
}

#[tokio::test]
async fn a_body_below_its_rate_is_refused_and_its_connection_closed() {
    let backend = Backend::echo().await;
    let served = hasty(&backend);
    let mut client = served.connect().await;
    client.send(HEAD).await;
    // 200 bytes a second, with no wait of half a second.
    let dripping = async {
        loop {
            if client.stream.write_all(&[b'x'; 10]).await.is_err() || !client.rest.is_empty() {
                return;
            }
            sleep(Duration::from_millis(50)).await;
            let mut space = [0; 4096];
            if let Ok(n) = client.stream.try_read(&mut space) {
                client.rest.extend_from_slice(&space[..n]);
            }
        }
    };
    timeout(LONG, dripping).await.expect("it is ended");
    let reply = client.reply().await;
    assert_eq!((reply.status, reply.field("connection")), (408, Some("close")));
    while client.more().await {}
    assert!(backend.seen().is_empty(), "what is not whole is no request");
    // Over HTTP/2 only the request ends.
    let mut raw = Raw::open(&served).await;
    raw.send(frame(HEADERS, END_HEADERS, 1, &block(&pseudo("POST", "/"))))
        .await;
    raw.send(frame(DATA, 0, 1, b"a")).await;
    assert!(matches!(raw.outcome(1).await, Outcome::Status(408, _)));
    raw.send(crate::h2_raw::get(3, "/")).await;
    assert!(matches!(raw.outcome(3).await, Outcome::Status(200, _)));
}

#[tokio::test]
async fn a_body_that_keeps_up_is_taken_however_long_it_is() {
    let backend = Backend::echo().await;
    let served = hasty(&backend);
    let mut client = served.connect().await;
    client
        .send("POST / HTTP/1.1\r\nhost: api.test\r\ncontent-length: 3000\r\n\r\n")
        .await;
    // Twice the rate, with pauses.
    for _ in 0..10 {
        client.send([b'x'; 300]).await;
        sleep(Duration::from_millis(150)).await;
    }
    assert_eq!(client.reply().await.status, 200);
}

#[tokio::test]
async fn a_service_that_reads_slowly_is_not_its_client_s_fault() {
    const BYTES: usize = 900_000;
    let backend = Backend::script(|mut client: Client, own| async move {
        let head = client.until(b"\r\n\r\n").await;
        sleep(Duration::from_millis(1200)).await;
        let mut bytes = client.rest.len();
        while bytes < BYTES && client.more().await {
            bytes += client.rest.len();
            client.rest.clear();
        }
        own.keep(String::from_utf8(head).unwrap());
        client.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    })
    .await;
    let served = hasty(&backend);
    let mut client = served.connect().await;
    client
        .send(format!(
            "POST / HTTP/1.1\r\nhost: api.test\r\ncontent-length: {BYTES}\r\n\r\n"
        ))
        .await;
    client.send(vec![b'x'; BYTES]).await;
    assert_eq!(client.reply().await.status, 204);
}

/// Messages that come when there is something to say.
#[tokio::test]
async fn streams_of_messages_may_pause() {
    let backend = Backend::echo().await;
    let served = hasty(&backend);
    let mut client = served.connect().await;
    client
        .send("POST / HTTP/1.1\r\nhost: api.test\r\ncontent-type: application/grpc+proto\r\ncontent-length: 10\r\n\r\nhello")
        .await;
    sleep(Duration::from_millis(900)).await;
    client.send("world").await;
    assert_eq!(client.reply().await.status, 200);
}

/// Over TLS what is not taken waits encrypted: the last of a reply too.
#[tokio::test]
async fn who_reads_nothing_over_tls_is_let_go() {
    let (authority, files) = (Authority::new("a"), Files::new());
    let pair = files.pair("api", &authority.issue(&["api.test"]));
    let body = "x".repeat(32 * 1024 * 1024);
    let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let backend = Backend::says(reply).await;
    let mut plan = plan_over(tls(vec![pair]), &backend);
    plan.server.reply_timeout = Duration::from_millis(300);
    let served = serve(plan);
    let mut config = authority.client();
    for h2 in [false, true] {
        if h2 {
            config.alpn_protocols = vec![b"h2".to_vec()];
        }
        let mut client = shake(&served, &Arc::new(config.clone()), "api.test")
            .await
            .unwrap();
        if h2 {
            let windows = [0, 4, 0x7f, 0xff, 0xff, 0xff];
            client.send(PREFACE).await;
            client.send(frame(SETTINGS, 0, 0, &windows)).await;
            client
                .send(frame(WINDOW_UPDATE, 0, 0, &0x7f00_0000_u32.to_be_bytes()))
                .await;
            client.send(crate::h2_raw::get(1, "/")).await;
        } else {
            client.send(get("/")).await;
        }
        let lines = served.lines.wait(1 + usize::from(h2)).await;
        assert!(!lines[usize::from(h2)].complete);
        until(|| served.edge.active() == 0).await;
    }
}

/// Many of each kind with the time-outs that hold by default: all are closed within ten seconds, and nobody else notices.
/// `STOA_TEST_SLOW` asks for more of them.
#[tokio::test]
async fn slow_clients_are_closed_within_ten_seconds_and_harm_nobody() {
    let count: usize = std::env::var("STOA_TEST_SLOW").map_or(200, |n| n.parse().unwrap());
    let body = Arc::new("x".repeat(8 * 1024 * 1024));
    let backend = Backend::script(move |mut client: Client, own| {
        let body = body.clone();
        async move {
            while let Some(request) = client.request().await {
                let long = request.starts_with("GET /long ");
                own.keep(request);
                let body = if long { &body[..] } else { "ok" };
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                if client.stream.write_all(head.as_bytes()).await.is_err()
                    || client.stream.write_all(body.as_bytes()).await.is_err()
                {
                    own.keep("let go".to_owned());
                    return;
                }
            }
        }
    })
    .await;
    let served = Arc::new(serve(plan(vec![service("s", &[backend.address], &["/**"])])));
    let began = clock::now();
    let starting = Duration::from_millis(3 * count as u64);
    let mut slow = Vec::new();
    // Fewer readers: each fills the system's buffers first.
    let readers = count / 10;
    for number in 0..2 * count + readers {
        let served = served.clone();
        slow.push(tokio::spawn(async move {
            // One after the other: the service of the test is one thread that also is all the clients.
            sleep(Duration::from_millis(number as u64)).await;
            let began = clock::now();
            // Little room, so that what is not read soon fills it.
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_recv_buffer_size(4096).unwrap();
            let stream = socket.connect(served.edge.address()).await.unwrap();
            let mut client = Client {
                stream,
                rest: Vec::new(),
            };
            let first = [
                b"GET / HTTP/1.1\r\nhost: a".as_slice(),
                HEAD.as_bytes(),
                get("/long").as_bytes(),
            ][if number < 2 * count { number % 2 } else { 2 }]
            .to_vec();
            client.send(first).await;
            if number >= 2 * count {
                // It reads nothing: that it was let go is seen in the record.
                return Some(client);
            }
            loop {
                assert!(
                    clock::now().duration_since(began) < Duration::from_secs(14),
                    "it is closed"
                );
                if client.stream.write_all(b"x").await.is_err() {
                    break;
                }
                let mut space = [0; 512];
                match client.stream.try_read(&mut space) {
                    Ok(0) => break,
                    Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => break,
                    _ => {}
                }
                sleep(Duration::from_secs(1)).await;
            }
            None
        }));
    }
    let others = async {
        let (mut turns, mut slowest) = (0, Duration::ZERO);
        while served
            .lines
            .all()
            .iter()
            .filter(|line| line.path != "/ok")
            .count()
            < 2 * count + readers
        {
            let asked = clock::now();
            assert_eq!(served.ask(get("/ok")).await.status, 200);
            slowest = slowest.max(clock::now().duration_since(asked));
            turns += 1;
            sleep(Duration::from_millis(20)).await;
        }
        (turns, slowest)
    };
    let (turns, slowest) = timeout(Duration::from_secs(30) + starting, others)
        .await
        .unwrap_or_else(|_| panic!("not all are closed: {:?}", kinds(&served)));
    let took = clock::now().duration_since(began);
    assert!(took < Duration::from_secs(20) + starting, "{took:?}");
    assert!(
        turns > 20 && slowest < Duration::from_secs(5),
        "{turns} {slowest:?}"
    );
    for slow in slow {
        drop(slow.await.unwrap());
    }
    let lines = served.lines.all();
    let timed_out = lines.iter().filter(|line| line.status == 408).count();
    assert_eq!(timed_out, 2 * count, "heads and bodies: {:?}", kinds(&served));
    until(|| served.edge.active() == 0).await;
}

/// What became of how many.
fn kinds(served: &Served) -> BTreeMap<(u16, String, bool, Option<&'static str>), usize> {
    let mut kinds = BTreeMap::new();
    for line in served.lines.all().into_iter().filter(|line| line.path != "/ok") {
        *kinds
            .entry((line.status, line.path, line.complete, line.problem))
            .or_insert(0) += 1;
    }
    kinds
}
