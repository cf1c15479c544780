//! How connections of clients are made.

use std::{path::PathBuf, time::Duration};

/// `server.tls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// `cert` and `key`, or `certificates`: at least one. The first serves names that no other is for.
    pub certificates: Vec<Certificate>,
    /// `client_ca` and `client`: how clients are asked for certificates.
    pub clients: Option<Clients>,
    /// `handshake_timeout`. Default 10 s.
    pub handshake_timeout: Duration,
}

/// Files of a certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// PEM file of the certificate chain.
    pub cert: PathBuf,
    /// PEM file of the private key.
    pub key: PathBuf,
}

/// Certificates of clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clients {
    /// PEM file of the authorities that they come from.
    pub ca: PathBuf,
    /// Whether a client must have one.
    pub required: bool,
}

impl Tls {
    /// Every file that is named.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let pairs = self.certificates.iter().flat_map(|c| [&c.cert, &c.key]);
        pairs.chain(self.clients.iter().map(|c| &c.ca))
    }
}
