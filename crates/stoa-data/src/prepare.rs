//! From what the caller asked to what the store runs: a total order, the rules of embeds, the bucket. Pure.

use crate::{
    bucket,
    operation::{Compare, Condition, FieldIndex, Item, Join, Order, ResourceIndex, is_grouped},
    value::Value,
};
use stoa_config::plan::{Resource, Type};

/// The order with the key behind it, so that no two rows are equal in it. Groups of rows have no key.
pub(crate) fn total(mut order: Vec<Order>, resource: &Resource, items: &[Item]) -> Vec<Order> {
    let keys: &[FieldIndex] = if is_grouped(items) { &[] } else { &resource.key };
    for key in keys {
        let is_key = |o: &Order| o.embed.is_none() && o.field == *key && o.path.is_empty();
        if !order.iter().any(is_key) {
            order.push(Order {
                embed: None,
                field: *key,
                path: Vec::new(),
                descending: false,
                nulls_first: false,
            });
        }
    }
    order
}

/// The types of the values that an order sorts by: text behind a path.
pub(crate) fn types<'a>(
    resources: &'a [Resource],
    resource: ResourceIndex,
    items: &[Item],
    order: &[Order],
) -> Vec<&'a Type> {
    let of = |entry: &Order| {
        let owner = match entry.embed.and_then(|position| items.get(position)) {
            Some(Item::Embed(embed)) => embed.resource,
            _ => resource,
        };
        let field = resources.get(owner)?.fields.get(entry.field)?;
        Some(field.ty.value()).filter(|_| entry.path.is_empty())
    };
    order
        .iter()
        .map(|entry| of(entry).unwrap_or(&Type::Text))
        .collect()
}

/// Joins the read rule of every resource that is embedded or stands in between, at every depth, to what chooses its
/// rows, and makes the orders of embeds total. `rule` judges one resource.
pub(crate) fn embeds<E>(
    resources: &[Resource],
    select: &mut [Item],
    rule: &mut impl FnMut(&Resource) -> Result<Condition, E>,
) -> Result<(), E> {
    for item in select {
        let Item::Embed(embed) = item else { continue };
        let Some(resource) = resources.get(embed.resource) else {
            continue;
        };
        let condition = rule(resource)?;
        embed.filter = std::mem::replace(&mut embed.filter, Condition::True).and(condition);
        if let Join::Through(through) = &mut embed.join
            && let Some(between) = resources.get(through.resource)
        {
            through.filter = rule(between)?;
        }
        if embed.join.is_many() {
            embed.order = total(std::mem::take(&mut embed.order), resource, &embed.select);
        }
        embeds(resources, &mut embed.select, rule)?;
    }
    Ok(())
}

/// The one row with this key: a list of values, where it has several fields.
pub(crate) fn key_is(resource: &Resource, key: &Value) -> Condition {
    let is = |field, value: &Value| Condition::Compare {
        field,
        path: Vec::new(),
        op: Compare::Eq,
        value: value.clone(),
    };
    match (&resource.key[..], key) {
        ([field], key) => is(*field, key),
        ([_, _, ..], Value::List(values)) if values.len() == resource.key.len() => {
            let parts = resource.key.iter().zip(values);
            Condition::And(parts.map(|(field, value)| is(*field, value)).collect())
        }
        _ => Condition::False,
    }
}

/// The key that a condition fixes, when that is all it says.
pub(crate) fn only_key(resource: &Resource, condition: &Condition) -> Option<Value> {
    let said = match condition {
        Condition::And(list) => list.len(),
        _ => 1,
    };
    let parts = resource.key.iter().map(|field| fixed(condition, *field).cloned());
    let mut parts = parts
        .collect::<Option<Vec<Value>>>()
        .filter(|parts| parts.len() == said)?;
    match parts.len() {
        1 => parts.pop(),
        _ => Some(Value::List(parts)),
    }
}

/// The value that a condition fixes a field to.
pub(crate) fn fixed(condition: &Condition, wanted: usize) -> Option<&Value> {
    match condition {
        Condition::Compare {
            field,
            path,
            op: Compare::Eq,
            value,
        } if *field == wanted && path.is_empty() => Some(value),
        Condition::And(list) => list.iter().find_map(|c| fixed(c, wanted)),
        _ => None,
    }
}

/// The bucket that holds every row of the condition, when its key, its shard key or its owner fixes one.
pub(crate) fn bucket(resource: &Resource, condition: &Condition) -> Option<u16> {
    if resource.table.is_some() {
        return None;
    }
    let [key] = resource.key[..] else { return None };
    let by = resource.shard.field().unwrap_or(key);
    if let Some(value) = fixed(condition, by) {
        return Some(bucket::bucket_by(resource.shard, value));
    }
    bucket_of_row(resource, fixed(condition, key)?)
}

/// The bucket of the row with this key, where the key says it.
pub(crate) fn bucket_of_row(resource: &Resource, value: &Value) -> Option<u16> {
    if resource.table.is_some() {
        return None;
    }
    let [key] = resource.key[..] else { return None };
    match value {
        _ if resource.shard.field().unwrap_or(key) == key => Some(bucket::bucket_by(resource.shard, value)),
        Value::Uuid(id) if carries(resource) => Some(bucket::bucket_in(id)),
        _ => None,
    }
}

/// Whether the ids of a resource carry the bucket of their row: it has a shard key, which is not the key itself.
pub(crate) fn carries(resource: &Resource) -> bool {
    match (&resource.key[..], resource.shard.field()) {
        ([key], Some(by)) => by != *key && resource.fields.get(*key).is_some_and(|f| f.ty == Type::Uuid7),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
