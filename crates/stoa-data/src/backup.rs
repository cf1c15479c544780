//! A consistent copy of a store while it serves.

use crate::store::StoreError;
use crate::store::sqlite::connect::{self, Use};
use crate::store::sqlite::unavailable;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use stoa_config::plan::{Plan, StoreKind};

/// How long a lock is waited for.
const BUSY: Duration = Duration::from_secs(10);

/// Copies the store `store_index` to the file `dest`: its state at one moment, every acknowledged write before that
/// included. The copy is on the disk when this returns. A file that is there already is not overwritten.
pub fn backup(plan: &Plan, store_index: usize, dest: &Path) -> Result<(), StoreError> {
    let path = match plan.stores.get(store_index).map(|s| &s.kind) {
        Some(StoreKind::Sqlite { path }) => path,
        Some(StoreKind::Postgres { .. }) => {
            return Err(StoreError::Refused(
                "PostgreSQL is backed up with its own tools (pg_dump)".to_owned(),
            ));
        }
        None => {
            return Err(StoreError::Internal(format!(
                "the plan has no store {store_index}"
            )));
        }
    };
    let source = connect::open(path, Use::Read, BUSY)?;
    // The name is taken first, so that of two backups to one place the second is refused. The pages go to a file
    // beside it, so that a copy that was cut off is not taken for a whole one.
    claim(dest)?;
    let part = beside(dest);
    let result = copy(&source, path, &part).and_then(|()| put(&part, dest));
    if result.is_err() {
        let _ = std::fs::remove_file(&part);
        let _ = std::fs::remove_file(dest);
    }
    result
}

fn beside(dest: &Path) -> PathBuf {
    let mut name = dest.as_os_str().to_owned();
    name.push(".part");
    PathBuf::from(name)
}

fn claim(dest: &Path) -> Result<(), StoreError> {
    match OpenOptions::new().write(true).create_new(true).open(dest) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(StoreError::Refused(format!(
            "{} is there already: give another name",
            dest.display()
        ))),
        Err(error) => Err(failed(dest, &error)),
    }
}

/// All pages in one step: under one read lock, so of one moment, and writers go on in the WAL.
fn copy(source: &Connection, path: &Path, part: &Path) -> Result<(), StoreError> {
    if part.exists() {
        std::fs::remove_file(part).map_err(|error| failed(part, &error))?;
    }
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut target = Connection::open_with_flags(part, flags).map_err(|error| unavailable(part, &error))?;
    {
        let backup = Backup::new(source, &mut target).map_err(|error| unavailable(path, &error))?;
        match backup.step(-1).map_err(|error| unavailable(part, &error))? {
            StepResult::Done => {}
            StepResult::More | StepResult::Busy | StepResult::Locked => {
                return Err(StoreError::Unavailable(format!(
                    "{}: another process holds the lock",
                    path.display()
                )));
            }
            other => return Err(StoreError::Internal(format!("the copy ended with {other:?}"))),
        }
    }
    // One file that needs no other beside it.
    target
        .pragma_update(None, "journal_mode", "DELETE")
        .map_err(|error| unavailable(part, &error))?;
    target.close().map_err(|(_, error)| unavailable(part, &error))
}

fn put(part: &Path, dest: &Path) -> Result<(), StoreError> {
    File::open(part)
        .and_then(|file| file.sync_all())
        .map_err(|error| failed(part, &error))?;
    std::fs::rename(part, dest).map_err(|error| failed(dest, &error))?;
    let folder = dest
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| failed(folder, &error))
}

fn failed(path: &Path, error: &io::Error) -> StoreError {
    let text = format!("{}: {error}", path.display());
    if error.kind() == io::ErrorKind::StorageFull {
        StoreError::Full(text)
    } else {
        StoreError::Unavailable(text)
    }
}
