//! Checks by the tables alone, for parts of the file that are not in use.

use crate::{
    decode::{read, root::ROOT},
    node::{Entry, Node},
    report::Report,
    spec::Shape,
};

/// Reports keys of a profile that no map of the file has. Its values are checked when it is in use.
pub(crate) fn unknown_keys(profile: &Entry, report: &mut Report<'_>) {
    walk(
        &profile.value,
        &Shape::Map(&ROOT),
        &format!("profile `{}`", profile.key),
        report,
    );
}

fn walk(node: &Node, shape: &Shape, what: &str, report: &mut Report<'_>) {
    match shape {
        Shape::Map(spec) => {
            let Some(map) = node.map() else { return };
            read::unknown_keys(spec, map, what, report);
            for entry in &map.entries {
                if let Some(key) = spec.key(&entry.key) {
                    walk(
                        &entry.value,
                        &key.shape,
                        &format!("`{}` of {what}", entry.key),
                        report,
                    );
                }
            }
        }
        Shape::Named(_, item) => {
            for entry in node.map().map(|m| m.entries.as_slice()).unwrap_or_default() {
                walk(&entry.value, item, &format!("`{}` of {what}", entry.key), report);
            }
        }
        Shape::List(item) => {
            for node in node.list().unwrap_or_default() {
                walk(node, item, what, report);
            }
        }
        Shape::Any(shapes) => {
            for shape in *shapes {
                let fits = match shape {
                    Shape::Map(_) | Shape::Named(..) => node.map().is_some(),
                    Shape::List(_) => node.list().is_some(),
                    _ => false,
                };
                if fits {
                    walk(node, shape, what, report);
                    return;
                }
            }
        }
        Shape::Value(_) | Shape::Bool | Shape::Int { .. } | Shape::Free => {}
    }
}
