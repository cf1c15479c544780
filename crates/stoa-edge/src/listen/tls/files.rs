//! Certificates and keys as files.

use super::names::Names;
use crate::policy::auth::pem::validity;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};
use stoa_config::{
    fault::{CERTIFICATE, Fault, Severity},
    plan::{self, Mark, Place, Plan},
};
use stoa_exchange::clock;
use tokio_rustls::rustls::{
    Error, InconsistentKeys,
    crypto::aws_lc_rs as crypto,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{PemObject, SectionKind},
    },
    sign::CertifiedKey,
};

/// No chain of certificates is longer than this.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Certificates of one file.
const CHAIN_MAX: usize = 1000;

/// What the files hold.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) names: Names,
    pub(super) authorities: Vec<CertificateDer<'static>>,
    /// What should be known, and stops nothing.
    pub(super) warnings: Vec<Fault>,
}

/// How a file was when it was looked at; `None` where it is not there. A file that was put in place of another one has
/// another number, even when both are as old and as long.
pub(super) type Stamp = Option<(u64, Option<SystemTime>, u64)>;

/// The files of a plan as they are now.
pub(super) fn stamps(tls: &plan::Tls) -> Vec<Stamp> {
    let stamp = |path: &PathBuf| {
        let about = std::fs::metadata(path).ok()?;
        #[cfg(unix)]
        let number = std::os::unix::fs::MetadataExt::ino(&about);
        #[cfg(not(unix))]
        let number = 0;
        Some((about.len(), about.modified().ok(), number))
    };
    tls.files().map(stamp).collect()
}

/// Where the API file names the files.
#[derive(Debug, Default)]
pub(super) struct Marks(BTreeMap<&'static str, Mark>);

impl Marks {
    pub(super) fn of(plan: &Plan) -> Self {
        let mark = |key: &'static str| {
            let path = ["server", "tls", key].join("\u{1f}");
            let path = if key == "tls" {
                "server\u{1f}tls"
            } else {
                path.as_str()
            };
            Some((key, plan.marks.get(path)?.clone()))
        };
        let keys = ["tls", "cert", "key", "certificates", "client_ca"];
        Self(keys.into_iter().filter_map(mark).collect())
    }

    /// A fault at the key that names a file; of one of several, at the list.
    pub(super) fn fault(&self, key: &str, message: impl Into<String>) -> Fault {
        let mark = self.0.get(key).or_else(|| self.0.get("certificates"));
        let mark = mark.or_else(|| self.0.get("tls"));
        let mut fault = Fault::later(CERTIFICATE, Place::default(), message);
        if let Some(mark) = mark {
            fault.place = mark.place.clone();
            fault.span = mark.span.clone();
        }
        fault
    }
}

/// Reads the files of a plan.
pub(super) fn read(tls: &plan::Tls, marks: &Marks) -> Result<Read, Vec<Fault>> {
    let (mut faults, mut warnings) = (Vec::new(), Vec::new());
    let mut names: Option<Names> = None;
    for pair in &tls.certificates {
        match certified(pair, marks) {
            Ok(key) => {
                let key = Arc::new(key);
                let names = names.get_or_insert_with(|| Names::new(key.clone()));
                let Some(leaf) = key.cert.first() else { continue };
                if let Ok(leaf) = webpki::EndEntityCert::try_from(leaf) {
                    leaf.valid_dns_names().for_each(|name| names.add(name, &key));
                }
                warnings.extend(dated(leaf, &pair.cert, marks));
            }
            Err(found) => faults.extend(found),
        }
    }
    let authorities = match &tls.clients {
        None => Vec::new(),
        Some(clients) => match chain(&clients.ca, "client_ca", marks) {
            Ok(authorities) => authorities,
            Err(fault) => {
                faults.push(*fault);
                Vec::new()
            }
        },
    };
    match names {
        Some(names) if faults.is_empty() => Ok(Read {
            names,
            authorities,
            warnings,
        }),
        _ => Err(faults),
    }
}

/// A certificate that is not valid now.
fn dated(leaf: &CertificateDer<'_>, path: &Path, marks: &Marks) -> Option<Fault> {
    let shown = path.display();
    let (from, until) = validity(leaf)?;
    let now = i64::try_from(clock::unix_seconds()).unwrap_or(i64::MAX);
    let message = if now < from {
        format!("the certificate in `{shown}` is not valid yet: clients will refuse it")
    } else if now >= until {
        format!("the certificate in `{shown}` has expired: clients will refuse it")
    } else {
        return None;
    };
    let mut fault = marks.fault("cert", message);
    fault.severity = Severity::Warning;
    fault.help = Some(String::from(
        "put a new one in its place: it is taken within seconds, without a restart",
    ));
    Some(fault)
}

fn certified(pair: &plan::Certificate, marks: &Marks) -> Result<CertifiedKey, Vec<Fault>> {
    let (chain, key) = match (chain(&pair.cert, "cert", marks), private_key(&pair.key, marks)) {
        (Ok(chain), Ok(key)) => (chain, key),
        (chain, key) => {
            let faults = [chain.err(), key.err()];
            return Err(faults.into_iter().flatten().map(|fault| *fault).collect());
        }
    };
    CertifiedKey::from_der(chain, key, &crypto::default_provider()).map_err(|error| {
        let (cert, key) = (pair.cert.display(), pair.key.display());
        let (at, message, help) = match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => (
                "key",
                format!("the key in `{key}` is not the one of the certificate in `{cert}`"),
                "the first certificate of the file must be the server's own; `openssl x509 -in CERT -noout -pubkey` and `openssl pkey -in KEY -pubout` show the same key when they belong together",
            ),
            Error::InvalidCertificate(why) => (
                "cert",
                format!("the certificate in `{cert}` cannot be used: {why:?}"),
                "`openssl x509 -in FILE -noout -text` shows what it holds",
            ),
            other => (
                "key",
                format!("the key in `{key}` cannot be used: {other}"),
                "RSA of 2048 to 8192 bits, P-256, P-384, P-521 and Ed25519 can",
            ),
        };
        let mut fault = marks.fault(at, message);
        fault.help = Some(help.to_owned());
        vec![fault]
    })
}

/// The certificates of a file.
fn chain(path: &Path, key: &'static str, marks: &Marks) -> Result<Vec<CertificateDer<'static>>, Box<Fault>> {
    let text = content(path, key, marks)?;
    let shown = path.display();
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).take(CHAIN_MAX).collect();
    let (message, help) = match found {
        Ok(found) if !found.is_empty() => return Ok(found),
        Ok(_) if holds_key(&text) => (
            format!("`{shown}` holds a private key and no certificate"),
            "`cert` is the certificate's file and `key` the key's: are they swapped?",
        ),
        Ok(_) => (
            format!("`{shown}` holds no certificate in PEM"),
            "it must have a block `-----BEGIN CERTIFICATE-----`; `openssl x509 -inform der -in FILE` makes it of the binary form",
        ),
        Err(_) => (
            format!("the PEM in `{shown}` is damaged"),
            "write the file anew; every block ends in its `-----END …-----` line",
        ),
    };
    let mut fault = marks.fault(key, message);
    fault.help = Some(help.to_owned());
    Err(Box::new(fault))
}

fn private_key(path: &Path, marks: &Marks) -> Result<PrivateKeyDer<'static>, Box<Fault>> {
    let text = content(path, "key", marks)?;
    let shown = path.display();
    let found: Result<Vec<_>, _> = PrivateKeyDer::pem_slice_iter(&text).take(2).collect();
    let (message, help) = match found {
        Ok(mut found) if found.len() == 1 => match found.pop() {
            Some(key) => return Ok(key),
            None => (String::new(), ""),
        },
        Ok(found) if found.len() > 1 => (
            format!("`{shown}` holds more than one private key"),
            "leave the one that belongs to the certificate",
        ),
        _ if memchr::memmem::find(&text, b"ENCRYPTED").is_some() => (
            format!("the private key in `{shown}` is encrypted"),
            "`openssl pkey -in FILE -out NEW` writes it without a passphrase; give the new file the mode 600",
        ),
        Ok(_) if memchr::memmem::find(&text, b"BEGIN CERTIFICATE").is_some() => (
            format!("`{shown}` holds a certificate and no private key"),
            "`cert` is the certificate's file and `key` the key's: are they swapped?",
        ),
        Ok(_) => (
            format!("`{shown}` holds no private key in PEM"),
            "it must have a block `-----BEGIN PRIVATE KEY-----`",
        ),
        Err(_) => (
            format!("the PEM in `{shown}` is damaged"),
            "write the file anew; every block ends in its `-----END …-----` line",
        ),
    };
    let mut fault = marks.fault("key", message);
    fault.help = Some(help.to_owned());
    Err(Box::new(fault))
}

/// Whether a file holds a private key of any kind.
fn holds_key(text: &[u8]) -> bool {
    let mut blocks = <(SectionKind, Vec<u8>)>::pem_slice_iter(text).flatten();
    blocks.any(|(kind, _)| {
        matches!(
            kind,
            SectionKind::PrivateKey | SectionKind::RsaPrivateKey | SectionKind::EcPrivateKey
        )
    })
}

fn content(path: &Path, key: &'static str, marks: &Marks) -> Result<Vec<u8>, Box<Fault>> {
    let shown = path.display();
    let refused = |message: String, help: &str| {
        let mut fault = marks.fault(key, message);
        fault.help = Some(help.to_owned());
        Box::new(fault)
    };
    let length = std::fs::metadata(path).map_or(0, |about| about.len());
    if length > FILE_BYTES_MAX {
        let message = format!("`{shown}` has {length} bytes, which no certificate or key needs");
        return Err(refused(message, "name the PEM file"));
    }
    std::fs::read(path).map_err(|why| {
        refused(
            format!("`{shown}` cannot be read: {why}"),
            "its path is relative to the API file, and the user that Stoa runs as must be allowed to read it",
        )
    })
}
