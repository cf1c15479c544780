//! The running process: what `dev` and `serve` share. Start, reload, drain.

mod certificates;
mod descriptors;
mod memory;
mod next;
mod parts;
mod seen;
mod signals;
mod watch;

pub(crate) use next::Refused;
pub(crate) use seen::written;
pub(crate) use signals::Event;

use crate::{
    admin::{self, Starting, Status},
    assemble::Assembly,
    changes,
    cli::{Addresses, ProfiledFile},
    commands::{Failure, Outcome},
    dev,
    telemetry::{Form, Telemetry, line::Level, panics},
    terminal::{self, style},
};
use next::Next;
use parts::Parts;
use seen::{Beside, Seen, beside};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use stoa_config::plan::Plan;
use stoa_edge::{Edge, Gateway};
use stoa_exchange::clock;
use tokio::sync::mpsc;

/// How many events may wait for the main loop; more of the same would say nothing new.
const EVENTS_MAX: usize = 64;
/// How often a draining process looks whether a load balancer has been told.
const LOOK: Duration = Duration::from_millis(50);

/// `dev` or `serve`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// On a laptop: migrates, mints, reloads on save, answers `Stoa-Explain` for everybody.
    Dev,
    /// In production.
    Serve,
}

/// What the command line asked for.
pub(crate) struct Setup {
    /// `dev` or `serve`.
    pub(crate) mode: Mode,
    /// The API file and its profile.
    pub(crate) file: ProfiledFile,
    /// Addresses that win over the file's.
    pub(crate) addresses: Addresses,
    /// The services and resources to serve; all when empty.
    pub(crate) only: Vec<String>,
    /// Whether what is announced is for machines.
    pub(crate) json: bool,
}

impl Setup {
    /// Whether the service or resource is to be served.
    pub(crate) fn serves(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

/// Runs until it is told to stop.
pub(crate) fn run(setup: Setup) -> Outcome {
    descriptors::raise();
    memory::small_pages();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::input(format!("the system gives no event loop: {e}")))?;
    let ended = runtime.block_on(async {
        let (sender, mut events) = mpsc::channel(EVENTS_MAX);
        signals::listen(&sender).map_err(|e| Failure::input(format!("signals cannot be caught: {e}")))?;
        let mut reload = false;
        let started = tokio::select! {
            started = Live::start(setup) => Some(started?),
            () = stopped(&mut events, &mut reload) => None,
        };
        let Some(mut live) = started else {
            terminal::say(
                "stopped before it served; what a migration has done stays, and the next start goes on",
            );
            return Ok(());
        };
        if reload {
            live.reload(true).await;
        }
        let ended = live.serve(&sender, &mut events).await;
        live.telemetry.writer.close();
        ended
    });
    // A migration that is under way ends with the process.
    runtime.shutdown_background();
    ended
}

/// Waits for the word to stop; notes the word to reload.
async fn stopped(events: &mut mpsc::Receiver<Event>, reload: &mut bool) {
    while let Some(event) = events.recv().await {
        match event {
            Event::Stop => return,
            Event::Reload => *reload = true,
            Event::Saved | Event::Key(_) => {}
        }
    }
}

/// The process while it serves.
pub(crate) struct Live {
    setup: Setup,
    /// The plan in force.
    pub(crate) plan: Arc<Plan>,
    /// The plan in force as a tree, to tell what a reload changed: its text, which takes a tenth of the memory.
    tree: String,
    /// What was read last, taken or not.
    seen: Seen,
    /// The gateway in force.
    pub(crate) gateway: Arc<Gateway>,
    assembly: Assembly,
    parts: Arc<Parts>,
    watcher: watch::Watcher,
    status: Arc<Status>,
    telemetry: Arc<Telemetry>,
    /// Where the API is served.
    pub(crate) http: SocketAddr,
    /// Where the admin port is served.
    pub(crate) admin: Option<SocketAddr>,
}

impl Live {
    async fn start(setup: Setup) -> Result<Self, Failure> {
        let began = clock::now();
        let starting = Arc::new(Starting::default());
        let mut assembly = Assembly::new(Arc::clone(&starting));
        let mut up = None;
        let read = next::read(&setup);
        let form = match setup.mode {
            Mode::Serve => Form::Json,
            Mode::Dev => Form::Human {
                colour: terminal::colour(),
            },
        };
        let mut observe = |plan: &Plan| -> Result<Arc<Telemetry>, Refused> {
            let started = Telemetry::start(form, &plan.api).map_err(|e| Refused::words(e.to_string()))?;
            panics::watch(&started);
            // A migration may take long: whoever watches the process is told so meanwhile.
            let status = Status::new(Arc::clone(&started), Arc::clone(&starting));
            let admin = match plan.server.admin {
                None => None,
                Some(at) => Some(
                    admin::start(at, Arc::clone(&status))
                        .map_err(|e| Refused::words(cannot_listen("admin", at, &e)))?,
                ),
            };
            up = Some((Arc::clone(&started), status, admin));
            Ok(started)
        };
        let next = match next::build(&setup, read, &mut assembly, &mut observe, None).await {
            Ok(next) => next,
            Err((refused, loaded)) => {
                refused.say(&loaded);
                return Err(Failure::Said);
            }
        };
        let (telemetry, status, admin) = up.expect("a plan that was built is observed");
        let watcher = watch::Watcher::start()
            .map_err(|e| Failure::input(format!("the system gives no thread: {e}")))?;
        watcher.take(&next.stores, &telemetry, setup.mode);
        let http = next.plan.server.http;
        let edge = Edge::start(&next.plan, Arc::clone(&next.gateway))
            .map_err(|e| Failure::input(cannot_listen("http", http, &e)))?;
        watcher.keep(edge.upkeep());
        let http = edge.address();
        let parts = Arc::new(Parts::new(edge, next.stores));
        status.serves(Box::new(Arc::clone(&parts)));
        let live = Self {
            setup,
            seen: Seen::new(&next.plan, next.loaded.sources),
            plan: next.plan,
            tree: next.tree.to_string(),
            gateway: next.gateway,
            assembly,
            parts,
            watcher,
            status,
            telemetry,
            http,
            admin,
        };
        live.announce(
            next.quiet.as_ref(),
            clock::now().duration_since(began),
            &next.notes,
        )
        .await;
        Ok(live)
    }

    async fn announce(&self, quiet: Option<&Arc<Gateway>>, took: Duration, notes: &[String]) {
        for note in notes {
            let dim = style::DIM;
            terminal::say(format_args!("  {dim}{note}{dim:#}"));
        }
        let http = format!("{}://{}", dev::panel::scheme(&self.plan), self.http);
        let admin = self
            .admin
            .map_or_else(|| String::from("none"), |at| format!("http://{at}"));
        self.telemetry.event(
            Level::Info,
            "listening",
            &[("url.full", &http), ("stoa.admin.url", &admin)],
        );
        if let Some(quiet) = quiet {
            dev::panel::show(self, quiet, took, self.setup.json).await;
            return;
        }
        let (api, name) = (&self.plan.api, style::NAME);
        terminal::say(format_args!(
            "serving {api} at {name}{http}{name:#}, admin at {name}{admin}{name:#}"
        ));
    }

    async fn serve(&mut self, sender: &mpsc::Sender<Event>, events: &mut mpsc::Receiver<Event>) -> Outcome {
        let dev = self.setup.mode == Mode::Dev;
        let mut watch = if dev { self.watch(sender) } else { None };
        let keys = if dev && terminal::interactive() {
            dev::keys::Keys::start(sender.clone())
        } else {
            None
        };
        let mut looks = tokio::time::interval(certificates::EVERY);
        loop {
            let event = tokio::select! {
                event = events.recv() => event,
                _ = looks.tick() => {
                    certificates::look(&self.gateway, &self.telemetry);
                    continue;
                }
            };
            let Some(event) = event else { break };
            match event {
                Event::Stop => break,
                Event::Key(key) => dev::panel::key(self, key),
                Event::Reload | Event::Saved => {
                    self.reload(event == Event::Reload).await;
                    if let Some(watch) = &mut watch {
                        follow(watch, &self.seen);
                    }
                }
            }
        }
        let ended = self.drain(events).await;
        drop(keys);
        ended
    }

    fn watch(&self, sender: &mpsc::Sender<Event>) -> Option<dev::watch::Watch> {
        match dev::watch::Watch::start(sender.clone()) {
            Ok(mut watch) => {
                follow(&mut watch, &self.seen);
                Some(watch)
            }
            Err(e) => {
                warn(&format!("saves are not noticed ({e}); press r to reload"));
                None
            }
        }
    }

    /// Reads the file again. What is broken changes nothing; what is good is built beside and takes over.
    async fn reload(&mut self, asked: bool) {
        let began = clock::now();
        let loaded = next::read(&self.setup);
        if !asked && self.seen.is_same(&loaded.sources) {
            return;
        }
        // Noted before they are read: a write in between is then one more reload, not a lost one.
        let beside = beside(loaded.plan.as_ref().unwrap_or(&self.plan));
        let telemetry = Arc::clone(&self.telemetry);
        let mut observe = |_: &Plan| Ok(Arc::clone(&telemetry));
        let before = Arc::clone(&self.gateway);
        let built = next::build(
            &self.setup,
            loaded,
            &mut self.assembly,
            &mut observe,
            Some(&before),
        )
        .await;
        match built {
            Ok(next) => self.take(next, beside, clock::now().duration_since(began)),
            Err((refused, loaded)) => {
                refused.say(&loaded);
                warn("the file was not taken; what ran before goes on");
                self.telemetry.event(
                    Level::Error,
                    "reload refused",
                    &[("error.message", &refused.first())],
                );
                self.status.reloaded(false);
                self.seen = Seen {
                    sources: loaded.sources,
                    beside,
                };
            }
        }
    }

    fn take(&mut self, next: Next, beside: Vec<Beside>, took: Duration) {
        let dim = style::DIM;
        for note in &next.notes {
            terminal::say(format_args!("  {dim}{note}{dim:#}"));
        }
        for text in needs_restart(&self.plan, &next.plan) {
            warn(&text);
        }
        let before = serde_json::from_str(&self.tree).unwrap_or_default();
        let changed = changes::on_one_line(&changes::between(&before, &next.tree));
        self.watcher.take(&next.stores, &self.telemetry, self.setup.mode);
        self.parts.swap(Arc::clone(&next.gateway), next.stores);
        (self.plan, self.gateway, self.tree) = (next.plan, next.gateway, next.tree.to_string());
        self.seen = Seen {
            sources: next.loaded.sources,
            beside,
        };
        self.status.reloaded(true);
        self.telemetry
            .event(Level::Info, "reloaded", &[("stoa.changes", &changed)]);
        let good = style::GOOD;
        let millis = took.as_millis();
        terminal::say(format_args!(
            "  {good}reloaded{good:#} {dim}in {millis} ms{dim:#}  {changed}"
        ));
    }

    /// Says no to `/readyz`, waits until whoever asks it knows, then ends what is under way.
    async fn drain(&mut self, events: &mut mpsc::Receiver<Event>) -> Outcome {
        self.status.set_draining();
        let requests = terminal::count(self.status.active(), "request");
        terminal::say(format_args!("  draining {requests}, Ctrl-C again to quit"));
        self.telemetry.event(Level::Info, "draining", &[]);
        let (status, longest) = (Arc::clone(&self.status), self.plan.server.drain);
        let (parts, mode) = (Arc::clone(&self.parts), self.setup.mode);
        let drained = async {
            let began = clock::now();
            let passed = || clock::now().duration_since(began);
            while mode == Mode::Serve && status.balancer_unaware() && passed() < longest / 4 {
                tokio::time::sleep(LOOK).await;
            }
            let edge = parts
                .take_edge()
                .expect("only a drain takes the listeners, and it runs once");
            edge.drain(longest.saturating_sub(passed())).await
        };
        let again = async { while events.recv().await.is_some_and(|event| event != Event::Stop) {} };
        tokio::select! {
            drained = drained => {
                if drained.cut > 0 {
                    warn(&format!("{} cut at the end of the drain time", terminal::count(drained.cut, "request")));
                }
                self.telemetry.event(Level::Info, "stopped", &[]);
                Ok(())
            }
            () = again => Err(Failure::Interrupted),
        }
    }
}

fn follow(watch: &mut dev::watch::Watch, seen: &Seen) {
    if let Err(e) = watch.follow(seen.paths()) {
        warn(&format!("saves are not noticed ({e}); press r to reload"));
    }
}

/// What a reload cannot change.
fn needs_restart(before: &Plan, after: &Plan) -> Vec<String> {
    let (old, new) = (&before.server, &after.server);
    [
        ("server.http", old.http != new.http),
        ("server.admin", old.admin != new.admin),
        ("server.workers", old.workers != new.workers),
    ]
    .into_iter()
    .filter(|(_, changed)| *changed)
    .map(|(name, _)| format!("{name} changed: that needs a restart, everything else was taken"))
    .collect()
}

fn cannot_listen(name: &str, at: SocketAddr, why: &io::Error) -> String {
    let hint = if why.kind() == io::ErrorKind::AddrInUse {
        format!("another process holds it; choose another with --{name} ADDR or `server.{name}`")
    } else {
        why.to_string()
    };
    format!("cannot listen on {at}: {hint}")
}

/// A line that needs attention.
fn warn(text: &str) {
    let warn = style::WARN;
    terminal::say(format_args!("  {warn}!{warn:#} {text}"));
}
