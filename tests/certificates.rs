//! Certificates in the built binary: what it serves with, and files that change under it.

use crate::support::server::{Server, Setup, folder_with, stoa};
use std::{fs, path::Path};

const FILE: &str = "
api: secure
server: { tls: { cert: cert.pem, key: key.pem } }
services:
  gone: { url: 'http://127.0.0.1:1', routes: { '/gone/**': { access: public } } }
";

/// A certificate and its key.
fn pair() -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate is made");
    (made.cert.pem(), made.signing_key.serialize_pem())
}

fn write(folder: &Path, (cert, key): &(String, String)) {
    fs::write(folder.join("cert.pem"), cert).expect("the certificate is written");
    fs::write(folder.join("key.pem"), key).expect("the key is written");
}

#[test]
fn files_that_change_are_taken_and_broken_ones_are_not() {
    for mode in ["serve", "dev"] {
        let (_keep, folder) = folder_with(FILE);
        write(&folder, &pair());
        let mut server = Server::start(&Setup::new(mode, &folder));
        assert!(server.said().contains("https://127.0.0.1:"), "{}", server.said());
        write(&folder, &pair());
        server.wait_for_line("certificates taken");
        fs::write(folder.join("key.pem"), pair().1).expect("another key is written");
        server.wait_for_line("is not the one of the certificate");
        server.wait_for_line("those of before serve on");
        server.forget();
        write(&folder, &pair());
        server.wait_for_line("certificates taken");
    }
}

#[test]
fn a_check_and_a_start_say_what_is_wrong_with_them() {
    let (_keep, folder) = folder_with(FILE);
    let ran = stoa(&folder, &["check"]);
    assert_eq!(
        ran.code, 0,
        "files may be mounted only where it runs: {}",
        ran.stderr
    );
    assert!(ran.stderr.contains("cert.pem` cannot be read"), "{}", ran.stderr);
    let ran = stoa(&folder, &["serve", "--http", "127.0.0.1:0", "--admin", "none"]);
    assert_eq!(ran.code, 1);
    assert!(
        ran.stderr.contains("E0440") && ran.stderr.contains("cert.pem` cannot be read"),
        "{}",
        ran.stderr
    );
    let (cert, _) = pair();
    write(&folder, &(cert, pair().1));
    let ran = stoa(&folder, &["check"]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("stoa.yaml:3:34"), "{}", ran.stderr);
}
