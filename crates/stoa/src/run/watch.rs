//! Looks at the servers of the stores and the addresses of the services, on a thread and a runtime of its own: neither a busy worker nor a reload that
//! migrates keeps the process from noticing that a primary is gone.

use super::Mode;
use crate::{
    assemble::OpenStore,
    telemetry::{Telemetry, line::Level},
    terminal::{self, style},
};
use std::{io, sync::Arc};
use stoa_data::store::{Change, Tell, Watch};
use stoa_edge::Upkeep;
use tokio::sync::mpsc;

/// Stores that wait to be looked at; the thread takes them at once.
const WAITING_MAX: usize = 64;

/// The thread that looks.
pub(super) struct Watcher {
    stores: mpsc::Sender<Watch>,
}

impl Watcher {
    /// Starts the thread. It ends with the process.
    ///
    /// # Errors
    /// When the system gives no thread or no event loop.
    pub(super) fn start() -> io::Result<Self> {
        let (stores, mut added) = mpsc::channel::<Watch>(WAITING_MAX);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        std::thread::Builder::new()
            .name(String::from("watch"))
            .spawn(move || {
                runtime.block_on(async move {
                    while let Some(watch) = added.recv().await {
                        tokio::spawn(watch);
                    }
                });
            })?;
        Ok(Self { stores })
    }

    /// Does what the gateway half wants done beside its requests.
    pub(super) fn keep(&self, upkeep: Upkeep) {
        // The thread has just begun: there is room.
        let _ = self.stores.try_send(upkeep);
    }

    /// Looks at the servers of these stores from now on, until each store is gone. One that is looked at already is
    /// left alone.
    pub(super) fn take(&self, stores: &[OpenStore], telemetry: &Arc<Telemetry>, mode: Mode) {
        for store in stores {
            if let Some(watch) = store.store.watch(tell(&store.name, telemetry, mode))
                && self.stores.try_send(watch).is_err()
            {
                let name = [("stoa.store", store.name.as_str())];
                telemetry.event(Level::Error, "the servers of a store are not looked at", &name);
            }
        }
    }
}

/// Writes each change of a server into the log.
fn tell(store: &str, telemetry: &Arc<Telemetry>, mode: Mode) -> Tell {
    let (store, telemetry) = (store.to_owned(), Arc::clone(telemetry));
    Box::new(move |change: &Change| {
        let level = if change.grave { Level::Warn } else { Level::Info };
        let (shard, role) = (change.shard.to_string(), change.role.to_string());
        let fields = [
            ("stoa.store", store.as_str()),
            ("stoa.shard", &shard),
            ("server.address", &change.server),
            ("stoa.server.role", &role),
        ];
        telemetry.event(level, &change.text, &fields);
        if mode == Mode::Dev && change.grave {
            let warn = style::WARN;
            terminal::say(format_args!("  {warn}!{warn:#} store {store}: {}", change.text));
        }
    })
}
