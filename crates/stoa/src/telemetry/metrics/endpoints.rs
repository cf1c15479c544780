//! The addresses of the services in the Prometheus text format.

use super::{head, quoted};
use std::fmt::Write as _;
use stoa_edge::EndpointView;

/// A series: its name, kind and help, and its value for an address that has one.
type Series = (
    &'static str,
    &'static str,
    &'static str,
    fn(&EndpointView) -> Option<f64>,
);

const SERIES: [Series; 5] = [
    (
        "stoa_endpoint_in_use",
        "gauge",
        "1 while the address gets requests, 0 while it is left out.",
        |e| Some(f64::from(u8::from(matches!(e.state, "in use" | "starting")))),
    ),
    (
        "stoa_endpoint_active_requests",
        "gauge",
        "Requests under way at the address.",
        |e| Some(f64::from(e.in_flight)),
    ),
    (
        "stoa_endpoint_latency_seconds",
        "gauge",
        "Peak of the time until its replies begin, forgotten with time.",
        |e| e.latency.map(|latency| latency.as_secs_f64()),
    ),
    (
        "stoa_endpoint_ejections_total",
        "counter",
        "Times that the address was left out.",
        |e| Some(e.ejections as f64),
    ),
    (
        "stoa_endpoint_returns_total",
        "counter",
        "Times that the address came back into use.",
        |e| Some(e.returns as f64),
    ),
];

/// Each address of each service.
pub(super) fn render(out: &mut String, endpoints: &[EndpointView]) {
    if endpoints.is_empty() {
        return;
    }
    for (name, kind, help, value) in SERIES {
        head(out, name, kind, help);
        for endpoint in endpoints {
            if let Some(value) = value(endpoint) {
                let _ = writeln!(out, "{name}{{{}}} {value}", labels(endpoint));
            }
        }
    }
}

fn labels(endpoint: &EndpointView) -> String {
    let mut text = String::from("service=\"");
    quoted(&mut text, &endpoint.service);
    text.push_str("\",endpoint=\"");
    quoted(&mut text, &endpoint.endpoint);
    text.push('"');
    text
}
