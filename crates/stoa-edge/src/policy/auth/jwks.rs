//! A JWK set (RFC 7517), judged whole before any of it is used: a key that is not what it should be is a
//! fault of the file, not a key to skip. Only a public key that says it is for encryption (`use: enc`, section
//! 4.2) is left out: identity providers publish theirs in the same set.

use super::{
    jws,
    keys::{Key, Material},
    strict,
};
use serde_json::{Map, Value};
use stoa_config::plan::Algorithm;

/// More keys than this in one set are refused.
const KEYS_MAX: usize = 256;

/// Members that only a private key has (RFC 7518 section 6).
const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "oth"];

/// Reads a set.
///
/// # Errors
/// Everything that is wrong with it, in words.
pub(super) fn read(text: &[u8], allowed: &[Algorithm]) -> Result<Vec<Key>, Vec<String>> {
    let set = strict::object(text).map_err(|why| vec![format!("the file {why}")])?;
    let Some(Value::Array(members)) = set.get("keys") else {
        return Err(vec![String::from("it has no array `keys`: it is not a JWK set")]);
    };
    if members.is_empty() || members.len() > KEYS_MAX {
        return Err(vec![format!(
            "it holds {} keys; 1 to {KEYS_MAX} are accepted",
            members.len()
        )]);
    }
    let mut keys = Vec::new();
    let mut faults = Vec::new();
    let mut ids = std::collections::HashSet::new();
    let signing: Vec<(usize, &Value)> = members
        .iter()
        .enumerate()
        .filter(|(_, member)| !is_for_encryption(member))
        .collect();
    if signing.is_empty() {
        return Err(vec![String::from(
            "every key of it has the use \"enc\": none may check a signature",
        )]);
    }
    for &(position, member) in &signing {
        let id = member.get("kid").and_then(Value::as_str);
        if id.is_some_and(|id| !ids.insert(id)) {
            faults.push(format!(
                "{}: another key of the set has the same kid",
                title(position, id)
            ));
        }
        match key(member, allowed) {
            Ok(key) => keys.push(key),
            Err(why) => faults.push(format!("{}: {why}", title(position, id))),
        }
    }
    if signing.len() > 1 && signing.iter().any(|(_, m)| m.get("kid").is_none()) {
        faults.push(String::from("every key of a set with several keys needs a kid"));
    }
    let has = |wanted: bool| {
        signing
            .iter()
            .any(|(_, m)| (m.get("kty") == Some(&"oct".into())) == wanted)
    };
    if has(true) && has(false) && signing.iter().any(|(_, m)| m.get("alg").is_none()) {
        faults.push(String::from(
            "it mixes secrets (`oct`) with public keys: every key of such a set must fix its `alg`",
        ));
    }
    if faults.is_empty() { Ok(keys) } else { Err(faults) }
}

/// Whether the key is one to leave out. A private one is not: that it was published is a fault whatever its use.
fn is_for_encryption(member: &Value) -> bool {
    member.get("use").and_then(Value::as_str) == Some("enc") && !is_private(member)
}

fn is_private(member: &Value) -> bool {
    PRIVATE.iter().any(|name| member.get(name).is_some())
}

fn title(position: usize, id: Option<&str>) -> String {
    match id {
        Some(id) => format!("key {} (kid {id:?})", position + 1),
        None => format!("key {}", position + 1),
    }
}

fn key(member: &Value, allowed: &[Algorithm]) -> Result<Key, String> {
    let private = is_private(member);
    let Value::Object(member) = member else {
        return Err(String::from("it is not a JSON object"));
    };
    let id = match member.get("kid") {
        None => None,
        Some(Value::String(id)) if !id.is_empty() => Some(id.clone()),
        Some(_) => return Err(String::from("its kid is not a text, or empty")),
    };
    if private {
        return Err(String::from(
            "it is a private key: only who signs tokens may hold it. Keep its public members alone, and make a new pair if the file was shared",
        ));
    }
    check_purpose(member)?;
    let own = match member.get("alg") {
        None => None,
        Some(alg) => Some(
            alg.as_str()
                .and_then(jws::algorithm)
                .ok_or_else(|| format!("its alg {alg} is not an algorithm that is accepted here"))?,
        ),
    };
    Key::bind(id, &material(member)?, own, allowed)
}

/// `use` and `key_ops` (RFC 7517 sections 4.2 and 4.3).
fn check_purpose(member: &Map<String, Value>) -> Result<(), String> {
    match member.get("use") {
        None => {}
        Some(Value::String(purpose)) if purpose == "sig" => {}
        Some(purpose) => {
            return Err(format!(
                "its use is {purpose}, not \"sig\": remove the key from the file"
            ));
        }
    }
    let operations = match member.get("key_ops") {
        None => return Ok(()),
        Some(Value::Array(operations)) => operations,
        Some(_) => return Err(String::from("its key_ops is not an array")),
    };
    let mut seen = Vec::new();
    for operation in operations {
        let Some(operation) = operation.as_str().filter(|operation| !seen.contains(operation)) else {
            return Err(String::from(
                "its key_ops holds something twice, or something that is not a text",
            ));
        };
        seen.push(operation);
    }
    if !seen.contains(&"verify") {
        return Err(String::from("its key_ops does not hold \"verify\""));
    }
    if seen
        .iter()
        .any(|operation| !matches!(*operation, "verify" | "sign"))
    {
        return Err(String::from(
            "its key_ops mixes signing with another purpose (RFC 7517 section 4.3)",
        ));
    }
    Ok(())
}

fn material(member: &Map<String, Value>) -> Result<Material, String> {
    let text = |name: &str| member.get(name).and_then(Value::as_str);
    let bytes = |name: &str| {
        let text = text(name).ok_or_else(|| format!("it has no `{name}`"))?;
        strict::base64url(text).ok_or_else(|| format!("its `{name}` is not base64url without padding"))
    };
    let point = |length: usize| {
        let (x, y) = (bytes("x")?, bytes("y")?);
        if x.len() != length || y.len() != length {
            return Err(format!("its `x` and `y` must have {length} bytes each"));
        }
        Ok([&[4], &x[..], &y[..]].concat())
    };
    match (text("kty"), text("crv")) {
        (Some("oct"), _) => Ok(Material::Octets(bytes("k")?)),
        (Some("RSA"), _) => Ok(Material::Rsa {
            n: bytes("n")?,
            e: bytes("e")?,
        }),
        (Some("EC"), Some("P-256")) => Ok(Material::P256(point(32)?)),
        (Some("EC"), Some("P-384")) => Ok(Material::P384(point(48)?)),
        (Some("OKP"), Some("Ed25519")) => Ok(Material::Ed25519(bytes("x")?)),
        (Some("EC" | "OKP"), Some(_)) => Err(String::from(
            "its crv is not one that is accepted here: P-256, P-384, Ed25519",
        )),
        (Some("EC" | "OKP"), None) => Err(String::from("it has no `crv`")),
        (Some(_), _) => Err(String::from(
            "its kty is not one that is accepted here: RSA, EC, OKP, oct",
        )),
        (None, _) => Err(String::from("it has no `kty`")),
    }
}
