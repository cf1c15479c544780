//! Tokens and keys as friends and attackers send them. Keys and tokens under `tests/keys` were made with
//! another implementation (`cryptography` and PyJWT).

mod key_files;
mod memory;
mod people;
mod random;
mod requests;
mod times;
mod tokens;

use super::*;
use crate::policy::auth::strict::to_base64url;
use aws_lc_rs::{
    encoding::AsDer,
    hmac, rand,
    rsa::KeySize,
    signature::{self as sig, KeyPair},
};
use http::{HeaderValue, header};
use std::{path::PathBuf, sync::LazyLock, time::Duration};
use stoa_config::plan::{Algorithm, Jwt, Secret};

const SECRET: &str = "only-for-tests-only-for-tests-only-for-tests-only-for-tests-only!";

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/keys")
        .join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap()
}

fn jwt(keys: JwtKeys) -> Jwt {
    Jwt {
        keys,
        issuer: None,
        audience: Vec::new(),
        algorithms: Vec::new(),
        roles: vec![String::from("roles")],
        leeway: Duration::from_mins(1),
    }
}

fn secret() -> Jwt {
    jwt(JwtKeys::Secret(Secret::new(SECRET)))
}

fn auth(jwt: Jwt) -> plan::Auth {
    plan::Auth {
        jwt: Some(jwt),
        api_keys: None,
    }
}

fn open_one(jwt: Jwt) -> Auth {
    match open(&auth(jwt), "shop") {
        Ok(auth) => auth,
        Err(faults) => panic!("refused: {faults:?}"),
    }
}

fn bearer(token: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_str(&format!("Bearer {token}")).unwrap();
    headers.insert(header::AUTHORIZATION, value);
    headers
}

/// The key pairs of one run, and a set that holds their public halves.
struct Pairs {
    rsa: sig::RsaKeyPair,
    p256: sig::EcdsaKeyPair,
    p384: sig::EcdsaKeyPair,
    ed25519: sig::Ed25519KeyPair,
}

static PAIRS: LazyLock<Pairs> = LazyLock::new(|| Pairs {
    rsa: sig::RsaKeyPair::generate(KeySize::Rsa2048).unwrap(),
    p256: sig::EcdsaKeyPair::generate(&sig::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
    p384: sig::EcdsaKeyPair::generate(&sig::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap(),
    ed25519: sig::Ed25519KeyPair::generate().unwrap(),
});

fn pem(label: &str, der: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        STANDARD.encode(der)
    )
}

impl Pairs {
    fn rsa_pem(&self) -> String {
        let der = self.rsa.public_key().as_der().unwrap();
        pem("PUBLIC KEY", der.as_ref())
    }

    fn jwks(&self) -> String {
        let (n, e) = match super::pem::read(&self.rsa_pem()) {
            Ok(keys::Material::Rsa { n, e }) => (to_base64url(n), to_base64url(e)),
            _ => panic!("the pair is not RSA"),
        };
        let half = |point: &[u8], second: bool| {
            let (x, y) = point[1..].split_at(point.len() / 2);
            to_base64url(if second { y } else { x })
        };
        let (p256, p384) = (self.p256.public_key().as_ref(), self.p384.public_key().as_ref());
        serde_json::json!({ "keys": [
            { "kid": "rsa", "kty": "RSA", "n": n, "e": e, "use": "sig" },
            { "kid": "rsa-256", "kty": "RSA", "n": n, "e": e, "alg": "RS256" },
            { "kid": "p256", "kty": "EC", "crv": "P-256", "x": half(p256, false), "y": half(p256, true) },
            { "kid": "p384", "kty": "EC", "crv": "P-384", "x": half(p384, false), "y": half(p384, true) },
            { "kid": "ed", "kty": "OKP", "crv": "Ed25519", "x": to_base64url(self.ed25519.public_key()),
              "key_ops": ["verify"] },
        ]})
        .to_string()
    }
}

/// What signs a forged token.
#[derive(Clone, Copy)]
enum Signer<'a> {
    Hmac(hmac::Algorithm, &'a [u8]),
    Rsa(&'static dyn sig::RsaEncoding),
    P256,
    P384,
    Ed25519,
    /// These bytes, whatever they are.
    Bytes(&'a [u8]),
}

const HS256: Signer<'static> = Signer::Hmac(hmac::HMAC_SHA256, SECRET.as_bytes());
const RS256: Signer<'static> = Signer::Rsa(&sig::RSA_PKCS1_SHA256);

/// A token with this text as header and payload: nothing is checked or made pretty.
fn forge(header: &str, claims: &str, signer: Signer<'_>) -> String {
    let signed = format!("{}.{}", to_base64url(header), to_base64url(claims));
    let signature = sign(signed.as_bytes(), signer);
    format!("{signed}.{}", to_base64url(signature))
}

fn sign(signed: &[u8], signer: Signer<'_>) -> Vec<u8> {
    let random = rand::SystemRandom::new();
    match signer {
        Signer::Hmac(hash, key) => hmac::sign(&hmac::Key::new(hash, key), signed).as_ref().to_vec(),
        Signer::Rsa(encoding) => {
            let mut signature = vec![0; PAIRS.rsa.public_modulus_len()];
            PAIRS.rsa.sign(encoding, &random, signed, &mut signature).unwrap();
            signature
        }
        Signer::P256 => PAIRS.p256.sign(&random, signed).unwrap().as_ref().to_vec(),
        Signer::P384 => PAIRS.p384.sign(&random, signed).unwrap().as_ref().to_vec(),
        Signer::Ed25519 => PAIRS.ed25519.sign(signed).as_ref().to_vec(),
        Signer::Bytes(bytes) => bytes.to_vec(),
    }
}

/// Seconds since 1970, moved by years, so that a test that shifts the clock disturbs no other.
fn years(by: i64) -> i64 {
    i64::try_from(stoa_exchange::clock::unix_seconds()).unwrap() + by * 365 * 86_400
}

fn outcome(auth: &Auth, token: &str) -> Result<Identity, String> {
    auth.authenticate(&bearer(token)).map_err(|problem| {
        assert_eq!(problem.status(), 401, "{problem}");
        let challenge = problem.headers[header::WWW_AUTHENTICATE].to_str().unwrap();
        assert!(
            challenge.starts_with("Bearer realm=\"shop\", error=\"invalid_token\""),
            "{challenge}"
        );
        assert_eq!(challenge.matches('"').count(), 6, "{challenge}");
        let whole = format!("{problem}{challenge}{:?}", problem.hint);
        assert!(token.len() < 20 || !whole.contains(token), "the token is echoed");
        problem.detail
    })
}
