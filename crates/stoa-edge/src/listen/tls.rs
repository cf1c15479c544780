//! TLS on the listener: certificates chosen by name, read again when their files change.
//!
//! A connection takes the configuration that holds when it arrives and keeps it; a change is for those that come after.

mod files;
mod names;

use arc_swap::ArcSwap;
use base64::{Engine, engine::general_purpose::STANDARD};
use files::{Read, Stamp};
use http::HeaderValue;
use std::{
    fmt,
    future::Future,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use stoa_config::{
    fault::{Fault, Severity},
    plan::{self, Plan},
};
use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig, crypto::aws_lc_rs as crypto, server::NoServerSessionStorage,
        server::ProducesTickets, server::WebPkiClientVerifier, server::danger::ClientCertVerifier,
    },
    server::TlsStream,
};

/// As ALPN names them.
const H2: &[u8] = b"h2";
const HTTP11: &[u8] = b"http/1.1";

/// Bytes of a reply that wait encrypted for the client to take them.
const BUFFER_BYTES_MAX: usize = 64 * 1024;

/// The certificates of a plan.
pub struct Certificates {
    plan: plan::Tls,
    /// Where the API file names them, for faults.
    marks: files::Marks,
    current: ArcSwap<Current>,
    looks: Mutex<Looks>,
}

/// What was found when the files were looked at last.
struct Looks {
    /// The files as they were when they were read, taken or not.
    read: Vec<Stamp>,
    /// The files as they were at the last look: they are read when they have come to rest, since a certificate and its
    /// key are two files.
    last: Vec<Stamp>,
}

struct Current {
    config: Arc<ServerConfig>,
    tickets: Arc<dyn ProducesTickets>,
    /// The authorities that clients' certificates come from, as they were read.
    authorities: Vec<Vec<u8>>,
    warnings: Vec<Fault>,
}

/// What a look at the files came to.
#[derive(Debug)]
pub enum Refreshed {
    /// Nothing changed, or the change is not at rest yet.
    Same,
    /// They changed and are used from now on; with what should be known of them.
    Taken(Vec<Fault>),
    /// They changed and cannot be used; what was read before still is.
    Refused(Vec<Fault>),
}

/// What a handshake found out.
pub(crate) struct Shaken {
    pub(crate) stream: TlsStream<TcpStream>,
    pub(crate) h2: bool,
    /// The client's certificate as `Client-Cert` has it (RFC 9440).
    pub(crate) client_cert: Option<HeaderValue>,
}

/// What of the files that `plan` names would be refused or should be known, for a check that serves nothing. A file that is
/// not there is a warning: keys are often mounted only where the API runs.
pub fn check(plan: &Plan) -> Vec<Fault> {
    let Some(tls) = &plan.server.tls else {
        return Vec::new();
    };
    let mut faults = match files::read(tls, &files::Marks::of(plan)) {
        Ok(read) => read.warnings,
        Err(faults) => faults,
    };
    if tls.files().any(|path| !path.exists()) {
        for fault in &mut faults {
            fault.severity = Severity::Warning;
        }
    }
    faults
}

impl Certificates {
    /// Reads the files of a plan. Where `before` is of the same files it stays, and sessions can be resumed over the change.
    ///
    /// # Errors
    /// Faults of the files.
    pub(crate) fn open(plan: &Plan, before: Option<&Arc<Self>>) -> Result<Option<Arc<Self>>, Vec<Fault>> {
        let Some(tls) = &plan.server.tls else {
            return Ok(None);
        };
        let before = before.filter(|before| before.plan == *tls);
        if let Some(before) = before {
            return match before.read_anew(files::stamps(tls)) {
                Refreshed::Refused(faults) => Err(faults),
                Refreshed::Same | Refreshed::Taken(_) => Ok(Some(before.clone())),
            };
        }
        let marks = files::Marks::of(plan);
        let stamps = files::stamps(tls);
        let current =
            Current::of(tls, files::read(tls, &marks)?, None).map_err(|why| vec![marks.fault("tls", why)])?;
        Ok(Some(Arc::new(Self {
            plan: tls.clone(),
            marks,
            current: ArcSwap::from_pointee(current),
            looks: Mutex::new(Looks {
                read: stamps.clone(),
                last: stamps,
            }),
        })))
    }

    /// Looks whether files have changed, and uses what they hold now.
    pub fn refresh(&self) -> Refreshed {
        let stamps = files::stamps(&self.plan);
        let mut looks = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let at_rest = looks.last == stamps;
        looks.last.clone_from(&stamps);
        if !at_rest || looks.read == stamps {
            return Refreshed::Same;
        }
        drop(looks);
        self.read_anew(stamps)
    }

    fn read_anew(&self, stamps: Vec<Stamp>) -> Refreshed {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner).read = stamps;
        let before = self.current.load_full();
        let read = match files::read(&self.plan, &self.marks) {
            Ok(read) => read,
            Err(faults) => return Refreshed::Refused(faults),
        };
        match Current::of(&self.plan, read, Some(&before)) {
            Ok(current) => {
                let warnings = current.warnings.clone();
                self.current.store(Arc::new(current));
                Refreshed::Taken(warnings)
            }
            Err(why) => Refreshed::Refused(vec![self.marks.fault("tls", why)]),
        }
    }

    /// What should be known of the certificates in use: one that has ended.
    pub fn warnings(&self) -> Vec<Fault> {
        self.current.load().warnings.clone()
    }

    /// Shakes hands. A client that takes too long is left.
    pub(crate) fn accept(&self, stream: TcpStream) -> impl Future<Output = io::Result<Shaken>> + use<> {
        let acceptor = TlsAcceptor::from(self.current.load().config.clone());
        let within: Duration = self.plan.handshake_timeout;
        async move {
            let shaking = acceptor.accept_with(stream, |tls| tls.set_buffer_limit(Some(BUFFER_BYTES_MAX)));
            let stream = tokio::time::timeout(within, shaking).await??;
            let (_, tls) = stream.get_ref();
            let h2 = tls.alpn_protocol() == Some(H2);
            let client_cert = tls
                .peer_certificates()
                .and_then(<[_]>::first)
                .and_then(|der| HeaderValue::try_from(format!(":{}:", STANDARD.encode(der))).ok());
            Ok(Shaken {
                stream,
                h2,
                client_cert,
            })
        }
    }
}

impl Current {
    fn of(tls: &plan::Tls, read: Read, before: Option<&Self>) -> Result<Self, String> {
        let builder = ServerConfig::builder_with_provider(Arc::new(crypto::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?;
        let builder = match &tls.clients {
            None => builder.with_no_client_auth(),
            Some(clients) => builder.with_client_cert_verifier(verifier(&read, clients.required)?),
        };
        let authorities: Vec<Vec<u8>> = read.authorities.iter().map(|der| der.to_vec()).collect();
        // A session that is resumed is not asked for its certificate again, so other authorities end all sessions.
        let tickets = match before.filter(|before| before.authorities == authorities) {
            Some(before) => before.tickets.clone(),
            None => crypto::Ticketer::new().map_err(|e| e.to_string())?,
        };
        let mut config = builder.with_cert_resolver(Arc::new(read.names));
        config.alpn_protocols = vec![H2.to_vec(), HTTP11.to_vec()];
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.ticketer = tickets.clone();
        // One is enough for a client that opens connections one after the other.
        config.send_tls13_tickets = 1;
        Ok(Self {
            config: Arc::new(config),
            tickets,
            authorities,
            warnings: read.warnings,
        })
    }
}

fn verifier(read: &Read, required: bool) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for authority in &read.authorities {
        roots.add(authority.clone()).map_err(|e| e.to_string())?;
    }
    let provider = Arc::new(crypto::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if required {
        builder
    } else {
        builder.allow_unauthenticated()
    };
    builder.build().map_err(|e| e.to_string())
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates")
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}
