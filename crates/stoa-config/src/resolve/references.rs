//! `references`: fields here against fields of another resource.

use crate::{
    decode::{
        Reader, references,
        resources::{self, RawResource},
    },
    fault::codes,
    grammar::name,
    node::{Node, Span, Value},
    plan::{ByFunction, Field, Reference, Resource, Store, StoreKind},
    report::{Report, did_you_mean},
};

/// Binds the references of every resource. A faulty one is left out.
pub(crate) fn bind(
    raw: &[RawResource<'_>],
    found: &mut [Resource],
    stores: &[Store],
    report: &mut Report<'_>,
) {
    for (position, resource) in raw.iter().enumerate() {
        let Some(node) = resource.read.get("references") else {
            continue;
        };
        if resource.table.is_none() {
            report
                .add(
                    codes::CONSTRAINT,
                    resource.read.key_span("references"),
                    format!(
                        "{} has `references`, and its table is Stoa's own",
                        resource.read.what
                    ),
                )
                .help("write `ref RESOURCE` as the type of a field; `references` are for existing tables");
            continue;
        }
        let Value::List(items) = &node.value else {
            report
                .wrong_type(node, "`references`", "a list")
                .help("such as `[{ fields: [a, b], to: others, targets: [a, b] }]`");
            continue;
        };
        let (mut bound, mut by_function): (Vec<Reference>, Vec<ByFunction>) = (Vec::new(), Vec::new());
        for item in items {
            let Some(read) = Reader::open(&references::REFERENCE, item, "a reference", report) else {
                continue;
            };
            if read.has("function") {
                by_function.extend(called(&read, position, found, stores, report));
            } else {
                bound.extend(one(item, &read, position, found, report));
            }
        }
        let names = |names: &[String]| (1..names.len()).find(|at| names[..*at].contains(&names[*at]));
        let all: Vec<String> = by_function.iter().map(|entry| entry.name.clone()).collect();
        if let Some(twice) = names(&all) {
            report
                .add(
                    codes::DUPLICATE_VALUE,
                    node.span,
                    format!("two functions are embedded by the name `{}`", all[twice]),
                )
                .help("give one of them another `name`");
        }
        if let Some(resource) = found.get_mut(position) {
            (resource.references, resource.by_function) = (bound, by_function);
        }
    }
}

/// The resource that an entry leads to.
fn target(read: &Reader<'_>, position: usize, found: &[Resource], report: &mut Report<'_>) -> Option<usize> {
    let from = found.get(position)?;
    let to_span = read.get("to").map_or_else(Span::default, |n| n.span);
    let to: String = read.value("to", &name::TEXT, report)?;
    let Some(resource) = found.iter().position(|r| r.name == to) else {
        report
            .add(
                codes::UNKNOWN_RESOURCE,
                to_span,
                format!("there is no resource `{to}`"),
            )
            .help(did_you_mean(&to, found.iter().map(|r| r.name.as_str())));
        return None;
    };
    let target = found.get(resource)?;
    if target.store != from.store {
        report.add(
            codes::CONSTRAINT,
            to_span,
            format!("`{to}` is in another store, and embeds stay in one"),
        );
        return None;
    }
    Some(resource)
}

/// An entry with `function`.
fn called(
    read: &Reader<'_>,
    position: usize,
    found: &[Resource],
    stores: &[Store],
    report: &mut Report<'_>,
) -> Option<ByFunction> {
    let from = found.get(position)?;
    let store = stores.get(from.store);
    if let Some(store) = store.filter(|s| matches!(s.kind, StoreKind::Sqlite { .. })) {
        report
            .add(
                codes::CONSTRAINT,
                read.key_span("function"),
                format!(
                    "`{}` is a SQLite store, which has no functions of rows",
                    store.name
                ),
            )
            .help("leave the entry out; a `ref` or an entry with `fields` leads along values");
        return None;
    }
    for key in ["fields", "targets", "derived"] {
        if read.has(key) {
            report
                .add(
                    codes::EXCLUSIVE,
                    read.key_span(key),
                    format!("a function leads there, and `{key}` compares columns"),
                )
                .help("keep one of them");
            return None;
        }
    }
    let resource = target(read, position, found, report)?;
    let function = resources::table(read.get("function")?, "function", report)?;
    if found.get(resource)?.table.is_none() {
        report
            .add(
                codes::CONSTRAINT,
                read.key_span("to"),
                String::from("a function of the database returns no rows of a table that Stoa makes"),
            )
            .help("name a resource with `table:`");
        return None;
    }
    let name = read.value("name", &name::TEXT, report);
    Some(ByFunction {
        name: name.unwrap_or_else(|| function.name.clone()),
        function,
        resource,
        one: read.flag("one", report) == Some(true),
    })
}

/// An entry that compares columns.
fn one(
    node: &Node,
    read: &Reader<'_>,
    position: usize,
    found: &[Resource],
    report: &mut Report<'_>,
) -> Option<Reference> {
    if !read.has("fields") {
        report
            .add(
                codes::MISSING_KEY,
                node.span,
                String::from("a reference has neither `fields` nor `function`"),
            )
            .help("add `fields: [unit, day]`, or the `function` that leads there");
        return None;
    }
    if read.has("one") {
        report
            .add(
                codes::EXCLUSIVE,
                read.key_span("one"),
                String::from(
                    "`one` is about a `function`: columns say by themselves whether there is one row",
                ),
            )
            .help("leave it out");
        return None;
    }
    let resource = target(read, position, found, report)?;
    let (from, target) = (found.get(position)?, found.get(resource)?);
    let fields = positions(read, "fields", from, report)?;
    let targets = if read.has("targets") {
        positions(read, "targets", target, report)?
    } else {
        target.key.clone()
    };
    if !fit(from, &fields, target, &targets) {
        report
            .add(
                codes::CONSTRAINT,
                node.span,
                format!("the fields here do not fit those of `{}`", target.name),
            )
            .help("name as many on both sides, each of the same type");
        return None;
    }
    let name = read.value("name", &name::TEXT, report).unwrap_or_else(|| {
        let table = from.table.as_ref().map_or(&from.name, |t| &t.name);
        let columns: Vec<&str> = fields
            .iter()
            .filter_map(|f| from.fields.get(*f))
            .map(Field::column)
            .collect();
        format!("{table}_{}_fkey", columns.join("_"))
    });
    Some(Reference {
        name,
        fields,
        resource,
        targets,
        derived: read.flag("derived", report) == Some(true),
    })
}

fn positions(read: &Reader<'_>, key: &str, of: &Resource, report: &mut Report<'_>) -> Option<Vec<usize>> {
    let mut list = Vec::new();
    for (name, node) in resources::names(read.get(key)?, key, report) {
        let Some((position, field)) = of.field(&name) else {
            report
                .add(
                    codes::UNKNOWN_FIELD,
                    node.span,
                    format!("`{name}` is not a field of `{}`", of.name),
                )
                .help(did_you_mean(&name, of.fields.iter().map(|f| f.name.as_str())));
            return None;
        };
        if field.function.is_some() {
            report
                .add(
                    codes::CONSTRAINT,
                    node.span,
                    format!("`{name}` is given by a function, and references are of columns"),
                )
                .help("name fields that the table has columns for");
            return None;
        }
        list.push(position);
    }
    Some(list)
}

/// Whether the fields of both sides can be compared one by one.
fn fit(from: &Resource, fields: &[usize], to: &Resource, targets: &[usize]) -> bool {
    let ty = |of: &Resource, field: &usize| of.fields.get(*field).map(|f| f.ty.value().clone());
    let same = |(here, there): (&usize, &usize)| ty(from, here) == ty(to, there);
    !fields.is_empty() && fields.len() == targets.len() && fields.iter().zip(targets).all(same)
}
