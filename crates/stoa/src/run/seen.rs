//! What was read last, to tell a save that changed something from one that did not.

use std::{
    path::{Path, PathBuf},
    time::SystemTime,
};
use stoa_config::{
    Source,
    plan::{JwtKeys, Plan},
};

/// The texts of the API file and the state of the files that it names.
pub(super) struct Seen {
    pub(super) sources: Vec<Source>,
    pub(super) beside: Vec<Beside>,
}

/// A file that the API file names: keys, first rows. Its content is read by whoever uses it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Beside {
    path: PathBuf,
    /// Its length in bytes and when it was written; `None` where it is not there.
    state: Option<(u64, Option<SystemTime>)>,
}

impl Seen {
    /// What `plan` was read from.
    pub(super) fn new(plan: &Plan, sources: Vec<Source>) -> Self {
        Self {
            sources,
            beside: beside(plan),
        }
    }

    /// Whether neither the texts nor the files that were named have changed.
    pub(super) fn is_same(&self, sources: &[Source]) -> bool {
        let same = |(a, b): (&Source, &Source)| a.path == b.path && a.text == b.text;
        self.sources.len() == sources.len()
            && self.sources.iter().zip(sources).all(same)
            && self.beside.iter().all(|file| file.state == written(&file.path))
    }

    /// Everything a save of which matters.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        let sources = self.sources.iter().map(|source| source.path.as_path());
        sources.chain(self.beside.iter().map(|file| file.path.as_path()))
    }
}

/// The files that `plan` names, as they are now.
pub(super) fn beside(plan: &Plan) -> Vec<Beside> {
    let keys = plan.auth.jwt.as_ref().and_then(|jwt| match &jwt.keys {
        JwtKeys::PublicKey(path) | JwtKeys::JwksFile(path) => Some(path),
        JwtKeys::Secret(_) | JwtKeys::JwksUrl(_) | JwtKeys::Discovery => None,
    });
    keys.into_iter()
        .chain(&plan.seed)
        .map(|path| Beside {
            path: path.clone(),
            state: written(path),
        })
        .collect()
}

/// Length in bytes and time of the last write; `None` for a file that is not there.
pub(crate) fn written(path: &Path) -> Option<(u64, Option<SystemTime>)> {
    let about = std::fs::metadata(path).ok()?;
    Some((about.len(), about.modified().ok()))
}
