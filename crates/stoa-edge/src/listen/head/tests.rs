//! Tests.

use super::*;
use proptest::prelude::*;

const BOUNDS: Bounds = Bounds {
    head_bytes_max: 4096,
    fields_max: 10,
    target_bytes_max: 100,
};

fn request(bytes: &[u8]) -> Result<Option<Head>, Refusal> {
    judge(bytes, Side::Request, &BOUNDS)
}

#[test]
fn framings_of_requests() {
    for (fields, framing) in [
        ("", Framing::Empty),
        ("content-length: 0\r\n", Framing::Empty),
        ("Content-Length: 007\r\n", Framing::Length(7)),
        ("content-length:\t 7 \r\n", Framing::Length(7)),
        ("TRANSFER-ENCODING: Chunked\r\n", Framing::Chunked),
    ] {
        let bytes = format!("POST / HTTP/1.1\r\nhost: h\r\n{fields}\r\nrest");
        let head = request(bytes.as_bytes()).unwrap().unwrap();
        assert_eq!(head.framing, framing, "{fields}");
        assert_eq!(&bytes[head.bytes..], "rest");
    }
}

#[test]
fn framings_of_replies() {
    for (head, framing, status) in [
        ("HTTP/1.1 200 OK\r\n\r\n", Framing::UntilClose, 200),
        (
            "HTTP/1.1 200\r\ncontent-length: 2\r\n\r\n",
            Framing::Length(2),
            200,
        ),
        (
            "HTTP/1.0 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            Framing::Empty,
            404,
        ),
        ("HTTP/1.1 103 Early Hints\r\n\r\n", Framing::UntilClose, 103),
    ] {
        let judged = judge(head.as_bytes(), Side::Reply, &BOUNDS).unwrap().unwrap();
        assert_eq!((judged.framing, judged.status), (framing, status), "{head}");
    }
    for bad in [
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 099 x\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
    ] {
        assert!(judge(bad.as_bytes(), Side::Reply, &BOUNDS).is_err(), "{bad}");
    }
}

#[test]
fn every_beginning_of_a_good_head_is_only_incomplete() {
    let whole = b"POST /a?b HTTP/1.1\r\nhost: [::1]:8080\r\ncontent-length: 3\r\nx-a: \xc3\xa9\r\n\r\n";
    for end in 0..whole.len() {
        assert_eq!(request(&whole[..end]), Ok(None), "{end}");
    }
    assert_eq!(request(whole).unwrap().unwrap().bytes, whole.len());
}

#[test]
fn hosts() {
    for fine in [
        "h",
        "a.b-c_d",
        "1.2.3.4:80",
        "[::1]",
        "[2001:db8::1]:443",
        "h.",
        "h:",
    ] {
        assert!(is_host(fine.as_bytes()), "{fine}");
    }
    for bad in [
        "", ":80", "a b", "a/b", "u@h", "h:x", "h:99999", "h:+1", "[::1", "[::1]x", "[h]", "a,b", "h?", "h#",
        "h\\", "é",
    ] {
        assert!(!is_host(bad.as_bytes()), "{bad}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = request(&bytes);
        let _ = judge(&bytes, Side::Reply, &BOUNDS);
    }

    #[test]
    fn the_first_control_character_is_found(bytes in proptest::collection::vec(prop_oneof![8 => 0x20..=0xff_u8, 1 => Just(b'\t'), 1 => any::<u8>()], 0..40)) {
        prop_assert_eq!(control(&bytes), bytes.iter().position(|&b| is_control(b)));
    }

    /// What passes is read the same way by the parser behind.
    #[test]
    fn what_passes_is_read_alike_behind(line in "(GET|POST) /([a-z%?{}|\"<>]{0,5}|[!-~]{0,8}) HTTP/1\\.[01]", fields in proptest::collection::vec("(host|content-length|x-[a-z]|transfer-encoding)[ ]?: ?[a-z0-9, ]{0,8}", 0..4)) {
        let bytes = format!("{line}\r\n{}\r\n\r\n", fields.join("\r\n")).replace("\r\n\r\n\r\n", "\r\n\r\n");
        if let Ok(Some(head)) = request(bytes.as_bytes()) {
            let method = line.split(' ').next().unwrap();
            let target = line.split(' ').nth(1).unwrap();
            prop_assert_eq!(head.bytes, bytes.len());
            prop_assert!(matches!(method, "GET" | "POST"));
            let passed = if head.escape { escaped(target.as_bytes()) } else { target.as_bytes().to_vec() };
            prop_assert!(http::Uri::try_from(passed).is_ok());
        }
    }
}
