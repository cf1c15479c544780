//! Saves as editors do them, over the real file system.

use super::*;
use notify::event::{AccessKind, AccessMode, CreateKind, DataChange, ModifyKind};
use std::fs;

/// Runs `change` in a watched folder and says whether the watch noticed.
fn notices(change: impl FnOnce(&Path)) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().canonicalize().unwrap().join("stoa.yaml");
    fs::write(&file, "api: a\n").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let (events, mut seen) = mpsc::channel(8);
        let mut watch = Watch::start(events).unwrap();
        watch.follow([file.as_path()].into_iter()).unwrap();
        change(&file);
        let first = tokio::time::timeout(Duration::from_secs(2), seen.recv()).await;
        matches!(first, Ok(Some(Event::Saved)))
    })
}

#[test]
fn a_write_in_place_is_noticed() {
    assert!(notices(|file| fs::write(file, "api: b\n").unwrap()));
}

#[test]
fn an_atomic_rename_over_the_file_is_noticed() {
    assert!(notices(|file| {
        let other = file.with_extension("tmp");
        fs::write(&other, "api: b\n").unwrap();
        fs::rename(&other, file).unwrap();
    }));
}

#[test]
fn other_files_and_reading_are_not() {
    let files: HashSet<PathBuf> = [PathBuf::from("/a/stoa.yaml")].into();
    let event = |kind, path: &str| notify::Event::new(kind).add_path(PathBuf::from(path));
    for (kind, path, wanted) in [
        (
            EventKind::Modify(ModifyKind::Data(DataChange::Any)),
            "/a/stoa.yaml",
            true,
        ),
        (EventKind::Create(CreateKind::File), "/a/stoa.yaml", true),
        (
            EventKind::Access(AccessKind::Close(AccessMode::Write)),
            "/a/stoa.yaml",
            true,
        ),
        (
            EventKind::Access(AccessKind::Open(AccessMode::Read)),
            "/a/stoa.yaml",
            false,
        ),
        (
            EventKind::Modify(ModifyKind::Data(DataChange::Any)),
            "/a/shop.db-wal",
            false,
        ),
    ] {
        assert_eq!(concerns(&event(kind, path), &files), wanted, "{kind:?} {path}");
    }
}
