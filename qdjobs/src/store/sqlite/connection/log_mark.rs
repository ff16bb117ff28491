//! Refuses a database beside which the log of another file lies: [`refuse_foreign_log`].
//!
//! The pages of a log are read in `files/log.rs`. When a log is marked is decided in `writer/log_marker.rs`.
//!
//! Depends on rusqlite.
//!
//! SQLite finds a log by its name alone. If a backup is copied over a database whose program was killed, SQLite
//! writes the pages of the old log into the backup. So each log gets a number, the *mark*, with a row of the
//! database: one of its first commits changes the row from the number of the log before to its own. When the
//! database is opened, the row in the file has one of these two numbers, since a log is begun anew only after
//! the whole log before it is in the database and synced.
//!
//! A log without a mark is not refused: programs other than qdjobs also begin logs.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use crate::model::error::{Error, ErrorKind, Result};
use crate::store::sqlite::connection::immutable;
use crate::store::sqlite::files::log::{Pages, salts};
use crate::store::sqlite::files::names::log_of;

/// The number of a log. 0 is that of the first log, in which the tables were created.
type LogId = [u8; 8];

/// The start of each mark, and of no other value. Also in `migrations/0001_jobs.sql`.
const MAGIC: [u8; 16] = *b"qdjobs log mark\n";

/// The value of the row: [`MAGIC`], the number of this log, and that of the log before.
const MARK_BYTES: usize = 32;

/// The row as SQLite stores it (sqlite.org, "Database File Format"): its size, the rowid 1, the size of the
/// header, the types NULL for the id and BLOB for the mark.
const CELL_START: [u8; 5] = [3 + MARK_BYTES as u8, 1, 3, 0, 2 * MARK_BYTES as u8 + 12];

/// How often a file is read again that other programs change meanwhile.
const TRIES: usize = 10;

/// Gives the current log a number, inside the transaction of `conn`.
pub(in crate::store::sqlite) fn write(conn: &Connection) -> rusqlite::Result<()> {
    let row = conn
        .prepare_cached("SELECT mark, randomblob(8) FROM qdjobs_log WHERE id = 1")?
        .query_row([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, LogId>(1)?)))
        .optional()?;
    // Without the row, no log is refused.
    let Some((mark, new)) = row else { return Ok(()) };
    let Some([before, _]) = ids(&mark) else { return Ok(()) };
    let mark = [&MAGIC[..], &new, &before].concat();
    conn.prepare_cached("UPDATE qdjobs_log SET mark = ?1 WHERE id = 1")?.execute([mark]).map(drop)
}

/// Refuses the database at `path` if its log was begun by another file.
pub(in crate::store::sqlite) fn refuse_foreign_log(path: &Path) -> Result<()> {
    match is_log_foreign(path) {
        true => Err(foreign(path)),
        false => Ok(()),
    }
}

/// Whether the log of the database at `path` was begun by another file; `false` if that cannot be told.
pub(in crate::store::sqlite) fn is_log_foreign(path: &Path) -> bool {
    let log = log_of(path);
    // The common case, which opens no file.
    if !std::fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return false;
    }
    let begun = || std::fs::File::open(&log).ok().and_then(|log| salts(&log));
    for _ in 0..TRIES {
        let Some(before) = id_in_database(path) else { return false };
        let salts = begun();
        if !Pages::open(&log).is_some_and(|pages| is_foreign(pages, before)) {
            return false;
        }
        // If other programs use the file, a later log may have been begun since the database was read. And the
        // log may have been cut or begun anew while it was read, so that its last marks were not seen.
        if id_in_database(path) == Some(before) && begun() == salts {
            return true;
        }
    }
    false
}

/// Whether the log has marks, and none of them names the log `id`.
fn is_foreign<R: std::io::Read>(mut pages: Pages<R>, id: LogId) -> bool {
    let mut has_mark = false;
    while let Some(page) = pages.next() {
        let Some(ids) = mark_on(page) else { continue };
        if ids.contains(&id) {
            return false;
        }
        has_mark = true;
    }
    has_mark
}

/// The two numbers on a page, if that is the page of the row.
fn mark_on(page: &[u8]) -> Option<[LogId; 2]> {
    // The leaf of a table, with one row. The start of that row follows the eight bytes of the header.
    let [0x0d, _, _, 0, 1, _, _, _, high, low, ..] = *page else { return None };
    let row = page.get(usize::from(u16::from_be_bytes([high, low]))..)?;
    ids(row.strip_prefix(&CELL_START)?.get(..MARK_BYTES)?)
}

/// The number of a log, and that of the log before.
fn ids(mark: &[u8]) -> Option<[LogId; 2]> {
    let ids = mark.strip_prefix(&MAGIC)?;
    match *ids {
        [a, b, c, d, e, f, g, h, ref before @ ..] => {
            Some([[a, b, c, d, e, f, g, h], before.try_into().ok()?])
        }
        _ => None,
    }
}

/// The number in the database without its log. `None` if it has none, or if its file cannot be read.
fn id_in_database(path: &Path) -> Option<LogId> {
    let file = std::fs::metadata(path).ok()?;
    if file.len() == 0 {
        // The tables are in the log, or in no file at all.
        return Some(LogId::default());
    }
    let conn = immutable::without_log(path).ok()?;
    let mark = "SELECT mark FROM qdjobs_log WHERE id = 1";
    let mark: Vec<u8> = conn.query_row(mark, [], |row| row.get(0)).ok()?;
    ids(&mark).map(|[id, _]| id)
}

/// The error for a database with the log of another file.
pub(in crate::store::sqlite) fn foreign(path: &Path) -> Error {
    let log = log_of(path);
    let (path, log) = (path.display(), log.display());
    Error::new(
        ErrorKind::Corrupt,
        format!("the log `{log}` does not belong to `{path}`, but to another file"),
    )
    .help(
        "nothing was changed. The log may have jobs of the file that was here before. To keep them, put that file back. \
         To use a backup instead, call `restore` with a copy of it at another path, which moves this file and the log \
         away. If there is no other copy, stop every program, and move the log away by hand",
    )
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::store::sqlite::SqliteOptions;
    #[cfg(target_os = "linux")]
    use crate::store::sqlite::connection::error;
    use crate::store::sqlite::connection::open;

    fn conn(path: &Path) -> Connection {
        open::writer(path, &SqliteOptions::default()).unwrap()
    }

    #[test]
    fn the_row_is_found_on_its_page_and_nowhere_else() {
        let dir = crate::store::sqlite::scratch("mark-page");
        let path = dir.join("jobs.db");
        let conn = conn(&path);
        let stored: Vec<u8> = conn.query_row("SELECT mark FROM qdjobs_log", [], |row| row.get(0)).unwrap();
        let stored = ids(&stored).unwrap();
        assert_ne!(stored[0], LogId::default());
        // A job that has the bytes of a mark in its params is no mark.
        let text = format!(
            "INSERT INTO qdjobs_params VALUES (1, '{{\"x\": \"{}\"}}')",
            "qdjobs log mark\\n".repeat(9)
        );
        conn.execute(&text, []).unwrap();
        let mut pages = Pages::open(&log_of(&path)).unwrap();
        let mut found = Vec::new();
        while let Some(page) = pages.next() {
            found.extend(mark_on(page));
        }
        assert_eq!(found, [stored]);
        drop(conn);
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_database_whose_row_is_missing_or_no_mark_is_never_refused() {
        for change in
            ["DELETE FROM qdjobs_log", "UPDATE qdjobs_log SET mark = x'00'", "DROP TABLE qdjobs_log"]
        {
            let dir = crate::store::sqlite::scratch("mark-gone");
            let path = dir.join("jobs.db");
            let conn = conn(&path);
            conn.execute_batch(&format!("PRAGMA wal_checkpoint; {change}; PRAGMA wal_checkpoint")).unwrap();
            if !change.starts_with("DROP") {
                write(&conn).unwrap();
            }
            assert!(!is_log_foreign(&path), "{change}");
            drop(conn);
            std::fs::remove_dir_all(&dir).unwrap();
        }
    }

    /// A log with several marks, of which the database has the last one, is cut or begun anew while it is read.
    #[test]
    fn a_log_that_another_program_cuts_or_begins_anew_meanwhile_is_not_foreign() {
        let dir = crate::store::sqlite::scratch("mark-race");
        let path = dir.join("jobs.db");
        drop(conn(&path));
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let conn = conn(&path);
                let insert = "INSERT INTO qdjobs_jobs (task_name, params) VALUES ('a', ?1)";
                // More than a reader reads at once.
                let params = format!("{{\"x\": \"{}\"}}", "x".repeat(300_000));
                for mode in ["TRUNCATE", "RESTART"].into_iter().cycle() {
                    write(&conn).unwrap();
                    conn.execute(insert, [&params]).unwrap();
                    write(&conn).unwrap();
                    let checkpoint = format!("DELETE FROM qdjobs_jobs; PRAGMA wal_checkpoint({mode})");
                    conn.execute_batch(&checkpoint).unwrap();
                    if ended.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
            let foreign = (0..3_000).filter(|_| is_log_foreign(&path)).count();
            ended.store(true, Ordering::Relaxed);
            assert_eq!(foreign, 0);
        });
        std::fs::remove_dir_all(&dir).unwrap();
    }

    /// Each step that the log takes, with crashes and power failures in between: the log that is found is always
    /// that of the database.
    #[cfg(target_os = "linux")]
    #[test]
    fn no_crash_and_no_power_failure_makes_a_log_foreign() {
        use qdjobs_sim_disk::{Disk, Rng, as_process};

        let mut marked = 0;
        for seed in 0..150 {
            let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            let disk = Disk::mount(dir.path(), seed).unwrap();
            let mut rng = Rng::new(seed);
            for process in 1..6 {
                disk.cut_power_at(1 + rng.below(300));
                as_process(process, || take_steps(&dir.path().join("jobs.db"), &mut rng));
                disk.kill(process);
                if rng.once_in(2) {
                    disk.cut_power();
                }
                disk.power_on();
                marked += usize::from(has_mark(&disk, copy.path(), seed));
            }
        }
        assert!(marked > 200, "{marked}");
    }

    /// Copies the files of a simulated disk to a real one. Returns whether the log has a mark.
    #[cfg(target_os = "linux")]
    fn has_mark(disk: &qdjobs_sim_disk::Disk, to: &Path, seed: u64) -> bool {
        let path = to.join("jobs.db");
        for file in disk.files() {
            let name = Path::new(&file).file_name().unwrap();
            std::fs::write(to.join(name), disk.read(&file).unwrap()).unwrap();
        }
        assert!(!is_log_foreign(&path), "seed {seed}");
        Pages::open(&log_of(&path)).is_some_and(|pages| is_foreign(pages, [0xff; 8]))
    }

    /// Commits, checkpoints, marks and readers, until the disk fails.
    #[cfg(target_os = "linux")]
    fn take_steps(path: &Path, rng: &mut qdjobs_sim_disk::Rng) -> Option<()> {
        let options = SqliteOptions::default();
        open::create(path, &options, &open::Machine::current()).ok()?;
        let mut conns =
            [open::reopen_writer(path, &options).ok()?, open::reopen_writer(path, &options).ok()?];
        let reader = open::reader(path, &options).ok()?;
        let params = format!("{{\"x\": \"{}\"}}", "x".repeat(3_000));
        loop {
            let conn = &conns[usize::from(rng.once_in(2))];
            let step = match rng.below(12) {
                0 => conn.execute_batch("PRAGMA wal_checkpoint(PASSIVE)"),
                1 => conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)"),
                2 => conn.execute_batch("BEGIN IMMEDIATE").and_then(|()| write(conn)),
                3 => conn.execute_batch("COMMIT"),
                4 => conn.execute_batch("ROLLBACK"),
                5 => reader.execute_batch("BEGIN; SELECT count(*) FROM qdjobs_jobs"),
                6 => reader.execute_batch("COMMIT"),
                7 if rng.once_in(5) => conn.execute_batch("VACUUM"),
                8 => {
                    conns[usize::from(rng.once_in(2))] = open::reopen_writer(path, &options).ok()?;
                    Ok(())
                }
                _ => conn
                    .execute("INSERT INTO qdjobs_jobs (task_name, params) VALUES ('a', ?1)", [&params])
                    .map(drop),
            };
            // A statement that a lock or the state of the transaction refuses is no failure of the disk.
            if step.is_err_and(|error| error::code(&error) == Some(rusqlite::ErrorCode::SystemIoFailure)) {
                return None;
            }
        }
    }
}
