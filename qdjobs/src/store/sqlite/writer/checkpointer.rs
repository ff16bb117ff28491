//! The write-ahead log, written back to the database at quiet moments and kept below a ceiling: [`Checkpointer`].
//!
//! A checkpoint that SQLite makes by itself in a commit keeps to itself how it went. That is harmless where each commit syncs the log
//! (`Durability::Full`): all that is in it is safe, and pages that did not reach the database are written again by the next
//! checkpoint. Under `Durability::Relaxed` the checkpoint's is the first sync of the log, and a failed one must end the store before
//! pages are copied over the database's own from a log that has a hole: so there all of them are made here.
//!
//! Leans on rusqlite. SQLite writes the log back by itself in every commit that leaves a thousand pages in it, while the
//! caller of that commit waits. Most of this work is done here instead, when nobody does. And a log in which somebody always
//! reads is never begun anew by SQLite, so that it grows without end: past the ceiling the readers are waited for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use crate::model::clock::Clock;
use crate::model::error::Result;
use crate::store::sqlite::connection::error;
use crate::store::sqlite::connection::open::Durability;
use crate::store::sqlite::health::HealthRecord;

/// A moment is quiet when nothing was written for so long.
const QUIET: Duration = Duration::from_millis(250);

/// Rows written since the log was last written back: for fewer it is not worth two syncs.
const ROWS_MIN: usize = 250;

/// Rows after which it is written back without a quiet moment where SQLite does not do it by itself: thirty-two mebibytes of log if
/// each was a commit of its own.
const ROWS_MAX: usize = 2_000;

/// The size of the log past which it is looked at, while the work goes on without a quiet moment: what keeps it from being begun
/// anew is told by [`health`](crate::JobQueue::health).
const LARGE_BYTES: u64 = 8 << 20;

/// The size of the log past which readers are waited for, and how often and for how long.
const CEILING_BYTES: u64 = 64 << 20;
const CEILING_EVERY: Duration = Duration::from_secs(1);
const CEILING_PATIENCE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(in crate::store::sqlite) struct Checkpointer {
    path: PathBuf,
    clock: Clock,
    health: Arc<HealthRecord>,
    /// Whether SQLite writes it back by itself, too.
    automatic: bool,
    ceiling: u64,
    /// Rows written since the log was written back.
    rows: usize,
    /// When the last of them was written.
    wrote: Duration,
    /// When the size was last looked at.
    measured: Duration,
}

impl Checkpointer {
    /// The log of the database at `path`.
    pub(in crate::store::sqlite) fn of(
        path: &Path,
        durability: Durability,
        clock: Clock,
        health: Arc<HealthRecord>,
    ) -> Checkpointer {
        Checkpointer {
            path: log_of(path),
            clock,
            health,
            automatic: durability == Durability::Full,
            ceiling: CEILING_BYTES,
            rows: 0,
            wrote: Duration::ZERO,
            measured: Duration::ZERO,
        }
    }

    pub(in crate::store::sqlite) fn path(&self) -> &Path {
        &self.path
    }

    /// About so many rows were committed.
    pub(in crate::store::sqlite) fn has_grown(&mut self, rows: usize, now: Duration) {
        self.rows = self.rows.saturating_add(rows);
        self.wrote = now;
    }

    /// Until the moment is quiet, if there is something to write back then.
    pub(in crate::store::sqlite) fn sleep(&self, now: Duration) -> Option<Duration> {
        (self.rows >= ROWS_MIN).then(|| (self.wrote + QUIET).saturating_sub(now))
    }

    /// Writes it back, if the moment is quiet and there is enough.
    pub(in crate::store::sqlite) fn write_back(&mut self, conn: &Connection, now: Duration) -> Result<()> {
        if self.sleep(now).is_none_or(|left| !left.is_zero()) {
            return Ok(());
        }
        // What a reader or another process keeps from being written back now, the next round does.
        self.rows = 0;
        self.report_progress(conn, "PASSIVE")
    }

    /// Cuts it if it has grown past the ceiling: waits a moment for those who read in it.
    pub(in crate::store::sqlite) fn cut(&mut self, conn: &Connection, now: Duration) -> Result<()> {
        if !self.automatic && self.rows >= ROWS_MAX {
            self.rows = 0;
            self.report_progress(conn, "PASSIVE")?;
        }
        if now < self.measured + CEILING_EVERY {
            return Ok(());
        }
        self.measured = now;
        // Its size alone is asked for; opened, it would cost SQLite its locks.
        match std::fs::metadata(&self.path).map_or(0, |log| log.len()) {
            bytes if bytes > self.ceiling => {
                let _ = conn.busy_timeout(CEILING_PATIENCE);
                let cut = self.report_progress(conn, "TRUNCATE");
                // The writer waits for locks itself.
                let _ = conn.busy_timeout(Duration::ZERO);
                cut
            }
            bytes if bytes > LARGE_BYTES => self.report_progress(conn, "PASSIVE"),
            _ => Ok(()),
        }
    }

    /// What cannot be written back is no loss: in the log it is as safe as in the database. So a failure is told only for what it
    /// says of the disk.
    fn report_progress(&self, conn: &Connection, mode: &str) -> Result<()> {
        let step = format!("PRAGMA wal_checkpoint({mode})");
        let (busy, pages, written_back) = conn
            .query_row(&step, [], |row| {
                Ok((row.get::<_, bool>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
            })
            .map_err(error::before_commit)?;
        // -1 if there was nothing to look at.
        let [pages, written_back] = [pages, written_back].map(|pages| u64::try_from(pages).unwrap_or(0));
        self.health.note_checkpoint(self.clock.now(), pages, written_back, busy);
        Ok(())
    }
}

/// Where SQLite keeps the log of the database at `path`.
pub(in crate::store::sqlite) fn log_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push("-wal");
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::SqliteOptions;
    use crate::store::sqlite::open;

    const SECOND: Duration = Duration::from_secs(1);

    fn fill(conn: &Connection, kib: usize) {
        let params = format!("{{\"text\":\"{}\"}}", "x".repeat(1_000));
        let sql = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
            INSERT INTO qdjobs_jobs (task_name, params) SELECT 'a', ?2 FROM n";
        conn.execute(sql, rusqlite::params![kib as i64, params]).unwrap();
    }

    fn database(name: &str) -> (Connection, PathBuf, PathBuf) {
        let dir = crate::store::sqlite::scratch(name);
        let path = dir.join("jobs.db");
        (open::writer(&path, &SqliteOptions::default()).unwrap(), path, dir)
    }

    fn wal(path: &Path) -> Checkpointer {
        Checkpointer::of(
            path,
            Durability::Full,
            Clock::system(),
            Arc::new(HealthRecord::of(path, &log_of(path))),
        )
    }

    #[test]
    fn it_is_written_back_when_nothing_was_written_for_a_while() {
        let (conn, path, dir) = database("quiet");
        let size = || std::fs::metadata(&path).unwrap().len();
        let mut checkpointer = wal(&path);
        fill(&conn, 300);
        let before = size();
        checkpointer.has_grown(ROWS_MIN - 1, SECOND);
        assert_eq!(checkpointer.sleep(SECOND), None, "too little");
        checkpointer.has_grown(1, SECOND);
        assert_eq!(checkpointer.sleep(SECOND), Some(QUIET));
        checkpointer.write_back(&conn, SECOND + QUIET / 2).unwrap();
        assert_eq!(size(), before, "somebody may be about to write");
        checkpointer.write_back(&conn, SECOND + QUIET).unwrap();
        assert!(size() > before + (200 << 10));
        assert_eq!(checkpointer.sleep(SECOND + QUIET), None);
        drop(conn);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn it_is_cut_as_soon_as_nobody_reads_in_it_any_more() {
        let (conn, path, dir) = database("ceiling");
        let mut checkpointer = Checkpointer { ceiling: 1 << 20, ..wal(&path) };
        let size = |checkpointer: &Checkpointer| std::fs::metadata(checkpointer.path()).unwrap().len();
        let reader = open::reader(&path, &SqliteOptions::default()).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM qdjobs_jobs").unwrap();
        fill(&conn, 2_000);
        checkpointer.cut(&conn, SECOND).unwrap();
        assert!(size(&checkpointer) > 2 << 20, "a reader still needs it");
        fill(&conn, 1);
        reader.execute_batch("COMMIT").unwrap();
        checkpointer.cut(&conn, SECOND * 3 / 2).unwrap();
        assert!(size(&checkpointer) > 2 << 20, "too soon to try again");
        let held = checkpointer.health.health(None).sqlite.unwrap();
        assert!(held.checkpoint_blocked_since.is_some() && held.last_checkpoint.is_some_and(|it| it.blocked));
        checkpointer.cut(&conn, 2 * SECOND).unwrap();
        let held = checkpointer.health.health(None).sqlite.unwrap();
        assert!(held.checkpoint_blocked_since.is_none() && held.wal_bytes == 0, "{held:?}");
        assert_eq!(size(&checkpointer), 0);
        drop((conn, reader));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
