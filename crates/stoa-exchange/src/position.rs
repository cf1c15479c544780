//! Positions of databases that have replicas: what a reply shows at least, and what a caller has written.
//!
//! A position travels as `Stoa-Consistency` (a write's reply, and the request that wants to see the write) and as
//! `Stoa-Position` (a read's reply). Its text is opaque to callers and signed by the data half; whoever keeps replies
//! reads it without the key, to tell whether a reply is new enough for a request ([`Token::covers`]).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// Characters of a token at most.
pub const TOKEN_CHARS_MAX: usize = 4 * 1024;
/// Stores that one token names at most.
pub const STORES_MAX: usize = 8;
/// Shards of one store that a token names at most: what a header field holds.
pub const SHARDS_MAX: usize = 256;
/// Bytes of a signature: HMAC-SHA-256, truncated (RFC 2104, section 5).
pub const TAG_BYTES: usize = 16;
/// The form of a part. Another form is no token of this version.
const VERSION: u8 = 1;
/// What separates the parts of a token, one of each store.
const SEPARATOR: char = '.';

/// A place in the log of one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Position of the shard in its store.
    pub shard: u16,
    /// PostgreSQL's timeline: a promotion begins another one, and places are compared within one only.
    pub timeline: u32,
    /// Log sequence number.
    pub lsn: u64,
}

/// Places in the logs of a store's shards; at most one of each shard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position(Vec<Mark>);

impl From<Mark> for Position {
    fn from(mark: Mark) -> Self {
        Self(vec![mark])
    }
}

impl Position {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The place in one shard.
    pub fn of(&self, shard: u16) -> Option<Mark> {
        self.0.iter().find(|mark| mark.shard == shard).copied()
    }

    /// All places, by shard.
    pub fn marks(&self) -> &[Mark] {
        &self.0
    }

    /// Becomes what has both: the later place of each shard.
    pub fn raise(&mut self, other: &Self) {
        self.join(other, |own, new| {
            (new.timeline, new.lsn) > (own.timeline, own.lsn)
        });
    }

    /// Becomes what both have at least: the earlier place of each shard that both name, and the others as they are.
    pub fn lower(&mut self, other: &Self) {
        self.join(other, |own, new| {
            (new.timeline, new.lsn) < (own.timeline, own.lsn)
        });
    }

    fn join(&mut self, other: &Self, replaces: impl Fn(&Mark, &Mark) -> bool) {
        for new in &other.0 {
            match self.0.iter_mut().find(|own| own.shard == new.shard) {
                Some(own) if replaces(own, new) => *own = *new,
                Some(_) => {}
                None => self.0.push(*new),
            }
        }
        self.0.sort_unstable_by_key(|mark| mark.shard);
    }
}

/// One store's part of a token: its position, and the signature over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which store: the same in every process over it.
    pub store: [u8; 4],
    /// The position.
    pub position: Position,
    /// Signature of [`Part::signed`].
    pub tag: [u8; TAG_BYTES],
}

impl Part {
    /// What is signed.
    pub fn signed(store: [u8; 4], position: &Position) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&store);
        for mark in position.marks().iter().take(SHARDS_MAX) {
            for number in [u64::from(mark.shard), u64::from(mark.timeline), mark.lsn] {
                push_number(number, &mut bytes);
            }
        }
        bytes
    }

    fn to_text(&self) -> String {
        let mut bytes = Self::signed(self.store, &self.position);
        bytes.extend_from_slice(&self.tag);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn parse(text: &str) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (signed, tag) = bytes.split_last_chunk::<TAG_BYTES>()?;
        let (version, rest) = signed.split_first()?;
        let (store, mut rest) = rest.split_first_chunk::<4>()?;
        let mut marks: Vec<Mark> = Vec::new();
        while !rest.is_empty() {
            let shard = u16::try_from(take_number(&mut rest)?).ok()?;
            let timeline = u32::try_from(take_number(&mut rest)?).ok()?;
            let lsn = take_number(&mut rest)?;
            // In order, so that one position has one form.
            if marks.last().is_some_and(|last| last.shard >= shard) {
                return None;
            }
            marks.push(Mark { shard, timeline, lsn });
        }
        let fine = *version == VERSION && (1..=SHARDS_MAX).contains(&marks.len());
        fine.then_some(Self {
            store: *store,
            position: Position(marks),
            tag: *tag,
        })
    }
}

/// A token: the positions of the stores that a caller has written to, or that a reply shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token {
    /// One part of each store.
    pub parts: Vec<Part>,
}

impl Token {
    /// Reads a token. Nothing is verified.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > TOKEN_CHARS_MAX {
            return None;
        }
        let parts: Option<Vec<Part>> = text.split(SEPARATOR).map(Part::parse).collect();
        let parts = parts.filter(|parts| parts.len() <= STORES_MAX)?;
        let twice = |at: usize, part: &Part| parts.iter().skip(at + 1).any(|other| other.store == part.store);
        let fine = !parts.iter().enumerate().any(|(at, part)| twice(at, part));
        fine.then_some(Self { parts })
    }

    /// Puts a part into the place of an older one of its store. A token that is full loses its oldest part.
    pub fn put(&mut self, part: Part) {
        self.parts.retain(|old| old.store != part.store);
        if self.parts.len() >= STORES_MAX {
            self.parts.remove(0);
        }
        self.parts.push(part);
    }

    /// As text, empty when it says nothing. A part that makes it too long is left out.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        // The newest parts first.
        for part in self.parts.iter().rev().map(Part::to_text) {
            if text.len() + 1 + part.len() > TOKEN_CHARS_MAX {
                break;
            }
            if !text.is_empty() {
                text.push(SEPARATOR);
            }
            text.push_str(&part);
        }
        text
    }

    /// Whether a reply whose `Stoa-Position` this is may answer a request whose `Stoa-Consistency` is `wanted`: in every
    /// shard that both name the reply is on the same timeline and later. A shard that the reply does not name was
    /// not looked at for it.
    ///
    /// Later, not as late: a primary has on its disk for a moment what it does not show yet, so its position says that
    /// all that was acknowledged *before* it is shown.
    pub fn covers(&self, wanted: &Self) -> bool {
        wanted.parts.iter().all(|part| {
            let own = self.parts.iter().find(|own| own.store == part.store);
            own.is_none_or(|own| {
                part.position.marks().iter().all(|mark| {
                    let own = own.position.of(mark.shard);
                    own.is_none_or(|own| own.timeline == mark.timeline && own.lsn > mark.lsn)
                })
            })
        })
    }
}

/// LEB128.
fn push_number(mut number: u64, bytes: &mut Vec<u8>) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let low = u64::from(byte & 0x7f);
        if low.leading_zeros() < shift {
            return None;
        }
        number |= low << shift;
        if byte & 0x80 == 0 {
            // The shortest form alone.
            return (*byte != 0 || shift == 0).then_some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests;
