//! Which certificate a client gets: the one for the name that it asks for.

use std::{collections::HashMap, sync::Arc};
use tokio_rustls::rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

/// Certificates by name.
#[derive(Debug)]
pub(super) struct Names {
    /// For clients that name nothing, or something that no certificate is for: they see whose it is, and judge.
    first: Arc<CertifiedKey>,
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what comes behind `*.`, which stands for one label.
    wildcards: HashMap<String, Arc<CertifiedKey>>,
}

impl Names {
    pub(super) fn new(first: Arc<CertifiedKey>) -> Self {
        Self {
            first,
            exact: HashMap::new(),
            wildcards: HashMap::new(),
        }
    }

    /// A name of a certificate. Where several have it, the first does.
    pub(super) fn add(&mut self, name: &str, key: &Arc<CertifiedKey>) {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let (all, name) = match name.strip_prefix("*.") {
            Some(below) => (&mut self.wildcards, below.to_owned()),
            None => (&mut self.exact, name),
        };
        all.entry(name).or_insert_with(|| key.clone());
    }

    /// The certificate for a name, which the TLS library gives in lower case.
    pub(super) fn find(&self, name: Option<&str>) -> &Arc<CertifiedKey> {
        let Some(name) = name else { return &self.first };
        let wildcard = || {
            let (_, below) = name.split_once('.')?;
            self.wildcards.get(below)
        };
        self.exact.get(name).or_else(wildcard).unwrap_or(&self.first)
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        match hello.server_name() {
            Some(name) if name.bytes().any(|b| b.is_ascii_uppercase()) => {
                Some(self.find(Some(&name.to_ascii_lowercase())).clone())
            }
            name => Some(self.find(name).clone()),
        }
    }
}
