//! Room kept free for the day the disk is full: the [`DiskReserve`], a file of real blocks beside the database.
//!
//! Leans on std. On a full disk SQLite can change nothing, not even delete: each write goes to the log first. So the file
//! `<db>-workers/reserve` stands there while workers do, and is cut to nothing when a write finds no room. What it frees is for
//! the finishes, releases and heartbeats of what already runs; new jobs are refused and none is claimed until the file could be
//! made anew, which is the sign that there is room.
//!
//! The file speaks to all processes that have the database open: empty, the disk is full; not there, no worker is here, since none
//! has come or the last has left; else all is well. One that a dead process has left is as good as any, and is used by the next.
//!
//! **Its size.** SQLite begins the log anew once it is written back, and does so from a thousand pages on: 4 MiB. What one dispatcher of
//! a worker claims ahead (1,024 jobs at most) and what it runs touches about as many pages if each row lies on a page of its own, and
//! less than half as many where jobs are claimed in the order in which they came. So 4 MiB for the log, and as much again for
//! the database, into which the log is to be written and which grows by results and attempts. The file is one for all dispatchers and
//! processes, who seldom hold so much at once. What does not fit in, as results of a mebibyte each, waits: those finishes are
//! repeated until there is room.
//!
//! Processes may want it of different sizes. One that finds it shorter than it wants makes it longer, if there is room, and is
//! content with it if there is none.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// See the head of this file.
pub(in crate::store::sqlite) const RESERVE_BYTES: u64 = 8 << 20;

/// How often the file is looked at by a process that writes.
const LOOK: Duration = Duration::from_secs(1);

/// How soon after it was spent it is first tried to make it anew, and the longest pause between two tries: each takes, for a
/// moment, what room there is.
const TRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));

#[derive(Debug)]
pub(in crate::store::sqlite) struct DiskReserve {
    dir: PathBuf,
    /// None is kept if this is 0.
    bytes: u64,
    looked: Option<Duration>,
    spent: Option<Spent>,
    /// It is shorter than it is wanted here, and that could not be changed: not tried again until a worker comes.
    content: bool,
}

#[derive(Clone, Copy, Debug)]
struct Spent {
    try_at: Duration,
    pause: Duration,
}

impl DiskReserve {
    /// In `dir`, which is there as long as there are workers.
    pub(in crate::store::sqlite) fn new(dir: &Path, bytes: u64) -> DiskReserve {
        DiskReserve { dir: dir.to_owned(), bytes, looked: None, spent: None, content: false }
    }

    /// Whether it is gone, here or by another process: nothing new is to be written.
    pub(in crate::store::sqlite) fn is_spent(&self) -> bool {
        self.spent.is_some()
    }

    /// A write has found no room: frees what is kept, if there is something.
    pub(in crate::store::sqlite) fn spend(&mut self, now: Duration) {
        if self.bytes == 0 || self.length().is_none() {
            return;
        }
        // The name stays, so that others see it.
        let _ = OpenOptions::new().write(true).open(self.file()).and_then(|file| file.set_len(0));
        self.note_spent(now);
    }

    /// Looks at it, at most once a second: what others have made of it, and, where a worker worker_locks, whether it is there.
    pub(in crate::store::sqlite) fn look(&mut self, now: Duration, has_workers: bool) {
        if self.bytes == 0 || self.is_spent() || self.looked.is_some_and(|looked| now < looked + LOOK) {
            return;
        }
        self.looked = Some(now);
        match self.length() {
            Some(0) => self.note_spent(now),
            // As another process wants it, or as a power cut left it.
            Some(length) if length < self.bytes && has_workers && !self.content => {
                self.content = !self.make(0).unwrap_or(false);
            }
            None if has_workers => {
                if matches!(self.make(0), Err(error) if is_full(&error)) {
                    self.note_spent(now);
                }
            }
            _ => {}
        }
    }

    /// A worker has come: the next look is at once.
    pub(in crate::store::sqlite) fn look_soon(&mut self) {
        self.looked = None;
        self.content = false;
    }

    /// Until it is tried to make it anew.
    pub(in crate::store::sqlite) fn sleep(&self, now: Duration) -> Option<Duration> {
        self.spent.map(|spent| spent.try_at.saturating_sub(now))
    }

    /// Makes it anew, if it is time to try; whether writes may go on. As much again must be free beside it, or the next job
    /// would spend it at once. Nothing is to be made where another process has done so, of whatever size, or where it has gone with the
    /// last worker: the next write tells the truth.
    pub(in crate::store::sqlite) fn try_anew(&mut self, now: Duration) -> bool {
        let Some(spent) = self.spent.filter(|spent| spent.try_at <= now) else { return false };
        let is_over = self.length().map_or_else(|| !self.has_workers(), |length| length > 0);
        if is_over || self.make(self.bytes).unwrap_or(false) {
            self.spent = None;
            return true;
        }
        let pause = (spent.pause * 2).min(TRY.1);
        self.spent = Some(Spent { try_at: now + pause, pause });
        false
    }

    /// A worker of this process has left: the last of all takes it along.
    pub(in crate::store::sqlite) fn leave(&mut self) {
        if !self.has_workers() {
            let _ = std::fs::remove_file(self.file());
            let _ = std::fs::remove_file(self.unfinished());
            let _ = std::fs::remove_dir(&self.dir);
            self.spent = None;
        }
    }

    /// Whether a worker of any process has its proof of life beside the file.
    fn has_workers(&self) -> bool {
        let is_proof = |entry: std::fs::DirEntry| entry.path().extension().is_some_and(|it| it == "live");
        match std::fs::read_dir(&self.dir) {
            Ok(entries) => entries.flatten().any(is_proof),
            Err(error) => error.kind() != ErrorKind::NotFound,
        }
    }

    fn note_spent(&mut self, now: Duration) {
        self.spent.get_or_insert(Spent { try_at: now + TRY.0, pause: TRY.0 });
    }

    /// Writes it, with `spare` bytes more than are kept in the end. `false` if another process is at it. Under another name until
    /// it is whole: a part of it would say to all others that the disk is full.
    fn make(&self, spare: u64) -> std::io::Result<bool> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(self.unfinished())?;
        if file.try_lock().is_err() {
            return Ok(false);
        }
        // Somebody has made it between our look and our lock: then what was opened here may be that very file.
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
                // Half of it would only stand in the way.
                let _ = std::fs::remove_file(self.unfinished());
                Err(error)
            }
        }
    }

    /// `None` if it is not there.
    fn length(&self) -> Option<u64> {
        std::fs::metadata(self.file()).ok().map(|file| file.len())
    }

    fn file(&self) -> PathBuf {
        self.dir.join("reserve")
    }

    /// What is being made, or was when a process died.
    fn unfinished(&self) -> PathBuf {
        self.dir.join("reserve.new")
    }
}

/// Writes so many bytes that no file system can store in less: no hole, nothing to compress. Not synced: after a power cut it is
/// found short, and made anew.
fn fill(mut file: &File, bytes: u64) -> std::io::Result<()> {
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    let mut block = vec![0; 64 << 10];
    let mut left = bytes;
    while left > 0 {
        for chunk in block.chunks_exact_mut(8) {
            // Marsaglia's xorshift: any noise will do.
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
    fn what_one_process_spends_all_see_until_one_of_them_has_made_it_anew() {
        let dir = crate::store::sqlite::scratch("reserve");
        let [mut worker, mut other] = [(); 2].map(|()| DiskReserve::new(&dir, 1 << 20));
        other.look(Duration::ZERO, false);
        assert!(!other.is_spent() && other.length().is_none(), "nobody works here");
        worker.look(Duration::ZERO, true);
        assert_eq!(worker.length(), Some(1 << 20));

        worker.spend(SECOND);
        assert!(worker.is_spent());
        assert_eq!(worker.length(), Some(0));
        other.look(SECOND / 2, false);
        assert!(!other.is_spent(), "not every write looks");
        other.look(SECOND, false);
        assert!(other.is_spent());

        assert!(!other.try_anew(SECOND), "not at once");
        assert!(other.try_anew(2 * SECOND) && !other.is_spent());
        assert!(worker.try_anew(2 * SECOND) && !worker.is_spent());
        assert_eq!(worker.length(), Some(1 << 20));
        worker.leave();
        assert!(!dir.exists());
    }

    #[test]
    fn where_it_goes_with_the_last_worker_nobody_waits_for_it() {
        let dir = crate::store::sqlite::scratch("reserve-gone");
        let [mut worker, mut enqueuer] = [(); 2].map(|()| DiskReserve::new(&dir, 1 << 20));
        worker.look(Duration::ZERO, true);
        worker.spend(Duration::ZERO);
        enqueuer.look(Duration::ZERO, false);
        assert!(enqueuer.is_spent());
        worker.leave();
        assert!(!dir.exists() && !worker.is_spent());
        assert!(enqueuer.try_anew(SECOND) && !enqueuer.is_spent());
        assert!(!dir.exists(), "nobody works here");
    }

    #[test]
    fn it_stays_as_long_as_a_worker_does_and_is_made_once() {
        let dir = crate::store::sqlite::scratch("reserve-stays");
        let mut reserve = DiskReserve::new(&dir, 1 << 20);
        std::fs::write(dir.join("7.live"), "").unwrap();
        // Left by a process that died while it made it.
        std::fs::write(dir.join("reserve.new"), "half").unwrap();
        reserve.look(Duration::ZERO, true);
        assert!(!reserve.is_spent());
        reserve.leave();
        assert_eq!(reserve.length(), Some(1 << 20));
        std::fs::remove_file(dir.join("7.live")).unwrap();
        reserve.leave();
        assert!(!dir.exists());
    }

    #[test]
    fn one_that_is_shorter_than_wanted_is_made_longer_and_says_nothing_of_the_disk() {
        let dir = crate::store::sqlite::scratch("reserve-sizes");
        let mut small = DiskReserve::new(&dir, 1 << 20);
        let [mut large, mut enqueuer] = [(); 2].map(|()| DiskReserve::new(&dir, 2 << 20));
        small.look(Duration::ZERO, true);
        enqueuer.look(Duration::ZERO, false);
        assert!(!enqueuer.is_spent());
        large.look(Duration::ZERO, true);
        assert!(!large.is_spent());
        assert_eq!(large.length(), Some(2 << 20));

        // Made anew by the one that wants less, it is there for all.
        large.spend(SECOND);
        enqueuer.look(SECOND, false);
        small.look(SECOND, true);
        assert!(enqueuer.is_spent() && small.is_spent());
        assert!(small.try_anew(2 * SECOND));
        std::fs::create_dir(dir.join("reserve.new")).unwrap();
        assert!(enqueuer.try_anew(2 * SECOND) && large.try_anew(2 * SECOND), "none of them can make one");
        for _ in 0..2 {
            large.look(3 * SECOND, true);
            large.look_soon();
        }
        assert!(!large.is_spent() && large.length() == Some(1 << 20));
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn while_one_process_makes_it_no_other_takes_the_disk_for_full() {
        let dir = crate::store::sqlite::scratch("reserve-made");
        let unfinished = dir.join("reserve.new");
        std::fs::write(&unfinished, "a part").unwrap();
        let making = File::options().write(true).open(&unfinished).unwrap();
        making.lock().unwrap();
        let [mut enqueuer, mut worker] = [(); 2].map(|()| DiskReserve::new(&dir, 1 << 20));
        enqueuer.look(Duration::ZERO, false);
        worker.look(Duration::ZERO, true);
        assert!(!enqueuer.is_spent() && !worker.is_spent() && worker.length().is_none());
        drop(making);
        worker.look(SECOND, true);
        assert!(worker.length() == Some(1 << 20) && !unfinished.exists());
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_queue_without_one_has_none() {
        let dir = crate::store::sqlite::scratch("reserve-none");
        let mut reserve = DiskReserve::new(&dir, 0);
        reserve.look(Duration::ZERO, true);
        reserve.spend(Duration::ZERO);
        assert!(!reserve.is_spent() && reserve.length().is_none());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
