//! Tests.

use super::*;
use crate::Parts;
use std::collections::HashMap;
use stoa_exchange::{Observer, Record, clock};

struct Nobody;

impl Observer for Nobody {
    fn record(&self, _: &Record<'_>) {}
}

fn control() -> Arc<Control> {
    let options = stoa_config::Options {
        profile: None,
        profile_optional: true,
        env: &|_| None,
    };
    let text = "api: test\nservices: { a: 'http://127.0.0.1:9' }\n";
    let loaded = stoa_config::load_text("stoa.yaml", text, std::path::Path::new("/nowhere"), &options);
    let plan = Arc::new(loaded.plan.expect("the file is in order"));
    let parts = Parts {
        resources: HashMap::new(),
        rest: None,
        documents: Vec::new(),
        observer: Arc::new(Nobody),
        explain: false,
    };
    let gateway = Gateway::build(&plan, parts, None)
        .map_err(|faults| format!("{faults:?}"))
        .expect("it builds");
    Arc::new(Control::new(Arc::new(gateway), 0, Arc::new(Doors::new(2))))
}

const EMFILE: i32 = 24;

#[tokio::test]
async fn without_descriptors_accepting_pauses_longer_and_longer() {
    let control = control();
    let began = clock::now();
    let mut pause = PAUSE;
    for next in [2, 4, 8] {
        pause = took(&control, Err(io::Error::from_raw_os_error(EMFILE)), pause).await;
        assert_eq!(pause, PAUSE * next);
    }
    assert!(clock::now().duration_since(began) >= PAUSE * (1 + 2 + 4));
    // A connection that went away in the queue is no reason to wait.
    assert_eq!(
        took(&control, Err(io::ErrorKind::ConnectionAborted.into()), pause).await,
        PAUSE
    );
}

#[tokio::test]
async fn a_drain_does_not_wait_for_a_pause() {
    let control = control();
    control.drain();
    let waiting = took(
        &control,
        Err(io::Error::from_raw_os_error(EMFILE)),
        Duration::from_hours(1),
    );
    assert_eq!(
        tokio::time::timeout(Duration::from_secs(10), waiting).await,
        Ok(PAUSE_MAX)
    );
}

#[test]
fn places_are_counted_and_given_back() {
    let doors = Arc::new(Doors::new(2));
    let (first, second) = (doors.enter(), doors.enter());
    assert!(first.is_some() && second.is_some() && doors.enter().is_none());
    drop(first);
    assert!(doors.enter().is_some());
}

#[test]
fn a_phase_never_goes_back() {
    let control = control();
    control.cut();
    control.drain();
    assert_eq!(control.phase(), Phase::Cut);
}

/// A client in the queue when the drain begins was told that it is connected: it is answered.
#[tokio::test]
async fn a_drain_answers_what_is_in_the_queue() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let control = control();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("it does not block");
    let mut clients = Vec::new();
    for _ in 0..2 {
        let address = listener.local_addr().expect("an address");
        let mut client = TcpStream::connect(address).await.expect("it is queued");
        client
            .write_all(b"GET /nothing HTTP/1.1\r\nhost: h\r\n\r\n")
            .await
            .expect("it is sent");
        clients.push(client);
    }
    control.drain();
    work(&control, listener).await;
    for mut client in clients {
        let mut reply = String::new();
        client.read_to_string(&mut reply).await.expect("it is answered");
        assert!(reply.starts_with("HTTP/1.1 404 "), "{reply}");
    }
}
