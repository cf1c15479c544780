//! From the file to a gateway that may serve: at the start and at every reload.

use super::{Mode, Setup, descriptors};
use crate::{
    assemble::{Assembly, OpenStore},
    cli::AdminAddress,
    commands,
    telemetry::Telemetry,
    terminal::{self, style},
};
use serde_json::Value;
use std::{collections::HashSet, sync::Arc};
use stoa_config::{
    Loaded,
    fault::{Fault, Severity},
    plan::{Plan, Service},
};
use stoa_edge::Gateway;

/// Everything that takes over together.
pub(super) struct Next {
    pub(super) loaded: Loaded,
    pub(super) plan: Arc<Plan>,
    pub(super) tree: Value,
    pub(super) gateway: Arc<Gateway>,
    /// The same without records, for the process to ask itself.
    pub(super) quiet: Option<Arc<Gateway>>,
    pub(super) stores: Vec<OpenStore>,
    /// What was done on the way that people should know.
    pub(super) notes: Vec<String>,
}

/// Why a file is not served.
#[derive(Debug)]
pub(crate) enum Refused {
    /// Faults of the file and of files it names.
    Faults(Vec<Fault>),
    /// Anything else, in words: what is wrong and what to do.
    Words(Vec<String>),
}

impl Refused {
    /// One reason in words.
    pub(crate) fn words(text: impl Into<String>) -> Self {
        Self::Words(vec![text.into()])
    }

    /// Tells people.
    pub(super) fn say(&self, loaded: &Loaded) {
        match self {
            Self::Faults(faults) => commands::show_faults(faults, loaded),
            Self::Words(words) => {
                let bad = style::BAD;
                for text in words {
                    terminal::say(format_args!("{bad}error{bad:#}: {text}"));
                }
            }
        }
    }

    /// The first reason, for the log.
    pub(super) fn first(&self) -> String {
        match self {
            Self::Faults(faults) => faults
                .first()
                .map_or_else(String::new, |f| format!("{} {}: {}", f.place, f.code, f.message)),
            Self::Words(words) => words.first().cloned().unwrap_or_default(),
        }
    }
}

/// Reads the file; in `dev` the profile `dev` is merged if there is one.
pub(super) fn read(setup: &Setup) -> Loaded {
    commands::load_for(&setup.file, setup.mode == Mode::Dev)
}

/// Builds what serves `loaded`, or says why not and gives it back.
pub(super) async fn build(
    setup: &Setup,
    mut loaded: Loaded,
    assembly: &mut Assembly,
    observe: &mut dyn FnMut(&Plan) -> Result<Arc<Telemetry>, Refused>,
    before: Option<&Gateway>,
) -> Result<Next, (Refused, Loaded)> {
    let tree = stoa_config::effective(&loaded, false);
    let mut plan = match judge(setup, &mut loaded) {
        Ok(plan) => plan,
        Err(refused) => return Err((refused, loaded)),
    };
    let wanted = plan.server.connections_max;
    plan.server.connections_max = descriptors::room(wanted);
    let plan = Arc::new(plan);
    commands::show_faults(&loaded.faults, &loaded);
    let observer = match observe(&plan) {
        Ok(observer) => observer,
        Err(refused) => return Err((refused, loaded)),
    };
    let built = match assembly.build(&plan, &tree, setup, observer, before).await {
        Ok(built) => built,
        Err(refused) => return Err((refused, loaded)),
    };
    if let Some(certificates) = built.gateway.certificates() {
        commands::show_faults(&certificates.warnings(), &loaded);
    }
    let mut notes = built.notes;
    let room = plan.server.connections_max;
    if room < wanted {
        notes.push(format!(
            "{room} connections at once, not {wanted}: the system's bound of open files (`ulimit -n`) leaves no more"
        ));
    }
    let open = plan.rules_left_open();
    if !open.is_empty() {
        notes.push(format!(
            "public, since the file has no `auth`: {}",
            open.join(", ")
        ));
    }
    Ok(Next {
        loaded,
        plan,
        tree,
        gateway: built.gateway,
        quiet: built.quiet,
        stores: built.stores,
        notes,
    })
}

/// Whether the plan may be served in this mode at all.
fn judge(setup: &Setup, loaded: &mut Loaded) -> Result<Plan, Refused> {
    let Some(mut plan) = loaded.take_plan() else {
        return Err(Refused::Faults(loaded.faults.clone()));
    };
    let mut not_built = stoa_config::not_built(&plan);
    if !not_built.is_empty() {
        for fault in &mut not_built {
            fault.severity = Severity::Error;
        }
        return Err(Refused::Faults(not_built));
    }
    if let Some(http) = setup.addresses.http {
        plan.server.http = http;
    }
    match setup.addresses.admin {
        Some(AdminAddress::None) => plan.server.admin = None,
        Some(AdminAddress::At(admin)) => plan.server.admin = Some(admin),
        None => {}
    }
    if plan.server.http.port() != 0 && plan.server.admin == Some(plan.server.http) {
        let text = format!(
            "the admin port must not be the API's, {}: it is never public",
            plan.server.http
        );
        return Err(Refused::words(text));
    }
    let known = |name: &str| plan.services.iter().any(|s| s.name == name) || plan.resource(name).is_some();
    if let Some(name) = setup.only.iter().find(|name| !known(name)) {
        return Err(Refused::words(format!(
            "--only names `{name}`, which is no service and no resource"
        )));
    }
    keep_served(&mut plan, setup);
    let open = plan.rules_left_open();
    if setup.mode == Mode::Serve && !open.is_empty() {
        return Err(Refused::words(format!(
            "the file has no `auth`, and these say nothing about who may use them: {}\n  \
             write `access: public` (a route) or `read:` and `write:` (a resource), or configure `auth`",
            open.join(", ")
        )));
    }
    Ok(plan)
}

/// Takes out the services that this process does not serve. What others split to or mirror stays, without routes.
fn keep_served(plan: &mut Plan, setup: &Setup) {
    let served = |service: &Service| setup.serves(&service.name);
    let routes = plan.services.iter().filter(|s| served(s)).flat_map(|s| &s.routes);
    let needed: HashSet<String> = routes
        .flat_map(|route| {
            let handling = &route.handling;
            let arms = handling
                .split
                .iter()
                .flat_map(|split| &split.arms)
                .map(|arm| &arm.service);
            arms.chain(handling.mirror.iter().map(|mirror| &mirror.service))
        })
        .cloned()
        .collect();
    plan.services.retain_mut(|service| {
        let serves = setup.serves(&service.name);
        if !serves {
            service.routes.clear();
        }
        serves || needed.contains(&service.name)
    });
}

#[cfg(test)]
mod tests;
