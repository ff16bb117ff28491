//! The lock file that proves whether a worker is alive, created and tested here: [`WorkerLocks`].
//!
//! When the file of a worker of this process is removed is decided in `writer/local_workers.rs`. Who looks
//! for dead workers is in `worker/supervisor/rescuer.rs`.
//!
//! Depends on std. The database's own files are never opened here: closing any descriptor of them would drop
//! SQLite's locks.
//!
//! The operating system releases the lock when the process ends, however it ends. So a process that gets the
//! lock has proof that the worker is dead.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::WorkerId;

/// How often a directory that disappears is created again before that is an error.
const DIR_TRIES: usize = 100;

/// The suffix of a worker's lock file. The part before it is the worker's number.
const LOCK_SUFFIX: &str = ".lock";

/// The file that one process locks if the linked SQLite is not safe with several. Its name is not a worker's
/// number.
const EXCLUSIVE_LOCK: &str = "exclusive.lock";

/// The directory beside the database, and the files that this process has locked in it.
#[derive(Debug)]
pub(in crate::store::sqlite) struct WorkerLocks {
    dir: PathBuf,
    /// Kept open: closing a file releases its lock.
    held: Mutex<HashMap<WorkerId, File>>,
}

impl WorkerLocks {
    /// For the database at `path`.
    pub(in crate::store::sqlite) fn beside(path: &Path) -> WorkerLocks {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push("-workers");
        WorkerLocks { dir: path.with_file_name(name), held: Mutex::default() }
    }

    pub(in crate::store::sqlite) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Creates and locks the file of a starting worker; `false` if this process already holds it. Called
    /// before the worker is registered, so that no other process finds a registered worker without its lock.
    pub(in crate::store::sqlite) fn acquire(&self, worker: WorkerId) -> Result<bool> {
        if self.lock().contains_key(&worker) {
            return Ok(false);
        }
        let created = self.create(worker);
        let file = created.map_err(|error| {
            Error::new(
                ErrorKind::Storage,
                format!("the lock file of a worker cannot be created or locked in `{}`: {error}", self.dir.display()),
            )
            .help(
                "check that this user may write there, that the disk has room, and that its file system has file locks",
            )
            .caused_by(error)
        })?;
        self.lock().insert(worker, file);
        Ok(true)
    }

    /// Creates a worker's file and locks it.
    fn create(&self, worker: WorkerId) -> std::io::Result<File> {
        let path = self.file(worker);
        let mut missing = std::io::Error::from(std::io::ErrorKind::NotFound);
        for _ in 0..DIR_TRIES {
            // Two races. The last worker to stop removes the directory, which can happen until our file is in
            // it. And another process may remove our file as a leftover while it is not locked yet.
            match self.create_dir().and_then(|()| options().create_new(true).open(&path)) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => missing = error,
                Err(error) => return Err(error),
                Ok(mut file) => {
                    // Only informative: a process id proves nothing.
                    let _ = writeln!(file, "{}", std::process::id());
                    file.lock()?;
                    if path.exists() {
                        return Ok(file);
                    }
                }
            }
        }
        Err(missing)
    }

    /// Removes the files of workers that died before they were registered. No process finds these workers in
    /// the table, so none would ever remove their files.
    pub(in crate::store::sqlite) fn remove_unregistered(&self, is_registered: impl Fn(WorkerId) -> bool) {
        for worker in worker_ids(&self.dir) {
            let path = self.file(worker);
            if self.lock().contains_key(&worker) {
                continue;
            }
            // The lock is taken before the table is read: a dead worker can no longer register.
            let Ok(file) = options().open(&path) else { continue };
            if file.try_lock().is_ok() && !is_registered(worker) {
                let _ = std::fs::remove_file(&path);
            }
        }
    }

    /// Removes the file of a worker: of a stopped worker of this process, or of a dead one.
    pub(in crate::store::sqlite) fn release(&self, worker: WorkerId) {
        let _ = std::fs::remove_file(self.file(worker));
        self.lock().remove(&worker);
        // Succeeds only when the directory is empty.
        let _ = std::fs::remove_dir(&self.dir);
    }

    /// Whether this process has no running worker.
    pub(in crate::store::sqlite) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Whether `worker` is proven dead. A missing file proves nothing.
    pub(in crate::store::sqlite) fn is_proven_dead(&self, worker: WorkerId) -> bool {
        if self.lock().contains_key(&worker) {
            return false;
        }
        // Opened for writing, since some file systems lock only such files. The close releases the lock
        // again.
        match options().open(self.file(worker)).map(|file| file.try_lock()) {
            Ok(Ok(())) => true,
            Ok(Err(TryLockError::WouldBlock | TryLockError::Error(_))) | Err(_) => false,
        }
    }

    /// Locks the database for one store, as long as the returned file is open. `None` if another store has
    /// locked it. For versions of SQLite that are not safe with several processes.
    pub(in crate::store::sqlite) fn lock_exclusively(&self) -> std::io::Result<Option<File>> {
        self.create_dir()?;
        let file = options().create(true).truncate(false).open(self.dir.join(EXCLUSIVE_LOCK))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn create_dir(&self) -> std::io::Result<()> {
        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.dir)
    }

    fn file(&self, worker: WorkerId) -> PathBuf {
        self.dir.join(format!("{worker}{LOCK_SUFFIX}"))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<WorkerId, File>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The workers of all processes that have a lock file in `dir`, running or dead.
pub(in crate::store::sqlite) fn worker_ids(dir: &Path) -> Vec<WorkerId> {
    file_stems(dir, LOCK_SUFFIX).iter().filter_map(|stem| worker_of(stem)).collect()
}

/// Whether this is the name of a worker's lock file.
pub(in crate::store::sqlite) fn is_lock_name(name: &str) -> bool {
    name.strip_suffix(LOCK_SUFFIX).is_some_and(|stem| worker_of(stem).is_some())
}

fn worker_of(stem: &str) -> Option<WorkerId> {
    i64::from_str_radix(stem, 16).ok().map(WorkerId)
}

/// The names of the files in `dir` that end with `suffix`, without it.
pub(in crate::store::sqlite) fn file_stems(dir: &Path, suffix: &str) -> Vec<String> {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files.filter_map(|file| Some(file.file_name().to_str()?.strip_suffix(suffix)?.to_owned())).collect()
}

fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_lock_file_proves_nothing_and_an_unlocked_one_proves_a_death() {
        let dir = crate::store::sqlite::scratch("worker-locks");
        let worker = WorkerId(7);
        // Two instances act as two processes: each opens the file with a descriptor of its own.
        let (own, other) =
            (WorkerLocks::beside(&dir.join("jobs.db")), WorkerLocks::beside(&dir.join("jobs.db")));
        assert!(!other.is_proven_dead(worker), "no file");
        own.acquire(worker).unwrap();
        assert!(!other.is_proven_dead(worker) && !own.is_proven_dead(worker), "the worker runs");
        drop(own);
        assert!(other.is_proven_dead(worker), "its process closed the file without a release");
        other.release(worker);
        assert!(!other.is_proven_dead(worker), "the file is removed");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn the_exclusive_lock_is_not_the_lock_of_a_worker() {
        let dir = crate::store::sqlite::scratch("exclusive-lock");
        let locks = WorkerLocks::beside(&dir.join("jobs.db"));
        let _exclusive = locks.lock_exclusively().unwrap().unwrap();
        assert_eq!(worker_ids(locks.dir()), []);
        locks.acquire(WorkerId(7)).unwrap();
        assert_eq!(worker_ids(locks.dir()), [WorkerId(7)]);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
