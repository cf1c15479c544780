//! The gateway's part of the plan: identity, access, limits, services, routes.

use super::{Handling, Place, Secret, Upstream};
use std::{fmt, net::IpAddr, num::NonZeroU32, path::PathBuf, sync::Arc, time::Duration};

/// `auth:`.
#[derive(Clone, Debug, Default)]
pub struct Auth {
    /// `auth.jwt`.
    pub jwt: Option<Jwt>,
    /// `auth.api_keys`.
    pub api_keys: Option<ApiKeys>,
}

impl Auth {
    /// Whether callers can identify themselves at all.
    pub fn is_configured(&self) -> bool {
        self.jwt.is_some() || self.api_keys.is_some()
    }
}

/// `auth.jwt` (RFC 7519, RFC 8725).
#[derive(Clone, Debug)]
pub struct Jwt {
    /// Where the keys come from.
    pub keys: JwtKeys,
    /// `issuer`: `iss` must equal it when set.
    pub issuer: Option<String>,
    /// `audience`: `aud` must hold one of them when not empty.
    pub audience: Vec<String>,
    /// `algorithms`: narrower than what the key's type allows, when not empty.
    pub algorithms: Vec<Algorithm>,
    /// `roles`: path of the claim that holds the roles, outermost first (`realm_access.roles`). Default `roles`.
    pub roles: Vec<String>,
    /// `leeway` of clocks for `exp` and `nbf`. Default 60 s, at most 10 min.
    pub leeway: Duration,
}

/// Where the keys that verify tokens come from.
#[derive(Clone, Debug)]
pub enum JwtKeys {
    /// `secret`: HS256, HS384, HS512. At least 32 bytes (RFC 7518 section 3.2).
    Secret(Secret),
    /// `public_key`: a PEM file.
    PublicKey(PathBuf),
    /// `jwks`: a JWK set file.
    JwksFile(PathBuf),
    /// `jwks`: a URL; `http` only on loopback.
    JwksUrl(String),
    /// Only `issuer` was given: OpenID Connect discovery finds the set.
    Discovery,
}

/// JWS algorithms (RFC 7518 section 3.1, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the standard's")]
pub enum Algorithm {
    HS256,
    HS384,
    HS512,
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

/// `auth.api_keys`.
#[derive(Clone, Debug)]
pub struct ApiKeys {
    /// `header` that carries the key, lower case. Default `x-api-key`.
    pub header: http::HeaderName,
    /// `file` of hashed keys.
    pub file: PathBuf,
}

/// An access rule and whether the file said it.
#[derive(Clone, Debug)]
pub struct Rule {
    /// What is asked of the caller. A rule left out is `User` with `auth` configured, `Public` without.
    pub access: Access,
    /// Whether the file wrote it.
    pub written: bool,
    /// Where, or where the route or resource stands when it was left out.
    pub place: Place,
}

/// Who may (API file, "Access rules").
#[derive(Clone, Debug)]
pub enum Access {
    /// Everybody.
    Public,
    /// Nobody.
    Nobody,
    /// Every caller with an identity.
    User,
    /// Callers with any of these roles.
    Role(Vec<String>),
    /// Callers with all of these scopes.
    Scope(Vec<String>),
    /// The row's field equals the caller's `sub`; resources only. Position in [`super::Resource::fields`].
    Owner(usize),
    /// A CEL expression over `claims`, `request` and (resources only) `row`.
    When(Cel),
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => f.write_str("public"),
            Self::Nobody => f.write_str("none"),
            Self::User => f.write_str("user"),
            Self::Role(names) => write!(f, "role {}", names.join(", ")),
            Self::Scope(names) => write!(f, "scope {}", names.join(", ")),
            Self::Owner(_) => f.write_str("owner"),
            Self::When(cel) => write!(f, "when: {}", cel.source),
        }
    }
}

/// A checked CEL expression: it parses, and names only the variables and functions of its place.
#[derive(Clone)]
pub struct Cel {
    /// As written.
    pub source: Arc<str>,
    /// Compiled.
    pub program: Arc<cel::Program>,
}

impl fmt::Debug for Cel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cel({:?})", self.source)
    }
}

/// One limit: `COUNT/UNIT [by KEY] [burst N]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Name, unique in the plan.
    pub name: String,
    /// Requests per window.
    pub count: NonZeroU32,
    /// `s`, `min`, `hour` or `day`.
    pub window: Duration,
    /// Who shares the count.
    pub key: LimitKey,
    /// How many may come at once; `count` when left out.
    pub burst: NonZeroU32,
}

/// What a limit counts by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LimitKey {
    /// The caller's `sub`, or the address for a caller without identity.
    User,
    /// The client's address.
    Ip,
    /// The API key.
    ApiKey,
    /// A claim of the token.
    Claim(String),
    /// A request header.
    Header(http::HeaderName),
    /// One count for all.
    All,
}

/// `services.NAME`.
#[derive(Clone, Debug)]
pub struct Service {
    /// Name in the file.
    pub name: String,
    /// Where it stands in the file.
    pub place: Place,
    /// `url`: one address or several, never empty.
    pub endpoints: Vec<Endpoint>,
    /// How they share the requests and are kept in use.
    pub upstream: Upstream,
    /// `balance`. Default least latency.
    pub balance: Balance,
    /// `health`: active checks.
    pub health: Option<Health>,
    /// `timeout`.
    pub timeouts: Timeouts,
    /// `retry`. Default 2 attempts, 20 %; `None`: never.
    pub retry: Option<Retry>,
    /// `websocket`: bounds of each WebSocket.
    pub websocket: WebSocket,
    /// `strip_prefix`: whether the path's first segment is removed before it goes upstream.
    pub strip_prefix: bool,
    /// `routes`. A service without them has the one route `/NAME/**` (and `/NAME`), any method, path unchanged.
    pub routes: Vec<Route>,
}

/// One address of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Whether the connection is encrypted (`https`).
    pub tls: bool,
    /// Host name or address, without brackets.
    pub host: Host,
    /// Port, never 0.
    pub port: u16,
    /// Path that is put before the request's path; `""` or `/base` without a slash at the end.
    pub base_path: String,
}

impl Endpoint {
    /// `host:port`, with brackets around an IPv6 address: what the `Host` field holds.
    pub fn authority(&self) -> String {
        match &self.host {
            Host::Name(name) => format!("{name}:{}", self.port),
            Host::Ip(IpAddr::V4(ip)) => format!("{ip}:{}", self.port),
            Host::Ip(IpAddr::V6(ip)) => format!("[{ip}]:{}", self.port),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.base_path)
    }
}

/// A host as a URL writes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name to look up.
    Name(String),
    /// An address.
    Ip(IpAddr),
}

/// How an endpoint is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Balance {
    /// In turn.
    RoundRobin,
    /// The better of two by requests under way.
    LeastRequests,
    /// The better of two by latency and requests under way.
    LeastLatency,
    /// By the hash of a key of the request.
    Hash(LimitKey),
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RoundRobin => f.write_str("round-robin"),
            Self::LeastRequests => f.write_str("least-requests"),
            Self::LeastLatency => f.write_str("least-latency"),
            Self::Hash(key) => write!(f, "hash {key}"),
        }
    }
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User => f.write_str("user"),
            Self::Ip => f.write_str("ip"),
            Self::ApiKey => f.write_str("key"),
            Self::Claim(name) => write!(f, "claim {name}"),
            Self::Header(name) => write!(f, "header {name}"),
            Self::All => f.write_str("all"),
        }
    }
}

/// `services.NAME.health`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// `path` asked with GET; 2xx is healthy.
    pub path: String,
    /// `every`: time between two checks. Default 5 s.
    pub every: Duration,
    /// `timeout` of one check. Default 1 s.
    pub timeout: Duration,
}

/// Bounds of waiting for a service. `timeout: 2s` sets `total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// `connect`. Default 1 s.
    pub connect: Duration,
    /// `first_byte`: from the request sent to the reply's head. Default 30 s.
    pub first_byte: Duration,
    /// `idle`: the longest pause inside the reply's body. Default 60 s.
    pub idle: Duration,
    /// `per_try`: from the beginning of one attempt to the reply's head. Default none.
    pub per_try: Option<Duration>,
    /// `total`: from the first byte sent to the end of the reply; an upgraded connection is exempt. Default none.
    pub total: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(1),
            first_byte: Duration::from_secs(30),
            idle: Duration::from_mins(1),
            per_try: None,
            total: None,
        }
    }
}

/// `services.NAME.websocket`: bounds of one WebSocket (RFC 6455).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebSocket {
    /// `idle`: how long neither side may say anything; pings count. Default 10 min.
    pub idle: Duration,
    /// `max_message` in bytes, all its frames together, as they are sent. Default 16 MiB.
    pub message_bytes_max: u64,
}

impl Default for WebSocket {
    fn default() -> Self {
        Self {
            idle: Duration::from_mins(10),
            message_bytes_max: 16 * 1024 * 1024,
        }
    }
}

/// `services.NAME.retry`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// `attempts`, the first one counted. 1..=5.
    pub attempts: u8,
    /// `budget`: extra attempts as a share of requests, in percent. Default 20.
    pub budget_percent: u8,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 2,
            budget_percent: 20,
        }
    }
}

/// One route of a service.
#[derive(Clone, Debug)]
pub struct Route {
    /// `GET,POST /path` as shown in messages, records and documents.
    pub display: Arc<str>,
    /// Where it stands in the file.
    pub place: Place,
    /// `host`: only requests for this host; `*.example.com` matches one label more.
    pub host: Option<String>,
    /// Methods; empty means every method.
    pub methods: Vec<http::Method>,
    /// The path.
    pub path: PathPattern,
    /// `access`.
    pub access: Rule,
    /// `limit`: positions in [`super::Plan::limits`].
    pub limits: Vec<usize>,
    /// `cache`, `stale` and `tags`.
    pub cache: Option<Cache>,
    /// `idempotency`.
    pub idempotency: Option<Idempotency>,
    /// `max_body` in bytes, when it differs from the server's.
    pub body_bytes_max: Option<u64>,
    /// `timeout`, when it differs from the service's.
    pub timeouts: Option<Timeouts>,
    /// `retry: always`: whatever the method.
    pub retry_always: bool,
    /// `cors`, when it differs from the server's.
    pub cors: Option<Cors>,
    /// What most routes do not have: an answer of their own, rewrites.
    pub handling: Handling,
}

/// A path of a route: literal segments, `{param}` segments, and a `**` at the end that matches any rest, none included.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathPattern {
    /// The segments in order.
    pub segments: Vec<Segment>,
    /// Whether it ends in `**`.
    pub rest: bool,
}

/// One segment of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// Must be equal, after percent-decoding.
    Literal(String),
    /// Matches any one segment that is not empty.
    Param(String),
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => write!(f, "/{text}")?,
                Segment::Param(name) => write!(f, "/{{{name}}}")?,
            }
        }
        match (self.rest, self.segments.is_empty()) {
            (true, _) => f.write_str("/**"),
            (false, true) => f.write_str("/"),
            (false, false) => Ok(()),
        }
    }
}

/// `cache:` of a route or resource: `60s`, `private 10s`, `public 60s`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    /// How long a reply is fresh.
    pub fresh: Duration,
    /// `stale`: how long after that it may still be served while it is fetched anew or the origin fails.
    pub stale: Duration,
    /// Who may share it.
    pub scope: CacheScope,
    /// `tags` put on what is stored.
    pub tags: Vec<String>,
}

/// Who may share a cached reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheScope {
    /// Nothing said: shared unless the request carried credentials.
    Default,
    /// `private`: per caller.
    Private,
    /// `public`: shared although the request carried credentials, never when the reply varies by caller.
    Public,
}

/// `idempotency:` of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// A key is honoured when sent.
    Optional,
    /// A write without a key is refused with 400.
    Required,
}

/// `cors:` (Fetch standard, section 3.2). `cors: true` allows every origin without credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cors {
    /// `origins`: exact origins, `https://*.example.com`, or `*` alone.
    pub origins: Vec<String>,
    /// `methods`; empty means those of the route.
    pub methods: Vec<http::Method>,
    /// `headers` that a page may send; empty means whatever it asks for.
    pub headers: Vec<http::HeaderName>,
    /// `expose`: reply headers a page may read, beside Stoa's own.
    pub expose: Vec<http::HeaderName>,
    /// `credentials`; refused together with `*`.
    pub credentials: bool,
    /// `max_age` of a preflight reply. Default 10 min.
    pub max_age: Duration,
}
