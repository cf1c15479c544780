//! The services and their addresses in the Prometheus text format.

use super::{head, quoted};
use std::fmt::Write as _;
use stoa_edge::{EndpointView, ServiceView};

/// A series: its name, kind and help, and its value for an address that has one.
type Series = (
    &'static str,
    &'static str,
    &'static str,
    fn(&EndpointView) -> Option<f64>,
);

const SERIES: [Series; 6] = [
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
    (
        "stoa_endpoint_lookup_failures_total",
        "counter",
        "Lookups of the address's name that failed; what was found before is used on.",
        |e| Some(e.lookups_failed as f64),
    ),
];

/// As [`Series`], of a service.
type ServiceSeries = (&'static str, &'static str, &'static str, fn(&ServiceView) -> u64);

const OF_SERVICES: [ServiceSeries; 5] = [
    (
        "stoa_service_retries_total",
        "counter",
        "Tries beyond a request's first.",
        |s| s.retries,
    ),
    (
        "stoa_service_retries_denied_total",
        "counter",
        "Tries that the budget did not allow.",
        |s| s.retries_denied,
    ),
    (
        "stoa_service_hedges_total",
        "counter",
        "Tries beside a first one that took long; they are among the retries.",
        |s| s.hedges,
    ),
    (
        "stoa_service_pending_requests",
        "gauge",
        "Requests that wait for a connection.",
        |s| u64::from(s.waiting),
    ),
    (
        "stoa_service_turned_away_total",
        "counter",
        "Requests that found no connection in time, or no place to wait.",
        |s| s.turned_away,
    ),
];

/// Each service.
pub(super) fn services(out: &mut String, services: &[ServiceView]) {
    for (name, kind, help, value) in OF_SERVICES {
        if !services.is_empty() {
            head(out, name, kind, help);
        }
        for service in services {
            let mut labels = String::from("service=\"");
            quoted(&mut labels, &service.service);
            let _ = writeln!(out, "{name}{{{labels}\"}} {}", value(service));
        }
    }
}

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
