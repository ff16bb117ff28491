//! What can still be read of a damaged file, in a new one: [`salvage`].
//!
//! Leans on `check` for a connection that changes nothing, and on `open` for the new file. Damage is by the page: a row on a sound
//! page is read by its number, also where a walk along the table ends at a damaged page before it. So after each fault the
//! numbers that follow are asked for one by one, until the table can be walked again.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::check;
use crate::model::error::{Error, ErrorKind, Result};
use crate::store::sqlite::connection::{error, open};
use crate::store::sqlite::{SqliteOptions, refuse_special};

/// What a [`salvage`] has brought over, and what not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvage {
    /// Jobs in the new file.
    pub jobs: u64,
    /// Attempts in the new file.
    pub attempts: u64,
    /// Numbers of jobs of which nothing could be read. Some may have been deleted long before.
    pub unreadable: Vec<RangeInclusive<i64>>,
    /// Jobs that could be read and not be stored, with the reason.
    pub refused: Vec<(i64, String)>,
    /// Jobs that are in the new file without their history.
    pub without_history: Vec<i64>,
}

/// Beyond the last job that could be read: so many numbers are asked for where the file does not say how far they go.
const BEYOND: i64 = 100_000;

/// Binds id: no crash counts that is not on record any more. A job without any is no suspect.
const FORGET_CRASHES: &str = "
    UPDATE qdjobs_jobs
    SET (crash_count, availability) =
        (SELECT min(crash_count, count(*)), CASE WHEN count(*) = 0 THEN min(availability, 1) ELSE availability END
         FROM qdjobs_attempts WHERE job_id = ?1 AND outcome = 'crashed')
    WHERE id = ?1";

/// Copies every job that can be read of the damaged database at `from` into a new one at `to`, with its params and its history, and
/// says what was lost. The damaged file is only read; keep it until you are sure.
///
/// No queue should have it open. Jobs that were running are pending in the new file: whether they ended is not known, and their
/// worker is gone. What other tables of your application held is not copied.
///
/// ```no_run
/// # fn main() -> qdjobs::Result<()> {
/// use qdjobs::store::sqlite::{check, salvage};
///
/// if !check("jobs.db")?.is_sound() {
///     let saved = salvage("jobs.db", "jobs-salvaged.db")?;
///     println!("{} jobs are safe; nothing could be read of {:?}", saved.jobs, saved.unreadable);
/// }
/// # Ok(())
/// # }
/// ```
pub fn salvage(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<Salvage> {
    let (from, to) = (from.as_ref(), to.as_ref());
    let options = SqliteOptions::default();
    refuse_special(to)?;
    let old = check::read_only(from)?;
    if !open::create(to, &options, &open::Machine::current())? {
        return Err(Error::new(ErrorKind::InvalidInput, format!("there is a file at `{}`", to.display()))
            .help("a salvage never writes into a file that is there: give it a new name"));
    }
    let saved = open::reopen_writer(to, &options).and_then(|new| copy(&old, &new));
    if saved.is_err() {
        // Ours, by the creation above. A part of it would look like a result, and stand in the way of the next try.
        for path in [to.to_owned(), beside(to, "-wal"), beside(to, "-shm")] {
            let _ = std::fs::remove_file(path);
        }
    }
    saved
}

fn copy(old: &Connection, new: &Connection) -> Result<Salvage> {
    let mut copy = Copy::between(old, new).map_err(error::before_commit)?;
    new.execute_batch("BEGIN IMMEDIATE").map_err(error::before_commit)?;
    copy.jobs()?;
    copy.the_rest();
    new.execute_batch(
        "UPDATE qdjobs_jobs SET status = 'pending', availability = 1 + (crash_count > 0), worker_id = NULL WHERE status = 'running';
         COMMIT;
         PRAGMA wal_checkpoint(TRUNCATE)",
    )
    .map_err(error::before_commit)?;
    Ok(copy.saved)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A table in both files, by the columns that both know.
struct Table<'c> {
    old: &'c Connection,
    new: &'c Connection,
    name: &'static str,
    columns: Vec<String>,
}

impl<'c> Table<'c> {
    fn between(old: &'c Connection, new: &'c Connection, name: &'static str) -> rusqlite::Result<Table<'c>> {
        let columns = |conn: &Connection| -> rusqlite::Result<Vec<String>> {
            conn.prepare("SELECT name FROM pragma_table_info(?1)")?
                .query_map([name], |row| row.get(0))?
                .collect()
        };
        let known = columns(old)?;
        let columns = columns(new)?.into_iter().filter(|column| known.contains(column)).collect();
        Ok(Table { old, new, name, columns })
    }

    /// Gives `row` the rows for which `condition` is true, until one cannot be read. What went wrong here is inside, what went wrong in
    /// `row` outside.
    fn each(
        &self,
        condition: &str,
        key: i64,
        mut row: impl FnMut(Vec<Value>) -> Result<()>,
    ) -> Result<rusqlite::Result<()>> {
        // By the table itself: an index may be damaged where the table is not.
        let sql =
            format!("SELECT {} FROM {} NOT INDEXED WHERE {condition}", self.columns.join(", "), self.name);
        let mut read = || -> rusqlite::Result<Option<Error>> {
            let mut statement = self.old.prepare_cached(&sql)?;
            let mut rows = statement.query([key])?;
            while let Some(found) = rows.next()? {
                let values =
                    (0..self.columns.len()).map(|at| found.get(at)).collect::<rusqlite::Result<_>>()?;
                if let Err(error) = row(values) {
                    return Ok(Some(error));
                }
            }
            Ok(None)
        };
        match read() {
            Ok(Some(error)) => Err(error),
            Ok(None) => Ok(Ok(())),
            Err(error) => Ok(Err(error)),
        }
    }

    fn put(&self, values: Vec<Value>) -> rusqlite::Result<usize> {
        let marks = vec!["?"; values.len()].join(", ");
        let sql = format!("INSERT INTO {} ({}) VALUES ({marks})", self.name, self.columns.join(", "));
        self.new.prepare_cached(&sql)?.execute(params_from_iter(values))
    }
}

struct Copy<'c> {
    jobs: Table<'c>,
    params: Table<'c>,
    attempts: Table<'c>,
    tasks: Table<'c>,
    saved: Salvage,
}

impl<'c> Copy<'c> {
    fn between(old: &'c Connection, new: &'c Connection) -> rusqlite::Result<Copy<'c>> {
        let table = |name| Table::between(old, new, name);
        Ok(Copy {
            jobs: table("qdjobs_jobs")?,
            params: table("qdjobs_params")?,
            attempts: table("qdjobs_attempts")?,
            tasks: table("qdjobs_tasks")?,
            saved: Salvage::default(),
        })
    }

    fn jobs(&mut self) -> Result<()> {
        if self.jobs.columns.first().is_none_or(|column| column != "id") {
            return Err(Error::new(ErrorKind::Corrupt, "the file has no table of jobs that could be read")
                .help("nothing was changed; a backup is what is left"));
        }
        let mut next = i64::MIN;
        let mut last = 0;
        loop {
            let walked = self.walk("id >= ?1 ORDER BY id", next, &mut last)?;
            if walked.is_ok() {
                return Ok(());
            }
            // One by one, until one is read or known not to be there.
            let damaged_from = last.max(0) + 1;
            let end = self.end(last);
            let mut id = damaged_from;
            while id <= end && self.walk("id = ?1", id, &mut last)?.is_err() {
                id += 1;
            }
            self.saved.unreadable.push(damaged_from..=(id - 1).max(damaged_from));
            if id > end {
                return Ok(());
            }
            last = last.max(id);
            next = id + 1;
        }
    }

    /// Copies what is read; whether it came to its end.
    fn walk(&mut self, condition: &str, key: i64, last: &mut i64) -> Result<rusqlite::Result<()>> {
        let (jobs, params, attempts, saved) = (&self.jobs, &self.params, &self.attempts, &mut self.saved);
        jobs.each(condition, key, |values| {
            let Some(Value::Integer(id)) = values.first().cloned() else { return Ok(()) };
            *last = id;
            let stands_apart = jobs
                .columns
                .iter()
                .zip(&values)
                .any(|(column, value)| column == "params" && *value == Value::Null);
            jobs.new.execute_batch("SAVEPOINT job").map_err(error::before_commit)?;
            let stored = jobs.put(values).map_err(|error| error.to_string()).and_then(|_| {
                let mut found = 0;
                let read = params.each("job_id = ?1", id, |values| {
                    found += 1;
                    params.put(values).map(drop).map_err(error::before_commit)
                });
                match read {
                    Ok(Ok(())) if stands_apart && found == 0 => Err("its params are not there".to_owned()),
                    Ok(Err(_)) if stands_apart => Err("its params cannot be read".to_owned()),
                    Ok(_) => Ok(()),
                    Err(error) => Err(error.to_string()),
                }
            });
            if let Err(why) = stored {
                jobs.new.execute_batch("ROLLBACK TO job; RELEASE job").map_err(error::before_commit)?;
                saved.refused.push((id, why));
                return Ok(());
            }
            jobs.new.execute_batch("RELEASE job").map_err(error::before_commit)?;
            saved.jobs += 1;
            let history = attempts.each("job_id = ?1 ORDER BY attempt", id, |values| {
                saved.attempts += attempts.put(values).map_err(error::before_commit)? as u64;
                Ok(())
            });
            if !matches!(history, Ok(Ok(()))) {
                saved.without_history.push(id);
                jobs.new
                    .prepare_cached(FORGET_CRASHES)
                    .and_then(|mut forget| forget.execute([id]))
                    .map_err(error::before_commit)?;
            }
            Ok(())
        })
    }

    /// The last number that a job can have.
    fn end(&self, last: i64) -> i64 {
        let asked = |sql| self.jobs.old.query_row(sql, [], |row| row.get(0)).optional().ok().flatten();
        asked("SELECT seq FROM sqlite_sequence WHERE name = 'qdjobs_jobs'")
            .or_else(|| asked("SELECT id FROM qdjobs_jobs NOT INDEXED ORDER BY id DESC LIMIT 1"))
            .unwrap_or(last.saturating_add(BEYOND))
    }

    /// What is nice to have: the tasks' own words, which the next worker says again, and numbers that are not used twice.
    fn the_rest(&mut self) {
        let _ = self
            .tasks
            .each("?1 = 0", 0, |values| self.tasks.put(values).map(drop).map_err(error::before_commit));
        let end = self.end(0);
        let _ = self
            .jobs
            .new
            .execute("UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'qdjobs_jobs'", [end]);
    }
}
