//! Profiles: an overlay of the file, merged by RFC 7396.

use crate::{
    fault::codes,
    node::{Entry, Map, Node, Value},
    report::{Report, did_you_mean},
};

/// What is asked for.
pub(crate) struct Wanted<'a> {
    pub(crate) name: Option<&'a str>,
    /// A profile that does not exist is left out silently.
    pub(crate) optional: bool,
}

/// Takes `profiles:` out of `root`, checks them all and merges the wanted one. The name of the merged one.
pub(crate) fn apply(root: &mut Node, wanted: &Wanted<'_>, report: &mut Report<'_>) -> Option<String> {
    let Value::Map(map) = &mut root.value else {
        return None;
    };
    let at = map.entries.iter().position(|e| e.key == "profiles");
    let section = at.map(|at| map.entries.remove(at));
    let profiles = match section.map(|e| e.value) {
        Some(node) => match node.value {
            Value::Map(profiles) => profiles.entries,
            Value::Null => Vec::new(),
            _ => {
                report.wrong_type(&node, "`profiles`", "a map of names and overlays");
                Vec::new()
            }
        },
        None => Vec::new(),
    };
    for profile in &profiles {
        allowed(profile, map, report);
        let this = wanted.name == Some(profile.key.as_str());
        if !this {
            crate::lint::unknown_keys(profile, report);
        }
    }
    let name = wanted.name?;
    let Some(profile) = profiles.iter().position(|p| p.key == name) else {
        if !wanted.optional {
            let known: Vec<&str> = profiles.iter().map(|p| p.key.as_str()).collect();
            report
                .add(
                    codes::PROFILE,
                    crate::node::Span::default(),
                    format!("there is no profile `{name}`"),
                )
                .help(did_you_mean(name, known));
        }
        return None;
    };
    let mut profiles = profiles;
    let mut overlay = profiles.swap_remove(profile).value;
    mark(&mut overlay);
    merge(root, overlay);
    Some(name.to_owned())
}

/// RFC 7396 section 2, keeping the span of what wins. The depth of both is bounded by the parser.
fn merge(target: &mut Node, patch: Node) {
    let Value::Map(patch_map) = patch.value else {
        if !patch.is_null() {
            *target = patch;
        }
        return;
    };
    if target.map().is_none() {
        *target = Node {
            value: Value::Map(Map::default()),
            ..patch
        };
    }
    let Value::Map(map) = &mut target.value else {
        return;
    };
    for entry in patch_map.entries {
        if entry.value.is_null() {
            map.entries.retain(|e| e.key != entry.key);
        } else if let Some(own) = map.get_mut(&entry.key) {
            // A later message points at the profile's key where the profile decides the whole value.
            if entry.value.map().is_none() {
                own.key_span = entry.key_span;
            }
            merge(&mut own.value, entry.value);
        } else {
            let mut value = empty(&entry.value);
            merge(&mut value, entry.value);
            map.entries.push(Entry {
                value,
                ..entry_key(entry.key, entry.key_span)
            });
        }
    }
}

fn entry_key(key: String, key_span: crate::node::Span) -> Entry {
    Entry {
        key,
        key_span,
        value: Node {
            value: Value::Null,
            span: key_span,
            origin: crate::node::Origin::default(),
        },
    }
}

/// A place for a value that was not there: `null` inside a new map removes nothing and leaves nothing.
fn empty(like: &Node) -> Node {
    Node {
        value: Value::Null,
        span: like.span,
        origin: like.origin.clone(),
    }
}

fn mark(node: &mut Node) {
    node.origin.profile = true;
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(mark),
        Value::Map(map) => map.entries.iter_mut().for_each(|e| mark(&mut e.value)),
        Value::Null | Value::Scalar(_) => {}
    }
}

/// A profile says where an API runs, not what it is.
fn allowed(profile: &Entry, base: &Map, report: &mut Report<'_>) {
    let Some(map) = profile.value.map() else {
        if !profile.value.is_null() {
            let what = format!("profile `{}`", profile.key);
            report.wrong_type(&profile.value, &what, "a map");
        }
        return;
    };
    let name = &profile.key;
    for entry in map
        .entries
        .iter()
        .filter(|e| matches!(e.key.as_str(), "api" | "profiles"))
    {
        report
            .add(
                codes::PROFILE_SCOPE,
                entry.key_span,
                format!("profile `{name}` may not change `{}`", entry.key),
            )
            .help("remove it");
    }
    let Some(resources) = map.get("resources").and_then(|e| e.value.map()) else {
        return;
    };
    let declared = base.get("resources").and_then(|e| e.value.map());
    for resource in &resources.entries {
        let known = declared.is_some_and(|d| d.get(&resource.key).is_some());
        if !known || resource.value.is_null() {
            let does = if known { "remove" } else { "add" };
            report
                .add(
                    codes::PROFILE_SCOPE,
                    resource.key_span,
                    format!("profile `{name}` may not {does} resource `{}`", resource.key),
                )
                .help("declare resources in the file itself, so that the API is the same everywhere");
        }
        let Some(map) = resource.value.map().filter(|_| known) else {
            continue;
        };
        for entry in map
            .entries
            .iter()
            .filter(|e| matches!(e.key.as_str(), "fields" | "table" | "shard"))
        {
            report
                .add(
                    codes::PROFILE_SCOPE,
                    entry.key_span,
                    format!(
                        "profile `{name}` may not change `{}` of resource `{}`",
                        entry.key, resource.key
                    ),
                )
                .help("change it in the file itself, so that the API is the same everywhere");
        }
    }
}
