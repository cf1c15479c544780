//! A gateway: the routes, policies and targets of one plan, compiled. It never changes.

use crate::{
    Parts, answer, explain,
    intake::Pace,
    listen::{connection::Arrived, guard::Waits, head::Bounds, tls::Certificates},
    policy::{
        admission::Admission,
        auth::{self, Auth},
        edit::{Fields, RequestEdit},
        mirror::Mirror,
        shed::{Limiter, Limiters, Shed, pressure::Pressure},
        validate::Validate,
    },
    record::Done,
    route::{
        path,
        table::{Found, Table},
    },
    target::{
        Target,
        own::Own,
        split::{Opened, Split},
        upstream::{Service, load::Moment, pool::Endpoints},
    },
    upkeep::{EndpointView, ServiceView},
};
use http::{HeaderMap, HeaderValue, Method, header, request};
use ipnet::IpNet;
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};
use stoa_config::{
    fault::Fault,
    plan::{self, Access, Compress, Cors, FaultRule, IpRules, PathPattern, Plan, Priority, Segment},
};
use stoa_exchange::{
    Context, Handler, Observer, Problem, Reply, Request, RequestId, Trace, Trail, clock, codes,
};

/// Where resources are served to PostgREST clients.
pub(crate) const ALIAS: &str = "/rest/v1/";

/// The routes, policies and targets of one plan. Immutable.
pub struct Gateway {
    routes: Table<Arc<Route>>,
    auth: Auth,
    endpoints: Endpoints,
    limiters: Limiters,
    certificates: Option<Arc<Certificates>>,
    services: Vec<Arc<Service>>,
    observer: Arc<dyn Observer>,
    explain: bool,
    pub(crate) settings: Settings,
}

/// Bounds of a plan that hold for every request.
pub(crate) struct Settings {
    /// Name of the API, which is the realm of its callers.
    pub(crate) api: Arc<str>,
    pub(crate) trusted_proxies: Vec<IpNet>,
    pub(crate) ip: IpRules,
    /// Peers that say in front of a connection whose it is.
    pub(crate) proxy_protocol: Vec<IpNet>,
    pub(crate) bounds: Bounds,
    pub(crate) waits: Waits,
    /// Requests at once on one HTTP/2 connection.
    pub(crate) streams_max: u32,
    /// What the bodies of requests must keep up with.
    pub(crate) pace: Pace,
    /// For replies that no route gives: a page should be able to read why its request met nothing.
    pub(crate) cors: Option<Arc<Cors>>,
    /// How this process calls itself in `Via`; a request that names it has gone round.
    pub(crate) via: String,
    /// Of a request over HTTP/1 and over HTTP/2.
    pub(crate) via_fields: [HeaderValue; 2],
}

/// A route, with its policies and where it ends.
pub(crate) struct Route {
    /// As shown to people: a template.
    pub(crate) display: Arc<str>,
    pub(crate) methods: Vec<Method>,
    /// `None` where the target judges by itself or everybody may.
    pub(crate) access: Option<Access>,
    pub(crate) shed: Shed,
    pub(crate) cors: Option<Arc<Cors>>,
    pub(crate) body_bytes_max: u64,
    /// Whose requests are taken, and bodies of which kind.
    pub(crate) admission: Option<Box<Admission>>,
    /// Whether replies are compressed.
    pub(crate) compress: Compress,
    /// By what requests are judged.
    pub(crate) validate: Option<Arc<Validate>>,
    /// What goes wrong on purpose.
    pub(crate) fault: Option<Box<FaultRule>>,
    /// Who gets a copy.
    pub(crate) mirror: Option<Box<Mirror>>,
    /// What is changed of the request on its way to a service.
    pub(crate) edit: Option<Box<RequestEdit>>,
    /// What is changed of the reply's fields.
    pub(crate) reply_edit: Option<Arc<Fields>>,
    pub(crate) target: Target,
}

impl Route {
    /// A route that does nothing but end at its target.
    fn plain(display: Arc<str>, server: &plan::Server, target: Target) -> Self {
        Self {
            display,
            methods: Vec::new(),
            access: None,
            shed: Shed {
                priority: Priority::Normal,
                watched: server.overload.in_flight_min.is_some(),
                limiter: None,
            },
            cors: server.cors.clone().map(Arc::new),
            body_bytes_max: server.body_bytes_max,
            admission: None,
            compress: server.compress,
            validate: None,
            fault: None,
            mirror: None,
            edit: None,
            reply_edit: None,
            target,
        }
    }
}

/// One worker's place at a gateway, so that what workers count is not shared between them.
pub(crate) struct Seat {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) lane: Arc<Lane>,
    /// Number of the worker: which pool is its own.
    pub(crate) worker: usize,
}

/// What one worker counts.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    active: AtomicUsize,
    /// How late what is ready comes to its turn.
    pub(crate) pressure: Pressure,
}

impl Lane {
    /// A request or tunnel begins.
    pub(crate) fn enter(&self) {
        self.active.fetch_add(1, Relaxed);
    }

    /// It ended.
    pub(crate) fn leave(&self) {
        self.active.fetch_sub(1, Relaxed);
    }

    /// Requests and tunnels under way.
    pub(crate) fn active(&self) -> usize {
        self.active.load(Relaxed)
    }
}

/// Workers that a plan asks for.
pub(crate) fn workers(server: &plan::Server) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    server.workers.map_or_else(cores, usize::from).clamp(1, 1024)
}

impl Gateway {
    /// Builds the gateway of a plan: reads key files, compiles the route table. `before` is the gateway that it
    /// will replace: pools and limits whose identity is unchanged are carried over.
    ///
    /// # Errors
    /// Faults of files the plan names (keys that cannot be read or are refused, files for TLS to services).
    pub fn build(plan: &Arc<Plan>, parts: Parts, before: Option<&Gateway>) -> Result<Gateway, Vec<Fault>> {
        let auth = auth::open(&plan.auth, &plan.api);
        let certificates = Certificates::open(plan, before.and_then(|b| b.certificates.as_ref()));
        let (auth, certificates) = match (auth, certificates) {
            (Ok(auth), Ok(certificates)) => (auth, certificates),
            (auth, certificates) => {
                let faults = [auth.err(), certificates.err()];
                return Err(faults.into_iter().flatten().flatten().collect());
            }
        };
        let mut endpoints = Endpoints::new(workers(&plan.server));
        let mut limiters = Limiters::default();
        let mut opened = Vec::with_capacity(plan.services.len());
        let mut faults = Vec::new();
        for service in &plan.services {
            let target = Service::open(
                service,
                &plan.auth,
                &mut endpoints,
                before.map(|b| &b.endpoints),
                &parts.observer,
            );
            match target {
                Ok(target) => opened.push(Opened {
                    plan: service,
                    service: Arc::new(target),
                    limiter: limiters.get(&service.name, plan.server.overload, before.map(|b| &b.limiters)),
                }),
                Err(fault) => faults.push(fault),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut routes = Table::default();
        for own in &opened {
            add_service(&mut routes, &plan.server, own, &opened);
        }
        for route in &plan.routes {
            let Some(answer) = &route.handling.answer else {
                continue;
            };
            let target = Target::Own(Own::of(answer));
            add(&mut routes, route, compiled(&plan.server, route, target, None));
        }
        for resource in &plan.resources {
            if let Some(handler) = parts.resources.get(&resource.name) {
                add_resource(&mut routes, &plan.server, &resource.name, handler);
            }
        }
        if let Some(handler) = &parts.rest {
            add_rest(&mut routes, plan, handler);
        }
        for (path, handler) in &parts.documents {
            add_document(&mut routes, &plan.server, path, handler);
        }
        let settings = Settings::of(plan, before);
        Ok(Gateway {
            routes,
            auth,
            endpoints,
            limiters,
            certificates,
            services: opened.into_iter().map(|own| own.service).collect(),
            observer: parts.observer,
            explain: parts.explain,
            settings,
        })
    }

    /// Which route and policies a request would meet, in words, without sending it (`stoa route`).
    pub fn explain_route(&self, request: &request::Parts) -> Value {
        let host = request
            .headers
            .get(header::HOST)
            .and_then(|h| h.to_str().ok())
            .unwrap_or_default();
        let found = path::canonical(request.uri.path())
            .map_err(|why| Problem::new(&codes::BAD_REQUEST, why))
            .and_then(|path| {
                self.route(&host.to_ascii_lowercase(), &request.method, &path)
                    .map(|r| (path, r))
            });
        match found {
            Err(problem) => json!({ "problem": problem.to_json(None) }),
            Ok((path, route)) => json!({
                "route": &*route.display,
                "path": path,
                "policies": explain::policies(route),
                "target": route.target.in_words(),
                "upstream": route.target.upstream_in_words(&request.method),
            }),
        }
    }

    /// Answers one request in this process, without a listener: what tests and `stoa test` use.
    pub async fn answer(self: &Arc<Self>, request: Request) -> Reply {
        let seat = Arc::new(Seat {
            gateway: self.clone(),
            lane: Arc::default(),
            worker: 0,
        });
        let arrived = Arrived::plain(SocketAddr::from(([127, 0, 0, 1], 0)));
        let context = self.context(&arrived, request.headers());
        let (parts, body) = request.into_parts();
        let done = Done::new(seat, None, context, parts);
        let (parts, body) = answer::exchange(done, body).await.into_parts();
        Reply::from_parts(parts, stoa_exchange::Body::stream(body))
    }

    /// The route of a request, or why there is none.
    pub(crate) fn route(&self, host: &str, method: &Method, path: &str) -> Result<&Route, Problem> {
        match self.routes.find(host, method, path) {
            Found::Route(route) => Ok(route),
            Found::Methods(allowed) => {
                let list = allowed.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
                let detail = format!("{method} is not served at `{path}`, which serves {list}");
                Err(Problem::new(&codes::METHOD_NOT_ALLOWED, detail).header(header::ALLOW, list))
            }
            Found::Nothing => {
                let near = self.routes.near(path);
                let mut problem = Problem::new(&codes::NOT_FOUND, format!("nothing is served at `{path}`"));
                problem.hint = near.map(|near| format!("did you mean `{near}`?"));
                Err(problem)
            }
        }
    }

    /// What is known of a request before it is looked at.
    pub(crate) fn context(&self, arrived: &Arrived, headers: &HeaderMap) -> Context {
        use crate::headers::{EXPLAIN, REQUEST_ID, TRACEPARENT, forwarded, text};
        let client = forwarded::client(
            arrived.peer,
            arrived.scheme,
            &self.settings.trusted_proxies,
            headers,
        );
        let explain = self.explain && text(headers, &EXPLAIN) == Some("1");
        Context {
            request_id: text(headers, &REQUEST_ID)
                .and_then(RequestId::accept)
                .unwrap_or_else(RequestId::generate),
            trace: text(headers, &TRACEPARENT)
                .and_then(Trace::accept)
                .unwrap_or_else(Trace::generate),
            peer: arrived.peer,
            client: client.address,
            scheme: client.scheme,
            host: client.host,
            identity: stoa_exchange::Identity::Anonymous,
            credentials: false,
            route: None,
            started: clock::now(),
            deadline: None,
            body_bytes_max: 0,
            trail: if explain { Trail::on() } else { Trail::off() },
        }
    }

    /// The certificates of the listener, where it speaks TLS.
    pub fn certificates(&self) -> Option<&Arc<Certificates>> {
        self.certificates.as_ref()
    }

    pub(crate) fn auth(&self) -> &Auth {
        &self.auth
    }

    pub(crate) fn observer(&self) -> &dyn Observer {
        &*self.observer
    }

    /// Looks at the endpoints of its services, beside the requests.
    pub(crate) fn look(&self) {
        let now = Moment::now();
        for service in &self.services {
            service.look(now);
        }
    }

    /// What is known of the endpoints of its services.
    pub(crate) fn endpoints(&self) -> Vec<EndpointView> {
        self.services.iter().flat_map(|service| service.view()).collect()
    }

    /// What is known of its services.
    pub(crate) fn services(&self) -> Vec<ServiceView> {
        self.services.iter().map(|service| service.summary()).collect()
    }

    /// Closes what has rested too long in the pools of a worker.
    pub(crate) fn sweep(&self, worker: usize) {
        self.endpoints.sweep(worker);
    }
}

impl Settings {
    fn of(plan: &Plan, before: Option<&Gateway>) -> Self {
        const TARGET_BYTES_MOST: usize = 60_000; // the library's own bound is a little above
        let server = &plan.server;
        let via = before.map_or_else(
            || format!("stoa-{}", &RequestId::generate().as_str()[..12]),
            |before| before.settings.via.clone(),
        );
        Self {
            api: plan.api.as_str().into(),
            trusted_proxies: server.trusted_proxies.clone(),
            ip: server.ip.clone(),
            proxy_protocol: server.proxy_protocol.clone(),
            bounds: Bounds {
                head_bytes_max: server.header_bytes_max as usize,
                fields_max: usize::from(server.headers_max),
                target_bytes_max: (server.uri_bytes_max as usize).min(TARGET_BYTES_MOST),
            },
            waits: Waits {
                head: server.header_timeout,
                idle: server.idle_timeout,
                write: server.reply_timeout,
            },
            streams_max: u32::from(server.streams_max),
            pace: Pace {
                wait: server.body_timeout,
                bytes_a_second_min: server.body_bytes_a_second_min,
            },
            cors: server.cors.clone().map(Arc::new),
            via_fields: ["1.1", "2.0"].map(|version| crate::headers::value(format!("{version} {via}"))),
            via,
        }
    }
}

fn add_service(routes: &mut Table<Arc<Route>>, server: &plan::Server, own: &Opened<'_>, all: &[Opened<'_>]) {
    let document = own.plan.routes.iter().find_map(|r| r.handling.openapi.as_ref());
    let validate = document.map(|document| Arc::new(Validate::of(document)));
    for route in &own.plan.routes {
        let (target, limiter) = if let Some(split) = &route.handling.split {
            // Each of its services has its own limit.
            (Target::Split(Box::new(Split::of(split, own, route, all))), None)
        } else {
            let timeouts = route.timeouts.unwrap_or(own.plan.timeouts);
            (
                Target::Service(own.service.clone(), timeouts, route.retry_always),
                own.limiter.clone(),
            )
        };
        let mut compiled = compiled(server, route, target, limiter);
        compiled.validate = validate.clone().filter(|_| route.handling.openapi.is_some());
        let mirror = route.handling.mirror.as_ref();
        compiled.mirror = mirror.and_then(|mirror| {
            let other = all.iter().find(|o| o.plan.name == mirror.service)?;
            let (service, timeouts) = (other.service.clone(), other.plan.timeouts);
            Some(Box::new(Mirror::of(
                mirror,
                service,
                timeouts,
                other.limiter.clone(),
            )))
        });
        add(routes, route, compiled);
    }
}

fn add(routes: &mut Table<Arc<Route>>, route: &plan::Route, compiled: Route) {
    let host = route.host.as_deref();
    routes.add(host, &route.methods, &route.path, Arc::new(compiled));
}

/// A route of the file; one of a service may answer by itself all the same.
fn compiled(
    server: &plan::Server,
    route: &plan::Route,
    target: Target,
    limiter: Option<Arc<Limiter>>,
) -> Route {
    let handling = &route.handling;
    let own = handling.answer.as_ref();
    let (target, limiter) = match own {
        Some(answer) => (Target::Own(Own::of(answer)), None),
        None => (target, limiter),
    };
    let fields = &handling.reply_fields;
    Route {
        methods: route.methods.clone(),
        access: Some(route.access.access.clone()),
        cors: route
            .cors
            .as_ref()
            .or(server.cors.as_ref())
            .map(|c| Arc::new(c.clone())),
        body_bytes_max: route.body_bytes_max.unwrap_or(server.body_bytes_max),
        shed: Shed {
            priority: handling.priority,
            watched: server.overload.in_flight_min.is_some(),
            limiter,
        },
        admission: Admission::of(handling),
        compress: handling.compress.unwrap_or(server.compress),
        fault: handling.fault.clone().map(Box::new),
        edit: RequestEdit::of(handling),
        reply_edit: (!fields.is_empty()).then(|| Arc::new(Fields::of(fields))),
        ..Route::plain(route.display.clone(), server, target)
    }
}

fn add_resource(
    routes: &mut Table<Arc<Route>>,
    server: &plan::Server,
    name: &str,
    handler: &Arc<dyn Handler>,
) {
    let literal = |text: &str| Segment::Literal(text.to_owned());
    let whole = vec![literal(name)];
    let one = vec![literal(name), Segment::Param("id".to_owned())];
    let alias = vec![literal("rest"), literal("v1"), literal(name)];
    for segments in [whole, one, alias] {
        add_own(routes, server, segments, false, handler);
    }
}

/// What else is below the alias: other schemas, functions, the document at its root, and what is not there.
fn add_rest(routes: &mut Table<Arc<Route>>, plan: &Plan, handler: &Arc<dyn Handler>) {
    let literal = |text: &str| Segment::Literal(text.to_owned());
    let all = vec![literal("rest"), literal("v1")];
    add_own(routes, &plan.server, all, true, handler);
    for function in &plan.functions {
        let native = vec![literal("rpc"), literal(&function.name)];
        let alias = vec![
            literal("rest"),
            literal("v1"),
            literal("rpc"),
            literal(&function.name),
        ];
        for segments in [native, alias] {
            add_own(routes, &plan.server, segments, false, handler);
        }
    }
}

/// A route of the data half, which judges access itself.
fn add_own(
    routes: &mut Table<Arc<Route>>,
    server: &plan::Server,
    segments: Vec<Segment>,
    rest: bool,
    handler: &Arc<dyn Handler>,
) {
    let pattern = PathPattern { segments, rest };
    let target = Target::Resource(handler.clone());
    let route = Route::plain(pattern.to_string().into(), server, target);
    routes.add(None, &[], &pattern, Arc::new(route));
}

fn add_document(
    routes: &mut Table<Arc<Route>>,
    server: &plan::Server,
    path: &str,
    handler: &Arc<dyn Handler>,
) {
    let rest = path.len() > 1 && path.ends_with('/');
    let segments = path.split('/').filter(|s| !s.is_empty());
    let pattern = PathPattern {
        segments: segments.map(|s| Segment::Literal(s.to_owned())).collect(),
        rest,
    };
    let methods = vec![Method::GET, Method::HEAD];
    let target = Target::Document(handler.clone());
    let route = Route {
        methods: methods.clone(),
        access: Some(Access::Public),
        ..Route::plain(pattern.to_string().into(), server, target)
    };
    routes.add(None, &methods, &pattern, Arc::new(route));
}
