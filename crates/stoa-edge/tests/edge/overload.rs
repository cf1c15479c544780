//! More than a service can answer.

use crate::{
    routes::file,
    support::{Backend, Served, get, serve, until},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

const FILE: &str = "
server: { overload: { floor: 4 } }
services:
  backend:
    url: {backend}
    routes:
      GET /critical: { access: public, priority: critical }
      /**: { access: public }
";

/// Requests that the service answers at a time, and how long each takes.
const SERVERS: usize = 8;
const TAKES: Duration = Duration::from_millis(50);
const CAPACITY: f64 = SERVERS as f64 / 0.05;

/// A service with a queue: it answers so many at a time, in turn.
async fn bounded() -> Backend {
    let servers = Arc::new(Semaphore::new(SERVERS));
    Backend::script(move |mut client, _| {
        let servers = servers.clone();
        async move {
            while client.request().await.is_some() {
                let Ok(_server) = servers.acquire().await else {
                    return;
                };
                tokio::time::sleep(TAKES).await;
                client
                    .send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                    .await;
            }
        }
    })
    .await
}

#[derive(Default)]
struct Seen {
    answered: usize,
    refused: usize,
    critical_refused: usize,
    /// Sorted.
    refusals: Vec<Duration>,
    answers: Vec<Duration>,
    a_second: f64,
}

#[expect(
    clippy::disallowed_methods,
    reason = "what a caller sees is measured by its own clock"
)]
fn now() -> Instant {
    Instant::now()
}

/// Offers requests at a rate, whether they are answered or not; one in ten is critical.
async fn offer(served: &Arc<Served>, a_second: f64, time: Duration) -> Seen {
    let began = now();
    let mut asked = Vec::new();
    let mut tick = tokio::time::interval(Duration::from_secs_f64(1.0 / a_second));
    while now() - began < time {
        tick.tick().await;
        let critical = asked.len() % 10 == 0;
        let served = served.clone();
        asked.push(tokio::spawn(async move {
            let began = now();
            let reply = served.ask(get(if critical { "/critical" } else { "/a" })).await;
            if reply.status == 503 {
                assert_eq!(reply.field("retry-after"), Some("1"));
                assert_eq!(reply.json()["code"], "overloaded");
            }
            (reply.status, critical, now() - began)
        }));
    }
    let mut seen = Seen::default();
    for one in asked {
        let (status, critical, took) = one.await.unwrap();
        if status == 200 {
            seen.answered += 1;
            seen.answers.push(took);
        } else {
            seen.refused += 1;
            seen.critical_refused += usize::from(critical);
            seen.refusals.push(took);
        }
    }
    seen.answers.sort_unstable();
    seen.refusals.sort_unstable();
    seen.a_second = seen.answered as f64 / (now() - began).as_secs_f64();
    seen
}

#[tokio::test]
async fn what_is_too_much_is_refused_and_the_rest_is_answered_in_time() {
    let backend = bounded().await;
    let served = Arc::new(serve(file(FILE, &backend)));
    let before = offer(&served, CAPACITY * 0.5, Duration::from_secs(1)).await;
    assert_eq!(before.refused, 0);

    let much = offer(&served, CAPACITY * 5.0, Duration::from_secs(3)).await;
    assert!(much.refused > much.answered, "{} {}", much.refused, much.answered);
    assert!(much.a_second >= CAPACITY * 0.7, "{}", much.a_second);
    assert_eq!(much.critical_refused, 0);
    // Without it, the last ones would have waited for twelve seconds.
    let p95 = much.answers[much.answers.len() * 95 / 100];
    assert!(p95 < TAKES * 20, "{p95:?}");
    let refusal = much.refusals[much.refusals.len() / 2];
    assert!(refusal < TAKES, "{refusal:?}");

    // Two seconds later there is nothing left of it.
    offer(&served, CAPACITY * 0.5, Duration::from_secs(2)).await;
    let after = offer(&served, CAPACITY * 0.5, Duration::from_secs(1)).await;
    assert_eq!(after.refused, 0);
}

#[tokio::test]
async fn a_caller_who_leaves_gives_its_place_back() {
    let backend = Backend::script(|mut client, own| async move {
        while let Some(request) = client.request().await {
            if request.contains("GET /now") {
                client.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
            }
            own.keep(request);
        }
        own.keep("gone".to_owned());
    })
    .await;
    let served = serve(file(FILE, &backend));
    let mut client = served.connect().await;
    client.send(get("/never")).await;
    until(|| backend.seen().iter().any(|s| s.contains("/never"))).await;
    let in_flight = async || {
        let reply = served
            .ask("GET /now HTTP/1.1\r\nhost: h\r\nstoa-explain: 1\r\n\r\n")
            .await;
        let explained: serde_json::Value =
            serde_json::from_str(reply.field("stoa-explain").unwrap()).unwrap();
        assert_eq!(explained["shed"]["limit"], serde_json::Value::Null);
        explained["shed"]["in_flight"].as_u64()
    };
    assert_eq!(in_flight().await, Some(2));
    drop(client);
    // The service's connection ends with it.
    until(|| backend.seen().iter().any(|s| s == "gone")).await;
    assert_eq!(in_flight().await, Some(1));
}

#[tokio::test]
async fn where_it_is_off_nothing_is_refused() {
    let backend = bounded().await;
    let text = FILE.replace("overload: { floor: 4 }", "overload: false");
    let served = Arc::new(serve(file(&text, &backend)));
    let seen = offer(&served, CAPACITY * 3.0, Duration::from_millis(700)).await;
    assert_eq!(seen.refused, 0);
}

#[tokio::test]
async fn callers_who_send_slowly_do_not_make_a_service_slow() {
    let backend = Backend::echo().await;
    let served = Arc::new(serve(file(FILE, &backend)));
    let quick = offer(&served, 200.0, Duration::from_millis(500)).await;
    assert_eq!(quick.refused, 0);
    for _ in 0..4 {
        let mut sending = Vec::new();
        for _ in 0..40 {
            let served = served.clone();
            sending.push(tokio::spawn(async move {
                let mut client = served.connect().await;
                client
                    .send("POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\na")
                    .await;
                tokio::time::sleep(TAKES * 3).await;
                client.send("b").await;
                client.reply().await.status
            }));
        }
        for one in sending {
            assert_eq!(one.await.unwrap(), 200);
        }
    }
}
