//! Lines: well-formed JSON whatever a stranger sends, ECS members in order, nothing secret.

use super::{
    Form, Telemetry,
    line::{self, Level, Names},
    metrics, panics, writer,
};
use http::{Method, StatusCode};
use serde_json::Value;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use stoa_exchange::{Context, Record};

fn record<'a>(context: &'a Context, path: &'a str, cause: Option<&'a str>) -> Record<'a> {
    Record {
        context,
        method: &Method::GET,
        path,
        version: http::Version::HTTP_11,
        status: if cause.is_some() {
            StatusCode::BAD_GATEWAY
        } else {
            StatusCode::OK
        },
        problem: cause.map(|_| "upstream-refused"),
        cause,
        sent_bytes: 12,
        took: Duration::from_nanos(1_234_567),
        complete: true,
        endpoint: Some("127.0.0.1:9001"),
    }
}

#[test]
fn an_access_line_is_ecs() {
    let mut context = Context::local();
    context.route = Some(Arc::from("GET /products/{id}"));
    let mut text = String::new();
    line::access(
        &mut text,
        &Names::new("shop"),
        &record(&context, "/products/7", Some("refused: \"no\"")),
    );
    assert!(text.ends_with("}\n"));
    let value: Value = serde_json::from_str(&text).unwrap();
    let keys: Vec<&String> = value.as_object().unwrap().keys().collect();
    assert_eq!(
        keys[..5],
        [
            "@timestamp",
            "log.level",
            "message",
            "ecs.version",
            "service.name"
        ]
    );
    for (name, wanted) in [
        ("log.level", "error"),
        ("message", "GET /products/7 502"),
        ("service.name", "shop"),
        ("http.request.method", "GET"),
        ("url.path", "/products/7"),
        ("client.ip", "127.0.0.1"),
        ("http.route", "GET /products/{id}"),
        ("error.type", "upstream-refused"),
        ("error.message", "refused: \"no\""),
        ("destination.address", "127.0.0.1:9001"),
        ("http.request.id", context.request_id.as_str()),
    ] {
        assert_eq!(value[name], wanted, "{name}");
    }
    assert_eq!(value["event.duration"].as_u64(), Some(1_234_567));
    assert_eq!(value["http.response.status_code"].as_u64(), Some(502));
    assert_eq!(value["trace.id"].as_str().unwrap().len(), 32);
    assert!(
        value["@timestamp"]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .is_ok()
    );
}

#[test]
fn a_line_stays_one_line_of_json_whatever_the_path_holds() {
    let context = Context::local();
    for path in ["/\"}{", "/\\", "/a\nb\r\t\u{0}\u{1f}\u{7f}", "/ä\u{2028}💶", ""] {
        let mut text = String::new();
        line::access(
            &mut text,
            &Names::new("shop"),
            &record(&context, path, Some(path)),
        );
        assert_eq!(text.lines().count(), 1, "{path:?}");
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["url.path"], path);
        assert_eq!(value["error.message"], path);
    }
}

#[test]
fn a_stranger_cannot_steer_the_terminal() {
    let context = Context::local();
    let mut text = String::new();
    line::access_for_people(&mut text, &record(&context, "/\u{1b}[2J\r\n", None), false);
    assert!(!text.contains('\u{1b}'), "{text:?}");
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn events_and_drops_are_lines_too() {
    let mut text = String::new();
    line::event(
        &mut text,
        &Names::new("shop"),
        Level::Info,
        "listening",
        &[("url.full", "http://x:1")],
    );
    text.push_str(&line::dropped(3));
    let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(lines[0]["url.full"], "http://x:1");
    assert_eq!(lines[1]["log.level"], "warn");
}

/// What was written, for the test to read.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_panic_is_counted_and_told_without_its_message() {
    let written = Written::default();
    let telemetry = Arc::new(Telemetry {
        metrics: metrics::Metrics::default(),
        writer: writer::Writer::start(written.clone(), line::dropped).unwrap(),
        form: Form::Json,
        names: Names::new("shop"),
    });
    let usual = std::panic::take_hook();
    panics::watch(&telemetry);
    let before = panics::count();
    let ended = std::thread::spawn(|| panic!("the card number is 4111")).join();
    std::panic::set_hook(usual);
    ended.unwrap_err();
    telemetry.writer.close();
    assert!(panics::count() > before);
    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    assert!(!text.contains("4111"), "{text}");
    let line: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(line["error.type"], "panic");
    let file = line["log.origin.file.name"].as_str().unwrap();
    assert!(file.ends_with("telemetry/tests.rs"), "{file}");
}
