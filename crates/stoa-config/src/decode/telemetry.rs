//! `telemetry:`

use super::Reader;
use crate::{
    grammar::{self, name, net},
    node::{Node, Value},
    plan::{Secret, Telemetry},
    report::Report,
    spec::{Key, MapSpec, Shape},
};

pub(crate) static TELEMETRY: MapSpec = MapSpec {
    name: "telemetry",
    doc: "Where traces and metrics are pushed. Metrics can always be read at `/metrics` of the admin port.",
    keys: &[
        Key::new(
            "otlp",
            Shape::Value(&net::WEB_WORDS),
            "URL of an OpenTelemetry collector (OTLP over HTTP).",
            "http://otel-collector:4318",
        ),
        Key::new(
            "headers",
            Shape::Named(&name::HEADER_WORDS, &Shape::Value(&name::SECRET_WORDS)),
            "Header fields sent with each push.",
            "{ api-key: \"${file:/run/secrets/otlp}\" }",
        ),
    ],
    instead: &[
        ("endpoint", "did you mean `otlp`?"),
        ("url", "did you mean `otlp`?"),
    ],
};

pub(crate) fn telemetry(node: &Node, report: &mut Report<'_>) -> Option<Telemetry> {
    let read = Reader::open(&TELEMETRY, node, "`telemetry`", report)?;
    let mut telemetry = Telemetry {
        otlp: read.value("otlp", &net::WEB, report).map(Secret::new),
        ..Telemetry::default()
    };
    if let Some(node) = read.get("headers") {
        let Value::Map(map) = &node.value else {
            report.wrong_type(node, "`headers`", "a map of names and values");
            return Some(telemetry);
        };
        for entry in &map.entries {
            if let Err(flaw) = name::header(&entry.key) {
                report.add(name::HEADER_WORDS.code, entry.key_span, flaw.message);
            } else if let Some(value) = grammar::scalar(&entry.value, &name::SECRET, report) {
                telemetry
                    .headers
                    .insert(entry.key.to_ascii_lowercase(), Secret::new(value));
            }
        }
    }
    Some(telemetry)
}
