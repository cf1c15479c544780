//! WebSockets through the binary: the Autobahn test suite's cases (kosoku, PyPI) against a real server (websockets, PyPI) behind
//! Stoa.

use crate::support::{
    server::{Server, Setup, folder_with},
    service::Service,
    tools,
};
use serde_json::Value;
use std::{collections::BTreeSet, path::Path, process::Command};

/// Cases of other things than the protocol: how long large messages take (9), and compression with parameters that the server
/// behind decides about (12, 13).
const LEFT_OUT: [&str; 3] = ["9.*", "12.*", "13.*"];

/// As many as the suite has without those.
const CASES: usize = 247;

#[test]
fn autobahns_cases_pass_through() {
    let echo = Service::start("echo_websocket.py");
    let (keep, folder) = folder_with(&format!(
        "api: sockets\nservices:\n  echo: {{ url: 'http://{}', routes: {{ /**: {{ access: public }} }} }}\n",
        echo.address
    ));
    let server = Server::start(&Setup::new("serve", &folder));
    // What the server behind does by itself is between it and the suite.
    let own = failed(keep.path(), &echo.address);
    let through = failed(keep.path(), server.http.trim_start_matches("http://"));
    let ours: Vec<_> = through.difference(&own).collect();
    assert!(ours.is_empty(), "{ours:#?}");
}

/// The cases that a server does not pass.
fn failed(folder: &Path, address: &str) -> BTreeSet<String> {
    let mut suite = Command::new(tools::python_program("kosoku"));
    suite
        .current_dir(folder)
        .args(["-p", "8", "-o", "report", address]);
    suite.args(LEFT_OUT.iter().flat_map(|case| ["-x", case]));
    // It ends with an error where a case fails; which one is in its report.
    let said = suite.output().expect("the suite starts");
    let report = std::fs::read_to_string(folder.join("report/index.json"));
    let report = report.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&said.stderr)));
    let report: Value = serde_json::from_str(&report).expect("the report is JSON");
    let agents = report.as_object().expect("the report is by the agent");
    let cases: Vec<(&String, &Value)> = agents.values().filter_map(Value::as_object).flatten().collect();
    assert_eq!(cases.len(), CASES);
    let fails = |case: &Value| case["behavior"] == "FAILED" || case["behaviorClose"] == "WRONG CODE";
    let failed = cases.into_iter().filter(|(_, case)| fails(case));
    failed.map(|(number, _)| number.clone()).collect()
}
