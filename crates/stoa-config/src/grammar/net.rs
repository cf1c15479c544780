//! Addresses, networks, URLs.

use super::{Flaw, Grammar, Words, postgres};
use crate::{
    fault::codes,
    plan::{Endpoint, Host, Share},
    report::did_you_mean,
};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use url::Url;

pub(crate) static LISTEN: Grammar<SocketAddr> = Grammar {
    words: &LISTEN_WORDS,
    parse: listen,
};
pub(crate) static LISTEN_WORDS: Words = Words::new(
    "an address and a port",
    codes::ADDRESS,
    &["127.0.0.1:8080", "0.0.0.0:80", "[::1]:8080"],
)
.pattern("^(.*:[0-9]{1,5}|.*\\$\\{.*)$");

/// A listener that can be switched off.
pub(crate) static LISTEN_OR_NONE: Grammar<Option<SocketAddr>> = Grammar {
    words: &LISTEN_OR_NONE_WORDS,
    parse: listen_or_none,
};
pub(crate) static LISTEN_OR_NONE_WORDS: Words = Words::new(
    "an address and a port, or `none`",
    codes::ADDRESS,
    &["127.0.0.1:9090", "none"],
)
.pattern("^(none|.*:[0-9]{1,5}|.*\\$\\{.*)$");

pub(crate) static CIDR: Grammar<ipnet::IpNet> = Grammar {
    words: &CIDR_WORDS,
    parse: cidr,
};
pub(crate) static CIDR_WORDS: Words =
    Words::new("a network", codes::CIDR, &["10.0.0.0/8", "192.0.2.7", "fd00::/8"])
        .pattern("^([0-9A-Fa-f:.]+(/[0-9]{1,3})?|.*\\$\\{.*)$");

pub(crate) static UPSTREAM: Grammar<Endpoint> = Grammar {
    words: &UPSTREAM_WORDS,
    parse: upstream,
};
pub(crate) static UPSTREAM_WORDS: Words = Words::new(
    "the URL of a service",
    codes::URL,
    &["http://127.0.0.1:9001", "https://api.example.com/v2"],
)
.pattern("^(https?://.+|.*\\$\\{.*)$");

/// One address of a service and its part of the requests.
pub(crate) static MEMBER: Grammar<(Endpoint, Share)> = Grammar {
    words: &MEMBER_WORDS,
    parse: member,
};
pub(crate) static MEMBER_WORDS: Words = Words::new(
    "the URL of a service, with its weight and priority where they differ from the others'",
    codes::URL,
    &[
        "http://127.0.0.1:9001",
        "http://10.0.0.7:9001 weight 3",
        "http://10.1.0.7:9001 priority 1",
    ],
)
.pattern("^(https?://.+|.*\\$\\{.*)$");

/// A URL of the web; kept as text.
pub(crate) static WEB: Grammar<String> = Grammar {
    words: &WEB_WORDS,
    parse: web,
};
pub(crate) static WEB_WORDS: Words = Words::new("a URL", codes::URL, &["https://otel.example.com:4318"])
    .pattern("^(https?://.+|.*\\$\\{.*)$")
    .secret();

pub(crate) static SHARED: Grammar<String> = Grammar {
    words: &SHARED_WORDS,
    parse: shared,
};
pub(crate) static SHARED_WORDS: Words = Words::new(
    "the URL of Redis or Memcached",
    codes::URL,
    &["redis://redis:6379", "${REDIS_URL}"],
)
.pattern("^((rediss?|memcached)://.+|.*\\$\\{.*)$")
.secret();

pub(crate) static POSTGRES: Grammar<String> = Grammar {
    words: &POSTGRES_WORDS,
    parse: postgres::postgres,
};
pub(crate) static POSTGRES_WORDS: Words = Words::new(
    "the URL of a PostgreSQL database",
    codes::STORE,
    &["postgres://user:password@db:5432/shop", "${DATABASE_URL}"],
)
.pattern("^(postgres(ql)?://.+|.*\\$\\{.*)$")
.secret();

/// What a store's short form says.
pub(crate) enum StoreUrl {
    /// Path as written.
    Sqlite(String),
    Postgres(String),
}

pub(crate) static STORE: Grammar<StoreUrl> = Grammar {
    words: &STORE_WORDS,
    parse: store,
};
pub(crate) static STORE_WORDS: Words = Words::new(
    "a store's URL",
    codes::STORE,
    &["sqlite:shop.db", "postgres://user:password@db/shop"],
)
.pattern("^(sqlite:.+|postgres(ql)?://.+|.*\\$\\{.*)$")
.secret();

pub(crate) fn listen(text: &str) -> Result<SocketAddr, Flaw> {
    let such = "such as `127.0.0.1:8080`, or `0.0.0.0:8080` for every address of this machine";
    let Some(colon) = text.rfind(':') else {
        return Err(Flaw::whole(text, format!("`{text}` is not an address and a port")).help(such));
    };
    let (host, port_text) = (&text[..colon], &text[colon + 1..]);
    let port_at = colon + 1..text.len();
    let port = port(port_text).map_err(|message| Flaw::at(port_at, message))?;
    let ip = match host {
        "" | "*" => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        host => {
            let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
            let ip = match bare {
                Some(v6) => v6.parse().map(IpAddr::V6).ok(),
                None => host.parse().map(IpAddr::V4).ok(),
            };
            ip.ok_or_else(|| {
                Flaw::at(0..colon, format!("`{host}` is not an address of this machine")).help(such)
            })?
        }
    };
    Ok(SocketAddr::new(ip, port))
}

fn listen_or_none(text: &str) -> Result<Option<SocketAddr>, Flaw> {
    if text == "none" {
        return Ok(None);
    }
    listen(text).map(Some)
}

fn port(text: &str) -> Result<u16, String> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("`{text}` is not a port"));
    }
    text.parse()
        .map_err(|_| format!("port {text} is out of range: ports are 0 to 65535"))
}

fn cidr(text: &str) -> Result<ipnet::IpNet, Flaw> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(ipnet::IpNet::from(ip));
    }
    let flaw = || Flaw::whole(text, format!("`{text}` is not a network")).help("such as `10.0.0.0/8`");
    let (address, prefix) = text.split_once('/').ok_or_else(flaw)?;
    let ip: IpAddr = address.parse().map_err(|_| flaw())?;
    let widest = if ip.is_ipv4() { 32 } else { 128 };
    let net = super::units::digits(prefix)
        .and_then(|n| u8::try_from(n).ok())
        .and_then(|n| ipnet::IpNet::new(ip, n).ok())
        .ok_or_else(|| {
            let at = address.len() + 1..text.len();
            Flaw::at(at, format!("`{prefix}` is not a prefix length: 0 to {widest}"))
        })?;
    if net.trunc() != net {
        return Err(Flaw::at(
            0..address.len(),
            format!("`{address}` has bits beyond the prefix"),
        )
        .help(format!("write `{}`", net.trunc())));
    }
    Ok(net)
}

/// What stands before the `://`, one of `schemes`.
pub(super) fn scheme<'t>(text: &'t str, schemes: &[&str]) -> Result<&'t str, Flaw> {
    let wanted = schemes
        .iter()
        .map(|s| format!("`{s}://`"))
        .collect::<Vec<_>>()
        .join(" or ");
    let Some((scheme, _)) = text.split_once("://") else {
        return Err(
            Flaw::whole(text, format!("this is not a URL: it must start with {wanted}"))
                .help(format!("put `{}://` before it", schemes[0])),
        );
    };
    if !schemes.contains(&scheme) {
        let flaw = Flaw::at(0..scheme.len(), format!("a URL with {wanted} belongs here"));
        return Err(match crate::report::nearest(scheme, schemes.iter().copied()) {
            Some(meant) => flaw.help(format!("did you mean `{meant}`?")),
            None => flaw,
        });
    }
    Ok(scheme)
}

/// Parses a URL with one of `schemes`. The flaw never repeats the text: it may hold a password.
fn url(text: &str, schemes: &[&str]) -> Result<Url, Flaw> {
    scheme(text, schemes)?;
    let url = Url::parse(text).map_err(|e| {
        let what = match e {
            url::ParseError::InvalidPort => "its port is out of range: 1 to 65535".to_owned(),
            other => other.to_string(),
        };
        let flaw = Flaw::whole(text, format!("this is not a URL: {what}"));
        // `user:p#w@host` ends before the `#`, and `p` stands where a port would.
        if text.contains('@') && matches!(e, url::ParseError::InvalidPort) {
            flaw.help("a `#`, `/` or `?` in a password is written `%23`, `%2F` or `%3F`")
        } else {
            flaw
        }
    })?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err(Flaw::whole(text, "the URL names no host"));
    }
    Ok(url)
}

pub(crate) fn upstream(text: &str) -> Result<Endpoint, Flaw> {
    let url = url(text, &["http", "https"])?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Flaw::whole(text, "a service's URL holds no user and password")
            .help("remove the part before the `@`"));
    }
    for (part, mark) in [(url.query(), '?'), (url.fragment(), '#')] {
        if part.is_some() {
            let at = text.find(mark).unwrap_or(0);
            return Err(Flaw::at(
                at..text.len(),
                format!("a service's URL ends before the `{mark}`"),
            ));
        }
    }
    let host = match url.host() {
        Some(url::Host::Domain(name)) => Host::Name(name.to_owned()),
        Some(url::Host::Ipv4(ip)) => Host::Ip(IpAddr::V4(ip)),
        Some(url::Host::Ipv6(ip)) => Host::Ip(IpAddr::V6(ip)),
        None => return Err(Flaw::whole(text, "the URL names no host")),
    };
    if is_metadata(&host) {
        return Err(Flaw::whole(
            text,
            format!(
                "`{}` gives a machine its own credentials",
                url.host_str().unwrap_or_default()
            ),
        )
        .help("no service of an API is there: whoever could ask it would be this machine"));
    }
    let port = url.port_or_known_default().unwrap_or(80);
    if port == 0 {
        return Err(Flaw::whole(text, "a service is not reached at port 0"));
    }
    Ok(Endpoint {
        tls: url.scheme() == "https",
        host,
        port,
        base_path: url.path().trim_end_matches('/').to_owned(),
    })
}

/// Weights of an address, and the numbers of its group.
pub(crate) const WEIGHT: (u64, u64) = (1, 1_000);
pub(crate) const PRIORITY: (u64, u64) = (0, 9);

fn member(text: &str) -> Result<(Endpoint, Share), Flaw> {
    let mut parts = super::words(text);
    let (from, url) = parts.next().unwrap_or((0, ""));
    let endpoint = upstream(url).map_err(|flaw| flaw.shifted(from))?;
    let mut share = Share::default();
    let (mut weight, mut priority) = (None, None);
    while let Some((at, word)) = parts.next() {
        let (place, (least, most)) = match word {
            "weight" if weight.is_none() => (&mut weight, WEIGHT),
            "priority" if priority.is_none() => (&mut priority, PRIORITY),
            other => {
                let flaw = Flaw::at(at..at + other.len(), format!("`{other}` is not expected here"));
                return Err(flaw.help(did_you_mean(other, ["weight", "priority"])));
            }
        };
        let (at, number) = parts
            .next()
            .ok_or_else(|| Flaw::at(at..at + word.len(), format!("nothing follows `{word}`")))?;
        *place = Some(
            super::units::digits(number)
                .filter(|n| (least..=most).contains(n))
                .ok_or_else(|| {
                    let message = format!("`{number}` is not a {word} from {least} to {most}");
                    Flaw::at(at..at + number.len(), message)
                })?,
        );
    }
    share.weight = weight.map_or(share.weight, |n| n as u16);
    share.priority = priority.map_or(share.priority, |n| n as u8);
    Ok((endpoint, share))
}

/// Where clouds tell a machine who it is: link-local addresses, and the names and addresses of those that use others.
fn is_metadata(host: &Host) -> bool {
    match host {
        Host::Name(name) => {
            let name = name.trim_end_matches('.');
            matches!(
                name,
                "metadata.google.internal" | "metadata.goog" | "instance-data" | "instance-data.ec2.internal"
            )
        }
        Host::Ip(ip) => match ip.to_canonical() {
            IpAddr::V4(ip) => ip.is_link_local() || ip.octets() == [100, 100, 100, 200],
            IpAddr::V6(ip) => {
                ip.is_unicast_link_local() || ip.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]
            }
        },
    }
}

pub(crate) fn web(text: &str) -> Result<String, Flaw> {
    url(text, &["http", "https"]).map(|_| text.to_owned())
}

fn shared(text: &str) -> Result<String, Flaw> {
    url(text, &["redis", "rediss", "memcached"]).map(|_| text.to_owned())
}

fn store(text: &str) -> Result<StoreUrl, Flaw> {
    if let Some(path) = text.strip_prefix("sqlite:") {
        return sqlite(path)
            .map(StoreUrl::Sqlite)
            .map_err(|flaw| flaw.shifted("sqlite:".len()));
    }
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return postgres::postgres(text).map(StoreUrl::Postgres);
    }
    let scheme = text.split(':').next().unwrap_or_default();
    let plain = scheme.len() < text.len() && scheme.bytes().all(|b| b.is_ascii_alphanumeric());
    let message = if plain {
        format!("`{scheme}` is not a kind of store")
    } else {
        "this is not a store".to_owned()
    };
    Err(Flaw::whole(text, message).help("write `sqlite:FILE` or `postgres://USER:PASSWORD@HOST/DATABASE`"))
}

/// The path of a SQLite file, without the `sqlite:`.
pub(crate) fn sqlite(text: &str) -> Result<String, Flaw> {
    let path = text.strip_prefix("//").unwrap_or(text);
    if path.trim().is_empty() {
        return Err(
            Flaw::whole(text, "the path of the database file is missing").help("such as `sqlite:shop.db`")
        );
    }
    if path.contains(":memory:") {
        return Err(Flaw::whole(
            text,
            "a database in memory keeps nothing: an acknowledged write would be lost",
        )
        .help("name a file, such as `sqlite:shop.db`"));
    }
    if path.contains('?') || path.contains('\0') {
        return Err(Flaw::whole(
            text,
            "a `sqlite:` store is a path without parameters",
        ));
    }
    Ok(path.to_owned())
}

pub(crate) static SQLITE: Grammar<String> = Grammar {
    words: &SQLITE_WORDS,
    parse: sqlite,
};
pub(crate) static SQLITE_WORDS: Words = Words::new(
    "the path of a SQLite file, relative to the API file",
    codes::STORE,
    &["shop.db"],
);

/// Whether a URL's host is this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}
