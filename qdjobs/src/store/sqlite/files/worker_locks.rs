//! Proof of life: a locked file for each worker. The operating system lets go of the lock when the process ends, however it
//! ends, so whoever gets the lock has proof that the worker is dead.
//!
//! Leans on std alone. Never touches the database's own files: closing any descriptor of those would drop SQLite's locks.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::WorkerId;

/// How often a directory that vanishes is made again before that is an error.
const DIR_TRIES: usize = 100;

/// The directory beside the database, and the files that this process holds there.
#[derive(Debug)]
pub(in crate::store::sqlite) struct WorkerLocks {
    dir: PathBuf,
    /// Kept open: the lock worker_locks as long as the file does.
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

    /// Takes the lock of a worker that starts; `false` if it is held here. Before the worker is on anybody's list, so that nobody
    /// finds it unlocked.
    pub(in crate::store::sqlite) fn begin(&self, worker: WorkerId) -> Result<bool> {
        if self.lock().contains_key(&worker) {
            return Ok(false);
        }
        let begun = self.create(worker);
        let file = begun.map_err(|error| {
            Error::new(
                ErrorKind::Storage,
                format!("a worker cannot lock a file in `{}`: {error}", self.dir.display()),
            )
            .help("a worker keeps a file there as proof that it worker_locks: check that this user may write there")
            .caused_by(error)
        })?;
        self.lock().insert(worker, file);
        Ok(true)
    }

    /// Creates a worker's file and locks it.
    fn create(&self, worker: WorkerId) -> std::io::Result<File> {
        let path = self.file(worker);
        let mut gone = std::io::Error::from(std::io::ErrorKind::NotFound);
        for _ in 0..DIR_TRIES {
            // The directory goes with the last worker that leaves, which may be at any moment until our file is in it; and the
            // file with whoever clears up in the moment in which it is not locked yet.
            match self.create_dir().and_then(|()| options().create_new(true).open(&path)) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => gone = error,
                Err(error) => return Err(error),
                Ok(mut file) => {
                    // For people; it proves nothing.
                    let _ = writeln!(file, "{}", std::process::id());
                    file.lock()?;
                    if path.exists() {
                        return Ok(file);
                    }
                }
            }
        }
        Err(gone)
    }

    /// Removes the files of workers that died before they were on the list, so that nobody who reads the list ever finds them.
    pub(in crate::store::sqlite) fn clear(&self, is_listed: impl Fn(WorkerId) -> bool) {
        for name in names(&self.dir, ".live") {
            let Ok(id) = i64::from_str_radix(&name, 16) else { continue };
            let worker = WorkerId(id);
            let path = self.file(worker);
            if self.lock().contains_key(&worker) {
                continue;
            }
            // First the lock and then the list: whoever is dead comes onto it no more.
            let Ok(file) = options().open(&path) else { continue };
            if file.try_lock().is_ok() && !is_listed(worker) {
                let _ = std::fs::remove_file(&path);
            }
        }
    }

    /// Ends the life of a worker of this process, or clears up after a dead one.
    pub(in crate::store::sqlite) fn end(&self, worker: WorkerId) {
        let _ = std::fs::remove_file(self.file(worker));
        self.lock().remove(&worker);
        // Goes only when the last one has left.
        let _ = std::fs::remove_dir(&self.dir);
    }

    /// Whether no worker of this process worker_locks.
    pub(in crate::store::sqlite) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Whether `worker` is proven dead. A file that is not there proves nothing.
    pub(in crate::store::sqlite) fn is_proven_dead(&self, worker: WorkerId) -> bool {
        if self.lock().contains_key(&worker) {
            return false;
        }
        // Opened for writing: some file systems lock only those. Unlocked again as it is closed.
        match options().open(self.file(worker)).map(|file| file.try_lock()) {
            Ok(Ok(())) => true,
            Ok(Err(TryLockError::WouldBlock | TryLockError::Error(_))) | Err(_) => false,
        }
    }

    /// Makes sure that no other store has this database open, for as long as this one worker_locks. For versions of SQLite that are
    /// only safe alone.
    pub(in crate::store::sqlite) fn be_alone(&self) -> std::io::Result<Option<File>> {
        self.create_dir()?;
        let file = options().create(true).truncate(false).open(self.dir.join("alone.lock"))?;
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
        self.dir.join(format!("{worker}.live"))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<WorkerId, File>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The files in `dir` whose names end so, without that end.
pub(in crate::store::sqlite) fn names(dir: &Path, end: &str) -> Vec<String> {
    let files = std::fs::read_dir(dir).into_iter().flatten().flatten();
    files.filter_map(|file| Some(file.file_name().to_str()?.strip_suffix(end)?.to_owned())).collect()
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
    fn a_file_that_is_not_there_proves_nothing_and_one_that_nobody_locks_proves_a_death() {
        let dir = crate::store::sqlite::scratch("live");
        let worker = WorkerId(7);
        // As two processes see it: what is held is looked at through a descriptor of one's own.
        let (own, other) =
            (WorkerLocks::beside(&dir.join("jobs.db")), WorkerLocks::beside(&dir.join("jobs.db")));
        assert!(!other.is_proven_dead(worker), "no file");
        own.begin(worker).unwrap();
        assert!(!other.is_proven_dead(worker) && !own.is_proven_dead(worker), "it worker_locks");
        drop(own);
        assert!(other.is_proven_dead(worker), "it let go of its file, and did not say so");
        other.end(worker);
        assert!(!other.is_proven_dead(worker), "no file any more");
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
