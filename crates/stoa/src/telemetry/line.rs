//! Log lines: ECS JSON for machines, short lines for people.
//!
//! Field names are those of Elastic Common Schema; `@timestamp`, `log.level` and `message` come first. The
//! query of a request, its headers and its body are never written: they may hold personal data or secrets.

use http::Version;
use std::{cell::RefCell, fmt::Write as _, net::IpAddr};
use stoa_exchange::{
    Record, Trace, clock,
    text::{push_address, push_number, put_hex},
};

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// All is well.
    Info,
    /// Somebody should look at it some time.
    Warn,
    /// Something failed.
    Error,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// The members that every line of a process shares, rendered once.
pub(crate) struct Names {
    /// `,"ecs.version":…,"service.name":…` up to the members of the line itself.
    common: String,
}

impl Names {
    /// Of the API called `api`.
    pub(crate) fn new(api: &str) -> Self {
        let mut common = String::from(r#","ecs.version":"8.11.0","service.name":""#);
        escape(&mut common, api);
        common.push_str(r#"","service.version":""#);
        escape(&mut common, env!("CARGO_PKG_VERSION"));
        common.push('"');
        Self { common }
    }
}

/// One line of the access record, with `error.*` when the reply is a failure of ours.
pub(crate) fn access(out: &mut String, names: &Names, record: &Record<'_>) {
    let status = record.status.as_u16();
    let level = if status >= 500 { Level::Error } else { Level::Info };
    begin(out, level);
    // A method is a token, which has nothing to escape.
    out.push_str(record.method.as_str());
    out.push(' ');
    let start = out.len();
    escape(out, record.path);
    let path = start..out.len();
    out.push(' ');
    push_number(out, u64::from(status));
    out.push('"');
    out.push_str(&names.common);
    out.push_str(r#","event.dataset":"stoa.access","http.request.method":""#);
    out.push_str(record.method.as_str());
    out.push_str(r#"","http.version":""#);
    out.push_str(match record.version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    });
    out.push_str(r#"","http.response.status_code":"#);
    push_number(out, u64::from(status));
    out.push_str(r#","url.path":""#);
    out.extend_from_within(path);
    let context = record.context;
    out.push_str(r#"","client.ip":""#);
    address(out, context.client);
    out.push_str(r#"","event.duration":"#);
    push_number(out, u64::try_from(record.took.as_nanos()).unwrap_or(u64::MAX));
    out.push_str(r#","http.response.body.bytes":"#);
    push_number(out, record.sent_bytes);
    member(out, "http.request.id", context.request_id.as_str());
    trace(out, &context.trace);
    if let Some(route) = &context.route {
        member(out, "http.route", route);
    }
    if let Some(subject) = context.identity.subject() {
        member(out, "user.id", subject);
    }
    if let Some(endpoint) = record.endpoint {
        member(out, "destination.address", endpoint);
    }
    if !record.complete {
        member(out, "event.outcome", "failure");
        member(out, "event.reason", "the reply did not reach its end");
    }
    if let Some(problem) = record.problem {
        member(out, "error.type", problem);
    }
    if let Some(cause) = record.cause {
        member(out, "error.message", cause);
    }
    out.push_str("}\n");
}

/// An event of the process itself.
pub(crate) fn event(out: &mut String, names: &Names, level: Level, message: &str, fields: &[(&str, &str)]) {
    begin(out, level);
    escape(out, message);
    out.push('"');
    out.push_str(&names.common);
    out.push_str(r#","event.dataset":"stoa.process""#);
    for (name, value) in fields {
        member(out, name, value);
    }
    out.push_str("}\n");
}

/// What the writer says about lines it had to leave out.
pub(crate) fn dropped(lines: u64) -> String {
    let mut out = String::new();
    begin(&mut out, Level::Warn);
    let _ = writeln!(
        out,
        r#"{lines} log lines were dropped: stdout did not take them","ecs.version":"8.11.0"}}"#
    );
    out
}

/// As [`dropped`], for people.
pub(crate) fn dropped_for_people(lines: u64) -> String {
    format!("{lines} lines were dropped: the terminal did not take them\n")
}

/// `12:03:04 GET /products 200 3.1 ms`, with the cause of a failure.
pub(crate) fn access_for_people(out: &mut String, record: &Record<'_>, colour: bool) {
    let seconds = clock::unix_seconds() % 86_400;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let status = record.status.as_u16();
    let paint = match status {
        _ if !colour => "",
        500.. => "\x1b[31m",
        400..=499 => "\x1b[33m",
        300..=399 => "\x1b[36m",
        _ => "\x1b[32m",
    };
    let (dim, plain) = if colour { ("\x1b[2m", "\x1b[0m") } else { ("", "") };
    let _ = write!(
        out,
        "  {dim}{hours:02}:{minutes:02}:{seconds:02}{plain} {} ",
        record.method
    );
    visible(out, record.path);
    let millis = record.took.as_secs_f64() * 1000.0;
    let _ = write!(out, " {paint}{status}{plain} {dim}{millis:.1} ms{plain}");
    if let Some(problem) = record.problem {
        let _ = write!(out, " {problem}");
    }
    if let Some(cause) = record.cause {
        out.push_str(": ");
        visible(out, cause);
    }
    if !record.complete {
        out.push_str(" (cut off)");
    }
    out.push('\n');
}

/// An address, as it was written for the thread's last line where it is the same: connections stay.
fn address(out: &mut String, address: IpAddr) {
    thread_local! {
        static LAST: RefCell<Option<(IpAddr, String)>> = const { RefCell::new(None) };
    }
    LAST.with_borrow_mut(|last| {
        if let Some((_, text)) = last.as_ref().filter(|(of, _)| *of == address) {
            return out.push_str(text);
        }
        let mut text = String::new();
        push_address(&mut text, address);
        out.push_str(&text);
        *last = Some((address, text));
    });
}

fn begin(out: &mut String, level: Level) {
    out.push_str(r#"{"@timestamp":""#);
    timestamp(out, clock::unix_micros() / 1000);
    out.push_str(r#"","log.level":""#);
    out.push_str(level.as_str());
    out.push_str(r#"","message":""#);
}

/// A moment in milliseconds since 1970, as RFC 3339 writes it.
fn timestamp(out: &mut String, millis: u64) {
    thread_local! {
        /// The second of the thread's last line and how it is written: a busy worker writes many lines in one.
        static SECOND: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
    }
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != millis / 1000 {
            *second = millis / 1000;
            let moment = i64::try_from(*second)
                .ok()
                .and_then(|s| jiff::Timestamp::from_second(s).ok());
            text.clear();
            let _ = write!(text, "{}", moment.unwrap_or_default());
            text.truncate(text.trim_end_matches('Z').len());
        }
        out.push_str(text);
    });
    let digit = |place: u64| char::from(b'0' + (millis / place % 10) as u8);
    for c in ['.', digit(100), digit(10), digit(1), 'Z'] {
        out.push(c);
    }
}

/// The ids of the trace, looked at as text once for both.
fn trace(out: &mut String, trace: &Trace) {
    let mut text = *br#","trace.id":"00000000000000000000000000000000","span.id":"0000000000000000""#;
    put_hex(&mut text[13..45], &trace.trace_id);
    put_hex(&mut text[58..74], &trace.span_id);
    out.push_str(std::str::from_utf8(&text).unwrap_or_default());
}

fn member(out: &mut String, name: &str, value: &str) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":\"");
    escape(out, value);
    out.push('"');
}

/// JSON string content. Runs without anything to escape are copied whole.
fn escape(out: &mut String, text: &str) {
    let special = |b: u8| matches!(b, 0..=0x1f | b'"' | b'\\' | 0x7f);
    // Nearly always nothing is special, which is seen in few steps by a loop without a way out, many bytes at a time.
    let some = |found: u8, b: u8| {
        found | u8::from(b < 0x20) | u8::from(b == b'"') | u8::from(b == b'\\') | u8::from(b == 0x7f)
    };
    if text.bytes().fold(0, some) == 0 {
        out.push_str(text);
        return;
    }
    let mut rest = text;
    while let Some(at) = rest.bytes().position(special) {
        out.push_str(&rest[..at]);
        let bad = rest.as_bytes()[at];
        match bad {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            other => {
                let _ = write!(out, "\\u{other:04x}");
            }
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

/// Text of a stranger on a terminal: control characters are shown, never obeyed.
fn visible(out: &mut String, text: &str) {
    for c in text.chars() {
        if c.is_control() {
            let _ = write!(out, "{}", c.escape_default());
        } else {
            out.push(c);
        }
    }
}
