//! Resources as targets of routes: `/{r}`, `/{r}/{id}` and the alias `/rest/v1/{r}`.

mod call;

pub(crate) use call::{Call, not_found, whole};

use crate::{
    consistency::{Seal, Session},
    cursor::Signer,
    operation::{Item, ResourceIndex},
    parse::select,
    rest::{self, Rest},
    short,
    store::{AtOnce, Chosen, Store},
    validate::Rules,
};
use http::{HeaderValue, Method, header, request};
use std::{collections::HashMap, fmt, sync::Arc, time::Duration};
use stoa_config::plan::{Plan, Resource};
use stoa_exchange::{Body, Context, Handler, HandlerFuture, Problem, Reply, Request};

/// The longest that a statement may take.
pub(crate) const STATEMENT_MAX: Duration = Duration::from_secs(30);

/// What the reply of a resource varies by.
pub(crate) const VARY: HeaderValue = HeaderValue::from_static("accept, prefer");

/// Every resource of a plan over its open stores.
pub struct Data {
    inner: Arc<Inner>,
}

/// The plan and what serves it.
pub(crate) struct Inner {
    pub(crate) plan: Arc<Plan>,
    pub(crate) stores: Vec<Arc<dyn Store>>,
    signers: Vec<Signer>,
    pub(crate) seals: Vec<Seal>,
    rules: Vec<Rules>,
    /// The schemas of the alias; never empty.
    pub(crate) schemas: Vec<String>,
    /// Which resources this process serves.
    pub(crate) served: Vec<bool>,
    /// All that a row of each resource shows.
    whole: Vec<Arc<Vec<Item>>>,
    /// Which resources have rows that [`short`] may read.
    pub(crate) short: Vec<bool>,
}

/// Why resources cannot be served.
#[derive(Debug, PartialEq, Eq)]
pub enum OpenError {
    /// A resource names a store that is not among those given.
    NoStore {
        /// The resource.
        resource: String,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoStore { resource } => write!(f, "the store of `{resource}` is not open"),
        }
    }
}

impl std::error::Error for OpenError {}

impl Data {
    /// Serves the plan's resources from `stores`, which stand in the order of [`Plan::stores`].
    pub fn open(plan: Arc<Plan>, stores: Vec<Arc<dyn Store>>) -> std::result::Result<Self, OpenError> {
        if let Some(resource) = plan.resources.iter().find(|r| r.store >= stores.len()) {
            return Err(OpenError::NoStore {
                resource: resource.name.clone(),
            });
        }
        let signers = stores.iter().map(|s| Signer::new(&s.cursor_key())).collect();
        let seal =
            |(s, of): (&Arc<dyn Store>, &stoa_config::plan::Store)| Seal::new(&s.cursor_key(), &of.kind);
        let seals = stores.iter().zip(&plan.stores).map(seal).collect();
        let rules = plan.resources.iter().map(Rules::new).collect();
        Ok(Self {
            inner: Arc::new(Inner {
                short: plan.resources.iter().map(|r| short::fits(&plan, r)).collect(),
                schemas: rest::schemas(&plan),
                served: vec![true; plan.resources.len()],
                whole: plan
                    .resources
                    .iter()
                    .map(|r| Arc::new(select::every(r)))
                    .collect(),
                plan,
                stores,
                signers,
                seals,
                rules,
            }),
        })
    }

    /// Leaves out what this process is not to serve, before anything is made of it.
    #[must_use]
    pub fn only(mut self, serves: impl Fn(&str) -> bool) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.served = inner.plan.resources.iter().map(|r| serves(&r.name)).collect();
        }
        self
    }

    /// Answers below `/rest/v1` what no resource's own address does, and functions below `/rpc`. `root` answers
    /// `GET /rest/v1/`.
    pub fn rest(&self, root: Arc<dyn Handler>) -> Arc<dyn Handler> {
        Arc::new(Rest {
            inner: Arc::clone(&self.inner),
            root,
        })
    }

    /// One handler per resource, by its name.
    pub fn handlers(&self) -> HashMap<String, Arc<dyn Handler>> {
        let one = |(index, resource): (usize, &Resource)| {
            let handler: Arc<dyn Handler> = Arc::new(ResourceHandler {
                inner: Arc::clone(&self.inner),
                index,
            });
            (resource.name.clone(), handler)
        };
        self.inner.plan.resources.iter().enumerate().map(one).collect()
    }
}

struct ResourceHandler {
    inner: Arc<Inner>,
    index: ResourceIndex,
}

impl Handler for ResourceHandler {
    fn handle<'a>(&'a self, context: &'a mut Context, request: Request) -> HandlerFuture<'a> {
        let Some(row) = short::row(&self.inner, self.index, context, &request) else {
            return self.at_length(context, request);
        };
        Box::pin(async move {
            let resource = &self.inner.plan.resources[self.index];
            match row.await {
                AtOnce::Row(row) => Ok(short::reply(&request, row)),
                AtOnce::Missing => Err(short::missing(resource, &request)),
                AtOnce::Unsettled => self.at_length(context, request).await,
            }
        })
    }
}

impl ResourceHandler {
    fn at_length<'a>(&'a self, context: &'a mut Context, request: Request) -> HandlerFuture<'a> {
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let path = parts.uri.path().to_owned();
            let place = Place::of(&path);
            let mut index = self.index;
            if place.alias {
                let name = &self.inner.plan.resources[index].name;
                let found = rest::relation(&self.inner, Some(index), name, &parts.method, &parts.headers);
                index = found.map_err(|refusal| refusal.into_problem(true))?;
            }
            serve(&self.inner, index, place.id, place.alias, context, parts, body).await
        })
    }
}

/// Answers a request on a resource, or on its row with this key.
pub(crate) async fn serve(
    inner: &Inner,
    index: ResourceIndex,
    id: Option<&str>,
    alias: bool,
    context: &mut Context,
    parts: request::Parts,
    body: Body,
) -> std::result::Result<Reply, Problem> {
    let resource = &inner.plan.resources[index];
    context
        .trail
        .note("resource", || decision(resource, &parts.method, alias));
    let session = Session::of(&parts.headers, &inner.seals);
    let mut session = session.map_err(|refusal| refusal.into_problem(alias))?;
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    let consistency = reads.then(|| match id {
        None => resource.list.consistency.unwrap_or(resource.consistency),
        Some(_) => resource.consistency,
    });
    let call = Call::new(inner, index, alias, context, &parts, &session, consistency);
    let answer = call.answer(&parts.method, id, body).await;
    let chosen = session.chosen();
    if !chosen.is_empty() {
        context.trail.note("servers", || servers(&chosen));
    }
    let mut reply = answer.map_err(|refusal| refusal.into_problem(alias))?;
    session.finish(reads, context.scheme, reply.headers_mut());
    let vary = if alias {
        rest::tell_profile(inner, rest::schema(resource), &parts.headers, &mut reply);
        const { HeaderValue::from_static("accept, prefer, range") }
    } else {
        VARY
    };
    reply.headers_mut().append(header::VARY, vary);
    Ok(reply)
}

/// What `Stoa-Explain` shows: the resource and the rule that is judged. `PUT` is judged by two.
fn decision(resource: &Resource, method: &Method, alias: bool) -> serde_json::Value {
    let rules = &resource.rules;
    let judged: Vec<String> = match *method {
        Method::POST => vec![format!("create: {}", rules.create.access)],
        Method::PUT => vec![
            format!("create: {}", rules.create.access),
            format!("update: {}", rules.update.access),
        ],
        Method::PATCH => vec![format!("update: {}", rules.update.access)],
        Method::DELETE => vec![format!("delete: {}", rules.delete.access)],
        _ => vec![format!("read: {}", rules.read.access)],
    };
    serde_json::json!({ "name": resource.name, "dialect": if alias { "postgrest" } else { "native" }, "rules": judged })
}

/// What `Stoa-Explain` shows of the servers that were chosen.
pub(crate) fn servers(chosen: &[Chosen]) -> serde_json::Value {
    let one = |c: &Chosen| serde_json::json!({ "server": *c.server, "why": c.why });
    chosen.iter().map(one).collect()
}

/// What a path addresses.
pub(crate) struct Place<'a> {
    pub(crate) alias: bool,
    /// The key, still encoded.
    pub(crate) id: Option<&'a str>,
}

impl<'a> Place<'a> {
    pub(crate) fn of(path: &'a str) -> Self {
        let (alias, rest) = match path.strip_prefix("/rest/v1/") {
            Some(rest) => (true, rest),
            None => (false, path.trim_start_matches('/')),
        };
        let id = rest.split_once('/').map(|(_, id)| id).filter(|id| !id.is_empty());
        Self { alias, id }
    }
}

#[cfg(test)]
pub(crate) mod tests;
