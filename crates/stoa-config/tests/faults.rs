//! Wrong files: every fault code is triggered, at the right line and column.

use std::{collections::BTreeSet, path::Path};
use stoa_config::{
    Loaded, Options,
    fault::{self, Severity, render_github, render_human, render_json},
    load, load_text, not_built,
};

fn read(text: &str, profile: Option<&str>) -> Loaded {
    let options = Options {
        profile,
        profile_optional: false,
        env: &|name| (name == "SET").then(|| "yes".to_owned()),
    };
    load_text("stoa.yaml", text, Path::new("/srv/api"), &options)
}

/// A text with one fault: code, line, column, a part of the message, a part of the help.
struct Case {
    code: &'static str,
    at: (u32, u32),
    says: &'static str,
    help: &'static str,
    text: String,
}

/// Reads `files/faults.txt`: each case starts with `=== CODE | MESSAGE | HELP`, and `⟦` stands in its text where
/// the caret belongs (without one: at the start).
fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for line in include_str!("files/faults.txt").lines() {
        if let Some(head) = line.strip_prefix("=== ") {
            let mut parts = head.split(" | ").map(str::trim);
            let code = parts.next().expect("split gives one part");
            cases.push(Case {
                code: fault::codes()
                    .into_iter()
                    .find(|c| *c == code)
                    .unwrap_or_else(|| panic!("{code}")),
                at: (1, 1),
                says: parts.next().unwrap_or_default(),
                help: parts.next().unwrap_or_default(),
                text: String::new(),
            });
        } else if let Some(case) = cases.last_mut() {
            let line = line.replace("<TAB>", "\t");
            if let Some(mark) = line.find('⟦') {
                let row = case.text.lines().count() + 1;
                case.at = (row as u32, line[..mark].chars().count() as u32 + 1);
            }
            case.text.push_str(&line.replace('⟦', ""));
            case.text.push('\n');
        }
    }
    cases
}

#[test]
fn each_fault_alone() {
    let mut wrong = Vec::new();
    for case in cases() {
        let loaded = read(&case.text, None);
        let shown = render_human(&loaded.faults, &loaded.sources, false);
        let found = &loaded.faults[..];
        let right = match found {
            [one] => {
                let help = one.help.clone().unwrap_or_default();
                one.code == case.code
                    && (one.place.line, one.place.column) == case.at
                    && one.message.contains(case.says)
                    && help.contains(case.help)
                    && (loaded.plan.is_none() || one.severity == Severity::Warning)
            }
            _ => false,
        };
        if !right {
            wrong.push(format!(
                "expected {} at {:?} saying {:?} help {:?}\n{}\n{shown}",
                case.code, case.at, case.says, case.help, case.text
            ));
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}

/// Codes that the table cannot trigger, each with its own test below; E0422, E0423, E0440 and E0444 come from where keys and rules are put to use.
const ELSEWHERE: [&str; 11] = [
    "E0001", "E0002", "E0003", "E0013", "E0301", "E0422", "E0423", "E0424", "E0440", "E0444", "E0901",
];

#[test]
fn every_code_has_a_test_and_a_text() {
    let tested: BTreeSet<&str> = cases().iter().map(|c| c.code).chain(ELSEWHERE).collect();
    for code in fault::codes() {
        assert!(tested.contains(code), "{code} has no test");
        assert!(
            fault::explain(code).is_some_and(|t| t.len() > 40),
            "{code} has no text"
        );
        assert!(
            fault::title(code).is_some_and(|t| !t.is_empty()),
            "{code} has no title"
        );
    }
    let codes = fault::codes();
    assert!(
        codes.windows(2).all(|pair| pair[0] < pair[1]),
        "codes are in order and used once"
    );
    assert!(fault::explain("E9999").is_none());
    assert_eq!(fault::explain("e0107"), fault::explain("E0107"));
}

#[test]
fn files_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        profile: None,
        profile_optional: false,
        env: &|_| None,
    };
    let code = |path: &Path| load(path, &options).faults.first().map(|f| f.code);
    assert_eq!(code(folder.path()), Some("E0001"), "a folder without a file");
    let file = folder.path().join("stoa.yaml");
    std::fs::write(&file, [0x61, 0xff, 0x0a]).unwrap();
    assert_eq!(code(folder.path()), Some("E0003"));
    std::fs::write(&file, vec![b'a'; 10 << 20]).unwrap();
    assert_eq!(code(&file), Some("E0002"));
    std::fs::write(&file, "api: ok\nservices: { a: http://127.0.0.1:1 }\n").unwrap();
    assert_eq!(code(&file), None);
    let loaded = load(folder.path(), &options);
    assert_eq!(loaded.plan.unwrap().file, file);
    assert_eq!(read(&"a".repeat(10 << 20), None).faults[0].code, "E0002");
}

#[test]
fn a_file_with_too_many_faults_says_so() {
    use std::fmt::Write as _;
    let mut text = String::from("api: a\n");
    for n in 0..1000 {
        let _ = writeln!(text, "wrong{n}: 1");
    }
    let faults = read(&text, None).faults;
    assert_eq!(faults.len(), 201);
    assert_eq!(faults.last().unwrap().code, "E0013");
}

#[test]
fn an_unknown_profile() {
    let text = "api: a\nservices: { s: http://127.0.0.1:1 }\nprofiles: { prod: {} }\n";
    let faults = read(text, Some("prd")).faults;
    assert_eq!(faults[0].code, "E0301");
    assert_eq!(faults[0].help.as_deref(), Some("did you mean `prod`?"));
    assert!(read(text, Some("prod")).plan.is_some());
}

/// Ten mistakes of different kinds in one file: ten faults, each on its own line.
#[test]
fn ten_faults_in_one_run() {
    let loaded = read(include_str!("files/ten.yaml"), None);
    let found: Vec<(u32, &str)> = loaded.faults.iter().map(|f| (f.place.line, f.code)).collect();
    let expected = [
        (3, "E0204"),
        (4, "E0202"),
        (6, "E0208"),
        (9, "E0101"),
        (11, "E0401"),
        (12, "E0216"),
        (16, "E0218"),
        (17, "E0406"),
        (18, "E0403"),
        (19, "E0404"),
    ];
    let shown = render_human(&loaded.faults, &loaded.sources, false);
    assert_eq!(found, expected, "{shown}");
    assert!(
        shown.ends_with("10 errors, 0 warnings · stoa explain E0204\n"),
        "{shown}"
    );
}

#[test]
fn the_three_renderings() {
    let loaded = read(
        "api: a\nservices:\n  pay: { url: http://127.0.0.1:1, timeot: 2s }\n",
        None,
    );
    let human = render_human(&loaded.faults, &loaded.sources, false);
    for part in [
        "error[E0101]: unknown key `timeot` in service `pay`",
        "--> stoa.yaml:3:35",
        "^^^^^^",
        "help: did you mean `timeout`?",
        "1 error, 0 warnings",
    ] {
        assert!(human.contains(part), "{part}\n{human}");
    }
    assert!(render_human(&loaded.faults, &loaded.sources, true).contains("\u{1b}["));
    assert_eq!(
        render_json(&loaded.faults),
        serde_json::json!({ "faults": [{
            "code": "E0101", "severity": "error", "file": "stoa.yaml", "line": 3, "column": 35,
            "message": "unknown key `timeot` in service `pay`", "help": "did you mean `timeout`?",
        }] })
    );
    assert_eq!(
        render_github(&loaded.faults),
        "::error file=stoa.yaml,line=3,col=35,title=E0101::unknown key `timeot` in service `pay`%0Ahelp: did you mean `timeout`?\n"
    );
}

/// Control characters of a file do not reach the terminal.
#[test]
fn messages_cannot_steer_a_terminal() {
    let loaded = read("api: a\n\"\\e[31mred\": 1\n", None);
    let human = render_human(&loaded.faults, &loaded.sources, false);
    assert!(!human.contains('\u{1b}'), "{human}");
}

#[test]
fn what_is_not_built_is_said_where_it_stands() {
    let loaded = read(include_str!("files/not_built.yaml"), None);
    let shown = render_human(&loaded.faults, &loaded.sources, false);
    let plan = loaded.plan.unwrap_or_else(|| panic!("{shown}"));
    let faults = not_built(&plan);
    let found: BTreeSet<u32> = faults.iter().map(|f| f.place.line).collect();
    let text = include_str!("files/not_built.yaml");
    let expected: BTreeSet<u32> = (1..)
        .zip(text.lines())
        .filter(|(_, line)| line.contains("# not built"))
        .map(|(n, _)| n)
        .collect();
    assert_eq!(
        found,
        expected,
        "{}",
        render_human(&faults, &loaded.sources, false)
    );
    assert!(faults.iter().all(|f| f.code == "E0901" && f.help.is_some()));
    let clean = read(
        "api: a\nservices: { s: [http://127.0.0.1:1, http://127.0.0.1:2] }\n",
        None,
    );
    assert!(not_built(&clean.plan.unwrap()).is_empty());
}

/// One mistake is one fault: a value that is wrong does not make what refers to it wrong as well.
#[test]
fn one_mistake_is_one_fault() {
    let files = [
        include_str!("files/short_forms.yaml"),
        include_str!("files/long_forms.yaml"),
    ];
    let mut tried = 0;
    for file in files {
        for (at, line) in file.lines().enumerate() {
            let Some((key, value)) = line.split_once(": ").filter(|(k, _)| !k.contains('#')) else {
                continue;
            };
            let text = file.replace(line, &format!("{key}: \"${{NOT_SET}}\""));
            let faults = read(&text, None).faults;
            let found: Vec<(&str, u32)> = faults.iter().map(|f| (f.code, f.place.line)).collect();
            let row = u32::try_from(at).unwrap() + 1;
            assert_eq!(
                found,
                [("E0303", row)],
                "{key}: {value}\n{:?}",
                faults.last().map(|f| &f.message)
            );
            tried += 1;
        }
    }
    assert!(tried >= 50, "{tried}");
}
