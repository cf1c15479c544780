//! The addresses of a host's name. No request waits for a name that was known once, and what was known is kept until something
//! better is (static stability).

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use stoa_exchange::clock;
use tokio::time::timeout;

/// How long a looked-up name is used without asking again.
const FRESH: Duration = Duration::from_secs(10);
/// How long the system may take to look a name up; the answer of a later one is not waited for.
const LOOKUP: Duration = Duration::from_secs(5);

/// A name and what is known of it.
#[derive(Debug)]
pub(super) struct Name {
    host: String,
    port: u16,
    known: Mutex<Option<Known>>,
    asking: AtomicBool,
    /// Lookups that failed.
    failed: AtomicU64,
    /// Whether the last one did, and whether that was told.
    failing: AtomicBool,
    told: AtomicBool,
    turn: AtomicUsize,
    /// Changes with the addresses.
    generation: AtomicU32,
}

/// When it was looked up, whether that went well or not, and the last addresses that were found.
#[derive(Clone, Debug)]
struct Known {
    at: Instant,
    addresses: Arc<[SocketAddr]>,
}

impl Name {
    pub(super) fn new(host: &str, port: u16) -> Arc<Self> {
        Arc::new(Self {
            host: host.to_owned(),
            port,
            known: Mutex::default(),
            asking: AtomicBool::new(false),
            failed: AtomicU64::new(0),
            failing: AtomicBool::new(false),
            told: AtomicBool::new(false),
            turn: AtomicUsize::new(0),
            generation: AtomicU32::new(0),
        })
    }

    /// Whether it can be looked up, once after each change of that.
    pub(super) fn turned(&self) -> Option<bool> {
        let failing = self.failing.load(Relaxed);
        (self.told.swap(failing, Relaxed) != failing).then_some(!failing)
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed.load(Relaxed)
    }

    /// Another number when the addresses are others: connections from before are then not used again, even where whom they
    /// lead to still answers.
    pub(super) fn generation(&self) -> u32 {
        self.generation.load(Relaxed)
    }

    #[cfg(test)]
    pub(super) fn moves(&self) {
        self.generation.fetch_add(1, Relaxed);
    }

    /// The addresses, another one first each time. Waits only where nothing was ever found.
    pub(super) async fn addresses(self: &Arc<Self>) -> io::Result<Vec<SocketAddr>> {
        self.addresses_by(system).await
    }

    /// Looks the name up in a task of its own when what is known is old.
    pub(super) fn refresh(self: &Arc<Self>) {
        self.refresh_by(system);
    }

    async fn addresses_by<F>(self: &Arc<Self>, lookup: fn(String, u16) -> F) -> io::Result<Vec<SocketAddr>>
    where
        F: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        let found = match self.known() {
            Some(known) => {
                self.refresh_by(lookup);
                known.addresses
            }
            None => self.ask(lookup).await?,
        };
        let first = self.turn.fetch_add(1, Relaxed) % found.len().max(1);
        Ok(found[first..].iter().chain(&found[..first]).copied().collect())
    }

    fn refresh_by<F>(self: &Arc<Self>, lookup: fn(String, u16) -> F)
    where
        F: Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'static,
    {
        let fresh = |known: Known| clock::now().duration_since(known.at) < FRESH;
        if self.known().is_some_and(fresh) || self.asking.swap(true, Relaxed) {
            return;
        }
        let asking = Asking(self.clone());
        // What comes of it is known afterwards.
        tokio::spawn(async move { drop(asking.0.ask(lookup).await) });
    }

    async fn ask<F>(&self, lookup: fn(String, u16) -> F) -> io::Result<Arc<[SocketAddr]>>
    where
        F: Future<Output = io::Result<Vec<SocketAddr>>>,
    {
        let asked = timeout(LOOKUP, lookup(self.host.clone(), self.port)).await;
        let nothing = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        let found = match asked {
            Ok(Ok(addresses)) if addresses.is_empty() => Err(nothing()),
            Ok(Err(error)) => Err(io::Error::new(io::ErrorKind::NotFound, error)),
            Ok(found) => found,
            Err(_) => Err(nothing()),
        };
        self.failing.store(found.is_err(), Relaxed);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match found {
            Ok(addresses) => {
                if known
                    .as_ref()
                    .is_some_and(|known| are_others(&known.addresses, &addresses))
                {
                    self.generation.fetch_add(1, Relaxed);
                }
                let addresses: Arc<[SocketAddr]> = addresses.into();
                *known = Some(Known {
                    at: clock::now(),
                    addresses: addresses.clone(),
                });
                Ok(addresses)
            }
            Err(error) => {
                self.failed.fetch_add(1, Relaxed);
                match &mut *known {
                    Some(last_good) => {
                        last_good.at = clock::now();
                        Ok(last_good.addresses.clone())
                    }
                    None => Err(error),
                }
            }
        }
    }

    fn known(&self) -> Option<Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether these are other addresses than those, in whatever order: resolvers turn it.
fn are_others(those: &[SocketAddr], these: &[SocketAddr]) -> bool {
    those.iter().any(|address| !these.contains(address))
        || these.iter().any(|address| !those.contains(address))
}

/// Also when the task is dropped with its runtime.
struct Asking(Arc<Name>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.asking.store(false, Relaxed);
    }
}

async fn system(host: String, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(tokio::net::lookup_host((host, port)).await?.collect())
}

#[cfg(test)]
mod tests;
