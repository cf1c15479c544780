//! Cursors of keyset paging: opaque, signed, bound to the list they belong to.

use crate::{
    codes,
    json::{self, Json},
    refusal::{Refusal, Result},
    value::{Value, from_text},
};
use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use stoa_config::plan::Type;

/// Bytes of the signature.
const TAG: usize = 16;
/// The longest cursor, in characters.
const CHARS_MAX: usize = 8 * 1024;

/// A position in a list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Cursor {
    /// Values of the entries of `order` in the last row seen.
    pub(crate) values: Vec<Value>,
    /// Rows before the position.
    pub(crate) position: u64,
}

/// Signs and reads the cursors of one store.
pub(crate) struct Signer(hmac::Key);

impl Signer {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    fn tag(&self, bound: &str, payload: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&(bound.len() as u64).to_be_bytes());
        context.update(bound.as_bytes());
        context.update(payload);
        context.sign()
    }

    /// The cursor as text. `bound` is all that it is bound to: resource, filters, order, caller.
    pub(crate) fn seal(&self, bound: &str, cursor: &Cursor) -> String {
        let one = |value: &Value| match value {
            Value::Null => Json::Null,
            other => Json::Text(other.to_string().into()),
        };
        let mut items = vec![Json::Number(cursor.position.to_string().into())];
        items.extend(cursor.values.iter().map(one));
        let payload = Json::Array(items).to_text().into_bytes();
        let mut sealed = self.tag(bound, &payload).as_ref()[..TAG].to_vec();
        sealed.extend_from_slice(&payload);
        URL_SAFE_NO_PAD.encode(sealed)
    }

    /// Reads a cursor that [`Self::seal`] made for the same list. `types` are those of the entries of its order.
    pub(crate) fn open(&self, bound: &str, text: &str, types: &[&Type]) -> Result<Cursor> {
        self.try_open(bound, text, types).ok_or_else(|| {
            Refusal::new(&codes::BAD_CURSOR, "`after` is not a cursor of this list.")
                .hint("Start again without `after`.")
        })
    }

    fn try_open(&self, bound: &str, text: &str, types: &[&Type]) -> Option<Cursor> {
        if text.len() > CHARS_MAX {
            return None;
        }
        let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (tag, payload) = sealed.split_at_checked(TAG)?;
        let want = self.tag(bound, payload);
        aws_lc_rs::constant_time::verify_slices_are_equal(&want.as_ref()[..TAG], tag).ok()?;
        let Json::Array(items) = json::parse(payload).ok()? else {
            return None;
        };
        let (Json::Number(position), values) = items.split_first()? else {
            return None;
        };
        if values.len() != types.len() {
            return None;
        }
        let one = |(ty, json): (&&Type, &Json)| match json {
            Json::Null => Some(Value::Null),
            Json::Text(text) => from_text(ty, text).ok(),
            _ => None,
        };
        Some(Cursor {
            values: types.iter().zip(values).map(one).collect::<Option<_>>()?,
            position: position.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests;
