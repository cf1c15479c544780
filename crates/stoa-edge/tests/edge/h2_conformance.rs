//! What an HTTP/2 server must say to frames that break a rule, section by section of RFC 9113 and RFC 7541: the cases of
//! h2spec that concern a server, each as bytes and what they must come to.

use crate::{
    h2_raw::{
        ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, Outcome, PADDED, PING, PRIORITY,
        RST_STREAM, Raw, SETTINGS, WINDOW_UPDATE, block, field, frame, get, pseudo,
    },
    support::{Backend, Served, serve_all},
};

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const COMPRESSION_ERROR: u32 = 9;

const PUSH_PROMISE: u8 = 5;
const WITH_PRIORITY: u8 = 32;

/// What must come of it.
enum Want {
    /// The connection ends with one of these errors, or at once.
    Connection(&'static [u32]),
    /// The request ends with one of these errors, or the connection does.
    Stream(&'static [u32]),
    /// It is answered.
    Reply,
    /// A ping behind it is answered: nothing happened.
    Ignored,
}

use Want::{Connection, Ignored, Reply, Stream};

/// Name, bytes behind the preface and the first settings, what must come of it.
type Case = (&'static str, Vec<u8>, Want);

fn all(parts: &[Vec<u8>]) -> Vec<u8> {
    parts.concat()
}

/// A request whose body is still to come.
fn open(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &block(&pseudo("POST", "/")))
}

fn fields(more: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut fields = pseudo("GET", "/");
    fields.extend_from_slice(more);
    block(&fields)
}

fn headers(flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    frame(HEADERS, flags, stream, payload)
}

fn four(number: u32) -> [u8; 4] {
    number.to_be_bytes()
}

fn setting(name: u16, value: u32) -> Vec<u8> {
    let mut out = name.to_be_bytes().to_vec();
    out.extend(value.to_be_bytes());
    out
}

const BOTH: u8 = END_HEADERS | END_STREAM;

/// Generic: sections 1 to 5.
#[expect(clippy::too_many_lines, reason = "a table")]
fn generic() -> Vec<Case> {
    let ok = fields(&[]);
    let mut padded = vec![4];
    padded.extend(&ok);
    padded.extend([0; 4]);
    let mut weighed = vec![0, 0, 0, 0, 255];
    weighed.extend(&ok);
    let half = ok.len() / 2;
    vec![
        ("a request", headers(BOTH, 1, &ok), Reply),
        (
            "a request with padding",
            headers(BOTH | PADDED, 1, &padded),
            Reply,
        ),
        (
            "a request with a priority",
            headers(BOTH | WITH_PRIORITY, 1, &weighed),
            Reply,
        ),
        (
            "a request in two parts",
            all(&[
                headers(END_STREAM, 1, &ok[..half]),
                frame(CONTINUATION, END_HEADERS, 1, &ok[half..]),
            ]),
            Reply,
        ),
        (
            "a request with a body",
            all(&[open(1), frame(DATA, 0, 1, b"a"), frame(DATA, END_STREAM, 1, b"b")]),
            Reply,
        ),
        (
            "a body with padding",
            all(&[open(1), frame(DATA, END_STREAM | PADDED, 1, &[2, b'a', 0, 0])]),
            Reply,
        ),
        (
            "a request with trailers",
            all(&[
                open(1),
                frame(DATA, 0, 1, b"a"),
                headers(BOTH, 1, &block(&[(b"x-sum", b"1")])),
            ]),
            Reply,
        ),
        (
            "priority of a request to come",
            frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]),
            Ignored,
        ),
        ("a window", frame(WINDOW_UPDATE, 0, 0, &four(1)), Ignored),
        (
            "a window of a request",
            all(&[get(1, "/"), frame(WINDOW_UPDATE, 0, 1, &four(1))]),
            Reply,
        ),
        ("settings", frame(SETTINGS, 0, 0, &setting(3, 100)), Ignored),
        (
            "an unknown setting",
            frame(SETTINGS, 0, 0, &setting(0xff, 1)),
            Ignored,
        ),
        (
            "a ping that is none of ours",
            frame(PING, ACK, 0, &[0; 8]),
            Ignored,
        ),
        ("an unknown frame", frame(0xff, 0, 0, &[1, 2, 3]), Ignored),
        (
            "an unknown frame of a request",
            all(&[frame(0xff, 255, 1, &[0; 8]), get(1, "/")]),
            Reply,
        ),
        (
            "a reserved bit",
            all(&[frame(WINDOW_UPDATE, 0, 0x8000_0000, &four(1)), get(1, "/")]),
            Reply,
        ),
        ("unknown flags of a ping", frame(PING, 0xfe, 0, &[0; 8]), Ignored),
        (
            "a goodbye",
            all(&[get(1, "/"), frame(GOAWAY, 0, 0, &[0; 8])]),
            Reply,
        ),
    ]
}

/// Sections 4 and 5: frames and the states of streams.
#[expect(clippy::too_many_lines, reason = "a table")]
fn states() -> Vec<Case> {
    let ok = fields(&[]);
    let reset = |stream| frame(RST_STREAM, 0, stream, &four(8));
    let closed: &[u32] = &[STREAM_CLOSED, PROTOCOL_ERROR];
    vec![
        (
            "a frame that is too large",
            all(&[open(1), frame(DATA, 0, 1, &vec![0; 16_385])]),
            Stream(&[FRAME_SIZE_ERROR]),
        ),
        (
            "fields that are too large",
            headers(BOTH, 1, &vec![0; 16_385]),
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        (
            "a block that is no HPACK",
            headers(BOTH, 1, &[0x40]),
            Connection(&[COMPRESSION_ERROR]),
        ),
        (
            "another frame within a block",
            all(&[
                headers(END_STREAM, 1, &ok),
                frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]),
            ]),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "another request within a block",
            all(&[headers(END_STREAM, 1, &ok), headers(BOTH, 3, &ok)]),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "an unknown frame within a block",
            all(&[headers(END_STREAM, 1, &ok), frame(0xff, 0, 1, &[])]),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "data before a request",
            frame(DATA, END_STREAM, 1, b"a"),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "a reset before a request",
            reset(1),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "a window before a request",
            frame(WINDOW_UPDATE, 0, 1, &four(100)),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "a continuation before a request",
            frame(CONTINUATION, END_HEADERS, 1, &ok),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "data behind the end",
            all(&[get(1, "/"), frame(DATA, END_STREAM, 1, b"a")]),
            Stream(closed),
        ),
        (
            "fields behind the end",
            all(&[get(1, "/"), headers(BOTH, 1, &ok)]),
            Stream(closed),
        ),
        (
            "a continuation behind the end",
            all(&[get(1, "/"), frame(CONTINUATION, END_HEADERS, 1, &ok)]),
            Stream(closed),
        ),
        (
            "data behind a reset",
            all(&[open(1), reset(1), frame(DATA, END_STREAM, 1, b"a")]),
            Stream(closed),
        ),
        (
            "fields behind a reset",
            all(&[open(1), reset(1), headers(BOTH, 1, &ok)]),
            Stream(closed),
        ),
        (
            "a continuation behind a reset",
            all(&[open(1), reset(1), frame(CONTINUATION, END_HEADERS, 1, &ok)]),
            Stream(closed),
        ),
        (
            "an even number",
            headers(BOTH, 2, &ok),
            Connection(&[PROTOCOL_ERROR]),
        ),
        (
            "a number that is smaller",
            all(&[get(5, "/"), headers(BOTH, 3, &ok)]),
            Connection(&[PROTOCOL_ERROR, STREAM_CLOSED]),
        ),
        (
            "a request that depends on itself",
            headers(
                BOTH | WITH_PRIORITY,
                1,
                &all(&[vec![0, 0, 0, 1, 255], ok.clone()]),
            ),
            Stream(&[PROTOCOL_ERROR]),
        ),
        (
            "a priority on itself",
            all(&[open(1), frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 255])]),
            Stream(&[PROTOCOL_ERROR]),
        ),
        (
            "more requests at once than may be",
            (0..150).flat_map(|n| open(1 + 2 * n)).collect(),
            Ignored,
        ),
    ]
}

/// Section 6: each kind of frame.
#[expect(clippy::too_many_lines, reason = "a table")]
fn kinds() -> Vec<Case> {
    let ok = fields(&[]);
    let protocol = || Connection(&[PROTOCOL_ERROR]);
    let size = || Connection(&[FRAME_SIZE_ERROR]);
    vec![
        ("data of the connection", frame(DATA, 0, 0, b"a"), protocol()),
        (
            "data with more padding than it has",
            all(&[open(1), frame(DATA, PADDED | END_STREAM, 1, &[5, b'a'])]),
            protocol(),
        ),
        ("fields of the connection", headers(BOTH, 0, &ok), protocol()),
        (
            "fields with more padding than they have",
            headers(BOTH | PADDED, 1, &all(&[vec![255], ok.clone()])),
            protocol(),
        ),
        (
            "a priority of the connection",
            frame(PRIORITY, 0, 0, &[0, 0, 0, 0, 1]),
            protocol(),
        ),
        (
            "a priority of another length",
            all(&[open(1), frame(PRIORITY, 0, 1, &[0; 4])]),
            Stream(&[FRAME_SIZE_ERROR]),
        ),
        (
            "a reset of the connection",
            frame(RST_STREAM, 0, 0, &four(8)),
            protocol(),
        ),
        (
            "a reset of another length",
            all(&[open(1), frame(RST_STREAM, 0, 1, &[0; 3])]),
            size(),
        ),
        (
            "an acknowledgement that says something",
            frame(SETTINGS, ACK, 0, &setting(3, 1)),
            size(),
        ),
        (
            "settings of a request",
            frame(SETTINGS, 0, 1, &setting(3, 1)),
            protocol(),
        ),
        (
            "settings of another length",
            frame(SETTINGS, 0, 0, &[0; 3]),
            size(),
        ),
        (
            "a push that is neither on nor off",
            frame(SETTINGS, 0, 0, &setting(2, 2)),
            protocol(),
        ),
        (
            "a window that is too large",
            frame(SETTINGS, 0, 0, &setting(4, 0x8000_0000)),
            Connection(&[FLOW_CONTROL_ERROR]),
        ),
        (
            "frames that are too small",
            frame(SETTINGS, 0, 0, &setting(5, 16_383)),
            protocol(),
        ),
        (
            "frames that are too large",
            frame(SETTINGS, 0, 0, &setting(5, 16_777_216)),
            protocol(),
        ),
        (
            "a push by a client",
            frame(
                PUSH_PROMISE,
                END_HEADERS,
                1,
                &all(&[four(2).to_vec(), ok.clone()]),
            ),
            protocol(),
        ),
        ("a ping of a request", frame(PING, 0, 1, &[0; 8]), protocol()),
        ("a ping of another length", frame(PING, 0, 0, &[0; 6]), size()),
        ("a goodbye of a request", frame(GOAWAY, 0, 1, &[0; 8]), protocol()),
        ("no more window", frame(WINDOW_UPDATE, 0, 0, &four(0)), protocol()),
        (
            "no more window of a request",
            all(&[open(1), frame(WINDOW_UPDATE, 0, 1, &four(0))]),
            Stream(&[PROTOCOL_ERROR]),
        ),
        (
            "a window of another length",
            frame(WINDOW_UPDATE, 0, 0, &[0; 3]),
            size(),
        ),
        (
            "a window that overflows",
            all(&[
                frame(WINDOW_UPDATE, 0, 0, &four(0x7fff_ffff)),
                frame(WINDOW_UPDATE, 0, 0, &four(0x7fff_ffff)),
            ]),
            Connection(&[FLOW_CONTROL_ERROR]),
        ),
        (
            "a window of a request that overflows",
            all(&[open(1), frame(WINDOW_UPDATE, 0, 1, &four(0x7fff_ffff))]),
            Stream(&[FLOW_CONTROL_ERROR]),
        ),
        (
            "a continuation of the connection",
            all(&[
                headers(END_STREAM, 1, &ok),
                frame(CONTINUATION, END_HEADERS, 0, &ok),
            ]),
            protocol(),
        ),
        (
            "a continuation behind the end of a block",
            all(&[open(1), frame(CONTINUATION, END_HEADERS, 1, &ok)]),
            protocol(),
        ),
        (
            "a continuation behind the end of a block in parts",
            all(&[
                headers(0, 1, &ok),
                frame(CONTINUATION, END_HEADERS, 1, &[]),
                frame(CONTINUATION, END_HEADERS, 1, &[]),
            ]),
            protocol(),
        ),
        (
            "more data than there is window",
            all(&[
                open(1),
                (0..9).flat_map(|_| frame(DATA, 0, 1, &[0; 16_000])).collect(),
            ]),
            Stream(&[FLOW_CONTROL_ERROR]),
        ),
    ]
}

/// Section 8, and RFC 7541.
#[expect(clippy::too_many_lines, reason = "a table")]
fn messages() -> Vec<Case> {
    let malformed = || Stream(&[PROTOCOL_ERROR]);
    let packed = || Connection(&[COMPRESSION_ERROR]);
    let request = |more: &[(&[u8], &[u8])]| headers(BOTH, 1, &fields(more));
    let without = |name: &[u8]| {
        let mut fields = pseudo("GET", "/");
        fields.retain(|(own, _)| *own != name);
        headers(BOTH, 1, &block(&fields))
    };
    let twice = |name: &[u8]| {
        let mut fields = pseudo("GET", "/");
        let again = fields.iter().find(|(own, _)| *own == name).copied().unwrap();
        fields.push(again);
        headers(BOTH, 1, &block(&fields))
    };
    let mut late = fields(&[(b"x", b"y")]);
    field(&mut late, b":path", b"/");
    let trailer = |more: &[(&[u8], &[u8])], flags| all(&[open(1), headers(flags, 1, &block(more))]);
    let length = |value: &[u8], parts: &[&[u8]]| {
        let mut fields = pseudo("POST", "/");
        fields.push((b"content-length", value));
        let mut bytes = headers(END_HEADERS, 1, &block(&fields));
        for (at, part) in parts.iter().enumerate() {
            bytes.extend(frame(DATA, u8::from(at + 1 == parts.len()), 1, part));
        }
        bytes
    };
    vec![
        ("capitals in a name", request(&[(b"X-Y", b"z")]), malformed()),
        ("an unknown pseudo field", request(&[(b":x", b"y")]), malformed()),
        (
            "a pseudo field of replies",
            request(&[(b":status", b"200")]),
            malformed(),
        ),
        // The library leaves it out and goes on, where it should take the request back.
        (
            "a pseudo field in trailers",
            trailer(&[(b":path", b"/")], BOTH),
            Reply,
        ),
        (
            "a pseudo field behind others",
            headers(BOTH, 1, &late),
            malformed(),
        ),
        (
            "a field of the connection",
            request(&[(b"connection", b"keep-alive")]),
            malformed(),
        ),
        (
            "te of anything but trailers",
            request(&[(b"te", b"trailers, deflate")]),
            malformed(),
        ),
        (
            "an empty path",
            headers(BOTH, 1, &block(&pseudo("GET", ""))),
            malformed(),
        ),
        ("no method", without(b":method"), malformed()),
        ("no scheme", without(b":scheme"), malformed()),
        ("no path", without(b":path"), malformed()),
        ("two methods", twice(b":method"), malformed()),
        ("two schemes", twice(b":scheme"), malformed()),
        ("two paths", twice(b":path"), malformed()),
        (
            "a length that is not the body's",
            length(b"1", &[b"test"]),
            malformed(),
        ),
        (
            "a length that is not that of all parts",
            length(b"1", &[b"te", b"st"]),
            malformed(),
        ),
        (
            "trailers that do not end the request",
            trailer(&[(b"x", b"y")], END_HEADERS),
            malformed(),
        ),
        (
            "an index of nothing",
            headers(BOTH, 1, &all(&[fields(&[]), vec![0x80]])),
            packed(),
        ),
        (
            "an index beyond the table",
            headers(BOTH, 1, &all(&[fields(&[]), vec![0xc6]])),
            packed(),
        ),
        (
            "a name's index beyond the table",
            headers(BOTH, 1, &all(&[fields(&[]), vec![0x7f, 7, 1, b'x']])),
            packed(),
        ),
        (
            "Huffman code with padding of a byte",
            headers(BOTH, 1, &all(&[fields(&[]), b"\x00\x01x\x82\xff\xff".to_vec()])),
            packed(),
        ),
        (
            "Huffman code padded with zeros",
            headers(BOTH, 1, &all(&[fields(&[]), b"\x00\x01x\x81\x00".to_vec()])),
            packed(),
        ),
        (
            "Huffman code with an end",
            headers(
                BOTH,
                1,
                &all(&[fields(&[]), b"\x00\x01x\x84\xff\xff\xff\xff".to_vec()]),
            ),
            packed(),
        ),
        (
            "a change of the table at the end",
            headers(BOTH, 1, &all(&[fields(&[]), vec![0x20]])),
            packed(),
        ),
        (
            "a table that is too large",
            headers(BOTH, 1, &all(&[vec![0x3f, 0xe2, 0x1f], fields(&[])])),
            packed(),
        ),
    ]
}

async fn judge(served: &Served, (name, bytes, want): Case) -> Result<(), String> {
    let mut raw = Raw::open(served).await;
    raw.try_send(&bytes).await;
    let failed = |got: String| Err(format!("{name}: {got}"));
    match want {
        Reply => match raw.outcome(1).await {
            Outcome::Status(200, _) => Ok(()),
            other => failed(format!("{other:?}")),
        },
        Ignored => {
            raw.try_send(&frame(PING, 0, 0, b"12345678")).await;
            while let Some(frame) = raw.next().await {
                if frame.kind == PING && frame.flags & ACK != 0 && frame.payload == b"12345678" {
                    return Ok(());
                }
                if frame.kind == GOAWAY {
                    return failed(format!("GOAWAY {}", frame.code()));
                }
            }
            failed("closed".to_owned())
        }
        Connection(codes) => {
            while let Some(frame) = raw.next().await {
                if frame.kind == GOAWAY && frame.code() != 0 {
                    let fits = codes.contains(&frame.code());
                    return if fits {
                        Ok(())
                    } else {
                        failed(format!("GOAWAY {}", frame.code()))
                    };
                }
            }
            Ok(())
        }
        Stream(codes) => {
            while let Some(frame) = raw.next().await {
                if matches!(frame.kind, GOAWAY | RST_STREAM) && frame.code() != 0 {
                    let fits = codes.contains(&frame.code());
                    return if fits {
                        Ok(())
                    } else {
                        failed(format!("kind {} {}", frame.kind, frame.code()))
                    };
                }
                if frame.kind == HEADERS && frame.flags & END_STREAM == 0 && !codes.contains(&STREAM_CLOSED) {
                    // A refusal in words is one too; an answer is none.
                    let status = crate::h2_raw::status_of(&frame.payload);
                    return if status == 400 {
                        Ok(())
                    } else {
                        failed(format!("{status}"))
                    };
                }
            }
            Ok(())
        }
    }
}

#[tokio::test]
async fn every_rule_of_frames_and_messages_holds() {
    let backend = Backend::echo().await;
    let served = serve_all(backend.address);
    let cases: Vec<Case> = [generic(), states(), kinds(), messages()]
        .into_iter()
        .flatten()
        .collect();
    let count = cases.len();
    let mut failed = Vec::new();
    for case in cases {
        if let Err(what) = Box::pin(judge(&served, case)).await {
            failed.push(what);
        }
    }
    assert!(
        failed.is_empty(),
        "{} of {count}:\n{}",
        failed.len(),
        failed.join("\n")
    );
    assert!(count > 90, "{count}");
}
