//! Requests that go to other services as well, or wrong on purpose.

use crate::{
    routes::file,
    support::{Backend, Served, get, load, serve, until},
};
use stoa_config::plan::Plan;

/// The plan of a file with `{backend}` and `{other}`.
fn plan(text: &str, backend: &Backend, other: &Backend) -> Plan {
    let text = text.replace("{other}", &format!("http://{}", other.address));
    file(&text, backend)
}

fn says(name: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len())
}

const SPLIT: &str = "
services:
  other: { url: {other}, routes: { /other/**: { access: public } } }
  backend:
    url: {backend}
    split: { other: 20% }
    routes:
      /by/ip/**: { access: public, split: { other: 50% by ip } }
      /by/header/**: { access: public, split: { other: 30% by header x-tenant } }
      /by/cookie/**: { access: public, split: { other: 30% by cookie tenant } }
      /match/**: { access: public, split: { other: header x-beta=1 } }
      /cookie/**: { access: public, split: { other: cookie beta=yes } }
      /**: { access: public }
";

async fn two() -> (Served, Backend, Backend) {
    let (backend, other) = (
        Backend::says(says("own")).await,
        Backend::says(says("other")).await,
    );
    (serve(plan(SPLIT, &backend, &other)), backend, other)
}

#[tokio::test]
async fn a_share_goes_to_another_service() {
    let (served, backend, other) = two().await;
    let mut client = served.connect().await;
    for _ in 0..200 {
        client.send(get("/a")).await;
        client.reply().await;
    }
    let there = other.seen().len();
    assert!((35..=45).contains(&there), "{there}");
    assert_eq!(backend.seen().len() + there, 200);
}

#[tokio::test]
async fn callers_stay_where_they_are() {
    let (served, _backend, _other) = two().await;
    for (path, field) in [
        ("/by/header/a", "x-tenant: t"),
        ("/by/cookie/a", "cookie: a=b; tenant=t"),
    ] {
        let mut there = 0;
        for tenant in 0..100 {
            let mut told = Vec::new();
            for _ in 0..3 {
                let reply = served
                    .ask(format!(
                        "GET {path} HTTP/1.1\r\nhost: h\r\n{field}{tenant}\r\n\r\n"
                    ))
                    .await;
                told.push(reply.text());
            }
            assert!(told.iter().all(|t| *t == told[0]), "{told:?}");
            there += usize::from(told[0] == "other");
        }
        assert!((18..=42).contains(&there), "{path}: {there}");
    }
    // Without the key, by address.
    let first = served.ask(get("/by/ip/a")).await.text();
    for path in ["/by/ip/b", "/by/ip/c"] {
        assert_eq!(served.ask(get(path)).await.text(), first);
    }
}

#[tokio::test]
async fn matches_choose_the_service() {
    let (served, _backend, _other) = two().await;
    for (path, field, told) in [
        ("/match/a", "x-beta: 1", "other"),
        ("/match/a", "x-beta: 2", "own"),
        ("/match/a", "x-other: 1", "own"),
        ("/cookie/a", "cookie: a=1; beta=yes", "other"),
        ("/cookie/a", "cookie: xbeta=yes; beta=no", "own"),
        ("/cookie/a", "cookie: ;;beta", "own"),
    ] {
        let reply = served
            .ask(format!(
                "GET {path} HTTP/1.1\r\nhost: h\r\nstoa-explain: 1\r\n{field}\r\n\r\n"
            ))
            .await;
        assert_eq!(reply.text(), told, "{path} {field}");
        let explained: serde_json::Value =
            serde_json::from_str(reply.field("stoa-explain").unwrap()).unwrap();
        assert_eq!(
            explained["split"],
            if told == "own" { "backend" } else { "other" }
        );
    }
}

const MIRROR: &str = "
services:
  other: { url: {other}, routes: { /other/**: { access: public } } }
  backend:
    url: {backend}
    routes:
      /short/**: { access: public, mirror: { to: other, max_body: 8B } }
      /**: { access: public, mirror: other }
";

#[tokio::test]
async fn a_copy_is_sent_and_marked() {
    let (backend, other) = (
        Backend::says(says("own")).await,
        Backend::says(says("other")).await,
    );
    let served = serve(plan(MIRROR, &backend, &other));
    let mut client = served.connect().await;
    for (request, body) in [
        (
            "GET /a?x=1 HTTP/1.1\r\nhost: h\r\nstoa-mirror: 1\r\nauthorization: x\r\n\r\n",
            "",
        ),
        (
            "POST /b HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nabc",
            "abc",
        ),
        (
            "POST /c HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            "abcde",
        ),
    ] {
        client.send(request).await;
        assert_eq!(client.reply().await.text(), "own");
        let count = backend.seen().len();
        until(|| other.seen().len() == count).await;
        let (own, copy) = (backend.seen().remove(count - 1), other.seen().remove(count - 1));
        assert_eq!(own.lines().next(), copy.lines().next());
        assert!(
            copy.contains("stoa-mirror: 1\r\n") && copy.contains(body),
            "{copy}"
        );
        assert!(!own.contains("stoa-mirror"), "nobody else says so: {own}");
    }
}

#[tokio::test]
async fn what_is_too_long_is_not_copied() {
    let (backend, other) = (
        Backend::says(says("own")).await,
        Backend::says(says("other")).await,
    );
    let served = serve(plan(MIRROR, &backend, &other));
    let mut client = served.connect().await;
    for request in [
        "POST /short/a HTTP/1.1\r\nhost: h\r\ncontent-length: 9\r\n\r\n123456789",
        "POST /short/b HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n5\r\n12345\r\n0\r\n\r\n",
        "POST /short/c HTTP/1.1\r\nhost: h\r\ncontent-length: 8\r\n\r\n12345678",
    ] {
        client.send(request).await;
        assert_eq!(client.reply().await.text(), "own");
    }
    until(|| !other.seen().is_empty()).await;
    assert!(other.seen()[0].starts_with("POST /short/c"), "{:?}", other.seen());
    assert_eq!(backend.seen().len(), 3);
}

#[tokio::test]
async fn a_shadow_that_hangs_or_is_gone_hurts_nobody() {
    let silent = Backend::script(|mut client, own| async move {
        while let Some(request) = client.request().await {
            own.keep(request);
        }
    })
    .await;
    let backend = Backend::says(says("own")).await;
    let served = serve(plan(MIRROR, &backend, &silent));
    let mut client = served.connect().await;
    for _ in 0..200 {
        client.send(get("/a")).await;
        assert_eq!(client.reply().await.status, 200);
    }
    // Sixty-four are under way, and no more are made.
    assert!(silent.seen().len() <= 64, "{}", silent.seen().len());
    assert_eq!(
        served.lines.wait(200).await.len(),
        200,
        "copies are nobody's requests"
    );

    let gone = Backend::says("").await;
    let mut other = plan(MIRROR, &backend, &gone);
    other.services[0].endpoints[0].port = 9;
    let served = serve(other);
    for _ in 0..5 {
        assert_eq!(served.ask(get("/a")).await.status, 200);
    }
}

#[tokio::test]
async fn a_profile_may_let_requests_fail() {
    let backend = Backend::says(says("own")).await;
    let text = format!(
        "api: test
services:
  backend:
    url: http://{}
    routes:
      GET /a: {{ access: public }}
      GET /b: {{ access: public }}
      GET /c: {{ access: public }}
profiles:
  chaos:
    services:
      backend:
        routes:
          GET /a: {{ fault: {{ abort: 502, share: 50% }} }}
          GET /b: {{ fault: {{ delay: 300ms }} }}
",
        backend.address
    );
    assert!(load(&text).services[0].routes[0].handling.fault.is_none());
    let options = stoa_config::Options {
        profile: Some("chaos"),
        profile_optional: false,
        env: &|_| None,
    };
    let loaded = stoa_config::load_text("stoa.yaml", &text, std::path::Path::new("/nowhere"), &options);
    // It is said.
    let warned: Vec<_> = loaded.faults.iter().map(|f| f.code).collect();
    assert_eq!(warned, ["E0441", "E0441"]);
    let mut plan = loaded.plan.unwrap();
    plan.server.http.set_port(0);
    plan.server.workers = Some(1);
    let served = serve(plan);
    let mut client = served.connect().await;
    let mut failed = 0;
    for _ in 0..100 {
        client.send(get("/a")).await;
        let reply = client.reply().await;
        if reply.status == 502 {
            assert_eq!(reply.json()["code"], "fault-injected");
            failed += 1;
        }
    }
    assert!((45..=55).contains(&failed), "{failed}");
    let reply = served
        .ask("GET /b HTTP/1.1\r\nhost: h\r\nstoa-explain: 1\r\n\r\n")
        .await;
    assert_eq!(reply.status, 200);
    assert!(
        reply.field("stoa-explain").unwrap().contains("300 ms late"),
        "{}",
        reply.head
    );
    assert_eq!(served.ask(get("/c")).await.status, 200);
}
