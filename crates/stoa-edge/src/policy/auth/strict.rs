//! Reading what a stranger wrote, without the leniency that lets two readers see two things in it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Number, Value};
use std::{fmt, str::FromStr};

/// The key under which `serde_json` hands a number of any precision to a visitor.
const NUMBER: &str = "$serde_json::private::Number";

/// base64url as RFC 7515 section 2 has it: no padding, no white space, no bits left over.
pub(super) fn base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Writes base64url without padding.
pub(super) fn to_base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A JSON object in which no object, at any depth, names a member twice (RFC 7515 section 4, RFC 7519 section 4).
///
/// # Errors
/// In words that hold nothing of the text.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, &'static str> {
    match serde_json::from_slice::<Unique>(bytes) {
        Ok(Unique(Value::Object(map))) => Ok(map),
        Ok(_) => Err("is not a JSON object"),
        Err(error) if error.to_string().starts_with(TWICE) => Err("names a member twice"),
        Err(_) => Err("is not JSON"),
    }
}

/// Any JSON in which no object names a member twice.
///
/// # Errors
/// In words that hold nothing of the text.
pub(crate) fn value(bytes: &[u8]) -> Result<Value, &'static str> {
    match serde_json::from_slice::<Unique>(bytes) {
        Ok(Unique(value)) => Ok(value),
        Err(error) if error.to_string().starts_with(TWICE) => Err("names a member twice"),
        Err(_) => Err("is not JSON"),
    }
}

const TWICE: &str = "a member is named twice";

/// A value whose objects have no duplicate members.
struct Unique(Value);

impl<'de> serde::Deserialize<'de> for Unique {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Visitor).map(Self)
    }
}

struct Visitor;

impl<'de> serde::de::Visitor<'de> for Visitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Unique(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        use serde::de::Error;
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let Unique(value) = map.next_value()?;
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom(TWICE));
            }
        }
        if let (1, Some(Value::String(digits))) = (members.len(), members.get(NUMBER)) {
            let number = Number::from_str(digits).map_err(A::Error::custom)?;
            return Ok(Value::Number(number));
        }
        Ok(Value::Object(members))
    }
}
