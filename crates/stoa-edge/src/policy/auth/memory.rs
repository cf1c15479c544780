//! Tokens that were verified before: a signature is checked once per token, not once per request.

use super::claims::Times;
use aws_lc_rs::digest;
use quick_cache::{Weighter, sync::Cache};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use stoa_exchange::{Caller, clock};

/// How long a token without `exp` is believed before its signature is checked again.
const WITHOUT_END: Duration = Duration::from_mins(1);
/// Bound of the memory of good tokens, in bytes of token text (their claims take a small multiple of it).
const GOOD_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Bound of the memory of tokens with a bad signature, in tokens.
const BAD_MAX: usize = 4096;

/// The SHA-256 of a token: two tokens never share one, so a caller is never taken for another.
pub(super) type Fingerprint = [u8; 32];

/// What is remembered of a good token. Its times are judged at every use.
#[derive(Clone, Debug)]
pub(super) struct Remembered {
    pub(super) caller: Arc<Caller>,
    pub(super) times: Times,
    until: Option<Instant>,
    bytes: u32,
}

/// The memory of one set of keys: it goes when they go.
pub(super) struct Memory {
    good: Cache<Fingerprint, Remembered, ByToken>,
    bad: Cache<Fingerprint, ()>,
}

#[derive(Clone)]
struct ByToken;

impl Weighter<Fingerprint, Remembered> for ByToken {
    fn weight(&self, _: &Fingerprint, remembered: &Remembered) -> u64 {
        u64::from(remembered.bytes)
    }
}

impl Memory {
    pub(super) fn new() -> Self {
        Self {
            good: Cache::with_weighter(16 * 1024, GOOD_BYTES_MAX, ByToken),
            bad: Cache::new(BAD_MAX),
        }
    }

    pub(super) fn fingerprint(token: &str) -> Fingerprint {
        let digest = digest::digest(&digest::SHA256, token.as_bytes());
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest.as_ref());
        fingerprint
    }

    /// What is known of a token whose signature was good.
    pub(super) fn good(&self, token: &Fingerprint) -> Option<Remembered> {
        let remembered = self.good.get(token)?;
        if remembered.until.is_some_and(|until| clock::now() >= until) {
            self.good.remove(token);
            return None;
        }
        Some(remembered)
    }

    /// Whether the token's signature was found bad before.
    pub(super) fn is_bad(&self, token: &Fingerprint) -> bool {
        self.bad.get(token).is_some()
    }

    pub(super) fn keep_good(&self, token: Fingerprint, bytes: usize, caller: Arc<Caller>, times: Times) {
        let until = times.expires.is_none().then(|| clock::now() + WITHOUT_END);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.good.insert(
            token,
            Remembered {
                caller,
                times,
                until,
                bytes,
            },
        );
    }

    pub(super) fn keep_bad(&self, token: Fingerprint) {
        self.bad.insert(token, ());
    }

    /// Forgets a token that has ended.
    pub(super) fn forget(&self, token: &Fingerprint) {
        self.good.remove(token);
    }

    /// Good tokens, their bytes, bad tokens.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, u64, usize) {
        (self.good.len(), self.good.weight(), self.bad.len())
    }
}
