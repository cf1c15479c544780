//! Plans, raw services, raw clients.

use std::{
    collections::HashMap,
    future::Future,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};
use stoa_config::plan::{self, Access, PathPattern, Plan, Rule, Segment};
use stoa_edge::{Edge, Gateway, Parts};
use stoa_exchange::{EndpointTurn, Handler, Observer, Record};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::timeout,
};

/// Nothing in these tests takes this long.
pub(crate) const LONG: Duration = Duration::from_secs(10);

/// The plan of a file.
pub(crate) fn load(text: &str) -> Plan {
    let options = stoa_config::Options {
        profile: None,
        profile_optional: true,
        env: &|_| None,
    };
    let loaded = stoa_config::load_text("stoa.yaml", text, std::path::Path::new("/nowhere"), &options);
    loaded.plan.unwrap_or_else(|| panic!("{:?}", loaded.faults))
}

/// A plan with these services, two workers, any port.
pub(crate) fn plan(services: Vec<plan::Service>) -> Plan {
    let mut plan = load("api: test\nservices: { placeholder: 'http://127.0.0.1:9' }\n");
    plan.server.http = SocketAddr::from(([127, 0, 0, 1], 0));
    plan.server.workers = Some(2);
    plan.services = services;
    plan
}

/// A service with routes as the file writes them, all public.
pub(crate) fn service(name: &str, endpoints: &[SocketAddr], routes: &[&str]) -> plan::Service {
    plan::Service {
        name: name.to_owned(),
        place: plan::Place::default(),
        endpoints: endpoints.iter().map(|a| endpoint(*a)).collect(),
        upstream: plan::Upstream::default(),
        balance: plan::Balance::RoundRobin,
        health: None,
        timeouts: plan::Timeouts::default(),
        retry: None,
        websocket: plan::WebSocket::default(),
        strip_prefix: false,
        routes: routes.iter().map(|r| route(r)).collect(),
    }
}

fn endpoint(address: SocketAddr) -> plan::Endpoint {
    plan::Endpoint {
        tls: false,
        host: plan::Host::Ip(address.ip()),
        port: address.port(),
        base_path: String::new(),
    }
}

pub(crate) fn route(text: &str) -> plan::Route {
    let (methods, path) = text.split_once(' ').unwrap_or(("", text));
    let mut segments: Vec<&str> = path.split('/').skip(1).collect();
    let rest = segments.last() == Some(&"**");
    if rest || path == "/" {
        segments.pop();
    }
    let segment = |s: &&str| match s.strip_prefix('{') {
        Some(name) => Segment::Param(name.trim_end_matches('}').to_owned()),
        None => Segment::Literal((*s).to_owned()),
    };
    plan::Route {
        display: text.into(),
        place: plan::Place::default(),
        host: None,
        methods: methods
            .split(',')
            .filter(|m| !m.is_empty())
            .map(|m| m.parse().unwrap())
            .collect(),
        path: PathPattern {
            segments: segments.iter().map(segment).collect(),
            rest,
        },
        access: Rule {
            access: Access::Public,
            written: true,
            place: plan::Place::default(),
        },
        limits: Vec::new(),
        cache: None,
        idempotency: None,
        body_bytes_max: None,
        timeouts: None,
        retry_always: false,
        cors: None,
        handling: plan::Handling::default(),
    }
}

/// What a record said.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) status: u16,
    pub(crate) path: String,
    pub(crate) version: http::Version,
    pub(crate) sent_bytes: u64,
    pub(crate) complete: bool,
    pub(crate) problem: Option<&'static str>,
}

#[derive(Default)]
pub(crate) struct Lines(Mutex<Vec<Line>>, Mutex<Vec<(String, bool)>>);

impl Lines {
    pub(crate) fn all(&self) -> Vec<Line> {
        self.0.lock().unwrap().clone()
    }

    /// Addresses that went out of use (`false`) and came back.
    pub(crate) fn turns(&self) -> Vec<(String, bool)> {
        self.1.lock().unwrap().clone()
    }

    /// The records once there are `count`.
    pub(crate) async fn wait(&self, count: usize) -> Vec<Line> {
        until(|| self.all().len() >= count).await;
        self.all()
    }
}

impl Observer for Lines {
    fn record(&self, record: &Record<'_>) {
        self.0.lock().unwrap().push(Line {
            status: record.status.as_u16(),
            path: record.path.to_owned(),
            version: record.version,
            sent_bytes: record.sent_bytes,
            complete: record.complete,
            problem: record.problem,
        });
    }

    fn endpoint(&self, turn: &EndpointTurn<'_>) {
        self.1
            .lock()
            .unwrap()
            .push((turn.endpoint.to_owned(), turn.in_use));
    }
}

/// Waits for a condition.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(LONG, waiting).await.expect("the condition comes true");
}

/// An edge that serves a plan.
pub(crate) struct Served {
    pub(crate) edge: Edge,
    pub(crate) lines: Arc<Lines>,
}

pub(crate) fn gateway(plan: Plan, lines: &Arc<Lines>, before: Option<&Gateway>) -> Arc<Gateway> {
    gateway_with(plan, lines, HashMap::new(), before)
}

pub(crate) fn gateway_with(
    plan: Plan,
    lines: &Arc<Lines>,
    resources: HashMap<String, Arc<dyn Handler>>,
    before: Option<&Gateway>,
) -> Arc<Gateway> {
    let parts = Parts {
        resources,
        rest: None,
        documents: Vec::new(),
        observer: lines.clone(),
        explain: true,
    };
    let built = Gateway::build(&Arc::new(plan), parts, before);
    Arc::new(
        built
            .map_err(|faults| format!("{faults:?}"))
            .expect("the plan is in order"),
    )
}

#[expect(clippy::needless_pass_by_value, reason = "every caller makes one for this")]
pub(crate) fn serve(plan: Plan) -> Served {
    let lines = Arc::new(Lines::default());
    let gateway = gateway(plan.clone(), &lines, None);
    let edge = Edge::start(&plan, gateway).expect("a port is free");
    Served { edge, lines }
}

/// Everything goes to one service.
pub(crate) fn serve_all(to: SocketAddr) -> Served {
    serve(plan(vec![service("backend", &[to], &["/**"])]))
}

impl Served {
    pub(crate) async fn connect(&self) -> Client {
        Client {
            stream: TcpStream::connect(self.edge.address()).await.unwrap(),
            rest: Vec::new(),
        }
    }

    /// One request on a connection of its own.
    pub(crate) async fn ask(&self, request: impl AsRef<[u8]>) -> Reply {
        let mut client = self.connect().await;
        client.send(request).await;
        client.reply().await
    }
}

/// A raw client.
pub(crate) struct Client<S = TcpStream> {
    pub(crate) stream: S,
    pub(crate) rest: Vec<u8>,
}

/// A reply as it came.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    /// Whether the body reached the end that its head announced.
    pub(crate) whole: bool,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        field(&self.head, name)
    }
}

pub(crate) fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        timeout(LONG, self.stream.write_all(bytes.as_ref()))
            .await
            .expect("is read")
            .expect("is sent");
    }

    /// Reads until `needle` has come; what came up to its end.
    pub(crate) async fn until(&mut self, needle: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = find(&self.rest, needle) {
                let rest = self.rest.split_off(at + needle.len());
                return std::mem::replace(&mut self.rest, rest);
            }
            assert!(
                self.more().await,
                "ended before {:?}: {:?}",
                text(needle),
                text(&self.rest)
            );
        }
    }

    /// Reads on; whether anything came.
    pub(crate) async fn more(&mut self) -> bool {
        let mut space = vec![0; 16 * 1024];
        match timeout(LONG, self.stream.read(&mut space))
            .await
            .expect("something comes or it ends")
        {
            Ok(0) | Err(_) => false,
            Ok(n) => {
                self.rest.extend_from_slice(&space[..n]);
                true
            }
        }
    }

    /// Whether the other side closes, with nothing more said.
    pub(crate) async fn closes(&mut self) -> bool {
        self.rest.is_empty() && !self.more().await
    }

    pub(crate) async fn reply(&mut self) -> Reply {
        self.reply_to("GET").await
    }

    pub(crate) async fn reply_to(&mut self, method: &str) -> Reply {
        let head = text(&self.until(b"\r\n\r\n").await);
        let status = head[9..12].parse().unwrap();
        let mut reply = Reply {
            status,
            body: Vec::new(),
            whole: true,
            head,
        };
        if method == "HEAD" || matches!(status, 100..=199 | 204 | 304) {
            return reply;
        }
        if reply.field("transfer-encoding") == Some("chunked") {
            (reply.body, reply.whole) = self.chunks().await;
        } else if let Some(length) = reply.field("content-length").map(|l| l.parse::<usize>().unwrap()) {
            while self.rest.len() < length && self.more().await {}
            reply.whole = self.rest.len() >= length;
            let rest = self.rest.split_off(length.min(self.rest.len()));
            reply.body = std::mem::replace(&mut self.rest, rest);
        } else {
            while self.more().await {}
            reply.body = std::mem::take(&mut self.rest);
        }
        reply
    }

    /// A chunked body, trailers as they stand behind it.
    async fn chunks(&mut self) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        loop {
            while find(&self.rest, b"\r\n").is_none() {
                if !self.more().await {
                    return (body, false);
                }
            }
            let line = self.until(b"\r\n").await;
            let size = usize::from_str_radix(text(&line).trim(), 16).expect("a chunk size");
            if size == 0 {
                let mut trailers = b"\r\n".to_vec();
                while !trailers.ends_with(b"\r\n\r\n") {
                    trailers.extend(self.until(b"\r\n").await);
                }
                body.extend_from_slice(&trailers[2..trailers.len() - 2]);
                return (body, true);
            }
            while self.rest.len() < size + 2 {
                if !self.more().await {
                    return (body, false);
                }
            }
            let rest = self.rest.split_off(size + 2);
            body.extend_from_slice(&self.rest[..size]);
            self.rest = rest;
        }
    }
}

pub(crate) fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, needle)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(crate) fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: api.test\r\n\r\n")
}

/// A service that keeps what it got.
#[derive(Clone)]
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
    connections: Arc<std::sync::atomic::AtomicUsize>,
}

impl Backend {
    /// Requests as they came: head and body.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Runs `script` on every connection.
    pub(crate) async fn script<F, W>(script: F) -> Self
    where
        F: Fn(Client, Self) -> W + Send + Sync + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((IpAddr::V4(Ipv4Addr::LOCALHOST), 0))
            .await
            .unwrap();
        Self::on(listener, script)
    }

    /// As [`Self::script`], on this listener.
    pub(crate) fn on<F, W>(listener: TcpListener, script: F) -> Self
    where
        F: Fn(Client, Self) -> W + Send + Sync + 'static,
        W: Future<Output = ()> + Send + 'static,
    {
        let backend = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            connections: Arc::default(),
        };
        let own = backend.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                own.connections.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                tokio::spawn(script(
                    Client {
                        stream,
                        rest: Vec::new(),
                    },
                    own.clone(),
                ));
            }
        });
        backend
    }

    /// Answers every request with these bytes.
    pub(crate) async fn says(reply: impl Into<Vec<u8>>) -> Self {
        let reply = reply.into();
        Self::script(move |mut client, own| {
            let reply = reply.clone();
            async move {
                while let Some(request) = client.request().await {
                    own.keep(request);
                    if client.stream.write_all(&reply).await.is_err() {
                        return;
                    }
                }
            }
        })
        .await
    }

    /// Answers 200 with the request as it came.
    pub(crate) async fn echo() -> Self {
        Self::script(|mut client, own| async move {
            while let Some(request) = client.request().await {
                own.keep(request.clone());
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", request.len());
                if client
                    .stream
                    .write_all((head + &request).as_bytes())
                    .await
                    .is_err()
                {
                    return;
                }
            }
        })
        .await
    }

    pub(crate) fn keep(&self, request: String) {
        self.seen.lock().unwrap().push(request);
    }
}

impl Client {
    /// A whole request as a service sees it; `None` at the end of the connection.
    pub(crate) async fn request(&mut self) -> Option<String> {
        let head = loop {
            if let Some(at) = find(&self.rest, b"\r\n\r\n") {
                let rest = self.rest.split_off(at + 4);
                break text(&std::mem::replace(&mut self.rest, rest));
            }
            let mut space = vec![0; 16 * 1024];
            match self.stream.read(&mut space).await {
                Ok(0) | Err(_) => return None,
                Ok(n) => self.rest.extend_from_slice(&space[..n]),
            }
        };
        let body = if field(&head, "transfer-encoding").is_some() {
            let (body, whole) = self.chunks().await;
            if !whole {
                return None;
            }
            body
        } else {
            let length = field(&head, "content-length").map_or(0, |l| l.parse().unwrap());
            while self.rest.len() < length {
                if !self.more().await {
                    return None;
                }
            }
            let rest = self.rest.split_off(length);
            std::mem::replace(&mut self.rest, rest)
        };
        Some(head + &text(&body))
    }
}
