//! A disk in memory, as SQLite sees one, that loses its power: what was written since the last sync is then kept,
//! lost or torn, sector by sector, as a seed decides.

use sqlite_vfs::wip::{WalIndex, WalIndexLock};
use sqlite_vfs::{DatabaseHandle, LockKind, OpenAccess, OpenOptions, Vfs};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io::{Error, ErrorKind};
use std::ops::Range;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

/// How SQLite calls it.
pub(in crate::store::sqlite) const NAME: &str = "stoa-simulated";
/// How paths on it begin.
const PREFIX: &str = "/simulated/";
/// Bytes that are written or not.
const SECTOR: usize = 512;

thread_local! {
    /// What SQLite takes for random: a simulation runs in one thread.
    static SALTS: RefCell<fastrand::Rng> =
        const { RefCell::new(fastrand::Rng::with_seed(0)) };
}

/// Every simulated disk of this process, by its number.
static DISKS: Mutex<Option<HashMap<u64, Disk>>> = Mutex::new(None);

/// Whether a database lies on a simulated disk.
pub(in crate::store::sqlite) fn is_simulated(path: &Path) -> bool {
    path.starts_with(PREFIX)
}

/// What happens to the disk, counted in steps: each write, sync, cut of a file's length and removal is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    /// The power goes in this step, and stays away until [`reboot`].
    Cut(u64),
    /// This one step fails.
    Fail(u64),
}

#[derive(Debug)]
struct Disk {
    /// In one order, so that a seed does the same to each.
    files: BTreeMap<String, File>,
    steps: u64,
    fault: Fault,
    dead: bool,
}

#[derive(Debug, Default)]
struct File {
    /// As the disk has it for certain.
    durable: Vec<u8>,
    /// As it is read.
    now: Vec<u8>,
    /// What was done since the last sync.
    since: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Length(usize),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::Write(at, data) => {
                if bytes.len() < at + data.len() {
                    bytes.resize(at + data.len(), 0);
                }
                bytes[*at..at + data.len()].copy_from_slice(data);
            }
            Self::Length(length) => bytes.resize(*length, 0),
        }
    }
}

impl Disk {
    /// Counts one step; the error is what the fault makes of it.
    fn step(&mut self) -> Result<(), Error> {
        self.steps += 1;
        match self.fault {
            Fault::Cut(at) if self.steps >= at => self.dead = true,
            Fault::Fail(at) if self.steps == at => return Err(Error::other("this step fails")),
            _ => {}
        }
        self.alive()
    }

    fn alive(&self) -> Result<(), Error> {
        if self.dead {
            return Err(Error::other("the power is gone"));
        }
        Ok(())
    }
}

fn with<T>(number: u64, run: impl FnOnce(&mut Disk) -> T) -> T {
    let mut disks: MutexGuard<'_, Option<HashMap<u64, Disk>>> =
        DISKS.lock().unwrap_or_else(PoisonError::into_inner);
    let disks = disks.get_or_insert_default();
    run(disks.entry(number).or_insert_with(|| Disk {
        files: BTreeMap::new(),
        steps: 0,
        fault: Fault::None,
        dead: false,
    }))
}

/// The path of a database on a disk of its own.
pub(super) fn path(number: u64) -> std::path::PathBuf {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| sqlite_vfs::register(NAME, Disks, false).expect("SQLite takes it"));
    Path::new(PREFIX).join(format!("{number}.db"))
}

/// What SQLite takes for random from now on, in this thread.
pub(super) fn seed(seed: u64) {
    SALTS.set(fastrand::Rng::with_seed(seed));
}

/// Steps so far.
pub(super) fn steps(number: u64) -> u64 {
    with(number, |disk| disk.steps)
}

/// Sets what will happen.
pub(super) fn set_fault(number: u64, fault: Fault) {
    with(number, |disk| disk.fault = fault);
}

/// Whether the power is gone.
pub(super) fn is_dead(number: u64) -> bool {
    with(number, |disk| disk.dead)
}

/// The power goes, if it has not, and comes back: of what was not synced, some sectors are there.
pub(super) fn reboot(number: u64, rng: &mut fastrand::Rng) {
    with(number, |disk| {
        for file in disk.files.values_mut() {
            // One disk loses all of it, another hardly anything.
            let kept = rng.f64();
            for change in std::mem::take(&mut file.since) {
                for part in sectors(&change) {
                    if rng.f64() < kept {
                        part.apply(&mut file.durable);
                    }
                }
            }
            file.now.clone_from(&file.durable);
        }
        disk.dead = false;
        disk.fault = Fault::None;
    });
}

/// Forgets a disk.
pub(super) fn remove(number: u64) {
    DISKS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get_or_insert_default()
        .remove(&number);
}

fn sectors(change: &Change) -> Vec<Change> {
    match change {
        Change::Write(at, data) => data
            .chunks(SECTOR)
            .enumerate()
            .map(|(index, part)| Change::Write(at + index * SECTOR, part.to_vec()))
            .collect(),
        Change::Length(length) => vec![Change::Length(*length)],
    }
}

struct Disks;

/// An open file.
struct Handle {
    disk: u64,
    name: String,
    lock: LockKind,
}

/// The number of the disk that a path is on.
fn disk_of(path: &str) -> Result<u64, Error> {
    let number = path.strip_prefix(PREFIX).and_then(|rest| rest.split('.').next());
    number
        .and_then(|n| n.parse().ok())
        .ok_or_else(|| Error::from(ErrorKind::NotFound))
}

impl Vfs for Disks {
    type Handle = Handle;

    fn open(&self, db: &str, options: OpenOptions) -> Result<Handle, Error> {
        let number = disk_of(db)?;
        with(number, |disk| {
            disk.alive()?;
            let may_make = matches!(options.access, OpenAccess::Create | OpenAccess::CreateNew);
            if !may_make && !disk.files.contains_key(db) {
                return Err(ErrorKind::NotFound.into());
            }
            disk.files.entry(db.to_owned()).or_default();
            Ok(Handle {
                disk: number,
                name: db.to_owned(),
                lock: LockKind::None,
            })
        })
    }

    fn delete(&self, db: &str) -> Result<(), Error> {
        with(disk_of(db)?, |disk| {
            disk.step()?;
            disk.files.remove(db);
            Ok(())
        })
    }

    fn exists(&self, db: &str) -> Result<bool, Error> {
        with(disk_of(db)?, |disk| {
            Ok(disk.files.get(db).is_some_and(|f| !f.now.is_empty()))
        })
    }

    fn temporary_name(&self) -> String {
        format!("{PREFIX}0.temporary")
    }

    fn random(&self, buffer: &mut [i8]) {
        // Salts of the log: they differ from one to the next, and are the same for the same seed.
        SALTS.with_borrow_mut(|rng| buffer.fill_with(|| rng.i8(..)));
    }

    fn sleep(&self, duration: Duration) -> Duration {
        duration
    }

    fn full_pathname<'a>(&self, db: &'a str) -> Result<Cow<'a, str>, Error> {
        Ok(db.into())
    }
}

impl Handle {
    fn file<T>(&self, run: impl FnOnce(&mut File) -> T, is_step: bool) -> Result<T, Error> {
        with(self.disk, |disk| {
            if is_step {
                disk.step()?;
            }
            disk.alive()?;
            disk.files
                .get_mut(&self.name)
                .map(run)
                .ok_or_else(|| ErrorKind::NotFound.into())
        })
    }

    fn change(&self, change: Change) -> Result<(), Error> {
        self.file(
            |file| {
                change.apply(&mut file.now);
                file.since.push(change);
            },
            true,
        )
    }
}

impl DatabaseHandle for Handle {
    type WalIndex = Index;

    fn size(&self) -> Result<u64, Error> {
        self.file(|file| file.now.len() as u64, false)
    }

    fn read_exact_at(&mut self, buffer: &mut [u8], offset: u64) -> Result<(), Error> {
        let at = offset as usize;
        self.file(
            |file| {
                let found = file.now.get(at..at + buffer.len());
                found
                    .map(|bytes| buffer.copy_from_slice(bytes))
                    .ok_or_else(|| ErrorKind::UnexpectedEof.into())
            },
            false,
        )?
    }

    fn write_all_at(&mut self, data: &[u8], offset: u64) -> Result<(), Error> {
        self.change(Change::Write(offset as usize, data.to_vec()))
    }

    fn sync(&mut self, _data_only: bool) -> Result<(), Error> {
        self.file(
            |file| {
                file.durable.clone_from(&file.now);
                file.since.clear();
            },
            true,
        )
    }

    fn set_len(&mut self, size: u64) -> Result<(), Error> {
        self.change(Change::Length(size as usize))
    }

    fn lock(&mut self, lock: LockKind) -> Result<bool, Error> {
        self.lock = lock;
        Ok(true)
    }

    fn reserved(&mut self) -> Result<bool, Error> {
        Ok(false)
    }

    fn current_lock(&self) -> Result<LockKind, Error> {
        Ok(self.lock)
    }

    fn wal_index(&self, _readonly: bool) -> Result<Index, Error> {
        Ok(Index)
    }
}

/// The index of the log: the simulation has one connection at a time, which keeps it to itself.
struct Index;

impl WalIndex for Index {
    #[allow(clippy::large_stack_arrays, reason = "the trait wants it so")]
    fn map(&mut self, _region: u32) -> Result<[u8; 32768], Error> {
        Ok([0; 32768])
    }

    fn lock(&mut self, _locks: Range<u8>, _lock: WalIndexLock) -> Result<bool, Error> {
        Ok(true)
    }

    fn delete(self) -> Result<(), Error> {
        Ok(())
    }
}
