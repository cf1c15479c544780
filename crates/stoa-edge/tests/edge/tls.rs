//! TLS between clients and the edge.

use crate::support::{Backend, Client, Lines, Served, gateway, get, plan, serve, service, until};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use stoa_config::plan::{self, Plan};
use stoa_edge::{Gateway, Refreshed};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion,
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
        version,
    },
};

/// An authority of a test.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    /// A certificate for these names and its key, in PEM.
    pub(crate) fn issue(&self, names: &[&str]) -> (String, String) {
        self.issue_with(names, |_| {})
    }

    pub(crate) fn issue_with(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> (String, String) {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(self.pem.as_bytes()).unwrap())
            .unwrap();
        roots
    }

    /// What a client that believes this authority has.
    pub(crate) fn client(&self) -> ClientConfig {
        self.client_of(&[&version::TLS13, &version::TLS12])
    }

    fn client_of(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(self.roots())
            .with_no_client_auth()
    }

    fn client_with(&self, (cert, key): &(String, String)) -> ClientConfig {
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let chain = vec![CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(self.roots())
            .with_client_auth_cert(chain, key)
            .unwrap()
    }
}

/// A folder with certificates.
pub(crate) struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a file in the place of another one, as tools that renew certificates do.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let (path, beside) = (self.path(name), self.path("beside"));
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(&beside, &path).unwrap();
        path
    }

    pub(crate) fn pair(&self, name: &str, (cert, key): &(String, String)) -> plan::Certificate {
        plan::Certificate {
            cert: self.write(&format!("{name}.pem"), cert),
            key: self.write(&format!("{name}.key"), key),
        }
    }
}

pub(crate) fn tls(certificates: Vec<plan::Certificate>) -> plan::Tls {
    plan::Tls {
        certificates,
        clients: None,
        handshake_timeout: Duration::from_secs(10),
    }
}

/// A plan with one service that is served over TLS.
pub(crate) fn plan_over(tls: plan::Tls, backend: &Backend) -> Plan {
    let mut plan = plan(vec![service("backend", &[backend.address], &["/**"])]);
    plan.server.tls = Some(tls);
    plan
}

pub(crate) async fn shake(
    served: &Served,
    config: &Arc<ClientConfig>,
    name: &str,
) -> std::io::Result<Client<TlsStream<TcpStream>>> {
    let socket = TcpStream::connect(served.edge.address()).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let stream = TlsConnector::from(config.clone()).connect(name, socket).await?;
    Ok(Client {
        stream,
        rest: Vec::new(),
    })
}

fn leaf(client: &Client<TlsStream<TcpStream>>) -> CertificateDer<'static> {
    let (_, tls) = client.stream.get_ref();
    tls.peer_certificates().unwrap()[0].clone().into_owned()
}

fn der((cert, _): &(String, String)) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(cert.as_bytes()).unwrap()
}

/// Files that changed are taken at the second look.
fn refresh(gateway: &Gateway) -> Refreshed {
    let certificates = gateway.certificates().unwrap();
    match certificates.refresh() {
        Refreshed::Same => certificates.refresh(),
        other => other,
    }
}

#[tokio::test]
async fn the_api_is_served_over_both_versions_of_tls() {
    let (authority, files) = (Authority::new("a"), Files::new());
    let pair = files.pair("api", &authority.issue(&["api.test"]));
    let backend = Backend::echo().await;
    let served = serve(plan_over(tls(vec![pair]), &backend));
    for versions in [[&version::TLS13], [&version::TLS12]] {
        let config = Arc::new(authority.client_of(&versions));
        let mut client = shake(&served, &config, "api.test").await.unwrap();
        for _ in 0..2 {
            client.send(get("/a?b=c")).await;
            let seen = client.reply().await.text();
            assert!(seen.starts_with("GET /a?b=c HTTP/1.1\r\n"), "{seen}");
            assert!(seen.contains("\r\nx-forwarded-proto: https\r\n"), "{seen}");
            assert!(seen.contains("\r\nx-forwarded-port: 443\r\n"), "{seen}");
            assert!(seen.contains(";proto=https\r\n"), "{seen}");
        }
    }
}

#[tokio::test]
async fn what_the_guard_refuses_is_refused_over_tls() {
    let (authority, files) = (Authority::new("a"), Files::new());
    let pair = files.pair("api", &authority.issue(&["api.test"]));
    let backend = Backend::echo().await;
    let served = serve(plan_over(tls(vec![pair]), &backend));
    let config = Arc::new(authority.client());
    let shapes = [
        "GET / HTTP/1.1\nhost: api.test\n\n",
        "POST / HTTP/1.1\r\nhost: api.test\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: api.test\r\nx : y\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    for shape in shapes {
        let mut client = shake(&served, &config, "api.test").await.unwrap();
        client.send(shape).await;
        let reply = client.reply().await;
        assert!(matches!(reply.status, 400 | 505), "{shape:?}: {}", reply.head);
        assert!(client.closes().await, "{shape:?}");
    }
    assert!(backend.seen().is_empty(), "{:?}", backend.seen());
}

#[tokio::test]
async fn sessions_are_resumed() {
    let (authority, files) = (Authority::new("a"), Files::new());
    let pair = files.pair("api", &authority.issue(&["api.test"]));
    let backend = Backend::echo().await;
    let served = serve(plan_over(tls(vec![pair]), &backend));
    for versions in [[&version::TLS13], [&version::TLS12]] {
        let config = Arc::new(authority.client_of(&versions));
        let mut kinds = Vec::new();
        for _ in 0..3 {
            let mut client = shake(&served, &config, "api.test").await.unwrap();
            client.send(get("/")).await;
            assert_eq!(client.reply().await.status, 200);
            kinds.push(client.stream.get_ref().1.handshake_kind().unwrap());
        }
        assert_eq!(kinds[1..], [HandshakeKind::Resumed; 2], "{versions:?}");
    }
}

#[tokio::test]
async fn the_name_that_is_asked_for_chooses_the_certificate() {
    let (authority, files) = (Authority::new("a"), Files::new());
    let issued = [
        authority.issue(&["first.test"]),
        authority.issue(&["*.shop.test", "shop.test"]),
        authority.issue(&["pay.shop.test"]),
    ];
    let pairs = issued
        .iter()
        .enumerate()
        .map(|(n, pair)| files.pair(&n.to_string(), pair))
        .collect();
    let backend = Backend::echo().await;
    let served = serve(plan_over(tls(pairs), &backend));
    let config = Arc::new(authority.client());
    let cases = [
        ("first.test", 0),
        ("shop.test", 1),
        ("a.shop.test", 1),
        ("pay.shop.test", 2),
        ("PAY.shop.test", 2),
    ];
    for (name, which) in cases {
        let client = shake(&served, &config, name).await.unwrap();
        assert_eq!(leaf(&client), der(&issued[which]), "{name}");
    }
    // A wildcard is one label; what no certificate is for gets the first, which the client refuses.
    for name in ["a.b.shop.test", "other.test", "127.0.0.1"] {
        let error = shake(&served, &config, name).await.err().unwrap().to_string();
        assert!(error.contains("not valid for name"), "{name}: {error}");
    }
}

#[tokio::test]
async fn clients_show_certificates() {
    let (authority, people, strangers) = (Authority::new("a"), Authority::new("b"), Authority::new("c"));
    let files = Files::new();
    let pair = files.pair("api", &authority.issue(&["api.test"]));
    let ca = files.write("people.pem", &people.pem);
    let backend = Backend::echo().await;
    let asked = |required: bool| {
        let mut tls = tls(vec![pair.clone()]);
        let ca = ca.clone();
        tls.clients = Some(plan::Clients { ca, required });
        serve(plan_over(tls, &backend))
    };
    let own = people.issue(&["anna"]);
    let (known, unknown) = (
        Arc::new(authority.client_with(&own)),
        Arc::new(authority.client_with(&strangers.issue(&["eve"]))),
    );
    let nobody = Arc::new(authority.client());
    let ask = async |served: &Served, config: &Arc<ClientConfig>| {
        let mut client = shake(served, config, "api.test").await.ok()?;
        // What is forged never passes, in any writing.
        let forged = "GET / HTTP/1.1\r\nhost: api.test\r\nclient-cert: :Zm9yZ2Vk:\r\nClient_Cert: x\r\nclient-cert-chain: y\r\n\r\n";
        client.stream.write_all(forged.as_bytes()).await.ok()?;
        let mut seen = Vec::new();
        while !seen.windows(4).any(|w| w == b"\r\n\r\n") || seen.len() < 300 {
            let mut space = [0; 4096];
            match client.stream.read(&mut space).await {
                Ok(0) | Err(_) => return None,
                Ok(n) => seen.extend_from_slice(&space[..n]),
            }
        }
        let seen = String::from_utf8(seen).unwrap().to_ascii_lowercase();
        assert!(
            !seen.contains("zm9yz2vk") && !seen.contains("client_cert") && !seen.contains("-chain"),
            "{seen}"
        );
        Some(seen)
    };
    let (required, optional) = (asked(true), asked(false));
    for served in [&required, &optional] {
        let seen = ask(served, &known).await.expect("known");
        assert!(seen.contains("\r\nclient-cert: :mii"), "{seen}");
        assert!(ask(served, &unknown).await.is_none(), "a stranger's");
    }
    assert!(
        ask(&required, &nobody).await.is_none(),
        "none, and it is required"
    );
    let seen = ask(&optional, &nobody).await.expect("none, and it is optional");
    assert!(!seen.contains("client-cert"), "{seen}");
}

#[tokio::test]
async fn who_does_not_shake_hands_is_closed() {
    let (authority, files) = (Authority::new("a"), Files::new());
    let mut tls = tls(vec![files.pair("api", &authority.issue(&["api.test"]))]);
    tls.handshake_timeout = Duration::from_millis(200);
    let backend = Backend::echo().await;
    let served = serve(plan_over(tls, &backend));
    let mut silent = served.connect().await;
    // A byte now and then changes nothing.
    let mut slow = served.connect().await;
    let dripping = async {
        let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
        for byte in hello.iter().chain(std::iter::repeat(&0)) {
            if slow.stream.write_all(&[*byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (closed, _) = tokio::join!(silent.closes(), timeout(Duration::from_secs(10), dripping));
    assert!(closed);
    assert!(slow.stream.write_all(b"x").await.is_err() || slow.closes().await);
    // Plain HTTP on this port is no handshake.
    let mut plain = served.connect().await;
    plain.send(get("/")).await;
    while plain.more().await {}
    assert!(!plain.rest.starts_with(b"HTTP/"), "{:?}", plain.rest);
    let mut good = shake(&served, &Arc::new(authority.client()), "api.test")
        .await
        .unwrap();
    good.send(get("/")).await;
    assert_eq!(good.reply().await.status, 200);
}

/// Failure case 43.
#[tokio::test]
async fn certificates_are_changed_under_load_and_no_handshake_fails() {
    let (authority, files) = (Authority::new("a"), Files::new());
    let first = authority.issue(&["api.test"]);
    let pair = files.pair("api", &first);
    let backend = Backend::echo().await;
    let plan = plan_over(tls(vec![pair]), &backend);
    let lines = Arc::new(Lines::default());
    let gateway = gateway(plan.clone(), &lines, None);
    let edge = stoa_edge::Edge::start(&plan, gateway.clone()).unwrap();
    let served = Arc::new(Served { edge, lines });
    let config = Arc::new(authority.client());
    let mut old = shake(&served, &config, "api.test").await.unwrap();
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = Vec::new();
    for number in 0..8 {
        let (served, stop, done) = (served.clone(), stop.clone(), done.clone());
        // Half of them resume sessions.
        let mut config = authority.client();
        if number % 2 == 0 {
            config.resumption = tokio_rustls::rustls::client::Resumption::disabled();
        }
        let config = Arc::new(config);
        clients.push(tokio::spawn(async move {
            while !stop.load(Relaxed) {
                let mut client = shake(&served, &config, "api.test").await.expect("a handshake");
                client.send(get("/")).await;
                assert_eq!(client.reply().await.status, 200);
                done.fetch_add(1, Relaxed);
            }
        }));
    }
    let mut newest = first;
    for turn in 1..=10 {
        newest = authority.issue(&["api.test"]);
        files.write("api.pem", &newest.0);
        // Half a change is not taken.
        assert!(
            matches!(refresh(&gateway), Refreshed::Refused(_)),
            "only the certificate is new"
        );
        files.write("api.key", &newest.1);
        assert!(matches!(refresh(&gateway), Refreshed::Taken(_)));
        assert!(matches!(refresh(&gateway), Refreshed::Same));
        until(|| done.load(Relaxed) > turn * 8).await;
        let fresh = shake(&served, &config, "api.test").await.unwrap();
        assert_eq!(leaf(&fresh), der(&newest));
    }
    files.write("api.pem", "nothing");
    assert!(matches!(refresh(&gateway), Refreshed::Refused(_)));
    let client = shake(&served, &config, "api.test").await.unwrap();
    assert_eq!(leaf(&client), der(&newest));
    stop.store(true, Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    old.send(get("/")).await;
    assert_eq!(old.reply().await.status, 200, "a connection of before lives on");
}

#[tokio::test]
async fn a_drain_ends_handshakes_and_idle_connections() {
    let (authority, files) = (Authority::new("a"), Files::new());
    let pair = files.pair("api", &authority.issue(&["api.test"]));
    let backend = Backend::echo().await;
    let served = serve(plan_over(tls(vec![pair]), &backend));
    let config = Arc::new(authority.client());
    let mut idle = shake(&served, &config, "api.test").await.unwrap();
    idle.send(get("/")).await;
    assert_eq!(idle.reply().await.status, 200);
    let mut silent = served.connect().await;
    let drained = served.edge.drain(Duration::from_secs(8)).await;
    assert_eq!(drained.cut, 0);
    assert!(idle.closes().await && silent.closes().await);
}

/// A reload may switch TLS on, off, and to other files; connections of before stay as they are.
#[tokio::test]
async fn a_reload_changes_what_new_connections_speak() {
    let (authority, files) = (Authority::new("a"), Files::new());
    let pair = files.pair("api", &authority.issue(&["api.test"]));
    let backend = Backend::echo().await;
    let secure = plan_over(tls(vec![pair]), &backend);
    let mut plain = secure.clone();
    plain.server.tls = None;
    let lines = Arc::new(Lines::default());
    let before = gateway(plain.clone(), &lines, None);
    let edge = stoa_edge::Edge::start(&plain, before.clone()).unwrap();
    let served = Served { edge, lines };
    let mut old = served.connect().await;
    old.send(get("/")).await;
    assert_eq!(old.reply().await.status, 200);
    served.edge.swap(gateway(secure, &served.lines, Some(&before)));
    let mut new = shake(&served, &Arc::new(authority.client()), "api.test")
        .await
        .unwrap();
    new.send(get("/")).await;
    assert_eq!(new.reply().await.status, 200);
    old.send(get("/")).await;
    assert!(old.reply().await.text().contains("x-forwarded-proto: http\r\n"));
}
