//! `split`, `mirror`, `fault`.

use super::{Reader, admission, handling, overload, read::default};
use crate::{
    fault::codes,
    grammar::{self, Flaw, Grammar, Words, name, policy, units},
    node::{Entry, Node, Span, Value},
    plan::{FaultRule, Handling, LimitKey, Mirror, Route, Service, Split, SplitArm, SplitRule, StickKey},
    report::{Report, did_you_mean},
    spec::{Key, MapSpec, Shape},
};
use http::StatusCode;

pub(crate) const SPLIT_SHAPE: Shape = Shape::Named(&name::NAME_WORDS, &Shape::Value(&SPLIT_WORDS));
pub(crate) const MIRROR_SHAPE: Shape = Shape::Any(&[Shape::Value(&name::NAME_WORDS), Shape::Map(&MIRROR)]);
pub(crate) const FAULT_SHAPE: Shape = Shape::Map(&FAULT);

pub(crate) static MIRROR: MapSpec = MapSpec {
    name: "mirror",
    doc: "A copy of requests goes to another service, marked `stoa-mirror: 1`; nobody sees its replies, and nobody waits for it. The short form is its name.",
    keys: &[
        Key::new(
            "to",
            Shape::Value(&name::NAME_WORDS),
            "The other service.",
            "shadow",
        )
        .needed(),
        Key::new(
            "share",
            Shape::Value(&units::PERCENT_WORDS),
            "How many of the requests.",
            "10%",
        )
        .or("100%"),
        Key::new(
            "max_body",
            Shape::Value(&units::SIZE_WORDS),
            "A request with a longer body is not copied; at most 1MiB.",
            "64KiB",
        )
        .or("64KiB"),
    ],
    instead: &[
        ("service", "did you mean `to`?"),
        ("percent", "did you mean `share`?"),
    ],
};

pub(crate) static FAULT: MapSpec = MapSpec {
    name: "fault",
    doc: "What goes wrong on purpose, to see how callers take it. Only a profile may say so, and `check`, `dev` and `serve` warn of it.",
    keys: &[
        Key::new(
            "delay",
            Shape::Value(&units::DURATION_WORDS),
            "How long a request is held back, at most 1m.",
            "200ms",
        ),
        Key::new(
            "abort",
            Shape::Int { min: 400, max: 599 },
            "Status of the refusal that is sent instead of asking the service.",
            "503",
        ),
        Key::new(
            "share",
            Shape::Value(&units::PERCENT_WORDS),
            "How many of the requests.",
            "10%",
        )
        .or("100%"),
    ],
    instead: &[
        ("status", "did you mean `abort`?"),
        ("percent", "did you mean `share`?"),
    ],
};

static SPLIT: Grammar<(SplitRule, Option<StickKey>)> = Grammar {
    words: &SPLIT_WORDS,
    parse: split_rule,
};
static SPLIT_WORDS: Words = Words::new(
    "which requests go there",
    codes::SHARES,
    &["10%", "10% by user", "header x-beta", "cookie beta=yes"],
)
.pattern("^([0-9]{1,3}%(\\s+by\\s+\\S.*)?|(header|cookie)\\s+\\S+|.*\\$\\{.*)$");

fn split_rule(text: &str) -> Result<(SplitRule, Option<StickKey>), Flaw> {
    let text = text.trim_end();
    if let Some((kind, rest)) = text.split_once(' ')
        && matches!(kind, "header" | "cookie")
    {
        let (name, value) = match rest.trim().split_once('=') {
            Some((name, value)) => (name.trim(), Some(value.trim().to_owned())),
            None => (rest.trim(), None),
        };
        let rule = if kind == "header" {
            SplitRule::Header(name::header(name)?, value)
        } else {
            SplitRule::Cookie(cookie(name)?, value)
        };
        return Ok((rule, None));
    }
    let (share, key) = match text.split_once(" by ") {
        Some((share, key)) => (share.trim(), Some(stick(key.trim())?)),
        None => (text, None),
    };
    let share = units::percent(share).map_err(|flaw| {
        flaw.help("`10%`, `10% by user`, `header NAME=VALUE` or `cookie NAME=VALUE`")
            .code(codes::SHARES)
    })?;
    Ok((SplitRule::Share(share), key))
}

fn cookie(name: &str) -> Result<String, Flaw> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if !name.is_empty() && name.bytes().all(good) {
        return Ok(name.to_owned());
    }
    Err(Flaw::whole(name, format!("`{name}` cannot be a cookie's name")))
}

fn stick(text: &str) -> Result<StickKey, Flaw> {
    if let Some(name) = text.strip_prefix("cookie ") {
        return cookie(name.trim()).map(StickKey::Cookie);
    }
    match (policy::KEY.parse)(text)? {
        LimitKey::All => {
            Err(Flaw::whole(text, "`all` would send everybody one way").help("such as `10% by user`"))
        }
        key => Ok(StickKey::Key(key)),
    }
}

/// Who asks for another service: the one that its route belongs to, and all there are.
pub(crate) struct Others<'s> {
    pub(crate) own: &'s str,
    pub(crate) all: &'s [String],
}

impl Others<'_> {
    fn known(&self, name: &str, at: Span, report: &mut Report<'_>) -> bool {
        if name == self.own {
            report
                .add(
                    codes::UNKNOWN_SERVICE,
                    at,
                    format!("`{name}` is the route's own service"),
                )
                .help("name another service");
            return false;
        }
        if self.all.iter().any(|known| known == name) {
            return true;
        }
        let others = self.all.iter().map(String::as_str).filter(|n| *n != self.own);
        report
            .add(
                codes::UNKNOWN_SERVICE,
                at,
                format!("service `{name}` is not defined"),
            )
            .help(did_you_mean(name, others));
        false
    }
}

/// What a route of a service has beside its access and limits.
pub(crate) fn of_route(
    read: &Reader<'_>,
    route: &Route,
    service: &Service,
    names: &[String],
    report: &mut Report<'_>,
) -> Handling {
    let others = Others {
        own: &service.name,
        all: names,
    };
    let mut found = handling::handling(read, &route.path, report);
    found.ip = admission::ip(read, report);
    found.content_types = admission::content_types(read, report);
    found.compress = handling::compress(read, report);
    found.priority = overload::priority(read, report);
    found.split = read.get("split").and_then(|n| split(n, &others, report));
    found.mirror = read.get("mirror").and_then(|n| mirror(n, &others, report));
    found.fault = fault(read, report);
    if found.rewrite.is_some() && service.strip_prefix {
        report
            .add(
                codes::EXCLUSIVE,
                read.key_span("rewrite"),
                "`rewrite` and the service's `strip_prefix` both say what path the service sees",
            )
            .help("remove `strip_prefix` and rewrite each route, or leave `rewrite` out");
    }
    found
}

/// What a service says for all of its routes.
pub(crate) fn everywhere(
    service: &mut Service,
    read: &Reader<'_>,
    names: &[String],
    report: &mut Report<'_>,
) {
    let others = Others {
        own: &service.name,
        all: names,
    };
    let split = read.get("split").and_then(|n| split(n, &others, report));
    let mirror = read.get("mirror").and_then(|n| mirror(n, &others, report));
    for handling in service.routes.iter_mut().map(|route| &mut route.handling) {
        if handling.answer.is_none() {
            handling.split = handling.split.take().or_else(|| split.clone());
            handling.mirror = handling.mirror.take().or_else(|| mirror.clone());
        }
    }
}

/// Reads `split`.
pub(crate) fn split(node: &Node, others: &Others<'_>, report: &mut Report<'_>) -> Option<Split> {
    let Value::Map(map) = &node.value else {
        report
            .wrong_type(node, "`split`", "a map of services and which requests go there")
            .help("such as `{ payments-v2: 10% by user }`");
        return None;
    };
    let mut split = Split {
        arms: Vec::new(),
        by: None,
    };
    let mut sum = 0_u32;
    let mut first: Option<(&Entry, Option<StickKey>)> = None;
    for entry in map.entries.iter().filter(|e| !e.value.is_null()) {
        if !others.known(&entry.key, entry.key_span, report) {
            continue;
        }
        let Some((to, by)) = grammar::scalar(&entry.value, &SPLIT, report) else {
            continue;
        };
        if let SplitRule::Share(share) = to {
            sum += u32::from(share);
            match &first {
                Some((other, key)) if *key != by => {
                    report
                        .add_with(
                            codes::SHARES,
                            entry.value.span,
                            "the shares of one split are of the same callers",
                            (other.value.span, "the other share"),
                        )
                        .help("write the same `by KEY` behind each");
                }
                Some(_) => {}
                None => {
                    split.by.clone_from(&by);
                    first = Some((entry, by));
                }
            }
        }
        split.arms.push(SplitArm {
            service: entry.key.clone(),
            to,
        });
    }
    if sum > 100 {
        report
            .add(
                codes::SHARES,
                node.span,
                format!("the shares are {sum}% together"),
            )
            .help("what is left of 100% stays with the service itself");
    }
    (!split.arms.is_empty()).then_some(split)
}

/// Reads `mirror`.
pub(crate) fn mirror(node: &Node, others: &Others<'_>, report: &mut Report<'_>) -> Option<Mirror> {
    const BYTES_MAX: u64 = 1 << 20;
    let share = default(&MIRROR, "share", &units::PERCENT);
    let body_bytes_max = default(&MIRROR, "max_body", &units::SIZE);
    if node.map().is_none() {
        let service = grammar::scalar(node, &name::TEXT, report)?;
        return others.known(&service, node.span, report).then_some(Mirror {
            service,
            share,
            body_bytes_max,
        });
    }
    let read = Reader::open(&MIRROR, node, "`mirror`", report)?;
    let service = read.value("to", &name::TEXT, report)?;
    let to = read.get("to")?;
    if !others.known(&service, to.span, report) {
        return None;
    }
    let bytes = read
        .value("max_body", &units::SIZE, report)
        .unwrap_or(body_bytes_max);
    if let (true, Some(node)) = (bytes > BYTES_MAX, read.get("max_body")) {
        report
            .add(codes::SIZE, node.span, "a copy is kept in memory: at most 1MiB")
            .help("longer bodies are not copied");
    }
    Some(Mirror {
        service,
        share: read.value("share", &units::PERCENT, report).unwrap_or(share),
        body_bytes_max: bytes,
    })
}

/// Reads `fault`.
pub(crate) fn fault(read: &Reader<'_>, report: &mut Report<'_>) -> Option<FaultRule> {
    const DELAY_MAX: std::time::Duration = std::time::Duration::from_mins(1);
    let (node, what) = (read.get("fault")?, read.what.clone());
    if !node.origin.profile {
        report
            .add(
                codes::FAULT_PROFILE,
                read.key_span("fault"),
                format!("{what} has a `fault` outside of a profile"),
            )
            .help("move it to `profiles: { chaos: … }`, so that it is on only with `--profile chaos`");
        return None;
    }
    let span = read.key_span("fault");
    let read = Reader::open(&FAULT, node, "`fault`", report)?;
    let delay = read.value("delay", &units::DURATION, report);
    if let (true, Some(node)) = (delay.is_some_and(|d| d > DELAY_MAX), read.get("delay")) {
        report
            .add(codes::DURATION, node.span, "a delay is at most 1m")
            .help("callers give up before");
    }
    let abort = read
        .int("abort", report)
        .and_then(|s| StatusCode::from_u16(s as u16).ok());
    if !(read.has("delay") || read.has("abort")) {
        report
            .add(codes::MISSING_KEY, node.span, "`fault` does nothing")
            .help("add `delay: 200ms` or `abort: 503`");
    }
    let share = read
        .value("share", &units::PERCENT, report)
        .unwrap_or_else(|| default(&FAULT, "share", &units::PERCENT));
    report
        .warn(
            codes::FAULT_PROFILE,
            span,
            format!("{what} goes wrong on purpose for {share}% of its requests"),
        )
        .help("this profile is for tests");
    Some(FaultRule { delay, abort, share })
}
