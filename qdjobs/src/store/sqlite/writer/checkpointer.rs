//! Decides when the write-ahead log is written back into the database, and how large it may become:
//! [`Checkpointer`].
//!
//! What a failed checkpoint means for the store is decided in `connection/error.rs`. The writer calls it
//! through `upkeep.rs`.
//!
//! Depends on rusqlite.
//!
//! SQLite writes the log back by itself in every commit that leaves a thousand pages in it, while the caller
//! of that commit waits. Most of this work is done here instead, at quiet moments, when nobody waits. SQLite
//! never restarts a log that always has a reader, so the log would grow without end: past the ceiling, the
//! readers are waited for.
//!
//! SQLite does not report how a checkpoint of its own ended. That is harmless if each commit syncs the log
//! (`Durability::Full`). Everything in it is safe, and the next checkpoint writes pages again that did not
//! reach the database. Under `Durability::Relaxed` the first sync of the log is that of the checkpoint. If it
//! fails, the store must halt before pages of a log with a hole are copied into the database. So there all
//! checkpoints are made here.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use crate::model::clock::Clock;
use crate::model::error::Result;
use crate::store::sqlite::connection::error;
use crate::store::sqlite::connection::open::Durability;
use crate::store::sqlite::files::names::log_of;
use crate::store::sqlite::health::HealthRecord;

/// A checkpoint is made when nothing was written for this time.
const QUIET: Duration = Duration::from_millis(250);

/// The fewest rows since the last checkpoint. Fewer rows are not worth its two syncs.
const ROWS_MIN: usize = 250;

/// After this many rows, a checkpoint is made without a quiet moment, if SQLite makes none itself. The log
/// then has 32 MiB if each row was a separate commit.
const ROWS_MAX: usize = 2_000;

/// Above this size of the log, a checkpoint is tried while other work continues.
/// [`health`](crate::JobQueue::health) then shows what blocks it.
const LARGE_BYTES: u64 = 8 << 20;

/// Above this size of the log, a checkpoint waits for readers. The next two values are how often, and for how
/// long.
const CEILING_BYTES: u64 = 64 << 20;
const CEILING_EVERY: Duration = Duration::from_secs(1);
const CEILING_PATIENCE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(in crate::store::sqlite) struct Checkpointer {
    /// The path of the write-ahead log.
    log: PathBuf,
    clock: Clock,
    health: Arc<HealthRecord>,
    /// Whether SQLite also makes automatic checkpoints.
    automatic: bool,
    ceiling: u64,
    /// Rows written since the last checkpoint.
    rows: usize,
    /// When the last row was written.
    wrote: Duration,
    /// When the size of the log was last read.
    measured: Duration,
}

impl Checkpointer {
    /// A checkpointer of the database at `path`.
    pub(in crate::store::sqlite) fn of(
        path: &Path,
        durability: Durability,
        clock: Clock,
        health: Arc<HealthRecord>,
    ) -> Checkpointer {
        Checkpointer {
            log: log_of(path),
            clock,
            health,
            automatic: durability == Durability::Full,
            ceiling: CEILING_BYTES,
            rows: 0,
            wrote: Duration::ZERO,
            measured: Duration::ZERO,
        }
    }

    pub(in crate::store::sqlite) fn log(&self) -> &Path {
        &self.log
    }

    #[cfg(test)]
    pub(super) fn forget_rows(&mut self) {
        self.rows = 0;
    }

    /// Records that about this many rows were committed.
    pub(in crate::store::sqlite) fn has_grown(&mut self, rows: usize, now: Duration) {
        self.rows = self.rows.saturating_add(rows);
        self.wrote = now;
    }

    /// How long to sleep until a checkpoint is due, if enough rows are in the log.
    pub(in crate::store::sqlite) fn sleep(&self, now: Duration) -> Option<Duration> {
        (self.rows >= ROWS_MIN).then(|| (self.wrote + QUIET).saturating_sub(now))
    }

    /// Makes a checkpoint if it is due. Returns whether the whole log is in the database.
    pub(in crate::store::sqlite) fn write_back(&mut self, conn: &Connection, now: Duration) -> Result<bool> {
        if self.sleep(now).is_none_or(|left| !left.is_zero()) {
            return Ok(false);
        }
        // If a reader or another process blocks this checkpoint, the next one writes the rest.
        self.rows = 0;
        self.checkpoint(conn, "PASSIVE")
    }

    /// Truncates the log if it is larger than the ceiling. Waits a short time for its readers. Returns whether
    /// the whole log is in the database.
    pub(in crate::store::sqlite) fn cut(&mut self, conn: &Connection, now: Duration) -> Result<bool> {
        let mut is_whole = false;
        if !self.automatic && self.rows >= ROWS_MAX {
            self.rows = 0;
            is_whole = self.checkpoint(conn, "PASSIVE")?;
        }
        if now < self.measured + CEILING_EVERY {
            return Ok(is_whole);
        }
        self.measured = now;
        // Reads only the size: opening and closing the file would drop SQLite's locks.
        match std::fs::metadata(&self.log).map_or(0, |log| log.len()) {
            bytes if bytes > self.ceiling => {
                let _ = conn.busy_timeout(CEILING_PATIENCE);
                let cut = self.checkpoint(conn, "TRUNCATE");
                // `BusyRetry` waits for the locks of the writer.
                let _ = conn.busy_timeout(Duration::ZERO);
                cut
            }
            bytes if bytes > LARGE_BYTES => self.checkpoint(conn, "PASSIVE"),
            _ => Ok(is_whole),
        }
    }

    /// Makes a checkpoint. Returns whether the whole log is in the database. If it fails, no commit is lost: the
    /// log is as safe as the database. The error is returned because it shows a problem of the disk.
    fn checkpoint(&self, conn: &Connection, mode: &str) -> Result<bool> {
        let step = format!("PRAGMA wal_checkpoint({mode})");
        let (busy, pages, written_back) = conn
            .query_row(&step, [], |row| {
                Ok((row.get::<_, bool>(0)?, row.get::<_, i64>(1)?, row.get::<_, i64>(2)?))
            })
            .map_err(error::in_checkpoint(conn))?;
        // SQLite returns -1 if there is no log.
        let [pages, written_back] = [pages, written_back].map(|pages| u64::try_from(pages).unwrap_or(0));
        self.health.note_checkpoint(self.clock.now(), pages, written_back, busy);
        Ok(!busy && written_back >= pages)
    }
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
            Arc::new(HealthRecord::of(path, &log_of(path), false)),
        )
    }

    #[test]
    fn the_log_is_written_back_when_nothing_was_written_for_a_while() {
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
    fn the_log_is_truncated_as_soon_as_it_has_no_reader_any_more() {
        let (conn, path, dir) = database("ceiling");
        let mut checkpointer = Checkpointer { ceiling: 1 << 20, ..wal(&path) };
        let size = |checkpointer: &Checkpointer| std::fs::metadata(checkpointer.log()).unwrap().len();
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
