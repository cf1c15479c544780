//! The tree to the plan. Each file below reads one section: its table of keys and the function that
//! reads it stand side by side.

pub(crate) mod admission;
pub(crate) mod auth;
pub(crate) mod functions;
pub(crate) mod handling;
pub(crate) mod imported;
pub(crate) mod limits;
pub(crate) mod overload;
pub(crate) mod own;
pub(crate) mod policies;
pub(crate) mod read;
pub(crate) mod references;
pub(crate) mod resources;
pub(crate) mod root;
pub(crate) mod server;
pub(crate) mod services;
pub(crate) mod stores;
pub(crate) mod telemetry;
pub(crate) mod tls;
pub(crate) mod traffic;
pub(crate) mod upstream;
pub(crate) mod websocket;

pub(crate) use read::{Reader, flag, list, one_or_many};

use std::path::{Component, Path, PathBuf};

/// What every section may need.
pub(crate) struct Context<'c> {
    /// The folder of the API file.
    pub(crate) folder: &'c Path,
}

impl Context<'_> {
    /// A path of the file, which is relative to it.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        let joined = self.folder.join(path);
        // `./shop.db` and `shop.db` are one file with one name.
        joined
            .components()
            .filter(|c| !matches!(c, Component::CurDir))
            .collect()
    }
}
