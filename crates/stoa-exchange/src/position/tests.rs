//! Tokens go out and come back; what is not one is refused; positions are compared within a timeline.

use super::{Mark, Part, Position, SHARDS_MAX, STORES_MAX, TOKEN_CHARS_MAX, Token};

fn mark(shard: u16, timeline: u32, lsn: u64) -> Mark {
    Mark { shard, timeline, lsn }
}

fn position(marks: &[Mark]) -> Position {
    let mut all = Position::default();
    for mark in marks {
        all.raise(&Position::from(*mark));
    }
    all
}

fn token(store: u8, marks: &[Mark]) -> Token {
    let part = Part {
        store: [store; 4],
        position: position(marks),
        tag: [store; 16],
    };
    Token { parts: vec![part] }
}

#[test]
fn a_token_comes_back_as_it_went() {
    let cases = [
        vec![mark(0, 1, 0)],
        vec![mark(0, 1, 1), mark(1, 127, 128), mark(1023, u32::MAX, u64::MAX)],
        (0..SHARDS_MAX as u16)
            .map(|shard| mark(shard, 3, u64::MAX >> 1))
            .collect(),
    ];
    for marks in cases {
        let one = token(7, &marks);
        assert_eq!(Token::parse(&one.to_text()), Some(one));
    }
    let mut many = Token::default();
    for store in 0..STORES_MAX as u8 + 2 {
        many.put(token(store, &[mark(0, 1, 5)]).parts.remove(0));
    }
    assert_eq!(many.parts.len(), STORES_MAX);
    let text = many.to_text();
    many.parts.reverse();
    assert_eq!(Token::parse(&text), Some(many));
}

#[test]
fn what_is_no_token_is_refused() {
    let good = token(7, &[mark(1, 2, 300)]).to_text();
    let part = |bytes: &[u8]| {
        let mut whole = bytes.to_vec();
        whole.extend_from_slice(&[0; 16]);
        base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, whole)
    };
    for bad in [
        String::new(),
        ".".to_owned(),
        format!("{good}."),
        format!("{good}.{good}"),
        format!("{good}="),
        good[..good.len() - 2].to_owned(),
        "strong".to_owned(),
        "ä".to_owned(),
        "A".repeat(TOKEN_CHARS_MAX + 1),
        // Another version, no shard, a shard twice, a number too long, a number in a longer form.
        part(&[2, 7, 7, 7, 7, 0, 1, 1]),
        part(&[1, 7, 7, 7, 7]),
        part(&[1, 7, 7, 7, 7, 0, 1, 1, 0, 1, 2]),
        part(&[
            1, 7, 7, 7, 7, 0, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2,
        ]),
        part(&[1, 7, 7, 7, 7, 0, 1, 0x80, 0]),
    ] {
        assert_eq!(Token::parse(&bad), None, "{bad}");
    }
}

#[test]
fn the_later_of_two_places_is_on_the_later_timeline() {
    let mut both = position(&[mark(0, 1, 900), mark(1, 2, 10)]);
    both.raise(&position(&[mark(0, 2, 100), mark(2, 1, 1)]));
    assert_eq!(both, position(&[mark(0, 2, 100), mark(1, 2, 10), mark(2, 1, 1)]));
    both.lower(&position(&[mark(0, 2, 50), mark(1, 2, 20)]));
    assert_eq!(both, position(&[mark(0, 2, 50), mark(1, 2, 10), mark(2, 1, 1)]));
}

#[test]
fn a_reply_covers_what_it_has_seen_of_the_shards_it_looked_at() {
    let reply = token(7, &[mark(0, 1, 100), mark(1, 2, 50)]);
    for (wanted, covered) in [
        (token(7, &[mark(0, 1, 99)]), true),
        (token(7, &[mark(0, 1, 100)]), false),
        (token(7, &[mark(1, 1, 10)]), false),
        (token(7, &[mark(1, 3, 10)]), false),
        (token(7, &[mark(0, 1, 1), mark(1, 2, 50)]), false),
        (token(7, &[mark(2, 9, 9)]), true),
        (token(8, &[mark(0, 9, 9)]), true),
        (Token::default(), true),
    ] {
        assert_eq!(reply.covers(&wanted), covered, "{wanted:?}");
    }
}
