//! Tells the main loop that a file was saved.
//!
//! The folders are watched, not the files: editors write a new file and rename it over the old one, after
//! which a watch on the old one sees nothing any more.

use crate::run::Event;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, mpsc};

/// How long it must be quiet after a write before the file is read: one save is several events.
const QUIET: Duration = Duration::from_millis(60);

/// The watch over the folders of the files that were read.
pub(crate) struct Watch {
    watcher: RecommendedWatcher,
    files: Arc<Mutex<HashSet<PathBuf>>>,
    folders: HashSet<PathBuf>,
}

impl Watch {
    /// Sends [`Event::Saved`] after one of the files given to [`Watch::follow`] was written. Runs a task on
    /// the current runtime.
    ///
    /// # Errors
    /// When the system gives no watch.
    pub(crate) fn start(events: mpsc::Sender<Event>) -> notify::Result<Self> {
        let files: Arc<Mutex<HashSet<PathBuf>>> = Arc::default();
        let touched = Arc::new(Notify::new());
        let (seen, wake) = (Arc::clone(&files), Arc::clone(&touched));
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| concerns(&event, &seen.lock().unwrap_or_else(PoisonError::into_inner)))
            {
                wake.notify_one();
            }
        })?;
        tokio::spawn(async move {
            loop {
                touched.notified().await;
                while tokio::time::timeout(QUIET, touched.notified()).await.is_ok() {}
                if events.send(Event::Saved).await.is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            watcher,
            files,
            folders: HashSet::new(),
        })
    }

    /// From now on these files are watched, by their absolute paths.
    ///
    /// # Errors
    /// When a folder cannot be watched.
    pub(crate) fn follow<'a>(&mut self, paths: impl Iterator<Item = &'a Path>) -> notify::Result<()> {
        let files: HashSet<PathBuf> = paths.map(Path::to_owned).collect();
        let folders: HashSet<PathBuf> = files
            .iter()
            .filter_map(|f| f.parent())
            .map(Path::to_owned)
            .collect();
        for folder in folders.difference(&self.folders) {
            self.watcher.watch(folder, RecursiveMode::NonRecursive)?;
        }
        for folder in self.folders.difference(&folders) {
            // A folder that is gone is not watched any more anyway.
            let _ = self.watcher.unwatch(folder);
        }
        self.folders = folders;
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = files;
        Ok(())
    }
}

/// Whether the event may have changed one of the files. Reading them is no change.
fn concerns(event: &notify::Event, files: &HashSet<PathBuf>) -> bool {
    let write = !matches!(event.kind, EventKind::Access(access) if !closes_a_write(access));
    write && event.paths.iter().any(|path| files.contains(path))
}

fn closes_a_write(access: notify::event::AccessKind) -> bool {
    use notify::event::{AccessKind, AccessMode};
    matches!(access, AccessKind::Close(AccessMode::Write))
}

#[cfg(test)]
mod tests;
