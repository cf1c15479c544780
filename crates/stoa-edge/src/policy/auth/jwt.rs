//! Bearer tokens: JWT signed with a secret or a key of a file (RFC 7519, RFC 8725, RFC 6750).

use super::{
    Authenticator, claims,
    claims::Times,
    codes, jwks, jws,
    keys::{Key, KeySet, Material},
    memory::Memory,
    pem,
    refusal::{Refusal, quotable},
};
use http::{HeaderMap, header};
use std::{io::Read, path::Path, sync::Arc};
use stoa_config::plan::{self, JwtKeys};
use stoa_exchange::{Caller, Identity, Problem, clock};

/// Bound of a key file in bytes.
const KEY_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Judges bearer tokens.
pub(super) struct Bearer {
    judge: Judge,
    memory: Memory,
    realm: String,
}

impl Bearer {
    /// Reads the keys.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub(super) fn open(demands: &plan::Jwt, realm: &str) -> Result<Self, Vec<String>> {
        Ok(Self {
            judge: Judge::open(demands)?,
            memory: Memory::new(),
            realm: quotable(realm),
        })
    }

    fn identify(&self, token: &str) -> Result<Arc<Caller>, Refusal> {
        if token.len() > jws::TOKEN_BYTES_MAX {
            return self.judge.caller(token).map(|(caller, _)| Arc::new(caller));
        }
        let fingerprint = Memory::fingerprint(token);
        if let Some(known) = self.memory.good(&fingerprint) {
            return self
                .judge
                .in_time(known.times)
                .map(|()| known.caller)
                .inspect_err(|_| {
                    self.memory.forget(&fingerprint);
                });
        }
        if self.memory.is_bad(&fingerprint) {
            return Err(bad_signature());
        }
        match self.judge.caller(token) {
            Ok((caller, times)) => {
                let caller = Arc::new(caller);
                self.memory
                    .keep_good(fingerprint, token.len(), Arc::clone(&caller), times);
                Ok(caller)
            }
            Err(refusal) => {
                if refusal == bad_signature() {
                    self.memory.keep_bad(fingerprint);
                }
                Err(refusal)
            }
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Problem {
        let challenge = format!(
            "Bearer realm=\"{}\", error=\"invalid_token\", error_description=\"{}\"",
            self.realm,
            quotable(&refusal.to_string())
        );
        let mut problem = Problem::new(&codes::INVALID_TOKEN, refusal.to_string())
            .hint("`stoa token decode TOKEN` lists every reason why a token is refused")
            .header(header::WWW_AUTHENTICATE, challenge);
        problem.code_postgrest = Some(if refusal.of_claims { "PGRST303" } else { "PGRST301" });
        problem
    }

    fn malformed(&self, why: &str) -> Problem {
        let challenge = format!(
            "Bearer realm=\"{}\", error=\"invalid_request\", error_description=\"{why}\"",
            self.realm
        );
        Problem::new(&codes::INVALID_CREDENTIALS, why)
            .hint("send it once, as `Authorization: Bearer TOKEN`")
            .header(header::WWW_AUTHENTICATE, challenge)
    }
}

impl Authenticator for Bearer {
    /// Another scheme than Bearer is not ours: it may be meant for the service behind.
    fn carries(&self, headers: &HeaderMap) -> bool {
        headers
            .get_all(header::AUTHORIZATION)
            .iter()
            .any(|value| after_scheme(value.as_bytes()).is_some())
    }

    fn authenticate(&self, headers: &HeaderMap) -> Result<Identity, Problem> {
        let mut fields = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(field), None) = (fields.next(), fields.next()) else {
            return Err(self.malformed("Authorization came more than once"));
        };
        let Some(token) = after_scheme(field.as_bytes()) else {
            return Ok(Identity::Anonymous);
        };
        let token = match std::str::from_utf8(token) {
            Ok("") => return Err(self.malformed("Authorization names the scheme Bearer without a token")),
            Ok(token) => token,
            Err(_) => return Err(self.refuse(&Refusal::new("the token holds bytes that are not text"))),
        };
        match self.identify(token) {
            Ok(caller) => Ok(Identity::Known(caller)),
            Err(refusal) => Err(self.refuse(&refusal)),
        }
    }
}

/// What follows the scheme `Bearer`, in any case (RFC 9110 section 11.1).
fn after_scheme(field: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = field.split_at_checked("Bearer".len())?;
    let ends = rest.first().is_none_or(|b| *b == b' ' || *b == b'\t');
    (scheme.eq_ignore_ascii_case(b"Bearer") && ends).then(|| rest.trim_ascii())
}

fn bad_signature() -> Refusal {
    Refusal::new("the signature does not fit the token and the key")
}

/// The rules of the API file and the keys: what a token is judged by. Remembers nothing.
pub(super) struct Judge {
    demands: plan::Jwt,
    keys: KeySet,
}

impl Judge {
    /// Reads the keys.
    ///
    /// # Errors
    /// What is wrong with them, in words.
    pub(super) fn open(demands: &plan::Jwt) -> Result<Self, Vec<String>> {
        let allowed = &demands.algorithms;
        let one = |key: Result<Key, String>, what: &str| {
            key.map(|key| vec![key])
                .map_err(|why| vec![format!("{what}: {why}")])
        };
        let keys = match &demands.keys {
            JwtKeys::Secret(secret) => {
                let material = Material::Secret(secret.expose().as_bytes().to_vec());
                one(
                    Key::bind(None, &material, None, allowed),
                    "the secret of `auth.jwt` is refused",
                )
            }
            JwtKeys::PublicKey(path) => {
                let key = read(path)
                    .and_then(|bytes| String::from_utf8(bytes).map_err(|_| String::from("it is not text")))
                    .and_then(|text| pem::read(&text))
                    .and_then(|material| Key::bind(None, &material, None, allowed));
                one(key, &format!("the key file {} is refused", path.display()))
            }
            JwtKeys::JwksFile(path) => {
                let set = read(path)
                    .map_err(|why| vec![why])
                    .and_then(|text| jwks::read(&text, allowed));
                let title = |why: String| format!("the key set {} is refused: {why}", path.display());
                set.map_err(|faults| faults.into_iter().map(title).collect())
            }
            JwtKeys::JwksUrl(_) | JwtKeys::Discovery => Err(vec![String::from(
                "keys from a URL (`jwks: https://…`, or `issuer` alone) are not built yet: download the set and name the file in `jwks`",
            )]),
        }?;
        Ok(Self {
            demands: demands.clone(),
            keys: KeySet::new(keys),
        })
    }

    /// Who holds the token. The cheap checks come first: a signature is only checked for a token that
    /// would be accepted with it.
    fn caller(&self, token: &str) -> Result<(Caller, Times), Refusal> {
        let parsed = jws::parse(token)?;
        let mut refusals = Vec::new();
        let wanted = jws::judge_header(&parsed.header, &mut refusals);
        let first = |refusals: Vec<Refusal>| refusals.into_iter().next().map_or(Ok(()), Err);
        let Some(wanted) = wanted.filter(|_| refusals.is_empty()) else {
            first(refusals)?;
            return Err(Refusal::new("the header is not one of a signed token"));
        };
        let verifier = self.keys.choose(wanted)?;
        let times = claims::judge(&parsed.claims, &self.demands, &mut refusals);
        first(refusals)?;
        self.in_time(times)?;
        if !verifier.verify(parsed.signed.as_bytes(), &parsed.signature) {
            return Err(bad_signature());
        }
        Ok((claims::caller(parsed.claims, times, &self.demands.roles), times))
    }

    fn in_time(&self, times: Times) -> Result<(), Refusal> {
        let mut refusals = Vec::new();
        times.judge(now(), self.demands.leeway, &mut refusals);
        refusals.into_iter().next().map_or(Ok(()), Err)
    }

    /// Every reason why a token that could be taken apart is refused, and whether its signature was checked.
    pub(super) fn every_reason(&self, parsed: &jws::Parsed<'_>) -> (Vec<Refusal>, Option<bool>) {
        let mut refusals = Vec::new();
        let wanted = jws::judge_header(&parsed.header, &mut refusals);
        let verifier = match wanted.map(|wanted| self.keys.choose(wanted)) {
            Some(Ok(verifier)) => Some(verifier),
            Some(Err(refusal)) => {
                refusals.push(refusal);
                None
            }
            None => None,
        };
        let fits = verifier.map(|v| v.verify(parsed.signed.as_bytes(), &parsed.signature));
        if fits == Some(false) {
            refusals.push(bad_signature());
        }
        let times = claims::judge(&parsed.claims, &self.demands, &mut refusals);
        times.judge(now(), self.demands.leeway, &mut refusals);
        (refusals, fits)
    }
}

/// The wall clock in seconds since 1970.
pub(super) fn now() -> f64 {
    clock::unix_micros() as f64 / 1e6
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(KEY_FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("it cannot be read: {error}"))?;
    if bytes.len() as u64 > KEY_FILE_BYTES_MAX {
        return Err(String::from("it is larger than 1 MiB"));
    }
    Ok(bytes)
}
