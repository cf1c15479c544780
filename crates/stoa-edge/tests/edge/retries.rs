//! Requests that are sent again, and those that never are. Cases by their numbers are those of the list of failures that a
//! gateway must stand.

use crate::support::{Backend, Client, Served, get, plan, serve, service, until};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use stoa_config::plan as file;
use stoa_exchange::clock;

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nbusy";

/// A service with these addresses that is tried so often.
fn retrying(addresses: &[SocketAddr], attempts: u8, with: impl FnOnce(&mut file::Service)) -> Served {
    let mut one = service("backend", addresses, &["/**"]);
    one.retry = Some(file::Retry {
        attempts,
        budget_percent: 20,
    });
    with(&mut one);
    serve(plan(vec![one]))
}

/// Does the first of these to the first request, the second to the second, and so on; the last to all that follow. An empty one
/// breaks the connection.
async fn in_turn(replies: &'static [&'static str]) -> Backend {
    let next = Arc::new(AtomicUsize::new(0));
    Backend::script(move |mut client: Client, own| {
        let next = next.clone();
        async move {
            while let Some(request) = client.request().await {
                own.keep(request);
                let turn = next.fetch_add(1, Relaxed).min(replies.len() - 1);
                if replies[turn].is_empty() {
                    // Closed with something unread or not, the other side sees a reset or an end.
                    let _ = socket2::SockRef::from(&client.stream).set_linger(Some(Duration::ZERO));
                    return;
                }
                client.send(replies[turn]).await;
            }
        }
    })
    .await
}

fn post(body: &str, fields: &str) -> String {
    let length = body.len();
    format!("POST / HTTP/1.1\r\nhost: api.test\r\ncontent-length: {length}\r\n{fields}\r\n{body}")
}

#[tokio::test]
async fn four_hundred_requests_of_fifty_callers_to_a_service_that_says_503_reach_it_1_2_times_each() {
    for (addresses, attempts) in [(1, 3), (1, 4), (3, 4)] {
        let mut backends = Vec::new();
        for _ in 0..addresses {
            backends.push(Backend::says(BUSY).await);
        }
        let at: Vec<_> = backends.iter().map(|b| b.address).collect();
        let served = retrying(&at, attempts, |s| s.balance = file::Balance::LeastLatency);
        tokio::spawn(served.edge.upkeep());
        let caller = |_| async {
            let mut client = served.connect().await;
            for _ in 0..8 {
                client.send(get("/")).await;
                let reply = client.reply().await;
                assert_eq!(
                    (reply.status, reply.text().as_str()),
                    (503, "busy"),
                    "the service's own words"
                );
            }
        };
        futures_util::future::join_all((0..50).map(caller)).await;
        let reached: usize = backends.iter().map(|b| b.seen().len()).sum();
        assert!((400..=480).contains(&reached), "{reached} requests for 400");
        let view = &served.edge.services()[0];
        assert_eq!(view.retries as usize, reached - 400);
        assert!(view.retries_denied > 0);
    }
}

#[tokio::test]
async fn a_passing_failure_is_not_seen_by_who_may_ask_twice() {
    for first in [
        BUSY,
        "HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 504 Gateway Timeout\r\ncontent-length: 0\r\n\r\n",
        "",
    ] {
        let backend = in_turn(Box::leak(Box::new([first, OK]))).await;
        let served = retrying(&[backend.address], 2, |_| {});
        let reply = served.ask(get("/")).await;
        assert_eq!((reply.status, reply.text().as_str()), (200, "ok"), "{first:?}");
        assert_eq!(backend.seen().len(), 2);
    }
    for last in [
        "HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 429 Slow Down\r\ncontent-length: 0\r\n\r\n",
    ] {
        let backend = in_turn(Box::leak(Box::new([last, OK]))).await;
        let served = retrying(&[backend.address], 2, |_| {});
        assert_ne!(served.ask(get("/")).await.status, 200);
        assert_eq!(backend.seen().len(), 1, "{last:?} is an answer");
    }
}

/// Failure case 13.
#[tokio::test]
async fn case_13_nothing_is_sent_again_once_a_byte_of_the_reply_went_out() {
    let backend = Backend::script(|mut client: Client, own| async move {
        own.keep(client.request().await.unwrap_or_default());
        client
            .send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabcde")
            .await;
        let _ = socket2::SockRef::from(&client.stream).set_linger(Some(Duration::ZERO));
    })
    .await;
    let served = retrying(&[backend.address], 5, |_| {});
    let mut client = served.connect().await;
    client.send(get("/")).await;
    let reply = client.reply().await;
    assert!(!reply.whole, "half a body looks whole: {:?}", reply.text());
    assert!(client.closes().await);
    assert_eq!(backend.seen().len(), 1);
}

/// Failure case 14, for a while and with open connections.
#[tokio::test]
async fn case_14_a_service_that_says_503_to_all_is_not_asked_more_than_a_fifth_more() {
    let backends = [Backend::says(BUSY).await, Backend::says(BUSY).await];
    let at: Vec<_> = backends.iter().map(|b| b.address).collect();
    let served = retrying(&at, 3, |s| s.balance = file::Balance::LeastLatency);
    tokio::spawn(served.edge.upkeep());
    let (asked, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let began = clock::now();
    let caller = |_| async {
        let mut client = served.connect().await;
        while began.elapsed() < Duration::from_secs(4) {
            let sent = clock::now();
            client.send(get("/")).await;
            assert_eq!(client.reply().await.status, 503);
            asked.fetch_add(1, Relaxed);
            most.fetch_max(sent.elapsed().as_millis() as usize, Relaxed);
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    };
    futures_util::future::join_all((0..20).map(caller)).await;
    let reached: usize = backends.iter().map(|b| b.seen().len()).sum();
    let asked = asked.load(Relaxed);
    assert!(reached * 10 <= asked * 12, "{reached} for {asked}");
    assert!(reached > asked);
}

/// Failure case 15.
#[tokio::test]
async fn case_15_a_write_is_sent_again_only_with_a_key_and_once() {
    let backend = in_turn(&["", OK]).await;
    let served = retrying(&[backend.address], 3, |_| {});
    assert_eq!(served.ask(post("{}", "")).await.status, 502);
    assert_eq!(backend.seen().len(), 1);

    let backend = in_turn(&["", OK]).await;
    let served = retrying(&[backend.address], 3, |_| {});
    assert_eq!(
        served
            .ask(post("{\"a\":1}", "idempotency-key: k1\r\n"))
            .await
            .status,
        200
    );
    let seen = backend.seen();
    assert_eq!(seen.len(), 2);
    assert!(
        seen.iter()
            .all(|s| s.contains("idempotency-key: k1") && s.ends_with("{\"a\":1}"))
    );

    let backend = in_turn(&[""]).await;
    let served = retrying(&[backend.address], 5, |_| {});
    assert_eq!(
        served.ask(post("{}", "idempotency-key: k1\r\n")).await.status,
        502
    );
    assert_eq!(backend.seen().len(), 2, "once more is all");
}

#[tokio::test]
async fn always_means_whatever_the_method_and_a_large_body_is_sent_once() {
    let always = |s: &mut file::Service| s.routes[0].retry_always = true;
    let backend = in_turn(&[BUSY, OK]).await;
    let served = retrying(&[backend.address], 2, always);
    assert_eq!(served.ask(post("hello", "")).await.status, 200);
    assert!(backend.seen().iter().all(|s| s.ends_with("hello")));

    let backend = in_turn(&[BUSY, OK]).await;
    let served = retrying(&[backend.address], 2, always);
    let large = "a".repeat(64 * 1024 + 1);
    assert_eq!(served.ask(post(&large, "")).await.status, 503);
    assert_eq!(backend.seen().len(), 1);
}

#[tokio::test]
async fn a_put_goes_on_to_another_address_with_its_body() {
    let (bad, good) = (in_turn(&[""]).await, Backend::echo().await);
    let served = retrying(&[bad.address, good.address], 2, |_| {});
    for _ in 0..4 {
        let put = post("body of it", "").replacen("POST", "PUT", 1);
        let reply = served.ask(put).await;
        assert_eq!(reply.status, 200);
        assert!(reply.text().ends_with("body of it"));
    }
    assert!(!bad.seen().is_empty());
}

#[tokio::test]
async fn a_service_that_asks_for_time_gets_it() {
    let backend = in_turn(&[
        "HTTP/1.1 503 Busy\r\nretry-after: 1\r\ncontent-length: 0\r\n\r\n",
        OK,
    ])
    .await;
    let served = retrying(&[backend.address], 2, |_| {});
    let began = clock::now();
    assert_eq!(served.ask(get("/")).await.status, 200);
    assert!(began.elapsed() >= Duration::from_secs(1));

    let long = in_turn(&[
        "HTTP/1.1 503 Busy\r\nretry-after: 60\r\ncontent-length: 0\r\n\r\n",
        OK,
    ])
    .await;
    let served = retrying(&[long.address], 2, |_| {});
    let reply = served.ask(get("/")).await;
    assert_eq!((reply.status, reply.field("retry-after")), (503, Some("60")));
}

#[tokio::test]
async fn a_try_that_takes_too_long_is_over_and_the_whole_has_its_own_end() {
    let mute = Backend::script(|mut client: Client, own| async move {
        own.keep(client.request().await.unwrap_or_default());
        std::future::pending::<()>().await;
    })
    .await;
    let good = Backend::says(OK).await;
    let bounds = |s: &mut file::Service| {
        s.timeouts.per_try = Some(Duration::from_millis(100));
        s.timeouts.total = Some(Duration::from_secs(5));
    };
    let served = retrying(&[mute.address, good.address], 2, bounds);
    for _ in 0..4 {
        assert_eq!(served.ask(get("/")).await.status, 200);
    }
    assert!(!mute.seen().is_empty());

    let served = retrying(&[mute.address], 5, |s| {
        s.timeouts.per_try = Some(Duration::from_millis(300));
        s.timeouts.total = Some(Duration::from_millis(500));
    });
    let began = clock::now();
    assert_eq!(served.ask(get("/")).await.status, 504);
    assert!(began.elapsed() < Duration::from_millis(1_500));
}

#[tokio::test]
async fn connections_have_a_bound_and_who_waits_is_served_in_turn() {
    let most = Arc::new(AtomicUsize::new(0));
    let now = Arc::new(AtomicUsize::new(0));
    let (most_seen, now_open) = (most.clone(), now.clone());
    let backend = Backend::script(move |mut client: Client, own| {
        let (most, now) = (most_seen.clone(), now_open.clone());
        async move {
            while let Some(request) = client.request().await {
                own.keep(request);
                most.fetch_max(now.fetch_add(1, Relaxed) + 1, Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
                now.fetch_sub(1, Relaxed);
                client.send(OK).await;
            }
        }
    })
    .await;
    let served = retrying(&[backend.address], 1, |s| {
        s.upstream.address_connections_max = 2;
        s.upstream.pending_max = 100;
        s.timeouts.connect = Duration::from_secs(5);
    });
    let asked = (0..30).map(|_| served.ask(get("/")));
    let replies = futures_util::future::join_all(asked).await;
    assert!(replies.iter().all(|r| r.status == 200));
    // Two workers may both find the last place free.
    assert!(most.load(Relaxed) <= 3, "{} at once", most.load(Relaxed));
    assert_eq!(served.edge.services()[0].waiting, 0);

    let served = retrying(&[backend.address], 1, |s| {
        s.upstream.service_connections_max = Some(1);
        s.upstream.pending_max = 1;
    });
    let asked = (0..20).map(|_| served.ask(get("/")));
    let replies = futures_util::future::join_all(asked).await;
    let refused: Vec<_> = replies.iter().filter(|r| r.status != 200).collect();
    assert!(!refused.is_empty() && refused.len() < 20);
    for reply in &refused {
        assert_eq!((reply.status, reply.field("retry-after")), (503, Some("1")));
    }
    assert!(served.edge.services()[0].turned_away as usize >= refused.len());
    until(|| served.edge.endpoints()[0].in_flight == 0).await;
}

#[tokio::test]
async fn requests_that_wait_at_a_silent_address_go_on_when_it_is_found_out() {
    let mute = Backend::script(|mut client: Client, own| async move {
        own.keep(client.request().await.unwrap_or_default());
        std::future::pending::<()>().await;
    })
    .await;
    let good = Backend::says(OK).await;
    let served = retrying(&[mute.address, good.address], 2, |_| {});
    tokio::spawn(served.edge.upkeep());
    let began = clock::now();
    let asked = |_| async {
        for _ in 0..30 {
            assert_eq!(served.ask(get("/")).await.status, 200);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    futures_util::future::join_all((0..6).map(asked)).await;
    assert!(mute.seen().len() >= 3, "nothing waited there");
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "first_byte is 30 s: {:?}",
        began.elapsed()
    );
}

#[tokio::test]
async fn explain_tells_how_often_it_was_tried() {
    let backend = in_turn(&[BUSY, OK]).await;
    let served = retrying(&[backend.address], 2, |_| {});
    let reply = served
        .ask("GET / HTTP/1.1\r\nhost: api.test\r\nstoa-explain: 1\r\n\r\n")
        .await;
    let explained = reply.field("stoa-explain").unwrap();
    assert!(explained.contains("\"attempts\":2"), "{explained}");
}

#[tokio::test]
async fn a_second_address_is_asked_beside_one_that_takes_long() {
    let slow = Backend::script(|mut client: Client, own| async move {
        while let Some(request) = client.request().await {
            own.keep(request);
            tokio::time::sleep(Duration::from_secs(3)).await;
            client.send(OK).await;
        }
    })
    .await;
    let good = Backend::says(OK).await;
    let hedged = |s: &mut file::Service| {
        s.upstream.hedge = Some(file::HedgeAfter::Time(Duration::from_millis(300)));
    };
    let served = retrying(&[slow.address, good.address], 2, hedged);
    for _ in 0..6 {
        let began = clock::now();
        assert_eq!(served.ask(get("/")).await.status, 200);
        assert!(began.elapsed() < Duration::from_secs(2));
    }
    assert_eq!(
        served.edge.services()[0].hedges,
        3,
        "every other one begins at the slow address"
    );
    // A write is not asked for twice.
    for _ in 0..2 {
        served.ask(post("{}", "")).await;
    }
    assert_eq!(served.edge.services()[0].hedges, 3);
    until(|| served.edge.endpoints().iter().all(|e| e.in_flight == 0)).await;
}

#[tokio::test]
async fn hedges_are_in_the_budget_of_retries() {
    let slow = || {
        Backend::script(|mut client: Client, own| async move {
            while let Some(request) = client.request().await {
                own.keep(request);
                tokio::time::sleep(Duration::from_millis(60)).await;
                client.send(OK).await;
            }
        })
    };
    let (one, two) = (slow().await, slow().await);
    let hedged = |s: &mut file::Service| {
        s.upstream.hedge = Some(file::HedgeAfter::Time(Duration::from_millis(5)));
    };
    let served = retrying(&[one.address, two.address], 2, hedged);
    let asked = (0..100).map(|_| served.ask(get("/")));
    let replies = futures_util::future::join_all(asked).await;
    assert!(replies.iter().all(|reply| reply.status == 200));
    let reached = one.seen().len() + two.seen().len();
    assert!((101..=120).contains(&reached), "{reached} for 100");
}
