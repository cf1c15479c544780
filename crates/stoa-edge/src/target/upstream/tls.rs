//! TLS to services: certificates are always verified, by the system's authorities or those of the file.

use super::stream::Stream;
use std::{
    fmt::Display,
    io,
    path::Path,
    sync::{Arc, OnceLock},
};
use stoa_config::{
    fault::{Fault, SERVICE_TLS, Severity},
    plan::{self, Host, ServiceTls},
};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, ClientConfig, RootCertStore,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    },
};

/// What is spoken inside.
const PROTOCOLS: [&[u8]; 1] = [b"http/1.1"];

/// How connections to a service are encrypted.
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
    /// In place of the URL's host.
    name: Option<ServerName<'static>>,
}

impl Tls {
    /// Reads what the service names; nothing where none of its addresses is `https`.
    ///
    /// # Errors
    /// Files that cannot be used.
    pub(crate) fn open(service: &plan::Service) -> Result<Option<Arc<Self>>, Fault> {
        if service.endpoints.iter().all(|endpoint| !endpoint.tls) {
            return Ok(None);
        }
        let own = service.upstream.tls.clone().unwrap_or_default();
        let opened = open(&own).map(|tls| Some(Arc::new(tls)));
        opened.map_err(|why| {
            let message = format!("service `{}`: {why}", service.name);
            Fault::later(SERVICE_TLS, service.place.clone(), message)
        })
    }

    /// Encrypts a connection to a host.
    pub(super) async fn connect(&self, host: &Host, stream: TcpStream) -> io::Result<Stream> {
        let name = match (&self.name, host) {
            (Some(name), _) => name.clone(),
            (None, Host::Ip(ip)) => ServerName::IpAddress((*ip).into()),
            (None, Host::Name(name)) => ServerName::try_from(name.clone())
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?,
        };
        let connector = TlsConnector::from(self.config.clone());
        Ok(Stream::Tls(Box::new(connector.connect(name, stream).await?)))
    }
}

/// What the start would refuse of files for TLS to services, for a check that serves nothing. A file that is not there is a warning: they are often
/// mounted only where the API runs.
pub fn check(plan: &plan::Plan) -> Vec<Fault> {
    let refused = |service: &plan::Service| {
        let mut fault = Tls::open(service).err()?;
        let own = service.upstream.tls.as_ref()?;
        let identity = own.identity.iter().flat_map(|(cert, key)| [cert, key]);
        if own.ca.iter().chain(identity).any(|path| !path.exists()) {
            fault.severity = Severity::Warning;
        }
        Some(fault)
    };
    plan.services.iter().filter_map(refused).collect()
}

fn open(own: &ServiceTls) -> Result<Tls, String> {
    let roots = match &own.ca {
        Some(path) => Arc::new(authorities(path)?),
        None => systems()?,
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots);
    let mut config = match &own.identity {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let chain = certificates("cert", cert)?;
            let key_der = PrivateKeyDer::from_pem_file(key).map_err(|e| unusable("key", key, &e))?;
            let built = builder.with_client_auth_cert(chain, key_der);
            built.map_err(|e| unusable("key", key, &e))?
        }
    };
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    let name = own.server_name.clone().map(ServerName::try_from).transpose();
    Ok(Tls {
        config: Arc::new(config),
        name: name.map_err(|_| String::from("`server_name` is not the name of a host"))?,
    })
}

fn unusable(key: &str, path: &Path, why: &dyn Display) -> String {
    format!("`{key}` {}: {why}", path.display())
}

fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let all = all.map_err(|e| unusable(key, path, &e))?;
    if all.is_empty() {
        return Err(unusable(key, path, &"it holds no certificate"));
    }
    Ok(all)
}

fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    for certificate in certificates("ca", path)? {
        store.add(certificate).map_err(|e| unusable("ca", path, &e))?;
    }
    Ok(store)
}

/// The system's authorities, read once.
fn systems() -> Result<Arc<RootCertStore>, String> {
    static SYSTEMS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let read = || {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(store)
    };
    let store = SYSTEMS.get_or_init(read);
    if store.is_empty() {
        return Err(String::from(
            "the system has no trusted authorities: name a PEM file with `tls: { ca: FILE }`",
        ));
    }
    Ok(store.clone())
}

/// What went wrong with a handshake, in words for the caller.
pub(super) fn in_words(error: &io::Error) -> Option<&'static str> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(match error {
        rustls::Error::InvalidCertificate(_) => "shows a certificate that is not trusted",
        _ => "does not agree on TLS",
    })
}
