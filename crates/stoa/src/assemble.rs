//! From a plan to what serves it: stores, handlers of resources, documents, the gateway. The only place that
//! knows both halves.

use crate::{
    admin::Starting,
    docs_page,
    run::{self, Mode, Refused, Setup},
    seed,
    terminal::{self, style},
};
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Arc};
use stoa_config::plan::Plan;
use stoa_data::{
    Data, allow,
    migrate::{self, MigrateError, Progress, Step},
    store::{self, Away, Role, Server, Store},
};
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

/// What outlives a reload: the data half, as long as nothing of it changed.
pub(crate) struct Assembly {
    kept: Option<Kept>,
    starting: Arc<Starting>,
}

struct Kept {
    identity: Value,
    stores: Vec<OpenStore>,
    data: Option<Arc<Data>>,
}

/// What serves one plan.
pub(crate) struct Built {
    /// The routes, policies and targets.
    pub(crate) gateway: Arc<Gateway>,
    /// The same without records, for `dev` to ask itself.
    pub(crate) quiet: Option<Arc<Gateway>>,
    /// The stores behind it.
    pub(crate) stores: Vec<OpenStore>,
    /// What was done on the way that people should know.
    pub(crate) notes: Vec<String>,
}

impl Assembly {
    /// Nothing is open yet; what is done until something serves is told to `starting`.
    pub(crate) fn new(starting: Arc<Starting>) -> Self {
        Self { kept: None, starting }
    }

    /// Opens what the plan needs, keeps what an earlier plan opened, and builds the gateway. `tree` is the plan
    /// in the shape of the file; `before` is the gateway that will be replaced.
    pub(crate) async fn build(
        &mut self,
        plan: &Arc<Plan>,
        tree: &Value,
        setup: &Setup,
        observer: Arc<dyn Observer>,
        before: Option<&Gateway>,
    ) -> Result<Built, Refused> {
        // With or without `auth`, a rule left out means another thing. In `dev` a changed seed is tried again.
        let seed = plan.seed.as_deref().filter(|_| setup.mode == Mode::Dev);
        let seed = format!("{:?}", seed.map(run::written));
        let rollback = plan.server.allow_rollback;
        let identity = json!([
            tree["api"],
            tree["stores"],
            tree["resources"],
            tree["functions"],
            tree["auth"],
            rollback,
            seed
        ]);
        let mut notes = Vec::new();
        let data = match &self.kept {
            Some(kept) if kept.identity == identity => Kept {
                identity,
                stores: kept.stores.clone(),
                data: kept.data.clone(),
            },
            _ => {
                let faults: Vec<_> = plan.resources.iter().flat_map(allow::check).collect();
                if !faults.is_empty() {
                    return Err(Refused::Faults(faults));
                }
                let away = self.fit(plan, setup.mode, &mut notes).await?;
                let (stores, data) = open(plan, &away, |name| setup.serves(name))?;
                notes.extend(stores.iter().flat_map(unfit));
                if setup.mode == Mode::Dev {
                    sow(plan, &away, &mut notes).await?;
                }
                Kept {
                    identity,
                    stores,
                    data: data.map(Arc::new),
                }
            }
        };
        let mut handlers = data.data.as_ref().map(|d| d.handlers()).unwrap_or_default();
        handlers.retain(|name, _| setup.serves(name));
        let root = docs_page::described(plan, "application/openapi+json; charset=utf-8");
        let rest = data.data.as_ref().map(|d| d.rest(root));
        let served = Served { handlers, rest };
        let dev = setup.mode == Mode::Dev;
        let quiet = dev.then(|| parts(plan, served.clone(), Arc::new(Mute), false));
        let quiet = quiet.map(|parts| Gateway::build(plan, parts, before));
        let quiet = quiet.transpose().map_err(Refused::Faults)?;
        let parts = parts(plan, served, observer, dev);
        let gateway = Gateway::build(plan, parts, before).map_err(Refused::Faults)?;
        let stores = data.stores.clone();
        self.kept = Some(data);
        Ok(Built {
            gateway: Arc::new(gateway),
            quiet: quiet.map(Arc::new),
            stores,
            notes,
        })
    }
}

impl Assembly {
    /// As [`fit_tables`], beside the main loop: who stops the process does not wait for a migration.
    async fn fit(
        &self,
        plan: &Arc<Plan>,
        mode: Mode,
        notes: &mut Vec<String>,
    ) -> Result<AwayByStore, Refused> {
        let (plan, starting) = (Arc::clone(plan), Arc::clone(&self.starting));
        let fitting = tokio::task::spawn_blocking(move || {
            let mut notes = Vec::new();
            fit_tables(&plan, mode, &starting, &mut notes).map(|away| (away, notes))
        });
        let (away, noted) = fitting
            .await
            .map_err(|e| Refused::words(format!("looking at the tables ended early: {e}")))??;
        notes.extend(noted);
        Ok(away)
    }
}

/// Positions of the stores that hold a resource or a function.
pub(crate) fn stores_in_use(plan: &Plan) -> impl Iterator<Item = usize> {
    (0..plan.stores.len()).filter(|position| {
        plan.resources.iter().any(|r| r.store == *position)
            || plan.functions.iter().any(|f| f.store == *position)
    })
}

/// The shards of each store, by its position, that cannot be reached.
type AwayByStore = HashMap<usize, Vec<Away>>;

/// Makes what is missing and loses nothing. `serve` refuses what is still not as the file says; `dev` says so. Shards that
/// cannot be reached are left out; they are looked at when they join.
fn fit_tables(
    plan: &Plan,
    mode: Mode,
    starting: &Starting,
    notes: &mut Vec<String>,
) -> Result<AwayByStore, Refused> {
    let (mut words, mut all) = (Vec::new(), AwayByStore::new());
    for position in stores_in_use(plan) {
        let name = &plan.stores[position].name;
        let fitted = migrate::away(plan, position).and_then(|away| {
            fit(plan, position, (&away, starting), notes)?;
            if mode == Mode::Serve {
                migrate::check_schema_without(plan, position, &away)?;
            }
            Ok(away)
        });
        match fitted {
            Ok(away) => {
                let left = |a: &Away| format!("{name}: {a}");
                notes.extend(away.iter().map(left));
                all.insert(position, away);
            }
            Err(why) => words.push(format!("store {name}: {why}")),
        }
    }
    if words.is_empty() {
        Ok(all)
    } else {
        Err(Refused::Words(words))
    }
}

/// Makes the steps of one store that lose nothing. A store that needs none is not opened to write.
fn fit(
    plan: &Plan,
    position: usize,
    (away, starting): (&[Away], &Starting),
    notes: &mut Vec<String>,
) -> Result<(), MigrateError> {
    let name = &plan.stores[position].name;
    let told = |progress: Progress<'_>| starting.says(format!("migrating the store {name}: {progress}"));
    let (noted, applied) = migrate::fit(plan, position, away, &told)?;
    notes.extend(noted.iter().map(|note| format!("{name}: {note}")));
    let done = |step: &Step| format!("{name}: {}", step.why);
    notes.extend(applied.steps.iter().map(done));
    let left = |step: &Step| {
        format!(
            "{name}, left as it is: {} (`stoa migrate apply --allow-destructive`)",
            step.why
        )
    };
    notes.extend(applied.left.iter().map(left));
    Ok(())
}

/// The data half of a plan whose tables fit.
fn open(
    plan: &Arc<Plan>,
    away: &AwayByStore,
    serves: impl Fn(&str) -> bool,
) -> Result<(Vec<OpenStore>, Option<Data>), Refused> {
    let mut stores = Vec::new();
    let mut by_position: HashMap<usize, Arc<dyn Store>> = HashMap::new();
    for position in stores_in_use(plan) {
        let name = plan.stores[position].name.clone();
        let away = away.get(&position).map_or(&[][..], Vec::as_slice);
        let store = store::open_without(plan, position, away)
            .map_err(|e| Refused::words(format!("store {name}: {e}")))?;
        by_position.insert(position, Arc::clone(&store));
        stores.push(OpenStore { name, store });
    }
    let Some(any) = stores.first().map(|s| Arc::clone(&s.store)) else {
        return Ok((stores, None));
    };
    // A store that no resource uses is not opened, and nobody asks for the one that stands in its place.
    let of = |position: usize| by_position.get(&position).unwrap_or(&any);
    let in_order = (0..plan.stores.len())
        .map(|position| Arc::clone(of(position)))
        .collect();
    let data = Data::open(Arc::clone(plan), in_order).map_err(|e| Refused::words(e.to_string()))?;
    Ok((stores, Some(data.only(serves))))
}

/// The servers of a store that are there and given nothing. One that is away is told of by whoever looks at it.
fn unfit(store: &OpenStore) -> Vec<String> {
    let servers = store.store.servers();
    let unfit = servers.iter().filter(|server| server.role != Role::Down);
    let told = |server: &Server| {
        let (name, shard, at) = (&store.name, server.shard, &server.name);
        Some(format!("{name}: shard {shard}: {at} {}", server.out.as_ref()?))
    };
    unfit.filter_map(told).collect()
}

/// Loads the file's first rows into tables that are empty, past the access rules. Rows that are refused are
/// said, and are no reason not to start: the API does not need them.
async fn sow(plan: &Arc<Plan>, away: &AwayByStore, notes: &mut Vec<String>) -> Result<(), Refused> {
    if plan.seed.is_none() {
        return Ok(());
    }
    let open_to_all = Arc::new(seed::without_rules(plan));
    let (_, data) = open(&open_to_all, away, |_| true)?;
    let handlers = data.map(|d| d.handlers()).unwrap_or_default();
    match seed::load(plan, &handlers).await {
        Ok(loaded) => notes.extend(
            loaded
                .iter()
                .map(|l| format!("{}: {} first rows loaded", l.resource, l.rows)),
        ),
        Err(why) => {
            let warn = style::WARN;
            terminal::say(format_args!("  {warn}!{warn:#} {why}"));
        }
    }
    Ok(())
}

/// Handlers by the name of their resource.
pub(crate) type Handlers = HashMap<String, Arc<dyn Handler>>;

/// What the gateway needs beside the plan.
pub(crate) fn parts(plan: &Arc<Plan>, served: Served, observer: Arc<dyn Observer>, explain: bool) -> Parts {
    Parts {
        resources: served.handlers,
        rest: served.rest,
        documents: docs_page::documents(plan),
        observer,
        explain,
    }
}

/// What the data half gives a gateway.
#[derive(Clone)]
pub(crate) struct Served {
    handlers: Handlers,
    /// Whatever is below `/rest/v1` beside them.
    rest: Option<Arc<dyn Handler>>,
}

fn closed() -> Arc<dyn Handler> {
    Arc::new(Closed)
}

/// Handlers for commands that only look at the routes: nothing is opened, nothing can be read.
pub(crate) fn nothing(plan: &Plan) -> Served {
    Served {
        handlers: plan
            .resources
            .iter()
            .map(|r| (r.name.clone(), closed()))
            .collect(),
        rest: Some(closed()),
    }
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
