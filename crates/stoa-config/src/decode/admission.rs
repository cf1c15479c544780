//! Whose requests are taken at all, and of what kind: `ip`, `content_types`.

use super::{Reader, one_or_many};
use crate::{
    fault::codes,
    grammar::{self, Flaw, Grammar, Words, net},
    node::Node,
    plan::{IpRules, MediaRange},
    report::Report,
    spec::{Key, MapSpec, Shape},
};
use ipnet::IpNet;

const NETS_SHAPE: Shape = Shape::Any(&[
    Shape::Value(&net::CIDR_WORDS),
    Shape::List(&Shape::Value(&net::CIDR_WORDS)),
]);

pub(crate) const IP_SHAPE: Shape = Shape::Any(&[
    Shape::Value(&net::CIDR_WORDS),
    Shape::List(&Shape::Value(&net::CIDR_WORDS)),
    Shape::Map(&IP),
]);

pub(crate) const TYPES_SHAPE: Shape = Shape::Any(&[
    Shape::Value(&MEDIA_WORDS),
    Shape::List(&Shape::Value(&MEDIA_WORDS)),
]);

pub(crate) static IP: MapSpec = MapSpec {
    name: "ip",
    doc: "Which clients may ask, by their address behind `trusted_proxies`; others are refused with `403` before anything else is looked at. The short form is `allow`. An address in both lists is refused.",
    keys: &[
        Key::new(
            "allow",
            NETS_SHAPE,
            "Only these. Left out: all that are not in `deny`.",
            "[10.0.0.0/8]",
        ),
        Key::new("deny", NETS_SHAPE, "None of these.", "[10.1.2.3]"),
    ],
    instead: &[
        ("allowed", "did you mean `allow`?"),
        ("whitelist", "did you mean `allow`?"),
        ("blacklist", "did you mean `deny`?"),
        ("block", "did you mean `deny`?"),
    ],
};

static MEDIA: Grammar<MediaRange> = Grammar {
    words: &MEDIA_WORDS,
    parse: media,
};
static MEDIA_WORDS: Words = Words::new(
    "a media type",
    codes::MEDIA_TYPE,
    &["application/json", "image/*"],
)
.pattern("^([^/\\s;]+/[^/\\s;]+|.*\\$\\{.*)$");

fn media(text: &str) -> Result<MediaRange, Flaw> {
    let token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&b))
    };
    let lower = text.to_ascii_lowercase();
    match lower.split_once('/') {
        Some((kind, "*")) if token(kind) => Ok(MediaRange {
            kind: kind.to_owned(),
            subtype: None,
        }),
        Some((kind, subtype)) if token(kind) && token(subtype) => Ok(MediaRange {
            kind: kind.to_owned(),
            subtype: Some(subtype.to_owned()),
        }),
        _ => Err(Flaw::whole(text, format!("`{text}` is not a media type"))
            .help("`type/subtype` without parameters, or `type/*`")),
    }
}

/// Reads `ip`.
pub(crate) fn ip(read: &Reader<'_>, report: &mut Report<'_>) -> IpRules {
    let Some(node) = read.get("ip") else {
        return IpRules::default();
    };
    if node.map().is_none() {
        return IpRules {
            allow: nets(Some(node), report),
            deny: Vec::new(),
        };
    }
    let Some(read) = Reader::open(&IP, node, "`ip`", report) else {
        return IpRules::default();
    };
    IpRules {
        allow: nets(read.get("allow"), report),
        deny: nets(read.get("deny"), report),
    }
}

/// An empty list would say the opposite of what it looks like.
fn nets(node: Option<&Node>, report: &mut Report<'_>) -> Vec<IpNet> {
    if let Some(node) = node.filter(|n| n.list().is_some_and(<[Node]>::is_empty)) {
        report
            .add(codes::CIDR, node.span, "the list is empty")
            .help("leave it out, or name networks such as `10.0.0.0/8`");
    }
    let items = node.map(one_or_many).unwrap_or_default().iter();
    items
        .filter_map(|item| grammar::scalar(item, &net::CIDR, report))
        .collect()
}

/// Reads `content_types`.
pub(crate) fn content_types(read: &Reader<'_>, report: &mut Report<'_>) -> Vec<MediaRange> {
    let Some(node) = read.get("content_types") else {
        return Vec::new();
    };
    if node.list().is_some_and(<[Node]>::is_empty) {
        report
            .add(codes::MEDIA_TYPE, node.span, "the list is empty")
            .help("leave it out, or name media types such as `application/json`");
    }
    let items = one_or_many(node).iter();
    items
        .filter_map(|item| grammar::scalar(item, &MEDIA, report))
        .collect()
}
