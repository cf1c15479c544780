//! Fields: keys, and constraints against types.

use crate::{
    decode::resources::{RawDeclaration, RawResource},
    fault::codes,
    grammar::{
        field::{ConstraintKind, RawType},
        literal,
    },
    node::Span,
    plan::{DefaultValue, Field, Pattern, TableName, Type},
    report::Report,
};
use serde_json::Value;
use std::{cmp::Ordering, collections::HashMap};

/// Words of the query string: a field of that name could not be filtered by.
const QUERY_WORDS: [&str; 10] = [
    "select",
    "order",
    "limit",
    "offset",
    "and",
    "or",
    "not",
    "columns",
    "on_conflict",
    "after",
];
/// Bytes of a compiled regular expression at most.
const REGEX_BYTES_MAX: usize = 1 << 20;

/// The key fields of a resource.
pub(crate) struct Keys {
    /// In the order of the file.
    pub(crate) names: Vec<String>,
    /// Whether `id: uuid7, key` is added.
    pub(crate) generated: bool,
}

pub(crate) fn keys(raw: &RawResource<'_>, report: &mut Report<'_>) -> Keys {
    let declared: Vec<&RawDeclaration> = raw.fields.iter().filter(|f| f.has("key")).collect();
    let created = raw.table.is_none();
    if let (true, [first, second, ..]) = (created, &declared[..]) {
        report
            .add_with(
                codes::KEY,
                second
                    .constraint("key")
                    .map_or(second.name_span, |(_, span)| *span),
                format!(
                    "{} has two keys: `{}` and `{}`",
                    raw.read.what, first.name, second.name
                ),
                (first.name_span, "the first one"),
            )
            .help("a created table has one key; make the other `unique`");
    }
    for field in &declared {
        key_type(field, report);
    }
    let generated = created && declared.is_empty() && !raw.fields.is_empty();
    let id = raw.fields.iter().find(|f| f.name.eq_ignore_ascii_case("id"));
    if let (true, Some(id)) = (generated, id) {
        report
            .add(
                codes::KEY,
                id.name_span,
                format!("{} has a field `{}` and no key", raw.read.what, id.name),
            )
            .help(format!("add `key` to it: `{}: …, key`", id.name));
        return Keys {
            names: vec![id.name.clone()],
            generated: false,
        };
    }
    if generated {
        return Keys {
            names: vec!["id".to_owned()],
            generated: true,
        };
    }
    let wanted = if created { 1 } else { usize::MAX };
    Keys {
        names: declared.iter().take(wanted).map(|f| f.name.clone()).collect(),
        generated: false,
    }
}

fn key_type(field: &RawDeclaration, report: &mut Report<'_>) {
    if matches!(
        field.ty,
        RawType::Float | RawType::Json | RawType::List(_) | RawType::Bool
    ) {
        report
            .add(
                codes::KEY,
                field.ty_span,
                format!("`{}` cannot be a key: its type has no exact equality", field.name),
            )
            .help("use uuid7, uuid, text or int");
    }
    if let Some((_, span)) = field.constraint("optional") {
        report.add(
            codes::KEY,
            *span,
            format!("the key `{}` cannot be optional", field.name),
        );
    }
}

/// The fields of a resource, the generated key first.
pub(crate) fn fields(
    raw: &RawResource<'_>,
    keys: &Keys,
    types: Vec<Type>,
    report: &mut Report<'_>,
) -> Vec<Field> {
    names(raw, report);
    let mut fields = Vec::with_capacity(raw.fields.len() + 1);
    if keys.generated {
        fields.push(Field {
            auto: true,
            immutable: true,
            ..blank("id", Type::Uuid7, report, raw.name_span)
        });
    }
    for (declared, ty) in raw.fields.iter().zip(types) {
        let mut field = blank(&declared.name, ty, report, declared.name_span);
        for (kind, span) in &declared.constraints {
            apply(&mut field, kind, *span, report);
        }
        if keys.names.contains(&field.name) {
            field.immutable = true;
            field.auto |= field.ty == Type::Uuid7;
        }
        check_auto(&field, declared, report);
        check_existing(raw, declared, report);
        check_function(declared, report);
        check_was(&field, raw, declared, report);
        check_bounds(&field, declared, report);
        check_default(&mut field, declared, report);
        fields.push(field);
    }
    fields
}

fn names(raw: &RawResource<'_>, report: &mut Report<'_>) {
    let mut seen: HashMap<String, &RawDeclaration> = HashMap::new();
    for field in &raw.fields {
        let name = field.name.as_str();
        let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
        let good = name.starts_with(char::is_alphabetic) && name.chars().all(plain);
        if raw.table.is_none() && !good && !name.starts_with('_') {
            report
                .add(
                    codes::NAME,
                    field.name_span,
                    format!("`{name}` cannot be the name of a created column"),
                )
                .help("start with a letter; letters, digits, `_` and `-` follow");
        } else if raw.table.is_none() && name.starts_with('_') {
            // A column of a table that exists is called what it is called.
            report
                .add(
                    codes::RESERVED,
                    field.name_span,
                    format!("field `{name}` starts with `_`"),
                )
                .help("such names are Stoa's own columns");
        } else if raw.table.is_none() && QUERY_WORDS.contains(&name.to_ascii_lowercase().as_str()) {
            report
                .add(
                    codes::RESERVED,
                    field.name_span,
                    format!("field `{name}` is a word of the query string, so nobody could filter by it"),
                )
                .help(format!("such as `{name}_of` or `is_{name}`"));
        }
        if let Some((ConstraintKind::Column(column), span)) = field.constraint("column")
            && let Some(other) = raw
                .fields
                .iter()
                .find(|f| f.name != field.name && is_kept_in(f, column))
        {
            let message = format!("`{name}` and `{}` are the same column", other.name);
            report.add_with(
                codes::DUPLICATE_VALUE,
                *span,
                message,
                (other.name_span, "the other one"),
            );
        }
        if let Some(first) = seen.get(&name.to_ascii_lowercase()) {
            let message = format!("fields `{name}` and `{}` differ only in case", first.name);
            report
                .add_with(
                    codes::SAME_LETTERS,
                    field.name_span,
                    message,
                    (first.name_span, "the other one"),
                )
                .help("databases compare names without regard to case: rename one");
        }
        seen.insert(name.to_ascii_lowercase(), field);
    }
}

/// Whether a field is kept in this column.
fn is_kept_in(field: &RawDeclaration, column: &str) -> bool {
    match field.constraint("column") {
        Some((ConstraintKind::Column(own), _)) => own == column,
        _ => field.name == column && !field.has("function"),
    }
}

fn blank(name: &str, ty: Type, report: &Report<'_>, span: Span) -> Field {
    Field {
        name: name.to_owned(),
        place: report.text.place(span),
        ty,
        unique: false,
        optional: false,
        auto: false,
        generated: false,
        immutable: false,
        index: false,
        column: None,
        function: None,
        default: None,
        min: None,
        max: None,
        chars: None,
        matches: None,
        was: None,
    }
}

fn apply(field: &mut Field, kind: &ConstraintKind, span: Span, report: &mut Report<'_>) {
    let misfit = |report: &mut Report<'_>, why: &str| {
        report.add(
            codes::CONSTRAINT,
            span,
            format!("`{}` does not fit `{}`: {why}", kind.word(), field.name),
        );
    };
    match kind {
        ConstraintKind::Optional => field.optional = true,
        ConstraintKind::Auto => field.auto = true,
        ConstraintKind::Generated => field.generated = true,
        ConstraintKind::Computed => (field.generated, field.auto) = (true, true),
        ConstraintKind::Immutable => field.immutable = true,
        ConstraintKind::Unique | ConstraintKind::Index if !field.ty.is_scalar() => {
            misfit(report, "only fields of one plain value can be looked up");
        }
        ConstraintKind::Unique => field.unique = true,
        ConstraintKind::Index => field.index = true,
        // Read when all fields are known.
        ConstraintKind::Key | ConstraintKind::Default(_) => {}
        ConstraintKind::Min(text) | ConstraintKind::Max(text) => match literal::bound(text, &field.ty) {
            Ok(bound) if matches!(kind, ConstraintKind::Min(_)) => field.min = Some(bound),
            Ok(bound) => field.max = Some(bound),
            Err(why) => {
                misfit(report, &why);
                if field.ty == Type::Text
                    && let Some(last) = report.last()
                {
                    last.help("for the length of a text write `1..120 chars`");
                }
            }
        },
        ConstraintKind::Chars(min, max) => match field.ty {
            Type::Text | Type::List(_) => field.chars = Some((*min, *max)),
            _ => {
                misfit(report, "only texts and lists have a length");
                if let Some(last) = report.last() {
                    last.help(format!("for the value write `{min}..{max}`"));
                }
            }
        },
        ConstraintKind::Column(name) => field.column = Some(name.clone()),
        ConstraintKind::Function(name) => {
            field.function = Some(name.clone().unwrap_or_else(|| TableName {
                schema: None,
                name: field.name.clone(),
            }));
            (field.optional, field.generated, field.auto) = (true, true, true);
        }
        ConstraintKind::Was(name) if *name == field.name => misfit(report, "it is the same name"),
        ConstraintKind::Was(name) => field.was = Some(name.clone()),
        ConstraintKind::Matches(source) => {
            if field.ty == Type::Text {
                field.matches = pattern(source, span, report);
            } else {
                misfit(report, "only texts can match");
            }
        }
    }
}

fn pattern(source: &str, span: Span, report: &mut Report<'_>) -> Option<Pattern> {
    let built = regex::RegexBuilder::new(&format!("^(?:{source})$"))
        .size_limit(REGEX_BYTES_MAX)
        .nest_limit(32)
        .build();
    match built {
        Ok(regex) => Some(Pattern {
            source: source.to_owned(),
            regex,
        }),
        Err(error) => {
            let text = error.to_string();
            let what = text
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ");
            report
                .add(
                    codes::REGEX,
                    span,
                    format!("this is not a regular expression: {what}"),
                )
                .help("the syntax is RE2's; look-around and back-references do not exist");
            None
        }
    }
}

fn check_auto(field: &Field, declared: &RawDeclaration, report: &mut Report<'_>) {
    let Some((_, span)) = declared.constraint("auto") else {
        return;
    };
    let key = declared.has("key");
    let fits = match field.ty {
        Type::Uuid7 => key,
        Type::Time | Type::Date => !key,
        _ => false,
    };
    if !fits {
        report
            .add(
                codes::CONSTRAINT,
                *span,
                format!("`auto` does not fit `{}`", field.name),
            )
            .help("Stoa fills in uuid7 keys, times and dates");
    }
    if let Some((_, default)) = declared.constraint("default") {
        let message = format!("`{}` is `auto` and has a default", field.name);
        report
            .add_with(codes::EXCLUSIVE, *default, message, (*span, "the other one"))
            .help("keep one of them");
    }
}

/// What only a table that exists can do: fill in, and call a column what a field cannot be called.
fn check_existing(raw: &RawResource<'_>, declared: &RawDeclaration, report: &mut Report<'_>) {
    for word in ["generated", "computed", "column", "function"] {
        let Some((_, span)) = declared.constraint(word) else {
            continue;
        };
        if raw.table.is_none() && raw.read.get("table").is_none() {
            report
                .add(
                    codes::CONSTRAINT,
                    *span,
                    format!("`{word}` does not fit `{}`: Stoa makes its column", declared.name),
                )
                .help("leave it out; it belongs to a resource with `table:`");
        }
        let others: &[&str] = match word {
            "generated" => &["computed", "auto", "default"],
            "computed" => &["auto", "default"],
            _ => &[],
        };
        if let Some((_, other)) = others.iter().find_map(|other| declared.constraint(other)) {
            let message = format!("`{}` is filled in twice", declared.name);
            report
                .add_with(codes::EXCLUSIVE, *other, message, (*span, "the other one"))
                .help("keep one of them");
        }
    }
}

/// What a function gives is in no column: nothing else holds for it.
fn check_function(declared: &RawDeclaration, report: &mut Report<'_>) {
    let Some((_, span)) = declared.constraint("function") else {
        return;
    };
    if matches!(declared.ty, RawType::Ref(_)) {
        report
            .add(
                codes::CONSTRAINT,
                declared.ty_span,
                format!("`ref` does not fit `{}`: a function gives it", declared.name),
            )
            .help("write the type of the value that it gives");
    }
    let other = |(kind, _): &&(ConstraintKind, Span)| !matches!(kind.word(), "function" | "optional");
    if let Some((kind, other)) = declared.constraints.iter().find(other) {
        let message = format!(
            "`{}` does not fit `{}`: a function gives it",
            kind.word(),
            declared.name
        );
        report
            .add_with(codes::CONSTRAINT, *other, message, (*span, "the function"))
            .help("leave it out");
    }
}

/// An existing table is never altered, and a name that is still used was not given up.
fn check_was(field: &Field, raw: &RawResource<'_>, declared: &RawDeclaration, report: &mut Report<'_>) {
    let (Some(was), Some((_, span))) = (&field.was, declared.constraint("was")) else {
        return;
    };
    if raw.table.is_some() {
        report
            .add(
                codes::CONSTRAINT,
                *span,
                format!(
                    "`was` does not fit `{}`: an existing table is never altered",
                    field.name
                ),
            )
            .help("leave it out");
    } else if let Some(other) = raw.fields.iter().find(|f| f.name == *was) {
        let message = format!("`{}` was `{was}`, and `{was}` is a field still", field.name);
        report.add_with(
            codes::CONSTRAINT,
            *span,
            message,
            (other.name_span, "declared here"),
        );
    }
}

fn check_bounds(field: &Field, declared: &RawDeclaration, report: &mut Report<'_>) {
    if let (Some(min), Some(max)) = (&field.min, &field.max)
        && literal::compare(min, max, &field.ty) == Some(Ordering::Greater)
    {
        let span = declared
            .constraint("max")
            .map_or(declared.name_span, |(_, span)| *span);
        report.add(
            codes::CONTRADICTION,
            span,
            format!(
                "`{}` is at least {} and at most {}",
                field.name, min.text, max.text
            ),
        );
    }
}

fn check_default(field: &mut Field, declared: &RawDeclaration, report: &mut Report<'_>) {
    let Some((ConstraintKind::Default(text), span)) = declared.constraint("default") else {
        return;
    };
    match literal::default(text, &field.ty).and_then(|value| kept(field, value)) {
        Ok(value) => field.default = Some(value),
        Err(why) => {
            report.add(
                codes::DEFAULT,
                *span,
                format!("the default of `{}` does not fit: {why}", field.name),
            );
        }
    }
}

/// The default, if it keeps the field's own constraints.
fn kept(field: &Field, value: DefaultValue) -> Result<DefaultValue, String> {
    let DefaultValue::Value(json) = &value else {
        return Ok(value);
    };
    let text = match json {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if let Some((min, max)) = field.chars {
        let length = json.as_array().map_or_else(|| text.chars().count(), Vec::len);
        if length < min as usize || length > max as usize {
            return Err(format!("its length is not {min}..{max}"));
        }
    }
    if let Some(pattern) = &field.matches
        && !pattern.regex.is_match(&text)
    {
        return Err(format!("it does not match {}", pattern.source));
    }
    if field.min.is_none() && field.max.is_none() {
        return Ok(value);
    }
    let own = literal::bound(&text, &field.ty)?;
    let beyond = |bound: &Option<crate::plan::Bound>, wrong: Ordering| {
        bound
            .as_ref()
            .is_some_and(|b| literal::compare(&own, b, &field.ty) == Some(wrong))
    };
    if beyond(&field.min, Ordering::Less) || beyond(&field.max, Ordering::Greater) {
        return Err("it is outside the field's own bounds".to_owned());
    }
    Ok(value)
}
