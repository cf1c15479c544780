//! What is said of certificates and keys that cannot be used.

use crate::{
    support::{load, plan},
    tls::{Authority, Files, tls},
};
use rcgen::date_time_ymd;
use std::{path::PathBuf, sync::Arc};
use stoa_config::{
    fault::{Fault, Severity},
    plan,
};
use stoa_edge::{Gateway, check_certificates};

/// What a start says of these files.
fn refused(cert: PathBuf, key: PathBuf) -> Vec<Fault> {
    let mut plan = plan(Vec::new());
    plan.server.tls = Some(tls(vec![plan::Certificate { cert, key }]));
    let parts = stoa_edge::Parts {
        resources: std::collections::HashMap::new(),
        rest: None,
        documents: Vec::new(),
        observer: Arc::new(crate::support::Lines::default()),
        explain: false,
    };
    Gateway::build(&Arc::new(plan), parts, None)
        .err()
        .unwrap_or_default()
}

const ENCRYPTED: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn faults_of_files_name_them_and_say_what_to_do() {
    let (authority, files) = (Authority::new("a"), Files::new());
    let (cert, key) = authority.issue(&["a.test"]);
    let (other, _) = authority.issue(&["a.test"]);
    let good = (files.write("cert.pem", &cert), files.write("key.pem", &key));
    let file = |name: &str, text: &str| files.write(name, text);
    let cut = key.lines().take(3).collect::<Vec<_>>().join("\n");
    let cases: Vec<(PathBuf, PathBuf, &str, &str)> = vec![
        (
            files.path("no.pem"),
            good.1.clone(),
            "no.pem` cannot be read",
            "relative to the API file",
        ),
        (
            good.0.clone(),
            files.path("no.key"),
            "no.key` cannot be read",
            "relative to the API file",
        ),
        (
            good.1.clone(),
            good.1.clone(),
            "holds a private key and no certificate",
            "swapped",
        ),
        (
            good.0.clone(),
            good.0.clone(),
            "holds a certificate and no private key",
            "swapped",
        ),
        (
            good.0.clone(),
            file("e.key", ENCRYPTED),
            "is encrypted",
            "openssl pkey",
        ),
        (
            file("o.pem", &other),
            good.1.clone(),
            "not the one of the certificate",
            "openssl x509",
        ),
        (
            file("t.pem", "words"),
            good.1.clone(),
            "holds no certificate in PEM",
            "BEGIN CERTIFICATE",
        ),
        (
            good.0.clone(),
            file("t.key", "words"),
            "holds no private key in PEM",
            "BEGIN PRIVATE KEY",
        ),
        (
            good.0.clone(),
            file("c.key", &cut),
            "is damaged",
            "write the file anew",
        ),
        (
            good.0.clone(),
            file("two.key", &format!("{key}{key}")),
            "more than one private key",
            "leave the one",
        ),
        (
            file(
                "b.pem",
                "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            ),
            good.1.clone(),
            "b.pem` cannot be used",
            "openssl x509",
        ),
        (
            good.0.clone(),
            files.path("."),
            "cannot be read",
            "allowed to read it",
        ),
    ];
    for (cert, key, message, help) in cases {
        let faults = refused(cert.clone(), key.clone());
        let [fault] = &faults[..] else {
            panic!("{message}: {faults:?}");
        };
        assert_eq!(fault.code, "E0440");
        assert!(fault.message.contains(message), "{message}: {}", fault.message);
        let said = fault.help.as_deref().unwrap_or_default();
        assert!(said.contains(help), "{message}: {said}");
    }
    assert_eq!(
        refused(files.path("x"), files.path("y")).len(),
        2,
        "both are said at once"
    );
    assert!(refused(good.0, good.1).is_empty());
}

#[test]
fn a_check_points_at_the_key_and_warns_of_what_is_not_there_or_not_valid() {
    let (authority, files) = (Authority::new("a"), Files::new());
    let old = authority.issue_with(&["a.test"], |params| {
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
    });
    let early = authority.issue_with(&["b.test"], |params| {
        params.not_before = date_time_ymd(2090, 1, 1);
        params.not_after = date_time_ymd(2091, 1, 1);
    });
    files.pair("old", &old);
    files.pair("early", &early);
    let shown = files.path("").display().to_string();
    let check = |tls: &str| {
        let tls = tls.replace("AT/", &shown);
        let text = format!("api: a\nserver:\n  tls: {tls}\nservices: {{ a: 'http://127.0.0.1:9' }}\n");
        check_certificates(&load(&text))
    };
    let faults = check("{ cert: AT/old.pem, key: AT/old.key }");
    let [fault] = &faults[..] else {
        panic!("{faults:?}")
    };
    assert_eq!(
        (fault.severity, fault.place.line, fault.place.column),
        (Severity::Warning, 3, 10)
    );
    assert!(fault.message.contains("has expired"), "{}", fault.message);
    let faults = check("{ certificates: [{ cert: AT/early.pem, key: AT/early.key }] }");
    let [fault] = &faults[..] else {
        panic!("{faults:?}")
    };
    assert!(fault.message.contains("not valid yet"), "{}", fault.message);
    let faults = check("{ cert: AT/old.pem, key: AT/none.key }");
    assert!(
        faults.iter().all(|f| f.severity == Severity::Warning),
        "{faults:?}"
    );
    assert!(faults.iter().any(|f| f.message.contains("cannot be read")));
    let faults = check("{ cert: AT/old.pem, key: AT/early.key }");
    let [fault] = &faults[..] else {
        panic!("{faults:?}")
    };
    assert_eq!((fault.severity, fault.place.line), (Severity::Error, 3));
    assert!(
        fault.place.column > 10,
        "at `key`, not at `cert`: {:?}",
        fault.place
    );
}
