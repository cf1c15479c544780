//! From what the caller asked to what the store runs: a total order, the rules of embeds, the bucket. Pure.

use crate::{
    bucket,
    operation::{Compare, Condition, Item, Join, Order},
    value::Value,
};
use stoa_config::plan::{Resource, Shard, Type};

/// The order with the key behind it, so that no two rows are equal in it.
pub(crate) fn total(mut order: Vec<Order>, resource: &Resource) -> Vec<Order> {
    for key in &resource.key {
        if !order.iter().any(|o| o.field == *key && o.path.is_empty()) {
            order.push(Order {
                field: *key,
                path: Vec::new(),
                descending: false,
                nulls_first: false,
            });
        }
    }
    order
}

/// Joins the read rule of each embedded resource to its filter and makes its order total. `rule` judges one resource.
pub(crate) fn embeds<E>(
    resources: &[Resource],
    select: &mut [Item],
    mut rule: impl FnMut(&Resource) -> Result<Condition, E>,
) -> Result<(), E> {
    for item in select {
        let Item::Embed(embed) = item else { continue };
        let Some(resource) = resources.get(embed.resource) else {
            continue;
        };
        let condition = rule(resource)?;
        embed.filter = std::mem::replace(&mut embed.filter, Condition::True).and(condition);
        if matches!(embed.join, Join::ToMany { .. }) {
            embed.order = total(std::mem::take(&mut embed.order), resource);
        }
    }
    Ok(())
}

/// The one row with this key.
pub(crate) fn key_is(resource: &Resource, key: &Value) -> Condition {
    match resource.key[..] {
        [field] => Condition::Compare {
            field,
            path: Vec::new(),
            op: Compare::Eq,
            value: key.clone(),
        },
        _ => Condition::False,
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
    match resource.shard {
        Shard::Field(shard) if shard != key => {
            if let Some(value) = fixed(condition, shard) {
                return Some(bucket::bucket_of(value));
            }
            let carries = *resource.fields.get(key)?.ty.value() == Type::Uuid7;
            match fixed(condition, key)? {
                Value::Uuid(id) if carries => Some(bucket::bucket_in(id)),
                _ => None,
            }
        }
        _ => fixed(condition, key).map(bucket::bucket_of),
    }
}

#[cfg(test)]
mod tests;
