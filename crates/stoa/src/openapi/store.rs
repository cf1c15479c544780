//! What the store of a resource or a function adds to its operations: PostgreSQL's operators, replicas, shards.

use super::parameter;
use serde_json::Value;
use stoa_config::plan::{Plan, Resource, Shard, StoreKind};

/// What a store has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Has {
    /// PostgreSQL's own operators.
    pub(super) postgres: bool,
    /// Replicas that are read, so that replies say where they stand in the log.
    pub(super) replicas: bool,
    /// Several shards.
    pub(super) shards: bool,
}

impl Has {
    /// Of the store at this position.
    pub(super) fn of(plan: &Plan, store: usize) -> Self {
        match plan.stores.get(store).map(|s| &s.kind) {
            Some(StoreKind::Postgres { shards, .. }) => Self {
                postgres: true,
                replicas: shards.iter().any(|shard| !shard.read.is_empty()),
                shards: shards.len() > 1,
            },
            Some(StoreKind::Sqlite { .. }) | None => Self::default(),
        }
    }

    /// Of a resource's store, as far as its rows have it: those without a shard key are all on the first shard.
    pub(super) fn of_resource(plan: &Plan, resource: &Resource) -> Self {
        let has = Self::of(plan, resource.store);
        Self {
            shards: has.shards && resource.shard != Shard::Single,
            ..has
        }
    }

    /// The fields of a reply that shows rows, after these.
    pub(super) fn of_read<'a>(self, fields: &[&'a str]) -> Vec<&'a str> {
        self.also(fields, "Stoa-Position")
    }

    /// The fields of a reply to a write, after these.
    pub(super) fn of_write<'a>(self, fields: &[&'a str]) -> Vec<&'a str> {
        self.also(fields, "Stoa-Consistency")
    }

    fn also<'a>(self, fields: &[&'a str], name: &'a str) -> Vec<&'a str> {
        let mut all = fields.to_vec();
        all.extend(self.replicas.then_some(name));
        all
    }

    /// What a request may say of how fresh its rows are, where there is a choice.
    pub(super) fn freshness(self) -> Vec<Value> {
        if self.replicas {
            parameter::refs(&["Consistency"])
        } else {
            Vec::new()
        }
    }

    /// The name of a parameter component, which says more where rows lie on several shards.
    pub(super) fn preferences(self, name: &str) -> String {
        let more = if self.shards { "OfShards" } else { "" };
        format!("{name}{more}")
    }
}
