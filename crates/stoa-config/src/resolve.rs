//! Names bound, defaults filled, sections checked against each other.

mod fields;
mod references;
pub(crate) mod routes;
mod shards;
pub(crate) mod types;

use crate::{
    decode::{
        Reader, policies,
        policies::RulePlace,
        resources::{self, RawResource},
        services,
    },
    fault::codes,
    grammar::{name, policy},
    plan::{Auth, CacheScope, Field, List, Place, Resource, Rule, Rules, Store, StoreKind},
    report::{Report, did_you_mean},
};
use std::collections::HashMap;

/// Paths that are Stoa's own.
const RESERVED_PATHS: [&str; 8] = [
    "docs", "rest", "rpc", "openapi", "livez", "readyz", "metrics", "purge",
];

/// Binds all resources. A faulty one still takes its position, so that references to it hold.
pub(crate) fn resources(
    raw: &[RawResource<'_>],
    store_names: &[String],
    stores: &[Store],
    auth: &Auth,
    report: &mut Report<'_>,
) -> Vec<Resource> {
    names(raw, report);
    let keys: Vec<fields::Keys> = raw.iter().map(|r| fields::keys(r, report)).collect();
    let types = types::bind(raw, &keys, report);
    let mut found = Vec::with_capacity(raw.len());
    for ((resource, keys), types) in raw.iter().zip(&keys).zip(types) {
        let fields = fields::fields(resource, keys, types, report);
        let store = store(resource, store_names, report)
            .and_then(|name| stores.iter().position(|s| s.name == name))
            .unwrap_or(0);
        only_of_postgres(resource, stores.get(store), report);
        let bound = bind(resource, fields, keys, store, auth, report);
        only_private(&bound, resource, stores, report);
        found.push(bound);
    }
    references::bind(raw, &mut found, stores, report);
    shards::place(raw, &mut found, report);
    found
}

/// SQLite has no functions of rows.
fn only_of_postgres(raw: &RawResource<'_>, store: Option<&Store>, report: &mut Report<'_>) {
    let Some(store) = store.filter(|s| matches!(s.kind, StoreKind::Sqlite { .. })) else {
        return;
    };
    let fields = raw.fields.iter().filter(|_| raw.table.is_some());
    for (field, span) in fields.filter_map(|f| Some((f, f.constraint("function")?.1))) {
        report
            .add(
                codes::CONSTRAINT,
                span,
                format!(
                    "`function` does not fit `{}`: `{}` is a SQLite store, which has no functions of rows",
                    field.name, store.name
                ),
            )
            .help("leave the field out, or make it a generated column of the table and write `computed`");
    }
}

/// Where the database judges each caller by itself, no reply is anybody else's.
fn only_private(bound: &Resource, raw: &RawResource<'_>, stores: &[Store], report: &mut Report<'_>) {
    let judged = stores
        .get(bound.store)
        .is_some_and(|s| matches!(&s.kind, StoreKind::Postgres { roles: Some(_), .. }));
    let shared = bound
        .cache
        .as_ref()
        .is_some_and(|c| c.scope != CacheScope::Private);
    if let (true, true, Some(node)) = (judged, shared, raw.read.get("cache")) {
        report
            .add(
                codes::EXCLUSIVE,
                node.span,
                format!(
                    "{} is cached for all, and `roles` of its store lets the database decide who sees what",
                    raw.read.what
                ),
            )
            .help("write `cache: private 30s`");
    }
}

fn names(raw: &[RawResource<'_>], report: &mut Report<'_>) {
    let mut seen: HashMap<String, &RawResource<'_>> = HashMap::new();
    for resource in raw {
        let name = resource.name.as_str();
        let lower = name.to_ascii_lowercase();
        let own_table =
            resource.table.is_none() && (lower.starts_with("sqlite_") || lower.starts_with("stoa_"));
        if RESERVED_PATHS.contains(&lower.as_str()) || own_table {
            report
                .add(
                    codes::RESERVED,
                    resource.name_span,
                    format!("`{name}` is a name of Stoa's own"),
                )
                .help("give the resource another name");
        }
        if let Some(first) = seen.get(&lower) {
            report
                .add_with(
                    codes::SAME_LETTERS,
                    resource.name_span,
                    format!("resources `{name}` and `{}` differ only in case", first.name),
                    (first.name_span, "the other one"),
                )
                .help("databases compare names without regard to case: rename one");
        }
        seen.insert(lower, resource);
    }
}

fn store(resource: &RawResource<'_>, names: &[String], report: &mut Report<'_>) -> Option<String> {
    let Some(node) = resource.read.get("store") else {
        let main = names.iter().find(|n| *n == "main");
        return match (main, names) {
            (Some(main), _) => Some(main.clone()),
            (None, [only]) => Some(only.clone()),
            _ => {
                report
                    .add(
                        codes::UNKNOWN_STORE,
                        resource.name_span,
                        format!("{} does not say which store holds it", resource.read.what),
                    )
                    .help(format!("add `store:`, one of {}", names.join(", ")));
                None
            }
        };
    };
    let name = &node.scalar()?.text;
    if names.contains(name) {
        return Some(name.clone());
    }
    report
        .add(
            codes::UNKNOWN_STORE,
            node.span,
            format!("store `{name}` is not defined"),
        )
        .help(did_you_mean(name, names.iter().map(String::as_str)));
    None
}

fn bind(
    raw: &RawResource<'_>,
    mut fields: Vec<Field>,
    keys: &fields::Keys,
    store: usize,
    auth: &Auth,
    report: &mut Report<'_>,
) -> Resource {
    let shard = shards::key(raw, &mut fields, report);
    let place = report.text.place(raw.name_span);
    let rules = rules(&raw.read, &fields, auth, &place, report);
    let list = list(&raw.read, &fields, report);
    let cache = if let Some(node) = raw.read.get("cache") {
        policies::cache(node, (raw.read.get("stale"), None), report)
    } else {
        policies::only_with_cache(&raw.read, &["stale"], report);
        None
    };
    let was = was(raw, report);
    let consistency = raw.read.value("consistency", &policy::CONSISTENCY, report);
    let key = keys
        .names
        .iter()
        .filter_map(|name| fields.iter().position(|f| f.name == *name))
        .collect();
    Resource {
        name: raw.name.clone(),
        place,
        store,
        table: raw.table.clone(),
        shard,
        fields,
        key,
        references: Vec::new(),
        by_function: Vec::new(),
        list,
        rules,
        cache,
        consistency: consistency.unwrap_or_default(),
        was,
    }
}

/// The name that the table had before.
fn was(raw: &RawResource<'_>, report: &mut Report<'_>) -> Option<String> {
    let node = raw.read.get("was")?;
    let was = raw.read.value("was", &name::TEXT, report)?;
    let why = if raw.table.is_some() {
        "an existing table is never altered"
    } else if was == raw.name {
        "it is the same name"
    } else {
        return Some(was);
    };
    report.add(
        codes::CONSTRAINT,
        node.span,
        format!("`was` does not fit {}: {why}", raw.read.what),
    );
    None
}

fn rules(read: &Reader<'_>, fields: &[Field], auth: &Auth, place: &Place, report: &mut Report<'_>) -> Rules {
    let scope = RulePlace::Resource(fields);
    let mut rule = |key: &str| read.get(key).map(|n| policies::rule(n, &scope, report));
    let left_out = || services::left_out(auth, place.clone());
    let (own_read, write) = (rule("read"), rule("write"));
    let (create, update, delete) = (rule("create"), rule("update"), rule("delete"));
    let or_write = |own: Option<Rule>| own.or_else(|| write.clone()).unwrap_or_else(left_out);
    Rules {
        read: own_read.unwrap_or_else(left_out),
        create: or_write(create),
        update: or_write(update),
        delete: or_write(delete),
    }
}

fn list(read: &Reader<'_>, fields: &[Field], report: &mut Report<'_>) -> List {
    let scalars = || {
        (0..fields.len())
            .filter(|&f| fields[f].ty.is_scalar())
            .collect::<Vec<_>>()
    };
    let mut list = List {
        filter: scalars(),
        sort: scalars(),
        page: 50,
        max: 200,
        aggregates: false,
        consistency: None,
    };
    let Some(read) = read
        .get("list")
        .and_then(|n| Reader::open(&resources::LIST, n, "`list`", report))
    else {
        return list;
    };
    for (key, sort) in [("filter", false), ("sort", true)] {
        let Some(node) = read.get(key) else { continue };
        let mut positions = Vec::new();
        for (name, node) in resources::names(node, key, report) {
            let Some(position) = fields.iter().position(|f| f.name == name) else {
                report
                    .add(
                        codes::UNKNOWN_FIELD,
                        node.span,
                        format!("`{key}` names `{name}`, which is not a field"),
                    )
                    .help(did_you_mean(&name, fields.iter().map(|f| f.name.as_str())));
                continue;
            };
            if positions.contains(&position) {
                report.add(
                    codes::DUPLICATE_VALUE,
                    node.span,
                    format!("`{name}` is listed twice"),
                );
            } else {
                positions.push(position);
            }
        }
        if sort {
            list.sort = positions;
        } else {
            list.filter = positions;
        }
    }
    list.aggregates = read.flag("aggregates", report) == Some(true);
    list.consistency = read.value("consistency", &policy::CONSISTENCY, report);
    let (page, max) = (read.int("page", report), read.int("max", report));
    list.page = page.unwrap_or(50) as u32;
    list.max = max.unwrap_or(u64::from(list.page).max(200)) as u32;
    if list.page > list.max {
        let wanted = format!("`page` is {}, more than `max`, {}", list.page, list.max);
        if page.is_some() {
            report.add(codes::CONTRADICTION, read.key_span("page"), wanted);
        } else {
            list.page = list.max;
        }
    }
    list
}
