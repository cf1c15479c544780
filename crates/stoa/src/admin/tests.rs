//! The Host check, and the port over real sockets.

use super::*;
use crate::telemetry::Form;
use std::{
    io::{Read, Write},
    net::TcpStream,
};
use stoa_data::store::Server;

#[test]
fn on_loopback_only_addresses_and_localhost_are_hosts() {
    let loopback: IpAddr = "127.0.0.1".parse().unwrap();
    for (host, fine) in [
        (Some("localhost:9090"), true),
        (Some("LOCALHOST"), true),
        (Some("127.0.0.1:9090"), true),
        (Some("[::1]:9090"), true),
        (Some("10.0.0.1"), true),
        (None, true),
        (Some("evil.example:9090"), false),
        (Some("localhost.evil.example"), false),
        (Some("127.0.0.1.evil.example:9090"), false),
        (Some(""), false),
    ] {
        assert_eq!(host_is_fine(loopback, host), fine, "{host:?}");
    }
    assert!(host_is_fine(
        "0.0.0.0".parse().unwrap(),
        Some("stoa.shop.svc:9090")
    ));
}

struct Parts(Result<(), String>);

impl Probes for Parts {
    fn endpoints(&self) -> Vec<stoa_edge::EndpointView> {
        Vec::new()
    }

    fn services(&self) -> Vec<stoa_edge::ServiceView> {
        Vec::new()
    }

    fn active(&self) -> usize {
        5
    }

    fn ready(&self) -> ProbeFuture<'_> {
        let state = self.0.clone();
        Box::pin(async move { vec![(String::from("store main"), state)] })
    }

    fn servers(&self) -> Vec<(String, Server)> {
        Vec::new()
    }
}

fn ask(at: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(at).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

fn get(at: SocketAddr, path: &str) -> String {
    ask(
        at,
        &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"),
    )
}

fn serve(state: Result<(), String>) -> (SocketAddr, Arc<Status>) {
    let telemetry = Telemetry::start(Form::Human { colour: false }, "shop").unwrap();
    let status = Status::new(telemetry, Arc::default());
    status.serves(Box::new(Parts(state)));
    let at = start(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::clone(&status)).unwrap();
    (at, status)
}

#[test]
fn probes_say_how_the_process_is() {
    let (at, status) = serve(Ok(()));
    assert!(get(at, "/livez").starts_with("HTTP/1.1 200"));
    assert!(get(at, "/readyz?verbose").ends_with("[+] store main ok\nok\n"));
    assert!(get(at, "/metrics").contains("http_server_active_requests 5\n"));
    assert!(status.balancer_unaware());
    status.set_draining();
    let reply = get(at, "/readyz");
    assert!(
        reply.starts_with("HTTP/1.1 503") && reply.contains("[-] process: draining"),
        "{reply}"
    );
    assert!(get(at, "/livez").starts_with("HTTP/1.1 200"));
    assert!(!status.balancer_unaware());
}

#[test]
fn a_process_that_starts_lives_and_says_what_it_does() {
    let telemetry = Telemetry::start(Form::Human { colour: false }, "shop").unwrap();
    let starting = Arc::new(Starting::default());
    let status = Status::new(telemetry, Arc::clone(&starting));
    let at = start(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::clone(&status)).unwrap();
    let unready = |says: &str| {
        let reply = get(at, "/readyz");
        assert!(
            reply.starts_with("HTTP/1.1 503") && reply.contains(says),
            "{reply}"
        );
    };
    unready("[-] process: starting");
    starting.says(String::from("migrating: step 2 of 3"));
    unready("[-] process: migrating: step 2 of 3");
    assert!(get(at, "/livez").starts_with("HTTP/1.1 200"));
    assert!(get(at, "/metrics").contains("stoa_ready 0\n"));
    status.serves(Box::new(Parts(Ok(()))));
    assert!(get(at, "/readyz").starts_with("HTTP/1.1 200"));
    assert!(get(at, "/metrics").contains("stoa_ready 1\n"));
}

#[test]
fn a_store_that_is_down_is_not_ready() {
    let (at, _) = serve(Err(String::from("no space")));
    let reply = get(at, "/readyz");
    assert!(
        reply.starts_with("HTTP/1.1 503") && reply.contains("[-] store main: no space"),
        "{reply}"
    );
    assert!(get(at, "/livez").starts_with("HTTP/1.1 200"));
}

#[test]
fn a_rebound_name_and_other_methods_are_refused() {
    let (at, _) = serve(Ok(()));
    let rebound = ask(
        at,
        "GET /metrics HTTP/1.1\r\nhost: evil.example\r\nconnection: close\r\n\r\n",
    );
    assert!(rebound.starts_with("HTTP/1.1 403"), "{rebound}");
    let posted = ask(
        at,
        "POST /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    );
    assert!(
        posted.starts_with("HTTP/1.1 405") && posted.contains("allow: GET, HEAD"),
        "{posted}"
    );
    assert!(get(at, "/nope").starts_with("HTTP/1.1 404"));
}
