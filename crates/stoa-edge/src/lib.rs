//! The gateway half: listen, route, answer, targets. Knows no database.
//!
//! A [`Gateway`] is built from a plan and never changes; [`Edge`] is the running listeners and workers that
//! serve one gateway at a time. Reload builds another gateway beside it and swaps.

pub mod codes;
pub mod policy;

mod answer;
mod explain;
mod gateway;
mod headers;
mod intake;
mod listen;
mod record;
mod route;
mod target;
mod timer;
mod upkeep;

pub use gateway::Gateway;
pub use listen::{
    Drained, Edge,
    tls::{Certificates, Refreshed, check as check_certificates},
};
pub use policy::auth::token;
pub use target::upstream::tls::check as check_tls;
pub use upkeep::{EndpointView, ServiceView, Upkeep};

use std::{collections::HashMap, sync::Arc};
use stoa_exchange::{Handler, Observer};

/// What the binary hands to a gateway beside the plan.
pub struct Parts {
    /// The handler of each resource, by name. Reached at `/{name}`, `/{name}/{id}` and `/rest/v1/{name}`; it
    /// judges access itself, since its rules look at rows.
    pub resources: HashMap<String, Arc<dyn Handler>>,
    /// Answers below `/rest/v1` what no resource's own address does, and `/rpc/NAME` where the plan has functions.
    pub rest: Option<Arc<dyn Handler>>,
    /// Handlers of exact paths or prefixes ending in `/` (`/openapi.json`, `/docs`, `/docs/`), public, GET and HEAD.
    pub documents: Vec<(String, Arc<dyn Handler>)>,
    /// Keeps records and counts.
    pub observer: Arc<dyn Observer>,
    /// Whether `Stoa-Explain: 1` is answered for everybody (`dev`).
    pub explain: bool,
}
