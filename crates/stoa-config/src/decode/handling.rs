//! What a route answers by itself and what it rewrites: `redirect`, `reply`, `rewrite`, `headers`, `reply_headers`.

use super::{Reader, flag, one_or_many};
use crate::{
    effective::to_json,
    fault::codes,
    grammar::{
        self, Flaw, Grammar, Words, name,
        template::{self, Piece, Target},
    },
    node::{Entry, Node, Value},
    plan::{
        Answer, Compress, FieldEdits, FixedReply, Handling, Part, PathPattern, PathTemplate, Redirect,
        Segment, ValueTemplate,
    },
    report::{Report, did_you_mean},
    spec::{Key, MapSpec, Shape},
};
use http::{HeaderName, StatusCode, header};

pub(crate) const REPLY_SHAPE: Shape = Shape::Any(&[Shape::Int { min: 200, max: 599 }, Shape::Map(&REPLY)]);
pub(crate) const REQUEST_FIELDS_SHAPE: Shape = Shape::Map(&REQUEST_FIELDS);
pub(crate) const REPLY_FIELDS_SHAPE: Shape = Shape::Map(&REPLY_FIELDS);
pub(crate) const STATUS_SHAPE: Shape = Shape::Int { min: 301, max: 308 };

pub(crate) const COMPRESS_SHAPE: Shape = Shape::Any(&[Shape::Bool, Shape::Value(&ALWAYS_WORDS)]);

static ALWAYS_WORDS: Words =
    Words::new("`true`, `false` or `always`", codes::CHOICE, &["always"]).choice(&["always"]);

/// Reads `compress`.
pub(crate) fn compress(read: &Reader<'_>, report: &mut Report<'_>) -> Option<Compress> {
    let node = read.get("compress")?;
    if node.scalar().is_some_and(|s| s.text == "always") {
        return Some(Compress::Always);
    }
    let on = flag(node, "compress", report);
    if on.is_none()
        && let Some(fault) = report.last()
    {
        fault
            .help
            .get_or_insert_with(|| "`true`, `false` or `always`".to_owned());
    }
    Some(if on? { Compress::On } else { Compress::Off })
}

const NAMES_SHAPE: Shape = Shape::Any(&[
    Shape::Value(&name::HEADER_WORDS),
    Shape::List(&Shape::Value(&name::HEADER_WORDS)),
]);

pub(crate) static REPLY: MapSpec = MapSpec {
    name: "reply",
    doc: "The same answer for everybody. The short form is its status; a status of 400 and more without a body is answered as a problem.",
    keys: &[
        Key::new("status", Shape::Int { min: 200, max: 599 }, "Its status.", "503").or("200"),
        Key::new(
            "body",
            Shape::Free,
            "Its body: a text is sent as `text/plain`, a map or list as JSON.",
            "{ hello: world }",
        ),
        Key::new(
            "headers",
            Shape::Named(&name::HEADER_WORDS, &Shape::Value(&template::VALUE_WORDS)),
            "Its header fields.",
            "{ retry-after: \"60\" }",
        ),
    ],
    instead: &[
        ("code", "did you mean `status`?"),
        ("text", "did you mean `body`?"),
    ],
};

pub(crate) static REQUEST_FIELDS: MapSpec = MapSpec {
    name: "headers",
    doc: "Header fields of the request as the service sees it. What the caller sent under a name in `set` never arrives. Done in the order `remove`, `set`, `add`.",
    keys: &[
        Key::new(
            "set",
            Shape::Named(&name::HEADER_WORDS, &Shape::Value(&template::SECRET_VALUE_WORDS)),
            "Fields that are there once, with this value; where it names a claim that the caller does not have, the field is absent.",
            "{ x-user: \"{claims.sub}\" }",
        ),
        Key::new(
            "add",
            Shape::Named(&name::HEADER_WORDS, &Shape::Value(&template::SECRET_VALUE_WORDS)),
            "Fields that are there with this value too.",
            "{ x-tag: edge }",
        ),
        Key::new(
            "remove",
            NAMES_SHAPE,
            "Fields that are not passed on.",
            "[cookie]",
        ),
    ],
    instead: &[
        ("delete", "did you mean `remove`?"),
        ("append", "did you mean `add`?"),
    ],
};

pub(crate) static REPLY_FIELDS: MapSpec = MapSpec {
    name: "reply_headers",
    doc: "Header fields of the reply, of refusals too. Done in the order `remove`, `set`, `add`.",
    keys: &[
        Key::new(
            "set",
            Shape::Named(&name::HEADER_WORDS, &Shape::Value(&template::VALUE_WORDS)),
            "Fields that are there once, with this value.",
            "{ strict-transport-security: max-age=31536000 }",
        ),
        Key::new(
            "add",
            Shape::Named(&name::HEADER_WORDS, &Shape::Value(&template::VALUE_WORDS)),
            "Fields that are there with this value too.",
            "{ vary: accept-language }",
        ),
        Key::new(
            "remove",
            NAMES_SHAPE,
            "Fields that callers do not see.",
            "[x-powered-by]",
        ),
    ],
    instead: &[
        ("delete", "did you mean `remove`?"),
        ("append", "did you mean `add`?"),
    ],
};

/// Keys of a route that ask a service; they mean nothing beside an answer of the route's own.
const OF_SERVICES: [&str; 12] = [
    "split",
    "mirror",
    "fault",
    "content_types",
    "cache",
    "idempotency",
    "max_body",
    "timeout",
    "retry",
    "rewrite",
    "headers",
    "stale",
];

/// Reads what a route has of these.
pub(crate) fn handling(read: &Reader<'_>, path: &PathPattern, report: &mut Report<'_>) -> Handling {
    let answer = answer(read, path, report);
    if answer.is_some() {
        for key in OF_SERVICES
            .iter()
            .filter(|key| read.knows(key) && read.get(key).is_some())
        {
            report
                .add(
                    codes::EXCLUSIVE,
                    read.key_span(key),
                    format!("`{key}` says how a service is asked, and this route asks none"),
                )
                .help("remove it, or the route's own answer");
        }
    }
    let rewrite = if read.knows("rewrite") {
        read.get("rewrite")
    } else {
        None
    };
    Handling {
        answer,
        rewrite: rewrite.and_then(|node| {
            let target = grammar::scalar(node, &template::REWRITE, report)?;
            bound(target, path, &template::REWRITE_WORDS, node, report)
        }),
        request_fields: if read.knows("headers") {
            fields(read, "headers", Side::Request, path, report)
        } else {
            FieldEdits::default()
        },
        reply_fields: fields(read, "reply_headers", Side::Reply, path, report),
        ..Handling::default()
    }
}

fn answer(read: &Reader<'_>, path: &PathPattern, report: &mut Report<'_>) -> Option<Answer> {
    let (redirect, reply) = (read.get("redirect"), read.get("reply"));
    if redirect.is_some() && reply.is_some() {
        report.add_with(
            codes::EXCLUSIVE,
            read.key_span("reply"),
            "a route has one answer, and this is `redirect` and `reply`",
            (read.key_span("redirect"), "the other one"),
        );
    }
    if let (Some(node), None) = (read.get("status"), redirect) {
        report
            .add(
                codes::EXCLUSIVE,
                node.span,
                "`status` belongs to `redirect`, which is not here",
            )
            .help("write `reply: { status: … }` for an answer with this status");
    }
    match (redirect, reply) {
        (Some(node), _) => self::redirect(read, node, path, report).map(Answer::Redirect),
        (None, Some(node)) => self::reply(node, path, report).map(Answer::Reply),
        (None, None) => None,
    }
}

fn redirect(read: &Reader<'_>, node: &Node, path: &PathPattern, report: &mut Report<'_>) -> Option<Redirect> {
    let target = grammar::scalar(node, &template::REDIRECT, report)?;
    if target.source == path.to_string() {
        report.add(
            codes::TARGET,
            node.span,
            "the redirect leads back to its own route",
        );
    }
    let status = read
        .get("status")
        .map_or(Some(StatusCode::TEMPORARY_REDIRECT), |node| {
            let status = read.int("status", report)? as u16;
            if matches!(status, 301 | 302 | 303 | 307 | 308) {
                return StatusCode::from_u16(status).ok();
            }
            report
                .add(
                    codes::ANSWER,
                    node.span,
                    format!("{status} is not a status of a redirect"),
                )
                .help("308 and 307 keep the method; 301 and 308 are remembered by browsers");
            None
        });
    Some(Redirect {
        origin: target.origin.clone(),
        to: bound(target, path, &template::REDIRECT_WORDS, node, report)?,
        status: status?,
    })
}

fn reply(node: &Node, path: &PathPattern, report: &mut Report<'_>) -> Option<FixedReply> {
    let mut found = FixedReply {
        status: StatusCode::OK,
        body: String::new(),
        content_type: "text/plain; charset=utf-8",
        fields: FieldEdits::default(),
    };
    let (status, at) = if node.map().is_none() {
        let bounds = (200, 599);
        (super::read::int(node, "reply", bounds, report), node)
    } else {
        let read = Reader::open(&REPLY, node, "`reply`", report)?;
        if let Some(body) = read.get("body") {
            (found.body, found.content_type) = match &body.value {
                Value::Scalar(scalar) => (scalar.text.clone(), found.content_type),
                _ => (to_json(body).to_string(), "application/json"),
            };
        }
        if let Some(node) = read.get("headers") {
            found.fields.set = values(node, "headers", Side::Reply, path, report);
        }
        let status = match read.get("status") {
            Some(_) => read.int("status", report),
            None => Some(200),
        };
        (status, read.get("status").unwrap_or(node))
    };
    found.status = StatusCode::from_u16(status? as u16).ok()?;
    match found.status.as_u16() {
        206 | 304 => {
            report.add(
                codes::ANSWER,
                at.span,
                format!(
                    "{} answers a condition or a range, which a fixed reply does not look at",
                    found.status.as_u16()
                ),
            );
        }
        204 | 205 if !found.body.is_empty() => {
            report
                .add(
                    codes::ANSWER,
                    at.span,
                    format!("a reply with {} has no body", found.status.as_u16()),
                )
                .help("write 200, or leave `body` out");
        }
        _ => {}
    }
    Some(found)
}

/// Which way a field goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Request,
    Reply,
}

fn fields(
    read: &Reader<'_>,
    key: &'static str,
    side: Side,
    path: &PathPattern,
    report: &mut Report<'_>,
) -> FieldEdits {
    let Some(node) = read.get(key) else {
        return FieldEdits::default();
    };
    let spec = match side {
        Side::Request => &REQUEST_FIELDS,
        Side::Reply => &REPLY_FIELDS,
    };
    let Some(read) = Reader::open(spec, node, format!("`{key}`"), report) else {
        return FieldEdits::default();
    };
    let values = |key: &str, report: &mut Report<'_>| {
        let node = read.get(key);
        node.map(|n| values(n, key, side, path, report))
            .unwrap_or_default()
    };
    let mut edits = FieldEdits {
        set: values("set", report),
        add: values("add", report),
        remove: Vec::new(),
    };
    for item in read.get("remove").map(one_or_many).unwrap_or_default() {
        let Some(name) = grammar::scalar(item, &name::HEADER, report) else {
            continue;
        };
        if let Some(why) = not_for_routes(&name, side) {
            report.add(
                codes::FIELD_OWN,
                item.span,
                format!("`{name}` cannot be removed: {why}"),
            );
        } else if edits.set.iter().any(|(set, _)| *set == name) {
            report
                .add(
                    codes::EXCLUSIVE,
                    item.span,
                    format!("`{name}` is removed and set"),
                )
                .help("`set` alone replaces what is there");
        } else {
            edits.remove.push(name);
        }
    }
    edits
}

fn values(
    node: &Node,
    key: &str,
    side: Side,
    path: &PathPattern,
    report: &mut Report<'_>,
) -> Vec<(HeaderName, ValueTemplate)> {
    let Value::Map(map) = &node.value else {
        report
            .wrong_type(node, &format!("`{key}`"), "a map of header fields and values")
            .help("such as `{ x-tag: edge }`");
        return Vec::new();
    };
    let entries = map.entries.iter().filter(|e| !e.value.is_null());
    entries
        .filter_map(|entry| field(entry, side, path, report))
        .collect()
}

fn field(
    entry: &Entry,
    side: Side,
    path: &PathPattern,
    report: &mut Report<'_>,
) -> Option<(HeaderName, ValueTemplate)> {
    let name = match (name::HEADER.parse)(&entry.key) {
        Ok(name) => name,
        Err(flaw) => {
            report.add(codes::HEADER, entry.key_span, flaw.message);
            return None;
        }
    };
    if let Some(why) = not_for_routes(&name, side) {
        report.add(
            codes::FIELD_OWN,
            entry.key_span,
            format!("`{name}` cannot be set: {why}"),
        );
        return None;
    }
    let grammar: &Grammar<Vec<Piece>> = match side {
        Side::Request => &template::SECRET_VALUE,
        Side::Reply => &template::VALUE,
    };
    let pieces = grammar::scalar(&entry.value, grammar, report)?;
    let parts = parts(
        pieces,
        path,
        Names::Value(side),
        grammar.words,
        &entry.value,
        report,
    )?;
    Some((name, parts))
}

/// Why a route may not touch a field.
fn not_for_routes(name: &HeaderName, side: Side) -> Option<&'static str> {
    let text = name.as_str();
    let hop = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "upgrade",
        "transfer-encoding",
        "content-length",
        "expect",
    ];
    if hop.contains(&text) {
        return Some("it frames the message or belongs to one hop");
    }
    if matches!(
        text,
        "x-request-id" | "traceparent" | "tracestate" | "via" | "stoa-explain" | "stoa-mirror"
    ) {
        return Some("Stoa writes it");
    }
    match side {
        Side::Request if *name == header::HOST => Some("a service is sent its own name"),
        Side::Request
            if matches!(
                text,
                "forwarded" | "x-real-ip" | "x-original-url" | "x-rewrite-url"
            ) || text.starts_with("x-forwarded-")
                || text.starts_with("x-http-method")
                || text == "x-method-override" =>
        {
            Some("it tells a service who asked for what, which no route may change")
        }
        Side::Request if text.contains('_') => {
            Some("servers read `_` as `-`, so it could pass for another field")
        }
        Side::Reply if matches!(text, "content-encoding" | "date") => Some("it describes what is sent"),
        _ => None,
    }
}

/// What names may stand in a template.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Names {
    Path,
    Value(Side),
}

fn bound(
    target: Target,
    path: &PathPattern,
    words: &Words,
    node: &Node,
    report: &mut Report<'_>,
) -> Option<PathTemplate> {
    let query = target
        .query
        .map(|q| parts(q, path, Names::Path, words, node, report));
    let path = parts(target.path, path, Names::Path, words, node, report)?;
    Some(PathTemplate {
        source: target.source,
        path,
        query: match query {
            Some(query) => Some(query?),
            None => None,
        },
    })
}

/// Looks the names up.
fn parts(
    pieces: Vec<Piece>,
    path: &PathPattern,
    names: Names,
    words: &Words,
    node: &Node,
    report: &mut Report<'_>,
) -> Option<Vec<Part>> {
    let mut found = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let looked_up = match piece {
            Piece::Text(text) => Ok(Part::Text(text)),
            Piece::Rest(_) if path.rest => Ok(Part::Rest(path.segments.len())),
            Piece::Rest(at) => Err(Flaw::at(at, "the route has no `**` that this could stand for")
                .help("end the route in `/**`")),
            Piece::Name(name, at) => part(&name, path, names).map_err(|flaw| Flaw { at, ..flaw }),
        };
        match looked_up {
            Ok(part) => found.push(part),
            Err(flaw) => {
                flaw.report(words, node, report);
                return None;
            }
        }
    }
    Some(found)
}

fn part(name: &str, path: &PathPattern, names: Names) -> Result<Part, Flaw> {
    let is = |segment: &Segment| matches!(segment, Segment::Param(param) if param == name);
    if let Some(at) = path.segments.iter().position(is) {
        return Ok(Part::Segment(at));
    }
    match (name, names) {
        ("request.ip", Names::Value(_)) => return Ok(Part::ClientIp),
        ("request.host", Names::Value(_)) => return Ok(Part::Host),
        ("request.id", Names::Value(_)) => return Ok(Part::RequestId),
        _ => {}
    }
    if let (Some(claim), Names::Value(side)) = (name.strip_prefix("claims."), names) {
        return if side == Side::Request {
            Ok(Part::Claim(claim.split('.').map(str::to_owned).collect()))
        } else {
            Err(Flaw::whole(name, "claims are for services, not for replies")
                .help("a reply may be kept and shown to others"))
        };
    }
    let params = path.segments.iter().filter_map(|s| match s {
        Segment::Param(name) => Some(name.as_str()),
        Segment::Literal(_) => None,
    });
    let others: &[&str] = match names {
        Names::Path => &[],
        Names::Value(Side::Request) => &["request.ip", "request.host", "request.id", "claims.sub"],
        Names::Value(Side::Reply) => &["request.ip", "request.host", "request.id"],
    };
    Err(Flaw::whole(name, format!("the route has no parameter `{name}`"))
        .help(did_you_mean(name, params.chain(others.iter().copied()))))
}

#[cfg(test)]
mod tests;
