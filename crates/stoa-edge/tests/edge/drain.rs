//! Stopping and replacing while requests are under way.

use crate::support::{Backend, Client, LONG, Lines, gateway, get, plan, serve, serve_all, service, until};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::net::TcpStream;

#[tokio::test]
async fn requests_under_way_end_and_idle_connections_are_closed() {
    let backend = Backend::script(|mut client: Client, own| async move {
        own.keep(client.request().await.unwrap_or_default());
        while own.seen().len() < 2 {
            tokio::task::yield_now().await;
        }
        client
            .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            .await;
    })
    .await;
    let served = serve_all(backend.address);
    let address = served.edge.address();
    let mut idle = served.connect().await;
    let mut busy = served.connect().await;
    busy.send(get("/")).await;
    until(|| backend.seen().len() == 1).await;
    let draining = tokio::spawn(served.edge.drain(LONG));
    assert!(idle.closes().await);
    assert!(
        TcpStream::connect(address).await.is_err(),
        "nobody listens any more"
    );
    backend.keep("go on".to_owned());
    let reply = busy.reply().await;
    assert_eq!(
        (reply.text(), reply.field("connection")),
        ("ok".to_owned(), Some("close"))
    );
    assert_eq!(draining.await.unwrap().cut, 0);
    assert_eq!(served.lines.all().iter().filter(|l| l.complete).count(), 1);
}

#[tokio::test]
async fn what_takes_too_long_is_cut_and_counted() {
    let silent = Backend::script(|mut client: Client, own| async move {
        own.keep(client.request().await.unwrap_or_default());
        while client.more().await {}
    })
    .await;
    let served = serve_all(silent.address);
    let mut client = served.connect().await;
    client.send(get("/")).await;
    until(|| silent.seen().len() == 1).await;
    assert_eq!(served.edge.drain(Duration::from_millis(50)).await.cut, 1);
    assert!(client.closes().await);
}

#[tokio::test]
async fn a_drain_under_load_loses_no_request() {
    let backend = Backend::says("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let served = serve_all(backend.address);
    let address = served.edge.address();
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for _ in 0..16 {
        let stop = stop.clone();
        clients.push(tokio::spawn(async move {
            let mut answered = 0_usize;
            while !stop.load(Relaxed) {
                // Once nobody listens, there is no request to lose.
                let Ok(stream) = TcpStream::connect(address).await else {
                    break;
                };
                let mut client = Client {
                    stream,
                    rest: Vec::new(),
                };
                loop {
                    client.send(get("/")).await;
                    let reply = client.reply().await;
                    assert_eq!(reply.text(), "ok");
                    answered += 1;
                    if reply.field("connection") == Some("close") {
                        break;
                    }
                }
            }
            answered
        }));
    }
    until(|| backend.seen().len() > 300).await;
    assert_eq!(served.edge.drain(LONG).await.cut, 0);
    stop.store(true, Relaxed);
    let mut answered = 0;
    for client in clients {
        answered += client.await.expect("every request that was sent was answered");
    }
    assert_eq!(answered, backend.seen().len());
    assert_eq!(served.lines.all().len(), answered);
}

#[tokio::test]
async fn a_swap_keeps_connections_and_pools() {
    let (old, new) = (
        Backend::says(reply("old")).await,
        Backend::says(reply("new")).await,
    );
    let both = || {
        plan(vec![
            service("b", &[old.address], &["/kept/**"]),
            service("a", &[old.address], &["/**"]),
        ])
    };
    let mut first = both();
    first.server.workers = Some(1);
    let lines = Arc::new(Lines::default());
    let before = gateway(first.clone(), &lines, None);
    let edge = stoa_edge::Edge::start(&first, before.clone()).unwrap();
    let mut client = Client {
        stream: TcpStream::connect(edge.address()).await.unwrap(),
        rest: Vec::new(),
    };
    client.send(get("/kept/a")).await;
    assert_eq!(client.reply().await.text(), "old");

    let mut second = plan(vec![
        service("b", &[old.address], &["/kept/**"]),
        service("a", &[new.address], &["/**"]),
    ]);
    second.server.workers = Some(1);
    edge.swap(gateway(second, &lines, Some(&before)));
    for (path, said) in [("/a", "new"), ("/kept/a", "old"), ("/b", "new")] {
        client.send(get(path)).await;
        assert_eq!(client.reply().await.text(), said, "{path}");
    }
    assert_eq!(
        old.connections(),
        1,
        "the pool of an endpoint that stayed was carried over"
    );
}

fn reply(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_port_that_is_taken_is_refused() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut plan = plan(Vec::new());
    plan.server.http = taken.local_addr().unwrap();
    let start = |plan| {
        let lines = Arc::new(Lines::default());
        stoa_edge::Edge::start(&plan, gateway(plan.clone(), &lines, None))
    };
    assert_eq!(
        start(plan.clone()).err().map(|e| e.kind()),
        Some(std::io::ErrorKind::AddrInUse)
    );

    let sharing = serve(crate::support::plan(Vec::new()));
    plan.server.http = sharing.edge.address();
    assert_eq!(
        start(plan).err().map(|e| e.kind()),
        Some(std::io::ErrorKind::AddrInUse)
    );
}

#[tokio::test]
async fn connections_over_the_bound_are_refused_and_the_others_live() {
    let backend = Backend::says(reply("ok")).await;
    let mut plan = plan(vec![service("b", &[backend.address], &["/**"])]);
    plan.server.connections_max = 3;
    let served = serve(plan);
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = served.connect().await;
        client.send(get("/")).await;
        assert_eq!(client.reply().await.status, 200);
        clients.push(client);
    }
    let mut fourth = served.connect().await;
    let reply = fourth.reply().await;
    assert_eq!((reply.status, reply.whole), (503, true));
    assert_eq!(reply.json()["code"], "unavailable");
    assert!(fourth.closes().await);
    for client in &mut clients {
        client.send(get("/")).await;
        assert_eq!(client.reply().await.status, 200);
    }
    clients.pop();
    let again = async {
        loop {
            let mut client = served.connect().await;
            // A connection that is refused may be gone before it is written to.
            let _ = tokio::io::AsyncWriteExt::write_all(&mut client.stream, get("/").as_bytes()).await;
            if client.more().await && client.rest.starts_with(b"HTTP/1.1 200") {
                break;
            }
        }
    };
    tokio::time::timeout(LONG, again)
        .await
        .expect("a place that is given back is used again");
}
