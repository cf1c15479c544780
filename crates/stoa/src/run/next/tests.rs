//! What may be served, and why not.

use super::*;
use crate::cli::{Addresses, ProfiledFile};
use std::path::Path;
use stoa_config::Options;

fn loaded(text: &str) -> Loaded {
    let options = Options {
        profile: None,
        profile_optional: true,
        env: &|_| None,
    };
    let loaded = stoa_config::load_text("stoa.yaml", text, Path::new("/tmp"), &options);
    assert!(loaded.plan.is_some(), "{:?}", loaded.faults);
    loaded
}

fn setup(mode: Mode, addresses: Addresses) -> Setup {
    Setup {
        mode,
        file: ProfiledFile::default(),
        addresses,
        only: Vec::new(),
        json: false,
    }
}

const OPEN: &str = "api: a\nservices:\n  pay:\n    url: http://127.0.0.1:1\n    routes: { GET /pay/x: {} }\nresources:\n  things: { fields: { name: text }, read: public }\n";

#[test]
fn serve_names_every_rule_that_was_left_open() {
    let Err(Refused::Words(words)) = judge(&setup(Mode::Serve, Addresses::default()), &mut loaded(OPEN))
    else {
        panic!("it must be refused");
    };
    let text = words.join("\n");
    for name in ["GET /pay/x", "things.create", "things.update", "things.delete"] {
        assert!(text.contains(name), "{name} is missing in {text}");
    }
    assert!(!text.contains("things.read"), "{text}");
}

#[test]
fn dev_serves_them() {
    assert!(judge(&setup(Mode::Dev, Addresses::default()), &mut loaded(OPEN)).is_ok());
}

#[test]
fn serve_takes_rules_that_were_written() {
    let text = "api: a\nresources:\n  things: { fields: { name: text }, read: public, write: none }\n";
    assert!(judge(&setup(Mode::Serve, Addresses::default()), &mut loaded(text)).is_ok());
}

#[test]
fn addresses_of_the_command_line_win_and_the_admin_port_is_never_the_apis() {
    let text = "api: a\nresources:\n  things: { fields: { name: text }, read: public, write: none }\n";
    let at = |text: &str| Some(text.parse().unwrap());
    let addresses = |admin| Addresses {
        http: at("127.0.0.1:7001"),
        admin: Some(admin),
    };
    let same = AdminAddress::At("127.0.0.1:7001".parse().unwrap());
    let refused = judge(&setup(Mode::Serve, addresses(same)), &mut loaded(text));
    assert!(matches!(refused, Err(Refused::Words(_))));
    let plan = judge(
        &setup(Mode::Serve, addresses(AdminAddress::None)),
        &mut loaded(text),
    )
    .unwrap();
    assert_eq!(Some(plan.server.http), at("127.0.0.1:7001"));
    assert_eq!(plan.server.admin, None);
}

#[test]
fn what_is_not_built_yet_is_refused_as_an_error() {
    let text = "api: a\nstores: { main: \"sqlite:a.db\" }\nshared: \"redis://127.0.0.1\"\nresources:\n  things: { fields: { name: text }, read: public, write: none }\n";
    for mode in [Mode::Dev, Mode::Serve] {
        let Err(Refused::Faults(faults)) = judge(&setup(mode, Addresses::default()), &mut loaded(text))
        else {
            panic!("it must be refused");
        };
        assert!(!faults.is_empty() && faults.iter().all(|f| f.severity == Severity::Error));
    }
}

#[test]
fn only_what_is_named_is_served_and_names_must_be_known() {
    let text = "api: a\nservices:\n  pay: { url: \"http://127.0.0.1:1\", routes: { GET /pay/x: { access: public } } }\n  mail: { url: \"http://127.0.0.1:2\", routes: { GET /mail/x: { access: public } } }\n";
    let with = |only: &str| Setup {
        only: vec![only.to_owned()],
        ..setup(Mode::Serve, Addresses::default())
    };
    let plan = judge(&with("mail"), &mut loaded(text)).unwrap();
    assert_eq!(plan.services.len(), 1);
    assert!(judge(&with("post"), &mut loaded(text)).is_err());
    // What it splits to stays, and is served for it alone.
    let text = text.replace("127.0.0.1:1\",", "127.0.0.1:1\", split: { mail: 10% },");
    let plan = judge(&with("pay"), &mut loaded(&text)).unwrap();
    let kept: Vec<_> = plan
        .services
        .iter()
        .map(|s| (s.name.as_str(), s.routes.len()))
        .collect();
    assert_eq!(kept, [("pay", 1), ("mail", 0)]);
}
