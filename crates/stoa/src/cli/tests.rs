//! Arguments: what is taken and what is refused.

use super::*;
use clap::CommandFactory;

#[test]
fn the_definitions_hold_together() {
    Cli::command().debug_assert();
}

#[test]
fn addresses_may_leave_out_the_host() {
    for (text, wanted) in [
        ("127.0.0.1:8080", Some("127.0.0.1:8080")),
        ("[::1]:80", Some("[::1]:80")),
        ("localhost:3000", Some("127.0.0.1:3000")),
        (":3000", Some("127.0.0.1:3000")),
        ("0", Some("127.0.0.1:0")),
        ("65536", None),
        ("example.com:80", None),
        ("", None),
    ] {
        let parsed = address(text).ok().map(|a| a.to_string());
        assert_eq!(parsed.as_deref(), wanted, "{text}");
    }
    assert_eq!(admin_address("none"), Ok(AdminAddress::None));
}

#[test]
fn durations_need_a_unit_and_do_not_overflow() {
    for (text, wanted) in [
        ("250ms", Some(250)),
        ("10s", Some(10_000)),
        ("5m", Some(300_000)),
        ("1h", Some(3_600_000)),
        ("7d", Some(604_800_000)),
        ("7", None),
        ("h", None),
        ("-1h", None),
        ("1 h", None),
        ("99999999999999999d", None),
    ] {
        let parsed = duration(text).ok().map(|d| d.as_millis());
        assert_eq!(parsed, wanted, "{text}");
    }
}

#[test]
fn every_command_shows_an_example() {
    for command in Cli::command().get_subcommands() {
        let has = command.get_after_help().is_some() || command.has_subcommands();
        assert!(has, "{} has no example", command.get_name());
    }
}
