//! The write-ahead log, written back to the database at quiet moments and kept below a ceiling: [`Wal`].
//!
//! Leans on rusqlite. SQLite writes the log back by itself in every commit that leaves a thousand pages in it, while the
//! caller of that commit waits. Most of this work is done here instead, when nobody does. And a log in which somebody always
//! reads is never begun anew by SQLite, so that it grows without end: past the ceiling the readers are waited for.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

/// A moment is quiet when nothing was written for so long.
const QUIET: Duration = Duration::from_millis(250);

/// Rows written since the log was last written back: for fewer it is not worth two syncs.
const ROWS_MIN: usize = 250;

/// The size of the log past which readers are waited for, and how often and for how long.
const CEILING_BYTES: u64 = 64 << 20;
const CEILING_EVERY: Duration = Duration::from_secs(1);
const CEILING_PATIENCE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Wal {
    path: PathBuf,
    ceiling: u64,
    /// Rows written since the log was written back.
    rows: usize,
    /// When the last of them was written.
    wrote: Duration,
    /// When the size was last looked at.
    measured: Duration,
}

impl Wal {
    /// The log of the database at `path`.
    pub(super) fn of(path: &Path) -> Wal {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push("-wal");
        let path = path.with_file_name(name);
        Wal { path, ceiling: CEILING_BYTES, rows: 0, wrote: Duration::ZERO, measured: Duration::ZERO }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// About so many rows were committed.
    pub(super) fn has_grown(&mut self, rows: usize, now: Duration) {
        self.rows = self.rows.saturating_add(rows);
        self.wrote = now;
    }

    /// Until the moment is quiet, if there is something to write back then.
    pub(super) fn nap(&self, now: Duration) -> Option<Duration> {
        (self.rows >= ROWS_MIN).then(|| (self.wrote + QUIET).saturating_sub(now))
    }

    /// Writes it back, if the moment is quiet and there is enough.
    pub(super) fn write_back(&mut self, conn: &Connection, now: Duration) {
        if self.nap(now).is_some_and(|left| left.is_zero()) {
            // What a reader or another process keeps from being written back now, the next round does.
            self.rows = 0;
            let _ = checkpoint(conn, "PASSIVE");
        }
    }

    /// Cuts it if it has grown past the ceiling: waits a moment for those who read in it.
    pub(super) fn cut(&mut self, conn: &Connection, now: Duration) {
        if now < self.measured + CEILING_EVERY {
            return;
        }
        self.measured = now;
        // Its size alone is asked for; opened, it would cost SQLite its locks.
        if std::fs::metadata(&self.path).is_ok_and(|log| log.len() > self.ceiling) {
            let _ = conn.busy_timeout(CEILING_PATIENCE).and_then(|()| checkpoint(conn, "TRUNCATE"));
            // The writer waits for locks itself.
            let _ = conn.busy_timeout(Duration::ZERO);
        }
    }
}

/// A failure is no loss: what is in the log is as safe as in the database.
fn checkpoint(conn: &Connection, mode: &str) -> rusqlite::Result<()> {
    conn.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(()))
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
        let dir = std::env::temp_dir().join(format!("qdjobs-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("jobs.db");
        (open::writer(&path, &SqliteOptions::default()).unwrap(), path, dir)
    }

    #[test]
    fn it_is_written_back_when_nothing_was_written_for_a_while() {
        let (conn, path, dir) = database("quiet");
        let size = || std::fs::metadata(&path).unwrap().len();
        let mut wal = Wal::of(&path);
        fill(&conn, 300);
        let before = size();
        wal.has_grown(ROWS_MIN - 1, SECOND);
        assert_eq!(wal.nap(SECOND), None, "too little");
        wal.has_grown(1, SECOND);
        assert_eq!(wal.nap(SECOND), Some(QUIET));
        wal.write_back(&conn, SECOND + QUIET / 2);
        assert_eq!(size(), before, "somebody may be about to write");
        wal.write_back(&conn, SECOND + QUIET);
        assert!(size() > before + (200 << 10));
        assert_eq!(wal.nap(SECOND + QUIET), None);
        drop(conn);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn it_is_cut_as_soon_as_nobody_reads_in_it_any_more() {
        let (conn, path, dir) = database("ceiling");
        let mut wal = Wal { ceiling: 1 << 20, ..Wal::of(&path) };
        let size = |wal: &Wal| std::fs::metadata(wal.path()).unwrap().len();
        let reader = open::reader(&path, &SqliteOptions::default()).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM qdjobs_jobs").unwrap();
        fill(&conn, 2_000);
        wal.cut(&conn, SECOND);
        assert!(size(&wal) > 2 << 20, "a reader still needs it");
        fill(&conn, 1);
        reader.execute_batch("COMMIT").unwrap();
        wal.cut(&conn, SECOND * 3 / 2);
        assert!(size(&wal) > 2 << 20, "too soon to try again");
        wal.cut(&conn, 2 * SECOND);
        assert_eq!(size(&wal), 0);
        drop((conn, reader));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
