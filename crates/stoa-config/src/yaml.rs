//! YAML text to [`Node`]s: a strict part of YAML 1.2, under budgets, without recursion.

use crate::{
    fault::codes,
    node::{Entry, Map, Node, Origin, Scalar, Span, Value},
    report::Report,
};
use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, StructureStyle};
use std::collections::HashMap;

/// Bytes of a file at most.
pub(crate) const BYTES_MAX: usize = 8 << 20;
/// Maps and lists inside each other at most.
const DEPTH_MAX: usize = 64;
/// Values of a file at most.
const NODES_MAX: usize = 100_000;

/// Reads `report.text`. `None` when there is no tree to go on with; why is in the report.
pub(crate) fn parse(report: &mut Report<'_>) -> Option<Node> {
    let text = report.text.content.as_str();
    let options = granit_parser::options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        flow_nesting_limit: DEPTH_MAX,
        block_nesting_limit: DEPTH_MAX,
    };
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let step = match event {
            Ok((event, span)) => {
                let span = span.byte_range().map_or_else(Span::default, Span::new);
                builder.take(event, span, report)
            }
            Err(error) => {
                syntax_fault(&error, &builder, report);
                return None;
            }
        };
        if step.is_err() {
            return None;
        }
    }
    if builder.root.as_ref().is_none_or(Node::is_left_out) {
        report
            .add(codes::EMPTY, Span::default(), "the file is empty")
            .help(
                "the smallest file is `api: NAME` with `services:` or `resources:`; `stoa init` writes one",
            );
    }
    builder.root
}

/// The file is given up: the fault is in the report.
struct GivenUp;

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
    documents: usize,
}

/// A map or list whose end has not come yet.
struct Open {
    start: Span,
    kind: Kind,
}

enum Kind {
    List(Vec<Node>),
    Map {
        flow: bool,
        entries: Vec<Entry>,
        /// A key that waits for its value: text, span. `None` inside: the key was no text.
        key: Option<(Option<String>, Span)>,
    },
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span, report: &mut Report<'_>) -> Result<(), GivenUp> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents == 2 {
                    report
                        .add(codes::DOCUMENTS, span, "a second YAML document starts here")
                        .help("an API file is one document; remove the `---`");
                    return Err(GivenUp);
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                refuse_properties(anchor, tag.is_some(), span, report);
                let node = scalar(&text, style, span, &report.text.content);
                self.value(node, report)?;
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                report
                    .add(codes::YAML_FEATURE, span, "YAML aliases are not read here")
                    .help(
                        "write the value out; what many routes share belongs into a named limit or a profile",
                    );
                self.value(Node::faulty(span), report)?;
            }
            Event::SequenceStart(_, anchor, tag) => {
                refuse_properties(anchor, tag.is_some(), span, report);
                self.open(span, Kind::List(Vec::new()), report)?;
            }
            Event::MappingStart(style, anchor, tag) => {
                refuse_properties(anchor, tag.is_some(), span, report);
                let flow = style == StructureStyle::Flow;
                let kind = Kind::Map {
                    flow,
                    entries: Vec::new(),
                    key: None,
                };
                self.open(span, kind, report)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span, report),
            _ => {}
        }
        Ok(())
    }

    fn open(&mut self, start: Span, kind: Kind, report: &mut Report<'_>) -> Result<(), GivenUp> {
        self.count(start, report)?;
        if self.open.len() >= DEPTH_MAX {
            too_deep(start, report);
            return Err(GivenUp);
        }
        self.open.push(Open { start, kind });
        Ok(())
    }

    fn close(&mut self, end: Span, report: &mut Report<'_>) {
        let Some(open) = self.open.pop() else { return };
        let value = match open.kind {
            Kind::List(items) => Value::List(items),
            Kind::Map { flow, entries, .. } => {
                let entries = if flow {
                    join_split(entries, report)
                } else {
                    entries
                };
                Value::Map(Map {
                    entries: without_duplicates(entries, report),
                })
            }
        };
        let node = Node {
            value,
            span: open.start.to(end),
            origin: Origin::default(),
        };
        self.place(node, report);
    }

    fn value(&mut self, node: Node, report: &mut Report<'_>) -> Result<(), GivenUp> {
        self.count(node.span, report)?;
        self.place(node, report);
        Ok(())
    }

    /// Puts a finished value where it belongs: a list, a key, a key's value, or the root.
    fn place(&mut self, node: Node, report: &mut Report<'_>) {
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(Kind::List(items)) => items.push(node),
            Some(Kind::Map { entries, key, .. }) => match key.take() {
                None => *key = Some(as_key(node, report)),
                Some((Some(name), key_span)) => entries.push(Entry {
                    key: name,
                    key_span,
                    value: node,
                }),
                Some((None, _)) => {}
            },
        }
    }

    fn count(&mut self, span: Span, report: &mut Report<'_>) -> Result<(), GivenUp> {
        self.nodes += 1;
        if self.nodes <= NODES_MAX {
            return Ok(());
        }
        report.add(
            codes::BUDGET,
            span,
            format!("the file has more than {NODES_MAX} values"),
        );
        Err(GivenUp)
    }
}

fn too_deep(span: Span, report: &mut Report<'_>) {
    let message = format!("maps and lists are nested more than {DEPTH_MAX} deep");
    report.add(codes::BUDGET, span, message);
}

fn as_key(node: Node, report: &mut Report<'_>) -> (Option<String>, Span) {
    let span = node.span;
    match node.value {
        Value::Scalar(scalar) => {
            if scalar.text == "<<" && !scalar.quoted {
                report
                    .add(codes::YAML_FEATURE, span, "YAML merge keys are not read here")
                    .help("write the keys out");
                return (None, span);
            }
            (Some(scalar.text), span)
        }
        // `null:` and `~:` are keys with that text.
        Value::Null if span.start < span.end => {
            let text = &report.text.content[span.range()];
            (Some(text.to_owned()), span)
        }
        _ => {
            report.add(codes::KEY_NOT_TEXT, span, "a key must be a single word or text");
            (None, span)
        }
    }
}

fn null(span: Span) -> Node {
    Node {
        value: Value::Null,
        span,
        origin: Origin::default(),
    }
}

fn scalar(text: &str, style: ScalarStyle, span: Span, source: &str) -> Node {
    let plain = style == ScalarStyle::Plain;
    if plain && matches!(text, "" | "~" | "null") {
        return null(span);
    }
    let inner = if plain { span.start } else { span.start + 1 };
    let there = source.get(inner as usize..inner as usize + text.len());
    let raw = (there == Some(text)).then_some(inner);
    Node {
        value: Value::Scalar(Scalar {
            text: text.to_owned(),
            quoted: !plain,
            raw,
        }),
        span,
        origin: Origin::default(),
    }
}

fn refuse_properties(anchor: usize, tagged: bool, span: Span, report: &mut Report<'_>) {
    if anchor != 0 {
        report
            .add(codes::YAML_FEATURE, span, "YAML anchors are not read here")
            .help("remove the `&name`, and write the value out where it was used again");
    }
    if tagged {
        report
            .add(codes::YAML_FEATURE, span, "YAML tags are not read here")
            .help("remove the `!tag`: what a value is follows from its key");
    }
}

/// Inside `{…}` YAML ends a value at a comma: `{ price: decimal(12,2), min 0 }` is three keys, two of
/// them without a value. Joins them again, with the fault and the edit.
fn join_split(entries: Vec<Entry>, report: &mut Report<'_>) -> Vec<Entry> {
    let mut joined: Vec<Entry> = Vec::with_capacity(entries.len());
    let mut run: Option<(usize, Span)> = None;
    let lonely = |e: &Entry| e.value.is_null() && e.value.span.start == e.value.span.end;
    for entry in entries {
        let before_is_plain = joined
            .last()
            .and_then(|e| e.value.scalar())
            .is_some_and(|s| !s.quoted);
        if lonely(&entry) && before_is_plain && !follows_colon(&entry, &report.text.content) {
            run = Some((joined.len() - 1, entry.key_span));
            continue;
        }
        join_run(run.take(), &mut joined, report);
        joined.push(entry);
    }
    join_run(run, &mut joined, report);
    joined
}

/// Whether a colon stands after the key: `{ a: , b }` says that `a` has no value.
fn follows_colon(entry: &Entry, text: &str) -> bool {
    let after = text.get(entry.key_span.end as usize..).unwrap_or_default();
    after.trim_start().starts_with(':')
}

fn join_run(run: Option<(usize, Span)>, joined: &mut [Entry], report: &mut Report<'_>) {
    let Some((entry, last)) = run.and_then(|(at, last)| Some((joined.get_mut(at)?, last))) else {
        return;
    };
    let span = entry.value.span.to(last);
    let text = report
        .text
        .content
        .get(span.range())
        .unwrap_or_default()
        .to_owned();
    let quoted = serde_json::Value::from(text.as_str());
    report
        .add(
            codes::SPLIT,
            span,
            format!("inside {{ }} YAML ends the value of `{}` at the comma", entry.key),
        )
        .help(format!("quote it: `{}: {quoted}`", entry.key));
    entry.value.span = span;
    entry.value.value = Value::Scalar(Scalar {
        raw: Some(span.start),
        quoted: true,
        text,
    });
}

fn without_duplicates(entries: Vec<Entry>, report: &mut Report<'_>) -> Vec<Entry> {
    let mut seen: HashMap<String, Span> = HashMap::with_capacity(entries.len());
    let mut kept = Vec::with_capacity(entries.len());
    for entry in entries {
        if let Some(first) = seen.get(&entry.key) {
            report
                .add_with(
                    codes::DUPLICATE_KEY,
                    entry.key_span,
                    format!("`{}` is written twice", entry.key),
                    (*first, "first here"),
                )
                .help("keep one of them");
            continue;
        }
        seen.insert(entry.key.clone(), entry.key_span);
        kept.push(entry);
    }
    kept
}

fn syntax_fault(error: &ScanError, builder: &Builder, report: &mut Report<'_>) {
    let length = report.text.content.len();
    let at = error.marker().byte_offset().unwrap_or(length).min(length);
    let span = Span::new(at..at);
    if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
        too_deep(span, report);
        return;
    }
    if tabs(report) {
        return;
    }
    let in_flow = builder.open.iter().rev().find_map(|open| match &open.kind {
        Kind::Map { flow: true, .. } => Some(open.start),
        _ => None,
    });
    let line = report.text.content[..at].rsplit('\n').next().unwrap_or_default();
    let help = if matches!(error.kind(), ErrorKind::MappingValueNotAllowed) {
        Some(if line.contains("when") {
            "a value that holds `: ` needs quotes or the map form: `access: { when: … }`"
        } else {
            "a value that holds `: ` needs quotes; or the line is indented more than the one before it"
        })
    } else if in_flow.is_some() {
        Some("inside { } quote a value that holds any of `, [ ] { }`")
    } else if let Some(close) = unclosed(&report.text.content[at..]) {
        Some(close)
    } else if line.contains("${") || line.trim_end().ends_with([':', '-']) {
        Some("quote the value")
    } else {
        None
    };
    let kind = error.kind().to_string();
    let fault = report.add(codes::SYNTAX, span, format!("this is not YAML: {kind}"));
    if let Some(help) = help {
        fault.help(help);
    }
}

/// What to do about a bracket that the error points at: it is one that nothing closes.
fn unclosed(rest: &str) -> Option<&'static str> {
    match rest.bytes().next()? {
        b'[' => Some("close it with a `]`, or quote the value if the bracket belongs to it"),
        b'{' => Some("close it with a `}`, or quote the value if the brace belongs to it"),
        _ => None,
    }
}

/// Reports the lines that are indented with tabs; whether there are any.
fn tabs(report: &mut Report<'_>) -> bool {
    let mut found = Vec::new();
    let mut at = 0;
    for line in report.text.content.split_inclusive('\n') {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        if let Some(tab) = line[..indent].find('\t').filter(|_| !line.trim().is_empty()) {
            found.push(Span::new(at + tab..at + indent));
        }
        at += line.len();
    }
    for &span in found.iter().take(20) {
        report
            .add(codes::TAB, span, "the line is indented with a tab")
            .help("indent with spaces: YAML allows no tabs there");
    }
    !found.is_empty()
}
