//! Buckets: the 1,024 fixed slots that a shard key hashes to, and ids that carry theirs.

use crate::value::Value;
use std::sync::atomic::{AtomicU64, Ordering};
use stoa_config::plan::Shard;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

/// How many buckets there are; fixed for the life of a store.
pub const BUCKETS: u16 = 1024;

/// The bucket of a shard key: XXH3-64 of its text as a caller would write it, modulo [`BUCKETS`].
pub fn bucket_of(key: &Value) -> u16 {
    match key {
        Value::Uuid(id) => bucket_of_bytes(
            id.hyphenated()
                .encode_lower(&mut Uuid::encode_buffer())
                .as_bytes(),
        ),
        Value::Text(text) => bucket_of_bytes(text.as_bytes()),
        other => bucket_of_bytes(other.to_string().as_bytes()),
    }
}

/// The bucket of a row whose shard key has this value, or whose key has, where the resource has no shard key.
pub fn bucket_by(shard: Shard, key: &Value) -> u16 {
    match (shard, key) {
        (Shard::Parent(_), Value::Uuid(id)) => bucket_in(id),
        _ => bucket_of(key),
    }
}

/// As [`bucket_of`], of bytes.
pub fn bucket_of_bytes(bytes: &[u8]) -> u16 {
    (xxh3_64(bytes) % u64::from(BUCKETS)) as u16
}

/// A new id (RFC 9562, version 7) that carries a bucket in the 10 bits after the variant. Ids of one process
/// rise strictly: the 60 bits before are the time in 1/4096 ms, and never the same twice.
///
/// # Panics
/// When the system gives no random bytes.
pub fn new_id(bucket: u16) -> Uuid {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let micros = stoa_exchange::clock::unix_micros();
    let now = ((micros / 1000) << 12) | ((micros % 1000) * 4096 / 1000);
    let tick = rise(&LAST, now);
    let mut random = [0; 8];
    aws_lc_rs::rand::fill(&mut random).expect("the system gives random bytes");
    let random = u64::from_be_bytes(random) & ((1 << 52) - 1);
    let high = ((tick >> 12) << 16) | 0x7000 | (tick & 0xfff);
    let low = (0b10 << 62) | (u64::from(bucket % BUCKETS) << 52) | random;
    Uuid::from_u64_pair(high, low)
}

/// How many ids are tried to find one with a given hash; on average every thousandth has it.
const TRIES: u64 = 1 << 20;

/// A new id whose own hash is this bucket ([`bucket_of`]), for rows that are sharded by their id and must lie where a
/// repetition of the request looks for them.
///
/// # Panics
/// As [`new_id`].
pub fn new_id_in(bucket: u16) -> Uuid {
    let (high, low) = new_id(0).as_u64_pair();
    let mut text = Uuid::encode_buffer();
    let mut hashes_to =
        |id: &Uuid| bucket_of_bytes(id.hyphenated().encode_lower(&mut text).as_bytes()) == bucket;
    (0..TRIES)
        .map(|n| Uuid::from_u64_pair(high, low ^ n))
        .find(|id| hashes_to(id))
        .unwrap_or_else(|| Uuid::from_u64_pair(high, low))
}

/// The moment of a new id: `now`, or the one after the last where that is not earlier.
fn rise(last: &AtomicU64, now: u64) -> u64 {
    let next = |last: u64| now.max(last + 1);
    let before = last.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
    before.map_or_else(next, next)
}

/// The bucket that an id of [`new_id`] carries.
pub fn bucket_in(id: &Uuid) -> u16 {
    let (_, low) = id.as_u64_pair();
    ((low >> 52) & 0x3ff) as u16
}

#[cfg(test)]
mod tests;
