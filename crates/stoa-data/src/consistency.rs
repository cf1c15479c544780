//! What a caller has written and wants to see again, on stores with replicas: `Stoa-Consistency` on the reply of a write and
//! on the requests after it, as a cookie for browsers, and `Stoa-Position` on the reply of a read, for whoever keeps it.
//!
//! A token has a part for each store that was written to. The part of a store of this API that was not signed by it is
//! refused; parts of other APIs are not ours to judge: they are handed back, so that a caller may keep one token
//! for all it talks to.

use crate::{
    codes,
    operation::Freshness,
    refusal::{Refusal, Result},
    store::{Chosen, Page},
};
use aws_lc_rs::hmac;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};
use stoa_config::plan::StoreKind;
use stoa_exchange::{
    Scheme,
    position::{Part, Position, TAG_BYTES, Token},
};

/// The field of a token.
pub(crate) const FIELD: HeaderName = HeaderName::from_static("stoa-consistency");
/// The field that says what a read shows at least.
const POSITION: HeaderName = HeaderName::from_static("stoa-position");
/// The cookie of a token.
const COOKIE: &str = "stoa-consistency";
/// Instead of a token: what the primary shows.
const STRONG: &str = "strong";
/// How long the cookie outlives the store's `max_lag`: behind that no replica is read, so nothing is to be proved.
const COOKIE_MARGIN: Duration = Duration::from_secs(30);

/// Signs and reads the positions of one store.
pub(crate) struct Seal {
    key: hmac::Key,
    store: [u8; 4],
    cookie_seconds: u64,
}

impl Seal {
    /// With the key that signs cursors, from which the key of tokens comes.
    pub(crate) fn new(cursor_key: &[u8; 32], kind: &StoreKind) -> Self {
        let own = hmac::Key::new(hmac::HMAC_SHA256, cursor_key);
        let derive = |what: &[u8]| hmac::sign(&own, what);
        let key = hmac::Key::new(hmac::HMAC_SHA256, derive(b"consistency").as_ref());
        let store = derive(b"store").as_ref().first_chunk().copied();
        let max_lag = match kind {
            StoreKind::Postgres { max_lag, .. } => *max_lag,
            StoreKind::Sqlite { .. } => Duration::ZERO,
        };
        Self {
            key,
            store: store.unwrap_or_default(),
            cookie_seconds: max_lag.saturating_add(COOKIE_MARGIN).as_secs(),
        }
    }

    fn tag(&self, position: &Position) -> [u8; TAG_BYTES] {
        let tag = hmac::sign(&self.key, &Part::signed(self.store, position));
        tag.as_ref().first_chunk().copied().unwrap_or_default()
    }

    fn part(&self, position: Position) -> Part {
        Part {
            store: self.store,
            tag: self.tag(&position),
            position,
        }
    }

    /// Whether the store signed its part.
    fn signed(&self, part: &Part) -> bool {
        aws_lc_rs::constant_time::verify_slices_are_equal(&self.tag(&part.position), &part.tag).is_ok()
    }
}

/// What one request sent, and what its operations saw.
pub(crate) struct Session<'a> {
    seals: &'a [Seal],
    /// What came, as far as it is fine.
    sent: Token,
    strong: bool,
    /// Whether the caller is a browser's page: only those send `Origin`, and they send it with every write.
    browser: bool,
    seen: Mutex<Seen>,
}

/// What the operations of a request saw.
#[derive(Default)]
struct Seen {
    read: Vec<(usize, Position)>,
    wrote: Vec<(usize, Position)>,
    chosen: Vec<Chosen>,
}

impl<'a> Session<'a> {
    /// Reads what came with a request.
    ///
    /// # Errors
    /// The field is neither a token nor `strong`, or its part of a store of this API was not signed by that. A cookie
    /// like this is left alone: the page did not choose it.
    pub(crate) fn of(headers: &HeaderMap, seals: &'a [Seal]) -> Result<Self> {
        let mut session = Self {
            seals,
            sent: Token::default(),
            strong: false,
            browser: headers.contains_key(header::ORIGIN),
            seen: Mutex::default(),
        };
        if let Some(token) = cookie(headers).and_then(Token::parse)
            && session.is_fine(&token)
        {
            session.sent = token;
        }
        let mut fields = headers.get_all(FIELD).iter();
        let Some(field) = fields.next() else {
            return Ok(session);
        };
        let text = field.to_str().unwrap_or_default().trim();
        if text == STRONG && fields.next().is_none() {
            session.strong = true;
            return Ok(session);
        }
        let token = Token::parse(text).filter(|token| fields.next().is_none() && session.is_fine(token));
        let Some(token) = token else {
            let says = "`Stoa-Consistency` is not a token of this API.";
            return Err(Refusal::new(&codes::BAD_CONSISTENCY, says)
                .hint("Send the field as the reply of a write had it, `strong`, or not at all."));
        };
        token.parts.into_iter().for_each(|part| session.keep(part));
        Ok(session)
    }

    /// Whether every part of a store of this API was signed by it.
    fn is_fine(&self, token: &Token) -> bool {
        token.parts.iter().all(|part| {
            let own = self.seals.iter().find(|seal| seal.store == part.store);
            own.is_none_or(|seal| seal.signed(part))
        })
    }

    /// Takes a part into the token, joined with what is there of its store.
    fn keep(&mut self, part: Part) {
        let own = self.seals.iter().find(|seal| seal.store == part.store);
        let old = self.sent.parts.iter().find(|old| old.store == part.store);
        match (own, old) {
            (Some(seal), Some(old)) => {
                let mut position = old.position.clone();
                position.raise(&part.position);
                self.sent.put(seal.part(position));
            }
            _ => self.sent.put(part),
        }
    }

    /// What the caller has written in a store.
    pub(crate) fn after(&self, store: usize) -> Position {
        let Some(seal) = self.seals.get(store) else {
            return Position::default();
        };
        let part = self.sent.parts.iter().find(|part| part.store == seal.store);
        part.map(|part| part.position.clone()).unwrap_or_default()
    }

    /// What the caller asks for on top of what the file says.
    pub(crate) fn stricter(&self, mut fresh: Freshness) -> Freshness {
        fresh.primary |= self.strong;
        fresh
    }

    /// Takes note of what a read showed.
    pub(crate) fn read(&self, store: usize, page: &mut Page) {
        if page.at.is_empty() && page.by.is_none() {
            return;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.chosen.extend(page.by.take());
        let at = std::mem::take(&mut page.at);
        match seen.read.iter_mut().find(|(of, _)| *of == store) {
            Some((_, lowest)) => lowest.lower(&at),
            None => seen.read.push((store, at)),
        }
    }

    /// Takes note of where a write ended.
    pub(crate) fn wrote(&self, store: usize, at: Position, by: Option<Chosen>) {
        if at.is_empty() && by.is_none() {
            return;
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.chosen.extend(by);
        seen.wrote.push((store, at));
    }

    /// The servers that were chosen, refusals included.
    pub(crate) fn chosen(&mut self) -> Vec<Chosen> {
        let seen = self.seen.get_mut().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut seen.chosen)
    }

    /// Puts the fields on a reply.
    pub(crate) fn finish(mut self, reads: bool, scheme: Scheme, headers: &mut HeaderMap) {
        let seen = std::mem::take(self.seen.get_mut().unwrap_or_else(PoisonError::into_inner));
        if reads {
            let mut shown = Token::default();
            for (store, at) in seen.read.into_iter().filter(|(_, at)| !at.is_empty()) {
                shown
                    .parts
                    .extend(self.seals.get(store).map(|seal| seal.part(at)));
            }
            put(headers, POSITION, &shown.to_text());
            return;
        }
        let mut seconds = 0;
        for (store, at) in seen.wrote.into_iter().filter(|(_, at)| !at.is_empty()) {
            if let Some(seal) = self.seals.get(store) {
                seconds = seconds.max(seal.cookie_seconds);
                self.keep(seal.part(at));
            }
        }
        if seconds > 0 {
            let token = self.sent.to_text();
            put(headers, FIELD, &token);
            if self.browser {
                let secure = if scheme == Scheme::Https { "; Secure" } else { "" };
                let cookie =
                    format!("{COOKIE}={token}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
                put(headers, header::SET_COOKIE, &cookie);
            }
        }
    }
}

fn put(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    if let Ok(value) = HeaderValue::from_str(text)
        && !text.is_empty()
    {
        headers.append(name, value);
    }
}

/// The cookie of a token.
fn cookie(headers: &HeaderMap) -> Option<&str> {
    let fields = headers.get_all(header::COOKIE).iter();
    let pairs = fields
        .filter_map(|field| field.to_str().ok())
        .flat_map(|text| text.split(';'));
    pairs
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests;
