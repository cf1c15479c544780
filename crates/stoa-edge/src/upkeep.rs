//! What is done for services beside their requests: checks of their endpoints.

use crate::gateway::Gateway;
use arc_swap::ArcSwap;
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    time::Duration,
};

/// How often it is looked what is due.
const TICK: Duration = Duration::from_millis(100);

/// What is done beside the requests, for as long as the edge is there. To be run once, on a runtime of its own or the
/// binary's, since a busy worker must not delay it.
pub type Upkeep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is known of one address of a service.
#[derive(Clone, Debug)]
pub struct EndpointView {
    /// Name of the service.
    pub service: Arc<str>,
    /// The address, as a URL.
    pub endpoint: Arc<str>,
    /// `in use`, `starting` (its share grows), `ejected`, or `failing` (its checks fail).
    pub state: &'static str,
    /// Requests under way.
    pub in_flight: u32,
    /// Peak of the time to the reply's head, forgotten with time. `None` before the first reply.
    pub latency: Option<Duration>,
    /// Times that it was taken out of use.
    pub ejections: u64,
    /// Times that it came back.
    pub returns: u64,
    /// Lookups of its name that failed; what was found before is used on.
    pub lookups_failed: u64,
}

/// What is known of one service.
#[derive(Clone, Debug)]
pub struct ServiceView {
    /// Name of the service.
    pub service: Arc<str>,
    /// Tries beyond a request's first.
    pub retries: u64,
    /// Tries that the budget did not allow.
    pub retries_denied: u64,
    /// Those of the tries that were made beside a first one.
    pub hedges: u64,
    /// Requests that wait for a connection.
    pub waiting: u32,
    /// Requests that found no connection in time, or no place to wait.
    pub turned_away: u64,
}

/// Looks after the gateway that is in force.
pub(crate) async fn keep(current: Weak<ArcSwap<Gateway>>) {
    loop {
        match current.upgrade() {
            Some(current) => current.load_full().look(),
            None => return,
        }
        tokio::time::sleep(TICK).await;
    }
}
