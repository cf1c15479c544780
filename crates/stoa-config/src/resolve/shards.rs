//! Shard keys: what may be one, and whose rows lie together.

use crate::{
    decode::resources::RawResource,
    fault::codes,
    node::Span,
    plan::{Field, Resource, Shard, Type},
    report::{Report, did_you_mean},
};

/// The shard key that a resource declares.
pub(super) fn key(raw: &RawResource<'_>, fields: &mut [Field], report: &mut Report<'_>) -> Shard {
    let Some((node, name)) = raw.read.get("shard").map(|n| (n, n.scalar())) else {
        return Shard::Single;
    };
    let Some(name) = name.map(|s| s.text.as_str()) else {
        report.wrong_type(node, "`shard`", "a field's name or `single`");
        return Shard::Single;
    };
    if name == "single" {
        return Shard::Single;
    }
    if name == "global" && fields.iter().all(|f| f.name != name) {
        report
            .add(codes::SHARD, node.span, "`shard: global` is not built yet")
            .help("leave `shard` out: the rows stay on the first shard, and other shards' rows embed them by a second query");
        return Shard::Single;
    }
    let Some(position) = fields.iter().position(|f| f.name == name) else {
        report
            .add(
                codes::SHARD,
                node.span,
                format!("there is no field `{name}` to shard by"),
            )
            .help(did_you_mean(name, fields.iter().map(|f| f.name.as_str())));
        return Shard::Single;
    };
    let field = &mut fields[position];
    let plain = field.ty.is_scalar() && !matches!(field.ty.value(), Type::Float | Type::Bool);
    let filled = field.auto && field.ty != Type::Uuid7;
    if field.optional || !plain || filled || raw.table.is_some() {
        let why = match (field.optional, plain) {
            _ if filled => "is filled in with the time, and no caller could name it".to_owned(),
            (true, _) => "is optional, and every row needs a shard key".to_owned(),
            (_, false) => format!("is {}, which cannot be a shard key", field.ty),
            _ => "cannot shard an existing table: it has no bucket".to_owned(),
        };
        report.add_with(
            codes::SHARD,
            node.span,
            format!("`{name}` {why}"),
            (span_of(raw, name), "declared here"),
        );
    }
    field.immutable = true;
    Shard::Field(position)
}

/// Where the rows of each resource lie, once all are known: by their own shard key, or where the row lies that the shard
/// key refers to.
pub(super) fn place(raw: &[RawResource<'_>], found: &mut [Resource], report: &mut Report<'_>) {
    let followed: Vec<bool> = (0..found.len()).map(|at| is_carried(found, at)).collect();
    for (resource, followed) in found.iter_mut().zip(&followed) {
        if let (Shard::Field(field), true) = (resource.shard, followed) {
            resource.shard = Shard::Parent(field);
        }
    }
    for (at, raw) in raw.iter().enumerate() {
        if let Some(why) = misplaced(found, at) {
            let span = raw.read.get("shard").map_or(raw.name_span, |node| node.span);
            report.add(codes::SHARD, span, why.0).help(why.1);
        }
    }
}

/// Whether the bucket of a resource's rows is the one that the id in their shard key carries.
fn is_carried(found: &[Resource], at: usize) -> bool {
    let mut at = at;
    // A chain of keys longer than there are resources was refused as a circle.
    for _ in 0..found.len() {
        let Some(target) = parent(found, at) else {
            return false;
        };
        let resource = &found[target];
        match resource.shard.field() {
            None => return false,
            Some(field) if resource.key != [field] => return true,
            Some(_) => at = target,
        }
    }
    false
}

/// The sharded resource of the same store that the shard key of a resource refers to.
fn parent(found: &[Resource], at: usize) -> Option<usize> {
    let resource = &found[at];
    match resource.fields[resource.shard.field()?].ty {
        Type::Ref { resource: target, .. } => {
            let other = &found[target];
            (other.store == resource.store && other.shard != Shard::Single).then_some(target)
        }
        _ => None,
    }
}

/// Why rows of a resource could not be found again, and what to do.
fn misplaced(found: &[Resource], at: usize) -> Option<(String, String)> {
    let resource = &found[at];
    let by = resource.shard.field()?;
    let name = &resource.fields[by].name;
    if let [key] = resource.key[..]
        && key != by
        && resource.fields[key].ty != Type::Uuid7
    {
        let key = &resource.fields[key];
        return Some((
            format!(
                "rows that lie by `{name}` could not be found by their key: `{}` is {}, which carries no bucket",
                key.name, key.ty
            ),
            format!(
                "make the key uuid7 (leave it out: `id` is added) and `{0}` unique, which holds for one `{name}`; or shard by `{0}`",
                key.name
            ),
        ));
    }
    let mut next = at;
    for _ in 0..found.len() {
        match (found[next].shard, parent(found, next)) {
            (Shard::Parent(_), Some(target)) => next = target,
            _ => return None,
        }
    }
    Some((
        format!("the shard key `{name}` leads in a circle: no row could be the first"),
        "shard one of these resources by a field of its own".to_owned(),
    ))
}

fn span_of(raw: &RawResource<'_>, field: &str) -> Span {
    raw.fields
        .iter()
        .find(|f| f.name == field)
        .map_or(raw.name_span, |f| f.name_span)
}
