//! What routes, services and resources share: access, cache, timeouts, retry, cross-origin rules.

use super::{Reader, flag, list, one_or_many};
use crate::{
    fault::codes,
    grammar::{self, access, access::RawAccess, cel, name, policy, units},
    node::{Node, Span},
    plan::{Access, Cache, CacheScope, Cel, Cors, Field, Rule, Timeouts, Type},
    report::{Report, did_you_mean},
    spec::{Key, MapSpec, Shape},
};
use std::{sync::Arc, time::Duration};

pub(crate) const ACCESS_SHAPE: Shape =
    Shape::Any(&[Shape::Value(&access::ACCESS_WORDS), Shape::Map(&ACCESS)]);
pub(crate) const CACHE_SHAPE: Shape = Shape::Any(&[Shape::Value(&policy::CACHE_WORDS), Shape::Map(&CACHE)]);
pub(crate) const CORS_SHAPE: Shape = Shape::Any(&[Shape::Bool, Shape::Map(&CORS)]);
pub(crate) const TIMEOUT_SHAPE: Shape =
    Shape::Any(&[Shape::Value(&units::DURATION_WORDS), Shape::Map(&TIMEOUT)]);
pub(crate) const TAGS_SHAPE: Shape = Shape::Any(&[
    Shape::Value(&name::TEXT_WORDS),
    Shape::List(&Shape::Value(&name::TEXT_WORDS)),
]);

const ROLES_SHAPE: Shape = Shape::Any(&[
    Shape::Value(&access::ROLE_WORDS),
    Shape::List(&Shape::Value(&access::ROLE_WORDS)),
]);

pub(crate) static ACCESS: MapSpec = MapSpec {
    name: "access",
    doc: "The long form of an access rule; exactly one of its keys.",
    keys: &[
        Key::new(
            "role",
            ROLES_SHAPE,
            "Callers with any of these roles.",
            "[admin, editor]",
        ),
        Key::new(
            "scope",
            ROLES_SHAPE,
            "Callers with all of these scopes.",
            "[payments.read]",
        ),
        Key::new(
            "owner",
            Shape::Value(&name::FIELD_WORDS),
            "The row's field equals the caller's `sub` (resources only).",
            "customer_id",
        ),
        Key::new(
            "when",
            Shape::Value(&cel::CEL_WORDS),
            "An expression over `claims`, `request` and, in resources, `row`.",
            "\"claims.tenant == row.tenant\"",
        ),
    ],
    instead: &[
        ("roles", "did you mean `role`?"),
        ("scopes", "did you mean `scope`?"),
        ("public", "write `access: public`"),
    ],
};

pub(crate) static CACHE: MapSpec = MapSpec {
    name: "cache",
    doc: "The long form of `[private|public] DURATION`.",
    keys: &[
        Key::new(
            "fresh",
            Shape::Value(&units::DURATION_WORDS),
            "How long a reply is fresh.",
            "60s",
        )
        .needed(),
        Key::new(
            "scope",
            Shape::Value(&policy::CACHE_SCOPE_WORDS),
            "`private`: per caller. `public`: shared although the request carried credentials. Left out: shared unless it did.",
            "private",
        ),
        Key::new(
            "stale",
            Shape::Value(&units::DURATION_WORDS),
            "How long after that it may be served while it is fetched anew or the origin fails.",
            "5m",
        ),
        Key::new(
            "tags",
            TAGS_SHAPE,
            "Names by which `POST /purge` removes it.",
            "[rates]",
        ),
    ],
    instead: &[("ttl", "did you mean `fresh`?"), ("for", "did you mean `fresh`?")],
};

pub(crate) static TIMEOUT: MapSpec = MapSpec {
    name: "timeout",
    doc: "Bounds of waiting for a service. `timeout: 2s` sets `total`.",
    keys: &[
        Key::new(
            "connect",
            Shape::Value(&units::DURATION_WORDS),
            "Until the connection stands.",
            "500ms",
        )
        .or("1s"),
        Key::new(
            "first_byte",
            Shape::Value(&units::DURATION_WORDS),
            "From the request sent to the reply's head.",
            "5s",
        )
        .or("30s"),
        Key::new(
            "idle",
            Shape::Value(&units::DURATION_WORDS),
            "The longest pause inside the reply's body.",
            "30s",
        )
        .or("60s"),
        Key::new(
            "per_try",
            Shape::Value(&units::DURATION_WORDS),
            "From the beginning of one try to the reply's head; then it is tried again where `retry` allows it. Left out: no bound of its own.",
            "1s",
        ),
        Key::new(
            "total",
            Shape::Value(&units::DURATION_WORDS),
            "From the first byte sent to the end of the reply; an upgraded connection is exempt. Left out: no bound.",
            "10s",
        ),
    ],
    instead: &[("read", "did you mean `first_byte` or `idle`?")],
};

pub(crate) static CORS: MapSpec = MapSpec {
    name: "cors",
    doc: "Which pages of other origins may call (Fetch standard). `cors: true` allows every origin without credentials, `cors: false` none.",
    keys: &[
        Key::new(
            "origins",
            Shape::Any(&[
                Shape::Value(&policy::ORIGIN_WORDS),
                Shape::List(&Shape::Value(&policy::ORIGIN_WORDS)),
            ]),
            "Exact origins, `https://*.example.com`, or `*` alone.",
            "[https://app.example.com]",
        )
        .needed(),
        Key::new(
            "methods",
            Shape::List(&Shape::Value(&name::METHOD_WORDS)),
            "Methods a page may use; those of the route when left out.",
            "[GET, POST]",
        ),
        Key::new(
            "headers",
            Shape::List(&Shape::Value(&name::HEADER_WORDS)),
            "Header fields a page may send; whatever it asks for when left out.",
            "[x-request-id]",
        ),
        Key::new(
            "expose",
            Shape::List(&Shape::Value(&name::HEADER_WORDS)),
            "Header fields of the reply that a page may read, beside Stoa's own.",
            "[x-total]",
        ),
        Key::new(
            "credentials",
            Shape::Bool,
            "Whether cookies and credentials may be sent; the origins must then be named.",
            "true",
        )
        .or("false"),
        Key::new(
            "max_age",
            Shape::Value(&units::DURATION_WORDS),
            "How long a page may remember the answer.",
            "1h",
        )
        .or("10m"),
    ],
    instead: &[
        ("origin", "did you mean `origins`?"),
        ("allow_origins", "did you mean `origins`?"),
    ],
};

/// Where a rule stands decides what it may speak of.
pub(crate) enum RulePlace<'f> {
    /// A service's route.
    Route,
    /// A resource with these fields.
    Resource(&'f [Field]),
}

/// Reads a rule. A faulty one lets nobody in, so that a later mistake cannot open anything.
pub(crate) fn rule(node: &Node, place: &RulePlace<'_>, report: &mut Report<'_>) -> Rule {
    Rule {
        access: access(node, place, report).unwrap_or(Access::Nobody),
        written: true,
        place: report.text.place(node.span),
    }
}

fn access(node: &Node, place: &RulePlace<'_>, report: &mut Report<'_>) -> Option<Access> {
    if node.map().is_some() {
        return long_access(node, place, report);
    }
    match grammar::scalar(node, &access::ACCESS, report)? {
        RawAccess::Public => Some(Access::Public),
        RawAccess::Nobody => Some(Access::Nobody),
        RawAccess::User => Some(Access::User),
        RawAccess::Role(names) => Some(Access::Role(names)),
        RawAccess::Scope(names) => Some(Access::Scope(names)),
        RawAccess::Owner(field, at) => owner(&field, node.part(&at), place, report),
        RawAccess::When(expression, at) => when(&expression, node, at, place, report),
    }
}

fn long_access(node: &Node, place: &RulePlace<'_>, report: &mut Report<'_>) -> Option<Access> {
    let read = Reader::open(&ACCESS, node, "this access rule", report)?;
    let given: Vec<&str> = ACCESS
        .keys
        .iter()
        .map(|k| k.name)
        .filter(|k| read.has(k))
        .collect();
    match given[..] {
        ["role"] => names(read.get("role")?, report).map(Access::Role),
        ["scope"] => names(read.get("scope")?, report).map(Access::Scope),
        ["owner"] => {
            let field = read.value("owner", &name::FIELD, report)?;
            owner(&field, read.get("owner")?.span, place, report)
        }
        ["when"] => {
            let node = read.get("when")?;
            let expression = read.value("when", &name::TEXT, report)?;
            when(&expression, node, 0, place, report)
        }
        [first, second, ..] => {
            report
                .add_with(
                    codes::EXCLUSIVE,
                    read.key_span(second),
                    format!("an access rule is one thing, and this is `{first}` and `{second}`"),
                    (read.key_span(first), "the other one"),
                )
                .help("say both in one expression: `{ when: \"'admin' in claims.roles && …\" }`");
            None
        }
        _ => {
            report
                .add(codes::ACCESS, node.span, "this access rule says nothing")
                .help("its keys are `role`, `scope`, `owner`, `when`");
            None
        }
    }
}

fn names(node: &Node, report: &mut Report<'_>) -> Option<Vec<String>> {
    let names: Vec<String> = one_or_many(node)
        .iter()
        .filter_map(|item| grammar::scalar(item, &access::ROLE, report))
        .collect();
    if names.is_empty() && node.list().is_some_and(<[Node]>::is_empty) {
        report
            .add(codes::ACCESS, node.span, "the list is empty")
            .help("write `none` for nobody");
    }
    (!names.is_empty()).then_some(names)
}

fn owner(field: &str, span: Span, place: &RulePlace<'_>, report: &mut Report<'_>) -> Option<Access> {
    let RulePlace::Resource(fields) = place else {
        report
            .add(
                codes::RULE_PLACE,
                span,
                "`owner` speaks of a row, and a service's route has none",
            )
            .help("write `user`, or `when: claims.sub == …`");
        return None;
    };
    let Some(position) = fields.iter().position(|f| f.name == field) else {
        report
            .add(codes::UNKNOWN_FIELD, span, format!("there is no field `{field}`"))
            .help(did_you_mean(field, fields.iter().map(|f| f.name.as_str())));
        return None;
    };
    match fields[position].ty.value() {
        Type::Text | Type::Uuid | Type::Uuid7 | Type::Int => Some(Access::Owner(position)),
        other => {
            report
                .add(
                    codes::RULE_PLACE,
                    span,
                    format!("`{field}` is {other}, which a caller's `sub` is never equal to"),
                )
                .help("the owner field is a text, uuid or int, or a ref to one");
            None
        }
    }
}

/// `at`: where the expression starts in the node's text.
fn when(
    expression: &str,
    node: &Node,
    at: usize,
    place: &RulePlace<'_>,
    report: &mut Report<'_>,
) -> Option<Access> {
    let row = match place {
        RulePlace::Route => None,
        RulePlace::Resource(fields) => Some(fields.iter().map(|f| f.name.as_str()).collect()),
    };
    match cel::compile(expression, &cel::Scope { row }) {
        Ok(program) => Some(Access::When(Cel {
            source: expression.into(),
            program: Arc::new(program),
        })),
        Err(flaw) => {
            flaw.shifted(at).report(&cel::CEL_WORDS, node, report);
            None
        }
    }
}

/// `cache`, with `stale` and `tags` that stand beside it.
pub(crate) fn cache(
    node: &Node,
    beside: (Option<&Node>, Option<&Node>),
    report: &mut Report<'_>,
) -> Option<Cache> {
    let (mut stale, mut tags) = beside;
    let (scope, fresh) = if node.map().is_some() {
        let read = Reader::open(&CACHE, node, "`cache`", report)?;
        for (key, outside) in [("stale", stale), ("tags", tags)] {
            if let (Some(_), Some(outside)) = (read.get(key), outside) {
                let message = format!("`{key}` is inside `cache` and beside it");
                report.add_with(
                    codes::EXCLUSIVE,
                    outside.span,
                    message,
                    (read.key_span(key), "the other one"),
                );
            }
        }
        stale = read.get("stale").or(stale);
        tags = read.get("tags").or(tags);
        let scope = read
            .value("scope", &policy::CACHE_SCOPE, report)
            .unwrap_or(CacheScope::Default);
        (scope, read.value("fresh", &units::DURATION, report)?)
    } else {
        grammar::scalar(node, &policy::CACHE, report)?
    };
    let stale = stale.and_then(|n| grammar::scalar(n, &units::DURATION_OR_ZERO, report));
    let mut found = Vec::new();
    for item in tags.map(one_or_many).unwrap_or_default() {
        found.extend(grammar::scalar(item, &name::TEXT, report));
    }
    Some(Cache {
        fresh,
        stale: stale.unwrap_or(Duration::ZERO),
        scope,
        tags: found,
    })
}

/// `timeout`, over what holds without it.
pub(crate) fn timeouts(node: &Node, base: Timeouts, report: &mut Report<'_>) -> Option<Timeouts> {
    if node.map().is_none() {
        let total = grammar::scalar(node, &units::DURATION, report)?;
        return Some(Timeouts {
            total: Some(total),
            ..base
        });
    }
    let read = Reader::open(&TIMEOUT, node, "`timeout`", report)?;
    let mut duration = |key: &str| read.value(key, &units::DURATION, report);
    Some(Timeouts {
        connect: duration("connect").unwrap_or(base.connect),
        first_byte: duration("first_byte").unwrap_or(base.first_byte),
        idle: duration("idle").unwrap_or(base.idle),
        per_try: duration("per_try").or(base.per_try),
        total: duration("total").or(base.total),
    })
}

pub(crate) fn cors(node: &Node, report: &mut Report<'_>) -> Option<Cors> {
    if node.map().is_none() {
        let origins = if flag(node, "cors", report)? {
            vec!["*".to_owned()]
        } else {
            Vec::new()
        };
        return Some(Cors {
            origins,
            methods: Vec::new(),
            headers: Vec::new(),
            expose: Vec::new(),
            credentials: false,
            max_age: super::read::default(&CORS, "max_age", &units::DURATION),
        });
    }
    let read = Reader::open(&CORS, node, "`cors`", report)?;
    let origins = each(read.get("origins").map(one_or_many), &policy::ORIGIN, report);
    let credentials = read.flag("credentials", report).unwrap_or(false);
    let star = origins.iter().any(|o| o == "*");
    if let (true, Some(node)) = (star && origins.len() > 1, read.get("origins")) {
        report
            .add(codes::CORS, node.span, "`*` already allows every origin")
            .help("keep `*` alone, or name the origins");
    }
    if star && credentials {
        report
            .add(
                codes::CORS,
                read.key_span("credentials"),
                "`credentials` and the origin `*` exclude each other",
            )
            .help("name the origins one by one");
    }
    let max_age = read.value("max_age", &units::DURATION_OR_ZERO, report);
    let lists = |key: &str, report: &mut Report<'_>| read.get(key).map(|n| list(n, key, report));
    let (methods, headers, expose) = (
        lists("methods", report),
        lists("headers", report),
        lists("expose", report),
    );
    Some(Cors {
        origins,
        methods: each(methods, &name::METHOD, report),
        headers: each(headers, &name::HEADER, report),
        expose: each(expose, &name::HEADER, report),
        credentials,
        max_age: read.or_default(max_age, "max_age", &units::DURATION),
    })
}

fn each<T>(items: Option<&[Node]>, grammar: &grammar::Grammar<T>, report: &mut Report<'_>) -> Vec<T> {
    let items = items.unwrap_or_default().iter();
    items
        .filter_map(|item| grammar::scalar(item, grammar, report))
        .collect()
}

/// The words of `cache`-like keys that only mean something beside it.
pub(crate) fn only_with_cache(read: &Reader<'_>, keys: &[&str], report: &mut Report<'_>) {
    for key in keys.iter().filter(|k| read.get(k).is_some()) {
        report
            .add(
                codes::EXCLUSIVE,
                read.key_span(key),
                format!("`{key}` says something about a cache, and there is no `cache`"),
            )
            .help("add `cache: 60s`");
    }
}
