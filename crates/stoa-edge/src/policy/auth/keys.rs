//! The keys that verify tokens: each bound to its algorithms when it is read, never by what a token says.

use super::{jws::Wanted, refusal::Refusal};
use aws_lc_rs::{hmac, signature as sig};
use stoa_config::plan::Algorithm;

/// Keys of one file or secret.
#[derive(Debug)]
pub(super) struct KeySet {
    keys: Vec<Key>,
}

/// One key with everything it may verify.
#[derive(Debug)]
pub(super) struct Key {
    id: Option<String>,
    verifiers: Vec<(Algorithm, Verifier)>,
}

/// One key, ready to verify with one algorithm.
#[derive(Debug)]
pub(super) enum Verifier {
    Secret(Box<hmac::Key>),
    Public(sig::ParsedPublicKey),
}

impl Verifier {
    /// Whether `signature` is this key's over `message`. The comparison of MACs takes constant time.
    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            Self::Public(key) => key.verify_sig(message, signature).is_ok(),
        }
    }
}

impl KeySet {
    /// A set of judged keys.
    pub(super) fn new(keys: Vec<Key>) -> Self {
        Self { keys }
    }

    /// The one verifier for what a token's header asks.
    pub(super) fn choose(&self, wanted: Wanted<'_>) -> Result<&Verifier, Refusal> {
        let Wanted { algorithm, key: id } = wanted;
        if !self.algorithms().contains(&algorithm) {
            let mut names: Vec<String> = self.algorithms().iter().map(|a| format!("{a:?}")).collect();
            names.dedup();
            let names = names.join(", ");
            let reason = format!("the algorithm {algorithm:?} is not accepted here, only {names}");
            return Err(Refusal::new(reason));
        }
        let key = match (&self.keys[..], id) {
            // A key without a name is the only one there is: nothing to choose between.
            ([only], _) if only.id.is_none() => only,
            (keys, Some(id)) => keys
                .iter()
                .find(|key| key.id.as_deref() == Some(id))
                .ok_or(Refusal::new("the header's kid names no key that is known here"))?,
            (keys, None) => {
                let mut fit = keys.iter().filter(|key| key.verifier(algorithm).is_some());
                match (fit.next(), fit.next()) {
                    (Some(key), None) => key,
                    _ => {
                        return Err(Refusal::new(
                            "the header has no kid, and more than one key would fit",
                        ));
                    }
                }
            }
        };
        key.verifier(algorithm).ok_or_else(|| {
            Refusal::new(format!(
                "the key that kid names is not for the algorithm {algorithm:?}"
            ))
        })
    }

    fn algorithms(&self) -> Vec<Algorithm> {
        let mut all: Vec<Algorithm> = self
            .keys
            .iter()
            .flat_map(|key| key.verifiers.iter().map(|(algorithm, _)| *algorithm))
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl Key {
    /// Judges a key and binds it to the algorithms that its material, its own `alg` and the API file allow.
    ///
    /// # Errors
    /// What is wrong with the key, in words.
    pub(super) fn bind(
        id: Option<String>,
        material: &Material,
        own: Option<Algorithm>,
        allowed: &[Algorithm],
    ) -> Result<Self, String> {
        material.check()?;
        let fits = material.algorithms();
        if let Some(own) = own.filter(|own| !fits.contains(own)) {
            return Err(format!(
                "its alg is {own:?}, which does not fit {}",
                material.name()
            ));
        }
        let mut verifiers = Vec::new();
        for algorithm in fits {
            let wanted = own.is_none_or(|own| own == *algorithm)
                && (allowed.is_empty() || allowed.contains(algorithm));
            if wanted {
                verifiers.push((*algorithm, material.verifier(*algorithm)?));
            }
        }
        if verifiers.is_empty() {
            return Err(format!(
                "{} fits none of the `algorithms` of the API file",
                material.name()
            ));
        }
        Ok(Self { id, verifiers })
    }

    fn verifier(&self, algorithm: Algorithm) -> Option<&Verifier> {
        self.verifiers
            .iter()
            .find(|(own, _)| *own == algorithm)
            .map(|(_, verifier)| verifier)
    }
}

/// What a key is made of, however it was written down.
pub(super) enum Material {
    /// `secret` of the API file.
    Secret(Vec<u8>),
    /// A symmetric key of a JWK set.
    Octets(Vec<u8>),
    /// Modulus and exponent, big-endian.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// A point, SEC 1.
    P256(Vec<u8>),
    /// A point, SEC 1.
    P384(Vec<u8>),
    /// A point, RFC 8032.
    Ed25519(Vec<u8>),
}

use Algorithm as A;

const HMAC: [A; 3] = [A::HS256, A::HS384, A::HS512];
const RSA: [A; 6] = [A::RS256, A::RS384, A::RS512, A::PS256, A::PS384, A::PS512];
/// The exponent that `aws-lc` still accepts has 33 bits.
const EXPONENT_BYTES_MAX: usize = 5;

impl Material {
    fn name(&self) -> &'static str {
        match self {
            Self::Secret(_) => "a secret",
            Self::Octets(_) => "a symmetric key of its length",
            Self::Rsa { .. } => "an RSA key",
            Self::P256(_) => "a key on P-256",
            Self::P384(_) => "a key on P-384",
            Self::Ed25519(_) => "an Ed25519 key",
        }
    }

    /// The algorithms that the key's type allows. A symmetric key of a set must be as long as the hash
    /// (RFC 7518 section 3.2); the API file's own secret may be used with each once it has 32 bytes.
    fn algorithms(&self) -> &'static [Algorithm] {
        match self {
            Self::Octets(key) => match key.len() {
                0..32 => &[],
                32..48 => &HMAC[..1],
                48..64 => &HMAC[..2],
                _ => &HMAC,
            },
            Self::Secret(_) => &HMAC,
            Self::Rsa { .. } => &RSA,
            Self::P256(_) => &[A::ES256],
            Self::P384(_) => &[A::ES384],
            Self::Ed25519(_) => &[A::EdDSA],
        }
    }

    fn check(&self) -> Result<(), String> {
        match self {
            Self::Secret(key) | Self::Octets(key) if key.is_empty() => Err(String::from("it is empty")),
            Self::Secret(key) | Self::Octets(key) if key.len() < 32 => Err(format!(
                "it has {} bytes; at least 32 are needed (`openssl rand -base64 48` makes one)",
                key.len()
            )),
            Self::Rsa { n, e } => check_rsa(n, e),
            Self::Ed25519(point) => check_ed25519(point),
            _ => Ok(()),
        }
    }

    fn verifier(&self, algorithm: Algorithm) -> Result<Verifier, String> {
        let public = |algorithm: &'static dyn sig::VerificationAlgorithm, bytes: &[u8]| {
            sig::ParsedPublicKey::new(algorithm, bytes).map(Verifier::Public)
        };
        let made = match (self, algorithm) {
            (Self::Secret(key) | Self::Octets(key), _) => {
                let hash = match algorithm {
                    A::HS384 => hmac::HMAC_SHA384,
                    A::HS512 => hmac::HMAC_SHA512,
                    _ => hmac::HMAC_SHA256,
                };
                Ok(Verifier::Secret(Box::new(hmac::Key::new(hash, key))))
            }
            (Self::Rsa { n, e }, _) => {
                let parameters = match algorithm {
                    A::RS384 => &sig::RSA_PKCS1_2048_8192_SHA384,
                    A::RS512 => &sig::RSA_PKCS1_2048_8192_SHA512,
                    A::PS256 => &sig::RSA_PSS_2048_8192_SHA256,
                    A::PS384 => &sig::RSA_PSS_2048_8192_SHA384,
                    A::PS512 => &sig::RSA_PSS_2048_8192_SHA512,
                    _ => &sig::RSA_PKCS1_2048_8192_SHA256,
                };
                sig::RsaPublicKeyComponents { n, e }
                    .to_parsed_public_key(parameters)
                    .map(Verifier::Public)
            }
            (Self::P256(point), _) => public(&sig::ECDSA_P256_SHA256_FIXED, point),
            (Self::P384(point), _) => public(&sig::ECDSA_P384_SHA384_FIXED, point),
            (Self::Ed25519(point), _) => public(&sig::ED25519, point),
        };
        made.map_err(|_| match self {
            Self::P256(_) | Self::P384(_) | Self::Ed25519(_) => String::from("its point is not on its curve"),
            _ => format!("it is not {} that can be used", self.name()),
        })
    }
}

fn check_rsa(n: &[u8], e: &[u8]) -> Result<(), String> {
    let (Some(first), Some(last)) = (n.first(), n.last()) else {
        return Err(String::from("its modulus is empty"));
    };
    if *first == 0 {
        return Err(String::from("its modulus begins with a zero byte"));
    }
    let bits = n.len() * 8 - first.leading_zeros() as usize;
    if !(2048..=8192).contains(&bits) {
        return Err(format!(
            "its modulus has {bits} bits; 2,048 to 8,192 are accepted"
        ));
    }
    if last % 2 == 0 {
        return Err(String::from("its modulus is even: it is not an RSA key"));
    }
    let exponent_fits = match e {
        [] | [0, ..] | [1] => false,
        [.., last] => last % 2 == 1 && e.len() <= EXPONENT_BYTES_MAX,
    };
    if !exponent_fits {
        return Err(String::from(
            "its exponent is not an odd number from 3 to 33 bits",
        ));
    }
    Ok(())
}

/// The points of small order on edwards25519, without the sign bit: with such a key, a signature that fits
/// any message can be made without a private key.
const SMALL_ORDER: [[u8; 32]; 7] = [
    ends(0x00, 0x00, 0x00),
    ends(0x01, 0x00, 0x00),
    ends(0xec, 0xff, 0x7f),
    ends(0xed, 0xff, 0x7f),
    ends(0xee, 0xff, 0x7f),
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5,
        0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a,
        0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

const fn ends(first: u8, middle: u8, last: u8) -> [u8; 32] {
    let mut point = [middle; 32];
    point[0] = first;
    point[31] = last;
    point
}

fn check_ed25519(point: &[u8]) -> Result<(), String> {
    let Ok(mut point) = <[u8; 32]>::try_from(point) else {
        return Err(format!("its point has {} bytes, not 32", point.len()));
    };
    point[31] &= 0x7f;
    if SMALL_ORDER.contains(&point) {
        return Err(String::from(
            "its point has a small order: anybody could sign for it",
        ));
    }
    Ok(())
}
