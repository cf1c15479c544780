//! `/rpc/NAME`: functions of the database that the file names, with arguments by name.

mod args;
mod response;

use crate::{
    allow::{self, RequestFacts},
    codes,
    consistency::Session,
    handler::{self, Call, Inner, STATEMENT_MAX, whole},
    json::{self, Json},
    operation::{Count, FunctionCall, GivenArgument, Gives, Read},
    parse::{
        self, Kind,
        accept::{self, Media},
        body, prefer, scan, select,
    },
    read,
    refusal::{Refusal, Result, not_supported},
    render::{self, Draft},
    rest::{self, PUBLIC},
    run_as,
    store::Page,
    trouble,
    value::nearest,
};
use args::Given;
use http::{HeaderValue, Method, header, request};
use percent_encoding::percent_decode_str;
pub use response::Response;
pub(crate) use response::may_say;
use stoa_config::plan::{Function, RawBody, Returns, Volatility};
use stoa_exchange::{Body, Context, Problem, Reply, clock, codes as common};

/// The most rows of a function whose rows are no resource's.
const ROWS_MAX: u64 = 10_000;

/// Answers a request on a function.
pub(crate) async fn serve(
    inner: &Inner,
    name: &str,
    alias: bool,
    context: &mut Context,
    parts: request::Parts,
    body: Body,
) -> std::result::Result<Reply, Problem> {
    let name = percent_decode_str(name).decode_utf8_lossy();
    let found = find(inner, &name, &parts, alias);
    let (index, function) = found.map_err(|refusal| refusal.into_problem(alias))?;
    context.trail.note(
        "function",
        || serde_json::json!({ "name": function.name, "access": function.access.access.to_string() }),
    );
    let session = Session::of(&parts.headers, &inner.seals);
    let mut session = session.map_err(|refusal| refusal.into_problem(alias))?;
    let run = Run {
        inner,
        index,
        function,
        alias,
        context,
        parts: &parts,
        session: &session,
    };
    let answer = run.answer(body).await;
    let chosen = session.chosen();
    if !chosen.is_empty() {
        context.trail.note("servers", || handler::servers(&chosen));
    }
    let mut reply = answer.map_err(|refusal| refusal.into_problem(alias))?;
    session.finish(false, context.scheme, reply.headers_mut());
    if alias {
        rest::tell_profile(inner, schema(function), &parts.headers, &mut reply);
    }
    reply
        .headers_mut()
        .append(header::VARY, HeaderValue::from_static("accept, prefer"));
    Ok(reply)
}

fn schema(function: &Function) -> &str {
    function.function.schema.as_deref().unwrap_or(PUBLIC)
}

/// The function of this name, in the schema that is asked for.
fn find<'i>(
    inner: &'i Inner,
    name: &str,
    parts: &request::Parts,
    alias: bool,
) -> Result<(usize, &'i Function)> {
    let asked = if alias {
        rest::profile(&inner.schemas, &parts.method, &parts.headers)?
    } else {
        None
    };
    let here = |f: &Function| asked.is_none_or(|asked| asked == schema(f));
    let mut all = inner.plan.functions.iter().enumerate();
    let found = all.find(|(_, f)| f.name == name && here(f));
    found.ok_or_else(|| {
        let near = nearest(name, inner.plan.functions.iter().map(|f| f.name.as_str()));
        let name = crate::refusal::shorten(name);
        let shown = format!("{}.{name}", asked.unwrap_or(PUBLIC));
        let mut refusal = Refusal::new(&common::NOT_FOUND, format!("There is no function `{name}`."))
            .near(near)
            .postgrest(
                "PGRST202",
                404,
                format!("Could not find the function {shown} in the schema cache"),
            )
            .details(format!(
                "Searched for the function {shown}, but no matches were found in the schema cache."
            ));
        if let Some(near) = near {
            refusal = refusal.postgrest_hint(format!(
                "Perhaps you meant to call the function {}.{near}",
                asked.unwrap_or(PUBLIC)
            ));
        }
        refusal
    })
}

/// One request on a function.
struct Run<'a> {
    inner: &'a Inner,
    /// Position in the plan.
    index: usize,
    function: &'a Function,
    alias: bool,
    context: &'a Context,
    parts: &'a request::Parts,
    session: &'a Session<'a>,
}

impl Run<'_> {
    async fn answer(&self, body: Body) -> Result<Reply> {
        let post = match self.parts.method {
            Method::OPTIONS => return Ok(self.options()),
            Method::GET | Method::HEAD if self.may_get() => false,
            Method::POST => true,
            _ => return Err(self.not_allowed()),
        };
        self.allow()?;
        let headers = &self.parts.headers;
        let preferences = prefer::prefer(headers, self.alias, self.inner.plan.server.allow_rollback)?;
        let media = accept::accept(headers)?;
        let query = self.parts.uri.query().unwrap_or("");
        let (args, left) = match (self.function.body, post) {
            (Some(kind), _) => (vec![self.raw(kind, body).await?], query.to_owned()),
            (None, true) => {
                body::check_type(headers, false)?;
                let bytes = whole(body, self.context.body_bytes_max).await?;
                let given = Given::of_body(headers, &bytes)?;
                (
                    given.checked(self.function, schema(self.function))?,
                    query.to_owned(),
                )
            }
            (None, false) => {
                let (given, left) = Given::of_query(self.function, query, self.alias)?;
                (given.checked(self.function, schema(self.function))?, left)
            }
        };
        let count = preferences.count.unwrap_or(Count::None);
        let gives = self.gives(&left, count)?;
        let strict = !self.alias || preferences.strict == Some(true);
        let max_rows = preferences.max_affected.filter(|_| strict);
        if max_rows.is_some() && matches!(gives, Gives::Value | Gives::Void) {
            let says = "Function must return SETOF or TABLE when max-affected preference is used with handling=strict";
            return Err(Refusal::new(&codes::BAD_PREFERENCE, says).postgrest("PGRST128", 400, says));
        }
        let call = FunctionCall {
            function: self.index,
            args,
            changes: post && self.function.volatility == Volatility::Volatile,
            run_as: run_as::for_caller(
                &self.inner.plan,
                self.function.store,
                &self.context.identity,
                &self.facts(),
            )?,
            gives,
            max_rows,
            rollback: preferences.rollback == Some(true),
        };
        let mut page = self.fetch(&call).await?;
        let at = std::mem::take(&mut page.at);
        self.session.wrote(self.function.store, at, page.by.take());
        let chosen = std::mem::take(&mut page.response);
        let mut reply = self.reply(&call, &page, media, preferences.applied_to_call(max_rows))?;
        chosen.apply(&mut reply);
        Ok(reply)
    }

    /// A body that is taken as it is.
    async fn raw(&self, kind: RawBody, body: Body) -> Result<GivenArgument> {
        body::check_raw_type(&self.parts.headers, kind)?;
        let bytes = whole(body, self.context.body_bytes_max).await?;
        Ok((0, Some(args::raw(kind, &bytes)?)))
    }

    fn options(&self) -> Reply {
        let mut reply = Reply::new(Body::Empty);
        let methods = self.methods();
        reply
            .headers_mut()
            .insert(header::ALLOW, HeaderValue::from_static(methods));
        if !self.alias {
            *reply.status_mut() = http::StatusCode::NO_CONTENT;
        }
        reply
    }

    /// On the alias, one that may change rows is tried read-only, as PostgREST does it.
    fn may_get(&self) -> bool {
        self.function.body.is_none() && (self.alias || self.function.volatility != Volatility::Volatile)
    }

    fn methods(&self) -> &'static str {
        match (self.alias, self.function.volatility) {
            (true, Volatility::Volatile) => "OPTIONS,POST",
            (true, _) if self.function.body.is_some() => "OPTIONS,POST",
            (true, _) => "OPTIONS,GET,HEAD,POST",
            (false, _) if self.may_get() => "GET, HEAD, POST, OPTIONS",
            (false, _) => "POST, OPTIONS",
        }
    }

    fn not_allowed(&self) -> Refusal {
        let method = &self.parts.method;
        let message = format!("Cannot use the {method} method on RPC");
        Refusal::new(&common::METHOD_NOT_ALLOWED, message.clone())
            .header(header::ALLOW, self.methods())
            .postgrest("PGRST101", 405, message)
    }

    fn facts(&self) -> RequestFacts<'_> {
        RequestFacts::of(&self.inner.plan.api, self.context, self.parts)
    }

    fn allow(&self) -> Result<()> {
        let facts = self.facts();
        let identity = &self.context.identity;
        allow::may_run(&self.function.access.access, identity, &facts).map_err(|problem| {
            let status = if identity.caller().is_none() { 401 } else { 403 };
            let message = format!("permission denied for function {}", self.function.name);
            Refusal::from(problem).postgrest("42501", status, message)
        })
    }

    /// What comes back, from what is left of the query string beside arguments.
    fn gives(&self, left: &str, count: Count) -> Result<Gives> {
        if let Returns::Resource(index) = self.function.returns {
            let read = self.of_resource(index, left, count)?;
            return Ok(Gives::Resource(Box::new(read)));
        }
        let (mut limit, mut offset) = (ROWS_MAX, 0);
        let rows = self.function.returns == Returns::Rows;
        for pair in scan::pairs(left, self.alias)? {
            let number = |name: &str| parse::number(name, &pair.value, self.alias);
            match pair.key.as_str() {
                "select" if pair.value.trim() == "*" => {}
                "limit" if rows => limit = number("limit")?.map_or(ROWS_MAX, |n| n.min(ROWS_MAX)),
                "offset" if rows => offset = number("offset")?.unwrap_or(0),
                key => {
                    let key = crate::refusal::shorten(key);
                    return Err(not_supported(format!(
                        "`{key}` is served on functions that return `rows RESOURCE` in the API file."
                    )));
                }
            }
        }
        Ok(match self.function.returns {
            Returns::Void => Gives::Void,
            Returns::Rows => Gives::Rows { limit, offset },
            Returns::Value | Returns::Resource(_) => Gives::Value,
        })
    }

    /// Rows of a resource: its read rule holds for them, as for every other row that leaves it.
    fn of_resource(&self, index: usize, left: &str, count: Count) -> Result<Read> {
        let session = Session::of(&self.parts.headers, &[])?;
        let call = Call::new(
            self.inner,
            index,
            self.alias,
            self.context,
            self.parts,
            &session,
            None,
        );
        let query = parse::query(&self.inner.plan, index, left, self.alias)?;
        query.only(
            &[
                Kind::Select,
                Kind::Filter,
                Kind::Order,
                Kind::Limit,
                Kind::Offset,
                Kind::Embedded,
            ],
            "A function",
        )?;
        read::of_function(&call, &query, count)
    }

    async fn fetch(&self, call: &FunctionCall) -> Result<Page> {
        let end = clock::now() + STATEMENT_MAX;
        let deadline = self.context.deadline.map_or(end, |d| d.min(end));
        let anonymous = self.context.identity.caller().is_none();
        self.inner.stores[self.function.store]
            .call(call, deadline)
            .await
            .map_err(|error| trouble::of_function(error, anonymous, !call.changes))
    }

    fn reply(
        &self,
        call: &FunctionCall,
        page: &Page,
        media: Media,
        applied: Option<String>,
    ) -> Result<Reply> {
        let head = self.parts.method == Method::HEAD;
        let (offset, names) = match &call.gives {
            Gives::Void => {
                let draft = Draft::new(204).maybe(render::PREFERENCE_APPLIED, applied);
                return Ok(draft.reply(false));
            }
            Gives::Value => (0, names(&page.json, media)?),
            Gives::Rows { offset, .. } => (*offset, names(&page.json, media)?),
            Gives::Resource(read) => {
                let names = select::names(&read.select);
                (read.offset, names.into_iter().map(str::to_owned).collect())
            }
        };
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let body = if call.gives == Gives::Value {
            render::object(&page.json, media, &names)?
        } else {
            render::body(&page.json, page.rows, media, &names)?
        };
        let partial = self.alias && page.total.is_some_and(|total| page.rows < total);
        let draft = Draft::new(if partial { 206 } else { 200 })
            .header(
                header::CONTENT_RANGE,
                render::content_range(offset, page.rows, page.total),
            )
            .maybe(render::PREFERENCE_APPLIED, applied)
            .body(media, body);
        Ok(draft.reply(head))
    }
}

/// The names of the members of the first row, which CSV has in its first line.
fn names(rows: &[u8], media: Media) -> Result<Vec<String>> {
    if media != Media::Csv {
        return Ok(Vec::new());
    }
    let mut whole = vec![b'['];
    whole.extend_from_slice(rows);
    whole.push(b']');
    match json::parse_own(&whole) {
        Ok(Json::Array(rows)) => match rows.into_iter().next() {
            None => Ok(Vec::new()),
            Some(Json::Object(members)) => Ok(members.into_iter().map(|(name, _)| name.into()).collect()),
            Some(_) => {
                let detail = "CSV has rows with names, and this function gives plain values.";
                Err(Refusal::new(&common::NOT_ACCEPTABLE, detail).postgrest(
                    "PGRST107",
                    406,
                    "None of these media types are available: text/csv",
                ))
            }
        },
        _ => Ok(Vec::new()),
    }
}
