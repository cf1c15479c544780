//! URLs of PostgreSQL, as libpq has them: several hosts with a port each, sockets, and what is asked of the connection.
//! A flaw never repeats what may hold a password.

use super::Flaw;
use super::net::scheme;
use crate::report::nearest;
use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;

/// How far a connection is encrypted and its server known, from not at all.
const SSL_MODES: [&str; 6] = [
    "disable",
    "allow",
    "prefer",
    "require",
    "verify-ca",
    "verify-full",
];
/// Those under which it is encrypted in any case.
const ENCRYPTED: [&str; 3] = ["require", "verify-ca", "verify-full"];

/// What a parameter may say.
enum Takes {
    /// Anything.
    Text,
    /// A whole number.
    Number,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Addresses, with commas between.
    Addresses,
    /// Ports, with commas between.
    Ports,
}

/// The parameters that a connection of Stoa honours, or that say what it does anyway.
const PARAMETERS: &[(&str, Takes)] = &[
    ("sslmode", Takes::Word(&SSL_MODES)),
    ("sslrootcert", Takes::Text),
    ("sslnegotiation", Takes::Word(&["postgres", "direct"])),
    ("channel_binding", Takes::Word(&["disable", "prefer", "require"])),
    ("application_name", Takes::Text),
    ("options", Takes::Text),
    ("user", Takes::Text),
    ("password", Takes::Text),
    ("dbname", Takes::Text),
    ("host", Takes::Text),
    ("hostaddr", Takes::Addresses),
    ("port", Takes::Ports),
    (
        "target_session_attrs",
        Takes::Word(&[
            "any",
            "read-write",
            "read-only",
            "primary",
            "standby",
            "prefer-standby",
        ]),
    ),
    ("load_balance_hosts", Takes::Word(&["disable", "random"])),
    ("connect_timeout", Takes::Number),
    ("tcp_user_timeout", Takes::Number),
    ("keepalives", Takes::Number),
    ("keepalives_idle", Takes::Number),
    ("keepalives_interval", Takes::Number),
    ("keepalives_retries", Takes::Number),
    ("gssencmode", Takes::Word(&["disable", "prefer"])),
];

/// Parses a URL of a database.
pub(super) fn postgres(text: &str) -> Result<String, Flaw> {
    let start = scheme(text, &["postgres", "postgresql"])?.len() + "://".len();
    let end = text[start..]
        .find(['/', '?', '#'])
        .map_or(text.len(), |at| start + at);
    let authority = &text[start..end];
    let hosts = match authority.rsplit_once('@') {
        None => start,
        Some((login, _)) => {
            escapes(text, start..start + login.len())?;
            if login.contains('@') {
                return Err(Flaw::whole(text, "there are two `@` before the host")
                    .help("an `@` in a user or password is written `%40`"));
            }
            start + login.len() + 1
        }
    };
    escapes(text, end..text.len())?;
    let query = match text[end..].split_once('?') {
        Some((path, _)) => end + path.len() + 1,
        None => text.len(),
    };
    if let Some(at) = text[end..].find('#').filter(|_| !elsewhere(text, end)) {
        let flaw = Flaw::at(end + at..text.len(), "the URL of a database ends before the `#`");
        return Err(flaw.help("a `#` in a value is written `%23`"));
    }
    each_host(text, hosts..end)?;
    let named = each_parameter(text, query)?;
    if hosts == end && !named {
        return Err(Flaw::whole(text, "the URL names no host").help(
            "such as `db:5432`; of a socket, the folder: `postgres://USER@%2Frun%2Fpostgresql/DATABASE`",
        ));
    }
    Ok(text.to_owned())
}

/// Whether what stands where the host ends looks like the rest of a password.
fn elsewhere(text: &str, end: usize) -> bool {
    text[end..].contains('@')
}

/// Each `%` is followed by two hexadecimal digits.
fn escapes(text: &str, part: Range<usize>) -> Result<(), Flaw> {
    let bytes = text.as_bytes();
    for at in part.clone().filter(|at| bytes.get(*at) == Some(&b'%')) {
        let digits = bytes.get(at + 1..(at + 3).min(part.end)).unwrap_or_default();
        if digits.len() < 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(Flaw::whole(text, "a `%` is not followed by two digits")
                .help("a `%` in a user, password or value is written `%25`"));
        }
    }
    Ok(())
}

/// `name`, `name:port`, `[::1]` or `[::1]:port`, with commas between.
fn each_host(text: &str, part: Range<usize>) -> Result<(), Flaw> {
    let mut at = part.start;
    for one in text[part.clone()].split(',') {
        let here = at..at + one.len();
        at += one.len() + 1;
        let (name, port) = if let Some(rest) = one.strip_prefix('[') {
            let (address, port) = rest.split_once(']').unwrap_or((rest, ""));
            if address.parse::<Ipv6Addr>().is_err() {
                return Err(Flaw::at(here, "this is not a URL: invalid IPv6 address"));
            }
            (address, port)
        } else {
            let (name, port) = one.split_at(one.find(':').unwrap_or(one.len()));
            (name, port)
        };
        if !port.is_empty() && !port.strip_prefix(':').is_some_and(is_port) {
            let flaw = Flaw::whole(text, "this is not a URL: its port is out of range: 1 to 65535");
            // `user:p#w@host` ends before the `#`, and `p` stands where a port would.
            return Err(if elsewhere(text, part.end) {
                flaw.help("a `#`, `/` or `?` in a password is written `%23`, `%2F` or `%3F`")
            } else {
                flaw
            });
        }
        if name.is_empty() && !part.is_empty() {
            return Err(Flaw::whole(text, "the URL names no host"));
        }
    }
    Ok(())
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse::<u16>().is_ok_and(|port| port > 0)
}

/// The parameters from `start` on; whether one of them names a host.
fn each_parameter(text: &str, start: usize) -> Result<bool, Flaw> {
    let mut at = start;
    let (mut mode, mut named) = (None, false);
    let (mut direct, mut bound) = (None, None);
    for pair in text.get(start..).unwrap_or_default().split('&') {
        let here = at..at + pair.len();
        at += pair.len() + 1;
        if pair.is_empty() {
            continue;
        }
        let Some((name, value)) = pair.split_once('=') else {
            return Err(Flaw::at(here, "a parameter is written `NAME=VALUE`"));
        };
        let Some((name, takes)) = PARAMETERS.iter().find(|(known, _)| *known == name) else {
            return Err(unknown(name, here));
        };
        judge(name, takes, value, &here)?;
        match *name {
            "sslmode" => mode = Some(value),
            "host" => named = true,
            "sslnegotiation" if value == "direct" => direct = Some(here),
            "channel_binding" if value == "require" => bound = Some(here),
            _ => {}
        }
    }
    let encrypted = mode.is_some_and(|mode| ENCRYPTED.contains(&mode));
    if let Some(here) = direct.or(bound).filter(|_| !encrypted) {
        let help = format!("write also `sslmode={}`", ENCRYPTED.join("`, `"));
        return Err(Flaw::at(here, "this asks for a connection that is encrypted in any case").help(help));
    }
    Ok(named)
}

fn judge(name: &str, takes: &Takes, value: &str, here: &Range<usize>) -> Result<(), Flaw> {
    let each = |is: fn(&str) -> bool| value.split(',').all(is);
    let (fits, wanted) = match takes {
        Takes::Text => (true, String::new()),
        Takes::Number => (value.parse::<u32>().is_ok(), "a whole number".to_owned()),
        Takes::Word(words) => (words.contains(&value), format!("one of {}", words.join(", "))),
        Takes::Addresses => (
            each(|one| one.parse::<IpAddr>().is_ok()),
            "an address such as 10.0.0.1".to_owned(),
        ),
        Takes::Ports => (each(is_port), "a port from 1 to 65535".to_owned()),
    };
    if fits {
        return Ok(());
    }
    let article = if name == "sslmode" { "an" } else { "a" };
    let flaw = Flaw::at(here.clone(), format!("`{value}` is not {article} `{name}`"));
    Err(flaw.help(format!("write {wanted}")))
}

/// A parameter that nothing would come of.
fn unknown(name: &str, here: Range<usize>) -> Flaw {
    let flaw = Flaw::at(here, "Stoa knows no parameter of this name");
    let known = PARAMETERS.iter().map(|(name, _)| *name);
    match name {
        "passfile" | "service" | "servicefile" => {
            flaw.help("write user and password into the URL, from a variable: `${DATABASE_URL}`")
        }
        "sslcert" | "sslkey" | "sslpassword" => {
            flaw.help("Stoa shows no certificate of its own: it signs in with a password")
        }
        _ => match nearest(name, known.clone()) {
            Some(meant) => flaw.help(format!("did you mean `{meant}`?")),
            None => flaw.help(format!("known are {}", known.collect::<Vec<_>>().join(", "))),
        },
    }
}
