//! The file that keeps disk space free so that running jobs can finish on a full disk, and its size:
//! [`DiskReserve`].
//!
//! Does not decide when the disk counts as full: see `writer/upkeep.rs`. That nothing is claimed then is
//! decided in `sqlite/transaction.rs`, that new jobs are refused in `writer/commit.rs`.
//!
//! Depends on std and on `worker_locks`. SQLite never comes in.
//!
//! On a full disk SQLite cannot change anything, not even delete a row: each write goes to the log first. So
//! the file `<db>-workers/disk_reserve` exists while workers run, and is truncated when a write finds no
//! space. The released space is for the finishes, releases and heartbeats of the running jobs. New jobs are
//! refused and no job is claimed until the file can be created again, which proves that there is space.
//!
//! All processes that have the database open read the state from the file. Empty: the disk is full. Missing:
//! no worker runs, since none has started or the last one has stopped. Otherwise: there is space. A file left
//! by a dead process is valid, and the next process uses it.
//!
//! **Its size.** SQLite restarts the log after a checkpoint, which it runs from a thousand pages on: 4 MiB. A
//! dispatcher claims at most 1,024 jobs ahead. Together with the running jobs they touch about as many pages
//! if each row is on a page of its own. They touch less than half as many if the jobs are claimed in the
//! order of their ids. So 4 MiB are for the log. Another 4 MiB are for the database, to which the log is
//! written and which grows by results and attempts. All dispatchers and processes share one file, since they
//! seldom hold that many jobs at once. Finishes that do not fit, such as results of 1 MiB each, are repeated
//! until there is space.
//!
//! Processes may want different sizes. A process that finds the file shorter than its own setting extends it
//! if there is space. Otherwise it accepts the shorter file.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::worker_locks;

/// The default size; the module documentation explains it.
pub(in crate::store::sqlite) const RESERVE_BYTES: u64 = 8 << 20;

/// The time between two checks of the file by a process that writes.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The pauses before an attempt to restore the file: the first and the longest one. Each attempt takes up the
/// free space for a moment.
const RESTORE_PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));

#[derive(Debug)]
pub(in crate::store::sqlite) struct DiskReserve {
    dir: PathBuf,
    /// 0 for no reserve.
    bytes: u64,
    checked_at: Option<Duration>,
    /// Set while the space is released.
    released: Option<NextRestore>,
    /// The file is smaller than the reserve of this process, and could not be extended. Not tried again until
    /// a worker starts.
    accepts_shorter: bool,
}

/// When the next attempt to restore the file is due, and the pause that led to it.
#[derive(Clone, Copy, Debug)]
struct NextRestore {
    at: Duration,
    pause: Duration,
}

impl DiskReserve {
    /// In `dir`, which exists while workers run.
    pub(in crate::store::sqlite) fn new(dir: &Path, bytes: u64) -> DiskReserve {
        DiskReserve { dir: dir.to_owned(), bytes, checked_at: None, released: None, accepts_shorter: false }
    }

    /// Whether the space is released, by this or another process. Then no new jobs may be stored or claimed.
    pub(in crate::store::sqlite) fn is_released(&self) -> bool {
        self.released.is_some()
    }

    /// Releases the reserved space, if there is any. Called when a write has found no space.
    pub(in crate::store::sqlite) fn release(&mut self, now: Duration) {
        if self.bytes == 0 || self.length().is_none() {
            return;
        }
        // The empty file stays, so that other processes see the state.
        let _ = OpenOptions::new().write(true).open(self.file()).and_then(|file| file.set_len(0));
        self.note_released(now);
    }

    /// Reads the state from the file, at most once a second. If this process has workers, creates or extends
    /// the file.
    pub(in crate::store::sqlite) fn check(&mut self, now: Duration, has_workers: bool) {
        if self.bytes == 0
            || self.is_released()
            || self.checked_at.is_some_and(|at| now < at + CHECK_INTERVAL)
        {
            return;
        }
        self.checked_at = Some(now);
        match self.length() {
            Some(0) => self.note_released(now),
            // Created by a process with a smaller reserve, or truncated by a power loss.
            Some(length) if length < self.bytes && has_workers && !self.accepts_shorter => {
                self.accepts_shorter = !self.create(0).unwrap_or(false);
            }
            None if has_workers => {
                if matches!(self.create(0), Err(error) if is_full(&error)) {
                    self.note_released(now);
                }
            }
            _ => {}
        }
    }

    /// Makes the next [`check`](DiskReserve::check) read the file. Called when a worker has registered.
    pub(in crate::store::sqlite) fn check_soon(&mut self) {
        self.checked_at = None;
        self.accepts_shorter = false;
    }

    /// How long until the next attempt to restore the file.
    pub(in crate::store::sqlite) fn sleep(&self, now: Duration) -> Option<Duration> {
        self.released.map(|next| next.at.saturating_sub(now))
    }

    /// Creates the file again if an attempt is due. Returns whether writes may resume.
    ///
    /// Another `bytes` must be free beside the file, or the next job would use it up at once. Nothing is
    /// created if another process has restored the file in any size, or if the last worker has removed it.
    /// The next write then shows whether the disk has space.
    pub(in crate::store::sqlite) fn try_restore(&mut self, now: Duration) -> bool {
        let Some(next) = self.released.filter(|next| next.at <= now) else { return false };
        let is_over = self.length().map_or_else(|| !self.has_workers(), |length| length > 0);
        if is_over || self.create(self.bytes).unwrap_or(false) {
            self.released = None;
            return true;
        }
        let pause = (next.pause * 2).min(RESTORE_PAUSE.1);
        self.released = Some(NextRestore { at: now + pause, pause });
        false
    }

    /// Removes the file if no worker of any process runs. Called when the last worker of this process has
    /// stopped.
    pub(in crate::store::sqlite) fn remove_if_unused(&mut self) {
        if !self.has_workers() {
            let _ = std::fs::remove_file(self.file());
            let _ = std::fs::remove_file(self.unfinished());
            let _ = std::fs::remove_dir(&self.dir);
            self.released = None;
        }
    }

    /// Whether a worker of any process has its lock file in the directory.
    fn has_workers(&self) -> bool {
        let is_lock =
            |entry: std::fs::DirEntry| entry.file_name().to_str().is_some_and(worker_locks::is_lock_name);
        match std::fs::read_dir(&self.dir) {
            Ok(entries) => entries.flatten().any(is_lock),
            Err(error) => error.kind() != ErrorKind::NotFound,
        }
    }

    fn note_released(&mut self, now: Duration) {
        self.released.get_or_insert(NextRestore { at: now + RESTORE_PAUSE.0, pause: RESTORE_PAUSE.0 });
    }

    /// Writes the file, and requires `spare` more free bytes. `false` if another process is writing it.
    ///
    /// It is written under another name until it is complete. An incomplete file under its final name would
    /// report a full disk to all other processes.
    fn create(&self, spare: u64) -> std::io::Result<bool> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(self.unfinished())?;
        if file.try_lock().is_err() {
            return Ok(false);
        }
        // Another process may have completed the file between our check and our lock. Then the file opened
        // here may be that very file.
        if self.length().is_some_and(|length| length >= self.bytes) {
            if file.metadata()?.len() < self.bytes {
                let _ = std::fs::remove_file(self.unfinished());
            }
            return Ok(true);
        }
        match fill(&file, self.bytes + spare)
            .and_then(|()| file.set_len(self.bytes))
            .and_then(|()| std::fs::rename(self.unfinished(), self.file()))
        {
            Ok(()) => Ok(true),
            Err(error) => {
                // An incomplete file would only occupy space.
                let _ = std::fs::remove_file(self.unfinished());
                Err(error)
            }
        }
    }

    /// `None` if the file does not exist.
    fn length(&self) -> Option<u64> {
        std::fs::metadata(self.file()).ok().map(|file| file.len())
    }

    fn file(&self) -> PathBuf {
        self.dir.join("disk_reserve")
    }

    /// The name of the file until it is complete. A process that died may have left such a file.
    fn unfinished(&self) -> PathBuf {
        self.dir.join("disk_reserve.new")
    }
}

/// Writes bytes that no file system can store in less space: no holes, nothing to compress. Not synced: after
/// a power loss the file is found short, and is created again.
fn fill(mut file: &File, bytes: u64) -> std::io::Result<()> {
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    let mut block = vec![0; 64 << 10];
    let mut left = bytes;
    while left > 0 {
        for chunk in block.chunks_exact_mut(8) {
            // Marsaglia's xorshift: any noise is good enough.
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            chunk.copy_from_slice(&noise.to_le_bytes());
        }
        let many = left.min(block.len() as u64);
        file.write_all(&block[..many as usize])?;
        left -= many;
    }
    Ok(())
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn all_processes_see_a_release_until_one_of_them_has_restored_the_file() {
        let dir = crate::store::sqlite::scratch("disk-reserve");
        let [mut worker, mut other] = [(); 2].map(|()| DiskReserve::new(&dir, 1 << 20));
        other.check(Duration::ZERO, false);
        assert!(!other.is_released() && other.length().is_none(), "no worker runs");
        worker.check(Duration::ZERO, true);
        assert_eq!(worker.length(), Some(1 << 20));

        worker.release(SECOND);
        assert!(worker.is_released());
        assert_eq!(worker.length(), Some(0));
        other.check(SECOND / 2, false);
        assert!(!other.is_released(), "not every write reads the file");
        other.check(SECOND, false);
        assert!(other.is_released());

        assert!(!other.try_restore(SECOND), "not before the pause is over");
        assert!(other.try_restore(2 * SECOND) && !other.is_released());
        assert!(worker.try_restore(2 * SECOND) && !worker.is_released());
        assert_eq!(worker.length(), Some(1 << 20));
        worker.remove_if_unused();
        assert!(!dir.exists());
    }

    #[test]
    fn a_process_without_workers_resumes_when_the_last_worker_has_removed_the_file() {
        let dir = crate::store::sqlite::scratch("disk-reserve-gone");
        let [mut worker, mut enqueuer] = [(); 2].map(|()| DiskReserve::new(&dir, 1 << 20));
        worker.check(Duration::ZERO, true);
        worker.release(Duration::ZERO);
        enqueuer.check(Duration::ZERO, false);
        assert!(enqueuer.is_released());
        worker.remove_if_unused();
        assert!(!dir.exists() && !worker.is_released());
        assert!(enqueuer.try_restore(SECOND) && !enqueuer.is_released());
        assert!(!dir.exists(), "no worker runs");
    }

    #[test]
    fn the_file_stays_while_a_worker_runs_and_is_created_once() {
        let dir = crate::store::sqlite::scratch("disk-reserve-stays");
        let mut reserve = DiskReserve::new(&dir, 1 << 20);
        std::fs::write(dir.join("0000000000000007.lock"), "").unwrap();
        // Left by a process that died while it wrote the file.
        std::fs::write(dir.join("disk_reserve.new"), "half").unwrap();
        reserve.check(Duration::ZERO, true);
        assert!(!reserve.is_released());
        reserve.remove_if_unused();
        assert_eq!(reserve.length(), Some(1 << 20));
        std::fs::remove_file(dir.join("0000000000000007.lock")).unwrap();
        reserve.remove_if_unused();
        assert!(!dir.exists());
    }

    #[test]
    fn a_file_that_is_too_short_is_extended_and_does_not_report_a_full_disk() {
        let dir = crate::store::sqlite::scratch("disk-reserve-sizes");
        let mut small = DiskReserve::new(&dir, 1 << 20);
        let [mut large, mut enqueuer] = [(); 2].map(|()| DiskReserve::new(&dir, 2 << 20));
        small.check(Duration::ZERO, true);
        enqueuer.check(Duration::ZERO, false);
        assert!(!enqueuer.is_released());
        large.check(Duration::ZERO, true);
        assert!(!large.is_released());
        assert_eq!(large.length(), Some(2 << 20));

        // The process with the smaller reserve restores the file; that is enough for all processes.
        large.release(SECOND);
        enqueuer.check(SECOND, false);
        small.check(SECOND, true);
        assert!(enqueuer.is_released() && small.is_released());
        assert!(small.try_restore(2 * SECOND));
        std::fs::create_dir(dir.join("disk_reserve.new")).unwrap();
        assert!(
            enqueuer.try_restore(2 * SECOND) && large.try_restore(2 * SECOND),
            "neither can create a \
                                                                                    file"
        );
        for _ in 0..2 {
            large.check(3 * SECOND, true);
            large.check_soon();
        }
        assert!(!large.is_released() && large.length() == Some(1 << 20));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn while_one_process_writes_the_file_no_other_reports_a_full_disk() {
        let dir = crate::store::sqlite::scratch("disk-reserve-made");
        let unfinished = dir.join("disk_reserve.new");
        std::fs::write(&unfinished, "a part").unwrap();
        let writing = File::options().write(true).open(&unfinished).unwrap();
        writing.lock().unwrap();
        let [mut enqueuer, mut worker] = [(); 2].map(|()| DiskReserve::new(&dir, 1 << 20));
        enqueuer.check(Duration::ZERO, false);
        worker.check(Duration::ZERO, true);
        assert!(!enqueuer.is_released() && !worker.is_released() && worker.length().is_none());
        drop(writing);
        worker.check(SECOND, true);
        assert!(worker.length() == Some(1 << 20) && !unfinished.exists());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_reserve_of_zero_bytes_creates_no_file() {
        let dir = crate::store::sqlite::scratch("disk-reserve-none");
        let mut reserve = DiskReserve::new(&dir, 0);
        reserve.check(Duration::ZERO, true);
        reserve.release(Duration::ZERO);
        assert!(!reserve.is_released() && reserve.length().is_none());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
