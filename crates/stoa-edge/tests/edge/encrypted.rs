//! Services over https: what is believed, what is shown, and what is never sent in the clear.

use crate::support::{Backend, Client, Served, gateway, get, plan, serve, service, until};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use stoa_config::plan as file;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        RootCertStore, ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
        server::WebPkiClientVerifier,
    },
};

/// An authority and the files that it issues.
struct Authority {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { folder, issuer }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Files `NAME.pem` and `NAME-key.pem` for a host or a client.
    fn issue(&self, name: &str, host: &str) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.file(&format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(self.file(&format!("{name}-key.pem")), key.serialize_pem()).unwrap();
    }

    fn acceptor(&self, name: &str, clients: bool) -> TlsAcceptor {
        let chain = CertificateDer::pem_file_iter(self.file(&format!("{name}.pem"))).unwrap();
        let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
        let key = PrivateKeyDer::from_pem_file(self.file(&format!("{name}-key.pem"))).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = if clients {
            let mut roots = RootCertStore::empty();
            roots
                .add(CertificateDer::from_pem_file(self.file("ca.pem")).unwrap())
                .unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        TlsAcceptor::from(Arc::new(config))
    }

    /// A service that answers with the protocol that was agreed on and the request's head.
    async fn serve(&self, name: &str, clients: bool) -> SocketAddr {
        let acceptor = self.acceptor(name, clients);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let agreed = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
                    let mut space = vec![0; 16 * 1024];
                    while let Ok(read @ 1..) = stream.read(&mut space).await {
                        let agreed = String::from_utf8(agreed.clone().unwrap_or_default()).unwrap();
                        let body = format!("{agreed}\n{}", String::from_utf8_lossy(&space[..read]));
                        let reply =
                            format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
                        if stream.write_all(reply.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }
}

/// A service at an https address, called `localhost` where `named`.
fn https(at: SocketAddr, named: bool, tls: Option<file::ServiceTls>) -> file::Service {
    let mut one = service("backend", &[at], &["/**"]);
    one.endpoints[0].tls = true;
    if named {
        one.endpoints[0].host = file::Host::Name("localhost".to_owned());
    }
    one.upstream.tls = tls;
    one
}

fn by(authority: &Authority) -> file::ServiceTls {
    file::ServiceTls {
        ca: Some(authority.file("ca.pem")),
        ..file::ServiceTls::default()
    }
}

async fn refusal(served: &Served) -> String {
    let reply = served.ask(get("/")).await;
    assert_eq!(reply.status, 502, "{}", reply.text());
    reply.json()["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_certificate_of_the_files_authority_is_believed() {
    let authority = Authority::new();
    authority.issue("server", "localhost");
    let at = authority.serve("server", false).await;
    let served = serve(plan(vec![https(at, true, Some(by(&authority)))]));
    let mut client = served.connect().await;
    for _ in 0..3 {
        client.send(get("/a?b=c")).await;
        let reply = client.reply().await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        assert!(
            reply.text().starts_with("http/1.1\nGET /a?b=c HTTP/1.1\r\n"),
            "{}",
            reply.text()
        );
        assert!(reply.text().contains(&format!("host: localhost:{}", at.port())));
    }
}

#[tokio::test]
async fn what_is_not_trusted_gets_nothing() {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.issue("server", "localhost");
    let at = authority.serve("server", false).await;
    let untrusted = "service `backend` shows a certificate that is not trusted";
    // Of another authority, and by those of the system.
    for tls in [Some(by(&other)), None] {
        let served = serve(plan(vec![https(at, true, tls)]));
        assert_eq!(refusal(&served).await, untrusted);
    }
    // For another name: the address is not what the certificate is for.
    let served = serve(plan(vec![https(at, false, Some(by(&authority)))]));
    assert_eq!(refusal(&served).await, untrusted);
    let mut named = by(&authority);
    named.server_name = Some("localhost".to_owned());
    let served = serve(plan(vec![https(at, false, Some(named))]));
    assert_eq!(served.ask(get("/")).await.status, 200);
}

#[tokio::test]
async fn a_service_that_speaks_no_tls_is_named_and_told_nothing() {
    let authority = Authority::new();
    let plain = Backend::script(|mut client: Client, own| async move {
        client.more().await;
        own.keep(String::from_utf8_lossy(&client.rest).into_owned());
        client.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    })
    .await;
    let served = serve(plan(vec![https(plain.address, true, Some(by(&authority)))]));
    assert_eq!(refusal(&served).await, "service `backend` does not agree on TLS");
    until(|| !plain.seen().is_empty()).await;
    assert!(
        plain.seen().iter().all(|seen| !seen.contains("GET ")),
        "{:?}",
        plain.seen()
    );
}

#[tokio::test]
async fn a_certificate_of_our_own_is_shown_where_one_is_asked_for() {
    let authority = Authority::new();
    authority.issue("server", "localhost");
    authority.issue("client", "stoa.internal");
    let at = authority.serve("server", true).await;
    let served = serve(plan(vec![https(at, true, Some(by(&authority)))]));
    assert_eq!(served.ask(get("/")).await.status, 502);
    let mut own = by(&authority);
    own.identity = Some((authority.file("client.pem"), authority.file("client-key.pem")));
    let served = serve(plan(vec![https(at, true, Some(own))]));
    assert_eq!(served.ask(get("/")).await.status, 200);
}

#[tokio::test]
async fn a_reload_reads_the_files_again() {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.issue("server", "localhost");
    let at = authority.serve("server", false).await;
    let file_of_both = other.file("both.pem");
    fs::copy(other.file("ca.pem"), &file_of_both).unwrap();
    let mut tls = by(&other);
    tls.ca = Some(file_of_both.clone());
    let mut one = https(at, true, Some(tls));
    one.timeouts.connect = Duration::from_secs(5);
    let written = plan(vec![one]);
    let served = serve(written.clone());
    let first = gateway(written.clone(), &served.lines, None);
    served.edge.swap(first.clone());
    assert_eq!(served.ask(get("/")).await.status, 502);
    fs::copy(authority.file("ca.pem"), &file_of_both).unwrap();
    served.edge.swap(gateway(written, &served.lines, Some(&first)));
    assert_eq!(served.ask(get("/")).await.status, 200);
}

#[tokio::test]
async fn files_that_cannot_be_used_are_a_fault_that_names_the_service() {
    let authority = Authority::new();
    authority.issue("client", "stoa.internal");
    authority.issue("other", "stoa.internal");
    fs::write(authority.file("empty.pem"), "nothing\n").unwrap();
    let at = SocketAddr::from(([127, 0, 0, 1], 9));
    let with = |change: &dyn Fn(&mut file::ServiceTls)| {
        let mut tls = by(&authority);
        change(&mut tls);
        Some(tls)
    };
    for (tls, word) in [
        (
            with(&|t| t.ca = Some(PathBuf::from("/nowhere/ca.pem"))),
            "`ca` /nowhere/ca.pem",
        ),
        (
            with(&|t| t.ca = Some(authority.file("empty.pem"))),
            "holds no certificate",
        ),
        (
            with(&|t| t.identity = Some((authority.file("client.pem"), authority.file("other-key.pem")))),
            "`key`",
        ),
    ] {
        let parts = stoa_edge::Parts {
            resources: std::collections::HashMap::new(),
            rest: None,
            documents: Vec::new(),
            observer: Arc::new(crate::support::Lines::default()),
            explain: false,
        };
        let built = stoa_edge::Gateway::build(&Arc::new(plan(vec![https(at, true, tls)])), parts, None);
        let faults = built.err().expect("the files cannot be used");
        assert_eq!(faults[0].code, "E0444");
        assert!(
            faults[0].message.contains("service `backend`") && faults[0].message.contains(word),
            "{}",
            faults[0].message
        );
    }
}
