//! Where a request goes: to the shards that own the buckets which its conditions name. Pure.

use super::map::Map;
use crate::bucket;
use crate::operation::{Compare, Condition};
use crate::prepare::carries;
use crate::store::StoreError;
use crate::value::Value;
use std::collections::{BTreeMap, BTreeSet};
use stoa_config::plan::Resource;

/// The shards of a request, each with the buckets that it is asked for.
pub(super) type Places = BTreeMap<usize, BTreeSet<u16>>;

/// The buckets that hold every row of a condition; `None` when any bucket may.
pub(super) fn buckets(resource: &Resource, condition: &Condition) -> Option<BTreeSet<u16>> {
    match condition {
        Condition::False => Some(BTreeSet::new()),
        Condition::Compare {
            field,
            path,
            op: Compare::Eq,
            value,
        } if path.is_empty() => Some(BTreeSet::from([bucket_by(resource, *field, value)?])),
        Condition::In { field, path, values } if path.is_empty() => {
            values.iter().map(|v| bucket_by(resource, *field, v)).collect()
        }
        // What all of them hold lies within the smallest.
        Condition::And(all) => all
            .iter()
            .filter_map(|one| buckets(resource, one))
            .min_by_key(BTreeSet::len),
        Condition::Or(any) => any.iter().try_fold(BTreeSet::new(), |mut sum, one| {
            sum.extend(buckets(resource, one)?);
            Some(sum)
        }),
        _ => None,
    }
}

/// One of the buckets that hold the rows of a condition, the same at every repetition; `None` when any bucket may.
pub(crate) fn one_of(resource: &Resource, condition: &Condition) -> Option<u16> {
    buckets(resource, condition)?.first().copied()
}

/// The bucket of the rows whose field has this value, when the field says it.
fn bucket_by(resource: &Resource, field: usize, value: &Value) -> Option<u16> {
    let key = matches!(resource.key[..], [key] if key == field);
    match value {
        _ if resource.shard.field() == Some(field) => Some(bucket::bucket_by(resource.shard, value)),
        Value::Uuid(id) if key && carries(resource) => Some(bucket::bucket_in(id)),
        _ => None,
    }
}

/// The condition without the values whose rows lie in other buckets than these.
pub(super) fn narrowed(resource: &Resource, condition: &Condition, own: &BTreeSet<u16>) -> Condition {
    match condition {
        Condition::In { field, path, values } if path.is_empty() => Condition::In {
            field: *field,
            path: path.clone(),
            values: values
                .iter()
                .filter(|v| bucket_by(resource, *field, v).is_none_or(|b| own.contains(&b)))
                .cloned()
                .collect(),
        },
        Condition::And(all) => Condition::And(all.iter().map(|one| narrowed(resource, one, own)).collect()),
        other => other.clone(),
    }
}

/// The shards of some buckets.
///
/// # Errors
/// [`StoreError::NotOwned`] when the map knows no shard for one of them.
pub(super) fn places(map: &Map, buckets: impl IntoIterator<Item = u16>) -> Result<Places, StoreError> {
    let mut places = Places::new();
    for bucket in buckets {
        let shard = map.shard(bucket).ok_or(StoreError::NotOwned)?;
        places.entry(shard).or_default().insert(bucket);
    }
    Ok(places)
}
