//! What happens when there is too much: `server.overload`, and the `priority` of routes.

use super::{Reader, flag};
use crate::{
    fault::codes,
    grammar::{Flaw, Grammar, Words},
    plan::{Overload, Priority},
    report::{Report, did_you_mean},
    spec::{Key, MapSpec, Shape},
};
use std::num::NonZeroU32;

pub(crate) const OVERLOAD_SHAPE: Shape = Shape::Any(&[Shape::Bool, Shape::Map(&OVERLOAD)]);

pub(crate) static OVERLOAD: MapSpec = MapSpec {
    name: "overload",
    doc: "How many requests a service may have at once is found out from how long its replies take; what is more is refused. `overload: false` refuses nothing.",
    keys: &[Key::new(
        "floor",
        Shape::Int { min: 1, max: 100_000 },
        "Requests that a service may always have at once.",
        "32",
    )
    .or("16")],
    instead: &[
        ("min", "did you mean `floor`?"),
        ("limit", "the limit is found out; `floor` bounds it from below"),
    ],
};

const FLOOR: u32 = 16;

pub(crate) static PRIORITY_WORDS: Words =
    Words::new("a priority", codes::CHOICE, &["critical"]).choice(&["critical", "high", "normal", "low"]);
static PRIORITY: Grammar<Priority> = Grammar {
    words: &PRIORITY_WORDS,
    parse: priority_of,
};

fn priority_of(text: &str) -> Result<Priority, Flaw> {
    let all = [
        Priority::Critical,
        Priority::High,
        Priority::Normal,
        Priority::Low,
    ];
    let found = all.into_iter().find(|p| p.as_str() == text);
    found.ok_or_else(|| {
        Flaw::whole(text, format!("`{text}` is not a priority"))
            .help(did_you_mean(text, all.into_iter().map(Priority::as_str)))
    })
}

pub(crate) fn priority(read: &Reader<'_>, report: &mut Report<'_>) -> Priority {
    read.value("priority", &PRIORITY, report).unwrap_or_default()
}

pub(crate) fn overload(read: &Reader<'_>, report: &mut Report<'_>) -> Overload {
    let standard = NonZeroU32::new(FLOOR);
    let in_flight_min = match read.get("overload") {
        None => standard,
        Some(node) if node.map().is_some() => Reader::open(&OVERLOAD, node, "`overload`", report)
            .and_then(|read| read.int("floor", report))
            .map_or(standard, |floor| NonZeroU32::new(floor as u32)),
        Some(node) => match flag(node, "overload", report) {
            Some(false) => None,
            _ => standard,
        },
    };
    Overload { in_flight_min }
}
