//! From a URL to where to connect and how. The URL holds the password and is never shown.

use super::tls::{Tls, Verify};
use crate::store::StoreError;
use std::time::Duration;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// How long one host may take to answer.
const CONNECT: Duration = Duration::from_secs(2);
/// After this long without a sign of life of the other side a connection is closed by the system.
const UNANSWERED: Duration = Duration::from_secs(10);

/// One server, or several of which one is to be used.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) config: Config,
    pub(super) tls: Tls,
    /// Hosts and database, for the log.
    pub(super) shown: String,
    /// Host and port of the first host.
    pub(super) address: String,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Target({})", self.shown)
    }
}

impl Target {
    /// Reads `postgres://USER:PASSWORD@HOST[:PORT][,HOST…]/DATABASE[?sslmode=…&sslrootcert=…&target_session_attrs=…]`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] says what is wrong without showing the URL.
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let (plain, verify, root) = ssl_options(url)?;
        let mut config: Config = plain.parse().map_err(|error| {
            StoreError::Unavailable(format!("the URL of the database: {}", cause(&error)))
        })?;
        config.ssl_mode(match verify {
            // As with libpq: on a socket nobody listens.
            _ if is_local(&config) => SslMode::Disable,
            Verify::Disable => SslMode::Disable,
            Verify::Prefer => SslMode::Prefer,
            Verify::Require | Verify::Ca | Verify::Full => SslMode::Require,
        });
        if config.get_application_name().is_none() {
            config.application_name("stoa");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT);
        }
        config.tcp_user_timeout(UNANSWERED);
        config.keepalives_idle(UNANSWERED);
        let shown = shown(&config);
        let tls = Tls::new(verify, root.as_deref(), &shown)?;
        let address = addresses(&config).into_iter().next().unwrap_or_default();
        Ok(Self {
            config,
            tls,
            shown,
            address,
        })
    }

    /// How many hosts the URL names.
    pub(super) fn hosts(&self) -> usize {
        self.config.get_hosts().len()
    }

    /// One target for each host.
    pub(super) fn each(&self) -> impl Iterator<Item = Self> {
        (0..self.hosts()).map(|index| self.at(self, index))
    }

    /// The same user and database at the first host of another target, reached as that is.
    pub(super) fn moved_to(&self, other: &Self) -> Self {
        let mut moved = self.at(other, 0);
        moved.tls = other.tls.clone();
        moved.config.ssl_mode(other.config.get_ssl_mode());
        moved
    }

    /// The same at one host of a target alone. Which of them takes writes is found out by looking.
    fn at(&self, other: &Self, index: usize) -> Self {
        let (own, from) = (&self.config, &other.config);
        let mut config = Config::new();
        if let Some(user) = own.get_user() {
            config.user(user);
        }
        if let Some(password) = own.get_password() {
            config.password(password);
        }
        if let Some(name) = own.get_dbname() {
            config.dbname(name);
        }
        if let Some(options) = own.get_options() {
            config.options(options);
        }
        if let Some(name) = own.get_application_name() {
            config.application_name(name);
        }
        match from.get_hosts().get(index) {
            Some(Host::Tcp(name)) => config.host(name),
            #[cfg(unix)]
            Some(Host::Unix(path)) => config.host_path(path),
            None => &mut config,
        };
        if let Some(address) = from.get_hostaddrs().get(index) {
            config.hostaddr(*address);
        }
        let ports = from.get_ports();
        config.port(ports.get(index).or(ports.first()).copied().unwrap_or(5432));
        config.ssl_mode(if is_local(&config) {
            SslMode::Disable
        } else {
            own.get_ssl_mode()
        });
        config.ssl_negotiation(from.get_ssl_negotiation());
        config.channel_binding(own.get_channel_binding());
        config.connect_timeout(own.get_connect_timeout().copied().unwrap_or(CONNECT));
        config.tcp_user_timeout(UNANSWERED);
        config.keepalives_idle(UNANSWERED);
        let address = addresses(&config).into_iter().next().unwrap_or_default();
        Self {
            shown: shown(&config),
            tls: self.tls.clone(),
            config,
            address,
        }
    }
}

/// Whether every host is a socket of this machine.
fn is_local(config: &Config) -> bool {
    let hosts = config.get_hosts();
    let tcp = hosts.iter().any(|host| matches!(host, Host::Tcp(_)));
    !hosts.is_empty() && !tcp && config.get_hostaddrs().is_empty()
}

/// Takes `sslmode` and the like out of a URL: tokio-postgres knows only some of their values.
fn ssl_options(url: &str) -> Result<(String, Verify, Option<String>), StoreError> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let (mut verify, mut root) = (None, None);
    let mut kept = Vec::new();
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = percent_encoding::percent_decode_str(value)
            .decode_utf8_lossy()
            .into_owned();
        match name {
            "sslmode" => {
                verify = Some(Verify::named(&value).ok_or_else(|| {
                    StoreError::Unavailable(format!(
                        "`sslmode={value}` in the URL of the database: write disable, prefer, require, verify-ca or verify-full"
                    ))
                })?);
            }
            "sslrootcert" => root = Some(value),
            // What there is none of is not asked for.
            "gssencmode" => {}
            // Where it matters, the servers are looked at.
            "target_session_attrs" => match &*value {
                "primary" => kept.push("target_session_attrs=read-write"),
                "standby" => kept.push("target_session_attrs=read-only"),
                "prefer-standby" => {}
                _ => kept.push(pair),
            },
            _ => kept.push(pair),
        }
    }
    // As libpq: a root certificate that is named is also used.
    let verify = match (verify.unwrap_or(Verify::Prefer), &root) {
        (Verify::Require, Some(_)) => Verify::Ca,
        (verify, _) => verify,
    };
    let mut plain = base.to_owned();
    if !kept.is_empty() {
        plain.push('?');
        plain.push_str(&kept.join("&"));
    }
    Ok((plain, verify, root))
}

fn cause(error: &tokio_postgres::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Hosts and database: what may stand in a log.
fn shown(config: &Config) -> String {
    format!(
        "PostgreSQL at {}/{}",
        addresses(config).join(","),
        config.get_dbname().or(config.get_user()).unwrap_or_default()
    )
}

/// Each host with its port.
fn addresses(config: &Config) -> Vec<String> {
    let ports = config.get_ports();
    config
        .get_hosts()
        .iter()
        .enumerate()
        .map(|(index, host)| {
            let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
            match host {
                Host::Tcp(name) => format!("{name}:{port}"),
                #[cfg(unix)]
                Host::Unix(path) => path.display().to_string(),
            }
        })
        .collect()
}
