//! WebSockets: frames go through, and who breaks the rules or the bounds is let go.

use crate::support::{Backend, Client, plan, serve, service, until};
use std::{net::SocketAddr, time::Duration};
use stoa_config::plan::WebSocket;

const ASK: &str = "GET /ws HTTP/1.1\r\nhost: h\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

/// A service that agrees and then does as `script` says. What it was sent is kept in hexadecimal digits.
async fn agreeing(extensions: &'static str, script: &'static [&'static [u8]]) -> Backend {
    Backend::script(move |mut client: Client, own| async move {
        if client.request().await.is_none() {
            return;
        }
        let head = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: WebSocket\r\n";
        client.send(format!("{head}{extensions}\r\n")).await;
        for said in script {
            // In its turn: after the next thing that it was sent.
            if !client.more().await {
                return;
            }
            client.send(said).await;
        }
        while client.more().await {}
        own.keep(hex(&client.rest));
    })
    .await
}

fn hex(bytes: &[u8]) -> String {
    let mut digits = String::new();
    stoa_exchange::text::push_hex(&mut digits, bytes);
    digits
}

fn bounded(address: SocketAddr, websocket: WebSocket) -> crate::support::Served {
    let mut service = service("s", &[address], &["/**"]);
    service.websocket = websocket;
    serve(plan(vec![service]))
}

fn served(address: SocketAddr) -> crate::support::Served {
    bounded(address, WebSocket::default())
}

async fn opened(served: &crate::support::Served) -> Client {
    let mut client = served.connect().await;
    client.send(ASK).await;
    assert_eq!(client.reply().await.status, 101);
    client
}

/// A frame of a client, whose mask changes nothing.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..=125 => frame.push(0x80 | short as u8),
        long => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// What the service was sent last: a masked close frame with this code.
fn closed_with(seen: &str, code: u16) -> bool {
    let bytes: Vec<u8> = (0..seen.len() / 2)
        .map(|i| u8::from_str_radix(&seen[2 * i..2 * i + 2], 16).unwrap())
        .collect();
    let Some(last) = bytes.len().checked_sub(8).map(|at| &bytes[at..]) else {
        return false;
    };
    let unmasked = [last[6] ^ last[2], last[7] ^ last[3]];
    last[..2] == [0x88, 0x82] && unmasked == code.to_be_bytes()
}

#[tokio::test]
async fn frames_pass_both_ways_as_they_are() {
    const SAID: &[&[u8]] = &[b"\x81\x05hello", b"\x89\x00\x01\x01a\x80\x01b"];
    let backend = agreeing("", SAID).await;
    let served = served(backend.address);
    let mut client = opened(&served).await;
    let (long, ping) = (masked(0x82, &vec![7; 70_000]), masked(0x8a, b"p"));
    client.send(&long).await;
    client.until(SAID[0]).await;
    client.send(&ping).await;
    client.until(SAID[1]).await;
    client.send(masked(0x88, &[])).await;
    drop(client);
    until(|| served.edge.active() == 0).await;
    until(|| !backend.seen().is_empty()).await;
    assert_eq!(backend.seen()[0], hex(&[long, ping, masked(0x88, &[])].concat()));
}

#[tokio::test]
async fn a_client_that_breaks_the_protocol_is_let_go_and_its_service_is_told() {
    for bad in [
        b"\x81\x01a".as_slice(),
        &masked(0x83, b""),
        &masked(0xc1, b""),
        &masked(0x80, b""),
    ] {
        let backend = agreeing("", &[]).await;
        let served = served(backend.address);
        let mut client = opened(&served).await;
        client
            .send([&masked(0x81, b"fine"), bad, b"more of it"].concat())
            .await;
        assert_eq!(client.until(b"\x88\x02\x03\xea").await.len(), 4);
        assert!(client.closes().await);
        until(|| served.edge.active() == 0).await;
        until(|| !backend.seen().is_empty()).await;
        let seen = &backend.seen()[0];
        assert!(seen.starts_with(&hex(&masked(0x81, b"fine"))), "{seen}");
        assert!(closed_with(seen, 1002), "{seen}");
    }
}

#[tokio::test]
async fn a_service_that_breaks_the_protocol_is_let_go_and_its_client_is_told() {
    const BAD: &[&[u8]] = &[b"\x81\x04fine\x81\x81abcdx"];
    let backend = agreeing("", BAD).await;
    let served = served(backend.address);
    let mut client = opened(&served).await;
    client.send(masked(0x81, b"go")).await;
    assert_eq!(
        client.until(b"\x88\x02\x03\xea").await,
        b"\x81\x04fine\x88\x02\x03\xea"
    );
    drop(client);
    until(|| served.edge.active() == 0).await;
    until(|| backend.seen().iter().any(|seen| closed_with(seen, 1002))).await;
}

#[tokio::test]
async fn the_last_word_comes_behind_the_frame_that_is_under_way() {
    const HALF: &[&[u8]] = &[b"\x81\x0ahalf ", b"of itnot this"];
    let backend = agreeing("", HALF).await;
    let served = served(backend.address);
    let mut client = opened(&served).await;
    client.send(masked(0x81, b"go")).await;
    client.until(b"half ").await;
    client.send(masked(0x83, b"")).await;
    let rest = client.until(b"\x88\x02\x03\xea").await;
    assert_eq!(rest, b"of it\x88\x02\x03\xea");
    assert!(client.closes().await);
}

#[tokio::test]
async fn a_message_over_the_bound_is_too_big_whatever_its_frames() {
    let bounds = WebSocket {
        message_bytes_max: 10,
        ..WebSocket::default()
    };
    for parts in [
        vec![masked(0x82, &[0; 11])],
        vec![masked(0x02, &[0; 6]), masked(0x80, &[0; 5])],
    ] {
        let backend = agreeing("", &[]).await;
        let served = bounded(backend.address, bounds);
        let mut client = opened(&served).await;
        client.send(masked(0x82, &[0; 10])).await;
        client.send(parts.concat()).await;
        client.until(b"\x88\x02\x03\xf1").await;
        until(|| backend.seen().iter().any(|seen| closed_with(seen, 1009))).await;
    }
}

#[tokio::test]
async fn a_websocket_in_which_nobody_says_anything_ends() {
    let bounds = WebSocket {
        idle: Duration::from_millis(50),
        ..WebSocket::default()
    };
    let backend = agreeing("", &[]).await;
    let served = bounded(backend.address, bounds);
    let mut client = opened(&served).await;
    client.until(b"\x88\x02\x03\xe9").await;
    assert!(client.closes().await);
    until(|| served.edge.active() == 0).await;
    until(|| backend.seen().iter().any(|seen| closed_with(seen, 1001))).await;
}

#[tokio::test]
async fn compressed_messages_pass_where_that_was_agreed() {
    const SAID: &[&[u8]] = &[b"\xc1\x03abc"];
    let agreed = "sec-websocket-extensions: permessage-deflate; client_max_window_bits=15\r\n";
    let backend = agreeing(agreed, SAID).await;
    let served = served(backend.address);
    let mut client = opened(&served).await;
    client.send(masked(0xc1, b"go")).await;
    client.until(SAID[0]).await;
    client.send(masked(0xa1, b"no")).await;
    client.until(b"\x88\x02\x03\xea").await;
}

#[tokio::test]
async fn a_side_that_closes_its_connection_ends_the_other() {
    let backend = agreeing("", &[]).await;
    let served = served(backend.address);
    let mut client = opened(&served).await;
    client.send(masked(0x81, b"go")).await;
    drop(client);
    until(|| served.edge.active() == 0).await;
    until(|| !backend.seen().is_empty()).await;
    assert_eq!(backend.seen()[0], hex(&masked(0x81, b"go")));
}
