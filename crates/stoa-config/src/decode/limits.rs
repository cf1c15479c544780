//! `limits:` and `limit:`

use super::{Reader, one_or_many, read::int};
use crate::{
    fault::codes,
    grammar::{self, Words, name, policy, policy::LimitRate, units},
    node::{Node, Value},
    plan::{Limit, LimitKey},
    report::{Report, did_you_mean},
    spec::{Key, MapSpec, Shape},
};
use std::{num::NonZeroU32, time::Duration};

/// `COUNT/UNIT [by KEY] [burst N]` or its long form.
pub(crate) const LIMIT_SHAPE: Shape = Shape::Any(&[Shape::Value(&policy::LIMIT_WORDS), Shape::Map(&LIMIT)]);

/// A name, a limit in place, or several.
pub(crate) const USE_SHAPE: Shape = Shape::Any(&[
    Shape::Value(&USE_WORDS),
    Shape::Map(&LIMIT),
    Shape::List(&Shape::Any(&[Shape::Value(&USE_WORDS), Shape::Map(&LIMIT)])),
]);

static USE_WORDS: Words = Words::new(
    "a limit of `limits:`, or a limit in place",
    codes::LIMIT,
    &["per-user", "5/min by ip", "[per-user, 1000/min by all]"],
);

pub(crate) static LIMIT: MapSpec = MapSpec {
    name: "limit",
    doc: "The long form of `COUNT/UNIT [by KEY] [burst N]`.",
    keys: &[
        Key::new(
            "requests",
            Shape::Int {
                min: 1,
                max: 4_294_967_295,
            },
            "Requests in the window.",
            "100",
        )
        .needed(),
        Key::new(
            "per",
            Shape::Value(&units::DURATION_WORDS),
            "The window: 1s, 1m, 1h or 1d.",
            "1m",
        )
        .needed(),
        Key::new(
            "by",
            Shape::Value(&policy::KEY_WORDS),
            "Who shares the count; `user` is the address for a caller without identity.",
            "ip",
        )
        .or("user"),
        Key::new(
            "burst",
            Shape::Int {
                min: 1,
                max: 4_294_967_295,
            },
            "How many may come at once; as many as `requests` when left out.",
            "20",
        ),
    ],
    instead: &[
        ("count", "did you mean `requests`?"),
        ("window", "did you mean `per`?"),
        ("key", "did you mean `by`?"),
    ],
};

/// Reads `limits:`.
pub(crate) fn limits(node: &Node, report: &mut Report<'_>) -> Vec<Limit> {
    let Value::Map(map) = &node.value else {
        if !node.is_null() {
            report
                .wrong_type(node, "`limits`", "a map of names and limits")
                .help("such as `limits: { login: 5/min by ip }`");
        }
        return Vec::new();
    };
    let mut limits = Vec::new();
    for entry in &map.entries {
        if let Err(flaw) = name::name(&entry.key) {
            report.add(codes::NAME, entry.key_span, flaw.message);
        }
        if entry.value.is_left_out() {
            let message = format!("limit `{}` says nothing", entry.key);
            report
                .add(codes::MISSING_KEY, entry.key_span, message)
                .help(format!("such as `{}: 100/min by user`", entry.key));
        }
        // A limit with a fault stays known, so that routes may name it.
        let rate = rate(&entry.value, report).unwrap_or(LimitRate {
            count: NonZeroU32::MIN,
            window: Duration::from_secs(1),
            key: LimitKey::All,
            burst: None,
        });
        limits.push(named(entry.key.clone(), rate));
    }
    limits
}

/// A name, an expression or a list of them; positions in `limits`, to which limits in place are added.
pub(crate) fn uses(node: &Node, route: &str, limits: &mut Vec<Limit>, report: &mut Report<'_>) -> Vec<usize> {
    let mut used: Vec<usize> = Vec::new();
    for item in one_or_many(node) {
        let by_name = item.scalar().filter(|s| !s.text.contains('/'));
        let position = match by_name {
            Some(scalar) => {
                let position = limits.iter().position(|l| l.name == scalar.text);
                if position.is_none() {
                    let known: Vec<&str> = limits
                        .iter()
                        .map(|l| l.name.as_str())
                        .filter(|n| !n.contains('/'))
                        .collect();
                    let help = if known.is_empty() {
                        format!(
                            "add `limits: {{ {}: 100/min by user }}`, or write the limit here",
                            scalar.text
                        )
                    } else {
                        did_you_mean(&scalar.text, known)
                    };
                    let message = format!("limit `{}` is not defined", scalar.text);
                    report.add(codes::UNKNOWN_LIMIT, item.span, message).help(help);
                }
                position
            }
            None => rate(item, report).map(|rate| {
                limits.push(named(unused_name(route, limits), rate));
                limits.len() - 1
            }),
        };
        let Some(position) = position else { continue };
        if used.contains(&position) {
            report.add(
                codes::DUPLICATE_VALUE,
                item.span,
                format!("limit `{}` is there twice", limits[position].name),
            );
        } else {
            used.push(position);
        }
    }
    used
}

fn unused_name(route: &str, limits: &[Limit]) -> String {
    let taken = |name: &str| limits.iter().any(|l| l.name == name);
    if !taken(route) {
        return route.to_owned();
    }
    // One of them is free: there are more numbers than limits.
    (2..limits.len() + 3)
        .map(|n| format!("{route} #{n}"))
        .find(|name| !taken(name))
        .unwrap_or_default()
}

fn named(name: String, rate: LimitRate) -> Limit {
    Limit {
        name,
        count: rate.count,
        window: rate.window,
        key: rate.key,
        burst: rate.burst.unwrap_or(rate.count),
    }
}

fn rate(node: &Node, report: &mut Report<'_>) -> Option<LimitRate> {
    if node.map().is_none() {
        return grammar::scalar(node, &policy::LIMIT, report);
    }
    let read = Reader::open(&LIMIT, node, "this limit", report)?;
    let count = read.int("requests", report);
    let burst = read
        .get("burst")
        .and_then(|n| int(n, "burst", (1, u64::from(u32::MAX)), report));
    let key = read.value("by", &policy::KEY, report);
    let key = read.or_default(key, "by", &policy::KEY);
    let window = read.value("per", &units::DURATION, report)?;
    if !policy::WINDOWS
        .iter()
        .any(|(_, seconds)| window.as_secs() == *seconds && window.subsec_nanos() == 0)
    {
        report.add(
            codes::LIMIT,
            read.get("per")?.span,
            "the window of a limit is 1s, 1m, 1h or 1d",
        );
        return None;
    }
    let positive = |n: u64| u32::try_from(n).ok().and_then(NonZeroU32::new);
    Some(LimitRate {
        count: positive(count?)?,
        window,
        key,
        burst: burst.and_then(positive),
    })
}
