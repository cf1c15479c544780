//! The grammars by tables of right and wrong texts, and by any text.

use super::*;
use crate::plan::{Bound, Type};
use proptest::prelude::*;
use std::{cmp::Ordering, fmt::Debug, time::Duration};

/// `text` and what it means, or a part of why not.
fn table<T: Debug + PartialEq>(grammar: &Grammar<T>, cases: &[(&str, Result<T, &str>)]) {
    for (text, expected) in cases {
        match ((grammar.parse)(text), expected) {
            (Ok(found), Ok(expected)) => assert_eq!(&found, expected, "{text}"),
            (Err(flaw), Err(part)) => assert!(flaw.message.contains(part), "{text}: {}", flaw.message),
            (found, _) => panic!("{text}: {found:?}"),
        }
    }
}

#[test]
fn a_password_that_ends_a_url_early_is_named() {
    for text in [
        "postgres://shop:p#w@db/shop",
        "postgres://shop:p/w@db/shop",
        "postgres://shop:p?w@db/shop",
    ] {
        let flaw = (net::STORE.parse)(text).err().expect("it is refused");
        assert!(
            flaw.help.as_deref().is_some_and(|help| help.contains("%23")),
            "{text}: {flaw:?}"
        );
    }
}

#[test]
fn urls_of_databases() {
    let fine = [
        "postgres://u:p%40x@h/db",
        "postgresql://u@h1:1,h2:2/db",
        "postgres://u@h1,h2:5433/db?target_session_attrs=prefer-standby",
        "postgres://u@[::1]:5432,[::2]/db",
        "postgres://u@%2Frun%2Fpostgresql/db",
        "postgres:///db?host=/run/postgresql&user=u",
        "postgres://u@h/db?sslmode=require&channel_binding=require&sslnegotiation=direct",
        "postgres://u@h/db?hostaddr=10.0.0.1,::1&gssencmode=disable&options=-csearch_path%3Da",
        "postgres://h",
    ];
    for text in fine {
        assert!((net::POSTGRES.parse)(text).is_ok(), "{text}");
    }
    let flawed = [
        ("postgres://u:p@ss@h/db", "two `@`", "%40"),
        ("postgres://u:p%zz@h/db", "two digits", "%25"),
        ("postgres://u@h:0/db", "out of range", ""),
        ("postgres://u@h:1,h:x/db", "out of range", ""),
        ("postgres://u@[::g]/db", "invalid IPv6", ""),
        ("postgres://u@/db", "no host", "%2Frun"),
        ("postgres://u@h,/db", "no host", ""),
        ("postgres:///db?hostaddr=10.0.0.1", "no host", ""),
        ("postgres://u@h/db#x", "before the `#`", "%23"),
        ("postgres://u@h/db?options", "NAME=VALUE", ""),
        (
            "postgres://u@h/db?sslmod=require",
            "no parameter",
            "did you mean `sslmode`",
        ),
        ("postgres://u@h/db?passfile=/x", "no parameter", "DATABASE_URL"),
        ("postgres://u@h/db?sslcert=x", "no parameter", "password"),
        ("postgres://u@h/db?hostaddr=h", "not a `hostaddr`", "10.0.0.1"),
        (
            "postgres://u@h/db?gssencmode=require",
            "not a `gssencmode`",
            "prefer",
        ),
        (
            "postgres://u@h/db?channel_binding=require",
            "encrypted",
            "sslmode=require",
        ),
        (
            "postgres://u@h/db?sslnegotiation=direct&sslmode=prefer",
            "encrypted",
            "verify-full",
        ),
        (
            "postgres://u@h/db?connect_timeout=3s",
            "not a `connect_timeout`",
            "whole",
        ),
    ];
    for (text, why, help) in flawed {
        let flaw = (net::POSTGRES.parse)(text).expect_err(text);
        let helps = flaw.help.unwrap_or_default();
        assert!(
            flaw.message.contains(why) && helps.contains(help),
            "{text}: {} {helps}",
            flaw.message
        );
    }
}

#[test]
fn durations_sizes_percentages() {
    table(
        &units::DURATION,
        &[
            ("250ms", Ok(Duration::from_millis(250))),
            ("10s", Ok(Duration::from_secs(10))),
            ("5m", Ok(Duration::from_mins(5))),
            ("7d", Ok(Duration::from_hours(168))),
            ("366d", Ok(Duration::from_hours(366 * 24))),
            ("367d", Err("longer than")),
            ("18446744073709551615d", Err("longer than")),
            ("99999999999999999999s", Err("too large")),
            ("0s", Err("longer than nothing")),
            ("1.5s", Err("whole number")),
            ("10 s", Err("blank")),
            ("30 parsecs", Err("not a unit")),
            ("30 seconds", Err("not a unit")),
            ("-1s", Err("not a duration")),
            ("", Err("not a duration")),
        ],
    );
    table(
        &units::SIZE,
        &[
            ("64KiB", Ok(65_536)),
            ("1MiB", Ok(1 << 20)),
            ("0B", Ok(0)),
            ("1024GiB", Ok(1 << 40)),
            ("1025GiB", Err("larger than")),
            ("1024", Err("no unit")),
            ("1kb", Err("not a unit")),
        ],
    );
    table(
        &units::PERCENT,
        &[
            ("20%", Ok(20)),
            ("0%", Ok(0)),
            ("100%", Ok(100)),
            ("101%", Err("0% to 100%")),
            ("+5%", Err("0% to 100%")),
            ("20", Err("ends in")),
        ],
    );
}

#[test]
fn addresses() {
    let address = |text: &str| text.parse().ok().ok_or("");
    table(
        &net::LISTEN,
        &[
            ("127.0.0.1:0", address("127.0.0.1:0")),
            ("[::1]:65535", address("[::1]:65535")),
            (":80", address("0.0.0.0:80")),
            ("localhost:80", address("127.0.0.1:80")),
            ("127.0.0.1:65536", Err("out of range")),
            ("127.0.0.1:-1", Err("not a port")),
            ("127.0.0.1", Err("not an address and a port")),
            ("::1:80", Err("not an address of this machine")),
        ],
    );
    for (text, authority, base) in [
        ("http://127.0.0.1:9001", "127.0.0.1:9001", ""),
        ("https://API.example.com/v2/", "api.example.com:443", "/v2"),
        ("http://[::1]/", "[::1]:80", ""),
    ] {
        let endpoint = net::upstream(text).unwrap();
        assert_eq!(
            (endpoint.authority().as_str(), endpoint.base_path.as_str()),
            (authority, base)
        );
    }
}

#[test]
fn limits_and_caches() {
    for (text, count, seconds, burst) in [
        ("100/min", 100, 60, None),
        ("5 / s by ip", 5, 1, None),
        ("1/day by claim tenant burst 7", 1, 86_400, Some(7)),
        ("4294967295/hour by header X-Tenant", u32::MAX, 3_600, None),
    ] {
        let rate = (policy::LIMIT.parse)(text).unwrap();
        assert_eq!(
            (rate.count.get(), rate.window.as_secs()),
            (count, seconds),
            "{text}"
        );
        assert_eq!(rate.burst.map(std::num::NonZeroU32::get), burst, "{text}");
    }
    for text in [
        "",
        "/",
        "5",
        "5/",
        "-5/s",
        "4294967296/s",
        "5/s by",
        "5/s burst",
        "5/s by ip by ip",
        "5/s now",
    ] {
        assert!((policy::LIMIT.parse)(text).is_err(), "{text}");
    }
    for text in ["", "private", "60", "public 60s more", "60s 60s", "shared 60s"] {
        assert!((policy::CACHE.parse)(text).is_err(), "{text}");
    }
}

#[test]
fn route_keys() {
    for (text, shown) in [
        ("/", "/"),
        ("/**", "/**"),
        ("GET,POST  /a/{id}/**", "/a/{id}/**"),
        ("PROPFIND /a%20b", "/a b"),
    ] {
        assert_eq!((route::ROUTE.parse)(text).unwrap().path.to_string(), shown);
    }
    for text in [
        "",
        "GET",
        "a",
        "/a//b",
        "/a/",
        "/a/../b",
        "/a/%2e%2e",
        "/a%2fb",
        "/a%00",
        "/a%zz",
        "/a{b}",
        "/{}",
        "/{a}/{a}",
        "/a?b",
        "/a#b",
        "GET/a",
        "GET POST /a",
        "GET,GET /a",
        "CONNECT /a",
        "get /a",
        "/**/a",
        "/a\\b",
    ] {
        assert!((route::ROUTE.parse)(text).is_err(), "{text}");
    }
}

#[test]
fn values_of_fields() {
    let decimal = Type::Decimal {
        precision: 5,
        scale: 2,
    };
    for (text, ty, expected) in [
        ("1.50", &decimal, Some("1.50")),
        ("-0.00", &decimal, Some("0.00")),
        ("007", &decimal, Some("7")),
        ("1.505", &decimal, None),
        ("1234", &decimal, None),
        ("1e3", &decimal, None),
        ("9223372036854775807", &Type::Int, Some("9223372036854775807")),
        ("9223372036854775808", &Type::Int, None),
        ("1.0", &Type::Int, None),
        ("NaN", &Type::Float, None),
        ("inf", &Type::Float, None),
        ("1e999", &Type::Float, None),
        ("yes", &Type::Bool, None),
        ("2026-02-30", &Type::Date, None),
        (
            "2026-01-31T12:00:00+01:00",
            &Type::Time,
            Some("\"2026-01-31T11:00:00Z\""),
        ),
        (
            "[a, \"b, c\"]",
            &Type::List(Box::new(Type::Text)),
            Some("[\"a\",\"b, c\"]"),
        ),
        ("[1, x]", &Type::List(Box::new(Type::Int)), None),
        ("{\"a\":1}", &Type::Json, Some("{\"a\":1}")),
        ("{a}", &Type::Json, None),
    ] {
        let found = literal::value(text, ty).ok().map(|v| v.to_string());
        assert_eq!(found.as_deref(), expected, "{text}");
    }
    let bound = |text: &str| Bound {
        text: text.to_owned(),
    };
    let large = Type::Decimal {
        precision: 38,
        scale: 2,
    };
    assert_eq!(
        literal::compare(&bound("2.5"), &bound("10.0"), &decimal),
        Some(Ordering::Less)
    );
    assert_eq!(
        literal::compare(&bound("-0.5"), &bound("0.5"), &large),
        Some(Ordering::Less)
    );
    assert_eq!(
        literal::compare(&bound("-2.5"), &bound("-10"), &large),
        Some(Ordering::Greater)
    );
}

#[test]
fn commas_outside_brackets_and_quotes() {
    for (text, parts) in [
        ("a, b", vec!["a", "b"]),
        ("enum(a, b), default a", vec!["enum(a, b)", "default a"]),
        (
            "text, default \"a, b\", unique",
            vec!["text", "default \"a, b\"", "unique"],
        ),
        (
            "text, default it's, unique",
            vec!["text", "default it's", "unique"],
        ),
        ("", vec![""]),
        ("a,", vec!["a", ""]),
    ] {
        let found = commas(text);
        assert_eq!(
            found.iter().map(|(_, part)| *part).collect::<Vec<_>>(),
            parts,
            "{text}"
        );
        assert!(
            found
                .iter()
                .all(|(at, part)| &text[*at..at + part.len()] == *part),
            "{text}"
        );
    }
}

/// Where the caret stands is always a part of the text.
fn flaw_is_inside<T>(grammar: &Grammar<T>, text: &str) {
    if let Err(flaw) = (grammar.parse)(text) {
        assert!(
            flaw.at.start <= flaw.at.end && flaw.at.end <= text.len(),
            "{text:?}: {:?}",
            flaw.at
        );
        assert!(
            text.is_char_boundary(flaw.at.start) && text.is_char_boundary(flaw.at.end),
            "{text:?}: {:?}",
            flaw.at
        );
        assert!(!flaw.message.is_empty());
    }
}

#[test]
fn the_caret_stands_on_whole_characters() {
    flaw_is_inside(&field::FIELD, "decimal( é,)");
    flaw_is_inside(&field::FIELD, "decimal(\u{2003}é, 2)");
    flaw_is_inside(&field::FIELD, "int,\u{2003},");
    flaw_is_inside(&access::ACCESS, "when: é");
    flaw_is_inside(&access::ACCESS, "when: row.a == ");
    flaw_is_inside(&access::ACCESS, "when: a ? é");
    let flaw = (field::FIELD.parse)("decimal( é, 2)").unwrap_err();
    assert_eq!(flaw.at, 9..11);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(text in prop_oneof![
        "\\PC{0,30}",
        "[0-9]{0,3}(/| )?(min|s|m|KiB|é)?( by | burst )?(claim|header|ip)? ?[a-zé]{0,3}",
        "(GET|get|é)?,? ?/?(\\{|\\}|\\*|%|[a-zé0-9/]){0,12}",
        "(text|enum|decimal|list of|ref)\\(?[0-9a-zé, ]{0,8}\\)?(, ?(min|max|default|matches|1..2 chars|é)? ?[0-9\"'\\[]{0,4}){0,3}",
        "(role|scope|owner|when:|public|é) ?[a-zé, .'=]{0,12}",
        "(http|https|redis|postgres|sqlite|é):/{0,2}[a-zé@:0-9/\\[\\]?#.]{0,16}",
    ]) {
        flaw_is_inside(&units::DURATION, &text);
        flaw_is_inside(&units::SIZE, &text);
        flaw_is_inside(&units::PERCENT, &text);
        flaw_is_inside(&net::LISTEN, &text);
        flaw_is_inside(&net::CIDR, &text);
        flaw_is_inside(&net::UPSTREAM, &text);
        flaw_is_inside(&net::STORE, &text);
        flaw_is_inside(&net::SHARED, &text);
        flaw_is_inside(&name::API, &text);
        flaw_is_inside(&name::FIELD, &text);
        flaw_is_inside(&name::METHOD, &text);
        flaw_is_inside(&policy::LIMIT, &text);
        flaw_is_inside(&policy::KEY, &text);
        flaw_is_inside(&policy::BALANCE, &text);
        flaw_is_inside(&policy::CACHE, &text);
        flaw_is_inside(&policy::ORIGIN, &text);
        flaw_is_inside(&route::ROUTE, &text);
        flaw_is_inside(&route::HOST, &text);
        flaw_is_inside(&access::ACCESS, &text);
        flaw_is_inside(&field::FIELD, &text);
        flaw_is_inside(&field::TYPE, &text);
        flaw_is_inside(&field::CHARS, &text);
    }

    #[test]
    fn no_literal_panics(text in "\\PC{0,24}|-?[0-9.eE+]{0,45}") {
        for ty in [
            Type::Int,
            Type::Float,
            Type::Decimal { precision: 38, scale: 38 },
            Type::Bool,
            Type::Text,
            Type::Enum(vec!["a".to_owned()]),
            Type::Uuid,
            Type::Time,
            Type::Date,
            Type::Json,
            Type::List(Box::new(Type::Text)),
        ] {
            let _ = literal::default(&text, &ty);
            if let Ok(bound) = literal::bound(&text, &ty) {
                prop_assert!(literal::compare(&bound, &bound, &ty).is_none_or(|o| o == Ordering::Equal));
            }
        }
    }
}
