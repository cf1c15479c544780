//! Clients of HTTP/2 that cost more than they are good for, and those that do not go on (failure cases 10 and 54).

use crate::{
    h2_raw::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Outcome, PING, PRIORITY, RST_STREAM,
        Raw, SETTINGS, WINDOW_UPDATE, block, field, frame, get, pseudo,
    },
    support::{Backend, Client, Served, plan, serve, serve_all, service, until},
};
use std::time::Duration;
use stoa_exchange::clock;

const ENHANCE_YOUR_CALM: u32 = 11;

/// A service that answers at once, and one that never does.
async fn silent() -> Backend {
    Backend::script(|mut client: Client, own| async move {
        while let Some(request) = client.request().await {
            own.keep(request);
        }
    })
    .await
}

/// Sends a part over and over until the connection is closed; how many bytes that took.
async fn flood(served: &Served, first: &[u8], mut part: impl FnMut(u32) -> Vec<u8>) -> (usize, Option<u32>) {
    let mut raw = Raw::open(served).await;
    raw.send(first).await;
    let mut bytes = 0;
    for turn in 0..200_000 {
        // In packets of some size, as who floods would.
        let mut packet = Vec::new();
        for n in 0..50 {
            packet.extend(part(turn * 50 + n));
        }
        bytes += packet.len();
        if !raw.try_send(&packet).await {
            break;
        }
        assert!(bytes < 64 * 1024 * 1024, "never closed");
        // What is sent back is read, so that nobody waits for the other.
        let mut space = [0; 16 * 1024];
        while let Ok(n) = raw.client.stream.try_read(&mut space) {
            raw.client.rest.extend_from_slice(&space[..n]);
            if n == 0 {
                return (bytes, raw.end().await);
            }
        }
        tokio::task::yield_now().await;
    }
    (bytes, raw.end().await)
}

fn headers(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &block(&pseudo("POST", "/")))
}

type Part<'a> = Box<dyn FnMut(u32) -> Vec<u8> + 'a>;

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "a table")]
async fn floods_are_told_to_calm_down() {
    let backend = silent().await;
    let served = serve_all(backend.address);
    let open = headers(1);
    let start = {
        let mut bytes = Vec::new();
        for (name, value) in pseudo("GET", "/") {
            field(&mut bytes, name, value);
        }
        frame(HEADERS, END_STREAM, 1, &bytes)
    };
    let odd = |n: u32| 1 + 2 * n;
    let eight = [0; 8];
    let one = 1_u32.to_be_bytes();
    let floods: Vec<(&str, Vec<u8>, Part<'_>)> = vec![
        (
            "rapid reset",
            Vec::new(),
            Box::new(|n| {
                [
                    get(odd(n), "/"),
                    frame(RST_STREAM, 0, odd(n), &8_u32.to_be_bytes()),
                ]
                .concat()
            }),
        ),
        (
            "resets by a fault of one's own",
            Vec::new(),
            Box::new(|n| {
                [
                    headers(odd(n)),
                    frame(WINDOW_UPDATE, 0, odd(n), &0_u32.to_be_bytes()),
                ]
                .concat()
            }),
        ),
        (
            "requests without number",
            Vec::new(),
            Box::new(|n| get(odd(n), "/")),
        ),
        (
            "malformed requests",
            Vec::new(),
            Box::new(|n| {
                frame(
                    HEADERS,
                    END_HEADERS | END_STREAM,
                    odd(n),
                    &block(&[(b":method", b"GET")]),
                )
            }),
        ),
        (
            "settings",
            Vec::new(),
            Box::new(|_| frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100])),
        ),
        (
            "empty settings",
            Vec::new(),
            Box::new(|_| frame(SETTINGS, 0, 0, &[])),
        ),
        (
            "acknowledgements",
            Vec::new(),
            Box::new(|_| frame(PING, 1, 0, &eight)),
        ),
        ("pings", Vec::new(), Box::new(|_| frame(PING, 0, 0, &eight))),
        (
            "priorities",
            Vec::new(),
            Box::new(|_| frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])),
        ),
        (
            "windows",
            Vec::new(),
            Box::new(|_| frame(WINDOW_UPDATE, 0, 0, &one)),
        ),
        ("unknown frames", Vec::new(), Box::new(|_| frame(200, 0, 0, &[]))),
        ("empty data", open.clone(), Box::new(|_| frame(DATA, 0, 1, &[]))),
        (
            "empty padded data",
            open.clone(),
            Box::new(|_| frame(DATA, 8, 1, &[0])),
        ),
        (
            "data of a byte",
            open.clone(),
            Box::new(|_| frame(DATA, 0, 1, b"x")),
        ),
        (
            "continuations",
            start.clone(),
            Box::new(|_| frame(CONTINUATION, 0, 1, &[0, 1, b'x', 1, b'y'])),
        ),
        (
            "empty continuations",
            start.clone(),
            Box::new(|_| frame(CONTINUATION, 0, 1, &[])),
        ),
        (
            "large continuations",
            start,
            Box::new(|_| {
                let mut bytes = Vec::new();
                field(&mut bytes, b"x", &[b'y'; 8000]);
                frame(CONTINUATION, 0, 1, &bytes)
            }),
        ),
        ("goodbyes", Vec::new(), Box::new(|_| frame(GOAWAY, 0, 0, &eight))),
    ];
    for (name, first, part) in floods {
        let (bytes, code) = Box::pin(flood(&served, &first, part)).await;
        // Most of it lies in the system's buffers, unread. The end may be a reset that loses the last word; where it is heard, it is an error.
        assert!(code != Some(0), "{name}");
        assert!(bytes < 16 * 1024 * 1024, "{name}: {bytes}");
        until(|| served.edge.active() == 0).await;
        let calm = serve_all(Backend::echo().await.address)
            .ask(crate::support::get("/"))
            .await;
        assert_eq!(calm.status, 200, "{name}");
    }
}

#[tokio::test]
async fn the_word_is_heard() {
    let backend = silent().await;
    let served = serve_all(backend.address);
    let mut raw = Raw::open(&served).await;
    for _ in 0..300 {
        raw.send(frame(PING, 0, 0, &[0; 8])).await;
    }
    assert_eq!(raw.end().await, Some(ENHANCE_YOUR_CALM));
}

/// A browser that leaves a page takes back all that it asked for, and goes on; so do clients that ping and stream.
#[tokio::test]
async fn what_ordinary_clients_do_is_no_flood() {
    let backend = Backend::echo().await;
    let served = serve_all(backend.address);
    let mut raw = Raw::open(&served).await;
    let mut stream = 1;
    for _ in 0..2 {
        for _ in 0..50 {
            raw.send(get(stream, "/")).await;
            raw.send(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())).await;
            stream += 2;
        }
    }
    for _ in 0..50 {
        raw.send(frame(PING, 0, 0, &[0; 8])).await;
        raw.send(get(stream, "/")).await;
        assert!(matches!(raw.outcome(stream).await, Outcome::Status(200, _)));
        stream += 2;
    }
    // A stream of small messages that somebody reads.
    let mut sender = crate::h2_serves::plain(&served).await.ready().await.unwrap();
    let request = http::Request::post("http://api.test/").body(()).unwrap();
    let (reply, mut body) = sender.send_request(request, false).unwrap();
    let mut reply = std::pin::pin!(reply);
    for _ in 0..3000 {
        body.reserve_capacity(100);
        while body.capacity() < 100 {
            let room = std::future::poll_fn(|cx| body.poll_capacity(cx)).await;
            assert!(room.unwrap().is_ok());
        }
        body.send_data(vec![b'm'; 100].into(), false).unwrap();
    }
    body.send_data("".into(), true).unwrap();
    assert_eq!(reply.as_mut().await.unwrap().status(), 200);
}

/// A table full of a large field that is named again and again: each name is a byte, and the field counts each time.
#[tokio::test]
async fn a_block_that_unfolds_is_refused() {
    let backend = Backend::echo().await;
    let served = serve_all(backend.address);
    let mut raw = Raw::open(&served).await;
    let mut fields = block(&pseudo("GET", "/"));
    // Into the dynamic table, where it is number 62.
    fields.push(0x40);
    fields.extend([1, b'x']);
    crate::h2_raw::number(&mut fields, 0, 7, 4000);
    fields.extend([b'y'; 4000]);
    fields.extend([0xbe; 12_000]);
    raw.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, &fields))
        .await;
    let outcome = raw.outcome(1).await;
    assert!(
        outcome.is_refusal() || matches!(outcome, Outcome::Goaway(_)),
        "{outcome:?}"
    );
    assert!(backend.seen().is_empty());
}

/// How it goes on where the time-outs are short.
fn hasty(backend: &Backend) -> Served {
    let mut plan = plan(vec![service("s", &[backend.address], &["/**"])]);
    plan.server.header_timeout = Duration::from_millis(300);
    plan.server.idle_timeout = Duration::from_millis(600);
    plan.server.reply_timeout = Duration::from_millis(400);
    serve(plan)
}

#[tokio::test]
async fn who_does_not_go_on_is_closed() {
    let backend = Backend::echo().await;
    let served = hasty(&backend);
    // Half a preface, a preface alone, a head that never ends, a connection that rests.
    let mut half = served.connect().await;
    half.send(&crate::h2_raw::PREFACE[..10]).await;
    assert!(half.closes().await);
    let mut alone = served.connect().await;
    alone.send(crate::h2_raw::PREFACE).await;
    let mut alone = Raw { client: alone };
    assert_eq!(alone.end().await, Some(0));
    let mut endless = Raw::open(&served).await;
    endless
        .send(frame(HEADERS, END_STREAM, 1, &block(&pseudo("GET", "/"))))
        .await;
    assert_eq!(endless.end().await, Some(0));
    let mut resting = Raw::open(&served).await;
    resting.send(get(1, "/")).await;
    assert!(matches!(resting.outcome(1).await, Outcome::Status(200, _)));
    assert_eq!(resting.end().await, Some(0));
}

/// Failure case 10.
#[tokio::test]
async fn replies_that_are_not_taken_are_taken_back_and_the_connection_lives_on() {
    let body = "x".repeat(300_000);
    let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let backend = Backend::says(reply).await;
    let served = hasty(&backend);
    // No window at all, then one that opens by a byte now and then.
    let mut raw = Raw::open_with(&served, &[0, 4, 0, 0, 0, 0]).await;
    for n in 0..20 {
        raw.send(get(1 + 2 * n, "/")).await;
    }
    let began = clock::now();
    let mut reset = 0;
    while reset < 20 {
        let frame = raw.next().await.expect("the connection lives");
        if frame.kind == RST_STREAM {
            assert_eq!(frame.code(), 8);
            reset += 1;
        }
    }
    assert!(clock::now().duration_since(began) < Duration::from_secs(8));
    // Who takes the next one gets it.
    raw.send(frame(WINDOW_UPDATE, 0, 0, &1_000_000_u32.to_be_bytes()))
        .await;
    let mut bytes = get(101, "/");
    bytes.extend(frame(WINDOW_UPDATE, 0, 101, &1_000_000_u32.to_be_bytes()));
    raw.send(bytes).await;
    let Outcome::Status(200, got) = raw.outcome(101).await else {
        panic!("it is answered");
    };
    assert_eq!(got.len(), 300_000);
    let lines = served.lines.wait(21).await;
    assert_eq!(lines.iter().filter(|line| line.complete).count(), 1);
}

#[tokio::test]
async fn a_window_that_opens_by_a_byte_does_not_help() {
    let body = "x".repeat(100_000);
    let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let backend = Backend::says(reply).await;
    let served = hasty(&backend);
    let mut raw = Raw::open_with(&served, &[0, 4, 0, 0, 0, 1]).await;
    raw.send(get(1, "/")).await;
    let (mut turns, one) = (0, frame(WINDOW_UPDATE, 0, 1, &1_u32.to_be_bytes()));
    loop {
        let frame = raw.next().await.expect("the connection lives");
        match frame.kind {
            RST_STREAM => break,
            DATA => {
                turns += 1;
                assert!(turns < 500, "it goes on for ever");
                tokio::time::sleep(Duration::from_millis(20)).await;
                raw.send(&one).await;
            }
            _ => {}
        }
    }
}

/// A client that reads nothing of its socket is closed with all it asked for.
#[tokio::test]
async fn who_reads_nothing_is_closed() {
    let body = "x".repeat(1_000_000);
    let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let backend = Backend::says(reply).await;
    let served = hasty(&backend);
    let mut raw = Raw::open_with(&served, &[0, 4, 0x7f, 0xff, 0xff, 0xff]).await;
    raw.send(frame(WINDOW_UPDATE, 0, 0, &0x7f00_0000_u32.to_be_bytes()))
        .await;
    for n in 0..60 {
        raw.send(get(1 + 2 * n, "/")).await;
    }
    until(|| served.lines.all().len() == 60).await;
    assert!(served.lines.all().iter().any(|line| !line.complete));
    assert_eq!(served.edge.active(), 0);
}
