//! Copies the readable rows of a damaged file into a new one: [`salvage`].
//!
//! Does not decide whether a file is damaged: see `check.rs`. The damaged file is never written to.
//!
//! Depends on `check` for a connection that changes nothing, and on `open` for the new file.
//!
//! Damage affects whole pages. A row on an intact page can be read by its id even if a scan fails at a
//! damaged page before it. So after each error the following ids are read one by one, until the scan can
//! continue.

use std::ops::RangeInclusive;
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};

use super::check;
use crate::model::error::{Error, ErrorKind, Result};
use crate::store::sqlite::connection::open::{SqliteOptions, refuse_special};
use crate::store::sqlite::connection::{error, log_mark, open};
use crate::store::sqlite::files::names;

/// The result of a [`salvage`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Salvage {
    /// Jobs in the new file.
    pub jobs: u64,
    /// Attempts in the new file.
    pub attempts: u64,
    /// The ids at which nothing could be read. Some of these jobs may have been deleted long before.
    pub unreadable: Vec<RangeInclusive<i64>>,
    /// The jobs that could be read but not stored, with the reason.
    pub refused: Vec<(i64, String)>,
    /// The jobs in the new file whose history could not be read.
    pub without_history: Vec<i64>,
}

/// How many ids after the last readable job are tried if the file does not record the highest id.
const IDS_BEYOND: i64 = 100_000;

/// Binds id. Reduces crash_count to the recorded crashes. A job with at most one is no longer a suspected
/// poison job.
const RECOUNT_CRASHES: &str = "
    UPDATE qdjobs_jobs
    SET (crash_count, availability, max_suspected) =
        (SELECT min(crash_count, count(*)),
                CASE WHEN min(crash_count, count(*)) > 1 THEN availability ELSE min(availability, 1) END,
                CASE WHEN min(crash_count, count(*)) > 1 THEN max_suspected END
         FROM qdjobs_attempts WHERE job_id = ?1 AND outcome = 'crashed')
    WHERE id = ?1";

/// Binds id; returns a row if the params or the metadata of a copied job are not JSON.
const NOT_JSON: &str = "
    SELECT 1 FROM qdjobs_jobs
    WHERE id = ?1
        AND (NOT json_valid(coalesce(params, (SELECT params FROM qdjobs_params WHERE job_id = qdjobs_jobs.id), 'null'))
             OR NOT json_valid(coalesce(metadata, 'null')))";

/// Copies every readable job of the damaged database at `from` into a new database at `to`, with its params
/// and its history. Reports what was lost. The damaged file is only read. Keep it until you have checked the
/// result.
///
/// Close every queue on the damaged file first. Jobs that were running are pending in the new file, since
/// their worker is gone and their outcome is unknown. Other tables of your application are not copied.
///
/// ```no_run
/// # fn main() -> qdjobs::Result<()> {
/// use qdjobs::store::sqlite::{check, salvage};
///
/// if !check("jobs.db")?.is_sound() {
///     let saved = salvage("jobs.db", "jobs-salvaged.db")?;
///     println!("{} jobs are saved; the ids {:?} could not be read", saved.jobs, saved.unreadable);
/// }
/// # Ok(())
/// # }
/// ```
pub fn salvage(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<Salvage> {
    let (from, to) = (from.as_ref(), to.as_ref());
    // Whether the file system is fit for a queue is checked when the new file is opened as one.
    let options = SqliteOptions { allow_network_filesystem: true, ..SqliteOptions::default() };
    refuse_special(to)?;
    log_mark::refuse_foreign_log(from)?;
    check::refuse_second_log(from)?;
    let old = check::read_only(from)?;
    if !open::create(to, &options, &open::Machine::current())? {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!("a file already exists at `{}`", to.display()),
        )
        .help("give the new file another name: a salvage never writes to an existing file"));
    }
    let saved = open::reopen_writer(to, &options).and_then(|new| copy(&old, &new));
    if saved.is_err() {
        // This call created the file. A partial copy would look like a result, and would block the next
        // salvage.
        for path in [to.to_owned(), names::log_of(to), names::log_index_of(to)] {
            let _ = std::fs::remove_file(path);
        }
    }
    saved
}

/// The error of a write to the new file.
fn not_written(new: &Connection) -> impl Fn(rusqlite::Error) -> Error {
    error::copying_to(Path::new(new.path().unwrap_or("the new database")))
}

fn copy(old: &Connection, new: &Connection) -> Result<Salvage> {
    let mut copy = Copy::between(old, new).map_err(error::before_commit(old))?;
    new.execute_batch("BEGIN IMMEDIATE").map_err(not_written(new))?;
    copy.jobs()?;
    copy.tasks_and_sequence();
    new.execute_batch(
        "UPDATE qdjobs_jobs SET status = 'pending', availability = 1 + (crash_count > 1), worker_id = NULL
             WHERE status = 'running';
         COMMIT;
         PRAGMA wal_checkpoint(TRUNCATE)",
    )
    .map_err(not_written(new))?;
    Ok(copy.saved)
}

/// A table in both files, with the columns that both have.
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

    /// Calls `row` for each row that satisfies `condition`, until one cannot be read. The inner result is the
    /// error of a read, and the outer result is the error of `row`.
    fn each(
        &self,
        condition: &str,
        key: i64,
        mut row: impl FnMut(Vec<Value>) -> Result<()>,
    ) -> Result<rusqlite::Result<()>> {
        // Reads the table itself: an index may be damaged although the table is intact.
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

/// Whether damage has left a copied job without valid JSON. The schema does not check it.
fn is_not_json(new: &Connection, id: i64) -> bool {
    new.prepare_cached(NOT_JSON).and_then(|mut found| found.exists([id])).unwrap_or(true)
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
            return Err(Error::new(ErrorKind::Corrupt, "the file has no readable table of jobs")
                .in_database(error::path(self.jobs.old))
                .help("check the path; if it is the right file, restore a backup; nothing was changed"));
        }
        let mut next = i64::MIN;
        let mut last = 0;
        loop {
            let scanned = self.scan("id >= ?1 ORDER BY id", next, &mut last)?;
            if scanned.is_ok() {
                return Ok(());
            }
            // Reads the ids one by one, until a read succeeds, with or without a row.
            let damaged_from = last.max(0) + 1;
            let end = self.last_id(last);
            let mut id = damaged_from;
            while id <= end && self.scan("id = ?1", id, &mut last)?.is_err() {
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

    /// Copies the rows that can be read. The inner result states whether the scan reached its end.
    fn scan(&mut self, condition: &str, key: i64, last: &mut i64) -> Result<rusqlite::Result<()>> {
        let (jobs, params, attempts, saved) = (&self.jobs, &self.params, &self.attempts, &mut self.saved);
        jobs.each(condition, key, |values| {
            let Some(Value::Integer(id)) = values.first().cloned() else { return Ok(()) };
            *last = id;
            let has_large_params = jobs
                .columns
                .iter()
                .zip(&values)
                .any(|(column, value)| column == "params" && *value == Value::Null);
            jobs.new.execute_batch("SAVEPOINT job").map_err(not_written(jobs.new))?;
            let stored = jobs.put(values).map_err(|error| error.to_string()).and_then(|_| {
                let mut found = 0;
                let read = params.each("job_id = ?1", id, |values| {
                    found += 1;
                    params.put(values).map(drop).map_err(not_written(params.new))
                });
                match read {
                    Ok(Ok(())) if has_large_params && found == 0 => Err("its params do not exist".to_owned()),
                    Ok(Err(_)) if has_large_params => Err("its params cannot be read".to_owned()),
                    Ok(_) if is_not_json(jobs.new, id) => {
                        Err("its params or metadata are not JSON".to_owned())
                    }
                    Ok(_) => Ok(()),
                    Err(error) => Err(error.message().to_owned()),
                }
            });
            if let Err(why) = stored {
                jobs.new.execute_batch("ROLLBACK TO job; RELEASE job").map_err(not_written(jobs.new))?;
                saved.refused.push((id, why));
                return Ok(());
            }
            jobs.new.execute_batch("RELEASE job").map_err(not_written(jobs.new))?;
            saved.jobs += 1;
            let history = attempts.each("job_id = ?1 ORDER BY attempt", id, |values| {
                saved.attempts += attempts.put(values).map_err(not_written(attempts.new))? as u64;
                Ok(())
            });
            if !matches!(history, Ok(Ok(()))) {
                saved.without_history.push(id);
                jobs.new
                    .prepare_cached(RECOUNT_CRASHES)
                    .and_then(|mut recount| recount.execute([id]))
                    .map_err(not_written(jobs.new))?;
            }
            Ok(())
        })
    }

    /// The highest id that a job can have.
    fn last_id(&self, last: i64) -> i64 {
        let query = |sql| self.jobs.old.query_row(sql, [], |row| row.get(0)).optional().ok().flatten();
        query("SELECT seq FROM sqlite_sequence WHERE name = 'qdjobs_jobs'")
            .or_else(|| query("SELECT id FROM qdjobs_jobs NOT INDEXED ORDER BY id DESC LIMIT 1"))
            .unwrap_or(last.saturating_add(IDS_BEYOND))
    }

    /// Copies what a queue does not need: the options of tasks, which the next worker publishes again. Also
    /// copies the id sequence, so that no id is used twice.
    fn tasks_and_sequence(&mut self) {
        let _ = self.tasks.each("?1 = 0", 0, |values| {
            self.tasks.put(values).map(drop).map_err(not_written(self.tasks.new))
        });
        let end = self.last_id(0);
        let _ = self
            .jobs
            .new
            .execute("UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'qdjobs_jobs'", [end]);
    }
}
