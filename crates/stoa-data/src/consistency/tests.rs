//! A caller sends back what it was given, and nothing else is believed.

use super::{COOKIE, FIELD, POSITION, Seal, Session};
use crate::store::Page;
use http::{HeaderMap, HeaderValue, header};
use std::{path::PathBuf, time::Duration};
use stoa_config::plan::{Durability, StoreKind};
use stoa_exchange::{
    Scheme,
    position::{Mark, Position, Token},
};

fn seals() -> Vec<Seal> {
    let postgres = StoreKind::Postgres {
        shards: Vec::new(),
        max_lag: Duration::from_secs(10),
        durability: Durability::Local,
        roles: None,
    };
    let sqlite = StoreKind::Sqlite { path: PathBuf::new() };
    vec![Seal::new(&[1; 32], &postgres), Seal::new(&[2; 32], &sqlite)]
}

fn at(lsn: u64) -> Position {
    Position::from(Mark {
        shard: 0,
        timeline: 1,
        lsn,
    })
}

/// The fields of the reply of a write to a store, which came with these fields.
fn wrote(sent: &HeaderMap, seals: &[Seal], store: usize, lsn: u64) -> HeaderMap {
    let session = Session::of(sent, seals).unwrap();
    session.wrote(store, at(lsn), None);
    let mut reply = HeaderMap::new();
    session.finish(false, Scheme::Https, &mut reply);
    reply
}

fn with(name: header::HeaderName, value: &HeaderValue) -> HeaderMap {
    HeaderMap::from_iter([(name, value.clone())])
}

#[test]
fn a_token_says_what_was_written_in_every_store() {
    let seals = seals();
    let first = wrote(&HeaderMap::new(), &seals, 0, 100);
    assert!(!first.contains_key(header::SET_COOKIE), "no page asked");
    let second = wrote(&with(FIELD, &first[FIELD]), &seals, 1, 7);
    let session = Session::of(&with(FIELD, &second[FIELD]), &seals).unwrap();
    assert_eq!((session.after(0), session.after(1)), (at(100), at(7)));
    // An earlier place does not replace a later one.
    let third = wrote(&with(FIELD, &second[FIELD]), &seals, 0, 50);
    let session = Session::of(&with(FIELD, &third[FIELD]), &seals).unwrap();
    assert_eq!((session.after(0), session.after(1)), (at(100), at(7)));
    // Another API hands back what is not its own.
    let other = [Seal::new(&[9; 32], &StoreKind::Sqlite { path: PathBuf::new() })];
    let there = wrote(&with(FIELD, &third[FIELD]), &other, 0, 1);
    assert_eq!(
        Session::of(&HeaderMap::new(), &other).unwrap().after(0),
        Position::default()
    );
    let back = Session::of(&with(FIELD, &there[FIELD]), &seals).unwrap();
    assert_eq!((back.after(0), back.after(1)), (at(100), at(7)));
}

#[test]
fn a_page_gets_a_cookie_that_it_cannot_read() {
    let seals = seals();
    let page = with(header::ORIGIN, &HeaderValue::from_static("https://shop.example"));
    let reply = wrote(&page, &seals, 0, 100);
    let cookie = reply[header::SET_COOKIE].to_str().unwrap();
    let (pair, rest) = cookie.split_once(';').unwrap();
    assert_eq!(rest, " Path=/; Max-Age=40; HttpOnly; SameSite=Lax; Secure");
    let sent = with(
        header::COOKIE,
        &HeaderValue::try_from(format!("a=b; {pair}; c=d")).unwrap(),
    );
    assert_eq!(Session::of(&sent, &seals).unwrap().after(0), at(100));
    // The field and the cookie together say what either says.
    let mut both = with(FIELD, &wrote(&HeaderMap::new(), &seals, 0, 200)[FIELD]);
    both.extend(sent);
    assert_eq!(Session::of(&both, &seals).unwrap().after(0), at(200));
}

#[test]
fn what_was_not_given_is_not_taken() {
    let seals = seals();
    let good = wrote(&HeaderMap::new(), &seals, 0, 100)[FIELD]
        .to_str()
        .unwrap()
        .to_owned();
    let mut forged = Token::parse(&good).unwrap();
    forged.parts[0].position = at(1);
    let forged = forged.to_text();
    let long = "A".repeat(5_000);
    for bad in ["", "x y", "Strong", &forged, &long, "é"] {
        let field = HeaderValue::from_bytes(bad.as_bytes()).unwrap();
        assert!(Session::of(&with(FIELD, &field), &seals).is_err(), "{bad}");
        let cookie = [COOKIE.as_bytes(), b"=", bad.as_bytes()].concat();
        let cookie = HeaderValue::from_bytes(&cookie).unwrap();
        let session = Session::of(&with(header::COOKIE, &cookie), &seals).unwrap();
        assert!(session.after(0).is_empty(), "{bad}");
    }
    let mut twice = HeaderMap::new();
    twice.append(FIELD, HeaderValue::try_from(&good).unwrap());
    twice.append(FIELD, HeaderValue::from_static("strong"));
    assert!(Session::of(&twice, &seals).is_err());
}

#[test]
fn a_read_says_the_earliest_place_that_it_shows() {
    let seals = seals();
    let sent = HeaderMap::new();
    let session = Session::of(&sent, &seals).unwrap();
    for (store, lsn) in [(0, 100), (1, 5), (0, 90), (0, 95)] {
        let mut page = Page {
            at: at(lsn),
            ..Page::default()
        };
        session.read(store, &mut page);
    }
    let mut reply = HeaderMap::new();
    session.finish(true, Scheme::Http, &mut reply);
    let shown = Token::parse(reply[POSITION].to_str().unwrap()).unwrap();
    let wanted = |store, lsn| {
        let reply = wrote(&HeaderMap::new(), &seals, store, lsn);
        Token::parse(reply[FIELD].to_str().unwrap()).unwrap()
    };
    assert!(shown.covers(&wanted(0, 89)) && !shown.covers(&wanted(0, 90)));
    assert!(shown.covers(&wanted(1, 4)) && !shown.covers(&wanted(1, 5)));
}
