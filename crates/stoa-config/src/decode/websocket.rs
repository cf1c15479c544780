//! `services.NAME.websocket`

use super::{Reader, read::default};
use crate::{
    grammar::units,
    node::Node,
    plan::WebSocket,
    report::Report,
    spec::{Key, MapSpec, Shape},
};

pub(crate) static WEBSOCKET: MapSpec = MapSpec {
    name: "websocket",
    doc: "Bounds of each WebSocket. Its frames are followed: a side that breaks the protocol is let go with 1002, one whose message is too big with 1009.",
    keys: &[
        Key::new(
            "idle",
            Shape::Value(&units::DURATION_WORDS),
            "How long neither side may say anything, pings included; then both are let go with 1001.",
            "1h",
        )
        .or("10m"),
        Key::new(
            "max_message",
            Shape::Value(&units::SIZE_WORDS),
            "The largest message, all its frames together, as they are sent.",
            "1MiB",
        )
        .or("16MiB"),
    ],
    instead: &[
        ("timeout", "did you mean `idle`?"),
        ("max_size", "did you mean `max_message`?"),
    ],
};

pub(crate) fn websocket(node: &Node, report: &mut Report<'_>) -> Option<WebSocket> {
    let read = Reader::open(&WEBSOCKET, node, "`websocket`", report)?;
    let idle = read.value("idle", &units::DURATION, report);
    let message = read.value("max_message", &units::SIZE, report);
    Some(WebSocket {
        idle: idle.unwrap_or_else(|| default(&WEBSOCKET, "idle", &units::DURATION)),
        message_bytes_max: message.unwrap_or_else(|| default(&WEBSOCKET, "max_message", &units::SIZE)),
    })
}
