//! `url:` of a service, and what is said about its addresses.

use super::{Reader, one_or_many};
use crate::{
    fault::codes,
    grammar::{self, net},
    node::Node,
    plan::{Endpoint, Service, Share},
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
