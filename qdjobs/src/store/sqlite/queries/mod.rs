//! The verbs of the contract as statements on one connection, in the order of a job's life.
//!
//! Leans on `sql` and `row`. Runs inside a transaction that `writer` begins and commits: nothing here begins, commits or
//! answers anybody.

pub(super) mod rows;
pub(super) mod sql;
#[cfg(test)]
mod tests;

use std::cmp::Reverse;

use rusqlite::{CachedStatement, Connection, OptionalExtension, Statement, ToSql, ffi, params};

use crate::model::clock::{Timestamp, after_at_latest};
use crate::model::error::{Error, ErrorKind, Result};
use crate::model::job::{AttemptOutcome, Job, JobId, NewJob, Progress, Status, WorkerId, clip_error};
use crate::model::poison::attribute_crash;
use crate::model::retry::Verdict;
use crate::store::not_found;
use crate::store::sqlite::connection::{error, migrate};
use crate::store::{
    Claim, ClaimRequest, ClaimedJob, FinishedJob, Heartbeat, JobCommand, TaskDefaults, Ticket, WorkerInfo,
    WorkerState,
};

type SqlResult<T> = rusqlite::Result<T>;

/// A task and a queue.
pub(in crate::store::sqlite) type Pair = (String, String);

/// The longest params that stand in the job's own row, in bytes: longer ones stand in a table beside it, which is written once. At 1 kB a
/// job costs as much to store either way, and half as much to claim and finish (`qdjobs-bench --only payload`).
const PARAMS_BYTES_INLINE: usize = 500;

/// Stores jobs, by a statement that is looked up once for all of them.
pub(in crate::store::sqlite) struct Insert<'c> {
    conn: &'c Connection,
    statement: CachedStatement<'c>,
}

impl<'c> Insert<'c> {
    pub(in crate::store::sqlite) fn on(conn: &'c Connection) -> SqlResult<Insert<'c>> {
        Ok(Insert { conn, statement: conn.prepare_cached(sql::INSERT)? })
    }

    /// Stores one job, unless it repeats one; answers its number and whether it may be claimed at once. Of a [large](is_large) one
    /// that fails, half may be there: it needs a savepoint.
    ///
    /// A key is looked up before anything is written: a repetition costs no number and no page of the log.
    pub(in crate::store::sqlite) fn job(&mut self, job: &NewJob, now: Timestamp) -> Result<(JobId, bool)> {
        match self.repeated(job)? {
            Some(id) => Ok((id, false)),
            None => self.job_first(job, now),
        }
    }

    /// The same in a transaction that is not ours and may hold no lock yet: the lock comes first, and then the look.
    fn job_first(&mut self, job: &NewJob, now: Timestamp) -> Result<(JobId, bool)> {
        if let Some(stored) = self.rows(job, now)? {
            return Ok(stored);
        }
        // Under the lock that the insert has taken: a holder cannot be gone since.
        self.repeated(job)?.map(|id| (id, false)).ok_or_else(ignored)
    }

    /// The job that this one repeats, if its key is held.
    fn repeated(&self, job: &NewJob) -> Result<Option<JobId>> {
        let Some(key) = &job.idempotency_key else { return Ok(None) };
        let holder = self
            .conn
            .prepare_cached(sql::HOLDER)
            .and_then(|mut holder| holder.query_row([key], rows::holder).optional());
        holder.map_err(error::before_commit)?.map(|holder| holder.answer_to(job)).transpose()
    }

    /// Writes what a job takes; `None` if its key is held, or it is ignored.
    fn rows(&mut self, job: &NewJob, now: Timestamp) -> Result<Option<(JobId, bool)>> {
        let inline = (!is_large(job)).then_some(job.params.as_str());
        let (written, ready) = self.row(job, inline, now)?;
        if written == 0 {
            return Ok(None);
        }
        let id = self.conn.last_insert_rowid();
        if inline.is_none() && self.params(id, job).map_err(error::before_commit)? == 0 {
            return Err(ignored());
        }
        Ok(Some((JobId(id), ready)))
    }

    fn params(&self, id: i64, job: &NewJob) -> SqlResult<usize> {
        self.conn.prepare_cached(sql::INSERT_PARAMS)?.execute(params![id, job.params])
    }

    /// Writes the job's own row, if its key is not held; answers how many rows that was, and whether it is due.
    fn row(&mut self, job: &NewJob, params: Option<&str>, now: Timestamp) -> Result<(usize, bool)> {
        // Checked by the caller a moment ago: a delay may have met the end of the calendar since, and is not to run at once.
        let at = job.scheduled_at(now)?;
        let written = match &job.idempotency_key {
            None => execute_insert(&mut self.statement, job, params, (at, now), &[]),
            Some(key) => self
                .conn
                .prepare_cached(sql::INSERT_KEYED)
                .and_then(|mut keyed| execute_insert(&mut keyed, job, params, (at, now), params![key])),
        };
        Ok((written.map_err(error::before_commit)?, at <= now))
    }
}

/// No row was written, and no key is held that would be the reason.
fn ignored() -> Error {
    Error::new(ErrorKind::InvalidInput, "a trigger of this database ignores the insert; nothing was stored")
        .help("look for a trigger on qdjobs_jobs or qdjobs_params that says RAISE(IGNORE)")
}

/// Stores a job that is [one row](is_one_row), due `at`, by a statement that is a transaction of its own; answers its number, or `None`
/// if writers have to know a later schema.
pub(in crate::store::sqlite) fn insert_alone(
    conn: &Connection,
    job: &NewJob,
    at: Timestamp,
    now: Timestamp,
) -> SqlResult<Option<JobId>> {
    let mut insert = conn.prepare_cached(sql::INSERT_ALONE)?;
    let known = params![migrate::SCHEMA_VERSION];
    let written = execute_insert(&mut insert, job, Some(&job.params), (at, now), known)?;
    Ok((written > 0).then(|| JobId(conn.last_insert_rowid())))
}

/// Runs one of the INSERTs, whose first ten values are the same, of a job that is due `at`; answers how many rows it wrote.
fn execute_insert(
    insert: &mut Statement<'_>,
    job: &NewJob,
    params: Option<&str>,
    (at, now): (Timestamp, Timestamp),
    further: &[&dyn ToSql],
) -> SqlResult<usize> {
    let ready = at <= now;
    let (at, now) = (at.as_microsecond(), now.as_microsecond());
    let values = params![
        job.task_name,
        job.name,
        params,
        job.queue,
        job.priority,
        job.max_retries,
        at,
        now,
        job.metadata,
        ready,
    ];
    match further {
        [] => insert.execute(values),
        further => insert.execute([values, further].concat().as_slice()),
    }
}

/// Whether a job takes two rows to store.
pub(in crate::store::sqlite) fn is_large(job: &NewJob) -> bool {
    job.params.len() > PARAMS_BYTES_INLINE
}

/// Whether storing them is a single statement.
pub(in crate::store::sqlite) fn is_one_row(jobs: &[NewJob]) -> bool {
    matches!(jobs, [job] if !is_large(job) && job.idempotency_key.is_none())
}

/// Stores one job in a transaction that is not ours; answers its number. Writes before it reads: a transaction that begins by reading could be
/// refused the lock later, for good.
pub(in crate::store::sqlite) fn insert_in(conn: &Connection, job: &NewJob, now: Timestamp) -> Result<JobId> {
    let mut insert = Insert::on(conn).map_err(error::before_commit)?;
    insert.job_first(job, now).map(|(id, _)| id)
}

pub(in crate::store::sqlite) fn publish_tasks(conn: &Connection, tasks: &[TaskDefaults]) -> SqlResult<()> {
    let mut statement = conn.prepare_cached(sql::PUBLISH)?;
    for task in tasks {
        statement.execute(params![task.name, task.queue, task.priority, task.max_retries])?;
    }
    Ok(())
}

pub(in crate::store::sqlite) fn register_worker(
    conn: &Connection,
    worker: &WorkerInfo,
    wake_socket: Option<&str>,
    now: Timestamp,
) -> SqlResult<()> {
    let started = now.as_microsecond();
    conn.prepare_cached(sql::REGISTER_WORKER)?.execute(params![
        worker.id.0,
        worker.host,
        worker.pid,
        started,
        wake_socket
    ])?;
    Ok(())
}

pub(in crate::store::sqlite) fn is_registered(conn: &Connection, worker: WorkerId) -> SqlResult<bool> {
    conn.prepare_cached(sql::IS_REGISTERED)?.exists([worker.0])
}

/// Claims the jobs that come first over all wanted tasks and queues; a suspect among them only if there are `suspects`.
///
/// The index is ordered by task and queue first, so that jobs nobody here can run, a million of them, cost nothing. The
/// price is a merge, where more than one pair of task and queue has jobs ready.
pub(in crate::store::sqlite) fn claim(
    conn: &Connection,
    want: &ClaimRequest,
    suspects: bool,
    now: Timestamp,
) -> SqlResult<Vec<ClaimedJob>> {
    let worker = want.worker;
    let mut first_ready = conn.prepare_cached(sql::FIRST_READY)?;
    let mut claimed: Vec<ClaimedJob> = Vec::new();
    let suspect = if suspects { first_suspect(conn, want, now)? } else { None };
    let (shares, with_suspect) = shares(conn, want, suspect.as_ref())?;
    for (pair, limit) in &shares {
        let (before, limit) = (claimed.len(), *limit as i64);
        let mut rows = first_ready.query(params![pair.0, pair.1, limit])?;
        while let Some(found) = rows.next()? {
            claimed.push(rows::claimed(found, pair, worker, Ticket::new(now, false))?);
        }
        drop(rows);
        let now = now.as_microsecond();
        let marked = match &claimed[before..] {
            // The usual case of a queue that keeps up: no table of numbers is built for it.
            [job] => conn.prepare_cached(sql::CLAIM_ONE)?.execute(params![job.claim.id.0, worker.0, now])?,
            _ => conn.prepare_cached(sql::CLAIM)?.execute(params![pair.0, pair.1, limit, worker.0, now])?,
        };
        if marked != claimed.len() - before {
            return Err(unclaimable());
        }
    }
    if let Some(job) = suspect.filter(|_| with_suspect) {
        let now = now.as_microsecond();
        if conn.prepare_cached(sql::CLAIM_ONE)?.execute(params![job.claim.id.0, worker.0, now])? != 1 {
            return Err(unclaimable());
        }
        claimed.push(job);
    }
    if shares.len() + usize::from(with_suspect) > 1 {
        claimed.sort_unstable_by_key(|job| (Reverse(job.priority), job.scheduled_at, job.claim.id));
    }
    Ok(claimed)
}

/// What was read is not what was marked, so a job would be started that is not ours: a trigger of somebody's forbids the change,
/// or the index does not fit its table.
fn unclaimable() -> rusqlite::Error {
    let why = "jobs that are ready cannot be claimed: an index does not fit its table, or a trigger keeps them back";
    rusqlite::Error::SqliteFailure(ffi::Error::new(ffi::SQLITE_CORRUPT), Some(why.to_owned()))
}

/// The suspect that comes first of those wanted, if the worker may hold one.
fn first_suspect(conn: &Connection, want: &ClaimRequest, now: Timestamp) -> SqlResult<Option<ClaimedJob>> {
    let worker = want.worker;
    if want.limit == 0 || holds_suspect(conn, worker)? {
        return Ok(None);
    }
    let mut first = conn.prepare_cached(sql::FIRST_SUSPECT)?;
    let pairs = pairs(conn, sql::NEXT_SUSPECT_PAIR, want, usize::MAX)?;
    let firsts = pairs.iter().map(|pair| {
        first.query_row(params![pair.0, pair.1, 1], |row| {
            rows::claimed(row, pair, worker, Ticket::new(now, true))
        })
    });
    let firsts: Vec<ClaimedJob> = firsts.collect::<SqlResult<_>>()?;
    Ok(firsts.into_iter().min_by_key(|job| (Reverse(job.priority), job.scheduled_at, job.claim.id)))
}

/// Whether a suspect waits for a worker that holds none.
pub(in crate::store::sqlite) fn has_suspects(conn: &Connection) -> SqlResult<bool> {
    conn.prepare_cached(sql::HAS_SUSPECTS)?.exists([])
}

fn holds_suspect(conn: &Connection, worker: WorkerId) -> SqlResult<bool> {
    conn.prepare_cached(sql::HOLDS_SUSPECT)?.exists([worker.0])
}

/// How many of the first jobs of each pair of task and queue are among the first of all, and whether the suspect is.
fn shares(
    conn: &Connection,
    want: &ClaimRequest,
    suspect: Option<&ClaimedJob>,
) -> SqlResult<(Vec<(Pair, usize)>, bool)> {
    let mut pairs = pairs(conn, sql::NEXT_READY_PAIR, want, usize::MAX)?;
    if pairs.len() <= 1 && suspect.is_none() {
        return Ok((pairs.pop().map(|pair| (pair, want.limit)).into_iter().collect(), false));
    }
    let mut statement = conn.prepare_cached(sql::READY)?;
    let place = |job: &ClaimedJob| {
        (Reverse(i64::from(job.priority)), job.scheduled_at.as_microsecond(), job.claim.id.0, None)
    };
    let mut heads: Vec<(Reverse<i64>, i64, i64, Option<usize>)> = suspect.map(place).into_iter().collect();
    for (index, (task, queue)) in pairs.iter().enumerate() {
        let mut rows = statement.query(params![task, queue, want.limit as i64])?;
        while let Some(row) = rows.next()? {
            let priority = row.get::<_, Option<i64>>(0)?.unwrap_or(0);
            let at = row.get::<_, Option<i64>>(1)?.unwrap_or(0);
            heads.push((Reverse(priority), at, row.get(2)?, Some(index)));
        }
    }
    heads.sort_unstable();
    let mut shares: Vec<(Pair, usize)> = pairs.into_iter().map(|pair| (pair, 0)).collect();
    let mut with_suspect = false;
    for (.., index) in heads.into_iter().take(want.limit) {
        match index {
            Some(index) => shares[index].1 += 1,
            None => with_suspect = true,
        }
    }
    shares.retain(|(_, limit)| *limit > 0);
    Ok((shares, with_suspect))
}

/// Whether a job is ready that is wanted and that this worker may hold.
pub(in crate::store::sqlite) fn has_ready(conn: &Connection, want: &ClaimRequest) -> SqlResult<bool> {
    if !pairs(conn, sql::NEXT_READY_PAIR, want, 1)?.is_empty() {
        return Ok(true);
    }
    Ok(has_suspects(conn)?
        && !holds_suspect(conn, want.worker)?
        && !pairs(conn, sql::NEXT_SUSPECT_PAIR, want, 1)?.is_empty())
}

/// The first `limit` wanted pairs of task and queue that have jobs ready, found by skipping through the index that `next` reads. It holds bytes: what
/// is no text in it names no task and no queue of anybody's, and is stepped over.
fn pairs(conn: &Connection, next: &str, want: &ClaimRequest, limit: usize) -> SqlResult<Vec<Pair>> {
    let mut statement = conn.prepare_cached(next)?;
    let mut next = |after: &(rows::Bytes, rows::Bytes)| -> SqlResult<Option<(rows::Bytes, rows::Bytes)>> {
        statement.query_row(params![after.0, after.1], |row| Ok((row.get(0)?, row.get(1)?))).optional()
    };
    let mut pairs = Vec::new();
    let mut last = Default::default();
    while pairs.len() < limit
        && let Some(pair) = next(&last)?
    {
        if let (Some(task_name), Some(queue)) = (pair.0.as_text(), pair.1.as_text())
            && want.takes(task_name, queue)
        {
            pairs.push((task_name.to_owned(), queue.to_owned()));
        }
        last = pair;
    }
    Ok(pairs)
}

/// Counts the heartbeat; also answers whether jobs without a worker were released.
pub(in crate::store::sqlite) fn heartbeat(
    conn: &Connection,
    worker: WorkerId,
) -> SqlResult<(Heartbeat, bool)> {
    let counted = conn.prepare_cached(sql::HEARTBEAT)?.execute([worker.0])?;
    let freed = conn.prepare_cached(sql::FREE_ORPHANS)?.execute([])?;
    Ok((Heartbeat::new(counted > 0), freed > 0))
}

pub(in crate::store::sqlite) fn report_progress(
    conn: &Connection,
    claim: Claim,
    progress: &Progress,
) -> SqlResult<()> {
    let Claim { id, attempt, worker } = claim;
    conn.prepare_cached(sql::REPORT_PROGRESS)?.execute(params![
        id.0,
        attempt,
        worker.0,
        progress.fraction,
        progress.message
    ])?;
    Ok(())
}

/// What writing a verdict did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store::sqlite) enum FinishResult {
    /// The claim was lost; nothing was written.
    Lost,
    /// The job has ended.
    Ended,
    /// The job had ended under this very claim, whichever way; nothing was written.
    EndedBefore(Status),
    /// The job waits again; `true` if it is ready now.
    Waits(bool),
}

/// Writes what became of jobs. The statement for the common case is looked up once for all of them.
pub(in crate::store::sqlite) struct FinishWriter<'c> {
    conn: &'c Connection,
    complete: CachedStatement<'c>,
}

impl<'c> FinishWriter<'c> {
    pub(in crate::store::sqlite) fn on(conn: &'c Connection) -> SqlResult<FinishWriter<'c>> {
        Ok(FinishWriter { conn, complete: conn.prepare_cached(sql::COMPLETE)? })
    }

    /// Writes what became of one job, if the claim still holds it.
    pub(in crate::store::sqlite) fn write(
        &mut self,
        finish: &FinishedJob,
        now: Timestamp,
    ) -> SqlResult<FinishResult> {
        if let Verdict::Complete { result } = &finish.verdict
            && finish.claim.attempt == 1
        {
            let Claim { id, attempt, worker } = finish.claim;
            let (started, ended) = (started_at(finish, now).as_microsecond(), now.as_microsecond());
            let changed = self.complete.execute(params![id.0, attempt, worker.0, result, started, ended])?;
            if changed > 0 {
                return Ok(FinishResult::Ended);
            }
        }
        finish_with_history(self.conn, finish, now)
    }
}

/// When the task of a finished job started.
fn started_at(finish: &FinishedJob, now: Timestamp) -> Timestamp {
    finish.ticket.started_at(finish.began_after, now)
}

/// Writes what became of a job and puts its attempt on record.
fn finish_with_history(conn: &Connection, finish: &FinishedJob, now: Timestamp) -> SqlResult<FinishResult> {
    let Claim { id, attempt, worker } = finish.claim;
    let (started, ended) = (started_at(finish, now).as_microsecond(), now.as_microsecond());
    let due = |wait| after_at_latest(now, wait).as_microsecond();
    let (changed, outcome, error, written) = match &finish.verdict {
        Verdict::Complete { result } => {
            let changed = conn
                .prepare_cached(sql::COMPLETE)?
                .execute(params![id.0, attempt, worker.0, result, started, ended])?;
            (changed, AttemptOutcome::Completed, None, FinishResult::Ended)
        }
        Verdict::Fail { error } => {
            let error = clip_error(error);
            let status = Status::Failed.as_str();
            let changed = conn
                .prepare_cached(sql::END)?
                .execute(params![id.0, attempt, worker.0, error, started, ended, status])?;
            (changed, AttemptOutcome::Failed, Some(error), FinishResult::Ended)
        }
        Verdict::Cancel { reason } => {
            let reason = clip_error(reason);
            let status = Status::Cancelled.as_str();
            let changed = conn
                .prepare_cached(sql::END)?
                .execute(params![id.0, attempt, worker.0, reason, started, ended, status])?;
            (changed, AttemptOutcome::Cancelled, Some(reason), FinishResult::Ended)
        }
        Verdict::Retry { wait, error } => {
            let error = clip_error(error);
            let at = due(*wait);
            let ready = at <= ended;
            let changed = conn
                .prepare_cached(sql::RETRY)?
                .execute(params![id.0, attempt, worker.0, error, started, at, ready])?;
            (changed, AttemptOutcome::Failed, Some(error), FinishResult::Waits(ready))
        }
        Verdict::Release { wait, started: begun } => {
            let at = (!wait.is_zero()).then(|| due(*wait));
            // A wait shorter than an instant can tell is none.
            let ready = at.is_none_or(|at| at <= ended);
            let changed = conn
                .prepare_cached(sql::RELEASE)?
                .execute(params![id.0, attempt, worker.0, begun, at, ready, started])?;
            if !begun && changed > 0 {
                return Ok(FinishResult::Waits(ready));
            }
            (changed, AttemptOutcome::Released, None, FinishResult::Waits(ready))
        }
    };
    if changed == 0 {
        // By this very attempt: in a transaction of the task's own, or by the first of two finishes whose answer got lost.
        return Ok(ended_under(conn, finish.claim)?.map_or(FinishResult::Lost, FinishResult::EndedBefore));
    }
    if attempt > 1 || outcome != AttemptOutcome::Completed {
        conn.prepare_cached(sql::RECORD_ATTEMPT)?.execute(params![
            id.0,
            attempt,
            started,
            ended,
            worker.0,
            outcome.as_str(),
            error
        ])?;
    }
    Ok(written)
}

/// How the job has ended, if it did so by the word of this very attempt: then nobody does its work again.
pub(in crate::store::sqlite) fn ended_under(conn: &Connection, claim: Claim) -> SqlResult<Option<Status>> {
    let mut ended = conn.prepare_cached(sql::ENDED_UNDER)?;
    let claim = params![claim.id.0, claim.attempt, claim.worker.0];
    let status: Option<String> = ended.query_row(claim, |row| row.get(0)).optional()?;
    Ok(status.map(|status| status.parse().unwrap_or(Status::Failed)))
}

/// Makes ready what is due, at most `limit` jobs; answers how many.
pub(in crate::store::sqlite) fn promote(conn: &Connection, now: Timestamp, limit: usize) -> SqlResult<usize> {
    conn.prepare_cached(sql::PROMOTE)?.execute(params![now.as_microsecond(), limit as i64])
}

/// The next instant at which something is due.
pub(in crate::store::sqlite) fn next_due(conn: &Connection) -> SqlResult<Option<Timestamp>> {
    let next: Option<i64> = conn.prepare_cached(sql::NEXT_DUE)?.query_row([], |row| row.get(0)).optional()?;
    Ok(next.map(rows::time))
}

/// What was freed of a worker's jobs.
#[derive(Debug, Default)]
pub(in crate::store::sqlite) struct Freed {
    /// All of them.
    pub(in crate::store::sqlite) jobs: usize,
    /// Those that wait again.
    pub(in crate::store::sqlite) waiting: usize,
    /// Those that have failed, since it was one crash too many.
    pub(in crate::store::sqlite) failed: Vec<Job>,
}

/// Frees what a dead worker held and forgets it, as [`attribute_crash`] judges. Answers nothing freed if somebody else was quicker.
pub(in crate::store::sqlite) fn rescue(
    conn: &Connection,
    worker: WorkerId,
    max_crashes: u32,
    now: Timestamp,
) -> SqlResult<Freed> {
    if !forget(conn, worker)? {
        return Ok(Freed::default());
    }
    let now = now.as_microsecond();
    let mut held = conn.prepare_cached(sql::HELD_CRASHES)?;
    let held = held.query_map([worker.0], |row| Ok((JobId(row.get(0)?), row.get(1)?)))?;
    let held: Vec<(JobId, u32)> = held.collect::<SqlResult<_>>()?;
    let attribute_crash = attribute_crash(&held, max_crashes);
    let mut failed = Vec::new();
    for (id, crash) in &attribute_crash.crashes {
        conn.prepare_cached(sql::RECORD_CRASH)?.execute(params![id.0, now, crash.error])?;
        let crashed = if crash.is_last { sql::CRASH_FOR_GOOD } else { sql::CRASH };
        conn.prepare_cached(crashed)?.execute(params![id.0, now, crash.error])?;
        if crash.is_last {
            failed.extend(rows::job_by_id(conn, *id)?);
        }
    }
    // Those that were blamed are not held any more.
    if attribute_crash.crashes.len() < held.len() {
        release_held(conn, worker, Some(&attribute_crash.released_note), now)?;
    }
    Ok(Freed { jobs: held.len(), waiting: held.len() - failed.len(), failed })
}

/// Frees what a worker holds and forgets it, at its own word.
pub(in crate::store::sqlite) fn deregister_worker(
    conn: &Connection,
    worker: WorkerId,
    now: Timestamp,
) -> SqlResult<Freed> {
    if !forget(conn, worker)? {
        return Ok(Freed::default());
    }
    let jobs = release_held(conn, worker, None, now.as_microsecond())?;
    Ok(Freed { jobs, waiting: jobs, failed: Vec::new() })
}

/// Takes a worker off the list; `false` if it was not on it.
fn forget(conn: &Connection, worker: WorkerId) -> SqlResult<bool> {
    Ok(conn.prepare_cached(sql::FORGET_WORKER)?.execute([worker.0])? > 0)
}

/// Releases what a worker still holds, with `why` on record; answers how many jobs.
fn release_held(conn: &Connection, worker: WorkerId, why: Option<&str>, now: i64) -> SqlResult<usize> {
    let outcome = AttemptOutcome::Released.as_str();
    conn.prepare_cached(sql::RECORD_HELD)?.execute(params![worker.0, now, outcome, why])?;
    conn.prepare_cached(sql::RELEASE_HELD)?.execute([worker.0])
}

/// Changes one job as a person asked; answers the job after it (before it, if it is deleted).
pub(in crate::store::sqlite) fn command(
    conn: &Connection,
    command: JobCommand,
    now: Timestamp,
) -> Result<Job> {
    let fault = error::before_commit;
    let id = command.id();
    let job = rows::job_by_id(conn, id).map_err(fault)?.ok_or_else(|| not_found(id))?;
    command.permit(job.status, job.scheduled_at <= now)?;
    let now = now.as_microsecond();
    let changed = match command {
        JobCommand::Retry(_) => {
            conn.prepare_cached(sql::RETRY_BY_HAND).and_then(|mut it| it.execute([id.0, now]))
        }
        JobCommand::Cancel(_) => conn.prepare_cached(sql::CANCEL).and_then(|mut it| it.execute([id.0, now])),
        JobCommand::Delete(_) => conn.prepare_cached(sql::DELETE).and_then(|mut it| it.execute([id.0])),
    };
    changed.map_err(fault)?;
    if matches!(command, JobCommand::Delete(_)) {
        return Ok(job);
    }
    rows::job_by_id(conn, id).map_err(fault)?.ok_or_else(|| not_found(id))
}

/// The socket of a worker's process.
pub(in crate::store::sqlite) fn wake_socket(
    conn: &Connection,
    worker: WorkerId,
) -> SqlResult<Option<String>> {
    let wake_socket =
        conn.prepare_cached(sql::WAKE_SOCKET)?.query_row([worker.0], |row| row.get(0)).optional()?;
    Ok(wake_socket.flatten().map(|rows::Text(wake_socket)| wake_socket))
}

/// The heartbeats of a worker that is on the list.
pub(in crate::store::sqlite) fn heartbeats(conn: &Connection, worker: WorkerId) -> SqlResult<Option<u64>> {
    let heartbeats = conn.prepare_cached(sql::HEARTBEATS)?.query_row([worker.0], |row| row.get::<_, i64>(0));
    // As they are read into a `WorkerState`.
    Ok(heartbeats.optional()?.map(|heartbeats| u64::try_from(heartbeats).unwrap_or(0)))
}

pub(in crate::store::sqlite) fn workers(conn: &Connection) -> SqlResult<Vec<WorkerState>> {
    conn.prepare_cached(sql::WORKERS)?.query_map([], rows::worker)?.collect()
}
