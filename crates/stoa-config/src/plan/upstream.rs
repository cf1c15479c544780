//! How the addresses of a service share its requests and are kept in use.

use std::{path::PathBuf, time::Duration};

/// What a service says about its addresses beside their URLs. The default is what holds when nothing is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// `weight` and `priority` of each address, in the order of `url`; what is not there is the default.
    pub shares: Vec<Share>,
    /// `eject`: when an address that fails is left out for a while. `None`: never.
    pub eject: Option<Eject>,
    /// `slow_start`: how long an address that comes back takes to get all of its share. Default 10 s; 0 is at once.
    pub slow_start: Duration,
    /// `max_connections` to one address at a time. Default 10,000.
    pub address_connections_max: u32,
    /// `max_connections` to all addresses together. Default none.
    pub service_connections_max: Option<u32>,
    /// `max_pending`: requests that may wait for a connection. Default 1,000.
    pub pending_max: u32,
    /// `tls`: what is not as the system has it, for addresses with `https`.
    pub tls: Option<ServiceTls>,
    /// `hedge`: when a second address is asked beside the first.
    pub hedge: Option<HedgeAfter>,
}

/// `hedge:` of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HedgeAfter {
    /// When the first takes longer than this part of the replies did, in percent. 1..=99.
    Percentile(u8),
    /// When it takes longer than this.
    Time(Duration),
}

/// `tls:` of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServiceTls {
    /// `ca`: a PEM file of the authorities that are trusted, in place of the system's.
    pub ca: Option<PathBuf>,
    /// `server_name`: the name that certificates are for, where it is not that of the URL.
    pub server_name: Option<String>,
    /// `cert` and `key`: PEM files of what this side shows.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            shares: Vec::new(),
            eject: Some(Eject::default()),
            slow_start: Duration::from_secs(10),
            address_connections_max: 10_000,
            service_connections_max: None,
            pending_max: 1_000,
            tls: None,
            hedge: None,
        }
    }
}

/// `eject:` of a service: passive outlier ejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eject {
    /// `failures` in a row: replies of 5xx, resets, time-outs. 1..=100, default 5. Connections that cannot be made are counted
    /// for more.
    pub failures: u8,
    /// `for` how long the first time; twice as long each time that it fails again, up to 5 min. Default 5 s.
    pub period: Duration,
    /// `most` of the addresses that may be out for their replies, in percent; one at least of several. Default 50.
    pub most_percent: u8,
    /// `none_left`: what happens when no address is in use. Default spread.
    pub none_left: NoneLeft,
}

impl Default for Eject {
    fn default() -> Self {
        Self {
            failures: 5,
            period: Duration::from_secs(5),
            most_percent: 50,
            none_left: NoneLeft::Spread,
        }
    }
}

/// What happens to requests when no address of a service is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoneLeft {
    /// They are spread over all, as if all were in use: what was judged may be wrong.
    Spread,
    /// They are refused with 503 and `Retry-After`, but for those that try whether an address is back.
    Refuse,
}

impl Upstream {
    /// The share of the address at a position.
    pub fn share(&self, position: usize) -> Share {
        self.shares.get(position).copied().unwrap_or_default()
    }
}

/// The part of the requests that an address gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// `weight` against the others of its group. 1..=1000, default 1.
    pub weight: u16,
    /// `priority`: its group. 0 is used first, the next one as far as too little of it is in use. 0..=9, default 0.
    pub priority: u8,
}

impl Default for Share {
    fn default() -> Self {
        Self {
            weight: 1,
            priority: 0,
        }
    }
}
