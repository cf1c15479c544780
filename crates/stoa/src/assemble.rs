//! From a plan to what serves it: stores, handlers of resources, documents, the gateway. The only place that
//! knows both halves.

use crate::{
    docs_page,
    run::{Mode, Refused},
};
use std::{collections::HashMap, sync::Arc};
use stoa_config::plan::Plan;
use stoa_data::store::Store;
use stoa_edge::{Gateway, Parts};
use stoa_exchange::{Context, Handler, HandlerFuture, Observer, Problem, Record, Request, codes};

/// A store that is open, by its name in the file.
#[derive(Clone)]
pub(crate) struct OpenStore {
    /// Name in the file.
    pub(crate) name: String,
    /// The store.
    pub(crate) store: Arc<dyn Store>,
}

/// What outlives a reload: stores by identity.
#[derive(Default)]
pub(crate) struct Assembly {}

/// What serves one plan.
pub(crate) struct Built {
    /// The routes, policies and targets.
    pub(crate) gateway: Arc<Gateway>,
    /// The same without records, for the process to ask itself.
    pub(crate) quiet: Arc<Gateway>,
    /// The stores behind it.
    pub(crate) stores: Vec<OpenStore>,
    /// What was done on the way that people should know.
    pub(crate) notes: Vec<String>,
}

impl Assembly {
    /// Opens what the plan needs, keeps what an earlier plan opened, and builds the gateway. `before` is the
    /// gateway that it will replace.
    pub(crate) async fn build(
        &mut self,
        plan: &Arc<Plan>,
        mode: Mode,
        observer: Arc<dyn Observer>,
        before: Option<&Gateway>,
    ) -> Result<Built, Refused> {
        let handlers = nothing(plan);
        let quiet = parts(plan, handlers.clone(), Arc::new(Mute), false);
        let quiet = Gateway::build(plan, quiet, before).map_err(Refused::Faults)?;
        let parts = parts(plan, handlers, observer, mode == Mode::Dev);
        let gateway = Gateway::build(plan, parts, before).map_err(Refused::Faults)?;
        Ok(Built {
            gateway: Arc::new(gateway),
            quiet: Arc::new(quiet),
            stores: Vec::new(),
            notes: Vec::new(),
        })
    }
}

/// Handlers by the name of their resource.
pub(crate) type Handlers = HashMap<String, Arc<dyn Handler>>;

/// What the gateway needs beside the plan.
pub(crate) fn parts(plan: &Plan, resources: Handlers, observer: Arc<dyn Observer>, explain: bool) -> Parts {
    Parts {
        resources,
        documents: docs_page::documents(plan),
        observer,
        explain,
    }
}

/// Handlers for commands that only look at the routes: nothing is opened, nothing can be read.
pub(crate) fn nothing(plan: &Plan) -> Handlers {
    let closed: Arc<dyn Handler> = Arc::new(Closed);
    plan.resources
        .iter()
        .map(|r| (r.name.clone(), Arc::clone(&closed)))
        .collect()
}

struct Closed;

impl Handler for Closed {
    fn handle<'a>(&'a self, _: &'a mut Context, _: Request) -> HandlerFuture<'a> {
        Box::pin(async {
            Err(Problem::new(
                &codes::UNAVAILABLE,
                "no store is open in this command",
            ))
        })
    }
}

/// Keeps no records.
pub(crate) struct Mute;

impl Observer for Mute {
    fn record(&self, _: &Record<'_>) {}
}
