//! Limits, caching, balancing, idempotency, cross-origin rules.

use super::{Flaw, Grammar, Words, name, units, words};
use crate::{
    fault::codes,
    plan::{
        Algorithm, Balance, CacheScope, Consistency, Durability, HedgeAfter, Idempotency, LimitKey, NoneLeft,
        RawBody, Volatility,
    },
    report::did_you_mean,
};
use std::{num::NonZeroU32, time::Duration};

/// A limit without its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LimitRate {
    pub(crate) count: NonZeroU32,
    pub(crate) window: Duration,
    pub(crate) key: LimitKey,
    pub(crate) burst: Option<NonZeroU32>,
}

pub(crate) static LIMIT: Grammar<LimitRate> = Grammar {
    words: &LIMIT_WORDS,
    parse: limit,
};
pub(crate) static LIMIT_WORDS: Words = Words::new(
    "a limit",
    codes::LIMIT,
    &[
        "100/min by user",
        "5/min by ip",
        "10/s by header x-tenant burst 50",
    ],
)
.pattern("^(\\s*0*[1-9][0-9]*\\s*/\\s*(s|min|hour|day)(\\s.*)?|.*\\$\\{.*)$");

pub(crate) static KEY: Grammar<LimitKey> = Grammar {
    words: &KEY_WORDS,
    parse: key,
};
pub(crate) static KEY_WORDS: Words = Words::new(
    "what to count by",
    codes::LIMIT,
    &["user", "ip", "key", "claim tenant", "header x-tenant", "all"],
)
.pattern("^((user|ip|key|all)|(claim|header)\\s+\\S+|.*\\$\\{.*)$");

pub(crate) static BALANCE: Grammar<Balance> = Grammar {
    words: &BALANCE_WORDS,
    parse: balance,
};
pub(crate) static BALANCE_WORDS: Words = Words::new(
    "how an endpoint is chosen",
    codes::BALANCE,
    &["least-latency", "least-requests", "round-robin", "hash ip"],
)
.pattern("^(round-robin|least-requests|least-latency|hash\\s+.+|.*\\$\\{.*)$");

pub(crate) static CONSISTENCY: Grammar<Consistency> = Grammar {
    words: &CONSISTENCY_WORDS,
    parse: consistency,
};
pub(crate) static CONSISTENCY_WORDS: Words = Words::new(
    "how fresh a read is",
    codes::CONSISTENCY,
    &["session", "strong", "bounded 5s", "eventual"],
)
.pattern("^(strong|session|eventual|bounded\\s+[0-9]+(ms|s|m|h|d)|.*\\$\\{.*)$");

pub(crate) static DURABILITY: Grammar<Durability> = Grammar {
    words: &DURABILITY_WORDS,
    parse: |text| {
        choose(
            text,
            &[
                ("local", Durability::Local),
                ("replicated", Durability::Replicated),
            ],
        )
    },
};
pub(crate) static DURABILITY_WORDS: Words = Words::new(
    "what has happened when a write is answered",
    codes::STORE,
    &["local", "replicated"],
)
.pattern("^(local|replicated|.*\\$\\{.*)$");

pub(crate) static VOLATILITY: Grammar<Volatility> = Grammar {
    words: &VOLATILITY_WORDS,
    parse: |text| {
        choose(
            text,
            &[
                ("volatile", Volatility::Volatile),
                ("stable", Volatility::Stable),
                ("immutable", Volatility::Immutable),
            ],
        )
    },
};
pub(crate) static VOLATILITY_WORDS: Words = Words::new(
    "whether a function changes rows",
    codes::FUNCTION,
    &["volatile", "stable", "immutable"],
)
.pattern("^(volatile|stable|immutable|.*\\$\\{.*)$");

pub(crate) static RAW_BODY: Grammar<RawBody> = Grammar {
    words: &RAW_BODY_WORDS,
    parse: |text| {
        choose(
            text,
            &[
                ("json", RawBody::Json),
                ("text", RawBody::Text),
                ("xml", RawBody::Xml),
                ("bytes", RawBody::Bytes),
            ],
        )
    },
};
pub(crate) static RAW_BODY_WORDS: Words = Words::new(
    "what a body is that a function takes as it is",
    codes::FUNCTION,
    &["json", "text", "xml", "bytes"],
)
.pattern("^(json|text|xml|bytes|.*\\$\\{.*)$");

pub(crate) static RETURNS: Grammar<String> = Grammar {
    words: &RETURNS_WORDS,
    parse: |text| match text {
        "void" | "value" | "rows" => Ok(text.to_owned()),
        _ if text
            .strip_prefix("rows ")
            .is_some_and(|name| !name.trim().is_empty()) =>
        {
            Ok(text.to_owned())
        }
        _ => Err(Flaw::whole(
            text,
            "a function returns `void`, `value`, `rows` or `rows RESOURCE`",
        )),
    },
};
pub(crate) static RETURNS_WORDS: Words = Words::new(
    "what a function returns",
    codes::FUNCTION,
    &["void", "value", "rows", "rows products"],
)
.pattern("^(void|value|rows(\\s+.+)?|.*\\$\\{.*)$");

pub(crate) static CACHE: Grammar<(CacheScope, Duration)> = Grammar {
    words: &CACHE_WORDS,
    parse: cache,
};
pub(crate) static CACHE_WORDS: Words = Words::new(
    "how long a reply is kept",
    codes::CACHE,
    &["60s", "private 10s", "public 60s"],
)
.pattern("^(((private|public)\\s+)?[0-9]+(ms|s|m|h|d)|.*\\$\\{.*)$");

pub(crate) static CACHE_SCOPE: Grammar<CacheScope> = Grammar {
    words: &CACHE_SCOPE_WORDS,
    parse: cache_scope,
};
pub(crate) static CACHE_SCOPE_WORDS: Words =
    Words::new("who shares a cached reply", codes::CACHE, &["private", "public"])
        .choice(&["private", "public"]);

pub(crate) static IDEMPOTENCY: Grammar<Idempotency> = Grammar {
    words: &IDEMPOTENCY_WORDS,
    parse: idempotency,
};
pub(crate) static IDEMPOTENCY_WORDS: Words = Words::new(
    "whether a write needs a key",
    codes::CHOICE,
    &["required", "optional"],
)
.choice(&["required", "optional"]);

pub(crate) static RETRY_ALWAYS: Grammar<()> = Grammar {
    words: &RETRY_ALWAYS_WORDS,
    parse: |text| choose(text, &[("always", ())]),
};
pub(crate) static RETRY_ALWAYS_WORDS: Words =
    Words::new("`always`", codes::CHOICE, &["always"]).choice(&["always"]);

pub(crate) static HEDGE: Grammar<HedgeAfter> = Grammar {
    words: &HEDGE_WORDS,
    parse: hedge,
};
pub(crate) static HEDGE_WORDS: Words = Words::new(
    "a percentile of the latency, or a duration",
    codes::DURATION,
    &["p95", "50ms"],
)
.pattern("^(p[1-9][0-9]?|[0-9]+(ms|s|m|h|d)|.*\\$\\{.*)$");

pub(crate) static NEVER: Grammar<()> = Grammar {
    words: &NEVER_WORDS,
    parse: |text| choose(text, &[("never", ())]),
};
pub(crate) static NEVER_WORDS: Words = Words::new("`never`", codes::CHOICE, &["never"]).choice(&["never"]);

pub(crate) static NONE_LEFT: Grammar<NoneLeft> = Grammar {
    words: &NONE_LEFT_WORDS,
    parse: |text| {
        choose(
            text,
            &[("spread", NoneLeft::Spread), ("refuse", NoneLeft::Refuse)],
        )
    },
};
pub(crate) static NONE_LEFT_WORDS: Words = Words::new(
    "what happens when no address is in use",
    codes::CHOICE,
    &["spread", "refuse"],
)
.choice(&["spread", "refuse"]);

pub(crate) static ALGORITHM: Grammar<Algorithm> = Grammar {
    words: &ALGORITHM_WORDS,
    parse: |text| choose(text, &ALGORITHMS),
};
pub(crate) static ALGORITHM_WORDS: Words = Words::new(
    "an algorithm of a token",
    codes::CHOICE,
    &["RS256", "ES256", "EdDSA", "HS256"],
)
.choice(&[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384",
    "EdDSA",
]);

pub(crate) static ORIGIN: Grammar<String> = Grammar {
    words: &ORIGIN_WORDS,
    parse: origin,
};
pub(crate) static ORIGIN_WORDS: Words = Words::new(
    "an origin",
    codes::CORS,
    &["https://app.example.com", "https://*.example.com", "*"],
)
.pattern("^(\\*|https?://[^/]+|.*\\$\\{.*)$");

const ALGORITHMS: [(&str, Algorithm); 12] = [
    ("HS256", Algorithm::HS256),
    ("HS384", Algorithm::HS384),
    ("HS512", Algorithm::HS512),
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

fn choose<T: Clone>(text: &str, from: &[(&'static str, T)]) -> Result<T, Flaw> {
    match from.iter().find(|(word, _)| *word == text) {
        Some((_, value)) => Ok(value.clone()),
        None => Err(
            Flaw::whole(text, format!("`{text}` is not one of the words for this"))
                .help(did_you_mean(text, from.iter().map(|(word, _)| *word))),
        ),
    }
}

/// The windows of a limit.
pub(crate) const WINDOWS: [(&str, u64); 4] = [("s", 1), ("min", 60), ("hour", 3_600), ("day", 86_400)];

fn limit(text: &str) -> Result<LimitRate, Flaw> {
    let slash = text.find('/').ok_or_else(|| {
        Flaw::whole(text, format!("`{text}` is not a limit"))
            .help("a limit is COUNT/UNIT [by KEY] [burst N], such as `100/min by user`")
    })?;
    let (lead, count) = super::trimmed(&text[..slash]);
    let count = positive(count).map_err(|m| Flaw::at(lead..lead + count.len().max(1), m))?;
    let after = &text[slash + 1..];
    let mut rest = words(after).map(|(at, word)| (slash + 1 + at, word)).peekable();
    let (unit_at, unit) = rest.next().unwrap_or((text.len(), ""));
    let window = WINDOWS
        .iter()
        .find(|(word, _)| *word == unit)
        .map(|(_, s)| *s)
        .ok_or_else(|| {
            let flaw = Flaw::at(
                unit_at..unit_at + unit.len(),
                format!("`{unit}` is not a unit of a limit"),
            );
            flaw.help(match unit {
                "sec" | "second" | "seconds" => "write `s`".to_owned(),
                "m" | "mn" | "mins" | "minute" | "minutes" => "write `min`".to_owned(),
                "h" | "hr" | "hours" => "write `hour`".to_owned(),
                "d" | "days" => "write `day`".to_owned(),
                other => did_you_mean(other, WINDOWS.iter().map(|(word, _)| *word)),
            })
        })?;
    let (mut key, mut burst) = (None, None);
    while let Some((at, word)) = rest.next() {
        match word {
            "by" if key.is_none() => {
                let (from, kind) = rest.next().ok_or_else(|| nothing_after(at, word))?;
                let mut end = from + kind.len();
                if matches!(kind, "claim" | "header")
                    && let Some((name_at, name)) = rest.next()
                {
                    end = name_at + name.len();
                }
                key = Some(self::key(&text[from..end]).map_err(|flaw| flaw.shifted(from))?);
            }
            "burst" if burst.is_none() => {
                let (at, number) = rest.next().ok_or_else(|| nothing_after(at, word))?;
                burst = Some(positive(number).map_err(|m| Flaw::at(at..at + number.len(), m))?);
            }
            other => {
                return Err(
                    Flaw::at(at..at + other.len(), format!("`{other}` is not expected here"))
                        .help("a limit is COUNT/UNIT [by KEY] [burst N]"),
                );
            }
        }
    }
    Ok(LimitRate {
        count,
        window: Duration::from_secs(window),
        key: key.unwrap_or(LimitKey::User),
        burst,
    })
}

fn nothing_after(at: usize, word: &str) -> Flaw {
    Flaw::at(at..at + word.len(), format!("nothing follows `{word}`"))
}

fn positive(text: &str) -> Result<NonZeroU32, String> {
    units::digits(text)
        .and_then(|n| u32::try_from(n).ok())
        .and_then(NonZeroU32::new)
        .ok_or_else(|| format!("`{text}` is not a number from 1 to {}", u32::MAX))
}

fn key(text: &str) -> Result<LimitKey, Flaw> {
    let mut parts = words(text);
    let (at, kind) = parts.next().unwrap_or((0, ""));
    let argument = parts.next();
    let named = |what: &str| {
        argument.ok_or_else(|| {
            Flaw::at(
                at..at + kind.len(),
                format!("`{kind}` needs the name of a {what}"),
            )
        })
    };
    let key = match kind {
        "claim" => LimitKey::Claim(named("claim")?.1.to_owned()),
        "header" => {
            let (at, header) = named("header field")?;
            LimitKey::Header(name::header(header).map_err(|flaw| flaw.shifted(at))?)
        }
        "user" => LimitKey::User,
        "ip" => LimitKey::Ip,
        "key" => LimitKey::ApiKey,
        "all" => LimitKey::All,
        other => {
            return Err(Flaw::at(
                at..at + other.len(),
                format!("nothing can be counted by `{other}`"),
            )
            .help(did_you_mean(
                other,
                ["user", "ip", "key", "claim", "header", "all"],
            )));
        }
    };
    let extra = match key {
        LimitKey::Claim(_) | LimitKey::Header(_) => parts.next(),
        _ => argument,
    };
    match extra {
        Some((at, word)) => Err(Flaw::at(
            at..at + word.len(),
            format!("`{word}` is not expected here"),
        )),
        None => Ok(key),
    }
}

fn balance(text: &str) -> Result<Balance, Flaw> {
    if let Some(rest) = text.strip_prefix("hash").filter(|r| r.starts_with(' ')) {
        let key = key(rest).map_err(|flaw| flaw.shifted("hash".len()))?;
        if key == LimitKey::All {
            let flaw = Flaw::whole(text, "`hash all` sends every request to the same address");
            return Err(flaw.help("such as `hash ip`"));
        }
        return Ok(Balance::Hash(key));
    }
    let words = [
        ("round-robin", Balance::RoundRobin),
        ("least-requests", Balance::LeastRequests),
        ("least-latency", Balance::LeastLatency),
    ];
    if text == "hash" {
        return Err(Flaw::whole(text, "`hash` needs what to hash").help("such as `hash ip`"));
    }
    choose(text, &words)
}

fn hedge(text: &str) -> Result<HedgeAfter, Flaw> {
    let Some(part) = text.strip_prefix('p') else {
        return units::duration(text).map(HedgeAfter::Time);
    };
    units::digits(part)
        .filter(|n| (1..=99).contains(n) && !part.starts_with('0'))
        .map(|n| HedgeAfter::Percentile(n as u8))
        .ok_or_else(|| {
            Flaw::whole(text, format!("`{text}` is not a percentile from p1 to p99")).help("such as `p95`")
        })
}

fn consistency(text: &str) -> Result<Consistency, Flaw> {
    let mut parts = words(text);
    let (_, first) = parts.next().unwrap_or((0, ""));
    if first != "bounded" {
        let words = [
            ("strong", Consistency::Strong),
            ("session", Consistency::Session),
            ("eventual", Consistency::Eventual),
        ];
        return choose(text, &words);
    }
    let Some((at, lag)) = parts.next() else {
        return Err(Flaw::whole(text, "`bounded` needs a duration").help("such as `bounded 5s`"));
    };
    let lag = units::duration(lag).map_err(|flaw| flaw.shifted(at))?;
    match parts.next() {
        Some((at, word)) => Err(Flaw::at(
            at..at + word.len(),
            format!("`{word}` is not expected here"),
        )),
        None => Ok(Consistency::Bounded(lag)),
    }
}

fn cache(text: &str) -> Result<(CacheScope, Duration), Flaw> {
    let mut parts = words(text);
    let (at, first) = parts.next().unwrap_or((0, ""));
    let Some((duration_at, duration)) = parts.next() else {
        if matches!(first, "private" | "public") {
            return Err(Flaw::whole(text, format!("`{first}` needs a duration"))
                .help(format!("such as `{first} 10s`")));
        }
        let fresh = units::duration(first).map_err(|flaw| flaw.shifted(at))?;
        return Ok((CacheScope::Default, fresh));
    };
    let scope = cache_scope(first).map_err(|flaw| flaw.shifted(at))?;
    let fresh = units::duration(duration).map_err(|flaw| flaw.shifted(duration_at))?;
    match parts.next() {
        Some((at, word)) => Err(
            Flaw::at(at..at + word.len(), format!("`{word}` is not expected here"))
                .help("more is said beside it: `stale: 5m`, `tags: [rates]`"),
        ),
        None => Ok((scope, fresh)),
    }
}

fn cache_scope(text: &str) -> Result<CacheScope, Flaw> {
    choose(
        text,
        &[("private", CacheScope::Private), ("public", CacheScope::Public)],
    )
}

fn idempotency(text: &str) -> Result<Idempotency, Flaw> {
    choose(
        text,
        &[
            ("required", Idempotency::Required),
            ("optional", Idempotency::Optional),
        ],
    )
}

fn origin(text: &str) -> Result<String, Flaw> {
    if text == "*" {
        return Ok(text.to_owned());
    }
    let flaw = |message: &str| {
        Flaw::whole(text, format!("`{text}` {message}"))
            .help("an origin is a scheme, a host and maybe a port: `https://app.example.com`")
    };
    let (scheme, rest) = text.split_once("://").ok_or_else(|| flaw("is not an origin"))?;
    if !matches!(scheme, "http" | "https") {
        return Err(flaw("is not an origin of the web"));
    }
    if let Some(slash) = rest.find('/') {
        let at = scheme.len() + 3 + slash;
        return Err(
            Flaw::at(at..text.len(), "an origin has no path").help(format!("write `{}`", &text[..at]))
        );
    }
    let plain = rest.strip_prefix("*.").unwrap_or(rest);
    if plain.contains('*') {
        return Err(flaw(
            "has a `*` in the middle: it stands for the first label only",
        ));
    }
    let url = url::Url::parse(&format!("{scheme}://{plain}")).map_err(|_| flaw("is not an origin"))?;
    if url.origin().ascii_serialization() != format!("{scheme}://{plain}") {
        return Err(flaw(
            "is not written as browsers send it (lower case, without the default port)",
        ));
    }
    Ok(text.to_owned())
}
