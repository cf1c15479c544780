//! Tests.

use super::*;
use proptest::prelude::*;

const BOUNDS: Bounds = Bounds {
    head_bytes_max: 2048,
    fields_max: 10,
    target_bytes_max: 200,
};

/// How a stream ends for a reader behind the framer: the bytes that passed, and why no more did.
#[derive(Debug, PartialEq)]
enum End {
    Open,
    Refused(Refusal),
    Broken(&'static str),
}

/// Feeds a stream in pieces as the guard does: what is held is shown again together with what follows.
fn feed(pieces: &[&[u8]]) -> (Vec<u8>, u64, End) {
    let mut framer = Framer::new(Side::Request, BOUNDS);
    let (mut passed, mut held) = (Vec::new(), Vec::new());
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            let verdict = framer.advance(&held);
            passed.extend_from_slice(&held[..verdict.pass]);
            held.drain(..verdict.pass);
            match verdict.then {
                Then::More => assert!(held.is_empty()),
                Then::Hold => {}
                Then::Escape(bytes) => {
                    passed.extend(head::escaped(&held[..bytes]));
                    held.drain(..bytes);
                    continue;
                }
                Then::Refuse(why) => return (passed, framer.heads, End::Refused(why)),
                Then::Break(why) => return (passed, framer.heads, End::Broken(why)),
            }
            break;
        }
    }
    (passed, framer.heads, End::Open)
}

const STREAM: &[u8] = b"GET /a HTTP/1.1\r\nhost: h\r\n\r\n\
POST /b HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nGET /\r\n\
POST /c HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n4;x=y\r\nabcd\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nx-sum: 1\r\n\r\n\
GET /d HTTP/1.1\r\nhost: h\r\n\r\n";

#[test]
fn only_the_query_is_escaped() {
    let raw = b"POST /a?x->>y=\"z\"&a<b HTTP/1.1\r\nhost: h\r\nx-a: ?<\">\r\ncontent-length: 3\r\n\r\n?<>GET /b?c>d HTTP/1.1\r\nhost: h\r\n\r\n";
    let clean = b"POST /a?x-%3E%3Ey=%22z%22&a%3Cb HTTP/1.1\r\nhost: h\r\nx-a: ?<\">\r\ncontent-length: 3\r\n\r\n?<>GET /b?c%3Ed HTTP/1.1\r\nhost: h\r\n\r\n";
    for at in 0..raw.len() {
        let (passed, heads, end) = feed(&[&raw[..at], &raw[at..]]);
        assert_eq!(
            (text(&passed), heads, end),
            (text(clean), 2, End::Open),
            "cut at {at}"
        );
    }
}

#[test]
fn escapes_count_towards_the_bounds() {
    let with = |raw: usize| {
        let head = format!("GET /?{} HTTP/1.1\r\nhost: h\r\n\r\n", ">".repeat(raw));
        feed(&[head.as_bytes()]).2
    };
    assert_eq!(with(66), End::Open);
    assert_eq!(with(67), End::Refused(Refusal::TargetTooLong));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn messages_follow_each_other() {
    let (passed, heads, end) = feed(&[STREAM]);
    assert_eq!((passed.as_slice(), heads, end), (STREAM, 4, End::Open));
}

#[test]
fn nothing_passes_behind_a_refusal() {
    let bytes = b"GET /a HTTP/1.1\r\nhost: h\r\n\r\nGET /b HTTP/1.1\nhost: h\r\n\r\nGET /c HTTP/1.1\r\nhost: h\r\n\r\n";
    let (passed, heads, end) = feed(&[bytes]);
    assert_eq!(passed, &bytes[..28]);
    assert_eq!(
        (heads, end),
        (
            1,
            End::Refused(Refusal::Malformed("a line ends in a bare line feed"))
        )
    );
}

#[test]
fn a_change_of_protocol_waits_for_its_decision() {
    let ask = b"GET / HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\n\r\n";
    for tunnel in [true, false] {
        let mut framer = Framer::new(Side::Request, BOUNDS);
        let both = [&ask[..], b"\x00raw"].concat();
        assert_eq!(
            framer.advance(&both),
            Verdict {
                pass: ask.len(),
                then: Then::Hold
            }
        );
        assert!(framer.awaits_decision());
        framer.decide(tunnel);
        let then = framer.advance(b"\x00raw\r\n\r\n").then;
        assert_eq!(then == Then::More, tunnel, "{then:?}");
    }
}

#[test]
fn replies_without_a_body_are_followed_by_the_next() {
    let mut framer = Framer::new(Side::Reply, BOUNDS);
    let interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n";
    assert_eq!(
        framer.advance(interim),
        Verdict {
            pass: interim.len(),
            then: Then::More
        }
    );
    assert!(framer.at_head());
    framer.bodiless = true;
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n";
    assert_eq!(framer.advance(head).then, Then::More);
    assert!(framer.at_head());
}

#[test]
fn replies_that_nobody_asked_for_are_refused() {
    let mut framer = Framer::new(Side::Reply, BOUNDS);
    framer.asked = 1;
    let reply = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\nhello";
    let verdict = framer.advance(reply);
    assert_eq!(verdict.pass, reply.len() - 5);
    assert!(matches!(verdict.then, Then::Refuse(_)), "{verdict:?}");
}

proptest! {
    /// How the network cuts a stream into pieces changes nothing.
    #[test]
    fn cuts_change_nothing(at in proptest::collection::vec(0..STREAM.len(), 0..20), garble in proptest::option::of((0..STREAM.len(), any::<u8>()))) {
        let mut stream = STREAM.to_vec();
        if let Some((at, byte)) = garble {
            stream[at] = byte;
        }
        let mut cuts = at;
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|w| &stream[w[0]..w[1]]).filter(|p| !p.is_empty()).collect();
        prop_assert_eq!(feed(&pieces), feed(&[&stream]));
    }

    #[test]
    fn no_bytes_panic(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..60), 0..8)) {
        let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
        feed(&pieces);
    }
}
