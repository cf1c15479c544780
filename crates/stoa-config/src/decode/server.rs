//! `server:`

use super::{Context, Reader, admission, handling, list, overload, policies, read::default, tls};
use crate::{
    fault::codes,
    grammar::{self, net, units},
    node::Node,
    plan::{Compress, Server},
    report::Report,
    spec::{Key, MapSpec, Shape},
};

pub(crate) static SERVER: MapSpec = MapSpec {
    name: "server",
    doc: "The listeners and the bounds that hold for every request.",
    keys: &[
        Key::new(
            "http",
            Shape::Value(&net::LISTEN_WORDS),
            "Where the API is served. Port 0 asks the system for a free one.",
            "0.0.0.0:8080",
        )
        .or("127.0.0.1:8080"),
        Key::new(
            "admin",
            Shape::Value(&net::LISTEN_OR_NONE_WORDS),
            "Probes, metrics, purge and console; never public. `none` switches it off.",
            "127.0.0.1:9090",
        )
        .or("127.0.0.1:9090"),
        Key::new(
            "tls",
            Shape::Map(&tls::TLS),
            "Certificate and key; without them the API is served in plain HTTP, HTTP/2 by prior knowledge too.",
            "{ cert: tls/cert.pem, key: tls/key.pem }",
        ),
        Key::new(
            "workers",
            Shape::Any(&[Shape::Value(&AUTO), Shape::Int { min: 1, max: 1024 }]),
            "Threads that serve; `auto` is one per core.",
            "auto",
        )
        .or("auto"),
        Key::new(
            "trusted_proxies",
            Shape::List(&Shape::Value(&net::CIDR_WORDS)),
            "Peers whose `Forwarded` and `X-Forwarded-*` are believed.",
            "[10.0.0.0/8]",
        )
        .or("[]"),
        Key::new(
            "ip",
            admission::IP_SHAPE,
            "Which clients may ask anything, by their address behind `trusted_proxies`.",
            "{ allow: [10.0.0.0/8], deny: [10.1.2.3] }",
        ),
        Key::new(
            "proxy_protocol",
            Shape::List(&Shape::Value(&net::CIDR_WORDS)),
            "Balancers that say by the PROXY protocol (1 or 2) who connected to them. From these it must come, from others it is refused.",
            "[10.0.0.0/8]",
        )
        .or("[]"),
        Key::new(
            "max_body",
            Shape::Value(&units::SIZE_WORDS),
            "The largest request body; `413` beyond. A route may say its own.",
            "8MiB",
        )
        .or("1MiB"),
        Key::new(
            "max_header_size",
            Shape::Value(&units::SIZE_WORDS),
            "The largest head of a request, 1KiB to 1MiB; `431` beyond.",
            "64KiB",
        )
        .or("32KiB"),
        Key::new(
            "max_headers",
            Shape::Int { min: 8, max: 1000 },
            "The most header fields of a request; `431` beyond.",
            "200",
        )
        .or("100"),
        Key::new(
            "max_uri",
            Shape::Value(&units::SIZE_WORDS),
            "The longest request target, 256B to 1MiB; `414` beyond.",
            "8KiB",
        )
        .or("16KiB"),
        Key::new(
            "max_connections",
            Shape::Int {
                min: 1,
                max: 10_000_000,
            },
            "Connections open at once in this process.",
            "50000",
        )
        .or("10000"),
        Key::new(
            "max_streams",
            Shape::Int { min: 1, max: 1000 },
            "Requests at once on one HTTP/2 connection; more are refused, and a client may send them again.",
            "250",
        )
        .or("100"),
        Key::new(
            "header_timeout",
            Shape::Value(&units::DURATION_WORDS),
            "From the first byte of a head, or the connection's start, to the head's end.",
            "5s",
        )
        .or("10s"),
        Key::new(
            "body_timeout",
            Shape::Value(&units::DURATION_WORDS),
            "The longest wait for the next part of a request body.",
            "1m",
        )
        .or("30s"),
        Key::new(
            "min_body_rate",
            Shape::Value(&units::SIZE_WORDS),
            "What a client must send of a body each second while it is waited for; `408` when it falls 8 seconds behind. `0B` asks for none.",
            "1KiB",
        )
        .or("500B"),
        Key::new(
            "reply_timeout",
            Shape::Value(&units::DURATION_WORDS),
            "The longest wait for a client to take more of its reply; then its connection, or its request of HTTP/2, ends.",
            "30s",
        )
        .or("10s"),
        Key::new(
            "idle_timeout",
            Shape::Value(&units::DURATION_WORDS),
            "How long a connection may rest between requests.",
            "5m",
        )
        .or("75s"),
        Key::new(
            "drain",
            Shape::Value(&units::DURATION_WORDS),
            "How long a stopping process waits for requests under way.",
            "60s",
        )
        .or("30s"),
        Key::new(
            "allow_rollback",
            Shape::Bool,
            "Whether `Prefer: tx=rollback` undoes a caller's write at its end, as tests of client programs want it.",
            "true",
        )
        .or("false"),
        Key::new(
            "overload",
            overload::OVERLOAD_SHAPE,
            "Whether requests are refused at once (`503`, `Retry-After`) when more wait than can be answered in time.",
            "{ floor: 32 }",
        )
        .or("true"),
        Key::new(
            "compress",
            handling::COMPRESS_SHAPE,
            "Whether texts from 1 KiB on are compressed (zstd, br, gzip) for requests that accept it: `true` does so unless a request has credentials, `always` then too, `false` never.",
            "always",
        )
        .or("true"),
        Key::new(
            "cors",
            policies::CORS_SHAPE,
            "Which pages of other origins may call, for every route that does not say its own.",
            "{ origins: [https://app.example.com] }",
        ),
    ],
    instead: &[
        ("port", "write `http: 127.0.0.1:PORT`"),
        ("listen", "write `http: ADDRESS:PORT`"),
        ("host", "write `http: ADDRESS:PORT`"),
        ("address", "write `http: ADDRESS:PORT`"),
        ("threads", "did you mean `workers`?"),
    ],
};

static AUTO: grammar::Words =
    grammar::Words::new("`auto` or a number", codes::NUMBER, &["auto", "4"]).choice(&["auto"]);

/// Reads `server:`, or what holds without it.
pub(crate) fn server(node: &Node, context: &Context<'_>, report: &mut Report<'_>) -> Option<Server> {
    let read = Reader::open(&SERVER, node, "`server`", report)?;
    let http = read.value("http", &net::LISTEN, report);
    let http = read.or_default(http, "http", &net::LISTEN);
    let admin = read.value("admin", &net::LISTEN_OR_NONE, report);
    let admin = read.or_default(admin, "admin", &net::LISTEN_OR_NONE);
    if admin == Some(http) && http.port() != 0 {
        let key = if read.get("admin").is_some() {
            "admin"
        } else {
            "http"
        };
        let span = read.get(key).map_or(node.span, |n| n.span);
        report
            .add(
                codes::SAME_ADDRESS,
                span,
                format!("`http` and `admin` both listen on {http}"),
            )
            .help("give `admin` another port");
    }
    let duration = |key: &str, report: &mut Report<'_>| {
        let value = read.value(key, &units::DURATION, report);
        read.or_default(value, key, &units::DURATION)
    };
    Some(Server {
        http,
        admin,
        tls: read.get("tls").and_then(|n| tls::tls(n, context, report)),
        workers: workers(&read, report),
        trusted_proxies: networks(&read, "trusted_proxies", report),
        ip: admission::ip(&read, report),
        proxy_protocol: networks(&read, "proxy_protocol", report),
        body_bytes_max: size(&read, "max_body", (0, 1 << 40), report),
        header_bytes_max: size(&read, "max_header_size", (1 << 10, 1 << 20), report) as u32,
        headers_max: read.int("max_headers", report).unwrap_or(100) as u16,
        uri_bytes_max: size(&read, "max_uri", (256, 1 << 20), report) as u32,
        connections_max: read.int("max_connections", report).unwrap_or(10_000) as u32,
        streams_max: read.int("max_streams", report).unwrap_or(100) as u16,
        header_timeout: duration("header_timeout", report),
        body_timeout: duration("body_timeout", report),
        body_bytes_a_second_min: size(&read, "min_body_rate", (0, 1 << 30), report),
        reply_timeout: duration("reply_timeout", report),
        idle_timeout: duration("idle_timeout", report),
        drain: duration("drain", report),
        allow_rollback: read.flag("allow_rollback", report).unwrap_or(false),
        overload: overload::overload(&read, report),
        compress: handling::compress(&read, report).unwrap_or(Compress::On),
        cors: read.get("cors").and_then(|n| policies::cors(n, report)),
    })
}

fn size(read: &Reader<'_>, key: &str, (min, max): (u64, u64), report: &mut Report<'_>) -> u64 {
    let standard = default(&SERVER, key, &units::SIZE);
    let Some(bytes) = read.value(key, &units::SIZE, report) else {
        return standard;
    };
    if (min..=max).contains(&bytes) {
        return bytes;
    }
    if let Some(node) = read.get(key) {
        report.add(
            codes::SIZE,
            node.span,
            format!("`{key}` must be from {min} to {max} bytes"),
        );
    }
    standard
}

fn workers(read: &Reader<'_>, report: &mut Report<'_>) -> Option<u16> {
    if read.get("workers")?.scalar().is_some_and(|s| s.text == "auto") {
        return None;
    }
    read.int("workers", report).map(|n| n as u16)
}

fn networks(read: &Reader<'_>, key: &str, report: &mut Report<'_>) -> Vec<ipnet::IpNet> {
    let Some(node) = read.get(key) else {
        return Vec::new();
    };
    list(node, key, report)
        .iter()
        .filter_map(|item| grammar::scalar(item, &net::CIDR, report))
        .collect()
}
