//! The running parts that the admin port looks at.

use crate::{
    admin::{ProbeFuture, Probes},
    assemble::OpenStore,
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};
use stoa_data::store::Server;
use stoa_edge::{Edge, EndpointView, Gateway, ServiceView};
use stoa_exchange::clock;

/// How long a store may take to say that it is there.
const READY_WITHIN: Duration = Duration::from_secs(1);

/// The listeners and the stores in force.
pub(crate) struct Parts {
    /// Gone once the process drains.
    edge: Mutex<Option<Edge>>,
    stores: RwLock<Vec<OpenStore>>,
}

impl Parts {
    pub(super) fn new(edge: Edge, stores: Vec<OpenStore>) -> Self {
        Self {
            edge: Mutex::new(Some(edge)),
            stores: RwLock::new(stores),
        }
    }

    /// Serves another gateway over these stores from the next request on.
    pub(super) fn swap(&self, gateway: Arc<Gateway>, stores: Vec<OpenStore>) {
        *self.stores.write().unwrap_or_else(PoisonError::into_inner) = stores;
        if let Some(edge) = &*self.edge() {
            edge.swap(gateway);
        }
    }

    /// The listeners, to drain them.
    pub(super) fn take_edge(&self) -> Option<Edge> {
        self.edge().take()
    }

    fn edge(&self) -> MutexGuard<'_, Option<Edge>> {
        self.edge.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Probes for Arc<Parts> {
    fn active(&self) -> usize {
        self.edge().as_ref().map_or(0, Edge::active)
    }

    fn endpoints(&self) -> Vec<EndpointView> {
        self.edge().as_ref().map_or_else(Vec::new, Edge::endpoints)
    }

    fn services(&self) -> Vec<ServiceView> {
        self.edge().as_ref().map_or_else(Vec::new, Edge::services)
    }

    fn servers(&self) -> Vec<(String, Server)> {
        let stores = self.stores.read().unwrap_or_else(PoisonError::into_inner);
        let of = |store: &OpenStore| {
            let name = store.name.clone();
            let servers = store.store.servers().into_iter();
            servers
                .map(move |server| (name.clone(), server))
                .collect::<Vec<_>>()
        };
        stores.iter().flat_map(of).collect()
    }

    fn ready(&self) -> ProbeFuture<'_> {
        let stores = self.stores.read().unwrap_or_else(PoisonError::into_inner).clone();
        Box::pin(async move {
            let mut parts = Vec::with_capacity(stores.len());
            for store in stores {
                let answer = store.store.ready(clock::now() + READY_WITHIN).await;
                parts.push((format!("store {}", store.name), answer.map_err(|e| e.to_string())));
            }
            parts
        })
    }
}
