//! The whole life of a request behind its listener. Start reading here.
//!
//! Policies stand in one fixed order; each line says why it stands there.

use crate::{
    gateway::{ALIAS, Route, Seat},
    headers::{self, EXPLAIN, REQUEST_ID, TRACEPARENT},
    intake::{self, Progress},
    policy::{access, admission, compress::Wish, cors, edit::ReplyEdit, fault},
    record::{Done, Outgoing},
    route::path,
};
use futures_util::FutureExt;
use http::{HeaderValue, Method, StatusCode, Version, header, request, uri::PathAndQuery};
use http_body::Body as _;
use serde_json::json;
use std::{borrow::Cow, panic::AssertUnwindSafe, sync::Arc};
use stoa_config::plan::Access;
use stoa_exchange::{Body, Context, Halt, Identity, PartCause, Problem, Reply, codes};

/// What the way of a request leaves for the response side and the record.
pub(crate) struct Way {
    /// `x-request-id` and `traceparent`, told to the service and to the client.
    pub(crate) told: [HeaderValue; 2],
    /// The endpoint that answered or failed.
    pub(crate) endpoint: Option<Arc<str>>,
    /// How far the request's body came.
    pub(crate) progress: Option<Arc<Progress>>,
    /// The client's certificate, told to the service.
    pub(crate) client_cert: Option<HeaderValue>,
    cors: Option<Arc<stoa_config::plan::Cors>>,
    /// What the route changes of the reply's fields.
    edit: Option<Box<ReplyEdit>>,
    /// How the reply may be encoded.
    wish: Option<Wish>,
    /// Whether the connection has no next request: the body of this one was not read to its end.
    closes: bool,
    /// Code of the problem that was answered.
    pub(crate) problem: Option<&'static str>,
    /// Its cause, for the log.
    pub(crate) cause: Option<String>,
}

impl Way {
    pub(crate) fn new(context: &Context) -> Self {
        let told = [context.request_id.to_field(), context.trace.to_traceparent()];
        Self {
            told,
            endpoint: None,
            progress: None,
            client_cert: None,
            cors: None,
            edit: None,
            wish: None,
            closes: false,
            problem: None,
            cause: None,
        }
    }
}

/// Answers one request and hands its reply over together with its record.
pub(crate) async fn exchange(mut done: Box<Done>, mut body: Body) -> http::Response<Outgoing> {
    let own = &mut *done;
    let origin = headers::first(&own.parts.headers, &header::ORIGIN).cloned();
    let asks = !matches!(body, Body::Empty) && own.parts.headers.contains_key(header::EXPECT);
    // A panic is the end of this request only.
    let answering = answer(
        &own.seat,
        &mut own.context,
        &mut own.way,
        &mut own.parts,
        &mut body,
    );
    let answering = AssertUnwindSafe(answering).catch_unwind();
    let panicked = |_| Err(Problem::new(&codes::INTERNAL, "the request could not be answered").into());
    let mut reply = match answering.await.unwrap_or_else(panicked) {
        Ok(reply) => match done.way.wish.take() {
            Some(wish) => wish.apply(&mut done.context, reply),
            None => reply,
        },
        Err(Halt::Reply(reply)) => *reply,
        Err(Halt::Problem(problem)) => refused(*problem, &mut done),
    };
    // Requests of HTTP/2 have no successor on their stream: what is not wanted of one is taken back alone.
    let unread = unread(&done.way, body).filter(|_| done.version != Version::HTTP_2);
    if let Some(unread) = unread {
        // Who waits to be asked for it does not send it.
        done.way.closes = asks || !Box::pin(intake::discard(unread)).await;
    }
    if let Some(PartCause(cause)) = reply.extensions_mut().remove() {
        done.way.cause = Some(cause);
    }
    finish(&done.context, &done.way, origin.as_ref(), &mut reply);
    outgoing(done, reply)
}

/// A body of which there is something that nobody will read.
fn unread(way: &Way, body: Body) -> Option<Body> {
    match body {
        Body::Empty => way.progress.as_ref()?.left(),
        whole => Some(whole),
    }
}

/// One request, from its head to its reply. `Err` is a refusal or an early answer.
async fn answer(
    seat: &Arc<Seat>,
    context: &mut Context,
    way: &mut Way,
    parts: &mut request::Parts,
    body: &mut Body,
) -> Result<Reply, Halt> {
    let gateway = &*seat.gateway;
    way.cors.clone_from(&gateway.settings.cors);
    // ip: before anything is told, that there is nothing at a path included.
    admission::address(&gateway.settings.ip, context)?;
    // `OPTIONS *` asks about the server as a whole, which no route is.
    if parts.uri.path() == "*" {
        return Err(no_content().into());
    }
    // One form of the path is what the table, the rules and the service see: no rule can be walked around.
    canonical(parts)?;
    // A preflight asks about another method; it carries no credentials, so it is answered before auth.
    if let Some(asked) = cors::preflight_for(&parts.method, &parts.headers) {
        preflight(seat, context, way, parts, &asked)?;
    }
    let route = find(seat, context, way, parts)?;

    // shed: first, so that a request that will not be served costs nothing.
    let permit = route.shed.admit(&seat.lane, context).await?;
    // ip: before auth, so that no credentials are tried from elsewhere.
    if let Some(admission) = &route.admission {
        admission.address(context)?;
    }
    // compress: what a request says about the encoding of its reply is taken out before anything compares tags.
    way.wish = Wish::of(route.compress, &parts.method, &mut parts.headers)?;
    // cors: the response side needs the rules even when what follows refuses.
    // auth: who asks, since limits count by caller. On a public route a bad token makes nobody: it may have
    // ended just before the login that would renew it, or be meant for the service alone.
    authenticate(seat, context, route, parts)?;
    // access: only known callers can be judged; a target with rows judges by itself.
    allow(seat, context, route, parts)?;
    // limit: after auth, because it counts by caller; before anything that costs.
    // validate: the body's bounds; its content is read only where a schema asks for it.
    if let (Some(admission), false) = (&route.admission, body.is_end_stream()) {
        admission.content_type(&parts.headers)?;
    }
    let body = std::mem::take(body);
    let (body, progress) =
        intake::bounded(body, route.body_bytes_max, &parts.headers, gateway.settings.pace)?;
    context.body_bytes_max = route.body_bytes_max;
    way.progress.clone_from(&progress);
    let body = match &route.validate {
        // Rare, and reads the body: the future of all others stays small.
        Some(rules) => Box::pin(rules.judge(context, parts, body, progress.as_deref())).await?,
        None => body,
    };
    // idempotency: a replayed reply must have passed every check above.
    // cache: behind auth, so that nobody is given what he may not see.
    // fault: where a service would have failed, all before it was right.
    if let Some(rule) = &route.fault {
        Box::pin(fault::inject(rule, context)).await?;
    }
    // edit: the service sees other names than those that were judged and kept.
    if let Some(edit) = &route.edit {
        edit.apply(context, parts)?;
    }
    // mirror: a copy of what the service gets.
    let body = match &route.mirror {
        Some(mirror) => mirror.copy(seat, context, parts, body),
        None => body,
    };
    // A request that may go no further ends here (RFC 9110 section 7.6.2).
    if parts.method == Method::OPTIONS && route.target.forwards() {
        hop(route, parts)?;
    }
    // target: everything else is done.
    let reply = route.target.call(seat, context, way, parts, body).await;
    if let Some(permit) = permit {
        permit.answered(&reply, way.progress.as_deref());
    }
    reply.map_err(Halt::from)
}

/// Counts this hop of an `OPTIONS`, whose sender may say how many there shall be.
fn hop(route: &Route, parts: &mut request::Parts) -> Result<(), Halt> {
    let Some(said) = parts.headers.get(header::MAX_FORWARDS) else {
        return Ok(());
    };
    let left = said.to_str().ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(fewer) = left.and_then(|left| left.checked_sub(1)) {
        parts
            .headers
            .insert(header::MAX_FORWARDS, HeaderValue::from(fewer));
        return Ok(());
    }
    let mut reply = no_content();
    let list: Vec<&str> = route.methods.iter().map(Method::as_str).collect();
    if !list.is_empty() {
        reply
            .headers_mut()
            .insert(header::ALLOW, headers::value(list.join(", ")));
    }
    Err(reply.into())
}

/// Puts the canonical path in place of the one that was sent.
fn canonical(parts: &mut request::Parts) -> Result<(), Problem> {
    let path = path::canonical(parts.uri.path()).map_err(|why| Problem::new(&codes::BAD_REQUEST, why))?;
    if matches!(path, Cow::Borrowed(_)) && parts.uri.scheme().is_none() {
        return Ok(());
    }
    let whole = match parts.uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.into_owned(),
    };
    let target = PathAndQuery::try_from(whole)
        .map_err(|_| Problem::new(&codes::BAD_REQUEST, "the path is not well formed"))?;
    parts.uri = http::Uri::from(target);
    Ok(())
}

fn no_content() -> Reply {
    let mut reply = Reply::new(Body::Empty);
    *reply.status_mut() = StatusCode::NO_CONTENT;
    reply
}

fn find<'a>(
    seat: &'a Seat,
    context: &mut Context,
    way: &mut Way,
    parts: &request::Parts,
) -> Result<&'a Route, Halt> {
    match seat.gateway.route(&context.host, &parts.method, parts.uri.path()) {
        Ok(route) => {
            context.route = Some(route.display.clone());
            context.trail.note("route", || json!(&*route.display));
            way.cors.clone_from(&route.cors);
            if let Some(fields) = &route.reply_edit {
                way.edit = Some(Box::new(ReplyEdit::of(fields, parts.uri.path(), context)));
            }
            Ok(route)
        }
        // OPTIONS that no route serves itself is answered with what the path does serve.
        Err(problem)
            if parts.method == Method::OPTIONS && problem.status() == StatusCode::METHOD_NOT_ALLOWED =>
        {
            let mut reply = no_content();
            *reply.headers_mut() = problem.headers;
            Err(reply.into())
        }
        Err(problem) => Err(problem.into()),
    }
}

/// Answers a preflight of a route with CORS; the others go on as plain OPTIONS.
fn preflight(
    seat: &Seat,
    context: &mut Context,
    way: &mut Way,
    parts: &request::Parts,
    asked: &Method,
) -> Result<(), Halt> {
    let Ok(route) = seat.gateway.route(&context.host, asked, parts.uri.path()) else {
        return Ok(());
    };
    let Some(rules) = &route.cors else { return Ok(()) };
    context.route = Some(route.display.clone());
    way.cors = Some(rules.clone());
    context.trail.note("cors", || json!("preflight"));
    Err(cors::preflight(rules, &route.methods, asked, &parts.headers).into())
}

fn authenticate(
    seat: &Seat,
    context: &mut Context,
    route: &Route,
    parts: &request::Parts,
) -> Result<(), Problem> {
    let auth = seat.gateway.auth();
    context.credentials = auth.carries_credentials(&parts.headers);
    context.identity = match auth.authenticate(&parts.headers) {
        Err(why) if matches!(route.access, Some(Access::Public)) => {
            context.trail.note("token", || json!(why.detail));
            Identity::Anonymous
        }
        Err(mut why) if parts.uri.path().starts_with(ALIAS) => {
            why.code_shown = why.code_postgrest.map(Cow::Borrowed);
            return Err(why);
        }
        judged => judged?,
    };
    let identity = &context.identity;
    context
        .trail
        .note("auth", || json!({ "subject": identity.subject() }));
    Ok(())
}

fn allow(seat: &Seat, context: &mut Context, route: &Route, parts: &request::Parts) -> Result<(), Problem> {
    let Some(rule) = &route.access else { return Ok(()) };
    let judged = access::allow(rule, &seat.gateway.settings.api, context, parts);
    context.trail.note(
        "access",
        || json!({ "rule": rule.to_string(), "allowed": judged.is_ok() }),
    );
    judged
}

fn refused(problem: Problem, done: &mut Done) -> Reply {
    done.way.problem = Some(problem.code.name);
    done.way.cause = problem.cause.as_ref().map(ToString::to_string);
    problem.into_reply(Some(&done.context))
}

/// The response side of the policies, on refusals too.
fn finish(context: &Context, way: &Way, origin: Option<&HeaderValue>, reply: &mut Reply) {
    let fields = reply.headers_mut();
    if let Some(edit) = &way.edit {
        edit.apply(fields);
    }
    let [id, trace] = &way.told;
    fields.insert(REQUEST_ID, id.clone());
    fields.insert(TRACEPARENT, trace.clone());
    if let Some(rules) = &way.cors {
        cors::finish(rules, origin, fields);
    }
    if let Some(explained) = context.trail.to_json() {
        fields.insert(EXPLAIN, headers::value(explained));
    }
    // A body that broke off cannot be read to its end, so the connection has no next request.
    if way.closes
        || way.progress.as_ref().is_some_and(|p| p.problem().is_some())
        || reply.status() == StatusCode::PAYLOAD_TOO_LARGE
    {
        reply
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// Ties the reply to its record.
fn outgoing(mut done: Box<Done>, reply: Reply) -> http::Response<Outgoing> {
    let (parts, body) = reply.into_parts();
    done.status = parts.status;
    http::Response::from_parts(parts, Outgoing::new(body, done))
}

/// Answers a head that the guard refused, without looking at anything else.
pub(crate) fn refuse(mut done: Box<Done>, problem: Problem) -> http::Response<Outgoing> {
    let mut reply = refused(problem, &mut done);
    finish(&done.context, &done.way, None, &mut reply);
    reply
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    outgoing(done, reply)
}
