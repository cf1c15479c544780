//! `server.tls:`

use super::{Context, Reader, list};
use crate::{
    fault::codes,
    grammar::{Flaw, Grammar, Words, name, units},
    node::Node,
    plan::{Certificate, Clients, Tls},
    report::Report,
    spec::{Key, MapSpec, Shape},
};

pub(crate) static TLS: MapSpec = MapSpec {
    name: "tls",
    doc: "With it the API is served over TLS (1.2 and 1.3), in HTTP/2 and HTTP/1.1. Files are PEM, and read again when they change.",
    keys: &[
        Key::new(
            "cert",
            Shape::Value(&name::PATH_WORDS),
            "The certificate and what it was issued by.",
            "tls/cert.pem",
        ),
        Key::new(
            "key",
            Shape::Value(&name::PATH_WORDS),
            "The private key.",
            "tls/key.pem",
        ),
        Key::new(
            "certificates",
            Shape::List(&Shape::Map(&CERTIFICATE)),
            "Several, in place of `cert` and `key`. The name that the client asks for (SNI) chooses, an exact one before a wildcard; the first serves the rest.",
            "[{ cert: tls/shop.pem, key: tls/shop.key }]",
        ),
        Key::new(
            "client_ca",
            Shape::Value(&name::PATH_WORDS),
            "The authorities that certificates of clients must come from. Services learn a client's from `Client-Cert` (RFC 9440).",
            "tls/clients.pem",
        ),
        Key::new(
            "client",
            Shape::Value(&CLIENT_WORDS),
            "Whether a client must have a certificate. Needs `client_ca`.",
            "optional",
        )
        .or("required"),
        Key::new(
            "handshake_timeout",
            Shape::Value(&units::DURATION_WORDS),
            "How long a handshake may take.",
            "5s",
        )
        .or("10s"),
    ],
    instead: &[
        ("certificate", "did you mean `cert`?"),
        ("ca", "for certificates of clients write `client_ca`"),
        ("private_key", "did you mean `key`?"),
    ],
};

static CERTIFICATE: MapSpec = MapSpec {
    name: "certificate",
    doc: "Files of a certificate and its key, PEM.",
    keys: &[
        Key::new(
            "cert",
            Shape::Value(&name::PATH_WORDS),
            "The certificate and what it was issued by.",
            "tls/shop.pem",
        )
        .needed(),
        Key::new(
            "key",
            Shape::Value(&name::PATH_WORDS),
            "The private key.",
            "tls/shop.key",
        )
        .needed(),
    ],
    instead: &[("certificate", "did you mean `cert`?")],
};

static CLIENT_WORDS: Words = Words::new(
    "`required` or `optional`",
    codes::CHOICE,
    &["required", "optional"],
)
.choice(&["required", "optional"]);

/// Whether a client's certificate is required.
static CLIENT: Grammar<bool> = Grammar {
    words: &CLIENT_WORDS,
    parse: |text| match text {
        "required" => Ok(true),
        "optional" => Ok(false),
        _ => Err(Flaw::whole(
            text,
            format!("`{text}` is neither `required` nor `optional`"),
        )),
    },
};

/// Reads `server.tls:`.
pub(crate) fn tls(node: &Node, context: &Context<'_>, report: &mut Report<'_>) -> Option<Tls> {
    let read = Reader::open(&TLS, node, "`tls`", report)?;
    let file = |key: &str, report: &mut Report<'_>| {
        let path = read.value(key, &name::PATH, report)?;
        Some(context.path(&path))
    };
    let alone = (file("cert", report), file("key", report));
    let several = read.get("certificates");
    let certificates = match (alone, several) {
        ((None, None), Some(node)) if !(read.has("cert") || read.has("key")) => {
            list(node, "certificates", report)
                .iter()
                .filter_map(|item| certificate(item, context, report))
                .collect()
        }
        (_, Some(_)) => {
            let message = "`certificates` stands in place of `cert` and `key`";
            report
                .add(codes::EXCLUSIVE, read.key_span("certificates"), message)
                .help("write all of them into `certificates`");
            Vec::new()
        }
        ((Some(cert), Some(key)), None) => vec![Certificate { cert, key }],
        (_, None) => {
            for key in ["cert", "key"].iter().filter(|key| !read.has(key)) {
                report
                    .add(codes::MISSING_KEY, node.span, format!("`tls` has no `{key}`"))
                    .help(format!("add `{key}: tls/{key}.pem`"));
            }
            Vec::new()
        }
    };
    if let Some(node) = several.filter(|node| list_is_empty(node)) {
        report
            .add(codes::MISSING_KEY, node.span, "`certificates` names none")
            .help("write `[{ cert: tls/cert.pem, key: tls/key.pem }]`");
    }
    let ca = file("client_ca", report);
    let required = read.value("client", &CLIENT, report);
    if read.has("client") && !read.has("client_ca") {
        report
            .add(
                codes::MISSING_KEY,
                read.key_span("client"),
                "`client` says nothing without `client_ca`",
            )
            .help("add `client_ca: tls/clients.pem`, the authorities that clients' certificates come from");
    }
    let handshake_timeout = read.value("handshake_timeout", &units::DURATION, report);
    Some(Tls {
        certificates,
        clients: ca.map(|ca| Clients {
            ca,
            required: required.unwrap_or(true),
        }),
        handshake_timeout: read.or_default(handshake_timeout, "handshake_timeout", &units::DURATION),
    })
}

fn certificate(node: &Node, context: &Context<'_>, report: &mut Report<'_>) -> Option<Certificate> {
    let read = Reader::open(&CERTIFICATE, node, "`certificates`", report)?;
    let cert = read.value("cert", &name::PATH, report);
    let key = read.value("key", &name::PATH, report);
    Some(Certificate {
        cert: context.path(&cert?),
        key: context.path(&key?),
    })
}

fn list_is_empty(node: &Node) -> bool {
    matches!(&node.value, crate::node::Value::List(items) if items.is_empty())
}
