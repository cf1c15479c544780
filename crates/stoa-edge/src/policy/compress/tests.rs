//! Tests.

use super::*;

fn fields(list: &[(&str, &str)]) -> HeaderMap {
    let one = |(name, value): &(&str, &str)| {
        (
            name.parse::<HeaderName>().unwrap(),
            HeaderValue::from_str(value).unwrap(),
        )
    };
    list.iter().map(one).collect()
}

#[test]
fn codings_are_negotiated() {
    use Coding::{Br, Gzip, Zstd};
    for (said, best, plain) in [
        (None, None, true),
        (Some(""), None, true),
        (Some("gzip, deflate, br, zstd"), Some(Zstd), true),
        (Some("gzip, deflate, br"), Some(Br), true),
        (Some("GZIP"), Some(Gzip), true),
        (Some("x-gzip"), Some(Gzip), true),
        (Some("gzip;q=1.0, br;q=0.9"), Some(Gzip), true),
        (Some("gzip;q=0.001"), Some(Gzip), true),
        (Some("gzip;q=0"), None, true),
        (Some("br;q=0, *"), Some(Zstd), true),
        (Some("*;q=0.5, gzip"), Some(Gzip), true),
        (Some("*"), Some(Zstd), true),
        (Some("identity, gzip;q=0.5"), None, true),
        (Some("identity;q=0.5, gzip;q=0.5"), Some(Gzip), true),
        (Some("identity;q=0"), None, false),
        (Some("identity;q=0, gzip"), Some(Gzip), false),
        (Some("*;q=0"), None, false),
        (Some("*;q=0, br;q=0.1"), Some(Br), false),
        (Some("*;q=0, identity"), None, true),
        (Some("gzip;q=2, br;q=x, zstd;q=0.1234"), None, true),
        (Some("deflate, compress"), None, true),
        (Some("gzip ; q=0.5 , br"), Some(Br), true),
    ] {
        let sent = said.map_or_else(HeaderMap::new, |said| fields(&[("accept-encoding", said)]));
        assert_eq!(Accepted::of(&sent), Accepted { best, plain }, "{said:?}");
    }
}

#[test]
fn marks_of_encodings_are_taken_out_of_conditions() {
    let mut sent = fields(&[
        ("if-none-match", "\"a~br\", W/\"b\", \"c~gzip\""),
        ("if-match", "\"d~zstd\""),
        ("if-range", "\"e\""),
        ("range", "bytes=0-1"),
    ]);
    assert_eq!(unmark(&mut sent), Some(Coding::Br));
    assert_eq!(sent["if-none-match"], "\"a\", W/\"b\", \"c\"");
    assert_eq!(sent["if-match"], "\"d\"");
    assert!(sent.contains_key("range"));
    let mut ranged = fields(&[("if-range", "\"e~br\""), ("range", "bytes=0-1")]);
    unmark(&mut ranged);
    assert!(ranged.is_empty(), "{ranged:?}");
    let mut other = fields(&[("if-none-match", "\"a-gzip\", \"x~other\"")]);
    assert_eq!(unmark(&mut other), None);
    assert_eq!(other["if-none-match"], "\"a-gzip\", \"x~other\"");
}

#[test]
fn each_coding_reads_back() {
    let text = "a text that is said again and again ".repeat(4000);
    for coding in Coding::ALL {
        let mut encoder = Encoder::new(coding, None);
        let mut made = Vec::new();
        for part in text.as_bytes().chunks(10_000) {
            encoder.write(part).unwrap();
            encoder.flush().unwrap();
            made.extend_from_slice(&encoder.take(0));
        }
        made.extend_from_slice(&encoder.finish().unwrap());
        assert!(made.len() < text.len() / 10, "{coding:?}: {}", made.len());
        assert_eq!(decoded(coding, &made), text.as_bytes());
    }
}

fn decoded(coding: Coding, made: &[u8]) -> Vec<u8> {
    use std::io::Read;
    let mut text = Vec::new();
    match coding {
        Coding::Gzip => flate2::read::GzDecoder::new(made).read_to_end(&mut text).unwrap(),
        Coding::Br => brotli::Decompressor::new(made, 4096)
            .read_to_end(&mut text)
            .unwrap(),
        Coding::Zstd => zstd::stream::read::Decoder::new(made)
            .unwrap()
            .read_to_end(&mut text)
            .unwrap(),
    };
    text
}
