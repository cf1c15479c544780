//! `url:` of a service, and what is said about its addresses.

use super::{Context, Reader, one_or_many};
use crate::{
    fault::codes,
    grammar::{self, name, net, policy, route, units},
    node::Node,
    plan::{Eject, Endpoint, Service, ServiceTls, Share},
    report::Report,
    spec::{Key, MapSpec, Shape},
};

const URL_SHAPE: Shape = Shape::Any(&[Shape::Value(&net::MEMBER_WORDS), Shape::Map(&ADDRESS)]);

pub(crate) const URLS_SHAPE: Shape = Shape::Any(&[
    Shape::Value(&net::MEMBER_WORDS),
    Shape::Map(&ADDRESS),
    Shape::List(&URL_SHAPE),
]);

/// The short form of a service.
pub(crate) const LIST_SHAPE: Shape = Shape::List(&URL_SHAPE);

pub(crate) static ADDRESS: MapSpec = MapSpec {
    name: "address",
    doc: "One address of a service. The short form is `URL [weight N] [priority N]`.",
    keys: &[
        Key::new(
            "url",
            Shape::Value(&net::UPSTREAM_WORDS),
            "Where it is.",
            "http://127.0.0.1:9001",
        )
        .needed(),
        Key::new(
            "weight",
            Shape::Int {
                min: net::WEIGHT.0,
                max: net::WEIGHT.1,
            },
            "Its part of the requests against the others of its priority.",
            "3",
        )
        .or("1"),
        Key::new(
            "priority",
            Shape::Int {
                min: net::PRIORITY.0,
                max: net::PRIORITY.1,
            },
            "Its group: 0 gets the requests, 1 what 0 cannot take when addresses of it are out of use, and so on.",
            "1",
        )
        .or("0"),
    ],
    instead: &[
        ("address", "did you mean `url`?"),
        ("backup", "write `priority: 1`"),
    ],
};

pub(crate) const EJECT_SHAPE: Shape = Shape::Any(&[Shape::Value(&policy::NEVER_WORDS), Shape::Map(&EJECT)]);

pub(crate) static EJECT: MapSpec = MapSpec {
    name: "eject",
    doc: "When an address that fails is left out for a while. `eject: never` turns it off.",
    keys: &[
        Key::new(
            "failures",
            Shape::Int { min: 1, max: 100 },
            "How many failures in a row: replies of 5xx, broken connections, time-outs. Two connections in a row that cannot be made are enough.",
            "3",
        )
        .or("5"),
        Key::new(
            "for",
            Shape::Value(&units::DURATION_WORDS),
            "How long it is out the first time. Then one request tries whether it is back; each time that it is not, it is out for twice as long, up to 5 min.",
            "10s",
        )
        .or("5s"),
        Key::new(
            "most",
            Shape::Value(&units::PERCENT_WORDS),
            "How many of the addresses may be out at once for what they answer; one at least of several.",
            "30%",
        )
        .or("50%"),
        Key::new(
            "none_left",
            Shape::Value(&policy::NONE_LEFT_WORDS),
            "What happens when no address is in use: requests are spread over all of them, or refused with 503 (a circuit breaker).",
            "refuse",
        )
        .or("spread"),
    ],
    instead: &[
        ("time", "did you mean `for`?"),
        ("max_ejection_percent", "did you mean `most`?"),
        ("panic", "did you mean `none_left`?"),
    ],
};

pub(crate) const CONNECTIONS_SHAPE: Shape = Shape::Any(&[CONNECTIONS, Shape::Map(&MAX_CONNECTIONS)]);

const CONNECTIONS: Shape = Shape::Int {
    min: 1,
    max: 1_000_000,
};

pub(crate) static MAX_CONNECTIONS: MapSpec = MapSpec {
    name: "max_connections",
    doc: "Bounds on the connections to a service. The short form is that of one address.",
    keys: &[
        Key::new("address", CONNECTIONS, "To one address at a time.", "200").or("10000"),
        Key::new(
            "service",
            CONNECTIONS,
            "To all of its addresses together. Left out: no bound of their own.",
            "500",
        ),
    ],
    instead: &[
        ("endpoint", "did you mean `address`?"),
        ("total", "did you mean `service`?"),
    ],
};

pub(crate) const HEDGE_SHAPE: Shape = Shape::Any(&[Shape::Value(&policy::HEDGE_WORDS), Shape::Map(&HEDGE)]);

pub(crate) static HEDGE: MapSpec = MapSpec {
    name: "hedge",
    doc: "A second address is asked beside the first when that takes long; whichever answers first is the reply. The short form is `after`.",
    keys: &[Key::new(
        "after",
        Shape::Value(&policy::HEDGE_WORDS),
        "When the first takes longer than this, or than this part of the replies did.",
        "p95",
    )
    .needed()],
    instead: &[("delay", "did you mean `after`?")],
};

fn hedge(node: &Node, service: &mut Service, report: &mut Report<'_>) {
    service.upstream.hedge = if node.map().is_none() {
        grammar::scalar(node, &policy::HEDGE, report)
    } else {
        Reader::open(&HEDGE, node, "`hedge`", report)
            .and_then(|read| read.value("after", &policy::HEDGE, report))
    };
}

pub(crate) static SERVICE_TLS: MapSpec = MapSpec {
    name: "service tls",
    doc: "TLS to the `https` addresses of a service, where it is not as the system has it.",
    keys: &[
        Key::new(
            "ca",
            Shape::Value(&name::PATH_WORDS),
            "PEM file of the authorities whose certificates are believed, in place of the system's.",
            "tls/internal-ca.pem",
        ),
        Key::new(
            "server_name",
            Shape::Value(&route::HOST_WORDS),
            "The name that its certificates are for, where that is not the host of the URL.",
            "payments.internal",
        ),
        Key::new(
            "cert",
            Shape::Value(&name::PATH_WORDS),
            "PEM file of the certificate that is shown to it.",
            "tls/stoa.pem",
        ),
        Key::new(
            "key",
            Shape::Value(&name::PATH_WORDS),
            "PEM file of that certificate's private key.",
            "tls/stoa-key.pem",
        ),
    ],
    instead: &[
        ("sni", "did you mean `server_name`?"),
        (
            "verify",
            "certificates are always verified: name the authority with `ca`",
        ),
        (
            "insecure",
            "certificates are always verified: name the authority with `ca`",
        ),
    ],
};

fn tls(read: &Reader<'_>, context: &Context<'_>, service: &mut Service, report: &mut Report<'_>) {
    let Some(node) = read.get("tls") else { return };
    let Some(own) = Reader::open(&SERVICE_TLS, node, "`tls`", report) else {
        return;
    };
    if !service.endpoints.is_empty() && service.endpoints.iter().all(|e| !e.tls) {
        report
            .add(
                codes::EXCLUSIVE,
                read.key_span("tls"),
                "`tls` is for addresses with `https://`, and there is none",
            )
            .help("write the URL with `https://`, or remove `tls`");
    }
    let mut path = |key: &str| {
        own.value(key, &name::PATH, report)
            .map(|path| context.path(&path))
    };
    let (ca, cert, key) = (path("ca"), path("cert"), path("key"));
    if own.has("cert") != own.has("key") {
        let (there, missing) = if own.has("cert") {
            ("cert", "key")
        } else {
            ("key", "cert")
        };
        report
            .add(
                codes::MISSING_KEY,
                own.key_span(there),
                format!("`{there}` needs `{missing}`"),
            )
            .help(format!("add `{missing}: FILE`"));
    }
    service.upstream.tls = Some(ServiceTls {
        ca,
        server_name: own.value("server_name", &route::HOST, report),
        identity: cert.zip(key),
    });
}

/// Reads `eject`, `slow_start` and the bounds on connections, and `tls`.
pub(crate) fn care(read: &Reader<'_>, context: &Context<'_>, service: &mut Service, report: &mut Report<'_>) {
    tls(read, context, service, report);
    if let Some(node) = read.get("hedge") {
        hedge(node, service, report);
    }
    if let Some(node) = read.get("eject") {
        service.upstream.eject = eject(node, report);
    }
    if let Some(slow_start) = read.value("slow_start", &units::DURATION_OR_ZERO, report) {
        service.upstream.slow_start = slow_start;
    }
    if let Some(node) = read.get("max_connections") {
        connections(node, read, service, report);
    }
    if let Some(most) = read.int("max_pending", report) {
        service.upstream.pending_max = most as u32;
    }
}

fn connections(node: &Node, read: &Reader<'_>, service: &mut Service, report: &mut Report<'_>) {
    let upstream = &mut service.upstream;
    if node.map().is_none() {
        if let Some(most) = read.int("max_connections", report) {
            upstream.address_connections_max = most as u32;
        }
        return;
    }
    let Some(read) = Reader::open(&MAX_CONNECTIONS, node, "`max_connections`", report) else {
        return;
    };
    if let Some(most) = read.int("address", report) {
        upstream.address_connections_max = most as u32;
    }
    upstream.service_connections_max = read.int("service", report).map(|n| n as u32);
}

fn eject(node: &Node, report: &mut Report<'_>) -> Option<Eject> {
    if node.map().is_none() {
        grammar::scalar(node, &policy::NEVER, report);
        return None;
    }
    let read = Reader::open(&EJECT, node, "`eject`", report)?;
    let base = Eject::default();
    Some(Eject {
        failures: read.int("failures", report).map_or(base.failures, |n| n as u8),
        period: read.value("for", &units::DURATION, report).unwrap_or(base.period),
        most_percent: read
            .value("most", &units::PERCENT, report)
            .unwrap_or(base.most_percent),
        none_left: read
            .value("none_left", &policy::NONE_LEFT, report)
            .unwrap_or(base.none_left),
    })
}

/// Reads the addresses of a service with their shares.
pub(crate) fn addresses(node: &Node, service: &mut Service, report: &mut Report<'_>) {
    if node.list().is_some_and(<[Node]>::is_empty) {
        report.add(codes::URL, node.span, "the list of addresses is empty");
    }
    for item in one_or_many(node) {
        let Some((endpoint, share)) = address(item, report) else {
            continue;
        };
        if service.endpoints.contains(&endpoint) {
            let message = format!("{endpoint} is listed twice");
            report
                .add(codes::DUPLICATE_VALUE, item.span, message)
                .help("give it a `weight` where it should get more");
        } else {
            service.endpoints.push(endpoint);
            service.upstream.shares.push(share);
        }
    }
}

fn address(item: &Node, report: &mut Report<'_>) -> Option<(Endpoint, Share)> {
    if item.map().is_none() {
        return grammar::scalar(item, &net::MEMBER, report);
    }
    let read = Reader::open(&ADDRESS, item, "this address", report)?;
    let endpoint = read.value("url", &net::UPSTREAM, report);
    let mut share = Share::default();
    if let Some(weight) = read.int("weight", report) {
        share.weight = weight as u16;
    }
    if let Some(priority) = read.int("priority", report) {
        share.priority = priority as u8;
    }
    Some((endpoint?, share))
}
