//! Whatever the text, reading it ends soon and never panics.

use proptest::prelude::*;
use std::{
    path::Path,
    time::{Duration, Instant},
};
use stoa_config::{Loaded, Options, effective, fault, load_text, not_built};

const FILES: [&str; 5] = [
    include_str!("files/hello.yaml"),
    include_str!("files/shop.yaml"),
    include_str!("files/large.yaml"),
    include_str!("files/ten.yaml"),
    include_str!("files/not_built.yaml"),
];

/// Pieces that mean something to one of the grammars.
const PIECES: [&str; 44] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ": ",
    "\n",
    "\n  ",
    "\n    ",
    "- ",
    "\"",
    "'",
    "#",
    "&a",
    "*a",
    "!t ",
    "|\n",
    "<<: ",
    "\t",
    "${",
    "${A}",
    "${A:-",
    "$$",
    "..",
    "1",
    "99999999999999999999",
    "-",
    "é",
    "\u{0}",
    "\u{feff}",
    "when: ",
    "claims.a",
    "row.",
    "((((((((",
    "!!!!!!",
    "enum(",
    "decimal(12,2)",
    "list of ",
    "ref ",
    "matches ",
    "owner ",
    "/**",
    "GET ",
    "---\n",
];

fn read(text: &str, profile: Option<&str>) -> Loaded {
    let options = Options {
        profile,
        profile_optional: true,
        env: &|name| (name == "A").then(|| "postgres://u:p@db/x".to_owned()),
    };
    load_text("stoa.yaml", text, Path::new("/srv/api"), &options)
}

/// Everything that can be done with what was read.
fn use_it(text: &str) {
    for profile in [None, Some("prod")] {
        let loaded = read(text, profile);
        let errors = loaded.faults.iter().any(|f| f.severity == fault::Severity::Error);
        assert_eq!(
            loaded.plan.is_none(),
            errors,
            "a plan exactly when there is no error"
        );
        for fault in &loaded.faults {
            assert!(fault::explain(fault.code).is_some());
            assert!(fault.span.end <= text.len() && text.is_char_boundary(fault.span.start));
            assert!(fault.place.line >= 1 && fault.place.column >= 1);
        }
        fault::render_human(&loaded.faults, &loaded.sources, true);
        fault::render_json(&loaded.faults);
        fault::render_github(&loaded.faults);
        effective(&loaded, true);
        if let Some(plan) = &loaded.plan {
            not_built(plan);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text(text in "\\PC*") {
        use_it(&text);
    }

    #[test]
    fn pieces_of_the_grammars(pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..60)) {
        use_it(&pieces.concat());
    }

    /// A right file with some of its bytes removed, doubled or replaced by a piece.
    #[test]
    fn mutated_files(
        file in prop::sample::select(&FILES[..]),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, prop::sample::select(&PIECES[..]), 1..12_usize), 1..6),
    ) {
        let mut text: Vec<char> = file.chars().collect();
        for (at, kind, piece, length) in edits {
            let at = at.index(text.len().max(1));
            let end = (at + length).min(text.len());
            match kind {
                0 => drop(text.drain(at..end)),
                1 => {
                    let copy = text[at..end].to_vec();
                    text.splice(at..at, copy);
                }
                _ => drop(text.splice(at..end, piece.chars())),
            }
        }
        use_it(&text.into_iter().collect::<String>());
    }

    /// Any value in the place of a value.
    #[test]
    fn any_value_at_any_key(value in "\\PC{0,40}", line in any::<prop::sample::Index>()) {
        let file = FILES[2];
        let lines: Vec<&str> = file.lines().filter(|l| l.contains(": ")).collect();
        let line = lines[line.index(lines.len())];
        let (key, _) = line.split_once(": ").expect("the lines hold a colon");
        let quoted = serde_json::Value::from(value.as_str());
        use_it(&file.replace(line, &format!("{key}: {quoted}")));
        use_it(&file.replace(line, &format!("{key}: {value}")));
    }
}

/// Texts that could exhaust the stack, the memory or the time of what reads YAML.
fn hostile_yaml() -> Vec<(&'static str, String)> {
    let wide = |n: usize, each: &str| format!("api: a\nx: [{}]\n", each.repeat(n));
    let bomb = {
        use std::fmt::Write as _;
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for n in 1..30 {
            let _ = writeln!(
                text,
                "a{n}: &a{n} [{}]",
                vec![format!("*a{}", n - 1); 10].join(", ")
            );
        }
        text
    };
    let keys = (0..70_000).fold(String::new(), |text, n| text + &format!("k{n}: 1\n"));
    let deep_block: String = (0..1_000).fold(String::new(), |text, n| format!("{text}{}a:\n", " ".repeat(n)));
    vec![
        ("10,000 brackets", "[".repeat(10_000)),
        ("10,000 braces", "{a: ".repeat(10_000)),
        (
            "10,000 closed brackets",
            format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)),
        ),
        ("10,000 dashes", "- ".repeat(10_000)),
        ("1,000 levels", deep_block),
        ("10 MB", "a: b\n".repeat(2 << 20)),
        ("1 MB of keys", keys),
        ("1 MB of values", wide(400_000, "1,")),
        ("1 MB of one scalar", format!("api: {}\n", "a".repeat(1 << 19))),
        ("1 MB of quotes", format!("api: \"{}\n", "\\\"".repeat(1 << 18))),
        ("an alias bomb", bomb),
    ]
}

/// The same for the grammars of single values.
fn hostile_values() -> Vec<(&'static str, String)> {
    let rule = |cel: &str| {
        format!(
            "api: a\nservices: {{ s: {{ url: \"http://a:1\", routes: {{ GET /s: {{ access: {{ when: \"{cel}\" }} }} }} }} }}\n"
        )
    };
    vec![
        (
            "brackets in CEL",
            rule(&format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000))),
        ),
        ("marks in CEL", rule(&"!".repeat(1_000))),
        ("a chain in CEL", rule(&"1+".repeat(500))),
        ("conditions in CEL", rule(&"a?b:".repeat(200))),
        ("words in CEL", rule(&"claims in ".repeat(100))),
        (
            "macros in CEL",
            rule("claims.a.all(x, claims.a.all(y, claims.a.all(z, x == y)))"),
        ),
        (
            "a heavy expression",
            "api: a\nresources: { p: { fields: { n: \"text, matches (a{1000}){1000}\" } } }\n".to_owned(),
        ),
        (
            "nested groups",
            format!(
                "api: a\nresources: {{ p: {{ fields: {{ n: \"text, matches {}a{}\" }} }} }}\n",
                "(".repeat(5_000),
                ")".repeat(5_000)
            ),
        ),
        (
            "lists of lists",
            format!(
                "api: a\nresources: {{ p: {{ fields: {{ n: \"{}text\" }} }} }}\n",
                "list of ".repeat(10_000)
            ),
        ),
        (
            "a long path",
            format!(
                "api: a\nservices: {{ s: {{ url: \"http://a:1\", routes: {{ \"GET {}\": {{}} }} }} }}\n",
                "/a".repeat(10_000)
            ),
        ),
        (
            "variables in a variable",
            format!("api: \"{}\"\n", "${A:-".repeat(10_000)),
        ),
    ]
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "what is measured is this process, not the product's clock"
)]
fn hostile_texts_are_refused_quickly() {
    for (what, text) in hostile_yaml().into_iter().chain(hostile_values()) {
        let start = Instant::now();
        let loaded = read(&text, None);
        let took = start.elapsed();
        assert!(loaded.plan.is_none(), "{what}");
        assert!(!loaded.faults.is_empty(), "{what}");
        assert!(loaded.faults.len() <= 201, "{what}");
        assert!(took < Duration::from_secs(5), "{what}: {took:?}");
        fault::render_human(&loaded.faults, &loaded.sources, false);
    }
}
