//! Ids carry their bucket, and buckets never move.

use super::*;
use proptest::prelude::*;

#[test]
fn buckets_never_change() {
    // A store's rows lie by these: a change here loses them.
    for (key, bucket) in [
        (Value::Text("acme".into()), bucket_of_bytes(b"acme")),
        (Value::Int(-42), bucket_of_bytes(b"-42")),
        (
            Value::Uuid(Uuid::from_u128(1)),
            bucket_of_bytes(b"00000000-0000-0000-0000-000000000001"),
        ),
    ] {
        assert_eq!(bucket_of(&key), bucket, "{key}");
    }
    // XXH3-64 of nothing with seed 0 is 2d06800538d394c2 (the algorithm's own test vector).
    assert_eq!(bucket_of_bytes(b""), 0x0c2);
}

proptest! {
    #[test]
    fn an_id_carries_its_bucket(bucket in 0..BUCKETS) {
        let id = new_id(bucket);
        prop_assert_eq!(bucket_in(&id), bucket);
        prop_assert_eq!(id.get_version_num(), 7);
        prop_assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
    }
}

#[test]
fn ids_rise() {
    let ids: Vec<_> = (0..10_000).map(|_| new_id(7).as_u128() >> 64).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn an_id_tells_the_time() {
    let before = stoa_exchange::clock::unix_micros() / 1000;
    let (seconds, nanos) = new_id(0).get_timestamp().expect("version 7").to_unix();
    let ms = seconds * 1000 + u64::from(nanos) / 1_000_000;
    assert!((before..before + 60_000).contains(&ms), "{ms} follows {before}");
}

#[test]
fn ids_rise_while_the_clock_stands_still_or_goes_back() {
    let last = AtomicU64::new(0);
    let ticks: Vec<u64> = [7, 7, 7, 3, 3, 20]
        .into_iter()
        .map(|now| rise(&last, now))
        .collect();
    assert_eq!(ticks, [7, 8, 9, 10, 11, 20]);
}

#[test]
fn an_id_can_be_made_for_a_bucket() {
    for bucket in [0, 1, 511, 1_023] {
        let id = new_id_in(bucket);
        assert_eq!(bucket_of(&Value::Uuid(id)), bucket);
        assert_eq!(id.get_version_num(), 7);
    }
}

#[test]
fn a_row_lies_where_the_row_lies_that_it_refers_to() {
    let order = Value::Uuid(new_id(77));
    assert_eq!(bucket_by(Shard::Parent(1), &order), 77);
    assert_eq!(bucket_by(Shard::Field(1), &order), bucket_of(&order));
}
