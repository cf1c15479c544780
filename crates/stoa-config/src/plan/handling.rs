//! What a route does beside who may use it: answers of its own, and what is rewritten on the way.

use super::{FaultRule, Mirror, OpenApi, Split};
use http::{HeaderName, StatusCode};
use ipnet::IpNet;
use std::{fmt, net::IpAddr, num::NonZeroU32, sync::Arc};

/// The parts of a route that most routes do not have.
#[derive(Clone, Debug, Default)]
pub struct Handling {
    /// `redirect` or `reply`: the route ends here, no service is asked.
    pub answer: Option<Answer>,
    /// `rewrite`: the path that the service sees.
    pub rewrite: Option<PathTemplate>,
    /// `headers`: fields of the request that the service sees.
    pub request_fields: FieldEdits,
    /// `reply_headers`: fields of the reply, refusals included.
    pub reply_fields: FieldEdits,
    /// `ip`: which clients may ask.
    pub ip: IpRules,
    /// `openapi` of the service: by what its requests are judged.
    pub openapi: Option<Arc<OpenApi>>,
    /// `split`: requests that go to other services.
    pub split: Option<Split>,
    /// `mirror`: a copy for another service.
    pub mirror: Option<Mirror>,
    /// `fault`: what goes wrong on purpose.
    pub fault: Option<FaultRule>,
    /// `priority`: which requests go first when there is too much.
    pub priority: Priority,
    /// `compress`, when it differs from the server's.
    pub compress: Option<Compress>,
    /// `content_types` of request bodies; empty for any.
    pub content_types: Vec<MediaRange>,
}

/// `ip`: which clients may ask, by their address behind trusted proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IpRules {
    /// `allow`: only these, when not empty.
    pub allow: Vec<IpNet>,
    /// `deny`: none of these, also when allowed.
    pub deny: Vec<IpNet>,
}

impl IpRules {
    /// Whether everybody may ask.
    pub fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Whether this client may; an IPv4 address in IPv6 clothes is the IPv4 address.
    pub fn admit(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        let inside = |nets: &[IpNet]| nets.iter().any(|net| net.contains(&client));
        !inside(&self.deny) && (self.allow.is_empty() || inside(&self.allow))
    }
}

/// `server.overload`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overload {
    /// `floor`: requests that a service may always have at once; `None` where nothing is ever refused for load. Default 16.
    pub in_flight_min: Option<NonZeroU32>,
}

/// `priority` of a route, for the time when there is too much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// Never refused for load.
    Critical,
    /// Refused after normal ones.
    High,
    /// Nothing said.
    #[default]
    Normal,
    /// Refused before normal ones.
    Low,
}

impl Priority {
    /// As the file writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

/// `compress`: whether replies are compressed when a request accepts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compress {
    /// `false`: never.
    Off,
    /// `true`: unless the request carried credentials, since a secret beside a text that a stranger chooses could be guessed
    /// from their length.
    On,
    /// `always`: with credentials too.
    Always,
}

/// A media type, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaRange {
    /// `application`.
    pub kind: String,
    /// `json`; `None` for `*`.
    pub subtype: Option<String>,
}

impl fmt::Display for MediaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.subtype.as_deref().unwrap_or("*"))
    }
}

/// What a route without a service answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// `redirect`.
    Redirect(Redirect),
    /// `reply`.
    Reply(FixedReply),
}

/// `redirect`: where the caller is sent. The host is the file's or none at all, never the request's.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308. Default 307.
    pub status: StatusCode,
    /// `https://host` in front of the path; empty for a path on the same host.
    pub origin: String,
    /// The path and query.
    pub to: PathTemplate,
}

/// `reply`: the same for everybody.
#[derive(Clone, Debug)]
pub struct FixedReply {
    /// 200..=599, not 206 and 304.
    pub status: StatusCode,
    /// The body; empty for none.
    pub body: String,
    /// `content-type`, where there is a body.
    pub content_type: &'static str,
    /// `headers`.
    pub fields: FieldEdits,
}

/// A path with parameters of the route in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    /// As written.
    pub source: String,
    /// The path.
    pub path: Vec<Part>,
    /// The query; `None` passes on the request's own.
    pub query: Option<Vec<Part>>,
}

/// A piece of a path or of a field's value.
#[derive(Clone, PartialEq, Eq)]
pub enum Part {
    /// As it stands in the file.
    Text(String),
    /// The request's segment at this position.
    Segment(usize),
    /// What follows this many segments, with its slash.
    Rest(usize),
    /// A claim of the caller's token, outermost name first.
    Claim(Vec<String>),
    /// The client's address.
    ClientIp,
    /// The request's host.
    Host,
    /// `x-request-id`.
    RequestId,
}

/// Does not print texts: a field's value may be a secret.
impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("Text"),
            Self::Segment(at) => write!(f, "Segment({at})"),
            Self::Rest(at) => write!(f, "Rest({at})"),
            Self::Claim(path) => write!(f, "Claim({})", path.join(".")),
            Self::ClientIp => f.write_str("ClientIp"),
            Self::Host => f.write_str("Host"),
            Self::RequestId => f.write_str("RequestId"),
        }
    }
}

/// The value of a field. Without one of its parts (a claim that the caller does not have) there is no value.
pub type ValueTemplate = Vec<Part>;

/// `{ set: …, add: …, remove: … }`, done in the order `remove`, `set`, `add`.
#[derive(Clone, Debug, Default)]
pub struct FieldEdits {
    /// Fields that are there once, with this value; one without a value is removed.
    pub set: Vec<(HeaderName, ValueTemplate)>,
    /// Fields that are there with this value too.
    pub add: Vec<(HeaderName, ValueTemplate)>,
    /// Fields that are removed.
    pub remove: Vec<HeaderName>,
}

impl FieldEdits {
    /// Whether nothing is changed.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.add.is_empty() && self.remove.is_empty()
    }
}
