//! The public method [`JobQueue::backup`].
//!
//! Copies nothing itself: the copy is made and checked in `store/sqlite/tools/backup.rs`.
//!
//! Depends on the SQLite store, and exists with the feature `sqlite`.

use std::any::Any;
use std::path::Path;

use super::job_queue::JobQueue;
use crate::model::error::{Error, ErrorKind, Result};
use crate::store::sqlite::SqliteStore;

#[cfg_attr(docsrs, doc(cfg(feature = "sqlite")))]
impl JobQueue {
    /// Copies the database into a new file, while workers continue.
    ///
    /// The copy is complete as of one moment, readable by its owner alone, and synced to the disk. An
    /// existing file is never replaced. A copy by `cp` would lack the commits that are only in the
    /// write-ahead log.
    ///
    /// The copy is checked. If it is damaged, it is removed, and the error is of kind
    /// [`Corrupt`](ErrorKind::Corrupt). A damaged database cannot be backed up, but
    /// [`salvage`](crate::store::sqlite::salvage()) copies its readable jobs. A queue that is not on SQLite
    /// returns an error of kind [`Config`](ErrorKind::Config).
    ///
    /// The call reads the database, writes the copy and reads the copy. Meanwhile, checkpoints cannot shorten
    /// the write-ahead log. In async code, call it on a thread for blocking work.
    ///
    /// To use the copy later, pass it to [`restore`](crate::store::sqlite::restore()). The jobs that were running
    /// at the moment of the backup are then pending at once, and no crash is counted for them. If the copy is
    /// opened or put in place by other means, they run again when their workers are presumed dead, and a crash is
    /// counted for each.
    ///
    /// ```
    /// # let dir = std::env::temp_dir().join(format!("qdjobs-doc-backup-{}", std::process::id()));
    /// # std::fs::create_dir_all(&dir).unwrap();
    /// # let (path, copy) = (dir.join("jobs.db"), dir.join("jobs-2026-11-25.db"));
    /// let queue = qdjobs::JobQueue::open(&path)?;
    /// queue.backup(&copy)?;
    /// assert!(qdjobs::store::sqlite::check(&copy)?.is_sound());
    /// # drop(queue);
    /// # std::fs::remove_dir_all(&dir).unwrap();
    /// # Ok::<(), qdjobs::Error>(())
    /// ```
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<()> {
        let store: &dyn Any = &**self.store();
        match store.downcast_ref::<SqliteStore>() {
            Some(store) => store.backup(to.as_ref()),
            None => Err(Error::new(
                ErrorKind::Config,
                "the store of this queue is not the SQLite store of qdjobs, so `backup` cannot copy it",
            )
            .help(
                "jobs in memory cannot be backed up; for jobs in a file, call `backup` on a queue that was opened with \
                 `JobQueue::open(path)`",
            )),
        }
    }
}
