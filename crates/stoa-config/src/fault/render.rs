//! Faults as text for people, machines and GitHub.

use super::{Fault, Severity};
use crate::Source;
use annotate_snippets::{Annotation, AnnotationKind, Group, Level, Renderer, Snippet, renderer::DecorStyle};
use serde_json::{Value, json};
use std::{fmt::Write as _, ops::Range};

/// For people: message, place, the line with a caret, help. Ends with a count of errors and warnings.
pub fn render_human(faults: &[Fault], sources: &[Source], colour: bool) -> String {
    let renderer = if colour {
        Renderer::styled().decor_style(DecorStyle::Unicode)
    } else {
        Renderer::plain()
    };
    let mut out = String::new();
    for fault in faults {
        out.push_str(&one(fault, sources, &renderer));
        out.push_str("\n\n");
    }
    let errors = faults.iter().filter(|f| f.severity == Severity::Error).count();
    let warnings = faults.len() - errors;
    let _ = write!(out, "{}, {}", count(errors, "error"), count(warnings, "warning"));
    if let Some(first) = faults.first() {
        let _ = write!(out, " · stoa explain {}", first.code);
    }
    out.push('\n');
    out
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

fn one(fault: &Fault, sources: &[Source], renderer: &Renderer) -> String {
    let level = match fault.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(shown(&fault.message)).id(fault.code);
    let source = sources.iter().find(|s| *s.name == *fault.place.file);
    let mut group = match source {
        Some(source) => title.element(snippet(fault, source)),
        None => Group::with_title(title),
    };
    if source.is_none() && fault.place.line > 0 {
        group = group.element(Level::NOTE.message(fault.place.to_string()));
    }
    if let (Some((place, range, label)), Some(source)) = (&fault.second, source)
        && range.start.abs_diff(span(fault, source).start) >= SHOWN_BYTES_MAX
    {
        group = group.element(Level::NOTE.message(format!("{label}: {place}")));
    }
    if let Some(help) = &fault.help {
        group = group.element(Level::HELP.message(shown(help)));
    }
    renderer.render(&[group]).clone()
}

/// The lines from the first to the last place of a fault, and no others: a file may be long.
fn snippet<'a>(fault: &'a Fault, source: &'a Source) -> Snippet<'a, Annotation<'a>> {
    let text = source.text.as_str();
    let inside = |range: &Range<usize>| {
        let end = range.end.min(text.len());
        range.start.min(end)..end
    };
    let primary = inside(&span(fault, source));
    let near = |range: &Range<usize>| range.start.abs_diff(primary.start) < SHOWN_BYTES_MAX;
    let second = fault
        .second
        .as_ref()
        .map(|(_, range, label)| (inside(range), label.as_str()))
        .filter(|(range, _)| near(range));
    let other = second
        .as_ref()
        .map_or(primary.clone(), |(range, _)| range.clone());
    let first = primary.start.min(other.start);
    let last = primary.end.max(other.end);
    let from = text[..first].rfind('\n').map_or(0, |at| at + 1);
    let from = from.max(boundary(text, first.saturating_sub(SHOWN_BYTES_MAX)));
    let to = text[last..].find('\n').map_or(text.len(), |at| last + at);
    let to = to.min(boundary(text, last + SHOWN_BYTES_MAX));
    let shifted = |range: Range<usize>| range.start - from..range.end - from;
    let snippet = Snippet::source(&text[from..to])
        .path(source.name.as_str())
        .line_start(text[..from].matches('\n').count() + 1)
        .annotation(AnnotationKind::Primary.span(shifted(primary)));
    match second {
        Some((range, label)) => snippet.annotation(AnnotationKind::Context.span(shifted(range)).label(label)),
        None => snippet,
    }
}

/// Bytes shown before and after a fault at most.
const SHOWN_BYTES_MAX: usize = 4 << 10;

/// The nearest start of a character at or before `at`.
fn boundary(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// What the caret points at: the rest of the line where only the place is known.
fn span(fault: &Fault, source: &Source) -> Range<usize> {
    let line = usize::try_from(fault.place.line).unwrap_or(0);
    if !fault.span.is_empty() || line == 0 {
        return fault.span.clone();
    }
    let before: usize = source
        .text
        .split_inclusive('\n')
        .take(line - 1)
        .map(str::len)
        .sum();
    let rest = source.text[before..].lines().next().unwrap_or_default();
    let column = usize::try_from(fault.place.column).unwrap_or(1).saturating_sub(1);
    let start = rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at);
    before + start..before + rest.trim_end().len().max(start)
}

/// Without control characters: what a file holds must not steer the terminal.
fn shown(text: &str) -> String {
    text.chars()
        .flat_map(|c| match c {
            '\n' => vec![c],
            c if c.is_control() => c.escape_default().collect(),
            c => vec![c],
        })
        .collect()
}

/// For machines: `{"faults":[{code,severity,file,line,column,message,help}]}`.
pub fn render_json(faults: &[Fault]) -> Value {
    let faults: Vec<Value> = faults
        .iter()
        .map(|fault| {
            json!({
                "code": fault.code,
                "severity": fault.severity.word(),
                "file": &*fault.place.file,
                "line": fault.place.line,
                "column": fault.place.column,
                "message": fault.message,
                "help": fault.help,
            })
        })
        .collect();
    json!({ "faults": faults })
}

/// For GitHub Actions: one `::error file=…,line=…,col=…::` line per fault.
pub fn render_github(faults: &[Fault]) -> String {
    let mut out = String::new();
    for fault in faults {
        let help = fault
            .help
            .as_ref()
            .map(|h| format!("\nhelp: {h}"))
            .unwrap_or_default();
        let _ = writeln!(
            out,
            "::{} file={},line={},col={},title={}::{}",
            fault.severity.word(),
            property(&fault.place.file),
            fault.place.line,
            fault.place.column,
            fault.code,
            data(&format!("{}{help}", fault.message)),
        );
    }
    out
}

/// Escaped as the runner wants the text of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escaped as the runner wants a property of a command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
