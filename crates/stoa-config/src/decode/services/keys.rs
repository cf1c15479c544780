//! The keys of `services:`: what each is, for the reader, the reference and the schema.

use crate::{
    decode::{
        admission, handling, limits::USE_SHAPE, overload, policies, traffic, upstream, websocket::WEBSOCKET,
    },
    grammar::{name, net, policy, route, template, units},
    spec::{Key, MapSpec, Shape},
};

// Keys that routes of a service and routes of the file itself have alike.
pub(crate) const HOST: Key = Key::new(
    "host",
    Shape::Value(&route::HOST_WORDS),
    "Only requests for this host.",
    "api.example.com",
);
pub(crate) const PRIORITY: Key = Key::new(
            "priority",
            Shape::Value(&overload::PRIORITY_WORDS),
            "Which requests go last when there is too much: `critical` ones are never refused for load, `low` ones first.",
            "critical",
        )
        .or("normal");
pub(crate) const COMPRESS: Key = Key::new(
    "compress",
    handling::COMPRESS_SHAPE,
    "Whether replies are compressed, where it differs from the server's.",
    "always",
);
pub(crate) const CORS: Key = Key::new(
    "cors",
    policies::CORS_SHAPE,
    "Which pages of other origins may call, where it differs from the server's.",
    "true",
);
pub(crate) const LIMIT: Key = Key::new(
    "limit",
    USE_SHAPE,
    "How often: a name of `limits:`, a limit in place, or a list.",
    "per-user",
);

pub(crate) const SERVICE_SHAPE: Shape = Shape::Any(&[
    Shape::Value(&net::MEMBER_WORDS),
    upstream::LIST_SHAPE,
    Shape::Map(&SERVICE),
]);

pub(crate) static SERVICE: MapSpec = MapSpec {
    name: "service",
    doc: "An HTTP server that requests are passed on to. The short form is its URL, or a list of them.",
    keys: &[
        Key::new(
            "url",
            upstream::URLS_SHAPE,
            "Where it is; several addresses share the requests, by their weights where they have any.",
            "[http://127.0.0.1:9001, http://127.0.0.1:9011]",
        )
        .needed(),
        Key::new(
            "balance",
            Shape::Value(&policy::BALANCE_WORDS),
            "How one of several addresses is chosen. `hash` sends the same key to the same address, as long as that has no more than 1.25 times its share under way.",
            "round-robin",
        )
        .or("least-latency"),
        Key::new(
            "health",
            Shape::Any(&[Shape::Value(&route::HEALTH_PATH_WORDS), Shape::Map(&HEALTH)]),
            "Checks each address from time to time.",
            "{ path: /healthz, every: 5s }",
        ),
        Key::new(
            "eject",
            upstream::EJECT_SHAPE,
            "When an address that fails is left out for a while.",
            "{ failures: 3, for: 10s }",
        )
        .or("{}"),
        Key::new(
            "slow_start",
            Shape::Value(&units::DURATION_WORDS),
            "How long an address that comes back takes to get its whole part of the requests; `0s` for at once.",
            "30s",
        )
        .or("10s"),
        Key::new(
            "timeout",
            policies::TIMEOUT_SHAPE,
            "How long to wait for it.",
            "2s",
        ),
        Key::new(
            "retry",
            Shape::Map(&RETRY),
            "Tries another time after 502, 503, 504, a broken connection or a time-out, before a byte of a reply reached the caller; idempotent methods only, unless the route says `retry: always`.",
            "{ attempts: 3, budget: 10% }",
        )
        .or("{}"),
        Key::new(
            "hedge",
            upstream::HEDGE_SHAPE,
            "When a second address is asked beside the first; idempotent requests only, within the budget of `retry`.",
            "p95",
        ),
        Key::new(
            "max_connections",
            upstream::CONNECTIONS_SHAPE,
            "Connections to one address at a time; a map for a bound on all together as well.",
            "200",
        )
        .or("10000"),
        Key::new(
            "max_pending",
            Shape::Int {
                min: 0,
                max: 1_000_000,
            },
            "Requests that may wait for a connection, for `timeout.connect` at most; the others are answered 503.",
            "100",
        )
        .or("1000"),
        Key::new(
            "websocket",
            Shape::Map(&WEBSOCKET),
            "Bounds of its WebSockets.",
            "{ idle: 1h, max_message: 1MiB }",
        ),
        Key::new(
            "tls",
            Shape::Map(&upstream::SERVICE_TLS),
            "TLS to `https` addresses, where it is not as the system has it.",
            "{ ca: tls/internal-ca.pem }",
        ),
        Key::new(
            "strip_prefix",
            Shape::Bool,
            "Whether the path's first segment is removed before it is passed on.",
            "true",
        )
        .or("false"),
        Key::new(
            "openapi",
            Shape::Value(&name::PATH_WORDS),
            "Its OpenAPI document: the routes where `routes` is left out; what requests are judged by, and documented as.",
            "payments.openapi.yaml",
        ),
        Key::new(
            "split",
            traffic::SPLIT_SHAPE,
            "Requests that go to other services, on all routes that do not say their own.",
            "{ payments-v2: 10% by user }",
        ),
        Key::new(
            "mirror",
            traffic::MIRROR_SHAPE,
            "A copy of requests for another service, on all routes that do not say their own.",
            "{ to: shadow, share: 10% }",
        ),
        Key::new(
            "routes",
            Shape::Named(&route::ROUTE_WORDS, &Shape::Map(&ROUTE)),
            "What is served of it. Left out: everything under `/NAME`, path unchanged. The most specific route wins: a literal segment over `{name}` over `**`.",
            "{ \"GET /payments/{id}\": { access: user } }",
        ),
    ],
    instead: &[
        ("upstream", "did you mean `url`?"),
        ("upstreams", "did you mean `url`?"),
        ("urls", "did you mean `url`?"),
        ("target", "did you mean `url`?"),
        ("paths", "did you mean `routes`?"),
        (
            "access",
            "put it on a route: `routes: { /NAME/**: { access: … } }`",
        ),
        ("limit", "put it on a route: `routes: { /NAME/**: { limit: … } }`"),
        ("cache", "put it on a route: `routes: { /NAME/**: { cache: … } }`"),
        ("cors", "put it on a route, or under `server`"),
        ("max_body", "put it on a route, or under `server`"),
    ],
};

pub(crate) static HEALTH: MapSpec = MapSpec {
    name: "health",
    doc: "A GET from time to time; 2xx is healthy. The short form is the path.",
    keys: &[
        Key::new(
            "path",
            Shape::Value(&route::HEALTH_PATH_WORDS),
            "What is asked for.",
            "/healthz",
        )
        .needed(),
        Key::new(
            "every",
            Shape::Value(&units::DURATION_WORDS),
            "Time between two checks.",
            "10s",
        )
        .or("5s"),
        Key::new(
            "timeout",
            Shape::Value(&units::DURATION_WORDS),
            "How long one check may take.",
            "500ms",
        )
        .or("1s"),
    ],
    instead: &[("interval", "did you mean `every`?")],
};

pub(crate) static RETRY: MapSpec = MapSpec {
    name: "retry",
    doc: "How often a request is tried, and how much extra load that may make.",
    keys: &[
        Key::new(
            "attempts",
            Shape::Int { min: 1, max: 5 },
            "Tries in all, the first one counted; 1 for no other.",
            "3",
        )
        .or("2"),
        Key::new(
            "budget",
            Shape::Value(&units::PERCENT_WORDS),
            "Further tries as a share of the requests of the last 10 s, ten at least; those that still wait for their moment are counted.",
            "10%",
        )
        .or("20%"),
    ],
    instead: &[
        ("count", "did you mean `attempts`?"),
        ("times", "did you mean `attempts`?"),
    ],
};

pub(crate) static ROUTE: MapSpec = MapSpec {
    name: "route",
    doc: "One route and what is done to its requests, always in this order: cross-origin rules, access, limits, idempotency, cache.",
    keys: &[
        HOST,
        Key::new(
            "access",
            policies::ACCESS_SHAPE,
            "Who may. Left out: `user` where `auth` is configured.",
            "scope payments.read",
        ),
        Key::new(
            "ip",
            admission::IP_SHAPE,
            "Which clients may ask, by their address; the server's rule holds as well.",
            "{ allow: [10.0.0.0/8], deny: [10.1.2.3] }",
        ),
        LIMIT,
        Key::new(
            "cache",
            policies::CACHE_SHAPE,
            "How long a reply is kept and for whom.",
            "private 10s",
        ),
        Key::new(
            "stale",
            Shape::Value(&units::DURATION_WORDS),
            "How long after that it may be served while it is fetched anew or the service fails.",
            "5m",
        ),
        Key::new(
            "tags",
            policies::TAGS_SHAPE,
            "Names by which `POST /purge` removes what is kept.",
            "[rates]",
        ),
        Key::new(
            "idempotency",
            Shape::Value(&policy::IDEMPOTENCY_WORDS),
            "Whether an `Idempotency-Key` is needed on a write. Needs a store or `shared`.",
            "required",
        ),
        Key::new(
            "max_body",
            Shape::Value(&units::SIZE_WORDS),
            "The largest request body here.",
            "20MiB",
        ),
        Key::new(
            "content_types",
            admission::TYPES_SHAPE,
            "Media types of request bodies; others are refused with `415`.",
            "[application/json]",
        ),
        Key::new(
            "timeout",
            policies::TIMEOUT_SHAPE,
            "How long to wait, where it differs from the service's.",
            "30s",
        ),
        Key::new(
            "retry",
            Shape::Value(&policy::RETRY_ALWAYS_WORDS),
            "`always`: tried again whatever the method, as far as the body is small.",
            "always",
        ),
        Key::new(
            "split",
            traffic::SPLIT_SHAPE,
            "Requests that go to other services.",
            "{ payments-v2: 10% by user }",
        ),
        Key::new(
            "mirror",
            traffic::MIRROR_SHAPE,
            "A copy of requests for another service.",
            "{ to: shadow, share: 10% }",
        ),
        Key::new(
            "fault",
            traffic::FAULT_SHAPE,
            "What goes wrong on purpose; in profiles only.",
            "{ delay: 200ms, share: 10% }",
        ),
        PRIORITY,
        COMPRESS,
        CORS,
        Key::new(
            "rewrite",
            Shape::Value(&template::REWRITE_WORDS),
            "The path that the service sees, with the route's parameters.",
            "/internal/{id}/**",
        ),
        Key::new(
            "headers",
            handling::REQUEST_FIELDS_SHAPE,
            "Header fields that the service sees.",
            "{ set: { x-user: \"{claims.sub}\" }, remove: [cookie] }",
        ),
        Key::new(
            "reply_headers",
            handling::REPLY_FIELDS_SHAPE,
            "Header fields that the caller sees.",
            "{ remove: [x-powered-by] }",
        ),
        Key::new(
            "redirect",
            Shape::Value(&template::REDIRECT_WORDS),
            "The caller is sent elsewhere, and the service is not asked.",
            "/new/**",
        ),
        Key::new(
            "status",
            handling::STATUS_SHAPE,
            "Status of the redirect: 301, 302, 303, 307 (when left out) or 308.",
            "308",
        ),
        Key::new(
            "reply",
            handling::REPLY_SHAPE,
            "The answer, or its status; the service is not asked.",
            "410",
        ),
    ],
    instead: &[
        ("auth", "did you mean `access`?"),
        ("limits", "did you mean `limit`?"),
        ("rate_limit", "did you mean `limit`?  limit: 100/min by user"),
        ("ttl", "did you mean `cache`?"),
        ("method", "the method stands in the route's key: `GET /path`"),
        (
            "methods",
            "the methods stand in the route's key: `GET,POST /path`",
        ),
    ],
};
