//! Counts of exchanges in the Prometheus text format.
//!
//! Threads count in different tables, so that workers do not wait for each other; a scrape adds them up.

mod endpoints;
mod servers;

use crate::commands::version;
use http::Method;
use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use stoa_data::store::Server;
use stoa_edge::{EndpointView, ServiceView};
use stoa_exchange::{Mirrored, Record};

/// Bounds of the duration histogram in seconds (OpenTelemetry, `http.server.request.duration`).
const BOUNDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
/// Tables; with no more workers than this each has its own.
const TABLES: usize = 64;
/// Series of one table; what comes beyond is counted under the route `_other`.
const SERIES_MAX: usize = 10_000;

/// The counts of the process.
pub(crate) struct Metrics {
    tables: [Mutex<Table>; TABLES],
    /// Copies for other services, by service and outcome: as many as the file has services.
    mirrored: Mutex<BTreeMap<(String, Mirrored), u64>>,
}

/// No stranger chooses a key, so a hash that is quick is good enough.
type Table = HashMap<Key, Series, foldhash::fast::RandomState>;

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    route: Arc<str>,
    method: &'static str,
    class: u16,
}

#[derive(Clone, Default)]
struct Series {
    buckets: [u64; BOUNDS.len()],
    count: u64,
    sum: Duration,
    sent_bytes: u64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            tables: std::array::from_fn(|_| Mutex::default()),
            mirrored: Mutex::default(),
        }
    }
}

static THREADS: AtomicUsize = AtomicUsize::new(0);
thread_local! {
    static TABLE: usize = THREADS.fetch_add(1, Ordering::Relaxed) % TABLES;
    static UNMATCHED: Arc<str> = Arc::from("_unmatched");
}

impl Metrics {
    /// Counts one exchange.
    pub(crate) fn record(&self, record: &Record<'_>) {
        let route = record
            .context
            .route
            .clone()
            .unwrap_or_else(|| UNMATCHED.with(Arc::clone));
        let key = Key {
            route,
            method: method(record.method),
            class: record.status.as_u16() / 100,
        };
        let mut table = self.tables[TABLE.with(|t| *t)]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let full = table.len() >= SERIES_MAX && !table.contains_key(&key);
        let key = if full {
            Key {
                route: Arc::from("_other"),
                ..key
            }
        } else {
            key
        };
        let series = table.entry(key).or_default();
        let seconds = record.took.as_secs_f64();
        if let Some(at) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            series.buckets[at] += 1;
        }
        series.count += 1;
        series.sum += record.took;
        series.sent_bytes += record.sent_bytes;
    }

    /// Counts a copy of a request.
    pub(crate) fn mirrored(&self, service: &str, outcome: Mirrored) {
        let mut all = self.mirrored.lock().unwrap_or_else(PoisonError::into_inner);
        *all.entry((service.to_owned(), outcome)).or_default() += 1;
    }

    fn render_mirrored(&self, out: &mut String) {
        let all = self.mirrored.lock().unwrap_or_else(PoisonError::into_inner);
        if all.is_empty() {
            return;
        }
        let name = "stoa_mirrored_requests_total";
        head(out, name, "counter", "Copies of requests for another service.");
        for ((service, outcome), n) in &*all {
            let outcome = outcome.as_str();
            let _ = writeln!(out, "{name}{{service=\"{service}\",outcome=\"{outcome}\"}} {n}");
        }
    }

    /// Everything as Prometheus text, with the gauges that others keep.
    pub(crate) fn render(&self, gauges: &Gauges) -> String {
        let mut all: BTreeMap<Key, Series> = BTreeMap::new();
        for table in &self.tables {
            for (key, series) in &*table.lock().unwrap_or_else(PoisonError::into_inner) {
                all.entry(key.clone()).or_default().add(series);
            }
        }
        let mut out = String::new();
        render_gauges(&mut out, gauges);
        servers::render(&mut out, &gauges.servers);
        endpoints::services(&mut out, &gauges.services);
        endpoints::render(&mut out, &gauges.endpoints);
        head(&mut out, "stoa_requests_total", "counter", "Requests answered.");
        for (key, series) in &all {
            let _ = writeln!(out, "stoa_requests_total{{{}}} {}", key.labels(), series.count);
        }
        head(
            &mut out,
            "stoa_response_body_bytes_total",
            "counter",
            "Bytes of reply bodies sent.",
        );
        for (key, series) in &all {
            let _ = writeln!(
                out,
                "stoa_response_body_bytes_total{{{}}} {}",
                key.labels(),
                series.sent_bytes
            );
        }
        self.render_mirrored(&mut out);
        let name = "http_server_request_duration_seconds";
        head(
            &mut out,
            name,
            "histogram",
            "From the head of a request to the end of its reply.",
        );
        for (key, series) in &all {
            series.render(&mut out, name, &key.labels());
        }
        out
    }
}

/// What is not counted here but shown.
pub(crate) struct Gauges {
    /// Servers of the stores that have several, by the store's name.
    pub(crate) servers: Vec<(String, Server)>,
    /// Addresses of the services.
    pub(crate) endpoints: Vec<EndpointView>,
    /// Services.
    pub(crate) services: Vec<ServiceView>,
    /// Requests under way.
    pub(crate) active: usize,
    /// Log lines that were dropped.
    pub(crate) lines_dropped: u64,
    /// Reloads since the start that were taken and that were refused.
    pub(crate) reloads: [u64; 2],
    /// Panics since the start.
    pub(crate) panics: u64,
    /// Whether new requests are welcome.
    pub(crate) ready: bool,
}

fn render_gauges(out: &mut String, gauges: &Gauges) {
    head(
        out,
        "stoa_build_info",
        "gauge",
        "Version and commit of this process.",
    );
    let (version, commit) = (version::VERSION, version::COMMIT);
    let _ = writeln!(
        out,
        "stoa_build_info{{version=\"{version}\",commit=\"{commit}\"}} 1"
    );
    head(out, "stoa_ready", "gauge", "1 while new requests are welcome.");
    let _ = writeln!(out, "stoa_ready {}", u8::from(gauges.ready));
    head(out, "http_server_active_requests", "gauge", "Requests under way.");
    let _ = writeln!(out, "http_server_active_requests {}", gauges.active);
    head(
        out,
        "stoa_log_lines_dropped_total",
        "counter",
        "Log lines that the output did not take.",
    );
    let _ = writeln!(out, "stoa_log_lines_dropped_total {}", gauges.lines_dropped);
    head(
        out,
        "stoa_panics_total",
        "counter",
        "Faults of Stoa's own; each ended one request or task.",
    );
    let _ = writeln!(out, "stoa_panics_total {}", gauges.panics);
    head(
        out,
        "stoa_reloads_total",
        "counter",
        "Reloads of the API file by their result.",
    );
    for (result, n) in ["taken", "refused"].iter().zip(gauges.reloads) {
        let _ = writeln!(out, "stoa_reloads_total{{result=\"{result}\"}} {n}");
    }
}

impl Key {
    fn labels(&self) -> String {
        let mut labels = String::from("http_route=\"");
        quoted(&mut labels, &self.route);
        let _ = write!(
            labels,
            "\",http_request_method=\"{}\",status=\"{}xx\"",
            self.method, self.class
        );
        labels
    }
}

impl Series {
    fn add(&mut self, other: &Self) {
        for (sum, n) in self.buckets.iter_mut().zip(other.buckets) {
            *sum += n;
        }
        self.count += other.count;
        self.sum += other.sum;
        self.sent_bytes += other.sent_bytes;
    }

    fn render(&self, out: &mut String, name: &str, labels: &str) {
        let mut below = 0;
        for (bound, n) in BOUNDS.iter().zip(self.buckets) {
            below += n;
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {below}");
        }
        let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", self.count);
        let _ = writeln!(out, "{name}_sum{{{labels}}} {}", self.sum.as_secs_f64());
        let _ = writeln!(out, "{name}_count{{{labels}}} {}", self.count);
    }
}

/// A value between the quotes of a label.
fn quoted(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// A stranger may invent methods; only the known ones become labels.
fn method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "CONNECT" => "CONNECT",
        "TRACE" => "TRACE",
        _ => "_OTHER",
    }
}

#[cfg(test)]
mod tests;
