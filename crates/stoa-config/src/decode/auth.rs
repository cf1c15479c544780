//! `auth:`

use super::{Context, Reader, one_or_many, read::default};
use crate::{
    fault::codes,
    grammar::{self, Words, name, net, policy, units},
    node::{Node, Span},
    plan::{Algorithm, ApiKeys, Auth, Jwt, JwtKeys, Secret},
    report::Report,
    spec::{Key, MapSpec, Shape},
};
use std::time::Duration;
use url::Url;

pub(crate) static AUTH: MapSpec = MapSpec {
    name: "auth",
    doc: "How callers identify themselves. With it, a rule left out means `user`.",
    keys: &[
        Key::new(
            "jwt",
            Shape::Map(&JWT),
            "Signed tokens in `Authorization: Bearer …`.",
            "{ issuer: https://id.example.com, audience: shop }",
        ),
        Key::new(
            "api_keys",
            Shape::Map(&API_KEYS),
            "Keys in a header field.",
            "{ header: x-api-key, file: keys.yaml }",
        ),
    ],
    instead: &[
        ("oidc", "write `jwt: { issuer: URL }`"),
        ("keys", "did you mean `api_keys`?"),
    ],
};

pub(crate) static JWT: MapSpec = MapSpec {
    name: "jwt",
    doc: "Tokens (RFC 7519). The keys come from exactly one of `secret`, `public_key` and `jwks`; with `issuer` alone, from OpenID Connect discovery.",
    keys: &[
        Key::new(
            "issuer",
            Shape::Value(&ISSUER_WORDS),
            "`iss` must equal it.",
            "https://id.example.com",
        ),
        Key::new(
            "audience",
            Shape::Any(&[
                Shape::Value(&name::TEXT_WORDS),
                Shape::List(&Shape::Value(&name::TEXT_WORDS)),
            ]),
            "`aud` must hold it, or one of them.",
            "shop",
        ),
        Key::new(
            "secret",
            Shape::Value(&name::SECRET_WORDS),
            "Secret of HS256, HS384 and HS512; at least 32 bytes.",
            "\"${JWT_SECRET}\"",
        ),
        Key::new(
            "public_key",
            Shape::Value(&name::PATH_WORDS),
            "PEM file of a public key.",
            "keys/issuer.pem",
        ),
        Key::new(
            "jwks",
            Shape::Value(&JWKS_WORDS),
            "URL or file of a JWK set; `http` on the loopback only.",
            "https://id.example.com/jwks.json",
        ),
        Key::new(
            "algorithms",
            Shape::Any(&[
                Shape::Value(&policy::ALGORITHM_WORDS),
                Shape::List(&Shape::Value(&policy::ALGORITHM_WORDS)),
            ]),
            "Narrower than what the kind of key allows.",
            "[RS256]",
        ),
        Key::new(
            "roles",
            Shape::Value(&ROLES_WORDS),
            "The claim that holds the roles; dots lead into claims. Scopes are read from `scope`.",
            "realm_access.roles",
        )
        .or("roles"),
        Key::new(
            "leeway",
            Shape::Value(&units::DURATION_WORDS),
            "How far clocks may differ for `exp` and `nbf`, up to 10m.",
            "30s",
        )
        .or("60s"),
    ],
    instead: &[
        ("key", "write `secret`, `public_key` or `jwks`"),
        ("jwks_url", "did you mean `jwks`?"),
        ("jwks_uri", "did you mean `jwks`?"),
    ],
};

pub(crate) static API_KEYS: MapSpec = MapSpec {
    name: "api_keys",
    doc: "Keys for programs. The file holds their hashes, each with a user, roles and scopes.",
    keys: &[
        Key::new(
            "header",
            Shape::Value(&name::HEADER_WORDS),
            "The header field that carries the key.",
            "x-api-key",
        )
        .or("x-api-key"),
        Key::new(
            "file",
            Shape::Value(&name::PATH_WORDS),
            "The file of hashed keys.",
            "keys.yaml",
        )
        .needed(),
    ],
    instead: &[],
};

static ISSUER_WORDS: Words = Words::new("the issuer of tokens", codes::TEXT, &["https://id.example.com"]);
static JWKS_WORDS: Words = Words::new(
    "the URL or file of a key set",
    codes::URL,
    &["https://id.example.com/jwks.json", "keys/jwks.json"],
);
static ROLES_WORDS: Words = Words::new("a claim", codes::TEXT, &["roles", "realm_access.roles"]);

/// RFC 7518 section 3.2 for HS256.
const SECRET_BYTES_MIN: usize = 32;
const LEEWAY_MAX: Duration = Duration::from_mins(10);

pub(crate) fn auth(node: &Node, context: &Context<'_>, report: &mut Report<'_>) -> Option<Auth> {
    let read = Reader::open(&AUTH, node, "`auth`", report)?;
    Some(Auth {
        jwt: read.get("jwt").and_then(|n| jwt(n, context, report)),
        api_keys: read.get("api_keys").and_then(|n| api_keys(n, context, report)),
    })
}

fn jwt(node: &Node, context: &Context<'_>, report: &mut Report<'_>) -> Option<Jwt> {
    let read = Reader::open(&JWT, node, "`jwt`", report)?;
    let issuer = read.value("issuer", &name::TEXT, report);
    let keys = keys(&read, node.span, issuer.as_deref(), context, report);
    let algorithms = algorithms(&read, report);
    let leeway = read.value("leeway", &units::DURATION_OR_ZERO, report);
    let leeway = leeway.unwrap_or_else(|| default(&JWT, "leeway", &units::DURATION));
    if leeway > LEEWAY_MAX {
        report.add(
            codes::DURATION,
            read.get("leeway")?.span,
            "`leeway` is at most 10m",
        );
    }
    let mut audience = Vec::new();
    for item in read.get("audience").map(one_or_many).unwrap_or_default() {
        audience.extend(grammar::scalar(item, &name::TEXT, report));
    }
    let roles = read
        .value("roles", &name::TEXT, report)
        .unwrap_or_else(|| "roles".to_owned());
    let roles: Vec<String> = roles.split('.').map(str::to_owned).collect();
    if roles.iter().any(String::is_empty) {
        let span = read.get("roles")?.span;
        report
            .add(codes::TEXT, span, "a claim's path has a word between its dots")
            .help("such as `realm_access.roles`");
    }
    let keys = keys?;
    check_algorithms(&read, &keys, &algorithms, report);
    Some(Jwt {
        keys,
        issuer,
        audience,
        algorithms,
        roles,
        leeway,
    })
}

fn keys(
    read: &Reader<'_>,
    span: Span,
    issuer: Option<&str>,
    context: &Context<'_>,
    report: &mut Report<'_>,
) -> Option<JwtKeys> {
    let given: Vec<&str> = ["secret", "public_key", "jwks"]
        .into_iter()
        .filter(|k| read.has(k))
        .collect();
    match given[..] {
        ["secret"] => secret(read.get("secret")?, report),
        ["public_key"] => {
            let path = read.value("public_key", &name::PATH, report)?;
            Some(JwtKeys::PublicKey(context.path(&path)))
        }
        ["jwks"] => jwks(read, context, report),
        [] => match issuer {
            Some(issuer) => {
                secure_url(issuer, read.get("issuer")?, report)?;
                Some(JwtKeys::Discovery)
            }
            None if read.has("issuer") => None,
            None => {
                report
                    .add(codes::JWT_KEYS, span, "`jwt` does not say where the keys come from")
                    .help("add `secret: \"${JWT_SECRET}\"`, `public_key: FILE`, `jwks: URL`, or `issuer: URL` alone");
                None
            }
        },
        [first, second, ..] => {
            report
                .add_with(
                    codes::JWT_KEYS,
                    read.key_span(second),
                    format!("`{second}` and `{first}` both say where the keys come from"),
                    (read.key_span(first), "the other one"),
                )
                .help("keep one of them");
            None
        }
        _ => None,
    }
}

fn secret(node: &Node, report: &mut Report<'_>) -> Option<JwtKeys> {
    let text = grammar::scalar(node, &name::SECRET, report)?;
    if text.len() < SECRET_BYTES_MIN {
        report
            .add(
                codes::WEAK_SECRET,
                node.span,
                format!(
                    "the secret has {} bytes, and needs at least {SECRET_BYTES_MIN}",
                    text.len()
                ),
            )
            .help("make one with `openssl rand -base64 48` and pass it as `${JWT_SECRET}`");
        return None;
    }
    Some(JwtKeys::Secret(Secret::new(text)))
}

fn jwks(read: &Reader<'_>, context: &Context<'_>, report: &mut Report<'_>) -> Option<JwtKeys> {
    let node = read.get("jwks")?;
    let text = read.value("jwks", &name::TEXT, report)?;
    if !text.contains("://") {
        return Some(JwtKeys::JwksFile(context.path(&text)));
    }
    secure_url(&text, node, report)?;
    Some(JwtKeys::JwksUrl(text))
}

/// A URL that keys are fetched from: `https`, or on the loopback.
fn secure_url(text: &str, node: &Node, report: &mut Report<'_>) -> Option<()> {
    if let Err(flaw) = net::web(text) {
        flaw.report(&net::WEB_WORDS, node, report);
        return None;
    }
    let url = Url::parse(text).ok()?;
    if url.scheme() == "https" || net::is_loopback(&url) {
        return Some(());
    }
    report
        .add(
            codes::PLAIN_HTTP,
            node.part(&(0..4)),
            "keys are fetched over plain HTTP",
        )
        .help("use `https://`");
    None
}

fn algorithms(read: &Reader<'_>, report: &mut Report<'_>) -> Vec<Algorithm> {
    let mut found = Vec::new();
    for item in read.get("algorithms").map(one_or_many).unwrap_or_default() {
        let Some(algorithm) = grammar::scalar(item, &policy::ALGORITHM, report) else {
            continue;
        };
        if found.contains(&algorithm) {
            report.add(
                codes::DUPLICATE_VALUE,
                item.span,
                format!("`{algorithm:?}` is listed twice"),
            );
        } else {
            found.push(algorithm);
        }
    }
    found
}

/// A secret verifies HS… only, a public key never does (RFC 8725 section 3.1).
fn check_algorithms(read: &Reader<'_>, keys: &JwtKeys, algorithms: &[Algorithm], report: &mut Report<'_>) {
    let symmetric = matches!(keys, JwtKeys::Secret(_));
    let Some(node) = read.get("algorithms") else {
        return;
    };
    let of_secrets = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
    for algorithm in algorithms.iter().filter(|a| of_secrets.contains(a) != symmetric) {
        let keys = if symmetric { "a secret" } else { "public keys" };
        report
            .add(
                codes::JWT_KEYS,
                node.span,
                format!("`{algorithm:?}` is not an algorithm of {keys}"),
            )
            .help(if symmetric {
                "HS256, HS384 or HS512"
            } else {
                "such as RS256, ES256, EdDSA"
            });
    }
}

fn api_keys(node: &Node, context: &Context<'_>, report: &mut Report<'_>) -> Option<ApiKeys> {
    let read = Reader::open(&API_KEYS, node, "`api_keys`", report)?;
    let header = read.value("header", &name::HEADER, report);
    let file = read.value("file", &name::PATH, report)?;
    Some(ApiKeys {
        header: read.or_default(header, "header", &name::HEADER),
        file: context.path(&file),
    })
}
