//! The frames of a connection, in pieces, in floods and in waits.

use super::*;
use stoa_exchange::clock;

const SECOND: Duration = Duration::from_secs(1);

fn limits() -> Limits {
    Limits {
        head_bytes_max: 32 * 1024,
        streams_max: 100,
        head: 10 * SECOND,
        idle: 75 * SECOND,
        write: 10 * SECOND,
        rate: 500,
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let mut out = length[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

fn begun(now: Instant) -> Frames {
    let mut frames = Frames::new(limits(), now);
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    bytes.extend(frame(SETTINGS, 0, 0, &[]));
    frames.received(&bytes, now).unwrap();
    frames
}

/// How the bytes are split over calls changes nothing.
#[test]
fn bytes_may_come_in_any_pieces() {
    let now = clock::now();
    let mut bytes = frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 9, 0, 4, 0, 0, 0, 7]);
    bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, b"fields"));
    bytes.extend(frame(WINDOW_UPDATE, 0, 1, &3_u32.to_be_bytes()));
    bytes.extend(frame(WINDOW_UPDATE, 0, 0, &5_u32.to_be_bytes()));
    bytes.extend(frame(DATA, 0, 1, &[0; 300]));
    for size in 1..bytes.len() {
        let mut frames = begun(now);
        for piece in bytes.chunks(size) {
            frames.received(piece, now).unwrap();
        }
        assert!(frames.receives_head(), "{size}");
        assert_eq!(frames.streams[&1].window, 10, "{size}");
        assert_eq!(frames.window, WINDOW_STANDARD + 5, "{size}");
        let reply = [
            frame(HEADERS, END_HEADERS, 1, b"x"),
            frame(DATA, END_STREAM, 1, &[0; 10]),
        ]
        .concat();
        for piece in reply.chunks(size) {
            frames.sent(piece, now);
        }
        assert!(frames.is_idle() && frames.sends_head(), "{size}");
    }
}

#[test]
fn where_the_next_frame_begins_is_known() {
    let now = clock::now();
    let mut frames = begun(now);
    let bytes = [frame(HEADERS, END_HEADERS, 1, b"abc"), frame(DATA, 0, 1, b"defg")].concat();
    assert_eq!(frames.to_next_head(&bytes), 0);
    for cut in 1..12 {
        let mut frames = begun(now);
        frames.sent(&bytes[..cut], now);
        assert!(!frames.sends_head());
        assert_eq!(frames.to_next_head(&bytes[cut..]), 12 - cut);
    }
    frames.sent(&bytes[..12], now);
    assert!(frames.sends_head());
}

#[test]
fn time_and_replies_earn_credit() {
    let began = clock::now();
    let mut frames = begun(began);
    let ping = frame(PING, 0, 0, &[0; 8]);
    let mut now = began;
    // Twenty a second for an hour.
    for _ in 0..20 * 3600 {
        now += SECOND / 20;
        frames.received(&ping, now).unwrap();
    }
    let mut frames = begun(began);
    let request = frame(HEADERS, END_HEADERS | END_STREAM, 1, b"x");
    let reply = frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0; 200]);
    // Without time passing: a request, its window and its reply, for ever.
    for turn in 0..100_000_u32 {
        let mut request = request.clone();
        request[5..9].copy_from_slice(&(1 + 2 * turn).to_be_bytes());
        let mut reply = reply.clone();
        reply[5..9].copy_from_slice(&(1 + 2 * turn).to_be_bytes());
        frames.received(&request, began).unwrap();
        frames
            .received(&frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]), began)
            .unwrap();
        frames.sent(&reply, began);
    }
}

#[test]
fn a_reply_is_held_up_only_by_its_window() {
    let now = clock::now();
    let mut frames = begun(now);
    frames
        .received(&frame(HEADERS, END_HEADERS | END_STREAM, 1, b"x"), now)
        .unwrap();
    frames
        .received(&frame(HEADERS, END_HEADERS | END_STREAM, 3, b"x"), now)
        .unwrap();
    frames.sent(&frame(HEADERS, END_HEADERS, 1, b"x"), now);
    frames.sent(&frame(HEADERS, END_HEADERS, 3, b"x"), now);
    assert_eq!(
        frames.over(now + 3600 * SECOND),
        Over::Nothing,
        "the service is what is waited for"
    );
    frames
        .received(&frame(WINDOW_UPDATE, 0, 0, &1_000_000_u32.to_be_bytes()), now)
        .unwrap();
    for _ in 0..4 {
        frames.sent(&frame(DATA, 0, 1, &[0; 16_383]), now);
    }
    assert!(!frames.began_to_wait());
    frames.sent(&frame(DATA, 0, 1, &[0; 3]), now);
    assert!(frames.began_to_wait());
    assert_eq!(frames.due(now), now + 10 * SECOND);
    assert_eq!(frames.over(now + 9 * SECOND), Over::Nothing);
    let mut later = begun(now);
    std::mem::swap(&mut frames, &mut later);
    assert_eq!(later.over(now + 10 * SECOND), Over::Streams(vec![1]));
    assert_eq!(later.streams.len(), 1);
    assert_eq!(later.over(now + 3600 * SECOND), Over::Nothing);
}
