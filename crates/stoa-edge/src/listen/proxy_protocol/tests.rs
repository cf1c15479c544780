//! Headers of the PROXY protocol, good and bad.

use super::*;

fn said(peer: &str) -> Said {
    Said {
        peer: Some(peer.parse().unwrap()),
        scheme: None,
    }
}

#[test]
fn lines() {
    assert_eq!(
        line(b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"),
        Some(said("192.0.2.1:56324"))
    );
    assert_eq!(
        line(b"PROXY TCP6 2001:db8::1 ::1 1 65535\r\n"),
        Some(said("[2001:db8::1]:1"))
    );
    assert_eq!(line(b"PROXY UNKNOWN\r\n"), Some(NOTHING));
    assert_eq!(line(b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), Some(NOTHING));
    for bad in [
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443 1\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 56324 65536\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 +1 443\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.1 01 443\r\n",
        "PROXY TCP4  192.0.2.1 198.51.100.1 1 443\r\n",
        "PROXY TCP4 192.0.2 198.51.100.1 1 443\r\n",
        "PROXY TCP4 ::1 ::1 1 443\r\n",
        "PROXY TCP6 192.0.2.1 ::1 1 443\r\n",
        "PROXY UDP4 192.0.2.1 198.51.100.1 1 443\r\n",
        "PROXY \r\n",
        "proxy TCP4 192.0.2.1 198.51.100.1 1 443\r\n",
    ] {
        assert_eq!(line(bad.as_bytes()), None, "{bad}");
    }
}

#[test]
fn blocks() {
    let four = [192, 0, 2, 1, 198, 51, 100, 1, 0, 80, 1, 187];
    assert_eq!(binary(0x21, 0x11, &four), Some(said("192.0.2.1:80")));
    let mut six = [0; 36];
    (six[15], six[31], six[33]) = (1, 2, 9);
    assert_eq!(binary(0x21, 0x21, &six), Some(said("[::1]:9")));
    assert_eq!(binary(0x20, 0x11, &four), Some(NOTHING));
    assert_eq!(binary(0x20, 0x00, &[]), Some(NOTHING));
    assert_eq!(binary(0x21, 0x00, &[]), Some(NOTHING));
    assert_eq!(binary(0x21, 0x31, &[0; 216]), Some(NOTHING));
    // HAProxy's word on TLS: kind 0x20, the bit of the client, a verification.
    let mut secure = four.to_vec();
    secure.extend([4, 0, 1, 9, 0x20, 0, 5, 1, 0, 0, 0, 0]);
    let https = Said {
        scheme: Some(Scheme::Https),
        ..said("192.0.2.1:80")
    };
    assert_eq!(binary(0x21, 0x11, &secure), Some(https));
    secure.push(0);
    assert_eq!(binary(0x21, 0x11, &secure), None, "half a word");
    let bad: [(u8, u8, &[u8]); 7] = [
        (0x11, 0x11, &four),
        (0x22, 0x11, &four),
        (0x21, 0x12, &four),
        (0x21, 0x11, &four[1..]),
        (0x21, 0x21, &four),
        (0x21, 0x31, &four),
        (0x21, 0x41, &four),
    ];
    for (command, family, block) in bad {
        assert_eq!(binary(command, family, block), None, "{command:x} {family:x}");
    }
}
