//! The plan: the API file resolved. Names are bound to positions, defaults are filled, the profile is
//! applied. Whoever holds a `Plan` needs no further check of it.

mod edge;
mod function;
mod handling;
mod listen;
mod openapi;
mod resource;
mod traffic;
mod upstream;

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

pub use edge::*;
pub use function::*;
pub use handling::*;
pub use listen::*;
pub use openapi::*;
pub use resource::*;
pub use traffic::*;
pub use upstream::*;

/// The API file, resolved for one profile.
#[derive(Clone, Debug)]
pub struct Plan {
    /// `api:`, the API's name: lower-case letters, digits and `-`, at most 63 bytes.
    pub api: String,
    /// `version:` of the API as its authors write it; shown in OpenAPI. `"1"` when left out.
    pub version: String,
    /// The profile that was merged over the file, if any.
    pub profile: Option<String>,
    /// The API file, absolute. Relative paths in the file were resolved against its folder.
    pub file: PathBuf,
    /// `server:`.
    pub server: Server,
    /// `auth:`; empty when the file has none.
    pub auth: Auth,
    /// `limits:` by name; limits written in place on a route are here too, named after the route.
    pub limits: Vec<Limit>,
    /// `stores:` by name. A file with resources and no stores gets `main: sqlite:{api}.db`.
    pub stores: Vec<Store>,
    /// `services:` in the order of the file.
    pub services: Vec<Service>,
    /// `routes:` in the order of the file: those that end here, without a service.
    pub routes: Vec<Route>,
    /// `resources:` in the order of the file.
    pub resources: Vec<Resource>,
    /// `functions:` in the order of the file.
    pub functions: Vec<Function>,
    /// `shared:`, the URL of what processes share (cache, limits, purges).
    pub shared: Option<Secret>,
    /// `telemetry:`.
    pub telemetry: Telemetry,
    /// `seed`: a JSON file of first rows, `{resource: [rows]}`, that only `dev` loads, into empty created tables.
    pub seed: Option<PathBuf>,
    /// Every name that `${NAME}` or `${file:…}` in the file asked for, with whether it was found.
    pub variables: BTreeMap<String, bool>,
    /// Where the keys of the file stand, by path; U+001F joins the parts, because routes hold dots.
    pub marks: BTreeMap<String, Mark>,
}

/// Where a key of the file stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Line and column.
    pub place: Place,
    /// Bytes of the file.
    pub span: std::ops::Range<usize>,
}

impl Plan {
    /// The resource called `name`.
    pub fn resource(&self, name: &str) -> Option<&Resource> {
        self.resources.iter().find(|r| r.name == name)
    }

    /// Every route of the file: those of services and those that end here.
    pub fn all_routes(&self) -> impl Iterator<Item = &Route> {
        self.services.iter().flat_map(|s| &s.routes).chain(&self.routes)
    }

    /// The route and resource rules that were left out in a file without `auth`, as `GET /things` or
    /// `products.read`. `dev` serves them as public and says so; `serve` refuses to start and names them.
    pub fn rules_left_open(&self) -> Vec<String> {
        if self.auth.is_configured() {
            return Vec::new();
        }
        let mut open = Vec::new();
        for route in self.all_routes() {
            if !route.access.written {
                open.push(route.display.to_string());
            }
        }
        for resource in &self.resources {
            let left_out = resource
                .rules
                .each()
                .into_iter()
                .filter(|(_, rule)| !rule.written);
            open.extend(left_out.map(|(verb, _)| format!("{}.{verb}", resource.name)));
        }
        open
    }
}

/// A position in the API file, for messages that point back at it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// File as the user named it.
    pub file: Arc<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A value that does not print: `{:?}` and `{}` show `[redacted]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: impl Into<Arc<str>>) -> Self {
        Self(value.into())
    }

    /// The secret itself. Every call is a place where it could leak: keep it near its use.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// `server:`, the listeners and the bounds that hold for every request.
#[derive(Clone, Debug)]
pub struct Server {
    /// `http`: where the API is served. Port 0 asks the system for a free one. Default `127.0.0.1:8080`.
    pub http: SocketAddr,
    /// `admin`: probes, metrics, purge, console. Default `127.0.0.1:9090`; `none` switches it off.
    pub admin: Option<SocketAddr>,
    /// `tls`: with it the API is served over TLS.
    pub tls: Option<Tls>,
    /// `workers`: threads that serve; `None` is `auto`, one per core. 1..=1024.
    pub workers: Option<u16>,
    /// `trusted_proxies`: peers whose `Forwarded` and `X-Forwarded-*` are believed.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// `ip`: which clients may ask anything.
    pub ip: IpRules,
    /// `proxy_protocol`: peers that begin a connection with the PROXY protocol.
    pub proxy_protocol: Vec<ipnet::IpNet>,
    /// `max_body`: request body bound in bytes. Default 1 MiB.
    pub body_bytes_max: u64,
    /// `max_header_size`: bound of a request's head in bytes. Default 32 KiB.
    pub header_bytes_max: u32,
    /// `max_headers`: bound of the number of header fields. Default 100.
    pub headers_max: u16,
    /// `max_uri`: bound of the request target in bytes. Default 16 KiB.
    pub uri_bytes_max: u32,
    /// `max_connections`: connections open at once in this process. Default 10,000.
    pub connections_max: u32,
    /// `max_streams`: requests at once on one HTTP/2 connection. Default 100.
    pub streams_max: u16,
    /// `header_timeout`: from the first byte of a head (or the accept) to its end. Default 10 s.
    pub header_timeout: Duration,
    /// `body_timeout`: the longest wait for the next part of a request body. Default 30 s.
    pub body_timeout: Duration,
    /// `min_body_rate`: what a client must send of a body, bytes a second; 0 asks for none. Default 500.
    pub body_bytes_a_second_min: u64,
    /// `reply_timeout`: the longest wait for a client to take more of its reply. Default 10 s.
    pub reply_timeout: Duration,
    /// `idle_timeout`: how long a connection may rest between requests. Default 75 s.
    pub idle_timeout: Duration,
    /// `drain`: how long a stopping process waits for requests under way. Default 30 s.
    pub drain: Duration,
    /// `allow_rollback`: whether `Prefer: tx=rollback` is heeded. Default false.
    pub allow_rollback: bool,
    /// `overload`: whether and when requests are refused for load. Default on.
    pub overload: Overload,
    /// `compress`: for every route that does not set its own. Default on.
    pub compress: Compress,
    /// `cors`: for every route that does not set its own.
    pub cors: Option<Cors>,
}

/// `stores.NAME`.
#[derive(Clone, Debug)]
pub struct Store {
    /// Name in the file.
    pub name: String,
    /// What it is.
    pub kind: StoreKind,
}

impl Store {
    /// Whether its rows lie on several shards.
    pub fn is_in_parts(&self) -> bool {
        matches!(&self.kind, StoreKind::Postgres { shards, .. } if shards.len() > 1)
    }
}

/// Where a store keeps its rows.
#[derive(Clone, Debug)]
pub enum StoreKind {
    /// `sqlite:PATH`, resolved against the file's folder. `sqlite::memory:` is refused: nothing kept there is durable.
    Sqlite {
        /// The database file.
        path: PathBuf,
    },
    /// `postgres://…` or `postgres: { shards: […] }`.
    Postgres {
        /// The shards in the order of the file; one for the short form.
        shards: Vec<PostgresShard>,
        /// `max_lag`: a replica that is further behind its primary is read by nobody. Default 10 s.
        max_lag: Duration,
        /// `durability`.
        durability: Durability,
        /// `roles`: the database's own policies judge as well.
        roles: Option<DatabaseRoles>,
    },
}

/// `roles`: the role of the database as which a caller's statements run, so that its row-level security judges them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseRoles {
    /// `claim`: path of the claim that names the role, outermost first. Default `role`.
    pub claim: Vec<String>,
    /// `allowed`: the roles that a token may name. No other is ever taken.
    pub allowed: Vec<String>,
    /// `anonymous`: the role of a caller who names none; without it they are refused.
    pub anonymous: Option<String>,
}

/// `durability`: what has happened when a write is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The primary's disk has it. Replicas follow; a promotion may lose what they had not received.
    #[default]
    Local,
    /// The primary's disk and its synchronous replicas' have it, so that a promotion of one of these loses nothing.
    Replicated,
}

/// One shard: a PostgreSQL primary and its replicas.
#[derive(Clone, Debug)]
pub struct PostgresShard {
    /// URL of the primary.
    pub write: Secret,
    /// URLs of the replicas.
    pub read: Vec<Secret>,
}

/// `telemetry:`.
#[derive(Clone, Debug, Default)]
pub struct Telemetry {
    /// `otlp`: where traces and metrics are pushed.
    pub otlp: Option<Secret>,
    /// `headers`: sent with each push.
    pub headers: BTreeMap<String, Secret>,
}
