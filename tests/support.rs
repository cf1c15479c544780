//! What the tests share: the server under test, a client, tokens, and the tools that were installed for them.

pub(crate) mod client;
pub(crate) mod server;
pub(crate) mod service;
pub(crate) mod stores;
pub(crate) mod token;
pub(crate) mod tools;

use std::path::{Path, PathBuf};

/// The repository.
pub(crate) fn repository() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    folder.canonicalize().expect("the package is in the repository")
}

/// Copies a folder's files and folders, leaving out databases that an earlier run may have left.
pub(crate) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder can be made");
    for entry in std::fs::read_dir(from).expect("the folder can be read") {
        let path = entry.expect("the folder can be read").path();
        let target = to.join(path.file_name().expect("an entry has a name"));
        let database = path
            .extension()
            .is_some_and(|e| e.to_string_lossy().starts_with("db"));
        if path.is_dir() {
            copy_folder(&path, &target);
        } else if !database {
            std::fs::copy(&path, &target).expect("the file can be copied");
        }
    }
}
