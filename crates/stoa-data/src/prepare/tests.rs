//! Which bucket a request is fixed to, and the order that its key makes total.

use super::*;
use crate::store::contract::fixture::{compare, field, is, resource, text};
use stoa_config::plan::Shard;

fn sharded(key: Type) -> Resource {
    let mut orders = resource(
        "orders",
        vec![field("id", key, "key"), field("who", Type::Text, "")],
        &[0],
    );
    orders.shard = Shard::Field(1);
    orders
}

#[test]
fn what_fixes_the_bucket() {
    let id = bucket::new_id(77);
    let by_id = compare(0, Compare::Eq, Value::Uuid(id));
    let by_who = is(1, text("ann"));
    let who = Some(bucket::bucket_of(&text("ann")));
    let single = resource(
        "things",
        vec![field("id", Type::Uuid7, "key"), field("who", Type::Text, "")],
        &[0],
    );
    let or = Condition::Or(vec![by_id.clone(), by_who.clone()]);
    let sharded = sharded(Type::Uuid7);
    for (name, resource, condition, want) in [
        (
            "key of a single one",
            &single,
            by_id.clone(),
            Some(bucket::bucket_of(&Value::Uuid(id))),
        ),
        ("a field of a single one", &single, by_who.clone(), None),
        ("an id carries it", &sharded, by_id.clone(), Some(77)),
        ("the shard key", &sharded, by_who.clone(), who),
        (
            "the shard key wins",
            &sharded,
            by_id.clone().and(by_who.clone()),
            who,
        ),
        ("either", &sharded, or, None),
        ("not", &sharded, Condition::Not(Box::new(by_who)), None),
        ("all", &sharded, Condition::True, None),
    ] {
        assert_eq!(bucket(resource, &condition), want, "{name}");
    }
    let mut bound = single.clone();
    bound.table = Some(stoa_config::plan::TableName {
        schema: None,
        name: "t".to_owned(),
    });
    assert_eq!(bucket(&bound, &by_id), None);
    let plain = self::sharded(Type::Uuid);
    assert_eq!(
        bucket(&plain, &by_id),
        None,
        "an id of the caller's carries nothing"
    );
}

#[test]
fn the_key_makes_an_order_total_once() {
    let things = resource(
        "things",
        vec![field("id", Type::Int, "key"), field("who", Type::Text, "")],
        &[0],
    );
    let by = |field, descending| Order {
        embed: None,
        field,
        path: Vec::new(),
        descending,
        nulls_first: descending,
    };
    assert_eq!(total(vec![], &things, &[]), [by(0, false)]);
    assert_eq!(
        total(vec![by(1, true)], &things, &[]),
        [by(1, true), by(0, false)]
    );
    assert_eq!(total(vec![by(0, true)], &things, &[]), [by(0, true)]);
}
