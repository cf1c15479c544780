//! What only several shards have: moved buckets, old maps, shards in each other's place, shards that are down.

mod moved;
mod places;

use crate::operation::{Condition, Count, Item, Read};
use crate::store::contract::fixture::{field, refers};
use crate::store::contract::fixture::{items, read, resource};
use stoa_config::plan::{Resource, Shard, Type};

/// Resource 0, spread by its key, and resource 1, which lies with it.
fn resources() -> Vec<Resource> {
    let mut things = resource(
        "things",
        vec![field("id", Type::Int, "key"), field("n", Type::Int, "")],
        &[0],
    );
    things.shard = Shard::Field(0);
    let mut parts = resource(
        "parts",
        vec![
            field("id", Type::Uuid7, "key"),
            field("thing", refers(0, Type::Int), ""),
        ],
        &[0],
    );
    parts.shard = Shard::Field(1);
    vec![things, parts]
}

/// All things by their key, counted.
fn all() -> Read {
    Read {
        count: Count::Exact,
        limit: 100_000,
        ..read(0, both(), Condition::True)
    }
}

fn both() -> Vec<Item> {
    items(&resources()[0], &[0, 1])
}
