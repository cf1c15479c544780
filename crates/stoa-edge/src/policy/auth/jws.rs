//! A token taken apart: the compact form of RFC 7515, read strictly, before any key is looked at.

use super::{refusal::Refusal, strict};
use serde_json::{Map, Value};
use stoa_config::plan::Algorithm;

/// The longest token that is looked at, in bytes.
pub(super) const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// A token whose three parts could be read. Nothing in it is to be believed yet.
#[derive(Debug)]
pub(super) struct Parsed<'t> {
    /// JOSE header.
    pub(super) header: Map<String, Value>,
    /// Claims.
    pub(super) claims: Map<String, Value>,
    /// What the signature is over.
    pub(super) signed: &'t str,
    /// The signature.
    pub(super) signature: Vec<u8>,
}

/// Takes a token apart.
pub(super) fn parse(token: &str) -> Result<Parsed<'_>, Refusal> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Refusal::new("the token is longer than 16 KiB"));
    }
    let mut parts = token.split('.');
    let (header, claims, signature) = match (parts.next(), parts.next(), parts.next(), parts.count()) {
        (Some(header), Some(claims), Some(signature), 0) => (header, claims, signature),
        (Some(_), Some(_), Some(_), 2) if !token.contains([',', ' ']) => {
            return Err(Refusal::new(
                "the token is encrypted (JWE), which is not accepted here",
            ));
        }
        _ => return Err(Refusal::new("the token does not have the three parts of a JWT")),
    };
    let signed = &token[..header.len() + 1 + claims.len()];
    let header = object("header", header)?;
    let claims = object("payload", claims)?;
    let signature = strict::base64url(signature)
        .ok_or_else(|| Refusal::new("the signature is not base64url without padding"))?;
    Ok(Parsed {
        header,
        claims,
        signed,
        signature,
    })
}

fn object(part: &str, text: &str) -> Result<Map<String, Value>, Refusal> {
    let bytes = strict::base64url(text)
        .ok_or_else(|| Refusal::new(format!("the {part} is not base64url without padding")))?;
    strict::object(&bytes).map_err(|why| Refusal::new(format!("the {part} {why}")))
}

/// What the header asks for, once it is fit to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wanted<'h> {
    /// `alg`.
    pub(super) algorithm: Algorithm,
    /// `kid`.
    pub(super) key: Option<&'h str>,
}

/// Judges a header. Members that name or hold a key (`jku`, `x5u`, `jwk`, `x5c`) are never looked at: only
/// the keys of the API file count.
pub(super) fn judge_header<'h>(
    header: &'h Map<String, Value>,
    refusals: &mut Vec<Refusal>,
) -> Option<Wanted<'h>> {
    let mut refuse = |reason: &'static str| refusals.push(Refusal::new(reason));
    if header.contains_key("crit") {
        refuse("the header's crit names extensions; none is understood here");
    }
    if header.get("b64").is_some_and(|b64| b64 != &Value::Bool(true)) {
        refuse("the header's b64 asks for an unencoded payload, which is not accepted here");
    }
    if header.contains_key("zip") {
        refuse("the header's zip asks for compression, which is not accepted here");
    }
    if header.contains_key("enc") {
        refuse("the header's enc belongs to an encrypted token, which is not accepted here");
    }
    if header.contains_key("cty") {
        refuse("the header's cty announces a token inside the token, which is not accepted here");
    }
    match header.get("typ") {
        None => {}
        Some(Value::String(typ)) if is_token_type(typ) => {}
        Some(_) => refuse("the header's typ is neither JWT nor at+jwt"),
    }
    let key = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) => Some(kid.as_str()),
        Some(_) => {
            refuse("the header's kid is not a string");
            None
        }
    };
    let algorithm = match header.get("alg") {
        Some(Value::String(alg)) if alg.eq_ignore_ascii_case("none") => {
            refuse("the algorithm none is never accepted: the token is not signed");
            None
        }
        Some(Value::String(alg)) => {
            let known = algorithm(alg);
            if known.is_none() {
                refuse("the header's alg is not an algorithm that is known here");
            }
            known
        }
        Some(_) => {
            refuse("the header's alg is not a string");
            None
        }
        None => {
            refuse("the header has no alg");
            None
        }
    };
    Some(Wanted {
        algorithm: algorithm?,
        key,
    })
}

fn is_token_type(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    matches!(typ.strip_prefix("application/").unwrap_or(&typ), "jwt" | "at+jwt")
}

/// The algorithm of this name. `Ed25519` is the name of RFC 9864 for what `EdDSA` means here.
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    use Algorithm as A;
    Some(match name {
        "HS256" => A::HS256,
        "HS384" => A::HS384,
        "HS512" => A::HS512,
        "RS256" => A::RS256,
        "RS384" => A::RS384,
        "RS512" => A::RS512,
        "PS256" => A::PS256,
        "PS384" => A::PS384,
        "PS512" => A::PS512,
        "ES256" => A::ES256,
        "ES384" => A::ES384,
        "EdDSA" | "Ed25519" => A::EdDSA,
        _ => return None,
    })
}
