//! What of a request `hash KEY` goes by.

use http::{HeaderName, HeaderValue, request};
use stoa_config::plan::{Auth, LimitKey};
use stoa_exchange::Context;

/// Where callers put an API key when the file does not say.
const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The header field that carries API keys.
pub(super) fn api_key_field(auth: &Auth) -> HeaderName {
    auth.api_keys.as_ref().map_or(API_KEY, |keys| keys.header.clone())
}

/// The hash of a key, the same in every process. A request without the key goes by its client's address: all of them at
/// one endpoint would be no balance.
pub(super) fn hash(key: &LimitKey, api_key: &HeaderName, context: &Context, parts: &request::Parts) -> u64 {
    let field = |name: &HeaderName| parts.headers.get(name).map(HeaderValue::as_bytes);
    let text = |text: &str| Some(digest(text.as_bytes()));
    let found = match key {
        LimitKey::User => context.identity.subject().and_then(text),
        LimitKey::Header(name) => field(name).map(digest),
        LimitKey::ApiKey => field(api_key).map(digest),
        LimitKey::Claim(name) => claim(context, name).map(|found| digest(found.as_bytes())),
        LimitKey::Ip | LimitKey::All => None,
    };
    found.unwrap_or_else(|| match context.client {
        std::net::IpAddr::V4(ip) => digest(&ip.octets()),
        std::net::IpAddr::V6(ip) => digest(&ip.octets()),
    })
}

fn claim(context: &Context, name: &str) -> Option<String> {
    let claims = &context.identity.caller()?.claims;
    let found = claims.get(name).or_else(|| {
        let (first, rest) = name.split_once('.')?;
        rest.split('.')
            .try_fold(claims.get(first)?, |value, part| value.get(part))
    })?;
    Some(
        found
            .as_str()
            .map_or_else(|| found.to_string(), ToOwned::to_owned),
    )
}

fn digest(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}
